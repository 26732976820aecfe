//! How much disk is free where new indexes go.

use std::path::{Path, PathBuf};

use super::if_told;
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
/// that tells our role its data folder, which superusers and `pg_read_all_settings` may see.
pub(super) async fn free(
    session: &Session,
    said: Option<&DiskFree>,
) -> Result<Option<u64>, PgError> {
    match said {
        Some(DiskFree::Bytes(bytes)) => Ok(Some(*bytes)),
        Some(DiskFree::Path(path)) => Ok(measure(path)),
        None => Ok(folder(session).await?.and_then(|path| measure(Path::new(&path)))),
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

fn measure(path: &Path) -> Option<u64> {
    match rustix::fs::statvfs(path) {
        Ok(found) => Some(found.f_bavail.saturating_mul(found.f_frsize)),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "free disk could not be measured");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::measure;

    #[test]
    fn a_file_system_is_measured_and_a_missing_one_is_not_known() {
        assert!(measure(Path::new("/")).is_some_and(|free| free < 1 << 60));
        assert_eq!(measure(Path::new("/there/is/no/such/folder")), None);
    }
}
