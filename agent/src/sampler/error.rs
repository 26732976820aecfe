//! Why there is no snapshot, and the exact steps to one.

use rules::intake::WorkloadError;

use super::remedy::{self, MANAGED, PGSS};
use crate::postgres::PgError;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The library is not loaded, so nobody counts statements.
    #[error(
        "the server does not count its statements: pg_stat_statements is not loaded. As a superuser:{}\n\
         {MANAGED}.\nWithout it, `--workload FILE` takes statements from a file",
        remedy::numbered(&self.remedy())
    )]
    NotLoaded {
        /// The database.
        database: String,
        /// `shared_preload_libraries` where this role may see it.
        preloaded: Option<String>,
        /// Whether the extension is installed in the database all the same.
        installed: bool,
    },
    /// The library is loaded, the extension not installed in this database.
    #[error(
        "pg_stat_statements is not installed in the database `{database}`. There, as a superuser:{}",
        remedy::numbered(&self.remedy())
    )]
    NotInstalled {
        /// The database.
        database: String,
    },
    /// The role may not read the extension's view.
    #[error("the role `{role}` may not read {schema}.pg_stat_statements. As its owner:{}", remedy::numbered(&self.remedy()))]
    NotReadable {
        /// The role.
        role: String,
        /// The extension's schema.
        schema: String,
    },
    /// All texts belong to other roles.
    #[error(
        "all {hidden} statements are hidden from the role `{role}`. As a superuser:{}",
        remedy::numbered(&self.remedy())
    )]
    Blind {
        /// The role.
        role: String,
        /// How many.
        hidden: u64,
    },
    /// Schemas or tables were named that are not there.
    #[error("{}", .what.join("; "))]
    Unknown {
        /// One sentence for each.
        what: Vec<String>,
    },
    /// The files hold no workload.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A query failed.
    #[error("cannot read {about}")]
    Read {
        /// What it was about.
        about: &'static str,
        /// What the server or the connection says.
        #[source]
        source: PgError,
    },
    /// An answer is not what the query asks for.
    #[error("cannot understand the server's answer about {about}")]
    Understand {
        /// What it was about.
        about: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A query that must answer with a row gave none.
    #[error("the server says nothing about {about}")]
    Nothing {
        /// What it was about.
        about: &'static str,
    },
}

/// The class of a [`SampleError`], on which the exit code rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleErrorKind {
    /// The server is not set up for it: an extension is missing.
    Setup,
    /// The role lacks a privilege.
    Privilege,
    /// The files that stand for the workload are unusable.
    Workload,
    /// A name that was given is not there.
    Name,
    /// The server refused or went away.
    Server,
    /// The server answered what we do not understand: our fault.
    Answer,
}

impl SampleError {
    /// What class of error it is.
    pub fn kind(&self) -> SampleErrorKind {
        match self {
            Self::NotLoaded { .. } | Self::NotInstalled { .. } => SampleErrorKind::Setup,
            Self::NotReadable { .. } | Self::Blind { .. } => SampleErrorKind::Privilege,
            Self::Workload(_) => SampleErrorKind::Workload,
            Self::Unknown { .. } => SampleErrorKind::Name,
            Self::Read { source, .. } if source.sqlstate() == Some("42501") => {
                SampleErrorKind::Privilege
            }
            Self::Read { .. } => SampleErrorKind::Server,
            Self::Understand { .. } | Self::Nothing { .. } => SampleErrorKind::Answer,
        }
    }

    /// The steps that mend it, in order: statements, and what to do besides.
    pub fn remedy(&self) -> Vec<String> {
        match self {
            Self::NotLoaded { database, preloaded, installed } => {
                let mut steps = remedy::preload(preloaded.as_deref());
                if !installed {
                    steps.push(format!(
                        "in the database {database}: {}",
                        remedy::create_extension(PGSS)
                    ));
                }
                steps
            }
            Self::NotInstalled { .. } => vec![remedy::create_extension(PGSS)],
            Self::NotReadable { role, schema } => remedy::read_pgss(role, schema),
            Self::Blind { role, .. } => vec![remedy::read_all_stats(role)],
            _ => Vec::new(),
        }
    }
}
