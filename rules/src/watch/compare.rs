//! One statement before and after an action, with what the control group did taken off.

use std::collections::BTreeMap;

use super::student::{Side, welch};
use super::window::{Counts, Window};
use super::{Baseline, Case, Comparison, Concern, Estimate, Limits};

/// Milliseconds that a client waits for a statement beside its execution: parsing, planning and the round trip over a
/// local socket, measured on PostgreSQL 15. Without them an INSERT of 20 µs that pays 7 µs for one more index would
/// count as a third slower, which nobody could notice.
const BESIDE_MS: f64 = crate::write_cost::STATEMENT_US / 1000.0;

/// The least standard error of a mean of logarithms: 1 %. Counters that repeat exactly are no proof beyond it.
const ERROR_FLOOR: f64 = 0.01;

/// Statements of the control group without which time alone proves nothing.
pub(super) const CONTROL_LEAST: usize = 3;

/// Windows after which a statement is looked at for the first time; the next looks are at twice as many each.
const FIRST_LOOK: usize = 6;

/// The windows before and after the action.
pub(super) struct Halves<'a> {
    pub(super) before: Vec<&'a Window>,
    pub(super) after: Vec<&'a Window>,
}

impl<'a> Halves<'a> {
    pub(super) fn of(case: &Case<'a>) -> Self {
        let windows = || case.windows.iter();
        Self {
            before: windows().filter(|window| window.ends <= case.begun).collect(),
            after: windows().filter(|window| window.begins >= case.applied).collect(),
        }
    }
}

/// Windows joined until a statement has calls enough in them; what is left over at the end waits for more.
type Span<'a> = Vec<&'a Window>;

fn spans<'a>(windows: &[&'a Window], statement: &str, limits: &Limits) -> Vec<Span<'a>> {
    let (mut spans, mut span, mut calls) = (Vec::new(), Vec::new(), 0.0);
    for window in windows {
        span.push(*window);
        calls += window.statements.get(statement).map_or(0.0, |counts| counts.calls);
        if calls >= limits.calls_per_window {
            spans.push(std::mem::take(&mut span));
            calls = 0.0;
        }
    }
    spans
}

/// The counters of a statement over several windows.
pub(super) fn total(windows: &[&Window], statement: &str) -> Counts {
    let mut total = Counts::default();
    for counts in windows.iter().filter_map(|window| window.statements.get(statement)) {
        total.add(counts);
    }
    total
}

/// The counters of a statement over its life until the action.
pub(super) fn life(case: &Case<'_>, statement: &str) -> Option<Counts> {
    case.lifetime?.statements.get(statement).copied()
}

/// What a client waits for a call.
fn waits(counts: &Counts) -> f64 {
    counts.ms / counts.calls + BESIDE_MS
}

fn blocks(counts: &Counts) -> f64 {
    // One more, so that a statement that touches none has a logarithm too.
    counts.blocks / counts.calls + 1.0
}

/// The control group: how much slower than usual everything else is.
pub(super) struct Control {
    /// Logarithm of what a client waits for a call over all windows, by statement.
    usual: BTreeMap<String, f64>,
    least: f64,
}

impl Control {
    /// Of the statements that were called before the action and after it.
    pub(super) fn of(case: &Case<'_>, halves: &Halves<'_>, limits: &Limits) -> Self {
        let least = limits.calls_per_window;
        let usual = |id: &String| {
            let (mut all, after) = (total(&halves.before, id), total(&halves.after, id));
            let before = match case.lifetime {
                _ if halves.before.len() >= limits.windows_before => all,
                Some(lifetime) => lifetime.statements.get(id).copied().unwrap_or_default(),
                None => Counts::default(),
            };
            all.add(&after);
            let called = before.calls >= least && after.calls >= least;
            called.then(|| (id.clone(), waits(&all).ln()))
        };
        Self { usual: case.control.iter().filter_map(usual).collect(), least }
    }

    pub(super) fn len(&self) -> usize {
        self.usual.len()
    }

    /// The logarithm of how much slower than usual they were; 0 where none was called often enough. The median, so
    /// that one that has a story of its own does not count.
    fn level(&self, counts: impl Fn(&str) -> Option<Counts>) -> f64 {
        let offset = |(id, usual): (&String, &f64)| {
            let counts = counts(id).filter(|counts| counts.calls >= self.least)?;
            Some(waits(&counts).ln() - usual)
        };
        let mut offsets: Vec<f64> = self.usual.iter().filter_map(offset).collect();
        offsets.sort_by(f64::total_cmp);
        match offsets.len() {
            0 => 0.0,
            n => f64::midpoint(offsets[(n - 1) / 2], offsets[n / 2]),
        }
    }

    fn level_in(&self, span: &[&Window]) -> f64 {
        self.level(|id| Some(total(span, id)))
    }
}

/// The time and the blocks of a statement per call on one side.
struct Sides {
    time: Side,
    blocks: Side,
}

