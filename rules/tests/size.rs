//! The size model against really built B-trees (`size_real.json`, made by `capture_sizes.sh`), and
//! what must hold for any statistics.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rules::size::{ColumnShape, IndexShape, btree_bytes, btree_pages};
use serde::Deserialize;

#[derive(Deserialize)]
struct Capture {
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    rows: f64,
    columns: BTreeMap<String, Column>,
    indexes: Vec<Index>,
}

#[derive(Deserialize)]
struct Column {
    width: f64,
    align: u8,
    fixed: bool,
    null_fraction: f64,
    distinct: f64,
    common: Vec<f64>,
    deduplicates: bool,
}

#[derive(Deserialize)]
struct Index {
    keys: Vec<String>,
    include: Vec<String>,
    fraction: f64,
    /// Position of the key of which the predicate keeps out the NULLs.
    without_nulls: Option<usize>,
    fillfactor: u32,
    joint_distinct: Option<f64>,
    bytes: u64,
}

impl Table {
    fn columns(&self, names: &[String]) -> Vec<ColumnShape> {
        let shape = |column: &Column| ColumnShape {
            width: column.width,
            widths: Vec::new(),
            align: column.align,
            fixed: column.fixed,
            null_fraction: column.null_fraction,
            distinct: column.distinct,
            common: column.common.clone(),
            deduplicates: column.deduplicates,
        };
        names.iter().map(|name| shape(&self.columns[name])).collect()
    }

    fn shape(&self, index: &Index) -> IndexShape {
        let shape = IndexShape {
            rows: self.rows,
            keys: self.columns(&index.keys),
            include: self.columns(&index.include),
            fraction: index.fraction,
            fillfactor: index.fillfactor,
            joint_distinct: index.joint_distinct,
        };
        match index.without_nulls {
            Some(key) => shape.without_nulls(key),
            None => shape,
        }
    }
}

fn real_indexes() -> Vec<(IndexShape, u64, String)> {
    let capture: Capture =
        serde_json::from_str(include_str!("size_real.json")).expect("the capture is valid");
    let describe = |table: &Table, index: &Index| {
        let include = if index.include.is_empty() {
            String::new()
        } else {
            format!(" INCLUDE ({})", index.include.join(", "))
        };
        let keys = index.keys.join(", ");
        format!(
            "{} ({keys}){include}, {:.2} of the rows, fill {}",
            table.name, index.fraction, index.fillfactor
        )
    };
    let table_indexes = |table: &Table| -> Vec<_> {
        table
            .indexes
            .iter()
            .map(|index| (table.shape(index), index.bytes, describe(table, index)))
            .collect()
    };
    capture.tables.iter().flat_map(table_indexes).collect()
}

#[test]
fn real_indexes_are_as_large_as_foretold() {
    let mut found: Vec<(f64, u64, String)> = real_indexes()
        .into_iter()
        .map(|(shape, bytes, what)| (btree_bytes(&shape) as f64 / bytes as f64, bytes, what))
        .collect();
    found.sort_by(|a, b| b.0.ln().abs().total_cmp(&a.0.ln().abs()));
    let count = found.len() as f64;
    let within = |limit: f64| {
        found.iter().filter(|(ratio, ..)| (ratio - 1.0).abs() <= limit).count() as f64 / count
    };
    println!("foretold/real  real bytes  index");
    for (ratio, bytes, what) in found.iter().take(25) {
        println!("{ratio:13.3} {bytes:11}  {what}");
    }
    println!(
        "{count} indexes: {:.3} within 2 %, {:.3} within 10 %, {:.3} within 25 %",
        within(0.02),
        within(0.10),
        within(0.25)
    );
    assert!(count >= 300.0);
    assert!(found.iter().all(|(_, bytes, _)| *bytes >= 200_000));
    assert!(within(0.10) >= 0.94, "share within 10 %: {:.3}", within(0.10));
    assert!(within(0.25) >= 0.97, "share within 25 %: {:.3}", within(0.25));
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = found[found.len() / 2].0;
    assert!((0.98..1.02).contains(&median), "median {median:.3}");
}

fn int(distinct: f64) -> ColumnShape {
    ColumnShape {
        width: 4.0,
        widths: Vec::new(),
        align: 4,
        fixed: true,
        null_fraction: 0.0,
        distinct,
        common: Vec::new(),
        deduplicates: true,
    }
}

#[test]
fn a_unique_integer_index_is_exact() {
    // Known of every server since 8.3: 366 integers on a leaf page at the default fill, and
    // `pgbench -i -s 1` (100,000 rows) makes a primary key of 276 pages.
    let index = IndexShape::new(100_000.0, vec![int(-1.0)]);
    assert_eq!(btree_bytes(&index), 276 * 8192);
}

#[test]
fn an_empty_table_needs_the_meta_page_alone() {
    assert_eq!(btree_bytes(&IndexShape::new(0.0, vec![int(-1.0)])), 8192);
    assert_eq!(btree_bytes(&IndexShape::new(0.0, Vec::new())), 8192);
}

#[test]
fn unknown_statistics_count_as_all_distinct() {
    let sizes = [0.0, f64::NAN, -1.0]
        .map(|distinct| btree_bytes(&IndexShape::new(50_000.0, vec![int(distinct)])));
    assert_eq!(sizes[0], sizes[2]);
    assert_eq!(sizes[1], sizes[2]);
}

