//! Statements that change the catalog only, in one short transaction: all of them happen, or none.
//!
//! Others wait for its locks until it ends, so the whole of it may take no longer than one wait for a lock; nor so long
//! that the server would look for a deadlock and end one of those others ([`Runner::together_max`]).

use std::pin::pin;
use std::time::Duration;

use rules::protocol::{Chance, EndedBy, Failure};
use rules::statement::guard::{Permitted, Purpose, permitted};
use tokio::time::{Instant, timeout};

use super::runner::Runner;
use super::send::failure;
use super::{ApplyError, Event};

/// Sends statements at once, each of which the guard reads as what it is meant to be.
pub(super) async fn send(
    runner: &Runner<'_>,
    orders: &[(String, Permitted)],
) -> Result<Result<(), Failure>, ApplyError> {
    for (sql, meant) in orders {
        let never = |message: String| {
            Ok(Err(Failure { sqlstate: None, message, chance: Chance::Never, by: EndedBy::Itself }))
        };
        match permitted(sql, Purpose::Partitioned) {
            Ok(permitted) if permitted == *meant => {}
            Ok(other) => return never(format!("the server would read `{sql}` as {other:?}")),
            Err(forbidden) => return never(forbidden.to_string()),
        }
    }
    let all: Vec<&str> = orders.iter().map(|(sql, _)| sql.as_str()).collect();
    let all = all.join(";\n");
    runner.tell(Event::Started { action: runner.action.clone(), statement: all.clone() });
    runner.session.batch(&all).await.map(Ok).map_err(ApplyError::while_doing(SENDING))
}

const SENDING: &str = "finish a transaction";

/// Runs `work` in a transaction, which is committed where it succeeds in time. An error means that the session is of
/// no more use.
pub(super) async fn together(
    runner: &Runner<'_>,
    work: impl Future<Output = Result<Result<(), Failure>, ApplyError>>,
) -> Result<Result<Duration, Failure>, ApplyError> {
    runner.check_lock().await?;
    let limit = runner.together_max;
    let ms = limit.as_millis();
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = {ms}; SET LOCAL statement_timeout = {ms}; \
         SET LOCAL idle_in_transaction_session_timeout = {ms}"
    );
    let since = Instant::now();
    let session = &runner.session;
    session.batch(&begin).await.map_err(ApplyError::while_doing("begin a transaction"))?;
    let mut work = pin!(work);
    let (result, late) = if let Ok(result) = timeout(limit, &mut work).await {
        (result, false)
    } else {
        let _ = session.cancel_token().cancel().await;
        (work.await, true)
    };
    let result = match result {
        Ok(Ok(())) if !late => match session.batch("COMMIT").await {
            Ok(()) => return Ok(Ok(since.elapsed())),
            Err(source) => Err(ApplyError::Server { doing: SENDING, source }),
        },
        result => result,
    };
    let back = session.batch("ROLLBACK").await;
    if late {
        // A cancel request that is still under way must not meet the next statement, which writes the journal.
        let _ = session.query("SELECT pg_catalog.pg_sleep(0.2)", &[]).await;
    }
    match result {
        Err(ApplyError::Server { source, doing }) if source.is_lost() || back.is_err() => {
            Err(ApplyError::Server { source, doing })
        }
        Err(ApplyError::Server { source, .. }) if !late => Ok(Err(failure(&source, None, None))),
        Ok(Err(failure)) => Ok(Err(failure)),
        Err(ApplyError::Server { .. }) | Ok(Ok(())) => Ok(Err(Failure {
            sqlstate: Some("57014".to_owned()),
            message: format!(
                "we cancelled it, since others would have had to wait for more than {} s",
                limit.as_secs_f64()
            ),
            chance: Chance::Again,
            by: EndedBy::Itself,
        })),
        Err(error) => Err(error),
    }
}
