//! `pgwright demo`: the whole job on a private server, from the first look to the last undo.

use std::fmt::Write as _;
use std::time::Instant;

use agent::applier::{self, ApplyOptions};
use agent::cluster::{Binaries, Cluster, ClusterError};
use agent::conninfo::ConnInfo;
use agent::journal::{self, Which};
use agent::optimize::{Options, Proposal, WhatIfChoice};
use agent::postgres::{PgError, Session};
use agent::rollback::rollback;
use agent::sampler::SampleOptions;
use uuid::Uuid;

use super::{Call, interrupt, interruptible, log, optimize};
use crate::cli::{self, DemoArgs};
use crate::demo::{self, Expected, STATEMENTS, Timing, Values};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human::{self, Human};
use crate::output::{self, Applied, Document, Format as _, Outcome, units};
use crate::progress::Progress;
use crate::text;
use crate::values::Gate;

/// Name of the demo's database.
const DATABASE: &str = "vedfinance";
/// Seed of the workload: before and after, the same statements come with the same values.
const SEED: u64 = 1;
/// Times that the workload is gone through, before and after.
const ROUNDS: u32 = 8;
/// Clicks of the insert load, before and after.
const CLICKS: usize = 4_000;
/// Times of a statement that differ by less, in milliseconds, are the same: no clock here is better.
const SAME_MS: f64 = 0.05;

/// Runs the demo; whatever ends it, the server is stopped and removed.
pub(crate) async fn run(call: &Call, args: &DemoArgs) -> Result<Exit, Failure> {
    interruptible(Box::pin(show(call, args))).await
}

async fn show(call: &Call, args: &DemoArgs) -> Result<Exit, Failure> {
    let binaries = Binaries::find(None).map_err(|error| no_server(&error))?;
    let progress = Progress::new(call.progress);
    progress.stage("starting a private server");
    let cluster = Cluster::start(&binaries, demo::cluster_options())
        .await
        .map_err(|error| no_server(&error))?;
    drop(progress);
    let shown = act(call, args, &cluster).await;
    if args.keep && shown.is_ok() {
        let [host, port] = [cluster.socket_dir().display().to_string(), cluster.port().to_string()];
        tell(&format!(
            "\nThe server stays up. Ctrl-C stops and removes it.\n  psql -h {host} -p {port} -U postgres {DATABASE}\n  \
             pgwright log -d 'host={host} port={port} user=postgres dbname={DATABASE}'\n"
        ))?;
        interrupt().await;
    }
    cluster.stop().await;
    shown
}

fn no_server(error: &ClusterError) -> Failure {
    Failure::of(Exit::Connection, error)
        .hint("on Debian and Ubuntu: `apt-get install postgresql postgresql-15-hypopg`, with your version for 15")
}

fn failed(doing: &'static str) -> impl Fn(PgError) -> Failure {
    move |error| Failure::new(Exit::Connection, format!("cannot {doing}")).caused_by(&error)
}

/// What the application measures: its statements, and its writes per second.
struct Measured {
    timings: Vec<Timing>,
    writes: f64,
}

async fn act(call: &Call, args: &DemoArgs, cluster: &Cluster) -> Result<Exit, Failure> {
    let session = prepare(call, args, cluster).await?;
    let indexes = indexes(&session).await?;
    let values = demo::read_values(&session).await.map_err(failed("read the demo's data"))?;
    let before = measure(call, &session, &values).await?;
    let calls: usize = before.timings.iter().map(|timing| timing.calls).sum();
    let total: f64 = before.timings.iter().map(|timing| timing.total_ms).sum();
    heading(
        2,
        &format!(
            "The application runs: {} calls in {}",
            units::count(calls as u64),
            units::duration(total)
        ),
    )?;

    let info = ConnInfo::resolve(Some(&cluster.conninfo(DATABASE)), &|_| None)
        .map_err(|error| Failure::of(Exit::Internal, &error))?;
    let proposal = Box::pin(optimize::propose(call, &info, &options())).await?;
    heading(3, "`pgwright optimize` looks, and changes nothing")?;
    let page = Document {
        report: &proposal.report,
        applied: None,
        traffic: None,
        verbose: call.verbose > 0,
        width: output::width(),
    };
    tell_step(&Human.render(&page))?;

    let applied = apply(call, &info, &proposal).await?;
    heading(4, "`pgwright optimize --apply` carries out what is above the gate")?;
    tell_step(&human::carried_out(&proposal.report, &applied, output::width()))?;

    let after = measure(call, &session, &values).await?;
    heading(5, "The same statements with the same values, on the clock")?;
    tell_step(&comparison(&before, &after, call.verbose > 0))?;

    heading(6, "`pgwright log`")?;
    let entries = journal::list(&session, Which::All)
        .await
        .map_err(|error| Failure::of(Exit::Connection, &error))?;
    tell_step(&log::list(&entries))?;

    if args.rollback {
        undo(call, &info, &session, &indexes).await?;
    }
    session.close().await;
    Ok(applied.exit())
}

