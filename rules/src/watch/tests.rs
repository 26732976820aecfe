//! Verdicts on histories whose truth is known.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};

use super::simulation::World;
use super::{Baseline, Case, Concern, Counts, Judgement, Limits, Reading, TableCounts, Verdict};
use super::{Window, judge};

const TABLE: u32 = 1;
const INDEX: u32 = 2;

/// What a window of the tests holds: a reader that the index is meant for, a writer, and three others.
#[derive(Clone, Copy)]
struct Hour {
    calls: f64,
    reader_ms: f64,
    reader_blocks: f64,
    writer_ms: f64,
    others_ms: f64,
    hot: f64,
    updated: f64,
    /// Under 0 where they are counted for another oid.
    scans: f64,
}

const USUAL: Hour = Hour {
    calls: 20.0,
    reader_ms: 10.0,
    reader_blocks: 100.0,
    writer_ms: 1.0,
    others_ms: 5.0,
    hot: 100.0,
    updated: 100.0,
    scans: 1.0,
};

fn window(n: usize, hour: Hour) -> Window {
    let counts = |ms: f64, blocks: f64| Counts {
        calls: hour.calls,
        // A little restless, so that variances are not zero.
        ms: hour.calls * ms * (1.0 + 0.02 * (n % 3) as f64),
        square_ms: hour.calls * ms * ms * 2.0,
        blocks: hour.calls * blocks,
        wal_bytes: 0.0,
    };
    let statements = [
        ("reader", counts(hour.reader_ms, hour.reader_blocks)),
        ("writer", counts(hour.writer_ms, 4.0)),
        ("other1", counts(hour.others_ms, 10.0)),
        ("other2", counts(hour.others_ms * 2.0, 10.0)),
        ("other3", counts(hour.others_ms / 2.0, 10.0)),
    ];
    let begins = DateTime::UNIX_EPOCH + TimeDelta::hours(n as i64);
    Window {
        begins,
        ends: begins + TimeDelta::hours(1),
        statements: statements.map(|(id, counts)| (id.to_owned(), counts)).into(),
        tables: BTreeMap::from([(
            TABLE,
            TableCounts { updated: hour.updated, hot_updated: hour.hot, live: 1e5 },
        )]),
        scans: (hour.scans >= 0.0).then_some((INDEX, hour.scans)).into_iter().collect(),
    }
}

