//! Whether the planner twin plans as its source does, how soon it is ready, how small it is and how fast it prices.
//!
//! `cargo bench --bench twin` makes a private source from `benches/kinds`. Any other source and workload:
//! `cargo bench --bench twin -- CONNECTION FOLDER`, where FOLDER holds an `indexes.sql`, one CREATE INDEX a line, and
//! queries in folders below, one a file (`benches/tpch`). The indexes are really made on the source and dropped again.
#![expect(clippy::print_stdout, reason = "figures on the terminal are what a bench is for")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::explain::Explainer;
use agent::optimize::{Checked, compare_plans, plan_workload, snapshot};
use agent::postgres::{Limits, Meter, Purpose, Session};
use agent::sampler::SampleOptions;
use agent::twin::{Twin, TwinOptions};
use anyhow::{Context as _, Result, ensure};
use rules::intake::WorkloadFile;
use rules::snapshot::Snapshot;

/// What is compared.
struct Source {
    info: ConnInfo,
    meter: Arc<Meter>,
    sample: SampleOptions,
    files: Vec<WorkloadFile>,
    indexes: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    // Cargo itself adds `--bench`.
    let given: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match &given[..] {
        [] => {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/kinds");
            let cluster = private_source(&folder).await?;
            let measured = measure(&Source::new(&cluster.conninfo("postgres"), &folder)?).await;
            cluster.stop().await;
            measured
        }
        [connection, folder] => measure(&Source::new(connection, Path::new(folder))?).await,
        _ => anyhow::bail!("usage: cargo bench --bench twin [-- CONNECTION FOLDER]"),
    }
}

impl Source {
    fn new(connection: &str, folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for below in entries(folder)?.iter().filter(|entry| entry.is_dir()) {
            for path in entries(below)?.iter().filter(|path| has_sql(path)) {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                files.push(WorkloadFile { name, text: fs::read_to_string(path)? });
            }
        }
        ensure!(!files.is_empty(), "no folder in {} holds a .sql file", folder.display());
        let indexes = fs::read_to_string(folder.join("indexes.sql"))?;
        let create = |line: &&str| line.starts_with("CREATE ");
        Ok(Self {
            info: ConnInfo::resolve(Some(connection), &|name| std::env::var(name).ok())?,
            meter: Meter::new(),
            sample: SampleOptions { workload: Some(files.clone()), ..SampleOptions::default() },
            files,
            indexes: indexes.lines().filter(create).map(str::to_owned).collect(),
        })
    }

    /// Size of the database.
    async fn bytes(&self) -> Result<i64> {
        let session = Session::connect(&self.info, Purpose::Other, &self.meter).await?;
        let sql = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";
        let bytes = session.query_one(sql, &[]).await?.try_get(0)?;
        session.close().await;
        Ok(bytes)
    }

    async fn explainer(&self) -> Result<Explainer> {
        Ok(Explainer::new(Session::connect(&self.info, Purpose::Explain, &self.meter).await?))
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        Ok(snapshot(&self.info, &self.meter, &self.sample).await?)
    }

