//! A server for all tests, and a database of its own for each.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};
use agent::sampler::{SampleError, SampleOptions, sample};
use rules::snapshot::{Index, Snapshot, Statement, Table};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

/// Says that a test was not run; in continuous integration that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test must not be skipped here: {reason}");
    writeln!(std::io::stderr().lock(), "SKIPPED: {reason}").unwrap();
}

/// The server that the tests share: of `PGWRIGHT_TEST_MAJOR`, else the first found.
async fn server() -> Option<&'static Cluster> {
    static SERVER: OnceCell<Option<Cluster>> = OnceCell::const_new();
    let wanted = std::env::var("PGWRIGHT_TEST_MAJOR").ok().map(|major| major.parse().unwrap());
    let start =
        || async { Some(start(&Binaries::find(wanted).ok()?, &["pg_stat_statements"]).await) };
    let server = SERVER.get_or_init(start).await.as_ref();
    if server.is_none() {
        skip("no PostgreSQL server programs found");
    }
    server
}

/// Starts a server that analyzes nothing by itself and loads these libraries.
pub(crate) async fn start(binaries: &Binaries, preload: &[&str]) -> Cluster {
    let options = ClusterOptions {
        settings: vec![("autovacuum".to_owned(), "off".to_owned())],
        preload: preload.iter().map(|name| (*name).to_owned()).collect(),
        keep_template: true,
        ..ClusterOptions::default()
    };
    Cluster::start(binaries, options).await.unwrap()
}

/// A database of one test.
pub(crate) struct Database<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: String,
    client: Client,
}

/// A new database with `pg_stat_statements`.
pub(crate) async fn database() -> Option<Database<'static>> {
    let database = bare_database().await?;
    database.run("CREATE EXTENSION pg_stat_statements").await;
    Some(database)
}

/// A new, empty database.
pub(crate) async fn bare_database() -> Option<Database<'static>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("sampled_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Some(Database::create(server().await?, &name).await)
}

impl<'a> Database<'a> {
    pub(crate) async fn create(cluster: &'a Cluster, name: &str) -> Self {
        let maker = connect(&cluster.conninfo("postgres")).await;
        maker.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        Self { cluster, name: name.to_owned(), client: connect(&cluster.conninfo(name)).await }
    }

    /// Runs statements one by one as an application does, so that each is counted by itself.
    pub(crate) async fn run(&self, statements: &str) {
        for statement in statements.split(";\n") {
            self.client
                .batch_execute(statement)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    }

    /// Runs a statement in a session of its own and waits for the end of that.
    pub(crate) async fn apart(&self, statement: &str) {
        let client = self.connect(None).await;
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        client.batch_execute(statement).await.unwrap();
        drop(client);
        while self
            .value(&format!("SELECT count(*)::text FROM pg_stat_activity WHERE pid = {pid}"))
            .await
            != "0"
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.settle().await;
    }

    /// Waits until everybody sees what was counted: before 15 a process of its own wrote the
    /// counters to a file, twice a second at most.
    pub(crate) async fn settle(&self) {
        if self.cluster.binaries().major < 15 {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    /// One text value.
    pub(crate) async fn value(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    /// A further connection of an application.
    pub(crate) async fn connect(&self, role: Option<&str>) -> Client {
        connect(&self.conninfo(role)).await
    }

    fn conninfo(&self, role: Option<&str>) -> String {
        let info = self.cluster.conninfo(&self.name);
        role.map_or(info.clone(), |role| format!("{info} user={role}"))
    }

    /// A session as the sampler gets it.
    pub(crate) async fn session(&self, role: Option<&str>) -> Session {
        let info = ConnInfo::resolve(Some(&self.conninfo(role)), &|_| None).unwrap();
        Session::connect(&info, Purpose::Sample, &Meter::new()).await.unwrap()
    }

    pub(crate) async fn try_sample(
        &self,
        role: Option<&str>,
        options: &SampleOptions,
    ) -> Result<Snapshot, SampleError> {
        let session = self.session(role).await;
        let sampled = sample(&session, options).await;
        session.close().await;
        sampled
    }

    pub(crate) async fn sample(&self) -> Snapshot {
        self.try_sample(None, &SampleOptions::default())
            .await
            .unwrap_or_else(|error| panic!("{error:?}"))
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A failed test leaves its database for a look.
        if std::thread::panicking() {
            return;
        }
        let (conninfo, name) = (self.cluster.conninfo("postgres"), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = connect(&conninfo).await;
                client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
            });
        });
        dropping.join().unwrap();
    }
}

async fn connect(conninfo: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The index of this name.
pub(crate) fn index<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Index {
    let mut all = snapshot.tables.iter().flat_map(|table| &table.indexes);
    all.find(|index| index.name == name).unwrap_or_else(|| panic!("no index {name}"))
}

/// The table of this name in schema `public`.
pub(crate) fn table<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Table {
    snapshot.table_named("public", name).unwrap_or_else(|| panic!("no table {name}"))
}

/// The statement whose text contains these words.
pub(crate) fn statement<'s>(snapshot: &'s Snapshot, words: &str) -> &'s Statement {
    let mut found = snapshot.statements.iter().filter(|statement| statement.text.contains(words));
    match (found.next(), found.next()) {
        (Some(statement), None) => statement,
        _ => panic!("not one statement with {words}: {:#?}", snapshot.statements),
    }
}
