use super::condition::{self, Test};
use super::context::{FEW_ROWS, Text, percent, rows};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, discarding_scan, ordered_walk};
use crate::display::shown;
use crate::{Operator, OperatorId, OperatorKind};

/// Of five rows that the index found, at most one is kept. Each of the others cost a visit to the table, often a
/// random read, so that this hurts sooner than in a sequential scan.
const DISCARDED_SHARE: f64 = 0.8;

/// Rows that the index finds in one run. Fewer is a look-up, such as by a unique key in a nested loop: how often it runs is
/// what costs, not what the filter does.
const FOUND_PER_LOOP: f64 = 10.0;

declare_pattern! {
    /// An index scan of which a filter discards most rows after they were fetched from the table.
    ///
    /// # Why
    /// The index finds far more rows than are wanted, and the table is visited for each of them.
    ///
    /// # Fires when
    /// The filter, or the recheck of an index that answers only roughly, discards 80 % of the rows or more, and 1,000 or more
    /// over all loops. In a plan that was not run: when a bitmap index scan is expected to find five times what its
    /// bitmap heap scan keeps, or more.
    ///
    /// # Silent when
    /// Fewer rows are discarded; the index finds fewer than ten rows in each loop, as a look-up by a key does; the filter asks a SubPlan; the table is of the server's own catalog; the scan walks an index for the sake of its order, which is
    /// `ordered_walk`; the bitmap went lossy, which is `lossy_bitmap`; the plan was not run and it is no bitmap
    /// scan, since nothing then tells what the index finds.
    ///
    /// # What to do
    /// Add the column of the filter to the keys of the index.
    DiscardingIndexScan {
        id: "discarding_index_scan",
        summary: "index scan whose filter discards most of what the index found",
    }
}

impl Pattern for DiscardingIndexScan {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let walks = ordered_walk::scans(cx);
        let fired = |(id, operator, _): (OperatorId, &Operator, _)| {
            if walks.contains(&id) { None } else { of(self, cx, id, operator) }
        };
        cx.operators().filter_map(fired).collect()
    }
}

fn of(
    pattern: &DiscardingIndexScan,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let indexed = matches!(
        operator.kind,
        OperatorKind::IndexScan | OperatorKind::IndexOnlyScan | OperatorKind::BitmapHeapScan
    );
    let lossy = operator.lossy_heap_blocks.unwrap_or(0) > 0;
    let filter = operator.filter.as_deref();
    if !indexed || cx.reads_catalog(id) || filter.is_some_and(|filter| filter.contains("SubPlan "))
    {
        return None;
    }
    let recheck = operator.rows_removed_by_index_recheck.filter(|_| !lossy).unwrap_or(0.0);
    let filtered = operator.rows_removed_by_filter.filter(|_| filter.is_some()).unwrap_or(0.0);
    let (found, discarded) = if let Some(actual) = operator.actual {
        let discarded = (recheck + filtered) * actual.loops;
        let found = discarded + cx.metrics(id).rows?;
        if found < FOUND_PER_LOOP * actual.loops {
            return None;
        }
        (found, discarded)
    } else {
        filter?;
        let inputs = cx.inputs(id);
        let [index] = inputs[..] else { return None };
        let found = cx.operator(index).rows;
        (found, found - operator.rows)
    };
    if discarded < FEW_ROWS || discarded < DISCARDED_SHARE * found {
        return None;
    }
    let by = if recheck > filtered {
        "by the recheck of what the index answers only roughly".to_owned()
    } else {
        format!("by {}", filter.map(shown).unwrap_or_default())
    };
    let what = format!(
        "{} fetches {} and discards {} of them {by}.",
        cx.name(id),
        rows(found),
        percent(discarded / found)
    );
    let why = "The table is visited for each row that the index finds.".to_owned();
    let advice = if recheck > filtered {
        "Use an operator class or index that answers exactly, or a narrower search, such as a longer pattern.".to_owned()
    } else if filter.is_some_and(|filter| filter.contains("~~")) {
        let (alias, table) = (operator.alias.as_deref(), operator.relation.as_deref());
        discarding_scan::advice(filter.unwrap_or_default(), alias, table)
    } else {
        with_the_filter(operator, index_cond(cx, id))
    };
    let at_stake = cx.own(id) + bitmaps(cx, id);
    cx.finding(pattern.meta(), Some(id), at_stake, Text { what, why, advice })
}

