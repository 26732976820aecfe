use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// Limits that are not in force although we have set them.
    ///
    /// # Why
    /// Everything that keeps us polite is a setting: `lock_timeout`, `statement_timeout`, `search_path`, and
    /// `synchronous_commit`, without which a row of the journal could be lost that its index outlives. A role's own
    /// settings, a login trigger or a pooler can overrule what a session asked for.
    ///
    /// # Refuses when
    /// One of them, read back, is not what we have set.
    ///
    /// # Where it cannot be known
    /// `client_connection_check_interval` does not work on every platform. Then there is a note: should pgwright
    /// be killed, the server goes on with the statement at work, and the next run finds out what became of it.
    pub(super) SessionSettings {
        id: "session_settings",
        summary: "time limits that somebody has overruled",
        scope: Scope::Server,
    }
}

impl Guard for SessionSettings {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let server = premises.server;
        if let Some((name, wanted, found)) = server.overruled.first() {
            return Answer::Refuse(format!(
                "{name} is `{found}` and not `{wanted}` as we have set it; look for a login trigger or a pooler that overrules it"
            ));
        }
        if server.checks_connection {
            return Answer::Pass;
        }
        Answer::Note(
            "client_connection_check_interval is not in force: were pgwright killed, the server would finish the \
             statement at work first"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::SessionSettings;
    use crate::guards::testing::Case;

    #[test]
    fn an_overruled_limit_is_refused_and_a_missing_check_is_told() {
        let mut case = Case::default();
        assert!(case.passes(&SessionSettings));
        case.server.checks_connection = false;
        assert!(case.note(&SessionSettings).contains("client_connection_check_interval"));
        case.server.overruled = vec![("lock_timeout".into(), "5s".into(), "0".into())];
        assert!(case.reason(&SessionSettings).contains("lock_timeout is `0` and not `5s`"));
    }
}
