use super::{Answer, Guard, Premises, Scope, declare_guard};
use crate::guards::long_transactions::reason;

declare_guard! {
    /// Prepared transactions.
    ///
    /// # Why
    /// One that has written to the table holds its lock until somebody commits or rolls it back, with or without a
    /// session: a statement of ours would wait for it up to its time limit, and others behind us.
    ///
    /// # Refuses when
    /// A prepared transaction holds a lock on the table that conflicts with the statement and does not end while we wait.
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
        Answer::refuse_if(blockers.iter().find(|blocker| blocker.prepared).map(reason))
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
        let who = "a prepared transaction (see pg_prepared_xacts)".to_owned();
        case.table.blockers = vec![Blocker { key: "0/1".into(), who, age: None, prepared: true }];
        assert!(case.reason(&PreparedTransactions).contains("pg_prepared_xacts"));
    }
}