fn judged(
    before: &[Hour],
    after: &[Hour],
    alter: impl FnOnce(&mut Case<'_>, &mut Limits),
) -> Judgement {
    let all: Vec<Window> =
        before.iter().chain(after).enumerate().map(|(n, hour)| window(n, *hour)).collect();
    judged_by(&all, before.len(), None, alter)
}

/// Judges by windows, so many of them before the action, and by what happened since the last one.
fn judged_by(
    all: &[Window],
    before: usize,
    latest: Option<&Window>,
    alter: impl FnOnce(&mut Case<'_>, &mut Limits),
) -> Judgement {
    let applied = DateTime::UNIX_EPOCH + TimeDelta::hours(before as i64);
    let concern =
        |meant, writes| Concern { meant, writes, sets: writes.then_some(true), doubtful: false };
    let mut case = Case {
        windows: all,
        latest,
        discarded: 0,
        lifetime: None,
        begun: applied,
        applied,
        now: applied + TimeDelta::hours((all.len() - before) as i64),
        table: TABLE,
        index: Some(INDEX),
        concerned: BTreeMap::from([
            ("reader".to_owned(), concern(true, false)),
            ("writer".to_owned(), concern(false, true)),
        ]),
        control: BTreeSet::from(["other1", "other2", "other3"].map(str::to_owned)),
        standbys: false,
    };
    let mut limits = Limits { at_least: TimeDelta::days(1), ..Limits::default() };
    alter(&mut case, &mut limits);
    judge(&case, &limits)
}

fn plain(before: &[Hour], after: &[Hour]) -> Judgement {
    judged(before, after, |_, _| {})
}

#[test]
fn what_helps_is_kept_and_its_gain_is_told() {
    let better = Hour { reader_ms: 1.0, reader_blocks: 5.0, ..USUAL };
    let judgement = plain(&[USUAL; 24], &[better; 24]);
    assert_eq!((judgement.verdict, judgement.ends), (Verdict::Kept, true), "{judgement:#?}");
    assert!(judgement.why.contains("takes 10 % of its time"), "{}", judgement.why);
    assert_eq!(judgement.scans, Some(24.0));
}

#[test]
fn a_statement_that_became_slower_is_named_with_its_figures() {
    let worse = Hour { reader_ms: 30.0, reader_blocks: 400.0, ..USUAL };
    let judgement = plain(&[USUAL; 24], &[worse; 6]);
    assert_eq!(judgement.verdict, Verdict::Regressed);
    assert!(judgement.why.contains("statement reader takes 2.99 times"), "{}", judgement.why);
    assert!(judgement.why.contains("100.0 before, 400.0 after"), "{}", judgement.why);
    assert_eq!(
        plain(&[USUAL; 24], &[worse; 5]).verdict,
        Verdict::Undecided,
        "before the first look"
    );
}

#[test]
fn a_load_on_everything_is_nobodys_fault() {
    let loaded =
        Hour { reader_ms: 30.0, writer_ms: 3.2, others_ms: 15.0, reader_blocks: 100.0, ..USUAL };
    assert_eq!(plain(&[USUAL; 24], &[loaded; 24]).verdict, Verdict::Kept);
    let tenfold = Hour { reader_ms: 200.0, writer_ms: 20.0, others_ms: 100.0, ..USUAL };
    assert_eq!(plain(&[USUAL; 24], &[tenfold; 3]).verdict, Verdict::Undecided);
}

#[test]
fn time_alone_proves_nothing_without_a_control_group() {
    let slow = Hour { reader_ms: 30.0, ..USUAL };
    let alone = |case: &mut Case<'_>, _: &mut Limits| case.control.clear();
    assert_eq!(plain(&[USUAL; 24], &[slow; 24]).verdict, Verdict::Regressed);
    assert_eq!(judged(&[USUAL; 24], &[slow; 24], alone).verdict, Verdict::Kept);
    let touching = Hour { reader_blocks: 300.0, ..slow };
    assert_eq!(judged(&[USUAL; 24], &[touching; 24], alone).verdict, Verdict::Regressed);
}

#[test]
fn more_blocks_without_more_time_harm_nobody() {
    let touching = Hour { reader_blocks: 300.0, ..USUAL };
    assert_eq!(plain(&[USUAL; 24], &[touching; 24]).verdict, Verdict::Kept);
}

#[test]
fn writers_that_pay_too_much_are_heard() {
    let slow = Hour { writer_ms: 3.0, ..USUAL };
    let judgement = plain(&[USUAL; 24], &[slow; 12]);
    assert_eq!(judgement.verdict, Verdict::WritesHarmed, "{}", judgement.why);
    // The usual price of one more index is no harm: a client waits for other things as well.
    let paying = |ms| Hour { writer_ms: ms, ..USUAL };
    assert_eq!(plain(&[paying(0.02); 24], &[paying(0.03); 24]).verdict, Verdict::Kept);
}

/// Called so often that ten times as slow costs minutes an hour.
const BUSY: Hour = Hour { calls: 2000.0, ..USUAL };
const AWFUL: Hour = Hour { reader_ms: 150.0, reader_blocks: 5000.0, ..BUSY };

#[test]
fn one_window_is_enough_for_ten_times_as_slow() {
    let judgement = plain(&[BUSY; 6], &[AWFUL]);
    assert_eq!((judgement.verdict, judgement.at_once), (Verdict::Regressed, true));
    let not_at_once = |before: &[Hour], after: Hour, why: &str| {
        assert_eq!(plain(before, &[after]).verdict, Verdict::Undecided, "{why}");
    };
    not_at_once(&[BUSY; 6], Hour { reader_ms: 150.0, ..BUSY }, "the same blocks");
    not_at_once(&[BUSY; 6], Hour { calls: 8.0, ..AWFUL }, "a few calls");
    not_at_once(&[BUSY; 6], Hour { calls: 100.0, ..AWFUL }, "seconds an hour can wait");
    not_at_once(&[Hour { calls: 4.0, ..BUSY }; 6], AWFUL, "little is known of before");
    // Twelve calls with another parameter, a minute after the last reading: 2 of its 60 seconds, and little of an hour.
    let busy: Vec<Window> = (0..6).map(|n| window(n, BUSY)).collect();
    let mut begun = window(6, Hour { calls: 12.0, ..AWFUL });
    begun.ends = begun.begins + TimeDelta::minutes(1);
    assert_eq!(judged_by(&busy, 6, Some(&begun), |_, _| {}).verdict, Verdict::Undecided);
    // What it does every night it did before as well.
    let nights = [BUSY, BUSY, BUSY, Hour { calls: 100.0, ..AWFUL }, BUSY, BUSY];
    not_at_once(&nights, AWFUL, "as in some window before");
    let alone = |case: &mut Case<'_>, _: &mut Limits| case.control.clear();
    assert_eq!(judged(&[BUSY; 6], &[AWFUL], alone).verdict, Verdict::Undecided);
    // A trigger, a lock: nothing that an index does to a writer.
    let writer = |case: &mut Case<'_>, _: &mut Limits| {
        case.concerned = BTreeMap::from([(
            "reader".to_owned(),
            Concern { writes: true, sets: Some(true), ..Concern::default() },
        )]);
    };
    assert_eq!(judged(&[BUSY; 6], &[AWFUL], writer).verdict, Verdict::Undecided);
    let rare = |case: &mut Case<'_>, limits: &mut Limits| {
        (case.index, limits.share) = (None, 1.1);
    };
    assert_eq!(
        judged(&[BUSY; 6], &[AWFUL], rare).verdict,
        Verdict::Undecided,
        "little of the time"
    );
}

