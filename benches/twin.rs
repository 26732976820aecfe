//! Whether the planner twin plans as its source does, how soon it is ready, how small it is and how fast it prices.
//!
//! `cargo bench --bench twin` makes a private source from `benches/kinds`. Any other source and workload:
//! `cargo bench --bench twin -- CONNECTION FOLDER`, where FOLDER holds an `indexes.sql`, one CREATE INDEX a line, and
//! queries in folders below, one a file (`benches/tpch`). The indexes are really made on the source and dropped again.
#![expect(clippy::print_stdout, reason = "figures on the terminal are what a bench is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::blueprint::DrawOptions;
use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::explain::{Explainer, Text};
use agent::optimize::{Checked, PlannedWorkload, compare_plans, plan_workload, snapshot};
use agent::postgres::{Limits, Meter, Purpose, Session};
use agent::sampler::SampleOptions;
use agent::twin::{Twin, TwinOptions};
use agent::whatif::twin::{TwinWhatIf, candidate_of};
use anyhow::{Context as _, Result, ensure};
use rules::candidate::{Candidate, Change};
use rules::fidelity::compare;
use rules::index::{IndexDefinition, Key, Term};
use rules::intake::WorkloadFile;
use rules::quote::{ident, qualified};
use rules::reach::Reach;
use rules::snapshot::{Index, IndexKey, Snapshot, Table};
use rules::whatif::{Cache, Configuration, Question};

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
            let source = Source::new(&cluster.conninfo("postgres"), &folder)?;
            let measured = Box::pin(measure(&source)).await;
            cluster.stop().await;
            measured
        }
        [connection, folder] => {
            let source = Source::new(connection, Path::new(folder))?;
            Box::pin(measure(&source)).await
        }
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
        Ok(snapshot(&self.info, &self.meter, &self.sample, &DrawOptions::default()).await?)
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
    let options = ClusterOptions {
        // Statistics are to stay what they were when the snapshot was taken.
        settings: vec![("autovacuum".to_owned(), "off".to_owned())],
        keep_template: true,
        ..ClusterOptions::default()
    };
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
    let mut twin = Twin::build(&before, &options).await?;
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
    let mut explainer = source.explainer().await?;
    let planned = plan_workload(&mut explainer, &before, &mut |_| ()).await?;
    explainer.close().await;
    let mut explainer = twin.explainer(0).await?;
    let checked = compare_plans(&mut explainer, &before, &planned, &mut |_| ()).await?;
    explainer.close().await;
    println!("\nas things are");
    show(source, &before, &checked);

    let (with, candidates) = with_indexes(source, &before, &planned).await?;
    println!("\nwith {} indexes more, on the twin as what-if", candidates.len());
    let sent = source.meter.total_statements();
    let checked = what_if(&mut twin, &before, &with, &candidates).await?;
    show(source, &before, &checked);
    twin.stop().await;
    for workers in [1, 2] {
        let options = TwinOptions { workers, ..TwinOptions::default() };
        let mut twin = Twin::build(&before, &options).await?;
        prices(&mut twin, &before, &planned, &candidates).await?;
        twin.stop().await;
    }
    let reached = source.meter.total_statements() - sent;
    println!("statements that reached the source while the twin priced: {reached}");
    ensure!(reached == 0);
    Ok(())
}

/// Really makes the indexes on the source, has it plan everything with them, and drops them. What they are is read
/// from its catalogs.
async fn with_indexes(
    source: &Source,
    before: &Snapshot,
    planned: &PlannedWorkload,
) -> Result<(PlannedWorkload, Vec<Tried>)> {
    let session = patient(&source.info, &source.meter).await?;
    let path: Vec<String> = before.server.search_path.iter().map(|name| ident(name)).collect();
    session.play(&format!("SET search_path = {}", path.join(", "))).await?;
    for create in &source.indexes {
        let since = Instant::now();
        if let Err(error) = session.play(create).await {
            println!("  left out, {create}: {error}");
        } else if since.elapsed() > Duration::from_secs(1) {
            println!("  built in {:.0} s: {create}", since.elapsed().as_secs_f64());
        }
    }
    let after = source.snapshot().await?;
    let mut explainer = source.explainer().await?;
    let mut with = planned.clone();
    for (id, analyzed) in with.statements.iter_mut().enumerate() {
        let statement = analyzed.of(before);
        let (label, search_path) = (statement.id.as_str(), statement.search_path.as_slice());
        let text =
            Text { id, label, text: &analyzed.text, search_path, settings: &statement.settings };
        let prepared = explainer.prepare(text).await?;
        for (binding, plan) in analyzed.bindings.iter().zip(&mut analyzed.plans) {
            *plan = match &prepared {
                Ok(_) => explainer.plan(text, &binding.values).await?.ok(),
                Err(_) => None,
            };
        }
    }
    explainer.close().await;
    recounted(before, &after);
    let known: BTreeSet<u32> = indexes(before).map(|(_, index)| index.oid).collect();
    // Parts of an index of a partitioned table come and go with it.
    let whole = |index: &Index| index.partition_of.is_none();
    let fresh = indexes(&after).filter(|(_, index)| !known.contains(&index.oid) && whole(index));
    let tried = fresh.map(|(table, index)| Tried::new(&after, table, index)).collect();
    for index in &tried {
        let Tried { schema, name, .. }: &Tried = index;
        session.play(&format!("DROP INDEX {}", qualified(schema, name))).await?;
    }
    session.close().await;
    Ok((with, tried))
}

