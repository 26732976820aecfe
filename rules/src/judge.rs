//! Facts about a chosen index, read from the plans before and after.

use planparse::{Link, OperatorId, OperatorKind, Plan};

use crate::evidence::Fact;

/// Facts of the plan pair of one binding: the two shapes in which the planner's promises break. An index that
/// the plan before did not use is a new one.
pub fn plan_facts(before: &Plan, after: &Plan) -> Vec<Fact> {
    let mut facts = Vec::new();
    let known = before.indexes_used();
    if ordered_limit_beside_filter(after, &|name| !known.contains(name)) {
        facts.push(Fact::OrderedLimitBesideFilter);
    }
    if loops_over_joins(after) > loops_over_joins(before) {
        facts.push(Fact::NestedLoopOverJoin);
    }
    facts
}

/// Whether a LIMIT takes its rows from an index scan in order, past rows that a filter on the scan, or a join
/// above it, discards.
fn ordered_limit_beside_filter(plan: &Plan, index: &dyn Fn(&str) -> bool) -> bool {
    plan.operators().any(|(id, operator)| {
        let scan = matches!(operator.kind, OperatorKind::IndexScan | OperatorKind::IndexOnlyScan);
        scan && operator.index_name.as_deref().is_some_and(index) && {
            let (limited, joined) = streams_into_limit(plan, id);
            limited && (operator.filter.is_some() || joined)
        }
    })
}

/// Share of its outer rows that a join must be expected to keep not to count as a filter.
const JOIN_KEEPS: f64 = 0.9;

/// Whether rows of an operator flow into a LIMIT without being collected first, and whether a join thins them
/// out on the way. An incremental sort and a sorted aggregate hand rows on group by group.
pub(crate) fn streams_into_limit(plan: &Plan, from: OperatorId) -> (bool, bool) {
    let mut joined = false;
    let mut id = from;
    while let Some(parent) = plan.parent(id) {
        // The rows of a sub-plan answer an expression; they do not flow on.
        if matches!(plan.link(id), Some(Link::InitPlan | Link::SubPlan)) {
            return (false, joined);
        }
        let operator = plan.operator(parent);
        match operator.kind {
            OperatorKind::Limit => return (true, joined),
            OperatorKind::Aggregate if operator.strategy.as_deref() == Some("Sorted") => {}
            OperatorKind::Sort
            | OperatorKind::Hash
            | OperatorKind::BitmapHeapScan
            | OperatorKind::Aggregate => return (false, joined),
            OperatorKind::MergeJoin => joined = true,
            OperatorKind::NestedLoop | OperatorKind::HashJoin => {
                if plan.outer(parent) != Some(id) {
                    return (false, joined);
                }
                // A join that finds a match for every row (a foreign key, say) thins nothing out.
                joined |= operator.rows < plan.operator(id).rows * JOIN_KEEPS;
            }
            _ => {}
        }
        id = parent;
    }
    (false, joined)
}

/// Share of a table's rows from which reading them through an index is doubtful, whatever the planner says.
const MOST_ROWS: f64 = 0.3;

/// Whether a plan reads most of a table's rows through an index that was not used before, with no LIMIT to
/// stop it. Such an index is a narrower copy of the table more than a way to find rows.
pub fn reads_most(before: &Plan, after: &Plan, rows: &dyn Fn(&str) -> Option<f64>) -> bool {
    let known = before.indexes_used();
    after.operators().any(|(id, operator)| {
        let new = operator.index_name.as_deref().is_some_and(|name| !known.contains(name));
        // A bitmap's index scan does not name the relation; the heap scan above it does.
        let relation = operator.relation.as_deref().or_else(|| {
            let heap = std::iter::successors(after.parent(id), |&up| after.parent(up));
            heap.into_iter().find_map(|up| after.operator(up).relation.as_deref())
        });
        new && relation.and_then(rows).is_some_and(|rows| operator.rows > rows * MOST_ROWS)
            && !streams_into_limit(after, id).0
    })
}

/// Number of nested loops with a join below their outer side.
fn loops_over_joins(plan: &Plan) -> usize {
    let join = |id| {
        matches!(
            plan.operator(id).kind,
            OperatorKind::NestedLoop | OperatorKind::HashJoin | OperatorKind::MergeJoin
        )
    };
    plan.operators()
        .filter(|(id, operator)| {
            operator.kind == OperatorKind::NestedLoop
                && plan
                    .outer(*id)
                    .is_some_and(|outer| join(outer) || plan.descendants(outer).any(join))
        })
        .count()
}

/// One line that names the operators of a plan, dearest branch first, e.g. `Limit > Sort > Seq Scan on User`.
pub fn one_line(plan: &Plan) -> String {
    const OPERATORS_MAX: usize = 8;
    let mut words = Vec::new();
    for (_, operator) in plan.operators().take(OPERATORS_MAX) {
        let mut word = operator.node_type.clone();
        if let Some(index) = &operator.index_name {
            word.push_str(&format!(" using {index}"));
        }
        if let Some(relation) = &operator.relation {
            word.push_str(&format!(" on {relation}"));
        }
        words.push(word);
    }
    if plan.operators().count() > OPERATORS_MAX {
        words.push("…".to_owned());
    }
    words.join(" > ")
}

/// Share of a plan's cost that sequential scans of one table make up, and the share of its rows that they
/// keep; `None` when no sequential scan reads it.
pub fn sequential_share(plan: &Plan, schema_table: (&str, &str), rows: f64) -> Option<(f64, f64)> {
    let total = plan.total_cost().max(f64::MIN_POSITIVE);
    plan.operators()
        .filter(|(_, operator)| {
            operator.kind == OperatorKind::SeqScan
                && operator.relation.as_deref() == Some(schema_table.1)
                && operator.schema.as_deref().is_none_or(|schema| schema == schema_table.0)
        })
        .map(|(_, operator)| {
            ((operator.total_cost / total).min(1.0), (operator.rows / rows.max(1.0)).min(1.0))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
}
