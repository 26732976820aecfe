//! Takes one action back: the inverse is rendered anew from the structured columns of its row, passes the
//! same guard and the same look before and after. SQL text in the journal is never executed.

use rules::change_plan::{Operation, recreate};
use rules::index::IndexDefinition;
use rules::quote::{ident, qualified};
use rules::snapshot::Index;
use rules::statement::guard::{Permitted, Purpose};
use rules::statement::index_shape::IndexShape;

use super::catalog::{self, IndexState, Named, WaitsFor};
use super::check::{self, Right};
use super::create_index::{Settled, Wanted, build, drop_patiently, settle};
use super::runner::Runner;
use super::send::{Failure, Order, send_patiently};
use super::{ApplyError, Effect, Left};
use crate::journal::{self, Change, Entry, INDEX_PREFIX, State, comes_again};

/// Takes an action back that is in place, or goes on with doing so.
pub(crate) async fn undo(runner: &Runner<'_>, entry: &Entry) -> Result<Effect, ApplyError> {
    match entry.operation() {
        Ok(Operation::CreateIndex { name, definition }) => {
            undo_create(runner, entry, &name, &definition).await
        }
        Ok(Operation::DropIndex { .. }) => undo_drop(runner, entry).await,
        Ok(Operation::Analyze) => Ok(Effect::NothingToUndo {
            why: "statistics that ANALYZE has taken cannot be taken back, and need not be"
                .to_owned(),
        }),
        Err(reason) => mismatch(runner, entry, reason).await,
    }
}

/// Refuses since the row or the catalog is not as it should be. A row whose undo had begun goes to a person.
async fn mismatch(
    runner: &Runner<'_>,
    entry: &Entry,
    reason: String,
) -> Result<Effect, ApplyError> {
    if entry.state.is_in_flight() {
        begin(runner, entry).await?;
        let change = Change { note: Some(&reason), ..Change::default() };
        runner.step(entry.id, State::Reverting, State::Conflict, &change).await?;
    }
    Ok(Effect::Refused { reason })
}

/// Refuses since something stands in the way that can go away. A row whose undo had begun waits.
async fn wait(runner: &Runner<'_>, entry: &Entry, reason: String) -> Result<Effect, ApplyError> {
    if entry.state == State::Reverting {
        let change = Change { error: Some(&reason), ..Change::default() };
        runner.step(entry.id, State::Reverting, State::RevertPending, &change).await?;
    }
    Ok(Effect::Refused { reason })
}

/// Closes the row of an action that a person has taken back by hand; whether it was one.
pub(crate) async fn settled_by_hand(
    runner: &Runner<'_>,
    entry: &Entry,
) -> Result<bool, ApplyError> {
    let settled = match entry.operation() {
        _ if !entry.is_of(&runner.here) => false,
        Ok(Operation::CreateIndex { name, definition }) if describes(entry, &name, &definition) => {
            matches!(look_up(runner, &entry.table.schema, &name).await?, Named::Absent)
        }
        Ok(Operation::DropIndex { .. }) => match recorded(entry) {
            Some((index, _)) => match look_up(runner, &index.schema, &index.name).await? {
                Named::Index(now) => is_back(&index, &now),
                Named::Absent => !table_is_there(runner, entry).await?,
                Named::Other => false,
            },
            None => false,
        },
        _ => false,
    };
    if settled {
        runner.step(entry.id, State::Conflict, State::Reverting, &Change::default()).await?;
        let note = Some("a person took it back by hand");
        complete(runner, entry, &Change { note, ..Change::default() }).await?;
    }
    Ok(settled)
}

/// Whether the table of a row is still there, be it under another name.
async fn table_is_there(runner: &Runner<'_>, entry: &Entry) -> Result<bool, ApplyError> {
    let look = ApplyError::while_doing("look whether the table is still there");
    Ok(catalog::table(&runner.session, entry.table.oid).await.map_err(look)?.is_some())
}