async fn prepare(call: &Call, args: &DemoArgs, cluster: &Cluster) -> Result<Session, Failure> {
    let doing = failed("fill the demo's database");
    let started = Instant::now();
    let progress = Progress::new(call.progress);
    progress.stage("filling the database");
    let scale = match args.scale {
        cli::Scale::S => demo::Scale::Small,
        cli::Scale::M => demo::Scale::Medium,
        cli::Scale::L => demo::Scale::Large,
    };
    let first = demo::connect(cluster, "postgres").await.map_err(&doing)?;
    first.batch(&format!("CREATE DATABASE {DATABASE}")).await.map_err(&doing)?;
    first.close().await;
    let session = demo::connect(cluster, DATABASE).await.map_err(&doing)?;
    demo::load(&session, scale).await.map_err(&doing)?;
    drop(progress);
    let (users, logs) = scale.rows();
    heading(
        1,
        &format!(
            "A private PostgreSQL {} with {} users and {} log rows, ready after {}",
            session.version(),
            units::count(users.into()),
            units::count(logs.into()),
            units::duration(started.elapsed().as_secs_f64() * 1000.0)
        ),
    )?;
    Ok(session)
}

async fn measure(call: &Call, session: &Session, values: &Values) -> Result<Measured, Failure> {
    let doing = failed("run the demo's workload");
    let progress = Progress::new(call.progress);
    let show = |done, total| progress.part("the application runs", done as u64, total as u64);
    let timings = demo::run(session, values, SEED, ROUNDS, show).await.map_err(&doing)?;
    progress.stage("the application writes");
    let writes = demo::insert_load(session, values, SEED, CLICKS).await.map_err(&doing)?;
    Ok(Measured { timings, writes })
}

fn options() -> Options {
    Options {
        sample: SampleOptions::default(),
        min_confidence: Gate::DEFAULT.0,
        storage_budget: None,
        what_if: WhatIfChoice::Auto,
    }
}

async fn apply(call: &Call, info: &ConnInfo, proposal: &Proposal) -> Result<Applied, Failure> {
    let run = Uuid::new_v4();
    let progress = Progress::new(call.progress);
    let mut show = |event| progress.applying(&event);
    let options = ApplyOptions::default();
    let work = applier::apply(info, &call.meter, &proposal.plan, run, &options, &mut show);
    let outcomes = Box::pin(work).await.map_err(|error| optimize::applying(&error))?;
    Ok(Applied { run: run.to_string(), outcomes: outcomes.iter().map(Outcome::from).collect() })
}

/// Undoes everything and holds the indexes against those from before.
async fn undo(
    call: &Call,
    info: &ConnInfo,
    session: &Session,
    before: &[String],
) -> Result<(), Failure> {
    let progress = Progress::new(call.progress);
    let mut show = |event| progress.applying(&event);
    let options = ApplyOptions::default();
    let work = rollback(info, &call.meter, Which::All, &options, &mut show);
    let outcomes = Box::pin(work).await.map_err(|error| optimize::applying(&error))?;
    drop(progress);
    let outcomes: Vec<Outcome> = outcomes.iter().map(Outcome::from).collect();
    heading(7, "`pgwright rollback --all`")?;
    tell(&human::undone(&outcomes, output::width(), true))?;
    if indexes(session).await? != before {
        return Err(Failure::new(Exit::Action, "the indexes are not those from before"));
    }
    tell(&format!("The {} indexes of the application are those from before.\n", before.len()))
}

/// The definition of every index of the application.
async fn indexes(session: &Session) -> Result<Vec<String>, Failure> {
    let sql = "SELECT indexdef FROM pg_catalog.pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'pgwright') ORDER BY 1";
    let doing = failed("read the indexes");
    let rows = session.query(sql, &[]).await.map_err(&doing)?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| doing(error.into()))).collect()
}

fn heading(number: usize, what: &str) -> Result<(), Failure> {
    let style = anstyle::AnsiColor::Cyan.on_default().bold();
    tell(&format!("{style}{number}. {what}{style:#}\n\n"))
}

