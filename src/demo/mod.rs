//! V-EdFinance, the made-up application on which `pgwright demo` shows the whole job.
//!
//! [`load`] fills a database, [`run`] plays the application on it, [`pool`] leaves its sessions open,
//! [`compare`] and [`compare_writes`] hold two databases against each other on the clock. The same seed
//! gives the same statements with the same values.

mod compare;
mod draws;
mod workload;

use std::time::Duration;

use agent::cluster::{Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Limits, Meter, PgError, Purpose, Session};

pub(crate) use self::compare::{Comparison, Rates, Sides, Writes, compare, compare_writes};
#[cfg(test)]
pub(crate) use self::compare::{Explained, Timing};
pub(crate) use self::workload::{Expected, STATEMENTS, Values};

use self::draws::Draws;

const SCHEMA: &str = include_str!("schema.sql");
const DATA: &str = include_str!("load.sql");
/// How many sessions the workload draws from.
const SESSIONS: u32 = 500;

/// How much data there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// 5,000 users, 45,000 log rows: loaded in about a second, too small for any index to pay.
    Small,
    /// 50,000 users, 1 million log rows: loaded in about ten seconds.
    Medium,
    /// 200,000 users, 8 million log rows.
    Large,
}

impl Scale {
    /// Returns how many users and how many log rows that is.
    pub(crate) fn rows(self) -> (u32, u32) {
        match self {
            Self::Small => (5_000, 45_000),
            Self::Medium => (50_000, 1_000_000),
            Self::Large => (200_000, 8_000_000),
        }
    }
}

