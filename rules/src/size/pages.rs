//! Leaf tuples, and the pages that they fill at build time.

use std::collections::BTreeMap;

/// Bytes of a page (`BLCKSZ`).
pub(super) const PAGE: f64 = 8192.0;
/// Bytes of a line pointer (`ItemIdData`).
const LINE_POINTER: f64 = 4.0;
/// Room for tuples and their line pointers on a fresh page: without the page header (24), nbtree's
/// special space (16) and the high key's line pointer.
const ROOM: f64 = PAGE - 24.0 - 16.0 - LINE_POINTER;
/// Bytes of a heap row's address in a posting list (`ItemPointerData`).
const ROW_ADDRESS: f64 = 6.0;
/// Largest tuple with a posting list that a build makes: a tenth of a page, aligned, less a line
/// pointer (`_bt_load`), of which only multiples of 8 are reached.
const POSTING_MAX: f64 = 808.0;
/// Fill of inner pages, percent (`BTREE_NONLEAF_FILLFACTOR`).
const INNER_FILLFACTOR: u32 = 70;
/// Rows of a posting list from which the spread of group sizes is worth counting.
const SPREAD_MIN: f64 = 32.0;
/// How fast pages stop being alike as other tuples come between those of one size, per such tuple
/// on a page; fitted to really built indexes.
const UNEVENNESS: f64 = 4.0;

/// The leaf tuples of an index.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    tuples: f64,
    /// Number of tuples by their bytes, line pointer included.
    by_size: BTreeMap<u32, f64>,
    /// Bytes of all tuples without their posting lists.
    plain_bytes: f64,
}

impl Leaves {
    /// Adds `count` tuples of `bytes` bytes, of which `plain` are no posting list.
    pub(super) fn add(&mut self, count: f64, bytes: f64, plain: f64) {
        self.tuples += count;
        self.plain_bytes += count * (plain + LINE_POINTER);
        *self.by_size.entry((bytes + LINE_POINTER).round() as u32).or_default() += count;
    }

    /// Adds `count` groups of `rows` rows with equal keys, whose tuple takes `plain` bytes without
    /// a posting list (`_bt_dedup_save_htid`, `_bt_form_posting`).
    pub(super) fn add_groups(&mut self, count: f64, rows: f64, plain: f64) {
        let capacity = ((POSTING_MAX - plain) / ROW_ADDRESS).floor();
        if capacity < 2.0 {
            return self.add(count * rows, plain, plain);
        }
        let full = (rows / capacity).floor();
        if full > 0.0 {
            self.add(count * full, aligned(plain + ROW_ADDRESS * capacity), plain);
        }
        let rest = rows - full * capacity;
        if rest < 1.5 {
            return self.add(count * rest.min(1.0), plain, plain);
        }
        let deviation =
            if rest > SPREAD_MIN { rows.sqrt().min(capacity - rest).min(rest - 2.0) } else { 0.0 };
        for rest in [rest - deviation, rest + deviation] {
            self.add(count / 2.0, aligned(plain + ROW_ADDRESS * rest), plain);
        }
    }

    /// Number of leaf and inner pages at a fill factor in percent, where a tuple on an inner page
    /// takes `downlink` bytes.
    pub(super) fn pages(&self, fillfactor: u32, downlink: f64) -> f64 {
        self.levels(fillfactor, downlink).iter().sum()
    }

    /// Number of pages of each level, the leaves first; none without tuples.
    pub(super) fn levels(&self, fillfactor: u32, downlink: f64) -> Vec<f64> {
        if self.tuples < 1.0 {
            return Vec::new();
        }
        let mut level = self.leaf_pages(fillfactor.clamp(10, 100));
        let mut levels = vec![level];
        let downlink = downlink + LINE_POINTER;
        let fanout = per_page(INNER_FILLFACTOR, downlink, downlink).max(2.0);
        while level > 1.0 {
            level = (level / fanout).ceil();
            levels.push(level);
        }
        levels
    }

    fn leaf_pages(&self, fillfactor: u32) -> f64 {
        let (mut bytes, mut squares, mut most) = (0.0, 0.0, (0.0, 0.0));
        for (&size, &count) in &self.by_size {
            let size = f64::from(size);
            bytes += size * count;
            squares += size * size * count;
            if size * count > most.1 {
                most = (size, size * count);
            }
        }
        // A page ends within a tuple, half of it on average, longer ones being met more often;
        // tuples of one size fill pages alike as long as no other tuple shifts them.
        let mixed = last_start(fillfactor, self.plain_bytes / self.tuples, bytes / self.tuples)
            + squares / bytes / 2.0;
        let even = per_page(fillfactor, self.plain_bytes / self.tuples, most.0);
        let others = (bytes - most.1) / bytes * even;
        let evenness = (-UNEVENNESS * others).exp();
        (bytes / (evenness * even * most.0 + (1.0 - evenness) * mixed)).ceil()
    }
}

/// Bytes on a page that the last tuple to stay must pass. `_bt_buildadd` closes a page once its
/// tuples, the last counted without its posting list, pass the fill factor, or when the next does
/// not fit; the last tuple then moves to the next page and leaves its key as high key.
fn last_start(fillfactor: u32, plain: f64, mean: f64) -> f64 {
    let spare = (PAGE * f64::from(100 - fillfactor) / 100.0).floor();
    // `PageGetFreeSpace` sets a line pointer aside before the fill factor is looked at.
    let filled = ROOM - LINE_POINTER - spare - plain;
    filled.min(ROOM - 2.0 * mean).max(0.0)
}

/// Number of tuples of one size, line pointer included, on a full page.
fn per_page(fillfactor: u32, plain: f64, bytes: f64) -> f64 {
    (last_start(fillfactor, plain, bytes) / bytes).floor() + 1.0
}

/// The next multiple of 8 (`MAXALIGN`).
pub(super) fn aligned(bytes: f64) -> f64 {
    (bytes / 8.0).ceil() * 8.0
}
