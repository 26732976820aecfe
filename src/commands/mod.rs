//! The commands: each reads its options, asks the library for the work, and prints what came of it.

use std::borrow::Cow;
use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;

use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};

use crate::cli::{Cli, Color, Command, OptimizeArgs, SampleArgs};
use crate::config::{self, Settings};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Traffic;
use crate::run_log::{Entry, RunLog};
use crate::trace;

mod demo;
mod doctor;
mod doctor_twin;
mod explain;
mod log;
mod optimize;
mod rollback;
pub(crate) mod rules;
mod snapshot;
mod verify;

/// What every command knows of its call.
pub(crate) struct Call {
    /// Options, environment and files joined.
    pub(crate) settings: Settings,
    /// How often `-v` was given.
    pub(crate) verbose: u8,
    /// Whether to be quiet.
    pub(crate) quiet: bool,
    /// Whether progress may be shown on stderr, where nothing else is written meanwhile.
    pub(crate) progress: bool,
    /// Counts what is sent to the server.
    pub(crate) meter: Arc<Meter>,
    /// Writes down what happens, where that was asked for.
    pub(crate) log: RunLog,
}

/// Carries out the command line and says how it ended.
pub(crate) fn run(cli: &Cli) -> Exit {
    let call = match call(cli) {
        Ok(call) => call,
        Err(failure) => {
            complain(&failure.render());
            return failure.exit;
        }
    };
    let apply = match &cli.command {
        Command::Verify(args) => !args.dry_run,
        Command::Rollback(_) => true,
        Command::Log(args) => args.unblock.is_some(),
        _ => call.settings.optimize.apply,
    };
    call.log.write(&Entry::Begin { version: env!("CARGO_PKG_VERSION"), apply });
    let (exit, error) = match carry_out(cli, &call) {
        Ok(exit) => (exit, None),
        Err(failure) => {
            complain(&failure.render());
            (failure.exit, Some(failure))
        }
    };
    // The report of `optimize` has it.
    if call.verbose > 0 && !matches!(cli.command, Command::Optimize(_)) {
        let sent = Traffic::of(&call.meter);
        if sent.statements > 0 {
            complain(&format!("{}\n", sent.told()));
        }
    }
    call.log.end(exit, error.as_ref().map(Failure::message), &call.meter);
    exit
}

fn call(cli: &Cli) -> Result<Call, Failure> {
    let here = std::env::current_dir().unwrap_or_default();
    let sampling =
        |sample: &SampleArgs| OptimizeArgs { sample: sample.clone(), ..Default::default() };
    let args = match &cli.command {
        Command::Optimize(args) => Cow::Borrowed(&**args),
        Command::Snapshot(args) => Cow::Owned(sampling(&args.sample)),
        Command::Doctor(args) => {
            let (workload, limit) = (args.workload.clone(), args.limit);
            Cow::Owned(sampling(&SampleArgs { workload, limit, ..SampleArgs::default() }))
        }
        _ => Cow::Owned(OptimizeArgs::default()),
    };
    let settings = config::settings(&cli.global, &args, &here, config::home().as_deref())?;
    match settings.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let (verbose, quiet) = (cli.global.verbose, cli.global.quiet);
    let traced = trace::start(verbose);
    let log = RunLog::open(settings.log_file.as_deref(), cli.command.name())?;
    let progress = !quiet && !traced;
    Ok(Call { settings, verbose, quiet, progress, meter: Meter::new(), log })
}

fn carry_out(cli: &Cli, call: &Call) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, "cannot start").caused_by(&error))?;
    let ended = runtime.block_on(async {
        match &cli.command {
            Command::Optimize(_) => Box::pin(optimize::run(call)).await,
            Command::Log(args) => interruptible(Box::pin(log::run(call, args))).await,
            Command::Rollback(args) => Box::pin(rollback::run(call, args)).await,
            Command::Verify(args) => Box::pin(verify::run(call, args)).await,
            Command::Explain(args) => explain::run(args),
            Command::Snapshot(args) => interruptible(Box::pin(snapshot::run(call, args))).await,
            Command::Rules(args) => rules::run(args),
            Command::Doctor(args) => interruptible(Box::pin(doctor::run(call, args))).await,
            Command::Demo(args) => interruptible(Box::pin(demo::run(call, args))).await,
        }
    });
    // Whatever still waits for a server that does not answer must not keep the program.
    runtime.shutdown_background();
    ended
}

impl Call {
    /// How to reach the server that the user means.
    pub(crate) fn conninfo(&self) -> Result<ConnInfo, Failure> {
        let env = |name: &str| std::env::var(name).ok();
        let info = ConnInfo::resolve(self.settings.database.as_deref(), &env)
            .map_err(|error| Failure::of(Exit::Usage, &error))?;
        for warning in info.warnings() {
            self.warn(warning);
        }
        Ok(info)
    }

    /// How to log in to ask for plans, where that is to be another login: a role on the same server, or a
    /// connection of its own.
    pub(crate) fn explain_as(&self) -> Result<Option<ConnInfo>, Failure> {
        let Some(given) = self.settings.explain_as.as_deref() else { return Ok(None) };
        let env = |name: &str| std::env::var(name).ok();
        let info = if given.contains('=') || given.contains("://") {
            ConnInfo::resolve(Some(given), &env)
        } else {
            ConnInfo::resolve_as(self.settings.database.as_deref(), given, &env)
        };
        info.map(Some).map_err(|error| Failure::of(Exit::Usage, &error))
    }

    /// A session with the server that the user means.
    pub(crate) async fn session(&self, purpose: Purpose) -> Result<Session, Failure> {
        let info = self.conninfo()?;
        Session::connect(&info, purpose, &self.meter)
            .await
            .map_err(|error| Failure::of(Exit::Connection, &error))
    }

    /// Tells the user something on stderr, unless told to be quiet.
    pub(crate) fn warn(&self, what: &str) {
        if !self.quiet {
            warn(what);
        }
    }
}

/// Tells the user something on stderr, come what may.
pub(crate) fn warn(what: &str) {
    let style = anstyle::AnsiColor::Yellow.on_default().bold();
    complain(&format!("{style}warning:{style:#} {}\n", crate::text::lines(what, "         ")));
}

/// Writes on stderr.
pub(crate) fn complain(text: &str) {
    // Where stderr is gone, nobody is left to be told.
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// Returns when the user or the system asks the program to stop.
pub(crate) async fn interrupt() {
    let asked = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let terminate = signal(SignalKind::terminate()).ok();
        // The terminal is gone; but `nohup` asks for that to be ignored.
        let hangup = if ignores_hangup() { None } else { signal(SignalKind::hangup()).ok() };
        let either = |signal: Option<tokio::signal::unix::Signal>| async {
            match signal {
                Some(mut signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = asked => {}
            _ = either(terminate) => {}
            _ = either(hangup) => {}
        }
    }
    #[cfg(not(unix))]
    let _ = asked.await;
}

/// Whether the program was started so that it outlives its terminal. Where that cannot be known, it is: then the
/// default applies, and what the end of the terminal left unfinished the next run finishes.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    // The lowest bit of the mask is signal 1, SIGHUP (proc(5), signal(7)).
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask & 1 == 1)
}

/// The failure of a command that was asked to stop.
pub(crate) fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted")
}

/// Does work that can be left at any time: it changes nothing.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        () = interrupt() => Err(interrupted()),
    }
}
