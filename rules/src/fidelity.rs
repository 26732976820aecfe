//! Whether the planner twin plans as its source does.
//!
//! Two plans of one statement with the same values are held against each other: what is done in which order, and what
//! it costs. Where they differ, what is said first is what lies deepest, for above it everything follows from it.

use std::collections::BTreeSet;

use planparse::{Change, Diff, Figures, OperatorChange, OperatorId, Plan};
use serde::Serialize;

/// How far the twin's cost of a whole statement may be from the source's, as a share of the source's.
pub const COST_TOLERANCE: f64 = 0.01;

/// Differences that are told of one statement; the rest follows from them, mostly.
const TOLD_MAX: usize = 4;

/// EXPLAIN prints costs to a hundredth; sums of such figures are off by more.
const ROUNDING: f64 = 0.05;

/// One plan on the source held against one on the twin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether both do the same work in the same order: node types, relations, indexes, join order.
    pub same_plan: bool,
    /// Total cost on the source, in the planner's unit.
    pub source_cost: f64,
    /// Total cost on the twin.
    pub twin_cost: f64,
    /// What differs, a sentence each, what the rest may follow from first.
    pub differences: Vec<String>,
}

impl Comparison {
    /// The twin's cost in terms of the source's; 1 is the same.
    pub fn ratio(&self) -> f64 {
        if (self.source_cost - self.twin_cost).abs() <= ROUNDING {
            return 1.0;
        }
        self.twin_cost / self.source_cost
    }

    /// Whether the costs are as near to each other as [`COST_TOLERANCE`] wants it.
    pub fn same_cost(&self) -> bool {
        (self.ratio() - 1.0).abs() <= COST_TOLERANCE
    }
}

/// Holds the twin's plan against the source's. Indexes must have the same names in both
/// ([`Plan::rename_indexes`]).
pub fn compare(source: &Plan, twin: &Plan) -> Comparison {
    let diff = planparse::diff(source, twin);
    let mut differences = Vec::new();
    if !diff.same_shape {
        differences.extend(structure(&diff));
    }
    differences.extend(estimates(source, &diff));
    differences.truncate(TOLD_MAX);
    Comparison {
        same_plan: diff.same_shape,
        source_cost: source.total_cost(),
        twin_cost: twin.total_cost(),
        differences,
    }
}

/// What is read, joined or ordered in another way.
fn structure(diff: &Diff) -> Vec<String> {
    let otherwise = |what: &str, change: &Change<String>| {
        format!("{what}: {}; on the twin {}", change.old, change.new)
    };
    let mut told: Vec<String> =
        diff.scans.iter().map(|scan| otherwise(&scan.alias, &scan.scan)).collect();
    for join in &diff.joins {
        let aliases: Vec<&str> = join.aliases.iter().map(String::as_str).collect();
        told.push(otherwise(&aliases.join(", "), &join.join));
    }
    if let Some(order) = &diff.join_order {
        let (old, new) = (order.old.join(", "), order.new.join(", "));
        told.push(format!("tables in the order {old}; on the twin {new}"));
    }
    if told.is_empty() {
        let only = |change: &OperatorChange| match (change.operator.old, change.operator.new) {
            (Some(_), None) => Some(format!("{}: not on the twin", change.name)),
            (None, Some(_)) => Some(format!("{}: on the twin only", change.name)),
            _ => None,
        };
        told.extend(diff.operators.iter().filter_map(only));
    }
    told
}

/// Operators that are in both plans with other rows or another cost of their own, and have none such below them.
fn estimates(source: &Plan, diff: &Diff) -> Vec<String> {
    let moved = |change: &OperatorChange| -> Option<(OperatorId, String)> {
        let figures = Change { old: change.figures.old?, new: change.figures.new? };
        let what = moved(figures)?;
        Some((change.operator.old?, format!("{}: {what}", change.name)))
    };
    let told: Vec<_> = diff.operators.iter().filter_map(moved).collect();
    let places: BTreeSet<OperatorId> = told.iter().map(|(id, _)| *id).collect();
    let deepest = |id: OperatorId| !source.descendants(id).any(|below| places.contains(&below));
    told.into_iter().filter(|(id, _)| deepest(*id)).map(|(_, what)| what).collect()
}

fn moved(figures: Change<Figures>) -> Option<String> {
    let Change { old, new } = figures;
    let mut told = Vec::new();
    if let (Some(old), Some(new)) = (old.estimated_rows, new.estimated_rows)
        && (old - new).abs() > ROUNDING
    {
        told.push(format!("{old} rows, on the twin {new}"));
    }
    if let (Some(old), Some(new)) = (old.cost, new.cost)
        && (old - new).abs() > ROUNDING
    {
        told.push(format!("cost {old:.2} of its own, on the twin {new:.2}"));
    }
    (!told.is_empty()).then(|| told.join("; "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use planparse::Plan;
    use serde_json::{Value, json};

    use super::compare;
    use crate::testing::plan_of;

    fn scan(kind: &str, alias: &str, rows: u64, cost: f64) -> Value {
        json!({"Node Type": kind, "Relation Name": alias, "Alias": alias, "Parent Relationship": "Outer",
            "Plan Rows": rows, "Total Cost": cost})
    }

    fn indexed(index: &str, rows: u64, cost: f64) -> Value {
        let mut scan = scan("Index Scan", "a", rows, cost);
        scan["Index Name"] = index.into();
        scan
    }

    fn top(below: &Value, cost: f64) -> Plan {
        plan_of(&json!({"Node Type": "Sort", "Plan Rows": 1, "Total Cost": cost, "Plans": [below]}))
    }

    #[test]
    fn equal_plans_differ_in_nothing() {
        let plan = top(&scan("Seq Scan", "a", 10, 20.0), 21.0);
        let same = compare(&plan, &plan);
        assert!(same.same_plan && same.same_cost() && same.differences.is_empty());
        assert!((same.ratio() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_lies_deepest_is_told() {
        let source = top(&scan("Seq Scan", "a", 10, 20.0), 21.0);
        let twin = top(&scan("Seq Scan", "a", 12, 25.0), 27.0);
        let other = compare(&source, &twin);
        assert!(other.same_plan && !other.same_cost());
        assert_eq!(
            other.differences,
            ["Seq Scan on a: 10 rows, on the twin 12; cost 20.00 of its own, on the twin 25.00"]
        );
    }

    #[test]
    fn another_scan_is_told_before_figures() {
        let source = top(&scan("Seq Scan", "a", 10, 20.0), 21.0);
        let twin = top(&indexed("a_idx", 10, 2.0), 3.0);
        let other = compare(&source, &twin);
        assert!(!other.same_plan);
        assert_eq!(
            other.differences[0],
            "a: Seq Scan on a; on the twin Index Scan using a_idx on a"
        );
    }

    #[test]
    fn an_index_of_another_name_is_the_same_once_renamed() {
        let source = top(&indexed("a_idx", 10, 2.0), 3.0);
        let mut twin = top(&indexed("what_if_1", 10, 2.0), 3.0);
        assert!(!compare(&source, &twin).same_plan);
        twin.rename_indexes(&BTreeMap::from([("what_if_1".to_owned(), "a_idx".to_owned())]));
        assert!(compare(&source, &twin).same_plan);
    }
}
