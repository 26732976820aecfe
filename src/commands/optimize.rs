//! `pgwright optimize`: what would help, and with `--apply`, carrying it out.

use agent::applier::{self, ApplyError, ApplyOptions};
use agent::conninfo::ConnInfo;
use agent::guards;
use agent::journal::JournalError;
use agent::optimize::{self, OptimizeError, Options, Proposal, Source, WhatIfChoice};
use agent::sampler::{SampleErrorKind, SampleOptions, unknown};
use agent::twin::TwinOptions;
use agent::watch as watched;
use rules::change_plan::ChangePlan;
use rules::report::ActionReport;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Call, interrupt, interrupted, interruptible, warn};
use crate::cli::{ReportFormat, WhatIf};
use crate::config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Applied, Document, Ending, Outcome, Traffic};
use crate::progress::Progress;
use crate::run_log::Entry;
use crate::snapshot;
use crate::values::Gate;
use crate::workload;

/// Proposes, applies where asked to, and prints the report.
pub(crate) async fn run(call: &Call) -> Result<Exit, Failure> {
    let settings = &call.settings.optimize;
    if settings.apply && settings.min_confidence < Gate::DEFAULT.0 {
        // Said even when quiet: it takes the main promise away.
        warn(&format!(
            "actions are carried out from a confidence of {:.2} on; under {:.2} more than one in ten may not help",
            settings.min_confidence,
            Gate::DEFAULT.0
        ));
    }
    if let Some(path) = &settings.output {
        // Better known now than after the work.
        output::check(path)?;
    }
    let mut options = options(settings)?;
    if let Some(path) = &settings.snapshot {
        let snapshot = Box::new(snapshot::read(path)?);
        let source = Source::File(snapshot);
        let proposal = interruptible(Box::pin(propose(call, source, &options))).await?;
        warn_of_names(&proposal, &options);
        report(call, &proposal, None)?;
        return Ok(Exit::Success);
    }
    let info = call.conninfo()?;
    options.explain_as = call.explain_as()?;
    let source = Source::Server(&info);
    let mut proposal = match interruptible(Box::pin(propose(call, source, &options))).await {
        Err(failure) if settings.apply => return Err(finish(call, &info, failure).await),
        proposed => proposed?,
    };
    warn_of_names(&proposal, &options);
    let (actions, due) = (proposal.plan.actions.len(), proposal.plan.due().count());
    call.log.write(&Entry::Proposed { actions, due });
    let applied = if settings.apply {
        Some(Box::pin(apply(call, &info, &options, &mut proposal)).await?)
    } else {
        interruptible(Box::pin(foresee(call, &info, &mut proposal))).await?;
        None
    };
    report(call, &proposal, applied.as_ref())?;
    let exit = applied.as_ref().map_or(Exit::Success, Applied::exit);
    match (settings.watch, applied) {
        (Some(length), Some(_)) => {
            let watched = super::verify::watch_for(call, &info, length).await?;
            Ok(if exit == Exit::Success { watched } else { exit })
        }
        _ => Ok(exit),
    }
}

/// Finishes what earlier runs left, as far as that goes, though nothing new can be thought of. Why that is so is what
/// the run ends with.
async fn finish(call: &Call, info: &ConnInfo, failure: Failure) -> Failure {
    if failure.exit == Exit::Connection {
        let nothing =
            ChangePlan { made_from: String::new(), min_confidence: 1.0, actions: Vec::new() };
        let (stop, stopped) = watch::channel(false);
        let work = carry_out(call, info, &nothing, Uuid::new_v4(), Some(stopped));
        if let Ok(Err(more)) = stoppable(Box::pin(work), &stop).await {
            tracing::info!(reason = more.message(), "what earlier runs left was not finished");
        }
    }
    failure
}

/// Tells of names that are not there, even when quiet, and whatever the form of the report.
fn warn_of_names(proposal: &Proposal, options: &Options) {
    for what in unknown(&proposal.snapshot.tables, &options.sample) {
        warn(&what);
    }
}

/// Tells in the report what the guards of `--apply` would refuse now.
async fn foresee(call: &Call, info: &ConnInfo, proposal: &mut Proposal) -> Result<(), Failure> {
    let options = call.settings.limits.guards();
    let report = &mut proposal.report;
    match guards::foresee(info, &call.meter, &proposal.plan, &options).await {
        Ok(foreseen) => {
            for (key, said) in foreseen {
                let of = |action: &&mut ActionReport| key.starts_with(&action.id);
                if let Some(action) = report.actions.iter_mut().find(of) {
                    (action.refused_now, action.noted_now) = (said.refusals, said.notes);
                }
            }
        }
        // The report stands without it.
        Err(error) => {
            report.run.hindered = Some(Failure::of(Exit::Connection, &error).message().to_owned());
        }
    }
    Ok(())
}

