use super::{Answer, Guard, Premises, Scope, declare_guard, size};

/// Bytes of the sort's files for each byte of the index: an entry of a sort has some bytes more than one of a page, and a
/// page is filled to nine tenths.
const SORT_FACTOR: f64 = 1.2;

declare_guard! {
    /// A limit on temporary files that the sort of a build would run into.
    ///
    /// # Why
    /// The build would fail after reading the table, and leave an invalid index to be dropped. Only a superuser can raise
    /// the limit for a session.
    ///
    /// # Refuses when
    /// A B-tree's sort would not fit into `maintenance_work_mem` and needs more than `temp_file_limit` on disk.
    ///
    /// # Where it cannot be known
    /// Both settings are visible to everyone. An index whose size nobody could estimate counts as its table.
    pub(super) TempFileLimit {
        id: "temp_file_limit",
        summary: "builds whose sort exceeds temp_file_limit",
        scope: Scope::Action,
    }
}

impl Guard for TempFileLimit {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let server = premises.server;
        let Some((target, index)) =
            premises.target.and_then(|target| Some((target, target.index?)))
        else {
            return Answer::Pass;
        };
        let sort = (index.bytes.unwrap_or(target.table.bytes) as f64 * SORT_FACTOR) as u64;
        let spills = index.method == "btree" && sort > server.maintenance_work_mem;
        Answer::refuse_if(server.temp_file_limit.filter(|limit| spills && sort > *limit).map(|limit| {
            format!(
                "the sort of the build needs some {} on disk and temp_file_limit is {}; have a superuser raise it for this \
                 role (ALTER ROLE … SET temp_file_limit)",
                size(sort),
                size(limit)
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::TempFileLimit;
    use crate::guards::testing::Case;

    #[test]
    fn a_sort_in_memory_needs_no_files() {
        let mut case = Case::default();
        assert!(case.passes(&TempFileLimit));
        case.server.temp_file_limit = Some(100 << 20);
        assert!(
            case.reason(&TempFileLimit).contains("240 MB on disk and temp_file_limit is 100 MB")
        );
        case.server.maintenance_work_mem = 1 << 30;
        assert!(case.passes(&TempFileLimit));
    }
}
