use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// Event triggers that run on our statement.
    ///
    /// # Why
    /// One that raises an error at the end of `CREATE INDEX CONCURRENTLY` leaves an invalid index behind, one that does so
    /// at `DROP INDEX CONCURRENTLY` leaves an index that is dead and cannot be dropped. They are code that we do not know.
    ///
    /// # Refuses when
    /// An enabled event trigger listens to CREATE INDEX or DROP INDEX (ANALYZE has none).
    ///
    /// # Where it cannot be known
    /// The catalog always tells.
    pub(super) EventTriggers {
        id: "event_triggers",
        summary: "event triggers that can fail a statement half-way",
        scope: Scope::Table,
    }
}

impl Guard for EventTriggers {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some(target) = premises.target.filter(|target| !target.work.refreshes()) else {
            return Answer::Pass;
        };
        Answer::refuse_if(target.table.event_triggers.first().map(|trigger| {
            format!(
                "event trigger {} runs on {} and could leave a half-made index behind; disable it meanwhile \
                 (ALTER EVENT TRIGGER … DISABLE), or run the statement by hand",
                crate::quote::ident(trigger),
                target.work.command()
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::EventTriggers;
    use crate::guards::Work;
    use crate::guards::testing::Case;

    #[test]
    fn the_trigger_is_named() {
        let mut case = Case::default();
        case.table.event_triggers = vec!["noDDL".into()];
        assert!(
            case.reason(&EventTriggers).contains("event trigger \"noDDL\" runs on CREATE INDEX")
        );
        case.work = Work::Analyze;
        assert!(case.passes(&EventTriggers));
    }
}
