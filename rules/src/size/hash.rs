//! How large a hash index will be right after `CREATE INDEX`.
//!
//! The build makes as many buckets as the table's estimated rows need, rounded up to a step of a power of two, and
//! chains overflow pages to those that do not suffice. Constants are those of `src/include/access/hash.h`,
//! `src/backend/access/hash/hashpage.c` and `hashutil.c`, for blocks of 8 kB.

use super::groups::Frequencies;
use super::pages::PAGE;
use super::{ColumnShape, positive};

/// Bytes of an entry with its line pointer: a tuple header (8), the hash code (4, aligned to 8), and 4.
const ENTRY: f64 = 20.0;
/// Room on a page: without page header (24) and `HashPageOpaqueData` (16).
const ROOM: f64 = PAGE - 40.0;
/// Default fill factor of a bucket's page in percent (`HASH_DEFAULT_FILLFACTOR`).
const FILLFACTOR: f64 = 75.0;
/// Doublings up to which buckets come in powers of two; later ones come in quarters of a doubling
/// (`HASH_SPLITPOINT_GROUPS_WITH_ONE_PHASE`, `HASH_SPLITPOINT_PHASES_PER_GRP`).
const WHOLE_DOUBLINGS: f64 = 9.0;
/// Pages that are not buckets: the meta page and the first bitmap of overflow pages.
const OTHER_PAGES: f64 = 2.0;
/// Overflow pages that one bitmap page can tell of: eight for each of 4,096 bytes (`BMPG_MASK`).
const PER_BITMAP: f64 = 32_768.0;
/// Standard deviations to either side over which the rows of a bucket are followed.
const REACH: f64 = 4.0;

/// Returns the bytes of a hash index on a column. `table_rows` is what the planner believes of the whole table, from
/// which the build takes the number of buckets (`hashbuild`); `share` of those rows pass the predicate.
pub fn hash_bytes(table_rows: f64, share: f64, key: &ColumnShape) -> u64 {
    let per_bucket = (PAGE * FILLFACTOR / 100.0 / ENTRY).floor();
    let buckets = buckets((positive(table_rows) / per_bucket).floor());
    let rows = positive(table_rows) * super::share(share) * (1.0 - super::share(key.null_fraction));
    let overflow = overflow_pages(rows, buckets, &Frequencies::of(positive(table_rows), key));
    let bitmaps = (overflow / PER_BITMAP).floor();
    ((OTHER_PAGES + buckets + overflow + bitmaps) * PAGE) as u64
}

/// The number of buckets that are made where so many are needed (`_hash_init_metabuffer`, `_hash_spareindex`).
fn buckets(needed: f64) -> f64 {
    let needed = needed.clamp(2.0, 1_073_741_824.0);
    let doubling = needed.log2().ceil();
    if doubling <= WHOLE_DOUBLINGS {
        return doubling.exp2();
    }
    let below = (doubling - 1.0).exp2();
    below + (4.0 * (needed - below) / below).ceil() * below / 4.0
}

/// Pages that have to be chained to buckets. Values fall on buckets by chance; where the number of buckets is no power
/// of two, those not yet split get twice as many.
fn overflow_pages(rows: f64, buckets: f64, frequencies: &Frequencies) -> f64 {
    let per_page = (ROOM / ENTRY).floor();
    let doubled = buckets.log2().ceil().exp2();
    let unsplit = doubled - buckets;
    let kinds = [(buckets - unsplit, 1.0 / doubled), (unsplit, 2.0 / doubled)];
    let mut pages = 0.0;
    // Values that fill pages by themselves, one to a bucket; the others together as a crowd in every bucket.
    let (mut crowd, mut variance) = (0.0, 0.0);
    let mut heavy = Vec::new();
    for (values, share) in frequencies.iter() {
        let size = rows * share;
        if size > per_page / 8.0 {
            heavy.push((values, size));
        } else {
            crowd += values * size;
            // Of a value with few rows every row goes to one bucket.
            variance += values * size * (size + 1.0);
        }
    }
    for (count, share) in kinds {
        let mean = crowd * share;
        let deviation = (variance * share).sqrt();
        let alone = spread(mean, deviation, |rows| extra_pages(rows, per_page));
        pages += count * alone;
        for &(values, size) in &heavy {
            let with = spread(mean + size, deviation, |rows| extra_pages(rows, per_page));
            pages += values * count * share * (with - alone);
        }
    }
    pages.max(0.0).round()
}

/// Pages beyond the first for the rows of one bucket.
fn extra_pages(rows: f64, per_page: f64) -> f64 {
    ((rows / per_page).ceil() - 1.0).max(0.0)
}

/// Mean of `value` under a normal distribution, in steps of a quarter of the deviation.
fn spread(mean: f64, deviation: f64, value: impl Fn(f64) -> f64) -> f64 {
    if deviation < 0.5 {
        return value(mean.round());
    }
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut at = -REACH;
    while at <= REACH {
        let weight = (-at * at / 2.0).exp();
        sum += weight * value((mean + at * deviation).round());
        weights += weight;
        at += 0.25;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::buckets;

    #[test]
    fn buckets_come_in_powers_of_two_and_then_in_quarters() {
        let made: Vec<f64> =
            [0.0, 3.0, 195.0, 512.0, 513.0, 651.0, 1000.0, 1025.0].map(buckets).to_vec();
        assert_eq!(made, [2.0, 4.0, 256.0, 512.0, 640.0, 768.0, 1024.0, 1280.0]);
    }
}
