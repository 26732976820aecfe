//! Student's t distribution and Welch's test.

use std::f64::consts::PI;

/// Coefficients of Lanczos' approximation of the gamma function for g = 7 (P. Godfrey, 2001), good to 15 digits.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// Logarithm of the gamma function, for x > 0.
fn ln_gamma(x: f64) -> f64 {
    if x < 0.5 {
        return (PI / (PI * x).sin()).ln() - ln_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum = (1..9).fold(LANCZOS[0], |sum, i| sum + LANCZOS[i] / (x + i as f64));
    let t = x + 7.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// The regularized incomplete beta function `I_x(a, b)`: continued fraction 26.5.8 of Abramowitz and Stegun,
/// evaluated by Lentz's method.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    let away = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut upper, mut lower) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = lower;
    for m in (1..300).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for numerator in [even, odd] {
            lower = 1.0 / away(1.0 + numerator * lower);
            upper = away(1.0 + numerator / upper);
            step = lower * upper;
            fraction *= step;
        }
        if (step - 1.0).abs() < 1e-14 {
            break;
        }
    }
    (front.exp() * fraction / a).clamp(0.0, 1.0)
}

/// Probability that a variable with Student's t distribution of `df` degrees of freedom exceeds `t`.
pub fn exceeds(t: f64, df: f64) -> f64 {
    let tail = incomplete_beta(df / (df + t * t), df / 2.0, 0.5) / 2.0;
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
    use super::{Side, exceeds, ln_gamma, welch};

    #[test]
    fn the_gamma_function_has_its_known_values() {
        for (x, known) in [(1.0, 0.0), (5.0, 24f64.ln()), (0.5, std::f64::consts::PI.sqrt().ln())] {
            assert!((ln_gamma(x) - known).abs() < 1e-12, "{x}");
        }
    }

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
