//! How large a new index will be: the size models fed from the snapshot.

mod arrays;
mod capacity;
mod documents;
mod evaluate;
mod gin;
mod kind;
mod like;
mod others;
mod predicate;
mod samples;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use crate::blueprint::ExtendedStatistics;
use crate::index::{IndexDefinition, Key, Term};
use crate::size::gin::{GinSize, gin_size};
use crate::size::{ColumnShape, IndexShape, btree_bytes};
use crate::snapshot::{Column, Constraint, Snapshot, Table};
use crate::statement::expression_over;
use kind::Kind;
use predicate::{Kept, UNKNOWN_SHARE, kept};
use samples::Samples;

/// Width assumed of an expression's value where it cannot be followed: a word.
const EXPRESSION_WIDTH: f64 = 12.0;

/// Bytes for each row of an index of an unknown method: an entry with a line pointer and some air.
const OTHER_BYTES: f64 = 40.0;

/// One table as the models see it: a partitioned one as a partition of average size.
struct Source<'s> {
    snapshot: &'s Snapshot,
    table: &'s Table,
    rows: f64,
    pages: f64,
}

impl<'s> Source<'s> {
    fn new(snapshot: &'s Snapshot, table: &'s Table, leaves: f64) -> Self {
        let rows = table.rows.unwrap_or_else(|| unknown_rows(table)) / leaves;
        Self { snapshot, table, rows, pages: table.pages as f64 / leaves }
    }

    fn version(&self) -> u32 {
        self.snapshot.server.version_num
    }

    /// `maintenance_work_mem` in bytes, as `SHOW` prints it.
    fn memory(&self) -> Option<f64> {
        let text = self.snapshot.settings.get("maintenance_work_mem")?;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let unit = match text[digits..].trim() {
            "kB" | "" => 1024.0,
            "MB" => 1024.0 * 1024.0,
            "GB" => 1024.0 * 1024.0 * 1024.0,
            _ => return None,
        };
        Some(text[..digits].parse::<f64>().ok()? * unit)
    }
}

/// Estimated size of an index on `table` in bytes.
pub fn index_bytes(snapshot: &Snapshot, table: &Table, definition: &IndexDefinition) -> u64 {
    let leaves =
        snapshot.tables.iter().filter(|leaf| leaf.partition_of == Some(table.oid)).count().max(1);
    if definition.method == "btree" {
        return btree_bytes(&full_shape(snapshot, table, definition)) + (leaves as u64 - 1) * 8192;
    }
    let source = Source::new(snapshot, table, leaves as f64);
    let share = kept_by(snapshot, table, definition).map_or(1.0, |kept| kept.share);
    let bytes = match definition.method.as_str() {
        "gin" => Some(gin_size(&gin::gin_shape(&source, definition, share)).bytes),
        _ => others::other_bytes(&source, definition, share),
    };
    let bytes = bytes.unwrap_or((source.rows * share * OTHER_BYTES).max(16_384.0) as u64);
    bytes * leaves as u64
}

/// Levels above the leaves of a B-tree on `table`; 0 for other methods.
pub fn btree_height(snapshot: &Snapshot, table: &Table, definition: &IndexDefinition) -> u32 {
    if definition.method != "btree" {
        return 0;
    }
    crate::size::btree_height(&full_shape(snapshot, table, definition))
}

/// What the meta page of a GIN index on `table` would tell the planner (`ginGetStats`); of a partitioned table, that
/// of a partition of average size. `None` for other methods.
pub fn gin_figures(
    snapshot: &Snapshot,
    table: &Table,
    definition: &IndexDefinition,
) -> Option<GinSize> {
    if definition.method != "gin" {
        return None;
    }
    let leaves =
        snapshot.tables.iter().filter(|leaf| leaf.partition_of == Some(table.oid)).count().max(1);
    let source = Source::new(snapshot, table, leaves as f64);
    let share = kept_by(snapshot, table, definition).map_or(1.0, |kept| kept.share);
    Some(gin_size(&gin::gin_shape(&source, definition, share)))
}