/// Building an index counts its table anew (`index_update_stats`, index.c), which changes all plans on a table that
/// changed since it was last analyzed or vacuumed. A what-if index does not do that.
fn recounted(before: &Snapshot, after: &Snapshot) {
    let counts = |snapshot: &Snapshot| -> BTreeMap<(String, String), (f64, u32)> {
        let shapes = snapshot.blueprint.iter().flat_map(|blueprint| &blueprint.relations);
        let tables = shapes.filter(|shape| !matches!(shape.kind, 'i' | 'I'));
        tables
            .map(|shape| {
                let place = (shape.schema.clone(), shape.name.clone());
                (place, (shape.rel_tuples, shape.rel_all_visible))
            })
            .collect()
    };
    let now = counts(after);
    for ((schema, name), (rows, visible)) in counts(before) {
        let Some(&(rows_now, visible_now)) = now.get(&(schema.clone(), name.clone())) else {
            continue;
        };
        if (rows - rows_now).abs() > rows.abs() / 200.0 || visible.abs_diff(visible_now) > 1 {
            println!(
                "  CREATE INDEX counted {schema}.{name} anew: {rows} rows and {visible} all-visible pages are now \
                 {rows_now} and {visible_now}"
            );
        }
    }
}

fn indexes(snapshot: &Snapshot) -> impl Iterator<Item = (&Table, &Index)> {
    snapshot.tables.iter().flat_map(|table| table.indexes.iter().map(move |index| (table, index)))
}

/// An index that was made on the source and is tried on the twin.
struct Tried {
    schema: String,
    name: String,
    /// Name and bytes by schema and table: of a partitioned table those on its partitions.
    parts: BTreeMap<(String, String), (String, u64)>,
    candidate: Candidate,
}

impl Tried {
    fn new(after: &Snapshot, table: &Table, index: &Index) -> Self {
        let key = |key: &IndexKey| Key {
            term: match (&key.column, &key.expression) {
                (Some(column), _) => Term::Column(column.clone()),
                (None, expression) => Term::Expression(expression.clone().unwrap_or_default()),
            },
            opclass: (!key.opclass_default).then(|| key.opclass.clone()),
            descending: key.descending,
            nulls_first: key.nulls_first,
        };
        let definition = IndexDefinition {
            schema: table.schema.clone(),
            table: table.name.clone(),
            method: index.method.clone(),
            keys: index.keys.iter().map(key).collect(),
            include: index.include.clone(),
            predicate: index.predicate.clone(),
        };
        let change = Change::CreateIndex { table: table.oid, definition };
        let candidate = Candidate {
            rules: vec!["bench"],
            change,
            reach: Reach::Advise,
            serves: Vec::new(),
            facts: Vec::new(),
            own_gain_ms_per_day: 0.0,
        };
        let (schema, name) = (index.schema.clone(), index.name.clone());
        Self { schema, name, parts: parts(after, index.oid), candidate }
    }
}

/// An index with what is below it.
fn parts(after: &Snapshot, whole: u32) -> BTreeMap<(String, String), (String, u64)> {
    let mut family = BTreeSet::from([whole]);
    loop {
        let below = indexes(after)
            .filter(|(_, index)| index.partition_of.is_some_and(|above| family.contains(&above)));
        let more: BTreeSet<u32> = below.map(|(_, index)| index.oid).collect();
        if more.is_subset(&family) {
            break;
        }
        family.extend(more);
    }
    let of_family = indexes(after).filter(|(_, index)| family.contains(&index.oid));
    of_family
        .map(|(table, index)| {
            let place = (table.schema.clone(), table.name.clone());
            (place, (index.name.clone(), index.bytes))
        })
        .collect()
}

