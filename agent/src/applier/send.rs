//! Sends one changing statement: guarded, bounded in time and locks, watched from a second connection.

use std::pin::pin;
use std::time::Duration;

use rules::protocol::{Chance, EndedBy, Failure, Statement};
use rules::statement::guard::{self, Permitted, Purpose};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::runner::Runner;
use super::{ApplyError, Event};
use crate::guards;
use crate::postgres::{CancelToken, PgError, PgErrorKind, Session};

/// How long one look from the second connection may take before we count as blind.
const LOOK_MAX: Duration = Duration::from_secs(15);

/// How often we look whether the run may still go on.
const MAY_GO_ON: Duration = Duration::from_secs(1);

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
    Failure { sqlstate: None, message, chance: Chance::Never, by: EndedBy::Itself }
}

/// Why it failed: because we cancelled it, or what the server says, and `ahead` is whom it was seen to wait for.
pub(super) fn failure(
    error: &PgError,
    cancelled: Option<Cancelled>,
    ahead: Option<&str>,
) -> Failure {
    let sqlstate = error.sqlstate().map(str::to_owned);
    let ours = cancelled.filter(|_| sqlstate.as_deref() == Some("57014"));
    let usual = Chance::of(sqlstate.as_deref());
    let (message, by, chance) = match ours {
        Some(Cancelled::Stop) => ("stopped by the user".to_owned(), EndedBy::User, usual),
        Some(Cancelled::Guarding(why)) => (why, EndedBy::Itself, usual),
        Some(Cancelled::HeldUp(why)) => {
            (format!("we cancelled it: {why}"), EndedBy::Hold, Chance::Later)
        }
        None => {
            // `lock_not_available`
            let held = ahead.filter(|_| sqlstate.as_deref() == Some("55P03"));
            let held = held.map_or(String::new(), |ahead| format!("; it waited for {ahead}"));
            (without_values(error) + &held, EndedBy::Itself, usual)
        }
    };
    Failure { sqlstate, message, chance, by }
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
pub(super) enum Cancelled {
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
    let (result, cancelled, ahead) = watched(runner, order).await;
    let back = runner.session.set_statement_timeout(Duration::from_secs(30)).await;
    match result {
        Ok(_) => Ok(Ok(since.elapsed())),
        Err(error) if error.is_lost() || back.is_err() => {
            Err(ApplyError::Server { doing: "finish a statement", source: error })
        }
        Err(error) => Ok(Err(failure(&error, cancelled, ahead.as_deref()))),
    }
}

/// What came of it, why we cancelled it if we did, and whom it was last seen to wait for.
async fn watched(
    runner: &Runner<'_>,
    order: &Order,
) -> (Result<u64, PgError>, Option<Cancelled>, Option<String>) {
    let Runner { session, options, .. } = runner;
    let token = session.cancel_token();
    let mut guard = CancelOnDrop(Some(token.clone()));
    let mut work = pin!(session.execute(&order.sql, &[]));
    let mut ticks = interval_at(Instant::now() + runner.watch_interval, runner.watch_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut cancelled, mut ahead) = (None, None);
    let (mut sent, mut pause) = (None, runner.watch_interval);
    let (mut at_work, mut asked) = (Instant::now(), Instant::now());
    let result = loop {
        tokio::select! {
            biased;
            result = &mut work => break result,
            _ = ticks.tick() => {}
        }
        // It is asked on when cancelled as well: only what the server still does is waited for.
        let seen = watch(runner).await;
        ahead = seen.ahead.clone().or(ahead);
        if seen.at_work {
            at_work = Instant::now();
        } else if at_work.elapsed() >= options.silence {
            break Err(given_up(runner));
        }
        if cancelled.is_none() {
            cancelled = reason_to_cancel(runner, order, seen);
        }
        let held = order.stoppable && runner.heeds_switch;
        if cancelled.is_none() && held && asked.elapsed() >= MAY_GO_ON {
            cancelled = held_up(runner, order).await.map(Cancelled::HeldUp);
            asked = Instant::now();
        }
        if cancelled.is_some() && sent.is_none_or(|at: Instant| at.elapsed() >= pause) {
            // The first cancel may come before the server has begun, or fail: it is sent again, less and less often, since
            // each takes a connection.
            pause = sent.map_or(pause, |_| pause * 2);
            sent = Some(Instant::now());
            let _ = timeout(options.silence, token.cancel()).await;
        }
    };
    guard.0 = None;
    if cancelled.is_some() {
        // A cancel request that is still under way must not meet the next statement, which writes the
        // journal: let it meet this one.
        let _ = session.query("SELECT pg_catalog.pg_sleep(0.2)", &[]).await;
    }
    (result, cancelled, ahead)
}

/// Looks once from the second connection, and tells how far a build is.
async fn watch(runner: &Runner<'_>) -> Seen {
    let Runner { session, watch, options, action, .. } = runner;
    let seen =
        match timeout(LOOK_MAX.min(options.silence), look(watch, session.backend_pid())).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => Seen::blind(&error.to_string()),
            Err(_) => Seen::blind("no answer in time"),
        };
    if let Some((phase, done, total)) = seen.phase.clone() {
        runner.tell(Event::Progress { action: action.clone(), phase, done, total });
    }
    seen
}

