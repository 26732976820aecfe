//! How large a B-tree will be right after `CREATE INDEX`, from statistics alone.
//!
//! Since version 13 a B-tree stores a key once with a list of the rows that hold it
//! ("deduplication"), so its size hangs on how the rows fall into groups of equal keys far more than
//! on their number.
//! The model works in three steps: the groups (module `groups`), the leaf tuples that the build
//! makes of them, and the pages that these fill (module `pages`).
//!
//! Constants and formulas are nbtree's own (`src/backend/access/nbtree/nbtsort.c` and `nbtdedup.c`,
//! `src/include/access/nbtree.h`, `itup.h`, `bufpage.h`) for blocks of 8 kB. `tests/size.rs` holds
//! the result against 351 really built indexes: 74 % are within 2 % of the real size, 97 % within
//! 10 %. What remains are key columns that depend on each other without statistics that say so (up
//! to 2.6 times too large) and columns of which `n_distinct` is far off. Not modelled are values
//! that are compressed or stored out of line, and churn: only fresh indexes are described.

pub mod brin;
pub mod entries;
pub mod gin;
pub mod gist;
mod groups;
pub mod hash;
mod pages;
pub mod spgist;
pub mod write;

use std::collections::BTreeMap;

use groups::{Frequencies, Groups};
use pages::{Leaves, aligned};

/// What the model needs to know of one indexed (key or INCLUDE) column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnShape {
    /// Average bytes of a value that is not NULL, with its header: `pg_stats.avg_width`.
    pub width: f64,
    /// Bytes of some values with their headers, each standing for an equal share of them: what is known beyond the
    /// mean. Any number of them; none where only the mean is known.
    pub widths: Vec<f64>,
    /// Alignment in bytes (1, 2, 4 or 8): `pg_attribute.attalign`.
    pub align: u8,
    /// True if the type has a fixed length: `pg_attribute.attlen > 0`.
    pub fixed: bool,
    /// Share of the table's rows that are NULL: `pg_stats.null_frac`.
    pub null_fraction: f64,
    /// Number of distinct values as in `pg_stats.n_distinct`: a count, or if negative a share of
    /// all rows; 0 where unknown, which is taken as all distinct.
    pub distinct: f64,
    /// Shares of all rows that the most common values have: `pg_stats.most_common_freqs`.
    pub common: Vec<f64>,
    /// True if equal values are equal bytes, so that nbtree may merge them: the operator class has
    /// the `equalimage` support function (4) and the collation is deterministic. False for numeric,
    /// float4, float8, interval (refused by `_bt_allequalimage` in spite of the function) and jsonb.
    pub deduplicates: bool,
}

/// A B-tree that need not exist, as far as its size depends on it.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexShape {
    /// Rows of the table: `pg_class.reltuples`.
    pub rows: f64,
    /// Key columns, in order.
    pub keys: Vec<ColumnShape>,
    /// INCLUDE columns, in order. Any of them turns deduplication off.
    pub include: Vec<ColumnShape>,
    /// Share of the rows that a partial index's predicate keeps, else 1. The predicate is taken as
    /// independent of the columns; see [`IndexShape::without_nulls`] for the common exception.
    pub fraction: f64,
    /// Storage parameter `fillfactor` in percent, 10 to 100; [`FILLFACTOR`] unless set.
    pub fillfactor: u32,
    /// Number of distinct key tuples in the table, where it is known: from extended statistics, a
    /// sample, or a unique constraint on some of the keys (then the number of rows). Without it the
    /// columns are taken as independent, which makes the index of a dependent pair too large.
    pub joint_distinct: Option<f64>,
}

