//! `pgwright demo`: the whole job on a private server that is removed afterwards.

use std::path::Path;
use std::time::Instant;

use agent::cluster::{Binaries, Cluster, ClusterError};
use agent::conninfo::ConnInfo;
use agent::journal::{self, Which};
use agent::optimize::{Options, Proposal, Source, WhatIfChoice};
use agent::postgres::{OLDEST_MAJOR, PgError, Session};
use agent::sampler::SampleOptions;
use agent::twin::TwinOptions;
use anstyle::Style;
use rules::report::Report;
use serde::Serialize;

use super::{Call, log, optimize, rollback};
use crate::cli::{DemoArgs, Format, ReportFormat, Scale};
use crate::demo::{self, Comparison, Rates, Sides, Values, Writes};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human::page::Page;
use crate::output::{self, Applied, Document, Outcome, human, json, units};
use crate::progress::Progress;
use crate::values::Gate;

/// The application's database, and its copy as it was before anything was applied.
const DATABASE: &str = "vedfinance";
const COPY: &str = "vedfinance_before";
/// Rounds of the application before the dry run, and rounds measured on both databases.
const ROUNDS: u32 = 3;
const MEASURED_ROUNDS: u32 = 3;
/// Different values for the workload, for the idle sessions, and for each measurement.
const SEEDS: [u64; 6] = [1, 2, 3, 4, 5, 6];

/// Shows the whole job. What it starts it removes, also when it fails or is stopped: with the server's owner
/// goes the server.
pub(super) async fn run(call: &Call, args: &DemoArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let story = Story { told: args.format == Format::Human, width: output::width() };
    let binaries = binaries()?;
    let progress = Progress::new(call.progress);
    progress.stage("starting a private server");
    let cluster = Cluster::start(&binaries, demo::cluster_options()).await;
    let cluster = cluster.map_err(|error| Failure::of(Exit::Connection, &error))?;
    drop(progress);
    story.tell(&format!(
        "{BOLD}pgwright demo{BOLD:#}: the whole job on a private PostgreSQL {}.{} that nobody else can reach",
        binaries.major,
        binaries.version_num % 10_000
    ))?;
    if !binaries.offers("hypopg") {
        call.warn(&format!(
            "this PostgreSQL has no HypoPG, so that nobody can price a new index and none reaches the gate; \
             install it ({}) and run the demo again",
            hypopg_package(binaries.major)
        ));
    }
    let demo = Demo { call, args, story, cluster: &cluster };
    let shown = Box::pin(demo.show()).await?;
    if args.format == Format::Json {
        output::deliver(&json::pretty(&shown), None)?;
    }
    let exit = shown.exit();
    let took = units::duration(began.elapsed().as_secs_f64() * 1000.0);
    let (pid, info) = (cluster.pid().unwrap_or_default(), cluster.conninfo(DATABASE));
    if args.keep {
        let folder = cluster.leave().map_err(|error| Failure::of(Exit::Connection, &error))?;
        let kept = kept(&folder, pid, &info, story.width);
        // With JSON on stdout it is no part of the result.
        if story.told { story.print(&kept)? } else { super::complain(&kept) }
    } else {
        cluster.stop().await;
        story.step(&format!("Done in {took}; the server and its folder are removed."))?;
    }
    Ok(exit)
}

const BOLD: Style = Style::new().bold();

/// What is told on stdout while it happens; nothing where a program reads the end only.
#[derive(Clone, Copy)]
struct Story {
    told: bool,
    width: usize,
}

impl Story {
    /// The heading of the next part.
    fn step(self, what: &str) -> Result<(), Failure> {
        let mut page = Page::new(self.width);
        page.blank();
        page.text(&format!("{BOLD}{what}{BOLD:#}"));
        self.print(&page.finish())
    }

    /// A paragraph.
    fn tell(self, what: &str) -> Result<(), Failure> {
        let mut page = Page::new(self.width);
        page.text(what);
        self.print(&page.finish())
    }

    /// A finished page.
    fn print(self, page: &str) -> Result<(), Failure> {
        if self.told { output::deliver(page, None) } else { Ok(()) }
    }
}

