//! Student's t distribution and Welch's test.

use statrs::function::beta::beta_reg;

/// Probability that a variable with Student's t distribution of `df` degrees of freedom (above 0) exceeds `t`
/// (NIST Digital Library of Mathematical Functions, 8.17.5, with the incomplete beta function).
pub fn exceeds(t: f64, df: f64) -> f64 {
    let tail = beta_reg(df / 2.0, 0.5, df / (df + t * t)) / 2.0;
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// Share of the values that are cut off at each end, as Yuen (1974) and Wilcox (2012) recommend: means of skewed times
/// have rare outliers, which no mean of 24 of them survives.
const TRIMMED: f64 = 0.2;

/// The most that values may resemble the ones before them.
const MEMORY_MOST: f64 = 0.9;

/// An estimate of something: a difference, or one side of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Side {
    /// The estimate.
    pub(super) mean: f64,
    /// The square of its standard error.
    pub(super) error: f64,
    /// Degrees of freedom of that error.
    pub(super) df: f64,
}

impl Side {
    /// The trimmed mean of values in the order of time, with the error that follows from their winsorized variance
    /// (Yuen, 1974); `None` for fewer than two. Where values resemble the ones before them by `memory`, they count as
    /// fewer. No error is taken to be smaller than `floor`: counters that repeat exactly still tell of one time of day
    /// only.
    fn of(values: &[f64], memory: f64, floor: f64) -> Option<Self> {
        if values.len() < 2 {
            return None;
        }
        let (n, cut) = (values.len() as f64, cut(values));
        let kept = n - 2.0 * cut.each as f64;
        let mean = cut.sorted[cut.each..values.len() - cut.each].iter().sum::<f64>() / kept;
        let winsorized: Vec<f64> = values.iter().map(|value| cut.winsorized(*value)).collect();
        let middle = winsorized.iter().sum::<f64>() / n;
        let squares: f64 = winsorized.iter().map(|value| (value - middle).powi(2)).sum();
        let inflation = (1.0 + memory) / (1.0 - memory);
        let error = squares / (kept * (kept - 1.0)) * inflation;
        Some(Self {
            mean,
            error: error.max(floor * floor),
            df: ((kept - 1.0) / inflation).max(1.0),
        })
    }
}

/// What trimming takes off.
struct Cut {
    sorted: Vec<f64>,
    /// Values at each end.
    each: usize,
}

fn cut(values: &[f64]) -> Cut {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Two must be left to vary.
    let each = (values.len() as f64 * TRIMMED) as usize;
    Cut { each: each.min(values.len().saturating_sub(2) / 2), sorted }
}

impl Cut {
    fn winsorized(&self, value: f64) -> f64 {
        value.clamp(self.sorted[self.each], self.sorted[self.sorted.len() - 1 - self.each])
    }
}

/// Both sides of a comparison.
pub(super) fn sides(before: &[f64], after: &[f64], floor: f64) -> Option<(Side, Side)> {
    let memory = memory(&[before, after]);
    Some((Side::of(before, memory, floor)?, Side::of(after, memory, floor)?))
}

/// One side alone.
pub(super) fn side(values: &[f64], floor: f64) -> Option<Side> {
    Side::of(values, memory(&[values]), floor)
}

/// By how much values resemble the ones before them: the correlation of winsorized values with their predecessors
/// within each side, with the bias of short series taken off (Marriott and Pope, 1954); 0 where they do not.
fn memory(sides: &[&[f64]]) -> f64 {
    let (mut products, mut squares, mut count) = (0.0, 0.0, 0.0);
    for values in sides.iter().filter(|values| values.len() >= 2) {
        let cut = cut(values);
        let clipped: Vec<f64> = values.iter().map(|value| cut.winsorized(*value)).collect();
        let middle = clipped.iter().sum::<f64>() / clipped.len() as f64;
        products +=
            clipped.windows(2).map(|two| (two[0] - middle) * (two[1] - middle)).sum::<f64>();
        squares += clipped.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
        count += clipped.len() as f64;
    }
    if squares <= 0.0 {
        return 0.0;
    }
    let found = products / squares;
    (found + (1.0 + 3.0 * found) / count * sides.len() as f64).clamp(0.0, MEMORY_MOST)
}