/// Returns how the demo's server is set up: as usual, but with what pgwright needs. A commit waits for the disk, as
/// it does in production; without that, writing would be measured too cheap and indexes too dear.
pub(crate) fn cluster_options() -> ClusterOptions {
    let settings = [
        ("shared_buffers", "256MB"),
        ("max_wal_size", "4GB"),
        ("track_io_timing", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
    ];
    ClusterOptions {
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        preload: vec!["pg_stat_statements".to_owned()],
        ..ClusterOptions::default()
    }
}

/// Opens a session as the application has one: without limits, on its own schema.
///
/// # Errors
/// As [`Session::connect`].
pub(crate) async fn connect(cluster: &Cluster, database: &str) -> Result<Session, PgError> {
    let info = ConnInfo::resolve(Some(&cluster.conninfo(database)), &|_| None)
        .expect("a cluster's own connection string is well-formed");
    let none = Duration::ZERO;
    let limits = Limits { statement: none, lock: none, idle_in_transaction: none };
    // A meter of its own: what the application sends is not what we cost the server.
    let session = Session::connect_with(&info, Purpose::Other, &Meter::new(), &limits).await?;
    session.batch("SET search_path = \"$user\", public").await?;
    Ok(session)
}

/// Makes a database.
///
/// # Errors
/// As [`Session::connect`], and when the server refuses.
pub(crate) async fn create(cluster: &Cluster, database: &str) -> Result<(), PgError> {
    let session = connect(cluster, "postgres").await?;
    session.batch(&format!("CREATE DATABASE {database}")).await?;
    session.close().await;
    Ok(())
}

/// Copies a database to which no session is open.
///
/// # Errors
/// As [`create`].
pub(crate) async fn copy(cluster: &Cluster, from: &str, to: &str) -> Result<(), PgError> {
    let session = connect(cluster, "postgres").await?;
    // By files, which is the only way before PostgreSQL 15 and the quicker one for a database of this size.
    let strategy = if session.version().major() >= 15 { " STRATEGY file_copy" } else { "" };
    session.batch(&format!("CREATE DATABASE {to} TEMPLATE {from}{strategy}")).await?;
    session.close().await;
    Ok(())
}

/// Makes tables, data, statistics and extensions in an empty database, and sets its counters to
/// zero.
///
/// HypoPG is left out where the server does not offer it. The session is one of [`connect`].
pub(crate) async fn load(session: &Session, scale: Scale) -> Result<(), PgError> {
    session.batch("CREATE EXTENSION pg_stat_statements").await?;
    let hypopg = "SELECT 1 FROM pg_available_extensions WHERE name = 'hypopg'";
    if session.query_opt(hypopg, &[]).await?.is_some() {
        session.batch("CREATE EXTENSION hypopg").await?;
    }
    let (users, logs) = scale.rows();
    let sizes = format!("SET demo.users = {users}; SET demo.logs = {logs};");
    // One string is one transaction: all of it is there, or none.
    session.batch(&format!("{sizes}\n{SCHEMA}\n{DATA}")).await?;
    session.batch("VACUUM").await?;
    // Now, so that it does not fall into a measurement.
    session.batch("CHECKPOINT").await?;
    if session.version().major() >= 15 {
        // Else the load would be counted after the reset, when this session is next idle.
        session.query("SELECT pg_stat_force_next_flush()", &[]).await?;
    }
    session.query("SELECT pg_stat_statements_reset(), pg_stat_reset()", &[]).await?;
    // After the reset, which forgets the number of rows and when they were last analyzed.
    session.batch("ANALYZE").await
}

/// Reads the values that the workload draws from. To be done once, before the first run: runs
/// insert rows of their own.
pub(crate) async fn read_values(session: &Session) -> Result<Values, PgError> {
    let actors = "SELECT \"userId\" FROM \"BehaviorLog\" \
                  GROUP BY \"userId\" ORDER BY count(*) DESC, \"userId\"";
    let users = "SELECT \"id\" FROM \"User\" ORDER BY \"createdAt\", \"id\"";
    let logs = session.query_one("SELECT max(\"id\") FROM \"BehaviorLog\"", &[]).await?;
    let logs: i64 = logs.get(0);
    let sessions = format!(
        "SELECT \"sessionId\" FROM \"BehaviorLog\" WHERE \"id\" % {} = 0 ORDER BY \"id\"",
        (logs / i64::from(SESSIONS)).max(1)
    );
    Ok(Values {
        actors: read_column(session, actors).await?,
        users: read_column(session, users).await?,
        sessions: read_column(session, &sessions).await?,
        logs: logs.unsigned_abs(),
    })
}

async fn read_column(session: &Session, sql: &str) -> Result<Vec<String>, PgError> {
    let rows = session.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Plays the application for so many rounds and returns how many statements that were. `progress` is told how
/// many of how many are done.
pub(crate) async fn run(
    session: &Session,
    values: &Values,
    seed: u64,
    rounds: u32,
    mut progress: impl FnMut(usize, usize),
) -> Result<usize, PgError> {
    let mut draws = Draws::new(seed);
    let order: Vec<usize> = (0..rounds).flat_map(|_| workload::round(&mut draws)).collect();
    for (done, &place) in order.iter().enumerate() {
        progress(done, order.len());
        session.play(&STATEMENTS[place].call(&mut draws, values)).await?;
    }
    Ok(order.len())
}

/// Opens a session for each statement, calls that once, and leaves the session idle, as the pool of an
/// application does. `pg_stat_statements` holds no literals; what these sessions ran last is where a reader of
/// the server finds that `"metadata"->>$1` asks for `'theme'`.
pub(crate) async fn pool(
    cluster: &Cluster,
    database: &str,
    values: &Values,
    seed: u64,
) -> Result<Vec<Session>, PgError> {
    let mut draws = Draws::new(seed);
    let mut sessions = Vec::new();
    for statement in STATEMENTS {
        let session = connect(cluster, database).await?;
        session.play(&statement.call(&mut draws, values)).await?;
        sessions.push(session);
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use agent::cluster::{Binaries, Cluster};

    use super::{
        STATEMENTS, Scale, Sides, Writes, cluster_options, compare, compare_writes, connect, load,
        pool, read_values, run,
    };

    #[tokio::test]
    async fn the_application_runs_as_told_and_is_not_taken_for_us() {
        let Ok(binaries) = Binaries::find(None) else {
            assert!(std::env::var_os("CI").is_none(), "no PostgreSQL server programs found");
            return;
        };
        let mut options = cluster_options();
        // Whose disk is how fast is not what is tested here.
        options.settings.push(("fsync".to_owned(), "off".to_owned()));
        let cluster = Cluster::start(&binaries, options).await.unwrap();
        let session = connect(&cluster, "postgres").await.unwrap();
        load(&session, Scale::Small).await.unwrap();
        let values = read_values(&session).await.unwrap();
        assert_eq!((values.users.len(), values.actors.len(), values.logs), (5000, 3500, 45_000));
        let mut told = 0;
        let calls = run(&session, &values, 1, 2, |_, _| told += 1).await.unwrap();
        assert_eq!(told, calls);
        let seen = "SELECT sum(calls)::int8 FROM pg_stat_statements \
                    WHERE query LIKE 'INSERT%' AND query NOT LIKE '%pgwright%'";
        let seen: i64 = session.query_one(seen, &[]).await.unwrap().get(0);
        assert_eq!(seen, 2 * 40);
        let pool = pool(&cluster, "postgres", &values, 1).await.unwrap();
        let idle = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query LIKE '%''theme'' = ''dark''%'";
        let idle: i64 = session.query_one(idle, &[]).await.unwrap().get(0);
        assert_eq!((pool.len(), idle), (STATEMENTS.len(), 1));
        let sides = Sides { cluster: &cluster, before: "postgres", after: "postgres" };
        let compared = compare(sides, &values, 1, 1, |_, _| ()).await.unwrap();
        for (seen, statement) in compared.iter().zip(STATEMENTS) {
            assert_eq!(seen.name, statement.name);
            assert!(seen.before.calls >= (statement.times * statement.burst) as usize);
            assert_eq!(seen.before.calls, seen.after.calls);
            assert!(seen.before.p25_ms > 0.0 && seen.factor().is_finite(), "{seen:?}");
            // It is the same database.
            assert!(
                seen.explained.is_none_or(|same| same.cost_after > 0.5 * same.cost_before),
                "{seen:?}"
            );
        }
        for writes in [Writes::Clicks, Writes::Entries, Writes::EntriesUnflushed] {
            let rates = compare_writes(sides, &values, 1, writes, |_, _| ()).await.unwrap();
            assert!(rates.before > 0.0 && rates.ratio() > 0.0, "{rates:?}");
        }
        cluster.stop().await;
    }
}