/// Writes down that the undo begins.
async fn begin(runner: &Runner<'_>, entry: &Entry) -> Result<(), ApplyError> {
    if entry.state == State::Reverting {
        return Ok(());
    }
    runner.step(entry.id, entry.state, State::Reverting, &Change::default()).await
}

/// Writes down that the undo is complete.
async fn complete(
    runner: &Runner<'_>,
    entry: &Entry,
    change: &Change<'_>,
) -> Result<Effect, ApplyError> {
    let by_hand = journal::block_days(&runner.session, &entry.action_key).await?;
    let mut change = change.clone();
    // Whatever was not taken back by a verdict of ours was taken back by a person, who had a reason.
    if entry.verdict.is_none() {
        (change.verdict, change.blocked_days) = (Some(journal::BY_HAND), Some(by_hand));
    }
    runner.step(entry.id, State::Reverting, State::Reverted, &change).await?;
    Ok(Effect::Reverted { note: change.note.map(str::to_owned) })
}

/// Writes down that the undo could not be completed: that it waits, or, where it would fail again, that a
/// person has to look.
async fn postpone(
    runner: &Runner<'_>,
    entry: &Entry,
    failure: Failure,
    attempts: i32,
) -> Result<Effect, ApplyError> {
    let change = Change {
        sqlstate: failure.sqlstate.as_deref(),
        error: Some(&failure.message),
        attempts,
        ..Change::default()
    };
    let hopeless = failure.sqlstate.as_deref().is_some_and(comes_again);
    let (to, left) = if hopeless {
        (State::Conflict, Left::ForAPerson)
    } else {
        (State::RevertPending, Left::ToBeUndone)
    };
    runner.step(entry.id, State::Reverting, to, &change).await?;
    if failure.stopped {
        return Err(ApplyError::Interrupted);
    }
    let (sqlstate, message) = (failure.sqlstate, failure.message);
    Ok(Effect::Failed { sqlstate, message, left })
}

async fn look_up(runner: &Runner<'_>, schema: &str, name: &str) -> Result<Named, ApplyError> {
    let look = ApplyError::while_doing("look at the index that is to be undone");
    catalog::named(&runner.session, schema, name).await.map_err(look)
}

async fn undo_create(
    runner: &Runner<'_>,
    entry: &Entry,
    name: &str,
    definition: &IndexDefinition,
) -> Result<Effect, ApplyError> {
    let shape = match IndexShape::of(&definition.create(name)) {
        Ok(shape) if describes(entry, name, definition) => shape,
        _ => {
            let reason =
                "the row in the journal contradicts itself; somebody changed it".to_owned();
            return mismatch(runner, entry, reason).await;
        }
    };
    let wanted = Wanted { table: entry.table.clone(), name: name.to_owned(), shape };
    let schema = &entry.table.schema;
    match look_up(runner, schema, name).await? {
        Named::Absent => {
            begin(runner, entry).await?;
            let note = Some("the index had been removed already, not by pgwright");
            return complete(runner, entry, &Change { note, ..Change::default() }).await;
        }
        Named::Index(index) => {
            if let Some(reason) = differs(entry, &wanted, &index) {
                return mismatch(runner, entry, reason).await;
            }
            if let Some(reason) = in_use(&index) {
                return wait(runner, entry, reason).await;
            }
        }
        Named::Other => {
            let reason = format!("{} is no index any more", qualified(schema, name));
            return mismatch(runner, entry, reason).await;
        }
    }
    if let Err(reason) = check::table(runner, &entry.table, Right::Drop).await? {
        return wait(runner, entry, reason).await;
    }
    if let Err(reason) = check::way_is_free(runner, entry.table.oid, WaitsFor::Users).await? {
        return wait(runner, entry, reason).await;
    }
    begin(runner, entry).await?;
    let (result, attempts) = drop_patiently(runner, &entry.action_key, schema, name).await?;
    match (look_up(runner, schema, name).await?, result) {
        (Named::Absent, _) => {
            complete(runner, entry, &Change { attempts, ..Change::default() }).await
        }
        (_, Err(failure)) => postpone(runner, entry, failure, attempts).await,
        (_, Ok(_)) => {
            let failure = Failure::plain("the index is still there");
            postpone(runner, entry, failure, attempts).await
        }
    }
}

