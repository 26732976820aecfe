//! Two rows per table: one with the lowest and one with the highest value of each column.
//!
//! Where a histogram's first or last bound decides an estimate, the planner looks the real end up through a B-tree
//! on the column (`get_actual_variable_range`, selfuncs.c). These two rows are what it finds, through whatever index
//! there is or will be. They are put in by the schema's ordinary owner, since generated columns, index expressions and
//! the input of domains run code of the schema; constraints, which two such rows need not satisfy, are out of the way
//! meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use rules::blueprint::{Blueprint, RelationShape};
use rules::quote::{ident, literal, qualified};
use rules::snapshot::{Column, Snapshot, Table, TableKind};

use super::error::is_of_space;
use super::notes::Notes;
use super::{Database, TwinError};
use crate::postgres::{PgError, Session};

/// Puts constraints away: what is not NULL, generated, checked, a partition or a materialized view is an ordinary
/// table of ordinary columns until [`BACK`].
const AWAY: [&str; 4] = [
    "CREATE TEMPORARY TABLE twin_tables AS \
     SELECT c.oid, c.relkind, c.relchecks, c.relispartition, c.relforcerowsecurity, c.relhasrules, c.relispopulated \
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
     AND c.relpersistence <> 't'",
    "CREATE TEMPORARY TABLE twin_columns AS \
     SELECT a.attrelid, a.attnum, a.attnotnull, a.attgenerated \
     FROM pg_catalog.pg_attribute AS a JOIN twin_tables AS t ON t.oid = a.attrelid \
     WHERE a.attnum > 0 AND (a.attnotnull OR a.attgenerated = 's')",
    "UPDATE pg_catalog.pg_attribute AS a SET attnotnull = false, attgenerated = '' \
     FROM twin_columns AS t WHERE (a.attrelid, a.attnum) = (t.attrelid, t.attnum)",
    "UPDATE pg_catalog.pg_class AS c \
     SET relkind = 'r', relchecks = 0, relispartition = false, relforcerowsecurity = false, \
         relhasrules = c.relhasrules AND c.relkind <> 'm' \
     FROM twin_tables AS t WHERE c.oid = t.oid AND (c.relkind = 'm' OR c.relchecks > 0 OR c.relispartition \
     OR c.relforcerowsecurity)",
];

/// Puts them back. A materialized view counts as filled: the source's is.
const BACK: [&str; 3] = [
    "UPDATE pg_catalog.pg_attribute AS a SET attnotnull = t.attnotnull, attgenerated = t.attgenerated \
     FROM twin_columns AS t WHERE (a.attrelid, a.attnum) = (t.attrelid, t.attnum)",
    "UPDATE pg_catalog.pg_class AS c \
     SET relkind = t.relkind, relchecks = t.relchecks, relispartition = t.relispartition, \
         relforcerowsecurity = t.relforcerowsecurity, relhasrules = t.relhasrules, relispopulated = true \
     FROM twin_tables AS t WHERE c.oid = t.oid",
    "DROP TABLE twin_columns, twin_tables",
];

/// Fills all tables.
pub(super) async fn fill(
    database: &mut Database,
    snapshot: &Snapshot,
    blueprint: &Blueprint,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let failed = TwinError::doing("put the ends of columns into tables");
    for sql in AWAY {
        database.trusted.execute(sql, &[]).await.map_err(&failed)?;
    }
    let ends = Ends::of(blueprint);
    let stored = |shape: &&RelationShape| shape.pages > 0;
    let stored: BTreeSet<(&str, &str)> =
        blueprint.relations.iter().filter(stored).map(|s| (&*s.schema, &*s.name)).collect();
    for table in &snapshot.tables {
        // A table without a block stays so, whatever old statistics say of it.
        if matches!(table.kind, TableKind::Table | TableKind::MaterializedView)
            && stored.contains(&(&*table.schema, &*table.name))
        {
            fill_one(database, table, &ends, notes).await?;
        }
    }
    for sql in BACK {
        database.trusted.execute(sql, &[]).await.map_err(&failed)?;
    }
    Ok(())
}

