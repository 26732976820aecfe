//! `pgwright verify`: judges what was applied by the server's counters, and keeps it or takes it back.

use std::time::{Duration, Instant};

use agent::applier::ApplyOptions;
use agent::conninfo::ConnInfo;
use agent::journal::State;
use agent::watch::{self, Verified, VerifyOptions, Watched};
use anstyle::{AnsiColor, Style};
use chrono::{DateTime, TimeDelta, Utc};
use rules::watch::{Comparison, Judgement, Limits};
use serde::Serialize;
use tokio::sync::watch::{Receiver, channel};

use super::optimize::{applying, stoppable};
use super::{Call, complain, interrupted, warn};
use crate::cli::{Format, ReportFormat, VerifyArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human::page::Page;
use crate::output::{self, Outcome, json, units};
use crate::progress::Progress;
use crate::text;

/// Looks once, acts on the verdicts, and tells of them.
pub(crate) async fn run(call: &Call, args: &VerifyArgs) -> Result<Exit, Failure> {
    let info = call.conninfo()?;
    let options = options(args);
    let (stop, stopped) = channel(false);
    let verified = stoppable(Box::pin(look(call, &info, &options, Some(stopped))), &stop).await??;
    let exit = exit(&verified);
    match args.format {
        Format::Json => output::deliver(&json::pretty(&Wire::from(&verified)), None)?,
        Format::Human if call.quiet && exit != Exit::Action => {
            blindness(&verified).into_iter().for_each(warn);
            let text = in_short(&verified, args.dry_run);
            if !text.is_empty() {
                output::deliver(&text, None)?;
            }
        }
        Format::Human => {
            let text = full(&verified, args.dry_run, call.verbose > 0, output::width());
            output::deliver(&text, None)?;
        }
    }
    Ok(exit)
}

fn options(args: &VerifyArgs) -> VerifyOptions {
    let usual = VerifyOptions::default();
    let span = |wait: Option<crate::values::Wait>, usual: TimeDelta| {
        wait.and_then(|wait| TimeDelta::from_std(wait.0).ok()).unwrap_or(usual)
    };
    VerifyOptions {
        dry_run: args.dry_run,
        window: span(args.every, usual.window),
        limits: Limits {
            at_least: span(args.at_least, usual.limits.at_least),
            at_most: span(args.at_most, usual.limits.at_most),
            ..usual.limits
        },
    }
}

async fn look(
    call: &Call,
    info: &ConnInfo,
    options: &VerifyOptions,
    stop: Option<Receiver<bool>>,
) -> Result<Verified, Failure> {
    let usual = call.settings.limits.apply_options(call.settings.lock_wait);
    let mut apply = ApplyOptions { stop, ..usual };
    // What does harm is taken back at any time: that takes seconds.
    apply.guards.limits.window = None;
    let progress = Progress::new(call.progress);
    let mut show = |event| {
        call.log.applying(&event);
        progress.applying(&event);
    };
    let verified = watch::verify(info, &call.meter, options, &apply, &mut show)
        .await
        .map_err(|error| applying(&error))?;
    call.log.verified(&verified);
    Ok(verified)
}

/// Watches for so long what was applied, and tells of every verdict as it comes. It can be stopped at any time: a
/// later `pgwright verify` goes on.
pub(super) async fn watch_for(
    call: &Call,
    info: &ConnInfo,
    length: Duration,
) -> Result<Exit, Failure> {
    let options = VerifyOptions::default();
    // Harm that cannot wait is looked for more often than windows end.
    let pause = (options.window / 4).to_std().unwrap_or_default().min(length / 4);
    let (stop, stopped) = channel(false);
    let work = async {
        let since = Instant::now();
        let mut worst = Exit::Success;
        let mut told = String::new();
        let mut stopped = stopped;
        loop {
            let looked = look(call, info, &options, Some(stopped.clone())).await;
            let left = length.saturating_sub(since.elapsed());
            match looked {
                Ok(verified) => {
                    // What is only held up now may go on at the next look.
                    if exit(&verified) == Exit::Action {
                        worst = Exit::Action;
                    }
                    let news = in_short(&verified, false);
                    if news != told {
                        tell(call, &news)?;
                    }
                    told = news;
                    let open = is_open(&verified);
                    if open && left.is_zero() && !call.quiet {
                        tell(call, &full(&verified, false, call.verbose > 0, output::width()))?;
                    }
                    if !open || left.is_zero() {
                        return Ok(if worst == Exit::Success { exit(&verified) } else { worst });
                    }
                }
                // A server that restarts or fails over meanwhile is there again at the next look.
                Err(failure) if failure.exit == Exit::Connection && !left.is_zero() => {
                    complain(&failure.render());
                    warn("the watch goes on");
                }
                Err(failure) => return Err(failure),
            }
            // The last look is at the end.
            if tokio::time::timeout(pause.min(left), stopped.wait_for(|stop| *stop)).await.is_ok() {
                return Err(interrupted().hint("`pgwright verify` goes on watching"));
            }
        }
    };
    stoppable(Box::pin(work), &stop).await?
}

/// Tells of what is being watched: behind the report for people, and beside one for programs.
fn tell(call: &Call, text: &str) -> Result<(), Failure> {
    let optimize = &call.settings.optimize;
    if text.is_empty() {
        Ok(())
    } else if optimize.format == ReportFormat::Human && optimize.output.is_none() {
        output::deliver(text, None)
    } else {
        complain(text);
        Ok(())
    }
}

/// Whether there is something left to watch, or to do about what was seen.
fn is_open(verified: &Verified) -> bool {
    let open = |action: &Watched| action.state == State::Observing || action.state.is_in_flight();
    verified.actions.iter().any(open) || !verified.unfinished.is_empty()
}

/// Why what is being watched cannot be measured at all, where that is so.
fn blindness(verified: &Verified) -> Option<&str> {
    let blind = !verified.actions.is_empty() && verified.texts.is_empty();
    verified.notes.first().filter(|_| blind).map(String::as_str)
}

/// The exit code that tells of it: what could not be taken back is a failed action, and what might not be is refused.
fn exit(verified: &Verified) -> Exit {
    let failed = verified.actions.iter().filter_map(ended).any(|outcome| outcome.failed());
    let harms = |watched: &Watched| watched.judgement.ends && watched.judgement.verdict.reverts();
    if failed || !verified.unfinished.is_empty() {
        Exit::Action
    } else if verified.held.is_some() && verified.actions.iter().any(harms) {
        Exit::Refused
    } else {
        Exit::Success
    }
}

/// What came of taking an action back.
fn ended(watched: &Watched) -> Option<Outcome> {
    let effect = watched.effect.clone()?;
    Some(Outcome::from(&agent::applier::Outcome {
        action: watched.entry.action_id().to_owned(),
        row: Some(watched.entry.id),
        kind: watched.entry.kind.clone(),
        table: watched.entry.table.clone(),
        index: watched.entry.index_name.clone(),
        effect,
    }))
}

#[derive(Serialize)]
struct Wire<'a> {
    format: u32,
    database: &'a str,
    at: DateTime<Utc>,
    recorded: bool,
    readings: usize,
    actions: Vec<WireAction<'a>>,
    held: Option<&'a str>,
    unfinished: &'a [String],
    notes: &'a [String],
}

