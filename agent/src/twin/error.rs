//! Why there is no twin.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::cluster::ClusterError;
use crate::postgres::PgError;

/// Why a twin could not be built or does not answer any more.
#[derive(Debug, Error)]
pub enum TwinError {
    /// The snapshot holds no blueprint.
    #[error(
        "the snapshot holds nothing to build a planner twin from; take it again with this version of pgwright"
    )]
    NoBlueprint,
    /// No server programs of the source's major version.
    #[error(
        "the planner twin needs server programs of PostgreSQL {wanted}, and {}; install them, set PGWRIGHT_PG_BIN to \
         their folder, or allow another version, whose planner may choose otherwise",
        found_text(.found)
    )]
    Version {
        /// The source's major version.
        wanted: u32,
        /// Major versions found.
        found: Vec<u32>,
    },
    /// The server programs lay files out in another way.
    #[error("the server programs in {} use blocks of {block} bytes and segments of {segment} blocks; the planner twin needs 8192 and 131072", .bin.display())]
    Layout {
        /// Their folder.
        bin: PathBuf,
        /// `block_size`.
        block: i64,
        /// `segment_size`, in blocks.
        segment: i64,
    },
    /// The private server could not be had, or stopped.
    #[error("the planner twin's server could not be run")]
    Cluster(#[from] ClusterError),
    /// The private server refused something.
    #[error("the planner twin: cannot {action}")]
    Postgres {
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        source: PgError,
    },
    /// A file of the private server could not be changed.
    #[error("the planner twin: cannot change {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn found_text(found: &[u32]) -> String {
    match found {
        [] => "there are none on this machine".to_owned(),
        majors => {
            let majors: Vec<String> = majors.iter().map(u32::to_string).collect();
            format!("there are only those of {}", majors.join(", "))
        }
    }
}

impl TwinError {
    /// Names what was being done when the server refused.
    pub(crate) fn doing(action: &'static str) -> impl Fn(PgError) -> Self {
        move |source| Self::Postgres { action, source }
    }
}