/// Low and high value of each column for which they are known, by schema, table and column.
struct Ends<'b> {
    looked_up: BTreeMap<[&'b str; 3], [Option<&'b str>; 2]>,
    /// Array literals of histogram and most common values.
    estimated: BTreeMap<[&'b str; 3], Vec<&'b str>>,
}

impl<'b> Ends<'b> {
    fn of(blueprint: &'b Blueprint) -> Self {
        let looked_up = blueprint.ends.iter().map(|end| {
            ([&*end.schema, &*end.table, &*end.column], [end.low.as_deref(), end.high.as_deref()])
        });
        let estimated = blueprint.statistics.iter().filter(|row| !row.inherited).map(|row| {
            let lists = [row.values.histogram.as_deref(), row.values.common_values.as_deref()];
            ([&*row.schema, &*row.relation, &*row.column], lists.into_iter().flatten().collect())
        });
        Self { looked_up: looked_up.collect(), estimated: estimated.collect() }
    }

    /// The lowest and the highest value as SQL; `None` where neither is known.
    fn of_column(&self, table: &Table, column: &Column, estimates: bool) -> Option<[String; 2]> {
        let key = [&*table.schema, &*table.name, &*column.name];
        // Of a column without values, as of an empty table, nothing is put in: a row more would be a block more.
        if let Some(ends) = self.looked_up.get(&key).filter(|ends| ends[0].is_some()) {
            return Some(ends.map(|end| end.map_or_else(|| "NULL".to_owned(), literal)));
        }
        let lists = self.estimated.get(&key).filter(|lists| !lists.is_empty())?;
        if !estimates || !column.btree || column.type_category == 'A' {
            return None;
        }
        let base = qualified(&column.base_type_schema, &column.base_type);
        let all: Vec<String> =
            lists.iter().map(|list| format!("{}::{base}[]", literal(list))).collect();
        let end = |order: &str| {
            format!(
                "(SELECT v FROM pg_catalog.unnest({}) AS v ORDER BY v {order} LIMIT 1)",
                all.join(" || ")
            )
        };
        Some([end("ASC"), end("DESC")])
    }
}

/// Fills one table, with fewer columns where all of them are refused; an error only when the server is lost.
async fn fill_one(
    database: &mut Database,
    table: &Table,
    ends: &Ends<'_>,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    let mut refused = None;
    for estimates in [true, false] {
        let known: Vec<(&Column, [String; 2])> = table
            .columns
            .iter()
            .filter_map(|column| Some((column, ends.of_column(table, column, estimates)?)))
            .collect();
        if known.is_empty() {
            break;
        }
        match insert(&database.owner, table, &known).await {
            Ok(()) => return Ok(()),
            Err(error) if is_of_space(&error) => {
                return Err(TwinError::doing("put rows in")(error));
            }
            Err(error) => {
                if error.is_lost() {
                    database.reopen_owner().await?;
                }
                refused = Some(error);
            }
        }
    }
    if let Some(error) = refused {
        notes.add(&format!(
            "the ends of {}'s columns could not be put into the twin, which takes them from the statistics instead: {error}",
            table.qualified()
        ));
    }
    Ok(())
}

async fn insert(
    owner: &Session,
    table: &Table,
    known: &[(&Column, [String; 2])],
) -> Result<(), PgError> {
    let columns: Vec<String> = table.columns.iter().map(|column| ident(&column.name)).collect();
    let row = |end: usize| -> Vec<String> {
        let value = |column: &Column| {
            let found = known.iter().find(|(known, _)| known.number == column.number);
            found.map_or_else(|| "NULL".to_owned(), |(_, ends)| ends[end].clone())
        };
        table.columns.iter().map(value).collect()
    };
    let sql = |end: usize| {
        format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            table.qualified(),
            columns.join(", "),
            row(end).join(", ")
        )
    };
    owner.execute(&sql(0), &[]).await?;
    match owner.execute(&sql(1), &[]).await {
        // Low and high are one where a table holds one row, or a unique column one value.
        Err(error) if error.sqlstate() == Some("23505") => Ok(()),
        done => done.map(|_| ()),
    }
}
