//! How the values of a column are spread, by its statistics.

use super::types::{at_position, position};
use crate::snapshot::{Column, ColumnStats};

/// The values of one column.
#[derive(Clone, Copy)]
pub(super) struct Distribution<'s> {
    pub(super) column: &'s Column,
    pub(super) stats: &'s ColumnStats,
    /// Rows of its table.
    pub(super) rows: f64,
}

/// Which of a column's values is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scenario {
    /// What most rows have, or a wide range.
    Common,
    /// From the middle.
    Typical,
    /// What few rows have, or a narrow range.
    Rare,
}

impl Scenario {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Common, Self::Typical, Self::Rare];

    /// 0, 1, 2.
    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// The word for it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Typical => "typical",
            Self::Rare => "rare",
        }
    }
}

impl<'s> Distribution<'s> {
    /// The distribution of a column that was analyzed.
    pub(super) fn of(column: &'s Column, rows: f64) -> Option<Self> {
        let stats = column.stats.as_ref()?;
        let known = !stats.common_values.is_empty() || !stats.histogram.is_empty();
        known.then_some(Self { column, stats, rows })
    }

    fn distinct(&self) -> f64 {
        self.column.distinct(self.rows).unwrap_or(1.0)
    }

    /// Share of the most common values together.
    fn common_share(&self) -> f64 {
        self.stats.common_frequencies.iter().sum()
    }

    /// Share of the rows with this value, as `eqsel` of the server reckons it: its own frequency when it is
    /// common, else an even part of what the common ones and NULLs leave.
    pub(super) fn share(&self, value: &str) -> f64 {
        let common = self.stats.common_values.iter().position(|common| common == value);
        if let Some(share) = common.and_then(|index| self.stats.common_frequencies.get(index)) {
            return *share;
        }
        let others = (self.distinct() - self.stats.common_values.len() as f64).max(1.0);
        ((1.0 - self.common_share() - self.stats.null_fraction).max(0.0) / others)
            .max(1.0 / self.rows.max(1.0))
    }

    /// How much of the workload the value of each scenario stands for: half by the rows, half by the values whose
    /// share of the rows is nearest to its own. Applications ask for what is common, and for each thing once.
    pub(super) fn masses(&self) -> [f64; 3] {
        let shares = Scenario::ALL.map(|scenario| {
            self.value(scenario, 0).map_or(f64::MIN_POSITIVE, |value| self.share(value))
        });
        let distinct = self.distinct().max(1.0);
        let others = (distinct - self.stats.common_values.len() as f64).max(0.0);
        let rest = (1.0 - self.common_share() - self.stats.null_fraction).max(0.0);
        let common = self.stats.common_frequencies.iter().map(|share| (*share, 1.0));
        let left = (others > 0.0 && rest > 0.0).then_some((rest / others, others));
        let mut masses = [0.0; 3];
        for (share, values) in common.chain(left) {
            let distance = |of: f64| (of / share.max(f64::MIN_POSITIVE)).ln().abs();
            // Of equals the typical one stands for them.
            let nearest = [Scenario::Typical, Scenario::Common, Scenario::Rare]
                .into_iter()
                .min_by(|a, b| distance(shares[a.index()]).total_cmp(&distance(shares[b.index()])))
                .unwrap_or(Scenario::Typical);
            masses[nearest.index()] += share * values / 2.0 + values / distinct / 2.0;
        }
        let total: f64 = masses.iter().sum();
        if total > 0.0 { masses.map(|mass| mass / total) } else { [0.0, 1.0, 0.0] }
    }

    /// A value for `=`; further ones (`nth` from 1) differ from it.
    pub(super) fn value(&self, scenario: Scenario, nth: usize) -> Option<&'s str> {
        let common = &self.stats.common_values;
        let bounds = &self.stats.histogram;
        let spread = |from: f64| {
            let last = bounds.len() - 1;
            let start = (from * last as f64).round() as usize;
            bounds[(start + nth * (last / 7).max(1)) % bounds.len()].as_str()
        };
        match scenario {
            Scenario::Common if nth < common.len() => Some(&common[nth]),
            Scenario::Common if bounds.is_empty() => {
                common.get(nth % common.len().max(1)).map(String::as_str)
            }
            Scenario::Common => Some(spread(0.25)),
            Scenario::Typical if bounds.is_empty() => {
                Some(&common[(common.len() / 2 + nth) % common.len()])
            }
            Scenario::Typical => Some(spread(0.5)),
            Scenario::Rare if bounds.is_empty() => {
                Some(&common[(common.len() - 1 + common.len() - nth % common.len()) % common.len()])
            }
            Scenario::Rare => Some(spread(0.8)),
        }
    }

    /// Several distinct values, the scenario's own first.
    pub(super) fn values(&self, scenario: Scenario, count: usize) -> Vec<&'s str> {
        let mut found: Vec<&str> = Vec::new();
        for nth in 0..count * 4 {
            match self.value(scenario, nth) {
                Some(value) if !found.contains(&value) => found.push(value),
                _ => {}
            }
            if found.len() == count {
                break;
            }
        }
        found
    }

    /// The value below which `q` of the rows lie; interpolated where the type allows.
    pub(super) fn quantile(&self, q: f64) -> Option<String> {
        let q = q.clamp(0.0, 1.0);
        let base = self.column.base_type.as_str();
        let bounds = &self.stats.histogram;
        if bounds.len() < 2 {
            return self.common_quantile(q);
        }
        let exact = q * (bounds.len() - 1) as f64;
        let below = (exact.floor() as usize).min(bounds.len() - 2);
        let (low, high) = (&bounds[below], &bounds[below + 1]);
        match (position(base, low), position(base, high)) {
            (Some(low), Some(high)) => {
                at_position(base, low + (high - low) * (exact - below as f64))
            }
            _ => Some(bounds[exact.round() as usize].clone()),
        }
    }

    /// A quantile where all that is known are common values.
    fn common_quantile(&self, q: f64) -> Option<String> {
        let base = self.column.base_type.as_str();
        let mut all: Vec<(&String, f64)> = self
            .stats
            .common_values
            .iter()
            .zip(self.stats.common_frequencies.iter().copied())
            .collect();
        all.sort_by(|(one, _), (other, _)| match (position(base, one), position(base, other)) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            _ => one.cmp(other),
        });
        let total: f64 = all.iter().map(|(_, share)| share).sum();
        let mut below = 0.0;
        for (value, share) in &all {
            below += share;
            if below >= q * total {
                return Some((*value).clone());
            }
        }
        all.last().map(|(value, _)| (*value).clone())
    }

    /// Share of the rows whose text begins with `prefix`.
    pub(super) fn prefix_share(&self, prefix: &str) -> f64 {
        let common = self.stats.common_values.iter().zip(&self.stats.common_frequencies);
        let common: f64 =
            common.filter(|(value, _)| value.starts_with(prefix)).map(|(_, share)| share).sum();
        let bounds = &self.stats.histogram;
        if bounds.is_empty() {
            return common;
        }
        let hits = bounds.iter().filter(|bound| bound.starts_with(prefix)).count() as f64;
        let rest = (1.0 - self.common_share() - self.stats.null_fraction).max(0.0);
        common + rest * hits / bounds.len() as f64
    }

    /// Elements of an array or tsvector, most common first.
    pub(super) fn elements(&self) -> &'s [String] {
        &self.stats.common_elements
    }

    /// Share of the rows that hold the `nth` common element.
    pub(super) fn element_share(&self, nth: usize) -> f64 {
        self.stats.element_frequencies.get(nth).copied().unwrap_or(0.01)
    }
}

