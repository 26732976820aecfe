//! The values that statistics hold of columns, as a sample of the rows.
//!
//! The most common values come with their frequencies; the bounds of the histogram divide the other rows evenly and so
//! are taken as a sample of them.

use std::collections::{BTreeMap, BTreeSet};

use super::capacity::capacity;
use super::evaluate::{Value, evaluate};
use super::kind::{Kind, kind_of};
use crate::size::ColumnShape;
use crate::size::entries::{Entries, Law, Sample, Seen, sampled_entries};
use crate::snapshot::{Column, Table};
use crate::statement::Expr;

/// Rows that are made up when an expression takes several columns, whose values are then taken as independent; a
/// prime, so that any step goes through all of them.
const MADE_UP: usize = 211;
/// Common values of an expression that are told apart.
const COMMON_MAX: usize = 100;
/// Nodes of an expression that is followed.
const NODES_MAX: usize = 200;

/// Values with the share of all rows that each stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Samples {
    /// Values whose share is known.
    pub(super) common: Vec<(Value, f64)>,
    /// Values that stand for the other rows in equal parts.
    pub(super) rest: Vec<Value>,
    /// Share of those rows.
    pub(super) rest_share: f64,
}

impl Samples {
    /// What is known of a column; `None` without any value of it (never analyzed, or too wide to be kept).
    pub(super) fn of_column(column: &Column) -> Option<Self> {
        let stats = column.stats.as_ref()?;
        if stats.common_values.is_empty() && stats.histogram.is_empty() && stats.null_fraction < 1.0
        {
            return None;
        }
        let values = stats.common_values.iter().cloned().map(Some);
        let mut common: Vec<(Value, f64)> =
            values.zip(stats.common_frequencies.iter().copied()).collect();
        if stats.null_fraction > 0.0 {
            common.push((None, stats.null_fraction));
        }
        let rest: Vec<Value> = stats.histogram.iter().cloned().map(Some).collect();
        let known: f64 = common.iter().map(|(_, share)| share).sum();
        let rest_share = (1.0 - known).max(0.0);
        if rest.is_empty() && rest_share < 1.0 {
            // What was too rare to be listed is taken to be like what is listed.
            let present = 1.0 - stats.null_fraction;
            let scale = present / (known - stats.null_fraction).max(f64::EPSILON);
            for (value, share) in &mut common {
                if value.is_some() {
                    *share *= scale;
                }
            }
            return Some(Self { common, rest, rest_share: 0.0 });
        }
        Some(Self { common, rest, rest_share })
    }

    /// What an expression makes of its columns' values; `None` where that cannot be followed.
    pub(super) fn of_expression(expr: &Expr, table: &Table) -> Option<Self> {
        if expr.size(NODES_MAX) >= NODES_MAX {
            return None;
        }
        let names = columns(expr);
        let mut parts = BTreeMap::new();
        for name in &names {
            parts.insert(*name, Self::of_column(table.column(name)?)?);
        }
        if let ([name], Some((_, part))) = (names.as_slice(), parts.iter().next()) {
            return part
                .map(|value| evaluate(expr, &|column| (column == *name).then(|| value.clone())));
        }
        let lists: BTreeMap<&str, Vec<&Value>> =
            parts.iter().map(|(name, part)| (*name, part.spread())).collect();
        let made = |row: usize| {
            let value = |column: &str| {
                let place = names.iter().position(|name| *name == column)?;
                // Each column is walked through in steps of its own.
                lists
                    .get(column)?
                    .get(row * (1 + 36 * place) % MADE_UP)
                    .map(|value| (*value).clone())
            };
            evaluate(expr, &value)
        };
        let rest = (0..MADE_UP).map(made).collect::<Option<Vec<Value>>>()?;
        Some(Self { common: Vec::new(), rest, rest_share: 1.0 })
    }

    /// The samples with each value changed.
    fn map(&self, mut change: impl FnMut(&Value) -> Option<Value>) -> Option<Self> {
        let mut common = Vec::with_capacity(self.common.len());
        for (value, share) in &self.common {
            common.push((change(value)?, *share));
        }
        let rest = self.rest.iter().map(change).collect::<Option<_>>()?;
        Some(Self { common, rest, rest_share: self.rest_share })
    }