/// What came of it all, as `--format json` prints it.
#[derive(Serialize)]
struct Shown {
    format: u32,
    server: String,
    seconds: Seconds,
    report: Report,
    applied: Applied,
    #[serde(flatten)]
    measured: Measured,
    #[serde(skip_serializing_if = "Option::is_none")]
    undone: Option<Undone>,
}

/// How long the parts took.
#[derive(Default, Serialize)]
struct Seconds {
    load: f64,
    workload: f64,
    dry_run: f64,
    apply: f64,
    measure: f64,
}

/// What the clock says.
#[derive(Serialize)]
struct Measured {
    statements: Vec<Comparison>,
    clicks: Rates,
    entries: Rates,
    entries_unflushed: Rates,
}

/// What came of `--rollback`.
#[derive(Serialize)]
struct Undone {
    outcomes: Vec<Outcome>,
    /// Whether the schema is the one from before; none where no `pg_dump` could tell.
    schema_equal: Option<bool>,
}

impl Shown {
    fn exit(&self) -> Exit {
        let undone = self.undone.as_ref();
        let exits = [
            self.applied.exit(),
            undone.map_or(Exit::Success, |undone| rollback::exit(&undone.outcomes)),
        ];
        let differs = undone.is_some_and(|undone| undone.schema_equal == Some(false));
        if differs || exits.iter().any(|exit| *exit != Exit::Success) {
            Exit::Action
        } else {
            Exit::Success
        }
    }
}

/// The demo on its server.
struct Demo<'a> {
    call: &'a Call,
    args: &'a DemoArgs,
    story: Story,
    cluster: &'a Cluster,
}