fn tell(text: &str) -> Result<(), Failure> {
    output::deliver(text, None)
}

/// Prints what a step came to, and a blank line after it.
fn tell_step(text: &str) -> Result<(), Failure> {
    tell(&format!("{text}\n"))
}

/// Every statement with its time before and after, and what that comes to.
fn comparison(before: &Measured, after: &Measured, verbose: bool) -> String {
    const NAME: usize = 40;
    let mut out = format!(
        "  {:NAME$} {:>10} {:>10}\n",
        "a quarter of the calls took at most", "before", "after"
    );
    let (mut faster, mut slower) = (0, 0);
    for ((old, new), statement) in before.timings.iter().zip(&after.timings).zip(STATEMENTS) {
        let verdict = verdict(old.p25_ms, new.p25_ms);
        faster += usize::from(verdict.faster);
        slower += usize::from(verdict.slower);
        let _ = writeln!(
            out,
            "  {} {:>10} {:>10}  {}",
            text::pad(old.name, NAME),
            units::duration(old.p25_ms),
            units::duration(new.p25_ms),
            verdict.text
        );
        if verbose {
            let (kind, what) = match statement.expected {
                Expected::Index(what) => ("an index", what),
                Expected::Advice(what) => ("advice", what),
                Expected::Nothing(what) => ("nothing", what),
            };
            let _ = writeln!(out, "    expected: {kind}; {what}");
        }
    }
    let rate = |rate: f64| units::count(rate.round() as u64);
    let _ = writeln!(
        out,
        "  {} {:>10} {:>10}  {:.2} of the rate before",
        text::pad("writing statements a second", NAME),
        rate(before.writes),
        rate(after.writes),
        after.writes / before.writes.max(f64::MIN_POSITIVE)
    );
    let total =
        |measured: &Measured| measured.timings.iter().map(|timing| timing.total_ms).sum::<f64>();
    let (old, new) = (total(before), total(after));
    let _ = writeln!(
        out,
        "\n{faster} of {} statements are faster, {slower} slower by more than 10 %; the whole run took {} instead of {}.",
        before.timings.len(),
        units::duration(new),
        units::duration(old)
    );
    out
}

/// What became of one statement's time.
struct Verdict {
    faster: bool,
    slower: bool,
    text: String,
}

fn verdict(before_ms: f64, after_ms: f64) -> Verdict {
    let differs = (before_ms - after_ms).abs() > SAME_MS;
    let faster = differs && after_ms < before_ms / 1.1;
    let slower = differs && after_ms > before_ms * 1.1;
    let factor = before_ms / after_ms.max(f64::MIN_POSITIVE);
    let text = match (faster, slower) {
        (true, _) if factor >= 9.95 => {
            format!("{} times faster", units::count(factor.round() as u64))
        }
        (true, _) => format!("{factor:.1} times faster"),
        (_, true) => format!("{:.1} times slower", 1.0 / factor),
        _ => "the same".to_owned(),
    };
    Verdict { faster, slower, text }
}

#[cfg(test)]
mod tests {
    use super::{Measured, comparison, verdict};
    use crate::demo::{STATEMENTS, Timing};

    #[test]
    fn a_difference_counts_when_it_is_a_tenth_and_a_clock_can_tell() {
        assert!(verdict(35.0, 0.2).faster && verdict(35.0, 0.2).text == "175 times faster");
        assert!(verdict(10.0, 20.0).slower && verdict(10.0, 20.0).text == "2.0 times slower");
        for (before, after) in [(10.0, 10.9), (10.0, 9.2), (0.02, 0.06)] {
            assert_eq!(verdict(before, after).text, "the same");
        }
    }

    #[test]
    fn the_comparison_sums_up() {
        let timings = |ms: f64| {
            let one = |name| Timing {
                name,
                calls: 2,
                p25_ms: ms,
                median_ms: ms,
                p95_ms: ms,
                total_ms: 2.0 * ms,
            };
            STATEMENTS.iter().map(|statement| one(statement.name)).collect()
        };
        let before = Measured { timings: timings(10.0), writes: 4000.0 };
        let after = Measured { timings: timings(1.0), writes: 3800.0 };
        let text = comparison(&before, &after, true);
        assert!(text.contains("expected: "), "{text}");
        assert!(
            text.contains(&format!("{0} of {0} statements are faster, 0 slower", STATEMENTS.len())),
            "{text}"
        );
        assert!(text.contains("4,000      3,800  0.95 of the rate before"), "{text}");
    }
}
