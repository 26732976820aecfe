//! Keeps readings in the journal's `"Observations"`, few enough to stay small.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use rules::watch::{Counts, Reading, TableCounts};

use crate::journal::JournalError;
use crate::postgres::{Param, PgError, Session};

/// How long readings are kept: a week, so that every hour of the week is in them, and a day. While an action is
/// watched, those from so long before it.
pub(super) fn keep() -> TimeDelta {
    TimeDelta::days(8)
}

/// Writes a reading down: these statements of it, and everything else.
pub(super) async fn save(
    session: &Session,
    reading: &Reading,
    statements: &BTreeSet<String>,
) -> Result<(), JournalError> {
    let mut rows = Rows::default();
    let server = [None, None, None, None, None, None, None, None, Some(reading.evicted)];
    rows.add("server", reading.epoch.clone(), server);
    for (id, counts) in reading.statements.iter().filter(|(id, _)| statements.contains(*id)) {
        let Counts { calls, ms, square_ms, blocks, wal_bytes } = *counts;
        let own = [calls, ms, square_ms, blocks, wal_bytes].map(Some);
        let [calls, ms, square_ms, blocks, wal_bytes] = own;
        let values = [calls, ms, square_ms, blocks, wal_bytes, None, None, None, None];
        rows.add("statement", id.clone(), values);
    }
    for (oid, table) in &reading.tables {
        let [updated, hot, live] = [table.updated, table.hot_updated, table.live].map(Some);
        let values = [None, None, None, None, None, updated, hot, live, None];
        rows.add("table", oid.to_string(), values);
    }
    for (oid, scans) in &reading.scans {
        let values = [Some(*scans), None, None, None, None, None, None, None, None];
        rows.add("index", oid.to_string(), values);
    }
    let [calls, ms, square_ms, blocks, wal_bytes, updated, hot, live, evicted] = &rows.values;
    let params: [&dyn Param; 12] = [
        &reading.at,
        &rows.subjects,
        &rows.ids,
        calls,
        ms,
        square_ms,
        blocks,
        wal_bytes,
        updated,
        hot,
        live,
        evicted,
    ];
    // With several arrays it is syntax, and cannot be qualified.
    let sql = r#"INSERT INTO pgwright."Observations" ("readAt", "subject", "subjectId", "calls", "ms", "squareMs", "blocks",
               "walBytes", "updated", "hotUpdated", "live", "evicted")
               SELECT $1, * FROM unnest($2::text[], $3::text[], $4::float8[], $5::float8[], $6::float8[],
                   $7::float8[], $8::float8[], $9::float8[], $10::float8[], $11::float8[], $12::float8[])
               ON CONFLICT DO NOTHING"#;
    session.execute(sql, &params).await.map_err(JournalError::Write)?;
    Ok(())
}

/// The columns of many rows.
#[derive(Default)]
struct Rows {
    subjects: Vec<&'static str>,
    ids: Vec<String>,
    values: [Vec<Option<f64>>; 9],
}

impl Rows {
    fn add(&mut self, subject: &'static str, id: String, values: [Option<f64>; 9]) {
        self.subjects.push(subject);
        self.ids.push(id);
        for (column, value) in self.values.iter_mut().zip(values) {
            column.push(value);
        }
    }
}

/// Throws away what is older.
pub(super) async fn prune(session: &Session, before: DateTime<Utc>) -> Result<(), JournalError> {
    let sql = r#"DELETE FROM pgwright."Observations" WHERE "readAt" < $1"#;
    session.execute(sql, &[&before]).await.map_err(JournalError::Write)?;
    Ok(())
}

/// Throws away what is later, as a clock that was ahead has left it.
pub(super) async fn forget_after(
    session: &Session,
    now: DateTime<Utc>,
) -> Result<(), JournalError> {
    let sql = r#"DELETE FROM pgwright."Observations" WHERE "readAt" > $1"#;
    session.execute(sql, &[&now]).await.map_err(JournalError::Write)?;
    Ok(())
}

/// When the last reading was written down.
pub(super) async fn last(session: &Session) -> Result<Option<DateTime<Utc>>, JournalError> {
    let sql = r#"SELECT pg_catalog.max("readAt") FROM pgwright."Observations""#;
    let row = session.query_one(sql, &[]).await.map_err(JournalError::Read)?;
    row.try_get(0).map_err(|error| JournalError::Read(error.into()))
}

/// All readings, in the order of time.
pub(super) async fn load(session: &Session) -> Result<Vec<Reading>, JournalError> {
    let sql = r#"SELECT "readAt", "subject", "subjectId", coalesce("calls", 0) AS "calls", coalesce("ms", 0) AS "ms",
               coalesce("squareMs", 0) AS "squareMs", coalesce("blocks", 0) AS "blocks",
               coalesce("walBytes", 0) AS "walBytes", coalesce("updated", 0) AS "updated",
               coalesce("hotUpdated", 0) AS "hotUpdated", coalesce("live", 0) AS "live",
               coalesce("evicted", 0) AS "evicted" FROM pgwright."Observations" ORDER BY 1"#;
    let rows = session.query(sql, &[]).await.map_err(JournalError::Read)?;
    let mut readings: BTreeMap<DateTime<Utc>, Reading> = BTreeMap::new();
    let mut add = |row: &crate::postgres::Row| -> Result<(), PgError> {
        let at: DateTime<Utc> = row.try_get("readAt")?;
        let reading = readings.entry(at).or_default();
        reading.at = at;
        let (subject, id): (String, String) = (row.try_get("subject")?, row.try_get("subjectId")?);
        match (subject.as_str(), id.parse::<u32>()) {
            ("server", _) => {
                reading.epoch = id;
                reading.evicted = row.try_get("evicted")?;
            }
            ("statement", _) => {
                let counts = Counts {
                    calls: row.try_get("calls")?,
                    ms: row.try_get("ms")?,
                    square_ms: row.try_get("squareMs")?,
                    blocks: row.try_get("blocks")?,
                    wal_bytes: row.try_get("walBytes")?,
                };
                reading.statements.insert(id, counts);
            }
            ("table", Ok(oid)) => {
                let counts = TableCounts {
                    updated: row.try_get("updated")?,
                    hot_updated: row.try_get("hotUpdated")?,
                    live: row.try_get("live")?,
                };
                reading.tables.insert(oid, counts);
            }
            ("index", Ok(oid)) => drop(reading.scans.insert(oid, row.try_get("calls")?)),
            // A person's own row.
            _ => {}
        }
        Ok(())
    };
    rows.iter().try_for_each(&mut add).map_err(JournalError::Read)?;
    Ok(readings.into_values().collect())
}
