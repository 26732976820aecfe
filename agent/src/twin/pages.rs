//! Page surgery: files are stretched to a length, and the meta pages of indexes say what the planner asks them.
//!
//! The planner reads no more of an index than the length of its file and its meta page: the height of a B-tree
//! (`_bt_getrootheight`, nbtpage.c), the counters of a GIN index (`ginGetStats`, ginutil.c), the last page of the
//! range map of a BRIN index (`brinGetStats`, brin.c). The layouts are the same from PostgreSQL 14 to 18:
//! `PageHeaderData` (bufpage.h), `BTMetaPageData` version 4 and `BTPageOpaqueData` (nbtree.h), `GinMetaPageData`
//! version 2 (ginblock.h), `BrinMetaPageData` version 1 (brin_page.h). Numbers are in the machine's byte order.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a block (`BLCKSZ`).
pub(super) const BLOCK: u64 = 8192;
/// Blocks of a full segment file (`RELSEG_SIZE`), 1 GB.
const SEGMENT: u64 = 131_072;
/// `SizeOfPageHeaderData`; a meta page's contents begin there.
const HEADER: u64 = 24;

/// Makes the main fork of a relation this many blocks long, in segments of 1 GB that take no room on disk.
/// Blocks that are there already stay as they are.
pub(super) fn stretch(path: &Path, blocks: u64) -> io::Result<()> {
    let segments = blocks.div_ceil(SEGMENT).max(1);
    for segment in 0..segments {
        let length = (blocks - segment * SEGMENT).min(SEGMENT) * BLOCK;
        let file = if segment == 0 {
            OpenOptions::new().write(true).open(path)?
        } else {
            segment_file(path, segment)?
        };
        if file.metadata()?.len() < length || segment > 0 {
            file.set_len(length)?;
        }
    }
    Ok(())
}

/// Cuts a stretched relation down to its first blocks, so that it can be read through. Its further segments stay;
/// nobody looks for them behind one that is not full (`mdnblocks`, md.c).
pub(super) fn shorten(path: &Path, blocks: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() > blocks * BLOCK {
        file.set_len(blocks * BLOCK)?;
    }
    Ok(())
}

/// Opens or makes a further segment, as the owner of the first.
fn segment_file(first: &Path, segment: u64) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt, chown};
    let mut name = first.as_os_str().to_owned();
    name.push(format!(".{segment}"));
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&name)?;
    let (owner, own) = (first.metadata()?, file.metadata()?);
    if owner.uid() != own.uid() {
        chown(&name, Some(owner.uid()), Some(owner.gid()))?;
        std::fs::set_permissions(&name, owner.permissions())?;
    }
    Ok(file)
}

/// How many blocks the first segment of a relation holds.
pub(super) fn blocks(path: &Path) -> io::Result<u64> {
    Ok(path.metadata()?.len() / BLOCK)
}

const BTREE_MAGIC: u32 = 0x0005_3162;
const BTREE_VERSION: u32 = 4;
const LEAF: u16 = 1;
const ROOT: u16 = 1 << 1;
/// `sizeof(BTPageOpaqueData)`.
const BTREE_SPECIAL: usize = 16;

/// Puts this many levels above the leaf of a B-tree that the server built of a few rows. Each is one page with one
/// downlink, which stands for minus infinity; searches go through them as ever.
///
/// # Errors
/// When the file is no B-tree of one leaf, or cannot be written.
pub(super) fn raise_btree(path: &Path, height: u32) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut meta = read_block(&file, 0)?;
    let at = |field: usize| HEADER as usize + 4 * field;
    if number(&meta, at(0)) != BTREE_MAGIC || number(&meta, at(1)) != BTREE_VERSION {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no B-tree of version 4"));
    }
    let (root, level) = (number(&meta, at(2)), number(&meta, at(3)));
    if level != 0 || root > 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has more than one leaf"));
    }
    if height == 0 && root == 1 {
        return Ok(());
    }
    let top = if height == 0 { ROOT } else { 0 };
    let mut leaf = if root == 1 { read_block(&file, 1)? } else { btree_page(0, LEAF, None) };
    let flags = BLOCK as usize - 4;
    let kept = u16::from_ne_bytes([leaf[flags], leaf[flags + 1]]) & !ROOT;
    leaf[flags..flags + 2].copy_from_slice(&(kept | top).to_ne_bytes());
    file.write_all_at(&leaf, BLOCK)?;
    for level in 1..=height {
        let flags = if level == height { ROOT } else { 0 };
        file.write_all_at(&btree_page(level, flags, Some(level)), u64::from(level + 1) * BLOCK)?;
    }
    // btm_root, btm_level, btm_fastroot, btm_fastlevel.
    for (field, value) in [(2, height + 1), (3, height), (4, height + 1), (5, height)] {
        meta[at(field)..at(field) + 4].copy_from_slice(&value.to_ne_bytes());
    }
    file.write_all_at(&meta, 0)
}