/// What the predicate of a partial index keeps; `None` without one.
fn kept_by(snapshot: &Snapshot, table: &Table, definition: &IndexDefinition) -> Option<Kept> {
    let predicate = definition.predicate.as_ref()?;
    let unknown = || Kept { share: UNKNOWN_SHARE, ..Kept::default() };
    let expr = expression_over(&format!("({predicate})"), table, snapshot);
    Some(expr.map_or_else(unknown, |expr| kept(&expr, table)))
}

/// What the write model needs to know of a B-tree on `table`: plain columns as they are, expressions as assumed, the
/// predicate left out. Cheap, since it parses nothing.
pub fn btree_shape(table: &Table, definition: &IndexDefinition) -> IndexShape {
    shape_of(table, definition, |key| table.column(key.as_column()?).map(shape))
}

/// What the size model needs to know of a B-tree on `table`, expressions and predicate looked into.
fn full_shape(snapshot: &Snapshot, table: &Table, definition: &IndexDefinition) -> IndexShape {
    let source = Source::new(snapshot, table, 1.0);
    let mut index = shape_of(table, definition, |key| key_shape(&source, key));
    if index.joint_distinct.is_none() {
        index.joint_distinct = combined_distinct(snapshot, table, definition)
            .or_else(|| referenced_rows(snapshot, table, definition, &index));
    }
    match kept_by(snapshot, table, definition) {
        Some(kept) => partial_shape(index, definition, &kept),
        None => index,
    }
}

