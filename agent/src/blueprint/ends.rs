//! The lowest and the highest value of indexed columns, as the planner looks them up when a constant lies near an
//! end of the histogram (`get_actual_variable_range`, selfuncs.c).

use std::time::Duration;

use rules::blueprint::EndPoints;
use rules::quote::{ident, qualified};
use serde::Deserialize;

use super::batch::{self, Patience};
use super::{BlueprintError, read};
use crate::foreign_code::Guard;
use crate::postgres::{Row, Session};
use crate::sampler::Query;

const COLUMNS: Query = Query { about: "the indexed columns", sql: include_str!("sql/ends.sql") };

/// Only an index in order can answer, and at once, unless rows at its end are dead.
macro_rules! in_order {
    () => {
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off"
    };
}
/// The same without leaving a trace in `pg_stat_all_indexes`; only a superuser may.
const UNCOUNTED: &str = concat!(in_order!(), "; SET LOCAL track_counts = off");
const PATIENCE: Patience = Patience {
    settings: in_order!(),
    each: Duration::from_millis(300),
    all: Duration::from_secs(10),
};

#[derive(Debug, Deserialize)]
struct Indexed {
    schema: String,
    table: String,
    column: String,
    readable: bool,
    uncounted: bool,
    used: bool,
}

/// The ends of all columns that lead a B-tree, as far as the role may read them and they are found in time.
pub(super) async fn read(
    session: &Session,
    guard: Option<&Guard>,
    notes: &mut Vec<String>,
) -> Result<Vec<EndPoints>, BlueprintError> {
    let columns: Vec<Indexed> = read::all(session, &COLUMNS).await?;
    let open = |column: &&Indexed| column.readable && (column.uncounted || column.used);
    let readable: Vec<&Indexed> = columns.iter().filter(open).collect();
    let uncounted = columns.iter().any(|column| column.uncounted);
    let patience = if uncounted { Patience { settings: UNCOUNTED, ..PATIENCE } } else { PATIENCE };
    let mut ends = batch::ask(session, guard, patience, &readable, select, take).await?;
    let missing = columns.len() - ends.len();
    if missing > 0 {
        notes.push(format!(
            "the ends of {missing} of {} indexed columns could not be read (no privilege, row security, a lock, too slow, code of users, \
             or an index that nobody uses and our look would count as a use): conditions near them are estimated from the histogram alone",
            columns.len()
        ));
    }
    ends.sort_by(|a, b| (&a.schema, &a.table, &a.column).cmp(&(&b.schema, &b.table, &b.column)));
    Ok(ends)
}

/// One row with two values for each column, in the text of their types' own output.
fn select(columns: &[&Indexed]) -> String {
    let end = |column: &Indexed, direction: &str| {
        let name = ident(&column.column);
        let table = qualified(&column.schema, &column.table);
        format!(
            "(SELECT pg_catalog.format('%s', t.{name}) FROM ONLY {table} AS t WHERE t.{name} IS NOT NULL \
             ORDER BY t.{name} {direction} LIMIT 1)"
        )
    };
    let both = |column: &&Indexed| [end(column, "ASC"), end(column, "DESC")].join(", ");
    format!("SELECT {}", columns.iter().map(both).collect::<Vec<_>>().join(",\n"))
}

fn take(columns: &[&Indexed], rows: &[Row]) -> Vec<EndPoints> {
    let Some(row) = rows.first() else { return Vec::new() };
    let value = |at: usize| row.try_get::<_, Option<String>>(at).ok().flatten();
    let ends = |(at, column): (usize, &&Indexed)| EndPoints {
        schema: column.schema.clone(),
        table: column.table.clone(),
        column: column.column.clone(),
        low: value(2 * at),
        high: value(2 * at + 1),
    };
    columns.iter().enumerate().map(ends).collect()
}
