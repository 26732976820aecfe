//! One action of the report for people.

use std::fmt::Write as _;

use anstyle::Style;
use rules::change_plan::Help;
use rules::reach::Reach;
use rules::report::{ActionReport, FactReport};

use super::page::Page;
use super::{BOLD, CAUTION, Document, FAINT, GOOD, calls_of, total_ms};
use crate::output::{sql, units};
use crate::text;

/// Column at which an action's text begins.
const INDENT: usize = 4;
/// Column at which the text beside a label within an action begins.
const INNER: usize = INDENT + 11;
/// Cells of the confidence bar.
const CELLS: usize = 10;

/// What an action does, in a phrase: `create index on t (a, b DESC)`.
pub(super) fn headline(action: &ActionReport) -> String {
    let table = text::line(&action.table);
    let Some(index) = &action.index else {
        let words = action.kind.replace('_', " ");
        return match action.kind.as_str() {
            "create_statistics" => format!("{words} on {table}"),
            _ => format!("{words} {table}"),
        };
    };
    let keys = text::line(&index.keys.join(", "));
    let mut line = if action.kind == "create_index" {
        let method = if index.method == "btree" {
            String::new()
        } else {
            format!("{} ", text::line(&index.method))
        };
        format!("create {method}index on {table} ({keys})")
    } else {
        // The name stands in the statement only.
        let words = action.statement.strip_prefix("DROP INDEX ").unwrap_or_default();
        let name = words.strip_prefix("CONCURRENTLY ").unwrap_or(words);
        format!("drop index {} on {table} ({keys})", sql::one_line(name))
    };
    if !index.include.is_empty() {
        let _ = write!(line, " include ({})", text::line(&index.include.join(", ")));
    }
    if let Some(predicate) = &index.predicate {
        let _ = write!(line, " where {}", text::line(predicate));
    }
    line
}

/// Writes one action with its number.
pub(super) fn write(
    page: &mut Page,
    document: &Document<'_>,
    number: usize,
    action: &ActionReport,
) {
    page.blank();
    let hang = " ".repeat(INDENT);
    page.wrapped(&format!("{number:>2}  "), &hang, &format!("{BOLD}{}{BOLD:#}", headline(action)));
    verdict(page, document, action);
    let label = match saving(action) {
        None if action.impact.bytes.is_some_and(|bytes| bytes != 0) => "brings",
        _ => "saves",
    };
    let label = format!("{hang}{FAINT}{}{FAINT:#}", text::pad(label, INNER - INDENT));
    page.row(&label, &" ".repeat(INNER), &figures(document, action));
    let most = if document.verbose { usize::MAX } else { 3 };
    for (position, help) in action.helps.iter().take(most).enumerate() {
        helped(page, document, help, position == 0);
    }
    if action.helps.len() > most {
        let more = action.helps.len() - most;
        inner(
            page,
            FAINT,
            "",
            &format!(
                "and {}; -v shows all",
                units::plural(more, "more statement", "more statements")
            ),
        );
    }
    let told = |fact: &&FactReport| !action.by_a_person.contains(&fact.text);
    let facts = action.evidence.iter().filter(told).chain(&action.against);
    for (position, fact) in facts.enumerate() {
        stated(page, fact, position == 0);
    }
    script(page, document, "", &action.statement);
    script(page, document, &format!("{FAINT}-- undo:{FAINT:#} "), &action.undo);
}

/// As many statements of one action as a person reads; an index of a partitioned table needs two for each
/// partition.
const STATEMENTS: usize = 12;

/// Statements, one a line, behind a mark.
fn script(page: &mut Page, document: &Document<'_>, mark: &str, joined: &str) {
    let statements: Vec<&str> = sql::statements(joined).collect();
    let most = if document.verbose { usize::MAX } else { STATEMENTS };
    for statement in statements.iter().take(most) {
        page.whole_line(INDENT, &format!("{mark}{};", sql::one_line(statement)));
    }
    if statements.len() > most {
        let more = units::plural(statements.len() - most, "more statement", "more statements");
        page.whole_line(INDENT, &format!("{mark}{FAINT}-- {more}; --format sql has all{FAINT:#}"));
    }
}

fn inner(page: &mut Page, style: Style, label: &str, text: &str) {
    let first =
        format!("{}{style}{}{style:#}", " ".repeat(INDENT), text::pad(label, INNER - INDENT));
    page.wrapped(&first, &" ".repeat(INNER), text);
}

/// `apply  █████████░ confidence 0.97`, or `recommend` with the reason why not applied.
fn verdict(page: &mut Page, document: &Document<'_>, action: &ActionReport) {
    let filled = ((action.confidence * CELLS as f64).floor() as usize).min(CELLS);
    let bar = "█".repeat(filled) + &"░".repeat(CELLS - filled);
    let (style, word) = if action.applies { (GOOD, "apply") } else { (CAUTION, "recommend") };
    let why_not =
        held_back(document, action).map_or(String::new(), |why| format!("; not applied: {why}"));
    inner(
        page,
        style,
        word,
        &format!("{style}{bar}{style:#} confidence {:.2}{why_not}", action.confidence),
    );
    for reason in &action.refused_now {
        let reason = text::line(reason);
        inner(page, CAUTION, "guard", &format!("would be refused now: {reason}"));
    }
    for note in action.noted_now.iter().filter(|_| document.verbose) {
        inner(page, FAINT, "guard", &text::line(note));
    }
}

