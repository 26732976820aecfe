//! What no catalog says of a B-tree and the planner yet knows: its height, and the lowest and highest value of its
//! first column.
//!
//! The planner adds 50 operators' cost for each level that a search descends, the leaf's included, and the binary
//! logarithm of the rows in operators' cost, less than 50 for any table (`btcostestimate`, selfuncs.c). With an
//! operator's cost of 1 the start-up cost in EXPLAIN of a walk along the index tells the level.
//!
//! The ends are looked up as the planner looks them up itself where a histogram's end decides
//! (`get_actual_variable_range`, selfuncs.c): a few blocks of each index, along the index or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rules::blueprint::{EndPoints, RelationShape};
use rules::quote::{ident, qualified};
use serde::Deserialize;

use super::{BlueprintError, read};
use crate::explain::millis;
use crate::postgres::{PgError, RawJson, Session};
use crate::sampler::Query;

const BTREES: Query = Query { about: "the B-trees", sql: include_str!("sql/btrees.sql") };

/// Every walk is bounded, and so is what it waits for; whatever planning and reading do is rolled back.
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; \
    SET LOCAL enable_bitmapscan = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; \
    SET LOCAL cpu_operator_cost = 1; SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '2s'";

/// Operators that one level costs (`DEFAULT_PAGE_CPU_MULTIPLIER`).
const LEVEL: f64 = 50.0;
/// Blocks of a B-tree that has no level above its leaf: the meta page and the root.
const FLAT: u32 = 2;
/// Indexes looked at, the largest of all.
const WALKS_MAX: usize = 2000;
/// Walks in one statement.
const BATCH: usize = 50;
/// No more is asked after so long; what is missing the twin estimates.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize)]
struct Btree {
    schema: String,
    table: String,
    index: String,
    pages: u32,
    /// The first column, of an index over all rows.
    column: Option<String>,
    predicate: Option<String>,
    keys: Vec<String>,
}

/// Finds heights out, which are put into the shapes, and ends, which are returned. What cannot be had is missing:
/// the twin estimates it.
pub(super) async fn walk(
    session: &Session,
    relations: &mut [RelationShape],
    notes: &mut Vec<String>,
) -> Result<Vec<EndPoints>, BlueprintError> {
    let since = Instant::now();
    let all: Vec<Btree> = read::all(session, &BTREES).await?;
    let looked_at = &all[..all.len().min(WALKS_MAX)];
    let mut missed = all.len() - looked_at.len();
    let high: Vec<&Btree> = looked_at.iter().filter(|btree| btree.pages > FLAT).collect();
    let mut heights = BTreeMap::new();
    missed += each(session, &high, since, async |batch| {
        heights.extend(heights_of(session, batch).await?);
        Ok(())
    })
    .await?;
    for shape in relations {
        let name = (shape.schema.clone(), shape.name.clone());
        shape.height = heights.get(&name).copied();
    }
    let mut seen = BTreeSet::new();
    let mut fresh = |btree: &Btree| {
        btree.column.as_ref().is_some_and(|column| {
            seen.insert((btree.schema.clone(), btree.table.clone(), column.clone()))
        })
    };
    let first: Vec<&Btree> = looked_at.iter().filter(|btree| fresh(btree)).collect();
    let mut ends = Vec::new();
    missed += each(session, &first, since, async |batch| {
        ends.extend(ends_of(session, batch).await?);
        Ok(())
    })
    .await?;
    ends.sort_by(|a, b| (&a.schema, &a.table, &a.column).cmp(&(&b.schema, &b.table, &b.column)));
    if missed > 0 {
        notes.push(format!(
            "{missed} indexes were not looked into, for want of time or of a lock: their heights are estimated, and so are \
             the lowest and the highest value of their columns"
        ));
    }
    tracing::debug!(walks = looked_at.len(), missed, ms = millis(since), "B-trees walked");
    Ok(ends)
}

/// Does something with all B-trees, many at once, fewer where that fails; returns for how many it could not be done.
async fn each(
    session: &Session,
    btrees: &[&Btree],
    since: Instant,
    mut work: impl AsyncFnMut(&[&Btree]) -> Result<(), PgError>,
) -> Result<usize, BlueprintError> {
    let mut missed = 0;
    let mut pending: Vec<&[&Btree]> = btrees.chunks(BATCH).collect();
    pending.reverse();
    while let Some(batch) = pending.pop() {
        if since.elapsed() > PATIENCE {
            missed += batch.len();
            continue;
        }
        session.batch(BEGIN).await.map_err(BlueprintError::Transaction)?;
        let done = work(batch).await;
        session.batch("ROLLBACK").await.map_err(BlueprintError::Transaction)?;
        match done {
            Ok(()) => {}
            Err(error) if error.is_lost() => return Err(BlueprintError::Transaction(error)),
            Err(_) if batch.len() > 1 => {
                let (head, tail) = batch.split_at(batch.len() / 2);
                pending.extend([tail, head]);
            }
            Err(_) => missed += 1,
        }
    }
    Ok(missed)
}