/// A page without siblings: empty, or with one downlink to a block.
fn btree_page(level: u32, flags: u16, child: Option<u32>) -> Vec<u8> {
    const TUPLE: usize = 8;
    /// `INDEX_ALT_TID_MASK`: the offset number holds the count of key columns, here none.
    const ALTERNATIVE: u16 = 0x2000;
    let mut page = vec![0; BLOCK as usize];
    let special = page.len() - BTREE_SPECIAL;
    let (mut lower, mut upper) = (HEADER as usize, special);
    if let Some(child) = child {
        upper -= TUPLE;
        let pointer = upper as u32 | 1 << 15 | (TUPLE as u32) << 17;
        page[lower..lower + 4].copy_from_slice(&pointer.to_ne_bytes());
        lower += 4;
        let fields = [(child >> 16) as u16, child as u16, 0, ALTERNATIVE | TUPLE as u16];
        for (place, field) in fields.into_iter().enumerate() {
            page[upper + 2 * place..upper + 2 * place + 2].copy_from_slice(&field.to_ne_bytes());
        }
    }
    let layout = BLOCK as u16 | 4;
    for (place, value) in
        [(12, lower as u16), (14, upper as u16), (16, special as u16), (18, layout)]
    {
        page[place..place + 2].copy_from_slice(&value.to_ne_bytes());
    }
    page[special + 8..special + 12].copy_from_slice(&level.to_ne_bytes());
    page[special + 12..special + 14].copy_from_slice(&flags.to_ne_bytes());
    page
}

/// What `ginGetStats` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GinCounters {
    /// `nPendingPages`: of the list of entries that are not in the tree yet.
    pub(super) pending: u32,
    /// `nTotalPages`.
    pub(super) total: u32,
    /// `nEntryPages`: of the tree of keys.
    pub(super) entry_pages: u32,
    /// `nDataPages`: of the trees of postings.
    pub(super) data_pages: u32,
    /// `nEntries`: keys.
    pub(super) entries: i64,
}

/// Writes the counters into the meta page of a GIN index.
pub(super) fn count_gin(path: &Path, counters: GinCounters) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut meta = read_block(&file, 0)?;
    let base = HEADER as usize;
    // head, tail, tailFreeSize, nPendingPages (4 bytes each), nPendingHeapTuples (8).
    for (offset, value) in [
        (12, counters.pending),
        (24, counters.total),
        (28, counters.entry_pages),
        (32, counters.data_pages),
    ] {
        meta[base + offset..base + offset + 4].copy_from_slice(&value.to_ne_bytes());
    }
    meta[base + 40..base + 48].copy_from_slice(&counters.entries.to_ne_bytes());
    file.write_all_at(&meta, 0)
}

/// Writes the last page of the range map into the meta page of a BRIN index.
pub(super) fn map_brin(path: &Path, last: u32) -> io::Result<()> {
    const MAGIC: u32 = 0xA810_9CFA;
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut meta = read_block(&file, 0)?;
    let base = HEADER as usize;
    if number(&meta, base) != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no BRIN index"));
    }
    // brinMagic, brinVersion, pagesPerRange, lastRevmapPage.
    meta[base + 12..base + 16].copy_from_slice(&last.to_ne_bytes());
    file.write_all_at(&meta, 0)
}

fn read_block(file: &File, block: u64) -> io::Result<Vec<u8>> {
    let mut page = vec![0; BLOCK as usize];
    file.read_exact_at(&mut page, block * BLOCK)?;
    Ok(page)
}

fn number(page: &[u8], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&page[at..at + 4]);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, SEGMENT, blocks, btree_page, number, raise_btree, shorten, stretch};

    #[test]
    fn a_stretched_file_has_full_segments_and_takes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("16384");
        std::fs::write(&path, vec![7; BLOCK as usize]).unwrap();
        stretch(&path, 2 * SEGMENT + 3).unwrap();
        let length = |name: &str| folder.path().join(name).metadata().unwrap().len();
        assert_eq!(length("16384"), SEGMENT * BLOCK);
        assert_eq!(length("16384.1"), SEGMENT * BLOCK);
        assert_eq!(length("16384.2"), 3 * BLOCK);
        shorten(&path, 1).unwrap();
        assert_eq!(blocks(&path).unwrap(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), vec![7; BLOCK as usize]);
    }

    #[test]
    fn a_file_that_is_longer_already_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1");
        std::fs::write(&path, vec![7; 3 * BLOCK as usize]).unwrap();
        stretch(&path, 2).unwrap();
        assert_eq!(blocks(&path).unwrap(), 3);
    }

    #[test]
    fn an_inner_page_holds_one_downlink() {
        let page = btree_page(2, 0, Some(70_000));
        let pointer = number(&page, 24);
        let (offset, length) = ((pointer & 0x7fff) as usize, pointer >> 17);
        assert_eq!((offset, length), (8168, 8));
        let word = |at: usize| u16::from_ne_bytes([page[at], page[at + 1]]);
        assert_eq!(u32::from(word(offset)) << 16 | u32::from(word(offset + 2)), 70_000);
        assert_eq!(number(&page, 8184), 2);
    }

    #[test]
    fn what_is_no_btree_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1");
        std::fs::write(&path, vec![7; BLOCK as usize]).unwrap();
        assert!(raise_btree(&path, 2).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), vec![7; BLOCK as usize]);
    }
}
