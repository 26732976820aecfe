//! Reads the catalogs.

use std::collections::BTreeMap;

use rules::snapshot::{Extension, Function, Table, View};
use serde::Deserialize;

use super::assemble::{self, Parts};
use super::{Query, Reader, SampleError};

/// What the catalogs say.
pub(super) struct Catalog {
    pub(super) settings: BTreeMap<String, String>,
    pub(super) extensions: Vec<Extension>,
    pub(super) tables: Vec<Table>,
    pub(super) views: Vec<View>,
    pub(super) functions: Vec<Function>,
    pub(super) notes: Vec<String>,
}

#[derive(Deserialize)]
struct Setting {
    name: String,
    value: String,
}

const SETTINGS: Query = Query { about: "the settings", sql: include_str!("settings.sql") };
const EXTENSIONS: Query = Query { about: "the extensions", sql: include_str!("extensions.sql") };
const TABLES: Query = Query { about: "the tables", sql: include_str!("tables.sql") };
const COLUMNS: Query = Query { about: "the columns", sql: include_str!("columns.sql") };
const STATS: Query = Query { about: "the columns' statistics", sql: include_str!("stats.sql") };
const COMBINATIONS: Query =
    Query { about: "the extended statistics", sql: include_str!("combinations.sql") };
const INDEXES: Query = Query { about: "the indexes", sql: include_str!("indexes.sql") };
const CONSTRAINTS: Query = Query { about: "the constraints", sql: include_str!("constraints.sql") };
const VIEWS: Query = Query { about: "the views", sql: include_str!("views.sql") };
const FUNCTIONS: Query = Query { about: "the functions", sql: include_str!("functions.sql") };

/// The server's code for a lock not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Reads all of it.
pub(super) async fn read(reader: &Reader<'_>) -> Result<Catalog, SampleError> {
    let settings: Vec<Setting> = reader.all(&SETTINGS).await?;
    let mut extensions: Vec<Extension> = reader.all(&EXTENSIONS).await?;
    extensions.sort_by(|a, b| a.name.cmp(&b.name));
    let (tables, locked) = assemble::tables(Parts {
        tables: reader.all_owned(&TABLES).await?,
        columns: reader.all_owned(&COLUMNS).await?,
        stats: reader.all_owned(&STATS).await?,
        together: reader.all(&COMBINATIONS).await?,
        indexes: reader.all_owned(&INDEXES).await?,
        constraints: reader.all_owned(&CONSTRAINTS).await?,
    });
    let mut notes = Vec::new();
    if !locked.is_empty() {
        notes.push(format!(
            "left out because another session has them locked (ALTER TABLE, VACUUM FULL …): {}",
            locked.join(", ")
        ));
    }
    let mut functions: Vec<Function> = reader.all(&FUNCTIONS).await?;
    functions.sort_by(|a, b| {
        (&a.schema, &a.name, &a.arguments).cmp(&(&b.schema, &b.name, &b.arguments))
    });
    Ok(Catalog {
        settings: settings.into_iter().map(|setting| (setting.name, setting.value)).collect(),
        extensions,
        tables,
        // Last, because it may end the transaction.
        views: read_views(reader, &mut notes).await?,
        functions,
        notes,
    })
}

/// Reads the views. Printing one waits for locks on the tables in it; rather than wait long, do without.
async fn read_views(
    reader: &Reader<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<View>, SampleError> {
    let mut views: Vec<View> = match reader.all(&VIEWS).await {
        Err(SampleError::Read { source, .. }) if source.sqlstate() == Some(LOCK_NOT_AVAILABLE) => {
            notes.push(
                "the views could not be read, because another session has a table of theirs locked"
                    .to_owned(),
            );
            Vec::new()
        }
        read => read?,
    };
    views.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    Ok(views)
}