/// Names the statements of the files, and everything else that the library needs to know.
pub(super) fn options(settings: &config::Optimize) -> Result<Options, Failure> {
    let workload = settings.workload.as_deref().map(workload::read).transpose()?;
    Ok(Options {
        sample: SampleOptions {
            limit: settings.limit as usize,
            min_calls: u64::from(settings.min_calls),
            min_mean_ms: settings.min_mean_ms,
            schemas: settings.schemas.clone(),
            exclude_tables: settings.excluded_tables.clone(),
            strict_names: settings.apply,
            workload,
            logs: settings.logs.iter().map(|path| workload::log(path)).collect::<Result<_, _>>()?,
        },
        min_confidence: settings.min_confidence,
        storage_budget: settings.storage_budget,
        what_if: match settings.what_if {
            WhatIf::Auto => WhatIfChoice::Auto,
            WhatIf::Hypopg => WhatIfChoice::HypoPg,
            WhatIf::Twin => WhatIfChoice::Twin,
            WhatIf::None => WhatIfChoice::None,
        },
        twin: TwinOptions { any_version: settings.twin_any_version, ..TwinOptions::default() },
        explain_as: None,
    })
}

/// Samples, thinks and prices, with progress.
pub(super) async fn propose(
    call: &Call,
    source: Source<'_>,
    options: &Options,
) -> Result<Proposal, Failure> {
    let progress = Progress::new(call.progress);
    let mut show = |event| show(&progress, event);
    optimize::propose(source, &call.meter, options, &mut show)
        .await
        .map_err(|error| failure(&error))
}

/// Shows how far a run is.
pub(super) fn show(progress: &Progress, event: optimize::Event) {
    match event {
        optimize::Event::Sampling => progress.stage("reading catalogs and statistics"),
        optimize::Event::Twin => progress.stage("building a planner twin"),
        optimize::Event::Planning { done, total } => {
            progress.part("planning statements", done as u64, total as u64);
        }
        optimize::Event::Pricing { done } => {
            progress.stage(&format!("pricing what could be: {done} plans"));
        }
    }
}

pub(super) fn failure(error: &OptimizeError) -> Failure {
    if let OptimizeError::Postgres { source, .. } = error
        && source.connect_cause().is_some()
    {
        return Failure::of(Exit::Connection, source);
    }
    let exit = match error {
        OptimizeError::Postgres { .. } | OptimizeError::NoHypoPg { .. } => Exit::Connection,
        OptimizeError::Sample(error) => match error.kind() {
            SampleErrorKind::Setup | SampleErrorKind::Privilege | SampleErrorKind::Server => {
                Exit::Connection
            }
            SampleErrorKind::Workload | SampleErrorKind::Name => Exit::Usage,
            SampleErrorKind::Answer => Exit::Internal,
        },
        OptimizeError::Twin(_) | OptimizeError::Blueprint(_) => Exit::Connection,
        OptimizeError::Faulty(_) => Exit::Internal,
        OptimizeError::Elsewhere { .. } => Exit::Usage,
    };
    let failure = Failure::of(exit, error);
    match error {
        OptimizeError::NoHypoPg { .. } => {
            failure.hint("`CREATE EXTENSION hypopg;` installs it where its package is; `--what-if none` does without")
        }
        OptimizeError::Sample(error) if error.kind() == SampleErrorKind::Workload => {
            failure.hint("give SELECT, INSERT, UPDATE or DELETE statements, each ended by a semicolon")
        }
        OptimizeError::Sample(error) if error.kind() == SampleErrorKind::Name => failure.hint(
            "without that name more could be changed than you want, so nothing was done; upper case counts as lower unless \
             it is quoted: --exclude-table 'app.\"Orders\"'",
        ),
        _ => failure,
    }
}

/// Carries out what is due: first the statistics, where some are, and then what is due in their light.
async fn apply(
    call: &Call,
    info: &ConnInfo,
    options: &Options,
    proposal: &mut Proposal,
) -> Result<Applied, Failure> {
    let (stop, stopped) = watch::channel(false);
    let work = async {
        let run = Uuid::new_v4();
        let statistics = proposal.plan.statistics();
        if statistics.actions.is_empty() {
            return carry_out(call, info, &proposal.plan, run, Some(stopped)).await;
        }
        let mut applied = carry_out(call, info, &statistics, run, Some(stopped.clone())).await?;
        *proposal = propose(call, Source::Server(info), options).await?;
        proposal.without(&statistics);
        let then = carry_out(call, info, &proposal.plan, run, Some(stopped)).await?;
        applied.outcomes.extend(then.outcomes);
        proposal.tell_first(&statistics);
        Ok(applied)
    };
    stoppable(Box::pin(work), &stop).await?
}