fn shape_of(
    table: &Table,
    definition: &IndexDefinition,
    key_shape: impl Fn(&Key) -> Option<ColumnShape>,
) -> IndexShape {
    let rows = table.rows.unwrap_or_else(|| unknown_rows(table));
    let keys = definition.keys.iter().map(|key| key_shape(key).unwrap_or_else(assumed_shape));
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

/// The number of key tuples that extended statistics on exactly these columns found.
fn combined_distinct(
    snapshot: &Snapshot,
    table: &Table,
    definition: &IndexDefinition,
) -> Option<f64> {
    // Statistics number columns as a rebuilt table does, without the dropped ones.
    let place = |key: &Key| {
        let number = table.column(key.as_column()?)?.number;
        Some(table.columns.iter().filter(|column| column.number <= number).count())
    };
    let places: BTreeSet<usize> = definition.keys.iter().map(place).collect::<Option<_>>()?;
    let counted = |statistics: &ExtendedStatistics| -> Option<f64> {
        let counts: BTreeMap<String, f64> =
            serde_json::from_str(statistics.n_distinct.as_deref()?).ok()?;
        let same = |columns: &str| {
            let numbers: Option<BTreeSet<usize>> =
                columns.split(',').map(|number| number.trim().parse().ok()).collect();
            numbers.is_some_and(|numbers| numbers == places)
        };
        counts.into_iter().find(|(columns, _)| same(columns)).map(|(_, count)| count)
    };
    let mut on_table: Vec<&ExtendedStatistics> = snapshot
        .blueprint
        .iter()
        .flat_map(|blueprint| &blueprint.extended)
        .filter(|one| one.table_schema == table.schema && one.table == table.name)
        .collect();
    on_table.sort_by_key(|one| one.inherited);
    on_table.into_iter().find_map(counted).filter(|count| *count >= 1.0)
}

/// Where the keys are a foreign key of several columns, the most tuples that there can be: the rows of the table that it
/// references, unless the columns by themselves allow no more.
fn referenced_rows(
    snapshot: &Snapshot,
    table: &Table,
    definition: &IndexDefinition,
    index: &IndexShape,
) -> Option<f64> {
    let keys: BTreeSet<&str> = definition.keys.iter().filter_map(Key::as_column).collect();
    if keys.len() < 2 || keys.len() < definition.keys.len() {
        return None;
    }
    let over_keys = |constraint: &&Constraint| {
        constraint.columns.len() == keys.len()
            && constraint.columns.iter().all(|column| keys.contains(column.as_str()))
    };
    let rows = table.constraints.iter().filter(over_keys).filter_map(|constraint| {
        let referenced = constraint.references.and_then(|oid| snapshot.table(oid))?;
        referenced.rows.filter(|rows| *rows >= 1.0)
    });
    let most = rows.reduce(f64::min)?;
    let of_rows = table.rows.unwrap_or_default();
    let distinct = |column: &ColumnShape| match column.distinct {
        share if share < 0.0 => -share * of_rows,
        count => count,
    };
    let independent: f64 = index.keys.iter().map(distinct).product();
    Some(most).filter(|most| *most < independent.min(of_rows))
}

/// The shape of an index of which a predicate keeps so much.
fn partial_shape(mut index: IndexShape, definition: &IndexDefinition, kept: &Kept) -> IndexShape {
    index.fraction = kept.share;
    for (place, key) in definition.keys.iter().enumerate() {
        let Some(name) = key.as_column() else { continue };
        if kept.present.iter().any(|column| column == name) {
            index = index.without_nulls(place);
        }
        // Of a key that the predicate bounds, only so many of the few values remain.
        if let (Some(share), column) = (kept.alone.get(name), &mut index.keys[place])
            && column.distinct > 0.0
        {
            column.distinct = (column.distinct * share).max(1.0);
            column.common.clear();
        }
    }
    index
}

/// What the models need to know of a key; `None` where it is an expression that cannot be followed.
fn key_shape(source: &Source, key: &Key) -> Option<ColumnShape> {
    match &key.term {
        Term::Column(name) => source.table.column(name).map(shape),
        Term::Expression(sql) => {
            let expr = expression_over(sql, source.table, source.snapshot)?;
            samples::expression_shape(&expr, source.table, source.rows, source.version())
        }
    }
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
    let stats = || column.stats.as_ref();
    fixed
        .or_else(|| numeric_width(column))
        .or_else(|| stats().map(|stats| stats.avg_width))
        .unwrap_or(32.0)
}

/// Mean bytes of a numeric's values as an index holds them, by those in its statistics, whose mean width is cut to a
/// whole number: two bytes for each four decimal digits before and after the point, without zeros at either end, and
/// three before them (`NumericShort`, numeric.c).
fn numeric_width(column: &Column) -> Option<f64> {
    let stats = column.stats.as_ref().filter(|_| column.base_type == "numeric")?;
    let listed: f64 = stats.common_frequencies.iter().sum();
    let bounds = stats.histogram.len();
    let common = stats.common_values.iter().zip(stats.common_frequencies.iter().copied());
    let rest = (1.0 - stats.null_fraction - listed).max(0.0) / bounds.max(1) as f64;
    let weighted = common.chain(stats.histogram.iter().map(|bound| (bound, rest)));
    let (sum, weight) = weighted.fold((0.0, 0.0), |(sum, weight), (value, share)| {
        (sum + share * numeric_bytes(value), weight + share)
    });
    (weight > 0.0).then(|| sum / weight)
}

fn numeric_bytes(text: &str) -> f64 {
    const BEFORE: usize = 3;
    let digits = text.trim_start_matches('-');
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let groups = whole.len().div_ceil(4) + part.len().div_ceil(4);
    // Groups of zeros at the inner ends are not kept where nothing stands beyond them.
    let zeros = match (whole, part) {
        ("", part) => (part.len() - part.trim_start_matches('0').len()) / 4,
        (whole, "") => (whole.len() - whole.trim_end_matches('0').len()) / 4,
        _ => 0,
    };
    (BEFORE + 2 * (groups - zeros)) as f64
}

/// Bytes of a column's values, where its statistics list values of which they can be told and these are about as long
/// as all are on average: not so where long ones are compressed or not listed, or where values were made unreadable.
fn widths(column: &Column) -> Vec<f64> {
    const FAR: f64 = 0.15;
    let kind = match Kind::of_type(&column.base_type) {
        Some(kind @ (Kind::Text | Kind::Numeric)) if column.length < 0 => kind,
        _ => return Vec::new(),
    };
    let (Some(samples), Some(stats)) = (Samples::of_column(column), &column.stats) else {
        return Vec::new();
    };
    let mean = samples.mean(|text| kind.bytes(text));
    // ANALYZE cuts the mean down to a whole number.
    if (mean - stats.avg_width - 0.5).abs() > 1.0 + FAR * stats.avg_width {
        return Vec::new();
    }
    samples.widths(kind)
}

fn shape(column: &Column) -> ColumnShape {
    let stats = column.stats.as_ref();
    ColumnShape {
        width: width(column),
        widths: widths(column),
        align: column.align,
        fixed: column.length > 0,
        null_fraction: stats.map_or(0.0, |stats| stats.null_fraction),
        distinct: stats.map_or(-1.0, |stats| stats.n_distinct),
        common: stats.map_or_else(Vec::new, |stats| stats.common_frequencies.clone()),
        deduplicates: column.deduplicates,
    }
}

fn assumed_shape() -> ColumnShape {
    ColumnShape {
        width: EXPRESSION_WIDTH,
        widths: Vec::new(),
        align: 4,
        fixed: false,
        null_fraction: 0.0,
        distinct: 100.0,
        common: Vec::new(),
        deduplicates: true,
    }
}

#[cfg(test)]
mod tests {
    use super::{full_shape, numeric_bytes};
    use crate::index::{IndexDefinition, Key};
    use crate::snapshot::{Constraint, ConstraintKind};
    use crate::testing::{set_stats, snapshot, stats, table_mut};

    #[test]
    fn a_numeric_takes_two_bytes_for_four_digits() {
        // pg_column_size in a table, version 15.
        let sizes = [
            ("0", 3.0),
            ("7", 5.0),
            ("-9999.99", 7.0),
            ("173665.47", 9.0),
            ("10000", 5.0),
            ("10001", 7.0),
            ("0.00010000", 5.0),
            ("0.00001", 5.0),
            ("100.00", 5.0),
        ];
        for (text, bytes) in sizes {
            assert!((numeric_bytes(text) - bytes).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn a_foreign_key_bounds_how_many_tuples_there_are() {
        let mut snapshot = snapshot(
            "line(part int4, supplier int4) 6000000\npair(part int4, supplier int4) 800000",
        );
        set_stats(&mut snapshot, "line.part", stats(200_000.0, &[], &[]));
        set_stats(&mut snapshot, "line.supplier", stats(10_000.0, &[], &[]));
        let known = |snapshot: &crate::snapshot::Snapshot| {
            let line = snapshot.tables.iter().find(|table| table.name == "line").unwrap();
            let keys = vec![Key::column("supplier"), Key::column("part")];
            full_shape(snapshot, line, &IndexDefinition::btree(line, keys)).joint_distinct
        };
        assert_eq!(known(&snapshot), None);
        let pair = table_mut(&mut snapshot, "pair").oid;
        let columns = || vec!["part".to_owned(), "supplier".to_owned()];
        table_mut(&mut snapshot, "line").constraints.push(Constraint {
            name: "line_pair".into(),
            kind: ConstraintKind::Foreign,
            columns: columns(),
            references: Some(pair),
            referenced_columns: columns(),
            definition: String::new(),
        });
        assert_eq!(known(&snapshot), Some(800_000.0));
        set_stats(&mut snapshot, "line.part", stats(10.0, &[], &[]));
        assert_eq!(known(&snapshot), None, "the columns by themselves allow no more");
    }
}
