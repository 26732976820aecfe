//! Acts on verdicts, by the applier's protocol.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Verified, Watched};
use crate::applier::{ApplyError, ApplyOptions, Event, Outcome, Runner, conclude, recover};
use crate::conninfo::ConnInfo;
use crate::journal::{self, State};
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
            verified.notes.push(format!("{error}; the next verify acts"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let acted = act_all(&mut runner, verified).await;
    runner.close().await;
    acted
}

async fn act_all(runner: &mut Runner<'_>, verified: &mut Verified) -> Result<(), ApplyError> {
    if let Some(reason) = runner.held_up().await? {
        verified.notes.push(format!("{reason}; nothing was kept or taken back"));
        return Ok(());
    }
    recover(runner).await?;
    for watched in &mut verified.actions {
        let Some(verdict) = watched.verdict() else { continue };
        runner.heed_stop()?;
        watched.entry.action_id().clone_into(&mut runner.action);
        let Some(entry) = journal::get(&runner.session, watched.entry.id).await? else { continue };
        // Another run came first.
        if entry.state != State::Observing || !entry.is_of(&runner.here) {
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
    Ok(())
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
    if watched.entry.kind == "create_index" {
        "a person removed the index while it was being watched"
    } else {
        "a person made the dropped index again while it was being watched"
    }
}
