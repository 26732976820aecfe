//! The exit codes, a promise to scripts and to cron.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked, which may be to find nothing. A closed pipe behind stdout counts as this.
    Success = 0,
    /// An option, the configuration or an input file is wrong.
    Usage = 2,
    /// The server cannot be reached, holds nothing to sample, or the role lacks a privilege.
    Connection = 3,
    /// An action failed, or could not be undone.
    Action = 4,
    /// A safety check refused.
    Refused = 5,
    /// A fault of pgwright itself.
    Internal = 70,
    /// Stopped by Ctrl-C, SIGTERM or SIGHUP.
    Interrupted = 130,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Success,
        Self::Usage,
        Self::Connection,
        Self::Action,
        Self::Refused,
        Self::Internal,
        Self::Interrupted,
    ];

    /// The number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// What it means, as `--help` prints it.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => {
                "done; also when nothing was found, or the reader of the output went away"
            }
            Self::Usage => "wrong option, configuration or input file",
            Self::Connection => "cannot connect, cannot sample, or a privilege is missing",
            Self::Action => "an action failed or could not be undone",
            Self::Refused => {
                "refused for safety: standby, another run at work, unsupported version, changed journal"
            }
            Self::Internal => "internal error, a fault of pgwright",
            Self::Interrupted => "interrupted by Ctrl-C, SIGTERM or SIGHUP",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_codes_are_the_documented_ones() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 2, 3, 4, 5, 70, 130]);
    }

    #[test]
    fn help_states_every_code() {
        let help = crate::cli::command().render_long_help().to_string();
        for exit in Exit::ALL {
            let words: Vec<&str> = exit.meaning().split_whitespace().collect();
            let line = help
                .lines()
                .find(|line| line.trim_start().starts_with(&format!("{} ", exit.code())));
            assert!(
                line.is_some_and(|line| line.contains(words[0])),
                "{} is missing:\n{help}",
                exit.code()
            );
        }
    }
}
