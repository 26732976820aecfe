//! Made-up workloads with known truth, for the bench and the tests: how often is [`judge`] right?
//!
//! Execution times are skewed, with rare calls that take far longer ([`Tail`]); every window's load makes all statements
//! slower or faster together, by chance and by the hour of the day; each statement drifts on its own between before and
//! after, wanders on its own from window to window, and may have a day of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};

use super::compare::FIRST_LOOK;
use super::{
    Case, Concern, Counts, Judgement, Limits, Reading, TableCounts, Verdict, Window, judge,
};

/// Random numbers that are the same on every machine: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    /// Standard normal, by the method of Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// How execution times are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Lognormal with sigma 1.
    Lognormal,
    /// The same, one call in a hundred twenty times as long.
    Outliers,
    /// Pareto with shape 1.5: the mean exists, the variance does not.
    Pareto,
}

/// A world to judge in.
#[derive(Clone, Debug)]
pub struct World {
    /// Calls of every statement in a window.
    pub calls: u32,
    /// Windows before and after the action.
    pub windows: (u32, u32),
    /// Statements that the action concerns; the first one is what `effect` happens to.
    pub concerned: u32,
    /// Statements of the control group.
    pub control: u32,
    /// By what factor the action changes the first statement's time.
    pub effect: f64,
    /// The same of its blocks.
    pub effect_on_blocks: f64,
    /// By what factor everything becomes slower with the action, at the same hour by chance.
    pub shock: f64,
    /// Standard deviation of the logarithm of the load, from window to window.
    pub load: f64,
    /// Standard deviation of the logarithm of each statement's own drift between before and after.
    pub drift: f64,
    /// How execution times are distributed.
    pub tail: Tail,
    /// Amplitude of the logarithm of the load over the day, which all statements share.
    pub day: f64,
    /// The same of each statement's own, at an hour of its own.
    pub own_day: f64,
    /// Standard deviation of the logarithm of what each statement does on its own from window to window.
    pub wander: f64,
    /// By how much a window's load, and what each statement does on its own, resembles those of the window before:
    /// the coefficient of a first-order autoregression.
    pub memory: f64,
    /// By what factor the first statement of the control group changes at the same hour.
    pub bystander: f64,
    /// By what factor the table grows, and with it time and blocks of every statement that reads it.
    pub growth: f64,
    /// Whether the windows before the action are known, or only each statement's life.
    pub baseline: bool,
    /// Whether it is judged at every look, as `verify` does, or at the end only.
    pub every_look: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            calls: 30,
            windows: (24, 24),
            concerned: 5,
            control: 8,
            effect: 1.0,
            effect_on_blocks: 1.0,
            shock: 1.0,
            load: 0.2,
            drift: 0.0,
            tail: Tail::Outliers,
            day: 0.0,
            own_day: 0.0,
            wander: 0.0,
            memory: 0.0,
            bystander: 1.0,
            growth: 1.0,
            baseline: true,
            every_look: false,
        }
    }
}

const TABLE: u32 = 1;
const INDEX: u32 = 2;

/// Oid-like names: `s0` is the statement that something happens to.
fn id(statement: u32) -> String {
    format!("s{statement}")
}

impl World {
    /// Judges one history of this world.
    pub fn verdict(&self, random: &mut Random, limits: &Limits) -> Verdict {
        let windows = self.windows(random);
        let ends = self.windows.1 as usize;
        let first = if self.every_look { FIRST_LOOK.min(ends) } else { ends };
        let looks = (first..ends).step_by(FIRST_LOOK).chain([ends]);
        let mut judgements =
            looks.map(|looked| self.judged(&windows[..self.windows.0 as usize + looked], limits));
        let ended = judgements.find(|judgement| judgement.ends);
        ended.map_or(Verdict::Undecided, |judgement| judgement.verdict)
    }

    /// Judges by what was counted so far.
    fn judged(&self, windows: &[Window], limits: &Limits) -> Judgement {
        let hours = i64::from(self.windows.0);
        let applied = DateTime::UNIX_EPOCH + TimeDelta::hours(hours);
        let (before, after) = windows.split_at(self.windows.0 as usize);
        let mut lifetime = Reading::default();
        for window in before {
            for (id, counts) in &window.statements {
                lifetime.statements.entry(id.clone()).or_default().add(counts);
            }
            lifetime.tables.clone_from(&window.tables);
        }
        let concern = |n: u32| (id(n), Concern { meant: n < 2, ..Concern::default() });
        let case = Case {
            windows: if self.baseline { windows } else { after },
            latest: None,
            discarded: 0,
            lifetime: Some(&lifetime),
            begun: applied,
            applied,
            now: applied + TimeDelta::hours(after.len() as i64),
            table: TABLE,
            index: Some(INDEX),
            concerned: (0..self.concerned).map(concern).collect(),
            control: (self.concerned..self.concerned + self.control)
                .map(id)
                .collect::<BTreeSet<_>>(),
            standbys: false,
        };
        judge(&case, limits)
    }

