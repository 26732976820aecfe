use crate::candidate::{Candidate, Change, Findings};
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Index, Table};

declare_rule! {
    /// Two indexes of one table with the very same definition.
    ///
    /// # Why
    /// Writers maintain both, the planner uses one, and both take space and cache.
    ///
    /// # Evidence
    /// Same access method, keys in the same order with the same direction, operator class, options and
    /// collation, same INCLUDE columns, same predicate. Of two the older one stays, and in any case the one that
    /// a constraint, a replica identity or a cluster mark needs.
    ///
    /// # Silent when
    /// Anything in the definitions differs; the index is invalid (another rule's matter), or it is a partition's
    /// share of a partitioned index. A duplicate of a unique index, or one with a mark of its own, is only shown.
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
        for table in cx.tables() {
            let mut indexes: Vec<_> =
                table.indexes.iter().filter(|index| comparable(index)).collect();
            indexes.sort_by_key(|index| (rank(index), index.oid));
            for (position, index) in indexes.iter().enumerate() {
                if let Some(kept) = indexes[..position].iter().find(|kept| same(kept, index)) {
                    findings.candidates.push(drop_index(table, index, kept));
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
    if index.primary {
        0
    } else if index.constraint.is_some() || index.exclusion {
        1
    } else if index.unique {
        2
    } else if marked(index) {
        3
    } else {
        4
    }
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
}

fn drop_index(table: &Table, index: &Index, kept: &Index) -> Candidate {
    let mut facts = vec![Fact::SameAs { index: kept.name.clone() }];
    let more = index.unique
        || index.primary
        || index.exclusion
        || index.constraint.is_some()
        || marked(index);
    let mut reach = Reach::Act;
    if more || kept.unique {
        // Planner proofs and ON CONFLICT rest on unique indexes, so their twins are a person's matter.
        reach = Reach::Advise;
        let what = if more { &index.name } else { &kept.name };
        facts.push(Fact::NotAlone { reason: format!("{what} is more than a plain index") });
    } else if !table.may_index {
        reach = Reach::Advise;
        facts.push(Fact::NotAlone { reason: format!("needs the rights of {}", table.owner) });
    }
    Candidate {
        rules: vec!["duplicate_index"],
        change: Change::DropIndex { table: table.oid, index: Box::new(index.clone()) },
        reach,
        serves: vec![],
        facts,
        unpriceable: None,
        own_gain_ms_per_day: 0.0,
    }
}