/// Ends the connection of a statement that the server is not seen to work on any more, and of which no answer comes.
fn given_up(runner: &Runner<'_>) -> PgError {
    runner.session.cut();
    PgError::silent(format!(
        "the server fell silent: for {} s neither an answer came nor was it seen at work",
        runner.options.silence.as_secs_f64()
    ))
}

/// Why the statement under way is to be cancelled, if it is.
fn reason_to_cancel(runner: &Runner<'_>, order: &Order, seen: Seen) -> Option<Cancelled> {
    let options = runner.options;
    if order.stoppable && options.stop.as_ref().is_some_and(|stop| *stop.borrow()) {
        return Some(Cancelled::Stop);
    }
    if let Some(why) = seen.blind {
        return Some(Cancelled::Guarding(why));
    }
    let building = seen.phase.is_some();
    let why = seen.waiting.and_then(|waiting| waiting.too_long(options.max_block, building));
    why.map(Cancelled::Guarding)
}

/// Why a statement under way should not go on. What cannot be asked is no reason: that we still see anything is
/// looked at apart.
async fn held_up(runner: &Runner<'_>, order: &Order) -> Option<String> {
    let building = matches!(order.meant, Permitted::CreateIndex { .. });
    if building && runner.build_end.is_some_and(|end| std::time::Instant::now() >= end) {
        return Some(
            "the builds of this run have taken all that --max-build-time allows".to_owned(),
        );
    }
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
    /// Whom we wait for.
    ahead: Option<String>,
    /// Who waits behind us.
    waiting: Option<Waiting>,
    /// Whether the server process is seen to work on something.
    at_work: bool,
    /// Why we cannot see anything.
    blind: Option<String>,
}

/// Who waits behind us: whoever the server could end as a deadlock with us, or else whoever has waited longest.
#[derive(Debug)]
struct Waiting {
    who: String,
    seconds: f64,
    /// Whether we wait for them in our turn, or for somebody who waits for them.
    circle: bool,
    /// Whether they hold a lock on a table at work.
    holds: bool,
    /// Whether they hold a snapshot.
    snapshot: bool,
}

impl Waiting {
    /// Why we give way, if we do. Of two who wait for each other the server ends the one that began to wait last, a
    /// `deadlock_timeout` (1 s) later: that may be the other. A statement that works concurrently waits, some time, for
    /// whoever uses the table, and a build also for all snapshots of before (`WaitForLockers` and
    /// `WaitForOlderSnapshots` in `indexcmds.c`); so it does not let them wait until then.
    fn too_long(&self, max_block: Duration, building: bool) -> Option<String> {
        let Self { who, seconds, circle, holds, snapshot } = self;
        let limit = max_block.as_secs_f64();
        if *circle || *holds || building && *snapshot {
            let held = if *circle || *holds { "a lock" } else { "a snapshot" };
            return Some(format!(
                "we cancelled it, since {who} had waited behind it while it held {held} that the statement waits for in its turn"
            ));
        }
        (*seconds >= limit).then(|| {
            format!("we cancelled it, since {who} had waited behind it for more than {limit} s")
        })
    }
}

