//! What can go wrong with a server, in words that say what to do next.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use tokio_postgres::error::{DbError, ErrorPosition, Severity};

use super::marker::Marked;
use crate::tls::{self, TlsError};

/// An error of a server or on the way to it.
///
/// [`fmt::Display`] is one line without a password; [`PgError::hint`] says what to do next.
#[derive(Clone, Debug)]
pub struct PgError(Box<PgErrorKind>);

/// The kinds of error.
#[derive(Clone, Debug)]
pub enum PgErrorKind {
    /// No session came about.
    Connect {
        /// The class of cause.
        cause: ConnectCause,
        /// Where to, without password.
        target: String,
        /// What happened.
        message: String,
        /// The server's code, if the server refused.
        sqlstate: Option<String>,
        /// What to do next.
        hint: Option<String>,
    },
    /// The server refused a statement; the session lives on.
    Server(ServerError),
    /// The connection went away; what became of the statement under way is unknown.
    Lost {
        /// Why, as far as known.
        reason: String,
        /// The server's code, if it said why it closed the connection.
        sqlstate: Option<String>,
    },
    /// Anything else: a value of an unexpected type, a column that is not there.
    Other(String),
}

/// Why no session came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectCause {
    /// Nothing answers there.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The role or its password was not accepted.
    Authentication,
    /// The database does not exist.
    NoSuchDatabase,
    /// No TLS, or not with that certificate.
    Tls,
    /// All of the server's connections are taken.
    TooManyConnections,
    /// The server is starting, stopping or recovering.
    NotReady,
    /// The role may not connect to that database.
    NotPermitted,
    /// The session is not of the kind that `target_session_attrs` asks for.
    WrongSession,
    /// A server, pooler or way of logging in that we do not support.
    Unsupported,
    /// Anything else.
    Other,
}

/// What a server says of a statement that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// Five characters, such as `42P01`.
    pub sqlstate: String,
    /// The message.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// The server's own advice.
    pub hint: Option<String>,
    /// Where in the statement, counted in characters from 1, as the caller wrote it.
    pub position: Option<u32>,
}

impl PgError {
    /// Returns which kind of error it is, with its details.
    pub fn kind(&self) -> &PgErrorKind {
        &self.0
    }

