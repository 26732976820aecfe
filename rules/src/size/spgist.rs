//! How large an `SP-GiST` index will be right after `CREATE INDEX`.
//!
//! Every row has a leaf tuple of a header and what its place in the tree does not already tell; inner tuples are few.
//! The header is that of `src/include/access/spgist_private.h`, the fill was measured on `PostgreSQL` 15.18.

use super::pages::{PAGE, aligned};
use super::positive;

/// Room on a page: without page header (24) and `SpGistPageOpaqueData` (8).
const ROOM: f64 = PAGE - 32.0;
/// Bytes of a leaf tuple's header, aligned (`SGLTHDRSZ`).
const HEADER: f64 = 16.0;
/// Bytes of a line pointer.
const LINE_POINTER: f64 = 4.0;
/// Share of the pages that leaf tuples fill, inner tuples counted as waste.
const FILL: f64 = 0.78;
/// The same under a k-d tree, which splits in two.
const KD_FILL: f64 = 0.68;
/// Meta page, and the roots of values and of NULLs.
const FIXED_PAGES: f64 = 3.0;

/// Bytes of a leaf's value under the default class of a type (or `kd_point_ops`): all of it, but of a text only what
/// the `log2(rows) / 5` or so characters that lead there do not tell.
fn value_bytes(base_type: &str, width: f64, rows: f64, distinct: f64) -> f64 {
    match base_type {
        "text" | "varchar" => {
            // Equal values end in the same place, with nothing left to tell.
            let told = (distinct.max(2.0).log2() / 5.0).ceil();
            let rest = (width - 1.0 - told).max(0.0);
            (1.0 + rest * (distinct / rows.max(1.0)).min(1.0).sqrt()).max(1.0)
        }
        _ => width,
    }
}

/// Returns the bytes of an `SP-GiST` index of so many rows on a column of this type, average width and number of
/// distinct values.
pub fn spgist_bytes(rows: f64, base_type: &str, width: f64, distinct: f64, kd: bool) -> u64 {
    let rows = positive(rows);
    let value = value_bytes(base_type, positive(width), rows, positive(distinct));
    let fill = if kd { KD_FILL } else { FILL };
    let pages = rows * (HEADER + aligned(value) + LINE_POINTER) / (ROOM * fill);
    ((pages.ceil() + FIXED_PAGES) * PAGE) as u64
}

#[cfg(test)]
mod tests {
    use super::spgist_bytes;

    #[test]
    fn equal_texts_take_less_room() {
        let with = |distinct| spgist_bytes(1e5, "text", 40.0, distinct, false);
        assert!(with(100.0) < with(1e5));
        assert_eq!(spgist_bytes(0.0, "point", f64::NAN, f64::NAN, true), 3 * 8192);
    }
}
