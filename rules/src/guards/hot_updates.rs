use super::{Answer, Guard, Premises, Scope, declare_guard};
use crate::evidence::HOT_ENDED_MAX;

declare_guard! {
    /// Indexes that end HOT updates.
    ///
    /// # Why
    /// An update that sets no indexed column is HOT: it makes no entry in any index. With an index on a column that
    /// is set (also one that is only in INCLUDE or in the predicate) that ends, for every index of the table. Measured
    /// on PostgreSQL 15: updates take 1.7 to 2.2 times as long and write 1.7 to 1.9 times as much WAL.
    ///
    /// # Refuses when
    /// The workload sets columns of the new index in at least 20 % of the table's updates, these are HOT now, and the
    /// server's counters say that the table's updates still are.
    ///
    /// # Where it cannot be known
    /// Which columns are set is known from the workload only; that nothing is known of writers lowers confidence instead.
    pub(super) HotUpdates {
        id: "hot_updates",
        summary: "indexes that make updates slow",
        scope: Scope::Action,
    }
}

impl Guard for HotUpdates {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some((target, index)) =
            premises.target.and_then(|target| Some((target, target.index?)))
        else {
            return Answer::Pass;
        };
        let table = target.table;
        let hot = table.hot_updated as f64 / table.updated.max(1) as f64;
        // Updates that are not HOT any more cannot be lost.
        let ended = index.ends_hot.unwrap_or(0.0).min(hot);
        Answer::refuse_if((ended >= HOT_ENDED_MAX).then(|| {
            format!(
                "{:.0} % of the updates of {} are HOT, and the index would end that for {:.0} % of all; they would take \
                 some twice as long; if reads are worth it, make it by hand or give --waive-guard hot_updates",
                hot * 100.0,
                table.qualified(),
                ended * 100.0
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::HotUpdates;
    use crate::guards::testing::Case;

    #[test]
    fn a_fifth_of_all_updates_is_too_much() {
        let mut case = Case::default();
        case.index.ends_hot = Some(0.19);
        assert!(case.passes(&HotUpdates));
        case.index.ends_hot = Some(0.95);
        let reason = case.reason(&HotUpdates);
        assert!(reason.contains("90 % of the updates of app.\"Log\" are HOT"), "{reason}");
        assert!(reason.contains("for 90 % of all"), "{reason}");
        case.table.hot_updated = 100;
        assert!(case.passes(&HotUpdates), "what is not HOT any more cannot be lost");
    }
}
