//! What each operator contributes by itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attribution::{Entry, Share, distribute};
use crate::{Buffers, Link, Operator, OperatorId, OperatorKind, Plan};

/// The planner's default `cpu_operator_cost`; a Materialize charges it for each row that it returns again
/// (`cost_rescan()` in `costsize.c`).
const CPU_OPERATOR_COST: f64 = 0.0025;

/// The runs of the recursive term that the planner assumes (`cost_recursive_union()` in `costsize.c`).
const RECURSIVE_RUNS: f64 = 10.0;

/// What one operator contributes by itself. The exclusive figures of all operators add up to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Planner's cost without what is below, all runs of it together.
    pub exclusive_cost: f64,
    /// Milliseconds on the clock with everything below; none where no times were printed.
    /// Below a Gather the time of all processes is divided by their number. An `InitPlan` counts as below
    /// the operator that waited for it.
    pub inclusive_ms: Option<f64>,
    /// Milliseconds on the clock without what is below.
    pub exclusive_ms: Option<f64>,
    /// Blocks touched without what is below.
    pub exclusive_buffers: Option<Buffers>,
    /// How far the estimated rows are off: the larger of estimated and actual rows per loop over the smaller
    /// (the q-error), each taken for 1 at least. None where not executed or not comparable.
    pub estimate_error: Option<f64>,
    /// Whether the statement ran, but never came here.
    pub never_executed: bool,
}

impl Plan {
    /// Returns the milliseconds in which the operators ran, as the sum of all [`Metrics::exclusive_ms`].
    ///
    /// That is the root's time, and that of data-modifying CTEs which nobody reads: they run after the root has finished.
    pub fn operators_ms(&self) -> Option<f64> {
        self.operator(self.root()).actual?.total_ms?;
        Some(self.metrics().values().filter_map(|metrics| metrics.exclusive_ms).sum())
    }
}

pub(crate) fn metrics(plan: &Plan) -> BTreeMap<OperatorId, Metrics> {
    let costs = distribute(&cost_entries(plan));
    let entries = time_entries(plan);
    let time_shares = distribute(&entries);
    let buffers = exclusive_buffers(plan, &entries);
    let figures = costs.iter().zip(&time_shares).zip(buffers);
    let metric = |((id, operator), ((cost, time), exclusive_buffers)): (
        (_, &Operator),
        ((&Share, &Share), _),
    )| {
        let timed =
            operator.actual.is_some_and(|actual| actual.total_ms.is_some() || actual.loops <= 0.0);
        let metrics = Metrics {
            exclusive_cost: cost.exclusive,
            inclusive_ms: timed.then_some(time.inclusive),
            exclusive_ms: timed.then_some(time.exclusive),
            exclusive_buffers,
            estimate_error: estimate_error(operator),
            never_executed: operator.never_executed(),
        };
        (id, metrics)
    };
    plan.operators().zip(figures).map(metric).collect()
}

/// The q-error of an operator's row estimate.
fn estimate_error(operator: &Operator) -> Option<f64> {
    let actual = operator.actual.filter(|actual| actual.loops > 0.0)?;
    // These return no rows, or are not counted (`BitmapAnd` and `BitmapOr` always print 0).
    let uncounted = matches!(
        operator.kind,
        OperatorKind::ModifyTable | OperatorKind::BitmapAnd | OperatorKind::BitmapOr
    );
    if uncounted || operator.rows <= 0.0 {
        return None;
    }
    let (estimated, actual) = (operator.rows.max(1.0), actual.rows.max(1.0));
    Some(estimated.max(actual) / estimated.min(actual))
}

/// Costs are printed per run; what is contained in the parent's figure is all runs together.
fn cost_entries(plan: &Plan) -> Vec<Entry> {
    let mut runs: Vec<f64> = Vec::new();
    let mut entries = Vec::new();
    for (id, operator) in plan.operators() {
        let above = plan.parent(id).zip(plan.link(id));
        let per_run =
            above.map_or(1.0, |(parent, link)| runs_per_parent(plan, parent, link, operator));
        let below_store = above
            .is_some_and(|(parent, _)| plan.operator(parent).kind == OperatorKind::Materialize);
        let parent_runs = above.map_or(1.0, |(parent, _)| runs[parent.index()]);
        let all = if below_store { 1.0 } else { (parent_runs * per_run).min(1e30) };
        let inclusive = if operator.kind == OperatorKind::Materialize {
            operator.total_cost + (all - 1.0) * CPU_OPERATOR_COST * operator.rows
        } else {
            operator.total_cost * all
        };
        runs.push(all);
        entries.push(Entry {
            inclusive,
            up: above.map(|(parent, _)| parent.index()),
            repeated: per_run > 1.0,
        });
    }
    entries
}

