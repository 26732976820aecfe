use super::{Answer, Guard, Premises, Scope, declare_guard, size};

declare_guard! {
    /// Standbys that are behind.
    ///
    /// # Why
    /// A build writes some 0.9 bytes of WAL for each byte of its index, at once. A standby that is behind already serves
    /// older data still, and a failover would lose more.
    ///
    /// # Refuses when
    /// A streaming standby has more WAL to replay than `--max-lag` (1 GB unless set otherwise). During a build the same
    /// figure is watched, and the build is cancelled when it is passed.
    ///
    /// # Where it cannot be known
    /// Without `pg_monitor` a role does not see how far standbys are: there is a note.
    pub(super) ReplicaLag {
        id: "replica_lag",
        summary: "builds while a standby is behind",
        scope: Scope::Action,
    }
}

impl Guard for ReplicaLag {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        if premises.target.is_none_or(|target| target.index.is_none()) {
            return Answer::Pass;
        }
        let unknown = || {
            Answer::Note(
                "how far standbys are behind is not visible to this role; GRANT pg_monitor TO it"
                    .to_owned(),
            )
        };
        let Some(replicas) = &premises.server.replicas else { return unknown() };
        let max = premises.limits.max_lag;
        let worst = replicas.iter().max_by_key(|replica| replica.behind);
        match worst.and_then(|replica| Some((replica, replica.behind?))) {
            Some((replica, behind)) if behind > max => Answer::Refuse(format!(
                "standby `{}` is {} of WAL behind, more than {} (--max-lag); let it catch up",
                replica.name,
                size(behind),
                size(max)
            )),
            _ if replicas.iter().any(|replica| replica.behind.is_none()) => unknown(),
            _ => Answer::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ReplicaLag;
    use crate::guards::testing::Case;
    use crate::guards::{Replica, Work};

    #[test]
    fn the_slowest_standby_counts() {
        let mut case = Case::default();
        let late = Replica { name: "late".into(), behind: Some(3 << 30) };
        case.server.replicas.as_mut().unwrap().push(late);
        assert!(case.reason(&ReplicaLag).contains("`late` is 3 GB of WAL behind, more than 1 GB"));
        case.limits.max_lag = 4 << 30;
        assert!(case.passes(&ReplicaLag));
        case.server.replicas.as_mut().unwrap()[0].behind = None;
        assert!(case.note(&ReplicaLag).contains("pg_monitor"));
        case.server.replicas = None;
        assert!(case.note(&ReplicaLag).contains("pg_monitor"));
        case.work = Work::DropIndex;
        assert!(case.passes(&ReplicaLag));
    }
}
