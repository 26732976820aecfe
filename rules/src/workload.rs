//! Rates of the workload: how often a day tables are written, and what a statement weighs.

use crate::context::{Analyzed, Context};
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

/// How a table is written, per day: counted by statement where statements were counted, else from the table's
/// own counters where it is known since when they run. One-off bulk loads are left out.
pub fn writes(cx: &Context<'_>, table: u32) -> Writes {
    let counted = cx.snapshot.intake.since.is_some();
    if counted { by_statement(cx, table) } else { by_counter(cx.snapshot, table) }
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

fn by_counter(snapshot: &Snapshot, table: u32) -> Writes {
    let (Some(since), Some(table)) = (snapshot.server.counters_since, snapshot.table(table)) else {
        return Writes::default();
    };
    let days = ((snapshot.server.taken_at - since).num_seconds() as f64 / 86_400.0).max(1.0 / 24.0);
    let counters = &table.counters;
    Writes {
        inserted: counters.inserted as f64 / days,
        updated: vec![(Vec::new(), counters.updated as f64 / days)],
        deleted: counters.deleted as f64 / days,
    }
}

/// Rows deleted per day from a table.
pub fn deletes_per_day(cx: &Context<'_>, table: u32) -> f64 {
    writes(cx, table).deleted
}
