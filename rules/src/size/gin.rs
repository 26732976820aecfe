//! How large a GIN index will be right after `CREATE INDEX`.
//!
//! A GIN index is a B-tree of entries (the keys that documents are taken apart into), each with the addresses of its
//! rows: within the entry's own tuple as long as they fit, else in a B-tree of their own (a posting tree). The model
//! packs the addresses as `ginpostinglist.c` does, puts them where `gininsert.c` would, and counts the pages that a
//! build fills. Constants are those of `src/include/access/ginblock.h`, `src/include/access/gin_private.h`,
//! `src/backend/access/gin/ginpostinglist.c` and `gindatapage.c`, for blocks of 8 kB.

use super::entries::Entries;
use super::pages::{PAGE, aligned};
use super::positive;

/// What the model needs to know of a GIN index.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GinShape {
    /// Rows of the table that the predicate keeps.
    pub rows: f64,
    /// Such rows on a page of the table.
    pub rows_per_page: f64,
    /// The entries, those of all columns together; shares are of `rows`.
    pub entries: Vec<Entries>,
    /// Whether several columns are indexed: each key then stands behind its column's number.
    pub several_columns: bool,
    /// `maintenance_work_mem` in bytes; [`MAINTENANCE_MEMORY`] unless known.
    pub memory: f64,
}

/// Size of a GIN index, with the figures that its meta page gives the planner (`ginGetStats`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GinSize {
    /// All of it.
    pub bytes: u64,
    /// Pages of the tree of entries (`nEntryPages`).
    pub entry_pages: u64,
    /// Pages of posting trees (`nDataPages`).
    pub data_pages: u64,
    /// Distinct entries (`nEntries`).
    pub entries: u64,
}

/// Default of `maintenance_work_mem`, bytes.
pub const MAINTENANCE_MEMORY: f64 = 64.0 * 1024.0 * 1024.0;

/// Room on a page of the tree of entries: without page header (24) and `GinPageOpaqueData` (8).
const ENTRY_ROOM: f64 = PAGE - 32.0;
/// Room for segments on a leaf of a posting tree (`GinDataLeafMaxContentSize`).
const POSTING_ROOM: f64 = PAGE - 40.0;
/// Largest entry tuple; beyond it the addresses go to a posting tree (`GinMaxItemSize`).
const TUPLE_MAX: f64 = 2712.0;
/// Bytes of a segment before its packed addresses: the first address and a length (`SizeOfGinPostingList`).
const SEGMENT_HEADER: f64 = 8.0;
/// Bytes of a full segment in a posting tree (`GinPostingListSegmentMaxSize`).
const SEGMENT: f64 = 384.0;
/// Bytes of a page's address with a right bound on an inner page of a posting tree (`PostingItem`), 10.
const POSTING_FANOUT: f64 = (PAGE - 40.0) / 10.0;
/// Bytes of an index tuple's header.
const HEADER: f64 = 8.0;
/// Bytes of a line pointer.
const LINE_POINTER: f64 = 4.0;
/// Share of a page of entries that is full after a build in one pass: entries come in order, and a full page is
/// split in two equal halves (`entrySplitPage`) of which the left one is never met again. It also gets the tuple in the
/// middle, which counts where tuples are large.
const ORDERED_FILL: f64 = 0.5;
/// The same after several passes, when pages have been filled and split in turn (ln 2, as for any tree that grows
/// at random).
const RANDOM_FILL: f64 = 0.69;
/// Bytes that the build sets aside for an entry and for each address, on average over lists that double
/// (`GinEntryAccumulator`, `DEF_NPTR`, ginbulk.c).
const MEMORY_PER_ENTRY: f64 = 130.0;
/// See [`MEMORY_PER_ENTRY`].
const MEMORY_PER_ADDRESS: f64 = 8.5;
/// Above this mean, the number of an entry's rows is taken as its mean.
const SPREAD_MAX: f64 = 40.0;
/// Gaps between pages, in pages, above which an address takes one byte more: seven bits a byte, eleven of them for
/// the place within a page (`MaxHeapTuplesPerPageBits`).
const GAP_STEPS: [f64; 3] = [7.0, 1023.0, 131_071.0];

/// Pages and bytes that entries come to.
#[derive(Debug, Default)]
struct Sum {
    entries: f64,
    addresses: f64,
    /// Bytes of entry tuples with their line pointers.
    tuple_bytes: f64,
    /// Sum of the squares of the tuples' bytes.
    tuple_squares: f64,
    /// Bytes of keys alone, as inner pages hold them.
    key_bytes: f64,
    data_pages: f64,
}

/// Returns the size of the index right after its build.
pub fn gin_size(shape: &GinShape) -> GinSize {
    let mut sum = Sum::default();
    for class in &shape.entries {
        sum.add_class(shape, class);
    }
    let memory = sum.entries * MEMORY_PER_ENTRY + sum.addresses * MEMORY_PER_ADDRESS;
    let passes = (memory / shape.memory.max(65_536.0)).max(1.0);
    let entry_pages = sum.entry_pages(passes);
    let pages = 1.0 + entry_pages + sum.data_pages;
    GinSize {
        bytes: (pages * PAGE) as u64,
        entry_pages: entry_pages as u64,
        data_pages: sum.data_pages as u64,
        entries: sum.entries.round() as u64,
    }
}

