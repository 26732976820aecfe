use std::collections::BTreeMap;

use crate::btree;
use crate::candidate::{Candidate, Change, Findings, Refusal};
use crate::context::{Analyzed, Context};
use crate::evidence::Fact;
use crate::index::{IndexDefinition, Term};
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Index, Snapshot, Table, TableKind};
use crate::statement::{Operand, Predicate, PredicateClass, RelationId, Target};

declare_rule! {
    /// A filter, join or order on plain columns that no index serves.
    ///
    /// # Why
    /// The server reads and discards, or sorts, what an index would hand over ready.
    ///
    /// # Evidence
    /// The planner, given the hypothetical index, chooses it and its cost falls: with the server's cache and
    /// with a tiny one, for all values tried, without making another statement worse. Keys are the columns
    /// compared for equality (those that other statements compare too come first), then one range, or the
    /// ORDER BY with its directions. A pattern with a fixed start (`LIKE 'abc%'`) is a range, with the operator class
    /// that the collation asks for.
    ///
    /// # Silent when
    /// A valid index already begins with these keys; the table is tiny, foreign, excluded or an extension's; a
    /// column's type has no order or its values could outgrow a B-tree page. Where another
    /// role owns the table or a partition of it, it is only shown.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; no data changes.
    pub(super) UnservedPredicate {
        id: "unserved_predicate",
        summary: "filter, join or order that no index serves",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

impl Rule for UnservedPredicate {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let popularity = btree::popularity(cx);
        let mut findings = Findings::default();
        for (position, analyzed) in cx.workload.iter().enumerate() {
            for relation in 0..analyzed.analysis.relations.len() {
                findings.merge(look_at(cx, position, analyzed, relation, &popularity));
            }
        }
        findings
    }
}

fn look_at(
    cx: &Context<'_>,
    position: usize,
    analyzed: &Analyzed,
    relation: RelationId,
    popularity: &BTreeMap<(u32, String), usize>,
) -> Findings {
    let mut findings = Findings::default();
    let Some(table) = cx.snapshot.table(analyzed.analysis.relations[relation].table) else {
        return findings;
    };
    let any = |target: &Target| match target {
        Target::Column(name) => vec![Term::Column(name.clone())],
        Target::Expression(_) => vec![],
    };
    let refusal = |what: String, reason: String| Refusal {
        rule: "unserved_predicate".to_owned(),
        table: table.qualified(),
        what,
        reason,
        statements: vec![analyzed.of(cx.snapshot).id.clone()],
    };
    if btree::unindexable(table).is_none() {
        let patterns = analyzed.analysis.predicates.iter().filter(|p| p.relation == relation);
        for (column, reason) in patterns.filter_map(unserved_pattern) {
            findings.refusals.push(refusal(format!("index ({column})"), reason.to_owned()));
        }
    }
    let wanted = btree::candidates(cx, analyzed, relation, popularity, &any);
    if wanted.is_empty() {
        return findings;
    }
    if let Some(reason) = btree::unindexable(table) {
        findings.refusals.push(refusal("any index".to_owned(), reason));
        return findings;
    }
    let suited = |target: &Target| match target {
        Target::Column(name)
            if table.column(name).is_some_and(|c| btree::unsuited(c).is_none()) =>
        {
            vec![Term::Column(name.clone())]
        }
        _ => vec![],
    };
    for definition in &wanted {
        for column in definition.keys.iter().filter_map(|key| table.column(key.as_column()?)) {
            if let Some(reason) = btree::unsuited(column) {
                findings.refusals.push(refusal(format!("index on ({})", column.name), reason));
            }
        }
    }
    for definition in btree::candidates(cx, analyzed, relation, popularity, &suited) {
        match covering(cx.snapshot, table, &definition) {
            Some(index) if definition.keys.len() == widest(&wanted) => {
                findings.refusals.push(refusal(
                    format!("index ({})", definition.brief()),
                    format!("already covered by {index}"),
                ));
            }
            Some(_) => {}
            None => {
                findings.candidates.push(create(table, definition, "unserved_predicate", position));
            }
        }
    }
    findings
}

/// Why a B-tree does not serve a pattern that a column is compared with.
fn unserved_pattern(predicate: &Predicate) -> Option<(&str, &'static str)> {
    let Target::Column(column) = &predicate.target else { return None };
    let unknown = !matches!(predicate.operand, Operand::Constant(_));
    let reason = match (predicate.class, predicate.operator.as_str()) {
        (PredicateClass::Pattern, "~~" | "~") if unknown => {
            "whether its pattern begins with fixed characters is not known; only then a B-tree (text_pattern_ops, \
             unless the collation is C) serves it: give a statement with its constants (--workload) to have it judged"
        }
        _ => return None,
    };
    Some((column, reason))
}

fn widest(definitions: &[IndexDefinition]) -> usize {
    definitions.iter().map(|definition| definition.keys.len()).max().unwrap_or(0)
}

/// Name of the existing index that serves as well.
pub(super) fn covering<'a>(
    snapshot: &Snapshot,
    table: &'a Table,
    definition: &IndexDefinition,
) -> Option<&'a str> {
    let covers = |index: &&Index| definition.covered_by(index, table, snapshot);
    table.indexes.iter().find(covers).map(|index| index.name.as_str())
}

