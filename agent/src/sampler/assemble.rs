//! Puts what the queries answered together into tables; no I/O.

use std::collections::BTreeMap;

use rules::snapshot::{
    Column, ColumnStats, Combinations, Constraint, Index, Table, TableCounters, TableKind,
};
use serde::Deserialize;

/// Which table a row belongs to.
#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) table_oid: u32,
    #[serde(default)]
    pub(super) locked: bool,
}

/// Whether a table could be looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Looked {
    pub(super) locked: bool,
}

/// Which column a row of statistics belongs to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct ColumnName {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) column: String,
    pub(super) inherited: bool,
}

/// One object of extended statistics.
#[derive(Debug, Deserialize)]
pub(super) struct Together {
    schema: String,
    table: String,
    columns: Vec<String>,
    values: Vec<Vec<Option<String>>>,
    frequencies: Vec<f64>,
}

/// What the catalog queries answered.
pub(super) struct Parts {
    pub(super) tables: Vec<(Looked, Table)>,
    pub(super) columns: Vec<(Owner, Column)>,
    pub(super) stats: Vec<(ColumnName, ColumnStats)>,
    pub(super) together: Vec<Together>,
    pub(super) indexes: Vec<(Owner, Index)>,
    pub(super) constraints: Vec<(Owner, Constraint)>,
}

/// The tables, sorted and complete, and the names of those left out because another session has them locked.
pub(super) fn tables(parts: Parts) -> (Vec<Table>, Vec<String>) {
    let mut by_oid: BTreeMap<u32, Table> = BTreeMap::new();
    let mut locked: Vec<String> = Vec::new();
    for (looked, table) in parts.tables {
        if looked.locked {
            locked.push(table.qualified());
        } else {
            by_oid.insert(table.oid, table);
        }
    }
    for owner in parts.indexes.iter().map(|(owner, _)| owner).filter(|owner| owner.locked) {
        locked.extend(by_oid.remove(&owner.table_oid).map(|table| table.qualified()));
    }
    attach(&mut by_oid, parts.columns, |table| &mut table.columns);
    attach(&mut by_oid, parts.indexes, |table| &mut table.indexes);
    attach(&mut by_oid, parts.constraints, |table| &mut table.constraints);
    let mut tables: Vec<Table> = by_oid.into_values().collect();
    sum_partitions(&mut tables);
    let mut stats: BTreeMap<ColumnName, ColumnStats> = parts.stats.into_iter().collect();
    for table in &mut tables {
        finish(table, &mut stats);
    }
    for Together { schema, table, columns, values, frequencies } in parts.together {
        if let Some(table) = tables.iter_mut().find(|t| t.schema == schema && t.name == table) {
            let rows = values.into_iter().zip(frequencies).collect();
            table.combinations.push(Combinations { columns, rows });
        }
    }
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    locked.sort();
    (tables, locked)
}

fn attach<T>(
    tables: &mut BTreeMap<u32, Table>,
    rows: Vec<(Owner, T)>,
    list: fn(&mut Table) -> &mut Vec<T>,
) {
    for (owner, row) in rows {
        if let Some(table) = tables.get_mut(&owner.table_oid) {
            list(table).push(row);
        }
    }
}

fn finish(table: &mut Table, stats: &mut BTreeMap<ColumnName, ColumnStats>) {
    for column in &mut table.columns {
        column.stats = stats.remove(&ColumnName {
            schema: table.schema.clone(),
            table: table.name.clone(),
            column: column.name.clone(),
            inherited: table.kind == TableKind::Partitioned,
        });
    }
    table.columns.sort_by_key(|column| column.number);
    table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
    table.constraints.sort_by(|a, b| a.name.cmp(&b.name));
    for index in &mut table.indexes {
        index.required_by.sort();
    }
}

/// What a partitioned table has of its leaves.
#[derive(Default)]
struct Sum {
    rows: Option<f64>,
    pages: u64,
    all_visible: u64,
    counters: TableCounters,
}

impl Sum {
    fn add(&mut self, leaf: &Table) {
        self.rows = self.rows.map_or(leaf.rows, |rows| Some(rows + leaf.rows.unwrap_or(0.0)));
        self.pages += leaf.pages;
        self.all_visible += leaf.all_visible;
        let (sum, of) = (&mut self.counters, &leaf.counters);
        sum.seq_scan += of.seq_scan;
        sum.idx_scan += of.idx_scan;
        sum.inserted += of.inserted;
        sum.updated += of.updated;
        sum.deleted += of.deleted;
        sum.hot_updated += of.hot_updated;
        sum.live += of.live;
        sum.dead += of.dead;
        sum.modified_since_analyze += of.modified_since_analyze;
    }

    fn give(self, table: &mut Table) {
        table.rows = self.rows;
        table.pages = self.pages;
        table.all_visible = self.all_visible;
        // Only its own ANALYZE fills a partitioned table's statistics, so its own times stay.
        let TableCounters { analyzed_at, vacuumed_at, .. } = table.counters;
        table.counters = TableCounters { analyzed_at, vacuumed_at, ..self.counters };
    }
}

/// Gives partitioned tables and indexes, which have no storage, the sums of their leaves.
fn sum_partitions(tables: &mut [Table]) {
    let parents: BTreeMap<u32, u32> =
        tables.iter().filter_map(|table| Some((table.oid, table.partition_of?))).collect();
    let indexes = tables.iter().flat_map(|table| &table.indexes);
    let index_parents: BTreeMap<u32, u32> =
        indexes.filter_map(|index| Some((index.oid, index.partition_of?))).collect();
    let mut sums: BTreeMap<u32, Sum> = BTreeMap::new();
    let mut index_sums: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for leaf in tables.iter().filter(|table| table.kind != TableKind::Partitioned) {
        for ancestor in ancestors(&parents, leaf.oid) {
            sums.entry(ancestor).or_default().add(leaf);
        }
        for index in &leaf.indexes {
            for ancestor in ancestors(&index_parents, index.oid) {
                let (bytes, scans) = index_sums.entry(ancestor).or_default();
                *bytes += index.bytes;
                *scans += index.scans;
            }
        }
    }
    for table in tables.iter_mut().filter(|table| table.kind == TableKind::Partitioned) {
        if let Some(sum) = sums.remove(&table.oid) {
            sum.give(table);
        }
        for index in &mut table.indexes {
            if let Some(sum) = index_sums.remove(&index.oid) {
                (index.bytes, index.scans) = sum;
            }
        }
    }
}

fn ancestors(parents: &BTreeMap<u32, u32>, oid: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(parents.get(&oid), |parent| parents.get(parent)).copied()
}
