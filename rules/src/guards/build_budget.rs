use super::{Answer, Guard, Premises, Scope, declare_guard, size};

declare_guard! {
    /// The budget of a run for builds.
    ///
    /// # Why
    /// Ten small builds are as much as a large one: who allows an hour or 10 GB a night means all together.
    ///
    /// # Refuses when
    /// The build would bring the run over `--max-build-time` (what its builds took, and what this one is expected to
    /// take) or over `--max-build-bytes` (what their indexes take, and what this one is expected to). Smaller actions
    /// behind it are still tried. A build that is at work when the time is up is cancelled, and what failed counts as well.
    ///
    /// # Where it cannot be known
    /// An index whose size nobody could estimate counts as large as its table.
    pub(super) BuildBudget {
        id: "build_budget",
        summary: "builds beyond what a run may take in time and bytes",
        scope: Scope::Action,
    }
}

impl Guard for BuildBudget {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some((target, index)) =
            premises.target.and_then(|target| Some((target, target.index?)))
        else {
            return Answer::Pass;
        };
        let (limits, spent) = (premises.limits, premises.spent);
        let bytes = index.bytes.unwrap_or(target.table.bytes);
        if let Some(max) = limits.max_build_time.filter(|max| spent.time + index.time > *max) {
            return Answer::Refuse(format!(
                "the build is expected to take {} s, this run's builds took {} s, and --max-build-time allows {} s; \
                 raise it, or leave it to a later run",
                index.time.as_secs(),
                spent.time.as_secs(),
                max.as_secs()
            ));
        }
        Answer::refuse_if(limits.max_build_bytes.filter(|max| spent.bytes + bytes > *max).map(|max| {
            format!(
                "the index is expected to take {}, this run's indexes take {}, and --max-build-bytes allows {}; raise \
                 it, or leave it to a later run",
                size(bytes),
                size(spent.bytes),
                size(max)
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::BuildBudget;
    use crate::guards::testing::Case;

    #[test]
    fn what_was_built_counts() {
        let mut case = Case::default();
        case.limits.max_build_time = Some(Duration::from_secs(150));
        assert!(case.passes(&BuildBudget));
        case.spent.time = Duration::from_mins(1);
        let reason = case.reason(&BuildBudget);
        assert!(
            reason.contains("100 s") && reason.contains("60 s") && reason.contains("150 s"),
            "{reason}"
        );
        case.limits.max_build_time = None;
        case.limits.max_build_bytes = Some(300 << 20);
        assert!(case.passes(&BuildBudget));
        case.spent.bytes = 101 << 20;
        assert!(
            case.reason(&BuildBudget).contains("200 MB")
                && case.reason(&BuildBudget).contains("300 MB")
        );
        case.spent.bytes = 0;
        case.index.bytes = None;
        assert!(case.reason(&BuildBudget).contains("expected to take 1 GB"));
    }
}