/// How often the planner expects an operator to run for one run of the operator above.
fn runs_per_parent(plan: &Plan, parent: OperatorId, link: Link, operator: &Operator) -> f64 {
    let above = plan.operator(parent);
    match (above.kind, link) {
        (OperatorKind::NestedLoop, Link::Inner) => {
            plan.outer(parent).map_or(1.0, |outer| plan.operator(outer).rows.max(1.0))
        }
        (OperatorKind::RecursiveUnion, Link::Inner) => RECURSIVE_RUNS,
        (_, Link::SubPlan) => {
            let name = format!("hashed {}", operator.subplan_name.as_deref().unwrap_or_default());
            // `hashed SubPlan 1`, but not `hashed SubPlan 10`.
            let named = |text: &str| {
                text.split(&name)
                    .skip(1)
                    .any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            if above.expressions().any(named) { 1.0 } else { above.rows.max(1.0) }
        }
        _ => 1.0,
    }
}

/// Times are printed as a mean per loop, in whichever process; what counts is the time on the clock.
fn time_entries(plan: &Plan) -> Vec<Entry> {
    let loops = |id: OperatorId| plan.operator(id).actual.map_or(0.0, |actual| actual.loops);
    let mut processes: Vec<f64> = Vec::new();
    let mut entries = Vec::new();
    for (id, operator) in plan.operators() {
        let above = plan.parent(id).zip(plan.link(id));
        let here = above.map_or(1.0, |(parent, link)| {
            let inherited = processes[parent.index()];
            let gathered = plan.operator(parent).kind.is_gather() && link == Link::Outer;
            // Leader and workers each count one loop for a run of the Gather.
            if gathered && loops(parent) > 0.0 {
                inherited * (loops(id) / loops(parent)).max(1.0)
            } else {
                inherited
            }
        });
        processes.push(here);
        let total_ms = operator.actual.and_then(|actual| actual.total_ms).unwrap_or(0.0);
        entries.push(Entry {
            inclusive: total_ms * loops(id) / here,
            up: above.map(|(parent, _)| parent.index()),
            repeated: above.is_some_and(|(parent, _)| loops(id) > loops(parent)),
        });
    }
    rehang_init_plans(plan, &mut entries);
    entries
}

/// Hangs each `InitPlan` below the operator that waited for it.
///
/// EXPLAIN prints an `InitPlan` at the top of its query level, but it runs inside whichever operator first asks for
/// its result, and that operator's time holds it. A CTE likewise runs inside the scans that read it; all of it counts
/// below the one that waited longest.
fn rehang_init_plans(plan: &Plan, entries: &mut [Entry]) {
    let ends = plan.tree.ends();
    let mut spare: Vec<f64> = entries.iter().map(|entry| entry.inclusive).collect();
    for id in plan.tree.ids().filter(|id| plan.link(*id) != Some(Link::InitPlan)) {
        if let Some(up) = entries[id.index()].up {
            spare[up] -= entries[id.index()].inclusive;
        }
    }
    let mentions = mentions(plan);
    for id in plan.tree.ids().filter(|id| plan.link(*id) == Some(Link::InitPlan)) {
        let Some(attached) = plan.parent(id) else { continue };
        let (operator, last) = (plan.operator(id), ends[attached.index()]);
        let within = |user: &OperatorId| {
            (attached <= *user && *user < id) || (ends[id.index()] < *user && *user <= last)
        };
        let ran = |user: &OperatorId| !plan.operator(*user).never_executed();
        let readers = plan.readers(id);
        if operator.kind == OperatorKind::ModifyTable && !readers.iter().any(ran) {
            entries[id.index()].up = None;
            continue;
        }
        let names = operator.subplan_name.as_deref().map(result_names).unwrap_or_default();
        let mentioned = names.iter().filter_map(|name| mentions.get(name)).flatten().copied();
        let users: Vec<OperatorId> =
            readers.into_iter().chain(mentioned).filter(within).filter(ran).collect();
        let waited = match users.iter().find(|user| plan.operator(**user).kind.is_gather()) {
            // A Gather runs the InitPlans that its workers need before it starts them.
            Some(gather) => Some(*gather),
            None if !users.is_empty() => longest(&spare, users.into_iter()),
            // In an output list, which is not printed without VERBOSE.
            None if spare[attached.index()] >= entries[id.index()].inclusive => Some(attached),
            None => {
                let level = (attached.index()..=last.index()).map(OperatorId::from);
                longest(&spare, level.filter(within))
            }
        };
        let waited = waited.unwrap_or(attached);
        if is_above(entries, id.index(), waited.index()) {
            continue;
        }
        entries[id.index()].up = Some(waited.index());
        entries[id.index()].repeated = false;
        spare[waited.index()] -= entries[id.index()].inclusive;
    }
}

/// The operator with most time to spare; of equals, the first.
fn longest(spare: &[f64], users: impl Iterator<Item = OperatorId>) -> Option<OperatorId> {
    users.fold(None, |best: Option<OperatorId>, user| match best {
        Some(best) if spare[best.index()] >= spare[user.index()] => Some(best),
        _ => Some(user),
    })
}

/// Tells whether `top` is `below` or above it, in the tree as it hangs now.
fn is_above(entries: &[Entry], top: usize, below: usize) -> bool {
    std::iter::successors(Some(below), |index| entries[*index].up).any(|index| index == top)
}

/// The names by which expressions call the results of an `InitPlan`: `$0` of `InitPlan 1 (returns $0)` up to version
/// 16, `InitPlan 1` from 17 on.
fn result_names(subplan_name: &str) -> Vec<String> {
    match subplan_name.split_once(" (returns ") {
        Some((_, results)) => results.trim_end_matches(')').split(',').map(str::to_owned).collect(),
        None => vec![subplan_name.to_owned()],
    }
}

/// For each `$0` and `InitPlan 1` in the expressions of a plan, the operators that mention it.
fn mentions(plan: &Plan) -> BTreeMap<String, Vec<OperatorId>> {
    let mut mentions: BTreeMap<String, Vec<OperatorId>> = BTreeMap::new();
    for (id, operator) in plan.operators() {
        let evaluated = operator.other.get("Params Evaluated").and_then(|list| list.as_array());
        let evaluated = evaluated.into_iter().flatten().filter_map(|name| name.as_str());
        for text in operator.expressions().chain(evaluated) {
            for mark in ["$", "InitPlan "] {
                for (at, _) in text.match_indices(mark) {
                    let digits =
                        text[at + mark.len()..].bytes().take_while(u8::is_ascii_digit).count();
                    let users =
                        mentions.entry(text[at..at + mark.len() + digits].to_owned()).or_default();
                    if users.last() != Some(&id) {
                        users.push(id);
                    }
                }
            }
        }
    }
    mentions
}

/// Counters are sums over all loops and processes, so that the children's can be taken off as they are.
fn exclusive_buffers(plan: &Plan, times: &[Entry]) -> Vec<Option<Buffers>> {
    let mut exclusive: Vec<_> = plan.operators().map(|(_, operator)| operator.buffers).collect();
    for ((_, operator), entry) in plan.operators().zip(times) {
        if let (Some(part), Some(up)) = (&operator.buffers, entry.up) {
            exclusive[up] = exclusive[up].map(|whole| whole.without(part));
        }
    }
    exclusive
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{figures, id, node, plan, ran, with};

    fn exclusive_ms(plan: &Plan) -> Vec<f64> {
        figures(plan, |metrics| metrics.exclusive_ms.unwrap())
    }

    #[test]
    fn loops_count() {
        let outer = node("Seq Scan", "Outer", ran(2.0, 100.0, 1.0), &[]);
        let inner = node("Index Scan", "Inner", ran(0.05, 1.0, 100.0), &[]);
        let plan = plan(&node("Nested Loop", "Outer", ran(8.0, 100.0, 1.0), &[outer, inner]));
        assert_eq!(exclusive_ms(&plan), [1.0, 2.0, 5.0]);
        assert_eq!(figures(&plan, |metrics| metrics.inclusive_ms.unwrap()), [8.0, 2.0, 5.0]);
        assert_eq!(plan.operators_ms(), Some(8.0));
    }

    #[test]
    fn a_rounded_mean_gives_way_to_what_the_loop_really_took() {
        let outer = node("Seq Scan", "Outer", ran(100.0, 1e5, 1.0), &[]);
        let inner = node("Index Scan", "Inner", ran(0.002, 1.0, 1e5), &[]);
        let plan = plan(&node("Nested Loop", "Outer", ran(280.0, 1e5, 1.0), &[outer, inner]));
        assert_eq!(exclusive_ms(&plan), [0.0, 100.0, 180.0]);
    }

    #[test]
    fn leader_and_workers_run_at_the_same_time() {
        // Leader and two workers, 90 ms each on average, 60 of them in the scan.
        let scan = node(
            "Seq Scan",
            "Outer",
            with(ran(60.0, 1000.0, 3.0), json!({"Parallel Aware": true})),
            &[],
        );
        let partial = node("Aggregate", "Outer", ran(90.0, 1.0, 3.0), &[scan]);
        let gather = node(
            "Gather",
            "Outer",
            with(ran(100.0, 3.0, 1.0), json!({"Workers Launched": 2})),
            &[partial],
        );
        let plan = plan(&node("Aggregate", "Outer", ran(101.0, 1.0, 1.0), &[gather]));
        assert_eq!(exclusive_ms(&plan), [1.0, 10.0, 30.0, 60.0]);
    }

    #[test]
    fn a_gather_that_runs_again_and_again() {
        // 10 runs, each by 2 processes for 4 ms.
        let scan = node("Seq Scan", "Outer", ran(4.0, 1.0, 20.0), &[]);
        let gather = node("Gather", "Inner", ran(5.0, 2.0, 10.0), &[scan]);
        let outer = node("Result", "Outer", ran(1.0, 10.0, 1.0), &[]);
        let plan = plan(&node("Nested Loop", "Outer", ran(52.0, 20.0, 1.0), &[outer, gather]));
        assert_eq!(exclusive_ms(&plan), [1.0, 1.0, 10.0, 40.0]);
    }

    fn cte(ms: f64) -> Value {
        node(
            "Seq Scan",
            "InitPlan",
            with(ran(ms, 10.0, 1.0), json!({"Subplan Name": "CTE x"})),
            &[],
        )
    }

    fn cte_scan(ms: f64, loops: f64, relationship: &str) -> Value {
        node("CTE Scan", relationship, with(ran(ms, 10.0, loops), json!({"CTE Name": "x"})), &[])
    }

    #[test]
    fn a_cte_counts_once_below_the_scan_that_waited_for_it() {
        let scans = [cte(80.0), cte_scan(3.0, 1.0, "Outer"), cte_scan(85.0, 1.0, "Inner")];
        let plan = plan(&node("Merge Join", "Outer", ran(100.0, 10.0, 1.0), &scans));
        assert_eq!(exclusive_ms(&plan), [12.0, 80.0, 3.0, 5.0]);
    }

    #[test]
    fn a_cte_that_two_scans_filled_in_turn_is_not_counted_twice() {
        let scans = [cte(100.0), cte_scan(10.0, 1.0, "Outer"), cte_scan(95.0, 1.0, "Inner")];
        let plan = plan(&node("Merge Join", "Outer", ran(106.0, 10.0, 1.0), &scans));
        assert_eq!(exclusive_ms(&plan), [1.0, 95.0, 10.0, 0.0]);
    }

    #[test]
    fn a_data_modifying_cte_that_nobody_reads_runs_after_the_root() {
        let delete =
            with(ran(50.0, 0.0, 1.0), json!({"Operation": "Delete", "Subplan Name": "CTE x"}));
        let delete = node(
            "ModifyTable",
            "InitPlan",
            delete,
            &[node("Seq Scan", "Outer", ran(40.0, 9.0, 1.0), &[])],
        );
        let plan = plan(&node("Result", "Outer", ran(0.5, 1.0, 1.0), &[delete]));
        assert_eq!(exclusive_ms(&plan), [0.5, 10.0, 40.0]);
        assert_eq!(plan.operators_ms(), Some(50.5));
    }

    /// Aggregate over Seq Scan; the `InitPlan` hangs at the Aggregate and runs inside the scan.
    fn init_plan(name: &str, scan: Value) -> Plan {
        let init = with(ran(30.0, 1.0, 1.0), json!({"Subplan Name": name}));
        let init = node("Index Scan", "InitPlan", init, &[]);
        plan(&node(
            "Aggregate",
            "Outer",
            ran(101.0, 1.0, 1.0),
            &[init, node("Seq Scan", "Outer", scan, &[])],
        ))
    }

    #[test]
    fn an_init_plan_counts_where_its_result_is_asked_for() {
        let filtered = |filter: &str| with(ran(100.0, 5.0, 1.0), json!({"Filter": filter}));
        assert_eq!(
            exclusive_ms(&init_plan("InitPlan 1 (returns $0)", filtered("(a > $0)"))),
            [1.0, 30.0, 70.0]
        );
        assert_eq!(
            exclusive_ms(&init_plan("InitPlan 1", filtered("(a > (InitPlan 1).col1)"))),
            [1.0, 30.0, 70.0]
        );
        // Without VERBOSE the output is not printed: the operator that had the time for it is taken.
        assert_eq!(
            exclusive_ms(&init_plan("InitPlan 1 (returns $0)", ran(100.0, 5.0, 1.0))),
            [1.0, 30.0, 70.0]
        );
        assert_eq!(
            exclusive_ms(&init_plan("InitPlan 1 (returns $0)", filtered("(a > $01)"))),
            [1.0, 30.0, 70.0]
        );
    }

    #[test]
    fn a_gather_runs_the_init_plans_of_its_workers() {
        let init = node(
            "Result",
            "InitPlan",
            with(ran(20.0, 1.0, 1.0), json!({"Subplan Name": "InitPlan 1 (returns $0)"})),
            &[],
        );
        let scan = node(
            "Seq Scan",
            "Outer",
            with(ran(60.0, 1.0, 2.0), json!({"Filter": "(a = $0)"})),
            &[],
        );
        let gather = node(
            "Gather",
            "Outer",
            with(ran(100.0, 2.0, 1.0), json!({"Params Evaluated": ["$0"]})),
            &[scan],
        );
        let plan = plan(&node("Aggregate", "Outer", ran(101.0, 1.0, 1.0), &[init, gather]));
        assert_eq!(exclusive_ms(&plan), [1.0, 20.0, 20.0, 60.0]);
    }

    #[test]
    fn sub_plans_run_for_each_row_or_once() {
        let sub = node(
            "Index Scan",
            "SubPlan",
            with(ran(0.5, 1.0, 20.0), json!({"Subplan Name": "SubPlan 1", "Total Cost": 8.0})),
            &[],
        );
        let scan = with(ran(15.0, 20.0, 1.0), json!({"Total Cost": 200.0, "Plan Rows": 20}));
        let correlated = plan(&node("Seq Scan", "Outer", scan.clone(), std::slice::from_ref(&sub)));
        assert_eq!(exclusive_ms(&correlated), [5.0, 10.0]);
        assert_eq!(figures(&correlated, |metrics| metrics.exclusive_cost), [40.0, 160.0]);
        let hashed = with(scan, json!({"Filter": "(hashed SubPlan 1)"}));
        let hashed = plan(&node("Seq Scan", "Outer", hashed, &[sub]));
        assert_eq!(figures(&hashed, |metrics| metrics.exclusive_cost), [192.0, 8.0]);
    }

    #[test]
    fn never_executed_takes_no_time_and_has_no_error() {
        let never =
            node("Index Scan", "Inner", with(ran(0.0, 0.0, 0.0), json!({"Plan Rows": 500})), &[]);
        let outer =
            node("Seq Scan", "Outer", with(ran(2.0, 0.0, 1.0), json!({"Plan Rows": 50})), &[]);
        let plan = plan(&node("Nested Loop", "Outer", ran(2.5, 0.0, 1.0), &[outer, never]));
        assert_eq!(exclusive_ms(&plan), [0.5, 2.0, 0.0]);
        let metrics = plan.metrics();
        assert!(metrics[&id(2)].never_executed && !metrics[&id(1)].never_executed);
        assert_eq!(
            (metrics[&id(2)].estimate_error, metrics[&id(1)].estimate_error),
            (None, Some(50.0))
        );
    }

    fn costs(startup: f64, total: f64, rows: f64) -> Value {
        json!({"Startup Cost": startup, "Total Cost": total, "Plan Rows": rows})
    }

    #[test]
    fn costs_of_a_repeated_inner_side_count_for_each_outer_row() {
        let inner = node("Index Scan", "Inner", costs(0.0, 8.0, 1.0), &[]);
        let outer = node("Seq Scan", "Outer", costs(0.0, 20.0, 10.0), &[]);
        let plan = plan(&node("Nested Loop", "Outer", costs(0.0, 110.0, 10.0), &[outer, inner]));
        assert_eq!(figures(&plan, |metrics| metrics.exclusive_cost), [10.0, 20.0, 80.0]);
        assert!(
            plan.metrics()
                .values()
                .all(|metrics| metrics.exclusive_ms.is_none() && metrics.estimate_error.is_none())
        );
    }

    #[test]
    fn what_is_materialized_is_made_once() {
        let scan = node("Seq Scan", "Outer", costs(0.0, 40.0, 100.0), &[]);
        let stored = node("Materialize", "Inner", costs(0.0, 41.0, 100.0), &[scan]);
        let outer = node("Seq Scan", "Outer", costs(0.0, 20.0, 11.0), &[]);
        let plan = plan(&node("Nested Loop", "Outer", costs(0.0, 80.0, 1100.0), &[outer, stored]));
        // 41 + 10 rescans of 100 rows at 0.0025 each = 43.5.
        assert_eq!(figures(&plan, |metrics| metrics.exclusive_cost), [16.5, 20.0, 3.5, 40.0]);
    }

    #[test]
    fn a_limit_cuts_the_cost_below() {
        let sorted = node("Index Scan", "Outer", costs(0.0, 1000.0, 1000.0), &[]);
        let plan = plan(&node("Limit", "Outer", costs(0.0, 10.0, 10.0), &[sorted]));
        assert_eq!(figures(&plan, |metrics| metrics.exclusive_cost), [0.0, 10.0]);
    }

    #[test]
    fn buffers_are_taken_off_where_the_time_is() {
        let blocks = |count: u64, keys: Value| {
            with(json!({"Shared Hit Blocks": count, "Shared Read Blocks": 1}), keys)
        };
        let x = node(
            "Seq Scan",
            "InitPlan",
            blocks(70, with(ran(8.0, 1.0, 1.0), json!({"Subplan Name": "CTE x"}))),
            &[],
        );
        let scan = node(
            "CTE Scan",
            "Outer",
            blocks(70, with(ran(9.0, 1.0, 1.0), json!({"CTE Name": "x"}))),
            &[],
        );
        let plan = plan(&node("Aggregate", "Outer", blocks(75, ran(10.0, 1.0, 1.0)), &[x, scan]));
        let hits: Vec<_> = plan
            .metrics()
            .values()
            .map(|metrics| metrics.exclusive_buffers.unwrap().shared_hit)
            .collect();
        assert_eq!(hits, [5, 70, 0]);
    }

    #[test]
    fn errors_are_told_for_what_is_counted() {
        let scan = node(
            "Bitmap Index Scan",
            "Member",
            with(ran(1.0, 0.25, 4.0), json!({"Plan Rows": 20})),
            &[],
        );
        let plan = plan(&node(
            "BitmapOr",
            "Outer",
            with(ran(1.0, 0.0, 1.0), json!({"Plan Rows": 20})),
            &[scan],
        ));
        let metrics = plan.metrics();
        assert_eq!(
            (metrics[&id(0)].estimate_error, metrics[&id(1)].estimate_error),
            (None, Some(20.0))
        );
    }
}
