//! How much `work_mem` would have held what went to disk.

use super::Context;
use crate::Plan;
use crate::display::kilobytes;

/// What a sorted row takes in memory beyond what it takes in a temporary file: its entry in the array of the sort
/// (`SortTuple`, 24 bytes, in an array that grows by doubling), the part of its header that is not written
/// (10 of 16 bytes, for a length of 4), alignment and the allocator's own header (`tuplesort.c`, `writetup_heap()` in
/// `tuplesortvariants.c`, PostgreSQL 15 to 18). Measured on 15 with rows of 8 to 113 bytes: 54 to 61 bytes. Up to 14
/// rows are rounded up to a power of two besides.
const SORTED_ROW_BYTES: f64 = 64.0;

/// `HJTUPLE_OVERHEAD` and `SizeofMinimalTupleHeader`, 16 bytes each (`ExecChooseHashTableSize()` in `nodeHash.c`).
const HASHED_ROW_BYTES: f64 = 32.0;

/// A pointer for each bucket; as many buckets as rows, rounded up to a power of two (`NTUP_PER_BUCKET` is 1).
const BUCKET_BYTES: f64 = 8.0;

/// Hash tables are allocated in chunks of 32 kB (`HASH_CHUNK_SIZE`), which are not filled to the end; measured 2.3 %.
const CHUNKS: f64 = 1.03;

/// What a group takes beside its key (`hash_agg_entry_size()` in `nodeAgg.c`): an entry of 24 bytes in a table that
/// may be half empty, tuple header 16, per-group state of one aggregate 16, and an allocator's header of 16 for each of
/// both. Aggregates that keep more (numeric, arrays) come on top.
const GROUP_BYTES: f64 = 24.0 * 2.0 + 16.0 + 16.0 + 16.0 + 16.0;

/// What is taken beyond that while the table grows, in blocks that are not filled; measured up to 9 %.
const ALLOCATED: f64 = 1.15;

/// An entry for each block of a bitmap: `PagetableEntry`, 48 bytes with five words of row numbers, and the two pointers that
/// `tbm_calculate_entries()` in `tidbitmap.c` adds.
const BITMAP_BLOCK_BYTES: f64 = 64.0;

/// Kilobytes that sort so many rows in memory that took so many kilobytes on disk.
pub(super) fn to_sort(disk_kb: u64, rows: f64) -> f64 {
    disk_kb as f64 + rows * SORTED_ROW_BYTES / 1024.0
}

/// Kilobytes that hold a hash table of so many rows of this width.
pub(super) fn to_hash(rows: f64, width: u32) -> f64 {
    let buckets = 2_f64.powf(rows.max(1024.0).log2().ceil());
    CHUNKS * (rows * (HASHED_ROW_BYTES + aligned(width)) + buckets * BUCKET_BYTES) / 1024.0
}

/// Kilobytes that hold so many groups of this width.
pub(super) fn to_group(groups: f64, width: u32) -> f64 {
    ALLOCATED * groups * (GROUP_BYTES + aligned(width)) / 1024.0
}

/// Kilobytes that hold a bitmap of so many blocks without losing rows.
pub(super) fn for_bitmap(blocks: f64) -> f64 {
    blocks * BITMAP_BLOCK_BYTES / 1024.0
}

/// `MAXALIGN`.
fn aligned(width: u32) -> f64 {
    (f64::from(width) / 8.0).ceil() * 8.0
}

/// `work_mem` for a sentence, rounded up to whole megabytes.
pub(super) fn setting(kb: f64) -> String {
    let mb = (kb / 1024.0).ceil().clamp(1.0, 1e9);
    kilobytes((mb * 1024.0) as u64)
}

/// `work_mem` for hash tables of `kb`; a larger one where the width of a row was not printed (COSTS OFF), so that no size is known.
pub(super) fn hash_setting_for(cx: &Context<'_>, kb: f64) -> String {
    if cx.plan.has_costs() { hash_setting(cx.plan, kb) } else { "larger work_mem".to_owned() }
}

/// `work_mem` for hash tables, which may take `hash_mem_multiplier` times as much. Where the plan does not print the
/// setting, it is told: the default is 2 from version 15 on and 1 in 13 and 14.
fn hash_setting(plan: &Plan, kb: f64) -> String {
    let printed =
        plan.settings.get("hash_mem_multiplier").and_then(|value| value.parse::<f64>().ok());
    match printed.filter(|multiplier| multiplier.is_finite() && *multiplier >= 1.0) {
        Some(multiplier) => format!("work_mem of {} or more", setting(kb / multiplier)),
        None => format!("work_mem times hash_mem_multiplier of {} or more", setting(kb)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Least work_mem with which PostgreSQL 15 kept 300,000 rows (or groups) in memory, found by bisection.
    #[test]
    fn what_was_measured_is_met_or_somewhat_exceeded() {
        let enough = |estimated: f64, measured: f64| {
            assert!(
                estimated >= measured && estimated <= 1.4 * measured,
                "{estimated} for {measured}"
            );
        };
        enough(to_sort(33_784, 3e5), 51_618.0);
        enough(to_sort(37_016, 3e5), 53_961.0);
        enough(to_sort(6_480, 3e5), 23_497.0);
        enough(to_sort(368, 19_999.0), 1_417.0);
        enough(to_hash(3e5, 4), 16_173.0);
        enough(to_hash(3e5, 105), 47_321.0);
        enough(to_group(3e5, 12), 36_974.0);
        enough(to_group(5e4, 16), 6_459.0);
        enough(to_group(4e5, 16), 54_900.0);
        enough(to_group(3e5, 105), 55_527.0);
    }

    #[test]
    fn settings_are_whole_megabytes_and_finite() {
        assert_eq!(
            [setting(1.0), setting(5000.0), setting(f64::INFINITY)],
            ["1.0 MB", "5.0 MB", "976,562.5 GB"]
        );
    }
}
