use super::context::{Text, Unit};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::{Operator, OperatorId};

declare_pattern! {
    /// Parallel workers that were planned and not there.
    ///
    /// # Why
    /// The plan was chosen for more processes; those that are there have all the work.
    ///
    /// # Fires when
    /// A Gather launched fewer workers than were planned. At stake is what the missing ones would have taken over, if all work
    /// divided evenly.
    ///
    /// # Silent when
    /// All were there; it never ran; times were not printed.
    ///
    /// # What to do
    /// Raise `max_parallel_workers` and `max_worker_processes`, or plan fewer for each statement.
    MissingWorkers {
        id: "missing_workers",
        summary: "parallel workers that were planned but not launched",
    }
}

impl Pattern for MissingWorkers {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &MissingWorkers,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let (planned, launched) = (operator.workers_planned?, operator.workers_launched?);
    let ran = operator.actual.is_some_and(|actual| actual.loops > 0.0);
    if launched >= planned || !ran || cx.unit != Unit::Time {
        return None;
    }
    let what = format!(
        "{} planned {planned} workers and got {}.",
        cx.name(id),
        if launched == 0 { "none".to_owned() } else { launched.to_string() }
    );
    let why =
        "Those who are there have all the work, by a plan that was chosen for more.".to_owned();
    let advice = "Other statements held the workers, or the server allows few: raise max_parallel_workers (and max_worker_processes, which takes a restart) to \
         what the machine's cores allow, or lower max_parallel_workers_per_gather, so that each statement asks for fewer."
        .to_owned();
    let missing = 1.0 - (launched as f64 + 1.0) / (planned as f64 + 1.0);
    let shared = cx.below(id) - cx.own(id);
    cx.finding(pattern.meta(), Some(id), shared * missing, Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "missing_workers";

    #[test]
    fn fires_where_workers_are_missing() {
        let scan = node(
            "Seq Scan",
            "Outer",
            exact(90.0, 1000.0, 1.0, json!({"Parallel Aware": true})),
            &[],
        );
        let keys = json!({"Workers Planned": 2, "Workers Launched": 0});
        let gather = node("Gather", "Outer", exact(100.0, 1000.0, 1.0, keys), &[scan]);
        let finding = fires(ID, &gather);
        assert_eq!(finding.what, "Gather planned 2 workers and got none.");
        assert!((finding.stake.ms.unwrap() - 60.0).abs() < 1e-9);
        silent(ID, &but(&gather, "Workers Launched", json!(2)));
        silent(ID, &but(&gather, "Actual Loops", json!(0)));
    }
}
