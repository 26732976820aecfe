//! The states of an action and the moves between them.

use std::fmt;
use std::str::FromStr;

/// Where an action stands. Written to the journal before and after every step, so that whoever comes
/// next, after a crash too, knows what may have happened and what cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is about to be carried out; nothing has been sent to the server.
    Intent,
    /// The statement was sent, or is about to be.
    Applying,
    /// The server reported success; the catalog has not been asked yet.
    Verifying,
    /// It is in place and can be taken back.
    Observing,
    /// It is in place for good: it cannot be taken back (`ANALYZE`), or it has proved itself.
    Kept,
    /// It did not happen, and nothing of it is left.
    Aborted,
    /// It did not happen, or only half of it; an unusable index is left that could not be dropped yet.
    CleanupPending,
    /// The database is not as recorded: somebody else was there. A person has to look; hands off.
    Conflict,
    /// It is being taken back.
    Reverting,
    /// It was taken back.
    Reverted,
    /// It should be taken back, but that could not be done yet.
    RevertPending,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 11] = [
        Self::Intent,
        Self::Applying,
        Self::Verifying,
        Self::Observing,
        Self::Kept,
        Self::Aborted,
        Self::CleanupPending,
        Self::Conflict,
        Self::Reverting,
        Self::Reverted,
        Self::RevertPending,
    ];

    /// Returns the word for it, as in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Applying => "applying",
            Self::Verifying => "verifying",
            Self::Observing => "observing",
            Self::Kept => "kept",
            Self::Aborted => "aborted",
            Self::CleanupPending => "cleanup_pending",
            Self::Conflict => "conflict",
            Self::Reverting => "reverting",
            Self::Reverted => "reverted",
            Self::RevertPending => "revert_pending",
        }
    }

    /// Returns whether an action may go from this state straight to another.
    pub fn may_become(self, next: Self) -> bool {
        let next_states: &[Self] = match self {
            Self::Intent => &[Self::Applying, Self::Aborted, Self::Conflict],
            Self::Applying => {
                &[Self::Verifying, Self::Aborted, Self::CleanupPending, Self::Conflict]
            }
            Self::Verifying => {
                &[Self::Observing, Self::Kept, Self::Aborted, Self::CleanupPending, Self::Conflict]
            }
            // To `Verifying` where the rest of the action, or somebody else, made it whole after all.
            Self::CleanupPending => &[Self::Verifying, Self::Aborted, Self::Conflict],
            Self::Observing => &[Self::Kept, Self::Reverting],
            Self::Kept | Self::RevertPending => &[Self::Reverting],
            Self::Reverting => &[Self::Reverted, Self::RevertPending, Self::Conflict],
            // Because a person has settled it, or asks to try again.
            Self::Conflict => &[Self::Reverting],
            Self::Aborted | Self::Reverted => &[],
        };
        next_states.contains(&next)
    }

    /// Returns whether it is being taken back, or waits for that.
    pub fn is_undoing(self) -> bool {
        matches!(self, Self::Reverting | Self::RevertPending)
    }

    /// Returns whether nothing can be done about it now. It waits and is in nobody's way.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::CleanupPending | Self::RevertPending)
    }

    /// Returns whether a step of it is unfinished, so that the next run has to finish it.
    pub fn is_in_flight(self) -> bool {
        !matches!(
            self,
            Self::Observing | Self::Kept | Self::Aborted | Self::Conflict | Self::Reverted
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|state| state.name() == name);
        known.ok_or_else(|| format!("`{name}` is no state of an action"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::State;

    fn reachable(from: State) -> BTreeSet<State> {
        let mut found = BTreeSet::from([from]);
        loop {
            let next: BTreeSet<State> = State::ALL
                .into_iter()
                .filter(|next| found.iter().any(|state| state.may_become(*next)))
                .chain(found.iter().copied())
                .collect();
            if next == found {
                return found;
            }
            found = next;
        }
    }

    #[test]
    fn every_state_is_reached_and_names_come_back() {
        assert_eq!(reachable(State::Intent), BTreeSet::from(State::ALL));
        for state in State::ALL {
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert!("done".parse::<State>().is_err());
    }

    #[test]
    fn nothing_goes_back_to_before_it_was_applied() {
        let before = [State::Intent, State::Applying, State::Verifying];
        for state in State::ALL {
            assert!(!state.may_become(State::Intent) && !state.may_become(state), "{state}");
            assert_eq!(state.may_become(State::Applying), state == State::Intent);
        }
        for state in [State::Observing, State::Kept, State::Conflict, State::RevertPending] {
            assert!(reachable(state).iter().all(|next| !before.contains(next)), "{state}");
        }
    }

    #[test]
    fn the_end_is_the_end_and_what_is_in_flight_can_end() {
        for state in [State::Aborted, State::Reverted] {
            assert_eq!(reachable(state), BTreeSet::from([state]));
        }
        assert!(
            State::ALL
                .into_iter()
                .all(|next| { State::Conflict.may_become(next) == (next == State::Reverting) })
        );
        for state in State::ALL.into_iter().filter(|state| state.is_in_flight()) {
            assert!(reachable(state).iter().any(|next| !next.is_in_flight()), "{state}");
        }
    }

    #[test]
    fn nothing_is_applied_unverified_or_reverted_unrecorded() {
        for state in State::ALL {
            assert_eq!(state.may_become(State::Observing), state == State::Verifying);
            assert_eq!(state.may_become(State::Reverted), state == State::Reverting);
        }
    }
}