/// Milliseconds saved per day, where there are any.
fn saving(action: &ActionReport) -> Option<f64> {
    action.impact.ms_per_day.filter(|ms| *ms > 0.0)
}

/// `saves 48 min a day (53 % of all)`, `takes 34 MB`, `writers pay 1.2 s a day`.
fn figures(document: &Document<'_>, action: &ActionReport) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(ms) = saving(action) {
        let share = total_ms(document.report).filter(|total| *total > 0.0);
        let share = share.map_or(String::new(), |total| {
            format!(" ({} of all)", units::percent((ms / total).min(1.0)))
        });
        parts.push(format!("{BOLD}{}{BOLD:#} a day{share}", units::duration(ms)));
    }
    match action.impact.bytes {
        Some(bytes) if bytes < 0 => {
            parts.push(format!("{} of disk back", units::bytes(bytes.unsigned_abs())));
        }
        Some(bytes) if bytes > 0 => {
            parts.push(format!("for {} of disk", units::bytes(bytes.unsigned_abs())));
        }
        _ => {}
    }
    let write = action.impact.write_ms_per_day;
    if write > 0.0 {
        parts.push(format!("writers pay {} a day", units::duration(write)));
    } else if write < 0.0 {
        parts.push(format!("spares writers {} a day", units::duration(-write)));
    }
    if parts.is_empty() {
        // The ANALYZE after an index on an expression.
        let with_index = action.kind == "analyze" && action.rule != "stale_statistics";
        parts.push(if with_index { "counted with the index" } else { "not known" }.to_owned());
    }
    parts
}

/// Why `--apply` leaves it alone.
fn held_back(document: &Document<'_>, action: &ActionReport) -> Option<String> {
    if action.applies {
        return None;
    }
    let gate = document.report.run.min_confidence;
    let why = match action.by_a_person.as_slice() {
        [] => String::new(),
        reasons => format!(": {}", text::line(&reasons.join("; "))),
    };
    let mut reasons = Vec::new();
    match action.reach {
        Reach::Advise => reasons.push(format!("this is advice, a person decides and acts{why}")),
        Reach::Ask => reasons.push(format!("a person has to approve it{why}")),
        Reach::Act => {}
    }
    if action.confidence < gate {
        let capped = action.against.iter().any(|fact| fact.cap.is_some_and(|cap| cap < gate));
        reasons.push(format!(
            "{} the gate of {gate:.2}",
            if capped { "capped under" } else { "under" }
        ));
    }
    Some(reasons.join("; "))
}

/// As many columns of a statement as a person reads; the JSON form has even megabytes whole.
const WHOLE: usize = 4000;

fn helped(page: &mut Page, document: &Document<'_>, help: &Help, first: bool) {
    let statement =
        document.report.statements.iter().find(|statement| statement.id == help.statement);
    let shown = statement
        .map_or_else(|| text::line(&help.statement), |statement| text::line(&statement.text));
    let room = if document.verbose { WHOLE } else { document.width.saturating_sub(INNER) };
    inner(page, FAINT, if first { "helps" } else { "" }, &text::cut(&shown, room));
    let mut figures = format!(
        "cost {} → {BOLD}{}{BOLD:#}, {}",
        units::cost(help.cost_before),
        units::cost(help.cost_after),
        units::times_less(help.cost_before, help.cost_after)
    );
    if let Some(statement) = statement {
        let _ = write!(figures, " · {}", calls_of(statement.calls));
        if let Some(mean) = statement.mean_ms {
            let _ = write!(figures, " of {}", units::duration(mean));
        }
    }
    inner(page, FAINT, "", &figures);
    for (label, plan) in [("before", &help.plan_before), ("after", &help.plan_after)] {
        let plan = text::line(plan);
        if !plan.is_empty() {
            inner(page, FAINT, "", &text::cut(&format!("{label:<8}{plan}"), room));
        }
    }
}

/// `+ 2.60  the planner uses it …`, `≤ 0.85  …` for a cap, `        …` for what only informs.
fn stated(page: &mut Page, fact: &FactReport, first: bool) {
    let (style, mark) = match fact {
        FactReport { cap: Some(cap), .. } => (CAUTION, format!("≤ {cap:.2}")),
        FactReport { weight, .. } if *weight > 0.0 => (GOOD, format!("+ {weight:.2}")),
        FactReport { weight, .. } if *weight < 0.0 => (CAUTION, format!("− {:.2}", -weight)),
        _ => (FAINT, "  info".to_owned()),
    };
    let label = text::pad(if first { "why" } else { "" }, INNER - INDENT);
    let beginning =
        format!("{}{FAINT}{label}{FAINT:#}{style}{mark}{style:#}  ", " ".repeat(INDENT));
    page.wrapped(&beginning, &" ".repeat(INNER + 8), &text::line(&fact.text));
}
