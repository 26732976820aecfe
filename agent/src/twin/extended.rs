//! Extended statistics, written as `CREATE STATISTICS` and ANALYZE would have left them.
//!
//! Numbers of distinct combinations and functional dependencies are written in the form in which the server keeps
//! them (`statext_ndistinct_serialize`, mvdistinct.c; `statext_dependencies_serialize`, dependencies.c). Lists of common
//! combinations hold values of the schema's types, so the server makes them itself, of a scratch table that holds each
//! combination once; then their frequencies are put in (`statext_mcv_serialize`, mcv.c).

use std::collections::BTreeMap;

use rules::blueprint::{Blueprint, ColumnStatistics, CommonCombination, ExtendedStatistics};
use rules::quote::{ident, literal, qualified};

use super::error::is_of_space;
use super::notes::Notes;
use super::{Database, TwinError, statistics};
use crate::postgres::PgError;

/// The schema of scratch tables.
const SCRATCH: &str = "pgwright_scratch";
/// `STATS_NDISTINCT_MAGIC` and `STATS_DEPS_MAGIC` (statistics_internal.h).
const NDISTINCT_MAGIC: u32 = 0xA352_BFA4;
const DEPENDENCIES_MAGIC: u32 = 0xB454_9A2C;

/// Ways for bytes to become what the server keeps; they go when the statistics are in.
const TYPES: [&str; 3] = ["pg_ndistinct", "pg_dependencies", "pg_mcv_list"];

/// Writes all extended statistics.
pub(super) async fn write(
    database: &mut Database,
    blueprint: &Blueprint,
    notes: &mut Notes,
) -> Result<(), TwinError> {
    if blueprint.extended.is_empty() {
        return Ok(());
    }
    let failed = TwinError::doing("write extended statistics");
    for name in TYPES {
        let cast = format!("CREATE CAST (bytea AS pg_catalog.{name}) WITHOUT FUNCTION");
        database.trusted.execute(&cast, &[]).await.map_err(&failed)?;
    }
    for statistics in &blueprint.extended {
        match write_one(database, statistics).await {
            Ok(()) => {}
            Err(error) if is_of_space(&error) => {
                return Err(TwinError::doing("take extended statistics over")(error));
            }
            Err(error) => {
                if error.is_lost() {
                    database.reopen_owner().await?;
                }
                notes.add(&format!(
                    "extended statistics {} could not be taken over whole: {error}",
                    qualified(&statistics.schema, &statistics.name)
                ));
            }
        }
    }
    let drop = format!("DROP SCHEMA IF EXISTS {SCRATCH} CASCADE");
    database.trusted.execute(&drop, &[]).await.map_err(&failed)?;
    for name in TYPES {
        let cast = format!("DROP CAST (bytea AS pg_catalog.{name})");
        database.trusted.execute(&cast, &[]).await.map_err(&failed)?;
    }
    Ok(())
}

/// A statistics object of the twin's.
struct Object {
    oid: u32,
    schema: String,
    table: String,
    /// Its columns in order of their numbers.
    columns: Vec<String>,
    expressions: Vec<String>,
}