impl Demo<'_> {
    async fn show(&self) -> Result<Shown, Failure> {
        let mut seconds = Seconds::default();
        let values = self.load(&mut seconds).await?;
        let pool = self.play(&values, &mut seconds).await?;
        let info = ConnInfo::resolve(Some(&self.cluster.conninfo(DATABASE)), &|_| None)
            .map_err(|error| Failure::of(Exit::Internal, &error))?;
        let proposal = self.propose(&info, &mut seconds).await?;
        for session in pool {
            session.close().await;
        }
        demo::copy(self.cluster, DATABASE, COPY).await.map_err(|error| server(&error))?;
        let before = self.dump().await?;
        let applied = self.apply(&info, &proposal, &mut seconds).await?;
        let measured = self.measure(&values, &mut seconds).await?;
        self.log(&info).await?;
        let undone = if self.args.rollback {
            Some(self.undo(&info, before.as_deref()).await?)
        } else {
            None
        };
        Ok(Shown {
            format: 1,
            server: proposal.report.server.version.clone(),
            seconds,
            report: proposal.report,
            applied,
            measured,
            undone,
        })
    }

    async fn load(&self, seconds: &mut Seconds) -> Result<Values, Failure> {
        let since = Instant::now();
        let progress = Progress::new(self.call.progress);
        let scale = match self.args.scale {
            Scale::S => demo::Scale::Small,
            Scale::M => demo::Scale::Medium,
            Scale::L => demo::Scale::Large,
        };
        let (users, logs) = scale.rows();
        let (users, logs) = (units::count(users.into()), units::count(logs.into()));
        progress.stage(&format!("loading {users} users and {logs} log entries"));
        let loaded = async {
            demo::create(self.cluster, DATABASE).await?;
            let session = demo::connect(self.cluster, DATABASE).await?;
            demo::load(&session, scale).await?;
            let values = demo::read_values(&session).await?;
            session.close().await;
            Ok(values)
        };
        let values = loaded.await.map_err(|error: PgError| server(&error))?;
        drop(progress);
        seconds.load = since.elapsed().as_secs_f64();
        self.story.step("1. An application")?;
        self.story.tell(&format!(
            "V-EdFinance, a school for personal finance, with {users} users and {logs} log entries, loaded in {}.",
            took(since)
        ))?;
        Ok(values)
    }

    /// Plays the application and leaves its idle sessions.
    async fn play(&self, values: &Values, seconds: &mut Seconds) -> Result<Vec<Session>, Failure> {
        let since = Instant::now();
        let progress = Progress::new(self.call.progress);
        let show = |done: usize, all: usize| {
            progress.part("playing the application", done as u64, all as u64);
        };
        let played = async {
            let session = demo::connect(self.cluster, DATABASE).await?;
            let calls = demo::run(&session, values, SEEDS[0], ROUNDS, show).await?;
            session.close().await;
            Ok((calls, demo::pool(self.cluster, DATABASE, values, SEEDS[1]).await?))
        };
        let (calls, pool) = played.await.map_err(|error: PgError| server(&error))?;
        drop(progress);
        seconds.workload = since.elapsed().as_secs_f64();
        self.story.tell(&format!(
            "It has asked {} questions of {} kinds in {}, and its {} sessions stay open, idle, as those of an \
             application's pool do.",
            units::count(calls as u64),
            demo::STATEMENTS.len(),
            took(since),
            pool.len(),
        ))?;
        Ok(pool)
    }

    async fn propose(&self, info: &ConnInfo, seconds: &mut Seconds) -> Result<Proposal, Failure> {
        let since = Instant::now();
        // What a user gets without options; their configuration file is about another database.
        let options = Options {
            sample: SampleOptions::default(),
            min_confidence: Gate::DEFAULT.0,
            storage_budget: None,
            what_if: WhatIfChoice::Auto,
            twin: TwinOptions::default(),
            explain_as: None,
        };
        let proposal = optimize::propose(self.call, Source::Server(info), &options).await?;
        seconds.dry_run = since.elapsed().as_secs_f64();
        self.story
            .step(&format!("2. The dry run: `pgwright optimize`, done in {}", took(since)))?;
        let document = Document {
            report: &proposal.report,
            applied: None,
            traffic: None,
            unwatched: false,
            verbose: self.call.verbose > 0,
            width: self.story.width,
        };
        self.story.print("\n")?;
        self.story.print(&output::format(ReportFormat::Human).render(&document))?;
        Ok(proposal)
    }

    async fn apply(
        &self,
        info: &ConnInfo,
        proposal: &Proposal,
        seconds: &mut Seconds,
    ) -> Result<Applied, Failure> {
        let since = Instant::now();
        let applied =
            optimize::carry_out(self.call, info, &proposal.plan, uuid::Uuid::new_v4(), None)
                .await?;
        seconds.apply = since.elapsed().as_secs_f64();
        self.story.step("3. Carried out: `pgwright optimize --apply`")?;
        self.story.print("\n")?;
        self.story.print(&human::carried_out(&proposal.report, &applied, self.story.width))?;
        Ok(applied)
    }

    async fn measure(&self, values: &Values, seconds: &mut Seconds) -> Result<Measured, Failure> {
        let since = Instant::now();
        let progress = Progress::new(self.call.progress);
        let show = |what: &'static str| {
            let progress = &progress;
            move |done: usize, all: usize| progress.part(what, done as u64, all as u64)
        };
        let sides = Sides { cluster: self.cluster, before: COPY, after: DATABASE };
        let measured = async {
            let show_calls = show("measuring statements");
            let statements =
                demo::compare(sides, values, SEEDS[2], MEASURED_ROUNDS, show_calls).await?;
            let write = |seed, writes| {
                demo::compare_writes(sides, values, seed, writes, show("measuring writes"))
            };
            Ok(Measured {
                statements,
                clicks: write(SEEDS[3], Writes::Clicks).await?,
                entries: write(SEEDS[4], Writes::Entries).await?,
                entries_unflushed: write(SEEDS[5], Writes::EntriesUnflushed).await?,
            })
        };
        let measured = measured.await.map_err(|error: PgError| server(&error))?;
        drop(progress);
        seconds.measure = since.elapsed().as_secs_f64();
        self.story.step("4. On the clock")?;
        self.story.tell(
            "Every call was sent to the database and to a copy from before, one right after the other. A quarter \
             of the calls took at most:",
        )?;
        let writes = [
            ("statements of clicks a second", measured.clicks),
            ("bare INSERTs a second", measured.entries),
            ("the same, not waiting for the disk", measured.entries_unflushed),
        ];
        self.story.print("\n")?;
        let verbose = self.call.verbose > 0;
        self.story.print(&human::on_the_clock(
            &measured.statements,
            &writes,
            self.story.width,
            verbose,
        ))?;
        Ok(measured)
    }

    async fn log(&self, info: &ConnInfo) -> Result<(), Failure> {
        let session = Session::connect(info, agent::postgres::Purpose::Other, &self.call.meter)
            .await
            .map_err(|error| server(&error))?;
        let entries = journal::list(&session, Which::All).await;
        session.close().await;
        let entries = entries.map_err(|error| Failure::of(Exit::Connection, &error))?;
        self.story.step("5. The journal: `pgwright log`")?;
        self.story.print(&format!("\n{}", log::list(&entries, &[])))
    }

    /// Undoes everything and holds the schema against the one from before.
    async fn undo(&self, info: &ConnInfo, before: Option<&str>) -> Result<Undone, Failure> {
        let outcomes = rollback::undo(self.call, info, Which::All, None).await?;
        self.story.step("6. Taken back: `pgwright rollback --all`")?;
        self.story.print(&human::undone(&outcomes, self.story.width, self.call.verbose > 0))?;
        let after = self.dump().await?;
        let schema_equal = before.zip(after.as_deref()).map(|(before, after)| before == after);
        self.story.tell(match schema_equal {
            Some(true) => "The schema (pg_dump -s) is the one from before, byte for byte, apart from our journal.",
            Some(false) => "The schema (pg_dump -s) is NOT the one from before: please report this.",
            None => "No pg_dump of this version was found, so that the schema could not be held against the one from before.",
        })?;
        Ok(Undone { outcomes, schema_equal })
    }

    async fn dump(&self) -> Result<Option<String>, Failure> {
        let dump = self.cluster.dump_schema(DATABASE, "pgwright").await;
        dump.map_err(|error| Failure::of(Exit::Connection, &error))
    }
}

