//! Takes back what the journal lists, the newest action first.

use std::sync::Arc;

use crate::applier::{
    ApplyError, ApplyOptions, Effect, Event, Outcome, Runner, recover, settled_by_hand, undo,
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
    if journal::exists(&runner.session).await? {
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
        let effect = take_back(runner, &entry).await.or_else(ApplyError::of_one_action)?;
        tracing::info!(row = entry.id, ?effect, "rollback of an action ended");
        let outcome = Outcome::of_entry(&entry, effect);
        runner.tell(Event::Finished(outcome.clone()));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

async fn take_back(runner: &Runner<'_>, entry: &Entry) -> Result<Effect, ApplyError> {
    let told =
        || entry.note.as_deref().or(entry.last_error.as_deref()).unwrap_or("no reason recorded");
    match entry.state {
        State::Reverted => Ok(Effect::AlreadyReverted),
        State::Aborted => Ok(Effect::NothingToUndo { why: "it never took effect".to_owned() }),
        State::Conflict if settled_by_hand(runner, entry).await? => Ok(Effect::Reverted {
            note: Some("a person had settled it; its row is closed now".to_owned()),
        }),
        State::Conflict => {
            Ok(Effect::Refused { reason: format!("a person has to look at this one: {}", told()) })
        }
        State::Intent | State::Applying | State::Verifying | State::CleanupPending => {
            Ok(Effect::Refused {
                reason: format!("it is unfinished ({}): {}", entry.state, told()),
            })
        }
        _ if !entry.is_of(&runner.here) => Ok(Effect::Refused {
            reason: "it was done in another server or database, of which this one is a copy"
                .to_owned(),
        }),
        State::Observing | State::Kept | State::Reverting | State::RevertPending => {
            undo(runner, entry).await
        }
    }
}