async fn write_one(database: &Database, statistics: &ExtendedStatistics) -> Result<(), PgError> {
    let object = find(database, statistics).await?;
    let distinct = statistics.n_distinct.as_deref().map(ndistinct).transpose()?;
    let dependencies = statistics.dependencies.as_deref().map(dependencies).transpose()?;
    let (mut common, mut expressions) = (None, None);
    let mut problem = None;
    if !statistics.common.is_empty() || !statistics.expressions.is_empty() {
        match scratch(database, &object, statistics).await {
            Ok(made) => (common, expressions) = made,
            Err(error) if error.is_lost() => return Err(error),
            Err(error) => problem = Some(error),
        }
    }
    let inherits = database.trusted.version().major() >= 15;
    let (column, value) = if inherits { (", stxdinherit", ", $5::bool") } else { ("", "") };
    let remove =
        if inherits { "AND stxdinherit = $2" } else { "AND $2::pg_catalog.bool IS NOT NULL" };
    let remove = format!("DELETE FROM pg_catalog.pg_statistic_ext_data WHERE stxoid = $1 {remove}");
    database.trusted.execute(&remove, &[&object.oid, &statistics.inherited]).await?;
    // The rows of the scratch table's expressions are still there, where it has some.
    let of_expressions = if expressions.is_some() { EXPRESSIONS } else { "NULL" };
    let insert = format!(
        "INSERT INTO pg_catalog.pg_statistic_ext_data (stxoid, stxdndistinct, stxddependencies, stxdmcv, stxdexpr{column}) \
         VALUES ($1, pg_catalog.decode($2, 'hex')::pg_catalog.pg_ndistinct, \
         pg_catalog.decode($3, 'hex')::pg_catalog.pg_dependencies, pg_catalog.decode($4, 'hex')::pg_catalog.pg_mcv_list, \
         {of_expressions}{value})"
    );
    let (distinct, dependencies) =
        (distinct.map(|bytes| hex(&bytes)), dependencies.map(|bytes| hex(&bytes)));
    if inherits {
        let inherited = &statistics.inherited;
        database
            .trusted
            .execute(&insert, &[&object.oid, &distinct, &dependencies, &common, inherited])
            .await?;
    } else {
        database
            .trusted
            .execute(&insert, &[&object.oid, &distinct, &dependencies, &common])
            .await?;
    }
    problem.map_or(Ok(()), Err)
}

async fn find(database: &Database, statistics: &ExtendedStatistics) -> Result<Object, PgError> {
    let sql = "SELECT s.oid, n.nspname::text, c.relname::text, \
               ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a \
                     WHERE a.attrelid = c.oid AND a.attnum = ANY(s.stxkeys) ORDER BY a.attnum), \
               pg_catalog.pg_get_statisticsobjdef_expressions(s.oid) \
               FROM pg_catalog.pg_statistic_ext AS s \
               JOIN pg_catalog.pg_namespace AS m ON m.oid = s.stxnamespace \
               JOIN pg_catalog.pg_class AS c ON c.oid = s.stxrelid \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE m.nspname = $1 AND s.stxname = $2";
    let row = database.trusted.query_opt(sql, &[&statistics.schema, &statistics.name]).await?;
    let row = row.ok_or_else(|| PgError::other("the twin has no such object"))?;
    Ok(Object {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        table: row.try_get(2)?,
        columns: row.try_get(3)?,
        expressions: row.try_get::<_, Option<Vec<String>>>(4)?.unwrap_or_default(),
    })
}

fn unreadable(text: &str) -> PgError {
    PgError::other(&format!("cannot read {text}"))
}

/// Reads `{"1, 2": 100, …}`: the columns of each entry and its value.
fn entries(text: &str) -> Result<Vec<(Vec<i16>, f64)>, PgError> {
    // In their order, which the server keeps: every second piece between quotation marks is a key.
    let pieces: Vec<&str> = text.split('"').skip(1).collect();
    let entry = |pair: &[&str]| -> Option<(Vec<i16>, f64)> {
        let [key, value] = pair else { return None };
        let column = |word: &str| word.trim().parse().ok();
        let words = key.split("=>").flat_map(|part| part.split(','));
        let value = value.trim_matches([':', ' ', ',', '}']).parse().ok()?;
        Some((words.map(column).collect::<Option<_>>()?, value))
    };
    let read: Option<Vec<_>> = pieces.chunks(2).map(entry).collect();
    read.filter(|entries| !entries.is_empty()).ok_or_else(|| unreadable(text))
}

/// The header of both forms: the magic number, version 1, and how many there are.
fn header(magic: u32, count: usize) -> Vec<u8> {
    [magic, 1, u32::try_from(count).unwrap_or(0)].iter().flat_map(|n| n.to_ne_bytes()).collect()
}

