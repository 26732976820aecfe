//! What is so bad that one window is enough: no statistics, but limits that chance does not reach.

use super::compare::{Halves, life, total};
use super::window::{Counts, Window};
use super::{Case, Limits, Verdict};

/// By what factor a statement must have become slower to be called so after one window.
const TIMES_SLOWER: f64 = 10.0;
/// By what factor its blocks must have grown as well.
const TIMES_BLOCKS: f64 = 2.0;
/// By how much of all updates the share of HOT ones must have fallen.
const HOT_LOST: f64 = 0.3;
/// Updates without which their HOT share is not known.
const UPDATES_LEAST: f64 = 500.0;

/// A verdict that cannot wait, with its reason.
pub(super) fn tripped(
    case: &Case<'_>,
    halves: &Halves<'_>,
    limits: &Limits,
) -> Option<(Verdict, String)> {
    let latest = case.latest.filter(|window| window.begins >= case.applied);
    let last = latest.or(halves.after.last().copied())?;
    ten_times_slower(case, halves, limits, last).or_else(|| hot_lost(case, halves))
}

fn ten_times_slower(
    case: &Case<'_>,
    halves: &Halves<'_>,
    limits: &Limits,
    last: &Window,
) -> Option<(Verdict, String)> {
    let before = |id: &str| {
        let counted = total(&halves.before, id);
        let enough = counted.calls >= limits.calls_per_window;
        let known = if enough { Some(counted) } else { life(case, id) };
        known.filter(|counts| counts.calls >= limits.calls_per_window)
    };
    let ratio = |now: &Counts, then: &Counts, sum: fn(&Counts) -> f64, least: f64| {
        (sum(now) / now.calls + least) / (sum(then) / then.calls + least)
    };
    let slower = |id: &str, now: &Counts| {
        let then = before(id).filter(|_| now.calls >= limits.calls_per_window)?;
        let time = ratio(now, &then, |counts| counts.ms, 0.1);
        Some((time, ratio(now, &then, |counts| counts.blocks, 1.0), then))
    };
    // What happened to everything in this window is nobody's fault.
    let mut others: Vec<f64> = last
        .statements
        .iter()
        .filter(|(id, _)| case.control.contains(*id))
        .filter_map(|(id, now)| Some(slower(id, now)?.0))
        .collect();
    others.sort_by(f64::total_cmp);
    let common = others.get(others.len() / 2).copied().unwrap_or(1.0).max(1.0);
    let concerned = last.statements.iter().filter_map(|(id, now)| {
        let concern = case.concerned.get(id)?;
        let (time, blocks, then) = slower(id, now)?;
        let verdict = if concern.writes { Verdict::WritesHarmed } else { Verdict::Regressed };
        let why = format!(
            "statement {id} took {time:.0} times as long per call in one window of {:.0} calls ({:.2} ms before, {:.2} ms \
             then) and touched {blocks:.1} times as many blocks",
            now.calls,
            then.ms / then.calls,
            now.ms / now.calls
        );
        (time / common >= TIMES_SLOWER && blocks >= TIMES_BLOCKS).then_some((time, verdict, why))
    });
    let worst = concerned.max_by(|a, b| a.0.total_cmp(&b.0));
    worst.map(|(_, verdict, why)| (verdict, why))
}

/// The share of a table's updates that are HOT, before the action and in the last windows that have updates enough.
pub(super) fn hot(case: &Case<'_>, halves: &Halves<'_>) -> Option<(f64, f64)> {
    let share = |windows: &mut dyn Iterator<Item = &&Window>| {
        let (mut updated, mut hot) = (0.0, 0.0);
        for counts in windows.filter_map(|window| window.tables.get(&case.table)) {
            updated += counts.updated;
            hot += counts.hot_updated;
            if updated >= UPDATES_LEAST * 20.0 {
                break;
            }
        }
        (updated >= UPDATES_LEAST).then(|| hot / updated)
    };
    let before = share(&mut halves.before.iter().rev());
    let life =
        || case.lifetime?.tables.get(&case.table).filter(|table| table.updated >= UPDATES_LEAST);
    let before = before.or_else(|| life().map(|table| table.hot_updated / table.updated))?;
    let latest = case.latest.filter(|window| window.begins >= case.applied);
    let after: Vec<&Window> =
        latest.into_iter().chain(halves.after.iter().rev().copied()).collect();
    Some((before, share(&mut after.iter())?))
}

fn hot_lost(case: &Case<'_>, halves: &Halves<'_>) -> Option<(Verdict, String)> {
    let (before, after) = hot(case, halves)?;
    (before - after >= HOT_LOST && case.index.is_some()).then(|| {
        let why = format!(
            "{:.0} % of the table's updates were HOT before and {:.0} % are now: each of the others writes to every index \
             and leaves dead rows for VACUUM",
            before * 100.0,
            after * 100.0
        );
        (Verdict::WritesHarmed, why)
    })
}
