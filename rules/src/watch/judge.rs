//! From comparisons to a verdict.

use super::compare::{Halves, LAST_LOOK, LAST_SHARE, Look, compare, share_of_alpha, total};
use super::control::{CONTROL_LEAST, Control};
use super::tripwire::{hot, tripped};
use super::window::Window;
use super::{Baseline, Case, Comparison, Judgement, Limits, Verdict, explain};

/// By what factor time alone must have grown where the baseline does not tell how it changes from hour to hour.
const TIMES_OVER_LIFE: f64 = 2.1;

/// By what factor a table is believed to grow while an action is watched. Its number of rows is an estimate, and far
/// off after a reset of the counters until the next ANALYZE.
const GROWTH_MOST: f64 = 4.0;

/// The share of alpha that time may spend, and blocks the rest (a weighted Bonferroni correction, since the better of the
/// two is taken): blocks hardly vary, so that little is enough for them.
const SHARE_OF_TIME: f64 = 0.8;

/// Share of the time of the statements on the table that must have been looked at in full before the action is kept.
const LOOKED_AT: f64 = 0.8;

/// Judges one action by what was counted around it.
pub fn judge(case: &Case<'_>, limits: &Limits) -> Judgement {
    let halves = Halves::of(case);
    let control = Control::of(case, &halves, limits);
    let drift = control.drift(case, &halves, limits);
    let growth = growth(case, &halves);
    let look = |which: Look| {
        let mut statements: Vec<Comparison> = case
            .concerned
            .iter()
            .map(|(id, concern)| {
                compare(case, &halves, (&control, drift), limits, (id, *concern), growth, which)
            })
            .filter(|comparison| comparison.calls != (0.0, 0.0))
            .collect();
        weigh(&mut statements);
        statements
    };
    let statements = look(Look::Due);
    let scans = case.index.and_then(|index| scans(&halves, index));
    let mut judgement = Judgement {
        verdict: Verdict::Undecided,
        at_once: false,
        ends: false,
        why: String::new(),
        windows: (halves.before.len(), halves.after.len(), case.discarded),
        control: control.len(),
        scans,
        hot: hot(case, &halves),
        growth,
        statements,
    };
    if let Some((verdict, why)) = tripped(case, &halves, &judgement.statements, limits) {
        return Judgement { verdict, at_once: true, ends: true, why, ..judgement };
    }
    let slower_now = slower(case, &judgement, limits, share_of_alpha);
    let mut decided = if slower_now.is_empty() {
        unused(case, &halves, &judgement, limits).or_else(|| kept(case, &judgement, limits))
    } else {
        Some(explain::slower(&slower_now, growth))
    };
    let over = case.now - case.applied >= limits.at_most;
    let harmless = decided.as_ref().map_or(over, |(verdict, _)| *verdict == Verdict::Kept);
    if harmless {
        // What came since the last look, once: whatever it shows, the watch ends.
        let since = Judgement { statements: look(Look::Last), ..judgement.clone() };
        let late = slower(case, &since, limits, |_| LAST_SHARE);
        if !late.is_empty() {
            decided = Some(explain::slower(&late, growth));
            judgement.statements = since.statements;
        } else if let Some((Verdict::Kept, why)) = &mut decided {
            for statement in &mut judgement.statements {
                if statement.windows.1 >= statement.looked_at + LAST_LOOK {
                    statement.looked_at = statement.windows.1;
                }
            }
            *why = explain::kept(&judgement, limits);
        }
    }
    (judgement.verdict, judgement.why) = match decided {
        Some((verdict, why)) => (verdict, why),
        None => (Verdict::Undecided, explain::undecided(case, &judgement, limits)),
    };
    judgement.ends = judgement.verdict != Verdict::Undecided || over;
    judgement
}

/// By what factor the table has grown, as the levels of the last windows before and after tell.
fn growth(case: &Case<'_>, halves: &Halves<'_>) -> f64 {
    let live = |windows: &[&Window]| {
        let levels = windows.iter().rev().filter_map(|window| window.tables.get(&case.table));
        levels.map(|table| table.live).find(|live| *live > 0.0)
    };
    let life = || case.lifetime?.tables.get(&case.table).map(|table| table.live);
    match (live(&halves.before).or_else(life), live(&halves.after)) {
        (Some(before), Some(after)) if before > 0.0 => (after / before).clamp(1.0, GROWTH_MOST),
        _ => 1.0,
    }
}

/// Gives every statement its share of the time, and orders them by it.
fn weigh(statements: &mut [Comparison]) {
    let sides: [fn(&Comparison) -> f64; 2] = [|s| s.calls.0 * s.ms.0, |s| s.calls.1 * s.ms.1];
    for side in sides {
        let all: f64 = statements.iter().map(side).sum();
        for statement in &mut *statements {
            let share = if all > 0.0 { side(statement) / all } else { 0.0 };
            statement.share = statement.share.max(share);
        }
    }
    statements
        .sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.statement.cmp(&b.statement)));
}

