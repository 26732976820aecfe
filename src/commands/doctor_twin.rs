//! `pgwright doctor --twin`: where the planner twin plans otherwise than the server.

use std::collections::BTreeMap;

use agent::optimize::{self, Checked, TwinCheck};
use agent::twin::TwinOptions;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use rules::fidelity::{COST_TOLERANCE, Comparison};
use serde::Serialize;

use super::Call;
use crate::cli::Format;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human::page::Page;
use crate::output::{self, json, units};
use crate::progress::Progress;
use crate::text;

/// Builds a twin of the server, compares, and prints what was found.
pub(super) async fn run(call: &Call, format: Format) -> Result<Exit, Failure> {
    let options = super::optimize::options(&call.settings.optimize)?;
    let info = call.conninfo()?;
    let progress = Progress::new(call.progress);
    let mut show = |event| super::optimize::show(&progress, event);
    let (sample, twin) = (&options.sample, TwinOptions::default());
    let explain_as = call.explain_as()?;
    let checking =
        optimize::check_twin(&info, explain_as.as_ref(), &call.meter, sample, &twin, &mut show);
    let check = Box::pin(checking).await.map_err(|error| super::optimize::failure(&error))?;
    let tally = Tally::of(&check.checked);
    let text = match format {
        Format::Human => human(&check, &tally, output::width()),
        Format::Json => json::pretty(&Wire::of(&check, tally)),
    };
    if !call.quiet || tally.same_plan_and_cost < tally.compared || tally.not_compared > 0 {
        output::deliver(&text, None)?;
    }
    Ok(Exit::Success)
}

/// How many plans were alike.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Tally {
    /// Plans compared: statements times their sets of values.
    compared: usize,
    same_plan: usize,
    /// Those whose costs agree to [`COST_TOLERANCE`].
    same_cost: usize,
    same_plan_and_cost: usize,
    /// Statements that have no plan on one of both.
    not_compared: usize,
}

impl Tally {
    fn of(checked: &[Checked]) -> Self {
        let mut tally = Self::default();
        for one in checked {
            match &one.outcome {
                Ok(comparison) => {
                    let (plan, cost) = (comparison.same_plan, comparison.same_cost());
                    tally.compared += 1;
                    tally.same_plan += usize::from(plan);
                    tally.same_cost += usize::from(cost);
                    tally.same_plan_and_cost += usize::from(plan && cost);
                }
                Err(_) => tally.not_compared += 1,
            }
        }
        tally
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    ready_ms: f64,
    tally: Tally,
    notes: &'a [String],
    plans: Vec<WirePlan<'a>>,
}

#[derive(Serialize)]
struct WirePlan<'a> {
    statement: &'a str,
    text: &'a str,
    /// Where the values come from; none where there is no plan.
    binding: Option<&'a str>,
    /// The cost on the twin in terms of the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_compared: Option<&'a str>,
}

impl<'a> Wire<'a> {
    fn of(check: &'a TwinCheck, tally: Tally) -> Self {
        let plan = |checked: &'a Checked| {
            let statement = &check.snapshot.statements[checked.statement];
            let comparison = checked.outcome.as_ref().ok();
            WirePlan {
                statement: &statement.id,
                text: &statement.text,
                binding: checked.binding.as_ref().map(|binding| binding.label.as_str()),
                ratio: comparison.map(Comparison::ratio),
                comparison,
                not_compared: checked.outcome.as_ref().err().map(String::as_str),
            }
        };
        Self {
            format: 1,
            ready_ms: check.ready.as_secs_f64() * 1000.0,
            tally,
            notes: &check.notes,
            plans: check.checked.iter().map(plan).collect(),
        }
    }
}