    /// The file that a statement came from.
    fn name<'a>(&'a self, snapshot: &'a Snapshot, statement: usize) -> &'a str {
        let statement = &snapshot.statements[statement];
        let file = self.files.iter().find(|file| file.text.contains(&statement.text));
        file.map_or(&statement.id, |file| &file.name)
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut entries: Vec<PathBuf> =
        read.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    Ok(entries)
}

fn has_sql(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sql")
}

/// A server of our own with the tables and rows of `schema.sql`.
async fn private_source(folder: &Path) -> Result<Cluster> {
    let binaries = Binaries::find(None)?;
    let options = ClusterOptions { keep_template: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(&binaries, options).await?;
    let info = ConnInfo::resolve(Some(&cluster.conninfo("postgres")), &|_| None)?;
    let session = patient(&info, &Meter::new()).await?;
    for statement in fs::read_to_string(folder.join("schema.sql"))?.split(";\n") {
        session.play(statement).await.with_context(|| statement.to_owned())?;
    }
    session.close().await;
    Ok(cluster)
}

/// A session whose statements may take as long as building an index does.
async fn patient(info: &ConnInfo, meter: &Arc<Meter>) -> Result<Session> {
    let limits = Limits { statement: Duration::from_hours(1), ..Limits::of(Purpose::Other) };
    Ok(Session::connect_with(info, Purpose::Other, meter, &limits).await?)
}

async fn measure(source: &Source) -> Result<()> {
    let since = Instant::now();
    let before = source.snapshot().await?;
    let (taken, sent) = (since.elapsed(), source.meter.total_statements());
    let bytes = source.bytes().await?;
    println!(
        "PostgreSQL {}, {:.2} GB, {} queries, {} indexes to try",
        before.server.version_num / 10_000,
        bytes as f64 / 1e9,
        before.statements.len(),
        source.indexes.len()
    );
    println!("snapshot taken in {:.1} s with {sent} statements", taken.as_secs_f64());
    let options = TwinOptions { workers: 2, ..TwinOptions::default() };
    let since = Instant::now();
    let twin = Twin::build(&before, &options).await?;
    println!(
        "twin with {} databases ready in {:.1} s, {:.0} MB on disk",
        twin.workers(),
        since.elapsed().as_secs_f64(),
        allocated(&twin.cluster().data_dir())? as f64 / 1e6
    );
    for missing in twin.missing() {
        println!("  missing: {}: {}", missing.name, missing.reason);
    }
    for note in twin.notes() {
        println!("  note: {note}");
    }
    let as_is = as_things_are(source, &before, &twin).await?;
    println!("\nas things are");
    show(source, &before, &as_is);
    twin.stop().await;
    Ok(())
}

/// Plans everything on the source and on the twin.
async fn as_things_are(source: &Source, snapshot: &Snapshot, twin: &Twin) -> Result<Vec<Checked>> {
    let mut explainer = source.explainer().await?;
    let planned = plan_workload(&mut explainer, snapshot, &mut |_| ()).await?;
    explainer.close().await;
    let mut explainer = twin.explainer(0).await?;
    let checked = compare_plans(&mut explainer, snapshot, &planned, &mut |_| ()).await?;
    explainer.close().await;
    Ok(checked)
}

/// One line for each plan, and below it what differs.
fn show(source: &Source, snapshot: &Snapshot, checked: &[Checked]) {
    println!("  {:<20} {:>9} {:>15} {:>15} {:>8}", "query", "same plan", "source", "twin", "ratio");
    for one in checked {
        let name = source.name(snapshot, one.statement);
        let comparison = match &one.outcome {
            Ok(comparison) => comparison,
            Err(reason) => {
                println!("  {name:<20} not compared: {reason}");
                continue;
            }
        };
        println!(
            "  {name:<20} {:>9} {:>15.2} {:>15.2} {:>8.4}",
            if comparison.same_plan { "yes" } else { "NO" },
            comparison.source_cost,
            comparison.twin_cost,
            comparison.ratio()
        );
        for difference in &comparison.differences {
            println!("      {difference}");
        }
    }
    let compared = checked.iter().filter_map(|one| one.outcome.as_ref().ok());
    let same = compared.clone().filter(|c| c.same_plan).count();
    let cost = compared.clone().filter(|c| c.same_plan && c.same_cost()).count();
    println!(
        "  {} compared, {same} the same plan, {cost} of them at the same cost",
        compared.count()
    );
}

/// Bytes that the files of a folder take on disk.
fn allocated(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in entries(folder)? {
        let metadata = fs::symlink_metadata(&path)?;
        bytes += metadata.blocks() * 512;
        if metadata.is_dir() {
            bytes += allocated(&path)?;
        }
    }
    Ok(bytes)
}
