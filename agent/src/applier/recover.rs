//! Finishes what earlier runs left, whatever ended them: the catalog tells what really happened.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rules::change_plan::Operation;
use rules::statement::index_shape::IndexShape;

use super::analyze::has_moved;
use super::create_index::{self, Wanted, drop_patiently};
use super::runner::Runner;
use super::undo::undo;
use super::{ApplyError, Effect, Event, catalog, drop_index};
use crate::journal::{self, Change, Entry, State};

/// How long a process that still works for a dead run may take to end, by itself and after a cancel.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);
/// How often we look.
const GLANCE: Duration = Duration::from_millis(200);

/// Finishes every row that is in flight. Rows that cannot be finished now stay as they are.
pub(crate) async fn recover(runner: &mut Runner<'_>) -> Result<(), ApplyError> {
    for entry in journal::in_flight(&runner.session).await? {
        runner.heed_stop()?;
        entry.action_id().clone_into(&mut runner.action);
        end_orphan(runner, entry.backend_pid).await?;
        // One row that cannot be finished does not keep the others from it.
        let what = match finish(runner, &entry).await {
            Ok(what) => what,
            Err(error) => match error.of_one_action()? {
                Effect::Refused { reason } | Effect::Failed { message: reason, .. } => reason,
                _ => "nothing was done".to_owned(),
            },
        };
        let now = journal::get(&runner.session, entry.id).await?;
        let state = now.map_or(entry.state, |entry| entry.state);
        tracing::info!(row = entry.id, %state, what, "finished what an earlier run left");
        runner.tell(Event::Recovered { row: entry.id, state, what });
    }
    Ok(())
}

/// Waits for the server process of a dead run, and cancels it if it goes on.
async fn end_orphan(runner: &Runner<'_>, pid: i32) -> Result<(), ApplyError> {
    let doing = "end the server process of an earlier run";
    let mut cancelled = false;
    let mut since = Instant::now();
    while catalog::is_at_work(&runner.session, pid).await.map_err(ApplyError::while_doing(doing))? {
        if since.elapsed() >= ORPHAN_PATIENCE {
            if cancelled {
                let reason = format!("process {pid} of an earlier run is still at work");
                return Err(ApplyError::Refused { reason });
            }
            let sql = "SELECT pg_catalog.pg_cancel_backend($1)";
            runner.session.query(sql, &[&pid]).await.map_err(ApplyError::while_doing(doing))?;
            cancelled = true;
            since = Instant::now();
        }
        runner.pause(GLANCE).await?;
    }
    Ok(())
}

async fn finish(runner: &Runner<'_>, entry: &Entry) -> Result<String, ApplyError> {
    let undoing = matches!(entry.state, State::Reverting | State::RevertPending);
    if !entry.is_of(&runner.here) {
        let what = "it belongs to the server or database that this one was copied from";
        return set_aside(runner, entry, what).await;
    }
    if undoing {
        return Ok(match undo(runner, entry).await? {
            Effect::Reverted { note } => note.unwrap_or_else(|| "it is taken back now".to_owned()),
            Effect::Refused { reason } | Effect::Failed { message: reason, .. } => reason,
            _ => "nothing was left to do".to_owned(),
        });
    }
    match entry.operation() {
        Err(what) => set_aside(runner, entry, &what).await,
        Ok(Operation::CreateIndex { name, definition }) => {
            let shape = IndexShape::of(&definition.create(&name));
            let meant = Some(&name) == entry.index_name.as_ref()
                && definition.schema == entry.table.schema
                && definition.table == entry.table.name;
            match shape {
                Ok(shape) if meant => {
                    let wanted = Wanted { table: entry.table.clone(), name, shape };
                    finish_create(runner, entry, &wanted).await
                }
                _ => set_aside(runner, entry, "its columns contradict each other").await,
            }
        }
        Ok(Operation::DropIndex { index }) => {
            let meant = Some(&index.name) == entry.index_name.as_ref()
                && Some(&index.definition) == entry.definition.as_ref();
            if !meant {
                return set_aside(runner, entry, "its columns contradict each other").await;
            }
            finish_drop(runner, entry, &index).await
        }
        Ok(Operation::Analyze) => finish_analyze(runner, entry).await,
    }
}

