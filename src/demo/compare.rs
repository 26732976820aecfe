//! Holds the application's statements on one database against the same statements on a copy of it.
//!
//! Every call goes to both, one right after the other, first to one and then to the other first: what else
//! the machine does meets both alike.

use std::time::{Duration, Instant};

use agent::cluster::Cluster;
use agent::postgres::{PgError, RawJson, Session};
use serde::Serialize;

use super::connect;
use super::draws::Draws;
use super::workload::{self, Expected, STATEMENTS, Statement, Values};

/// Times differ when they do by this factor, and by this many milliseconds: below that lies the planner's look at
/// one more index (measured: 0.01 to 0.03 ms for a statement that it does not serve).
const DIFFERENT: f64 = 1.1;
const DIFFERENT_MS: f64 = 0.05;
/// A statement whose time is in doubt is measured again so often: with so many calls, but for no longer than this
/// on either side together.
const TRIES: usize = 3;
const CALLS_AGAIN: usize = 400;
const TIME_AGAIN: Duration = Duration::from_secs(2);
/// Writes are measured in so many sittings, each with sessions of its own and of so many spells on either
/// database, in which they take turns, of so many writes: enough for one look at the clock to be no part of it.
const SITTINGS: usize = 16;
const SPELLS: usize = 20;
const WRITES_TOGETHER: usize = 10;
/// No further sitting begins after that, on a slow disk.
const TIME_FOR_WRITES: Duration = Duration::from_secs(8);
/// How many calls of each statement are explained.
const EXPLAINED: u32 = 3;

/// The two databases.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a> {
    /// The server of both.
    pub(crate) cluster: &'a Cluster,
    /// The copy that nothing was applied to.
    pub(crate) before: &'a str,
    /// The database that everything was applied to.
    pub(crate) after: &'a str,
}

/// A session with each. Where the system places its processes can make one twice as fast as another for as long
/// as it lives; therefore no measurement rests on one pair.
struct Pair {
    before: Session,
    after: Session,
}

impl Sides<'_> {
    async fn open(self) -> Result<Pair, PgError> {
        let before = connect(self.cluster, self.before).await?;
        Ok(Pair { before, after: connect(self.cluster, self.after).await? })
    }
}

impl Pair {
    async fn close(self) {
        self.before.close().await;
        self.after.close().await;
    }
}

/// What one statement of the workload took on the clock, from sending it to the end of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Timing {
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

/// One statement on both.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Comparison {
    /// The name of the [`Statement`].
    pub(crate) name: &'static str,
    /// How many calls of it a round of the application makes.
    pub(crate) per_round: u32,
    /// What a good optimizer should make of it.
    #[serde(flatten)]
    pub(crate) expected: Expected,
    /// As it was.
    pub(crate) before: Timing,
    /// As it is.
    pub(crate) after: Timing,
    /// What the planner says of it, for statements that only read.
    pub(crate) explained: Option<Explained>,
}

/// What EXPLAIN says of a few calls, per call: figures that no clock and no other program disturbs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Explained {
    /// The planner's total cost as it was.
    pub(crate) cost_before: f64,
    /// The planner's total cost as it is.
    pub(crate) cost_after: f64,
    /// Pages of 8 kB read from cache or disk as it was.
    pub(crate) pages_before: f64,
    /// Pages of 8 kB read from cache or disk as it is.
    pub(crate) pages_after: f64,
}

/// What is written in the measurement of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// What the application sends when somebody clicks: a transaction with a log entry and a sign of life.
    Clicks,
    /// Log entries alone, each its own transaction.
    Entries,
    /// The same without waiting for the disk: the worst case for new indexes on that table.
    EntriesUnflushed,
}

/// Statements per second on both: in the middling spell of the best sitting. A checkpoint, another busy program or
/// an unlucky place of a process slows spells and sittings down; nothing speeds them up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Rates {
    /// As it was.
    pub(crate) before: f64,
    /// As it is.
    pub(crate) after: f64,
}

impl Comparison {
    /// How many times as fast it has become, by the time that a quarter of the calls did not exceed.
    pub(crate) fn factor(&self) -> f64 {
        self.before.p25_ms / self.after.p25_ms
    }

    /// Whether it is faster than it was, by more than noise.
    pub(crate) fn is_faster(&self) -> bool {
        is_less(self.after.p25_ms, self.before.p25_ms)
    }

