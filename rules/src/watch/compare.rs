//! One statement before and after an action, with what the control group did taken off.

use super::control::{Control, Drift};
use super::hours;
use super::student::{self, Side, welch};
use super::window::{Counts, Window};
use super::{Baseline, Case, Comparison, Concern, Estimate, Limits};

/// Milliseconds that a client waits for a statement beside its execution: parsing, planning and the round trip over a
/// local socket, measured on PostgreSQL 15. Without them an INSERT of 20 µs that pays 7 µs for one more index would
/// count as a third slower, which nobody could notice.
const BESIDE_MS: f64 = crate::write_cost::STATEMENT_US / 1000.0;

/// The least standard error of a mean of logarithms: 1 %. Counters that repeat exactly are no proof beyond it.
const ERROR_FLOOR: f64 = 0.01;

/// Windows after which a statement is looked at for the first time; the next looks are at twice as many each.
pub(super) const FIRST_LOOK: usize = 6;

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
pub(super) fn waits(counts: &Counts) -> f64 {
    counts.ms / counts.calls + BESIDE_MS
}

fn blocks(counts: &Counts) -> f64 {
    // One more, so that a statement that touches none has a logarithm too.
    counts.blocks / counts.calls + 1.0
}

/// What a quantity was before and after, each with its error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) time: (Side, Side),
    pub(super) blocks: (Side, Side),
}

/// The logarithms of time and blocks per call in each span, with the control group's level taken off the time.
fn series(
    spans: &[Span<'_>],
    id: &str,
    control: &Control,
    but: Option<&str>,
) -> (Vec<f64>, Vec<f64>) {
    let of = |span: &Span<'_>| {
        let counts = total(span, id);
        (waits(&counts).ln() - control.level_in(span, but), blocks(&counts).ln())
    };
    spans.iter().map(of).unzip()
}

/// A statement's life as if it were one window. The variance of its mean time is that of the single executions; that
/// of its mean blocks, which nobody counts, is taken from the windows after the action, by calls.
fn of_life(life: &Counts, level: f64, after: (Side, Side), calls_after: f64) -> (Side, Side) {
    let mean = life.ms / life.calls;
    let variance = (life.square_ms / life.calls - mean * mean).max(0.0);
    let by_calls = |side: &Side| side.error * calls_after / life.calls;
    let own = variance / life.calls / waits(life).powi(2);
    let df = (life.calls - 1.0).max(1.0);
    let side = |mean: f64, error: f64| Side { mean, error: error.max(ERROR_FLOOR.powi(2)), df };
    (
        side(waits(life).ln() - level, own.max(by_calls(&after.0))),
        side(blocks(life).ln(), by_calls(&after.1)),
    )
}

/// At which windows to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// At those up to the last look that was due.
    Due,
    /// At those that came since: before the watch ends.
    Last,
}

/// A statement's spans, and how it changed.
pub(super) struct Changed {
    /// Spans before and after.
    spans: (usize, usize),
    baseline: Option<Baseline>,
    look: u32,
    /// `None` before the first look, or where nothing is known of before.
    pub(super) change: Option<Change>,
}

/// How a statement changed, against the control group without `but`.
pub(super) fn change(
    case: &Case<'_>,
    halves: &Halves<'_>,
    control: &Control,
    limits: &Limits,
    id: &str,
    but: Option<&str>,
) -> Changed {
    change_at(case, halves, control, limits, id, but, Look::Due)
}

fn change_at(
    case: &Case<'_>,
    halves: &Halves<'_>,
    control: &Control,
    limits: &Limits,
    id: &str,
    but: Option<&str>,
    which: Look,
) -> Changed {
    let after = spans(&halves.after, id, limits);
    let look = looks(after.len());
    let seen = looked_at(look);
    let looked_at = match which {
        Look::Due => &after[..seen],
        Look::Last => &after[seen..],
    };
    let alike = hours::alike(&halves.before, &looked_at.concat(), limits.windows_before);
    let mut before = spans(&alike, id, limits);
    if before.len() < limits.windows_before {
        before = spans(&halves.before, id, limits);
    }
    let life = life(case, id).filter(|life| life.calls >= limits.calls_per_window);
    let baseline = if before.len() >= limits.windows_before {
        Some(Baseline::Windows)
    } else {
        life.map(|_| Baseline::Lifetime)
    };
    let compared = || {
        if which == Look::Last && looked_at.len() < LAST_LOOK {
            return None;
        }
        let (time, touched) = series(looked_at, id, control, but);
        if baseline? == Baseline::Windows {
            let (time_before, touched_before) = series(&before, id, control, but);
            return Some(Change {
                time: student::sides(&time_before, &time, ERROR_FLOOR)?,
                blocks: student::sides(&touched_before, &touched, ERROR_FLOOR)?,
            });
        }
        let after = (student::side(&time, ERROR_FLOOR)?, student::side(&touched, ERROR_FLOOR)?);
        let calls = looked_at.iter().map(|span| total(span, id).calls).sum();
        let before = of_life(&life?, control.level_of_life(case, but), after, calls);
        Some(Change { time: (before.0, after.0), blocks: (before.1, after.1) })
    };
    Changed { spans: (before.len(), after.len()), baseline, look, change: compared() }
}

