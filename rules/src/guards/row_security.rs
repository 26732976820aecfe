use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// Indexes that no role below a policy could use.
    ///
    /// # Why
    /// With row-level security the server checks a policy before any condition that could give rows away, so only
    /// operators and functions that are leakproof are looked up in an index. Equality of most types is; comparison of
    /// text, LIKE, most of GIN and GiST, and functions such as `lower` are not. Who plans as owner or superuser does not see it.
    ///
    /// # Refuses when
    /// The table has row-level security and no key's operators are leakproof.
    ///
    /// # Where it cannot be known
    /// Of an expression we do not look into the functions: there is a note.
    pub(super) RowSecurity {
        id: "row_security",
        summary: "indexes that row-level security keeps from being used",
        scope: Scope::Action,
    }
}

impl Guard for RowSecurity {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some((target, index)) =
            premises.target.and_then(|target| Some((target, target.index?)))
        else {
            return Answer::Pass;
        };
        // The leading key decides whether an index finds anything.
        let Some(key) = index.keys.first().filter(|_| target.table.row_security) else {
            return Answer::Pass;
        };
        let name = target.table.qualified();
        match key.leakproof {
            Some(true) => Answer::Pass,
            Some(false) => Answer::Refuse(format!(
                "{name} has row-level security, and the operators of {} in a {} index are not leakproof: only roles \
                 that bypass it could use the index; if these are the ones that matter, give --waive-guard row_security",
                key.name, index.method
            )),
            None => Answer::Note(format!(
                "{name} has row-level security; where {} is not leakproof, only roles that bypass it can use the index",
                key.name
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RowSecurity;
    use crate::guards::testing::Case;

    #[test]
    fn only_below_policies_do_operators_matter() {
        let mut case = Case::default();
        case.index.keys[0].leakproof = Some(false);
        assert!(case.passes(&RowSecurity));
        case.table.row_security = true;
        assert!(
            case.reason(&RowSecurity)
                .contains("operators of userId in a btree index are not leakproof")
        );
        case.index.keys[0].leakproof = None;
        assert!(case.note(&RowSecurity).contains("row-level security"));
        case.index.keys[0].leakproof = Some(true);
        assert!(case.passes(&RowSecurity));
    }
}