    /// Returns the server's five-character code, if it gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        match &*self.0 {
            PgErrorKind::Server(error) => Some(&error.sqlstate),
            PgErrorKind::Connect { sqlstate, .. } | PgErrorKind::Lost { sqlstate, .. } => {
                sqlstate.as_deref()
            }
            PgErrorKind::Other(_) => None,
        }
    }

    /// Returns why no session came about, if that is what happened.
    pub fn connect_cause(&self) -> Option<ConnectCause> {
        match &*self.0 {
            PgErrorKind::Connect { cause, .. } => Some(*cause),
            _ => None,
        }
    }

    /// Returns whether the session is gone.
    pub fn is_lost(&self) -> bool {
        matches!(&*self.0, PgErrorKind::Lost { .. })
    }

    /// Returns what to do next, if there is something better than reading the message.
    pub fn hint(&self) -> Option<&str> {
        match &*self.0 {
            PgErrorKind::Connect { cause, hint, .. } => hint.as_deref().or(cause.hint()),
            PgErrorKind::Server(error) => error.hint.as_deref().or(match error.sqlstate.as_str() {
                "42501" => Some("`pgwright doctor` lists the grants that are missing"),
                "25006" => Some("connect to the primary server, with a role that may write"),
                "55P03" => Some("someone else holds the lock; try again at a quieter time"),
                _ => None,
            }),
            PgErrorKind::Lost { .. } => {
                Some("see the server's log for why the connection ended, then run again")
            }
            PgErrorKind::Other(_) => None,
        }
    }

    pub(super) fn connect(cause: ConnectCause, target: &str, message: impl Into<String>) -> Self {
        Self::connect_with_hint(cause, target, message, None)
    }

    pub(super) fn connect_with_hint(
        cause: ConnectCause,
        target: &str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Self {
        Self(Box::new(PgErrorKind::Connect {
            cause,
            target: target.to_owned(),
            message: message.into(),
            sqlstate: None,
            hint: hint.map(str::to_owned),
        }))
    }

    pub(crate) fn other(message: &str) -> Self {
        Self(Box::new(PgErrorKind::Other(message.to_owned())))
    }

    /// We ended the connection ourselves, because the server did not heed a time limit.
    pub(super) fn beyond_limit(limit: Duration) -> Self {
        let reason = format!(
            "the server did not stop at its time limit or fell silent: no answer within {} s",
            limit.as_secs_f64().round()
        );
        Self::silent(reason)
    }

    /// We ended the connection ourselves, since nothing was heard of the server.
    pub(crate) fn silent(reason: String) -> Self {
        Self(Box::new(PgErrorKind::Lost { reason, sqlstate: Some("57014".to_owned()) }))
    }

    /// Where the server did not believe who we are, adds why the password file was not used: that comes first.
    pub(super) fn for_want_of_password(mut self, ignored: Option<&str>) -> Self {
        if let PgErrorKind::Connect { cause: ConnectCause::Authentication, hint, .. } = &mut *self.0
            && let Some(ignored) = ignored
        {
            *hint = Some(match hint {
                Some(advice) => format!("{ignored}; {advice}"),
                None => ignored.to_owned(),
            });
        }
        self
    }

    /// Makes one error of those of several hosts; its cause is the last one's.
    pub(super) fn all_failed(failures: Vec<Self>) -> Self {
        let nothing = Self::connect(ConnectCause::Unreachable, "", "there is no host to try");
        failures
            .into_iter()
            .reduce(|mut all, next| {
                let (first, next) = (&mut *all.0, *next.0);
                if let PgErrorKind::Connect { cause, message, sqlstate, hint, .. } = first
                    && let PgErrorKind::Connect {
                        cause: last,
                        target,
                        message: more,
                        sqlstate: code,
                        hint: advice,
                    } = next
                {
                    *message = format!("{message}; nor to `{target}`: {more}");
                    (*cause, *sqlstate, *hint) = (last, code, advice);
                }
                all
            })
            .unwrap_or(nothing)
    }

    /// The TLS settings cannot be used.
    pub(super) fn tls(error: &TlsError, target: &str) -> Self {
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self::connect(ConnectCause::Tls, target, format!("{error}{cause}"))
    }

    /// Classifies an error of the driver during connecting.
    pub(super) fn connecting(error: &tokio_postgres::Error, target: &str) -> Self {
        if let Some(db) = error.as_db_error() {
            let cause = ConnectCause::of_sqlstate(db.code().code());
            return Self(Box::new(PgErrorKind::Connect {
                cause,
                target: target.to_owned(),
                message: db.message().to_owned(),
                sqlstate: Some(db.code().code().to_owned()),
                hint: db.hint().or(advice(db.message())).map(str::to_owned),
            }));
        }
        // The driver keeps its error's kind to itself; its text is the only way to know it. The
        // integration tests pin these.
        let (kind, source) = (error.to_string(), chain(error.source()));
        let io_kind = find_source::<io::Error>(error).map(io::Error::kind);
        if kind == "error performing TLS handshake" {
            let hint = find_source::<rustls::Error>(error).and_then(tls::explain);
            return Self::connect_with_hint(ConnectCause::Tls, target, source, hint);
        }
        let (cause, message) = match io_kind {
            _ if source.contains("password missing") => (
                ConnectCause::Authentication,
                "the server asks for a password and none was given".to_owned(),
            ),
            _ if source.contains("unsupported") => (ConnectCause::Unsupported, source),
            _ if kind == "authentication error" => (ConnectCause::Authentication, source),
            _ if kind == "unexpected message from server" => foreign(),
            Some(
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other,
            ) => foreign(),
            Some(io::ErrorKind::TimedOut) => (ConnectCause::Timeout, "no answer in time".into()),
            Some(io::ErrorKind::ConnectionRefused) => {
                (ConnectCause::Unreachable, "connection refused".to_owned())
            }
            Some(io::ErrorKind::NotFound) => {
                (ConnectCause::Unreachable, "there is no server socket".to_owned())
            }
            Some(_) => (ConnectCause::Unreachable, source),
            None if error.is_closed() => {
                (ConnectCause::Unreachable, "the server closed the connection".to_owned())
            }
            None => (ConnectCause::Other, chain(Some(error))),
        };
        let hint = advice(&message);
        Self::connect_with_hint(cause, target, message, hint)
    }

    /// Classifies an error of the driver in a running session.
    pub(super) fn running(error: &tokio_postgres::Error, sent: Option<&Marked>) -> Self {
        let kind = match error.as_db_error() {
            Some(db) if is_fatal(db) => PgErrorKind::Lost {
                reason: db.message().to_owned(),
                sqlstate: Some(db.code().code().to_owned()),
            },
            Some(db) => PgErrorKind::Server(server_error(db, sent)),
            None if error.is_closed() || find_source::<io::Error>(error).is_some() => {
                PgErrorKind::Lost { reason: chain(Some(error)), sqlstate: None }
            }
            None => PgErrorKind::Other(chain(Some(error))),
        };
        Self(Box::new(kind))
    }

    /// The same error, with the reason that the connection's own task has seen.
    pub(super) fn because(self, end: &Self) -> Self {
        if self.is_lost() && self.sqlstate().is_none() { end.clone() } else { self }
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &*self.0 {
            PgErrorKind::Connect { target, message, .. } => {
                format!("cannot connect to `{target}`: {message}")
            }
            PgErrorKind::Server(error) => error.to_string(),
            PgErrorKind::Lost { reason, .. } => format!("the connection was lost: {reason}"),
            PgErrorKind::Other(message) => message.clone(),
        };
        f.write_str(&one_line(&text))
    }
}