/// Marks a row as one that a person has to look at.
async fn set_aside(runner: &Runner<'_>, entry: &Entry, what: &str) -> Result<String, ApplyError> {
    let change = Change { note: Some(what), ..Change::default() };
    let mut from = entry.state;
    if from == State::RevertPending {
        runner.step(entry.id, from, State::Reverting, &Change::default()).await?;
        from = State::Reverting;
    }
    runner.step(entry.id, from, State::Conflict, &change).await?;
    Ok(what.to_owned())
}

/// Brings a row out of `intent`, from where nothing can be said to have happened.
async fn begun(runner: &Runner<'_>, entry: &Entry) -> Result<State, ApplyError> {
    if entry.state == State::Intent {
        runner.step(entry.id, State::Intent, State::Applying, &Change::default()).await?;
        return Ok(State::Applying);
    }
    Ok(entry.state)
}

async fn finish_create(
    runner: &Runner<'_>,
    entry: &Entry,
    wanted: &Wanted,
) -> Result<String, ApplyError> {
    let from = begun(runner, entry).await?;
    let settled = create_index::settle(runner, &entry.action_key, wanted).await?;
    let what = match &settled {
        create_index::Settled::InPlace(_) => "the index was finished and is in place".to_owned(),
        create_index::Settled::Absent(super::Left::Cleaned) => {
            "the index was half made and has been removed".to_owned()
        }
        create_index::Settled::Absent(_) => "the index was not made".to_owned(),
        create_index::Settled::Pending(what) | create_index::Settled::Conflict(what) => {
            what.clone()
        }
    };
    // What is left and where the row stands is in `what` and in the row.
    let _ = create_index::close_row(runner, entry.id, from, &settled, &Change::default()).await?;
    Ok(what)
}

async fn finish_drop(
    runner: &Runner<'_>,
    entry: &Entry,
    index: &rules::snapshot::Index,
) -> Result<String, ApplyError> {
    let from = begun(runner, entry).await?;
    let nothing_yet = Ok(Duration::ZERO);
    let mut settled = drop_index::look_again(runner, &entry.table, index, &nothing_yet).await?;
    if matches!(settled, drop_index::Settled::Half(_)) {
        let (result, _) =
            drop_patiently(runner, &entry.action_key, &index.schema, &index.name).await?;
        settled = drop_index::look_again(runner, &entry.table, index, &result).await?;
    }
    drop_index::close_row(runner, entry.id, from, &settled, &Change::default()).await?;
    Ok(match settled {
        drop_index::Settled::Gone => "the index is dropped".to_owned(),
        drop_index::Settled::Untouched => "the index was not dropped".to_owned(),
        drop_index::Settled::Half(what) | drop_index::Settled::Conflict(what) => what,
    })
}

async fn finish_analyze(runner: &Runner<'_>, entry: &Entry) -> Result<String, ApplyError> {
    let before = entry.before.get("last_analyze").cloned().unwrap_or_default();
    let before: Option<DateTime<Utc>> = serde_json::from_value(before).unwrap_or(None);
    let from = begun(runner, entry).await?;
    if has_moved(runner, entry.table.oid, before).await? {
        if from != State::Verifying {
            runner.step(entry.id, from, State::Verifying, &Change::default()).await?;
        }
        runner.step(entry.id, State::Verifying, State::Kept, &Change::default()).await?;
        return Ok("the table was analyzed".to_owned());
    }
    runner.step(entry.id, from, State::Aborted, &Change::default()).await?;
    Ok("the table was not analyzed".to_owned())
}
