//! What the planner knows of GIN indexes, read off its own costs.
//!
//! The meta page tells it the number of pages of the pending list, of the tree of keys and of the trees of postings, and
//! the number of keys (`ginGetStats`, ginutil.c); only a superuser may look there. With `random_page_cost` at 1 and
//! every cost of the processor at 0, a bitmap index scan for k keys costs (`gincostestimate`, selfuncs.c)
//!
//! ```text
//! pending + k * descent + max(ceil(k * data / keys), ceil(rows / 2730))      descent = rint(entry ^ 0.15)
//! ```
//!
//! and a scan of all keys the same with k = keys. Three plans tell the four numbers, since descents are few and small
//! and the pages add up. Nothing is executed.

use std::collections::BTreeMap;
use std::time::Duration;

use rules::blueprint::{GinFigures, RelationShape};
use rules::quote::qualified;
use serde::Deserialize;
use serde_json::Value;

use super::batch::{self, Patience};
use super::{BlueprintError, read};
use crate::foreign_code::Guard;
use crate::postgres::{RawJson, Row, Session};
use crate::sampler::Query;

const INDEXES: Query = Query { about: "the GIN indexes", sql: include_str!("sql/gin.sql") };

/// Keys of the second question of `gin.sql`.
const MANY: f64 = 40.0;
/// Row addresses that the planner expects on a page of postings: `BLCKSZ / 3`.
const ROWS_PER_PAGE: f64 = 2730.0;
/// Descents tried: `rint(entry ^ 0.15)` is less for any index.
const DESCENT_MAX: u32 = 20;

const PATIENCE: Patience = Patience {
    settings: "SET LOCAL random_page_cost = 1; SET LOCAL cpu_operator_cost = 0; SET LOCAL cpu_tuple_cost = 0; \
        SET LOCAL cpu_index_tuple_cost = 0; SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; \
        SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = on; \
        SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off",
    each: Duration::from_secs(2),
    all: Duration::from_secs(10),
};

#[derive(Debug, Deserialize)]
struct Index {
    oid: u32,
    schema: String,
    name: String,
    table_schema: String,
    table: String,
    predicate: Option<String>,
    pages: u64,
    conditions: Vec<String>,
}

/// One of three questions about an index: for one key, for [`MANY`], for all.
#[derive(Clone, Copy, Debug)]
struct Ask<'i> {
    index: &'i Index,
    question: usize,
}

/// What the planner says of one scan.
#[derive(Clone, Copy, Debug)]
struct Scan {
    cost: f64,
    rows: f64,
}

/// Fills in the figures that can be found out.
pub(super) async fn fill(
    session: &Session,
    guard: Option<&Guard>,
    relations: &mut [RelationShape],
) -> Result<(), BlueprintError> {
    let indexes: Vec<Index> = read::all(session, &INDEXES).await?;
    let questions = |index| (0..3).map(move |question| Ask { index, question });
    let open = indexes.iter().filter(|index| index.conditions.len() == 3);
    let asks: Vec<Ask<'_>> = open.flat_map(questions).collect();
    let answers = batch::ask(session, guard, PATIENCE, &asks, explain, read_off).await?;
    let answers: BTreeMap<(u32, usize), Scan> = answers.into_iter().collect();
    let figures = indexes.iter().filter_map(|index| {
        let scan = |question| answers.get(&(index.oid, question)).copied();
        let found = solve(index.pages, [scan(0)?, scan(1)?, scan(2)?])?;
        Some(((index.schema.as_str(), index.name.as_str()), found))
    });
    let figures: BTreeMap<(&str, &str), GinFigures> = figures.collect();
    for relation in relations {
        relation.gin = figures.get(&(relation.schema.as_str(), relation.name.as_str())).copied();
    }
    Ok(())
}

/// One EXPLAIN of all questions, each under an alias that says which it is.
fn explain(asks: &[Ask<'_>]) -> String {
    let scan = |Ask { index, question }: &Ask<'_>| {
        let condition =
            index.predicate.as_ref().map_or(String::new(), |text| format!("({text}) AND "));
        format!(
            "(SELECT 1 FROM ONLY {} AS {} WHERE {condition}{})",
            qualified(&index.table_schema, &index.table),
            alias(index, *question),
            index.conditions[*question],
        )
    };
    let scans: Vec<String> = asks.iter().map(scan).collect();
    format!("EXPLAIN (FORMAT JSON) {}", scans.join("\nUNION ALL "))
}

fn alias(index: &Index, question: usize) -> String {
    format!("g{}_{question}", index.oid)
}

