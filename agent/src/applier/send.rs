//! Sends one changing statement: guarded, bounded in time and locks, watched from a second connection.

use std::pin::pin;
use std::time::Duration;

use rules::protocol::{Chance, Failure, Statement};
use rules::statement::guard::{self, Permitted, Purpose};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::runner::Runner;
use super::{ApplyError, Event};
use crate::guards;
use crate::postgres::{CancelToken, PgError, PgErrorKind, Session};

/// How long one look from the second connection may take before we count as blind.
const LOOK_MAX: Duration = Duration::from_secs(15);

/// A statement and what it is meant to be.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) sql: String,
    /// What the guard must find in it.
    pub(super) meant: Permitted,
    pub(super) purpose: Purpose,
    /// How long it may take.
    pub(super) limit: Duration,
    /// Whether the user's wish to stop cancels it. Not so for what cleans up.
    pub(super) stoppable: bool,
}

/// Why it failed: the guard refuses it, and would again.
fn refused(message: String) -> Failure {
    Failure { sqlstate: None, message, chance: Chance::Never, stopped: false }
}

/// Why it failed: because we cancelled it, or what the server says.
fn failure(error: &PgError, cancelled: Option<Cancelled>) -> Failure {
    let sqlstate = error.sqlstate().map(str::to_owned);
    let ours = cancelled.filter(|_| sqlstate.as_deref() == Some("57014"));
    let usual = Chance::of(sqlstate.as_deref());
    let (message, stopped, chance) = match ours {
        Some(Cancelled::Stop) => ("stopped by the user".to_owned(), true, usual),
        Some(Cancelled::Guarding(why)) => (why, false, usual),
        Some(Cancelled::HeldUp(why)) => (format!("we cancelled it: {why}"), false, Chance::Later),
        None => (without_values(error), false, usual),
    };
    Failure { sqlstate, message, chance, stopped }
}

/// The server's words for the journal. A data exception quotes the value and a detail the row: neither
/// belongs there.
fn without_values(error: &PgError) -> String {
    match error.kind() {
        PgErrorKind::Server(server) if server.sqlstate.starts_with("22") => {
            format!("a row of the table cannot be indexed like this (SQLSTATE {})", server.sqlstate)
        }
        PgErrorKind::Server(server) => {
            format!("{} (SQLSTATE {})", server.message, server.sqlstate)
        }
        _ => error.to_string(),
    }
}

/// Why we cancelled our own statement.
#[derive(Clone, Debug)]
enum Cancelled {
    Stop,
    /// To protect others; the reason.
    Guarding(String),
    /// Since the run may not go on; the reason.
    HeldUp(String),
}

/// Cancels the statement under way when the future that waits for it is dropped.
struct CancelOnDrop(Option<CancelToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let (Some(token), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            // Nobody is left to hear how it went; the next run looks what became of it.
            runtime.spawn(async move { token.cancel().await.is_ok() });
        }
    }
}

/// Sends a statement once. An error means that the session is of no more use.
pub(super) async fn send(
    runner: &Runner<'_>,
    order: &Order,
) -> Result<Result<Duration, Failure>, ApplyError> {
    match guard::permitted(&order.sql, order.purpose) {
        Ok(permitted) if permitted == order.meant => {}
        Ok(other) => {
            return Ok(Err(refused(format!("the server would read the statement as {other:?}"))));
        }
        Err(forbidden) => return Ok(Err(refused(forbidden.to_string()))),
    }
    runner.check_lock().await?;
    let limits = async {
        runner.session.set_statement_timeout(order.limit).await?;
        runner.session.set_lock_timeout(runner.options.lock_timeout).await
    };
    limits.await.map_err(ApplyError::while_doing("set the limits of a statement"))?;
    let statement = order.sql.clone();
    runner.tell(Event::Started { action: runner.action.clone(), statement });
    let since = Instant::now();
    let (result, cancelled) = watched(runner, order).await;
    let back = runner.session.set_statement_timeout(Duration::from_secs(30)).await;
    match result {
        Ok(_) => Ok(Ok(since.elapsed())),
        Err(error) if error.is_lost() || back.is_err() => {
            Err(ApplyError::Server { doing: "finish a statement", source: error })
        }
        Err(error) => Ok(Err(failure(&error, cancelled))),
    }
}

async fn watched(runner: &Runner<'_>, order: &Order) -> (Result<u64, PgError>, Option<Cancelled>) {
    let Runner { session, watch, options, action, .. } = runner;
    let token = session.cancel_token();
    let mut guard = CancelOnDrop(Some(token.clone()));
    let mut work = pin!(session.execute(&order.sql, &[]));
    let mut ticks = interval_at(Instant::now() + options.watch_interval, options.watch_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cancelled = None;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut work => break result,
            _ = ticks.tick() => {}
        }
        let stop = order.stoppable && options.stop.as_ref().is_some_and(|stop| *stop.borrow());
        if cancelled.is_some() {
            // The first cancel may have come before the server had begun.
            let _ = token.cancel().await;
            continue;
        }
        if stop {
            cancelled = Some(Cancelled::Stop);
        } else {
            let seen = match timeout(LOOK_MAX, look(watch, session.backend_pid())).await {
                Ok(Ok(seen)) => seen,
                Ok(Err(error)) => Seen::blind(&error.to_string()),
                Err(_) => Seen::blind("no answer in time"),
            };
            if let Some((phase, done, total)) = seen.phase {
                runner.tell(Event::Progress { action: action.clone(), phase, done, total });
            }
            cancelled = seen.blind.map(Cancelled::Guarding).or_else(|| {
                let limit = options.max_block.as_secs_f64();
                let (who, _) = seen.waiting.filter(|(_, seconds)| *seconds >= limit)?;
                Some(Cancelled::Guarding(format!(
                    "we cancelled it, since {who} had waited behind it for more than {limit} s"
                )))
            });
            if cancelled.is_none() && order.stoppable && runner.heeds_switch {
                cancelled = held_up(runner).await.map(Cancelled::HeldUp);
            }
        }
        if cancelled.is_some() {
            // If this fails, the next tick tries again.
            let _ = token.cancel().await;
        }
    };
    guard.0 = None;
    if cancelled.is_some() {
        // A cancel request that is still under way must not meet the next statement, which writes the
        // journal: let it meet this one.
        let _ = session.query("SELECT pg_catalog.pg_sleep(0.2)", &[]).await;
    }
    (result, cancelled)
}

