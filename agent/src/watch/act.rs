//! Acts on verdicts, by the applier's protocol.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Verified, Watched};
use crate::applier::{ApplyError, ApplyOptions, Event, Outcome, Runner, conclude, recover};
use crate::conninfo::ConnInfo;
use crate::journal::{self, Entry, State};
use crate::postgres::Meter;

/// Finishes what earlier runs left, then keeps and takes back what was decided.
pub(super) async fn act(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    options: &ApplyOptions,
    progress: &mut (dyn FnMut(Event) + Send),
    verified: &mut Verified,
) -> Result<(), ApplyError> {
    let mut runner = match Runner::open(info, meter, options, progress).await {
        Ok(runner) => runner,
        Err(error @ ApplyError::OtherRun { .. }) => {
            verified.held = Some(format!("{error}; the next verify acts"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let acted = act_all(&mut runner, verified).await;
    runner.close().await;
    acted
}

/// Finishes what earlier runs left, unless another one is at work or this may not be.
pub(super) async fn finish(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    options: &ApplyOptions,
    progress: &mut (dyn FnMut(Event) + Send),
) -> Result<(), ApplyError> {
    let mut runner = match Runner::open(info, meter, options, progress).await {
        Err(ApplyError::OtherRun { .. }) => return Ok(()),
        opened => opened?,
    };
    let finished = match runner.held_up().await {
        Ok(None) => recover(&mut runner).await.map(drop),
        held => held.map(drop),
    };
    runner.close().await;
    finished
}

async fn act_all(runner: &mut Runner<'_>, verified: &mut Verified) -> Result<(), ApplyError> {
    if let Some(reason) = runner.held_up().await? {
        verified.held = Some(format!("{reason}; nothing was kept or taken back"));
        return Ok(());
    }
    let mut for_a_person = Vec::new();
    for (what, needs_one) in recover(runner).await? {
        if needs_one {
            for_a_person.push(what);
        } else {
            verified.notes.push(what);
        }
    }
    for watched in &mut verified.actions {
        let Some(verdict) = watched.verdict() else { continue };
        runner.heed_stop()?;
        watched.entry.action_id().clone_into(&mut runner.action);
        let Some(entry) = journal::get(&runner.session, watched.entry.id).await? else { continue };
        // Another run came first.
        if entry.state != watched.entry.state || !entry.is_of(&runner.here) {
            watched.state = entry.state;
            continue;
        }
        let revert = watched.by_hand || watched.judgement.verdict.reverts();
        let detail = detail(watched);
        let done = conclude(runner, &entry, verdict, &detail, revert).await;
        // One action that cannot be taken back does not keep the others from it.
        let effect = match done {
            Ok(effect) => effect,
            Err(error) => Some(error.of_one_action()?),
        };
        if let Some(effect) = &effect {
            runner.tell(Event::Finished(Outcome::of_entry(&entry, effect.clone())));
        }
        let now = journal::get(&runner.session, entry.id).await?;
        watched.state = now.map_or(entry.state, |now| now.state);
        tracing::info!(row = entry.id, verdict, state = %watched.state, "verdict on a watched action");
        watched.effect = effect;
    }
    let left = journal::in_flight(&runner.session).await?;
    verified.unfinished = left.iter().map(unfinished).chain(for_a_person).collect();
    Ok(())
}

/// What is left of an action and why, in words.
fn unfinished(entry: &Entry) -> String {
    let what = match entry.state {
        State::RevertPending | State::Reverting => "is still to be taken back",
        _ => "has left something that is still to be removed",
    };
    let why = entry.last_error.as_deref().or(entry.note.as_deref());
    format!(
        "action {} ({}{} on {}) {what}: {}; the next `pgwright verify` or `optimize --apply` tries again",
        entry.id,
        entry.kind.replace('_', " "),
        entry.index_name.as_ref().map(|name| format!(" {name}")).unwrap_or_default(),
        entry.table.qualified(),
        why.unwrap_or("the run was ended")
    )
}

/// The figures behind a verdict.
fn detail(watched: &Watched) -> Value {
    if watched.by_hand {
        return json!({"why": why_by_hand(watched)});
    }
    serde_json::to_value(&watched.judgement).expect("texts, numbers and lists have a JSON form")
}

/// What a person did.
pub(super) fn why_by_hand(watched: &Watched) -> &'static str {
    match watched.entry.kind.as_str() {
        "drop_index" => "a person made the dropped index again",
        "create_statistics" => "a person removed the statistics",
        _ => "a person removed the index",
    }
}
