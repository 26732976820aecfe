use super::unserved_predicate::create;
use crate::btree;
use crate::candidate::{Findings, Refusal};
use crate::context::Context;
use crate::evidence::Fact;
use crate::index::{IndexDefinition, Key};
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Constraint, ConstraintKind, Index, Table, TableKind};
use crate::workload::deletes_per_day;

declare_rule! {
    /// A foreign key whose referencing columns no index begins with.
    ///
    /// # Why
    /// Every delete on the referenced table, and every change of its key, looks the rows up in the referencing
    /// table; without an index that is a sequential scan for each row deleted. Joins along the key suffer too.
    ///
    /// # Evidence
    /// No valid B-tree holds the key's columns, in any order, as its first columns, and no hash index is on its one
    /// column. A partial index counts where its predicate is `IS NOT NULL` on columns of the key and nothing else:
    /// a row with a NULL there references nothing. Deletes counted on the referenced table, times the cost of one sequential scan, give the gain;
    /// statements that join along the key are priced like any other.
    ///
    /// # Silent when
    /// An index covers the key, also one `WHERE column IS NOT NULL` on the key's own column; the
    /// referencing table is tiny, foreign, excluded, an extension's, or a partition (the partitioned table is looked
    /// at instead), or it is empty and neither deletes nor joins are known. Without counted deletes it is only shown, or
    /// refused where statements that join along it gain too little; where another role owns the
    /// table or a partition of it, it is only shown.
    ///
    /// # Undo
    /// `DROP INDEX CONCURRENTLY`; no data changes.
    pub(super) UnindexedForeignKey {
        id: "unindexed_foreign_key",
        summary: "foreign key without an index on the referencing side",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

impl Rule for UnindexedForeignKey {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for table in cx.tables().filter(|table| table.partition_of.is_none()) {
            let keys = table
                .constraints
                .iter()
                .filter(|constraint| constraint.kind == ConstraintKind::Foreign);
            for key in keys.filter(|key| !table.indexes.iter().any(|index| serves(index, key))) {
                findings.merge(look_at(cx, table, key));
            }
        }
        findings
    }
}

fn serves(index: &Index, key: &Constraint) -> bool {
    // Another collation than the column's own serves no look-up by the key.
    let usable = index.keys.iter().take(key.columns.len()).filter(|k| k.collation.is_none());
    let first: Vec<_> = usable.map(|k| k.column.as_ref()).collect();
    let method = index.method == "btree" || (index.method == "hash" && key.columns.len() == 1);
    (index.valid && index.ready && index.live)
        && method
        && index.predicate.as_ref().is_none_or(|predicate| not_null_only(predicate, key))
        && key.columns.iter().all(|column| first.contains(&Some(column)))
}

/// Whether a partial index leaves out only rows that reference nothing: those where a column of the key is NULL.
fn not_null_only(predicate: &str, key: &Constraint) -> bool {
    let wanted = |part: &str| {
        key.columns.iter().any(|column| {
            let quoted = crate::quote::ident(column);
            part.trim_matches(['(', ')']) == format!("{quoted} IS NOT NULL")
        })
    };
    predicate.split(" AND ").all(wanted)
}

fn look_at(cx: &Context<'_>, table: &Table, key: &Constraint) -> Findings {
    let mut findings = Findings::default();
    let keys: Vec<_> = key.columns.iter().map(|column| Key::column(column)).collect();
    let definition = IndexDefinition::btree(table, keys);
    let unsuited = key.columns.iter().find_map(|name| btree::unsuited(table.column(name)?));
    if let Some(reason) = btree::unindexable(table).or(unsuited) {
        findings.refusals.push(Refusal {
            rule: "unindexed_foreign_key".to_owned(),
            table: table.qualified(),
            what: format!("index ({}) for foreign key {}", definition.brief(), key.name),
            reason,
            statements: vec![],
        });
        return findings;
    }
    let per_day = key.references.map_or(0.0, |parent| deletes_per_day(cx, parent));
    let mut candidate = create(table, definition, "unindexed_foreign_key", 0);
    candidate.serves = cx
        .workload
        .iter()
        .enumerate()
        .filter(|(_, s)| joins_along(s, table, key))
        .map(|(i, _)| i)
        .collect();
    candidate.own_gain_ms_per_day = per_day * scan_ms(table);
    candidate.facts.push(Fact::ParentChanges { per_day });
    if per_day == 0.0 && candidate.serves.is_empty() {
        if table.rows.is_none() && table.pages == 0 && table.kind != TableKind::Partitioned {
            return findings;
        }
        candidate.reach = Reach::Advise;
    }
    findings.candidates.push(candidate);
    findings
}

fn joins_along(analyzed: &crate::context::Analyzed, table: &Table, key: &Constraint) -> bool {
    let analysis = &analyzed.analysis;
    analysis.joins.all_edges().any(|(_, _, pairs)| {
        pairs.iter().any(|pair| {
            [&pair.left, &pair.right].into_iter().any(|(relation, target)| {
                analysis.relations[*relation].table == table.oid
                    && matches!(target, crate::statement::Target::Column(name) if key.columns.contains(name))
            })
        })
    })
}

/// Milliseconds of one sequential scan with a filter, warm: 0.36 µs a page, 0.11 µs a row (fitted on TPC-H at
/// scale 1, PostgreSQL 15).
fn scan_ms(table: &Table) -> f64 {
    (0.36 * table.pages as f64 + 0.11 * table.rows.unwrap_or(0.0)) / 1000.0
}
