//! What share of a table's rows a partial index's predicate keeps.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::evaluate::{evaluate, is_true, moment, order};
use super::samples::{Samples, columns};
use crate::snapshot::{Column, ColumnStats, Table};
use crate::statement::Expr;

/// Share of the rows that pass a condition of which nothing is known, as the planner takes it for inequalities
/// (`DEFAULT_INEQ_SEL`, selfuncs.h).
pub(super) const UNKNOWN_SHARE: f64 = 1.0 / 3.0;

/// What a predicate keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Kept {
    /// Share of all rows.
    pub(super) share: f64,
    /// Columns that are never NULL in the rows kept.
    pub(super) present: Vec<String>,
    /// Columns that conditions name alone, with the share of the rows that pass these.
    pub(super) alone: BTreeMap<String, f64>,
}

/// What a predicate keeps of a table.
pub(super) fn kept(predicate: &Expr, table: &Table) -> Kept {
    let parts = match predicate {
        Expr::And(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let mut by_columns: BTreeMap<Vec<&str>, Vec<&Expr>> = BTreeMap::new();
    for part in parts {
        by_columns.entry(columns(part)).or_default().push(part);
    }
    let mut kept = Kept { share: 1.0, present: Vec::new(), alone: BTreeMap::new() };
    for (names, parts) in by_columns {
        let share = together(&parts, table);
        kept.share *= share;
        if let [name] = names.as_slice() {
            kept.alone.insert((*name).to_owned(), share);
        }
        let strict = |part: &&&Expr| {
            matches!(
                part,
                Expr::Test(_, "NOT NULL") | Expr::Operator(..) | Expr::In(..) | Expr::Any { .. }
            )
        };
        if parts.iter().any(|part| strict(&part)) {
            kept.present.extend(names.into_iter().map(str::to_owned));
        }
    }
    kept
}

/// Share of the rows that pass all of some conditions on the same columns.
fn together(parts: &[&Expr], table: &Table) -> f64 {
    // NOT NULL beside another condition on the same column adds nothing.
    let telling: Vec<&&Expr> = parts
        .iter()
        .filter(|part| parts.len() == 1 || !matches!(part, Expr::Test(_, "NOT NULL")))
        .collect();
    let [first, second] = telling.as_slice() else {
        return telling.iter().map(|part| passing(part, table)).product();
    };
    // Of a lower and an upper bound the shares refused add up.
    match (bound(first), bound(second)) {
        (Some((column, low)), Some((_, high))) if low != high => {
            let nulls = table
                .column(column)
                .and_then(|column| column.stats.as_ref())
                .map_or(0.0, |s| s.null_fraction);
            (passing(first, table) + passing(second, table) - (1.0 - nulls)).max(0.0)
        }
        _ => passing(first, table) * passing(second, table),
    }
}

/// The column of a comparison with a constant, and whether it is bounded from above.
fn bound(expr: &Expr) -> Option<(&str, bool)> {
    let (column, operator, _) = comparison(expr)?;
    match operator {
        "<" | "<=" => Some((column, true)),
        ">" | ">=" => Some((column, false)),
        _ => None,
    }
}

/// A column, an operator and the constant behind it.
fn comparison(expr: &Expr) -> Option<(&str, &str, String)> {
    let Expr::Operator(Some(left), operator, right) = expr else { return None };
    let (Expr::Column(_, column), value) = (left.uncast(), constant(right)?) else { return None };
    Some((column, operator, value))
}

fn constant(expr: &Expr) -> Option<String> {
    evaluate(expr.uncast(), &|_| None)?
}

/// Share of the rows for which a condition is true.
fn passing(expr: &Expr, table: &Table) -> f64 {
    let share = match expr {
        Expr::And(parts) => parts.iter().map(|part| passing(part, table)).product(),
        Expr::Or(parts) => {
            let shares = parts.iter().map(|part| passing(part, table));
            // Of one column the arms are taken as exclusive, of several as independent.
            if columns(expr).len() == 1 {
                shares.sum()
            } else {
                1.0 - shares.map(|share| 1.0 - share).product::<f64>()
            }
        }
        Expr::Not(inner) => {
            let names = columns(inner);
            let nulls = names
                .iter()
                .filter_map(|name| table.column(name)?.stats.as_ref())
                .map(|stats| stats.null_fraction);
            1.0 - passing(inner, table) - nulls.sum::<f64>()
        }
        _ => known(expr, table)
            .or_else(|| compared(expr, table))
            .or_else(|| sampled(expr, table))
            .unwrap_or(UNKNOWN_SHARE),
    };
    share.clamp(0.0, 1.0)
}

/// What the statistics of a single column say.
fn known(expr: &Expr, table: &Table) -> Option<f64> {
    let stats = |column: &Expr| match column.uncast() {
        Expr::Column(_, name) => table.column(name).filter(|column| column.stats.is_some()),
        _ => None,
    };
    match expr {
        Expr::Column(..) => equal(stats(expr)?, "t", table),
        Expr::Test(inner, words) => {
            let column = stats(inner)?;
            let nulls = column.stats.as_ref()?.null_fraction;
            let holding = |value: &str| equal(column, value, table);
            Some(match *words {
                "NULL" | "UNKNOWN" => nulls,
                "NOT NULL" | "NOT UNKNOWN" => 1.0 - nulls,
                "TRUE" => holding("t")?,
                "FALSE" => holding("f")?,
                "NOT TRUE" => 1.0 - holding("t")?,
                "NOT FALSE" => 1.0 - holding("f")?,
                _ => return None,
            })
        }
        Expr::In(left, list, negated) => listed(stats(left)?, list, *negated, table),
        Expr::Any { left, operator, right, all } => {
            let Expr::Array(list) = right.uncast() else { return None };
            match (operator.as_str(), all) {
                ("=", false) => listed(stats(left)?, list, false, table),
                ("<>", true) => listed(stats(left)?, list, true, table),
                _ => None,
            }
        }
        Expr::Operator(..) => {
            let (name, operator, value) = comparison(expr)?;
            let column = table.column(name)?;
            let stats = column.stats.as_ref()?;
            match operator {
                "=" => equal(column, &value, table),
                "<>" | "!=" => Some(1.0 - stats.null_fraction - equal(column, &value, table)?),
                "<" | "<=" => below(stats, &value, operator == "<="),
                ">" | ">=" => {
                    Some(1.0 - stats.null_fraction - below(stats, &value, operator == ">")?)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn listed(column: &Column, list: &[Expr], negated: bool, table: &Table) -> Option<f64> {
    let mut sum = 0.0;
    for part in list {
        sum += equal(column, &constant(part)?, table)?;
    }
    Some(if negated { 1.0 - column.stats.as_ref()?.null_fraction - sum } else { sum })
}

/// Share of the rows with this value: its own frequency, or an equal part of what the common values leave over
/// (`var_eq_const`, selfuncs.c).
fn equal(column: &Column, value: &str, table: &Table) -> Option<f64> {
    let stats = column.stats.as_ref()?;
    let mut common = stats.common_values.iter().zip(&stats.common_frequencies);
    let same = |known: &str| {
        order(known, value).is_eq()
            || (column.base_type == "bool" && is_true(known) == is_true(value))
    };
    if let Some((_, frequency)) = common.find(|(known, _)| same(known)) {
        return Some(*frequency);
    }
    let known: f64 = stats.common_frequencies.iter().sum();
    let distinct = column.distinct(table.rows.unwrap_or(1.0))?;
    let others = (distinct - stats.common_frequencies.len() as f64).max(1.0);
    Some(((1.0 - known - stats.null_fraction) / others).max(0.0))
}

/// Share of the rows below a value, or also with it.
fn below(stats: &ColumnStats, value: &str, with: bool) -> Option<f64> {
    let passes = |known: &str| order(known, value).is_lt() || (with && order(known, value).is_eq());
    let common = stats.common_values.iter().zip(&stats.common_frequencies);
    let share: f64 =
        common.filter(|(known, _)| passes(known)).map(|(_, frequency)| frequency).sum();
    let rest = 1.0 - stats.null_fraction - stats.common_frequencies.iter().sum::<f64>();
    let bounds = &stats.histogram;
    if bounds.len() < 2 {
        return (!stats.common_values.is_empty()).then_some(share);
    }
    let at = bounds.iter().take_while(|bound| passes(bound)).count();
    let filled = match at {
        0 => 0.0,
        at if at == bounds.len() => 1.0,
        at => {
            ((at - 1) as f64 + within(&bounds[at - 1], &bounds[at], value))
                / (bounds.len() - 1) as f64
        }
    };
    Some(share + rest.max(0.0) * filled)
}

/// How far between two bounds a value lies; in the middle where their distance means nothing.
fn within(low: &str, high: &str, value: &str) -> f64 {
    let number = |text: &str| {
        text.parse::<f64>().ok().or_else(|| Some(moment(text)?.and_utc().timestamp() as f64))
    };
    match (number(low), number(high), number(value)) {
        (Some(low), Some(high), Some(value)) if high > low => {
            ((value - low) / (high - low)).clamp(0.0, 1.0)
        }
        _ => 0.5,
    }
}

/// Share of the rows in which one column's value lies below or above another's. Statistics do not tell whether the two
/// run together in a table. Dates of one row mostly do, as those of an order: of these, half way between running together
/// and chance is taken, of others chance.
fn compared(expr: &Expr, table: &Table) -> Option<f64> {
    let Expr::Operator(Some(left), operator, right) = expr else { return None };
    let wanted: fn(Ordering) -> bool = match operator.as_str() {
        "<" => Ordering::is_lt,
        "<=" => Ordering::is_le,
        ">" => Ordering::is_gt,
        ">=" => Ordering::is_ge,
        _ => return None,
    };
    let (on_left, on_right) = (columns(left), columns(right));
    if on_left.len() != 1 || on_right.len() != 1 || on_left == on_right {
        return None;
    }
    let (left, right) = (Side::of(left, table)?, Side::of(right, table)?);
    let passes = |one: &str, other: &str| f64::from(wanted(order(one, other)));
    let pairs =
        left.values.iter().flat_map(|one| right.values.iter().map(move |other| (one, other)));
    let by_chance = pairs.map(|(one, other)| passes(one, other)).sum::<f64>()
        / (left.values.len() * right.values.len()) as f64;
    let share = if left.moments.is_empty() || right.moments.is_empty() {
        by_chance
    } else {
        let at = |place: usize| place as f64 / (QUANTILES - 1) as f64;
        let passes = |place: &usize| {
            wanted(left.quantile(at(*place)).total_cmp(&right.quantile(at(*place))))
        };
        let together = (0..QUANTILES).filter(passes).count() as f64 / QUANTILES as f64;
        f64::midpoint(together, by_chance)
    };
    Some(share * left.present.min(right.present))
}

/// Points at which two distributions are compared.
const QUANTILES: usize = 201;

/// One side of a comparison.
struct Side {
    /// Values, each for an equal share of the rows.
    values: Vec<String>,
    /// Share of the rows that are not NULL.
    present: f64,
    /// Bounds of the histogram in seconds, lowest first, where they are dates.
    moments: Vec<f64>,
}

impl Side {
    fn of(expr: &Expr, table: &Table) -> Option<Self> {
        let samples = Samples::of_expression(expr, table)?;
        let values: Vec<String> = samples.spread().into_iter().filter_map(Clone::clone).collect();
        let seconds = |text: &str| Some(moment(text)?.and_utc().timestamp() as f64);
        let moments: Option<Vec<f64>> =
            samples.rest.iter().flatten().map(|text| seconds(text)).collect();
        let mut moments = moments.unwrap_or_default();
        moments.sort_by(f64::total_cmp);
        let present = samples.share(Option::is_some);
        (!values.is_empty()).then_some(Self { values, present, moments })
    }

    /// The moment below which this part of the rows lies.
    fn quantile(&self, part: f64) -> f64 {
        let at = part * (self.moments.len() - 1) as f64;
        let (below, above) = (self.moments[at.floor() as usize], self.moments[at.ceil() as usize]);
        below + (above - below) * at.fract()
    }
}

/// What the columns' values say. That none of a sample passes is no proof that none does: half of one is taken to.
fn sampled(expr: &Expr, table: &Table) -> Option<f64> {
    let truths = Samples::of_expression(expr, table)?;
    let share = truths.share(|value| value.as_deref().is_some_and(is_true));
    Some(share.max(truths.each() / 2.0))
}

#[cfg(test)]
mod tests {
    use super::kept;
    use crate::statement::expression_over;
    use crate::testing::{set_stats, snapshot, stats};

    fn share(sql: &str) -> f64 {
        let mut snapshot =
            snapshot("t(n int4 null, s text, b bool, d date, e date, j jsonb, x text) 10000");
        let mut numbers = stats(100.0, &[("1", 0.2), ("2", 0.1)], &["0", "50", "100"]);
        numbers.null_fraction = 0.1;
        set_stats(&mut snapshot, "t.n", numbers);
        set_stats(
            &mut snapshot,
            "t.s",
            stats(3.0, &[("new", 0.7), ("open", 0.2), ("to do", 0.1)], &[]),
        );
        set_stats(&mut snapshot, "t.b", stats(2.0, &[("t", 0.75), ("f", 0.25)], &[]));
        set_stats(
            &mut snapshot,
            "t.d",
            stats(-0.5, &[], &["2024-01-01", "2024-01-11", "2024-01-31"]),
        );
        set_stats(
            &mut snapshot,
            "t.j",
            stats(-1.0, &[], &[r#"{"k": 1}"#, r#"{"k": 2}"#, r#"{"k": 2}"#, "{}"]),
        );
        set_stats(
            &mut snapshot,
            "t.e",
            stats(-0.5, &[], &["2024-01-02", "2024-01-12", "2024-02-01"]),
        );
        let expr = expression_over(sql, &snapshot.tables[0], &snapshot).expect("an expression");
        kept(&expr, &snapshot.tables[0]).share
    }

    #[test]
    fn dates_of_a_row_run_together() {
        let mut snapshot = snapshot("t(d date, e date null) 1200000");
        let days = |from: i64| -> Vec<String> {
            let first = chrono::NaiveDate::from_ymd_opt(2022, 1, 1).unwrap();
            let day = |n: i64| first + chrono::TimeDelta::days(from + n * 14);
            (0..101).map(|n| day(n).to_string()).collect()
        };
        // Bounds lie further apart than the two columns.
        let (ordered, mut shipped) = (days(0), days(6));
        shipped.insert(50, shipped[50].clone());
        let listed = |days: &[String]| {
            stats(1460.0, &[], &days.iter().map(String::as_str).collect::<Vec<_>>())
        };
        set_stats(&mut snapshot, "t.d", listed(&ordered));
        set_stats(&mut snapshot, "t.e", listed(&shipped));
        let expr = expression_over("(e > (d + 15))", &snapshot.tables[0], &snapshot).unwrap();
        let share = kept(&expr, &snapshot.tables[0]).share;
        assert!((0.2..0.3).contains(&share), "{share}");
    }

    #[test]
    fn shares_follow_from_the_statistics() {
        for (sql, wanted) in [
            ("n IS NULL", 0.1),
            ("n IS NOT NULL", 0.9),
            ("n = 1", 0.2),
            ("n = 7", 0.6 / 98.0),
            ("n IN (1, 2)", 0.3),
            ("n <> 1", 0.7),
            ("n < 25", 0.3 + 0.6 * 0.25),
            ("n > 25 AND n <= 75", 0.3),
            ("n BETWEEN 25 AND 75", 0.3),
            ("n = 1 OR n = 2", 0.3),
            ("n IS NOT NULL AND n = 1", 0.2),
            ("b", 0.75),
            ("NOT b", 0.25),
            ("b IS NOT TRUE", 0.25),
            ("s = 'new' AND b", 0.7 * 0.75),
            ("s NOT IN ('new', 'open')", 0.1),
            ("s LIKE '%o%'", 0.3),
            ("lower(s) = 'open'", 0.2),
            ("d >= '2024-01-06'", 0.75),
            ("j ->> 'k' = '2'", 0.5),
            ("j ->> 'k' = '7'", 0.125),
            ("mine(s)", 1.0 / 3.0),
            // Together all and by chance two thirds of the rows; together none and by chance a third.
            ("d < e", 0.833),
            ("e - 5 > d", 0.167),
            ("e - '5 days'::interval > d", 0.167),
            ("x = 'a'", 1.0 / 3.0),
        ] {
            assert!((share(sql) - wanted).abs() < 0.011, "{sql}: {} and not {wanted}", share(sql));
        }
    }
}