/// The heights of those B-trees along which the planner would walk.
async fn heights_of(
    session: &Session,
    batch: &[&Btree],
) -> Result<BTreeMap<(String, String), u32>, PgError> {
    let walks: Vec<String> = batch.iter().map(|btree| btree.walk()).collect();
    let sql = format!("EXPLAIN (FORMAT JSON, VERBOSE) SELECT {}", walks.join(", "));
    let row = session.query_one(&sql, &[]).await?;
    let RawJson(json) = row.try_get(0)?;
    let plans = planparse::parse(&json).unwrap_or_default();
    let scans = plans.iter().flat_map(|parsed| parsed.plan.operators()).map(|(_, scan)| scan);
    let height = |scan: &planparse::Operator| {
        let name = (scan.schema.clone()?, scan.index_name.clone()?);
        let levels = (scan.startup_cost / LEVEL).floor() as u32;
        Some((name, levels.checked_sub(1)?))
    };
    Ok(scans.filter_map(height).collect())
}

/// The ends of the first columns.
async fn ends_of(session: &Session, batch: &[&Btree]) -> Result<Vec<EndPoints>, PgError> {
    let walks = batch.iter().enumerate().filter_map(|(place, btree)| btree.ends(place));
    let walks: Vec<String> = walks.collect();
    let rows = session.query(&walks.join(" UNION ALL "), &[]).await?;
    let mut ends = Vec::with_capacity(rows.len());
    for row in &rows {
        let place = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(usize::MAX);
        let (Some(btree), Some(low)) = (batch.get(place), row.try_get(1)?) else { continue };
        ends.push(EndPoints {
            schema: btree.schema.clone(),
            table: btree.table.clone(),
            column: btree.column.clone().unwrap_or_default(),
            low: Some(low),
            high: row.try_get(2)?,
        });
    }
    Ok(ends)
}

impl Btree {
    /// A scalar subquery that is planned as a walk along it.
    fn walk(&self) -> String {
        let table = qualified(&self.schema, &self.table);
        let predicate = self
            .predicate
            .as_ref()
            .map_or(String::new(), |predicate| format!(" WHERE {predicate}"));
        format!("(SELECT 1 FROM ONLY {table}{predicate} ORDER BY {} LIMIT 1)", self.keys.join(", "))
    }

    /// A SELECT of its place in the batch, and of the lowest and the highest value of its first column.
    fn ends(&self, place: usize) -> Option<String> {
        let (table, column) = (qualified(&self.schema, &self.table), ident(self.column.as_ref()?));
        let end = |order: &str| {
            format!(
                "(SELECT t.{column}::text FROM ONLY {table} AS t WHERE t.{column} IS NOT NULL ORDER BY t.{column} {order} LIMIT 1)"
            )
        };
        Some(format!("SELECT {place}, {}, {}", end("ASC"), end("DESC")))
    }
}

#[cfg(test)]
mod tests {
    use super::Btree;

    #[test]
    fn walks_go_along_the_whole_key_and_ends_along_its_first_column() {
        let btree = Btree {
            schema: "public".into(),
            table: "Order".into(),
            index: "order_at".into(),
            pages: 100,
            column: Some("at".into()),
            predicate: Some("(NOT gone)".into()),
            keys: vec!["at DESC".into(), "lower(note)".into()],
        };
        assert_eq!(
            btree.walk(),
            "(SELECT 1 FROM ONLY public.\"Order\" WHERE (NOT gone) ORDER BY at DESC, lower(note) LIMIT 1)"
        );
        assert_eq!(
            btree.ends(7).unwrap(),
            "SELECT 7, (SELECT t.at::text FROM ONLY public.\"Order\" AS t WHERE t.at IS NOT NULL ORDER BY t.at ASC LIMIT 1), \
             (SELECT t.at::text FROM ONLY public.\"Order\" AS t WHERE t.at IS NOT NULL ORDER BY t.at DESC LIMIT 1)"
        );
    }
}