    /// Whether it is slower than it was, by more than noise.
    pub(crate) fn is_slower(&self) -> bool {
        is_less(self.before.p25_ms, self.after.p25_ms)
    }

    /// Milliseconds of one round that were spent on it, by the median call.
    pub(crate) fn round_before(&self) -> f64 {
        f64::from(self.per_round) * self.before.median_ms
    }

    /// Milliseconds of one round that are spent on it, by the median call.
    pub(crate) fn round_after(&self) -> f64 {
        f64::from(self.per_round) * self.after.median_ms
    }
}

impl Explained {
    fn is_same(&self) -> bool {
        let near = |one: f64, other: f64| (one - other).abs() <= 0.1 * one.max(other);
        near(self.pages_before, self.pages_after) && near(self.cost_before, self.cost_after)
    }
}

fn is_less(ms: f64, than_ms: f64) -> bool {
    ms * DIFFERENT < than_ms && ms + DIFFERENT_MS < than_ms
}

impl Rates {
    /// The rate as it is in terms of the rate as it was.
    pub(crate) fn ratio(self) -> f64 {
        self.after / self.before
    }
}

/// Plays the application for so many rounds on both and returns one comparison a statement, in the order of
/// [`STATEMENTS`]. `progress` is told how many of how many rounds are done.
pub(crate) async fn compare(
    sides: Sides<'_>,
    values: &Values,
    seed: u64,
    rounds: u32,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<Comparison>, PgError> {
    let mut draws = Draws::new(seed);
    // First, because it also brings both databases into the caches.
    let pair = sides.open().await?;
    let mut explained = Vec::new();
    for statement in STATEMENTS {
        explained.push(explain(&pair, statement, &mut draws, values).await?);
    }
    pair.close().await;
    let mut clocks = vec![Clock::default(); STATEMENTS.len()];
    for round in 0..rounds {
        let pair = sides.open().await?;
        let order = workload::round(&mut draws);
        for (done, &place) in order.iter().enumerate() {
            progress(round as usize * order.len() + done, rounds as usize * order.len());
            clocks[place].part(&pair, &[STATEMENTS[place].call(&mut draws, values)]).await?;
        }
        pair.close().await;
    }
    for _ in 0..TRIES {
        let pair = sides.open().await?;
        for ((statement, clock), explained) in STATEMENTS.iter().zip(&mut clocks).zip(&explained) {
            if clock.is_doubtful(explained.as_ref()) {
                clock.again(&pair, statement, &mut draws, values).await?;
            }
        }
        pair.close().await;
    }
    let seen = STATEMENTS.iter().zip(clocks).zip(explained);
    Ok(seen
        .map(|((statement, clock), explained)| Comparison {
            name: statement.name,
            per_round: statement.times * statement.burst,
            expected: statement.expected,
            before: Timing::of(clock.before),
            after: Timing::of(clock.after),
            explained,
        })
        .collect())
}

/// Writes on both and returns the rates. `progress` is told how many of how many sittings are over.
pub(crate) async fn compare_writes(
    sides: Sides<'_>,
    values: &Values,
    seed: u64,
    writes: Writes,
    mut progress: impl FnMut(usize, usize),
) -> Result<Rates, PgError> {
    let mut draws = Draws::new(seed);
    let (mut before, mut after) = (0.0_f64, 0.0_f64);
    let since = Instant::now();
    for sitting in 0..SITTINGS {
        if since.elapsed() > TIME_FOR_WRITES {
            break;
        }
        progress(sitting, SITTINGS);
        let pair = sides.open().await?;
        if writes == Writes::EntriesUnflushed {
            for session in [&pair.before, &pair.after] {
                session.batch("SET synchronous_commit = off").await?;
            }
        }
        let mut clock = Clock::default();
        let mut statements = 0;
        for _ in 0..SPELLS {
            let texts: Vec<String> =
                (0..WRITES_TOGETHER).flat_map(|_| writes.one(&mut draws, values)).collect();
            statements = texts.len();
            clock.part(&pair, &texts).await?;
        }
        pair.close().await;
        let rate = |times| statements as f64 * 1000.0 / Timing::of(times).median_ms;
        (before, after) = (before.max(rate(clock.before)), after.max(rate(clock.after)));
    }
    Ok(Rates { before, after })
}

impl Writes {
    fn one(self, draws: &mut Draws, values: &Values) -> Vec<String> {
        match self {
            Self::Clicks => workload::click(draws, values).to_vec(),
            Self::Entries | Self::EntriesUnflushed => vec![workload::new_log_entry(draws, values)],
        }
    }
}

/// The times of one statement on both, in milliseconds.
#[derive(Debug, Clone, Default)]
struct Clock {
    before: Vec<f64>,
    after: Vec<f64>,
}

impl Clock {
    /// Sends the same statements to both; who comes first alternates.
    async fn part(&mut self, pair: &Pair, texts: &[String]) -> Result<(), PgError> {
        let sides = [(&pair.before, &mut self.before), (&pair.after, &mut self.after)];
        let swap = sides[0].1.len() % 2 == 1;
        let [one, two] = sides;
        for (session, times) in if swap { [two, one] } else { [one, two] } {
            let mut sum = 0.0;
            for sql in texts {
                let start = Instant::now();
                session.play(sql).await?;
                sum += start.elapsed().as_secs_f64() * 1000.0;
            }
            times.push(sum);
        }
        Ok(())
    }

    /// Whether it looks slower, or faster though it reads the same pages in the same way.
    fn is_doubtful(&self, explained: Option<&Explained>) -> bool {
        let p25 = |times: &Vec<f64>| Timing::of(times.clone()).p25_ms;
        let (before, after) = (p25(&self.before), p25(&self.after));
        let same = explained.is_none_or(Explained::is_same);
        is_less(before, after) || (same && is_less(after, before))
    }

    async fn again(
        &mut self,
        pair: &Pair,
        statement: &Statement,
        draws: &mut Draws,
        values: &Values,
    ) -> Result<(), PgError> {
        let since = Instant::now();
        for _ in 0..CALLS_AGAIN {
            self.part(pair, &[statement.call(draws, values)]).await?;
            if since.elapsed() > TIME_AGAIN {
                break;
            }
        }
        Ok(())
    }
}

impl Timing {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        // The smallest time that at least this share of the calls did not exceed.
        let at = |share: f64| {
            let rank = (share * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self {
            calls: times.len(),
            p25_ms: at(0.25),
            median_ms: at(0.5),
            p95_ms: at(0.95),
            total_ms: times.iter().sum(),
        }
    }
}

/// Explains a few calls of a statement that only reads; the demo's server is our own, so they may run.
async fn explain(
    pair: &Pair,
    statement: &Statement,
    draws: &mut Draws,
    values: &Values,
) -> Result<Option<Explained>, PgError> {
    let mut seen =
        Explained { cost_before: 0.0, cost_after: 0.0, pages_before: 0.0, pages_after: 0.0 };
    let share = f64::from(EXPLAINED).recip();
    for _ in 0..EXPLAINED {
        let sql = statement.call(draws, values);
        if !sql.starts_with("SELECT") {
            return Ok(None);
        }
        let (cost, pages) = cost_and_pages(&pair.before, &sql).await?;
        seen.cost_before += cost * share;
        seen.pages_before += pages * share;
        let (cost, pages) = cost_and_pages(&pair.after, &sql).await?;
        seen.cost_after += cost * share;
        seen.pages_after += pages * share;
    }
    Ok(Some(seen))
}

async fn cost_and_pages(session: &Session, sql: &str) -> Result<(f64, f64), PgError> {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}");
    let row = session.query_one(&explain, &[]).await?;
    let RawJson(json) = row.get(0);
    let value: serde_json::Value = serde_json::from_str(&json).expect("EXPLAIN prints JSON");
    let plan = &value[0]["Plan"];
    let number = |key: &str| plan[key].as_f64().unwrap_or_default();
    Ok((number("Total Cost"), number("Shared Hit Blocks") + number("Shared Read Blocks")))
}

#[cfg(test)]
mod tests {
    use super::Timing;

    #[test]
    fn timings_are_order_statistics() {
        let timing = Timing::of((1..=100).rev().map(f64::from).collect());
        assert_eq!(
            timing,
            Timing { calls: 100, p25_ms: 25.0, median_ms: 50.0, p95_ms: 95.0, total_ms: 5050.0 }
        );
        let never = Timing::of(Vec::new());
        assert_eq!((never.calls, never.total_ms), (0, 0.0));
        let once = Timing::of(vec![3.0]);
        assert_eq!((once.median_ms, once.p95_ms, once.total_ms), (3.0, 3.0, 3.0));
    }
}
