//! A server for all tests, databases of their own for each, and building one from a blueprint.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use agent::blueprint::{DrawOptions, Road, draw};
use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};
use rules::blueprint::{Blueprint, DefinitionKind};
use tokio::sync::OnceCell;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// Says that a test was not run; in continuous integration that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test must not be skipped here: {reason}");
    writeln!(std::io::stderr().lock(), "SKIPPED: {reason}").unwrap();
}

/// The server that the tests share: of `PGWRIGHT_TEST_MAJOR`, else the first found.
pub(crate) async fn server() -> Option<&'static Cluster> {
    static SERVER: OnceCell<Option<Cluster>> = OnceCell::const_new();
    let wanted = std::env::var("PGWRIGHT_TEST_MAJOR").ok().map(|major| major.parse().unwrap());
    let start = || async { Some(start(&Binaries::find(wanted).ok()?).await) };
    let server = SERVER.get_or_init(start).await.as_ref();
    if server.is_none() {
        skip("no PostgreSQL server programs found");
    }
    server
}

/// Starts a server that analyzes nothing by itself.
pub(crate) async fn start(binaries: &Binaries) -> Cluster {
    let options = ClusterOptions {
        settings: vec![("autovacuum".to_owned(), "off".to_owned())],
        keep_template: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(binaries, options).await.unwrap();
    // Roles are the cluster's: one that came with a test would come into the drawings of others meanwhile.
    let tuned = "CREATE ROLE blueprint_tuned; ALTER ROLE blueprint_tuned SET work_mem = '64MB'";
    connect(&cluster.conninfo("postgres")).await.batch_execute(tuned).await.unwrap();
    cluster
}

/// A database of one test.
pub(crate) struct Database<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: String,
    client: Client,
}

/// A new, empty database.
pub(crate) async fn database() -> Option<Database<'static>> {
    Some(Database::create(server().await?).await)
}

impl<'a> Database<'a> {
    pub(crate) async fn create(cluster: &'a Cluster) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("drawn_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let maker = connect(&cluster.conninfo("postgres")).await;
        maker.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        Self { cluster, client: connect(&cluster.conninfo(&name)).await, name }
    }

    pub(crate) fn major(&self) -> u32 {
        self.cluster.binaries().major
    }

    /// Runs statements in one batch.
    pub(crate) async fn run(&self, statements: &str) {
        let ran = self.client.batch_execute(statements).await;
        ran.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// Rows of text, each its columns parted by bars.
    pub(crate) async fn lines(&self, query: &str) -> Vec<String> {
        let rows = self.client.simple_query(query).await;
        let rows = rows.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        let line = |message: &tokio_postgres::SimpleQueryMessage| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|at| row.get(at).unwrap_or("-"));
                Some(values.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        };
        rows.iter().filter_map(line).collect()
    }

    /// One text value.
    pub(crate) async fn value(&self, query: &str) -> String {
        self.lines(query).await.swap_remove(0)
    }

    /// A further connection of an application.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.cluster.conninfo(&self.name)).await
    }

    pub(crate) fn conninfo(&self, role: Option<&str>) -> ConnInfo {
        let info = self.cluster.conninfo(&self.name);
        let info = role.map_or(info.clone(), |role| format!("{info} user={role}"));
        ConnInfo::resolve(Some(&info), &|_| None).unwrap()
    }

    /// The blueprint as a role draws it on one of the roads.
    pub(crate) async fn draw_on(&self, role: Option<&str>, road: Road) -> Blueprint {
        let meter = Meter::new();
        let info = self.conninfo(role);
        let session = Session::connect(&info, Purpose::Sample, &meter).await.unwrap();
        let drawn = draw(&session, &info, &DrawOptions { road }).await;
        session.close().await;
        drawn.unwrap_or_else(|error| panic!("{error:?}"))
    }

    pub(crate) async fn draw_as(&self, role: Option<&str>) -> Blueprint {
        self.draw_on(role, Road::Catalogs).await
    }

    pub(crate) async fn draw(&self) -> Blueprint {
        self.draw_as(None).await
    }

    /// Runs all definitions as the twin does, and returns those that failed with the reason. Roles are of the
    /// whole server and may be there.
    pub(crate) async fn build(&self, blueprint: &Blueprint) -> Vec<String> {
        self.run("SET check_function_bodies = off; SET search_path = pg_catalog").await;
        let mut failed = Vec::new();
        for definition in &blueprint.definitions {
            let Err(error) = self.client.batch_execute(&definition.sql).await else { continue };
            let role = definition.kind == DefinitionKind::Role;
            if !(role && error.code() == Some(&SqlState::DUPLICATE_OBJECT)) {
                let reason = error
                    .as_db_error()
                    .map_or_else(|| error.to_string(), |error| error.message().to_owned());
                failed.push(format!("{}: {reason}\n{}", definition.name, definition.sql));
            }
        }
        failed
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

/// The text of the definition of this name.
pub(crate) fn definition<'b>(blueprint: &'b Blueprint, name: &str) -> &'b str {
    let found = blueprint.definitions.iter().find(|definition| definition.name == name);
    found.map_or_else(|| panic!("no {name}: {:#?}", blueprint.definitions), |found| &found.sql)
}
