//! What writers pay for one more index.

use crate::candidate::{Candidate, Change};
use crate::change_plan::is_index_name;
use crate::context::{Analyzed, Context};
use crate::index::{IndexDefinition, Key, Term};
use crate::size::write::{VACUUM_US, entry_cost};
use crate::sizes::btree_shape;
use crate::snapshot::{Index, Table};
use crate::statement::StatementKind;
use crate::whatif::Configuration;
use crate::workload::{is_bulk_load, mean_ms, writes};

/// Microseconds that a GIN index costs a row beside its entries, and an entry. Measured on PostgreSQL 15 by rows
/// inserted one by one, with the pending list's clean-up: jsonb_path_ops with 4 entries a row 3.0 µs, jsonb_ops with 9
/// 6.4, an array of 4 3.8, 9 words 10.4, 67 trigrams 32; single statements open the index each time.
const GIN_ROW_US: f64 = 2.5;
const GIN_ENTRY_US: f64 = 1.1;

/// Bytes of a value for each entry that it makes, of the same rows: jsonb_path_ops 133 for 4 or 5, jsonb_ops 133 for
/// 9, words 177 for 9, array elements some 8, trigrams one a character.
const GIN_BYTES: [(&str, f64); 5] = [
    ("gin_trgm_ops", 1.0),
    ("jsonb_path_ops", 28.0),
    ("jsonb", 14.0),
    ("tsvector", 18.0),
    ("", 8.0),
];

/// Entries of a row whose value is computed: the words of a line of text.
const GIN_COMPUTED_ENTRIES: f64 = 12.0;

/// What an entry costs on the clock against its CPU time: two indexes with text keys, 12 µs by the model, made
/// single-row INSERTs 15 µs slower.
const WALL_FACTOR: f64 = 1.25;

/// Microseconds of a single-row INSERT beside its execution, which `pg_stat_statements` does not count: parsing,
/// planning and the round trip over a local socket (67 µs a statement in all, measured on PostgreSQL 15).
pub(crate) const STATEMENT_US: f64 = 45.0;

/// Microseconds that a commit waits for the fastest disks there are (NVMe with power-loss protection); most take
/// several times as long (`pg_test_fsync`).
const COMMIT_US: f64 = 30.0;

/// Of all calls that touch a table, the share of INSERTs below which nobody waits for them: what they pay is part
/// of the price, and forbids nothing.
const INSERTS_RARE: f64 = 0.1;

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
/// a column of an index (also one in INCLUDE or in the predicate). One that sets a column of no other index was
/// HOT as often as the table's updates that can be are; then every other index of the table gets an entry as well.
pub fn write_cost(cx: &Context<'_>, table: &Table, definition: &IndexDefinition) -> WriteCost {
    let writes = writes(cx, table.oid);
    let matters = |method: &str| ends_hot(method, cx.snapshot.server.version_num);
    let columns = if matters(&definition.method) { columns(definition, table) } else { Vec::new() };
    let heeded = table.indexes.iter().filter(|index| matters(&index.method));
    let indexed: Vec<&str> = heeded.flat_map(|index| indexed_columns(index, table)).collect();
    let sets = |set: &[String], of: &[&str]| set.iter().any(|column| of.contains(&column.as_str()));
    let free = || writes.updated.iter().filter(|(set, _)| !sets(set, &indexed));
    let total: f64 = writes.updated.iter().map(|(_, rows)| rows).sum();
    let all_free: f64 = free().map(|(_, rows)| rows).sum();
    let touching: f64 = free().filter(|(set, _)| sets(set, &columns)).map(|(_, rows)| rows).sum();
    let counted = table.counters.hot_updated as f64 / table.counters.updated.max(1) as f64;
    // Of the updates that can be HOT at all, those that are.
    let hot = if all_free > 0.0 { (counted * total / all_free).min(1.0) } else { 0.0 };
    let ended = touching * hot;
    let others = table.indexes.len() as f64;
    let entries = writes.inserted + total - (all_free - touching) * hot + ended * others;
    let dead = ended * (others + 1.0);
    WriteCost {
        ms_per_day: (entries * entry_us(table, definition) + dead * VACUUM_US) / 1000.0,
        ends_hot: if total > 0.0 { ended / total } else { 0.0 },
    }
}

/// Whether an index of this method keeps updates of its columns from being HOT: all do but BRIN from PostgreSQL 16 on,
/// which summarizes blocks (release notes of 16).
fn ends_hot(method: &str, version_num: u32) -> bool {
    method != "brin" || version_num < 160_000
}

/// Microseconds of one row's entry in an index.
pub fn entry_us(table: &Table, definition: &IndexDefinition) -> f64 {
    if definition.method == "gin" {
        let entries: f64 = definition.keys.iter().map(|key| gin_entries(table, key)).sum();
        return GIN_ROW_US + GIN_ENTRY_US * entries;
    }
    let leading = definition.keys.first().and_then(|key| table.column(key.as_column()?));
    let correlation = leading.and_then(|column| column.stats.as_ref()?.correlation).unwrap_or(0.0);
    entry_cost(&btree_shape(table, definition), correlation).cpu_us
}

