//! The few sentences about a plan that a person wants first.

use crate::display::{decimal, kilobytes, label, milliseconds, shown, trigger_label};
use crate::{Metrics, Operator, OperatorId, OperatorKind, Plan};

/// Estimates nearer to the truth than this many times are not worth a sentence.
const ESTIMATE_ERROR: f64 = 10.0;

/// Nor are errors and discarded rows below so many rows in all.
const FEW_ROWS: f64 = 1000.0;

/// A sequential scan that keeps more of its rows than this share is doing its work.
const KEPT_SHARE: f64 = 0.1;

/// Returns what stands out in a plan, one sentence each with its figures, the most important first.
pub fn summary(plan: &Plan) -> Vec<String> {
    let metrics: Vec<Metrics> = plan.metrics().into_values().collect();
    let mut sentences: Vec<String> = dearest(plan, &metrics).into_iter().collect();
    sentences.extend(discarding_scan(plan));
    sentences.extend(worst_estimate(plan, &metrics));
    sentences
        .extend(plan.operators().filter_map(|(id, operator)| spill(&named(plan, id), operator)));
    sentences.extend(beside(plan));
    sentences
}

fn named(plan: &Plan, id: OperatorId) -> String {
    label(plan.operator(id), plan.link(id))
}

/// Where most of the time goes, or of the cost where nothing was executed.
fn dearest(plan: &Plan, metrics: &[Metrics]) -> Option<String> {
    let timed = metrics.iter().any(|metric| metric.exclusive_ms.is_some());
    let own = |metric: &Metrics| {
        if timed { metric.exclusive_ms.unwrap_or(0.0) } else { metric.exclusive_cost }
    };
    let whole: f64 = metrics.iter().map(own).sum();
    let (id, figure) = largest(plan, |id| Some(own(&metrics[id.index()])))?;
    if whole <= 0.0 {
        return None;
    }
    let share = (100.0 * figure / whole).round();
    let name = named(plan, id);
    Some(if timed {
        format!(
            "{name} takes {share} % of the time: {} of {}.",
            milliseconds(figure),
            milliseconds(whole)
        )
    } else {
        format!(
            "{name} has {share} % of the estimated cost: {} of {}.",
            decimal(figure, 2),
            decimal(whole, 2)
        )
    })
}

/// The sequential scan that reads most rows for nothing.
fn discarding_scan(plan: &Plan) -> Option<String> {
    let discarded =
        |operator: &Operator| Some(operator.rows_removed_by_filter? * operator.actual?.loops);
    let (id, rows) = largest(plan, |id| {
        let operator = plan.operator(id);
        (operator.kind == OperatorKind::SeqScan).then(|| discarded(operator)).flatten()
    })?;
    let operator = plan.operator(id);
    let read = rows + operator.actual_rows_total().unwrap_or(0.0);
    if rows < FEW_ROWS || rows < (1.0 - KEPT_SHARE) * read {
        return None;
    }
    let filter = operator.filter.as_deref().map(shown).unwrap_or_default();
    let share = match rows / read {
        share if share > 0.999 => "more than 99.9".to_owned(),
        share => decimal(100.0 * share, 1),
    };
    Some(format!(
        "{} reads {} rows and discards {share} % of them by {filter}.",
        named(plan, id),
        decimal(read, 0)
    ))
}

/// The row estimate that is furthest off, told of the operator at which it goes wrong.
fn worst_estimate(plan: &Plan, metrics: &[Metrics]) -> Option<String> {
    let off = |id: OperatorId| {
        let operator = plan.operator(id);
        let actual = operator.actual?;
        let cut_short = actual.rows < operator.rows && metrics[id.index()].stoppable;
        let enough = actual.rows.max(operator.rows) * actual.loops >= FEW_ROWS;
        metrics[id.index()]
            .estimate_error
            .filter(|error| *error >= ESTIMATE_ERROR && enough && !cut_short)
    };
    let (mut id, mut error) = largest(plan, off)?;
    // A Sort or Hash only passes on what was wrong below.
    let inherited = |id, error: f64| {
        let below =
            plan.children(id).into_iter().filter_map(|(child, _)| Some((child, off(child)?)));
        below.into_iter().find(|(_, below)| *below >= 0.5 * error)
    };
    while let Some(below) = inherited(id, error) {
        (id, error) = below;
    }
    let (estimated, actual) = (plan.operator(id).rows, plan.operator(id).actual?.rows);
    Some(format!(
        "{} returns {} times {} rows than estimated: {} instead of {}.",
        named(plan, id),
        decimal(error, 0),
        if actual > estimated { "more" } else { "fewer" },
        decimal(actual, 0),
        decimal(estimated, 0)
    ))
}

