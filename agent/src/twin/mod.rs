//! The planner twin: a private PostgreSQL with the source's schema, statistics and sizes and none of its rows.
//!
//! The planner asks a relation three things: its catalog entries, its statistics, and its size in blocks
//! (`get_relation_info`, plancat.c). The twin has all three, so its planner gives the plans that the source's would
//! give, and any index can be tried there for real (DESIGN: what-if).

mod database;
mod ends;
mod error;
mod extended;
mod guard;
mod notes;
mod pages;
mod restore;
mod statistics;
mod stretch;
mod switch;
mod trials;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rules::blueprint::RelationShape;
use rules::snapshot::Snapshot;

pub use self::error::TwinError;
pub use self::restore::Missing;

use self::database::{OWNER, PLANNER};
use self::guard::Guard;
use self::notes::Notes;
use self::stretch::Stored;
pub(crate) use self::trials::Trial;
use crate::cluster::{Binaries, Cluster, ClusterError, ClusterOptions};
use crate::conninfo::ConnInfo;
use crate::explain::{Explainer, millis};
use crate::postgres::{Limits, Meter, PgError, Purpose, Session};

/// How a twin is built.
#[derive(Clone, Debug)]
pub struct TwinOptions {
    /// Take server programs of another major version where there are none of the source's.
    pub any_version: bool,
    /// Databases, and so connections that can plan at once.
    pub workers: usize,
    /// How long the server may plan one statement, or run one definition.
    pub patience: Duration,
    /// Bytes of memory that one session may take.
    pub memory: u64,
}

impl Default for TwinOptions {
    fn default() -> Self {
        Self { any_version: false, workers: 1, patience: Duration::from_secs(5), memory: 3 << 30 }
    }
}

/// One database of the twin, with the sessions that look after it.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    /// The superuser's; runs no code of the schema.
    trusted: Session,
    /// The owner's; everything in it is foreign. It never sees a stretched table.
    owner: Session,
    /// How to open the owner's session again.
    owner_info: (ConnInfo, Arc<Meter>, Limits),
    /// The server's data folder.
    data: PathBuf,
    /// What is stored where, by schema and name.
    files: BTreeMap<(String, String), Stored>,
    /// Sizes and row counts of tables.
    shapes: Vec<RelationShape>,
    /// Indexes on trial by name, with their oids.
    trials: BTreeMap<String, u32>,
    switches: switch::Switches,
}

/// A running twin. Dropping it stops its server and removes every file of it.
#[derive(Debug)]
pub struct Twin {
    databases: Vec<Database>,
    guard: Guard,
    missing: Vec<Missing>,
    notes: Vec<String>,
    meter: Arc<Meter>,
    options: TwinOptions,
    // Last, so that sessions end before their server.
    cluster: Cluster,
}

impl Twin {
    /// Builds a twin of what the snapshot describes.
    ///
    /// # Errors
    /// When the snapshot has no blueprint, when there are no server programs for it, or when the private server
    /// cannot be run. What of the schema cannot be had is no error: see [`Self::missing`].
    #[tracing::instrument(level = "debug", name = "twin", skip_all)]
    pub async fn build(snapshot: &Snapshot, options: &TwinOptions) -> Result<Self, TwinError> {
        let since = Instant::now();
        let blueprint = snapshot.blueprint.as_deref().ok_or(TwinError::NoBlueprint)?;
        let mut notes = Notes::default();
        for note in &blueprint.notes {
            notes.add(note);
        }
        let binaries = binaries(snapshot, options, &mut notes)?;
        let started = Cluster::start(&binaries, cluster_options(&binaries, options)).await;
        let mut cluster = started.map_err(TwinError::unstarted)?;
        let meter = Meter::new();
        let furnished =
            Box::pin(furnish(&mut cluster, &meter, options, snapshot, &mut notes)).await;
        match furnished {
            Ok(Furnished { databases, guard, missing }) => {
                tracing::debug!(ms = millis(since), missing = missing.len(), "twin ready");
                let (notes, options) = (notes.into_inner(), options.clone());
                Ok(Self { databases, guard, missing, notes, meter, options, cluster })
            }
            Err(error) => {
                let error = error.diagnosed(&mut cluster).await;
                cluster.stop().await;
                Err(error)
            }
        }
    }

