//! A source with real rows, what is captured of it, and plans of both sides.

use std::io::Write;

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};
use agent::sampler::{SampleOptions, sample};
use agent::twin::{Twin, TwinOptions};
use rules::blueprint::{
    Blueprint, ColumnStatistics, Definition, DefinitionKind, Distribution, EndPoints, Locale, RelationShape,
};
use rules::snapshot::Snapshot;
use tokio_postgres::{Client, NoTls};

/// Says that a test was not run; in continuous integration that is a failure.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test must not be skipped here: {reason}");
    writeln!(std::io::stderr().lock(), "SKIPPED: {reason}").unwrap();
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
    definitions: Vec<Definition>,
}

impl Source {
    /// Starts a server and makes a schema in it; statements end with `;\n`.
    pub(crate) async fn start(binaries: &Binaries, schema: &str) -> Self {
        let options = ClusterOptions {
            settings: vec![("autovacuum".to_owned(), "off".to_owned())],
            preload: vec!["pg_stat_statements".to_owned()],
            keep_template: true,
            ..ClusterOptions::default()
        };
        let cluster = Cluster::start(binaries, options).await.unwrap();
        let maker = connect(&cluster.conninfo("postgres")).await;
        maker.batch_execute("CREATE DATABASE app TEMPLATE template0").await.unwrap();
        let client = connect(&cluster.conninfo("app")).await;
        let mut source = Self { cluster, client, definitions: Vec::new() };
        source.run("CREATE EXTENSION pg_stat_statements").await;
        source.define(schema).await;
        source
    }

    /// Runs definitions, which a twin gets as well.
    pub(crate) async fn define(&mut self, schema: &str) {
        for sql in schema.split(";\n").map(str::trim).filter(|sql| !sql.is_empty()) {
            self.run(sql).await;
            let name = sql.lines().next().unwrap_or_default().to_owned();
            let kind = DefinitionKind::Other;
            self.definitions.push(Definition { kind, name, sql: sql.to_owned() });
        }
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
        snapshot.blueprint = Some(Box::new(self.blueprint(&snapshot).await));
        snapshot
    }

    async fn blueprint(&self, snapshot: &Snapshot) -> Blueprint {
        Blueprint {
            locale: self.locale().await,
            written_by: "test".to_owned(),
            definitions: self.definitions.clone(),
            relations: self.relations().await,
            statistics: self.statistics().await,
            ends: self.ends(snapshot).await,
            ..Blueprint::default()
        }
    }

    async fn locale(&self) -> Locale {
        let row = self
            .client
            .query_one(
                "SELECT pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text FROM pg_database \
                 WHERE datname = 'app'",
                &[],
            )
            .await
            .unwrap();
        Locale { encoding: row.get(0), collate: row.get(1), ctype: row.get(2), provider: 'c', locale: None }
    }

    async fn relations(&self) -> Vec<RelationShape> {
        let sql = "SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relpages, c.reltuples, c.relallvisible, \
                   CASE WHEN c.relkind IN ('r', 'i', 'm') THEN pg_relation_size(c.oid) / 8192 ELSE 0 END \
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind IN ('r','p','m','i','I')";
        let rows = self.client.query(sql, &[]).await.unwrap();
        rows.iter()
            .map(|row| RelationShape {
                schema: row.get(0),
                name: row.get(1),
                kind: row.get::<_, String>(2).chars().next().unwrap(),
                rel_pages: row.get::<_, i32>(3).cast_unsigned(),
                rel_tuples: f64::from(row.get::<_, f32>(4)),
                rel_all_visible: row.get::<_, i32>(5).cast_unsigned(),
                pages: row.get::<_, i64>(6).cast_unsigned(),
                height: None,
            })
            .collect()
    }

    async fn statistics(&self) -> Vec<ColumnStatistics> {
        let ranges = if self.cluster.binaries().major >= 17 {
            "range_length_histogram::text, range_empty_frac, range_bounds_histogram::text"
        } else {
            "NULL::text, NULL::real, NULL::text"
        };
        let sql = format!(
            "SELECT schemaname::text, tablename::text, attname::text, inherited, null_frac, avg_width, n_distinct, \
             most_common_vals::text, most_common_freqs, histogram_bounds::text, correlation, most_common_elems::text, \
             most_common_elem_freqs, elem_count_histogram, {ranges} FROM pg_stats \
             WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        );
        let reals = |row: &tokio_postgres::Row, at: usize| {
            row.get::<_, Option<Vec<f32>>>(at).unwrap_or_default()
        };
        let rows = self.client.query(&sql, &[]).await.unwrap();
        rows.iter()
            .map(|row| ColumnStatistics {
                schema: row.get(0),
                relation: row.get(1),
                column: row.get(2),
                inherited: row.get(3),
                values: Distribution {
                    null_fraction: row.get(4),
                    avg_width: row.get(5),
                    n_distinct: row.get(6),
                    common_values: row.get(7),
                    common_frequencies: reals(row, 8),
                    histogram: row.get(9),
                    correlation: row.get(10),
                    common_elements: row.get(11),
                    element_frequencies: reals(row, 12),
                    element_counts: reals(row, 13),
                    range_lengths: row.get(14),
                    range_empty_fraction: row.get(15),
                    range_bounds: row.get(16),
                },
            })
            .collect()
    }

    async fn ends(&self, snapshot: &Snapshot) -> Vec<EndPoints> {
        let mut ends = Vec::new();
        for table in &snapshot.tables {
            for column in &table.columns {
                let led = |index: &rules::snapshot::Index| {
                    index.method == "btree"
                        && index.keys.first().and_then(|key| key.column.as_ref()) == Some(&column.name)
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
