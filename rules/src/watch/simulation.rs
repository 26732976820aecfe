//! Made-up workloads with known truth, for the bench and the tests: how often is [`judge`] right?
//!
//! Execution times are lognormal with sigma 1, one in a hundred twenty times as long; every window's load makes all
//! statements slower or faster together; each statement drifts on its own between before and after.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};

use super::{Case, Concern, Counts, Limits, Reading, TableCounts, Verdict, Window, judge};

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
    /// By what factor the table grows, and with it time and blocks of every statement that reads it.
    pub growth: f64,
    /// Whether the windows before the action are known, or only each statement's life.
    pub baseline: bool,
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
            growth: 1.0,
            baseline: true,
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
        let concern = |n: u32| (id(n), Concern { meant: n < 2, writes: false });
        let case = Case {
            windows: if self.baseline { &windows } else { after },
            latest: None,
            discarded: 0,
            lifetime: Some(&lifetime),
            begun: applied,
            applied,
            now: applied + TimeDelta::hours(i64::from(self.windows.1)),
            table: TABLE,
            index: Some(INDEX),
            concerned: (0..self.concerned).map(concern).collect(),
            control: (self.concerned..self.concerned + self.control)
                .map(id)
                .collect::<BTreeSet<_>>(),
            standbys: false,
        };
        judge(&case, limits).verdict
    }

    /// How often, of so many histories, the action is taken back for harm.
    pub fn reverted(&self, histories: u32, seed: u64, limits: &Limits) -> f64 {
        let mut random = Random::new(seed);
        let harmed = |verdict: Verdict| verdict == Verdict::Regressed;
        let count = (0..histories).filter(|_| harmed(self.verdict(&mut random, limits))).count();
        count as f64 / f64::from(histories)
    }

    fn windows(&self, random: &mut Random) -> Vec<Window> {
        let statements = self.concerned + self.control;
        // Statements between 0.5 and 50 ms, drifting each on its own.
        let means: Vec<f64> =
            (0..statements).map(|_| 0.5 * (random.uniform() * 100f64.ln()).exp()).collect();
        let drifts: Vec<f64> =
            (0..statements).map(|_| (random.normal() * self.drift).exp()).collect();
        let all = self.windows.0 + self.windows.1;
        let window = |n: u32| {
            let after = n >= self.windows.0;
            let load = (random.normal() * self.load).exp() * if after { self.shock } else { 1.0 };
            let begins = DateTime::UNIX_EPOCH + TimeDelta::hours(i64::from(n));
            let statements = (0..statements).map(|statement| {
                let mut factor = load;
                let mut blocks = 50.0;
                if after {
                    factor *= drifts[statement as usize];
                    // A change in what is asked for shows in both, though less in blocks.
                    blocks *= drifts[statement as usize].powf(1.0 / 3.0);
                    if statement < self.concerned {
                        factor *= self.growth;
                        blocks *= self.growth;
                    }
                    if statement == 0 {
                        factor *= self.effect;
                        blocks *= self.effect_on_blocks;
                    }
                }
                (id(statement), self.counts(random, means[statement as usize] * factor, blocks))
            });
            let statements: BTreeMap<String, Counts> = statements.collect();
            let live = 1e6 * if after { self.growth } else { 1.0 };
            Window {
                begins,
                ends: begins + TimeDelta::hours(1),
                statements,
                tables: BTreeMap::from([(TABLE, TableCounts { live, ..TableCounts::default() })]),
                scans: BTreeMap::from([(INDEX, if after { 10.0 } else { 0.0 })]),
            }
        };
        (0..all).map(window).collect()
    }

    fn counts(&self, random: &mut Random, scale: f64, blocks: f64) -> Counts {
        let mut counts = Counts { calls: f64::from(self.calls), ..Counts::default() };
        for _ in 0..self.calls {
            let tail = if random.uniform() < 0.01 { 20.0 } else { 1.0 };
            let ms = scale * random.normal().exp() * tail;
            counts.ms += ms;
            counts.square_ms += ms * ms;
            // Blocks vary little for one plan: a few per cent from call to call.
            counts.blocks += blocks * (random.normal() * 0.3).exp();
        }
        counts
    }
}
