//! From readings of the server's counters to windows: what happened between two readings.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// Counters of one statement: of its life so far in a [`Reading`], of one window in a [`Window`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Executions.
    pub calls: f64,
    /// Their execution times together, in milliseconds.
    pub ms: f64,
    /// The sum of the squares of their execution times, in square milliseconds.
    pub square_ms: f64,
    /// Blocks of tables, indexes and temporary files that they touched.
    pub blocks: f64,
    /// Bytes that they wrote to the write-ahead log.
    pub wal_bytes: f64,
}

impl Counts {
    /// What was counted since an earlier reading; `None` where a counter went back.
    fn since(&self, earlier: &Self) -> Option<Self> {
        let went_back = self.calls < earlier.calls || self.ms < earlier.ms * (1.0 - 1e-9);
        (!went_back).then(|| Self {
            calls: self.calls - earlier.calls,
            ms: (self.ms - earlier.ms).max(0.0),
            square_ms: (self.square_ms - earlier.square_ms).max(0.0),
            blocks: (self.blocks - earlier.blocks).max(0.0),
            wal_bytes: (self.wal_bytes - earlier.wal_bytes).max(0.0),
        })
    }

    /// Adds what another entry of the statement, or another window, counted.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.ms += other.ms;
        self.square_ms += other.square_ms;
        self.blocks += other.blocks;
        self.wal_bytes += other.wal_bytes;
    }
}

/// Counters of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TableCounts {
    /// Rows updated.
    pub updated: f64,
    /// Of those, the ones by a HOT update, which touches no index.
    pub hot_updated: f64,
    /// Rows alive; a level, not a counter: in a window, the level at its end.
    pub live: f64,
}

impl TableCounts {
    fn since(&self, earlier: &Self) -> Option<Self> {
        let went_back = self.updated < earlier.updated || self.hot_updated < earlier.hot_updated;
        let updated = self.updated - earlier.updated;
        let hot_updated = self.hot_updated - earlier.hot_updated;
        (!went_back).then_some(Self { updated, hot_updated, live: self.live })
    }
}

/// The counters of a server at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// When they were read, by the server's clock.
    pub at: DateTime<Utc>,
    /// Changes whenever counters began anew: a reset, a crash, a restart, another server.
    pub epoch: String,
    /// Entries that `pg_stat_statements` has thrown away for want of room so far.
    pub evicted: f64,
    /// By statement id.
    pub statements: BTreeMap<String, Counts>,
    /// By oid of the table.
    pub tables: BTreeMap<u32, TableCounts>,
    /// Scans so far, by oid of the index.
    pub scans: BTreeMap<u32, f64>,
}

/// What happened between two readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// Its first moment.
    pub begins: DateTime<Utc>,
    /// Its last moment.
    pub ends: DateTime<Utc>,
    /// By statement id; a statement whose counters went back or are new is left out.
    pub statements: BTreeMap<String, Counts>,
    /// By oid of the table.
    pub tables: BTreeMap<u32, TableCounts>,
    /// By oid of the index.
    pub scans: BTreeMap<u32, f64>,
}

/// The windows between readings in the order of time, and how many were discarded: those in which counters began
/// anew or entries were thrown away, and those longer than `longest`, over which nobody looked.
pub fn windows(readings: &[Reading], longest: TimeDelta) -> (Vec<Window>, usize) {
    let mut windows = Vec::new();
    let mut discarded = 0;
    for pair in readings.windows(2) {
        let (earlier, later) = (&pair[0], &pair[1]);
        let broken = earlier.epoch != later.epoch
            || earlier.evicted < later.evicted
            || later.at <= earlier.at
            || later.at - earlier.at > longest;
        if broken {
            discarded += 1;
        } else {
            windows.push(between(earlier, later));
        }
    }
    (windows, discarded)
}

fn between(earlier: &Reading, later: &Reading) -> Window {
    Window {
        begins: earlier.at,
        ends: later.at,
        statements: differences(&earlier.statements, &later.statements, Counts::since),
        tables: differences(&earlier.tables, &later.tables, TableCounts::since),
        scans: differences(&earlier.scans, &later.scans, |now, then| {
            (now >= then).then_some(now - then)
        }),
    }
}

fn differences<K: Ord + Clone, V>(
    earlier: &BTreeMap<K, V>,
    later: &BTreeMap<K, V>,
    since: impl Fn(&V, &V) -> Option<V>,
) -> BTreeMap<K, V> {
    let pairs = later.iter().filter_map(|(key, now)| Some((key, now, earlier.get(key)?)));
    pairs.filter_map(|(key, now, then)| Some((key.clone(), since(now, then)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{DateTime, TimeDelta};

    use super::{Counts, Reading, windows};

    fn reading(hour: i64, calls: f64) -> Reading {
        let counts = Counts { calls, ms: calls * 2.0, ..Counts::default() };
        Reading {
            at: DateTime::UNIX_EPOCH + TimeDelta::hours(hour),
            epoch: "a".to_owned(),
            statements: BTreeMap::from([("s".to_owned(), counts)]),
            ..Reading::default()
        }
    }

    #[test]
    fn a_window_is_the_difference_of_two_readings() {
        let (windows, discarded) =
            windows(&[reading(0, 10.0), reading(1, 25.0)], TimeDelta::days(1));
        assert_eq!((windows.len(), discarded), (1, 0));
        let counts = &windows[0].statements["s"];
        assert!((counts.calls - 15.0).abs() < 1e-9 && (counts.ms - 30.0).abs() < 1e-9);
    }

    #[test]
    fn windows_with_a_reset_an_eviction_or_a_gap_are_discarded() {
        let reset = Reading { epoch: "b".to_owned(), ..reading(2, 5.0) };
        let evicted = Reading { epoch: "b".to_owned(), evicted: 3.0, ..reading(3, 9.0) };
        let late = Reading { epoch: "b".to_owned(), evicted: 3.0, ..reading(90, 9.0) };
        let all = [reading(0, 0.0), reading(1, 9.0), reset, evicted, late];
        let (windows, discarded) = windows(&all, TimeDelta::days(1));
        assert_eq!((windows.len(), discarded), (1, 3));
    }

    #[test]
    fn a_statement_whose_counters_went_back_is_left_out_of_the_window() {
        let (windows, _) = windows(&[reading(0, 10.0), reading(1, 3.0)], TimeDelta::days(1));
        assert!(windows[0].statements.is_empty());
    }
}
