//! One private server per test process, and a database of its own for every test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{say, skip};

/// New databases are copies of this one, which holds the extensions.
const TEMPLATE: &str = "harness_template";

/// Returns the server programs to test with: of `PGWRIGHT_TEST_MAJOR` where that is set, else
/// the first that offer HypoPG, else the first; none, said loudly, where there are none.
pub(crate) fn binaries() -> Option<Binaries> {
    or_skip(find_binaries())
}

fn find_binaries() -> Option<Binaries> {
    let all = Binaries::find_all();
    let found = match wanted_major() {
        Some(major) => all.iter().find(|found| found.major == major),
        None => all.iter().find(|found| found.offers("hypopg")).or(all.first()),
    };
    found.cloned()
}

fn or_skip<T>(found: Option<T>) -> Option<T> {
    if found.is_none() {
        skip("no such PostgreSQL server programs found; `make setup` or `make servers` gets them");
    }
    found
}

fn wanted_major() -> Option<u32> {
    let major = std::env::var("PGWRIGHT_TEST_MAJOR").ok()?;
    Some(major.parse().expect("PGWRIGHT_TEST_MAJOR is a major version such as 16"))
}

/// Returns the server that all tests of this process share; none, said loudly, without programs.
///
/// It stays until the process ends; then its guard removes it.
pub(crate) async fn server() -> Option<&'static Cluster> {
    static SERVER: OnceCell<Option<Cluster>> = OnceCell::const_new();
    or_skip(SERVER.get_or_init(start).await.as_ref())
}

async fn start() -> Option<Cluster> {
    let binaries = find_binaries()?;
    let settings = [
        // Statistics change when a test says ANALYZE and at no other time.
        ("autovacuum", "off"),
        ("track_io_timing", "on"),
        ("max_connections", "50"),
        // No test throws away what another one is counting.
        ("pg_stat_statements.max", "100000"),
    ];
    let options = ClusterOptions {
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        preload: vec!["pg_stat_statements".to_owned()],
        keep_template: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(&binaries, options).await.expect("the test server starts");
    run(&cluster, "postgres", &format!("CREATE DATABASE {TEMPLATE}")).await;
    run(&cluster, TEMPLATE, "CREATE EXTENSION pg_stat_statements").await;
    if binaries.offers("hypopg") {
        run(&cluster, TEMPLATE, "CREATE EXTENSION hypopg").await;
    }
    Some(cluster)
}

/// Makes a new database with `pg_stat_statements` and, where the server offers it, HypoPG.
pub(crate) async fn database() -> Option<TestDatabase> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let cluster = server().await?;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run(cluster, "postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
    let client = connect(cluster, &name).await;
    Some(TestDatabase { cluster, name, client })
}

/// As [`database`], for tests that cannot do without HypoPG.
///
/// Where a version was chosen by hand its absence is expected, and no failure even in CI.
pub(crate) async fn database_with_hypopg() -> Option<TestDatabase> {
    let cluster = server().await?;
    if cluster.binaries().offers("hypopg") {
        return database().await;
    }
    if wanted_major().is_none() {
        skip("the server has no HypoPG; `make setup` installs it");
    }
    None
}

/// A database of one test, dropped with it; a failed test leaves its own and prints where it is.
pub(crate) struct TestDatabase {
    cluster: &'static Cluster,
    name: String,
    client: Client,
}

impl TestDatabase {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The connection string, as the superuser.
    pub(crate) fn conninfo(&self) -> String {
        self.cluster.conninfo(&self.name)
    }

    /// The Unix socket of its server.
    pub(crate) fn socket(&self) -> PathBuf {
        self.cluster.socket_dir().join(format!(".s.PGSQL.{}", self.cluster.port()))
    }

    /// The server's major version.
    pub(crate) fn major(&self) -> u32 {
        self.cluster.binaries().major
    }

    /// A further connection, for what needs a session of its own.
    pub(crate) async fn connect(&self) -> Client {
        connect(self.cluster, &self.name).await
    }

    /// Fills it with the demo's tables, so that so many users have so many log rows.
    pub(crate) async fn load_demo(&self, users: u32, logs: u32) {
        let schema = include_str!("../../../src/demo/schema.sql");
        let data = include_str!("../../../src/demo/load.sql");
        let sizes = format!("SET demo.users = {users}; SET demo.logs = {logs};");
        self.sql(&format!("{sizes}{schema}{data}")).await;
        self.sql("VACUUM ANALYZE").await;
    }

    /// Runs one or more statements and returns the rows of all, each value as its text.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        rows(&self.client, sql).await
    }

    /// Runs a query of one row and one column that is not null.
    pub(crate) async fn value(&self, sql: &str) -> String {
        let rows = self.sql(sql).await;
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone().unwrap(),
            _ => panic!("not one row of one column: {sql}\n{rows:?}"),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!("the failed test's database: {}", self.conninfo()));
            while std::env::var_os("PGWRIGHT_TEST_KEEP").is_some() {
                say("kept until you stop this run with Ctrl-C");
                std::thread::sleep(Duration::from_mins(1));
            }
            return;
        }
        let (cluster, name) = (self.cluster, self.name.clone());
        // A thread of its own, because we are inside a runtime that must not block on another.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            runtime.unwrap().block_on(run(cluster, "postgres", &drop));
        });
        dropping.join().unwrap();
    }
}

async fn connect(cluster: &Cluster, database: &str) -> Client {
    let conninfo = cluster.conninfo(database);
    let (client, connection) = tokio_postgres::connect(&conninfo, NoTls).await.unwrap();
    // It ends with the client; a broken connection shows in the client's own error.
    tokio::spawn(connection);
    client
}

async fn run(cluster: &Cluster, database: &str, sql: &str) {
    let client = connect(cluster, database).await;
    rows(&client, sql).await;
}

async fn rows(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await;
    let messages = messages.unwrap_or_else(|error| panic!("{error:?}\nin: {sql}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()).collect()
}
