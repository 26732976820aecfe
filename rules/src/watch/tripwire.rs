//! What is so bad that one window is enough: no statistics, but limits that chance does not reach.

use super::compare::{Halves, life, total};
use super::window::{Counts, Window};
use super::{Case, Comparison, Limits, Verdict};

/// By what factor a statement must have become slower to be called so after one window.
const TIMES_SLOWER: f64 = 10.0;
/// By what factor its blocks must have grown as well.
const TIMES_BLOCKS: f64 = 2.0;
/// By what factor it must be slower than in its worst window before: what it does every night is no harm.
const TIMES_WORST: f64 = 3.0;
/// By how many standard deviations of one call it must be slower where no windows tell that.
const DEVIATIONS: f64 = 3.0;
/// Calls in the window, and before, without which means are the chance of a few parameters.
const CALLS_LEAST: f64 = 10.0;
const CALLS_BEFORE: f64 = 30.0;
/// Share of the window's length by which its calls together must have taken longer: less can wait for the windows'
/// comparison, which knows chance from harm.
const LOST_LEAST: f64 = 0.01;
/// By how much of all updates the share of HOT ones must have fallen.
const HOT_LOST: f64 = 0.3;
/// Updates without which their HOT share is not known.
const UPDATES_LEAST: f64 = 500.0;
/// Share of what updates write that those must have written which set a column of the index: others were HOT with it as
/// well as without it, and what ended that is something else (full pages, an old snapshot, another index).
const SETS_LEAST: f64 = crate::evidence::HOT_ENDED_MAX;
/// Bytes of write-ahead log for a row whose update is not HOT, at least: a record of the table (24 bytes of header, 20 that
/// name the block, 19 of the update and its new row, and the row) and one of an index (64).
const ROW_WAL: f64 = 100.0;

/// A verdict that cannot wait, with its reason. `compared` is what is known of the statements on the table.
pub(super) fn tripped(
    case: &Case<'_>,
    halves: &Halves<'_>,
    compared: &[Comparison],
    limits: &Limits,
) -> Option<(Verdict, String)> {
    let latest = case.latest.filter(|window| window.begins >= case.applied);
    let last = latest.or(halves.after.last().copied())?;
    ten_times_slower(case, halves, compared, limits, last).or_else(|| hot_lost(case, halves))
}

/// What a statement did before.
struct Before {
    counts: Counts,
    /// The most milliseconds a call that were usual.
    worst_ms: f64,
}

fn before(case: &Case<'_>, halves: &Halves<'_>, limits: &Limits, id: &str) -> Option<Before> {
    let counts = total(&halves.before, id);
    if counts.calls >= CALLS_BEFORE && halves.before.len() >= limits.windows_before {
        let means = halves.before.iter().filter_map(|window| window.statements.get(id));
        let means =
            means.filter(|counts| counts.calls > 0.0).map(|counts| counts.ms / counts.calls);
        return Some(Before { counts, worst_ms: TIMES_WORST * means.fold(0.0, f64::max) });
    }
    let counts = life(case, id).filter(|counts| counts.calls >= CALLS_BEFORE)?;
    let mean = counts.ms / counts.calls;
    let deviation = (counts.square_ms / counts.calls - mean * mean).max(0.0).sqrt();
    Some(Before { counts, worst_ms: mean + DEVIATIONS * deviation })
}

