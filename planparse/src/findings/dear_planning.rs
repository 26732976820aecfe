use super::context::{Text, Unit};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::{decimal, milliseconds};

/// Below so many milliseconds a session's first look into the catalog explains it, which the next statement no longer pays.
const MS_MIN: f64 = 10.0;

/// So many scans in one plan come of partitions or of a very wide join, and each of them takes planning.
const MANY_SCANS: usize = 20;

declare_pattern! {
    /// Planning that takes longer than execution.
    ///
    /// # Why
    /// A statement that is sent as text is planned anew each time.
    ///
    /// # Fires when
    /// Planning takes longer than the execution, and 10 ms or more.
    ///
    /// # Silent when
    /// It takes less; the times were not printed.
    ///
    /// # What to do
    /// Prepare the statement, let it meet fewer partitions, or join fewer tables at once.
    DearPlanning {
        id: "dear_planning",
        summary: "planning dearer than the execution",
    }
}

impl Pattern for DearPlanning {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        of(self, cx).into_iter().collect()
    }
}

fn of(pattern: &DearPlanning, cx: &Context<'_>) -> Option<Finding> {
    let planning = cx.plan.planning_ms.filter(|ms| cx.unit == Unit::Time && *ms >= MS_MIN)?;
    let execution = cx.whole - planning;
    if planning <= execution {
        return None;
    }
    let scans = cx.operators().filter(|(_, operator, _)| operator.relation.is_some()).count();
    let what = format!(
        "Planning takes {}, longer than the execution of {}.",
        milliseconds(planning),
        milliseconds(execution)
    );
    let why = "A statement that is sent as text is planned anew each time.".to_owned();
    let prepare = "Prepare it once in each session, if it is run often";
    let advice = if scans >= MANY_SCANS {
        format!(
            "{prepare}; its plan reads {} tables or partitions: fewer partitions, or a condition on the partition key, make planning short.",
            decimal(scans as f64, 0)
        )
    } else {
        format!(
            "{prepare}; run it a second time to see whether it was the session's first look at these tables; many indexes on a table, \
             high statistics targets and wide joins (join_collapse_limit) make planning long."
        )
    };
    cx.finding(pattern.meta(), None, planning, Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{exact, found};
    use crate::testing::node;

    #[test]
    fn fires_where_planning_takes_most() {
        let of = |planning: f64, execution: f64| {
            let root = node("Result", "Outer", exact(execution, 1.0, 1.0, json!({})), &[]);
            let beside =
                json!({"Plan": root, "Planning Time": planning, "Execution Time": execution});
            found("dear_planning", &crate::from_json(&beside).unwrap().plan)
        };
        let found = of(30.0, 2.0);
        assert_eq!(found[0].what, "Planning takes 30.0 ms, longer than the execution of 2.00 ms.");
        assert!((found[0].stake.share - 30.0 / 32.0).abs() < 1e-9);
        assert!(of(30.0, 31.0).is_empty());
        assert!(of(9.0, 0.1).is_empty());
    }
}
