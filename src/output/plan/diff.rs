//! `--diff OLD NEW`: what changed between two plans of one statement, for people, for programs and for a ticket.

use planparse::{Change, Diff, Figures, Finding, OperatorChange, Parsed};
use serde::Serialize;

use super::human::{blocks, change};
use super::json::VERSION;
use super::{Sheet, markdown, time, weight, words};
use crate::output::human::page::Page;
use crate::output::{json, units};
use crate::text;

/// Operators told; more are counted.
const OPERATORS_MAX: usize = 20;

/// What is told of a pair of plans.
#[derive(Serialize)]
pub(crate) struct Comparison<'a> {
    #[serde(skip)]
    pub(super) old: Sheet<'a>,
    #[serde(skip)]
    pub(super) new: Sheet<'a>,
    /// What changed.
    #[serde(flatten)]
    pub(super) diff: Diff,
    /// Findings of the old plan that the new one does not have, by pattern and operator's name.
    gone: Vec<Finding>,
    /// Findings that only the new one has.
    #[serde(rename = "new")]
    added: Vec<Finding>,
}

#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    diffs: &'a [Comparison<'a>],
}

impl<'a> Comparison<'a> {
    pub(crate) fn of(old: &'a Parsed, new: &'a Parsed) -> Self {
        let (old, new) = (Sheet::of(old), Sheet::of(new));
        let diff = planparse::diff(old.plan(), new.plan());
        let (gone, added) = (without(&old, &new), without(&new, &old));
        Self { old, new, diff, gone, added }
    }

    /// `Plan 2 of 3`, where there are several.
    pub(super) fn title(position: usize, several: usize) -> String {
        match several {
            1 => "What changed".to_owned(),
            several => format!("What changed in plan {} of {several}", position + 1),
        }
    }
}

/// Findings of one plan that the other does not have, by pattern and operator's name.
fn without(one: &Sheet<'_>, other: &Sheet<'_>) -> Vec<Finding> {
    fn name(sheet: &Sheet<'_>, finding: &Finding) -> Option<String> {
        let (id, plan) = (finding.operator?, sheet.plan());
        Some(planparse::label(plan.operator(id), plan.link(id)))
    }
    let known = |finding: &&Finding| {
        let same = |that: &Finding| {
            that.pattern == finding.pattern && name(other, that) == name(one, finding)
        };
        !other.findings.iter().any(same)
    };
    one.findings.iter().filter(known).cloned().collect()
}

/// The form for programs.
pub(crate) fn wire(pairs: &[Comparison<'_>]) -> String {
    json::pretty(&Wire { format: VERSION, diffs: pairs })
}

/// The form for people.
pub(crate) fn human(pairs: &[Comparison<'_>], width: usize) -> String {
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
pub(crate) fn markdown(pairs: &[Comparison<'_>]) -> String {
    let mut out = String::new();
    for (position, pair) in pairs.iter().enumerate() {
        let title = Comparison::title(position, pairs.len());
        let gap = if position > 0 { "\n" } else { "" };
        out.push_str(&format!("{gap}## {title}\n\n"));
        for (label, told) in told(pair) {
            out.push_str(&format!("- **{label}**: {}\n", markdown::escaped(&text::line(&told))));
        }
    }
    out
}

/// Everything that is told, each with its label.
pub(super) fn told(pair: &Comparison<'_>) -> Vec<(&'static str, String)> {
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
    told.extend(pair.added.iter().map(|it| ("new finding", finding(it))));
    told
}

/// One operator's change, where it is more than noise.
pub(super) fn operator(change: &OperatorChange) -> Option<(&'static str, String)> {
    match (change.figures.old, change.figures.new) {
        (Some(old), None) => Some(("gone", with(&change.name, &alone(old)))),
        (None, Some(new)) => Some(("added", with(&change.name, &alone(new)))),
        (Some(old), Some(new)) => {
            let mut parts: Vec<String> = figures(old, new).into_iter().collect();
            if change.estimate_changed() {
                let rows =
                    |it: Figures| it.estimated_rows.map(|rows| units::count(rows.round() as u64));
                parts.extend(
                    super::human::change(rows(old), rows(new)).map(|it| it + " rows expected"),
                );
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
    let cost = || figures.cost.map(|cost| format!("cost {}", units::cost(cost)));
    figures.ms.map(time).or_else(cost).unwrap_or_default()
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
        old.cost
            .zip(new.cost)
            .filter(|(old, new)| timed.is_none() && moved(*old, *new))
            .map(|(old, new)| (Some(units::cost(old)), Some(units::cost(new)), " cost")),
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
    use planparse::Reading;

    use super::{Comparison, human, markdown, wire};

    fn readings() -> [Reading; 2] {
        let plan = |node: &str, ms: f64, removed: u64, rows: u64| {
            format!(
                r#"[{{"Plan": {{"Node Type": "{node}", "Relation Name": "orders", "Alias": "o", "Index Name": "orders_x",
                "Total Cost": {ms}, "Plan Rows": {rows}, "Actual Startup Time": 0.1, "Actual Total Time": {ms}, "Actual Rows": 10,
                "Actual Loops": 1, "Filter": "(a = 1)", "Rows Removed by Filter": {removed}}}, "Execution Time": {ms}}}]"#
            )
        };
        let old = planparse::read(plan("Seq Scan", 90.0, 50_000, 1000)).unwrap();
        let new = planparse::read(plan("Index Scan", 2.0, 0, 10)).unwrap();
        [old, new]
    }

    #[test]
    fn a_new_finding_is_told_apart_from_its_label() {
        let [old, new] = readings();
        let pairs = [Comparison::of(&new.plans[0], &old.plans[0])];
        let text = anstream::adapter::strip_str(&human(&pairs, 100)).to_string();
        assert!(text.contains("new finding discarding scan, 100 % of the time"), "{text}");
    }

    #[test]
    fn temporary_files_have_the_size_that_the_header_gives_them() {
        let plan = |written: u64| {
            let text = format!(
                r#"[{{"Plan": {{"Node Type": "Sort", "Actual Total Time": 9, "Actual Rows": 1, "Actual Loops": 1,
                "Temp Read Blocks": {written}, "Temp Written Blocks": {written}}}}}]"#
            );
            planparse::read(text).unwrap()
        };
        let (old, new) = (plan(1280), plan(0));
        let text = human(&[Comparison::of(&old.plans[0], &new.plans[0])], 100);
        assert!(text.contains("10 MB → 0 bytes of temporary files"), "{text}");
        let facts = super::Sheet::of(&old.plans[0]).facts().join(" · ");
        assert!(facts.contains("10 MB of temporary files"), "{facts}");
    }

    #[test]
    fn changes_are_told_with_figures() {
        let [old, new] = readings();
        let pairs = [Comparison::of(&old.plans[0], &new.plans[0])];
        let text = anstream::adapter::strip_str(&human(&pairs, 100)).to_string();
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
        assert!(markdown(&pairs).contains("- **scan**: o: Seq Scan using orders\\_x"));
        let value: serde_json::Value = serde_json::from_str(&wire(&pairs)).unwrap();
        assert_eq!(
            (&value["format"], &value["diffs"][0]["same_shape"]),
            (&1.into(), &false.into())
        );
        assert_eq!(value["diffs"][0]["gone"][0]["pattern"], "discarding_scan");
    }
}