/// Prices everything with all indexes at once on the twin and compares with the plans that the source really had.
async fn what_if(
    twin: &mut Twin,
    snapshot: &Snapshot,
    with: &PlannedWorkload,
    tried: &[Tried],
) -> Result<Vec<Checked>> {
    let candidates: Vec<Candidate> = tried.iter().map(|tried| tried.candidate.clone()).collect();
    let all: Configuration = (0..candidates.len()).collect();
    let mut answerer = TwinWhatIf::new(twin, snapshot, &with.statements, &candidates).await?;
    let answers = answerer.answer(questions(with, &[all]), &mut |_| ()).await?;
    answerer.finish().await?;
    let names = sizes(twin, tried).await?;
    let mut checked = Vec::new();
    for (question, answer) in answers {
        let analyzed = &with.statements[question.statement];
        let Some(source) = &analyzed.plans[question.binding] else { continue };
        let outcome = answer.map(|price| {
            let mut plan = price.plan;
            plan.rename_indexes(&names);
            compare(source, &plan)
        });
        let binding = Some(analyzed.bindings[question.binding].clone());
        checked.push(Checked { statement: analyzed.statement, binding, outcome });
    }
    Ok(checked)
}

/// How large the indexes are on both; the twin's names of them, with the source's.
async fn sizes(twin: &Twin, tried: &[Tried]) -> Result<BTreeMap<String, String>> {
    let explainer = twin.explainer(0).await?;
    let sql = "SELECT c.relname::text, pg_catalog.pg_relation_size(c.oid), n.nspname::text, t.relname::text \
               FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
               JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace \
               WHERE c.relkind = 'i' AND c.relname LIKE 'pgwright\\_%'";
    let mut names = BTreeMap::new();
    println!("  {:<20} {:>10} {:>10} {:>8}", "index", "source kB", "twin kB", "ratio");
    for row in explainer.session().query(sql, &[]).await? {
        let (trial, bytes): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let place: (String, String) = (row.try_get(2)?, row.try_get(3)?);
        let tried = candidate_of(&trial).and_then(|candidate| tried.get(candidate));
        let Some((name, real)) = tried.and_then(|tried| tried.parts.get(&place)) else { continue };
        println!(
            "  {name:<20} {:>10} {:>10} {:>8.3}",
            real / 1024,
            bytes / 1024,
            bytes as f64 / *real as f64
        );
        names.insert(trial, name.clone());
    }
    explainer.close().await;
    Ok(names)
}

/// All statements with all their values under each of the configurations.
fn questions(planned: &PlannedWorkload, configurations: &[Configuration]) -> Vec<Question> {
    let mut questions = Vec::new();
    for (statement, analyzed) in planned.statements.iter().enumerate() {
        for binding in 0..analyzed.bindings.len() {
            questions.extend(configurations.iter().map(|configuration| Question {
                statement,
                binding,
                configuration: configuration.clone(),
                cache: Cache::AsSet,
            }));
        }
    }
    questions
}

/// Prices under every set of one or two of the indexes, once the indexes are made.
async fn prices(
    twin: &mut Twin,
    snapshot: &Snapshot,
    planned: &PlannedWorkload,
    tried: &[Tried],
) -> Result<()> {
    let candidates: Vec<Candidate> = tried.iter().map(|tried| tried.candidate.clone()).collect();
    let workers = twin.workers();
    let mut answerer = TwinWhatIf::new(twin, snapshot, &planned.statements, &candidates).await?;
    let since = Instant::now();
    let singles: Vec<Configuration> = (0..candidates.len()).map(|one| [one].into()).collect();
    answerer.answer(questions(planned, &singles), &mut |_| ()).await?;
    let made = since.elapsed();
    let pairs: Vec<Configuration> = (0..candidates.len())
        .flat_map(|one| (one + 1..candidates.len()).map(move |other| [one, other].into()))
        .collect();
    let asked = questions(planned, &pairs);
    let since = Instant::now();
    let mut planned_anew = 0;
    let count = asked.len();
    answerer.answer(asked, &mut |_| planned_anew += 1).await?;
    let seconds = since.elapsed().as_secs_f64();
    answerer.finish().await?;
    println!(
        "{workers} connection(s): indexes made and priced one by one in {:.1} s; then {:.0} prices per second \
         ({count} in {seconds:.1} s, {planned_anew} of them planned)",
        made.as_secs_f64(),
        count as f64 / seconds
    );
    Ok(())
}

/// One line for each plan, and below it what differs.
fn show(source: &Source, snapshot: &Snapshot, checked: &[Checked]) {
    println!("  {:<20} {:>9} {:>15} {:>15} {:>8}", "query", "same plan", "source", "twin", "ratio");
    let mut named: Vec<(&str, &Checked)> =
        checked.iter().map(|one| (source.name(snapshot, one.statement), one)).collect();
    named.sort_by_key(|(name, _)| *name);
    for (name, one) in named {
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
