//! How the rows of an index fall into groups of equal keys.

use std::collections::BTreeMap;

use super::{ColumnShape, share};

/// Group sizes up to this are told apart exactly; larger ones in steps of an eighth of an octave.
const EXACT_MAX: f64 = 32.0;
/// Above this mean, a group's size is taken as its mean.
const SPREAD_MAX: f64 = 64.0;
/// Rows that ANALYZE looks at: 300 times the default statistics target of 100 (`std_typanalyze`).
const SAMPLE: f64 = 30_000.0;
/// Logarithm of the factor by which columns must miss the known number of distinct tuples to be
/// taken as dependent; less is within ANALYZE's own error.
const DEPENDENT_MIN: f64 = 0.1;

/// Number of groups and of rows in them, by size.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<u32, (f64, f64)>);

/// Values of a column that are equally frequent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// Number of such values; not all of them need occur.
    pub(super) values: f64,
    /// Chance that a row in which the column is not NULL has one certain of them.
    pub(super) share: f64,
}

/// How often the values of a column occur.
#[derive(Debug)]
pub(super) struct Frequencies {
    /// Rows of the table.
    rows: f64,
    /// Number of distinct values that ANALYZE saw or extrapolated.
    distinct: f64,
    classes: Vec<Class>,
}

impl Frequencies {
    /// The most common values of a column, and a tail of others.
    pub(super) fn of(rows: f64, column: &ColumnShape) -> Self {
        let present = (1.0 - share(column.null_fraction)).max(f64::EPSILON);
        let present_rows = (rows * present).max(1.0);
        let distinct = match column.distinct {
            d if d < 0.0 => -d * rows,
            d if d > 0.0 => d,
            _ => present_rows,
        }
        .clamp(1.0, present_rows);
        let common: Vec<f64> =
            column.common.iter().map(|f| share(*f) / present).filter(|f| *f > 0.0).collect();
        let known: f64 = common.iter().sum();
        let scale = if known > 1.0 || distinct - (common.len() as f64) < 1.0 { known } else { 1.0 };
        let mut classes: Vec<Class> =
            common.iter().map(|f| Class { values: 1.0, share: f / scale }).collect();
        if known < scale || classes.is_empty() {
            classes.extend(tail(present_rows, distinct, &common));
        }
        Self { rows, distinct, classes }
    }

    /// Numbers of values with the share that each has of the rows in which the column is not NULL.
    pub(super) fn iter(&self) -> impl Iterator<Item = (f64, f64)> {
        self.classes.iter().map(|class| (class.values, class.share))
    }
}

impl Groups {
    /// Groups of `rows` rows in which none of `keys` is NULL. The finest column's statistics give
    /// the groups, each other column splits them as if independent; if the number of distinct
    /// tuples is known and speaks against that, the groups follow from this number alone.
    pub(super) fn of(rows: f64, mut keys: Vec<&Frequencies>, joint_distinct: Option<f64>) -> Self {
        keys.sort_by(|a, b| b.distinct.total_cmp(&a.distinct));
        let known = joint_distinct.filter(|known| *known >= 1.0 && keys.len() > 1);
        if let (Some(known), Some(finest)) = (known, keys.first()) {
            let independent = Self::independent(finest.rows, &keys).estimate(finest.rows);
            let known = known.min(finest.rows.max(1.0));
            if (independent / known).ln().abs() > DEPENDENT_MIN {
                let mut groups = Self::default();
                groups.add_classes(&tail(finest.rows, known, &[]), rows);
                return groups;
            }
        }
        Self::independent(rows, &keys)
    }

    /// The groups of columns that tell nothing of each other, finest first.
    fn independent(rows: f64, keys: &[&Frequencies]) -> Self {
        let mut groups = Self::default();
        let Some((finest, others)) = keys.split_first() else {
            groups.add(1.0, rows);
            return groups;
        };
        groups.add_classes(&finest.classes, rows);
        others.iter().fold(groups, |groups, column| groups.split(&column.classes))
    }

    /// Number of groups that ANALYZE's sample would lead it to estimate.
    fn estimate(&self, rows: f64) -> f64 {
        let sampled = (SAMPLE / rows).min(1.0 - f64::EPSILON);
        let counts = self.iter().map(|(groups, size)| {
            let once = size * sampled * ((size - 1.0) * (-sampled).ln_1p()).exp();
            (groups * -(size * (-sampled).ln_1p()).exp_m1(), groups * once)
        });
        let (seen, once) = counts.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        seen / (1.0 - once / (rows * sampled) * (1.0 - sampled))
    }

