//! Holds the application's statements on one database against the same statements on a copy of it.
//!
//! Every call goes to both, one right after the other, first to one and then to the other first: what else
//! the machine does meets both alike.

use std::time::{Duration, Instant};

use agent::postgres::{PgError, RawJson, Session};
use serde::Serialize;

use super::draws::Draws;
use super::workload::{self, Expected, STATEMENTS, Statement, Values};

/// A statement that looks more than this much slower is measured again: most such looks are noise.
const SUSPECT: f64 = 1.1;
/// How often that is done.
const TRIES: usize = 3;
/// How often a suspect is called each time, at most, and for how long on either side together.
const CALLS_AGAIN: usize = 400;
const TIME_AGAIN: Duration = Duration::from_secs(3);
/// How many writes are measured together: few, so that both databases take turns often; enough for one look at
/// the clock to be no part of it.
const WRITES_TOGETHER: usize = 10;
/// How many calls of each statement are explained.
const EXPLAINED: u32 = 3;

/// A session with the database as it was and one with the database as it is.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// On the copy that nothing was applied to.
    pub(crate) before: &'a Session,
    /// On the database that everything was applied to.
    pub(crate) after: &'a Session,
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
    /// Log entries alone, each its own transaction: the worst case for new indexes on that table.
    Entries,
}

/// Statements per second on both, by the median of many short spells in which they take turns: a checkpoint or
/// another busy program falls into some of them.
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

    /// Milliseconds of one round that were spent on it, by the median call.
    pub(crate) fn round_before(&self) -> f64 {
        f64::from(self.per_round) * self.before.median_ms
    }

    /// Milliseconds of one round that are spent on it, by the median call.
    pub(crate) fn round_after(&self) -> f64 {
        f64::from(self.per_round) * self.after.median_ms
    }
}

impl Rates {
    /// The rate as it is in terms of the rate as it was.
    pub(crate) fn ratio(self) -> f64 {
        self.after / self.before
    }
}

/// Plays the application for so many rounds on both and returns one comparison a statement, in the order of
/// [`STATEMENTS`]. `progress` is told how many of how many calls are done.
pub(crate) async fn compare(
    pair: Pair<'_>,
    values: &Values,
    seed: u64,
    rounds: u32,
    mut progress: impl FnMut(usize, usize),
) -> Result<Vec<Comparison>, PgError> {
    let mut draws = Draws::new(seed);
    // First, because it also brings both databases into the caches.
    let mut explained = Vec::new();
    for statement in STATEMENTS {
        explained.push(explain(pair, statement, &mut draws, values).await?);
    }
    let order: Vec<usize> = (0..rounds).flat_map(|_| workload::round(&mut draws)).collect();
    let mut clocks = vec![Clock::default(); STATEMENTS.len()];
    for (done, &place) in order.iter().enumerate() {
        progress(done, order.len());
        clocks[place].call(pair, &STATEMENTS[place].call(&mut draws, values)).await?;
    }
    for _ in 0..TRIES {
        for (statement, clock) in STATEMENTS.iter().zip(&mut clocks) {
            if clock.is_suspect() {
                clock.again(pair, statement, &mut draws, values).await?;
            }
        }
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

/// Writes so many clicks or entries on both and returns the rates.
pub(crate) async fn compare_writes(
    pair: Pair<'_>,
    values: &Values,
    seed: u64,
    writes: Writes,
    count: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<Rates, PgError> {
    let mut draws = Draws::new(seed);
    let mut clock = Clock::default();
    let mut statements = 0;
    for done in (0..count).step_by(WRITES_TOGETHER) {
        progress(done, count);
        let texts: Vec<String> =
            (0..WRITES_TOGETHER).flat_map(|_| writes.one(&mut draws, values)).collect();
        statements = texts.len();
        clock.part(pair, &texts).await?;
    }
    let rate = |times| statements as f64 * 1000.0 / Timing::of(times).median_ms;
    Ok(Rates { before: rate(clock.before), after: rate(clock.after) })
}

impl Writes {
    fn one(self, draws: &mut Draws, values: &Values) -> Vec<String> {
        match self {
            Self::Clicks => workload::click(draws, values).to_vec(),
            Self::Entries => vec![workload::new_log_entry(draws, values)],
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
    async fn call(&mut self, pair: Pair<'_>, sql: &str) -> Result<(), PgError> {
        self.part(pair, std::slice::from_ref(&sql)).await
    }

    /// Sends the same statements to both; who comes first alternates.
    async fn part(&mut self, pair: Pair<'_>, texts: &[impl AsRef<str>]) -> Result<(), PgError> {
        let sides = [(pair.before, &mut self.before), (pair.after, &mut self.after)];
        let swap = sides[0].1.len() % 2 == 1;
        let [one, two] = sides;
        for (session, times) in if swap { [two, one] } else { [one, two] } {
            let mut sum = 0.0;
            for sql in texts {
                let start = Instant::now();
                session.play(sql.as_ref()).await?;
                sum += start.elapsed().as_secs_f64() * 1000.0;
            }
            times.push(sum);
        }
        Ok(())
    }

    fn is_suspect(&self) -> bool {
        let p25 = |times: &Vec<f64>| Timing::of(times.clone()).p25_ms;
        p25(&self.after) > SUSPECT * p25(&self.before)
    }

    async fn again(
        &mut self,
        pair: Pair<'_>,
        statement: &Statement,
        draws: &mut Draws,
        values: &Values,
    ) -> Result<(), PgError> {
        let since = Instant::now();
        for _ in 0..CALLS_AGAIN {
            self.call(pair, &statement.call(draws, values)).await?;
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
    pair: Pair<'_>,
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
        let (cost, pages) = cost_and_pages(pair.before, &sql).await?;
        seen.cost_before += cost * share;
        seen.pages_before += pages * share;
        let (cost, pages) = cost_and_pages(pair.after, &sql).await?;
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