/// The condition that the index served; of a bitmap, the recheck repeats it.
fn index_cond<'a>(cx: &Context<'a>, id: OperatorId) -> &'a str {
    let operator = cx.operator(id);
    operator.index_cond.as_deref().or(operator.recheck_cond.as_deref()).unwrap_or_default()
}

/// An index that knows the filter too.
fn with_the_filter(operator: &Operator, index_cond: &str) -> String {
    let alias = operator.alias.as_deref();
    let mut compared = condition::comparisons(index_cond, alias);
    let served = condition::index_keys(&compared);
    compared.extend(
        condition::comparisons(operator.filter.as_deref().unwrap_or_default(), alias)
            .into_iter()
            .filter(|it| matches!(it.test, Test::Equal | Test::Range)),
    );
    let table = operator.relation.as_deref().map(shown);
    match (table, condition::index_keys(&compared)) {
        (Some(table), Some(keys)) if served.as_ref() != Some(&keys) => {
            format!("Create an index on {table} ({keys}), which knows what the filter compares too.")
        }
        _ => "Make the filter part of the index: as keys the columns that it compares for equality, or as the `WHERE` of a partial index."
            .to_owned(),
    }
}

/// What the bitmaps of a bitmap heap scan took.
fn bitmaps(cx: &Context<'_>, id: OperatorId) -> f64 {
    cx.inputs(id).into_iter().map(|input| cx.below(input)).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "discarding_index_scan";

    #[test]
    fn fires_on_a_filter_that_keeps_little() {
        let keys = json!({"Relation Name": "orders", "Index Name": "orders_day", "Index Cond": "(day = 1)",
            "Filter": "(customer = 7)", "Rows Removed by Filter": 4990});
        let scan = node("Index Scan", "Outer", exact(40.0, 10.0, 1.0, keys), &[]);
        let finding = fires(ID, &scan);
        assert_eq!(
            finding.what,
            "Index Scan using orders_day on orders fetches 5,000 rows and discards 99.8 % of them by (customer = 7)."
        );
        assert!(finding.advice.contains("on orders (day, customer)"), "{}", finding.advice);
        silent(ID, &but(&scan, "Rows Removed by Filter", json!(35)));
        silent(ID, &but(&scan, "Actual Rows", json!(4000)));
        silent(ID, &but(&scan, "Filter", json!("(hashed SubPlan 1)")));
        silent(ID, &but(&scan, "Node Type", json!("Tid Scan")));
        let look_up = but(&but(&scan, "Actual Loops", json!(40_000)), "Actual Rows", json!(0));
        silent(
            ID,
            &but(
                &but(&look_up, "Rows Removed by Filter", json!(1)),
                "Actual Total Time",
                json!(0.002),
            ),
        );
    }

    #[test]
    fn a_rough_index_is_told_apart_from_a_lossy_bitmap() {
        let index = node(
            "Bitmap Index Scan",
            "Outer",
            exact(10.0, 5000.0, 1.0, json!({"Index Name": "docs_trgm"})),
            &[],
        );
        let keys = json!({"Recheck Cond": "(body ~~ '%ab%'::text)", "Rows Removed by Index Recheck": 4990});
        let scan = node("Bitmap Heap Scan", "Outer", exact(40.0, 10.0, 1.0, keys), &[index]);
        let finding = fires(ID, &scan);
        assert!(finding.what.contains("by the recheck"), "{}", finding.what);
        assert_eq!(finding.stake.ms, Some(40.0));
        silent(ID, &but(&scan, "Lossy Heap Blocks", json!(90)));
    }

    #[test]
    fn a_bitmap_tells_before_it_is_run() {
        let index = node(
            "Bitmap Index Scan",
            "Outer",
            json!({"Total Cost": 100.0, "Plan Rows": 50_000}),
            &[],
        );
        let keys = json!({"Filter": "(b = 2)", "Total Cost": 9000.0, "Plan Rows": 100});
        let scan = node("Bitmap Heap Scan", "Outer", keys, &[index]);
        assert_eq!(fires(ID, &scan).stake.cost, Some(9000.0));
        silent(ID, &but(&scan, "Plan Rows", json!(40_000)));
        let index = json!({"Filter": "(b = 2)", "Index Cond": "(a = 1)", "Total Cost": 9000.0, "Plan Rows": 1});
        silent(ID, &node("Index Scan", "Outer", index, &[]));
    }
}