/// What did not fit into `work_mem`.
fn spill(name: &str, operator: &Operator) -> Option<String> {
    if operator.sort_space_type.as_deref() == Some("Disk") {
        let size = kilobytes(operator.sort_space_kb.unwrap_or(0));
        return Some(format!(
            "{name} sorts on disk: {size} of temporary files because work_mem is too small for it."
        ));
    }
    if let Some(kb) = operator.disk_usage_kb.filter(|kb| *kb > 0) {
        return Some(format!(
            "{name} groups on disk: {} of temporary files because work_mem is too small for it.",
            kilobytes(kb)
        ));
    }
    if let Some(batches) = operator.hash_batches.filter(|batches| *batches > 1) {
        return Some(format!(
            "{name} is built in {batches} batches through temporary files because work_mem is too small for it."
        ));
    }
    let lossy = operator.lossy_heap_blocks.filter(|blocks| *blocks > 0)?;
    Some(format!(
        "{name} rechecks {} blocks row by row because its bitmap outgrew work_mem.",
        decimal(lossy as f64, 0)
    ))
}

/// Compilation and triggers, which no operator shows, where they took a tenth of the execution or more.
fn beside(plan: &Plan) -> Vec<String> {
    let Some(execution) = plan.execution_ms.filter(|ms| *ms > 0.0) else { return Vec::new() };
    let compiling = plan.jit.as_ref().and_then(|jit| jit.timing_ms.get("Total").copied());
    let compiling = compiling.map(|ms| ("Just-in-time compilation".to_owned(), ms));
    let triggers = plan
        .triggers
        .iter()
        .filter_map(|trigger| Some((trigger_label(trigger), trigger.total_ms?)));
    let dear = compiling.into_iter().chain(triggers).filter(|(_, ms)| *ms >= 0.1 * execution);
    dear.map(|(name, ms)| {
        format!("{name} takes {} of {}.", milliseconds(ms), milliseconds(execution))
    })
    .collect()
}

/// The operator with the largest figure; of equals, the first printed.
fn largest(plan: &Plan, figure: impl Fn(OperatorId) -> Option<f64>) -> Option<(OperatorId, f64)> {
    plan.operators().filter_map(|(id, _)| Some((id, figure(id)?))).fold(None, |best, next| {
        match best {
            Some((_, most)) if most >= next.1 => best,
            _ => Some(next),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{node, plan, ran, with};

    #[test]
    fn what_stands_out_is_told_with_figures() {
        let scan = with(
            ran(90.0, 50.0, 1.0),
            json!({"Relation Name": "log", "Filter": "(a = 1)", "Rows Removed by Filter": 9950, "Plan Rows": 50}),
        );
        let join =
            with(ran(95.0, 20_000.0, 1.0), json!({"Plan Rows": 100, "Hash Cond": "(a = b)"}));
        let hash = with(ran(1.0, 10.0, 1.0), json!({"Plan Rows": 10, "Hash Batches": 4}));
        let inner = node("Hash", "Inner", hash, &[]);
        let join = node("Hash Join", "Outer", join, &[node("Seq Scan", "Outer", scan, &[]), inner]);
        let sort = json!({"Plan Rows": 100, "Sort Method": "external merge", "Sort Space Type": "Disk", "Sort Space Used": 3072});
        let root = node("Sort", "Outer", with(ran(100.0, 20_000.0, 1.0), sort), &[join]);
        let beside = json!({"Plan": root, "Execution Time": 200.0,
            "Triggers": [{"Constraint Name": "orders_user_fk", "Relation": "users", "Time": 90.0, "Calls": 3}],
            "JIT": {"Functions": 1, "Timing": {"Total": 5.0}}});
        let parsed = crate::from_json(&beside).unwrap();
        let expected = [
            "Seq Scan on log takes 90 % of the time: 90.0 ms of 100 ms.",
            "Seq Scan on log reads 10,000 rows and discards 99.5 % of them by (a = 1).",
            "Hash Join returns 200 times more rows than estimated: 20,000 instead of 100.",
            "Sort sorts on disk: 3.0 MB of temporary files because work_mem is too small for it.",
            "Hash is built in 4 batches through temporary files because work_mem is too small for it.",
            "Trigger for constraint orders_user_fk on users takes 90.0 ms of 200 ms.",
        ];
        assert_eq!(summary(&parsed.plan), expected);
    }

    fn limited(below: Value) -> Vec<String> {
        summary(&plan(&node("Limit", "Outer", ran(1.0, 1.0, 1.0), &[below])))
    }

    #[test]
    fn a_scan_that_a_limit_cut_short_was_not_badly_estimated() {
        let scan = with(ran(1.0, 1.0, 1.0), json!({"Plan Rows": 100_000, "Relation Name": "t"}));
        assert_eq!(
            limited(node("Seq Scan", "Outer", scan, &[])),
            ["Seq Scan on t takes 100 % of the time: 1.00 ms of 1.00 ms."]
        );
        let scan = with(ran(1.0, 100_000.0, 1.0), json!({"Plan Rows": 10, "Relation Name": "t"}));
        assert_eq!(limited(node("Seq Scan", "Outer", scan, &[])).len(), 2);
    }

    #[test]
    fn a_plan_that_was_not_run_has_a_dearest_operator_only() {
        let scan = json!({"Total Cost": 35.5, "Plan Rows": 2550, "Relation Name": "t"});
        assert_eq!(
            summary(&plan(&node("Seq Scan", "Outer", scan, &[]))),
            ["Seq Scan on t has 100 % of the estimated cost: 35.50 of 35.50."]
        );
        assert!(summary(&plan(&node("Result", "Outer", json!({}), &[]))).is_empty());
    }
}
