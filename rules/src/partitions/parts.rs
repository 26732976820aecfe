//! An index of a partitioned table as one action: which indexes it is made of, and which statements make it.
//!
//! One is built concurrently on each partition that holds rows. Then one short transaction makes the index of the
//! table itself and of each partition that is partitioned again, and attaches all of them: it changes the catalog
//! only, and leaves everything attached or nothing. Names follow from the action's key and the table, so that
//! whoever comes after a crash finds them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change_plan::{TableRef, digest, index_name};
use crate::index::IndexDefinition;
use crate::quote::{ident, qualified};
use crate::snapshot::{Snapshot, Table, TableKind};
use crate::statement::guard::Permitted;
use crate::statement::index_shape::IndexShape;

/// The most partitions of which an index is made as one action. The transaction that attaches a thousand indexes keeps
/// writers and readers waiting for 0.2 to 0.5 s (measured on two cores, PostgreSQL 15 and 18), and has some three
/// locks for each.
pub const PARTS_MAX: usize = 1000;

/// A partition, however deep below its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The partition.
    pub table: TableRef,
    /// Oid of the table that it is a partition of.
    pub above: u32,
    /// Whether it is partitioned itself.
    pub partitioned: bool,
}

/// The index on one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Name of the index, unqualified; it is in the schema of its partition.
    pub name: String,
    /// The partition.
    pub table: TableRef,
    /// Oid of the table that it is a partition of.
    pub above: u32,
    /// Whether it is partitioned itself.
    pub partitioned: bool,
}

impl Part {
    /// The index on a partition, for the action with this key.
    pub fn of(key: &str, definition: &IndexDefinition, branch: &Branch) -> Self {
        let Branch { table, above, partitioned } = branch.clone();
        let own = digest(&format!("{key}\n{}", table.qualified()));
        let name = index_name(&definition.on(&table), &own);
        Self { name, table, above, partitioned }
    }

    /// Name of the index with its schema, quoted.
    pub fn full(&self) -> String {
        qualified(&self.table.schema, &self.name)
    }
}

/// The indexes of which one on a partitioned table is made, parents before their children; the reason where that is
/// nothing to be done unattended.
pub fn plan(
    snapshot: &Snapshot,
    table: &Table,
    key: &str,
    definition: &IndexDefinition,
) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut level = vec![table];
    while !level.is_empty() {
        let below: Vec<&Table> =
            level.iter().flat_map(|above| super::partitions(snapshot, above)).collect();
        for branch in &below {
            fit(branch, definition)?;
            parts.push(Part::of(key, definition, &as_branch(branch)));
        }
        level = below;
    }
    if !table.may_index {
        return Err(crate::rules::rights(table));
    }
    sound(&parts)?;
    Ok(parts)
}

fn as_branch(table: &Table) -> Branch {
    let reference =
        TableRef { oid: table.oid, schema: table.schema.clone(), name: table.name.clone() };
    Branch {
        table: reference,
        above: table.partition_of.unwrap_or(0),
        partitioned: table.kind == TableKind::Partitioned,
    }
}

/// Whether a partition can have its index unattended.
fn fit(branch: &Table, definition: &IndexDefinition) -> Result<(), String> {
    let name = qualified(&branch.schema, &branch.name);
    if branch.kind == TableKind::Foreign {
        return Err(format!(
            "{name} is a foreign table, which can have no index, so that the index of the whole can never be valid"
        ));
    }
    if let Some(reason) = crate::rules::by_hand(branch) {
        return Err(reason);
    }
    let equal = branch.indexes.iter().find(|index| definition.is_printed_as(&index.definition));
    equal.map_or(Ok(()), |index| Err(in_the_way(&qualified(&index.schema, &index.name), &name)))
}

/// Why an index that a partition has already keeps the whole from being one action: attached, it would go with the
/// whole when that is taken back, and beside it a second one would do the same work twice.
pub fn in_the_way(index: &str, table: &str) -> String {
    format!(
        "{index} on {table} does the same already and is somebody else's: attached, it would be dropped when the \
         whole is taken back"
    )
}

/// Whether these are few enough, and each has a name of its own; else the reason.
pub fn sound(parts: &[Part]) -> Result<(), String> {
    if parts.is_empty() {
        return Err("it has no partitions".to_owned());
    }
    if parts.len() > PARTS_MAX {
        return Err(format!(
            "it has {} partitions, and of more than {PARTS_MAX} the indexes are not attached in one transaction",
            parts.len()
        ));
    }
    let mut names: Vec<_> = parts.iter().map(Part::full).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two of its indexes would be called {}", pair[0])),
        None => Ok(()),
    }
}

/// What makes the whole out of the indexes on the leaves, with what each statement is meant to be: run in one
/// transaction.
pub fn attaching(
    table: &TableRef,
    name: &str,
    definition: &IndexDefinition,
    parts: &[Part],
) -> Vec<(String, Permitted)> {
    let only = |table: &TableRef, name: &str| {
        let body = definition.on(table).body();
        let sql = format!("CREATE INDEX {} ON ONLY {} {body}", ident(name), table.qualified());
        let (schema, table) = (table.schema.clone(), table.name.clone());
        (sql, Permitted::CreateIndexOnly { name: name.to_owned(), schema, table })
    };
    let mut statements = vec![only(table, name)];
    let again = parts.iter().filter(|part| part.partitioned);
    statements.extend(again.map(|part| only(&part.table, &part.name)));
    // From the leaves up, so that each becomes valid once.
    statements.extend(parts.iter().rev().map(|part| {
        let above = parts.iter().find(|other| other.table.oid == part.above);
        let above = above.map_or_else(|| qualified(&table.schema, name), Part::full);
        let sql = super::attach(&above, &part.full());
        let (schema, name) = (part.table.schema.clone(), part.name.clone());
        (sql, Permitted::AttachIndex { schema, name })
    }));
    statements
}

/// All statements that make the index, for people.
pub fn statements(
    table: &TableRef,
    name: &str,
    definition: &IndexDefinition,
    parts: &[Part],
) -> Vec<String> {
    let leaves = parts.iter().filter(|part| !part.partitioned);
    let mut all: Vec<String> =
        leaves.map(|leaf| definition.on(&leaf.table).create(&leaf.name)).collect();
    all.push("BEGIN".to_owned());
    // Others wait behind whoever waits for a lock.
    all.push("SET LOCAL lock_timeout = '3s'".to_owned());
    all.extend(attaching(table, name, definition, parts).into_iter().map(|(sql, _)| sql));
    all.push("COMMIT".to_owned());
    all
}

impl IndexDefinition {
    /// The same on another table with the same columns.
    #[must_use]
    pub fn on(&self, table: &TableRef) -> Self {
        Self { schema: table.schema.clone(), table: table.name.clone(), ..self.clone() }
    }

    /// Whether the server's print of an index is this one, on whichever table; the index of a partitioned table is
    /// printed with ONLY.
    pub fn is_printed_as(&self, printed: &str) -> bool {
        self.is_printed_under(printed, &BTreeMap::new())
    }

    /// The same where columns have other names by now: today's -> the one that was planned with.
    pub fn is_printed_under(&self, printed: &str, renamed: &BTreeMap<String, String>) -> bool {
        let shape = |definition: &str| IndexShape::of(definition).map(IndexShape::without_table);
        let Ok(wanted) = shape(&self.create("i")) else { return false };
        let printed = printed.replacen(" ON ONLY ", " ON ", 1);
        shape(&printed).is_ok_and(|printed| wanted.is_printed_as(&printed.with_columns(renamed)))
    }
}
