//! Carrying an action out, and finishing one that an earlier run had begun.

use super::case::{Case, End, Facts, Found, Kind, Limits, Statement, Step, Wish};
use super::state::State;

/// The next step of an action whose row is in `applying`, `verifying` or `cleanup_pending`.
pub(super) fn next(case: &Case, state: State, facts: &Facts, limits: &Limits) -> Step {
    let ours = case.wish == Wish::CarryOut && state == State::Applying;
    if ours && case.main.done() {
        return Step::to(State::Verifying);
    }
    let Some(found) = &facts.found else { return Step::Look };
    if ours && case.main.sent == 0 {
        return first(case, found);
    }
    // What an earlier run did not begin is not begun any more: its premises were looked at long ago.
    let again = ours && case.main.may_send(limits) && !facts.stop;
    match (case.kind, found) {
        (_, Found::Other(what)) => Step::noted(State::Conflict, what),
        // It stands; that it cannot be completed now is no reason to take it back.
        (Kind::Make, Found::Whole { complete: false })
            if state == State::Verifying && !facts.stop && case.complete.may_send(limits) =>
        {
            case.complete.send(Statement::Complete)
        }
        (Kind::Make | Kind::Refresh, Found::Whole { .. } | Found::Busy(_))
        | (Kind::Remove, Found::Absent | Found::TableGone) => reached(case.kind, state),
        (Kind::Make, Found::Parts) if again => case.main.send(Statement::Do),
        (Kind::Make, Found::Half | Found::Parts) if case.clean.may_send(limits) => {
            case.clean.send(Statement::Clean)
        }
        // An earlier run, or a try of ours, has removed one half.
        (Kind::Remove, Found::Half) if again || (!ours && case.main.may_send(limits)) => {
            case.main.send(Statement::Do)
        }
        (_, Found::Half | Found::Parts) if state == State::CleanupPending => Step::End(End::Left),
        (_, Found::Half | Found::Parts) => Step::to(State::CleanupPending),
        (Kind::Remove, Found::Busy(reason)) => Step::noted(State::Aborted, reason),
        (_, Found::Absent | Found::Whole { .. }) if again => case.main.send(Statement::Do),
        _ => Step::to(State::Aborted),
    }
}

/// The first statement, unless somebody was there since the premises were looked at.
fn first(case: &Case, found: &Found) -> Step {
    match (case.kind, found) {
        (_, Found::Other(what)) => Step::noted(State::Conflict, what),
        (Kind::Make, Found::Half | Found::Parts | Found::Whole { .. } | Found::Busy(_)) => {
            Step::noted(State::Aborted, "somebody else has made it meanwhile")
        }
        (Kind::Remove, Found::Busy(reason)) => Step::noted(State::Aborted, reason),
        (Kind::Remove, Found::Absent) => {
            Step::noted(State::Aborted, "somebody else has removed it meanwhile")
        }
        (_, Found::TableGone) => Step::noted(State::Aborted, "the table is gone"),
        _ => case.main.send(Statement::Do),
    }
}

/// The catalog shows that it is in place.
fn reached(kind: Kind, state: State) -> Step {
    match (state, kind) {
        (State::Verifying, Kind::Refresh) => Step::to(State::Kept),
        (State::Verifying, _) => Step::to(State::Observing),
        _ => Step::to(State::Verifying),
    }
}
