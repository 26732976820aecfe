//! How large a `GiST` index will be right after `CREATE INDEX`.
//!
//! Every row has a leaf tuple; how full the pages are hangs on how the operator class splits them (`picksplit`) and
//! whether rows are inserted one by one or, where the class can sort them, packed. The shares were measured on
//! `PostgreSQL` 15.18; key sizes are those of the classes' `compress` functions (contrib and `src/backend/utils/adt`).

use super::pages::{PAGE, aligned};
use super::positive;

/// What an operator class stores of a row, and how full it leaves its pages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GistKey {
    /// Bytes of the key in a leaf tuple.
    pub bytes: f64,
    /// Share of a page that is full after the build.
    pub fill: f64,
}

/// Room on a page: without page header (24) and `GISTPageOpaqueData` (16).
const ROOM: f64 = PAGE - 40.0;
/// Bytes of an index tuple's header.
const HEADER: f64 = 8.0;
/// Bytes of a line pointer.
const LINE_POINTER: f64 = 4.0;
/// Longest value that is stored behind a one-byte header instead of one of four (`VARATT_SHORT_MAX`).
const SHORT_MAX: f64 = 126.0;

/// Fill where splits come at random places.
pub const RANDOM_FILL: f64 = 0.60;
/// Fill where rows come in the order of the keys: the page that was split off is never met again.
pub const ORDERED_FILL: f64 = 0.45;
/// Fill of ranges, whose splits weigh overlap before balance (`rangetypes_gist.c`).
pub const RANGE_FILL: f64 = 0.51;
/// Fill of points, which are sorted by a space-filling curve and then split four pages at a time
/// (`gist_indexsortbuild_levelstate_flush`, 15 and later).
pub const SORTED_FILL: f64 = 0.66;
/// The same in version 14, which packs sorted pages to the default fill factor (`GIST_DEFAULT_FILLFACTOR`).
pub const PACKED_FILL: f64 = 0.90;
/// Fill of trigram sets.
pub const TRIGRAM_FILL: f64 = 0.68;
/// Fill of lexeme sets.
pub const LEXEME_FILL: f64 = 0.80;

/// Lexemes up to which a `tsvector` is kept as hashes of four bytes, before it becomes a signature of 124 bytes
/// (`gtsvector_compress`, `TOAST_INDEX_TARGET`, `SIGLEN_DEFAULT`).
const LEXEMES_MAX: f64 = 125.0;

/// The key of a text's trigrams: a flag and three bytes each (`gtrgm_compress`).
pub fn trigram_key(trigrams: f64) -> GistKey {
    GistKey { bytes: stored(1.0 + 3.0 * trigrams), fill: TRIGRAM_FILL }
}

/// The key of a document's lexemes.
pub fn lexeme_key(lexemes: f64) -> GistKey {
    let bytes = if lexemes <= LEXEMES_MAX { 4.0 + 4.0 * lexemes } else { 4.0 + 124.0 };
    GistKey { bytes: stored(bytes), fill: LEXEME_FILL }
}

/// Bytes of a value of varying length with its header.
fn stored(bytes: f64) -> f64 {
    bytes + if bytes <= SHORT_MAX { 1.0 } else { 4.0 }
}

/// The key of a value of this type, whose average width is `width`, in rows that come in the order of the keys with
/// this correlation; `None` for types not known here.
pub fn value_key(base_type: &str, width: f64, correlation: f64, version: u32) -> Option<GistKey> {
    let random = if correlation.abs() > 0.9 { ORDERED_FILL } else { RANDOM_FILL };
    let key = |bytes: f64, fill: f64| Some(GistKey { bytes, fill });
    match base_type {
        // A box of four doubles.
        "point" => key(32.0, if version >= 150_000 { SORTED_FILL } else { PACKED_FILL }),
        "box" | "circle" | "polygon" => key(32.0, RANDOM_FILL),
        _ if base_type.ends_with("range") => key(width + 1.0, RANGE_FILL),
        // Family, bits, and an address of four (or sixteen) bytes.
        "inet" | "cidr" => key(if width > 12.0 { 20.0 } else { 8.0 }, RANDOM_FILL),
        "ltree" => key(width + 8.0, RANDOM_FILL),
        // btree_gist keeps every value as the lower and the upper end of a range; of varying length, once.
        "int2" | "bool" | "enum" => key(4.0, random),
        "int4" | "float4" | "date" => key(8.0, random),
        "int8" | "float8" | "money" | "timestamp" | "timestamptz" | "time" => key(16.0, random),
        "timetz" | "macaddr" => key(16.0, random),
        "uuid" | "interval" => key(32.0, random),
        "text" | "varchar" | "bpchar" | "bytea" | "numeric" | "bit" | "varbit" => {
            key(width + 5.0, random)
        }
        _ => None,
    }
}

/// Returns the bytes of a `GiST` index of so many rows with these key columns.
pub fn gist_bytes(rows: f64, keys: &[GistKey]) -> u64 {
    let data: f64 = keys.iter().map(|key| key.bytes).sum();
    let fill = keys.first().map_or(RANDOM_FILL, |key| key.fill).clamp(0.1, 1.0);
    let tuple = aligned(HEADER + positive(data)).min(ROOM / 2.0) + LINE_POINTER;
    let per_page = (ROOM * fill / tuple).max(2.0);
    let mut level = (positive(rows) / (ROOM / tuple).floor().min(per_page)).ceil().max(1.0);
    let mut pages = level;
    while level > 1.0 {
        level = (level / per_page).ceil();
        pages += level;
    }
    (pages * PAGE) as u64
}

#[cfg(test)]
mod tests {
    use super::{gist_bytes, value_key};

    #[test]
    fn an_empty_index_is_one_page() {
        assert_eq!(gist_bytes(0.0, &[]), 8192);
        assert_eq!(gist_bytes(f64::NAN, &[]), 8192);
    }

    #[test]
    fn wider_keys_take_more_room() {
        let bytes = |base_type: &str| {
            gist_bytes(1e5, &[value_key(base_type, 14.0, 0.0, 150_000).expect("a known type")])
        };
        assert!(bytes("int4") < bytes("int4range") && bytes("int4range") < bytes("point"));
        assert!(value_key("json", 10.0, 0.0, 150_000).is_none());
    }
}
