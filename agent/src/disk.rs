//! How much room a file system has.

use std::path::Path;

/// Bytes of the file system of `path` that are free for those who are not root; `None` where the system does not tell.
pub(crate) fn free(path: &Path) -> Option<u64> {
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
    use super::*;

    #[test]
    fn a_file_system_is_measured_and_a_missing_one_is_not_known() {
        assert!(free(Path::new("/")).is_some_and(|free| free < 1 << 60));
        assert_eq!(free(Path::new("/there/is/no/such/folder")), None);
    }
}