    /// As many values as [`MADE_UP`], each standing for as many rows as any other.
    pub(super) fn spread(&self) -> Vec<&Value> {
        let all: Vec<(&Value, f64)> = self.iter().collect();
        let total: f64 = all.iter().map(|(_, share)| share).sum();
        let (mut at, mut passed) = (0, all[0].1);
        let mut values = Vec::with_capacity(MADE_UP);
        for row in 0..MADE_UP {
            let wanted = total * (row as f64 + 0.5) / MADE_UP as f64;
            while passed < wanted && at + 1 < all.len() {
                at += 1;
                passed += all[at].1;
            }
            values.push(all[at].0);
        }
        values
    }

    /// All values with their shares.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Value, f64)> {
        let each = self.each();
        self.common
            .iter()
            .map(|(value, share)| (value, *share))
            .chain(self.rest.iter().map(move |value| (value, each)))
    }

    /// Share of the rows that a value of the rest stands for.
    pub(super) fn each(&self) -> f64 {
        if self.rest.is_empty() { 0.0 } else { self.rest_share / self.rest.len() as f64 }
    }

    /// Share of the rows that pass a test.
    pub(super) fn share(&self, test: impl Fn(&Value) -> bool) -> f64 {
        self.iter().filter(|(value, _)| test(value)).map(|(_, share)| share).sum()
    }

    /// Mean of a measure over the values that are not NULL.
    pub(super) fn mean(&self, measure: impl Fn(&str) -> f64) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (value, share) in self.iter() {
            if let Some(text) = value {
                sum += share * measure(text);
                weight += share;
            }
        }
        if weight > 0.0 { sum / weight } else { 0.0 }
    }

    /// Bytes of values as an index holds them, each for an equal share, in their order. Where equal keys are stored
    /// once, those that are few and frequent hardly count.
    pub(super) fn widths(&self, kind: Kind) -> Vec<f64> {
        let bytes = |value: &Value| value.as_deref().map(|text| kind.bytes(text));
        let mut widths: Vec<f64> = if kind.deduplicates() && self.rest.len() > 1 {
            self.rest.iter().filter_map(bytes).collect()
        } else if self.iter().next().is_some() {
            self.spread().into_iter().filter_map(bytes).collect()
        } else {
            Vec::new()
        };
        widths.sort_by(f64::total_cmp);
        widths
    }

    /// The sample that the rest is, in a table of so many rows.
    pub(super) fn sample(&self, rows: f64) -> Sample {
        Sample { documents: self.rest.len() as f64, share: self.rest_share, rows }
    }

    /// How often each value occurs in the common part and the rest, NULLs apart, with the bytes that `measure` gives.
    pub(super) fn seen<'a>(&'a self, measure: impl Fn(&str) -> f64) -> BTreeMap<&'a str, Seen> {
        let mut seen: BTreeMap<&'a str, Seen> = BTreeMap::new();
        for (value, share) in &self.common {
            if let Some(text) = value {
                let one = seen.entry(text).or_default();
                one.common += share;
                one.bytes = measure(text);
            }
        }
        for text in self.rest.iter().flatten() {
            let one = seen.entry(text).or_default();
            one.count += 1;
            one.bytes = measure(text);
        }
        seen
    }
}

/// Columns in an expression, each once.
pub(super) fn columns(expr: &Expr) -> Vec<&str> {
    let mut names = BTreeSet::new();
    expr.walk(&mut |part| {
        if let Expr::Column(_, name) = part {
            names.insert(name.as_str());
        }
    });
    names.into_iter().collect()
}