#[test]
fn hot_updates_that_end_are_the_fault_of_an_index_on_what_is_set() {
    let busy = Hour { updated: 1000.0, hot: 950.0, ..USUAL };
    let ended = Hour { hot: 100.0, ..busy };
    let judgement = plain(&[busy; 6], &[ended]);
    assert_eq!((judgement.verdict, judgement.at_once), (Verdict::WritesHarmed, true));
    let why = &judgement.why;
    assert!(why.contains("95 % of the table's updates were HOT before"), "{why}");
    assert_eq!(plain(&[busy; 6], &[Hour { hot: 800.0, ..busy }]).verdict, Verdict::Undecided);
    // Full pages, an old snapshot, or somebody else's index.
    for sets in [None, Some(false)] {
        let elsewhere = |case: &mut Case<'_>, _: &mut Limits| {
            case.concerned.get_mut("writer").unwrap().sets = sets;
        };
        assert_eq!(judged(&[busy; 6], &[ended], elsewhere).verdict, Verdict::Undecided);
    }
}

#[test]
fn hot_updates_that_functions_end_unseen_are_nobodys_fault() {
    let busy = Hour { updated: 1000.0, hot: 950.0, ..USUAL };
    let ended = Hour { hot: 100.0, ..busy };
    // The only UPDATE that is known sets a column of the index, and wrote so much for its 20 calls.
    for (wal_bytes, verdict) in
        [(20.0 * 150.0, Verdict::Undecided), (1000.0 * 150.0, Verdict::WritesHarmed)]
    {
        let mut windows: Vec<Window> = [busy; 6]
            .iter()
            .chain([&ended])
            .enumerate()
            .map(|(n, hour)| window(n, *hour))
            .collect();
        windows[6].statements.get_mut("writer").unwrap().wal_bytes = wal_bytes;
        let judgement = judged_by(&windows, 6, None, |_, _| {});
        assert_eq!(judgement.verdict, verdict, "{wal_bytes} bytes: {}", judgement.why);
    }
}

#[test]
fn nothing_is_taken_back_for_a_statement_that_may_be_on_another_table() {
    let doubt = |case: &mut Case<'_>, _: &mut Limits| {
        for concern in case.concerned.values_mut() {
            concern.doubtful = true;
        }
    };
    let worse = Hour { reader_ms: 30.0, reader_blocks: 400.0, ..USUAL };
    assert_eq!(plain(&[USUAL; 24], &[worse; 24]).verdict, Verdict::Regressed);
    assert_eq!(judged(&[USUAL; 24], &[worse; 24], doubt).verdict, Verdict::Kept);
    assert_eq!(judged(&[BUSY; 6], &[AWFUL], doubt).verdict, Verdict::Undecided);
    let idle = Hour { scans: 0.0, ..USUAL };
    assert_eq!(judged(&[USUAL; 24], &[idle; 24], doubt).verdict, Verdict::Undecided);
}

