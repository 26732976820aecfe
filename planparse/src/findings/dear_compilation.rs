use super::context::{Text, Unit, percent};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::{decimal, milliseconds};

/// More than all the rest of the execution: even if compiled expressions were free, it did not pay.
const SHARE: f64 = 0.5;

declare_pattern! {
    /// Just-in-time compilation that takes longer than the execution that it was to speed up.
    ///
    /// # Why
    /// The planner decides on it by the estimated cost alone, whatever there is to compile; many expressions, as with
    /// many partitions, cost much.
    ///
    /// # Fires when
    /// Compilation takes half of the execution or more. What several processes compiled is divided by their number.
    ///
    /// # Silent when
    /// It takes less; its time was not printed.
    ///
    /// # What to do
    /// Raise `jit_above_cost`, or switch `jit` off for the role or database.
    DearCompilation {
        id: "dear_compilation",
        summary: "just-in-time compilation dearer than the execution",
    }
}

impl Pattern for DearCompilation {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        of(self, cx).into_iter().collect()
    }
}

fn of(pattern: &DearCompilation, cx: &Context<'_>) -> Option<Finding> {
    let jit = cx.plan.jit.as_ref().filter(|_| cx.unit == Unit::Time)?;
    let workers = cx.operators().filter_map(|(_, operator, _)| operator.workers_launched).max();
    let compiling = jit.timing_ms.get("Total")? / (workers.unwrap_or(0) as f64 + 1.0);
    let execution = cx.whole - cx.plan.planning_ms.unwrap_or(0.0);
    if compiling < SHARE * execution {
        return None;
    }
    let what = format!(
        "Compiling {} functions takes {}, {} of the execution.",
        decimal(jit.functions as f64, 0),
        milliseconds(compiling),
        percent((compiling / execution).min(1.0))
    );
    let why = "The planner compiles whatever costs more than jit_above_cost, and does not weigh what there is to compile.".to_owned();
    let cost = match cx.plan.total_cost() {
        cost if cost > 0.0 => format!("its cost of {}", decimal(cost, 0)),
        _ => "its cost".to_owned(),
    };
    let advice = format!(
        "`SET jit = off` for this statement; if others are like it, raise jit_above_cost above {cost}, or switch jit off for \
         the role or database."
    );
    cx.finding(pattern.meta(), None, compiling, Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{exact, found};
    use crate::testing::node;

    #[test]
    fn fires_where_it_takes_most() {
        let of = |total: f64, workers: u64| {
            let keys = json!({"Workers Planned": workers, "Workers Launched": workers, "Total Cost": 120_000.0});
            let root = node("Gather", "Outer", exact(200.0, 10.0, 1.0, keys), &[]);
            let beside = json!({"Plan": root, "Execution Time": 210.0, "JIT": {"Functions": 90, "Timing": {"Total": total}}});
            found("dear_compilation", &crate::from_json(&beside).unwrap().plan)
        };
        let finding = &of(150.0, 0)[0];
        assert_eq!(finding.what, "Compiling 90 functions takes 150 ms, 71 % of the execution.");
        assert!(finding.advice.contains("120,000") && finding.operator.is_none());
        assert!(of(50.0, 0).is_empty());
        assert!(of(150.0, 2).is_empty(), "three processes compiled for 50 ms each");
    }
}