/// A candidate to create an index for one statement, with what is known of its table.
pub(crate) fn create(
    table: &Table,
    definition: IndexDefinition,
    rule: &'static str,
    statement: usize,
) -> Candidate {
    let mut facts = table_facts(table);
    let mut reach = Reach::Act;
    // Of a partitioned table the partitions have a say as well, which is heard when the action is made.
    if let Some(reason) = super::by_hand(table).filter(|_| table.kind != TableKind::Partitioned) {
        reach = Reach::Advise;
        facts.push(Fact::NotAlone { reason });
    }
    Candidate {
        rules: vec![rule],
        change: Change::CreateIndex { table: table.oid, definition },
        reach,
        serves: vec![statement],
        facts,
        own_gain_ms_per_day: 0.0,
    }
}

/// Share of changed rows from which statistics count as old.
pub(super) const STALE_SHARE: f64 = 0.2;

/// What is known of the table, for and against any index on it.
fn table_facts(table: &Table) -> Vec<Fact> {
    let mut facts = Vec::new();
    match stale_share(table) {
        None => facts.push(Fact::NeverAnalyzed),
        Some(share) if share > STALE_SHARE => facts.push(Fact::StaleStatistics { share }),
        Some(_) => {}
    }
    if table.row_security {
        facts.push(Fact::RowSecurity);
    }
    facts
}

/// Share of the rows changed since the last ANALYZE; `None` when the table has no statistics at all.
pub(super) fn stale_share(table: &Table) -> Option<f64> {
    let counters = &table.counters;
    let known =
        counters.analyzed_at.is_some() || table.columns.iter().any(|column| column.stats.is_some());
    known.then(|| {
        if loaded_then_analyzed(table) {
            0.0
        } else {
            counters.modified_since_analyze as f64 / table.rows.unwrap_or(0.0).max(1.0)
        }
    })
}

/// Whether the rows counted as changed since the last ANALYZE were there when it ran. A session reports its
/// inserts up to a second late (`PGSTAT_MIN_INTERVAL`, pgstat.c), so after a load that is analyzed at once they
/// count as newer. Then ANALYZE has set `reltuples` to as many rows as were ever inserted.
fn loaded_then_analyzed(table: &Table) -> bool {
    let counters = &table.counters;
    let only_inserts = counters.modified_since_analyze <= counters.inserted
        && counters.updated + counters.deleted == 0;
    let inserted = counters.inserted as f64;
    let all_counted =
        table.rows.is_some_and(|rows| rows > 0.0 && (rows - inserted).abs() <= 0.05 * inserted);
    let analyzed_last =
        counters.analyzed_at.is_some() && counters.analyzed_at >= counters.vacuumed_at;
    only_inserts && all_counted && analyzed_last
}
