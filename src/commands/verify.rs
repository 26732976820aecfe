//! `pgwright verify`: judges what was applied by the server's counters, and keeps it or takes it back.

use std::time::{Duration, Instant};

use agent::applier::ApplyOptions;
use agent::conninfo::ConnInfo;
use agent::watch::{self, Verified, VerifyOptions, Watched};
use anstyle::{AnsiColor, Style};
use chrono::{DateTime, TimeDelta, Utc};
use rules::watch::{Comparison, Judgement, Limits};
use serde::Serialize;
use tokio::sync::watch::{Receiver, channel};

use super::optimize::{applying, stoppable};
use super::{Call, complain};
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
        Format::Human if call.quiet && exit == Exit::Success => {
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
    watch::verify(info, &call.meter, options, &apply, &mut show)
        .await
        .map_err(|error| applying(&error))
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
    let pause = (options.window / 4).to_std().unwrap_or_default().min(length);
    let (stop, stopped) = channel(false);
    let work = async {
        let since = Instant::now();
        let mut worst = Exit::Success;
        let mut stopped = stopped;
        loop {
            let verified = look(call, info, &options, Some(stopped.clone())).await?;
            if exit(&verified) != Exit::Success {
                worst = exit(&verified);
            }
            tell(call, &in_short(&verified, false))?;
            let open = verified.actions.iter().any(|action| action.verdict().is_none());
            if !open || since.elapsed() + pause > length {
                if open && !call.quiet {
                    tell(call, &full(&verified, false, call.verbose > 0, output::width()))?;
                }
                return Ok(worst);
            }
            if tokio::time::timeout(pause, stopped.wait_for(|stop| *stop)).await.is_ok() {
                return Ok(worst);
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

/// The exit code that tells of it: a verdict that could not be carried out is a failed action.
fn exit(verified: &Verified) -> Exit {
    let failed = verified.actions.iter().filter_map(ended).any(|outcome| outcome.failed());
    if failed { Exit::Action } else { Exit::Success }
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
    at: DateTime<Utc>,
    recorded: bool,
    readings: usize,
    actions: Vec<WireAction<'a>>,
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
            at: verified.at,
            recorded: verified.recorded,
            readings: verified.readings,
            actions: verified.actions.iter().map(action).collect(),
            notes: &verified.notes,
        }
    }
}

/// One line for every verdict; nothing where there is none.
fn in_short(verified: &Verified, dry_run: bool) -> String {
    let decided = verified.actions.iter().filter(|watched| watched.verdict().is_some());
    let line = |watched| format!("{}: {}\n", headline(watched, dry_run), text::line(&why(watched)));
    decided.map(line).collect::<Vec<_>>().concat()
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
        "the index is not as pgwright left it; it is not made or dropped again for some time"
            .to_owned()
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
            "{count} readings of counters are kept{}",
            if verified.recorded { ", one of them new" } else { "" }
        ),
    };
    if verified.actions.is_empty() {
        page.text(&format!("Nothing is being watched; {readings}."));
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
        figures(&mut page, &watched.judgement, verbose);
        page.blank();
    }
    if !verified.actions.is_empty() {
        page.text(&format!("{}{}.", readings[..1].to_uppercase(), &readings[1..]));
    }
    for note in &verified.notes {
        page.text(&text::line(note));
    }
    page.finish()
}

/// Statements that are shown unless all are asked for.
const SHOWN: usize = 5;

fn figures(page: &mut Page, judgement: &Judgement, verbose: bool) {
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
        page.labelled(&statement.statement[..statement.statement.len().min(8)], &one(statement));
    }
}

fn one(statement: &Comparison) -> String {
    let role = match (statement.meant, statement.writes) {
        (true, _) => "meant for it, ",
        (false, true) => "writes, ",
        (false, false) => "",
    };
    let change = statement.time.map_or("not compared yet".to_owned(), |time| {
        format!("×{:.2} with the load taken off", time.ratio)
    });
    format!(
        "{role}{:.0} % of the time: {} → {} a call, {:.0} → {:.0} blocks ({:.0} and {:.0} calls; {change})",
        statement.share * 100.0,
        units::duration(statement.ms.0),
        units::duration(statement.ms.1),
        statement.blocks.0,
        statement.blocks.1,
        statement.calls.0,
        statement.calls.1,
    )
}
