use super::{Answer, Guard, Premises, Scope, Work, declare_guard};
use crate::guards::long_transactions::reason;

declare_guard! {
    /// Prepared transactions.
    ///
    /// # Why
    /// One that has written to the table holds its lock until somebody commits or rolls it back, with or without a
    /// session: a statement of ours would wait for it up to its time limit, and others behind us.
    ///
    /// # Refuses when
    /// A prepared transaction holds a lock on the table that conflicts with the statement and does not end while we
    /// wait. For a VACUUM any of the database is one too many: it keeps all rows that died since.
    ///
    /// # Where it cannot be known
    /// Their locks are visible to everyone.
    pub(super) PreparedTransactions {
        id: "prepared_transactions",
        summary: "statements that would wait for a prepared transaction",
        scope: Scope::Way,
    }
}

impl Guard for PreparedTransactions {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let blockers = premises.target.map_or(&[][..], |target| &target.table.blockers);
        let vacuum = premises.target.is_some_and(|target| target.work == Work::Vacuum);
        let found = blockers.iter().find(|blocker| blocker.prepared);
        Answer::refuse_if(found.map(|blocker| reason(blocker, vacuum)))
    }
}

#[cfg(test)]
mod tests {
    use super::PreparedTransactions;
    use crate::guards::Blocker;
    use crate::guards::testing::Case;

    #[test]
    fn one_is_enough() {
        let mut case = Case::default();
        assert!(case.passes(&PreparedTransactions));
        let who = "prepared transaction 'x' of app".to_owned();
        let blocker = Blocker { key: "0/1".into(), who, age: Some(86_400.0), prepared: true };
        case.table.blockers = vec![blocker];
        let reason = case.reason(&PreparedTransactions);
        let expected = "prepared transaction 'x' of app, for 86400 s now, would hold";
        assert!(reason.starts_with(expected) && reason.contains("ROLLBACK PREPARED"), "{reason}");
    }
}
