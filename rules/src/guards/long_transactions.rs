use super::{Answer, Blocker, Guard, Premises, Scope, Work, declare_guard};

declare_guard! {
    /// Transactions that would hold a statement up.
    ///
    /// # Why
    /// `CREATE INDEX CONCURRENTLY` waits for every writer of the table and, after all its work, for every snapshot of the
    /// database that is older; DROP waits for whoever uses the table. A VACUUM leaves
    /// what any snapshot of the database can still see. One that met an old transaction would run into its
    /// lock timeout, and others would queue behind it meanwhile.
    ///
    /// # Refuses when
    /// Such a transaction is older than 30 s and does not end within some seconds.
    ///
    /// # Where it cannot be known
    /// How old another role's transaction is, is hidden from roles without `pg_read_all_stats`: it counts as old,
    /// since it may be, unless it ends while we wait.
    pub(super) LongTransactions {
        id: "long_transactions",
        summary: "statements that would wait for a long transaction",
        scope: Scope::Way,
    }
}

impl Guard for LongTransactions {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let limit = premises.limits.max_transaction_age.as_secs_f64();
        let blockers = premises.target.map_or(&[][..], |target| &target.table.blockers);
        let old =
            |blocker: &&Blocker| !blocker.prepared && blocker.age.is_none_or(|age| age >= limit);
        let vacuum = premises.target.is_some_and(|target| target.work == Work::Vacuum);
        Answer::refuse_if(blockers.iter().find(old).map(|blocker| reason(blocker, vacuum)))
    }
}

/// Why a transaction is in the way.
pub(super) fn reason(blocker: &Blocker, vacuum: bool) -> String {
    let age = blocker.age.map_or(String::new(), |age| format!(", for {age:.0} s now,"));
    let harm = if vacuum {
        "would hold the vacuum up, or keep it from removing what is dead"
    } else {
        "would hold the statement up"
    };
    let end = if blocker.prepared { " (COMMIT PREPARED, ROLLBACK PREPARED)" } else { "" };
    format!("{}{age} {harm}; end it{end} or try again later", blocker.who)
}

#[cfg(test)]
mod tests {
    use super::LongTransactions;
    use crate::guards::testing::Case;
    use crate::guards::{Blocker, Work};

    #[test]
    fn young_ones_pass_and_those_of_unknown_age_do_not() {
        let mut case = Case::default();
        let blocker =
            |age| Blocker { key: "7/1".into(), who: "process 7".into(), age, prepared: false };
        case.table.blockers = vec![blocker(Some(29.0))];
        assert!(case.passes(&LongTransactions));
        case.table.blockers.push(blocker(Some(31.0)));
        assert!(case.reason(&LongTransactions).contains("process 7, for 31 s now, would hold"));
        case.table.blockers = vec![blocker(None)];
        assert!(case.reason(&LongTransactions).starts_with("process 7 would hold the statement"));
        case.work = Work::Vacuum;
        assert!(case.reason(&LongTransactions).contains("keep it from removing what is dead"));
    }
}
