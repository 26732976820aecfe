//! What one more B-tree costs those who write.
//!
//! Measured as CPU time of the backend (median of 4 or 5 rounds of 100,000 rows, the variants
//! alternating within each round) on `PostgreSQL` 15.18 with a table of 1 to 1.5 million rows, all
//! in memory, on a busy machine of two cores. Waiting for storage and full-page images after a
//! checkpoint come on top and are not counted: the figures are lower bounds.

use super::{HEADER, IndexShape, share, tuple_bytes};

/// Entry at the right end of the index, µs: an ascending integer or timestamp; measured 0.5 in a
/// bulk insert, 0.9 to 1.3 in single-row statements, where the index must be opened each time.
const APPEND_US: f64 = 1.0;
/// Entry anywhere, key of fixed length, µs: a random integer; measured 3.5 in bulk, 4.3 to 4.6 in
/// single-row statements. Among 1,000 distinct values 2.4.
const RANDOM_US: f64 = 4.5;
/// Entry anywhere, key of varying length, µs: 30 characters; measured 4.6 in bulk, 5.7 to 6.0 in
/// single-row statements, 6.9 under an ICU collation.
const RANDOM_TEXT_US: f64 = 6.0;
/// Row that a partial index's predicate refuses, µs.
const REFUSED_US: f64 = 0.7;
/// Removal of a dead entry by VACUUM, µs: measured 1.6 and 1.7.
pub const VACUUM_US: f64 = 1.6;
/// Bytes of the log record of an entry beside the index tuple (`xl_btree_insert` with its headers):
/// measured 64 for a tuple of 16 bytes and 88 for one of 40.
const WAL_RECORD_BYTES: f64 = 48.0;

/// What a row version costs in one index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntryCost {
    /// CPU time of the writer, microseconds.
    pub cpu_us: f64,
    /// Write-ahead log without full-page images, bytes.
    pub wal_bytes: f64,
}

/// Returns what a new row version costs in this index, on average over rows that its predicate
/// keeps and refuses. `correlation` is `pg_stats.correlation` of the first key: near 1, new keys
/// are taken to go to the right end.
///
/// An insert and an update that cannot stay in its page (not HOT) pay it in every index of the
/// table. So an index on a column that updates change makes them pay for all indexes of the table
/// where they paid for none before: measured 5.2 µs for each update and index in a table with five
/// (2.6 with two), and [`VACUUM_US`] for each later.
pub fn entry_cost(index: &IndexShape, correlation: f64) -> EntryCost {
    let kept = share(index.fraction);
    let random =
        if index.keys.first().is_none_or(|key| key.fixed) { RANDOM_US } else { RANDOM_TEXT_US };
    let appended = share(correlation).powi(2);
    let entry = appended * APPEND_US + (1.0 - appended) * random;
    let tuple = tuple_bytes(HEADER[0], &index.keys.iter().chain(&index.include));
    EntryCost {
        cpu_us: kept * entry + (1.0 - kept) * REFUSED_US,
        wal_bytes: kept * (WAL_RECORD_BYTES + tuple),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::ColumnShape;

    fn index(width: f64, fixed: bool) -> IndexShape {
        let align = if fixed { 4 } else { 1 };
        let key = ColumnShape {
            width,
            widths: Vec::new(),
            align,
            fixed,
            null_fraction: 0.0,
            distinct: -1.0,
            common: Vec::new(),
            deduplicates: true,
        };
        IndexShape::new(1e6, vec![key])
    }

    #[test]
    fn log_volume_is_as_measured() {
        assert!((entry_cost(&index(4.0, true), 0.0).wal_bytes - 64.0).abs() < 0.1);
        assert!((entry_cost(&index(31.0, false), 0.0).wal_bytes - 88.0).abs() < 5.0);
    }

    #[test]
    fn order_and_predicate_make_entries_cheaper() {
        let scattered = entry_cost(&index(4.0, true), 0.0).cpu_us;
        let ascending = entry_cost(&index(4.0, true), 1.0).cpu_us;
        let mut partial = index(4.0, true);
        partial.fraction = 0.001;
        let refused = entry_cost(&partial, 0.0);
        assert!(ascending < scattered / 3.0);
        assert!(refused.cpu_us < scattered / 3.0 && refused.wal_bytes < 1.0);
        assert!(entry_cost(&index(31.0, false), 0.0).cpu_us > scattered);
    }

    #[test]
    fn unknown_correlation_counts_as_none() {
        assert_eq!(entry_cost(&index(4.0, true), f64::NAN), entry_cost(&index(4.0, true), 0.0));
        assert_eq!(entry_cost(&index(4.0, true), -1.0), entry_cost(&index(4.0, true), 0.0));
    }
}
