//! Files get the source's lengths, and B-trees its heights.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rules::blueprint::{Blueprint, GinFigures, RelationShape};
use rules::index::{IndexDefinition, Key, Term};
use rules::sizes::gin_figures;
use rules::snapshot::{Index, IndexKey, Snapshot, Table};

use super::TwinError;
use super::notes::Notes;
use super::pages::{self, GinCounters};
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
    snapshot: &Snapshot,
    blueprint: &Blueprint,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let shapes: BTreeMap<(&str, &str), &RelationShape> =
        blueprint.relations.iter().map(|shape| ((&*shape.schema, &*shape.name), shape)).collect();
    let indexes: BTreeMap<(&str, &str), (&Table, &Index)> = snapshot
        .tables
        .iter()
        .flat_map(|table| table.indexes.iter().map(move |index| (table, index)))
        .map(|(table, index)| ((&*index.schema, &*index.name), (table, index)))
        .collect();
    for file in files {
        let place = (&*file.schema, &*file.name);
        let Some(shape) = shapes.get(&place) else { continue };
        if let Err(error) = describe(file, shape, snapshot, indexes.get(&place).copied()) {
            notes.add(&format!(
                "index {}.{} does not look like the source's in the twin: {error}",
                file.schema, file.name
            ));
        }
        let path = file.path.clone();
        let failed = |source| TwinError::File { path: path.clone(), source };
        file.filled = pages::blocks(&path).map_err(failed)?;
        file.pages = shape.pages.max(file.filled);
        pages::stretch(&path, file.pages).map_err(failed)?;
    }
    Ok(())
}

/// Makes an index's meta page say what the source's says, as far as that is known.
fn describe(
    file: &Stored,
    shape: &RelationShape,
    snapshot: &Snapshot,
    index: Option<(&Table, &Index)>,
) -> io::Result<()> {
    if file.method == "btree" {
        if shape.pages <= 1 {
            return Ok(());
        }
        let height = shape.height.unwrap_or_else(|| btree_height(shape.pages, DEFAULT_FANOUT));
        return pages::raise_btree(&file.path, height);
    }
    let Some((table, index)) = index else { return Ok(()) };
    match file.method.as_str() {
        "gin" => {
            let model = || gin_counters(snapshot, table, &definition(table, index), shape.pages);
            let counters = shape.gin.map(|read| known_counters(read, shape.pages)).or_else(model);
            counters.map_or(Ok(()), |counters| pages::count_gin(&file.path, counters))
        }
        "brin" => {
            let option = index.options.iter().find_map(|o| o.strip_prefix("pages_per_range="));
            let range = option.and_then(|pages| pages.parse().ok()).unwrap_or(DEFAULT_RANGE);
            pages::map_brin(&file.path, brin_map(table.pages, range))
        }
        _ => Ok(()),
    }
}

/// An existing index as one that could be made.
fn definition(table: &Table, index: &Index) -> IndexDefinition {
    let key = |key: &IndexKey| Key {
        term: match (&key.column, &key.expression) {
            (Some(column), _) => Term::Column(column.clone()),
            (None, expression) => Term::Expression(expression.clone().unwrap_or_default()),
        },
        opclass: Some(key.opclass.clone()).filter(|_| !key.opclass_default),
        descending: key.descending,
        nulls_first: key.nulls_first,
    };
    IndexDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        method: index.method.clone(),
        keys: index.keys.iter().map(key).collect(),
        include: index.include.clone(),
        predicate: index.predicate.clone(),
    }
}

/// The counters of a GIN index of so many pages as they were read off the source.
fn known_counters(read: GinFigures, pages: u64) -> GinCounters {
    let page = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    GinCounters {
        pending: page(read.pending_pages),
        total: page(pages),
        entry_pages: page(read.entry_pages),
        data_pages: page(read.data_pages),
        entries: i64::try_from(read.entries).unwrap_or(i64::MAX),
    }
}

/// The counters of a GIN index of so many pages, in the proportions that the size model gives.
pub(super) fn gin_counters(
    snapshot: &Snapshot,
    table: &Table,
    definition: &IndexDefinition,
    pages: u64,
) -> Option<GinCounters> {
    let model = gin_figures(snapshot, table, definition)?;
    let known = (model.entry_pages + model.data_pages).max(1) as f64;
    let scale = pages.saturating_sub(1).max(1) as f64 / known;
    let scaled = |figure: u64| figure as f64 * scale;
    Some(GinCounters {
        pending: 0,
        total: u32::try_from(pages).unwrap_or(u32::MAX),
        entry_pages: scaled(model.entry_pages).round().max(1.0) as u32,
        data_pages: scaled(model.data_pages).round() as u32,
        entries: scaled(model.entries).round().max(1.0) as i64,
    })
}

/// Blocks of the table that one entry of a BRIN index sums up (`BRIN_DEFAULT_PAGES_PER_RANGE`, brin.h).
pub(super) const DEFAULT_RANGE: u64 = 128;

/// Pages of a BRIN index's range map: 1,360 ranges (`REVMAP_PAGE_MAXITEMS`, brin_page.h) of so many blocks each.
pub(super) fn brin_map(heap_pages: u64, range: u64) -> u32 {
    let ranges = heap_pages.div_ceil(range.max(1));
    u32::try_from(ranges.div_ceil(1360).max(1)).unwrap_or(u32::MAX)
}

/// Downlinks per inner page of a B-tree on a bigint: 70 % of a page (`BTREE_NONLEAF_FILLFACTOR`, nbtree.h) of 20 bytes.
const DEFAULT_FANOUT: f64 = 285.0;

/// Levels above the leaves of a B-tree of so many pages.
fn btree_height(pages: u64, fanout: f64) -> u32 {
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
