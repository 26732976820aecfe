//! `CREATE INDEX CONCURRENTLY`, from the look before to the look after.

use std::time::Duration;

use rules::change_plan::{Action, TableRef};
use rules::index::IndexDefinition;
use rules::quote::qualified;
use rules::statement::guard::{Permitted, Purpose};
use rules::statement::index_shape::IndexShape;
use serde_json::json;
use uuid::Uuid;

use super::catalog::{self, IndexState, Named, WaitsFor};
use super::check::{self, Right};
use super::runner::Runner;
use super::send::{Failure, Order, back_off, send, send_patiently};
use super::{ApplyError, Effect, Left};
use crate::journal::{self, Change, NewEntry, State};

/// An index that is to be made: what the catalog must show in the end.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) table: TableRef,
    pub(super) name: String,
    pub(super) shape: IndexShape,
}

impl Wanted {
    /// Whether an index of the catalog is the one that was planned, usable or not.
    pub(super) fn is(&self, index: &IndexState) -> bool {
        index.table == self.table.oid
            && IndexShape::of(&index.definition)
                .is_ok_and(|printed| self.shape.is_printed_as(&printed))
    }
}

/// What became of a row whose action was interrupted or failed.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    /// The index is there and usable.
    InPlace(Box<IndexState>),
    /// It is not there.
    Absent(Left),
    /// An unusable one is there and could not be dropped yet.
    Pending(String),
    /// Something else is there.
    Conflict(String),
}

/// Carries the action out; answers with its row in the journal and what became of it.
pub(super) async fn carry_out(
    runner: &Runner<'_>,
    run: Uuid,
    action: &Action,
    name: &str,
    definition: &IndexDefinition,
) -> Result<(Option<i64>, Effect), ApplyError> {
    let shape = match IndexShape::of(&action.sql()) {
        Ok(shape) => shape,
        Err(reason) => return Ok((None, Effect::Refused { reason })),
    };
    let wanted = Wanted { table: action.table.clone(), name: name.to_owned(), shape };
    let table = match check::table(runner, &action.table, Right::Index).await? {
        Ok(table) => table,
        Err(reason) => return Ok((None, Effect::Refused { reason })),
    };
    if let Some(effect) = there_already(runner, action, &wanted).await? {
        return Ok((None, effect));
    }
    // This run has just tried to remove it, and what kept it from that would meet the new build as well.
    if let Some(entry) = journal::remains(&runner.session, action.table.oid).await? {
        let reason = format!(
            "what action {} left on {} could not be removed yet, and another build could end as it did; \
             `pgwright log {}` says why",
            entry.id,
            action.table.qualified(),
            entry.id
        );
        return Ok((None, Effect::Refused { reason }));
    }
    let what = WaitsFor::WritersAndSnapshots;
    if let Err(reason) = check::way_is_free(runner, action.table.oid, what).await? {
        return Ok((None, Effect::Refused { reason }));
    }
    let order = Order {
        sql: action.sql(),
        meant: Permitted::CreateIndex {
            name: name.to_owned(),
            schema: definition.schema.clone(),
            table: definition.table.clone(),
            tablespace: None,
        },
        purpose: Purpose::Change,
        limit: runner.options.time_for(u64::try_from(table.bytes).unwrap_or(0)),
        stoppable: true,
    };
    let new = NewEntry {
        run,
        action: action.clone(),
        index: (Some(name.to_owned()), None, None),
        before: json!({}),
        server: runner.here.clone(),
    };
    let id = match runner.intend(&new).await? {
        Ok(id) => id,
        Err(reason) => return Ok((None, Effect::Refused { reason })),
    };
    runner.step(id, State::Intent, State::Applying, &Change::default()).await?;
    let (result, tries) = build(runner, &action.key, &order, &wanted).await?;
    let attempts = Change { attempts: tries, ..Change::default() };
    let seconds = match result {
        Ok(took) => {
            runner.step(id, State::Applying, State::Verifying, &attempts).await?;
            took.as_secs_f64()
        }
        Err(failure) => {
            let effect = give_up(runner, id, &action.key, &wanted, &failure, tries).await?;
            return Ok((Some(id), effect));
        }
    };
    Ok((Some(id), verify(runner, id, &wanted, seconds).await?))
}

