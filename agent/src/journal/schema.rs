//! The tables of the journal: how they are made, and whether they still are as we made them.

use std::collections::BTreeMap;

use super::JournalError;
use crate::postgres::{PgError, Session};

/// The version of the tables. Another one, older or newer, is refused.
pub const FORMAT: i32 = 2;

/// The tables, each in a file of its own: name, and what makes it, its indexes and its comments.
const TABLES: [(&str, &str); 3] = [
    ("OptimizationLog", include_str!("schema/log.sql")),
    ("Control", include_str!("schema/control.sql")),
    ("Observations", include_str!("schema/observations.sql")),
];
/// What people look at them through.
const VIEWS: &str = include_str!("schema/views.sql");

/// Name of a column -> its type, as `format_type` prints it.
type Columns = BTreeMap<String, String>;

/// Returns whether the journal exists; an error when it is not as we made it.
pub(crate) async fn exists(session: &Session) -> Result<bool, JournalError> {
    let found = columns(session).await?;
    if found.is_empty() {
        return Ok(false);
    }
    if let Some(format) = format(session, &found).await?.filter(|format| *format != FORMAT) {
        return Err(JournalError::Format { found: format });
    }
    difference(&found).map_or(Ok(true), |what| Err(JournalError::Changed { what }))
}

/// Reads the columns of those of our tables that are there.
async fn columns(session: &Session) -> Result<BTreeMap<String, Columns>, JournalError> {
    let sql = "SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
               WHERE n.nspname = 'pgwright' AND c.relname = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped";
    let names = TABLES.map(|(name, _)| name);
    let rows = session.query(sql, &[&names.as_slice()]).await.map_err(JournalError::Read)?;
    let mut found: BTreeMap<String, Columns> = BTreeMap::new();
    for row in rows {
        let read =
            || -> Result<_, PgError> { Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)) };
        let (table, name, kind) = read().map_err(JournalError::Read)?;
        found.entry(table).or_default().insert(name, kind);
    }
    Ok(found)
}

/// Returns the format that the tables say they have; `None` where they do not say.
async fn format(
    session: &Session,
    found: &BTreeMap<String, Columns>,
) -> Result<Option<i32>, JournalError> {
    if found
        .get("Control")
        .is_some_and(|columns| columns.get("format").is_some_and(|kind| kind == "integer"))
    {
        let sql = r#"SELECT "format" FROM pgwright."Control""#;
        let row = session.query_opt(sql, &[]).await.map_err(JournalError::Read)?;
        let Some(row) = row else {
            return Err(JournalError::Changed { what: "\"Control\" has lost its row".to_owned() });
        };
        return Ok(Some(row.try_get(0).map_err(|error| JournalError::Read(error.into()))?));
    }
    // The first format was told by a comment only.
    let sql = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'pgwright' AND c.relname = 'OptimizationLog' \
               AND pg_catalog.obj_description(c.oid, 'pg_class') LIKE 'pgwright journal, format 1.%'";
    let first = session.query_opt(sql, &[]).await.map_err(JournalError::Read)?;
    Ok(first.map(|_| 1))
}

/// The columns that the file of a table makes.
fn expected(sql: &str) -> Columns {
    let table = sql.split_once("(\n").and_then(|(_, rest)| rest.split_once("\n);"));
    let (columns, _) = table.expect("the file begins with the table");
    columns
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.trim().strip_prefix('"')?.split_once("\" ")?;
            let kind = rest.split([' ', ',']).next()?;
            let kind = match kind {
                "double" => "double precision",
                "timestamptz" => "timestamp with time zone",
                plain => plain,
            };
            Some((name.to_owned(), kind.to_owned()))
        })
        .collect()
}

fn difference(found: &BTreeMap<String, Columns>) -> Option<String> {
    TABLES.iter().find_map(|(table, sql)| {
        let Some(found) = found.get(*table) else {
            return Some(format!("table \"{table}\" is missing"));
        };
        let what = difference_of(&expected(sql), found)?;
        Some(format!("in \"{table}\" {what}"))
    })
}

