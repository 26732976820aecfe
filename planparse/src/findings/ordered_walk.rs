use std::collections::BTreeSet;

use super::condition::{self, Test};
use super::context::{FEW_ROWS, Text, percent, rows};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::shown;
use crate::{Operator, OperatorId, OperatorKind};

/// Of ten rows that were walked past, at most one was wanted.
const DISCARDED_SHARE: f64 = 0.9;

declare_pattern! {
    /// `ORDER BY … LIMIT` that walks an index in order and discards rows until enough have passed a filter.
    ///
    /// # Why
    /// The planner expects the wanted rows to lie evenly along the index, and so to meet enough of them soon. Where they lie
    /// together at the far end, or there are fewer than the LIMIT, it walks past most of the table.
    ///
    /// # Fires when
    /// Below a Limit, an index is read in its order and 90 % of the rows or more, and 1,000 or more, are discarded by a
    /// filter.
    ///
    /// # Silent when
    /// A Sort, Hash or hashed Aggregate stands between, which needs no order; the walk met enough rows soon; the
    /// statement was not run.
    ///
    /// # What to do
    /// Create an index whose first keys are the columns of the filter and whose next are those of the ORDER BY.
    OrderedWalk {
        id: "ordered_walk",
        summary: "ORDER BY … LIMIT that walks an index past a filter",
    }
}

impl Pattern for OrderedWalk {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let fired = |id: OperatorId| {
            let operator = cx.operator(id);
            let discarded = discarded(operator)?;
            let read = discarded + cx.metrics(id).rows?;
            let filter = operator.filter.as_deref().map(shown).unwrap_or_default();
            let what = format!(
                "{} walks past {} in the order of the index for the LIMIT above, and {filter} discards {} of them.",
                cx.name(id),
                rows(read),
                percent(discarded / read)
            );
            let why = "The planner hoped to meet enough matching rows early; the index knows nothing of the filter.";
            let text = Text { what, why: why.to_owned(), advice: advice(operator) };
            cx.finding(self.meta(), Some(id), cx.own(id), text)
        };
        scans(cx).into_iter().filter_map(fired).collect()
    }
}

fn advice(operator: &Operator) -> String {
    let compared = condition::comparisons(
        operator.filter.as_deref().unwrap_or_default(),
        operator.alias.as_deref(),
    );
    let equal: Vec<_> = compared.into_iter().filter(|it| it.test == Test::Equal).collect();
    let table = operator.relation.as_deref().map(shown);
    let index = match (table, condition::index_keys(&equal)) {
        (Some(table), Some(keys)) => {
            format!("Create an index on {table} that begins with {keys} and goes on with the columns of the ORDER BY")
        }
        _ => "Create an index that begins with what the filter compares for equality and goes on with the columns of the ORDER BY"
            .to_owned(),
    };
    format!(
        "{index}; or hide the order from the planner (`ORDER BY column + 0`) where few rows match."
    )
}

/// The index scans that walk for the sake of order and discard most of what they meet.
pub(super) fn scans(cx: &Context<'_>) -> BTreeSet<OperatorId> {
    // Whether a LIMIT above each operator takes its rows in the order in which they come.
    let mut wanted: Vec<bool> = Vec::new();
    let mut scans = BTreeSet::new();
    for (id, operator, metrics) in cx.operators() {
        let above = cx.plan.parent(id).filter(|_| cx.is_input(id));
        let here = above.is_some_and(|parent| {
            let kind = cx.operator(parent).kind;
            kind == OperatorKind::Limit || (wanted[parent.index()] && keeps_order(cx, parent, id))
        });
        wanted.push(here);
        let indexed =
            matches!(operator.kind, OperatorKind::IndexScan | OperatorKind::IndexOnlyScan);
        let most = |discarded: f64| {
            discarded >= FEW_ROWS
                && discarded >= DISCARDED_SHARE * (discarded + metrics.rows.unwrap_or(0.0))
        };
        // An index on distance (`Order By`) is walked in order too, but its filter cannot be part of a B-tree.
        if here && indexed && operator.order_by.is_none() && discarded(operator).is_some_and(most) {
            scans.insert(id);
        }
    }
    scans
}

/// Whether an operator gives the rows of one of its inputs in their order, and one by one.
fn keeps_order(cx: &Context<'_>, id: OperatorId, input: OperatorId) -> bool {
    let operator = cx.operator(id);
    match operator.kind {
        OperatorKind::NestedLoop => cx.plan.outer(id) == Some(input),
        OperatorKind::Aggregate => operator.strategy.as_deref() == Some("Sorted"),
        OperatorKind::SubqueryScan
        | OperatorKind::LockRows
        | OperatorKind::Result
        | OperatorKind::ProjectSet
        | OperatorKind::Unique
        | OperatorKind::Group
        | OperatorKind::IncrementalSort
        | OperatorKind::MergeAppend
        | OperatorKind::GatherMerge => true,
        _ => false,
    }
}

/// Rows that the filter discarded in all loops. What a SubPlan in it decides, no index serves.
fn discarded(operator: &Operator) -> Option<f64> {
    operator.filter.as_deref().filter(|filter| !filter.contains("SubPlan "))?;
    Some(operator.rows_removed_by_filter? * operator.actual?.loops)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    fn limited(below: Value) -> Value {
        node("Limit", "Outer", exact(50.0, 10.0, 1.0, json!({})), &[below])
    }

    #[test]
    fn fires_on_a_walk_and_the_filter_is_told_once() {
        let keys = json!({"Relation Name": "orders", "Index Name": "orders_day", "Filter": "(customer = 7)",
            "Rows Removed by Filter": 90_000});
        let walk = node("Index Scan", "Outer", exact(49.0, 10.0, 1.0, keys), &[]);
        let finding = fires("ordered_walk", &limited(walk.clone()));
        assert!(
            finding
                .what
                .starts_with("Index Scan using orders_day on orders walks past 90,010 rows"),
            "{}",
            finding.what
        );
        assert!(
            finding.advice.contains("on orders that begins with customer"),
            "{}",
            finding.advice
        );
        silent("discarding_index_scan", &limited(walk.clone()));
        silent("ordered_walk", &walk);
        silent("ordered_walk", &limited(but(&walk, "Rows Removed by Filter", json!(60))));
        let sort =
            node("Sort", "Outer", exact(49.5, 10.0, 1.0, json!({})), std::slice::from_ref(&walk));
        silent("ordered_walk", &limited(sort.clone()));
        fires("discarding_index_scan", &limited(sort));
        let merge = node(
            "Merge Append",
            "Outer",
            exact(49.5, 10.0, 1.0, json!({})),
            &[but(&walk, "Parent Relationship", json!("Member"))],
        );
        fires("ordered_walk", &limited(merge));
    }
}