impl Seen {
    fn blind(why: &str) -> Self {
        let message = format!("we cancelled it, since we could not watch over it any more: {why}");
        Self { blind: Some(message), ..Self::default() }
    }
}

async fn look(watch: &Session, pid: i32) -> Result<Seen, PgError> {
    // Those ahead of us are whom we wait for, whom they wait for, and so on. Without pg_read_all_stats nobody's backend_type
    // is shown but our own, but whoever has a user is no autovacuum worker, which would give way by itself.
    let sql = "WITH RECURSIVE ahead (pid) AS ( \
            SELECT b.pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b (pid) \
            UNION SELECT b.pid FROM ahead AS a CROSS JOIN LATERAL \
                pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS b (pid) WHERE a.pid <> $1) \
        SELECT p.phase::text, \
            CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_done WHEN p.blocks_total > 0 THEN p.blocks_done ELSE p.tuples_done END, \
            CASE WHEN p.phase LIKE 'waiting%' THEN p.lockers_total WHEN p.blocks_total > 0 THEN p.blocks_total ELSE p.tuples_total END, \
            w.who, w.seconds, EXISTS (SELECT FROM ahead WHERE ahead.pid = $1), w.holds, w.snapshot, \
            EXISTS (SELECT FROM pg_catalog.pg_stat_activity s WHERE s.pid = $1 AND s.state NOT LIKE 'idle%'), \
            (SELECT CASE b.pid WHEN 0 THEN 'a prepared transaction' ELSE pg_catalog.format('process %s', b.pid) END \
                || coalesce(' (' || nullif(concat_ws(', ', 'user ' || h.usename, nullif(h.application_name, ''), h.state), '') || ')', '') \
             FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b (pid) \
             LEFT JOIN pg_catalog.pg_stat_activity h ON h.pid = b.pid LIMIT 1) \
        FROM (SELECT 1) AS one \
        LEFT JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid = $1 \
        LEFT JOIN LATERAL (SELECT pg_catalog.format('process %s', l.pid) AS who, \
                extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)::double precision AS seconds, \
                EXISTS (SELECT FROM pg_catalog.pg_locks g JOIN pg_catalog.pg_locks o USING (database, relation) \
                    WHERE g.pid = l.pid AND g.granted AND o.pid = $1 AND g.relation >= 16384) AS holds, \
                a.backend_xmin IS NOT NULL AS snapshot \
            FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
            WHERE NOT l.granted AND l.pid <> $1 AND l.waitstart IS NOT NULL AND a.leader_pid IS DISTINCT FROM $1 \
            AND a.usesysid IS NOT NULL AND $1 = ANY (pg_catalog.pg_blocking_pids(l.pid)) \
            ORDER BY 3 DESC, 4 DESC, l.waitstart LIMIT 1) w ON true";
    let row = watch.query_one(sql, &[&pid]).await?;
    let phase: Option<String> = row.try_get(0)?;
    let number = |column: usize| -> Result<u64, PgError> {
        let value: Option<i64> = row.try_get(column)?;
        Ok(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
    };
    let (done, total) = (number(1)?, number(2)?);
    let who: Option<String> = row.try_get(3)?;
    let seconds: Option<f64> = row.try_get(4)?;
    let is = |column: usize| -> Result<bool, PgError> {
        Ok(row.try_get::<_, Option<bool>>(column)?.unwrap_or(false))
    };
    let (circle, holds, snapshot) = (is(5)?, is(6)?, is(7)?);
    let waiting = who.zip(seconds);
    Ok(Seen {
        phase: phase.map(|phase| (phase, done, total)),
        waiting: waiting.map(|(who, seconds)| Waiting { who, seconds, circle, holds, snapshot }),
        at_work: row.try_get(8)?,
        ahead: row.try_get(9)?,
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