/// Entries that a row makes in a GIN index for one of its keys.
fn gin_entries(table: &Table, key: &Key) -> f64 {
    let Some(column) = key.as_column().and_then(|name| table.column(name)) else {
        return GIN_COMPUTED_ENTRIES;
    };
    let class = key.opclass.as_deref().unwrap_or_default();
    let fits = |(name, _): &&(&str, f64)| class.ends_with(name) || column.base_type == *name;
    let bytes = GIN_BYTES.iter().find(fits).map_or(8.0, |(_, bytes)| *bytes);
    // 32 bytes is what the planner assumes of a type without statistics (get_typavgwidth, lsyscache.c).
    let width = column.stats.as_ref().map_or(32.0, |stats| stats.avg_width);
    (width / bytes).max(1.0)
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

/// Indexes that a table would have with those of a configuration.
pub fn index_count(
    cx: &Context<'_>,
    candidates: &[Candidate],
    configuration: &Configuration,
    table: u32,
) -> usize {
    let new = configuration.iter().filter(|&&c| candidates[c].change.table() == table).count();
    cx.snapshot.table(table).map_or(0, |table| table.indexes.len()) + new
}

/// Microseconds that the indexes which earlier runs made add to every row inserted.
fn standing_us(table: &Table) -> f64 {
    let made = table.indexes.iter().filter(|index| is_index_name(&index.name));
    made.map(|index| entry_us(table, &IndexDefinition::of(table, index))).sum()
}

/// Share by which one more entry of this many microseconds, with those of the indexes that earlier runs made, slows
/// the table's INSERT statements down, measured at the client; `None` when the workload inserts next to nothing or
/// nobody measured it. What earlier indexes cost is in the measured time already.
pub fn insert_slowdown(cx: &Context<'_>, table: u32, entry_us: f64) -> Option<f64> {
    let inserts = |analyzed: &&Analyzed| {
        analyzed.analysis.kind == StatementKind::Insert
            && analyzed.analysis.writes.as_ref().is_some_and(|write| write.table == table)
            && !is_bulk_load(analyzed.of(cx.snapshot))
    };
    let calls = |analyzed: &Analyzed| analyzed.of(cx.snapshot).calls as f64;
    let touches =
        |analyzed: &&Analyzed| analyzed.analysis.relations.iter().any(|r| r.table == table);
    let inserted: f64 = cx.workload.iter().filter(inserts).map(calls).sum();
    let others: f64 = cx.workload.iter().filter(touches).filter(|a| !inserts(a)).map(calls).sum();
    if inserted < INSERTS_RARE * (inserted + others) {
        return None;
    }
    let on = |name: &str| cx.snapshot.settings.get(name).is_some_and(|value| value != "off");
    let commit = if on("fsync") && on("synchronous_commit") { COMMIT_US } else { 0.0 };
    let standing_us = cx.snapshot.table(table).map_or(0.0, standing_us);
    cx.workload
        .iter()
        .filter(inserts)
        .filter_map(|analyzed| {
            let statement = analyzed.of(cx.snapshot);
            let rows = statement.rows? as f64 / statement.calls.max(1) as f64;
            let wall_us = |entry_us: f64| entry_us * WALL_FACTOR * rows;
            let bare_us = (mean_ms(statement)? * 1000.0 - wall_us(standing_us)).max(0.0);
            Some(wall_us(entry_us + standing_us) / (bare_us + STATEMENT_US + commit))
        })
        .reduce(f64::max)
}

/// The columns that an index holds or depends on. Those of expressions and predicates are found by name; one too
/// many only makes us more careful.
fn columns<'a>(definition: &'a IndexDefinition, table: &'a Table) -> Vec<&'a str> {
    let mut columns: Vec<&str> = definition.include.iter().map(String::as_str).collect();
    for key in &definition.keys {
        match &key.term {
            Term::Column(name) => columns.push(name),
            Term::Expression(sql) => columns.extend(named(sql, table)),
        }
    }
    columns.extend(definition.predicate.iter().flat_map(|sql| named(sql, table)));
    columns
}

/// The same of an index that exists.
fn indexed_columns<'a>(index: &'a Index, table: &'a Table) -> Vec<&'a str> {
    let keys = index.keys.iter().filter_map(|key| key.column.as_deref());
    let sql = index.keys.iter().filter_map(|key| key.expression.as_ref()).chain(&index.predicate);
    let include = index.include.iter().map(String::as_str);
    keys.chain(include).chain(sql.flat_map(|sql| named(sql, table))).collect()
}

fn named<'a>(sql: &str, table: &'a Table) -> Vec<&'a str> {
    let names = table.columns.iter().map(|column| column.name.as_str());
    names.filter(|name| sql.contains(name)).collect()
}