impl std::error::Error for PgError {}

/// For values read out of a row.
impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::running(&error, None)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.sqlstate)?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl ConnectCause {
    /// Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes".
    fn of_sqlstate(code: &str) -> Self {
        match code {
            "28000" | "28P01" => Self::Authentication,
            "3D000" => Self::NoSuchDatabase,
            "53300" => Self::TooManyConnections,
            "57P03" => Self::NotReady,
            "42501" | "55000" => Self::NotPermitted,
            "08P01" | "0A000" => Self::Unsupported,
            _ => Self::Other,
        }
    }

    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Unreachable => {
                "check host and port, and that the server runs and listens there (listen_addresses)"
            }
            Self::Timeout => {
                "check host, port and firewall, or give more time with connect_timeout"
            }
            Self::Authentication => {
                "check user and password (connection string, PGPASSWORD or ~/.pgpass) and the server's pg_hba.conf"
            }
            Self::NoSuchDatabase => "check the database's name; `psql -l` lists them",
            Self::Tls => "check sslmode and the certificates it needs",
            Self::TooManyConnections => {
                "try again when connections are free, or raise max_connections"
            }
            Self::NotReady => "try again when the server is up",
            Self::NotPermitted => "the role needs the privilege CONNECT on the database",
            Self::WrongSession => "check the list of hosts and target_session_attrs",
            Self::Unsupported | Self::Other => return None,
        })
    }
}

/// What to do about some messages that say more than their code does.
fn advice(message: &str) -> Option<&'static str> {
    let advice = [
        ("channel binding", "use TLS (sslmode=require), or channel_binding=prefer"),
        ("valid client certificate", "give one with sslcert and sslkey"),
        (
            "startup parameter",
            "a connection pooler refuses it; take away `options` (PGOPTIONS), or connect to the server itself",
        ),
    ];
    advice.iter().find(|(part, _)| message.contains(part)).map(|(_, advice)| *advice)
}

/// Something else than a PostgreSQL server has answered.
fn foreign() -> (ConnectCause, String) {
    let message = "what answers there does not speak PostgreSQL's protocol";
    (ConnectCause::Unsupported, message.to_owned())
}

/// After FATAL and PANIC the server closes the connection.
fn is_fatal(error: &DbError) -> bool {
    matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

fn server_error(error: &DbError, sent: Option<&Marked>) -> ServerError {
    let position = match error.position() {
        Some(ErrorPosition::Original(position)) => Some(*position),
        _ => None,
    };
    ServerError {
        sqlstate: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
        position: position.map(|at| sent.map_or(at, |sent| sent.original_position(at))),
    }
}

/// An error and its causes on one line.
fn chain(error: Option<&(dyn std::error::Error + 'static)>) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = error;
    while let Some(error) = next {
        let text = error.to_string();
        // Some errors repeat their cause's text in their own.
        if texts.last().is_none_or(|last| !last.ends_with(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

/// Finds a cause of one type. An `io::Error` hides what it wraps from `source`, so that is
/// looked into as well.
fn find_source<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<T>()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{ConnectCause, PgError, PgErrorKind, ServerError, one_line};

    #[test]
    fn errors_are_one_line_and_say_what_to_do() {
        let error = PgError::connect(ConnectCause::Timeout, "u@h:5432/d", "no answer\nin time");
        assert_eq!(error.to_string(), "cannot connect to `u@h:5432/d`: no answer in time");
        assert!(error.hint().unwrap().contains("connect_timeout"));
        assert_eq!(error.connect_cause(), Some(ConnectCause::Timeout));
        assert_eq!(one_line("\ta\r\n\u{1b}[0mb"), "a [0mb");
    }

    #[test]
    fn the_servers_own_hint_wins() {
        let mut server = ServerError {
            sqlstate: "42501".into(),
            message: "permission denied for table t".into(),
            detail: None,
            hint: None,
            position: None,
        };
        let error = PgError(Box::new(PgErrorKind::Server(server.clone())));
        assert_eq!(error.to_string(), "permission denied for table t (SQLSTATE 42501)");
        assert!(error.hint().unwrap().contains("doctor"));
        server.hint = Some("grant it".into());
        let error = PgError(Box::new(PgErrorKind::Server(server)));
        assert_eq!((error.hint(), error.sqlstate()), (Some("grant it"), Some("42501")));
    }
}
