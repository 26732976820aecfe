//! What writers pay for one more index.

use crate::candidate::{Candidate, Change};
use crate::context::{Analyzed, Context};
use crate::index::{IndexDefinition, Term};
use crate::size::write::{VACUUM_US, entry_cost};
use crate::sizes::btree_shape;
use crate::snapshot::Table;
use crate::statement::StatementKind;
use crate::whatif::Configuration;
use crate::workload::{is_bulk_load, mean_ms, writes};

/// GIN makes several entries a row and sorts them into its pending list; taken as this many of a B-tree's
/// dearest entries.
const GIN_ENTRIES: f64 = 8.0;

/// What an entry costs on the clock against its CPU time: two indexes with text keys, 12 µs by the model, made
/// single-row INSERTs 15 µs slower.
const WALL_FACTOR: f64 = 1.25;

/// Microseconds of a single-row INSERT beside its execution, which `pg_stat_statements` does not count: parsing,
/// planning and the round trip over a local socket (67 µs a statement in all, measured on PostgreSQL 15).
const STATEMENT_US: f64 = 45.0;

/// Milliseconds per day that writers pay for an index, and the share of HOT updates that it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WriteCost {
    /// Milliseconds per day.
    pub ms_per_day: f64,
    /// Of all updates on the table, the share that is HOT now and would not be any more.
    pub ends_hot: f64,
}

/// What writers of `table` would pay for `definition`.
///
/// Every inserted row makes an entry; an update makes one unless it is HOT, and it cannot be HOT when it sets
/// a column of the index (also one in INCLUDE or in the predicate): then every other index of the table gets
/// an entry as well.
pub fn write_cost(cx: &Context<'_>, table: &Table, definition: &IndexDefinition) -> WriteCost {
    let writes = writes(cx, table.oid);
    let columns = columns(definition, table);
    let hot = table.counters.hot_updated as f64 / (table.counters.updated.max(1)) as f64;
    let total_updates: f64 = writes.updated.iter().map(|(_, rows)| rows).sum();
    let touching: f64 = writes
        .updated
        .iter()
        .filter(|(set, _)| set.iter().any(|c| columns.contains(c)))
        .map(|(_, rows)| rows)
        .sum();
    let others = table.indexes.len() as f64;
    let entries = writes.inserted
        + touching
        + (total_updates - touching) * (1.0 - hot)
        + touching * hot * others;
    let dead = touching * hot * (others + 1.0);
    WriteCost {
        ms_per_day: (entries * entry_us(table, definition) + dead * VACUUM_US) / 1000.0,
        ends_hot: if total_updates > 0.0 { hot * touching / total_updates } else { 0.0 },
    }
}

/// Microseconds of one row's entry in an index.
pub fn entry_us(table: &Table, definition: &IndexDefinition) -> f64 {
    let leading = definition.keys.first().and_then(|key| table.column(key.as_column()?));
    let correlation = leading.and_then(|column| column.stats.as_ref()?.correlation).unwrap_or(0.0);
    let entry = entry_cost(&btree_shape(table, definition), correlation).cpu_us;
    if definition.method == "gin" { entry * GIN_ENTRIES } else { entry }
}

/// Microseconds that the new indexes of a configuration on one table add to every row inserted.
pub fn burden(
    cx: &Context<'_>,
    candidates: &[Candidate],
    configuration: &Configuration,
    table: u32,
) -> f64 {
    let on_table = |&&candidate: &&usize| candidates[candidate].change.table() == table;
    let entry = |&candidate: &usize| match (&candidates[candidate].change, cx.snapshot.table(table))
    {
        (Change::CreateIndex { definition, .. }, Some(table)) => entry_us(table, definition),
        _ => 0.0,
    };
    configuration.iter().filter(on_table).map(entry).sum()
}

/// Share by which one more entry of this many microseconds slows the table's INSERT statements down, measured
/// at the client; `None` when the workload inserts nothing or nobody measured it.
pub fn insert_slowdown(cx: &Context<'_>, table: u32, entry_us: f64) -> Option<f64> {
    let inserts = |analyzed: &&Analyzed| {
        analyzed.analysis.kind == StatementKind::Insert
            && analyzed.analysis.writes.as_ref().is_some_and(|write| write.table == table)
            && !is_bulk_load(analyzed.of(cx.snapshot))
    };
    cx.workload
        .iter()
        .filter(inserts)
        .filter_map(|analyzed| {
            let statement = analyzed.of(cx.snapshot);
            let rows = statement.rows? as f64 / statement.calls.max(1) as f64;
            Some(entry_us * WALL_FACTOR * rows / (mean_ms(statement)? * 1000.0 + STATEMENT_US))
        })
        .reduce(f64::max)
}

fn columns(definition: &IndexDefinition, table: &Table) -> Vec<String> {
    let mut columns = definition.include.clone();
    for key in &definition.keys {
        match &key.term {
            Term::Column(name) => columns.push(name.clone()),
            // An expression's columns are found by name, quoted or not; one too many only makes us more careful.
            Term::Expression(sql) => {
                columns.extend(
                    table
                        .columns
                        .iter()
                        .map(|c| &c.name)
                        .filter(|name| sql.contains(name.as_str()))
                        .cloned(),
                );
            }
        }
    }
    columns
}