    /// Says more of an error of this twin where its server shows more: that the disk is full, or that somebody
    /// ended it.
    pub async fn diagnosed(&mut self, error: TwinError) -> TwinError {
        error.diagnosed(&mut self.cluster).await
    }

    /// What of the source it does not have; statements that need it are refused by its planner.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// What makes it differ from the source, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The private server.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// How many connections can plan at once.
    pub fn workers(&self) -> usize {
        self.databases.len()
    }

    /// A session that plans in one of its databases, as a role that owns nothing. It starts again by itself when a
    /// statement ended it.
    pub async fn explainer(&self, worker: usize) -> Result<Explainer, TwinError> {
        let info = info(&self.cluster, &self.databases[worker].name, Some(PLANNER));
        let limits = Limits { statement: self.options.patience, ..Limits::of(Purpose::Explain) };
        Explainer::reviving(info, &self.meter, limits)
            .await
            .map_err(TwinError::doing("start a planning session"))
    }

    /// Its databases, each with its own indexes on trial.
    pub(crate) fn databases(&mut self) -> impl Iterator<Item = &mut Database> {
        self.databases.iter_mut()
    }

    /// Makes indexes on trial in every database; why not, for each that cannot be made.
    pub(crate) async fn make(
        &mut self,
        trials: &[Trial],
    ) -> Result<Vec<Result<(), String>>, TwinError> {
        let mut outcomes = vec![Ok(()); trials.len()];
        for database in &mut self.databases {
            for (outcome, made) in outcomes.iter_mut().zip(database.make(trials).await?) {
                *outcome = outcome.clone().and(made);
            }
        }
        Ok(outcomes)
    }

    /// Stops the server and removes every file of it.
    pub async fn stop(self) {
        self.guard.stop().await;
        for database in self.databases {
            database.close().await;
        }
        self.cluster.stop().await;
    }
}

impl Database {
    async fn open(
        cluster: &Cluster,
        number: usize,
        meter: &Arc<Meter>,
        options: &TwinOptions,
    ) -> Result<Self, TwinError> {
        let name = database_name(number);
        let trusted = connect(cluster, &name, None, meter, options).await?;
        let allowed = "SET allow_system_table_mods = on";
        trusted.execute(allowed, &[]).await.map_err(TwinError::doing("write its catalogs"))?;
        let owner = connect(cluster, &name, Some(OWNER), meter, options).await?;
        let owner_info =
            (info(cluster, &name, Some(OWNER)), Arc::clone(meter), limits(Some(OWNER), options));
        let switches = switch::Switches::new(&trusted).await?;
        let (files, shapes, trials) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let data = cluster.data_dir();
        Ok(Self { name, trusted, owner, owner_info, data, files, shapes, trials, switches })
    }

    /// Opens the owner's session again after foreign code ended it.
    async fn reopen_owner(&mut self) -> Result<(), TwinError> {
        let (info, meter, limits) = &self.owner_info;
        let opened = Session::connect_with(info, Purpose::Other, meter, limits).await;
        self.owner = opened.map_err(TwinError::doing("connect"))?;
        Ok(())
    }

    async fn close(self) {
        self.owner.close().await;
        self.trusted.close().await;
    }
}

fn database_name(worker: usize) -> String {
    format!("twin_{worker}")
}

/// What a cluster is filled with.
struct Furnished {
    databases: Vec<Database>,
    guard: Guard,
    missing: Vec<Missing>,
}