#[derive(Serialize)]
struct WireAction<'a> {
    id: i64,
    action: &'a str,
    kind: &'a str,
    table: String,
    index: Option<&'a str>,
    applied_at: Option<DateTime<Utc>>,
    state: &'static str,
    verdict: Option<&'static str>,
    judgement: &'a Judgement,
    result: Option<Outcome>,
}

impl<'a> From<&'a Verified> for Wire<'a> {
    fn from(verified: &'a Verified) -> Self {
        let action = |watched: &'a Watched| WireAction {
            id: watched.entry.id,
            action: watched.entry.action_id(),
            kind: &watched.entry.kind,
            table: watched.entry.table.qualified(),
            index: watched.entry.index_name.as_deref(),
            applied_at: watched.entry.applied_at,
            state: watched.state.name(),
            verdict: watched.verdict(),
            judgement: &watched.judgement,
            result: ended(watched),
        };
        Self {
            format: 1,
            database: &verified.database,
            at: verified.at,
            recorded: verified.recorded,
            readings: verified.readings,
            actions: verified.actions.iter().map(action).collect(),
            held: verified.held.as_deref(),
            unfinished: &verified.unfinished,
            notes: &verified.notes,
        }
    }
}

/// One line for every verdict and for whatever could not be finished; nothing where there is none.
fn in_short(verified: &Verified, dry_run: bool) -> String {
    let decided = verified.actions.iter().filter(|watched| watched.verdict().is_some());
    let of_action = |watched| {
        let line = format!("{}: {}", headline(watched, dry_run), why(watched));
        verified.held.as_ref().map_or(line.clone(), |held| format!("{line}; {held}"))
    };
    let database = text::line(&verified.database);
    let lines = decided.map(of_action).chain(verified.unfinished.iter().cloned());
    let line = |line: String| format!("pgwright in {database}: {}\n", text::line(&line));
    lines.map(line).collect::<Vec<_>>().concat()
}

fn headline(watched: &Watched, dry_run: bool) -> String {
    let entry = &watched.entry;
    let index =
        entry.index_name.as_ref().map_or(String::new(), |name| format!(" {}", text::line(name)));
    format!(
        "action {}: {}{index} on {}, {}",
        entry.id,
        entry.kind.replace('_', " "),
        text::line(&entry.table.qualified()),
        word(watched, dry_run)
    )
}