/// Default `fillfactor` of a B-tree's leaf pages, percent (`BTREE_DEFAULT_FILLFACTOR`).
pub const FILLFACTOR: u32 = 90;
/// Bytes of an index tuple's header, without and with NULLs (`IndexInfoFindDataOffset`).
const HEADER: [f64; 2] = [8.0, 16.0];
/// Largest tuple that nbtree accepts, bytes (`BTMaxItemSize`).
const TUPLE_MAX: f64 = 2704.0;
/// Longest value, header included, that is stored unaligned behind a one-byte header
/// (`VARATT_SHORT_MAX`).
const SHORT_VALUE_MAX: f64 = 127.0;
/// Bytes by which values of varying length are taken to differ from `avg_width`, which ANALYZE
/// cuts down to a whole number: a compromise between codes of one length and free text, fitted to
/// really built indexes.
const WIDTH_SPREAD: [f64; 5] = [-1.0, 0.0, 1.0, 2.0, 3.0];
/// Tuples that are made up where widths are known; a prime, so that any step goes through all of them.
const MADE_UP: usize = 211;
/// Nullable columns whose combinations of NULL are told apart; further ones are taken as never or
/// always NULL, whichever is more frequent. Keeps the work within 2^6 combinations.
const NULLABLE_MAX: usize = 6;
/// More rows than any table can hold (2^32 blocks of up to 291 rows).
const ROWS_MAX: f64 = 1.3e12;

impl IndexShape {
    /// A plain index on `keys`: no INCLUDE columns, no predicate, default fill.
    pub fn new(rows: f64, keys: Vec<ColumnShape>) -> Self {
        Self {
            rows,
            keys,
            include: Vec::new(),
            fraction: 1.0,
            fillfactor: FILLFACTOR,
            joint_distinct: None,
        }
    }

    /// The same index under a predicate that no row with a NULL in this key column passes, such as
    /// `key IS NOT NULL`; `fraction` stays the predicate's share of the table's rows.
    #[must_use]
    pub fn without_nulls(mut self, key: usize) -> Self {
        if let Some(column) = self.keys.get_mut(key) {
            let present = (1.0 - share(column.null_fraction)).max(f64::EPSILON);
            self.rows *= present;
            self.fraction = share(self.fraction / present);
            column.null_fraction = 0.0;
            for frequency in &mut column.common {
                *frequency /= present;
            }
            if column.distinct < 0.0 {
                column.distinct /= present;
            }
        }
        self
    }

    /// Whether nbtree merges equal keys (`_bt_allequalimage`, `_bt_load`).
    fn deduplicates(&self) -> bool {
        self.include.is_empty() && self.keys.iter().all(|key| key.deduplicates)
    }
}

/// Returns the number of 8 kB pages of the index right after its build: meta page, leaves and
/// inner pages. Finite and at least 1 whatever the statistics say; values out of range are brought
/// into it.
pub fn btree_pages(shape: &IndexShape) -> f64 {
    let downlink = mean_bytes(HEADER[0], &shape.keys.iter());
    1.0 + leaves(shape).pages(shape.fillfactor, downlink)
}

/// Returns the number of levels above the leaves right after the build (`btm_level` of the meta page, nbtree.h).
pub fn btree_height(shape: &IndexShape) -> u32 {
    let downlink = mean_bytes(HEADER[0], &shape.keys.iter());
    let levels = leaves(shape).levels(shape.fillfactor, downlink).len();
    u32::try_from(levels.saturating_sub(1)).unwrap_or(0)
}

/// Returns the size of the index in bytes right after its build, see [`btree_pages`].
pub fn btree_bytes(shape: &IndexShape) -> u64 {
    (btree_pages(shape) * pages::PAGE) as u64
}

/// The leaf tuples that the build makes: each combination of NULLs is as an index of its own, in
/// which the columns that are NULL neither take room nor tell rows apart.
fn leaves(shape: &IndexShape) -> Leaves {
    let mut leaves = Leaves::default();
    let table_rows = positive(shape.rows);
    let frequencies: Vec<Frequencies> =
        shape.keys.iter().map(|key| Frequencies::of(table_rows, key)).collect();
    for (nulls, probability) in null_patterns(shape) {
        let rows = table_rows * (1.0 - share(1.0 - shape.fraction)) * probability;
        let columns = shape.keys.iter().chain(&shape.include).zip(&nulls);
        let present = columns.filter(|(_, null)| !**null).map(|(column, _)| column);
        let sizes = tuple_sizes(HEADER[usize::from(nulls.contains(&true))], &present);
        if shape.deduplicates() {
            let present =
                frequencies.iter().zip(&nulls).filter(|(_, null)| !**null).map(|(key, _)| key);
            for (groups, size) in Groups::of(rows, present.collect(), shape.joint_distinct).iter() {
                for (bytes, part) in &sizes {
                    leaves.add_groups(groups * part, size, *bytes);
                }
            }
        } else {
            for (bytes, part) in &sizes {
                leaves.add(rows * part, *bytes, *bytes);
            }
        }
    }
    leaves
}

