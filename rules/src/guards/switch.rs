use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// The switch in the journal, which a person sets with psql.
    ///
    /// # Why
    /// A person in trouble has psql and no time: `UPDATE pgwright."Control" SET "paused" = true;` stops every run at
    /// once, also the index build at work, and keeps the next ones from beginning.
    ///
    /// # Refuses when
    /// `"paused"` is true or `"pausedUntil"` lies ahead. A rollback is carried out all the same: a person asks for it.
    ///
    /// # Where it cannot be known
    /// There is no switch before the first run has made the journal.
    pub(super) Switch {
        id: "switch",
        summary: "anything, once a person has set the switch in the journal",
        scope: Scope::Run,
    }
}

impl Guard for Switch {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        Answer::refuse_if(premises.server.paused.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::Switch;
    use crate::guards::testing::Case;

    #[test]
    fn the_switch_stops_with_the_persons_own_words() {
        let mut case = Case::default();
        assert!(case.passes(&Switch));
        case.server.paused = Some("pgwright is paused: release night".into());
        assert_eq!(case.reason(&Switch), "pgwright is paused: release night");
    }
}
