//! Files get the source's lengths, and B-trees its heights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rules::blueprint::{Blueprint, RelationShape};

use super::TwinError;
use super::notes::Notes;
use super::pages;
use crate::postgres::Session;

/// A file of the twin's.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) schema: String,
    pub(super) name: String,
    /// Access method.
    pub(super) method: String,
    /// Its first segment.
    pub(super) path: PathBuf,
    /// Blocks that hold something.
    pub(super) filled: u64,
    /// Blocks in all.
    pub(super) pages: u64,
}

/// Where everything of a database lies.
pub(super) async fn files(session: &Session, data: &Path) -> Result<Vec<Stored>, TwinError> {
    let failed = TwinError::doing("find its files");
    let mut files = Vec::new();
    for row in session.query(include_str!("files.sql"), &[]).await.map_err(&failed)? {
        let text =
            |at: usize| row.try_get::<_, Option<String>>(at).ok().flatten().unwrap_or_default();
        files.push(Stored {
            schema: text(0),
            name: text(1),
            method: text(2),
            path: data.join(text(3)),
            filled: 0,
            pages: 0,
        });
    }
    Ok(files)
}

/// Stretches everything to the source's sizes. The server must be stopped.
pub(super) fn stretch_all(
    files: &mut [Stored],
    blueprint: &Blueprint,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let shapes: BTreeMap<(&str, &str), &RelationShape> =
        blueprint.relations.iter().map(|shape| ((&*shape.schema, &*shape.name), shape)).collect();
    for file in files {
        let Some(shape) = shapes.get(&(&*file.schema, &*file.name)) else { continue };
        let path = file.path.clone();
        let failed = |source| TwinError::File { path: path.clone(), source };
        if file.method == "btree" {
            let height = shape.height.unwrap_or_else(|| btree_height(shape.pages, DEFAULT_FANOUT));
            if let Err(error) = pages::raise_btree(&file.path, height) {
                notes.add(format!(
                    "the height of index {}.{} is not the source's in the twin: {error}",
                    file.schema, file.name
                ));
            }
        }
        file.filled = pages::blocks(&path).map_err(failed)?;
        file.pages = shape.pages.max(file.filled);
        pages::stretch(&path, file.pages).map_err(failed)?;
    }
    Ok(())
}

/// Downlinks per inner page of a B-tree on a bigint: 70 % of a page (`BTREE_NONLEAF_FILLFACTOR`, nbtree.h) of 20 bytes.
pub(super) const DEFAULT_FANOUT: f64 = 285.0;

/// Downlinks per inner page of a B-tree on keys of so many bytes.
pub(super) fn fanout(key_bytes: f64) -> f64 {
    let tuple = ((8.0 + key_bytes) / 8.0).ceil() * 8.0 + 4.0;
    (8152.0 * 0.7 / tuple).max(2.0)
}

/// Levels above the leaves of a B-tree of so many pages.
pub(super) fn btree_height(pages: u64, fanout: f64) -> u32 {
    // All but the meta page and about one page in `fanout` are leaves.
    let mut level = (pages.saturating_sub(1) as f64 * (1.0 - 1.0 / fanout)).max(1.0);
    let mut height = 0;
    while level > 1.0 {
        level = (level / fanout).ceil();
        height += 1;
    }
    height
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_FANOUT, btree_height};

    #[test]
    fn heights_are_those_of_real_indexes() {
        // pgbench_accounts_pkey at scales 1, 10 and 1000 (pgstatindex: tree_level).
        assert_eq!(btree_height(1, DEFAULT_FANOUT), 0);
        assert_eq!(btree_height(276, DEFAULT_FANOUT), 1);
        assert_eq!(btree_height(2745, DEFAULT_FANOUT), 2);
        assert_eq!(btree_height(274_194, DEFAULT_FANOUT), 3);
    }
}