#[test]
fn nulls_kept_out_by_the_predicate_leave_a_smaller_index_of_distinct_keys() {
    let mut column = int(-0.25);
    column.null_fraction = 0.75;
    let mut partial = IndexShape::new(400_000.0, vec![column]);
    partial.fraction = 0.25;
    let plain = IndexShape::new(100_000.0, vec![int(-1.0)]);
    assert_eq!(btree_bytes(&partial.without_nulls(0)), btree_bytes(&plain));
}

#[test]
fn dependent_columns_shrink_to_their_joint_number_of_values() {
    let mut pair = IndexShape::new(1_000_000.0, vec![int(5000.0), int(4000.0)]);
    let independent = btree_bytes(&pair);
    pair.joint_distinct = Some(5000.0);
    let dependent = btree_bytes(&pair);
    let single = btree_bytes(&IndexShape::new(1_000_000.0, vec![int(5000.0)]));
    assert!(independent > 2 * dependent);
    assert!((dependent as f64 / single as f64 - 1.0).abs() < 0.05);
}

prop_compose! {
    /// A column as statistics may describe it, sane or not quite.
    fn any_column()(
        width in prop_oneof![Just(1.0), Just(4.0), Just(8.0), Just(16.0), 1.0..400.0f64],
        align in prop_oneof![Just(1u8), Just(2), Just(4), Just(8)],
        fixed: bool,
        null_fraction in prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64],
        distinct in prop_oneof![Just(0.0), Just(-1.0), -1.0..0.0f64, 1.0..1e6f64],
        common in prop::collection::vec(1e-4..0.2f64, 0..30),
        deduplicates: bool,
    ) -> ColumnShape {
        let mut common = common;
        common.sort_by(|a, b| b.total_cmp(a));
        let scale = (common.iter().sum::<f64>() / (1.0 - null_fraction).max(0.01)).max(1.0);
        for frequency in &mut common {
            *frequency /= scale;
        }
        let widths = Vec::new();
        ColumnShape { width, widths, align, fixed, null_fraction, distinct, common, deduplicates }
    }
}

prop_compose! {
    fn any_index()(
        rows in (0.0..8.0f64).prop_map(|digits| 10f64.powf(digits)),
        keys in prop::collection::vec(any_column(), 1..4),
        include in prop::collection::vec(any_column(), 0..3),
        fraction in prop_oneof![Just(1.0), 0.0..1.0f64],
        // Emptier pages hold so few tuples that real sizes go in leaps, too.
        fillfactor in 70..=100u32,
        joint_distinct in prop_oneof![Just(None), (1.0..1e6f64).prop_map(Some)],
    ) -> IndexShape {
        IndexShape { rows, keys, include, fraction, fillfactor, joint_distinct }
    }
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(0.0),
        Just(-1.0)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nonsense_gives_a_finite_size(
        index in any_index(),
        numbers in prop::collection::vec(any_number(), 8),
        fillfactor: u32,
        align: u8,
    ) {
        let mut index = index;
        let [rows, fraction, joint, width, nulls, distinct, first, second] = numbers[..] else { unreachable!("eight numbers") };
        index.keys.push(ColumnShape {
            width, widths: Vec::new(), align, fixed: false, null_fraction: nulls, distinct, common: vec![first, second], deduplicates: true,
        });
        index.rows = rows;
        index.fraction = fraction;
        index.fillfactor = fillfactor;
        index.joint_distinct = Some(joint);
        let pages = btree_pages(&index);
        prop_assert!(pages.is_finite() && pages >= 1.0, "{pages}");
        let pages = btree_pages(&index.without_nulls(0));
        prop_assert!(pages.is_finite() && pages >= 1.0, "{pages}");
    }

    #[test]
    fn no_leaf_holds_more_than_a_page_can(index in any_index()) {
        let rows = index.rows * index.fraction;
        // A posting list needs 6 bytes for a row, and a page has less than 8152 for them.
        prop_assert!(btree_pages(&index) + 1.0 >= rows * 0.999 * 6.0 / 8152.0);
        // Not even a third of a page can be left out: nbtree takes no larger tuple.
        prop_assert!(btree_pages(&index) <= 3.0 + rows.ceil() * 4.0);
    }

    #[test]
    fn more_rows_make_no_smaller_index(index in any_index(), factor in 1.0..3.0f64) {
        let mut larger = index.clone();
        larger.rows *= factor;
        let (before, after) = (btree_pages(&index), btree_pages(&larger));
        prop_assert!(after >= before * 0.999 - 1.0, "{before} pages, then {after}");
    }

    #[test]
    fn a_wider_key_makes_no_smaller_index(index in any_index(), more in 0.0..100.0f64) {
        let mut wider = index.clone();
        wider.keys[0].width += more;
        let (before, after) = (btree_pages(&index), btree_pages(&wider));
        prop_assert!(after >= before * 0.99 - 1.0, "{before} pages, then {after}");
    }

    #[test]
    fn another_column_makes_no_smaller_index(index in any_index(), column in any_column(), key: bool) {
        let mut more = index.clone();
        more.joint_distinct = None;
        let before = btree_pages(&more);
        if key { more.keys.push(column) } else { more.include.push(column) }
        let after = btree_pages(&more);
        prop_assert!(after >= before * 0.95 - 1.0, "{before} pages, then {after}");
    }

    #[test]
    fn a_smaller_share_or_a_fuller_page_makes_no_larger_index(index in any_index(), part in 0.0..1.0f64) {
        let whole = btree_pages(&index);
        let mut partial = index.clone();
        partial.fraction *= part;
        prop_assert!(btree_pages(&partial) <= whole * 1.001 + 1.0);
        let mut full = index;
        full.fillfactor = 100;
        prop_assert!(btree_pages(&full) <= whole * 1.001 + 1.0);
    }
}
