//! Heights of B-trees: read off their first page where pageinspect is there, else off the planner's own costs.
//!
//! The planner charges `50 * cpu_operator_cost` for each level that a scan goes down, and `cpu_operator_cost` for
//! each comparison of a binary search over all entries (`btcostestimate`, selfuncs.c). With that constant at 1000 and
//! all others near zero, the start-up cost of a scan in the index's order tells the height: the search over all
//! entries adds 32 or less for any table that fits a server, so it never hides a level. That needs no more than
//! the privilege to read the table, and nothing is executed.

use std::collections::BTreeMap;
use std::time::Duration;

use rules::blueprint::RelationShape;
use rules::quote::qualified;
use serde::Deserialize;
use serde_json::Value;

use super::batch::{self, Patience};
use super::{BlueprintError, read};
use crate::foreign_code::Guard;
use crate::postgres::{RawJson, Row, Session};
use crate::sampler::{Query, Reader};

const TREES: Query = Query { about: "the B-trees", sql: include_str!("sql/trees.sql") };
const AVAILABLE: Query =
    Query { about: "the extensions", sql: include_str!("sql/inspect_available.sql") };
const INSPECT: Query =
    Query { about: "the first pages of B-trees", sql: include_str!("sql/inspect.sql") };

/// `cpu_operator_cost` while we ask; `SETTINGS` holds the same number.
const OPERATOR_COST: f64 = 1000.0;
/// `DEFAULT_PAGE_CPU_MULTIPLIER`, selfuncs.c; a bare 50.0 in version 14.
const LEVEL: f64 = 50.0;
/// Pages cost just enough for the smaller of two indexes of one order to be taken.
const PATIENCE: Patience = Patience {
    settings: "SET LOCAL cpu_operator_cost = 1000; SET LOCAL cpu_tuple_cost = 0; SET LOCAL cpu_index_tuple_cost = 0; \
        SET LOCAL seq_page_cost = 0.001; SET LOCAL random_page_cost = 0.001; SET LOCAL enable_seqscan = off; \
        SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_incremental_sort = off; \
        SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on; \
        SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off",
    each: Duration::from_secs(2),
    all: Duration::from_secs(20),
};

#[derive(Debug, Deserialize)]
struct Tree {
    oid: u32,
    schema: String,
    name: String,
    table_schema: String,
    table: String,
    predicate: Option<String>,
    keys: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Available {
    schema: String,
}

#[derive(Debug, Deserialize)]
struct Inspected {
    oid: u32,
    height: i64,
}

/// Fills in the heights that can be found out.
pub(super) async fn fill(
    session: &Session,
    guard: Option<&Guard>,
    relations: &mut [RelationShape],
) -> Result<(), BlueprintError> {
    let trees: Vec<Tree> = read::all(session, &TREES).await?;
    let mut heights = inspected(session).await?;
    let open: Vec<&Tree> = trees
        .iter()
        .filter(|tree| tree.keys.is_some() && !heights.contains_key(&tree.oid))
        .collect();
    heights.extend(batch::ask(session, guard, PATIENCE, &open, explain, read_off).await?);
    let named = trees.iter().filter_map(|tree| {
        heights.get(&tree.oid).map(|height| ((tree.schema.as_str(), tree.name.as_str()), *height))
    });
    let named: BTreeMap<(&str, &str), u32> = named.collect();
    for relation in relations.iter_mut().filter(|relation| relation.kind == 'i') {
        relation.height = named.get(&(relation.schema.as_str(), relation.name.as_str())).copied();
    }
    Ok(())
}

async fn inspected(session: &Session) -> Result<BTreeMap<u32, u32>, BlueprintError> {
    let Some(available) = read::all::<Available>(session, &AVAILABLE).await?.pop() else {
        return Ok(BTreeMap::new());
    };
    let reader = Reader { session };
    let rows: Vec<Inspected> = reader.all_in(&available.schema, &INSPECT).await?;
    Ok(rows.into_iter().map(|row| (row.oid, row.height as u32)).collect())
}

/// One EXPLAIN of a scan of each table in the order of an index, each under an alias that is the index's number.
fn explain(trees: &[&Tree]) -> String {
    let scan = |tree: &&Tree| {
        let condition = tree.predicate.as_ref().map(|text| format!(" WHERE {text}"));
        format!(
            "(SELECT 1 FROM ONLY {} AS t{} {} ORDER BY {})",
            qualified(&tree.table_schema, &tree.table),
            tree.oid,
            condition.unwrap_or_default(),
            tree.keys.as_deref().unwrap_or("1"),
        )
    };
    let scans: Vec<String> = trees.iter().map(scan).collect();
    format!("EXPLAIN (FORMAT JSON) {}", scans.join("\nUNION ALL "))
}

/// The heights of those indexes that the plan uses.
fn read_off(trees: &[&Tree], rows: &[Row]) -> Vec<(u32, u32)> {
    let text = rows.first().and_then(|row| row.try_get::<_, RawJson>(0).ok());
    let plan = text.and_then(|text| serde_json::from_str::<Value>(&text.0).ok());
    let mut found = Vec::new();
    collect(&plan.unwrap_or_default(), trees, &mut found);
    found
}

fn collect(node: &Value, trees: &[&Tree], found: &mut Vec<(u32, u32)>) {
    match node {
        Value::Array(nodes) => nodes.iter().for_each(|node| collect(node, trees, found)),
        Value::Object(of) => {
            let text = |key: &str| of.get(key).and_then(Value::as_str);
            let scan = text("Alias")
                .zip(text("Index Name"))
                .zip(of.get("Startup Cost").and_then(Value::as_f64));
            if let Some(((alias, index), cost)) = scan {
                let wanted = trees
                    .iter()
                    .find(|tree| alias == format!("t{}", tree.oid) && tree.name == index);
                found.extend(wanted.zip(height(cost)).map(|(tree, height)| (tree.oid, height)));
            }
            of.get("Plan")
                .into_iter()
                .chain(of.get("Plans"))
                .for_each(|node| collect(node, trees, found));
        }
        _ => {}
    }
}

/// `OPERATOR_COST * (comparisons + LEVEL * (height + 1))`, where the comparisons are fewer than a level's.
fn height(startup: f64) -> Option<u32> {
    let levels = (startup / OPERATOR_COST / LEVEL).floor();
    (levels >= 1.0).then(|| levels as u32 - 1)
}

#[cfg(test)]
mod tests {
    use super::height;

    #[test]
    fn a_start_up_cost_tells_the_height() {
        // 20 000 000 rows: 25 comparisons.
        assert_eq!(height(25_000.0 + 50_000.0 * 4.0), Some(3));
        assert_eq!(height(50_000.0), Some(0));
        assert_eq!(height(32_000.0 + 50_000.0), Some(0));
        assert_eq!(height(0.0), None);
    }
}
