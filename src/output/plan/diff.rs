//! `--diff OLD NEW`: what changed between two plans of one statement, for people, for programs and for a ticket.

use planparse::{Change, Diff, Figures, Finding, OperatorChange, Parsed};
use serde::Serialize;

use super::human::{blocks, change};
use super::json::VERSION;
use super::{markdown, time, weight, words};
use crate::output::human::page::Page;
use crate::output::{json, units};
use crate::text;

/// Operators told; more are counted.
const OPERATORS_MAX: usize = 20;

/// What is told of a pair of plans.
#[derive(Serialize)]
pub(crate) struct Comparison {
    /// What changed.
    #[serde(flatten)]
    diff: Diff,
    /// Findings of the old plan that the new one does not have, by pattern and operator's name.
    gone: Vec<Finding>,
    /// Findings that only the new one has.
    new: Vec<Finding>,
}

#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    diffs: &'a [Comparison],
}

impl Comparison {
    pub(crate) fn of(old: &Parsed, new: &Parsed) -> Self {
        let found = |parsed: &Parsed| {
            let name = |finding: &Finding| {
                let id = finding.operator?;
                Some(planparse::label(parsed.plan.operator(id), parsed.plan.link(id)))
            };
            let findings = planparse::findings(&parsed.plan).into_iter();
            findings.map(|finding| (name(&finding), finding)).collect::<Vec<_>>()
        };
        let (before, after) = (found(old), found(new));
        let without = |these: &[(Option<String>, Finding)], those: &[(Option<String>, Finding)]| {
            let known = |(name, finding): &&(Option<String>, Finding)| {
                those.iter().any(|(other, that)| other == name && that.pattern == finding.pattern)
            };
            these.iter().filter(|one| !known(one)).map(|(_, finding)| finding.clone()).collect()
        };
        let diff = planparse::diff(&old.plan, &new.plan);
        Self { diff, gone: without(&before, &after), new: without(&after, &before) }
    }
}

/// The form for programs.
pub(crate) fn wire(pairs: &[Comparison]) -> String {
    json::pretty(&Wire { format: VERSION, diffs: pairs })
}

/// The form for people.
pub(crate) fn human(pairs: &[Comparison], width: usize) -> String {
    let mut page = Page::new(width);
    for (position, pair) in pairs.iter().enumerate() {
        if position > 0 {
            page.blank();
        }
        if pairs.len() > 1 {
            page.text(&format!("Plan {} of {}", position + 1, pairs.len()));
            page.blank();
        }
        for (label, told) in told(pair) {
            page.labelled(label, &text::line(&told));
        }
    }
    page.finish()
}

/// The form for a ticket.
pub(crate) fn markdown(pairs: &[Comparison]) -> String {
    let mut out = String::new();
    for (position, pair) in pairs.iter().enumerate() {
        let title = match pairs.len() {
            1 => "What changed".to_owned(),
            several => format!("What changed in plan {} of {several}", position + 1),
        };
        let gap = if position > 0 { "\n" } else { "" };
        out.push_str(&format!("{gap}## {title}\n\n"));
        for (label, told) in told(pair) {
            out.push_str(&format!("- **{label}**: {}\n", markdown::escaped(&text::line(&told))));
        }
    }
    out
}

/// Everything that is told, each with its label.
fn told(pair: &Comparison) -> Vec<(&'static str, String)> {
    let diff = &pair.diff;
    let mut told = Vec::new();
    let shape = if diff.same_shape {
        "the same operators in the same order; only figures changed"
    } else {
        "another plan"
    };
    told.push(("plan", shape.to_owned()));
    told.extend(figures(diff.total.old, diff.total.new).map(|total| ("statement", total)));
    if let Some(order) = &diff.join_order {
        told.push(("join order", format!("{} → {}", order.old.join(", "), order.new.join(", "))));
    }
    let arrow = |change: &Change<String>| format!("{} → {}", change.old, change.new);
    for scan in &diff.scans {
        told.push(("scan", format!("{}: {}", scan.alias, arrow(&scan.scan))));
    }
    for join in &diff.joins {
        let aliases: Vec<&str> = join.aliases.iter().map(String::as_str).collect();
        told.push(("join", format!("{}: {}", aliases.join(", "), arrow(&join.join))));
    }
    let operators: Vec<(&str, String)> = diff.operators.iter().filter_map(operator).collect();
    let more = operators.len().saturating_sub(OPERATORS_MAX);
    told.extend(operators.into_iter().take(OPERATORS_MAX));
    if more > 0 {
        told.push(("", format!("and {}", units::plural(more, "operator more", "operators more"))));
    }
    let finding = |finding: &Finding| {
        format!("{}, {}: {}", words(finding.pattern), weight(finding), finding.what)
    };
    told.extend(pair.gone.iter().map(|it| ("mended", finding(it))));
    told.extend(pair.new.iter().map(|it| ("new finding", finding(it))));
    told
}

