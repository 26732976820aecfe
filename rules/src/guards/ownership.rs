use super::{Answer, Guard, Premises, Scope, TableFacts, Work, declare_guard};

declare_guard! {
    /// Rights that our role lacks.
    ///
    /// # Why
    /// Indexes belong to the owner of the table, whatever else was granted; ANALYZE without the right succeeds
    /// with a warning and does nothing.
    ///
    /// # Refuses when
    /// Our role does not count as the owner of the table; for a new index also when it may make nothing in the
    /// schema. For ANALYZE the owner of the database will do, and from PostgreSQL 17 on MAINTAIN.
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
        Answer::refuse_if(premises.target.and_then(|target| lacking(target.table, target.work)))
    }
}

fn lacking(table: &TableFacts, work: Work) -> Option<String> {
    let name = table.qualified();
    let owner = crate::quote::ident(&table.owner);
    match work {
        Work::Analyze if !table.may_analyze => {
            Some(format!("only the owner of {name} may analyze it; GRANT {owner} TO this role"))
        }
        Work::CreateIndex | Work::DropIndex if !table.own => {
            Some(format!("only the owner of {name} may do this; GRANT {owner} TO this role"))
        }
        Work::CreateIndex if !table.may_create => {
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
        case.table.own = false;
        assert!(case.reason(&Ownership).contains("GRANT appuser TO this role"));
        case.work = Work::Analyze;
        assert!(case.passes(&Ownership));
        case.table.may_analyze = false;
        assert!(case.reason(&Ownership).contains("may analyze it"));
    }
}