/// Whether the columns of a row tell the same of the index that was made.
fn describes(entry: &Entry, name: &str, definition: &IndexDefinition) -> bool {
    entry.index_name.as_deref() == Some(name)
        && name.starts_with(INDEX_PREFIX)
        && name.ends_with(entry.action_id())
        && definition.schema == entry.table.schema
        && definition.table == entry.table.name
}

/// Why an index is not the one that the row records, if it is not.
fn differs(entry: &Entry, wanted: &Wanted, index: &IndexState) -> Option<String> {
    let recorded = entry.definition.as_ref().is_none_or(|recorded| *recorded == index.definition);
    (!wanted.is(index) || !recorded).then(|| {
        format!(
            "{} is no longer what pgwright made, so it is not touched; it is now: {}",
            qualified(&index.schema, &index.name),
            index.definition
        )
    })
}

/// Why an index must not be dropped, if there is a reason.
fn in_use(index: &IndexState) -> Option<String> {
    let full = qualified(&index.schema, &index.name);
    if let Some(what) = &index.needed_for {
        return Some(format!("{full} meanwhile serves {what}; take that away first"));
    }
    index.builder.map(|pid| format!("process {pid} is building {full} anew; wait for it"))
}

async fn undo_drop(runner: &Runner<'_>, entry: &Entry) -> Result<Effect, ApplyError> {
    let Some((index, wanted)) = recorded(entry) else {
        let reason = "the row in the journal contradicts itself; somebody changed it".to_owned();
        return mismatch(runner, entry, reason).await;
    };
    let full = qualified(&index.schema, &index.name);
    let there = match look_up(runner, &index.schema, &index.name).await? {
        Named::Absent if !table_is_there(runner, entry).await? => {
            begin(runner, entry).await?;
            let note = Some("the table is gone, and the index with it");
            return complete(runner, entry, &Change { note, ..Change::default() }).await;
        }
        Named::Absent => false,
        Named::Index(now) if now.definition == index.definition && now.usable => {
            if now.tablespace != index.tablespace {
                let reason = elsewhere(runner, &index, &now).await?;
                return mismatch(runner, entry, reason).await;
            }
            true
        }
        // Our own attempt to make it again may have ended half-way.
        Named::Index(now) if now.definition == index.definition && entry.state.is_in_flight() => {
            false
        }
        Named::Index(_) | Named::Other => {
            let reason = format!(
                "the name {full} is taken by something else, so the dropped index cannot come back; rename that"
            );
            return mismatch(runner, entry, reason).await;
        }
    };
    let state = match check::table(runner, &entry.table, Right::Index).await? {
        Ok(state) => state,
        Err(reason) => return wait(runner, entry, reason).await,
    };
    let what = WaitsFor::WritersAndSnapshots;
    if let Err(reason) = check::way_is_free(runner, entry.table.oid, what).await? {
        return wait(runner, entry, reason).await;
    }
    begin(runner, entry).await?;
    let limit = runner.options.time_for(u64::try_from(state.bytes).unwrap_or(0));
    let mut statements = recreate(&index).into_iter();
    let first = statements.next().unwrap_or_default();
    if !there {
        let order = Order {
            sql: first,
            meant: Permitted::CreateIndex {
                name: index.name.clone(),
                schema: entry.table.schema.clone(),
                table: entry.table.name.clone(),
                tablespace: index.tablespace.clone(),
            },
            purpose: Purpose::Restore,
            limit,
            stoppable: true,
        };
        if let Some(effect) = make_again(runner, entry, &order, &wanted).await? {
            return Ok(effect);
        }
    }
    for sql in statements {
        if let Err(failure) = restore(runner, entry, &index, sql).await? {
            return postpone(runner, entry, failure, 1).await;
        }
    }
    match look_up(runner, &index.schema, &index.name).await? {
        Named::Index(now) if is_back(&index, &now) => {
            let change = Change { index_oid: Some(now.oid), attempts: 1, ..Change::default() };
            complete(runner, entry, &change).await
        }
        // Trying again would end the same way.
        _ => {
            let message = format!("{full} was made again, but is not what was dropped");
            let change = Change { error: Some(&message), attempts: 1, ..Change::default() };
            runner.step(entry.id, State::Reverting, State::Conflict, &change).await?;
            Ok(Effect::Failed { sqlstate: None, message, left: Left::ForAPerson })
        }
    }
}

