//! V-EdFinance, the made-up application on which `pgwright demo` shows the whole job.
//!
//! [`load`] fills a database, [`run`] plays the application on it and measures every statement on
//! the clock, [`insert_load`] measures what writing costs. The same seed gives the same statements
//! with the same values, so that a run before a change can be held against one after it.

mod draws;
mod workload;

use std::time::{Duration, Instant};

use agent::cluster::{Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Limits, Meter, PgError, Purpose, Session};

pub(crate) use self::workload::{Expected, STATEMENTS, Values};

use self::draws::Draws;

const SCHEMA: &str = include_str!("schema.sql");
const DATA: &str = include_str!("load.sql");
/// How many sessions the workload draws from.
const SESSIONS: u32 = 500;
/// In how many equal parts the insert load is measured.
const PARTS: usize = 40;

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

/// What one statement of the workload took on the clock, from sending it to the end of its answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timing {
    /// The name of the [`Statement`].
    pub(crate) name: &'static str,
    /// How often it was called.
    pub(crate) calls: usize,
    /// A quarter of the calls took at most this long, in milliseconds: the number to compare on a
    /// busy machine, which only ever makes calls slower.
    pub(crate) p25_ms: f64,
    /// Half of the calls took at most this long, in milliseconds.
    pub(crate) median_ms: f64,
    /// Nineteen of twenty calls took at most this long, in milliseconds.
    pub(crate) p95_ms: f64,
    /// All calls together, in milliseconds.
    pub(crate) total_ms: f64,
}

/// Returns how the demo's server is set up: as usual, but with what pgwright needs.
pub(crate) fn cluster_options() -> ClusterOptions {
    let settings =
        [("shared_buffers", "256MB"), ("max_wal_size", "4GB"), ("track_io_timing", "on")];
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

/// Plays the application for so many rounds and returns the timings in the order of
/// [`STATEMENTS`]. `progress` is told how many of how many calls are done.
pub(crate) async fn run(
    session: &Session,
    values: &Values,
    seed: u64,
    rounds: u32,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<Timing>, PgError> {
    let mut draws = Draws::new(seed);
    let order: Vec<usize> = (0..rounds).flat_map(|_| workload::round(&mut draws)).collect();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); STATEMENTS.len()];
    for (done, &place) in order.iter().enumerate() {
        progress(done, order.len());
        let sql = STATEMENTS[place].call(&mut draws, values);
        times[place].push(time(session, &sql).await?);
    }
    let timed = STATEMENTS.iter().zip(times);
    Ok(timed.map(|(statement, times)| Timing::of(statement.name, times)).collect())
}

/// Writes so many clicks as the application does, each a transaction with a new log entry and a
/// sign of life, and returns how many statements a second that makes.
///
/// It is the rate in the faster quarter of forty equal parts: a checkpoint or another busy program
/// only slows it down.
pub(crate) async fn insert_load(
    session: &Session,
    values: &Values,
    seed: u64,
    clicks: usize,
) -> Result<f64, PgError> {
    let mut draws = Draws::new(seed);
    let part = (clicks / PARTS).max(1);
    let mut times = Vec::new();
    for _ in 0..PARTS {
        let mut sum = 0.0;
        for _ in 0..part {
            for sql in workload::click(&mut draws, values) {
                sum += time(session, &sql).await?;
            }
        }
        times.push(sum);
    }
    let statements = part * workload::CLICK_STATEMENTS;
    Ok(statements as f64 * 1000.0 / Timing::of("", times).p25_ms)
}

async fn time(session: &Session, sql: &str) -> Result<f64, PgError> {
    let start = Instant::now();
    session.play(sql).await?;
    Ok(start.elapsed().as_secs_f64() * 1000.0)
}

impl Timing {
    fn of(name: &'static str, mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        // The smallest time that at least this share of the calls did not exceed.
        let at = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self {
            name,
            calls: times.len(),
            p25_ms: at(0.25),
            median_ms: at(0.5),
            p95_ms: at(0.95),
            total_ms: times.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use agent::cluster::{Binaries, Cluster};

    use super::{
        STATEMENTS, Scale, Timing, cluster_options, connect, insert_load, load, read_values, run,
    };

    #[test]
    fn timings_are_order_statistics() {
        let timing = Timing::of("x", (1..=100).rev().map(f64::from).collect());
        assert_eq!(
            timing,
            Timing {
                name: "x",
                calls: 100,
                p25_ms: 25.0,
                median_ms: 50.0,
                p95_ms: 95.0,
                total_ms: 5050.0
            }
        );
        let never = Timing::of("x", Vec::new());
        assert_eq!((never.calls, never.total_ms), (0, 0.0));
        let once = Timing::of("x", vec![3.0]);
        assert_eq!((once.median_ms, once.p95_ms, once.total_ms), (3.0, 3.0, 3.0));
    }

    #[tokio::test]
    async fn the_application_runs_as_told_and_is_not_taken_for_us() {
        let Ok(binaries) = Binaries::find(None) else {
            assert!(std::env::var_os("CI").is_none(), "no PostgreSQL server programs found");
            return;
        };
        let cluster = Cluster::start(&binaries, cluster_options()).await.unwrap();
        let session = connect(&cluster, "postgres").await.unwrap();
        load(&session, Scale::Small).await.unwrap();
        let values = read_values(&session).await.unwrap();
        assert_eq!((values.users.len(), values.actors.len(), values.logs), (5000, 3500, 45_000));
        let mut told = 0;
        let timings = run(&session, &values, 1, 2, |_, _| told += 1).await.unwrap();
        for (timing, statement) in timings.iter().zip(STATEMENTS) {
            assert_eq!(timing.name, statement.name);
            assert_eq!(timing.calls, (2 * statement.times * statement.burst) as usize);
            assert!(timing.median_ms > 0.0 && timing.median_ms <= timing.p95_ms, "{timing:?}");
        }
        assert_eq!(told, timings.iter().map(|timing| timing.calls).sum::<usize>());
        assert!(insert_load(&session, &values, 1, 40).await.unwrap() > 0.0);
        let seen = "SELECT sum(calls)::int8 FROM pg_stat_statements \
                    WHERE query LIKE 'INSERT%' AND query NOT LIKE '%pgwright%'";
        let seen: i64 = session.query_one(seen, &[]).await.unwrap().get(0);
        assert_eq!(seen, 2 * 40 + 40);
        cluster.stop().await;
    }
}
