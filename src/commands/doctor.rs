//! `pgwright doctor`: what this server or role lacks, with the statements that mend it.

use agent::doctor::{Check, Grants, State, Step, connection, examine, grants, planning};
use agent::postgres::{Purpose, Session};
use anstyle::AnsiColor;
use serde::Serialize;

use super::Call;
use crate::cli::{DoctorArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, human::page::Page, json};
use crate::text;

/// What the login for plans is called after the other one's name.
const PLANNER: &str = "_explain";
/// Bytes of a name that the server keeps; it cuts the rest off.
const LONGEST_NAME: usize = 63;

/// Why the server makes no two logins of this name and the one derived from it.
fn unfit(role: &str) -> Option<String> {
    const LONGEST: usize = LONGEST_NAME - PLANNER.len();
    if role.is_empty() {
        Some("is empty".to_owned())
    } else if role.starts_with("pg_") || ["public", "none"].contains(&role) {
        Some("is a name that PostgreSQL keeps for itself".to_owned())
    } else if role.len() > LONGEST {
        Some(format!(
            "has {} bytes; with `{PLANNER}` for the login that asks for plans there is room for {LONGEST}",
            role.len()
        ))
    } else {
        None
    }
}

/// Asks the server and prints what was found. What keeps a dry run from working, with `--apply` also what keeps
/// that from working, is exit code 3.
pub(crate) async fn run(call: &Call, args: &DoctorArgs) -> Result<Exit, Failure> {
    if args.twin {
        return super::doctor_twin::run(call, args.format).await;
    }
    let role = args.role.as_deref().unwrap_or("pgwright");
    if let Some(why) = unfit(role).filter(|_| args.grants) {
        return Err(Failure::new(Exit::Usage, format!("--role `{}` {why}", text::line(role)))
            .hint("give the name that the login is to have, such as --role pgwright"));
    }
    let info = call.conninfo()?;
    let unreachable = |error| Failure::of(Exit::Connection, &error);
    let session =
        Session::connect(&info, Purpose::Sample, &call.meter).await.map_err(unreachable)?;
    if args.grants {
        let found = grants(&session, role, &format!("{role}{PLANNER}")).await;
        session.close().await;
        let found = found.map_err(|error| Failure::of(Exit::Connection, &error))?;
        let text = match args.format {
            Format::Human => script(&found),
            Format::Json => json::pretty(&WireGrants::of(&found)),
        };
        output::deliver(&text, None)?;
        return Ok(Exit::Success);
    }
    let mut checks =
        examine(&session).await.map_err(|error| Failure::of(Exit::Connection, &error))?;
    session.close().await;
    checks.push(connection(&info));
    let separate = call.explain_as()?;
    let login = separate.as_ref().unwrap_or(&info);
    let planning = planning(login, separate.is_some(), &call.meter).await;
    let planning = planning.map_err(unreachable)?;
    checks.extend(planning.map_err(|error| Failure::of(Exit::Connection, &error))?);
    let bearable = if args.apply { State::Warn } else { State::Apply };
    let failed = checks.iter().any(|check| check.state > bearable);
    let text = match args.format {
        Format::Human => human(&checks, output::width()),
        Format::Json => {
            json::pretty(&Wire { format: 1, checks: checks.iter().map(WireCheck::from).collect() })
        }
    };
    if failed || !call.quiet {
        output::deliver(&text, None)?;
    }
    Ok(if failed { Exit::Connection } else { Exit::Success })
}

#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    checks: Vec<WireCheck<'a>>,
}

#[derive(Serialize)]
struct WireCheck<'a> {
    aspect: &'a str,
    state: &'static str,
    finding: &'a str,
    remedy: &'a [String],
}

impl<'a> From<&'a Check> for WireCheck<'a> {
    fn from(check: &'a Check) -> Self {
        let Check { aspect, state, finding, remedy } = check;
        Self { aspect, state: word(*state), finding, remedy }
    }
}

#[derive(Serialize)]
struct WireGrants<'a> {
    format: u32,
    database: &'a str,
    role: &'a str,
    explain_role: &'a str,
    dry_run: Vec<WireStep<'a>>,
    apply: Vec<WireStep<'a>>,
}

#[derive(Serialize)]
struct WireStep<'a> {
    sql: &'a str,
    why: &'a str,
}

impl<'a> WireGrants<'a> {
    fn of(grants: &'a Grants) -> Self {
        let steps = |steps: &'a [Step]| {
            steps.iter().map(|step| WireStep { sql: &step.sql, why: &step.why }).collect()
        };
        Self {
            format: 1,
            database: &grants.database,
            role: &grants.role,
            explain_role: &grants.planner,
            dry_run: steps(&grants.dry_run),
            apply: steps(&grants.apply),
        }
    }
}

