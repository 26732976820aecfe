//! A source with real rows, what is captured of it, and plans of both sides.

use std::io::Write;

use agent::blueprint::{DrawOptions, draw};
use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};
use agent::sampler::{SampleOptions, sample};
use agent::twin::{Twin, TwinOptions};
use rules::blueprint::EndPoints;
use rules::snapshot::Snapshot;
use tokio_postgres::{Client, NoTls};

/// Says that a test was not run; in continuous integration that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test must not be skipped here: {reason}");
    writeln!(std::io::stderr().lock(), "SKIPPED: {reason}").unwrap();
}

/// Says what a test measured.
pub(crate) fn say(what: &str) {
    writeln!(std::io::stderr().lock(), "{what}").unwrap();
}

/// One installation of each major version of these that is on this machine.
pub(crate) fn versions(wanted: &[u32]) -> Vec<Binaries> {
    let mut found = Binaries::find_all();
    found.retain(|binaries| wanted.contains(&binaries.major));
    found.sort_by_key(|binaries| binaries.major);
    found.dedup_by_key(|binaries| binaries.major);
    if found.is_empty() {
        skip("no PostgreSQL server programs found");
    }
    found
}

/// A database with rows.
pub(crate) struct Source {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

impl Source {
    /// Starts a server and makes a schema in it; statements end with `;` and a line break.
    pub(crate) async fn start(binaries: &Binaries, schema: &str) -> Self {
        Self::start_in(binaries, "", schema).await
    }

    /// The same in a database that is made with these options.
    pub(crate) async fn start_in(binaries: &Binaries, locale: &str, schema: &str) -> Self {
        let options = ClusterOptions {
            settings: vec![("autovacuum".to_owned(), "off".to_owned())],
            preload: vec!["pg_stat_statements".to_owned()],
            keep_template: true,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(binaries, options).await.unwrap();
        let maker = connect(&cluster.conninfo("postgres")).await;
        let make = format!("CREATE DATABASE app TEMPLATE template0 {locale}");
        maker.batch_execute(&make).await.unwrap();
        let client = connect(&cluster.conninfo("app")).await;
        let source = Self { cluster, client };
        source.run("CREATE EXTENSION pg_stat_statements").await;
        for sql in schema.split(";\n").map(str::trim).filter(|sql| !sql.is_empty()) {
            source.run(sql).await;
        }
        source
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// What a snapshot says of it.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        let info = ConnInfo::resolve(Some(&self.cluster.conninfo("app")), &|_| None).unwrap();
        let session = Session::connect(&info, Purpose::Sample, &Meter::new()).await.unwrap();
        let mut snapshot = sample(&session, &SampleOptions::default()).await.unwrap();
        session.close().await;
        let session = Session::connect(&info, Purpose::Sample, &Meter::new()).await.unwrap();
        let mut blueprint = draw(&session, &info, &DrawOptions::default()).await.unwrap();
        session.close().await;
        if blueprint.ends.is_empty() {
            blueprint.ends = self.ends(&snapshot).await;
        }
        snapshot.blueprint = Some(Box::new(blueprint));
        snapshot
    }

    async fn ends(&self, snapshot: &Snapshot) -> Vec<EndPoints> {
        let mut ends = Vec::new();
        for table in &snapshot.tables {
            for column in &table.columns {
                let led = |index: &rules::snapshot::Index| {
                    index.method == "btree"
                        && index.keys.first().and_then(|key| key.column.as_ref())
                            == Some(&column.name)
                };
                if !table.indexes.iter().any(led) {
                    continue;
                }
                let name = rules::quote::ident(&column.name);
                let end = |order: &str| {
                    format!(
                        "SELECT (SELECT t.{name}::text FROM {} AS t WHERE t.{name} IS NOT NULL ORDER BY t.{name} {order} LIMIT 1)",
                        table.qualified()
                    )
                };
                let value = |order: &str| {
                    let sql = end(order);
                    async move { self.client.query_one(&sql, &[]).await.unwrap().get(0) }
                };
                ends.push(EndPoints {
                    schema: table.schema.clone(),
                    table: table.name.clone(),
                    column: column.name.clone(),
                    low: value("ASC").await,
                    high: value("DESC").await,
                });
            }
        }
        ends
    }

    /// Compares the plans of these statements here and there.
    pub(crate) async fn compare(&self, twin: &Twin, statements: &[&str]) {
        let planner =
            connect(&format!("{} user=pgwright_planner", twin.cluster().conninfo("twin_0"))).await;
        let mut differences = Vec::new();
        for statement in statements {
            let (mine, my_cost) = plan(&self.client, statement).await;
            let (theirs, their_cost) = plan(&planner, statement).await;
            let apart = (my_cost - their_cost).abs() / my_cost;
            if mine != theirs || apart > 0.01 {
                differences.push(format!(
                    "{statement}\nsource {my_cost}, twin {their_cost}\n{mine}\n-- twin --\n{theirs}"
                ));
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    }
}

/// The plan of a statement with its total cost.
pub(crate) async fn plan(client: &Client, statement: &str) -> (String, f64) {
    let lines = client.query(&format!("EXPLAIN {statement}"), &[]).await;
    let lines = lines.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let lines: Vec<String> = lines.iter().map(|row| row.get(0)).collect();
    let text = |line: &str| {
        line.split_once("  (cost=").map_or(line.to_owned(), |(node, _)| node.to_owned())
    };
    let cost = lines[0].split("..").nth(1).and_then(|rest| rest.split(' ').next());
    let plan: Vec<String> = lines.iter().map(|line| text(line)).collect();
    (plan.join("\n"), cost.and_then(|cost| cost.parse().ok()).expect("EXPLAIN prints a cost"))
}

pub(crate) async fn connect(conninfo: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A twin of a snapshot, with what it lacks printed.
pub(crate) async fn twin(snapshot: &Snapshot) -> Twin {
    let twin = Twin::build(snapshot, &TwinOptions::default()).await;
    let twin = twin.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(twin.missing().is_empty(), "{:?}", twin.missing());
    twin
}
