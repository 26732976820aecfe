//! What sampling costs: a database of 1,000 tables, 5,000 indexes and 5,000 statements is sampled and its
//! statements are analyzed, nothing is priced; and the same at a tenth of that size.
//!
//! Each size runs in a process of its own, so that its peak of memory is its own. Needs PostgreSQL server
//! programs on this machine and Linux's `/proc` for the memory.
#![expect(clippy::print_stdout, reason = "figures on the terminal are what a bench is for")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};
use agent::sampler::{SampleOptions, sample};
use anyhow::{Context, Result, ensure};
use rules::snapshot::Statement;
use rules::statement::analyze;
use tokio_postgres::{Client, NoTls};

/// Goals on a machine of two cores, whatever the profile.
const TIME_MAX: Duration = Duration::from_secs(10);
const PEAK_MAX_MB: f64 = 500.0;

const TABLES: usize = 1000;
const INDEXES_PER_TABLE: usize = 5;
const STATEMENTS_PER_TABLE: usize = 5;

/// Names the number of tables for the process that measures one size.
const SIZE: &str = "PGWRIGHT_BENCH_TABLES";

#[derive(Debug)]
struct Figures {
    seconds: f64,
    peak_mb: f64,
}

fn main() -> Result<()> {
    if let Ok(tables) = std::env::var(SIZE) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(measure(tables.parse()?));
    }
    let (small, large) = (run(TABLES / 10)?, run(TABLES)?);
    println!(
        "10 times the size: {:.1} times the time, {:.1} times the memory",
        large.seconds / small.seconds,
        large.peak_mb / small.peak_mb
    );
    ensure!(
        large.seconds < TIME_MAX.as_secs_f64(),
        "{:.1} s is over {} s",
        large.seconds,
        TIME_MAX.as_secs()
    );
    ensure!(large.peak_mb < PEAK_MAX_MB, "{:.0} MB is over {PEAK_MAX_MB} MB", large.peak_mb);
    Ok(())
}

/// Runs this program again for one size, shows what it prints and returns its figures.
fn run(tables: usize) -> Result<Figures> {
    let program = std::env::current_exe()?;
    let output = std::process::Command::new(program)
        .env(SIZE, tables.to_string())
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    ensure!(output.status.success(), "the run with {tables} tables failed");
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .context("a figure is missing")
    };
    Ok(Figures { seconds: figure("sampled and analyzed in")?, peak_mb: figure("peak memory")? })
}

async fn measure(tables: usize) -> Result<()> {
    let binaries = Binaries::find(None)?;
    let options = ClusterOptions {
        settings: [
            ("pg_stat_statements.max", "10000"),
            // The statements that fill the database would push those of the workload out.
            ("pg_stat_statements.track_utility", "off"),
            ("autovacuum", "off"),
            ("max_locks_per_transaction", "256"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        preload: vec!["pg_stat_statements".to_owned()],
        keep_template: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(&binaries, options).await?;
    fill(&cluster, tables).await?;

    let info = ConnInfo::resolve(Some(&cluster.conninfo("postgres")), &|_| None)?;
    let meter = Meter::new();
    let since = Instant::now();
    let session = Session::connect(&info, Purpose::Sample, &meter).await?;
    let options = SampleOptions { limit: usize::MAX, ..SampleOptions::default() };
    let snapshot = sample(&session, &options).await?;
    let sampled = since.elapsed();
    session.close().await;
    let analyze = |s: &Statement| analyze(&s.text, &snapshot, &s.search_path);
    let understood = snapshot.statements.iter().flat_map(analyze).count();
    let taken = since.elapsed();

    let indexes: usize = snapshot.tables.iter().map(|table| table.indexes.len()).sum();
    ensure!(snapshot.tables.len() == tables && indexes == tables * INDEXES_PER_TABLE);
    ensure!(understood >= tables * STATEMENTS_PER_TABLE, "{understood} statements were understood");
    println!(
        "{tables} tables, {indexes} indexes, {understood} statements on PostgreSQL {}",
        binaries.major
    );
    println!(
        "  sampled and analyzed in {:.2} s ({:.2} s of it sampling)",
        taken.as_secs_f64(),
        sampled.as_secs_f64()
    );
    println!("  peak memory {:.0} MB", peak_mb()?);
    println!(
        "  {} statements sent, {:.2} s spent waiting for the server",
        meter.total_statements(),
        meter.total_time().as_secs_f64()
    );
    println!("  snapshot {:.1} MB as JSON", serde_json::to_vec(&snapshot)?.len() as f64 / 1e6);
    cluster.stop().await;
    Ok(())
}

/// Makes the tables with rows, indexes and statistics, and runs the statements on them.
async fn fill(cluster: &Cluster, tables: usize) -> Result<()> {
    let (client, connection) =
        tokio_postgres::connect(&cluster.conninfo("postgres"), NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("CREATE EXTENSION pg_stat_statements").await?;
    for table in 0..tables {
        fill_table(&client, &format!("t{table:04}")).await?;
    }
    Ok(())
}

async fn fill_table(client: &Client, table: &str) -> Result<()> {
    let mut sql = format!(
        "CREATE TABLE {table} (id int PRIMARY KEY, customer int NOT NULL, status text, email varchar(80),
            total numeric(12,2), data jsonb, at timestamptz DEFAULT now(), tags text[]);
         INSERT INTO {table} SELECT i, i % 37, 'status ' || i % 7, 'user' || i || '@example.org', i * 1.5,
            jsonb_build_object('k', i), now() - i * interval '1 hour', ARRAY['a' || i % 3]
         FROM generate_series(1, 200) AS i;"
    );
    for (place, keys) in
        ["(customer)", "(status, at DESC)", "(lower(email))", "(at) WHERE status = 'status 1'"]
            .iter()
            .enumerate()
    {
        write!(sql, "CREATE INDEX {table}_{place} ON {table} {keys};")?;
    }
    write!(sql, "ANALYZE {table};")?;
    client.batch_execute(&sql).await?;
    for statement in [
        format!(
            "SELECT * FROM {table} WHERE customer = 5 AND status = 'status 1' ORDER BY at DESC LIMIT 10"
        ),
        format!(
            "SELECT count(*) FROM {table} AS a JOIN {table} AS b ON b.customer = a.id WHERE a.total > 100"
        ),
        format!("SELECT id FROM {table} WHERE lower(email) = 'user5@example.org'"),
        format!("UPDATE {table} SET total = 5 WHERE id = 3"),
        format!(
            "SELECT status, sum(total) FROM {table} WHERE at > now() - interval '3 days' GROUP BY status"
        ),
    ] {
        client.simple_query(&statement).await?;
    }
    Ok(())
}

/// The most memory that this process ever had resident.
fn peak_mb() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
