//! The tables of the journal: how they are made, and whether they still are as we made them.

use std::collections::BTreeMap;

use super::{JournalError, trust};
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

/// What is there of the journal, or should be.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shape {
    /// By table.
    columns: BTreeMap<String, Columns>,
    /// What keeps the rows right and what people read them through, as a message names it: `index "…"` -> its definition.
    parts: BTreeMap<String, String>,
}

/// Returns whether the journal exists; an error when it is not as we made it.
pub(crate) async fn exists(session: &Session) -> Result<bool, JournalError> {
    trust::check(session, &TABLES.map(|(name, _)| name)).await?;
    let found = shape(session).await?;
    if found.columns.is_empty() {
        return Ok(false);
    }
    if let Some(format) = format(session, &found).await?.filter(|format| *format != FORMAT) {
        return Err(JournalError::Format { found: format });
    }
    difference(&found).map_or(Ok(true), |what| Err(JournalError::Changed { what }))
}

/// Columns, constraints and indexes of our tables, and our views. What the server tells of one that does not hold (yet)
/// is part of its definition.
const SHAPE: &str = "WITH ours AS ( \
        SELECT c.* FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = 'pgwright') \
    SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
    FROM ours c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
    WHERE c.relname = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped \
    UNION ALL SELECT NULL, pg_catalog.format('constraint \"%s\" of \"%s\"', k.conname, c.relname), \
        pg_catalog.pg_get_constraintdef(k.oid) \
    FROM ours c JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid WHERE c.relname = ANY ($1) \
    UNION ALL SELECT NULL, pg_catalog.format('index \"%s\"', x.relname), \
        pg_catalog.pg_get_indexdef(x.oid) || CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' INVALID' END \
    FROM ours c JOIN pg_catalog.pg_index i ON i.indrelid = c.oid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
    WHERE c.relname = ANY ($1) \
    UNION ALL SELECT NULL, pg_catalog.format('view \"%s\"', c.relname), pg_catalog.format( \
        'CREATE VIEW pgwright.\"%s\" AS %s', c.relname, pg_catalog.pg_get_viewdef(c.oid)) \
    FROM ours c WHERE c.relkind = 'v'";

/// Reads what is there.
async fn shape(session: &Session) -> Result<Shape, JournalError> {
    let names = TABLES.map(|(name, _)| name);
    let rows = session.query(SHAPE, &[&names.as_slice()]).await.map_err(JournalError::Read)?;
    let mut found = Shape::default();
    for row in rows {
        let read = || -> Result<(Option<String>, String, String), PgError> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        };
        let (table, name, definition) = read().map_err(JournalError::Read)?;
        match table {
            Some(table) => found.columns.entry(table).or_default().insert(name, definition),
            None => found.parts.insert(name, definition),
        };
    }
    Ok(found)
}

