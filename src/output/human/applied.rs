//! What `--apply` did, for people.

use rules::report::Report;

use super::page::Page;
use super::{BAD, BOLD, CAUTION, GOOD, action};
use crate::output::{Applied, Ending, Outcome, units};
use crate::text;

/// Writes the outcome of every action and the way back.
pub(super) fn write(page: &mut Page, report: &Report, applied: &Applied) {
    page.blank();
    if applied.outcomes.is_empty() {
        page.text(&format!("{BOLD}Nothing was changed:{BOLD:#} no action reaches the gate."));
        return;
    }
    let done = applied.outcomes.iter().filter(|outcome| outcome.result == Ending::Applied).count();
    let seconds: f64 = applied.outcomes.iter().map(|outcome| outcome.seconds).sum();
    page.text(&format!(
        "{BOLD}Carried out {done} of {}{BOLD:#} in {}, run {}",
        units::plural(applied.outcomes.len(), "action", "actions"),
        units::duration(seconds * 1000.0),
        applied.run
    ));
    for outcome in &applied.outcomes {
        one(page, report, outcome);
    }
    let undoable = applied.outcomes.iter().filter(|outcome| outcome.result == Ending::Applied);
    if let Some(id) = undoable.filter_map(|outcome| outcome.log_id).next() {
        page.blank();
        page.text(&format!(
            "Undo one with `{BOLD}pgwright rollback {id}{BOLD:#}`, or all of this run with"
        ));
        page.whole_line(2, &format!("{BOLD}pgwright rollback --run {}{BOLD:#}", applied.run));
    }
}

fn one(page: &mut Page, report: &Report, outcome: &Outcome) {
    let (style, word) = match outcome.result {
        Ending::Applied => (GOOD, "done"),
        Ending::Skipped => (CAUTION, "skipped"),
        Ending::Failed => (BAD, "failed"),
    };
    let action = report.actions.iter().find(|action| action.id == outcome.action);
    let number = outcome.log_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let hang = " ".repeat(17);
    let first = format!("{number:>6}  {style}{}{style:#}", text::pad(word, 9));
    page.wrapped(&first, &hang, &action.map_or_else(|| outcome.action.clone(), action::headline));
    let mut figures = vec![units::duration(outcome.seconds * 1000.0)];
    if let Some(bytes) = outcome.bytes {
        let foretold = action
            .and_then(|action| action.impact.bytes)
            .and_then(|bytes| u64::try_from(bytes).ok());
        let foretold =
            foretold.map_or(String::new(), |bytes| format!(" ({} foretold)", units::bytes(bytes)));
        figures.push(format!("{}{foretold}", units::bytes(bytes)));
    }
    figures.extend(outcome.reason.as_ref().map(|reason| text::line(reason)));
    page.wrapped(&hang, &hang, &figures.join(", "));
}
