//! The control group: what everything else did at the same time, and how far statements drift on their own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::compare::{Change, Halves, change, life, total, waits};
use super::student::Side;
use super::window::{Counts, Window};
use super::{Case, Limits};

/// Statements of the control group without which time alone proves nothing.
pub(super) const CONTROL_LEAST: usize = 3;

/// Statements of the control group that are asked, those with the most calls: the median of more is hardly better.
const CONTROL_MOST: usize = 40;

/// How far statements drift on their own between before and after: the standard deviation of the logarithm of their
/// time, and of their blocks, where the control group does not tell.
const USUAL_DRIFT: (f64, f64) = (0.15, 0.05);

/// Statements of a control group that what is usual counts for.
const USUAL_COUNTS: f64 = 4.0;

/// What moved further than so many standard deviations has a story of its own.
const OWN_STORY: f64 = 3.0;

/// The median of the square of a standard normal variable.
const MEDIAN_OF_SQUARES: f64 = 0.4549;

/// The variance of a median of normal values, by that of their mean.
const MEDIAN_COSTS: f64 = std::f64::consts::FRAC_PI_2;

/// What the control group did.
pub(super) struct Control {
    ids: Vec<String>,
    /// Logarithm of what a client usually waits for a call of each.
    usual: Vec<f64>,
    /// The counters of each, by the begin of the window.
    windows: BTreeMap<DateTime<Utc>, Vec<Counts>>,
    /// Calls without which a statement tells nothing.
    least: f64,
}

impl Control {
    /// Of the statements that were called before the action and after it.
    pub(super) fn of(case: &Case<'_>, halves: &Halves<'_>, limits: &Limits) -> Self {
        let least = limits.calls_per_window;
        let counted = |id: &String| {
            let (mut all, after) = (total(&halves.before, id), total(&halves.after, id));
            let before = match case.lifetime {
                _ if halves.before.len() >= limits.windows_before => all,
                Some(_) => life(case, id).unwrap_or_default(),
                None => Counts::default(),
            };
            all.add(&after);
            (before.calls >= least && after.calls >= least).then(|| (id.clone(), all))
        };
        let mut counted: Vec<(String, Counts)> = case.control.iter().filter_map(counted).collect();
        counted.sort_by(|a, b| b.1.calls.total_cmp(&a.1.calls).then_with(|| a.0.cmp(&b.0)));
        counted.truncate(CONTROL_MOST);
        let usual = counted.iter().map(|(_, all)| waits(all).ln()).collect();
        let ids: Vec<String> = counted.into_iter().map(|(id, _)| id).collect();
        let row = |window: &&Window| {
            let of = |id: &String| window.statements.get(id).copied().unwrap_or_default();
            (window.begins, ids.iter().map(of).collect())
        };
        let windows = halves.before.iter().chain(&halves.after).map(row).collect();
        Self { ids, usual, windows, least }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The logarithm of how much slower than usual they were, but for one; 0 where none was called often enough. The
    /// median, so that one that has a story of its own does not count.
    fn level(&self, counts: impl Fn(usize) -> Counts, but: Option<&str>) -> f64 {
        let offset = |n: usize| {
            let counts = counts(n);
            let tells = counts.calls >= self.least && but != Some(self.ids[n].as_str());
            tells.then(|| waits(&counts).ln() - self.usual[n])
        };
        let offsets: Vec<f64> = (0..self.ids.len()).filter_map(offset).collect();
        median(offsets)
    }

    /// The level in these windows together.
    pub(super) fn level_in(&self, span: &[&Window], but: Option<&str>) -> f64 {
        let rows: Vec<&Vec<Counts>> =
            span.iter().filter_map(|window| self.windows.get(&window.begins)).collect();
        let sum = |n: usize| {
            let mut sum = Counts::default();
            for row in &rows {
                sum.add(&row[n]);
            }
            sum
        };
        self.level(sum, but)
    }

    /// The level of everything's life until the action.
    pub(super) fn level_of_life(&self, case: &Case<'_>, but: Option<&str>) -> f64 {
        self.level(|n| life(case, &self.ids[n]).unwrap_or_default(), but)
    }

    /// How far statements drift that the action cannot have touched: the variance of their changes beyond what chance
    /// explains (DerSimonian and Laird, 1986), drawn towards what is usual, since few statements tell little. Judging
    /// by what happens to those who were not treated is the placebo test of Abadie, Diamond and Hainmueller (2010).
    pub(super) fn drift(&self, case: &Case<'_>, halves: &Halves<'_>, limits: &Limits) -> Drift {
        let changes: Vec<Change> = self
            .ids
            .iter()
            .filter_map(|id| change(case, halves, self, limits, id, Some(id)).change)
            .collect();
        let pooled = |sides: fn(&Change) -> (Side, Side), usual: f64| {
            let usual = usual.powi(2) * (1.0 + MEDIAN_COSTS / self.len().max(1) as f64);
            let moved = |change: &Change| sides(change).1.mean - sides(change).0.mean;
            let chance = |change: &Change| sides(change).0.error + sides(change).1.error;
            let middle = median(changes.iter().map(|change| moved(change).powi(2)).collect());
            let scale = (middle / MEDIAN_OF_SQUARES).max(usual);
            let drifts = |change: &&Change| {
                moved(change).powi(2) <= OWN_STORY.powi(2) * (scale + chance(change))
            };
            let drifting: Vec<f64> =
                changes.iter().filter(drifts).map(|c| moved(c).powi(2) - chance(c)).collect();
            let found: f64 = drifting.iter().sum();
            let df = USUAL_COUNTS + drifting.len() as f64;
            let error = (USUAL_COUNTS * usual + found.max(0.0)) / df;
            Side { mean: 0.0, error, df }
        };
        Drift {
            time: pooled(|change| change.time, USUAL_DRIFT.0),
            blocks: pooled(|change| change.blocks, USUAL_DRIFT.1),
        }
    }
}

/// How far statements drift on their own; the means are 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drift {
    pub(super) time: Side,
    pub(super) blocks: Side,
}

/// The median; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n => f64::midpoint(values[(n - 1) / 2], values[n / 2]),
    }
}
