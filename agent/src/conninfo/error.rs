//! What can be wrong with a connection string, a service file or the environment.

use std::path::PathBuf;

use super::parameters::Origin;

/// Why no connection could be described. Every message is one line, says what to do next, and
/// shows no password: where a piece of the input could be part of one, it is not quoted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnInfoError {
    /// A parameter that libpq does not know either.
    #[error("unknown connection parameter {name} in {origin}{}", suggestion(*similar))]
    UnknownParameter {
        /// The name in back-ticks, or words for it where it could be part of a password.
        name: String,
        /// Where it stands.
        origin: Origin,
        /// A known parameter that the name is a likely slip of.
        similar: Option<&'static str>,
    },
    /// A parameter that exists, but that cannot be honoured.
    #[error(
        "connection parameter `{parameter}` (in {origin}) is not supported by pgwright, and ignoring it would not be safe; remove it"
    )]
    UnsupportedParameter {
        /// The parameter.
        parameter: &'static str,
        /// Where it stands.
        origin: Origin,
    },
    /// A value that the parameter cannot have.
    #[error("`{value}` (in {origin}) is no value for `{parameter}`; give {expected}")]
    Value {
        /// The parameter.
        parameter: &'static str,
        /// What was given.
        value: String,
        /// Where it stands.
        origin: Origin,
        /// What may be given.
        expected: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("{0}")]
    Conflict(String),
    /// A key=value string that does not follow the form.
    #[error("malformed connection string: {0}; the form is key=value key='value with spaces' …")]
    KeyValue(String),
    /// A URI that does not follow the form.
    #[error(
        "malformed connection URI: {0}; the form is postgresql://user:password@host:port/database?parameter=value"
    )]
    Uri(String),
    /// The service that was asked for is nowhere defined.
    #[error("service `{name}` (in {origin}) is not defined in {searched}; add a section [{name}]")]
    UnknownService {
        /// The service's name.
        name: String,
        /// Who asked for it.
        origin: Origin,
        /// The files that were read.
        searched: String,
    },
    /// A service file that cannot be read.
    #[error("service file `{}` cannot be read; check its name and permissions", path.display())]
    ReadServiceFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A line of a service file that makes no sense.
    #[error("service file `{}`, line {line}: {problem}", path.display())]
    ServiceLine {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// No user name was given, and the operating system has none for this process.
    #[error("no database user is known; give one with user=… or set PGUSER")]
    NoUser,
}

fn suggestion(similar: Option<&'static str>) -> String {
    similar.map_or_else(
        || "; see the list of parameters in the PostgreSQL documentation".to_owned(),
        |name| format!("; did you mean `{name}`?"),
    )
}