fn ten_times_slower(
    case: &Case<'_>,
    halves: &Halves<'_>,
    compared: &[Comparison],
    limits: &Limits,
    last: &Window,
) -> Option<(Verdict, String)> {
    let ratio = |now: &Counts, then: &Counts, sum: fn(&Counts) -> f64, least: f64| {
        (sum(now) / now.calls + least) / (sum(then) / then.calls + least)
    };
    let slower = |id: &str, now: &Counts| {
        let then = before(case, halves, limits, id).filter(|_| now.calls >= CALLS_LEAST)?;
        Some((ratio(now, &then.counts, |counts| counts.ms, 0.1), then))
    };
    // What happened to everything in this window is nobody's fault; where nothing else ran, nobody knows.
    let mut others: Vec<f64> = last
        .statements
        .iter()
        .filter(|(id, _)| case.control.contains(*id))
        .filter_map(|(id, now)| Some(slower(id, now)?.0))
        .collect();
    others.sort_by(f64::total_cmp);
    let common = others.get(others.len() / 2)?.max(1.0);
    // Of a window that has only just begun, a hundredth is next to nothing.
    let length = usual_length(halves).max(length(last));
    let on_table = last.statements.iter().filter(|(id, _)| case.concerned.contains_key(*id));
    let all: f64 = on_table.clone().map(|(_, now)| now.ms).sum();
    let share = |id: &str, now: &Counts| {
        let known = compared.iter().find(|statement| statement.statement == id);
        known.map_or(0.0, |statement| statement.share).max(now.ms / all)
    };
    let concerned = on_table.filter_map(|(id, now)| {
        // What one more index costs a writer is a matter of percents, and its blocks prove nothing.
        let reads = case.concerned.get(id).is_some_and(|concern| !concern.writes);
        let (time, then) = slower(id, now).filter(|_| reads && case.blames(id))?;
        let blocks = ratio(now, &then.counts, |counts| counts.blocks, 1.0);
        let (mean, usual) = (now.ms / now.calls, then.counts.ms / then.counts.calls);
        let harm = time / common >= TIMES_SLOWER
            && blocks >= TIMES_BLOCKS
            && mean > then.worst_ms
            && share(id, now) >= limits.share
            && (mean - usual) * now.calls >= LOST_LEAST * length;
        let why = format!(
            "statement {id} took {time:.0} times as long per call in one window of {:.0} calls ({usual:.2} ms before, \
             {mean:.2} ms then) and touched {blocks:.1} times as many blocks",
            now.calls,
        );
        harm.then_some((time, why))
    });
    let worst = concerned.max_by(|a, b| a.0.total_cmp(&b.0));
    worst.map(|(_, why)| (Verdict::Regressed, why))
}

/// Milliseconds from its first moment to its last.
fn length(window: &Window) -> f64 {
    (window.ends - window.begins).num_milliseconds() as f64
}

/// The median length of the windows in milliseconds; 0 where there are none.
fn usual_length(halves: &Halves<'_>) -> f64 {
    let windows = halves.before.iter().chain(&halves.after);
    let mut lengths: Vec<f64> = windows.map(|window| length(window)).collect();
    lengths.sort_by(f64::total_cmp);
    lengths.get(lengths.len() / 2).copied().unwrap_or(0.0)
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
    let sets = sets(case, halves);
    (before - after >= HOT_LOST && case.index.is_some() && sets >= SETS_LEAST).then(|| {
        let why = format!(
            "{:.0} % of the table's updates were HOT before and {:.0} % are now, and {:.0} % of what updates write is by \
             statements that set a column of the index: each update that is not HOT writes to every index and leaves dead \
             rows for VACUUM",
            before * 100.0,
            after * 100.0,
            sets * 100.0
        );
        (Verdict::WritesHarmed, why)
    })
}

/// Of the write-ahead log that updates of the table have written since the action, the share of those that set a column
/// of the index; of their calls where nobody counted that. None where they wrote too little for so many rows as were
/// updated: then functions updated them, unseen.
fn sets(case: &Case<'_>, halves: &Halves<'_>) -> f64 {
    let latest = case.latest.filter(|window| window.begins >= case.applied);
    let windows: Vec<&Window> = halves.after.iter().copied().chain(latest).collect();
    let sum = |of: fn(&Counts) -> f64, only: bool| -> f64 {
        let wanted = case.concerned.iter().filter(|(_, concern)| match concern.sets {
            Some(sets) => sets || !only,
            None => false,
        });
        wanted.map(|(id, _)| of(&total(&windows, id))).sum()
    };
    let logged = sum(|counts| counts.wal_bytes, false) > 0.0;
    let of: fn(&Counts) -> f64 = if logged { |c| c.wal_bytes } else { |c| c.calls };
    let (all, set) = (sum(of, false), sum(of, true));
    let tables = windows.iter().filter_map(|window| window.tables.get(&case.table));
    let rows: f64 = tables.map(|table| table.updated).sum();
    let unseen = logged && set < SETS_LEAST * rows * ROW_WAL;
    if all > 0.0 && !unseen { set / all } else { 0.0 }
}