/// Makes a twin of a server that just started.
async fn furnish(
    cluster: &mut Cluster,
    meter: &Arc<Meter>,
    options: &TwinOptions,
    snapshot: &Snapshot,
    notes: &mut Notes,
) -> Result<Furnished, TwinError> {
    let blueprint = snapshot.blueprint.as_deref().ok_or(TwinError::NoBlueprint)?;
    let admin = connect(cluster, "postgres", None, meter, options).await?;
    check_layout(&admin, cluster.binaries()).await?;
    database::make_roles(&admin, snapshot, notes).await?;
    database::make_tablespaces(&admin, cluster, blueprint, notes).await?;
    database::make_database(&admin, &database_name(0), &blueprint.locale, notes).await?;
    let guard = Guard::start(cluster, meter, options).await?;
    let missing = Box::pin(fill(cluster, meter, options, snapshot, notes)).await?;
    for worker in 1..options.workers.max(1) {
        let copy =
            format!("CREATE DATABASE {} TEMPLATE {}", database_name(worker), database_name(0));
        admin.execute(&copy, &[]).await.map_err(TwinError::doing("copy its database"))?;
    }
    guard.stop().await;
    admin.close().await;
    let files = Box::pin(stretch(cluster, snapshot, meter, options, notes)).await?;
    let guard = Guard::start(cluster, meter, options).await?;
    let mut databases = Vec::new();
    for (number, files) in files.into_iter().enumerate() {
        let mut database = Database::open(cluster, number, meter, options).await?;
        database.files = files
            .into_iter()
            .map(|file| ((file.schema.clone(), file.name.clone()), file))
            .collect();
        database.shapes.clone_from(&blueprint.relations);
        database.learn_indexes(snapshot).await?;
        databases.push(database);
    }
    Ok(Furnished { databases, guard, missing })
}

/// The server programs to use: of the source's major version unless told otherwise.
fn binaries(
    snapshot: &Snapshot,
    options: &TwinOptions,
    notes: &mut Notes,
) -> Result<Binaries, TwinError> {
    let wanted = snapshot.server.version_num / 10_000;
    let refused = match Binaries::find(Some(wanted)) {
        Ok(found) => return Ok(found),
        Err(refused) => refused,
    };
    if !matches!(refused, ClusterError::NoServer { .. }) {
        return Err(refused.into());
    }
    let mut found: Vec<u32> = Binaries::find_all().iter().map(|found| found.major).collect();
    found.sort_unstable();
    found.dedup();
    let nearest = found.iter().copied().filter(|major| *major >= 14).min_by_key(|major| {
        // A newer one rather than an older one: it takes the older one's definitions.
        (*major < wanted, major.abs_diff(wanted))
    });
    match nearest.filter(|_| options.any_version) {
        Some(major) => {
            notes.add(&format!(
                "the twin runs PostgreSQL {major} in place of {wanted}: its planner may choose otherwise than the source's"
            ));
            Ok(Binaries::find(Some(major))?)
        }
        None => Err(TwinError::Version { wanted, found }),
    }
}

fn cluster_options(binaries: &Binaries, options: &TwinOptions) -> ClusterOptions {
    let mut settings = vec![
        ("autovacuum", "off"),
        ("checkpoint_timeout", "1h"),
        ("huge_pages", "off"),
        ("max_connections", "40"),
        ("max_locks_per_transaction", "2048"),
        ("max_parallel_maintenance_workers", "0"),
        ("max_wal_senders", "0"),
        ("max_wal_size", "128MB"),
        ("shared_buffers", "32MB"),
        ("synchronous_commit", "off"),
        ("temp_file_limit", "262144"),
        ("wal_level", "minimal"),
        // What a transaction leaves unlogged is else read into the cache to be logged at its end when it is small
        // (`smgrDoPendingSyncs`, storage.c), and the cache would hide what is written into files from outside.
        ("wal_skip_threshold", "0"),
    ];
    if binaries.major >= 18 {
        settings.push(("io_method", "sync"));
    }
    ClusterOptions {
        settings: settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        keep_template: true,
        no_checksums: true,
        memory: Some(options.memory),
        ..ClusterOptions::default()
    }
}

