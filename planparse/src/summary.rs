//! The few sentences about a plan that a person wants first.

use crate::display::{decimal, label, milliseconds};
use crate::{Metrics, OperatorId, Plan, findings};

/// Returns what stands out in a plan, one sentence each with its figures: where most of the time goes, and what was
/// found by [`findings`], the dearest first.
pub fn summary(plan: &Plan) -> Vec<String> {
    let metrics: Vec<Metrics> = plan.metrics().into_values().collect();
    let found = findings(plan).into_iter().map(|finding| finding.what);
    dearest(plan, &metrics).into_iter().chain(found).collect()
}

fn named(plan: &Plan, id: OperatorId) -> String {
    label(plan.operator(id), plan.link(id))
}

/// Where most of the time goes; where nothing was timed, of the blocks; where nothing was run, of the cost.
fn dearest(plan: &Plan, metrics: &[Metrics]) -> Option<String> {
    let timed = metrics.iter().any(|metric| metric.exclusive_ms.is_some());
    let touched = plan.executed() && plan.buffers().is_some();
    let own = |metric: &Metrics| match metric.exclusive_buffers {
        _ if timed => metric.exclusive_ms.unwrap_or(0.0),
        buffers if touched => buffers.map_or(0.0, |buffers| buffers.touched() as f64),
        _ => metric.exclusive_cost,
    };
    let whole: f64 = metrics.iter().map(own).sum();
    let (id, figure) = largest(plan, |id| Some(own(&metrics[id.index()])))?;
    if whole <= 0.0 {
        return None;
    }
    let share = (100.0 * figure / whole).round();
    let name = named(plan, id);
    let (of, figure, whole) = if timed {
        ("takes {} % of the time", milliseconds(figure), milliseconds(whole))
    } else if touched {
        ("touches {} % of the blocks", decimal(figure, 0), decimal(whole, 0))
    } else {
        ("has {} % of the estimated cost", decimal(figure, 2), decimal(whole, 2))
    };
    Some(format!("{name} {}: {figure} of {whole}.", of.replace("{}", &share.to_string())))
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
    use serde_json::json;

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
        let told = summary(&parsed.plan);
        assert_eq!(told[0], "Seq Scan on log takes 90 % of the time: 90.0 ms of 100 ms.");
        let trigger = "Trigger for constraint orders_user_fk on users takes 90.0 ms in 3 calls, 30.0 ms each.";
        assert!(told[1..].contains(&trigger.to_owned()), "{told:?}");
        assert_eq!(told.len(), 1 + findings(&parsed.plan).len());
    }

    #[test]
    fn a_plan_without_times_is_told_by_its_blocks() {
        let scan = json!({"Total Cost": 35.5, "Plan Rows": 2, "Actual Rows": 2, "Actual Loops": 1, "Shared Hit Blocks": 7});
        assert_eq!(
            summary(&plan(&node("Seq Scan", "Outer", scan, &[]))),
            ["Seq Scan touches 100 % of the blocks: 7 of 7."]
        );
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
