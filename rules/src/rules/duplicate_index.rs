use serde_json::Value;

use crate::candidate::{Candidate, Change, Findings};
use crate::change_plan::is_index_name;
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Index, Table, TableKind};
use crate::statement::syntax_tree;

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
    /// role owns, and one of which pgwright made either: the journal knows what to do with its own, and would not know
    /// that it was dropped. So is one whose expression calls a function of users: perhaps it could not be made again.
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
    } else if let Some(ours) = [index, kept].into_iter().find(|one| is_index_name(&one.name)) {
        candidate.reach = Reach::Advise;
        let reason = format!(
            "pgwright made {} and watches it; `pgwright rollback` takes it back",
            ours.name
        );
        candidate.facts.push(Fact::NotAlone { reason });
    } else if index.statistics_targets != kept.statistics_targets {
        candidate.reach = Reach::Advise;
        let reason = format!(
            "{} and {} have other statistics targets, and the planner knows their expressions by the statistics of both",
            index.name, kept.name
        );
        candidate.facts.push(Fact::NotAlone { reason });
    }
    candidate
}

/// The first function or operator of an index that is not the server's. The definition is printed where `pg_catalog` is
/// all of the `search_path`, so that the names of such ones come with their schema.
fn function_of_users(definition: &str) -> Option<String> {
    let tree = syntax_tree(definition).ok()?;
    let mut open = vec![&tree];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                let call = fields.get("FuncCall").map(|call| &call["funcname"]);
                let operator = fields.get("AExpr").map(|expression| &expression["name"]);
                let name =
                    call.or(operator).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let part =
                    |part: &Value| part.pointer("/node/String/sval")?.as_str().map(str::to_owned);
                let parts: Vec<String> = name.iter().filter_map(part).collect();
                if parts.len() > 1 && parts[0] != "pg_catalog" {
                    return Some(parts.join("."));
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    None
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
    } else if let Some(reason) = super::by_hand(table) {
        reason
    } else if let Some(name) = function_of_users(&index.definition) {
        format!(
            "its expression calls {name}, which may need a search_path that pgwright's sessions do not have, so that \
             nobody knows whether pgwright could make the index again"
        )
    } else {
        return candidate;
    };
    candidate.reach = Reach::Advise;
    candidate.facts.push(Fact::NotAlone { reason });
    candidate
}
