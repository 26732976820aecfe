//! What guards look at beside the table.

use std::path::Path;

use rules::guards::{Limits, ServerFacts, Spent, Window};

use super::{GuardError, GuardOptions, disk, if_told, replication, unsigned};
use crate::journal;
use crate::postgres::{Limits as SessionLimits, PgError, Purpose, Session};

/// What belongs to the session of an applier, its settings read back.
pub(crate) async fn of_session(session: &Session) -> Result<ServerFacts, PgError> {
    let limits = SessionLimits::of(Purpose::Apply);
    let ms = |limit: std::time::Duration| limit.as_millis().to_string();
    let wanted = [
        ("search_path", "pg_catalog,pg_temp".to_owned()),
        ("synchronous_commit", "on".to_owned()),
        ("lock_timeout", ms(limits.lock)),
        ("statement_timeout", ms(limits.statement)),
        ("idle_in_transaction_session_timeout", ms(limits.idle_in_transaction)),
    ];
    let sql = "SELECT s.name, s.setting FROM pg_catalog.pg_settings s WHERE s.name = ANY ($1)";
    let mut names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
    names.push("client_connection_check_interval");
    let mut facts = of_server(session);
    for row in session.query(sql, &[&names]).await? {
        let (name, found): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match wanted.iter().find(|(wanted, _)| *wanted == name) {
            Some((_, wanted)) if *wanted != found => {
                facts.overruled.push((name, wanted.clone(), found));
            }
            Some(_) => {}
            None => facts.checks_connection = found != "0",
        }
    }
    Ok(facts)
}

fn of_server(session: &Session) -> ServerFacts {
    let facts = session.facts();
    ServerFacts {
        version_num: facts.version.0,
        version: facts.version.to_string(),
        in_recovery: facts.in_recovery,
        read_only: facts.read_only,
        behind_pooler: facts.behind_pooler,
        ..ServerFacts::default()
    }
}

/// Adds what tells whether a run may go on: the switch, the stop file, and the time of the window's zone.
pub(crate) async fn for_run(
    session: &Session,
    options: &GuardOptions,
    facts: &mut ServerFacts,
) -> Result<(), GuardError> {
    facts.paused = journal::pause(session).await?;
    facts.stop_file = options.stop_file.as_deref().and_then(there);
    if let Some(window) = &options.limits.window {
        facts.local_time = Some(local_time(session, window).await?);
    }
    Ok(())
}

/// The path, where something is there, be it a link that leads nowhere, or we may not look.
fn there(path: &Path) -> Option<String> {
    let absent =
        path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    (!absent).then(|| path.display().to_string())
}

async fn local_time(
    session: &Session,
    window: &Window,
) -> Result<Result<chrono::NaiveDateTime, String>, PgError> {
    // Our own session runs in UTC; the zone of the server's log is set together with the server's own.
    let sql = "SELECT pg_catalog.clock_timestamp() AT TIME ZONE \
               coalesce($1::text, pg_catalog.current_setting('log_timezone'))";
    match session.query_one(sql, &[&window.zone()]).await {
        Ok(row) => Ok(Ok(row.try_get(0)?)),
        Err(error) if error.is_lost() => Err(error),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Adds what an index build depends on, in a run that has spent this.
pub(crate) async fn for_action(
    session: &Session,
    options: &GuardOptions,
    spent: Spent,
    facts: &mut ServerFacts,
) -> Result<(), PgError> {
    let found = replication::read(session).await?;
    (facts.replicas, facts.slots, facts.horizon) = (found.replicas, found.slots, found.horizon);
    let sql = "SELECT s.name, s.setting::bigint FROM pg_catalog.pg_settings s \
               WHERE s.name IN ('temp_file_limit', 'maintenance_work_mem', 'vacuum_freeze_min_age')";
    for row in session.query(sql, &[]).await? {
        let (name, value): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        // Both sizes are in kB; -1 is no limit.
        match name.as_str() {
            "temp_file_limit" => {
                facts.temp_file_limit = u64::try_from(value).ok().map(|value| value * 1024);
            }
            "maintenance_work_mem" => facts.maintenance_work_mem = unsigned(value) * 1024,
            _ => facts.freeze_min_age = unsigned(value),
        }
    }
    facts.disk_free = disk::free(session, options.disk_free.as_ref(), spent.bytes).await?;
    Ok(())
}

/// Looks while a statement is at work why it should not go on: the switch, the stop file, a standby that falls
/// behind. What cannot be seen is no reason; that nothing can be seen is the watchdog's.
pub(crate) async fn at_work(
    session: &Session,
    options: &GuardOptions,
) -> Result<Option<String>, PgError> {
    if let Some(path) = options.stop_file.as_deref().and_then(there) {
        return Ok(Some(format!("the stop file `{path}` appeared")));
    }
    if let Some(why) = if_told(journal::paused(session).await)?.flatten() {
        return Ok(Some(why));
    }
    let Limits { max_lag, .. } = &options.limits;
    let sql = "SELECT coalesce(r.application_name, ''), pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)::bigint \
               FROM pg_catalog.pg_stat_replication r WHERE r.replay_lsn IS NOT NULL AND r.state <> 'backup' \
               ORDER BY 2 DESC LIMIT 1";
    let Some(row) = if_told(session.query_opt(sql, &[]).await)?.flatten() else { return Ok(None) };
    let (name, behind): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok((unsigned(behind) > *max_lag).then(|| {
        format!(
            "standby `{name}` fell {behind} bytes of WAL behind, more than {max_lag} (--max-lag)"
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::there;

    #[test]
    fn a_stop_file_is_there_as_whatever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stop");
        assert_eq!(there(&path), None);
        std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
        assert_eq!(there(&path), Some(path.display().to_string()));
        // What cannot be looked at counts as there.
        assert!(there(&path.join("below")).is_none());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(there(&path).is_some() && there(&path.join("below")).is_some());
    }
}