fn of_spans(spans: &[Span<'_>], id: &str, control: &Control) -> Option<Sides> {
    let time: Vec<f64> =
        spans.iter().map(|span| waits(&total(span, id)).ln() - control.level_in(span)).collect();
    let touched: Vec<f64> = spans.iter().map(|span| blocks(&total(span, id)).ln()).collect();
    Some(Sides { time: Side::of(&time, ERROR_FLOOR)?, blocks: Side::of(&touched, ERROR_FLOOR)? })
}

/// A statement's life as if it were one window. The variance of its mean time is that of the single executions; that
/// of its mean blocks, which nobody counts, is taken from the windows after the action, by calls.
fn of_life(life: &Counts, level: f64, after: &Sides, calls_after: f64) -> Sides {
    let mean = life.ms / life.calls;
    let variance = (life.square_ms / life.calls - mean * mean).max(0.0);
    let by_calls = |side: &Side| side.error * calls_after / life.calls;
    let own = variance / life.calls / waits(life).powi(2);
    let df = (life.calls - 1.0).max(1.0);
    let side = |mean: f64, error: f64| Side { mean, error: error.max(ERROR_FLOOR.powi(2)), df };
    Sides {
        time: side(waits(life).ln() - level, own.max(by_calls(&after.time))),
        blocks: side(blocks(life).ln(), by_calls(&after.blocks)),
    }
}

/// Compares one statement. `growth` is by what factor the table grew: what reads it all may take as much longer.
pub(super) fn compare(
    case: &Case<'_>,
    halves: &Halves<'_>,
    control: &Control,
    limits: &Limits,
    (id, concern): (&str, Concern),
    growth: f64,
) -> Comparison {
    let before = spans(&halves.before, id, limits);
    let after = spans(&halves.after, id, limits);
    let life = life(case, id).filter(|life| life.calls >= limits.calls_per_window);
    let baseline = if before.len() >= limits.windows_before {
        Some(Baseline::Windows)
    } else {
        life.map(|_| Baseline::Lifetime)
    };
    let totals = match (baseline, life) {
        (Some(Baseline::Lifetime), Some(life)) => life,
        _ => total(&halves.before, id),
    };
    let now = total(&halves.after, id);
    let per_call = |sum: fn(&Counts) -> f64, of: &Counts| {
        if of.calls > 0.0 { sum(of) / of.calls } else { 0.0 }
    };
    let pair = |sum: fn(&Counts) -> f64| (per_call(sum, &totals), per_call(sum, &now));
    let looks = looks(after.len());
    let mut comparison = Comparison {
        statement: id.to_owned(),
        meant: concern.meant,
        writes: concern.writes,
        calls: (totals.calls, now.calls),
        ms: pair(|counts| counts.ms),
        blocks: pair(|counts| counts.blocks),
        share: 0.0,
        windows: (before.len(), after.len()),
        baseline,
        time: None,
        touched: None,
        look: looks,
    };
    let looked_at = &after[..looked_at(looks)];
    let sides = baseline.and_then(|baseline| {
        let after = of_spans(looked_at, id, control)?;
        let before = match (baseline, life) {
            (Baseline::Lifetime, Some(life)) => {
                let level = control.level(|id| self::life(case, id));
                let calls = looked_at.iter().map(|span| total(span, id).calls).sum();
                of_life(&life, level, &after, calls)
            }
            _ => of_spans(&before, id, control)?,
        };
        Some((before, after))
    });
    if let Some((before, after)) = sides {
        let margin = (1.0 + limits.margin).ln() + growth.max(1.0).ln();
        let estimate = |before: Side, after: Side| Estimate {
            ratio: (after.mean - before.mean).exp(),
            p: welch(before, after, margin),
        };
        comparison.time = Some(estimate(before.time, after.time));
        comparison.touched = Some(estimate(before.blocks, after.blocks));
    }
    comparison
}

/// How many looks are due after so many windows. Looks are few, and each is always at the same windows, so that
/// looking more often than they come proves nothing more.
fn looks(windows: usize) -> u32 {
    (windows / FIRST_LOOK).checked_ilog2().map_or(0, |log| log + 1)
}

/// The windows of the last look.
fn looked_at(looks: u32) -> usize {
    if looks == 0 { 0 } else { FIRST_LOOK << (looks - 1) }
}

/// The share of alpha that a look may spend: half of what is left, so that all looks together spend no more than all
/// (alpha spending after Lan and DeMets, 1983).
pub(super) fn share_of_alpha(look: u32) -> f64 {
    0.5f64.powi(look.min(60).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::{looked_at, looks, share_of_alpha};

    #[test]
    fn looks_come_at_six_windows_and_at_every_doubling() {
        let due: Vec<u32> = [0, 5, 6, 11, 12, 23, 24, 48, 100].map(looks).to_vec();
        assert_eq!(due, [0, 0, 1, 1, 2, 2, 3, 4, 5]);
        assert_eq!([0, 1, 2, 3, 4].map(looked_at), [0, 6, 12, 24, 48]);
        let spent: f64 = (1..40).map(share_of_alpha).sum();
        assert!(spent < 1.0 && share_of_alpha(3) > share_of_alpha(4));
    }
}
