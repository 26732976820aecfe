use super::unserved_predicate::{STALE_SHARE, stale_share};
use crate::candidate::{Candidate, Change, Findings};
use crate::context::Context;
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Table, TableKind};

declare_rule! {
    /// A table that the workload reads has no planner statistics, or old ones.
    ///
    /// # Why
    /// The planner guesses; an index is never proposed with confidence where ANALYZE would do.
    ///
    /// # Evidence
    /// The table was never analyzed (no ANALYZE counted, no column with statistics), or over 20 % of its rows
    /// changed since the last ANALYZE or autoanalyze, and statements of the workload read it.
    ///
    /// # Silent when
    /// No statement reads it, it has under 8 blocks (about 1,000 short rows), few rows changed since it was analyzed,
    /// or it is foreign or excluded. Of a table that another role owns it is only shown.
    ///
    /// # Undo
    /// None: statistics are replaced. The next ANALYZE replaces them again.
    pub(super) StaleStatistics {
        id: "stale_statistics",
        summary: "table read by the workload without fresh planner statistics",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

/// Blocks under which statistics hardly matter.
const PAGES_MIN: u64 = 8;

impl Rule for StaleStatistics {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for table in cx.tables() {
            let readers: Vec<usize> =
                (0..cx.workload.len()).filter(|&s| reads(cx, s, table.oid)).collect();
            if readers.is_empty() || table.pages < PAGES_MIN || table.kind == TableKind::Foreign {
                continue;
            }
            let share = stale_share(table);
            if share.is_none_or(|share| share > STALE_SHARE) {
                findings.candidates.push(analyze(table, readers, share));
            }
        }
        findings
    }
}

fn reads(cx: &Context<'_>, statement: usize, table: u32) -> bool {
    cx.workload[statement].analysis.relations.iter().any(|relation| relation.table == table)
}

fn analyze(table: &Table, readers: Vec<usize>, share: Option<f64>) -> Candidate {
    let mut facts = vec![Fact::StatisticsNeeded { share, statements: readers.len() }];
    let mut reach = Reach::Act;
    if !table.may_index && !table.may_analyze {
        reach = Reach::Advise;
        facts.push(Fact::NotAlone { reason: super::rights(table) });
    }
    Candidate {
        rules: vec!["stale_statistics"],
        change: Change::Analyze { table: table.oid },
        reach,
        serves: readers,
        facts,
        own_gain_ms_per_day: 0.0,
    }
}
