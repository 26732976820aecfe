//! Why there is no twin.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cluster::{Cluster, ClusterError};
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
    /// The disk is full.
    #[error(
        "there is not enough disk space for the planner twin in {}; make room there, or set TMPDIR to another folder",
        .folder.display()
    )]
    Space {
        /// Where the twin's folder is.
        folder: PathBuf,
        /// What could not be done.
        source: Box<TwinError>,
    },
    /// The private server is gone, and we did not stop it.
    #[error("the planner twin's server ended: something killed it, or it crashed")]
    Ended {
        /// What could not be done.
        source: Box<TwinError>,
    },
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

/// Whether the private server refused something because the disk is full (`disk_full`).
pub(super) fn is_of_space(error: &PgError) -> bool {
    error.sqlstate() == Some("53100")
}

impl TwinError {
    /// Says why the server failed, where the server itself shows it.
    pub(super) async fn diagnosed(self, cluster: &mut Cluster) -> Self {
        let lost = matches!(&self, Self::Postgres { source, .. } if source.is_lost() || source.connect_cause().is_some());
        let full = match &self {
            Self::Cluster(error) => error.is_of_space(),
            Self::Postgres { source, .. } => is_of_space(source) || lost && cluster.lacks_space(),
            Self::File { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        };
        if full {
            Self::Space { folder: base(&cluster.data_dir()), source: Box::new(self) }
        } else if lost && cluster.is_dead().await {
            Self::Ended { source: Box::new(self) }
        } else {
            self
        }
    }

    /// The same for a server that could not be started.
    pub(super) fn unstarted(error: ClusterError) -> Self {
        if error.is_of_space() {
            Self::Space { folder: std::env::temp_dir(), source: Box::new(error.into()) }
        } else {
            error.into()
        }
    }
    /// Names what was being done when the server refused.
    pub(crate) fn doing(action: &'static str) -> impl Fn(PgError) -> Self {
        move |source| Self::Postgres { action, source }
    }
}

/// The folder for temporary files that a data folder is in.
fn base(data: &Path) -> PathBuf {
    data.ancestors().nth(2).unwrap_or(data).to_path_buf()
}
