//! Takes back what the journal lists, the newest action first.

use std::sync::Arc;

use crate::applier::{
    ApplyError, ApplyOptions, Effect, Event, Outcome, Runner, recover, take_back,
};
use crate::conninfo::ConnInfo;
use crate::journal::{self, Entry, State, Which};
use crate::postgres::Meter;

/// Takes actions back that are in place. What had been taken back before, or never took effect, is
/// reported as such and is no error.
///
/// First finishes what earlier runs left, as [`apply`](crate::applier::apply) does.
pub async fn rollback(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    which: Which,
    options: &ApplyOptions,
    progress: &mut (dyn FnMut(Event) + Send),
) -> Result<Vec<Outcome>, ApplyError> {
    let mut runner = Runner::open(info, meter, options, progress).await?;
    let outcomes = rollback_all(&mut runner, which).await;
    runner.close().await;
    outcomes
}

async fn rollback_all(runner: &mut Runner<'_>, which: Which) -> Result<Vec<Outcome>, ApplyError> {
    if journal::found(&runner.session).await? {
        recover(runner).await?;
    }
    let mut entries = journal::list(&runner.session, which).await?;
    if let (Which::Id(id), true) = (which, entries.is_empty()) {
        return Err(ApplyError::NoSuchAction { id });
    }
    entries.reverse();
    let mut outcomes = Vec::with_capacity(entries.len());
    for entry in entries {
        runner.heed_stop()?;
        entry.action_id().clone_into(&mut runner.action);
        // One action that cannot be undone does not keep the others from it.
        let effect = take_one_back(runner, &entry).await.or_else(ApplyError::of_one_action)?;
        tracing::info!(row = entry.id, ?effect, "rollback of an action ended");
        let outcome = Outcome::of_entry(&entry, effect);
        runner.tell(Event::Finished(outcome.clone()));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

async fn take_one_back(runner: &Runner<'_>, entry: &Entry) -> Result<Effect, ApplyError> {
    let told =
        || entry.note.as_deref().or(entry.last_error.as_deref()).unwrap_or("no reason recorded");
    match entry.state {
        State::Reverted => Ok(Effect::AlreadyReverted),
        State::Aborted => Ok(Effect::NothingToUndo { why: "it never took effect".to_owned() }),
        State::Conflict => Ok(match take_back(runner, entry).await? {
            Effect::Refused { .. } => {
                Effect::Refused { reason: format!("a person has to look at this one: {}", told()) }
            }
            settled => settled,
        }),
        State::Intent | State::Applying | State::Verifying | State::CleanupPending => {
            Ok(Effect::Refused {
                reason: format!("it is unfinished ({}): {}", entry.state, told()),
            })
        }
        State::Observing | State::Kept | State::Reverting | State::RevertPending => {
            take_back(runner, entry).await
        }
    }
}
