//! What a failed command tells its user: what happened, why, and what to do about it.

use std::error::Error;
use std::fmt::{Display, Write as _};

use agent::postgres::{ConnectCause, PgError};

use crate::exit::Exit;
use crate::text;

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure with its message: what could not be done, lower case, no full stop.
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string(), causes: Vec::new(), hints: Vec::new() }
    }

    /// The failure that an error chain tells of: the error is the message, what lies below it the causes.
    pub(crate) fn from_error(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(exit, error);
        if let Some(source) = error.source() {
            failure = failure.caused_by(source);
        }
        failure
    }

    /// The failure that an error of the library tells of; where a server stands behind it, the server's error
    /// knows the code and what to do better than the caller.
    pub(crate) fn of(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        let chain =
            std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
        let server = chain.filter_map(|error| error.downcast_ref::<PgError>()).last();
        let mut failure = Self::from_error(exit, error);
        if let Some(server) = server {
            failure.exit = server_exit(server).unwrap_or(exit);
            failure.hints.extend(server.hint().map(str::to_owned));
        }
        failure
    }

    /// Adds an error and everything below it, one cause each.
    pub(crate) fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let cause = error.to_string();
            // Some libraries repeat the cause within their own text.
            if !self.causes.last().unwrap_or(&self.message).contains(&cause) {
                self.causes.push(cause);
            }
            next = error.source();
        }
        self
    }

    /// What could not be done, without causes.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// The text for stderr, with colour codes.
    pub(crate) fn render(&self) -> String {
        let error = anstyle::AnsiColor::Red.on_default().bold();
        let hint = anstyle::AnsiColor::Cyan.on_default().bold();
        let mut out = format!("{error}error:{error:#} {}\n", text::lines(&self.message, "       "));
        for cause in &self.causes {
            let _ = writeln!(out, "  because: {}", text::lines(cause, "           "));
        }
        for line in &self.hints {
            let _ = writeln!(out, "{hint}hint:{hint:#} {}", text::lines(line, "      "));
        }
        out
    }
}

/// The exit code that a server's error calls for, where it calls for one.
fn server_exit(error: &PgError) -> Option<Exit> {
    match (error.connect_cause(), error.sqlstate()) {
        (Some(ConnectCause::Unsupported), _) | (None, Some("25006")) => Some(Exit::Refused),
        (Some(_), _) => Some(Exit::Connection),
        _ if error.is_lost() => Some(Exit::Connection),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;
    use crate::exit::Exit;

    #[derive(Debug)]
    struct Step(&'static str, Option<Box<Step>>);
    impl std::fmt::Display for Step {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }
    impl std::error::Error for Step {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|step| step as &dyn std::error::Error)
        }
    }

    #[test]
    fn a_failure_prints_message_causes_and_hints_one_a_line() {
        let inner = Step("connection refused", None);
        let error = Step("could not connect to `db:5432`", Some(Box::new(inner)));
        let failure = Failure::from_error(Exit::Connection, &error)
            .hint("is the server running?\nand listening?");
        assert_eq!(
            anstream::adapter::strip_str(&failure.render()).to_string(),
            "error: could not connect to `db:5432`\n  because: connection refused\n\
             hint: is the server running?\n      and listening?\n"
        );
        assert_eq!(failure.exit, Exit::Connection);
    }

    #[test]
    fn a_cause_repeated_by_a_library_stands_once() {
        let inner = Step("no such file", None);
        let outer = Step("reading failed: no such file", Some(Box::new(inner)));
        let text = Failure::new(Exit::Usage, "cannot read `x`").caused_by(&outer).render();
        assert_eq!(text.matches("no such file").count(), 1);
    }

    #[test]
    fn control_characters_of_a_server_message_do_not_reach_the_terminal() {
        let text = Failure::new(Exit::Connection, "server says \u{1b}]0;owned\u{7}").render();
        assert!(!anstream::adapter::strip_str(&text).to_string().contains('\u{7}'));
        assert!(text.contains(r"\u{1b}]0;owned\u{7}"), "{text:?}");
    }
}
