//! What writers pay for one more index.

use crate::context::Context;
use crate::index::{IndexDefinition, Term};
use crate::snapshot::Table;
use crate::workload::writes;

/// Microseconds of one more B-tree entry for a fixed-length key in a cached index.
pub const ENTRY_US: f64 = 4.0;

/// Factor for keys of variable length, whose comparison calls the collation.
pub const TEXT_FACTOR: f64 = 2.0;

/// Factor for GIN, which makes several entries a row.
pub const GIN_FACTOR: f64 = 8.0;

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
    WriteCost {
        ms_per_day: entries * entry_us(table, definition) / 1000.0,
        ends_hot: if total_updates > 0.0 { hot * touching / total_updates } else { 0.0 },
    }
}

fn entry_us(table: &Table, definition: &IndexDefinition) -> f64 {
    if definition.method == "gin" {
        return ENTRY_US * GIN_FACTOR;
    }
    let text = definition.keys.iter().any(|key| match &key.term {
        Term::Column(name) => table.column(name).is_none_or(|column| column.length < 0),
        Term::Expression(_) => true,
    });
    if text { ENTRY_US * TEXT_FACTOR } else { ENTRY_US }
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
