use super::context::{FEW_ROWS, Text, percent, rows};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::shown;
use crate::{OperatorId, OperatorKind};

/// Of ten rows that the CTE gives, at most one passes the filter outside.
const DISCARDED_SHARE: f64 = 0.9;

declare_pattern! {
    /// A common table expression that is computed whole, though the conditions outside want little of it.
    ///
    /// # Why
    /// A materialized CTE is a fence: conditions from outside do not get in, and indexes below cannot serve them.
    ///
    /// # Fires when
    /// Everyone who reads the CTE filters it, and 90 % of its rows or more, and 1,000 or more, are discarded.
    ///
    /// # Silent when
    /// One reader takes it whole; it is recursive or changes data, and so must be computed by itself; fewer rows are discarded.
    ///
    /// # What to do
    /// Write NOT MATERIALIZED (from version 12 on; before, a subquery in FROM), or put the condition inside.
    FencedCte {
        id: "fenced_cte",
        summary: "CTE that is computed whole and mostly discarded",
    }
}

impl Pattern for FencedCte {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let ctes = cx.operators().filter(|(_, operator, _)| {
            operator.subplan_name.as_deref().is_some_and(|name| name.starts_with("CTE "))
                && !matches!(
                    operator.kind,
                    OperatorKind::ModifyTable | OperatorKind::RecursiveUnion
                )
        });
        ctes.filter_map(|(id, ..)| of(self, cx, id)).collect()
    }
}

fn of(pattern: &FencedCte, cx: &Context<'_>, id: OperatorId) -> Option<Finding> {
    let readers = cx.plan.readers(id);
    let operator = cx.operator(id);
    let made = cx.metrics(id).rows.unwrap_or(operator.rows);
    let mut kept = 0.0;
    for reader in &readers {
        let scan = cx.operator(*reader);
        scan.filter.as_deref().filter(|filter| !filter.contains("SubPlan "))?;
        // A scan that runs again reads the stored rows again: per run is what counts.
        kept += scan.actual.map_or(scan.rows, |actual| actual.rows);
    }
    let discarded = made - kept;
    if readers.is_empty() || discarded < FEW_ROWS || discarded < DISCARDED_SHARE * made {
        return None;
    }
    let filter = readers.first().and_then(|reader| cx.operator(*reader).filter.as_deref())?;
    let what = format!(
        "{} is computed whole for {}, and {} discards {} of them.",
        operator.subplan_name.as_deref().map(shown)?,
        rows(made),
        shown(filter),
        percent(discarded / made)
    );
    let why = "Conditions from outside do not get into a materialized CTE, and indexes below cannot serve them.".to_owned();
    let advice = match readers.len() {
        1 => {
            "Write `AS NOT MATERIALIZED` (from version 12 on; before, a subquery in FROM), or put the condition inside."
        }
        _ => {
            "Put the conditions inside, or write `AS NOT MATERIALIZED`: it is then computed for each reader, but only as far as \
              that one needs it."
        }
    };
    let at_stake = cx.below(id) + readers.iter().map(|reader| cx.own(*reader)).sum::<f64>();
    cx.finding(pattern.meta(), Some(id), at_stake, Text { what, why, advice: advice.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "fenced_cte";

    fn reading(cte: &Value, scans: &[Value]) -> Value {
        let mut below = vec![cte.clone()];
        below.extend_from_slice(scans);
        node("Append", "Outer", exact(100.0, 10.0, 1.0, json!({})), &below)
    }

    fn cte() -> Value {
        node(
            "Seq Scan",
            "InitPlan",
            exact(60.0, 50_000.0, 1.0, json!({"Subplan Name": "CTE x"})),
            &[],
        )
    }

    fn scan() -> Value {
        let keys = json!({"CTE Name": "x", "Filter": "(a = 1)", "Rows Removed by Filter": 49_990});
        node("CTE Scan", "Member", exact(90.0, 10.0, 1.0, keys), &[])
    }

    #[test]
    fn fires_on_a_filter_outside() {
        let finding = fires(ID, &reading(&cte(), &[scan()]));
        assert_eq!(
            finding.what,
            "CTE x is computed whole for 50,000 rows, and (a = 1) discards more than 99.9 % of them."
        );
        assert_eq!(finding.stake.ms, Some(90.0));
        assert!(fires(ID, &reading(&cte(), &[scan(), scan()])).advice.contains("for each reader"));
    }

    #[test]
    fn a_cte_that_is_wanted_or_has_to_be_is_none_of_it() {
        let whole = but(&but(&scan(), "Filter", Value::Null), "Actual Rows", json!(50_000));
        let mut whole = whole;
        whole.as_object_mut().unwrap().remove("Filter");
        silent(ID, &reading(&cte(), &[scan(), whole.clone()]));
        silent(ID, &reading(&cte(), &[whole]));
        silent(ID, &reading(&cte(), &[but(&scan(), "Actual Rows", json!(9000))]));
        silent(ID, &reading(&but(&cte(), "Node Type", json!("ModifyTable")), &[scan()]));
        silent(ID, &reading(&but(&cte(), "Node Type", json!("Recursive Union")), &[scan()]));
    }

    #[test]
    fn a_plan_that_was_not_run() {
        let cte = node(
            "Seq Scan",
            "InitPlan",
            json!({"Subplan Name": "CTE x", "Total Cost": 900.0, "Plan Rows": 50_000}),
            &[],
        );
        let scan = |rows| json!({"CTE Name": "x", "Filter": "(a = 1)", "Total Cost": 100.0, "Plan Rows": rows});
        let reading = |rows| {
            let scan = node("CTE Scan", "Outer", scan(rows), &[]);
            node(
                "Limit",
                "Outer",
                json!({"Total Cost": 1000.0, "Plan Rows": 250}),
                &[cte.clone(), scan],
            )
        };
        fires(ID, &reading(250));
        silent(ID, &reading(25_000));
    }
}