#[cfg(test)]
mod tests {
    use super::{Distribution, Scenario};
    use crate::testing;

    fn with<T>(
        base: &str,
        stats: crate::snapshot::ColumnStats,
        test: impl FnOnce(Distribution) -> T,
    ) -> T {
        let mut snapshot = testing::snapshot(&format!("t(a {base}) 1000"));
        testing::set_stats(&mut snapshot, "t.a", stats);
        test(Distribution::of(&snapshot.tables[0].columns[0], 1000.0).unwrap())
    }

    #[test]
    fn values_by_scenario() {
        with(
            "text",
            testing::stats(50.0, &[("new", 0.6), ("paid", 0.2)], &["a", "b", "c", "d", "e"]),
            |of| {
                assert_eq!(of.value(Scenario::Common, 0), Some("new"));
                assert_eq!(of.value(Scenario::Typical, 0), Some("c"));
                assert_eq!(of.value(Scenario::Rare, 0), Some("d"));
                assert!((of.share("new") - 0.6).abs() < 1e-9);
                assert!((of.share("c") - 0.2 / 48.0).abs() < 1e-9);
                assert_eq!(of.values(Scenario::Common, 3), ["new", "paid", "d"]);
            },
        );
        with("text", testing::stats(3.0, &[("x", 0.7), ("y", 0.2), ("z", 0.1)], &[]), |of| {
            let values = Scenario::ALL.map(|scenario| of.value(scenario, 0).unwrap());
            assert_eq!(values, ["x", "y", "z"]);
            assert_eq!(of.values(Scenario::Rare, 5), ["z", "y", "x"]);
        });
    }

    #[test]
    fn masses_are_those_of_the_nearest_values() {
        let near = |one: [f64; 3], other: [f64; 3]| {
            one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-9)
        };
        let four = [("new", 0.6), ("paid", 0.3), ("sent", 0.09), ("lost", 0.01)];
        with("text", testing::stats(4.0, &four, &[]), |of| {
            // new and paid; sent; lost.
            assert!(near(of.masses(), [0.45 + 0.25, 0.045 + 0.125, 0.005 + 0.125]));
        });
        with("text", testing::stats(100.0, &[("a", 0.5)], &["b", "c", "d"]), |of| {
            assert!(near(of.masses(), [0.25 + 0.005, 0.25 + 0.495, 0.0]));
        });
        with("text", testing::stats(-1.0, &[], &["b", "c", "d"]), |of| {
            assert!(near(of.masses(), [0.0, 1.0, 0.0]));
        });
    }

    #[test]
    fn quantiles_interpolate() {
        with("int4", testing::stats(-1.0, &[], &["0", "100", "200"]), |of| {
            assert_eq!(of.quantile(0.25).as_deref(), Some("50"));
            assert_eq!(of.quantile(1.0).as_deref(), Some("200"));
            assert_eq!(of.quantile(7.0).as_deref(), Some("200"));
        });
        with("text", testing::stats(-1.0, &[], &["a", "m", "z"]), |of| {
            assert_eq!(of.quantile(0.5).as_deref(), Some("m"));
        });
        with("int4", testing::stats(3.0, &[("10", 0.5), ("9", 0.3), ("2", 0.2)], &[]), |of| {
            assert_eq!(of.quantile(0.1).as_deref(), Some("2"));
            assert_eq!(of.quantile(0.9).as_deref(), Some("10"));
        });
    }

    #[test]
    fn prefixes_are_counted() {
        with("text", testing::stats(50.0, &[("ab", 0.5)], &["aa", "ac", "ba", "bb"]), |of| {
            assert!((of.prefix_share("a") - 0.75).abs() < 1e-9);
            assert!(of.prefix_share("zz") < 1e-9);
        });
    }
}
