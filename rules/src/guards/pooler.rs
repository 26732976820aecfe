use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// A connection pooler between us and the server.
    ///
    /// # Why
    /// A pooler can hand our server process to others between two statements: our lock that keeps a second run away and
    /// our time limits would be theirs, and ours would be gone.
    ///
    /// # Refuses when
    /// Start-up options did not reach the server, or two questions in one session were answered by two processes.
    ///
    /// # Where it cannot be known
    /// A pooler in session mode that hands on every option cannot be told from a server, and does no harm. Before each
    /// changing statement we look whether our process still holds our lock.
    pub(super) Pooler {
        id: "pooler",
        summary: "a pooler that hands our session to others",
        scope: Scope::Server,
    }
}

impl Guard for Pooler {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        Answer::refuse_if(premises.server.behind_pooler.then(|| {
            "a connection pooler stands between, and would hand our session to others; connect directly to the server"
                .to_owned()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::Pooler;
    use crate::guards::testing::Case;

    #[test]
    fn a_pooler_is_refused() {
        let mut case = Case::default();
        assert!(case.passes(&Pooler));
        case.server.behind_pooler = true;
        assert!(case.reason(&Pooler).contains("connect directly to the server"));
    }
}
