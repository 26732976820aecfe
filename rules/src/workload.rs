//! Rates of the workload: how often a day tables are written, and what a statement weighs.

use crate::context::{Analyzed, Context};
use crate::evidence::Fact;
use crate::snapshot::{Snapshot, Statement};
use crate::statement::StatementKind;

/// Milliseconds of one unit of planner cost, for statements that nobody measured: a sequential page costs
/// 1 unit plus about 60 rows at 0.0125, and takes 0.36 µs plus 60 times 0.11 µs (PostgreSQL 15, warm).
const MS_PER_COST: f64 = 0.004;

/// Rows per call from which a statement that ran once or twice is taken for a one-off load, not for a habit.
const BULK_ROWS: f64 = 10_000.0;

/// Milliseconds per day that a statement takes as things are; estimated from its cost when not measured.
pub fn ms_per_day(snapshot: &Snapshot, analyzed: &Analyzed) -> f64 {
    let statement = analyzed.of(snapshot);
    match statement.total_ms {
        Some(total) => total / snapshot.days(),
        None => {
            statement.calls as f64 * analyzed.cost().unwrap_or(0.0) * MS_PER_COST / snapshot.days()
        }
    }
}

/// Mean execution time in milliseconds, when measured.
pub fn mean_ms(statement: &Statement) -> Option<f64> {
    Some(statement.total_ms? / statement.calls.max(1) as f64)
}

/// Rows per day that statements of one kind write to one table, with the statements' own columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writes {
    /// Rows inserted per day.
    pub inserted: f64,
    /// Rows updated per day, by the set of columns in SET.
    pub updated: Vec<(Vec<String>, f64)>,
    /// Rows deleted per day.
    pub deleted: f64,
}

/// Whether a statement is a one-off load: it ran once or twice and wrote very many rows.
pub fn is_bulk_load(statement: &Statement) -> bool {
    let rows = statement.rows.unwrap_or(statement.calls) as f64 / statement.calls.max(1) as f64;
    statement.calls <= 2 && rows >= BULK_ROWS
}

/// How a table is written, per day: counted by statement where statements were counted. Files do not count: then
/// the table's own counters tell how often, where it is known since when they run, and the files' statements what
/// is set; where nobody knows, each statement of a file counts as run once a day, as it does for what is read.
/// One-off bulk loads are left out.
pub fn writes(cx: &Context<'_>, table: u32) -> Writes {
    let own = by_statement(cx, table);
    match by_counter(cx.snapshot, table).filter(|_| cx.snapshot.intake.since.is_none()) {
        Some(counted) => Writes {
            inserted: own.inserted.max(counted.inserted),
            updated: of_known_columns(own.updated, &counted.updated),
            deleted: own.deleted.max(counted.deleted),
        },
        None => own,
    }
}

/// Updates at the rate that was counted, which set what the statements set in the statements' proportions.
fn of_known_columns(
    known: Vec<(Vec<String>, f64)>,
    counted: &[(Vec<String>, f64)],
) -> Vec<(Vec<String>, f64)> {
    let sum = |updates: &[(Vec<String>, f64)]| updates.iter().map(|(_, rows)| rows).sum::<f64>();
    let (own, all) = (sum(&known), sum(counted));
    if known.is_empty() {
        return counted.to_vec();
    }
    let factor = if own > 0.0 { (all / own).max(1.0) } else { 1.0 };
    known.into_iter().map(|(columns, rows)| (columns, rows * factor)).collect()
}

/// What the server counted of a table's writes and [`writes`] cannot weigh, for want of a statement in the files.
pub fn unknown_writes(cx: &Context<'_>, table: u32) -> Option<Fact> {
    let counters =
        &cx.snapshot.table(table).filter(|_| cx.snapshot.intake.since.is_none())?.counters;
    let does = |kind: StatementKind| {
        let writes = |analyzed: &Analyzed| {
            analyzed.analysis.writes.as_ref().is_some_and(|write| write.table == table)
        };
        cx.workload.iter().any(|analyzed| analyzed.analysis.kind == kind && writes(analyzed))
    };
    let weighed = cx.snapshot.server.counters_since.is_some() || does(StatementKind::Insert);
    let inserted = if weighed { 0 } else { counters.inserted };
    let updated = if does(StatementKind::Update) { 0 } else { counters.updated };
    let hot = if updated > 0 { counters.hot_updated as f64 / updated as f64 } else { 0.0 };
    (inserted + updated > 0).then_some(Fact::UnknownWrites { inserted, updated, hot })
}

fn by_statement(cx: &Context<'_>, table: u32) -> Writes {
    let mut writes = Writes::default();
    let days = cx.snapshot.days();
    for analyzed in cx.workload {
        let Some(write) = analyzed.analysis.writes.as_ref().filter(|write| write.table == table)
        else {
            continue;
        };
        let statement = analyzed.of(cx.snapshot);
        let rows = statement.rows.unwrap_or(statement.calls) as f64;
        if is_bulk_load(statement) {
            continue;
        }
        let per_day = rows / days;
        match analyzed.analysis.kind {
            StatementKind::Insert => writes.inserted += per_day,
            StatementKind::Update => {
                writes.updated.push((write.columns.iter().cloned().collect(), per_day));
            }
            StatementKind::Delete => writes.deleted += per_day,
            StatementKind::Select => {}
        }
    }
    writes
}

fn by_counter(snapshot: &Snapshot, table: u32) -> Option<Writes> {
    let (since, table) = (snapshot.server.counters_since?, snapshot.table(table)?);
    let days = ((snapshot.server.taken_at - since).num_seconds() as f64 / 86_400.0).max(1.0 / 24.0);
    let counters = &table.counters;
    Some(Writes {
        inserted: counters.inserted as f64 / days,
        updated: vec![(Vec::new(), counters.updated as f64 / days)],
        deleted: counters.deleted as f64 / days,
    })
}

/// Rows deleted per day from a table.
pub fn deletes_per_day(cx: &Context<'_>, table: u32) -> f64 {
    writes(cx, table).deleted
}
