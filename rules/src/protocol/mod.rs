//! The life of one action as one pure function: row of the journal, facts, what was sent -> next step.
//!
//! [`next`] decides and does nothing; the applier reads the facts, does the step and asks again. The normal run, the
//! recovery of what an earlier run left, and the undo are the same loop, so that a start after a crash at
//! any point is nothing special. It rests on one idea: an action either *makes* an object or *removes* it, its
//! undo is the other one, and how far either got is never remembered but looked up ([`Found`]).
//!
//! What holds whatever the facts (`tests.rs` tries at random): the row is written before a statement is sent;
//! a statement is sent only after a look since the last one, and never while something else has the name; rows move
//! only along [`State::may_become`]; the number of steps is bounded.

mod backward;
mod case;
mod forward;
mod state;
#[cfg(test)]
mod tests;

pub use backward::WENT_WITH_TABLE;
pub use case::{
    Answer, Case, Chance, End, EndedBy, Facts, Failure, Found, Kind, Limits, Orphan, Premises,
    Statement, Step, Tries, Wish,
};
pub use state::State;

/// Returns the next step of an action.
pub fn next(case: &Case, facts: &Facts, limits: &Limits) -> Step {
    let Some(state) = case.state else { return begin(facts) };
    if let Some(orphan) = facts.orphan.as_ref().filter(|_| case.wish == Wish::Finish) {
        return match orphan {
            Orphan { waited, .. } if *waited < limits.orphan_patience => Step::AwaitOrphan,
            Orphan { cancelled: false, .. } => Step::CancelOrphan,
            Orphan { .. } => Step::End(End::Refused(
                "its server process of an earlier run is still at work".to_owned(),
            )),
        };
    }
    let back = state.is_undoing() || case.wish == Wish::TakeBack;
    if let Some(reason) = facts.contradiction.as_ref().filter(|_| !is_closed(state)) {
        return hands_off(state, case.wish, reason);
    }
    match state {
        State::Reverted => Step::End(End::TakenBack),
        State::Conflict if case.wish == Wish::TakeBack => backward::settled(case, facts),
        State::Conflict => Step::End(End::ForAPerson),
        State::Aborted => Step::End(End::NotDone),
        State::Observing | State::Kept if !back => Step::End(End::InPlace),
        State::Observing | State::Kept | State::Reverting | State::RevertPending => {
            backward::next(case, state, facts, limits)
        }
        State::Intent | State::Applying | State::Verifying | State::CleanupPending
            if case.wish == Wish::TakeBack =>
        {
            Step::End(End::Refused(format!("it is unfinished ({state})")))
        }
        State::Intent => Step::to(State::Applying),
        State::Applying | State::Verifying | State::CleanupPending => {
            forward::next(case, state, facts, limits)
        }
    }
}

/// Before there is a row.
fn begin(facts: &Facts) -> Step {
    match &facts.premises {
        None => Step::CheckPremises,
        Some(Premises::Hold) => Step::Intend,
        Some(Premises::AlreadyThere(what)) => Step::End(End::AlreadyThere(what.clone())),
        Some(Premises::Fail(reason)) => Step::End(End::Refused(reason.clone())),
    }
}

fn is_closed(state: State) -> bool {
    matches!(state, State::Reverted | State::Conflict | State::Aborted)
}

/// Leaves to a person what is not as recorded. A row at rest stays where it is, and nothing is done; one at work
/// is closed.
fn hands_off(state: State, wish: Wish, reason: &str) -> Step {
    match state {
        State::Observing | State::Kept if wish == Wish::TakeBack => {
            Step::End(End::Refused(reason.to_owned()))
        }
        State::Observing | State::Kept => Step::End(End::InPlace),
        State::RevertPending => Step::to(State::Reverting),
        _ => Step::Move { to: State::Conflict, note: Some(reason.to_owned()) },
    }
}
