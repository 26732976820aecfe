use super::{Answer, Guard, Premises, Scope, TableFacts, Work, declare_guard};

declare_guard! {
    /// Rights that our role lacks.
    ///
    /// # Why
    /// Indexes belong to the owner of the table, whatever else was granted; ANALYZE and
    /// VACUUM without the right succeed with a warning and do nothing.
    ///
    /// # Refuses when
    /// Our role does not count as the owner of the table; for a new index or statistics also when it may make
    /// nothing in the schema. A member of the owner that does not inherit its rights is told so. For ANALYZE and VACUUM
    /// the owner of the database will do, and from PostgreSQL 17 on MAINTAIN.
    ///
    /// # Where it cannot be known
    /// The catalog always tells.
    pub(super) Ownership {
        id: "ownership",
        summary: "statements for which our role lacks the right",
        scope: Scope::Table,
    }
}

impl Guard for Ownership {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        Answer::refuse_if(
            premises
                .target
                .and_then(|target| lacking(target.table, target.work, premises.server.version_num)),
        )
    }
}

fn lacking(table: &TableFacts, work: Work, version_num: u32) -> Option<String> {
    let name = table.qualified();
    let owner = crate::quote::ident(&table.owner);
    let grant = match (table.member && !table.own, version_num) {
        (false, _) => format!("GRANT {owner} TO this role"),
        (true, 160_000..) => format!(
            "this role is a member of {owner} without inheriting its rights: GRANT {owner} TO this role WITH INHERIT TRUE"
        ),
        (true, _) => format!(
            "this role is a member of {owner} without inheriting its rights: ALTER ROLE (this role) INHERIT"
        ),
    };
    match work {
        Work::Analyze if !table.may_analyze => {
            Some(format!("only the owner of {name} may analyze it; {grant}"))
        }
        Work::Vacuum if !table.may_analyze => {
            Some(format!("only the owner of {name} may vacuum it; {grant}"))
        }
        Work::CreateIndex
        | Work::DropIndex
        | Work::AttachIndexes
        | Work::DropPartitionedIndex
        | Work::CreateStatistics
        | Work::DropStatistics
            if !table.own =>
        {
            Some(format!("only the owner of {name} may do this; {grant}"))
        }
        Work::CreateIndex | Work::AttachIndexes | Work::CreateStatistics if !table.may_create => {
            let schema = crate::quote::ident(&table.schema);
            Some(format!(
                "this role may make nothing in schema {schema}; GRANT CREATE ON SCHEMA {schema} TO it"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Ownership;
    use crate::guards::Work;
    use crate::guards::testing::Case;

    #[test]
    fn each_statement_needs_its_right() {
        let mut case = Case::default();
        assert!(case.passes(&Ownership));
        case.table.may_create = false;
        assert!(case.reason(&Ownership).contains("GRANT CREATE ON SCHEMA app"));
        case.work = Work::DropIndex;
        assert!(case.passes(&Ownership));
        (case.table.own, case.table.member) = (false, false);
        assert!(case.reason(&Ownership).contains("GRANT appuser TO this role"));
        case.work = Work::Analyze;
        assert!(case.passes(&Ownership));
        case.table.may_analyze = false;
        assert!(case.reason(&Ownership).contains("may analyze it"));
        case.work = Work::Vacuum;
        assert!(case.reason(&Ownership).contains("may vacuum it"));
        case.table.may_analyze = true;
        assert!(case.passes(&Ownership));
        case.work = Work::DropStatistics;
        assert!(case.reason(&Ownership).contains("GRANT appuser TO this role"));
        case.table.member = true;
        assert!(case.reason(&Ownership).contains("ALTER ROLE (this role) INHERIT"));
        case.server.version_num = 160_000;
        assert!(case.reason(&Ownership).contains("GRANT appuser TO this role WITH INHERIT TRUE"));
        case.table.own = true;
        assert!(case.passes(&Ownership));
        case.work = Work::CreateStatistics;
        assert!(case.reason(&Ownership).contains("GRANT CREATE ON SCHEMA app"));
    }
}
