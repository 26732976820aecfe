//! How large a BRIN index will be right after `CREATE INDEX`.
//!
//! One tuple for each range of the table's pages, a map from ranges to tuples, and a meta page. Constants are those
//! of `src/include/access/brin_page.h`, `brin_tuple.h` and `brin_bloom.c`, for blocks of 8 kB.

use super::pages::{PAGE, aligned};
use super::positive;

/// What a BRIN operator class keeps of a column in a range of pages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Summary {
    /// The lowest and the highest value, of this many bytes each.
    MinMax {
        /// Bytes of a value.
        width: f64,
    },
    /// A value that includes all, of this many bytes, and two flags.
    Inclusion {
        /// Bytes of the union.
        width: f64,
    },
    /// Up to 32 values (`values_per_range`) of this many bytes.
    MinMaxMulti {
        /// Bytes of a value.
        width: f64,
    },
    /// A Bloom filter, with this many distinct values in a range.
    Bloom {
        /// Distinct values that really occur in a range.
        distinct: f64,
    },
}

/// Default of the storage parameter `pages_per_range` (`BRIN_DEFAULT_PAGES_PER_RANGE`).
pub const PAGES_PER_RANGE: f64 = 128.0;

/// Ranges on a page of the map (`REVMAP_PAGE_MAXITEMS`).
const MAP_RANGES: f64 = 1360.0;
/// Room on a page of tuples: without page header (24) and `BrinSpecialSpace` (8).
const ROOM: f64 = PAGE - 32.0;
/// Bytes before the values of a tuple: block number and flags (5), aligned.
const HEADER: f64 = 8.0;
/// Bytes of a line pointer.
const LINE_POINTER: f64 = 4.0;
/// Rows that can be on a page of a table (`MaxHeapTuplesPerPage`).
const ROWS_PER_PAGE: f64 = 291.0;
/// Values of a minmax-multi summary (`MINMAX_MULTI_DEFAULT_VALUES_PER_PAGE`).
const MULTI_VALUES: f64 = 32.0;
/// Bytes of a minmax-multi summary before its values (`SerializedRanges`).
const MULTI_HEADER: f64 = 20.0;
/// Share of the rows that a Bloom filter expects to differ (`BLOOM_DEFAULT_NDISTINCT_PER_RANGE`, negative).
const BLOOM_DISTINCT: f64 = 0.1;
/// Wrong positives of a Bloom filter (`BLOOM_DEFAULT_FALSE_POSITIVE_RATE`).
const BLOOM_ERRORS: f64 = 0.01;
/// Bits that a value sets: -log2 of the wrong positives.
const BLOOM_HASHES: f64 = 7.0;
/// Bytes of a Bloom summary before its filter (`BloomFilter`), with its header.
const BLOOM_HEADER: f64 = 20.0;
/// Share of its size above which a value is not kept compressed (`PGLZ_strategy_default`: a quarter must be saved).
const PACKED_MAX: f64 = 0.75;
/// Share of a byte that an empty byte of a filter still takes after compression, fitted to really built indexes.
const EMPTY_BYTE: f64 = 0.35;

/// Returns the bytes of a BRIN index with these summaries on a table of so many pages.
pub fn brin_bytes(table_pages: f64, pages_per_range: f64, summaries: &[Summary]) -> u64 {
    let pages_per_range = pages_per_range.max(1.0);
    let ranges = (positive(table_pages) / pages_per_range).ceil().max(1.0);
    let values: f64 = summaries.iter().map(|summary| summary.bytes(pages_per_range)).sum();
    let tuple = (aligned(HEADER + values) + LINE_POINTER).min(ROOM);
    let tuples = (ranges / (ROOM / tuple).floor().max(1.0)).ceil();
    ((1.0 + (ranges / MAP_RANGES).ceil() + tuples) * PAGE) as u64
}

impl Summary {
    fn bytes(self, pages_per_range: f64) -> f64 {
        match self {
            Self::MinMax { width } => 2.0 * width,
            Self::Inclusion { width } => width + 2.0,
            Self::MinMaxMulti { width } => MULTI_HEADER + MULTI_VALUES * width,
            Self::Bloom { distinct } => {
                let expected = BLOOM_DISTINCT * ROWS_PER_PAGE * pages_per_range;
                let bits = -expected * BLOOM_ERRORS.ln() / std::f64::consts::LN_2.powi(2);
                let bytes = (bits / 8.0).ceil().min(ROOM - 64.0);
                let used = -(-positive(distinct) * BLOOM_HASHES / bytes).exp_m1();
                let packed = used + EMPTY_BYTE * (1.0 - used);
                bytes * if packed > PACKED_MAX { 1.0 } else { packed } + BLOOM_HEADER
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGES_PER_RANGE, Summary, brin_bytes};

    #[test]
    fn a_few_ranges_fit_on_one_page() {
        let width = 8.0;
        assert_eq!(brin_bytes(10_000.0, PAGES_PER_RANGE, &[Summary::MinMax { width }]), 24_576);
        assert_eq!(brin_bytes(f64::NAN, f64::NAN, &[]), 24_576);
    }

    #[test]
    fn finer_ranges_take_more_room() {
        let at = |pages| brin_bytes(100_000.0, pages, &[Summary::MinMax { width: 16.0 }]);
        assert!(at(1.0) > 50 * at(128.0));
    }
}
