use super::{Answer, Guard, Premises, Scope, Work, declare_guard};

/// Share of `autovacuum_freeze_max_age` from which on a build is not begun: what is left must do for the build and
/// the vacuum after it, which the build holds off.
const AGE_SHARE: f64 = 0.6;

declare_guard! {
    /// A table that soon needs a vacuum to keep the database from running out of transaction ids.
    ///
    /// # Why
    /// A build locks vacuum out of the table and keeps dead rows everywhere as long as it takes; a vacuum against
    /// wraparound does not give way, so that the build would wait behind it, and writers behind the build.
    ///
    /// # Refuses when
    /// For a new index: the age of the table is over 60 % of `autovacuum_freeze_max_age` (the table's own setting goes
    /// before the server's), or a vacuum "to prevent wraparound" is at work on it. The other statements take seconds.
    ///
    /// # Where it cannot be known
    /// Whether such a vacuum is at work is hidden from roles without `pg_read_all_stats`; then the age alone decides.
    pub(super) Wraparound {
        id: "wraparound",
        summary: "builds that hold off a vacuum against wraparound",
        scope: Scope::Table,
    }
}

impl Guard for Wraparound {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some(target) = premises.target.filter(|target| target.work == Work::CreateIndex) else {
            return Answer::Pass;
        };
        let (table, name) = (target.table, target.table.qualified());
        if table.freezing == Some(true) {
            return Answer::Refuse(format!(
                "{name} is being vacuumed against transaction id wraparound; try again when that has ended"
            ));
        }
        let limit = (table.freeze_max_age as f64 * AGE_SHARE) as u64;
        Answer::refuse_if((table.age > limit).then(|| {
            format!(
                "{name} needs a vacuum against transaction id wraparound first (VACUUM (FREEZE) {name}): its age is \
                 {} transactions, and a build may begin up to {limit}, {:.0} % of autovacuum_freeze_max_age",
                table.age,
                AGE_SHARE * 100.0
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Wraparound;
    use crate::guards::Work;
    use crate::guards::testing::Case;

    #[test]
    fn sixty_percent_of_the_way_is_the_limit() {
        let mut case = Case::default();
        case.table.age = 120_000_000;
        assert!(case.passes(&Wraparound));
        case.table.age += 1;
        let reason = case.reason(&Wraparound);
        assert!(
            reason.contains("120000001") && reason.contains("VACUUM (FREEZE) app.\"Log\""),
            "{reason}"
        );
        case.work = Work::Analyze;
        assert!(case.passes(&Wraparound));
    }

    #[test]
    fn a_vacuum_at_work_is_waited_for_and_an_unseen_one_is_not() {
        let mut case = Case::default();
        case.table.freezing = None;
        assert!(case.passes(&Wraparound));
        case.table.freezing = Some(true);
        assert!(case.reason(&Wraparound).contains("is being vacuumed"));
    }
}
