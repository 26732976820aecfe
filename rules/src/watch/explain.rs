//! What there is to say of a verdict, in sentences with figures.

use chrono::TimeDelta;

use super::control::CONTROL_LEAST;
use super::judge::calls_of_meant;
use super::{Baseline, Case, Comparison, Judgement, Limits, Verdict};

/// Statements named one by one.
const NAMED: usize = 3;

pub(super) fn slower(statements: &[&Comparison], growth: f64) -> (Verdict, String) {
    let mut named: Vec<&Comparison> = statements.to_vec();
    named.sort_by(|a, b| b.share.total_cmp(&a.share));
    let reads = named.iter().any(|statement| !statement.writes);
    let verdict = if reads { Verdict::Regressed } else { Verdict::WritesHarmed };
    let all: Vec<String> =
        named.iter().take(NAMED).map(|statement| one_slower(statement)).collect();
    let rest = match named.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; {more} more became slower"),
    };
    (verdict, format!("{}{rest}{}", all.join("; "), grown(growth)))
}

/// What the table grew by, where it is worth a word.
fn grown(growth: f64) -> String {
    if growth > 1.05 {
        format!("; the table has {growth:.1} times as many rows, which is allowed for")
    } else {
        String::new()
    }
}

fn one_slower(statement: &Comparison) -> String {
    let (time, blocks) = (statement.time, statement.touched);
    let ratio = |estimate: Option<super::Estimate>| estimate.map_or(1.0, |estimate| estimate.ratio);
    let before = match statement.baseline {
        Some(Baseline::Lifetime) => "its whole life before".to_owned(),
        _ => format!("{} before", windows(statement.windows.0)),
    };
    format!(
        "statement {} takes {:.2} times as long per call ({:.3} ms before, {:.3} ms after; {before}, {} after) and touches \
         {:.2} times as many blocks ({:.1} before, {:.1} after)",
        statement.statement,
        ratio(time),
        statement.ms.0,
        statement.ms.1,
        statement.windows.1,
        ratio(blocks),
        statement.blocks.0,
        statement.blocks.1
    )
}

pub(super) fn unused(calls: f64, watched: TimeDelta) -> String {
    format!(
        "no statement has scanned the index in {}, while the statements that it was meant for were called {calls:.0} times",
        span(watched)
    )
}

pub(super) fn kept(judgement: &Judgement, limits: &Limits) -> String {
    let meant = judgement.statements.iter().filter(|statement| statement.meant);
    let best =
        meant.filter_map(|s| Some((s, s.time?))).min_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio));
    let gain = match best {
        Some((statement, time)) if time.ratio < 1.0 => format!(
            "; statement {} takes {:.0} % of its time ({:.3} ms before, {:.3} ms after)",
            statement.statement,
            time.ratio * 100.0,
            statement.ms.0,
            statement.ms.1
        ),
        _ => "; none of the statements that it was meant for became measurably faster".to_owned(),
    };
    let scans =
        judgement.scans.map_or(String::new(), |scans| format!(", {scans:.0} scans of the index"));
    // Of those that decide something and were looked at, as many windows as of the one with the fewest.
    let decide = judgement.statements.iter().filter(|s| s.share >= limits.share);
    let looked_at = decide.filter(|s| s.looked_at > 0).map(|s| s.looked_at).min();
    let (looked_at, grown) = (windows(looked_at.unwrap_or(0)), grown(judgement.growth));
    format!("no statement became slower in {looked_at}{scans}{gain}{grown}")
}

fn windows(count: usize) -> String {
    if count == 1 { "1 window".to_owned() } else { format!("{count} windows") }
}

pub(super) fn undecided(case: &Case<'_>, judgement: &Judgement, limits: &Limits) -> String {
    let watched = case.now - case.applied;
    let mut reasons = Vec::new();
    if watched < limits.at_least {
        reasons.push(format!("it is watched for {} at least", span(limits.at_least)));
    }
    if judgement.windows.1 < limits.windows_after {
        reasons
            .push(format!("{} of {} windows are there", judgement.windows.1, limits.windows_after));
    }
    if judgement.scans == Some(0.0) {
        let calls = calls_of_meant(case);
        reasons.push(if case.standbys {
            "the index is not used here, and standbys may use it unseen".to_owned()
        } else if calls < limits.calls_for_unused {
            format!("the statements that it was meant for were called {calls:.0} times, too few to call it unused")
        } else {
            "the index has not been scanned yet".to_owned()
        });
    }
    if judgement
        .statements
        .iter()
        .any(|s| s.share >= limits.share && s.windows.1 < limits.windows_after)
        && judgement.windows.1 >= limits.windows_after
    {
        reasons.push("statements on the table were called too seldom".to_owned());
    }
    if judgement.control < CONTROL_LEAST {
        let others = match judgement.control {
            0 => "no other statement tells".to_owned(),
            1 => "only one other statement tells".to_owned(),
            more => format!("only {more} other statements tell"),
        };
        reasons.push(format!("{others} what load does to all, so time alone proves nothing"));
    }
    if judgement.statements.iter().any(|s| s.baseline == Some(Baseline::Lifetime)) {
        let few = if judgement.windows.0 < limits.windows_before {
            "there are too few windows from before it"
        } else {
            "statements were called in too few of the windows before it"
        };
        reasons.push(format!("{few}, so that the statements' whole life is the baseline"));
    }
    if judgement.windows.2 > 0 {
        reasons.push(format!(
            "{} discarded (a reset, a crash, nobody looked, or pg_stat_statements threw entries away, which a \
             larger pg_stat_statements.max prevents)",
            match judgement.windows.2 {
                1 => "1 window was".to_owned(),
                more => format!("{more} windows were"),
            }
        ));
    }
    let end = if watched >= limits.at_most {
        "never told apart from chance; watching ends".to_owned()
    } else {
        format!("watched for {} so far, {} at most", span(watched), span(limits.at_most))
    };
    let grown = grown(judgement.growth);
    if reasons.is_empty() { end + &grown } else { format!("{end}: {}{grown}", reasons.join("; ")) }
}

/// `3 days`, `5 hours`, `12 minutes`.
fn span(span: TimeDelta) -> String {
    let (count, unit) = match span {
        span if span.num_days() >= 2 => (span.num_days(), "day"),
        span if span.num_hours() >= 2 => (span.num_hours(), "hour"),
        span if span.num_minutes() >= 2 => (span.num_minutes(), "minute"),
        span => (span.num_seconds(), "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