/// Looks whether the name is free and no other index does the same.
async fn there_already(
    runner: &Runner<'_>,
    action: &Action,
    wanted: &Wanted,
) -> Result<Option<Effect>, ApplyError> {
    let full = qualified(&wanted.table.schema, &wanted.name);
    let look = ApplyError::while_doing("look for the index");
    let refused = |reason: String| Ok(Some(Effect::Refused { reason }));
    match catalog::named(&runner.session, &wanted.table.schema, &wanted.name).await.map_err(look)? {
        Named::Index(index) if wanted.is(&index) && index.usable => {
            return Ok(Some(Effect::AlreadyThere { what: full }));
        }
        Named::Index(index) if wanted.is(&index) => {
            let state = index
                .builder
                .map_or("unusable".to_owned(), |pid| format!("being built by process {pid}"));
            return refused(format!(
                "{full} is there already, but {state}; drop it or let it finish, then try again"
            ));
        }
        Named::Index(index) => {
            return refused(format!(
                "the name {full} is taken by another index: {}",
                index.definition
            ));
        }
        Named::Other => return refused(format!("the name {full} is taken by something else")),
        Named::Absent => {}
    }
    if let Some(entry) = journal::open(&runner.session, &action.key).await? {
        return refused(format!(
            "it was made before and then removed by somebody else; `pgwright rollback {}` closes that row of the \
             journal and lets it be made again",
            entry.id
        ));
    }
    let look = ApplyError::while_doing("look for equal indexes");
    let others = catalog::indexes_of(&runner.session, wanted.table.oid).await.map_err(look)?;
    let equal = others.into_iter().find(|index| index.usable && wanted.is(index));
    Ok(equal.map(|index| Effect::AlreadyThere { what: qualified(&index.schema, &index.name) }))
}

/// Sends the statement until it gets its locks; between two tries the unusable index that the first one
/// may have left is removed.
pub(super) async fn build(
    runner: &Runner<'_>,
    key: &str,
    order: &Order,
    wanted: &Wanted,
) -> Result<(Result<Duration, Failure>, i32), ApplyError> {
    let mut tries = 0;
    loop {
        let result = send(runner, order).await?;
        tries += 1;
        match result {
            Err(failure) if failure.again && tries < runner.options.lock_tries => {
                back_off(runner, key, tries, true).await?;
                let left = settle(runner, key, wanted).await?;
                if !matches!(left, Settled::Absent(_)) || runner.heed_stop().is_err() {
                    return Ok((Err(failure), tries.cast_signed()));
                }
            }
            result => return Ok((result, tries.cast_signed())),
        }
    }
}

/// Asks the catalog whether the index that the server says it has built is the one that was planned.
async fn verify(
    runner: &Runner<'_>,
    id: i64,
    wanted: &Wanted,
    seconds: f64,
) -> Result<Effect, ApplyError> {
    let look = ApplyError::while_doing("verify the new index");
    let found =
        catalog::named(&runner.session, &wanted.table.schema, &wanted.name).await.map_err(look)?;
    let message = match found {
        Named::Index(index) if index.usable && wanted.is(&index) => {
            observe(runner, id, State::Verifying, &index).await?;
            let (index_oid, bytes) = (Some(index.oid), Some(index.bytes));
            return Ok(Effect::Applied { index_oid, seconds, bytes });
        }
        Named::Index(index) if !index.usable => "the new index is not usable".to_owned(),
        Named::Index(index) => {
            format!("the new index is not what was planned, but {}", index.definition)
        }
        Named::Absent | Named::Other => "the new index is not there".to_owned(),
    };
    let change = Change { error: Some(&message), ..Change::default() };
    runner.step(id, State::Verifying, State::Conflict, &change).await?;
    Ok(Effect::Failed { sqlstate: None, message, left: Left::Pending })
}

/// Writes down that the index is in place.
async fn observe(
    runner: &Runner<'_>,
    id: i64,
    from: State,
    index: &IndexState,
) -> Result<(), ApplyError> {
    let change = Change {
        index_oid: Some(index.oid),
        definition: Some(&index.definition),
        ..Change::default()
    };
    runner.step(id, from, State::Observing, &change).await
}

