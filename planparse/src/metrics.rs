//! What each operator contributes by itself.

use std::collections::BTreeMap;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::attribution::{Entry, Share, distribute};
use crate::{Buffers, Link, Operator, OperatorId, OperatorKind, Plan, Wal, costs, times};

/// What one operator contributes by itself. The exclusive figures of all operators add up to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Metrics {
    /// Planner's cost without what is below, all runs of it together.
    pub exclusive_cost: f64,
    /// Milliseconds on the clock with everything below; none where no times were printed.
    /// Below a Gather the time of all processes is divided by their number; what other servers ran at the same time (Citus) is
    /// fitted into the time of the operator that waited for them. An `InitPlan` counts as below the operator that waited
    /// for it.
    pub inclusive_ms: Option<f64>,
    /// Milliseconds on the clock without what is below.
    pub exclusive_ms: Option<f64>,
    /// Blocks touched without what is below.
    pub exclusive_buffers: Option<Buffers>,
    /// Write-ahead log written, without what is below.
    pub exclusive_wal: Option<Wal>,
    /// Rows that it returned, over all loops and processes.
    pub rows: Option<f64>,
    /// Rows (of a join: pairs of rows) that its filter, join filter or recheck threw away, over all loops and processes.
    pub rows_removed: Option<f64>,
    /// Kilobytes that it put into temporary files because memory did not suffice, all processes together; none where
    /// it kept to memory or nothing was printed about it.
    pub spilled_kb: Option<u64>,
    /// How far the estimated rows are off: the larger of estimated and actual rows per loop over the smaller
    /// (the q-error), each taken for 1 at least. None where not executed or not comparable.
    pub estimate_error: Option<f64>,
    /// Whether it can have been stopped before its last row, by a LIMIT or a join that had enough: then fewer rows
    /// than estimated mean nothing.
    pub stoppable: bool,
    /// Whether the statement ran, but never came here.
    pub never_executed: bool,
}

impl Plan {
    /// Returns the milliseconds in which the operators ran, as the sum of all [`Metrics::exclusive_ms`].
    ///
    /// That is the root's time, and that of data-modifying CTEs which nobody reads: they run after the root has finished.
    pub fn operators_ms(&self) -> Option<f64> {
        self.operator(self.root()).actual?.total_ms?;
        Some(self.metrics().into_values().filter_map(|metrics| metrics.exclusive_ms).sum())
    }

    /// Returns the blocks that the statement touched, where BUFFERS was on: the root's, and those of data-modifying
    /// CTEs which nobody reads. What other servers touched (Citus) is not among them.
    pub fn buffers(&self) -> Option<Buffers> {
        let root = self.operator(self.root()).buffers?;
        let later = times::entries(self);
        let later = self.operators().zip(&later).skip(1).filter(|(_, entry)| entry.up.is_none());
        let later = later.filter_map(|((_, operator), _)| operator.buffers);
        Some(later.fold(root, |all, part| all.with(&part)))
    }
}