fn ndistinct(text: &str) -> Result<Vec<u8>, PgError> {
    let entries = entries(text)?;
    let mut bytes = header(NDISTINCT_MAGIC, entries.len());
    for (columns, value) in entries {
        bytes.extend(value.to_ne_bytes());
        bytes.extend(i32::try_from(columns.len()).unwrap_or(0).to_ne_bytes());
        bytes.extend(columns.iter().flat_map(|column| column.to_ne_bytes()));
    }
    Ok(bytes)
}

fn dependencies(text: &str) -> Result<Vec<u8>, PgError> {
    let entries = entries(text)?;
    let mut bytes = header(DEPENDENCIES_MAGIC, entries.len());
    for (columns, degree) in entries {
        bytes.extend(degree.to_ne_bytes());
        bytes.extend(i16::try_from(columns.len()).unwrap_or(0).to_ne_bytes());
        bytes.extend(columns.iter().flat_map(|column| column.to_ne_bytes()));
    }
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Statistics of the scratch table's expression columns as an array of whole rows.
const EXPRESSIONS: &str = "(SELECT pg_catalog.array_agg(s ORDER BY s.staattnum) FROM pg_catalog.pg_statistic AS s \
                           WHERE s.starelid = 'pgwright_scratch.combinations'::pg_catalog.regclass)";

/// The list of common combinations in hexadecimal, and whether statistics of expressions are in place.
type Made = (Option<String>, Option<()>);

/// Has the server make what holds values, of a table with the object's columns and expressions.
async fn scratch(
    database: &Database,
    object: &Object,
    statistics: &ExtendedStatistics,
) -> Result<Made, PgError> {
    let Database { trusted, owner, .. } = database;
    trusted.execute(&format!("DROP SCHEMA IF EXISTS {SCRATCH} CASCADE"), &[]).await?;
    owner.execute(&format!("CREATE SCHEMA {SCRATCH}"), &[]).await?;
    let columns = object.columns.iter().map(|name| ident(name));
    let all = columns.chain(object.expressions.iter().map(|expression| format!("({expression})")));
    let all: Vec<String> =
        all.enumerate().map(|(place, what)| format!("{what} AS c{place}")).collect();
    let create = format!(
        "CREATE TABLE {SCRATCH}.combinations AS SELECT {} FROM {} WITH NO DATA",
        all.join(", "),
        qualified(&object.schema, &object.table)
    );
    owner.execute(&create, &[]).await?;
    let common = if statistics.common.is_empty() {
        None
    } else {
        Some(combinations(database, &statistics.common, all.len()).await?)
    };
    if statistics.expressions.is_empty() {
        return Ok((common, None));
    }
    trusted
        .execute("DELETE FROM pg_catalog.pg_statistic WHERE starelid = 'pgwright_scratch.combinations'::pg_catalog.regclass", &[])
        .await?;
    let row = |(place, values): (usize, &rules::blueprint::Distribution)| ColumnStatistics {
        schema: SCRATCH.to_owned(),
        relation: "combinations".to_owned(),
        column: format!("c{}", object.columns.len() + place),
        inherited: false,
        values: values.clone(),
    };
    let rows: Vec<ColumnStatistics> = statistics.expressions.iter().enumerate().map(row).collect();
    statistics::learn_types(trusted).await?;
    statistics::insert(trusted, &rows.iter().collect::<Vec<_>>()).await?;
    Ok((common, Some(())))
}

/// Has the server make a list of combinations, and puts their frequencies in.
async fn combinations(
    database: &Database,
    common: &[CommonCombination],
    width: usize,
) -> Result<String, PgError> {
    let Database { trusted, owner, .. } = database;
    let value = |value: &Option<String>| value.as_deref().map_or("NULL".to_owned(), literal);
    let rows: Vec<String> = common
        .iter()
        .map(|one| format!("({})", one.values.iter().map(value).collect::<Vec<_>>().join(", ")))
        .collect();
    let columns: Vec<String> = (0..width).map(|place| format!("c{place}")).collect();
    for sql in [
        format!("INSERT INTO {SCRATCH}.combinations VALUES {}", rows.join(", ")),
        format!(
            "CREATE STATISTICS {SCRATCH}.listed (mcv) ON {} FROM {SCRATCH}.combinations",
            columns.join(", ")
        ),
        format!("ALTER STATISTICS {SCRATCH}.listed SET STATISTICS 10000"),
        format!("ANALYZE {SCRATCH}.combinations"),
    ] {
        owner.execute(&sql, &[]).await?;
    }
    let of_scratch = "FROM pg_catalog.pg_statistic_ext_data AS d \
                      JOIN pg_catalog.pg_statistic_ext AS s ON s.oid = d.stxoid \
                      JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace";
    let sql = format!(
        "SELECT pg_catalog.encode(d.stxdmcv::pg_catalog.bytea, 'hex') {of_scratch} WHERE n.nspname = $1"
    );
    let blob: Option<String> = trusted.query_one(&sql, &[&SCRATCH]).await?.try_get(0)?;
    let mut blob = blob
        .and_then(|text| unhex(&text))
        .ok_or_else(|| PgError::other("the server made no list of common combinations"))?;
    let sql = format!(
        "SELECT m.values {of_scratch}, pg_catalog.pg_mcv_list_items(d.stxdmcv) AS m WHERE n.nspname = $1 ORDER BY m.index"
    );
    let mut items: Vec<Vec<Option<String>>> = Vec::new();
    for row in trusted.query(&sql, &[&SCRATCH]).await? {
        items.push(row.try_get(0)?);
    }
    put_frequencies(&mut blob, &items, common)?;
    Ok(hex(&blob))
}

/// Each item at the blob's end is a flag per column that says whether it is NULL, frequency and base frequency, and a
/// two-byte place in the column's values per column.
fn put_frequencies(
    blob: &mut [u8],
    items: &[Vec<Option<String>>],
    common: &[CommonCombination],
) -> Result<(), PgError> {
    let width = items.first().map_or(0, Vec::len);
    let size = 3 * width + 16;
    let start = blob.len().checked_sub(items.len() * size);
    let start =
        start.ok_or_else(|| PgError::other("the server's list of combinations is too short"))?;
    let known: BTreeMap<&[Option<String>], &CommonCombination> =
        common.iter().map(|one| (&*one.values, one)).collect();
    for (place, values) in items.iter().enumerate() {
        let at = start + place * size + width;
        let mut made = [0; 8];
        made.copy_from_slice(&blob[at..at + 8]);
        // Each was in the table once: anything else means that the form is another one.
        if (f64::from_ne_bytes(made) * items.len() as f64 - 1.0).abs() > 1e-6 {
            return Err(PgError::other("the server's list of combinations has an unknown form"));
        }
        let Some(one) = known.get(&**values) else {
            return Err(PgError::other("the server reads a common combination otherwise"));
        };
        blob[at..at + 8].copy_from_slice(&one.frequency.to_ne_bytes());
        blob[at + 8..at + 16].copy_from_slice(&one.base_frequency.to_ne_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{dependencies, entries, hex, ndistinct, unhex};

    #[test]
    fn entries_keep_their_order() {
        let read = entries(r#"{"1, 4": 100, "1, -1": 7, "1, 4 => -1": 0.250000}"#).unwrap();
        assert_eq!(read, [(vec![1, 4], 100.0), (vec![1, -1], 7.0), (vec![1, 4, -1], 0.25)]);
        assert!(entries(r#"{"1, b": 100}"#).is_err());
        assert!(entries("nonsense").is_err());
    }

    #[test]
    fn the_forms_are_the_servers() {
        let bytes = ndistinct(r#"{"1, 2": 100}"#).unwrap();
        assert_eq!(bytes.len(), 12 + 8 + 4 + 4);
        assert_eq!(bytes[..4], 0xA352_BFA4_u32.to_ne_bytes());
        let bytes = dependencies(r#"{"1 => 2": 0.5}"#).unwrap();
        assert_eq!(bytes.len(), 12 + 8 + 2 + 4);
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
    }
}