/// Index tuples with these values, none of them NULL, as made up of values that are known: bytes, and the share of the
/// tuples that are so large. One size, the mean, where only means are known.
fn tuple_sizes<'a>(
    header: f64,
    columns: &(impl Iterator<Item = &'a ColumnShape> + Clone),
) -> Vec<(f64, f64)> {
    if columns.clone().all(|column| column.widths.is_empty()) {
        return vec![(tuple_bytes(header, columns), 1.0)];
    }
    let mut sizes: BTreeMap<u32, f64> = BTreeMap::new();
    for tuple in 0..MADE_UP {
        let end = columns.clone().enumerate().fold(header, |end, (place, column)| {
            // Each column is walked through in steps of its own, as if it told nothing of the others.
            let value = tuple * (1 + 36 * place) % MADE_UP;
            if let Some(width) = column.widths.get(value * column.widths.len() / MADE_UP) {
                value_end(end, column, *width, 0.0)
            } else {
                let spread = WIDTH_SPREAD[tuple % WIDTH_SPREAD.len()];
                value_end(end, column, column.width, spread)
            }
        });
        *sizes.entry(aligned(end).min(TUPLE_MAX) as u32).or_default() += 1.0 / MADE_UP as f64;
    }
    sizes.into_iter().map(|(bytes, part)| (f64::from(bytes), part)).collect()
}

/// All combinations of NULL and not NULL over keys and INCLUDE columns with their probabilities,
/// columns taken as independent.
fn null_patterns(shape: &IndexShape) -> Vec<(Vec<bool>, f64)> {
    let mut patterns = vec![(Vec::new(), 1.0)];
    let mut told_apart = 0;
    for column in shape.keys.iter().chain(&shape.include) {
        let nulls = share(column.null_fraction);
        let choices = if nulls > 0.0 && nulls < 1.0 && told_apart < NULLABLE_MAX {
            told_apart += 1;
            vec![(false, 1.0 - nulls), (true, nulls)]
        } else {
            vec![(nulls > 0.5, 1.0)]
        };
        let longer = |(flags, probability): &(Vec<bool>, f64)| -> Vec<_> {
            let choose = |&(null, chance): &(bool, f64)| {
                ([flags.as_slice(), &[null]].concat(), probability * chance)
            };
            choices.iter().map(choose).collect()
        };
        patterns = patterns.iter().flat_map(longer).collect();
    }
    patterns
}

/// Average bytes of an index tuple with these values, none of them NULL.
fn mean_bytes<'a>(header: f64, columns: &(impl Iterator<Item = &'a ColumnShape> + Clone)) -> f64 {
    tuple_sizes(header, columns).iter().map(|(bytes, part)| bytes * part).sum()
}

/// The same where no values are known (`index_form_tuple`).
fn tuple_bytes<'a>(header: f64, columns: &(impl Iterator<Item = &'a ColumnShape> + Clone)) -> f64 {
    let bytes = WIDTH_SPREAD.map(|spread| {
        let value = |end, column: &ColumnShape| value_end(end, column, column.width, spread);
        let end = columns.clone().fold(header, value);
        aligned(end).min(TUPLE_MAX)
    });
    bytes.iter().sum::<f64>() / WIDTH_SPREAD.len() as f64
}

/// Where a value of so many bytes ends that is stored after `start` (`heap_compute_data_size`).
fn value_end(start: f64, column: &ColumnShape, width: f64, spread: f64) -> f64 {
    let width = positive(width).min(TUPLE_MAX);
    let align = f64::from(column.align.clamp(1, 8));
    let aligned_start = (start / align).ceil() * align;
    if column.fixed {
        aligned_start + width
    } else if width > SHORT_VALUE_MAX {
        aligned_start + width + spread
    } else {
        start + (width + spread).max(1.0)
    }
}

/// Brings a count or a width into range; what is not a number counts as none.
fn positive(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, ROWS_MAX) }
}

/// Brings a share into 0 to 1; what is not a number counts as 0.
fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}
