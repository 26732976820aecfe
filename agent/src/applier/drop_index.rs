//! `DROP INDEX CONCURRENTLY` of an index that is not ours: only what can be made again exactly.

use rules::change_plan::{Action, Operation, TableRef};
use rules::quote::qualified;
use rules::snapshot::Index;
use rules::statement::index_shape::IndexShape;
use serde_json::json;
use uuid::Uuid;

use super::catalog::{self, IndexState, Named, WaitsFor};
use super::check::{self, Right};
use super::create_index::drop_patiently;
use super::runner::Runner;
use super::send::Failure;
use super::{ApplyError, Effect, Left};
use crate::journal::{Change, NewEntry, State};

/// What became of an index that was to be dropped.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    /// It is gone.
    Gone,
    /// It is there as before.
    Untouched,
    /// It is half dropped: no query uses it any more, and the rest could not be done yet.
    Half(String),
    /// Something else has its name.
    Conflict(String),
}

/// Carries the action out; answers with its row in the journal and what became of it.
pub(super) async fn carry_out(
    runner: &Runner<'_>,
    run: Uuid,
    action: &Action,
    index: &Index,
) -> Result<(Option<i64>, Effect), ApplyError> {
    let refused = |reason: String| Ok((None, Effect::Refused { reason }));
    if let Err(reason) = check::table(runner, &action.table, Right::Drop).await? {
        return refused(reason);
    }
    let full = qualified(&index.schema, &index.name);
    let look = ApplyError::while_doing("look at the index again");
    let now =
        match catalog::named(&runner.session, &index.schema, &index.name).await.map_err(look)? {
            Named::Absent => {
                return Ok((None, Effect::AlreadyThere { what: format!("{full} is gone") }));
            }
            Named::Index(now) => now,
            Named::Other => return refused(format!("{full} is no index any more")),
        };
    if let Some(reason) = more_than_an_index(runner, &action.table, index, &now).await? {
        return refused(reason);
    }
    if let Err(reason) = check::way_is_free(runner, action.table.oid, WaitsFor::Users).await? {
        return refused(reason);
    }
    let before = Index {
        oid: now.oid,
        tablespace: now.tablespace.clone(),
        comment: now.comment.clone(),
        statistics_targets: now.statistics_targets.clone(),
        ..index.clone()
    };
    // What the journal tells people and the undo is made from the index as it is now.
    let operation = Operation::DropIndex { index: Box::new(before.clone()) };
    let new = NewEntry {
        run,
        action: Action { operation, ..action.clone() },
        index: (Some(index.name.clone()), Some(now.oid), Some(now.definition.clone())),
        before: json!({"index": before}),
        server: runner.here.clone(),
    };
    let id = match runner.intend(&new).await? {
        Ok(id) => id,
        Err(reason) => return refused(reason),
    };
    runner.step(id, State::Intent, State::Applying, &Change::default()).await?;
    let (result, attempts) =
        drop_patiently(runner, &action.key, &index.schema, &index.name).await?;
    let settled = look_again(runner, &action.table, index, &result).await?;
    let failure = result.as_ref().err();
    let change = Change {
        attempts,
        sqlstate: failure.and_then(|failure| failure.sqlstate.as_deref()),
        error: failure.map(|failure| failure.message.as_str()),
        ..Change::default()
    };
    let left = close_row(runner, id, State::Applying, &settled, &change).await?;
    let effect = match (left, result) {
        (None, result) => Effect::Applied {
            index_oid: None,
            seconds: result.map_or(0.0, |took| took.as_secs_f64()),
            bytes: Some(-now.bytes),
        },
        (Some(left), Err(failure)) => {
            Effect::Failed { sqlstate: failure.sqlstate, message: failure.message, left }
        }
        (Some(left), Ok(_)) => {
            let message = format!("{full} is still there");
            Effect::Failed { sqlstate: None, message, left }
        }
    };
    Ok((Some(id), effect))
}

/// Why this index must not be dropped, if there is a reason.
async fn more_than_an_index(
    runner: &Runner<'_>,
    table: &TableRef,
    planned: &Index,
    now: &IndexState,
) -> Result<Option<String>, ApplyError> {
    let full = qualified(&now.schema, &now.name);
    if now.table != table.oid || now.oid != planned.oid || now.definition != planned.definition {
        return Ok(Some(format!(
            "{full} is not what it was when the plan was made; run pgwright optimize again"
        )));
    }
    if let Some(what) = &now.needed_for {
        return Ok(Some(format!("{full} is needed for {what}")));
    }
    if let Some(pid) = now.builder {
        return Ok(Some(format!("process {pid} is building {full}")));
    }
    if !now.usable {
        return Ok(None);
    }
    let look = ApplyError::while_doing("look for the index that stays");
    let others = catalog::indexes_of(&runner.session, table.oid).await.map_err(look)?;
    let shape = IndexShape::of(&now.definition);
    let twin = others.iter().any(|other| {
        other.oid != now.oid && other.usable && IndexShape::of(&other.definition) == shape
    });
    Ok((shape.is_err() || !twin).then(|| {
        format!("no other usable index with the definition of {full} is there, so it has to stay")
    }))
}

/// Finds out how far a drop got.
pub(super) async fn look_again(
    runner: &Runner<'_>,
    table: &TableRef,
    index: &Index,
    result: &Result<std::time::Duration, Failure>,
) -> Result<Settled, ApplyError> {
    let full = qualified(&index.schema, &index.name);
    let look = ApplyError::while_doing("look what is left of the index");
    Ok(match catalog::named(&runner.session, &index.schema, &index.name).await.map_err(look)? {
        Named::Absent => Settled::Gone,
        Named::Index(now) if now.table != table.oid || now.definition != index.definition => {
            Settled::Conflict(format!("{full} is another index by now"))
        }
        Named::Index(now) if now.usable || !index.valid => Settled::Untouched,
        Named::Index(_) => {
            let why = result.as_ref().err().map_or("", |failure| failure.message.as_str());
            Settled::Half(format!("{full} is half dropped and no query uses it any more: {why}"))
        }
        Named::Other => Settled::Conflict(format!("{full} is something else by now")),
    })
}

/// Moves a row to where the catalog says it belongs; what is left, unless the index is gone as it should be.
pub(super) async fn close_row(
    runner: &Runner<'_>,
    id: i64,
    from: State,
    settled: &Settled,
    change: &Change<'_>,
) -> Result<Option<Left>, ApplyError> {
    let (to, left, note) = match settled {
        Settled::Gone => {
            if from != State::Verifying {
                runner.step(id, from, State::Verifying, change).await?;
            }
            runner.step(id, State::Verifying, State::Observing, &Change::default()).await?;
            return Ok(None);
        }
        Settled::Untouched => (State::Aborted, Left::Nothing, None),
        Settled::Half(what) => (State::CleanupPending, Left::Pending, Some(what.as_str())),
        Settled::Conflict(what) => (State::Conflict, Left::Pending, Some(what.as_str())),
    };
    if from != to {
        runner.step(id, from, to, &Change { note, ..change.clone() }).await?;
    }
    Ok(Some(left))
}