impl Sum {
    /// Adds entries that are alike; by chance (Poisson) each is in more or fewer rows, or in none.
    fn add_class(&mut self, shape: &GinShape, class: &Entries) {
        let rows = positive(shape.rows);
        let mean = rows * class.share.clamp(0.0, 1.0);
        if mean <= 0.0 || class.values <= 0.0 {
            return;
        }
        if mean > SPREAD_MAX {
            return self.add(shape, class, class.values, mean);
        }
        let mut chance = (-mean).exp();
        let mut size = 0.0;
        while size < mean || chance > 1e-9 * mean {
            size += 1.0;
            chance *= mean / size;
            self.add(shape, class, class.values * chance, size);
        }
    }

    /// Adds `count` entries of `size` rows each.
    fn add(&mut self, shape: &GinShape, class: &Entries, count: f64, size: f64) {
        let number = if shape.several_columns { 2.0 } else { 0.0 };
        let key = aligned(HEADER + number + class.bytes);
        let packed = (size - 1.0) * address_bytes(size / positive(shape.rows), shape.rows_per_page);
        let inline = aligned(key + SEGMENT_HEADER + (packed / 2.0).ceil() * 2.0);
        self.entries += count;
        self.addresses += count * size;
        self.key_bytes += count * (key + LINE_POINTER);
        if inline > TUPLE_MAX {
            self.data_pages += count * posting_pages(packed);
        }
        let tuple = LINE_POINTER + if inline > TUPLE_MAX { key } else { inline };
        self.tuple_bytes += count * tuple;
        self.tuple_squares += count * tuple * tuple;
    }

    /// Pages of the tree of entries when the build goes over its memory so many times.
    fn entry_pages(&self, passes: f64) -> f64 {
        // Later passes fill up the pages that the first one left half empty, until they split again.
        let middle = self.tuple_squares / self.tuple_bytes.max(1.0) / ENTRY_ROOM;
        let grown = (ORDERED_FILL + middle) * self.growth(passes);
        let fill = if grown < 1.0 { grown } else { RANDOM_FILL };
        let mut level = (self.tuple_bytes / (ENTRY_ROOM * fill)).ceil().max(1.0);
        let mut pages = level;
        let fanout =
            (ENTRY_ROOM * ORDERED_FILL * self.entries.max(1.0) / self.key_bytes.max(1.0)).max(2.0);
        while level > 1.0 {
            level = (level / fanout).ceil();
            pages += level;
        }
        pages
    }

    /// By how much the entries' tuples grow after the first pass.
    fn growth(&self, passes: f64) -> f64 {
        let added = (self.tuple_bytes - self.key_bytes).max(0.0);
        let first = self.tuple_bytes - added * (1.0 - 1.0 / passes);
        self.tuple_bytes / first.max(1.0)
    }
}

/// Pages of a posting tree with so many packed bytes. A build appends and so fills its leaves (`dataBeginPlaceToPageLeaf`).
fn posting_pages(packed: f64) -> f64 {
    let segments = packed * SEGMENT / (SEGMENT - SEGMENT_HEADER);
    // A segment that no longer fits leaves half of itself empty on average.
    let leaves = (segments / (POSTING_ROOM - SEGMENT / 2.0)).ceil();
    if leaves <= 1.0 { 1.0 } else { leaves + (leaves / POSTING_FANOUT).ceil() }
}

/// Mean bytes of a packed address (all but a list's first) when a row has the entry with this probability, its rows
/// being spread evenly (`encode_varbyte`: seven bits of the distance to the address before in each byte).
fn address_bytes(share: f64, rows_per_page: f64) -> f64 {
    let per_page = (share * rows_per_page).max(1e-12);
    let other_page = -(-per_page).exp_m1() / per_page;
    let beyond: f64 = GAP_STEPS.iter().map(|gap| (-per_page * gap).exp()).sum();
    1.0 + other_page * (1.0 + beyond)
}

#[cfg(test)]
mod tests {
    use super::{Entries, GinShape, MAINTENANCE_MEMORY, address_bytes, gin_size};

    fn shape(rows: f64, values: f64, share: f64) -> GinShape {
        let entries = vec![Entries { values, share, bytes: 4.0 }];
        GinShape {
            rows,
            rows_per_page: 25.0,
            entries,
            several_columns: false,
            memory: MAINTENANCE_MEMORY,
        }
    }

    #[test]
    fn addresses_are_packed_by_their_distance() {
        assert!(address_bytes(1.0, 50.0) < 1.05);
        assert!((address_bytes(1e-3, 50.0) - 2.7).abs() < 0.2);
        assert!((address_bytes(1e-9, 50.0) - 5.0).abs() < 0.1);
    }

    #[test]
    fn long_lists_get_trees_of_their_own() {
        let short = gin_size(&shape(10_000.0, 50.0, 0.05));
        let long = gin_size(&shape(1_000_000.0, 50.0, 0.05));
        assert_eq!((short.data_pages, short.entries), (0, 50));
        assert!(long.data_pages > 500 && long.entry_pages == 1, "{long:?}");
    }

    #[test]
    fn an_empty_index_has_a_meta_page_and_a_root() {
        let empty = gin_size(&GinShape { memory: f64::NAN, ..GinShape::default() });
        assert_eq!((empty.bytes, empty.entry_pages), (16_384, 1));
    }
}