fn info(cluster: &Cluster, database: &str, role: Option<&str>) -> ConnInfo {
    let mut text = cluster.conninfo(database);
    if let Some(role) = role {
        text.push_str(&format!(" user={role}"));
    }
    ConnInfo::resolve(Some(&text), &|_| None).expect("our own connection strings are well-formed")
}

/// Opens a session; as the superuser without a limit of time, since it runs no foreign code.
async fn connect(
    cluster: &Cluster,
    database: &str,
    role: Option<&str>,
    meter: &Arc<Meter>,
    options: &TwinOptions,
) -> Result<Session, TwinError> {
    let limits = limits(role, options);
    Session::connect_with(&info(cluster, database, role), Purpose::Other, meter, &limits)
        .await
        .map_err(TwinError::doing("connect"))
}

fn limits(role: Option<&str>, options: &TwinOptions) -> Limits {
    let statement = if role.is_some() { options.patience } else { Duration::ZERO };
    Limits { statement, idle_in_transaction: Duration::ZERO, ..Limits::of(Purpose::Other) }
}

/// Refuses programs that lay files out otherwise than nearly all do.
async fn check_layout(session: &Session, binaries: &Binaries) -> Result<(), TwinError> {
    let sql = "SELECT (SELECT s.setting::bigint FROM pg_catalog.pg_settings AS s WHERE s.name = 'block_size'), \
               (SELECT s.setting::bigint FROM pg_catalog.pg_settings AS s WHERE s.name = 'segment_size')";
    let failed = TwinError::doing("read how it lays out files");
    let row = session.query_one(sql, &[]).await.map_err(&failed)?;
    let read = |at: usize| row.try_get::<_, i64>(at).map_err(PgError::from);
    let (block, segment) = (read(0).map_err(&failed)?, read(1).map_err(&failed)?);
    if (block, segment) == (8192, 131_072) {
        return Ok(());
    }
    Err(TwinError::Layout { bin: binaries.bin.clone(), block, segment })
}

/// Puts schema, rows at the ends, and statistics into the first database.
async fn fill(
    cluster: &Cluster,
    meter: &Arc<Meter>,
    options: &TwinOptions,
    snapshot: &Snapshot,
    notes: &mut Notes,
) -> Result<Vec<Missing>, TwinError> {
    let since = Instant::now();
    let blueprint = snapshot.blueprint.as_deref().ok_or(TwinError::NoBlueprint)?;
    let mut database = Database::open(cluster, 0, meter, options).await?;
    database::open_database(&database.trusted, &database.name).await?;
    let missing = restore::restore(&mut database, blueprint).await?;
    tracing::debug!(ms = millis(since), "schema restored");
    database::open_schema(&database.trusted).await?;
    ends::fill(&mut database, snapshot, blueprint, notes).await?;
    tracing::debug!(ms = millis(since), "ends of columns put in");
    statistics::write(&database.trusted, blueprint, notes).await?;
    extended::write(&mut database, blueprint, notes).await?;
    let shapes: Vec<&RelationShape> = blueprint.relations.iter().collect();
    statistics::write_shapes(&database.trusted, &shapes).await?;
    tracing::debug!(ms = millis(since), "statistics written");
    database.close().await;
    Ok(missing)
}

/// Stops the server, gives the files of all databases their lengths, and starts it again.
async fn stretch(
    cluster: &mut Cluster,
    snapshot: &Snapshot,
    meter: &Arc<Meter>,
    options: &TwinOptions,
    notes: &mut Notes,
) -> Result<Vec<Vec<Stored>>, TwinError> {
    let blueprint = snapshot.blueprint.as_deref().ok_or(TwinError::NoBlueprint)?;
    let mut all = Vec::new();
    for worker in 0..options.workers.max(1) {
        let session = connect(cluster, &database_name(worker), None, meter, options).await?;
        all.push(stretch::files(&session, &cluster.data_dir()).await?);
        session.close().await;
    }
    cluster.halt().await?;
    for files in &mut all {
        stretch::stretch_all(files, snapshot, blueprint, notes)?;
    }
    cluster.restart().await?;
    Ok(all)
}
