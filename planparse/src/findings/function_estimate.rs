use super::context::Text;
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, misestimate};
use crate::OperatorId;
use crate::display::shown;

declare_pattern! {
    /// A function in FROM that returns ten times more or fewer rows than the planner was told.
    ///
    /// # Why
    /// The planner cannot look into a function: it expects what `CREATE FUNCTION … ROWS` says, 1,000 if nothing is said, and chooses
    /// everything above by that number.
    ///
    /// # Fires when
    /// Estimated and actual rows of a function scan differ by ten times or more, on 1,000 rows or more over all loops.
    ///
    /// # Silent when
    /// The scan was stopped early and gave fewer rows; nothing above went wrong by it, as
    /// `misestimate` tells it; the statement was not run.
    ///
    /// # What to do
    /// Tell the planner with ROWS, or with a support function where it depends on the arguments.
    FunctionEstimate {
        id: "function_estimate",
        summary: "function scan that returns ten times more or fewer rows than declared",
    }
}

impl Pattern for FunctionEstimate {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let wrong =
            cx.operators().map(|(id, ..)| id).filter(|id| misestimate::is_function(cx, *id));
        wrong
            .filter(|id| misestimate::is_wrong(cx, *id))
            .filter_map(|id| of(self, cx, id))
            .collect()
    }
}

fn of(pattern: &FunctionEstimate, cx: &Context<'_>, id: OperatorId) -> Option<Finding> {
    let what = misestimate::told(cx, id)?;
    let rows = cx.operator(id).actual?.rows.round().max(1.0);
    let advice = match &cx.operator(id).function_name {
        Some(function) => format!(
            "Declare it: `ALTER FUNCTION {}(…) ROWS {rows:.0}`; for a function of the server, such as unnest, put its rows into a \
             temporary table with its own ANALYZE.",
            shown(function)
        ),
        None => "Put its rows into a temporary table with its own ANALYZE.".to_owned(),
    };
    let consequence = misestimate::Consequence::of(cx, id);
    let why = format!("The planner cannot look into a function. {}", consequence.told(cx, id));
    cx.finding(pattern.meta(), Some(id), consequence.at_stake, Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    #[test]
    fn fires_on_the_default_of_a_thousand_rows() {
        let keys = json!({"Function Name": "open_orders", "Alias": "o", "Plan Rows": 1000});
        let scan = node("Function Scan", "Outer", exact(50.0, 40_000.0, 1.0, json!({})), &[]);
        let scan = crate::testing::with(scan, keys);
        let spilled = json!({"Sort Space Type": "Disk", "Sort Space Used": 4000});
        let sorted =
            |scan| node("Sort", "Outer", exact(80.0, 40_000.0, 1.0, spilled.clone()), &[scan]);
        let finding = fires("function_estimate", &sorted(scan.clone()));
        assert_eq!(finding.stake.ms, Some(30.0));
        assert!(finding.what.contains("40 times more rows"), "{}", finding.what);
        assert!(
            finding.advice.contains("ALTER FUNCTION open_orders(…) ROWS 40000"),
            "{}",
            finding.advice
        );
        silent("misestimate", &sorted(scan.clone()));
        silent("function_estimate", &scan);
        silent("function_estimate", &sorted(but(&scan, "Actual Rows", json!(2000))));
        let limit = node(
            "Limit",
            "Outer",
            exact(50.0, 10.0, 1.0, json!({})),
            &[but(&scan, "Actual Rows", json!(10))],
        );
        silent("function_estimate", &limit);
    }
}
