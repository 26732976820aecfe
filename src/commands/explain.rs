//! `pgwright explain FILE|-`: what one EXPLAIN output says.

use std::fmt::Write as _;

use planparse::{Parsed, Plan, Problem};
use serde::Serialize;

use crate::cli::{ExplainArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output::{self, json};
use crate::text;

/// No plan is that large: a partitioned table of ten thousand parts gives some 10 MiB.
const BYTES_MAX: u64 = 256 << 20;

/// The JSON form.
#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    plans: Vec<WirePlan<'a>>,
}

#[derive(Serialize)]
struct WirePlan<'a> {
    summary: Vec<String>,
    plan: &'a Plan,
    metrics: Vec<planparse::Metrics>,
    problems: &'a [Problem],
}

/// Reads the file and prints what it says.
pub(crate) fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let name = args.file.display().to_string();
    let read = if name == "-" {
        input::read(std::io::stdin().lock(), BYTES_MAX)
    } else {
        input::read_file(&args.file, BYTES_MAX)
    };
    let input = read.map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read the plan `{name}`")).caused_by(&error)
    })?;
    let parsed = planparse::parse(&String::from_utf8_lossy(&input)).map_err(|error| {
        Failure::new(Exit::Usage, format!("`{name}` gives no plan")).caused_by(&error)
    })?;
    let text = match args.format {
        Format::Human => human(&parsed),
        Format::Json => wire(&parsed),
    };
    output::deliver(&text, None)?;
    Ok(Exit::Success)
}

fn wire(parsed: &[Parsed]) -> String {
    let plans = parsed.iter().map(|one| WirePlan {
        summary: planparse::summary(&one.plan),
        plan: &one.plan,
        metrics: one.plan.metrics().into_values().collect(),
        problems: &one.problems,
    });
    json::pretty(&Wire { format: 1, plans: plans.collect() })
}

fn human(parsed: &[Parsed]) -> String {
    let bold = anstyle::Style::new().bold();
    let mut out = String::new();
    for (position, one) in parsed.iter().enumerate() {
        if parsed.len() > 1 {
            let _ = writeln!(
                out,
                "{}{bold}Plan {} of {}{bold:#}\n",
                if position > 0 { "\n" } else { "" },
                position + 1,
                parsed.len()
            );
        }
        for sentence in planparse::summary(&one.plan) {
            let _ = writeln!(out, "{bold}•{bold:#} {}", text::line(&sentence));
        }
        let _ = writeln!(out, "\n{}", text::visible(planparse::tree(&one.plan).trim_end()));
        for problem in &one.problems {
            let _ = writeln!(out, "note: {}", text::line(&problem.to_string()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{human, wire};

    const PLAN: &str = r#"[{"Plan": {"Node Type": "Limit", "Startup Cost": 1.0, "Total Cost": 35.5, "Plan Rows": 10,
        "Plan Width": 4, "Plans": [{"Node Type": "Seq Scan", "Parent Relationship": "Outer", "Relation Name": "or\u001bders",
        "Alias": "o", "Startup Cost": 0.0, "Total Cost": 35.5, "Plan Rows": 2550, "Plan Width": 4, "Nonsense": 1}]}}]"#;

    #[test]
    fn a_plan_is_summed_up_and_drawn_without_control_characters() {
        let parsed = planparse::parse(PLAN).unwrap();
        let text = anstream::adapter::strip_str(&human(&parsed)).to_string();
        assert!(text.contains("Limit") && text.contains("└─ Seq Scan"), "{text}");
        assert!(text.contains("note: ") && text.contains("`Nonsense`"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn the_json_holds_summary_operators_metrics_and_problems() {
        let value: serde_json::Value =
            serde_json::from_str(&wire(&planparse::parse(PLAN).unwrap())).unwrap();
        assert_eq!(value["format"], 1);
        let plan = &value["plans"][0];
        assert_eq!(plan["metrics"].as_array().unwrap().len(), 2);
        assert_eq!(plan["problems"][0]["problem"], "unknown_key");
        assert!(plan["summary"].is_array() && plan["plan"]["operators"].is_array());
    }
}
