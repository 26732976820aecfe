use planparse::OperatorKind;

use crate::candidate::{Candidate, Change, Findings};
use crate::context::{Analyzed, Context};
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::snapshot::{Persistence, Snapshot, Table, TableKind};

declare_rule! {
    /// A table that the workload reads waits for a vacuum, and autovacuum does not come.
    ///
    /// # Why
    /// An index-only scan looks every row up in the table whose page is not marked as visible to all, so that it reads
    /// as much as an ordinary index scan; only a vacuum sets these marks. Dead rows are read by every scan of the table
    /// and fill its indexes.
    ///
    /// # Evidence
    /// An index-only scan of the workload expects 100 rows or more from a table of which under half of the pages are
    /// marked. (Measured on PostgreSQL 15, a million rows in random order: such a scan of 100 rows touched 103 blocks before
    /// a vacuum and 4 after it, one of 100,000 rows 100,276 and 277, and took a twentieth of the time.) Or there are over twice as many dead rows as autovacuum waits for, by the table's own settings, and it is
    /// switched off for the table or has not been there for a day.
    ///
    /// # Silent when
    /// No statement reads the table, it has under 64 blocks, it was written to so much since the last vacuum that the
    /// marks would be gone at once, or it is partitioned, foreign, temporary, an extension's or excluded. Of a table that
    /// another role owns it is only shown.
    ///
    /// # Undo
    /// None: what was dead is gone, and nobody could see it.
    pub(super) OverdueVacuum {
        id: "overdue_vacuum",
        summary: "table read by the workload that autovacuum does not get to",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

/// Blocks under which reading the whole table is cheap whatever it holds (half a megabyte).
const PAGES_MIN: u64 = 64;
/// Rows of an index-only scan under which looking them up in the table costs next to nothing.
const ROWS_MIN: f64 = 100.0;
/// Share of marked pages from which on an index-only scan mostly keeps its promise.
const VISIBLE_MIN: f64 = 0.5;
/// How many times as many dead rows as autovacuum waits for: it may be on its way for less.
const OVERDUE: f64 = 2.0;
/// Hours for which autovacuum was not there.
const ABSENT_HOURS: i64 = 24;

impl Rule for OverdueVacuum {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for table in cx.tables().filter(|table| bears_it(table)) {
            let reads = |analyzed: &Analyzed| {
                analyzed.analysis.relations.iter().any(|relation| relation.table == table.oid)
            };
            let readers: Vec<usize> =
                (0..cx.workload.len()).filter(|&s| reads(&cx.workload[s])).collect();
            if readers.is_empty() {
                continue;
            }
            let scanning: Vec<usize> =
                readers.iter().copied().filter(|&s| scans(&cx.workload[s], table)).collect();
            let visible = table.all_visible as f64 / table.pages as f64;
            if !scanning.is_empty() && visible < VISIBLE_MIN {
                let fact = Fact::HeapFetches { visible, statements: scanning.len() };
                findings.candidates.push(vacuum(table, scanning, fact));
            } else if let Some(threshold) = overdue(table, cx.snapshot) {
                let (dead, live) = (table.counters.dead, table.counters.live);
                let fact = Fact::DeadRows { dead, live, threshold };
                findings.candidates.push(vacuum(table, readers, fact));
            }
        }
        findings
    }
}

fn bears_it(table: &Table) -> bool {
    matches!(table.kind, TableKind::Table | TableKind::MaterializedView)
        && table.persistence != Persistence::Temporary
        && !table.extension_member
        && table.pages >= PAGES_MIN
}

/// Whether a plan of the statement reads many rows of the table from an index alone.
fn scans(analyzed: &Analyzed, table: &Table) -> bool {
    analyzed.weighed().filter_map(|binding| analyzed.plans[binding].as_ref()).any(|plan| {
        plan.operators().any(|(_, operator)| {
            operator.kind == OperatorKind::IndexOnlyScan
                && operator.relation.as_deref() == Some(&table.name)
                && operator.schema.as_ref().is_none_or(|schema| *schema == table.schema)
                && operator.rows >= ROWS_MIN
        })
    })
}

/// How many dead rows autovacuum waits for, where there are far more and it does not come.
///
/// Source: PostgreSQL documentation, "Vacuuming Configuration": threshold + scale factor * rows, at most
/// `autovacuum_vacuum_max_threshold` (18 and later); a table's own settings go before the server's.
fn overdue(table: &Table, snapshot: &Snapshot) -> Option<u64> {
    let set = |name: &str| {
        let own =
            table.options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        own.or_else(|| snapshot.settings.get(name).map(String::as_str))
    };
    let number =
        |name: &str, default: f64| set(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let base: f64 = number("autovacuum_vacuum_threshold", 50.0);
    let scale: f64 = number("autovacuum_vacuum_scale_factor", 0.2);
    let most: f64 = number("autovacuum_vacuum_max_threshold", -1.0);
    let mut threshold = base + scale * table.rows.unwrap_or(0.0).max(0.0);
    if most >= 0.0 {
        threshold = threshold.min(most);
    }
    let is_off = |text: Option<&str>| matches!(text, Some("off" | "false" | "0" | "no"));
    let off = is_off(set("autovacuum_enabled"))
        || is_off(snapshot.settings.get("autovacuum").map(String::as_str));
    let absent = table
        .counters
        .vacuumed_at
        .is_none_or(|at| (snapshot.server.taken_at - at).num_hours() >= ABSENT_HOURS);
    (table.counters.dead as f64 > OVERDUE * threshold && (off || absent))
        .then_some(threshold as u64)
}

fn vacuum(table: &Table, serves: Vec<usize>, fact: Fact) -> Candidate {
    let mut facts = vec![fact];
    let mut reach = Reach::Act;
    if !table.may_index && !table.may_analyze {
        reach = Reach::Advise;
        facts.push(Fact::NotAlone { reason: super::rights(table) });
    }
    Candidate {
        rules: vec!["overdue_vacuum"],
        change: Change::Vacuum { table: table.oid },
        reach,
        serves,
        facts,
        own_gain_ms_per_day: 0.0,
    }
}