#[test]
fn time_and_blocks_are_two_tests_and_share_alpha() {
    // The smaller probability of the two counts once for each: what passes by blocks has five times as far to go.
    let worse = Hour { reader_ms: 30.0, reader_blocks: 400.0, ..USUAL };
    let judgement = plain(&[USUAL; 24], &[worse; 24]);
    let reader = &judgement.statements[0];
    let (time, blocks) = (reader.time.unwrap().p, reader.touched.unwrap().p);
    let at =
        |alpha: f64| judged(&[USUAL; 24], &[worse; 24], |_, limits| limits.alpha = alpha).verdict;
    // Two statements are tested, and the look may spend half.
    let needed = (time / 0.8).min(blocks / 0.2) * 2.0 / 0.5;
    assert_eq!(at(needed * 1.01), Verdict::Regressed, "{time} {blocks}");
    assert_eq!(at(needed * 0.99), Verdict::Kept, "{time} {blocks}");
}

#[test]
fn what_came_after_the_last_look_is_looked_at_before_the_watch_ends() {
    let slow = Hour { writer_ms: 19.0, ..USUAL };
    let late = |windows: usize| [vec![USUAL; 48], vec![slow; windows]].concat();
    // Looks are due at 48 and 96 windows, and the watch ends at 72.
    let three_days = |case: &mut Case<'_>, limits: &mut Limits| {
        limits.at_least = case.now - case.applied;
    };
    let judgement = judged(&[USUAL; 24], &late(24), three_days);
    assert_eq!(judgement.verdict, Verdict::WritesHarmed, "{}", judgement.why);
    let judgement = judged(&[USUAL; 24], &[USUAL; 72], three_days);
    assert_eq!(judgement.verdict, Verdict::Kept, "{}", judgement.why);
    assert!(judgement.why.contains("in 72 windows"), "{}", judgement.why);
    // Too few to tell: said to be left out.
    let judgement = judged(&[USUAL; 24], &[USUAL; 52], three_days);
    assert!(judgement.why.contains("in 48 windows"), "{}", judgement.why);
}

#[test]
fn a_table_that_seems_to_have_grown_without_bounds_excuses_little_and_is_told_of() {
    let grown = |writer_ms: f64| {
        let after = Hour { writer_ms, ..USUAL };
        let mut all: Vec<Window> =
            (0..48).map(|n| window(n, if n < 24 { USUAL } else { after })).collect();
        for window in &mut all[..24] {
            // As after a reset of the counters, until ANALYZE comes.
            window.tables.get_mut(&TABLE).unwrap().live = 10.0;
        }
        judged_by(&all, 24, None, |_, _| {})
    };
    for (writer_ms, verdict) in [(19.0, Verdict::WritesHarmed), (3.0, Verdict::Kept)] {
        let judgement = grown(writer_ms);
        assert_eq!(judgement.verdict, verdict, "{judgement:#?}");
        assert!(judgement.why.contains("4.0 times as many rows"), "{}", judgement.why);
    }
}

#[test]
fn unused_takes_time_and_calls_and_no_standby() {
    let idle = Hour { scans: 0.0, ..USUAL };
    assert_eq!(plain(&[USUAL; 24], &[idle; 24]).verdict, Verdict::Unused);
    assert_eq!(plain(&[USUAL; 24], &[idle; 20]).verdict, Verdict::Undecided);
    let rare = Hour { calls: 1.0, ..idle };
    let judgement = plain(&[USUAL; 24], &[rare; 24]);
    assert_eq!(judgement.verdict, Verdict::Undecided);
    assert!(judgement.why.contains("called 24 times, too few"), "{}", judgement.why);
    let standbys = |case: &mut Case<'_>, _: &mut Limits| case.standbys = true;
    assert_eq!(judged(&[USUAL; 24], &[idle; 24], standbys).verdict, Verdict::Undecided);
    let once = [[idle; 23].as_slice(), &[USUAL]].concat();
    assert_eq!(plain(&[USUAL; 24], &once).verdict, Verdict::Kept);
}