/// Carries out what is due of a plan, with progress, until `stop` becomes true.
pub(super) async fn carry_out(
    call: &Call,
    info: &ConnInfo,
    plan: &ChangePlan,
    run: Uuid,
    stop: Option<watch::Receiver<bool>>,
) -> Result<Applied, Failure> {
    let usual = call.settings.limits.apply_options(call.settings.lock_wait);
    let options = ApplyOptions { stop, ..usual };
    let progress = Progress::new(call.progress);
    let mut show = |event| {
        call.log.applying(&event);
        progress.applying(&event);
    };
    // What the actions bring is measured against how things are now.
    let before = match plan.due().next() {
        Some(_) => Some(watched::before(info, &call.meter).await),
        None => None,
    };
    let outcomes = applier::apply(info, &call.meter, plan, run, &options, &mut show).await;
    let kept = match before {
        Some(Ok(before)) => watched::after(info, &call.meter, &before).await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    let outcomes = outcomes.map_err(|error| applying(&error))?;
    if let Err(error) = kept {
        let why = std::error::Error::source(&error).map_or(String::new(), |why| format!(": {why}"));
        call.warn(&format!("`pgwright verify` will have less to compare with: {error}{why}"));
    }
    Ok(Applied { run: run.to_string(), outcomes: outcomes.iter().map(Outcome::from).collect() })
}

/// The failure of a run that changes something.
pub(super) fn applying(error: &ApplyError) -> Failure {
    let exit = match error.kind() {
        applier::ErrorKind::Server => Exit::Connection,
        applier::ErrorKind::Usage => Exit::Usage,
        applier::ErrorKind::Refused => Exit::Refused,
        applier::ErrorKind::Interrupted => Exit::Interrupted,
    };
    let failure = Failure::of(exit, error);
    if let ApplyError::Journal(JournalError::Create(source)) = error
        && source.sqlstate() == Some("P0001")
    {
        return failure.hint(
            "an event trigger or the like forbids it: have schema pgwright and its journal made while that is disabled",
        );
    }
    // Where nothing was begun, the journal has nothing to tell.
    let begun = match error {
        ApplyError::Server { source, .. } => source.connect_cause().is_none(),
        ApplyError::Journal(error) => {
            matches!(error, JournalError::Write(_) | JournalError::Moved { .. })
        }
        ApplyError::Interrupted => true,
        ApplyError::OtherRun { .. }
        | ApplyError::Refused { .. }
        | ApplyError::NoSuchAction { .. } => false,
    };
    if begun {
        failure.hint("`pgwright log` shows what was done; the next run finishes what is left")
    } else {
        failure
    }
}

/// Does work that must be asked to stop, so that it can clean up; a second Ctrl-C does not wait for that.
pub(super) async fn stoppable<T>(
    work: impl Future<Output = T>,
    stop: &watch::Sender<bool>,
) -> Result<T, Failure> {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return Ok(done),
        () = interrupt() => {}
    }
    stop.send_replace(true);
    warn("stopping and cleaning up; Ctrl-C again leaves that to the next run");
    tokio::select! {
        done = &mut work => Ok(done),
        () = interrupt() => Err(interrupted()),
    }
}

fn report(call: &Call, proposal: &Proposal, applied: Option<&Applied>) -> Result<(), Failure> {
    let settings = &call.settings.optimize;
    let nothing = applied.map_or(proposal.report.actions.is_empty(), |applied| {
        applied.outcomes.iter().all(|outcome| outcome.result == Ending::Skipped)
    });
    if call.quiet && nothing && settings.format == ReportFormat::Human {
        return Ok(());
    }
    if let Some(applied) = applied
        && call.quiet
        && settings.format == ReportFormat::Human
        && settings.output.is_none()
    {
        return output::deliver(&applied.summary(&proposal.snapshot.server.database), None);
    }
    let document = Document {
        report: &proposal.report,
        applied,
        traffic: (call.verbose > 0).then(|| Traffic::of(&call.meter)),
        unwatched: settings.watch.is_none(),
        verbose: call.verbose > 0,
        width: if settings.output.is_none() { output::width() } else { output::PLAIN_WIDTH },
    };
    output::deliver(&output::format(settings.format).render(&document), settings.output.as_deref())
}
