//! `--format json`: everything that was read and found, versioned.

use planparse::{Finding, Format, Note, Plan, Problem};
use serde::Serialize;
use serde_json::Value;

use super::Sheets;
use crate::output::json::pretty;

/// The version of the form; names are only added within one.
pub(crate) const VERSION: u32 = 1;

#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    plans: Vec<WirePlan<'a>>,
    notes: &'a [Note],
}

#[derive(Serialize)]
struct WirePlan<'a> {
    line: usize,
    read_as: Format,
    summary: Vec<String>,
    findings: &'a [Finding],
    plan: Value,
    metrics: Value,
    problems: &'a [Problem],
}

/// Without the estimates that COSTS OFF left out, which the types have as zeros.
fn printed(part: &impl Serialize, plan: &Plan) -> Value {
    let mut value = serde_json::to_value(part).unwrap_or_default();
    let list = match &mut value {
        Value::Array(metrics) => Some(metrics),
        whole => whole.get_mut("operators").and_then(Value::as_array_mut),
    };
    for entry in list.into_iter().flatten().filter(|_| !plan.has_costs()) {
        let entry = if entry.get("operator").is_some() { &mut entry["operator"] } else { entry };
        if let Some(fields) = entry.as_object_mut() {
            for name in ["startup_cost", "total_cost", "rows", "width", "exclusive_cost"] {
                // Of the metrics, `rows` are those that came.
                if name != "rows" || fields.contains_key("node_type") {
                    fields.remove(name);
                }
            }
        }
    }
    value
}

/// The whole text.
pub(crate) fn render(sheets: &Sheets<'_>) -> String {
    let plans = sheets.sheets.iter().map(|sheet| WirePlan {
        line: sheet.parsed.line,
        read_as: sheet.parsed.format,
        summary: planparse::summary(sheet.plan()),
        findings: &sheet.findings,
        plan: printed(sheet.plan(), sheet.plan()),
        metrics: printed(&sheet.metrics, sheet.plan()),
        problems: &sheet.parsed.problems,
    });
    pretty(&Wire { format: VERSION, plans: plans.collect(), notes: sheets.notes })
}

#[cfg(test)]
mod tests {
    use super::super::{Sheets, testing};

    #[test]
    fn it_holds_findings_operators_metrics_and_problems() {
        let reading = testing::hostile();
        let text = super::render(&Sheets::of(&reading.plans, &reading.notes));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["format"], &value["plans"][0]["read_as"]), (&1.into(), &"json".into()));
        let plan = &value["plans"][0];
        assert_eq!(plan["metrics"].as_array().unwrap().len(), 2);
        assert_eq!(plan["findings"][0]["pattern"], "discarding_scan");
        assert_eq!(plan["findings"][0]["operator"], 1);
        assert!(plan["findings"][0]["stake"]["share"].as_f64().unwrap() > 0.9);
        assert_eq!(plan["problems"][0]["problem"], "unknown_key");
        assert!(plan["plan"]["operators"].is_array() && value["notes"].is_array());
        assert!(!text.contains('\u{202e}'));
    }
}
