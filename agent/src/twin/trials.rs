//! Indexes on trial: real ones on the twin's nearly empty tables, with the length and height that they would have.
//!
//! An index is built while its table's file is cut down to the blocks that hold something, since building reads
//! them all. It then moves to another tablespace: that writes its file beside the buffer cache
//! (`RelationCopyStorage`, storage.c), so nobody holds a page of it while it is changed from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rules::blueprint::RelationShape;
use rules::index::IndexDefinition;
use rules::quote::{ident, qualified};
use rules::sizes::{btree_height, index_bytes};
use rules::snapshot::{Snapshot, Table};

use super::database::TRIALS;
use super::error::is_of_space;
use super::pages::GinCounters;
use super::stretch::{DEFAULT_RANGE, brin_map, gin_counters};
use super::{Database, TwinError, pages, statistics};
use crate::postgres::PgError;

/// An index to be tried.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// Its name.
    pub(crate) name: String,
    definition: IndexDefinition,
    /// Blocks that it would have.
    pages: u64,
    /// Rows that it would hold.
    rows: f64,
    /// Blocks of its table.
    heap_pages: u64,
    height: u32,
    gin: Option<GinCounters>,
}

impl Trial {
    /// An index on one table; `rows` where the planner estimated how many a partial one holds.
    pub(crate) fn new(
        snapshot: &Snapshot,
        table: &Table,
        definition: IndexDefinition,
        name: String,
        rows: Option<f64>,
    ) -> Self {
        let table = &grown(snapshot, table);
        // The meta page is always there, and a root where there are rows.
        let pages = if table.pages == 0 && definition.method == "btree" {
            1
        } else {
            index_bytes(snapshot, table, &definition).div_ceil(pages::BLOCK).max(2)
        };
        let height = btree_height(snapshot, table, &definition);
        let gin = gin_counters(snapshot, table, &definition, pages);
        let rows = rows.or(table.rows).unwrap_or_default();
        let heap_pages = table.pages;
        Self { name, definition, pages, rows, heap_pages, height, gin }
    }

    fn create(&self) -> String {
        format!("CREATE INDEX {} {}", ident(&self.name), self.definition.canonical())
    }

    fn qualified(&self) -> String {
        qualified(&self.definition.schema, &self.name)
    }
}

/// The table with as many rows as the planner expects: where it grew or shrank since it was last counted, in
/// proportion to its blocks (`estimate_rel_size`, plancat.c).
fn grown(snapshot: &Snapshot, table: &Table) -> Table {
    let shapes = snapshot.blueprint.iter().flat_map(|blueprint| &blueprint.relations);
    let factor = shapes
        .filter(|shape| shape.schema == table.schema && shape.name == table.name)
        .find(|shape| shape.rel_pages > 0)
        .map_or(1.0, |shape| shape.pages as f64 / f64::from(shape.rel_pages));
    Table { rows: table.rows.map(|rows| rows * factor), ..table.clone() }
}

impl Database {
    /// Makes indexes that nobody sees until they are switched on; why not, for each that cannot be made.
    pub(super) async fn make(
        &mut self,
        trials: &[Trial],
    ) -> Result<Vec<Result<(), String>>, TwinError> {
        let mut outcomes: Vec<Result<(), String>> = Vec::with_capacity(trials.len());
        for trial in trials {
            outcomes.push(self.build(trial).await?);
        }
        let made: Vec<&Trial> =
            trials.iter().zip(&outcomes).filter(|(_, made)| made.is_ok()).map(|(t, _)| t).collect();
        if !made.is_empty() {
            self.measure(&made).await?;
        }
        Ok(outcomes)
    }

    async fn build(&mut self, trial: &Trial) -> Result<Result<(), String>, TwinError> {
        let IndexDefinition { schema, table, .. } = &trial.definition;
        let Some(heap) = self.files.get(&(schema.clone(), table.clone())).cloned() else {
            return Ok(Err(format!("the twin has no table {}", qualified(schema, table))));
        };
        let failed = |source| TwinError::File { path: heap.path.clone(), source };
        pages::shorten(&heap.path, heap.filled).map_err(failed)?;
        let made = self.owner.execute(&trial.create(), &[]).await;
        pages::stretch(&heap.path, heap.pages).map_err(failed)?;
        match made {
            Ok(_) => Ok(Ok(())),
            Err(error) if is_of_space(&error) => Err(TwinError::doing("try an index")(error)),
            Err(error) => {
                if error.is_lost() {
                    self.reopen_owner().await?;
                }
                Ok(Err(error.to_string().replace('\n', " ")))
            }
        }
    }

    /// Gives indexes just made their lengths, and hides them.
    async fn measure(&mut self, made: &[&Trial]) -> Result<(), TwinError> {
        let failed = TwinError::doing("try an index");
        for trial in made {
            let sql = format!("ALTER INDEX {} SET TABLESPACE {TRIALS}", trial.qualified());
            self.trusted.execute(&sql, &[]).await.map_err(&failed)?;
        }
        // What is written from now on is not written again after a crash.
        self.trusted.execute("CHECKPOINT", &[]).await.map_err(&failed)?;
        let schemas: Vec<&str> = made.iter().map(|trial| &*trial.definition.schema).collect();
        let names: Vec<&str> = made.iter().map(|trial| &*trial.name).collect();
        let pages: Vec<i32> =
            made.iter().map(|trial| i32::try_from(trial.pages).unwrap_or(i32::MAX)).collect();
        let rows: Vec<f32> = made.iter().map(|trial| trial.rows as f32).collect();
        let sql = include_str!("trials.sql");
        let found =
            self.trusted.query(sql, &[&schemas, &names, &pages, &rows]).await.map_err(&failed)?;
        let mut paths: BTreeMap<String, String> = BTreeMap::new();
        for row in found {
            let name: String = row.try_get(1).map_err(PgError::from).map_err(&failed)?;
            self.trials
                .insert(name.clone(), row.try_get(0).map_err(PgError::from).map_err(&failed)?);
            paths.insert(name, row.try_get(2).map_err(PgError::from).map_err(&failed)?);
        }
        for trial in made {
            if let Some(path) = paths.get(&trial.name) {
                trial.shape(&self.data.join(path))?;
            }
        }
        let tables = made.iter().map(|trial| (&*trial.definition.schema, &*trial.definition.table));
        self.restore_shapes(&tables.collect()).await
    }

    /// Takes back what building an index made the server note of its table.
    async fn restore_shapes(&self, tables: &BTreeSet<(&str, &str)>) -> Result<(), TwinError> {
        let shapes: Vec<&RelationShape> = self
            .shapes
            .iter()
            .filter(|shape| tables.contains(&(&*shape.schema, &*shape.name)))
            .collect();
        statistics::write_shapes(&self.trusted, &shapes).await
    }
}

impl Trial {
    /// Makes the file of an index just built what it would be.
    fn shape(&self, path: &Path) -> Result<(), TwinError> {
        let shaped = match self.definition.method.as_str() {
            "btree" if self.pages > 1 => pages::raise_btree(path, self.height),
            "brin" => pages::map_brin(path, brin_map(self.heap_pages, DEFAULT_RANGE)),
            _ => self.gin.map_or(Ok(()), |counters| pages::count_gin(path, counters)),
        };
        shaped
            .and_then(|()| pages::stretch(path, self.pages))
            .map_err(|source| TwinError::File { path: path.to_path_buf(), source })
    }
}
