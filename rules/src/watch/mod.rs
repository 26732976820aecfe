//! After an action: whether what it changed helped, harmed, or lies unused, told by the server's own counters.
//!
//! Counters are read again and again ([`Reading`]) and become [`Window`]s. Statements that touch the table of the
//! action are compared, before against after, by the logarithm of their mean time per call in each window; what the
//! statements that do not touch it did in the same windows is taken off first (difference in differences), so that a
//! load shock to everything is nobody's fault, and how far they drift on their own is what a change must exceed. `docs/verify.md` tells the method, the thresholds and their sources.

mod compare;
mod control;
mod explain;
mod hours;
mod judge;
#[doc(hidden)]
pub mod simulation;
mod student;
#[cfg(test)]
mod tests;
mod tripwire;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

pub use judge::judge;
pub use student::exceeds;
pub use window::{Counts, Reading, TableCounts, Window, windows};

/// What becomes of a watched action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It harms nothing and is in use.
    Kept,
    /// A statement that reads the table became slower.
    Regressed,
    /// No statement uses the index.
    Unused,
    /// A statement that writes the table became slower, or its updates are HOT no longer.
    WritesHarmed,
    /// Not yet known, or never to be known.
    Undecided,
}

impl Verdict {
    /// Returns the word for it, as in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Regressed => "regressed",
            Self::Unused => "unused",
            Self::WritesHarmed => "writes_harmed",
            Self::Undecided => "undecided",
        }
    }

    /// Whether the action is to be taken back.
    pub fn reverts(self) -> bool {
        matches!(self, Self::Regressed | Self::Unused | Self::WritesHarmed)
    }
}

/// The thresholds. What each is and where it comes from is told in `docs/verify.md` as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// How long an action is watched at least before it is kept or called unused. Azure SQL Database validates an
    /// index for at most three days.
    pub at_least: TimeDelta,
    /// How long it is watched at most: Azure Database for PostgreSQL calls an index unused after as many days.
    pub at_most: TimeDelta,
    /// By how much a statement may become slower: a fifth, as Azure's `max_regression_factor` allows at most and as
    /// the least that windows can tell from drift.
    pub margin: f64,
    /// By how much when its time alone says so, and not its blocks: below, a doubling is found hardly more often, and
    /// harmless drifts are reverted more often (`cargo bench --bench watch`).
    pub margin_of_time_alone: f64,
    /// Probability of calling a statement slower that is not, over all statements of an action and all looks: under
    /// the 1 % that is aimed for, since the world is never quite the model.
    pub alpha: f64,
    /// Calls of a statement without which a window is joined with the next one: below, means of skewed times say
    /// little, and windows of three calls miss two of three statements that became twice as slow.
    pub calls_per_window: f64,
    /// Windows before the action without which its whole life before is the baseline.
    pub windows_before: usize,
    /// Windows of a statement after which it counts as looked at in full.
    pub windows_after: usize,
    /// Share of the time of all statements on the table below which a statement decides nothing.
    pub share: f64,
    /// Calls of the statements that the index was meant for, without which it is not called unused.
    pub calls_for_unused: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_least: TimeDelta::days(3),
            at_most: TimeDelta::days(35),
            margin: 0.2,
            margin_of_time_alone: 0.6,
            alpha: 0.0075,
            calls_per_window: 5.0,
            windows_before: 6,
            windows_after: 24,
            share: 0.01,
            calls_for_unused: 100.0,
        }
    }
}

/// How a statement is concerned with an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Concern {
    /// The action was meant to help it.
    pub meant: bool,
    /// It writes rows.
    pub writes: bool,
    /// It updates rows of the table; and whether it then sets a column of the action's index: of its key, of INCLUDE, of
    /// an expression or of its predicate.
    pub sets: Option<bool>,
    /// It names the table without its schema, and another schema has one of that name, so that its counters may be of both:
    /// nothing is taken back for it.
    pub doubtful: bool,
}

/// One action and what was counted around it.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// All windows, in the order of time.
    pub windows: &'a [Window],
    /// What happened since the last of them: too little to judge by, enough to see harm that cannot wait.
    pub latest: Option<&'a Window>,
    /// Windows that had to be discarded.
    pub discarded: usize,
    /// The counters just before the action, if they were read: everything's life until then.
    pub lifetime: Option<&'a Reading>,
    /// When the action was begun; windows that end later do not count as before it.
    pub begun: DateTime<Utc>,
    /// When it was in place; windows that begin earlier do not count as after it.
    pub applied: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
    /// Oid of its table.
    pub table: u32,
    /// Oid of the index that it made; `None` where it dropped one.
    pub index: Option<u32>,
    /// The statements that touch the table, by id.
    pub concerned: BTreeMap<String, Concern>,
    /// The statements that do not, nor any other table of which an action is being watched. Those of which that cannot be
    /// known are in neither.
    pub control: BTreeSet<String>,
    /// Whether there are standbys, whose use of the index nobody here sees.
    pub standbys: bool,
}

impl Case<'_> {
    /// Whether what a statement does tells of this very table.
    fn blames(&self, statement: &str) -> bool {
        self.concerned.get(statement).is_some_and(|concern| !concern.doubtful)
    }
}

/// What the counters of a statement before the action are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Windows before the action.
    Windows,
    /// Its life until the action: weaker, since it does not tell how the mean changes from hour to hour.
    Lifetime,
}

/// A quantity per call after the action against before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// After by before, with what the control group did taken off.
    pub ratio: f64,
    /// Probability of as large a difference by chance, and by how far statements drift on their own: of time, were
    /// nothing changed; of blocks, were the ratio no more than the margin allows.
    pub p: f64,
}

/// One statement before and after the action.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Its id.
    pub statement: String,
    /// Whether the action was meant to help it.
    pub meant: bool,
    /// Whether it writes rows.
    pub writes: bool,
    /// Calls before and after.
    pub calls: (f64, f64),
    /// Mean execution time in milliseconds, before and after.
    pub ms: (f64, f64),
    /// Blocks per call, before and after.
    pub blocks: (f64, f64),
    /// Its share of the time of all statements on the table, before or after, whichever is larger.
    pub share: f64,
    /// Windows before and after, joined until each has calls enough.
    pub windows: (usize, usize),
    /// What before means; `None` where nothing is known of it.
    pub baseline: Option<Baseline>,
    /// How its time changed at the last look; `None` before the first one.
    pub time: Option<Estimate>,
    /// How its blocks changed at the last look.
    pub touched: Option<Estimate>,
    /// Which look it was: the first after 6 windows, then after 12, 24, 48 and so on.
    pub look: u32,
    /// How many of the windows after were looked at so far.
    pub looked_at: usize,
}

/// What the counters say of an action.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether a single window was enough for it.
    pub at_once: bool,
    /// Whether watching ends with it.
    pub ends: bool,
    /// Why, in a sentence with figures.
    pub why: String,
    /// By what factor the table has grown; a statement may have become slower by as much.
    pub growth: f64,
    /// The statements on the table, the ones with the largest share first.
    pub statements: Vec<Comparison>,
    /// Windows before and after the action, and discarded ones.
    pub windows: (usize, usize, usize),
    /// Statements in the control group.
    pub control: usize,
    /// Scans of the index since it is in place; `None` where it was dropped or nobody counted.
    pub scans: Option<f64>,
    /// Share of the table's updates that were HOT, before and after; `None` where too few rows were updated.
    pub hot: Option<(f64, f64)>,
}
