use super::{Answer, Guard, Premises, Scope, Work, declare_guard};

declare_guard! {
    /// Standbys and slots that hold back vacuum.
    ///
    /// # Why
    /// A slot's `xmin`, or a standby with `hot_standby_feedback` and a long query, keeps dead rows for itself. They do not
    /// hold a build up as a session of this server does, but the rows go into the new index, which is larger for it.
    ///
    /// # Refuses when
    /// A VACUUM would find the rows of the last 100,000 transactions kept: it would run for nothing. For a build there
    /// is only a note, from `vacuum_freeze_min_age` transactions (50 million unless set otherwise) on, when
    /// vacuum cannot do its work any more.
    ///
    /// # Where it cannot be known
    /// Without `pg_monitor` standbys are not seen; slots are.
    pub(super) VacuumHorizon {
        id: "vacuum_horizon",
        summary: "slots and standbys that hold back vacuum",
        scope: Scope::Action,
    }
}

/// Transactions whose dead rows a vacuum may find kept and still be worth while.
const VACUUM_AGE_MAX: u64 = 100_000;

impl Guard for VacuumHorizon {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some(target) = premises.target else { return Answer::Pass };
        match &premises.server.horizon {
            Some((who, age)) if target.work == Work::Vacuum && *age > VACUUM_AGE_MAX => {
                Answer::Refuse(format!(
                    "{who} keeps rows that were dead {age} transactions ago, so that a vacuum could remove \
                     nothing newer; end that first"
                ))
            }
            _ if target.index.is_none() => Answer::Pass,
            Some((who, age)) if *age > premises.server.freeze_min_age => Answer::Note(format!(
                "{who} keeps rows that were dead {age} transactions ago; they go into the index as well"
            )),
            _ => Answer::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::VacuumHorizon;
    use crate::guards::Work;
    use crate::guards::testing::Case;

    #[test]
    fn an_old_horizon_is_told() {
        let mut case = Case::default();
        case.server.horizon = Some(("slot `s1`".into(), 50_000_000));
        assert!(case.passes(&VacuumHorizon));
        case.server.horizon = Some(("slot `s1`".into(), 50_000_001));
        assert!(
            case.note(&VacuumHorizon)
                .contains("slot `s1` keeps rows that were dead 50000001 transactions ago")
        );
        case.work = Work::Vacuum;
        assert!(case.reason(&VacuumHorizon).contains("could remove nothing newer"));
        case.server.horizon = Some(("slot `s1`".into(), 100_000));
        assert!(case.passes(&VacuumHorizon));
    }
}