/// The scans of those questions that the plan answers by the index asked about.
fn read_off(asks: &[Ask<'_>], rows: &[Row]) -> Vec<((u32, usize), Scan)> {
    let text = rows.first().and_then(|row| row.try_get::<_, RawJson>(0).ok());
    let plan = text.and_then(|text| serde_json::from_str::<Value>(&text.0).ok());
    let mut found = Vec::new();
    collect(&plan.unwrap_or_default(), asks, &mut found);
    found
}

fn collect(node: &Value, asks: &[Ask<'_>], found: &mut Vec<((u32, usize), Scan)>) {
    if let Value::Array(nodes) = node {
        for node in nodes {
            collect(node, asks, found);
        }
    }
    let Value::Object(of) = node else { return };
    let asked = of.get("Alias").and_then(Value::as_str);
    let asked = asked.and_then(|name| asks.iter().find(|a| name == alias(a.index, a.question)));
    let below = of.get("Plans").and_then(Value::as_array);
    if let (Some(ask), Some([scan])) = (asked, below.map(Vec::as_slice)) {
        let number = |key: &str| scan.get(key).and_then(Value::as_f64);
        if scan.get("Index Name").and_then(Value::as_str) == Some(&ask.index.name)
            && let (Some(cost), Some(rows)) = (number("Total Cost"), number("Plan Rows"))
        {
            found.push(((ask.index.oid, ask.question), Scan { cost, rows }));
        }
    }
    of.get("Plan").into_iter().chain(of.get("Plans")).for_each(|node| collect(node, asks, found));
}

/// The figures that give these costs; `None` where none do.
fn solve(pages: u64, scans: [Scan; 3]) -> Option<GinFigures> {
    let least = |scan: Scan| (scan.rows / ROWS_PER_PAGE).ceil();
    let [one, many, all] = scans;
    let usable = pages.saturating_sub(1) as f64;
    (1..=DESCENT_MAX).find_map(|descent| {
        let descent = f64::from(descent);
        // Pages of postings for a key: with many, as far as they exceed what the rows need at least.
        let beyond = many.cost - MANY * descent - (one.cost - descent);
        let per_key = [0.0, (beyond + least(one)) / MANY, beyond / (MANY - 1.0)];
        let per_key = per_key.into_iter().find_map(|per_key| {
            let data = |keys: f64, scan: Scan| (keys * per_key - 0.01).ceil().max(least(scan));
            let pending = one.cost - descent - data(1.0, one);
            let fits = pending + MANY * descent + data(MANY, many);
            (pending >= 0.0 && (fits - many.cost).abs() <= 1.0).then_some((per_key, pending))
        });
        let (per_key, pending) = per_key?;
        // Of all keys the postings count in full, unless the rows need more pages.
        let rest = all.cost - pending;
        let by_keys = rest / (descent + per_key);
        let by_rows = (rest - least(all)) / descent;
        let keys = if by_keys * per_key >= least(all) { by_keys } else { by_rows }.round().max(1.0);
        // Where keys have few postings, what remains of the pages is known from the cost of all keys alone.
        let data = if per_key > 0.0 { (keys * per_key).round() } else { 0.0 };
        let entry = usable - pending - data;
        let consistent = entry >= 1.0 && (entry.powf(0.15).round() - descent).abs() < f64::EPSILON;
        consistent.then_some(GinFigures {
            pending_pages: pending as u64,
            entry_pages: entry as u64,
            data_pages: data as u64,
            entries: keys as u64,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{MANY, ROWS_PER_PAGE, Scan, solve};
    use rules::blueprint::GinFigures;

    /// The planner's own formula.
    fn scan(figures: GinFigures, keys: f64, rows: f64) -> Scan {
        let [pending, entry, data] =
            [figures.pending_pages, figures.entry_pages, figures.data_pages].map(|n| n as f64);
        let keys = keys.min(figures.entries as f64);
        let postings = (data * keys / figures.entries as f64).ceil();
        let cost = pending
            + (keys * entry.powf(0.15).round()).ceil()
            + postings.max((rows / ROWS_PER_PAGE).ceil());
        Scan { cost, rows }
    }

    #[test]
    fn three_costs_tell_the_meta_page() {
        for (pending_pages, entry_pages, data_pages, entries, rows) in [
            (37, 120, 124, 353, 250_000.0),
            (0, 3, 200, 60, 900_000.0),
            (0, 5000, 40, 700_000, 1_000_000.0),
            (400, 90, 0, 9_000, 3_000.0),
            (12, 600, 2_000, 40_000, 5_000_000.0),
        ] {
            let figures = GinFigures { pending_pages, entry_pages, data_pages, entries };
            let scans = [(1.0, 10.0), (MANY, 1.0), (entries as f64, rows)];
            let scans = scans.map(|(keys, rows)| scan(figures, keys, rows));
            let pages = 1 + pending_pages + entry_pages + data_pages;
            let found = solve(pages, scans).expect("figures that give these costs");
            assert_eq!(found.pending_pages, pending_pages, "{figures:?}: {found:?}");
            // What the planner would say of the figures found is what it said.
            for (at, keys) in [(0, 1.0), (1, MANY), (2, found.entries as f64)] {
                let again = scan(found, keys, scans[at].rows);
                assert!((again.cost - scans[at].cost).abs() <= 1.0 + scans[at].cost / 200.0);
            }
        }
    }

    #[test]
    fn costs_that_no_index_has_tell_nothing() {
        let scan = |cost| Scan { cost, rows: 1.0 };
        assert!(solve(100, [scan(500.0), scan(3.0), scan(9.0)]).is_none());
    }
}
