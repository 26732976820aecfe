//! Reads the command line, and says what is wrong with it without repeating a password.

use std::ffi::{OsStr, OsString};

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _};
use rules::watch::Limits;

use super::{Cli, Command};
use crate::exit::Exit;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  pgwright doctor -d postgres://app@db.example.com/shop     see what is missing first
  pgwright optimize -d postgres://app@db.example.com/shop   show what would help; changes nothing
  pgwright optimize --apply                                 carry it out
  pgwright log                                              see what was done
  pgwright rollback --all                                   undo it";

const ENVIRONMENT: &str = "\
Environment:
  PGWRIGHT_…     stands for the option of its name, as PGWRIGHT_LIMIT=50 for --limit 50; where that
                 takes no value, for true, yes, on, 1, or for false, no, off, 0
  PG…            the connection as for psql: PGHOST, PGUSER, PGDATABASE, PGPASSFILE, PGSERVICE …
  PGWRIGHT_LOG   a trace on stderr, by part: debug, agent=trace …
  NO_COLOR       no colours

Options go before environment variables, these before configuration files, these before defaults.";

/// The command line as clap sees it, with exit codes and environment at the end of `--help`.
pub(crate) fn command() -> clap::Command {
    use std::fmt::Write as _;
    let mut after = format!("{EXAMPLES}\n\nExit codes:\n");
    for exit in Exit::ALL {
        let _ = writeln!(after, "  {:<5}{}", exit.code(), exit.meaning());
    }
    let _ = write!(after, "\n{ENVIRONMENT}");
    Cli::command().after_long_help(after)
}

/// Reads the command line. `Err` holds how the program ends at once: `--help`, `--version`, a wrong option.
pub(crate) fn parse() -> Result<Cli, Exit> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    read(&arguments).map_err(|stop| match stop {
        Stop::Clap(error) => {
            // Where the terminal is gone, nobody is left to be told.
            let _ = error.print();
            if error.exit_code() == 0 { Exit::Success } else { Exit::Usage }
        }
        Stop::Misplaced => {
            let failure = Failure::new(Exit::Usage, "a connection stands where none is expected")
                .hint("give it with -d, as in `pgwright optimize -d postgres://…`");
            crate::commands::complain(&failure.render());
            failure.exit
        }
    })
}

/// Reads the environment variable of an option that takes no value. A word that is not understood must not become a
/// yes: `PGWRIGHT_APPLY=disabled` would change a database.
#[derive(Clone, Debug)]
pub(super) struct Switch;

impl TypedValueParser for Switch {
    type Value = bool;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<bool, clap::Error> {
        understood(value).ok_or_else(|| {
            let variable = arg.and_then(clap::Arg::get_env).unwrap_or_default();
            let message = format!(
                "invalid value '{}' for the environment variable {}: expected true, yes, on or 1, or false, no, off or 0",
                value.to_string_lossy(),
                variable.to_string_lossy()
            );
            command.clone().error(ErrorKind::InvalidValue, message)
        })
    }
}