/// Welch's test, one-sided: how likely a difference as large is where `after` exceeds `before` by `margin` at most and
/// by what `drift` adds by chance. The degrees of freedom are those of Welch and Satterthwaite.
pub(super) fn welch(before: Side, after: Side, drift: Side, margin: f64) -> f64 {
    let parts = [before, after, drift];
    let error: f64 = parts.iter().map(|part| part.error).sum();
    let df = error.powi(2) / parts.iter().map(|part| part.error.powi(2) / part.df).sum::<f64>();
    exceeds((after.mean - before.mean - margin) / error.sqrt(), df)
}

#[cfg(test)]
mod tests {
    use super::{Side, exceeds, memory, side, welch};

    /// Quantiles of the usual tables (e.g. NIST/SEMATECH e-Handbook, 1.3.6.7.2).
    #[test]
    fn the_t_distribution_has_its_known_quantiles() {
        let table = [
            (1.0, 0.05, 6.314),
            (1.0, 0.001, 318.309),
            (5.0, 0.05, 2.015),
            (5.0, 0.005, 4.032),
            (10.0, 0.05, 1.812),
            (10.0, 0.001, 4.144),
            (23.0, 0.0025, 3.104),
            (30.0, 0.025, 2.042),
            (100.0, 0.01, 2.364),
            (1e6, 0.025, 1.960),
        ];
        for (df, p, t) in table {
            assert!((exceeds(t, df) / p - 1.0).abs() < 0.004, "{df} {p}: {}", exceeds(t, df));
            assert!((exceeds(-t, df) - (1.0 - p)).abs() < 1e-4, "{df} {p}");
        }
        assert!((exceeds(0.0, 7.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn welch_weighs_the_difference_by_all_errors() {
        let side = |mean| Side { mean, error: 0.5, df: 10.0 };
        let none = Side { mean: 0.0, error: 0.0, df: 1.0 };
        // Equal errors: t = 1.725 with 20 degrees of freedom is the 95 % quantile.
        assert!((welch(side(0.0), side(1.725), none, 0.0) - 0.05).abs() < 1e-4);
        assert!((welch(side(0.0), side(2.0), none, 2.0) - 0.5).abs() < 1e-12);
        let drift = Side { mean: 0.0, error: 0.5, df: 10.0 };
        assert!(welch(side(0.0), side(1.725), drift, 0.0) > 0.08);
    }

    #[test]
    fn a_trimmed_mean_does_not_hear_outliers() {
        let calm = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        let wild = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 900.0, 1000.0];
        let (calm, wild) = (side(&calm, 0.01).unwrap(), side(&wild, 0.01).unwrap());
        assert_eq!((calm.mean, wild.mean), (5.5, 5.5));
        assert!((calm.error / wild.error - 1.0).abs() < 1e-12);
        // Wilcox (2012): of ten values four are cut off, and their place is taken by the outermost that stay.
        let winsorized = [3.0f64, 3.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.0, 8.0];
        let squares: f64 = winsorized.iter().map(|value| (value - 5.5).powi(2)).sum();
        assert!(memory(&[&winsorized]) > super::MEMORY_MOST - 1e-9, "a rising series");
        let restless = [3.0, 8.0, 4.0, 7.0, 5.0, 6.0, 3.0, 8.0, 8.0, 3.0];
        let still = side(&restless, 0.01).unwrap();
        assert!((still.error - squares / 30.0).abs() < 1e-12 && calm.error > 10.0 * still.error);
        assert_eq!(side(&[1.0], 0.01), None);
        let constant = side(&[2.0, 2.0, 2.0], 0.01).unwrap();
        assert_eq!((constant.mean, constant.error), (2.0, 0.0001));
    }
}