/// What became of it, in a few words.
fn word(watched: &Watched, dry_run: bool) -> String {
    let Some(verdict) = watched.verdict() else { return "not yet decided".to_owned() };
    let verdict = verdict.replace('_', " ");
    let reverts = watched.judgement.verdict.reverts();
    let done = match (ended(watched), dry_run) {
        _ if watched.by_hand => "taken back by a person",
        (_, true) if reverts => "would be taken back",
        (_, true) => "would be kept",
        (Some(outcome), _) if outcome.failed() => "could not be taken back",
        (Some(_), _) => "taken back",
        (None, _) if reverts => "to be taken back",
        (None, _) => "kept",
    };
    if verdict == done || watched.by_hand { done.to_owned() } else { format!("{verdict}, {done}") }
}

fn why(watched: &Watched) -> String {
    let why = if watched.by_hand {
        "what pgwright did is not in place any more; it is not done again for some time".to_owned()
    } else {
        watched.judgement.why.clone()
    };
    match ended(watched).filter(Outcome::failed).and_then(|outcome| outcome.reason) {
        Some(reason) => format!("{why}; {reason}"),
        None => why,
    }
}

fn full(verified: &Verified, dry_run: bool, verbose: bool, width: usize) -> String {
    let mut page = Page::new(width);
    let readings = match verified.readings {
        0 => "no counters are written down yet".to_owned(),
        count => format!(
            "{} kept{}",
            units::plural(count, "reading of counters is", "readings of counters are"),
            match (verified.recorded, count) {
                (false, _) => "",
                (true, 1) => ", the first one",
                (true, _) => ", one of them new",
            }
        ),
    };
    let database = text::line(&verified.database);
    if verified.actions.is_empty() {
        page.text(&format!("Nothing is being watched in {database}; {readings}."));
    }
    for watched in &verified.actions {
        let line = headline(watched, dry_run);
        let color = match watched.verdict() {
            None => AnsiColor::Yellow,
            Some("kept") => AnsiColor::Green,
            Some(_) => AnsiColor::Red,
        };
        let style = color.on_default().bold();
        let (what, word) = line.rsplit_once(" on ").unwrap_or((&line, ""));
        let (table, word) = word.split_once(", ").unwrap_or((word, ""));
        let bold = Style::new().bold();
        page.text(&format!("{bold}A{} on {table}{bold:#}, {style}{word}{style:#}", &what[1..]));
        page.labelled("why", &text::line(&why(watched)));
        figures(&mut page, verified, &watched.judgement, verbose);
        page.blank();
    }
    if !verified.actions.is_empty() {
        page.text(&format!("In {database} {readings}."));
    }
    for note in verified.held.iter().chain(&verified.unfinished).chain(&verified.notes) {
        page.text(&text::line(note));
    }
    page.finish()
}

/// Statements that are shown unless all are asked for.
const SHOWN: usize = 5;
/// Columns of a statement's text that are enough to know it by.
const STATEMENT_WIDTH: usize = 80;

fn figures(page: &mut Page, verified: &Verified, judgement: &Judgement, verbose: bool) {
    let (before, after, discarded) = judgement.windows;
    let lost = if discarded > 0 { format!(", {discarded} discarded") } else { String::new() };
    page.labelled(
        "windows",
        &format!("{before} before, {after} after{lost}; control group of {}", judgement.control),
    );
    if let Some(scans) = judgement.scans {
        page.labelled("scans", &format!("{scans:.0} of the index"));
    }
    if let Some((before, after)) = judgement.hot {
        page.labelled(
            "HOT",
            &format!(
                "{:.0} % of the table's updates before, {:.0} % now",
                before * 100.0,
                after * 100.0
            ),
        );
    }
    let shown = if verbose { judgement.statements.len() } else { SHOWN };
    for statement in judgement.statements.iter().take(shown) {
        let id = &statement.statement;
        let text = verified.texts.get(id).map_or("its text is not known any more", String::as_str);
        page.labelled(&id[..id.len().min(8)], &text::cut(&text::line(text), STATEMENT_WIDTH));
        page.labelled("", &one(statement));
    }
}

fn one(statement: &Comparison) -> String {
    let role = match (statement.meant, statement.writes) {
        (true, _) => "meant for it, ",
        (false, true) => "writes, ",
        (false, false) => "",
    };
    let percent = statement.share * 100.0;
    if statement.calls.1 < 0.5 {
        let before = units::plural(statement.calls.0 as usize, "call", "calls");
        return format!("{role}{percent:.0} % of the time: {before} before, none since");
    }
    let change = statement.time.map_or("not compared yet".to_owned(), |time| {
        format!("×{:.2} with the load taken off", time.ratio)
    });
    format!(
        "{role}{percent:.0} % of the time: {} → {} a call, {:.0} → {:.0} blocks ({:.0} and {:.0} calls; {change})",
        units::duration(statement.ms.0),
        units::duration(statement.ms.1),
        statement.blocks.0,
        statement.blocks.1,
        statement.calls.0,
        statement.calls.1,
    )
}