/// What the word of a switch says, if it is one of those that are understood.
fn understood(word: &OsStr) -> Option<bool> {
    match word.to_str()?.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "" | "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Forgets the switches that the environment says no to: they are as good as not given, and contradict no option.
fn without_idle_switches(command: clap::Command) -> clap::Command {
    let idle = |arg: &clap::Arg| {
        let said = arg.get_env().and_then(std::env::var_os);
        matches!(arg.get_action(), ArgAction::SetTrue)
            && said.is_some_and(|word| understood(&word) == Some(false))
    };
    command
        .mut_args(|arg| if idle(&arg) { arg.env(None::<&'static str>) } else { arg })
        .mut_subcommands(without_idle_switches)
}

/// What contradicts itself in a command line of which every part is right.
fn contradiction(cli: &Cli) -> Option<String> {
    let Command::Verify(args) = &cli.command else { return None };
    let usual = Limits::default();
    let span = |given: Option<crate::values::Wait>, usual: chrono::TimeDelta| {
        given.and_then(|wait| chrono::TimeDelta::from_std(wait.0).ok()).unwrap_or(usual)
    };
    let (least, most) = (span(args.at_least, usual.at_least), span(args.at_most, usual.at_most));
    (least > most).then(|| {
        let said = |given: bool| if given { "" } else { ", which is the default" };
        let days = |span: chrono::TimeDelta| span.as_seconds_f64() / 86_400.0;
        format!(
            "--at-least ({:.2} days{}) is longer than --at-most ({:.2} days{})",
            days(least),
            said(args.at_least.is_some()),
            days(most),
            said(args.at_most.is_some()),
        )
    })
}

/// Why there is no command to carry out.
#[derive(Debug)]
enum Stop {
    /// What clap has to say.
    Clap(clap::Error),
    /// A connection in the wrong place: clap's message would repeat it, with the password in it.
    Misplaced,
}

fn read(arguments: &[OsString]) -> Result<Cli, Stop> {
    let mut command = without_idle_switches(command());
    let matches = command.try_get_matches_from_mut(arguments).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        match contradiction(&cli) {
            Some(what) => Err(command.error(ErrorKind::ArgumentConflict, what)),
            None => Ok(cli),
        }
    });
    matches.map_err(|error| {
        let told = error.to_string();
        let connection = |text: &str| text.contains("://") || text.contains("password=");
        let mut given = arguments.iter().map(|argument| argument.to_string_lossy());
        if error.use_stderr() && given.any(|text| connection(&text) && told.contains(&*text)) {
            Stop::Misplaced
        } else {
            Stop::Clap(error)
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};
    use super::command;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_help_text_begins_with_a_short_line_without_a_period() {
        fn check(command: &clap::Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let helps = command.get_arguments().map(|arg| {
                (
                    arg.get_id().to_string(),
                    arg.get_help().map(ToString::to_string).unwrap_or_default(),
                )
            });
            for (id, help) in helps.chain([(command.get_name().to_owned(), about)]) {
                assert!(!help.is_empty(), "{id} has no help");
                assert!(!help.ends_with('.') && help.len() <= 90, "{id}: {help}");
                assert!(help.starts_with(char::is_uppercase), "{id}: {help}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }

    #[test]
    fn every_option_of_optimize_has_an_environment_variable_of_its_name() {
        let command = command();
        let optimize = command.find_subcommand("optimize").unwrap();
        for arg in optimize.get_arguments().chain(command.get_arguments()) {
            // PGWRIGHT_LOG is the trace.
            let none = |long: &&str| matches!(*long, "help" | "version" | "log");
            let Some(long) = arg.get_long().filter(|long| !none(long)) else {
                continue;
            };
            let name = format!("PGWRIGHT_{}", long.to_ascii_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(name.as_str()));
        }
    }

    #[test]
    fn rollback_takes_exactly_one_choice() {
        assert!(parse("pgwright rollback").is_err());
        assert!(parse("pgwright rollback 3 --all").is_err());
        assert!(
            parse("pgwright rollback --since 2h --run 67e55044-10b1-426f-9247-bb680e5fe0c8")
                .is_err()
        );
        for one in ["3", "--all", "--since 2h", "--run 67e55044-10b1-426f-9247-bb680e5fe0c8"] {
            assert!(parse(&format!("pgwright rollback {one}")).is_ok(), "{one}");
        }
    }

    #[test]
    fn wrong_options_are_usage_errors() {
        for wrong in [
            "pgwright",
            "pgwright improve",
            "pgwright optimize --fast",
            "pgwright optimize --storage-budget banana",
            "pgwright optimize --min-confidence 0.3",
            "pgwright optimize --limit 0",
            "pgwright optimize -q -v",
            "pgwright log x",
        ] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
        let message = parse("pgwright optimize --storage-budget banana").unwrap_err().to_string();
        assert!(message.contains("'banana'") && message.contains("500MB"), "{message}");
    }

    #[test]
    fn lists_are_repeated_or_comma_separated() {
        let cli = parse("pgwright optimize --schema a --schema b,c -d service=x").unwrap();
        let Command::Optimize(args) = cli.command else { panic!("not optimize") };
        assert_eq!(args.schema, ["a", "b", "c"]);
        assert_eq!(cli.global.database.as_deref(), Some("service=x"));
    }

    #[test]
    fn a_switch_in_the_environment_is_one_of_a_few_words() {
        use clap::builder::TypedValueParser as _;

        let arg = clap::Arg::new("apply").env("PGWRIGHT_APPLY");
        let read = |word: &str| super::Switch.parse_ref(&command(), Some(&arg), word.as_ref());
        for yes in ["true", "YES", " on ", "1"] {
            assert!(read(yes).unwrap(), "{yes}");
        }
        for no in ["false ", "No", "off", "0", "", " "] {
            assert!(!read(no).unwrap(), "{no}");
        }
        for wrong in ["disabled", "none", "nein", "2", "f", "truely"] {
            let error = read(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let told = error.to_string();
            assert!(told.contains("PGWRIGHT_APPLY") && told.contains(wrong), "{told}");
            assert!(told.contains("false, no, off or 0"), "{told}");
        }
    }

    #[test]
    fn watching_at_least_longer_than_at_most_is_a_usage_error() {
        let told = |line: &str| {
            let line: Vec<_> = line.split(' ').map(Into::into).collect();
            match super::read(&line) {
                Err(super::Stop::Clap(error)) => error.to_string(),
                _ => String::new(),
            }
        };
        let both = told("pgwright verify --at-least 10d --at-most 1d");
        assert!(both.contains("--at-least (10.00 days)"), "{both}");
        assert!(both.contains("--at-most (1.00 days)"), "{both}");
        let one = told("pgwright verify --at-least 40d");
        assert!(one.contains("35.00 days, which is the default"), "{one}");
        assert_eq!(told("pgwright verify --at-least 1d --at-most 1d"), "");
    }

    #[test]
    fn a_connection_in_the_wrong_place_is_not_repeated() {
        for wrong in [
            "pgwright postgres://u:canary@h/d",
            "pgwright optimize postgres://u:canary@h/d",
            "pgwright log postgres://u:canary@h/d",
            "pgwright optimize password=canary",
            "pgwright optimize --limit postgres://u:canary@h/d",
        ] {
            let arguments: Vec<_> = wrong.split(' ').map(Into::into).collect();
            assert!(matches!(super::read(&arguments), Err(super::Stop::Misplaced)), "{wrong}");
        }
        let arguments: Vec<_> = ["pgwright", "optimize", "--fast"].map(Into::into).into();
        assert!(matches!(super::read(&arguments), Err(super::Stop::Clap(_))));
    }
}
