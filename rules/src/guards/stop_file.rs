use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// The switch as a file, for deploy scripts and those without psql.
    ///
    /// # Why
    /// A deploy can keep us away with `touch`, from the same place from which pgwright is started.
    ///
    /// # Refuses when
    /// The file of `--stop-file` exists, whatever it holds, be it a link that leads nowhere. An index build at work is cancelled, and its remains are
    /// removed. A rollback is carried out all the same.
    ///
    /// # Where it cannot be known
    /// A path that we may not look at counts as there: who set one wants to be able to stop us.
    pub(super) StopFile {
        id: "stop_file",
        summary: "anything, while the stop file exists",
        scope: Scope::Run,
    }
}

impl Guard for StopFile {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        Answer::refuse_if(
            premises.server.stop_file.as_ref().map(|path| {
                format!("the stop file `{path}` exists; remove it to let pgwright go on")
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::StopFile;
    use crate::guards::testing::Case;

    #[test]
    fn the_file_is_named() {
        let mut case = Case::default();
        assert!(case.passes(&StopFile));
        case.server.stop_file = Some("/run/pgwright.stop".into());
        assert!(case.reason(&StopFile).contains("`/run/pgwright.stop` exists"));
    }
}
