use std::collections::BTreeSet;

use crate::candidate::{Candidate, Change, Findings};
use crate::context::{Analyzed, Context};
use crate::evidence::Fact;
use crate::reach::Reach;
use crate::rule::{Rule, declare_rule};
use crate::rules::unserved_predicate::{STALE_SHARE, stale_share};
use crate::snapshot::{Column, Table, TableKind};
use crate::statement::{PredicateClass, StatementKind, Target};
use crate::statistics::{StatisticsDefinition, StatisticsKind};

declare_rule! {
    /// Columns that a statement compares together and that depend on each other, such as city and zip code, while the
    /// planner takes them as independent.
    ///
    /// # Why
    /// The planner multiplies the shares of the columns and expects far too few rows; it then prefers nested loops and
    /// plans that are good for few rows only. Extended statistics tell it which values occur together.
    ///
    /// # Evidence
    /// The statement returns ten times as many rows a call, and a hundred or more, as independent columns could give with
    /// their most common values: whatever values it is called with, the columns depend on each other. That the estimate
    /// becomes right is sure by that; that a better plan follows is not, so that confidence stays under the usual gate.
    ///
    /// # Silent when
    /// The statement reads several tables, groups or limits its rows, or was called fewer than five times; the table's
    /// statistics are old or missing (ANALYZE first); statistics of these columns exist; or the table is foreign, an
    /// extension's or excluded. Of a table that another role owns it is only shown.
    ///
    /// # Undo
    /// `DROP STATISTICS`; the planner estimates as before at once.
    pub(super) MisjudgedColumns {
        id: "misjudged_columns",
        summary: "columns compared together that the planner wrongly takes as independent",
        reach: Reach::Act,
        since: "0.1.0",
    }
}

/// Calls from which on rows per call are a habit.
const CALLS_MIN: u64 = 5;
/// Rows a call under which a wrong estimate does little harm.
const ROWS_MIN: f64 = 100.0;
/// How many times more rows than independent columns could give at most.
const FACTOR_MIN: f64 = 10.0;
/// Columns that the server takes (`STATS_MAX_DIMENSIONS` of statistics.h).
const COLUMNS_MAX: usize = 8;

impl Rule for MisjudgedColumns {
    fn propose(&self, cx: &Context<'_>) -> Findings {
        let mut findings = Findings::default();
        for (position, analyzed) in cx.workload.iter().enumerate() {
            let Some((table, columns)) = compared(cx, analyzed) else { continue };
            let known = |of: &&crate::snapshot::Together| columns.is_subset(&of.columns);
            if !bears_it(table) || table.statistics.iter().find(known).is_some() {
                continue;
            }
            if let Some((counted, most)) = misjudged(cx, analyzed, table, &columns) {
                findings.candidates.push(statistics(table, position, columns, counted, most));
            }
        }
        findings
    }
}

fn bears_it(table: &Table) -> bool {
    table.kind != TableKind::Foreign
        && !table.extension_member
        && !table.excluded
        && stale_share(table).is_some_and(|share| share <= STALE_SHARE)
}

/// The table and its columns that a statement compares with values, where its rows tell how many match.
fn compared<'a>(cx: &Context<'a>, analyzed: &Analyzed) -> Option<(&'a Table, BTreeSet<String>)> {
    let analysis = &analyzed.analysis;
    let ([relation], [block]) = (analysis.relations.as_slice(), analysis.blocks.as_slice()) else {
        return None;
    };
    if analysis.kind != StatementKind::Select || block.aggregates || block.limit.is_some() {
        return None;
    }
    let equal = analysis.predicates.iter().filter(|predicate| {
        predicate.class == PredicateClass::Equality && predicate.alternative.is_none()
    });
    let columns: BTreeSet<String> = equal
        .filter_map(|predicate| match &predicate.target {
            Target::Column(name) => Some(name.clone()),
            Target::Expression(_) => None,
        })
        .collect();
    let table = cx.snapshot.table(relation.table)?;
    (2..=COLUMNS_MAX).contains(&columns.len()).then_some((table, columns))
}

/// Rows a call as the server counted them, and as many as independent columns could give at most, where that is
/// far less.
fn misjudged(
    cx: &Context<'_>,
    analyzed: &Analyzed,
    table: &Table,
    columns: &BTreeSet<String>,
) -> Option<(f64, f64)> {
    let statement = analyzed.of(cx.snapshot);
    let rows = table.rows?;
    let shares: Option<Vec<f64>> =
        columns.iter().map(|name| largest_share(table.column(name)?, rows)).collect();
    let most = (rows * shares?.iter().product::<f64>()).max(1.0);
    let counted = statement.rows? as f64 / statement.calls.max(1) as f64;
    let sure = statement.calls >= CALLS_MIN && counted >= ROWS_MIN && counted >= FACTOR_MIN * most;
    sure.then_some((counted, most))
}

/// The largest share of the rows that a value of the column has.
fn largest_share(column: &Column, rows: f64) -> Option<f64> {
    let stats = column.stats.as_ref()?;
    match stats.common_frequencies.first() {
        Some(share) => Some(*share),
        None => Some(1.0 / column.distinct(rows)?),
    }
}

fn statistics(
    table: &Table,
    statement: usize,
    columns: BTreeSet<String>,
    counted: f64,
    most: f64,
) -> Candidate {
    let named = columns.iter().cloned().collect();
    let mut facts = vec![Fact::Dependent { columns: named, counted, most }];
    let mut reach = Reach::Act;
    if !table.may_index {
        reach = Reach::Advise;
        facts.push(Fact::NotAlone { reason: super::rights(table) });
    }
    let definition = StatisticsDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        columns,
        kinds: [StatisticsKind::Dependencies, StatisticsKind::Mcv].into(),
    };
    Candidate {
        rules: vec!["misjudged_columns"],
        change: Change::CreateStatistics { table: table.oid, definition },
        reach,
        serves: vec![statement],
        facts,
        own_gain_ms_per_day: 0.0,
    }
}
