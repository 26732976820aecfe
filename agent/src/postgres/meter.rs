//! What our own statements cost the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a session is for. It decides the session's limits and the name it shows in
/// `pg_stat_activity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Reading catalogs and statistics.
    Sample,
    /// Planning the user's statements, read-only.
    Explain,
    /// Changing the database.
    Apply,
    /// Looking after a change, beside the session that makes it.
    Watch,
    /// Anything else.
    Other,
}

impl Purpose {
    /// Every purpose, in the order of the enum.
    pub const ALL: [Self; 5] = [Self::Sample, Self::Explain, Self::Apply, Self::Watch, Self::Other];

    /// Returns the word for it, as in `pgwright/sample`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Explain => "explain",
            Self::Apply => "apply",
            Self::Watch => "watch",
            Self::Other => "other",
        }
    }
}

#[derive(Debug, Default)]
struct Counter {
    statements: AtomicU64,
    micros: AtomicU64,
}

/// Counts the statements sent to the server and the time spent waiting for it, per purpose.
///
/// One meter is shared by all sessions of a run. A statement counts when it is sent, whether
/// or not it succeeds; preparing one counts as well. Not counted are the look-ups with which
/// the driver learns the name of a type it does not know, once per type and session.
#[derive(Debug, Default)]
pub struct Meter {
    counters: [Counter; 5],
}

impl Meter {
    /// Returns a meter at zero.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns the number of statements sent for one purpose.
    pub fn statements(&self, purpose: Purpose) -> u64 {
        self.counter(purpose).statements.load(Ordering::Relaxed)
    }

    /// Returns the time spent waiting for statements of one purpose, network included.
    pub fn time(&self, purpose: Purpose) -> Duration {
        Duration::from_micros(self.counter(purpose).micros.load(Ordering::Relaxed))
    }

    /// Returns the number of statements sent for all purposes.
    pub fn total_statements(&self) -> u64 {
        Purpose::ALL.iter().map(|purpose| self.statements(*purpose)).sum()
    }

    /// Returns the time spent for all purposes; sessions that wait side by side both count.
    pub fn total_time(&self) -> Duration {
        Purpose::ALL.iter().map(|purpose| self.time(*purpose)).sum()
    }

    fn counter(&self, purpose: Purpose) -> &Counter {
        &self.counters[purpose as usize]
    }

    /// Counts one statement now, and its time when the returned guard is dropped, also if the
    /// caller gives up waiting.
    pub(super) fn start(&self, purpose: Purpose) -> Running<'_> {
        let counter = self.counter(purpose);
        counter.statements.fetch_add(1, Ordering::Relaxed);
        Running { counter, since: Instant::now() }
    }
}

/// A statement under way.
pub(super) struct Running<'a> {
    counter: &'a Counter,
    since: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counter.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Meter, Purpose};

    #[test]
    fn each_purpose_has_its_own_counter() {
        let meter = Meter::new();
        for purpose in Purpose::ALL {
            drop(meter.start(purpose));
        }
        drop(meter.start(Purpose::Explain));
        let counts = Purpose::ALL.map(|purpose| meter.statements(purpose));
        assert_eq!((counts, meter.total_statements()), ([1, 2, 1, 1, 1], 6));
    }

    #[test]
    fn time_counts_when_the_statement_ends() {
        let meter = Meter::new();
        let running = meter.start(Purpose::Sample);
        std::thread::sleep(std::time::Duration::from_millis(3));
        assert!(meter.time(Purpose::Sample).is_zero());
        drop(running);
        assert!(meter.time(Purpose::Sample).as_millis() >= 3);
        assert_eq!(meter.total_time(), meter.time(Purpose::Sample));
    }
}
