//! Definitions from the catalogs: works on every version, for every role.

use std::collections::{BTreeMap, BTreeSet};

use rules::blueprint::Definition;
use serde::Deserialize;

use super::order::{Id, Node, Web};
use super::table::{self, Parts};
use super::{BlueprintError, read};
use crate::postgres::Session;
use crate::sampler::Query;

/// A definition that the server prints whole.
#[derive(Debug, Deserialize)]
struct Printed {
    class: u32,
    oid: u32,
    #[serde(default)]
    step: u32,
    table_oid: Option<u32>,
    /// Schema and name of a view, whose columns may have defaults.
    schema: Option<String>,
    view: Option<String>,
    #[serde(flatten)]
    definition: Definition,
}

#[derive(Debug, Deserialize)]
struct Need {
    class: u32,
    oid: u32,
    needs_class: u32,
    needs_oid: u32,
    how: char,
}

#[derive(Debug, Deserialize)]
struct LeftOut {
    class: u32,
    oid: u32,
    name: String,
}

/// A query whose rows are definitions. Those that print what was written over tables can meet a lock.
macro_rules! printed {
    ($($about:literal: $file:literal),* $(,)?) => {
        [$(Query { about: $about, sql: include_str!(concat!("sql/", $file, ".sql")) }),*]
    };
}

const ROLES: Query = Query { about: "roles", sql: include_str!("sql/roles.sql") };
const PRINTED: [Query; 14] = printed![
    "schemas": "schemas",
    "extensions": "extensions",
    "collations": "collations",
    "types": "types",
    "functions": "functions",
    "aggregates": "aggregates",
    "operators": "operators",
    "operator classes": "operator_classes",
    "text search configurations": "text_search",
    "mappings of text search configurations": "text_search_mappings",
    "sequences": "sequences",
    "views": "views",
    "extended statistics objects": "statistics_objects",
    "rules, triggers and policies": "behaviour",
];
const NEEDS: &str = include_str!("sql/needs.sql");
const LEFT_OUT: Query =
    Query { about: "what cannot be built elsewhere", sql: include_str!("sql/left_out.sql") };
const TABLES: Query = Query { about: "tables", sql: include_str!("sql/tables.sql") };
const COLUMNS: &str = include_str!("sql/columns.sql");
const CONSTRAINTS: Query = Query { about: "constraints", sql: include_str!("sql/constraints.sql") };
const INDEXES: Query = Query { about: "indexes", sql: include_str!("sql/indexes.sql") };

/// `pg_class`, whose own number is fixed (pg_class.h).
const PG_CLASS: u32 = 1259;

/// All definitions, in an order in which they can be run.
pub(super) async fn definitions(
    session: &Session,
    notes: &mut Vec<String>,
) -> Result<Vec<Definition>, BlueprintError> {
    let mut web = web(session).await?;
    let mut nodes = Vec::new();
    let mut views = BTreeMap::new();
    for query in [&ROLES].into_iter().chain(&PRINTED) {
        for row in read::unlocked::<Printed>(session, query, notes).await? {
            let id = (row.class, row.oid);
            views.extend(row.schema.zip(row.view).map(|name| (row.oid, name)));
            let table = row.table_oid.map(|oid| (PG_CLASS, oid));
            nodes.push(Node { step: row.step, table, ..Node::new(id, row.definition) });
        }
    }
    let parts = Parts {
        major: session.version().major(),
        tables: read::unlocked(session, &TABLES, notes).await?,
        columns: read::portions(session, "columns", COLUMNS).await?,
        constraints: read::unlocked(session, &CONSTRAINTS, notes).await?,
        indexes: read::unlocked(session, &INDEXES, notes).await?,
        views,
    };
    note_access_methods(&parts, notes);
    nodes.extend(table::nodes(&parts, &mut web, notes));
    Ok(web.order(nodes, notes))
}

/// The roles that policies and settings name, which `pg_dump` does not write.
pub(super) async fn roles(session: &Session) -> Result<Vec<Definition>, BlueprintError> {
    let mut roles: Vec<Definition> = read::all(session, &ROLES).await?;
    roles.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(roles)
}

/// How all objects hang together.
async fn web(session: &Session) -> Result<Web, BlueprintError> {
    let mut web = Web::default();
    for need in read::portions::<Need>(session, "what objects need", NEEDS).await? {
        let id: Id = (need.class, need.oid);
        let needs = (need.needs_class, need.needs_oid);
        match need.how {
            'e' => {
                web.members.insert(id, needs);
            }
            'i' => {
                web.part_of.entry(id).or_insert(needs);
            }
            _ => {
                web.needs.entry(id).or_default().insert(needs);
            }
        }
    }
    let left_out = read::all::<LeftOut>(session, &LEFT_OUT).await?;
    web.left_out = left_out.into_iter().map(|row| ((row.class, row.oid), row.name)).collect();
    Ok(web)
}

fn note_access_methods(parts: &Parts, notes: &mut Vec<String>) {
    let methods: BTreeSet<&String> =
        parts.tables.iter().filter_map(|table| table.access_method.as_ref()).collect();
    for method in methods {
        notes.push(format!(
            "tables of access method {method} are planned as ordinary tables: scans of them may cost more or less"
        ));
    }
}
