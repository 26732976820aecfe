//! The reference pages `docs/cli.md`, `docs/rules.md`, `docs/guards.md` and `docs/findings.md`: made from the program, and held equal to it by a test.

use std::fmt::Write as _;
use std::path::Path;

use crate::commands::rules;

const NOTE: &str = "<!-- Made from the program by `UPDATE_DOCS=1 cargo test -p pgwright --bin pgwright reference`. -->";

fn cli() -> String {
    let mut out = format!(
        "{NOTE}\n\n# The command line\n\nWhat `pgwright --help` and the `--help` of each command print.\n"
    );
    let mut command = crate::cli::command().term_width(100).color(clap::ColorChoice::Never);
    command.build();
    section(&mut out, &mut command);
    for name in command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect::<Vec<_>>() {
        if name != "help" {
            let sub = command.find_subcommand_mut(&name).expect("it was just listed");
            section(&mut out, sub);
        }
    }
    out
}

fn section(out: &mut String, command: &mut clap::Command) {
    let name = command.get_bin_name().unwrap_or("pgwright").to_owned();
    let help = command.render_long_help().to_string();
    // The options of every command are told once.
    let help = match (help.split_once("\nGlobal options:\n"), name.contains(' ')) {
        (Some((before, after)), true) => {
            let rest = after
                .split_once("\nExamples:\n")
                .map_or(String::new(), |(_, rest)| format!("\nExamples:\n{rest}"));
            format!("{before}{rest}")
        }
        _ => help,
    };
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(out, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim());
}

fn rule_pages() -> String {
    let mut out = format!(
        "{NOTE}\n\n# The rules\n\nWhat each rule looks for, on what evidence, when it is silent, and how its actions are \
         undone. The same text is printed by `pgwright rules ID`.\n\n| rule | finds | reach |\n|---|---|---|\n"
    );
    for meta in rules::all() {
        let _ = writeln!(out, "| [`{0}`](#{0}) | {1} | {2} |", meta.id, meta.summary, meta.reach);
    }
    for meta in rules::all() {
        let docs = rules::docs(meta).replace("\n# ", "\n### ");
        let reach = rules::reach(meta.reach);
        let _ = write!(out, "\n## {}\n\n*{reach}; since {}*\n\n{docs}\n", meta.id, meta.since);
    }
    out
}

fn finding_pages() -> String {
    let mut out = format!(
        "{NOTE}\n\n# Findings\n\nWhat `pgwright explain` finds in a plan, why it costs, when it is told and when not, and what \
         to do.\n\nA plan that was run with timing is judged by time, one with BUFFERS but without timing by blocks, any other by \
         the planner's cost. What takes less than 1 % of the whole is never told, nor what takes less than 1 ms, \
         1 MB of blocks or a cost of 100. What is at stake is an upper bound of what mending it saves. \
         Findings are ranked by it in steps of a tenth, and within these in the order of this page.\n\n| finding | tells of |\n|---|---|\n"
    );
    for pattern in planparse::PATTERNS {
        let meta = pattern.meta();
        let _ = writeln!(out, "| [`{0}`](#{0}) | {1} |", meta.id, meta.summary);
    }
    for pattern in planparse::PATTERNS {
        let meta = pattern.meta();
        let lines = meta.docs.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
        let docs = lines.collect::<Vec<_>>().join("\n").replace("\n# ", "\n### ");
        let _ = write!(out, "\n## {}\n\n{}\n", meta.id, docs.trim());
    }
    out
}

fn guard_pages() -> String {
    let mut out = format!(
        "{NOTE}\n\n# The guards\n\nWhat must hold before `optimize --apply` begins anything, and while it is at work. A dry \
         run asks the same guards and says of each action that it would carry out what would be refused now. A refusal \
         names the figure that caused it and the next step; what is not known is noted (`-v` shows it) and refuses nothing, \
         unless the page says otherwise. The limits are options of `optimize` (`--stop-file`, `--max-block` and `--lock-timeout` of every command), or keys of the table `[limits]` in a \
         configuration file.\n\n\
         - *server*: of the server and our session, once, before anything is changed, also by a rollback.\n\
         - *run*: when a run begins, before each action, and while a statement is at work. A rollback is not held up; \
         `verify` heeds them but for the window, since what does harm is to go at any time.\n\
         - *table*: before each statement that changes something about a table, also one that takes an action back.\n\
         - *action*: before an action is begun. A person can waive it with `--waive-guard`.\n\
         - *way*: those who would hold a statement up. They are waited for, some seconds.\n\n\
         | guard | keeps away | asked of the |\n|---|---|---|\n"
    );
    for guard in guards() {
        let _ = writeln!(
            out,
            "| [`{0}`](#{0}) | {1} | {2} |",
            guard.id,
            guard.summary,
            guard.scope.as_str()
        );
    }
    for guard in guards() {
        let lines =
            guard.docs.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
        let docs = lines.collect::<Vec<_>>().join("\n").replace("\n# ", "\n### ");
        let _ = write!(out, "\n## {}\n\n{}\n", guard.id, docs.trim());
    }
    out.push_str(WATCHDOG);
    out
}

fn guards() -> impl Iterator<Item = &'static ::rules::guards::Meta> {
    ::rules::guards::GUARDS.iter().map(|guard| guard.meta())
}

/// What is looked at while a statement is at work.
const WATCHDOG: &str = "
## While a statement is at work

- `lock_timeout` (`--lock-timeout`, 3 s): a statement that does not get its lock gives up and is sent again, three times at
  most, after a pause that doubles and differs from run to run.
- A second connection looks four times a second (more often where `deadlock_timeout` is shorter than a second), always
  outside of a transaction. When anyone has waited behind our statement for `--max-block` (5 s), it cancels our own
  statement and removes what is left of it; at once when that one holds what the statement waits for, or will wait for,
  in its turn, since PostgreSQL could end either of the two as a deadlock. So it does when it cannot see any more.
- It cancels as well when the switch in the journal is set, the stop file appears, the window ends, or a standby falls
  more than `--max-lag` behind.
- The time limit of a statement grows with the table: half an hour and a second for each MB.
- `client_connection_check_interval` is 5 s: should pgwright be killed, the server ends the statement by itself. The next run
  finds what is left and finishes it.
";

fn check(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "docs/{name} is not what the program says; run again with UPDATE_DOCS=1"
    );
}

#[test]
fn the_page_of_the_command_line_is_up_to_date() {
    check("cli.md", &cli());
}

#[test]
fn the_page_of_the_rules_is_up_to_date() {
    check("rules.md", &rule_pages());
}

#[test]
fn the_page_of_the_guards_is_up_to_date() {
    check("guards.md", &guard_pages());
}

#[test]
fn the_page_of_the_findings_is_up_to_date() {
    check("findings.md", &finding_pages());
}
