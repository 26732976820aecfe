//! Reads the server's counters as they stand.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rules::quote::ident;
use rules::statement::{Class, Touched, classify, touched};
use rules::watch::{Counts, Reading, TableCounts};

use crate::postgres::{Param, PgError, Session};

/// Statements that are looked at, those with the most time first: as many as `optimize` looks at.
const STATEMENTS: i64 = 500;
/// Tables whose counters are kept whether or not something on them is watched.
const TABLES: i64 = 50;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// The counters.
    pub(super) reading: Reading,
    /// What each statement touches.
    pub(super) touched: BTreeMap<String, Touched>,
    /// Statements by time, the most first.
    pub(super) by_time: Vec<String>,
    /// Whether standbys read along.
    pub(super) standbys: bool,
    /// Whether `pg_stat_statements` could be read.
    pub(super) statements: bool,
    /// Statements whose texts this role may not see.
    pub(super) hidden: usize,
}

/// Reads everything, with the counters of these tables and indexes in any case.
pub(super) async fn look(
    session: &Session,
    tables: &[u32],
    indexes: &[u32],
) -> Result<Look, PgError> {
    let row = session.query_one(include_str!("server.sql"), &[]).await?;
    let at: DateTime<Utc> = row.try_get("at")?;
    let mut epoch: String = row.try_get("epoch")?;
    let schema: Option<String> = row.try_get("pgss_schema")?;
    let has_info: bool = row.try_get("pgss_has_info")?;
    let mut look = Look { standbys: row.try_get("standbys")?, ..Look::default() };
    if let Some(schema) = &schema {
        let schema = ident(schema);
        if has_info {
            let sql = include_str!("info.sql").replace("{schema}", &schema);
            let row = session.query_one(&sql, &[]).await?;
            let since: Option<String> = row.try_get("since")?;
            epoch = rules::change_plan::digest(&format!("{epoch} {}", since.unwrap_or_default()));
            look.reading.evicted = row.try_get("evicted")?;
        }
        statements(session, &schema, &mut look).await?;
    }
    (look.reading.at, look.reading.epoch) = (at, epoch);
    let params: [&dyn Param; 2] = [&TABLES, &tables];
    for row in session.query(include_str!("tables.sql"), &params).await? {
        let counts = TableCounts {
            updated: row.try_get("updated")?,
            hot_updated: row.try_get("hot_updated")?,
            live: row.try_get("live")?,
        };
        look.reading.tables.insert(row.try_get("relid")?, counts);
    }
    let sql = "SELECT i.indexrelid, i.idx_scan::float8 FROM pg_catalog.pg_stat_all_indexes AS i WHERE i.indexrelid = ANY ($1)";
    for row in session.query(sql, &[&indexes]).await? {
        look.reading.scans.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(look)
}

/// Reads the statements; entries of one statement are summed up. What is ours and what is no statement is left out.
async fn statements(session: &Session, schema: &str, look: &mut Look) -> Result<(), PgError> {
    let sql = include_str!("statements.sql").replace("{schema}", schema);
    for row in session.query(&sql, &[&STATEMENTS]).await? {
        let text: String = row.try_get("query")?;
        let fingerprint = match classify(&text) {
            Class::Statement { fingerprint, .. } => fingerprint,
            Class::InsufficientPrivilege => {
                look.hidden += 1;
                continue;
            }
            _ => continue,
        };
        let counts = Counts {
            calls: row.try_get("calls")?,
            ms: row.try_get("ms")?,
            square_ms: row.try_get("square_ms")?,
            blocks: row.try_get("blocks")?,
            wal_bytes: row.try_get("wal_bytes")?,
        };
        let known = look.reading.statements.entry(fingerprint.clone()).or_default();
        known.add(&counts);
        if !look.touched.contains_key(&fingerprint) {
            look.touched.insert(fingerprint.clone(), touched(&text));
            look.by_time.push(fingerprint);
        }
    }
    look.statements = true;
    Ok(())
}

/// The names under which statements may touch each of these tables.
pub(super) async fn reach(
    session: &Session,
    tables: &[u32],
) -> Result<BTreeMap<u32, BTreeSet<String>>, PgError> {
    let mut reach: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for row in session.query(include_str!("reach.sql"), &[&tables]).await? {
        reach.entry(row.try_get("root")?).or_default().insert(row.try_get("name")?);
    }
    Ok(reach)
}
