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
        scans: BTreeMap::from([(INDEX, hour.scans)]),
    }
}

fn judged(
    before: &[Hour],
    after: &[Hour],
    alter: impl FnOnce(&mut Case<'_>, &mut Limits),
) -> Judgement {
    let all: Vec<Window> =
        before.iter().chain(after).enumerate().map(|(n, hour)| window(n, *hour)).collect();
    let applied = DateTime::UNIX_EPOCH + TimeDelta::hours(before.len() as i64);
    let concern = |meant, writes| Concern { meant, writes };
    let mut case = Case {
        windows: &all,
        latest: None,
        discarded: 0,
        lifetime: None,
        begun: applied,
        applied,
        now: applied + TimeDelta::hours(after.len() as i64),
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

#[test]
fn one_window_is_enough_for_ten_times_as_slow_and_for_hot_updates_that_end() {
    let awful = Hour { reader_ms: 150.0, reader_blocks: 5000.0, ..USUAL };
    let judgement = plain(&[USUAL; 6], &[awful]);
    assert_eq!((judgement.verdict, judgement.at_once), (Verdict::Regressed, true));
    let slow_only = Hour { reader_ms: 150.0, ..USUAL };
    assert_eq!(plain(&[USUAL; 6], &[slow_only]).verdict, Verdict::Undecided);
    let busy = Hour { updated: 1000.0, hot: 950.0, ..USUAL };
    let judgement = plain(&[busy; 6], &[Hour { hot: 100.0, ..busy }]);
    assert_eq!((judgement.verdict, judgement.at_once), (Verdict::WritesHarmed, true));
    assert!(
        judgement.why.contains("95 % of the table's updates were HOT before"),
        "{}",
        judgement.why
    );
    assert_eq!(plain(&[busy; 6], &[Hour { hot: 800.0, ..busy }]).verdict, Verdict::Undecided);
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
        concerned: BTreeMap::from([("reader".to_owned(), Concern { meant: true, writes: false })]),
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
    ] {
        let reverted = world.reverted(100, 7, &limits);
        assert!(reverted <= 0.02, "{world:?}: {reverted}");
    }
    let doubled = World { effect: 2.0, effect_on_blocks: 2.0, ..drifting };
    let reverted = doubled.reverted(100, 7, &limits);
    assert!(reverted >= 0.9, "{reverted}");
}