#[test]
fn an_index_that_got_another_oid_is_not_called_unused_for_what_nobody_counted() {
    let idle = Hour { scans: 0.0, ..USUAL };
    // For 20 of the 30 windows after the action its scans were counted under another oid.
    let after = [[Hour { scans: -1.0, ..idle }; 20].as_slice(), &[idle; 10]].concat();
    let rebuilt = plain(&[USUAL; 24], &after);
    assert_eq!(rebuilt.verdict, Verdict::Undecided, "{rebuilt:#?}");
    assert_eq!(plain(&[USUAL; 24], &[idle; 30]).verdict, Verdict::Unused);
    // Called and scanned before it was rebuilt, and not called since.
    let quiet = Hour { calls: 0.0, ..idle };
    let after = [[Hour { scans: -1.0, ..USUAL }; 9].as_slice(), &[quiet; 26]].concat();
    let weekend = plain(&[USUAL; 24], &after);
    assert_eq!(weekend.verdict, Verdict::Undecided, "{weekend:#?}");
}

#[test]
fn watching_ends_some_day() {
    let rare = Hour { calls: 0.1, ..USUAL };
    let end = |case: &mut Case<'_>, limits: &mut Limits| case.now = case.applied + limits.at_most;
    let judgement = judged(&[USUAL; 24], &[rare; 30], end);
    assert_eq!((judgement.verdict, judgement.ends), (Verdict::Undecided, true));
    assert!(judgement.why.contains("watching ends"), "{}", judgement.why);
    let never = Hour { scans: 0.0, ..rare };
    assert_eq!(judged(&[USUAL; 24], &[never; 30], end).verdict, Verdict::Unused);
}

#[test]
fn a_life_is_a_baseline_where_there_are_no_windows() {
    let mut life = Reading::default();
    let past = window(1, Hour { calls: 5000.0, ..USUAL });
    life.statements = past.statements;
    life.tables = past.tables;
    let worse = Hour { reader_ms: 30.0, reader_blocks: 400.0, ..USUAL };
    let all: Vec<Window> = (0..6).map(|n| window(n, worse)).collect();
    let alter = |case: &mut Case<'_>, _: &mut Limits| {
        case.control = BTreeSet::from(["other1", "other2", "other3"].map(str::to_owned));
    };
    let none = judged(&[], &[worse; 6], alter);
    assert_eq!(none.verdict, Verdict::Undecided, "nothing is known of before");
    let case = Case {
        windows: &all,
        latest: None,
        discarded: 0,
        lifetime: Some(&life),
        begun: DateTime::UNIX_EPOCH,
        applied: DateTime::UNIX_EPOCH,
        now: DateTime::UNIX_EPOCH + TimeDelta::hours(6),
        table: TABLE,
        index: Some(INDEX),
        concerned: BTreeMap::from([(
            "reader".to_owned(),
            Concern { meant: true, ..Concern::default() },
        )]),
        control: BTreeSet::from(["other1", "other2", "other3"].map(str::to_owned)),
        standbys: false,
    };
    let judgement = judge(&case, &Limits::default());
    assert_eq!(judgement.verdict, Verdict::Regressed, "{judgement:#?}");
    assert_eq!(judgement.statements[0].baseline, Some(Baseline::Lifetime));
    assert!(judgement.why.contains("its whole life before"), "{}", judgement.why);
}

/// The bench `watch` in small: harmless actions are not taken back, doubled times are found.
#[test]
fn simulated_histories_are_judged_rightly() {
    let limits = Limits::default();
    let drifting = World { drift: 0.15, ..World::default() };
    for world in [
        World::default(),
        World { shock: 1.3, ..drifting.clone() },
        World { growth: 1.5, ..drifting.clone() },
        World { day: 0.4, own_day: 0.4, windows: (24, 7), ..World::default() },
    ] {
        let reverted = world.reverted(100, 7, &limits);
        assert!(reverted <= 0.02, "{world:?}: {reverted}");
    }
    let in_time = World { effect: 2.0, ..World::default() };
    let in_both = World { effect: 2.0, effect_on_blocks: 2.0, ..drifting };
    for doubled in [in_time, in_both] {
        let reverted = doubled.reverted(100, 7, &limits);
        assert!(reverted >= 0.9, "{doubled:?}: {reverted}");
    }
}