/// Cleans up after a build that failed, and writes down how it ended.
async fn give_up(
    runner: &Runner<'_>,
    id: i64,
    key: &str,
    wanted: &Wanted,
    failure: &Failure,
    attempts: i32,
) -> Result<Effect, ApplyError> {
    let settled = settle(runner, key, wanted).await?;
    let change = Change {
        sqlstate: failure.sqlstate.as_deref(),
        error: Some(&failure.message),
        attempts,
        ..Change::default()
    };
    let effect = close_row(runner, id, State::Applying, &settled, &change).await?;
    if failure.stopped {
        return Err(ApplyError::Interrupted);
    }
    Ok(effect.unwrap_or_else(|left| Effect::Failed {
        sqlstate: failure.sqlstate.clone(),
        message: failure.message.clone(),
        left,
    }))
}

/// Finds out what is there under the name of an index that may have been half made, and removes it where
/// it is ours and unusable.
pub(super) async fn settle(
    runner: &Runner<'_>,
    key: &str,
    wanted: &Wanted,
) -> Result<Settled, ApplyError> {
    let full = qualified(&wanted.table.schema, &wanted.name);
    match look_up(runner, wanted).await? {
        Named::Absent => return Ok(Settled::Absent(Left::Nothing)),
        Named::Index(index) if !wanted.is(&index) => {
            return Ok(Settled::Conflict(format!("{full} is another index by now")));
        }
        Named::Index(index) if index.usable => return Ok(Settled::InPlace(index)),
        Named::Other => {
            return Ok(Settled::Conflict(format!("{full} is something else by now")));
        }
        Named::Index(_) => {}
    }
    let (result, _) = drop_patiently(runner, key, &wanted.table.schema, &wanted.name).await?;
    match (look_up(runner, wanted).await?, result) {
        (Named::Absent, _) => Ok(Settled::Absent(Left::Cleaned)),
        (_, Err(failure)) => Ok(Settled::Pending(format!(
            "the unusable index {full} is left and could not be dropped: {}",
            failure.message
        ))),
        (_, Ok(_)) => Ok(Settled::Pending(format!("the unusable index {full} is left"))),
    }
}

async fn look_up(runner: &Runner<'_>, wanted: &Wanted) -> Result<Named, ApplyError> {
    let look = ApplyError::while_doing("look what is left of the index");
    catalog::named(&runner.session, &wanted.table.schema, &wanted.name).await.map_err(look)
}

/// `DROP INDEX CONCURRENTLY`, tried again while others hold locks.
pub(super) async fn drop_patiently(
    runner: &Runner<'_>,
    key: &str,
    schema: &str,
    name: &str,
) -> Result<(Result<Duration, Failure>, i32), ApplyError> {
    let order = Order {
        sql: format!("DROP INDEX CONCURRENTLY {}", qualified(schema, name)),
        meant: Permitted::DropIndex { schema: schema.to_owned(), name: name.to_owned() },
        purpose: Purpose::Change,
        limit: runner.options.time_for(0),
        stoppable: false,
    };
    send_patiently(runner, key, &order).await
}

/// Moves a row to where the catalog says it belongs. The effect when the index is in place, else what is left.
pub(super) async fn close_row(
    runner: &Runner<'_>,
    id: i64,
    from: State,
    settled: &Settled,
    change: &Change<'_>,
) -> Result<Result<Effect, Left>, ApplyError> {
    let noted = |what: &'_ str| Some(what.to_owned());
    let (to, left, note) = match settled {
        Settled::InPlace(index) => {
            if from != State::Verifying {
                runner.step(id, from, State::Verifying, change).await?;
            }
            observe(runner, id, State::Verifying, index).await?;
            let (index_oid, bytes) = (Some(index.oid), Some(index.bytes));
            return Ok(Ok(Effect::Applied { index_oid, seconds: 0.0, bytes }));
        }
        Settled::Absent(left) => (State::Aborted, *left, None),
        Settled::Pending(what) => (State::CleanupPending, Left::Pending, noted(what)),
        Settled::Conflict(what) => (State::Conflict, Left::Pending, noted(what)),
    };
    let change = Change { note: note.as_deref(), ..change.clone() };
    if from != to {
        runner.step(id, from, to, &change).await?;
    }
    Ok(Err(left))
}
