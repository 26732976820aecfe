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

/// Asks the server and prints what was found. What keeps a dry run from working, with `--apply` also what keeps
/// that from working, is exit code 3.
pub(crate) async fn run(call: &Call, args: &DoctorArgs) -> Result<Exit, Failure> {
    if args.twin {
        return super::doctor_twin::run(call, args.format).await;
    }
    let info = call.conninfo()?;
    let unreachable = |error| Failure::of(Exit::Connection, &error);
    let session =
        Session::connect(&info, Purpose::Sample, &call.meter).await.map_err(unreachable)?;
    if args.grants {
        let role = args.role.as_deref().unwrap_or("pgwright");
        let found = grants(&session, role, &format!("{role}_explain")).await;
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

/// The script: what it grants is all or nothing.
fn script(grants: &Grants) -> String {
    let name = text::line(&grants.database);
    let mut out = format!(
        "-- Roles and grants for pgwright in database {name}, PostgreSQL {}.\n\
         -- To be run there by a superuser, or by whoever may grant all this: psql -d {name} -f FILE\n\
         -- Passwords are set apart, with \\password in psql, and go to the password file of the system's user.\n\
         -- Then: pgwright optimize -d 'dbname={name} user={}' --explain-as {}\n",
        grants.major,
        text::line(&grants.role),
        text::line(&grants.planner),
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
    use agent::doctor::{Check, State};

    use super::human;

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
