//! How much disk is free where new indexes go.

use std::path::{Path, PathBuf};

use super::if_told;
use crate::disk;
use crate::postgres::{PgError, Session};

/// What the user says about free disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskFree {
    /// So many bytes are free, as something else has measured.
    Bytes(u64),
    /// The file system of this path is the one.
    Path(PathBuf),
}

/// Free bytes for those who are not root, where the database's tablespace lies; `None` where nobody tells.
///
/// Without the user's word only a server on this machine can be measured: one that we reach over a Unix socket and
/// that tells our role its data folder, which superusers and `pg_read_all_settings` may see. From a figure that was
/// told goes what the run has `spent` since; what is measured tells that by itself.
pub(super) async fn free(
    session: &Session,
    said: Option<&DiskFree>,
    spent: u64,
) -> Result<Option<u64>, PgError> {
    match said {
        Some(DiskFree::Bytes(bytes)) => Ok(Some(bytes.saturating_sub(spent))),
        Some(DiskFree::Path(path)) => Ok(disk::free(path)),
        None => Ok(folder(session).await?.and_then(|path| disk::free(Path::new(&path)))),
    }
}

/// The folder of the tablespace in which new indexes are put, if it is on this machine.
async fn folder(session: &Session) -> Result<Option<String>, PgError> {
    let sql = "SELECT coalesce(nullif(pg_catalog.pg_tablespace_location(d.dattablespace), ''), \
                   (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'data_directory')) \
               FROM pg_catalog.pg_database d \
               WHERE d.datname = pg_catalog.current_database() AND pg_catalog.inet_server_addr() IS NULL";
    let row = if_told(session.query_opt(sql, &[]).await)?.flatten();
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}
