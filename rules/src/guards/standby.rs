use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// A server on which nothing can be changed.
    ///
    /// # Why
    /// A standby refuses every change, at the first statement; after a failover the old address may lead to one.
    ///
    /// # Refuses when
    /// `pg_is_in_recovery()`.
    ///
    /// # Where it cannot be known
    /// A server always tells.
    pub(super) Standby {
        id: "standby",
        summary: "a run on a standby",
        scope: Scope::Server,
    }
}

impl Guard for Standby {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let standby = premises.server.in_recovery;
        Answer::refuse_if(
            standby.then(|| "the server is a standby; connect to the primary".to_owned()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Standby;
    use crate::guards::testing::Case;

    #[test]
    fn a_standby_is_refused() {
        let mut case = Case::default();
        assert!(case.passes(&Standby));
        case.server.in_recovery = true;
        assert!(case.reason(&Standby).contains("connect to the primary"));
    }
}