pub(crate) fn metrics(plan: &Plan) -> BTreeMap<OperatorId, Metrics> {
    let costs = distribute(&costs::entries(plan));
    let entries = times::entries(plan);
    let time_shares = distribute(&entries);
    let buffers = exclusive(plan, &entries, |operator| operator.buffers, Buffers::without);
    let wal = exclusive(plan, &entries, |operator| operator.wal, Wal::without);
    let counters = buffers.into_iter().zip(wal).zip(stoppable(plan));
    let figures = costs.iter().zip(&time_shares).zip(counters);
    let metric = |(
        (id, operator),
        ((cost, time), ((exclusive_buffers, exclusive_wal), stoppable)),
    ): ((_, &Operator), ((&Share, &Share), _))| {
        let timed =
            operator.actual.is_some_and(|actual| actual.total_ms.is_some() || actual.loops <= 0.0);
        let metrics = Metrics {
            exclusive_cost: cost.exclusive,
            inclusive_ms: timed.then_some(time.inclusive),
            exclusive_ms: timed.then_some(time.exclusive),
            exclusive_buffers,
            exclusive_wal,
            rows: operator.actual_rows_total(),
            rows_removed: rows_removed(operator),
            spilled_kb: spilled_kb(operator, exclusive_buffers.as_ref()),
            estimate_error: estimate_error(operator),
            stoppable,
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

/// Tells of each operator whether it can have been stopped before its last row.
fn stoppable(plan: &Plan) -> Vec<bool> {
    let mut stoppable: Vec<bool> = Vec::new();
    for (id, _) in plan.operators() {
        let by_parent = plan.parent(id).zip(plan.link(id)).is_some_and(|(parent, link)| {
            let above = plan.operator(parent);
            let takes_one = above.inner_unique == Some(true)
                || matches!(above.join_type.as_deref(), Some("Semi" | "Anti"));
            match above.kind {
                OperatorKind::Limit | OperatorKind::MergeJoin => true,
                OperatorKind::NestedLoop if link == Link::Inner && takes_one => true,
                OperatorKind::Aggregate if above.strategy.as_deref() == Some("Sorted") => {
                    stoppable[parent.index()]
                }
                // These take all that is below before they give a row.
                OperatorKind::Sort
                | OperatorKind::Hash
                | OperatorKind::Aggregate
                | OperatorKind::ModifyTable
                | OperatorKind::BitmapHeapScan => false,
                _ => matches!(link, Link::InitPlan | Link::SubPlan) || stoppable[parent.index()],
            }
        });
        stoppable.push(by_parent);
    }
    stoppable
}

/// Counters are sums over all loops and processes, so that the children's can be taken off as they are.
fn exclusive<C: Copy>(
    plan: &Plan,
    times: &[Entry],
    counters: impl Fn(&Operator) -> Option<C>,
    without: impl Fn(&C, &C) -> C,
) -> Vec<Option<C>> {
    let mut exclusive: Vec<_> = plan.operators().map(|(_, operator)| counters(operator)).collect();
    for ((id, operator), entry) in plan.operators().zip(times) {
        let remote = plan.link(id) == Some(Link::Remote);
        if let (Some(part), Some(up)) = (counters(operator), entry.up.filter(|_| !remote)) {
            exclusive[up] = exclusive[up].map(|whole| without(&whole, &part));
        }
    }
    exclusive
}

/// Returns the rows thrown away over all loops; EXPLAIN prints the mean.
fn rows_removed(operator: &Operator) -> Option<f64> {
    let loops = operator.actual?.loops;
    let means = [
        operator.rows_removed_by_filter,
        operator.rows_removed_by_join_filter,
        operator.rows_removed_by_index_recheck,
    ];
    means.iter().any(Option::is_some).then(|| means.into_iter().flatten().sum::<f64>() * loops)
}

/// `BLCKSZ` of a server that was built with defaults, in kilobytes.
const BLOCK_KB: u64 = 8;

/// Returns what went to temporary files: the size that a sort or aggregate names, else the blocks that it wrote.
fn spilled_kb(operator: &Operator, exclusive: Option<&Buffers>) -> Option<u64> {
    let in_workers = |size: &str, kind: Option<&str>| -> u64 {
        let of_kind = operator.workers.iter().filter(|worker| {
            kind.is_none_or(|kind| {
                worker.other.get(kind).and_then(serde_json::Value::as_str) == Some("Disk")
            })
        });
        of_kind.filter_map(|worker| worker.other.get(size)?.as_u64()).sum()
    };
    let sorted =
        operator.sort_space_kb.filter(|_| operator.sort_space_type.as_deref() == Some("Disk"));
    let named = sorted.unwrap_or(0)
        + operator.disk_usage_kb.unwrap_or(0)
        + in_workers("Sort Space Used", Some("Sort Space Type"))
        + in_workers("Disk Usage", None);
    let written = exclusive.map_or(0, |buffers| buffers.temp_written.saturating_mul(BLOCK_KB));
    Some(if named > 0 { named } else { written }).filter(|size| *size > 0)
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
    fn rows_and_wal_and_spills_of_all_loops_and_processes() {
        let scan = with(
            ran(1.0, 2.5, 4.0),
            json!({"Rows Removed by Filter": 3, "Rows Removed by Index Recheck": 0.5, "WAL Bytes": 40}),
        );
        let workers = json!([
            {"Worker Number": 0, "Sort Space Used": 70, "Sort Space Type": "Disk"},
            {"Worker Number": 1, "Sort Space Used": 25, "Sort Space Type": "Memory"},
        ]);
        let sort = with(
            ran(2.0, 10.0, 1.0),
            json!({"Sort Space Used": 100, "Sort Space Type": "Disk", "Workers": workers, "WAL Bytes": 100,
                "Temp Written Blocks": 30}),
        );
        let hash = with(ran(3.0, 10.0, 1.0), json!({"Temp Written Blocks": 35}));
        let sort = node("Sort", "Outer", sort, &[node("Seq Scan", "Outer", scan, &[])]);
        let plan = plan(&node("Hash", "Outer", hash, &[sort]));
        let metrics = plan.metrics();
        let (hash, sort, scan) = (metrics[&id(0)], metrics[&id(1)], metrics[&id(2)]);
        assert_eq!((scan.rows, scan.rows_removed), (Some(10.0), Some(14.0)));
        assert_eq!((sort.rows, sort.rows_removed), (Some(10.0), None));
        assert_eq!(
            (hash.spilled_kb, sort.spilled_kb, scan.spilled_kb),
            (Some(40), Some(170), None)
        );
        let wal = |metrics: Metrics| metrics.exclusive_wal.map(|wal| wal.bytes);
        assert_eq!((wal(hash), wal(sort), wal(scan)), (None, Some(60), Some(40)));
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
    fn what_other_servers_ran_is_fitted_into_the_wait_for_them() {
        let task = |ms: f64| {
            node(
                "Seq Scan",
                "Remote",
                with(ran(ms, 4.0, 1.0), json!({"Total Cost": 30.0, "Shared Hit Blocks": 7})),
                &[],
            )
        };
        let keys = json!({"Custom Plan Provider": "Citus Adaptive", "Shared Hit Blocks": 2});
        let one = |tasks: &[Value]| {
            plan(&node("Custom Scan", "Outer", with(ran(25.0, 4.0, 1.0), keys.clone()), tasks))
        };
        assert_eq!(exclusive_ms(&one(&[task(20.0)])), [5.0, 20.0]);
        // Both ran at the same time.
        let two = one(&[task(20.0), task(30.0)]);
        assert_eq!(exclusive_ms(&two), [0.0, 10.0, 15.0]);
        assert_eq!(two.operators_ms(), Some(25.0));
        // Costs and blocks are another server's.
        assert_eq!(figures(&two, |metrics| metrics.exclusive_cost), [0.0, 30.0, 30.0]);
        assert_eq!(
            figures(&two, |it| it.exclusive_buffers.unwrap().shared_hit as f64),
            [2.0, 7.0, 7.0]
        );
        assert_eq!(two.buffers().map(|buffers| buffers.touched()), Some(2));
    }

    #[test]
    fn the_blocks_of_a_statement_are_those_of_the_root_and_of_what_ran_after_it() {
        let delete = json!({"Operation": "Delete", "Subplan Name": "CTE x", "Shared Hit Blocks": 50, "Temp Written Blocks": 3});
        let delete = node("ModifyTable", "InitPlan", with(ran(5.0, 0.0, 1.0), delete), &[]);
        let root =
            with(ran(1.0, 1.0, 1.0), json!({"Shared Hit Blocks": 4, "Local Read Blocks": 6}));
        let buffers = plan(&node("Result", "Outer", root.clone(), std::slice::from_ref(&delete)))
            .buffers()
            .unwrap();
        assert_eq!((buffers.touched(), buffers.read(), buffers.temp_written), (60, 6, 3));
        // One that is read runs while the root does.
        let scan =
            node("CTE Scan", "Outer", with(ran(6.0, 1.0, 1.0), json!({"CTE Name": "x"})), &[]);
        let root = with(root, json!({"Shared Hit Blocks": 54}));
        let buffers = plan(&node("Result", "Outer", root, &[delete, scan])).buffers().unwrap();
        assert_eq!(buffers.touched(), 60);
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

    #[test]
    fn what_can_be_stopped_early() {
        let leaf = |relationship: &str| node("Seq Scan", relationship, json!({}), &[]);
        let stoppable = |root: &Value| {
            plan(root).metrics().values().map(|metrics| metrics.stoppable).collect::<Vec<_>>()
        };
        let limit = |below: Value| node("Limit", "Outer", json!({}), &[below]);
        assert_eq!(stoppable(&limit(leaf("Outer"))), [false, true]);
        let aggregate =
            |strategy| node("Aggregate", "Outer", json!({"Strategy": strategy}), &[leaf("Outer")]);
        assert_eq!(stoppable(&limit(aggregate("Hashed"))), [false, true, false]);
        assert_eq!(stoppable(&limit(aggregate("Sorted"))), [false, true, true]);
        let semi = json!({"Join Type": "Semi"});
        let semi = node("Nested Loop", "Outer", semi, &[leaf("Outer"), leaf("Inner")]);
        assert_eq!(stoppable(&semi), [false, false, true]);
    }
}
