//! Which failures come again, and what earlier ones say about an action.

use std::collections::BTreeMap;

use rules::protocol::Chance;

use super::{JournalError, State, exists};
use crate::postgres::Session;

/// How long a failure that would come again keeps its action from being tried; twice as long after every
/// further one. Source: Azure SQL Database waits as long before it recommends a reverted index again.
pub(super) const BACK_OFF_DAYS: i32 = 90;
/// After how many failures the time no longer grows.
pub(super) const MOST_DOUBLINGS: i32 = 4;

/// Returns what failed here before and would fail again: key of the action -> why, in words for a report.
pub(super) async fn failures(session: &Session) -> Result<BTreeMap<String, String>, JournalError> {
    let mut found = BTreeMap::new();
    if !exists(session).await? {
        return Ok(found);
    }
    let sql = r#"SELECT "id", "actionKey", coalesce("lastSqlstate", ''), coalesce("lastError", ''),
               coalesce(pg_catalog.to_char("updatedAt", 'YYYY-MM-DD'), 'an unknown day'),
               "updatedAt" + pg_catalog.make_interval(days => $2 * (2 ^ least("earlier", $3))::integer)
                   > pg_catalog.clock_timestamp()
               FROM (SELECT *, (pg_catalog.row_number() OVER (PARTITION BY "actionKey" ORDER BY "id") - 1)::integer
                         AS "earlier"
                     FROM pgwright."OptimizationLog" WHERE "state" = $1 AND "lastSqlstate" IS NOT NULL) AS failed
               ORDER BY "id""#;
    let aborted = State::Aborted.name();
    let rows = session
        .query(sql, &[&aborted, &BACK_OFF_DAYS, &MOST_DOUBLINGS])
        .await
        .map_err(JournalError::Read)?;
    for row in rows {
        let read = || -> Result<_, crate::postgres::PgError> {
            let (id, key): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let (code, error): (String, String) = (row.try_get(2)?, row.try_get(3)?);
            let (day, counts): (String, bool) = (row.try_get(4)?, row.try_get(5)?);
            Ok((id, key, code, error, day, counts))
        };
        let (id, key, code, error, day, counts) = read().map_err(JournalError::Read)?;
        if counts && Chance::of(Some(&code)) == Chance::Never {
            let why = format!(
                "pgwright tried it on {day}, it failed and would fail again: {error} (`pgwright log {id}`)"
            );
            found.insert(key, why);
        }
    }
    Ok(found)
}
