use crate::candidate::{Candidate, Change, Findings};
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};

declare_rule! {
    /// An index that a failed concurrent build or drop left behind, invalid.
    ///
    /// # Why
    /// No query can use it, yet writers maintain it and it ends HOT updates; `CREATE INDEX IF NOT EXISTS` takes
    /// it for the index that is wanted.
    ///
    /// # Evidence
    /// `pg_index.indisvalid` is false and no build is at work on it (`pg_stat_progress_create_index`).
    ///
    /// # Silent when
    /// It is being built now, or it belongs to a partitioned index. A unique one is only shown: while ready it
    /// still refuses duplicates.
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
        for table in cx.tables() {
            let left = table
                .indexes
                .iter()
                .filter(|i| !i.valid && !i.building && i.partition_of.is_none());
            for index in left.filter(|_| table.kind != crate::snapshot::TableKind::Partitioned) {
                let constraint =
                    index.unique || index.primary || index.exclusion || index.constraint.is_some();
                findings.candidates.push(Candidate {
                    rules: vec!["invalid_index"],
                    change: Change::DropIndex { table: table.oid, index: Box::new(index.clone()) },
                    reach: if constraint { Reach::Advise } else { Reach::Ask },
                    serves: vec![],
                    facts: vec![Fact::Invalid],
                    unpriceable: None,
                    own_gain_ms_per_day: 0.0,
                });
            }
        }
        findings
    }
}
