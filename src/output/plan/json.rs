//! `--format json`: everything that was read and found, versioned.

use planparse::{Finding, Format, Metrics, Note, Plan, Problem};
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
    plan: Part<'a, Plan>,
    metrics: Part<'a, [Metrics]>,
    problems: &'a [Problem],
}

/// A part of what was read, as it is or without what was not printed.
#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a, T: ?Sized> {
    Whole(&'a T),
    Without(Value),
}

/// Estimates that COSTS OFF left out, which the types have as zeros; of the metrics, `rows` are those that came.
const ESTIMATES: &[&str] = &["startup_cost", "total_cost", "rows", "width"];

fn printed_plan(plan: &Plan) -> Part<'_, Plan> {
    if plan.has_costs() {
        return Part::Whole(plan);
    }
    let mut value = serde_json::to_value(plan).unwrap_or_default();
    for entry in value.get_mut("operators").and_then(Value::as_array_mut).into_iter().flatten() {
        strip(entry.get_mut("operator"), ESTIMATES);
    }
    Part::Without(value)
}

fn printed_metrics<'a>(metrics: &'a [Metrics], plan: &Plan) -> Part<'a, [Metrics]> {
    if plan.has_costs() {
        return Part::Whole(metrics);
    }
    let mut value = serde_json::to_value(metrics).unwrap_or_default();
    for entry in value.as_array_mut().into_iter().flatten() {
        strip(Some(entry), &["exclusive_cost"]);
    }
    Part::Without(value)
}

fn strip(object: Option<&mut Value>, names: &[&str]) {
    if let Some(fields) = object.and_then(Value::as_object_mut) {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// The whole text.
pub(crate) fn render(sheets: &Sheets<'_>) -> String {
    let plans = sheets.sheets.iter().map(|sheet| WirePlan {
        line: sheet.parsed.line,
        read_as: sheet.parsed.format,
        summary: planparse::summary(sheet.plan()),
        findings: &sheet.findings,
        plan: printed_plan(sheet.plan()),
        metrics: printed_metrics(&sheet.metrics, sheet.plan()),
        problems: &sheet.parsed.problems,
    });
    pretty(&Wire { format: VERSION, plans: plans.collect(), notes: sheets.notes })
}

#[cfg(test)]
mod tests {
    use super::super::{Sheets, testing};

    #[test]
    fn what_was_not_printed_is_left_out() {
        let text = "Seq Scan on t (actual rows=7 loops=1)\n  Filter: (a = 1)\n";
        let reading = planparse::read(text).unwrap();
        let text = super::render(&Sheets::of(&reading.plans, &reading.notes));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let plan = &value["plans"][0];
        let operator = &plan["plan"]["operators"][0]["operator"];
        assert_eq!((&operator["actual"]["rows"], &operator["rows"]), (&7.0.into(), &().into()));
        for name in ["startup_cost", "total_cost", "width"] {
            assert!(operator.get(name).is_none(), "{name}");
        }
        assert_eq!(plan["metrics"][0]["rows"], 7.0);
        assert!(plan["metrics"][0].get("exclusive_cost").is_none());
    }

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