fn took(since: Instant) -> String {
    units::duration(since.elapsed().as_secs_f64() * 1000.0)
}

/// The failure of our own server, which should not fail.
fn server(error: &PgError) -> Failure {
    Failure::of(Exit::Connection, error)
}

/// The server programs to use: with HypoPG where there are any, else the first that can do without.
fn binaries() -> Result<Binaries, Failure> {
    // The variable decides alone, as everywhere.
    let all = match std::env::var_os("PGWRIGHT_PG_BIN") {
        Some(_) => Binaries::find(None).map(|found| vec![found]),
        None => Ok(Binaries::find_all()),
    };
    let all = all.map_err(|error| Failure::of(Exit::Connection, &error))?;
    let usable =
        |found: &&Binaries| found.major >= OLDEST_MAJOR && found.offers("pg_stat_statements");
    let chosen = all.iter().filter(usable).find(|found| found.offers("hypopg"));
    if let Some(found) = chosen.or_else(|| all.iter().find(usable)) {
        return Ok(found.clone());
    }
    let failure = match all.first() {
        None => Failure::of(Exit::Connection, &ClusterError::NoServer { major: None }),
        Some(found) => Failure::new(
            Exit::Connection,
            format!(
                "the PostgreSQL {} in {} is older than {OLDEST_MAJOR} or lacks pg_stat_statements",
                found.major,
                found.bin.display()
            ),
        ),
    };
    Err(failure.hint(
        "Debian, Ubuntu: apt install postgresql\n\
         Fedora, Red Hat: dnf install postgresql-server postgresql-contrib\n\
         macOS: brew install postgresql",
    ))
}

fn hypopg_package(major: u32) -> String {
    format!("Debian, Ubuntu: postgresql-{major}-hypopg; Fedora, Red Hat: hypopg_{major}")
}

/// How to reach and how to end the server that stays.
fn kept(folder: &Path, pid: u32, info: &str, width: usize) -> String {
    let mut page = Page::new(width);
    page.blank();
    page.text(&format!(
        "{BOLD}The server keeps running.{BOLD:#} The application's database is {DATABASE}, and {COPY} is its copy \
         from before. Look around with"
    ));
    page.whole_line(2, &format!("psql \"{info}\""));
    page.whole_line(2, &format!("pgwright optimize -d \"{info}\""));
    page.text("and end it with");
    page.whole_line(2, &format!("kill -INT {pid}; sleep 3; rm -r {}", folder.display()));
    page.finish()
}
