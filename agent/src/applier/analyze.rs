//! `ANALYZE`: harmless, not to be undone, and silently skipped by the server for those who may not.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rules::change_plan::Action;
use rules::statement::guard::{Permitted, Purpose};
use serde_json::json;
use uuid::Uuid;

use super::catalog::{self, WaitsFor};
use super::check::{self, Right};
use super::runner::Runner;
use super::send::{Order, send_patiently};
use super::{ApplyError, Effect, Left};
use crate::journal::{Change, NewEntry, State};

/// How long the statistics collector of PostgreSQL 14 may take to show that a table was analyzed.
const STATISTICS_LAG: Duration = Duration::from_secs(5);
/// How often we look.
const GLANCE: Duration = Duration::from_millis(100);

/// Carries the action out; answers with its row in the journal and what became of it.
pub(super) async fn carry_out(
    runner: &Runner<'_>,
    run: Uuid,
    action: &Action,
) -> Result<(Option<i64>, Effect), ApplyError> {
    let table = match check::table(runner, &action.table, Right::Analyze).await? {
        Ok(table) => table,
        Err(reason) => return Ok((None, Effect::Refused { reason })),
    };
    if let Err(reason) = check::way_is_free(runner, action.table.oid, WaitsFor::Maintenance).await?
    {
        return Ok((None, Effect::Refused { reason }));
    }
    let look = ApplyError::while_doing("look when the table was last analyzed");
    let before = catalog::last_analyze(&runner.session, action.table.oid).await.map_err(look)?;
    let new = NewEntry {
        run,
        action: action.clone(),
        index: (None, None, None),
        before: json!({"last_analyze": before}),
        server: runner.here.clone(),
    };
    let id = match runner.intend(&new).await? {
        Ok(id) => id,
        Err(reason) => return Ok((None, Effect::Refused { reason })),
    };
    runner.step(id, State::Intent, State::Applying, &Change::default()).await?;
    runner.session.take_notices();
    let order = Order {
        sql: action.sql(),
        meant: Permitted::Analyze {
            schema: action.table.schema.clone(),
            table: action.table.name.clone(),
        },
        purpose: Purpose::Change,
        limit: runner.options.time_for(u64::try_from(table.bytes).unwrap_or(0)),
        stoppable: true,
    };
    let (result, attempts) = send_patiently(runner, &action.key, &order).await?;
    let change = Change { attempts, ..Change::default() };
    let seconds = match result {
        Ok(took) => took.as_secs_f64(),
        Err(failure) => {
            let change = Change {
                sqlstate: failure.sqlstate.as_deref(),
                error: Some(&failure.message),
                ..change
            };
            runner.step(id, State::Applying, State::Aborted, &change).await?;
            if failure.stopped {
                return Err(ApplyError::Interrupted);
            }
            let (sqlstate, message, left) = (failure.sqlstate, failure.message, Left::Nothing);
            return Ok((Some(id), Effect::Failed { sqlstate, message, left }));
        }
    };
    runner.step(id, State::Applying, State::Verifying, &change).await?;
    if has_moved(runner, action.table.oid, before).await? {
        runner.step(id, State::Verifying, State::Kept, &Change::default()).await?;
        return Ok((Some(id), Effect::Applied { index_oid: None, seconds, bytes: None }));
    }
    let said: Vec<String> =
        runner.session.take_notices().into_iter().map(|notice| notice.message).collect();
    let message = format!(
        "the server reported success, but did not analyze the table{}{}",
        if said.is_empty() { "" } else { ": " },
        said.join("; ")
    );
    let change = Change { error: Some(&message), ..Change::default() };
    runner.step(id, State::Verifying, State::Aborted, &change).await?;
    Ok((Some(id), Effect::Failed { sqlstate: None, message, left: Left::Nothing }))
}

/// Whether the table was analyzed since.
pub(super) async fn has_moved(
    runner: &Runner<'_>,
    table: u32,
    before: Option<DateTime<Utc>>,
) -> Result<bool, ApplyError> {
    let since = Instant::now();
    loop {
        let look = ApplyError::while_doing("look whether the table was analyzed");
        let now = catalog::last_analyze(&runner.session, table).await.map_err(look)?;
        if now > before {
            return Ok(true);
        }
        if since.elapsed() >= STATISTICS_LAG {
            return Ok(false);
        }
        tokio::time::sleep(GLANCE).await;
    }
}
