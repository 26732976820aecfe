use crate::candidate::{Candidate, Change, Findings};
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Index, Table, TableKind};

declare_rule! {
    /// Two indexes of one table with the very same definition.
    ///
    /// # Why
    /// Writers maintain both, the planner uses one, and both take space and cache.
    ///
    /// # Evidence
    /// Same access method, keys in the same order with the same direction, operator class and collation, same
    /// INCLUDE columns, predicate, storage options and tablespace. Of two, the one stays on which more depends (a
    /// constraint, uniqueness, a replica identity, a cluster mark), else the older one.
    ///
    /// # Silent when
    /// Anything in the definitions differs; an index is invalid (another rule's matter) or a partition's share of a
    /// partitioned index; both serve constraints; the table is an extension's or excluded. A duplicate of a unique
    /// index, or one with a mark of its own, is only shown; so is one on a partitioned table, or on one that another
    /// role owns.
    ///
    /// # Undo
    /// The dropped index is made again as it was: definition, tablespace, comment, statistics targets.
    pub(super) DuplicateIndex {
        id: "duplicate_index",
        summary: "two indexes with the very same definition",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

impl Rule for DuplicateIndex {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for table in cx.tables().filter(|table| !table.extension_member) {
            let mut indexes: Vec<_> =
                table.indexes.iter().filter(|index| comparable(index)).collect();
            indexes.sort_by_key(|index| (rank(index), index.oid));
            for (position, index) in indexes.iter().enumerate().filter(|(_, i)| !constrains(i)) {
                if let Some(kept) = indexes[..position].iter().find(|kept| same(kept, index)) {
                    findings.candidates.push(duplicate(table, index, kept));
                }
            }
        }
        findings
    }
}

/// Whether the index takes part in comparisons at all.
pub(super) fn comparable(index: &Index) -> bool {
    index.valid && index.ready && index.live && index.partition_of.is_none()
}

/// The lower, the rather it stays.
fn rank(index: &Index) -> u8 {
    match (index.primary, constrains(index), index.unique, marked(index)) {
        (true, ..) => 0,
        (_, true, ..) => 1,
        (_, _, true, true) => 2,
        (_, _, true, false) => 3,
        (_, _, false, true) => 4,
        (_, _, false, false) => 5,
    }
}

/// Whether the index goes only with its constraint.
pub(super) fn constrains(index: &Index) -> bool {
    index.primary || index.exclusion || index.constraint.is_some()
}

/// Whether more than speed hangs on the index.
pub(super) fn marked(index: &Index) -> bool {
    index.replica_identity
        || index.clustered
        || !index.required_by.is_empty()
        || index.extension_dependent
}

fn same(left: &Index, right: &Index) -> bool {
    left.method == right.method
        && left.keys == right.keys
        && left.include == right.include
        && left.predicate == right.predicate
        && left.options == right.options
        && left.tablespace == right.tablespace
        && (left.nulls_not_distinct == right.nulls_not_distinct || left.unique != right.unique)
}

fn duplicate(table: &Table, index: &Index, kept: &Index) -> Candidate {
    let fact = Fact::SameAs { index: kept.name.clone() };
    let mut candidate = drop_index("duplicate_index", Reach::Act, table, index, fact);
    // Planner proofs and ON CONFLICT rest on unique indexes, so their twins are a person's matter.
    let more = index.unique || marked(index);
    if more || kept.unique {
        candidate.reach = Reach::Advise;
        let what = if more { &index.name } else { &kept.name };
        let reason = format!("{what} is more than a plain index");
        candidate.facts.push(Fact::NotAlone { reason });
    }
    candidate
}

/// A candidate to drop an index: as far as `reach` where the table does not hold it back.
pub(super) fn drop_index(
    rule: &'static str,
    reach: Reach,
    table: &Table,
    index: &Index,
    fact: Fact,
) -> Candidate {
    let mut candidate = Candidate {
        rules: vec![rule],
        change: Change::DropIndex { table: table.oid, index: Box::new(index.clone()) },
        reach,
        serves: vec![],
        facts: vec![fact],
        own_gain_ms_per_day: 0.0,
    };
    let reason = if table.kind == TableKind::Partitioned {
        "an index of a partitioned table cannot be dropped concurrently: plain DROP INDEX locks every partition"
            .to_owned()
    } else if table.may_index {
        return candidate;
    } else {
        super::rights(table)
    };
    candidate.reach = Reach::Advise;
    candidate.facts.push(Fact::NotAlone { reason });
    candidate
}
