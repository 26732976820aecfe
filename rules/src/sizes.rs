//! How large a new index will be: the size model fed from the snapshot.

use crate::index::{IndexDefinition, Term};
use crate::size::{ColumnShape, IndexShape, btree_bytes};
use crate::snapshot::{Column, Snapshot, Table};

/// Bytes per row that a GIN index on a document column takes, as a share of the column's average width: each
/// row adds one posting of about six bytes per key, and documents hold a key per 20 bytes or so.
const GIN_SHARE_OF_WIDTH: f64 = 0.4;

/// Width assumed of an expression's value: a word.
const EXPRESSION_WIDTH: f64 = 12.0;

/// Estimated size of an index on `table` in bytes.
pub fn index_bytes(snapshot: &Snapshot, table: &Table, definition: &IndexDefinition) -> u64 {
    let rows = table.rows.unwrap_or_else(|| unknown_rows(table));
    if definition.method == "gin" {
        let width: f64 = definition
            .keys
            .iter()
            .filter_map(|key| table.column(key.as_column()?))
            .map(width)
            .sum();
        return (rows * width * GIN_SHARE_OF_WIDTH).max(16_384.0) as u64;
    }
    let shape = btree_shape(table, definition);
    let leaves =
        snapshot.tables.iter().filter(|leaf| leaf.partition_of == Some(table.oid)).count().max(1);
    btree_bytes(&shape) + (leaves as u64 - 1) * 8192
}

/// What the size and write models need to know of a B-tree on `table`.
pub fn btree_shape(table: &Table, definition: &IndexDefinition) -> IndexShape {
    let rows = table.rows.unwrap_or_else(|| unknown_rows(table));
    let keys = definition.keys.iter().map(|key| match &key.term {
        Term::Column(name) => table.column(name).map_or_else(expression_shape, shape),
        Term::Expression(_) => expression_shape(),
    });
    let include = definition.include.iter().filter_map(|name| table.column(name)).map(shape);
    let mut index = IndexShape::new(rows, keys.collect());
    index.include = include.collect();
    // Where a unique index lies within the keys, every key tuple is distinct.
    let unique = table
        .indexes
        .iter()
        .filter(|index| index.unique && index.valid && index.predicate.is_none());
    let within = |index: &crate::snapshot::Index| {
        index.keys.iter().all(|key| {
            definition
                .keys
                .iter()
                .any(|mine| mine.as_column().is_some() && mine.as_column() == key.column.as_deref())
        })
    };
    if unique.into_iter().any(within) {
        index.joint_distinct = Some(rows);
    }
    index
}

/// Rows of a table that was never counted: as many as its blocks would hold of its columns (`estimate_rel_size`,
/// plancat.c, which assumes ten blocks of an empty one).
fn unknown_rows(table: &Table) -> f64 {
    const TUPLE_HEADER: f64 = 28.0;
    let width: f64 = table.columns.iter().map(width).sum::<f64>() + TUPLE_HEADER;
    table.pages.max(10) as f64 * 8168.0 / width
}

fn width(column: &Column) -> f64 {
    // 32 bytes is what the planner assumes of a type without statistics (get_typavgwidth, lsyscache.c).
    let fixed = (column.length > 0).then(|| f64::from(column.length));
    fixed.or_else(|| column.stats.as_ref().map(|stats| stats.avg_width)).unwrap_or(32.0)
}

fn shape(column: &Column) -> ColumnShape {
    let stats = column.stats.as_ref();
    ColumnShape {
        width: width(column),
        align: column.align,
        fixed: column.length > 0,
        null_fraction: stats.map_or(0.0, |stats| stats.null_fraction),
        distinct: stats.map_or(-1.0, |stats| stats.n_distinct),
        common: stats.map_or_else(Vec::new, |stats| stats.common_frequencies.clone()),
        deduplicates: column.deduplicates,
    }
}

fn expression_shape() -> ColumnShape {
    ColumnShape {
        width: EXPRESSION_WIDTH,
        align: 4,
        fixed: false,
        null_fraction: 0.0,
        distinct: 100.0,
        common: Vec::new(),
        deduplicates: true,
    }
}