fn human(check: &TwinCheck, tally: &Tally, width: usize) -> String {
    const INDENT: usize = 2;
    let mut page = Page::new(width);
    page.text(&format!(
        "The twin was ready in {}. Of {} compared it plans {} as the server does, and {} at the same cost (within {}).",
        units::duration(check.ready.as_secs_f64() * 1000.0),
        units::plural(tally.compared, "plan", "plans"),
        tally.same_plan,
        tally.same_cost,
        units::percent(COST_TOLERANCE),
    ));
    for note in &check.notes {
        page.labelled("note", &text::line(note));
    }
    if tally.compared > 0 {
        page.blank();
        for line in table(check) {
            page.whole_line(0, &line);
        }
    }
    // A reason is told once, with the statements that it holds for.
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for checked in &check.checked {
        let id = check.snapshot.statements[checked.statement].id.as_str();
        match &checked.outcome {
            Ok(comparison) if !comparison.same_plan || !comparison.same_cost() => {
                page.blank();
                page.text(&format!("{id}{}", values(checked)));
                for difference in &comparison.differences {
                    page.indented(INDENT, &text::line(difference));
                }
            }
            Ok(_) => {}
            Err(reason) => reasons.entry(reason).or_default().push(id),
        }
    }
    if !reasons.is_empty() {
        page.blank();
        page.text("Not compared:");
        for (reason, ids) in reasons {
            page.indented(INDENT, &format!("{}: {}", text::line(reason), ids.join(", ")));
        }
    }
    page.finish()
}

/// Which of several sets of values it is.
fn values(checked: &Checked) -> String {
    let label = checked.binding.as_ref().map(|binding| binding.label.as_str());
    match label {
        None | Some("only") => String::new(),
        Some(label) => format!(" with {label} values"),
    }
}

/// One line for each plan that was compared.
fn table(check: &TwinCheck) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .force_no_tty();
    table.set_header(["statement", "values", "same plan", "cost here", "on the twin", "ratio"]);
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for checked in &check.checked {
        let Ok(comparison) = &checked.outcome else { continue };
        table.add_row([
            check.snapshot.statements[checked.statement].id.clone(),
            checked.binding.as_ref().map_or(String::new(), |binding| text::line(&binding.label)),
            if comparison.same_plan { "yes" } else { "NO" }.to_owned(),
            units::cost(comparison.source_cost),
            units::cost(comparison.twin_cost),
            format!("{:.4}", comparison.ratio()),
        ]);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent::optimize::{Checked, TwinCheck};
    use rules::bindings::Binding;
    use rules::fidelity::Comparison;
    use rules::testing::{snapshot, statement};

    use super::{Tally, Wire, human};

    fn check() -> TwinCheck {
        let mut snapshot = snapshot("t(id int8 pk, note text) 100000");
        for text in ["SELECT 1 FROM t", "SELECT 2 FROM t", "SELECT 3 FROM t"] {
            snapshot.statements.push(statement(text));
        }
        let binding = |label: &str| {
            Some(Binding { values: Vec::new(), weight: 1.0, label: label.to_owned() })
        };
        let comparison = |same_plan, twin_cost, differences: &[&str]| Comparison {
            same_plan,
            source_cost: 100.0,
            twin_cost,
            differences: differences.iter().map(|&text| text.to_owned()).collect(),
        };
        let checked = vec![
            Checked {
                statement: 0,
                binding: binding("only"),
                outcome: Ok(comparison(true, 100.0, &[])),
            },
            Checked {
                statement: 1,
                binding: binding("rare"),
                outcome: Ok(comparison(
                    false,
                    120.0,
                    &["t: Seq Scan on t; on the twin Index Scan"],
                )),
            },
            Checked { statement: 2, binding: None, outcome: Err("it names \u{1b}f".to_owned()) },
        ];
        let (notes, ready) = (vec!["no extension x".to_owned()], Duration::from_millis(2500));
        TwinCheck { snapshot, checked, notes, ready }
    }

    #[test]
    fn what_differs_is_shown_with_the_statement() {
        let check = check();
        let shown = human(&check, &Tally::of(&check.checked), 100);
        let shown = anstream::adapter::strip_str(&shown).to_string();
        let id = &check.snapshot.statements[1].id;
        assert!(shown.contains("ready in 2.5 s. Of 2 plans compared it plans 1"), "{shown}");
        assert!(shown.contains(&format!("{id} with rare values\n  t: Seq Scan on t;")), "{shown}");
        assert!(shown.contains("NO"), "{shown}");
        assert!(shown.contains("it names \\u{1b}f"), "{shown}");
    }

    #[test]
    fn the_json_says_the_same() {
        let check = check();
        let wire = Wire::of(&check, Tally::of(&check.checked));
        let json = serde_json::to_value(&wire).unwrap();
        assert_eq!(json["tally"]["same_plan_and_cost"], 1);
        assert_eq!(json["plans"][1]["ratio"], 1.2);
        assert_eq!(json["plans"][1]["same_plan"], false);
        assert_eq!(json["plans"][2]["not_compared"], "it names \u{1b}f");
        assert!(json["plans"][2].get("source_cost").is_none());
    }
}
