use super::context::{Text, Unit};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::decimal;
use crate::{Link, Operator, OperatorId};

/// Runs of a subquery that are worth a rewrite. A few hundred look-ups are what a page of results costs.
const LOOPS_MIN: f64 = 1000.0;

declare_pattern! {
    /// A subquery that runs again for every row.
    ///
    /// # Why
    /// A SubPlan is not joined but called: the planner can neither hash nor merge it, and each row pays for a whole run.
    ///
    /// # Fires when
    /// A SubPlan runs 1,000 times or more. In a plan that was not run: when it is expected to, for each row of the operator
    /// that it belongs to.
    ///
    /// # Silent when
    /// It is hashed, and so runs once; it is one of two alternatives that only the execution chooses between (up to version 13) and
    /// the statement was not run; it is an InitPlan.
    ///
    /// # What to do
    /// Rewrite it as a join, or give it an index if it has none.
    RepeatedSubplan {
        id: "repeated_subplan",
        summary: "subquery that runs once for every row",
    }
}

impl Pattern for RepeatedSubplan {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let subplans = cx.operators().filter(|(id, ..)| cx.plan.link(*id) == Some(Link::SubPlan));
        subplans.filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &RepeatedSubplan,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let above = cx.operator(cx.plan.parent(id)?);
    let name = operator.subplan_name.as_deref()?;
    let mentions = |text: &str| above.expressions().any(|expression| expression.contains(text));
    let (loops, runs) = match operator.actual {
        Some(actual) => (actual.loops, "runs"),
        None if cx.unit == Unit::Cost => (above.rows, "is expected to run"),
        None => return None,
    };
    let undecided = operator.actual.is_none() && mentions("alternatives: ");
    if loops < LOOPS_MIN || undecided || mentions(&format!("hashed {name}")) {
        return None;
    }
    let what = format!("{} {runs} {} times, once for every row.", cx.name(id), decimal(loops, 0));
    let why = "A subquery that is called for each row can be neither hashed nor merged.".to_owned();
    let negated = mentions(&format!("NOT ({name}")) || mentions("NOT (ANY ");
    let advice = if negated {
        "Write NOT IN as NOT EXISTS, which is joined; or raise work_mem until the subquery is hashed."
    } else {
        "Write it as a join: a LEFT JOIN to the grouped subquery, or EXISTS for IN; where each row needs its own look-up, index \
         the columns by which it is tied to the row."
    };
    cx.finding(
        pattern.meta(),
        Some(id),
        cx.below(id),
        Text { what, why, advice: advice.to_owned() },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "repeated_subplan";

    fn scan(filter: &str, sub: &Value) -> Value {
        node(
            "Seq Scan",
            "Outer",
            exact(50.0, 20_000.0, 1.0, json!({"Filter": filter})),
            std::slice::from_ref(sub),
        )
    }

    #[test]
    fn fires_on_a_call_for_every_row() {
        let keys = json!({"Subplan Name": "SubPlan 1", "Relation Name": "items"});
        let sub = node("Index Scan", "SubPlan", exact(0.002, 1.0, 20_000.0, keys), &[]);
        let finding = fires(ID, &scan("(a > 1)", &sub));
        assert_eq!(
            finding.what,
            "SubPlan 1: Index Scan on items runs 20,000 times, once for every row."
        );
        assert_eq!(finding.stake.ms, Some(40.0));
        assert!(fires(ID, &scan("(NOT (SubPlan 1))", &sub)).advice.contains("NOT EXISTS"));
        silent(ID, &scan("(NOT (hashed SubPlan 1))", &sub));
        silent(ID, &scan("(a > 1)", &but(&sub, "Actual Loops", json!(900))));
        silent(ID, &scan("(a > 1)", &but(&sub, "Parent Relationship", json!("InitPlan"))));
    }

    #[test]
    fn a_plan_that_was_not_run() {
        let sub = json!({"Subplan Name": "SubPlan 1", "Total Cost": 8.0, "Plan Rows": 1});
        let sub = node("Index Scan", "SubPlan", sub, &[]);
        let scan = |filter: &str, rows: f64| {
            let keys = json!({"Plan Rows": rows, "Total Cost": 8.1 * rows, "Filter": filter});
            node("Seq Scan", "Outer", keys, std::slice::from_ref(&sub))
        };
        fires(ID, &scan("(SubPlan 1)", 20_000.0));
        silent(ID, &scan("(SubPlan 1)", 100.0));
        silent(ID, &scan("(alternatives: SubPlan 1 or hashed SubPlan 2)", 20_000.0));
    }
}
