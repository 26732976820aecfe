//! At which messages harm is done, and what comes of it.

use std::ops::Range;

use super::stage::Stage;
use crate::harness::{Fault, Harm, Moment, Side, say};

/// Which run is harmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loop {
    /// The one that carries the plan out.
    Apply,
    /// The one that takes everything back.
    Rollback,
}

/// What came of one kind of harm.
#[derive(Default)]
pub(super) struct Tally {
    points: usize,
    of: usize,
    struck: usize,
    pub(super) violations: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.points += other.points;
        self.of += other.of;
        self.struck += other.struck;
        self.violations.extend(other.violations);
    }

    /// Whether harm was really done. A run that takes another way than the one that was counted may pass a point by.
    pub(super) fn is_telling(&self) -> bool {
        let few = self.points < 20;
        self.struck > 0 && self.struck * 10 >= self.points * if few { 5 } else { 9 }
    }

    pub(super) fn line(&self, name: &str) -> String {
        format!(
            "{name}: {} of {} points tried, harm done at {}, {} violations",
            self.points,
            self.of,
            self.struck,
            self.violations.len()
        )
    }
}

/// A point of a run.
#[derive(Clone, Copy, Debug)]
struct Point {
    side: Side,
    number: usize,
    moment: Moment,
}

/// Tries harm at so many points of a run, spread evenly; at all of them if there are fewer.
pub(super) fn run(
    stage: &mut Stage,
    name: &str,
    which: Loop,
    spread: usize,
    harm: &dyn Fn(&Stage) -> Harm,
) -> Tally {
    let all = points(stage, which);
    let step = all.len().div_ceil(spread.min(all.len()).max(1));
    // A different offset for each kind of harm, so that together they see more points.
    let chosen = all.iter().skip(name.len() % step).step_by(step);
    let (part, of) = super::share().unwrap_or((1, 1));
    let chosen = chosen.skip(part - 1).step_by(of);
    let mut tally = Tally { of: all.len(), ..Tally::default() };
    for point in chosen {
        tally.points += 1;
        for violation in at(stage, which, *point, harm, &mut tally.struck) {
            let told = format!("{name}, {which:?} at {point:?}: {violation}");
            say(&told);
            tally.violations.push(told);
        }
    }
    tally
}

/// The points of a run: the first message of every request withheld, its last one withheld (the server has
/// worked and not yet committed), or passed on and nothing after it, and the first one of every answer withheld.
/// What lies between makes no difference to either side.
fn points(stage: &Stage, which: Loop) -> Vec<Point> {
    prepare(stage, which);
    assert!(stage.once(which == Loop::Apply).well);
    let seen = stage.proxy.seen();
    let mut points = Vec::new();
    let (mut numbers, mut answering) = ([0; 2], true);
    for message in &seen {
        let number = &mut numbers[message.side as usize];
        *number += 1;
        let mut add = |moment| points.push(Point { side: message.side, number: *number, moment });
        match message.side {
            Side::Client => {
                let last = matches!(message.tag, 'S' | 'Q' | '^');
                if answering || last {
                    add(Moment::Before);
                }
                if last {
                    add(Moment::After);
                }
                answering = false;
            }
            Side::Server => {
                if !answering {
                    add(Moment::Before);
                }
                answering = true;
            }
        }
    }
    points
}

/// Brings the database to where a run of this kind begins.
fn prepare(stage: &Stage, which: Loop) {
    stage.reset();
    if which == Loop::Rollback {
        assert!(stage.once(true).well);
    }
}

/// Does harm at one point; what is wrong after the command was run twice more, and after it was taken back.
fn at(
    stage: &Stage,
    which: Loop,
    point: Point,
    harm: &dyn Fn(&Stage) -> Harm,
    struck: &mut usize,
) -> Vec<String> {
    prepare(stage, which);
    let Point { side, number, moment } = point;
    let forward = which == Loop::Apply;
    let harmed =
        stage.harmed(forward, Some(Fault { side, with: "", number, moment, harm: harm(stage) }));
    *struck += usize::from(stage.proxy.struck());
    let mut wrong = Vec::new();
    if harmed.hung {
        wrong.push("the run hung".to_owned());
    }
    stage.wait_for_server();
    wrong.extend(ends_well(stage, forward, 0..2));
    wrong.extend(stage.violations(forward));
    if forward {
        wrong.extend(ends_well(stage, false, 2..3));
        wrong.extend(stage.violations(false));
    }
    if !wrong.is_empty() {
        wrong.push(format!("the run itself said: {}", harmed.said));
        wrong.push(stage.sql(
            "SELECT \"id\", \"kind\", \"state\", \"attempts\", \"lastError\", \"note\" FROM pgwright.\"OptimizationLog\"",
        ));
    }
    wrong
}

/// Runs the command again; what it says where it does not end well.
fn ends_well(stage: &Stage, forward: bool, times: Range<u32>) -> Vec<String> {
    let runs = times.map(|time| (time, stage.once(forward)));
    runs.filter(|(_, ended)| !ended.well)
        .map(|(time, ended)| {
            format!("run {time} after it (forward: {forward}) ended badly: {}", ended.said)
        })
        .collect()
}