    /// Number of groups and their size, smallest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (f64, f64)> {
        self.0.values().map(|&(groups, rows)| (groups, rows / groups))
    }

    fn add(&mut self, groups: f64, size: f64) {
        if groups <= 0.0 || size <= 0.0 {
            return;
        }
        let bin = if size <= EXACT_MAX {
            size.round().max(1.0)
        } else {
            EXACT_MAX + (8.0 * (size / EXACT_MAX).log2()).ceil()
        };
        let (all_groups, all_rows) = self.0.entry(bin as u32).or_default();
        *all_groups += groups;
        *all_rows += groups * size;
    }

    /// Adds the groups of `rows` rows that fall on the values of a column by chance (Poisson).
    fn add_classes(&mut self, classes: &[Class], rows: f64) {
        for class in classes {
            let mean = rows * class.share;
            if mean > SPREAD_MAX {
                self.add(class.values, mean);
                continue;
            }
            let mut chance = (-mean).exp();
            let mut size = 0.0;
            while size < mean || chance > 1e-12 * mean {
                size += 1.0;
                chance *= mean / size;
                self.add(class.values * chance, size);
            }
        }
    }

    /// Splits every group by the values of one more column.
    fn split(&self, column: &[Class]) -> Self {
        let mut parts = Self::default();
        for (groups, size) in self.iter() {
            if size < 1.5 {
                parts.add(groups, size);
                continue;
            }
            for class in column {
                parts.add_chosen(groups * class.values, size, class.share);
            }
        }
        parts
    }

    /// Adds what is left of groups if each row stays with a probability: binomial sizes.
    fn add_chosen(&mut self, groups: f64, size: f64, probability: f64) {
        let mean = size * probability;
        if mean > SPREAD_MAX || probability >= 1.0 {
            return self.add(groups, mean);
        }
        let odds = probability / (1.0 - probability);
        let mut chance = (size * (-probability).ln_1p()).exp();
        let mut taken = 0.0;
        while taken < size && (taken < mean || chance > 1e-9) {
            chance *= (size - taken) / (taken + 1.0) * odds;
            taken += 1.0;
            self.add(groups * chance, taken);
        }
    }
}

/// The values beside the most common ones, falling off as a power of their rank like the end of
/// that list does. Their number is the one from which ANALYZE's sample would have been estimated
/// to hold `distinct` values: its estimator (Haas and Stokes' Duj1, `compute_scalar_stats` in
/// `analyze.c`) is right where every value is equally frequent, and too low where chance or skew
/// makes them differ.
fn tail(rows: f64, distinct: f64, common: &[f64]) -> Vec<Class> {
    let rows = rows.max(1.0);
    let first = common.len() as f64;
    let weight = 1.0 - common.iter().sum::<f64>();
    let exponent = match common.len() {
        0..8 => 0.0,
        n => ((common[n / 4] / common[n - 1]).ln() / 4f64.ln()).clamp(0.0, 2.0),
    };
    let sampled = (SAMPLE / rows).min(1.0);
    let estimate = |classes: &[Class]| {
        let (mut seen, mut once) = (first, 0.0);
        for class in classes {
            let mean = rows * sampled * class.share;
            seen -= class.values * (-mean).exp_m1();
            once += class.values * mean * (-mean).exp();
        }
        seen / (1.0 - once / (rows * sampled) * (1.0 - sampled))
    };
    let (mut low, mut high) = ((distinct - first).max(1.0).ln(), (rows * 1e5).ln());
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        let enough = estimate(&power_law(first, middle.exp(), exponent, weight)) >= distinct;
        if enough { high = middle } else { low = middle }
    }
    power_law(first, low.exp(), exponent, weight)
}

/// `values` values of the ranks after `first`, as frequent as a power of their rank, with `weight`
/// the sum of their shares; in classes of ranks within a factor of 1.5.
pub(super) fn power_law(first: f64, values: f64, exponent: f64, weight: f64) -> Vec<Class> {
    if exponent < 0.01 {
        return vec![Class { values, share: weight / values }];
    }
    let mut classes = Vec::new();
    let last = first + values;
    let mut rank = first;
    while rank < last {
        let next = if rank * 1.5 < last { rank * 1.5 } else { last };
        classes
            .push(Class { values: next - rank, share: f64::midpoint(rank, next).powf(-exponent) });
        rank = next;
    }
    let sum: f64 = classes.iter().map(|class| class.values * class.share).sum();
    for class in &mut classes {
        class.share *= weight / sum;
    }
    classes
}