/// One operator's change, where it is more than noise.
fn operator(change: &OperatorChange) -> Option<(&'static str, String)> {
    match (change.figures.old, change.figures.new) {
        (Some(old), None) => Some(("gone", with(&change.name, &alone(old)))),
        (None, Some(new)) => Some(("added", with(&change.name, &alone(new)))),
        (Some(old), Some(new)) => {
            let mut parts: Vec<String> = figures(old, new).into_iter().collect();
            if change.estimate_changed() {
                let rows = |figures: Figures| units::count(figures.estimated_rows.round() as u64);
                parts.push(format!("{} → {} rows expected", rows(old), rows(new)));
            }
            (!parts.is_empty()).then(|| ("changed", with(&change.name, &parts.join(", "))))
        }
        (None, None) => None,
    }
}

fn with(name: &str, figures: &str) -> String {
    if figures.is_empty() { name.to_owned() } else { format!("{name}: {figures}") }
}

/// The weightiest figure of an operator that is in one plan only.
fn alone(figures: Figures) -> String {
    figures.ms.map_or_else(|| format!("cost {}", units::cost(figures.cost)), time)
}

/// What changed of the figures by a tenth or more, joined by commas; none where nothing did.
fn figures(old: Figures, new: Figures) -> Option<String> {
    let moved = |old: f64, new: f64| (old - new).abs() > 0.1 * old.max(new);
    let timed = old.ms.zip(new.ms);
    let pairs = [
        timed
            .filter(|(old, new)| moved(*old, *new) && old.max(*new) >= 0.1)
            .map(|(old, new)| (Some(time(old)), Some(time(new)), "")),
        // Without times cost has to do.
        (timed.is_none() && moved(old.cost, new.cost))
            .then(|| (Some(units::cost(old.cost)), Some(units::cost(new.cost)), " cost")),
        sizes(old.blocks, new.blocks).map(|(old, new)| (old, new, " touched")),
        sizes(old.blocks_read, new.blocks_read).map(|(old, new)| (old, new, " read")),
        sizes(old.temp_blocks, new.temp_blocks).map(|(old, new)| (old, new, " of temporary files")),
        counted(old).zip(counted(new)).filter(|(old, new)| moved(*old, *new)).map(|(old, new)| {
            let rows = |rows: f64| Some(units::count(rows.round() as u64));
            (rows(old), rows(new), " rows")
        }),
    ];
    let told: Vec<String> = pairs
        .into_iter()
        .flatten()
        .filter_map(|(old, new, unit)| Some(format!("{}{unit}", change(old, new)?)))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Sizes that differ by a tenth or more.
fn sizes(old: Option<u64>, new: Option<u64>) -> Option<(Option<String>, Option<String>)> {
    let (old, new) = old.zip(new)?;
    let moved = old.abs_diff(new) > old.max(new) / 10;
    moved.then(|| (Some(blocks(old)), Some(blocks(new))))
}

/// Rows over all loops.
fn counted(figures: Figures) -> Option<f64> {
    Some(figures.rows? * figures.loops?)
}

#[cfg(test)]
mod tests {
    use super::{Comparison, human, markdown, wire};

    fn pair() -> Vec<Comparison> {
        let plan = |node: &str, ms: f64, removed: u64, rows: u64| {
            format!(
                r#"[{{"Plan": {{"Node Type": "{node}", "Relation Name": "orders", "Alias": "o", "Index Name": "orders_x",
                "Total Cost": {ms}, "Plan Rows": {rows}, "Actual Startup Time": 0.1, "Actual Total Time": {ms}, "Actual Rows": 10,
                "Actual Loops": 1, "Filter": "(a = 1)", "Rows Removed by Filter": {removed}}}, "Execution Time": {ms}}}]"#
            )
        };
        let old = planparse::read(plan("Seq Scan", 90.0, 50_000, 1000)).unwrap();
        let new = planparse::read(plan("Index Scan", 2.0, 0, 10)).unwrap();
        vec![Comparison::of(&old.plans[0], &new.plans[0])]
    }

    #[test]
    fn changes_are_told_with_figures() {
        let text = anstream::adapter::strip_str(&human(&pair(), 100)).to_string();
        for words in [
            "another plan",
            "90 ms → 2.00 ms",
            "o: Seq Scan using orders_x on orders o → Index Scan using orders_x on orders o",
            "1,000 → 10 rows expected",
            "mended",
            "discarding scan",
        ] {
            assert!(text.contains(words), "no {words} in\n{text}");
        }
        assert!(markdown(&pair()).contains("- **scan**: o: Seq Scan using orders\\_x"));
        let value: serde_json::Value = serde_json::from_str(&wire(&pair())).unwrap();
        assert_eq!(
            (&value["format"], &value["diffs"][0]["same_shape"]),
            (&1.into(), &false.into())
        );
        assert_eq!(value["diffs"][0]["gone"][0]["pattern"], "discarding_scan");
    }
}
