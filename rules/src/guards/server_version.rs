use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// A version whose concurrent index builds can be corrupt.
    ///
    /// # Why
    /// `CREATE INDEX CONCURRENTLY` of PostgreSQL 14.0 to 14.3 could leave rows out of the index (release notes of 14.4).
    /// Statements then silently miss these rows.
    ///
    /// # Refuses when
    /// The server is of version 14.0 to 14.3. Versions before 14 are refused when connecting.
    ///
    /// # Where it cannot be known
    /// A server always tells its version.
    pub(super) ServerVersion {
        id: "server_version",
        summary: "indexes that lack rows, on PostgreSQL 14.0 to 14.3",
        scope: Scope::Server,
    }
}

impl Guard for ServerVersion {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let server = premises.server;
        let corrupting = (140_000..140_004).contains(&server.version_num);
        Answer::refuse_if(corrupting.then(|| {
            format!(
                "PostgreSQL {} can corrupt indexes that are built with CONCURRENTLY; upgrade to 14.4 or later",
                server.version
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::ServerVersion;
    use crate::guards::testing::Case;

    #[test]
    fn only_14_0_to_14_3_are_refused() {
        let mut case = Case::default();
        for (version, passes) in
            [(140_000, false), (140_003, false), (140_004, true), (180_000, true)]
        {
            case.server.version_num = version;
            assert_eq!(case.passes(&ServerVersion), passes, "{version}");
        }
        case.server.version_num = 140_002;
        case.server.version = "14.2".into();
        assert!(
            case.reason(&ServerVersion).contains("PostgreSQL 14.2")
                && case.reason(&ServerVersion).contains("14.4")
        );
    }
}
