//! Finishes what earlier runs left, whatever ended them: the catalog tells what really happened.

use rules::protocol::{End, WENT_WITH_TABLE, Wish};

use super::drive::Drive;
use super::runner::Runner;
use super::{ApplyError, Effect, Event};
use crate::journal::{self, Change, Entry, State};

/// Finishes every row that is in flight, and closes those of what went with its table. Rows that cannot be finished now
/// stay as they are. Answers with what was found and done, in words, and whether that needs a person.
pub(crate) async fn recover(runner: &mut Runner<'_>) -> Result<Vec<(String, bool)>, ApplyError> {
    let mut told = Vec::new();
    let mut entries = journal::in_flight(&runner.session).await?;
    for entry in journal::without_table(&runner.session).await? {
        if entry.is_of(&runner.here) {
            let change = Change { note: Some(WENT_WITH_TABLE), ..Change::default() };
            runner.step(entry.id, entry.state, State::Reverting, &change).await?;
            let note = Some(WENT_WITH_TABLE.to_owned());
            entries.push(Entry { state: State::Reverting, note, ..entry });
        }
    }
    for entry in entries {
        runner.heed_stop()?;
        entry.action_id().clone_into(&mut runner.action);
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
        told.push((format!("action {}: {what}", entry.id), state == State::Conflict));
        runner.tell(Event::Recovered { row: entry.id, state, what });
    }
    Ok(told)
}

async fn finish(runner: &Runner<'_>, entry: &Entry) -> Result<String, ApplyError> {
    let mut drive = Drive::of_entry(runner, entry, Wish::Finish);
    let end = drive.run().await?;
    Ok(match (&entry.note, &end) {
        (Some(why), End::TakenBack) if why == WENT_WITH_TABLE => why.clone(),
        _ => drive.told(end),
    })
}

/// Takes an action back that is in place, or goes on with doing so; closes the row of one that a person has
/// settled.
pub(crate) async fn take_back(runner: &Runner<'_>, entry: &Entry) -> Result<Effect, ApplyError> {
    let mut drive = Drive::of_entry(runner, entry, Wish::TakeBack);
    let end = drive.run().await?;
    drive.effect(end)
}
