//! Student's t distribution and Welch's test.

use statrs::function::beta::beta_reg;

/// Probability that a variable with Student's t distribution of `df` degrees of freedom (above 0) exceeds `t`
/// (NIST Digital Library of Mathematical Functions, 8.17.5, with the incomplete beta function).
pub fn exceeds(t: f64, df: f64) -> f64 {
    let tail = beta_reg(df / 2.0, 0.5, df / (df + t * t)) / 2.0;
    if t >= 0.0 { tail } else { 1.0 - tail }
}

/// One side of a comparison: a mean with the variance of that mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Side {
    /// The mean.
    pub(super) mean: f64,
    /// The square of its standard error.
    pub(super) error: f64,
    /// Degrees of freedom of that error.
    pub(super) df: f64,
}

impl Side {
    /// Of independent values; `None` for fewer than two. No error is taken to be smaller than `floor`: counters
    /// that repeat exactly still tell of one time of day only.
    pub(super) fn of(values: &[f64], floor: f64) -> Option<Self> {
        if values.len() < 2 {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Some(Self { mean, error: (variance / n).max(floor * floor), df: n - 1.0 })
    }
}

/// Welch's test, one-sided: how likely a difference as large is where `after` exceeds `before` by `margin` at most.
/// The degrees of freedom are those of Welch and Satterthwaite.
pub(super) fn welch(before: Side, after: Side, margin: f64) -> f64 {
    let error = before.error + after.error;
    let df = error.powi(2) / (before.error.powi(2) / before.df + after.error.powi(2) / after.df);
    exceeds((after.mean - before.mean - margin) / error.sqrt(), df)
}

#[cfg(test)]
mod tests {
    use super::{Side, exceeds, welch};

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
    fn welch_weighs_the_difference_by_both_errors() {
        let side = |mean| Side { mean, error: 0.5, df: 10.0 };
        // Equal errors: t = 1.725 with 20 degrees of freedom is the 95 % quantile.
        assert!((welch(side(0.0), side(1.725), 0.0) - 0.05).abs() < 1e-4);
        assert!((welch(side(0.0), side(2.0), 2.0) - 0.5).abs() < 1e-12);
        assert_eq!(Side::of(&[1.0], 0.01), None);
        let still = Side::of(&[2.0, 2.0, 2.0], 0.01).unwrap();
        assert_eq!((still.mean, still.error), (2.0, 0.0001));
    }
}
