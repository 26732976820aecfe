//! Actions that were taken back and are not tried again for some time.

use std::collections::BTreeMap;

use super::failures::{BACK_OFF_DAYS, MOST_DOUBLINGS, failures};
use super::{JournalError, exists};
use crate::postgres::Session;

/// The verdict on an action that a person took back.
pub const BY_HAND: &str = "by_hand";

/// For how many days an action that is taken back now is blocked: twice as many after every earlier block of it that
/// nobody lifted.
pub(crate) async fn block_days(session: &Session, key: &str) -> Result<i32, JournalError> {
    let sql = r#"SELECT pg_catalog.count(*)::integer FROM pgwright."OptimizationLog"
               WHERE "actionKey" = $1 AND "blockedUntil" IS NOT NULL"#;
    let row = session.query_one(sql, &[&key]).await.map_err(JournalError::Read)?;
    let earlier: i32 = row.try_get(0).map_err(|error| JournalError::Read(error.into()))?;
    Ok(BACK_OFF_DAYS << earlier.clamp(0, MOST_DOUBLINGS))
}

/// Returns what is not to be tried now, since it failed before and would fail again, or was taken back: key of the
/// action -> why, in words for a report.
pub(crate) async fn stopped(session: &Session) -> Result<BTreeMap<String, String>, JournalError> {
    let mut reasons = failures(session).await?;
    reasons.extend(blocks(session).await?);
    Ok(reasons)
}

/// Returns what is blocked now: key of the action -> why, in words for a report.
async fn blocks(session: &Session) -> Result<BTreeMap<String, String>, JournalError> {
    let mut found = BTreeMap::new();
    if !exists(session).await? {
        return Ok(found);
    }
    let sql = r#"SELECT "actionKey", pg_catalog.concat(
                   CASE WHEN "verdict" = $1 THEN 'a person took it back'
                        ELSE coalesce('pgwright took it back (' || "verdict" || coalesce(': ' || ("verdictDetail" ->> 'why'), '') || ')',
                                      'a person blocked it') END,
                   -- Nobody wrote down when a person blocked it.
                   CASE WHEN "verdict" IS NOT NULL
                        THEN pg_catalog.to_char(coalesce("revertedAt", "updatedAt"), '" on "YYYY-MM-DD') END,
                   '; pgwright does not try it again', pg_catalog.to_char("blockedUntil", '" before "YYYY-MM-DD'),
                   '; `pgwright log --unblock ' || "id" || '` allows it at once')
               FROM pgwright."OptimizationLog" WHERE "blockedUntil" > pg_catalog.clock_timestamp() ORDER BY "id""#;
    for row in session.query(sql, &[&BY_HAND]).await.map_err(JournalError::Read)? {
        let read = || Ok::<_, crate::postgres::PgError>((row.try_get(0)?, row.try_get(1)?));
        let (key, why) = read().map_err(JournalError::Read)?;
        found.insert(key, why);
    }
    Ok(found)
}

/// Lets an action be tried again: lifts the blocks on every row of its key. Returns how many there were; `None` where
/// the journal has no such row.
pub async fn unblock(session: &Session, id: i64) -> Result<Option<u64>, JournalError> {
    let Some(entry) = super::get(session, id).await? else { return Ok(None) };
    let sql = r#"UPDATE pgwright."OptimizationLog" SET "blockedUntil" = NULL
               WHERE "actionKey" = $1 AND "blockedUntil" IS NOT NULL"#;
    let lifted = session.execute(sql, &[&entry.action_key]).await.map_err(JournalError::Write)?;
    Ok(Some(lifted))
}
