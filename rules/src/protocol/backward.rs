//! Taking an action back, and going on with that.

use super::case::{Case, Chance, End, Facts, Found, Kind, Limits, Statement, Step, Tries};
use super::hands_off;
use super::state::State;

/// The next step of an action that is to be taken back.
pub(super) fn next(case: &Case, state: State, facts: &Facts, limits: &Limits) -> Step {
    if case.kind == Kind::Refresh {
        return Step::End(End::NothingToUndo);
    }
    let Some(found) = &facts.found else { return Step::Look };
    if undone(case.kind, found) {
        return if state == State::Reverting {
            Step::to(State::Reverted)
        } else {
            Step::noted(State::Reverting, by_others(case.kind, found))
        };
    }
    let (tries, statement) = match (case.kind, found) {
        (_, Found::Other(what)) => return hands_off(state, case.wish, what),
        (_, Found::Busy(reason)) => return wait(state, reason),
        (Kind::Remove, Found::Half) => (&case.clean, Statement::Clean),
        (Kind::Remove, Found::Whole { .. }) => (&case.complete, Statement::Complete),
        _ => (&case.main, Statement::Undo),
    };
    send(case, tries, statement, state, facts, limits)
}

/// The row of an action that a person has to look at: it is closed once they have taken it back. Where the object is as
/// we left it, half made or gone, what was in the way may be gone too, and as a person asks for it, it is tried again.
pub(super) fn settled(case: &Case, facts: &Facts) -> Step {
    match &facts.found {
        _ if case.kind == Kind::Refresh || facts.contradiction.is_some() => {
            Step::End(End::ForAPerson)
        }
        None => Step::Look,
        Some(found) if undone(case.kind, found) => {
            Step::noted(State::Reverting, "a person had settled it; its row is closed now")
        }
        // Once a run: what fails again needs a person again.
        Some(found) if ours_to_finish(case.kind, found) && !case.began() => match &facts.way {
            None => Step::CheckWay,
            Some(Err(reason)) => Step::End(End::Refused(reason.clone())),
            Some(Ok(())) => Step::to(State::Reverting),
        },
        Some(_) => Step::End(End::ForAPerson),
    }
}

/// Whether an undo that a person has to look at can be tried again: no query uses what would be removed.
fn ours_to_finish(kind: Kind, found: &Found) -> bool {
    match kind {
        Kind::Make => *found == Found::Half,
        Kind::Remove => {
            matches!(found, Found::Absent | Found::Half | Found::Whole { complete: false })
        }
        Kind::Refresh => false,
    }
}

/// Whether the catalog shows all as it was before the action.
fn undone(kind: Kind, found: &Found) -> bool {
    match kind {
        Kind::Make => matches!(found, Found::Absent | Found::TableGone),
        Kind::Remove => matches!(found, Found::TableGone | Found::Whole { complete: true }),
        Kind::Refresh => false,
    }
}

/// What a person should know of an object that is not there any more, nor its table.
pub const WENT_WITH_TABLE: &str = "its table was dropped, or made anew, and it went with that";

/// What a person should know of an undo that we did not begin and find done.
fn by_others(kind: Kind, found: &Found) -> &'static str {
    match (kind, found) {
        (Kind::Make, Found::TableGone) => WENT_WITH_TABLE,
        (Kind::Make, _) => "it had been removed already, not by pgwright",
        (_, Found::TableGone) => "the table is gone, and the index with it",
        _ => "the index had been made again already, not by pgwright",
    }
}

/// Lets an undo wait for what can go away by itself.
fn wait(state: State, reason: &str) -> Step {
    match state {
        State::Reverting => Step::noted(State::RevertPending, reason),
        _ => Step::End(End::Refused(reason.to_owned())),
    }
}

/// Sends a statement of the undo, if it may still be sent and the way is free.
fn send(
    case: &Case,
    tries: &Tries,
    statement: Statement,
    state: State,
    facts: &Facts,
    limits: &Limits,
) -> Step {
    let stopped = facts.stop && statement == Statement::Undo && tries.sent > 0;
    if !tries.may_send(limits) || stopped {
        return give_up(case, state);
    }
    match &facts.way {
        None => Step::CheckWay,
        Some(Err(reason)) => wait(state, reason),
        Some(Ok(())) if state != State::Reverting => Step::to(State::Reverting),
        Some(Ok(())) => tries.send(statement),
    }
}

/// The undo did not succeed: it waits for the next run, or for a person where it would fail again.
fn give_up(case: &Case, state: State) -> Step {
    if state == State::RevertPending {
        return Step::End(End::ToBeUndone);
    }
    match case.failure() {
        Some(failure) if failure.chance != Chance::Never => Step::to(State::RevertPending),
        Some(_) => Step::to(State::Conflict),
        // Trying again would end the same way.
        None => Step::noted(
            State::Conflict,
            "the server reported the undo as done, and the catalog does not show it",
        ),
    }
}