/// Why a statement under way should not go on. What cannot be asked is no reason: that we still see anything is
/// looked at apart.
async fn held_up(runner: &Runner<'_>) -> Option<String> {
    if runner.window_end.is_some_and(|end| std::time::Instant::now() >= end) {
        return Some("the maintenance window has ended".to_owned());
    }
    let asked = guards::at_work(&runner.watch, &runner.options.guards);
    timeout(LOOK_MAX, asked).await.ok()?.ok()?
}

/// What the second connection sees of a statement under way.
#[derive(Debug, Default)]
struct Seen {
    /// Phase, done, total of an index build.
    phase: Option<(String, u64, u64)>,
    /// Who waits behind us longest, and for how many seconds.
    waiting: Option<(String, f64)>,
    /// Why we cannot see anything.
    blind: Option<String>,
}

impl Seen {
    fn blind(why: &str) -> Self {
        let message = format!("we cancelled it, since we could not watch over it any more: {why}");
        Self { blind: Some(message), ..Self::default() }
    }
}

async fn look(watch: &Session, pid: i32) -> Result<Seen, PgError> {
    let sql = "SELECT p.phase::text, \
            CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_done WHEN p.blocks_total > 0 THEN p.blocks_done ELSE p.tuples_done END, \
            CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_total WHEN p.blocks_total > 0 THEN p.blocks_total ELSE p.tuples_total END, \
            w.who, w.seconds \
        FROM (SELECT 1) AS one \
        LEFT JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid = $1 \
        LEFT JOIN LATERAL (SELECT pg_catalog.format('process %s', l.pid) AS who, \
                extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::double precision AS seconds \
            FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
            WHERE NOT l.granted AND l.pid <> $1 AND l.waitstart IS NOT NULL AND a.leader_pid IS DISTINCT FROM $1 \
            AND a.backend_type <> 'autovacuum worker' AND $1 = ANY (pg_catalog.pg_blocking_pids(l.pid)) \
            ORDER BY l.waitstart LIMIT 1) w ON true";
    let row = watch.query_one(sql, &[&pid]).await?;
    let phase: Option<String> = row.try_get(0)?;
    let number = |column: usize| -> Result<u64, PgError> {
        let value: Option<i64> = row.try_get(column)?;
        Ok(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
    };
    let (done, total) = (number(1)?, number(2)?);
    let who: Option<String> = row.try_get(3)?;
    let seconds: Option<f64> = row.try_get(4)?;
    Ok(Seen {
        phase: phase.map(|phase| (phase, done, total)),
        waiting: who.zip(seconds),
        blind: None,
    })
}

/// Waits before the next try of a statement. What cleans up goes on even when the user wants to stop.
pub(super) async fn rest(
    runner: &Runner<'_>,
    key: &str,
    tries: u32,
    statement: Statement,
) -> Result<(), ApplyError> {
    let pause = pause_before(tries, key, runner.options.retry_pause);
    let why = "a lock that others hold".to_owned();
    runner.tell(Event::Waiting { action: runner.action.clone(), why });
    if matches!(statement, Statement::Do | Statement::Undo) {
        // The protocol heeds a wish to stop, and knows what there is to clean up.
        let _ = runner.pause(pause).await;
    } else {
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// The pause after so many tries: doubling, and spread by the action's key to between half and one and a
/// half of it, so that two agents that met once do not meet again.
fn pause_before(tries: u32, key: &str, base: Duration) -> Duration {
    let digits = key.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let spread = digits.unwrap_or(0).rotate_left(tries * 5);
    let factor = 0.5 + f64::from(spread) / f64::from(u32::MAX);
    base.mul_f64(factor * f64::from(2_u32.saturating_pow(tries.saturating_sub(1).min(10))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pause_before;

    #[test]
    fn pauses_double_and_differ_by_key() {
        let base = Duration::from_secs(2);
        for key in ["00000000", "ffffffff", "8d2f01aa", ""] {
            for tries in 1..6 {
                let pause = pause_before(tries, key, base).as_secs_f64();
                let middle = 2.0 * f64::from(1 << (tries - 1));
                assert!(
                    (middle * 0.499..=middle * 1.501).contains(&pause),
                    "{key} {tries} {pause}"
                );
            }
        }
        assert_ne!(pause_before(1, "8d2f01aa", base), pause_before(1, "1d2f01aa", base));
        assert_eq!(pause_before(2, "8d2f01aa", base), pause_before(2, "8d2f01aa", base));
    }
}