    /// How often, of so many histories, the action is taken back for harm.
    pub fn reverted(&self, histories: u32, seed: u64, limits: &Limits) -> f64 {
        let mut random = Random::new(seed);
        let harmed = |verdict: Verdict| verdict == Verdict::Regressed;
        let count = (0..histories).filter(|_| harmed(self.verdict(&mut random, limits))).count();
        count as f64 / f64::from(histories)
    }

    fn windows(&self, random: &mut Random) -> Vec<Window> {
        let statements: Vec<Made> =
            (0..self.concerned + self.control).map(|n| self.made(n, random)).collect();
        let hours = self.windows.0 + self.windows.1;
        let load = self.walk(hours, self.load, random);
        let walks: Vec<Vec<f64>> =
            statements.iter().map(|_| self.walk(hours, self.wander, random)).collect();
        let window = |hour: u32| {
            let after = hour >= self.windows.0;
            let shock = if after { self.shock } else { 1.0 };
            let common = (load[hour as usize] + self.day * swing(hour, 0.0)).exp() * shock;
            let begins = DateTime::UNIX_EPOCH + TimeDelta::hours(i64::from(hour));
            let counted = statements.iter().zip(&walks).enumerate().map(|(n, (made, walk))| {
                let own = (walk[hour as usize] + self.own_day * swing(hour, made.noon)).exp();
                let (time, blocks) = if after { made.change } else { (1.0, 1.0) };
                let counts = self.counts(random, made.ms * common * own * time, 50.0 * blocks);
                (id(n as u32), counts)
            });
            let statements: BTreeMap<String, Counts> = counted.collect();
            let live = 1e6 * if after { self.growth } else { 1.0 };
            Window {
                begins,
                ends: begins + TimeDelta::hours(1),
                statements,
                tables: BTreeMap::from([(TABLE, TableCounts { live, ..TableCounts::default() })]),
                scans: BTreeMap::from([(INDEX, if after { 10.0 } else { 0.0 })]),
            }
        };
        (0..hours).map(window).collect()
    }

    /// A statement between 0.5 and 50 ms, with what happens to it.
    fn made(&self, n: u32, random: &mut Random) -> Made {
        let ms = 0.5 * (random.uniform() * 100f64.ln()).exp();
        let noon = random.uniform() * 24.0;
        let drift = (random.normal() * self.drift).exp();
        // A change in what is asked for shows in both, though less in blocks.
        let (mut time, mut blocks) = (drift, drift.powf(1.0 / 3.0));
        if n < self.concerned {
            time *= self.growth;
            blocks *= self.growth;
        }
        if n == 0 {
            time *= self.effect;
            blocks *= self.effect_on_blocks;
        }
        if n == self.concerned {
            time *= self.bystander;
        }
        Made { ms, noon, change: (time, blocks) }
    }

    /// A value for every hour, normal with this standard deviation and the world's memory.
    fn walk(&self, hours: u32, deviation: f64, random: &mut Random) -> Vec<f64> {
        let fresh = (1.0 - self.memory * self.memory).sqrt();
        let mut state = random.normal();
        let step = |_| {
            let now = state;
            state = self.memory * state + fresh * random.normal();
            now * deviation
        };
        (0..hours).map(step).collect()
    }

    fn counts(&self, random: &mut Random, scale: f64, blocks: f64) -> Counts {
        let mut counts = Counts { calls: f64::from(self.calls), ..Counts::default() };
        for _ in 0..self.calls {
            let ms = scale * self.tail.draw(random);
            counts.ms += ms;
            counts.square_ms += ms * ms;
            // Blocks vary little for one plan: a few per cent from call to call.
            counts.blocks += blocks * (random.normal() * 0.3).exp();
        }
        counts
    }
}

/// One made-up statement.
struct Made {
    ms: f64,
    /// Its busiest hour.
    noon: f64,
    /// By what factors its time and its blocks change with the action.
    change: (f64, f64),
}

/// The day's part in the load: 1 at its busiest hour, -1 twelve hours later.
fn swing(hour: u32, noon: f64) -> f64 {
    ((f64::from(hour) - noon) / 24.0 * std::f64::consts::TAU).cos()
}

impl Tail {
    fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Lognormal => random.normal().exp(),
            Self::Outliers => {
                let long = if random.uniform() < 0.01 { 20.0 } else { 1.0 };
                random.normal().exp() * long
            }
            Self::Pareto => random.uniform().powf(-1.0 / 1.5),
        }
    }
}
