use super::duplicate_index::{comparable, constrains, drop_index, marked};
use crate::candidate::Findings;
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::Index;

declare_rule! {
    /// A B-tree whose keys are the beginning of another B-tree's keys.
    ///
    /// # Why
    /// The longer one serves what the shorter one serves; writers maintain both.
    ///
    /// # Evidence
    /// Same table, method and predicate; the shorter one's keys are a true prefix of the longer one's with the
    /// same directions, operator classes and collations; its INCLUDE columns are in the longer one.
    ///
    /// # Silent when
    /// The shorter one is unique, serves a constraint, a replica identity or a cluster mark, has an expression
    /// (its statistics would go with it), or the definitions are equal (another rule's matter); one of them is
    /// invalid or a partition's share of a partitioned index; the table is an extension's or excluded. It is never
    /// dropped alone: a narrow index can be much the faster one to scan.
    ///
    /// # Undo
    /// The dropped index is made again as it was.
    pub(super) RedundantIndex {
        id: "redundant_index",
        summary: "index whose keys begin another index",
        reach: Reach::Advise,
        since: "0.1.0",
    }
}

impl Rule for RedundantIndex {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for table in cx.tables().filter(|table| !table.extension_member) {
            for index in table.indexes.iter().filter(|index| droppable(index)) {
                if let Some(longer) = table.indexes.iter().find(|other| begins(index, other)) {
                    let fact = Fact::CoveredBy { index: longer.name.clone() };
                    findings.candidates.push(drop_index(
                        "redundant_index",
                        Reach::Advise,
                        table,
                        index,
                        fact,
                    ));
                }
            }
        }
        findings
    }
}

fn droppable(index: &Index) -> bool {
    comparable(index)
        && index.method == "btree"
        && !(index.unique || constrains(index) || marked(index))
        && index.keys.iter().all(|key| key.column.is_some())
}

fn begins(index: &Index, longer: &Index) -> bool {
    comparable(longer)
        && longer.method == index.method
        && longer.predicate == index.predicate
        && longer.keys.len() > index.keys.len()
        && longer.keys.starts_with(&index.keys)
        && index.include.iter().all(|column| {
            longer.include.contains(column)
                || longer.keys.iter().any(|key| key.column.as_ref() == Some(column))
        })
}