/// What the B-tree's model needs to know of an expression; `None` where it cannot be followed.
pub(super) fn expression_shape(
    expr: &Expr,
    table: &Table,
    rows: f64,
    version: u32,
) -> Option<ColumnShape> {
    let kind = kind_of(expr, table, version)?;
    let Some(samples) = Samples::of_expression(expr, table) else {
        return unsampled_shape(expr, kind, table, rows);
    };
    let seen = samples.seen(|text| kind.bytes(text));
    let fixed = kind.fixed_bytes();
    let names = columns(expr);
    let only = if let [name] = names.as_slice() { table.column(name) } else { None };
    let bound = only.and_then(|column| column.distinct(rows)).unwrap_or(rows);
    let mut entries: Vec<Seen> = seen.values().copied().collect();
    entries.sort_by(|a, b| b.common.total_cmp(&a.common));
    let found = sampled_entries(
        &entries,
        samples.sample(rows),
        capacity(kind, seen.keys().copied()),
        Law::Fitted,
    );
    // Of what there can be, that which so many rows hold.
    let held = |entry: &Entries| entry.values * -(-rows * entry.share).exp_m1();
    let mut distinct = found.iter().map(held).sum::<f64>().min(bound);
    // Equal keys are stored once, so that wide ones that differ count more than narrow ones that do not.
    let width = if kind.deduplicates() {
        found.iter().map(|entry| held(entry) * entry.bytes).sum::<f64>()
            / found.iter().map(held).sum::<f64>().max(1.0)
    } else {
        samples.mean(|text| kind.bytes(text))
    };
    let mut common: Vec<f64> = found
        .iter()
        .filter(|entry| (entry.values - 1.0).abs() < f64::EPSILON)
        .map(|entry| entry.share)
        .collect();
    let stats = only.and_then(|column| column.stats.as_ref());
    if let Some(stats) = stats.filter(|_| keeps_apart(expr)) {
        distinct = stats.n_distinct;
        common.clone_from(&stats.common_frequencies);
    } else if names.iter().any(|name| is_unique(table, name)) && keeps_apart(expr) {
        distinct = -1.0;
    }
    common.sort_by(|a, b| b.total_cmp(a));
    common.truncate(COMMON_MAX);
    Some(ColumnShape {
        // Cut down to a whole number, as ANALYZE does and the model expects.
        width: if fixed > 0 { f64::from(fixed) } else { width.floor().max(1.0) },
        widths: if fixed > 0 { Vec::new() } else { samples.widths(kind) },
        align: kind.align(),
        fixed: fixed > 0,
        null_fraction: samples.share(Option::is_none),
        distinct,
        common,
        deduplicates: kind.deduplicates(),
    })
}

/// The shape of an expression of fixed length of which no values are known (ranges have none that everybody may see): it
/// tells rows apart as its column does, or as several do together.
fn unsampled_shape(expr: &Expr, kind: Kind, table: &Table, rows: f64) -> Option<ColumnShape> {
    let (mut distinct, mut present) = (1.0, 1.0);
    for name in columns(expr) {
        let column = table.column(name)?;
        let stats = column.stats.as_ref()?;
        distinct *= column.distinct(rows).unwrap_or(rows);
        present *= 1.0 - stats.null_fraction;
    }
    (kind.fixed_bytes() > 0).then(|| ColumnShape {
        width: f64::from(kind.fixed_bytes()),
        widths: Vec::new(),
        align: kind.align(),
        fixed: true,
        null_fraction: 1.0 - present,
        distinct: if kind == Kind::Boolean { 2.0 } else { distinct.clamp(1.0, rows.max(1.0)) },
        common: Vec::new(),
        deduplicates: kind.deduplicates(),
    })
}

fn is_unique(table: &Table, column: &str) -> bool {
    let stats = table.column(column).and_then(|column| column.stats.as_ref());
    stats.is_some_and(|stats| stats.n_distinct < -0.99)
}

/// Whether an expression makes different values of different ones, as a rule (`lower` may not, but hardly ever does).
fn keeps_apart(expr: &Expr) -> bool {
    match expr {
        Expr::Column(..) | Expr::Constant(..) => true,
        Expr::Cast(value, to) => {
            let text = matches!(
                to.as_str(),
                "text" | "pg_catalog.text" | "varchar" | "bigint" | "int8" | "pg_catalog.int8"
            );
            text && keeps_apart(value)
        }
        Expr::Collate(value, _) => keeps_apart(value),
        Expr::Operator(Some(left), operator, right) => {
            matches!(operator.as_str(), "||" | "+" | "-" | "*")
                && keeps_apart(left)
                && keeps_apart(right)
        }
        Expr::Call(call) => {
            let apart = [
                "lower", "upper", "initcap", "md5", "reverse", "btrim", "timezone", "concat",
                "host",
            ];
            apart.contains(&call.name.as_str()) && call.arguments.iter().all(keeps_apart)
        }
        _ => false,
    }
}