fn scans(halves: &Halves<'_>, index: u32) -> Option<f64> {
    let counted = halves.after.iter().filter_map(|window| window.scans.get(&index));
    counted.copied().reduce(|sum, scans| sum + scans)
}

/// The statements that have become slower beyond chance. What time says counts where the control group says what
/// time alone does and the difference is large; what blocks say counts where time does not contradict it. The blocks
/// of a writer prove nothing: each index adds its own, wanted or not.
fn slower<'a>(
    case: &Case<'_>,
    judgement: &'a Judgement,
    limits: &Limits,
    share_of_alpha: fn(u32) -> f64,
) -> Vec<&'a Comparison> {
    let chance = |statement: &Comparison| {
        let (time, blocks) = (statement.time?, statement.touched?);
        let alone = match statement.baseline {
            Some(Baseline::Lifetime) => TIMES_OVER_LIFE,
            _ => 1.0 + limits.margin_of_time_alone,
        };
        let growth = judgement.growth;
        let by_time = judgement.control >= CONTROL_LEAST && time.ratio > alone * growth;
        let by_blocks = !statement.writes && time.ratio > (1.0 + limits.margin) * growth;
        let p = |may: bool, p: f64, share: f64| if may { p / share } else { 1.0 };
        let time = p(by_time, time.p, SHARE_OF_TIME);
        let p = time.min(p(by_blocks, blocks.p, 1.0 - SHARE_OF_TIME)).min(1.0);
        Some(p / share_of_alpha(statement.look))
    };
    let decides = |statement: &&Comparison| {
        statement.share >= limits.share && case.blames(&statement.statement)
    };
    let heavy = judgement.statements.iter().filter(decides);
    let mut tests: Vec<(f64, &Comparison)> =
        heavy.filter_map(|statement| Some((chance(statement)?, statement))).collect();
    tests.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Holm, 1979: the n-th of m is held against alpha / (m - n), and the first that passes lets all further ones pass.
    let m = tests.len();
    let beyond = |(n, (p, _)): &(usize, &(f64, &Comparison))| *p <= limits.alpha / (m - n) as f64;
    tests.iter().enumerate().take_while(beyond).map(|(_, (_, statement))| *statement).collect()
}

fn unused(
    case: &Case<'_>,
    halves: &Halves<'_>,
    judgement: &Judgement,
    limits: &Limits,
) -> Option<(Verdict, String)> {
    if case.standbys || judgement.scans != Some(0.0) {
        return None;
    }
    // After REINDEX CONCURRENTLY scans are counted anew, under another oid: what came before is not known.
    let counts =
        |window: &&&Window| case.index.is_some_and(|index| window.scans.contains_key(&index));
    let counted: Vec<&Window> = halves.after.iter().filter(counts).copied().collect();
    let meant = case.concerned.iter().filter(|(_, concern)| concern.meant && !concern.doubtful);
    let calls = meant.map(|(id, _)| total(&counted, id).calls).fold(0.0, |all, more| all + more);
    let since = counted.first().map_or(case.now, |window| window.begins);
    let watched = case.now - since;
    let enough = watched >= limits.at_least
        && counted.len() >= limits.windows_after
        && calls >= limits.calls_for_unused;
    // Windows that were discarded may have held a scan.
    let seen = counted.len() >= judgement.windows.2.max(limits.windows_after);
    (enough || (watched >= limits.at_most && seen))
        .then(|| (Verdict::Unused, explain::unused(calls, watched)))
}

fn kept(case: &Case<'_>, judgement: &Judgement, limits: &Limits) -> Option<(Verdict, String)> {
    let long =
        case.now - case.applied >= limits.at_least && judgement.windows.1 >= limits.windows_after;
    let used = case.index.is_none() || judgement.scans.is_some_and(|scans| scans > 0.0);
    let time = |statement: &&Comparison| statement.calls.1 * statement.ms.1;
    let all: f64 = judgement.statements.iter().map(|statement| time(&statement)).sum();
    let full = |statement: &&Comparison| {
        statement.windows.1 >= limits.windows_after && statement.time.is_some()
    };
    let looked_at: f64 = judgement.statements.iter().filter(full).map(|s| time(&s)).sum();
    (long && used && all > 0.0 && looked_at >= LOOKED_AT * all)
        .then(|| (Verdict::Kept, String::new()))
}

/// Calls of the statements that the action was meant for, since it is in place.
pub(super) fn calls_of_meant(case: &Case<'_>) -> f64 {
    let halves = Halves::of(case);
    let meant = case.concerned.iter().filter(|(_, concern)| concern.meant && !concern.doubtful);
    // The sum of nothing would be -0, and be printed so.
    meant.map(|(id, _)| total(&halves.after, id).calls).fold(0.0, |all, more| all + more)
}
