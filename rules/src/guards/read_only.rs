use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// A role or database that somebody has made read-only.
    ///
    /// # Why
    /// `default_transaction_read_only` fails an index build, but neither ANALYZE nor VACUUM; who set it meant all.
    ///
    /// # Refuses when
    /// Transactions of our session are read-only.
    ///
    /// # Where it cannot be known
    /// A server always tells.
    pub(super) ReadOnly {
        id: "read_only",
        summary: "changes by a role that is meant to read only",
        scope: Scope::Server,
    }
}

impl Guard for ReadOnly {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        Answer::refuse_if(premises.server.read_only.then(|| {
            "the session is read-only (default_transaction_read_only); connect with a role that may write"
                .to_owned()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::ReadOnly;
    use crate::guards::testing::Case;

    #[test]
    fn a_read_only_session_is_refused() {
        let mut case = Case::default();
        assert!(case.passes(&ReadOnly));
        case.server.read_only = true;
        assert!(case.reason(&ReadOnly).contains("default_transaction_read_only"));
    }
}