/// Says that the dropped index is back in another tablespace, and what moves it: a statement that keeps
/// others from the index while it copies, so that a person has to choose the hour.
async fn elsewhere(
    runner: &Runner<'_>,
    index: &Index,
    now: &IndexState,
) -> Result<String, ApplyError> {
    let look = ApplyError::while_doing("look which tablespace is the database's");
    let usual = catalog::default_tablespace(&runner.session).await.map_err(look)?;
    let (full, right) =
        (qualified(&index.schema, &index.name), index.tablespace.as_ref().unwrap_or(&usual));
    Ok(format!(
        "{full} is there again, but in tablespace {}; ALTER INDEX {full} SET TABLESPACE {} moves it",
        now.tablespace.as_ref().unwrap_or(&usual),
        ident(right)
    ))
}

/// The dropped index out of a row, if its columns agree about it.
fn recorded(entry: &Entry) -> Option<(Index, Wanted)> {
    let index: Index = serde_json::from_value(entry.before.get("index")?.clone()).ok()?;
    let shape = IndexShape::of(&index.definition).ok()?;
    let agree = entry.index_name.as_ref() == Some(&index.name)
        && entry.definition.as_ref() == Some(&index.definition)
        && entry.table.schema == index.schema;
    let wanted = Wanted { table: entry.table.clone(), name: index.name.clone(), shape };
    agree.then_some((index, wanted))
}

/// Whether an index is exactly what was dropped.
fn is_back(index: &Index, now: &IndexState) -> bool {
    now.usable
        && now.definition == index.definition
        && now.tablespace == index.tablespace
        && now.comment == index.comment
        && now.statistics_targets == index.statistics_targets
}

/// Builds the dropped index again; the effect where that failed.
async fn make_again(
    runner: &Runner<'_>,
    entry: &Entry,
    order: &Order,
    wanted: &Wanted,
) -> Result<Option<Effect>, ApplyError> {
    match settle(runner, &entry.action_key, wanted).await? {
        Settled::Absent(_) => {}
        Settled::InPlace(_) => return Ok(None),
        Settled::Pending(why) | Settled::Conflict(why) => {
            return postpone(runner, entry, Failure::plain(&why), 1).await.map(Some);
        }
    }
    let (result, attempts) = build(runner, &entry.action_key, order, wanted).await?;
    let Err(failure) = result else { return Ok(None) };
    match settle(runner, &entry.action_key, wanted).await? {
        Settled::InPlace(_) => Ok(None),
        _ => postpone(runner, entry, failure, attempts).await.map(Some),
    }
}

/// Gives the index its comment or a statistics target back.
async fn restore(
    runner: &Runner<'_>,
    entry: &Entry,
    index: &Index,
    sql: String,
) -> Result<Result<(), Failure>, ApplyError> {
    let (schema, name) = (index.schema.clone(), index.name.clone());
    let meant = if sql.starts_with("COMMENT") {
        Permitted::CommentOnIndex { schema, name }
    } else {
        Permitted::SetStatistics { schema, name }
    };
    let limit = runner.options.time_for(0);
    let order = Order { sql, meant, purpose: Purpose::Restore, limit, stoppable: false };
    let (result, _) = send_patiently(runner, &entry.action_key, &order).await?;
    Ok(result.map(|_| ()))
}
