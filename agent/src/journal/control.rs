//! The switch that stops pgwright, which a person sets with psql (`pgwright."Control"`).

use super::{JournalError, exists};
use crate::postgres::{PgError, Session};

/// Returns why nothing may be changed now, where a person has set the switch; `None` where none has, and
/// where there is no journal yet. The clock is the server's.
pub async fn pause(session: &Session) -> Result<Option<String>, JournalError> {
    if !exists(session).await? {
        return Ok(None);
    }
    paused(session).await.map_err(JournalError::Read)
}

/// The same where the journal is known to be there.
pub(crate) async fn paused(session: &Session) -> Result<Option<String>, PgError> {
    let sql = r#"SELECT pg_catalog.concat(
               CASE WHEN "paused" THEN 'pgwright is paused'
                    WHEN pg_catalog.isfinite("pausedUntil") THEN 'pgwright is paused until ' || "pausedUntil"::timestamptz(0)
                    ELSE 'pgwright is paused for ever' END,
               ': ' || nullif("pausedBecause", ''),
               ' (UPDATE pgwright."Control" SET "paused" = false, "pausedUntil" = NULL lets it go on)')
               FROM pgwright."Control" WHERE "paused" OR "pausedUntil" > pg_catalog.clock_timestamp()"#;
    let row = session.query_opt(sql, &[]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