/// A value of a connection string, as libpq reads it.
fn value(text: &str) -> String {
    if !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '\'' || c == '\\') {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A word of a command line, as a shell reads it.
fn word_of_shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=.,:/@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A name of a database or role where a whole connection could stand too: as such where it would be taken for one.
fn name_or_connection(name: &str, connection: &str) -> String {
    let mistaken = name.contains('=') || name.contains("://") || name.starts_with('-');
    word_of_shell(if mistaken { connection } else { name })
}

/// The script: what it grants is all or nothing.
fn script(grants: &Grants) -> String {
    let database = format!("dbname={}", value(&grants.database));
    let login = |role: &str| format!("{database} user={}", value(role));
    let (connection, planner) = (login(&grants.role), login(&grants.planner));
    let mut out = format!(
        "-- Roles and grants for pgwright in database {}, PostgreSQL {}.\n\
         -- To be run there by a superuser, or by whoever may grant all this: psql -d {} -f FILE\n\
         -- Passwords are set apart, with \\password in psql, and go to the password file of the system's user.\n\
         -- Then: pgwright optimize -d {} --explain-as {}\n",
        text::line(&grants.database),
        grants.major,
        text::line(&name_or_connection(&grants.database, &database)),
        text::line(&word_of_shell(&connection)),
        text::line(&name_or_connection(&grants.planner, &planner)),
    );
    let parts = [
        ("What a dry run needs", &grants.dry_run),
        ("What --apply needs in addition; leave it out for dry runs only", &grants.apply),
    ];
    for (title, steps) in parts {
        out.push_str(&format!("\n-- {title}.\nBEGIN;\n"));
        for Step { sql, why } in steps {
            let why = text::line(why);
            let blank = if sql.is_empty() { "" } else { " " };
            // A name with a line's end or the like in it stays as it is: within quotes that is right.
            out.push_str(&format!("{sql}{blank}-- {why}\n"));
        }
        out.push_str("COMMIT;\n");
    }
    out
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Apply => "apply",
        State::Fail => "fail",
    }
}

fn human(checks: &[Check], width: usize) -> String {
    const INDENT: usize = 6;
    let mut page = Page::new(width);
    for check in checks {
        let color = match check.state {
            State::Ok => AnsiColor::Green,
            State::Warn => AnsiColor::Yellow,
            State::Apply => AnsiColor::Magenta,
            State::Fail => AnsiColor::Red,
        };
        let style = color.on_default().bold();
        let first = format!("{style}{}{style:#}", text::pad(word(check.state), INDENT));
        page.wrapped(
            &first,
            &" ".repeat(INDENT),
            &format!("{}: {}", check.aspect, text::line(&check.finding)),
        );
        for step in &check.remedy {
            page.whole_line(INDENT + 2, &text::line(step));
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    page.blank();
    page.text(match (count(State::Fail), count(State::Apply), count(State::Warn)) {
        (0, 0, 0) => "All is well.",
        (0, 0, _) => "It works; what is marked with warn would make it work better.",
        (0, ..) => "Dry runs work. What is marked with apply keeps --apply from working here.",
        _ => "What is marked with fail keeps pgwright from working here.",
    });
    page.finish()
}

#[cfg(test)]
mod tests {
    use agent::doctor::{Check, Grants, State};

    use super::{human, script};

    #[test]
    fn the_commands_in_the_script_are_quoted_for_shell_and_libpq() {
        let head = |database: &str, role: &str| {
            script(&Grants {
                database: database.into(),
                major: 16,
                role: role.into(),
                planner: format!("{role}_explain"),
                dry_run: Vec::new(),
                apply: Vec::new(),
            })
        };
        let plain = head("shop", "pgwright");
        assert!(plain.contains("psql -d shop -f FILE\n"), "{plain}");
        assert!(
            plain.contains("-d 'dbname=shop user=pgwright' --explain-as pgwright_explain\n"),
            "{plain}"
        );
        let odd = head("ev\"il; --", r"o'brien \x");
        assert!(odd.contains(r#"psql -d 'ev"il; --' -f FILE"#), "{odd}");
        // libpq reads user='o\'brien \\x', which the shell gets word for word.
        assert!(odd.contains(r"user='\''o\'\''brien \\x'\''' --explain-as"), "{odd}");
        assert!(odd.contains(r"--explain-as 'o'\''brien \x_explain'"), "{odd}");
        let mistaken = head("host=x", "a=b");
        assert!(mistaken.contains("psql -d dbname=host=x -f FILE"), "{mistaken}");
        assert!(mistaken.contains("--explain-as 'dbname=host=x user=a=b_explain'\n"), "{mistaken}");
        // A line's end cannot leave the comment.
        let broken = head("a\nDROP TABLE x; --", "r");
        assert!(broken.lines().all(|line| !line.starts_with("DROP")), "{broken}");
    }

    #[test]
    fn findings_stand_with_the_statements_that_mend_them() {
        let check = |aspect, state, finding: &str, remedy: &[&str]| Check {
            aspect,
            state,
            finding: finding.to_owned(),
            remedy: remedy.iter().map(|&step| step.to_owned()).collect(),
        };
        let mut checks = vec![
            check("server version", State::Ok, "PostgreSQL 15.18; 14 to 18 are supported", &[]),
            check(
                "statement texts",
                State::Warn,
                "app\u{1b} sees only its own",
                &["GRANT pg_read_all_stats TO app;"],
            ),
            check(
                "pg_stat_statements",
                State::Fail,
                "loaded, but not installed in shop",
                &["CREATE EXTENSION pg_stat_statements;"],
            ),
        ];
        let shown = |checks: &[Check]| anstream::adapter::strip_str(&human(checks, 80)).to_string();
        assert_eq!(
            shown(&checks),
            "\
ok    server version: PostgreSQL 15.18; 14 to 18 are supported
warn  statement texts: app\\u{1b} sees only its own
        GRANT pg_read_all_stats TO app;
fail  pg_stat_statements: loaded, but not installed in shop
        CREATE EXTENSION pg_stat_statements;

What is marked with fail keeps pgwright from working here.
"
        );
        checks[2] = check("primary or standby", State::Apply, "this is a standby", &[]);
        assert!(shown(&checks).ends_with(
            "apply primary or standby: this is a standby\n\n\
             Dry runs work. What is marked with apply keeps --apply from working here.\n"
        ));
    }
}