/// Compares one statement. `growth` is by what factor the table grew: what reads it all may take as much longer.
pub(super) fn compare(
    case: &Case<'_>,
    halves: &Halves<'_>,
    (control, drift): (&Control, Drift),
    limits: &Limits,
    (id, concern): (&str, Concern),
    growth: f64,
    which: Look,
) -> Comparison {
    let changed = change_at(case, halves, control, limits, id, None, which);
    let totals = match (changed.baseline, life(case, id)) {
        (Some(Baseline::Lifetime), Some(life)) => life,
        _ => total(&halves.before, id),
    };
    let now = total(&halves.after, id);
    let per_call = |sum: fn(&Counts) -> f64, of: &Counts| {
        if of.calls > 0.0 { sum(of) / of.calls } else { 0.0 }
    };
    let pair = |sum: fn(&Counts) -> f64| (per_call(sum, &totals), per_call(sum, &now));
    let grown = growth.max(1.0).ln();
    let estimate = |(before, after): (Side, Side), drift: Side, margin: f64| Estimate {
        ratio: (after.mean - before.mean).exp(),
        p: welch(before, after, drift, margin + grown),
    };
    let margin = (1.0 + limits.margin).ln();
    Comparison {
        statement: id.to_owned(),
        meant: concern.meant,
        writes: concern.writes,
        calls: (totals.calls, now.calls),
        ms: pair(|counts| counts.ms),
        blocks: pair(|counts| counts.blocks),
        share: 0.0,
        windows: changed.spans,
        baseline: changed.baseline,
        time: changed.change.map(|change| estimate(change.time, drift.time, 0.0)),
        touched: changed.change.map(|change| estimate(change.blocks, drift.blocks, margin)),
        look: changed.look,
        looked_at: match which {
            Look::Due => looked_at(changed.look),
            Look::Last => changed.spans.1,
        },
    }
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

/// Windows since the last look without which the watch may end unless they are looked at: fewer tell nothing.
pub(super) const LAST_LOOK: usize = FIRST_LOOK;

/// The share of alpha that is kept for the last look, when the watch ends.
pub(super) const LAST_SHARE: f64 = 1.0 / 8.0;

/// The share of alpha that a look may spend: half of it at the look that is full, little at the ones before, when
/// means are restless, and half of what is left at each after it (alpha spending after Lan and DeMets, 1983). What is
/// left then is for the last look.
pub(super) fn share_of_alpha(look: u32) -> f64 {
    match look {
        0 | 1 => 1.0 / 16.0,
        2 => 1.0 / 8.0,
        3 => 1.0 / 2.0,
        later => 3.0 / 16.0 * 0.5f64.powi((later - 3).min(60).cast_signed()),
    }
}

#[cfg(test)]
mod tests {
    use super::{LAST_SHARE, looked_at, looks, share_of_alpha};

    #[test]
    fn looks_come_at_six_windows_and_at_every_doubling() {
        let due: Vec<u32> = [0, 5, 6, 11, 12, 23, 24, 48, 100].map(looks).to_vec();
        assert_eq!(due, [0, 0, 1, 1, 2, 2, 3, 4, 5]);
        assert_eq!([0, 1, 2, 3, 4].map(looked_at), [0, 6, 12, 24, 48]);
        let spent: f64 = (1..40).map(share_of_alpha).sum();
        assert!(
            spent + LAST_SHARE < 1.0 + 1e-9
                && share_of_alpha(3) > share_of_alpha(2) + share_of_alpha(4)
        );
    }
}
