//! `--format human`: the report that a person reads at a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use rules::report::{Report, StatementReport};
use rules::snapshot::LeftOut;

use super::{Document, Format, units};
use crate::text;

mod action;
mod applied;
mod on_the_clock;
pub(crate) mod page;

pub(crate) use applied::{carried_out, undone};
pub(crate) use on_the_clock::on_the_clock;
use page::Page;

/// The report for people.
pub(crate) struct Human;

const BOLD: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const CAUTION: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

impl Format for Human {
    fn render(&self, document: &Document<'_>) -> String {
        let mut page = Page::new(document.width);
        let report = document.report;
        header(&mut page, report);
        if report.actions.is_empty() {
            nothing(&mut page, report);
        } else {
            summary(&mut page, report);
            for (position, found) in report.actions.iter().enumerate() {
                action::write(&mut page, document, position + 1, found);
            }
        }
        if document.verbose {
            statements(&mut page, report);
        }
        refused(&mut page, document);
        left_out(&mut page, report);
        match document.applied {
            Some(applied) => applied::write(&mut page, report, applied, document.unwatched),
            None => next_step(&mut page, report),
        }
        if let Some(traffic) = document.traffic {
            page.blank();
            page.text(&traffic.told());
        }
        page.finish()
    }
}

/// Milliseconds per day of all statements together, when any is known.
fn total_ms(report: &Report) -> Option<f64> {
    let known: Vec<f64> =
        report.statements.iter().filter_map(|statement| statement.ms_per_day).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// `6.5 days`; `20.0 s, counted as if it were 1 hour` of a window too short for rates per day.
fn window(observed: f64, counted: f64) -> String {
    if observed + 0.001 < counted {
        let observed = units::duration(observed * 86_400_000.0);
        format!("{observed}, counted as if it were {}", units::days(counted))
    } else {
        units::days(counted)
    }
}

/// Whether the server measured the statements; else their times are estimated from their cost.
fn measured(report: &Report) -> bool {
    report.statements.iter().any(|statement| statement.mean_ms.is_some())
}

fn header(page: &mut Page, report: &Report) {
    let (server, run) = (&report.server, &report.run);
    page.text(&format!(
        "{BOLD}pgwright {}{BOLD:#} on PostgreSQL {}, database {BOLD}{}{BOLD:#} as {}",
        text::line(&run.pgwright),
        text::line(&server.version),
        text::line(&server.database),
        text::line(&server.role),
    ));
    page.blank();
    let mut sampled = format!(
        "{} from {}",
        units::plural(report.statements.len(), "statement", "statements"),
        text::line(&run.source)
    );
    if measured(report) {
        let _ =
            write!(sampled, " over {}", window(run.observed_days.unwrap_or(run.days), run.days));
    } else if !report.statements.is_empty() {
        sampled
            .push_str("; nobody measured them, so times are estimated, for one call of each a day");
    }
    if let Some(share) = run.kept_share {
        let _ = write!(sampled, "; {} of the time counted", units::percent(share));
    }
    page.labelled("sampled", &sampled);
    page.labelled(
        "database",
        &format!(
            "{}, {}, {}",
            units::plural(server.tables, "table", "tables"),
            units::plural(server.indexes, "index", "indexes"),
            units::bytes(server.bytes)
        ),
    );
    let priced = match run.what_if.as_str() {
        "hypopg" => "the server's own planner, with HypoPG".to_owned(),
        "twin" => format!(
            "a planner twin (PostgreSQL {} on this machine, with the schema, statistics and sizes, and no rows); the server \
             planned {}",
            text::line(run.twin.as_deref().unwrap_or_default()),
            match run.planned_on_server {
                0 => "nothing".to_owned(),
                sent => format!("in {sent} statements, before it was asked"),
            }
        ),
        "none" => {
            "nobody: without HypoPG or a planner twin no new index reaches the gate".to_owned()
        }
        other => text::line(other),
    };
    page.labelled("priced by", &priced);
    for note in &run.notes {
        page.labelled("note", &text::line(note));
    }
}

fn nothing(page: &mut Page, report: &Report) {
    page.blank();
    if report.statements.is_empty() {
        page.text(&format!("{BOLD}Nothing to look at:{BOLD:#} no statement was sampled."));
        return;
    }
    let analyzed =
        report.statements.iter().filter(|statement| statement.unanalyzed.is_none()).count();
    page.text(&format!(
        "{GOOD}Nothing to do:{GOOD:#} {} analyzed on {}, and no index, drop or ANALYZE found that would help.",
        units::plural(analyzed, "statement", "statements"),
        units::plural(report.server.tables, "table", "tables"),
    ));
}

fn summary(page: &mut Page, report: &Report) {
    let due = report.actions.iter().filter(|action| action.applies).count();
    let saved: f64 = report.actions.iter().filter_map(|action| action.impact.ms_per_day).sum();
    let share = match total_ms(report) {
        Some(total) if saved > 0.0 => {
            format!(
                " would save up to {} of {} a day",
                units::duration(saved.min(total)),
                units::duration(total)
            )
        }
        _ => " found".to_owned(),
    };
    let gate = format!("the gate of {:.2}", report.run.min_confidence);
    let free = match (due, report.actions.len()) {
        _ if only_gate(report) => match (due, report.actions.len()) {
            (0, _) => format!("none reaches {gate}"),
            (1, 1) => format!("it reaches {gate}"),
            (due, all) if due == all => format!("all reach {gate}"),
            (1, _) => format!("1 reaches {gate}"),
            (due, _) => format!("{due} reach {gate}"),
        },
        (0, _) => "none may be carried out".to_owned(),
        (due, _) => format!("{due} may be carried out at {gate}"),
    };
    page.blank();
    let all = units::plural(report.actions.len(), "action", "actions");
    page.text(&format!("{BOLD}{all}{BOLD:#}{share}; {free}"));
}

/// Whether the gate alone says which actions are not carried out.
pub(crate) fn only_gate(report: &Report) -> bool {
    let gate = report.run.min_confidence;
    report.actions.iter().all(|action| action.applies || action.confidence < gate)
}

/// `1 call`, `1,234 calls`.
fn calls_of(calls: u64) -> String {
    units::plural(calls as usize, "call", "calls")
}

/// Every statement on one line, for `-v`.
fn statements(page: &mut Page, report: &Report) {
    page.blank();
    page.text(&format!("{BOLD}Statements{BOLD:#}"));
    for statement in &report.statements {
        let StatementReport {
            id,
            calls,
            mean_ms,
            ms_per_day,
            cost,
            cost_after,
            unanalyzed,
            planned_as,
            skew,
            generic,
            ..
        } = statement;
        let mut figures = vec![calls_of(*calls)];
        figures.extend(mean_ms.map(|ms| format!("{} each", units::duration(ms))));
        figures.extend(ms_per_day.map(|ms| format!("{} a day", units::duration(ms))));
        match (cost, cost_after) {
            (Some(cost), Some(after)) if after < cost => {
                figures.push(format!("cost {} → {}", units::cost(*cost), units::cost(*after)));
            }
            (Some(cost), _) => figures.push(format!("cost {}", units::cost(*cost))),
            (None, _) => {}
        }
        figures.extend(planned_as.as_ref().map(|what| format!("planned as {}", text::line(what))));
        figures.extend(skew.as_ref().map(|skew| text::line(&skew.to_string())));
        figures.extend(
            generic.map(|cost| {
                format!("prepared, its generic plan is taken, at {}", units::cost(cost))
            }),
        );
        figures.extend(unanalyzed.as_ref().map(|why| text::line(why)));
        page.cut_line(2, &format!("{id}  {}", text::line(&statement.text)));
        page.indented(20, &format!("{FAINT}{}{FAINT:#}", figures.join(" · ")));
    }
}

fn refused(page: &mut Page, document: &Document<'_>) {
    let refused = &document.report.refused;
    if refused.is_empty() {
        return;
    }
    page.blank();
    page.text(&format!("{BOLD}Considered and refused: {}{BOLD:#}", refused.len()));
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for refusal in refused {
        let what = format!("{} on {}", text::line(&refusal.what), text::line(&refusal.table));
        by_reason.entry(&refusal.reason).or_default().push(what);
    }
    let mut groups: Vec<_> = by_reason.into_iter().collect();
    groups.sort_by_key(|(_, what)| std::cmp::Reverse(what.len()));
    let (most_reasons, most_each) =
        if document.verbose { (usize::MAX, usize::MAX) } else { (8, 3) };
    for (reason, what) in groups.iter().take(most_reasons) {
        page.wrapped(&format!("{:>6}  ", what.len()), &" ".repeat(8), &text::line(reason));
        let names: Vec<String> =
            what.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let more = names.len().saturating_sub(most_each);
        let mut shown = names[..names.len() - more].join("; ");
        if more > 0 {
            let _ = write!(shown, "; and {more} more");
        }
        page.indented(8, &format!("{FAINT}{shown}{FAINT:#}"));
    }
    let reasons = groups.len().saturating_sub(most_reasons);
    if reasons > 0 {
        let more = units::plural(reasons, "more reason", "more reasons");
        page.indented(8, &format!("{FAINT}and {more}; -v shows all{FAINT:#}"));
    }
}

fn left_out(page: &mut Page, report: &Report) {
    let label = |key: &str| {
        serde_json::from_value::<LeftOut>(key.into())
            .map_or_else(|_| text::line(key), |known| known.label().to_owned())
    };
    let entries: Vec<String> = report
        .run
        .left_out
        .iter()
        .map(|(key, number)| format!("{} {}", units::count(*number), label(key)))
        .collect();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for why in report.statements.iter().filter_map(|statement| statement.unanalyzed.as_deref()) {
        *reasons.entry(why).or_default() += 1;
    }
    if entries.is_empty() && reasons.is_empty() {
        return;
    }
    page.blank();
    if !entries.is_empty() {
        let seen = units::count(report.run.seen);
        page.text(&format!("{BOLD}Left out of {seen} entries:{BOLD:#} {}", entries.join(", ")));
    }
    if !reasons.is_empty() {
        let reasons: Vec<String> =
            reasons.iter().map(|(why, number)| format!("{number} ({})", text::line(why))).collect();
        page.text(&format!("{BOLD}Not analyzed:{BOLD:#} {}", reasons.join(", ")));
    }
}

fn next_step(page: &mut Page, report: &Report) {
    let all = report.actions.len();
    if all == 0 {
        return;
    }
    let due = report.actions.iter().filter(|action| action.applies).count();
    if let Some(why) = report.run.hindered.as_ref().filter(|_| due > 0) {
        page.blank();
        page.text(&format!(
            "Nothing was changed. `{BOLD}pgwright optimize --apply{BOLD:#}` would not begin now: {}.",
            text::line(why)
        ));
        return;
    }
    let held = report.actions.iter().filter(|action| action.applies);
    let held = held.filter(|action| !action.refused_now.is_empty()).count();
    page.blank();
    page.text(&match due - held {
        0 if due > 0 => format!(
            "Nothing was changed. `{BOLD}pgwright optimize --apply{BOLD:#}` would change nothing now either: the guards \
             refuse what is due."
        ),
        0 => format!(
            "Nothing was changed. `{BOLD}pgwright optimize --apply{BOLD:#}` would change nothing either: \
             these are recommendations."
        ),
        free => format!(
            "Nothing was changed. `{BOLD}pgwright optimize --apply{BOLD:#}` would carry out {free} of {}{}.",
            units::plural(all, "action", "actions"),
            if held > 0 { format!("; {held} would be refused now") } else { String::new() }
        ),
    });
}

#[cfg(test)]
mod tests {
    use super::Human;
    use crate::output::{Applied, Document, Format as _, Traffic, fixture};

    fn plain(document: &Document<'_>) -> String {
        anstream::adapter::strip_str(&Human.render(document)).to_string()
    }

    #[test]
    fn a_dry_run_reads_like_this() {
        let report = fixture::report();
        assert_eq!(plain(&Document::of(&report)), include_str!("human/dry_run.txt"));
    }

    #[test]
    fn nothing_found_is_said_plainly() {
        assert_eq!(
            plain(&Document::of(&fixture::empty())),
            "\
pgwright 0.1.0 on PostgreSQL 15.18 (Debian 15.18-0+deb12u1), database vedfinance as app

  sampled    1 statement from pg_stat_statements over 6.5 days; 97 % of the time counted
  database   12 tables, 31 indexes, 1.8 GB
  priced by  the server's own planner, with HypoPG
  note       7 entries were evicted from pg_stat_statements; raise pg_stat_statements.max

Nothing to do: 1 statement analyzed on 12 tables, and no index, drop or ANALYZE found that would
help.

Left out of 45 entries: 3 of other databases, 12 utility statements
"
        );
    }

    #[test]
    fn after_applying_the_outcomes_and_the_way_back_are_shown() {
        let report = fixture::report();
        let applied = fixture::applied();
        let text = plain(&Document { applied: Some(&applied), ..Document::of(&report) });
        let end = &text[text.find("Carried out").unwrap()..];
        assert_eq!(
            end,
            "\
Carried out 1 of 2 actions in 8.1 s, run 67e55044-10b1-426f-9247-bb680e5fe0c8
    12  done     create index on public.\"BehaviorLog\" (\"userId\", \"timestamp\" DESC)
                 3.1 s, 33 MB (34 MB foretold)
    13  failed   drop index public.user_email_idx2 on public.\"User\" (email)
                 5.0 s, canceling statement due to lock timeout (55P03); nothing was changed

Undo one with `pgwright rollback 12`, or all of this run with
  pgwright rollback --run 67e55044-10b1-426f-9247-bb680e5fe0c8
"
        );
        assert!(!text.contains("Nothing was changed"));
        let unwatched =
            plain(&Document { applied: Some(&applied), unwatched: true, ..Document::of(&report) });
        let told = "Whether it helps is judged by `pgwright verify` only: have it run every quarter of an hour.";
        assert!(unwatched.ends_with(&format!("\n{told}\n")), "{unwatched}");
    }

    #[test]
    fn what_would_not_begin_is_not_counted() {
        let mut report = fixture::report();
        report.run.hindered = Some("the journal has been changed".into());
        let text = plain(&Document::of(&report));
        let end =
            "`pgwright optimize --apply` would not begin now: the journal has been changed.\n";
        assert!(text.ends_with(end) && !text.contains("would carry out"), "{text}");
    }

    #[test]
    fn the_gate_is_named_only_where_it_is_the_reason() {
        let mut report = fixture::report();
        for action in &mut report.actions {
            (action.applies, action.confidence) = (false, 0.97);
        }
        let text = plain(&Document::of(&report));
        assert!(text.contains("; none may be carried out\n"), "{text}");
        let run = "67e55044-10b1-426f-9247-bb680e5fe0c8".into();
        let applied = Applied { run, outcomes: Vec::new() };
        let text = plain(&Document { applied: Some(&applied), ..Document::of(&report) });
        assert!(text.ends_with("Nothing was changed. None of these actions may be carried out.\n"));
        for action in &mut report.actions {
            action.confidence = 0.5;
        }
        let text = plain(&Document { applied: Some(&applied), ..Document::of(&report) });
        assert!(text.contains("; none reaches the gate of 0.90\n"), "{text}");
        assert!(text.ends_with("None of these actions reaches the gate.\n"), "{text}");
    }

    #[test]
    fn verbose_lists_every_statement_every_refusal_and_the_traffic() {
        let report = fixture::report();
        let traffic = Some(Traffic { statements: 1234, ms: 456.0 });
        let text = plain(&Document { verbose: true, traffic, ..Document::of(&report) });
        for wanted in [
            "a1b2c3d4e5f60718  SELECT * FROM \"BehaviorLog\" WHERE",
            "names the unknown relation gone",
            "index (active) on public.\"User\"; index (role) on public.\"User\"",
            "Sent 1,234 statements to the server, answered in 456 ms.",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing:\n{text}");
        }
    }

    #[test]
    fn no_line_but_a_statement_to_copy_is_wider_than_the_page() {
        let report = fixture::report();
        let applied = fixture::applied();
        for width in [60, 80, 120] {
            let document =
                Document { width, verbose: true, applied: Some(&applied), ..Document::of(&report) };
            for line in plain(&document).lines() {
                let copied = ["CREATE ", "DROP ", "-- undo", "pgwright rollback"];
                let whole = copied.iter().any(|start| line.trim_start().starts_with(start));
                assert!(whole || crate::text::width(line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn foreign_text_cannot_move_the_cursor_or_begin_a_line() {
        let evil = "x\u{1b}[2J\u{9b}\r\nNothing to do\u{202e}".to_owned();
        let mut report = fixture::report();
        report.server.database.clone_from(&evil);
        report.run.source.clone_from(&evil);
        report.run.notes = vec![evil.clone()];
        report.run.left_out.insert(evil.clone(), 1);
        for statement in &mut report.statements {
            statement.text.clone_from(&evil);
            statement.unanalyzed = Some(evil.clone());
        }
        for refusal in &mut report.refused {
            refusal.what.clone_from(&evil);
            refusal.reason.clone_from(&evil);
            refusal.table.clone_from(&evil);
        }
        for action in &mut report.actions {
            action.table.clone_from(&evil);
            action.statement = format!("ANALYZE \"{evil}\"");
            action.undo = format!("ANALYZE \"{evil}\"");
            action.evidence[0].text.clone_from(&evil);
            action.index.as_mut().unwrap().keys = vec![evil.clone()];
            action.index.as_mut().unwrap().predicate = Some(evil.clone());
            for help in &mut action.helps {
                help.plan_before.clone_from(&evil);
                help.plan_after.clone_from(&evil);
            }
        }
        let mut applied = fixture::applied();
        applied.outcomes[1].reason = Some(evil);
        let text =
            plain(&Document { verbose: true, applied: Some(&applied), ..Document::of(&report) });
        let bad: Vec<char> =
            text.chars().filter(|c| *c != '\n' && crate::text::unprintable(*c)).collect();
        assert!(bad.is_empty(), "{bad:?}");
        assert!(!text.lines().any(|line| line.starts_with("Nothing to do")), "{text}");
    }

    #[test]
    fn a_window_of_seconds_is_told_as_such() {
        let mut report = fixture::report();
        (report.run.days, report.run.observed_days) = (0.042, Some(20.0 / 86_400.0));
        let text = plain(&Document::of(&report));
        assert!(text.contains("over 20.0 s, counted as if it were 1 hour"), "{text}");
        (report.run.days, report.run.observed_days) = (0.042, Some(1.0 / 24.0));
        assert!(plain(&Document::of(&report)).contains("over 1 hour;"));
    }

    #[test]
    fn what_nobody_measured_is_called_estimated() {
        let mut report = fixture::report();
        for statement in &mut report.statements {
            statement.mean_ms = None;
        }
        report.actions[0].impact.ms_per_day = Some(0.0);
        let text = plain(&Document::of(&report));
        assert!(text.contains("times are estimated") && !text.contains("over 6.5 days"), "{text}");
        assert!(text.contains("brings     for 34 MB of disk"), "{text}");
    }
}
