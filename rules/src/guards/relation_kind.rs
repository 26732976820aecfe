use super::{Answer, Guard, Premises, Scope, TableFacts, Work, declare_guard};

declare_guard! {
    /// Relations on which our statements do not work, or not safely.
    ///
    /// # Why
    /// CONCURRENTLY does not work on partitioned tables, and quietly is not concurrent on temporary ones; what is
    /// unlogged is empty after a crash; what belongs to an extension is the extension's to change.
    ///
    /// # Refuses when
    /// The relation is neither an ordinary table nor a materialized view (for ANALYZE and statistics it may be a
    /// partitioned table), is temporary, or for an index unlogged, or belongs to an extension. The index of a partitioned
    /// table is built on its partitions, of which each has to pass.
    ///
    /// # Where it cannot be known
    /// The catalog always tells.
    pub(super) RelationKind {
        id: "relation_kind",
        summary: "statements that a kind of relation does not bear",
        scope: Scope::Table,
    }
}

impl Guard for RelationKind {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        Answer::refuse_if(premises.target.and_then(|target| wrong(target.table, target.work)))
    }
}

fn wrong(table: &TableFacts, work: Work) -> Option<String> {
    let name = table.qualified();
    let kinds: &[&str] = match work {
        Work::Analyze | Work::CreateStatistics | Work::DropStatistics => &["r", "m", "p"],
        Work::AttachIndexes | Work::DropPartitionedIndex => &["p"],
        Work::CreateIndex | Work::DropIndex | Work::Vacuum => &["r", "m"],
    };
    let index = matches!(
        work,
        Work::CreateIndex | Work::DropIndex | Work::AttachIndexes | Work::DropPartitionedIndex
    );
    if table.kind == "p" && index && !kinds.contains(&"p") {
        return Some(format!(
            "{name} is partitioned, and CONCURRENTLY does not work on it; by hand: CREATE INDEX … ON ONLY {name}, \
             then CREATE INDEX CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION for each"
        ));
    }
    if !kinds.contains(&table.kind.as_str()) {
        let wanted = if kinds == ["p"] {
            "partitioned table"
        } else {
            "ordinary table or materialized view"
        };
        return Some(format!("{name} is no {wanted}"));
    }
    if table.persistence == "t" {
        return Some(format!("{name} is a temporary table, which ends with its session"));
    }
    if table.persistence == "u" && index {
        return Some(format!(
            "{name} is an unlogged table, which a crash empties; have a person run the statement"
        ));
    }
    table.extension_member.then(|| format!("{name} belongs to an extension"))
}

#[cfg(test)]
mod tests {
    use super::RelationKind;
    use crate::guards::Work;
    use crate::guards::testing::Case;

    #[test]
    fn kinds_are_told_apart() {
        let mut case = Case::default();
        for (kind, persistence, work, expected) in [
            ("p", "p", Work::CreateIndex, "ATTACH PARTITION"),
            ("v", "p", Work::CreateIndex, "no ordinary table"),
            ("r", "u", Work::DropIndex, "unlogged"),
            ("r", "t", Work::Analyze, "temporary"),
            ("r", "p", Work::AttachIndexes, "no partitioned table"),
            ("f", "p", Work::CreateIndex, "no ordinary table"),
        ] {
            case.table.kind = kind.into();
            case.table.persistence = persistence.into();
            case.work = work;
            assert!(case.reason(&RelationKind).contains(expected), "{kind} {persistence}");
        }
        case.table.persistence = "p".into();
        case.table.kind = "p".into();
        case.work = Work::Vacuum;
        assert!(case.reason(&RelationKind).contains("no ordinary table"));
        for work in [Work::Analyze, Work::AttachIndexes, Work::DropPartitionedIndex] {
            case.work = work;
            assert!(case.passes(&RelationKind), "{work:?} of a partitioned table");
        }
        case.table.extension_member = true;
        assert!(case.reason(&RelationKind).contains("extension"));
    }
}
