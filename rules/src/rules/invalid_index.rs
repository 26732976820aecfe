use super::duplicate_index::{constrains, drop_index, marked};
use crate::candidate::Findings;
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Index, TableKind};

declare_rule! {
    /// An index that a failed concurrent build or drop left behind, invalid.
    ///
    /// # Why
    /// No query can use it, yet it ends HOT updates and, once its build got that far, writers maintain it;
    /// `CREATE INDEX IF NOT EXISTS` takes it for the index that is wanted.
    ///
    /// # Evidence
    /// `pg_index.indisvalid` is false and no build is at work on it (`pg_stat_progress_create_index`).
    ///
    /// # Silent when
    /// It is being built now, it belongs to a partitioned index or is one (which is invalid until all its partitions
    /// are attached), or the table is an extension's or excluded. A unique one is only shown, since while ready it
    /// still refuses duplicates; so is one that another object depends on, or that is on another role's table.
    ///
    /// # Undo
    /// The index can be built again from its definition.
    pub(super) InvalidIndex {
        id: "invalid_index",
        summary: "invalid index left behind by a failed build",
        reach: Reach::Ask,
        since: "0.1.0",
    }
}

impl Rule for InvalidIndex {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        let storing = |kind: TableKind| kind != TableKind::Partitioned;
        for table in cx.tables().filter(|table| storing(table.kind) && !table.extension_member) {
            for index in table.indexes.iter().filter(|index| left_behind(index)) {
                let more = index.unique || constrains(index) || marked(index);
                let reach = if more { Reach::Advise } else { Reach::Ask };
                let candidate = drop_index("invalid_index", reach, table, index, Fact::Invalid);
                findings.candidates.push(candidate);
            }
        }
        findings
    }
}

fn left_behind(index: &Index) -> bool {
    !index.valid && !index.building && index.partition_of.is_none()
}