fn difference_of(expected: &Columns, found: &Columns) -> Option<String> {
    for (name, kind) in expected {
        match found.get(name) {
            None => return Some(format!("column \"{name}\" is missing")),
            Some(other) if other != kind => {
                return Some(format!("column \"{name}\" has type {other}, not {kind}"));
            }
            Some(_) => {}
        }
    }
    let extra = found.keys().find(|name| !expected.contains_key(*name));
    extra.map(|name| format!("column \"{name}\" was added"))
}

/// Makes the journal where there is none.
pub(crate) async fn ensure(session: &Session) -> Result<(), JournalError> {
    if exists(session).await? {
        return Ok(());
    }
    create(session).await.map_err(JournalError::Create)
}

async fn create(session: &Session) -> Result<(), PgError> {
    let schema = session
        .query("SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'pgwright'", &[])
        .await?;
    let schema = if schema.is_empty() { "CREATE SCHEMA pgwright;" } else { "" };
    let tables = TABLES.map(|(_, sql)| sql).concat();
    let made = session.batch(&format!("BEGIN; {schema} {tables} {VIEWS} COMMIT")).await;
    if made.is_err() {
        // The error that led here says more than one of the clean-up.
        let _ = session.batch("ROLLBACK").await;
    }
    made
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Columns, FORMAT, TABLES, difference, expected};
    use crate::journal::State;

    fn all() -> BTreeMap<String, Columns> {
        TABLES.iter().map(|(name, sql)| ((*name).to_owned(), expected(sql))).collect()
    }

    #[test]
    fn the_expected_columns_are_those_of_the_schema() {
        let columns = &all()["OptimizationLog"];
        assert_eq!(columns.len(), 39);
        assert_eq!(columns["confidence"], "double precision");
        assert_eq!(columns["createdAt"], "timestamp with time zone");
        assert_eq!(columns["tableOid"], "oid");
        assert_eq!(all()["Control"].len(), 5);
    }

    #[test]
    fn every_column_of_every_table_is_explained() {
        for (table, sql) in TABLES {
            assert!(sql.contains(&format!("CREATE TABLE pgwright.\"{table}\" (")), "{table}");
            for column in expected(sql).keys() {
                let comment = format!("COMMENT ON COLUMN pgwright.\"{table}\".\"{column}\" IS");
                assert!(sql.contains(&comment), "{table}.{column}");
            }
        }
    }

    #[test]
    fn the_format_that_is_written_is_the_one_that_is_asked_for() {
        assert!(TABLES[1].1.contains(&format!("(\"format\") VALUES ({FORMAT});")));
    }

    #[test]
    fn every_difference_is_told() {
        let change = |change: &dyn Fn(&mut Columns)| {
            let mut found = all();
            change(found.get_mut("OptimizationLog").unwrap());
            difference(&found).unwrap()
        };
        assert_eq!(difference(&all()), None);
        let missing = change(&|columns| drop(columns.remove("undo")));
        assert_eq!(missing, "in \"OptimizationLog\" column \"undo\" is missing");
        let altered = change(&|columns| drop(columns.insert("state".into(), "integer".into())));
        assert_eq!(altered, "in \"OptimizationLog\" column \"state\" has type integer, not text");
        let added = change(&|columns| drop(columns.insert("mine".into(), "text".into())));
        assert_eq!(added, "in \"OptimizationLog\" column \"mine\" was added");
        let mut found = all();
        found.remove("Control");
        assert_eq!(difference(&found).unwrap(), "table \"Control\" is missing");
    }

    #[test]
    fn the_table_allows_exactly_these_states() {
        let schema = TABLES[0].1;
        for state in State::ALL {
            assert!(schema.contains(&format!("'{state}'")), "{state}");
        }
    }

    #[test]
    fn only_one_action_is_at_work_on_a_table_and_the_pending_ones_are_in_nobodys_way() {
        let schema = TABLES[0].1;
        let (_, rest) = schema.split_once("one_per_table").unwrap();
        let (condition, _) = rest.split_once(';').unwrap();
        for state in State::ALL {
            let at_work = state.is_in_flight() && !state.is_pending();
            assert_eq!(condition.contains(&format!("'{state}'")), at_work, "{state}");
        }
    }
}
