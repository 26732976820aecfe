use super::{Answer, Guard, Premises, Scope, declare_guard, size};

/// Disk that a build takes for each byte of its index: the index, the files of its sort, and the WAL until the next
/// checkpoint.
const DISK_FACTOR: f64 = 2.5;

declare_guard! {
    /// A disk that a build would fill.
    ///
    /// # Why
    /// A full disk fails every writer of the server, and the remains of the build stay on it until they are dropped.
    /// A build takes its index, the files of its sort and its WAL at the same time: 2.5 times the index.
    ///
    /// # Refuses when
    /// That is more than is free where the database's tablespace lies: at the path or of the size given with `--disk-free`;
    /// else, for a server on this machine that we reach over a Unix socket and that tells us its data folder, what the
    /// file system says. Some hosted databases tell the figure only in their console: give the size.
    ///
    /// # Where it cannot be known
    /// SQL does not tell free space: there is a note. An index whose size nobody could estimate counts as its table.
    pub(super) DiskSpace {
        id: "disk_space",
        summary: "builds that fill the disk",
        scope: Scope::Action,
    }
}

impl Guard for DiskSpace {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some((target, index)) =
            premises.target.and_then(|target| Some((target, target.index?)))
        else {
            return Answer::Pass;
        };
        let bytes = index.bytes.unwrap_or(target.table.bytes);
        let needed = (bytes as f64 * DISK_FACTOR) as u64;
        match premises.server.disk_free {
            Some(free) if needed > free => Answer::Refuse(format!(
                "the build needs some {} of disk ({DISK_FACTOR} times the index of {}) and {} are free; make room, or \
                 tell the right figure with --disk-free",
                size(needed),
                size(bytes),
                size(free)
            )),
            Some(_) => Answer::Pass,
            None => Answer::Note(format!(
                "how much disk is free is not known, and the build needs some {}; tell it with --disk-free",
                size(needed)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DiskSpace;
    use crate::guards::testing::Case;

    #[test]
    fn two_and_a_half_times_the_index_must_be_free() {
        let mut case = Case::default();
        case.server.disk_free = Some(500 << 20);
        assert!(case.passes(&DiskSpace));
        case.server.disk_free = Some((500 << 20) - 1);
        let reason = case.reason(&DiskSpace);
        assert!(
            reason.contains("needs some 500 MB") && reason.contains("index of 200 MB"),
            "{reason}"
        );
        case.index.bytes = None;
        assert!(case.reason(&DiskSpace).contains("2.5 GB"));
        case.server.disk_free = None;
        assert!(case.note(&DiskSpace).contains("--disk-free"));
    }
}
