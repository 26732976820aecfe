//! What `--apply` or `rollback` did, for people.

use rules::report::Report;

use super::page::Page;
use super::{BAD, BOLD, CAUTION, FAINT, GOOD, action};
use crate::output::{Applied, Ending, Outcome, units};
use crate::text;

/// Writes the outcome of every action of a run and the way back.
pub(super) fn write(page: &mut Page, report: &Report, applied: &Applied, unwatched: bool) {
    page.blank();
    let outcomes = &applied.outcomes;
    if outcomes.is_empty() {
        let why = match report.actions.len() {
            0 => "",
            _ if super::only_gate(report) => " None of these actions reaches the gate.",
            _ => " None of these actions may be carried out.",
        };
        page.text(&format!("{BOLD}Nothing was changed.{BOLD:#}{why}"));
        return;
    }
    let done = || outcomes.iter().filter(|outcome| outcome.result == Ending::Applied);
    let seconds: f64 = outcomes.iter().filter_map(|outcome| outcome.seconds).sum();
    let took = if seconds > 0.0 {
        format!(" in {}", units::duration(seconds * 1000.0))
    } else {
        String::new()
    };
    page.text(&format!(
        "{BOLD}Carried out {} of {}{BOLD:#}{took}, run {}",
        done().count(),
        units::plural(outcomes.len(), "action", "actions"),
        applied.run
    ));
    for outcome in outcomes {
        let action = report.actions.iter().find(|action| action.id == outcome.action);
        let foretold = action.and_then(|action| action.impact.bytes);
        one(page, outcome, &action.map_or_else(|| subject(outcome), action::headline), foretold);
    }
    if let Some(id) = done().find_map(|outcome| outcome.log_id) {
        page.blank();
        page.text(&format!(
            "Undo one with `{BOLD}pgwright rollback {id}{BOLD:#}`, or all of this run with"
        ));
        page.whole_line(2, &format!("{BOLD}pgwright rollback --run {}{BOLD:#}", applied.run));
    }
    // ANALYZE and VACUUM are not judged.
    if unwatched && done().any(|outcome| outcome.index.is_some()) {
        page.text(&format!(
            "Whether it helps is judged by `{BOLD}pgwright verify{BOLD:#}` only: have it run every quarter of an hour."
        ));
    }
}

/// What a run did, without the report.
pub(crate) fn carried_out(report: &Report, applied: &Applied, width: usize) -> String {
    let mut page = Page::new(width);
    write(&mut page, report, applied, false);
    page.finish().trim_start().to_owned()
}

/// The page of `rollback`.
///
/// Of several, those of which nothing was left to undo are only counted.
pub(crate) fn undone(outcomes: &[Outcome], width: usize, verbose: bool) -> String {
    let mut page = Page::new(width);
    if outcomes.is_empty() {
        page.text("Nothing to undo: the journal holds no such action.");
        return page.finish();
    }
    let done = outcomes.iter().filter(|outcome| outcome.result == Ending::Undone).count();
    let all = units::plural(outcomes.len(), "action", "actions");
    page.text(&format!("{BOLD}Undone {done} of {all}{BOLD:#}"));
    let idle = |outcome: &&Outcome| outcome.result == Ending::Skipped;
    let hidden =
        if verbose || outcomes.len() == 1 { 0 } else { outcomes.iter().filter(idle).count() };
    for outcome in outcomes.iter().filter(|outcome| hidden == 0 || !idle(outcome)) {
        one(&mut page, outcome, &subject(outcome), None);
    }
    if hidden > 0 {
        page.text(&format!("{FAINT}Nothing was left to undo of {hidden}; -v lists them.{FAINT:#}"));
    }
    page.finish()
}

/// What an action was about, where no report tells.
fn subject(outcome: &Outcome) -> String {
    let index =
        outcome.index.as_ref().map_or(String::new(), |index| format!(" {}", text::line(index)));
    let on = if outcome.index.is_some() { " on" } else { "" };
    format!("{}{index}{on} {}", outcome.kind.replace('_', " "), text::line(&outcome.table))
}

fn one(page: &mut Page, outcome: &Outcome, subject: &str, foretold: Option<i64>) {
    let (style, word) = match outcome.result {
        Ending::Applied => (GOOD, "done"),
        Ending::Undone => (GOOD, "undone"),
        Ending::Skipped => (FAINT, "nothing"),
        Ending::Refused => (CAUTION, "refused"),
        Ending::Failed => (BAD, "failed"),
    };
    let number = outcome.log_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let hang = " ".repeat(17);
    let first = format!("{number:>6}  {style}{}{style:#}", text::pad(word, 9));
    page.wrapped(&first, &hang, subject);
    let mut figures = Vec::new();
    figures.extend(outcome.seconds.map(|seconds| units::duration(seconds * 1000.0)));
    if let Some(bytes) = outcome.bytes.filter(|bytes| *bytes != 0) {
        let foretold = foretold.map_or(String::new(), |bytes| {
            format!(" ({} foretold)", units::bytes(bytes.unsigned_abs()))
        });
        let verb = if bytes < 0 { "freed " } else { "" };
        figures.push(format!("{verb}{}{foretold}", units::bytes(bytes.unsigned_abs())));
    }
    figures.extend(outcome.reason.as_ref().map(|reason| text::line(reason)));
    if !figures.is_empty() {
        page.wrapped(&hang, &hang, &figures.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::undone;
    use crate::output::{Ending, Outcome, fixture};

    #[test]
    fn a_rollback_says_what_became_of_each_action() {
        let mut outcomes: Vec<Outcome> = fixture::applied().outcomes;
        let idle = Outcome {
            result: Ending::Skipped,
            reason: Some("it was undone before".into()),
            ..outcomes[0].clone()
        };
        outcomes.push(idle);
        outcomes[0].result = Ending::Undone;
        (outcomes[0].seconds, outcomes[0].bytes) = (None, None);
        assert_eq!(
            anstream::adapter::strip_str(&undone(&outcomes, 80, false)).to_string(),
            "\
Undone 1 of 3 actions
    12  undone   create index pgw_behaviorlog_userid_timestamp_3f2a91c0 on
                 public.\"BehaviorLog\"
    13  failed   drop index user_email_idx2 on public.\"User\"
                 5.0 s, canceling statement due to lock timeout (55P03); nothing
                 was changed
Nothing was left to undo of 1; -v lists them.
"
        );
        assert!(undone(&outcomes, 80, true).contains("it was undone before"));
        assert!(undone(&outcomes[2..], 80, false).contains("it was undone before"));
        assert!(undone(&[], 80, false).contains("Nothing to undo"));
    }
}