/// Returns the format that the tables say they have; `None` where they do not say.
async fn format(session: &Session, found: &Shape) -> Result<Option<i32>, JournalError> {
    if found
        .columns
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

/// What our files make.
fn expected() -> Shape {
    let mut shape = Shape::default();
    for (table, sql) in TABLES {
        shape.columns.insert(table.to_owned(), expected_columns(sql));
        for constraint in table_of(sql).split(",\n    CONSTRAINT \"").skip(1) {
            let (name, definition) = constraint.split_once("\" ").expect("a constraint has a name");
            let what = format!("constraint \"{name}\" of \"{table}\"");
            shape.parts.insert(what, definition.to_owned());
        }
    }
    let statements = TABLES.iter().flat_map(|(_, sql)| sql.split(";\n")).chain(VIEWS.split(";\n"));
    for statement in statements {
        for (start, kind) in [("CREATE UNIQUE INDEX ", "index"), ("CREATE VIEW pgwright.", "view")]
        {
            let name = statement.strip_prefix(start).and_then(|rest| rest.split(' ').next());
            shape.parts.extend(name.map(|name| (format!("{kind} {name}"), statement.to_owned())));
        }
    }
    shape
}

/// What stands between the parentheses of the table that a file begins with.
fn table_of(sql: &str) -> &str {
    let table = sql.split_once("(\n").and_then(|(_, rest)| rest.split_once("\n);"));
    table.expect("the file begins with the table").0
}

/// The columns that the file of a table makes.
fn expected_columns(sql: &str) -> Columns {
    table_of(sql)
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

/// A definition without what versions of the server, and it and we, print or leave out at will: blanks, parentheses,
/// quotes, the type of texts and the names that qualify others.
fn plain(definition: &str) -> String {
    let told = |c: &char| !c.is_whitespace() && !"()\";".contains(*c);
    let told: String = definition.chars().filter(told).collect();
    ["::text", "pgwright.", "OptimizationLog."]
        .iter()
        .fold(told, |text, at_will| text.replace(at_will, ""))
}

/// What is different first. What somebody added to constraints, indexes and views is theirs.
fn difference(found: &Shape) -> Option<String> {
    let expected = expected();
    let columns = TABLES.iter().find_map(|(table, _)| {
        let Some(found) = found.columns.get(*table) else {
            return Some(format!("table \"{table}\" is missing"));
        };
        let what = difference_of(&expected.columns[*table], found)?;
        Some(format!("in \"{table}\" {what}"))
    });
    columns.or_else(|| {
        expected.parts.iter().find_map(|(what, definition)| match found.parts.get(what) {
            None => Some(format!("{what} is missing")),
            Some(other) if plain(other) != plain(definition) => {
                Some(format!("{what} is not as it was made"))
            }
            Some(_) => None,
        })
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
    match create(session).await {
        // Another run made it at the same time.
        Err(_) if exists(session).await.is_ok_and(|made| made) => Ok(()),
        made => made.map_err(JournalError::Create),
    }
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
    use super::{Columns, FORMAT, TABLES, difference, expected, expected_columns, plain};
    use crate::journal::State;

    #[test]
    fn the_expected_columns_are_those_of_the_schema() {
        let columns = &expected().columns["OptimizationLog"];
        assert_eq!(columns.len(), 39);
        assert_eq!(columns["confidence"], "double precision");
        assert_eq!(columns["createdAt"], "timestamp with time zone");
        assert_eq!(columns["tableOid"], "oid");
        assert_eq!(expected().columns["Control"].len(), 5);
    }

    #[test]
    fn every_column_of_every_table_is_explained() {
        for (table, sql) in TABLES {
            assert!(sql.contains(&format!("CREATE TABLE pgwright.\"{table}\" (")), "{table}");
            for column in expected_columns(sql).keys() {
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
            let mut found = expected();
            change(found.columns.get_mut("OptimizationLog").unwrap());
            difference(&found).unwrap()
        };
        assert_eq!(difference(&expected()), None);
        let missing = change(&|columns| drop(columns.remove("undo")));
        assert_eq!(missing, "in \"OptimizationLog\" column \"undo\" is missing");
        let altered = change(&|columns| drop(columns.insert("state".into(), "integer".into())));
        assert_eq!(altered, "in \"OptimizationLog\" column \"state\" has type integer, not text");
        let added = change(&|columns| drop(columns.insert("mine".into(), "text".into())));
        assert_eq!(added, "in \"OptimizationLog\" column \"mine\" was added");
        let mut found = expected();
        found.columns.remove("Control");
        assert_eq!(difference(&found).unwrap(), "table \"Control\" is missing");
        for what in expected().parts.keys() {
            let mut found = expected();
            found.parts.insert(what.clone(), "CHECK (true)".into());
            assert_eq!(difference(&found).unwrap(), format!("{what} is not as it was made"));
            found.parts.remove(what);
            assert_eq!(difference(&found).unwrap(), format!("{what} is missing"));
        }
        let mut found = expected();
        found.parts.insert("index \"mine\"".into(), "CREATE INDEX mine".into());
        assert_eq!(difference(&found), None);
    }

    #[test]
    fn the_parts_are_those_of_the_schema_however_they_are_printed() {
        let parts = expected().parts;
        assert_eq!(
            parts.keys().collect::<Vec<_>>(),
            [
                "constraint \"Control_only_one_row\" of \"Control\"",
                "constraint \"Control_pkey\" of \"Control\"",
                "constraint \"Observations_pkey\" of \"Observations\"",
                "constraint \"Observations_subject\" of \"Observations\"",
                "constraint \"OptimizationLog_pkey\" of \"OptimizationLog\"",
                "constraint \"OptimizationLog_state\" of \"OptimizationLog\"",
                "index \"OptimizationLog_one_per_action\"",
                "index \"OptimizationLog_one_per_table\"",
                "view \"Actions\"",
            ]
        );
        let printed = "CHECK ((subject = ANY (ARRAY['server'::text, 'statement'::text, 'table'::text, 'index'::text])))";
        let subject = &parts["constraint \"Observations_subject\" of \"Observations\""];
        assert_eq!(plain(subject), plain(printed));
        assert_ne!(plain(subject), plain(&format!("{printed} NOT VALID")));
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
