//! What simple expressions make of sample values, so that what an index holds can be told from its columns' statistics.
//!
//! Values are the text that PostgreSQL prints of them. Only what keys and predicates of indexes are commonly made of
//! is followed; anything else is unknown, never guessed. Texts compare by their bytes, times as they are printed.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::like::like;
use crate::statement::{Call, Expr, ExprLiteral as Literal};

/// A value as text; `None` is NULL.
pub(super) type Value = Option<String>;

/// A truth; `None` is unknown.
type Truth = Option<bool>;
/// What stands somewhere in a document; `None` for nothing.
type Found = Option<Json>;

/// The value of an expression in a row; `None` where that is not followed.
pub(super) fn evaluate(expr: &Expr, row: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    match expr {
        Expr::Column(_, name) => row(name),
        Expr::Constant(_, Literal::Null) => Some(None),
        Expr::Constant(text, Literal::Boolean) => Some(Some(truth(text.starts_with('t')))),
        Expr::Constant(text, _) => Some(Some(text.clone())),
        Expr::Cast(value, to) => cast(evaluate(value, row)?, to),
        Expr::Collate(value, _) => evaluate(value, row),
        Expr::Operator(Some(left), operator, right) => {
            binary(evaluate(left, row)?, operator, evaluate(right, row)?)
        }
        Expr::Operator(None, operator, value) if operator == "-" => {
            number(evaluate(value, row)?, |value| -value)
        }
        Expr::Keyword("COALESCE", list) => {
            for part in list {
                if let Some(value) = evaluate(part, row)? {
                    return Some(Some(value));
                }
            }
            Some(None)
        }
        Expr::Keyword("NULLIF", list) => {
            let [value, other] = list.as_slice() else { return None };
            let (value, other) = (evaluate(value, row)?, evaluate(other, row)?);
            Some(if value == other { None } else { value })
        }
        Expr::Call(call) => function(call, row),
        Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::Test(..)
        | Expr::In(..)
        | Expr::Any { .. } => condition(expr, row),
        _ => None,
    }
}

/// A condition's truth, with NULL where it is unknown.
fn condition(expr: &Expr, row: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    let is_true = |part: &Expr| Some(evaluate(part, row)?.map(|value| is_true(&value)));
    let result = match expr {
        Expr::And(list) | Expr::Or(list) => {
            // FALSE decides an AND and TRUE an OR, whatever is unknown beside it.
            let decisive = matches!(expr, Expr::Or(_));
            let mut result = Some(!decisive);
            for part in list {
                match is_true(part)? {
                    Some(value) if value == decisive => return Some(Some(truth(decisive))),
                    Some(_) => {}
                    None => result = None,
                }
            }
            result
        }
        Expr::Not(inner) => is_true(inner)?.map(|value| !value),
        Expr::Test(inner, words) => {
            let value = evaluate(inner, row)?;
            Some(match *words {
                "NULL" | "UNKNOWN" => value.is_none(),
                "NOT NULL" | "NOT UNKNOWN" => value.is_some(),
                "TRUE" => value.is_some_and(|value| self::is_true(&value)),
                "NOT TRUE" => value.is_none_or(|value| !self::is_true(&value)),
                "FALSE" => value.is_some_and(|value| !self::is_true(&value)),
                "NOT FALSE" => value.is_none_or(|value| self::is_true(&value)),
                _ => return None,
            })
        }
        Expr::In(left, list, negated) => {
            listed(evaluate(left, row)?, list, row)?.map(|found| found != *negated)
        }
        Expr::Any { left, operator, right, all } => {
            let Expr::Array(list) = right.uncast() else { return None };
            match (operator.as_str(), all) {
                ("=", false) => listed(evaluate(left, row)?, list, row)?,
                ("<>", true) => listed(evaluate(left, row)?, list, row)?.map(|found| !found),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(result.map(truth))
}

fn listed(value: Value, list: &[Expr], row: &dyn Fn(&str) -> Option<Value>) -> Option<Truth> {
    let Some(value) = value else { return Some(None) };
    for part in list {
        if evaluate(part, row)?.is_some_and(|part| order(&value, &part).is_eq()) {
            return Some(Some(true));
        }
    }
    Some(Some(false))
}

/// `t` or `f`, as PostgreSQL prints truth.
fn truth(value: bool) -> String {
    if value { "t" } else { "f" }.to_owned()
}

/// Whether a printed truth is true.
pub(super) fn is_true(value: &str) -> bool {
    matches!(value, "t" | "true")
}

/// How two printed values compare: as numbers where both are, else by their bytes.
pub(super) fn order(left: &str, right: &str) -> std::cmp::Ordering {
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(left), Ok(right)) => left.total_cmp(&right),
        _ => left.cmp(right),
    }
}

fn cast(value: Value, to: &str) -> Option<Value> {
    let Some(text) = value else { return Some(None) };
    let name = to.strip_prefix("pg_catalog.").unwrap_or(to);
    let (base, size) = match name.split_once('(') {
        Some((base, rest)) => (base.trim(), rest.trim_end_matches(')')),
        None => (name, ""),
    };
    Some(Some(match base {
        "int2" | "int4" | "int8" | "int" | "integer" | "bigint" | "smallint" => {
            text.trim().parse::<f64>().ok()?.round().to_string()
        }
        "numeric" | "decimal" => {
            let value: f64 = text.trim().parse().ok()?;
            match size.split_once(',') {
                Some((_, scale)) => format!("{value:.*}", scale.trim().parse().ok()?),
                None => text,
            }
        }
        "varchar" | "character varying" => match size.parse() {
            Ok(most) => text.chars().take(most).collect(),
            Err(_) => text,
        },
        "date" => text.get(..10)?.to_owned(),
        "timestamp" | "timestamp without time zone" => printed(&moment(&text)?),
        "bool" | "boolean" => truth(is_true(&text)),
        "text"
        | "jsonb"
        | "json"
        | "float8"
        | "float4"
        | "double precision"
        | "real"
        | "uuid"
        | "timestamptz"
        | "timestamp with time zone"
        | "citext"
        | "interval" => text,
        _ => return None,
    }))
}

fn number(value: Value, change: impl Fn(f64) -> f64) -> Option<Value> {
    match value {
        Some(text) => Some(Some(change(text.parse().ok()?).to_string())),
        None => Some(None),
    }
}

fn binary(left: Value, operator: &str, right: Value) -> Option<Value> {
    if operator == "IS DISTINCT FROM" || operator == "IS NOT DISTINCT FROM" {
        return Some(Some(truth((left == right) != (operator == "IS DISTINCT FROM"))));
    }
    let (Some(left), Some(right)) = (left, right) else { return Some(None) };
    let compared =
        |wanted: fn(std::cmp::Ordering) -> bool| Some(Some(truth(wanted(order(&left, &right)))));
    let counted = |count: fn(f64, f64) -> f64| {
        let value = count(left.parse().ok()?, right.parse().ok()?);
        value.is_finite().then(|| Some(value.to_string()))
    };
    // The decimals of numeric results (numeric.c).
    let rounded = |count: fn(f64, f64) -> f64, decimals: usize| {
        let value = count(left.parse().ok()?, right.parse().ok()?);
        value.is_finite().then(|| Some(format!("{value:.decimals$}")))
    };
    let more = decimals(&left).max(decimals(&right));
    if let ("+" | "-", Some(at), None) = (operator, moment(&left), moment(&right)) {
        return Some(Some(shifted(&left, at, &right, operator == "-")?));
    }
    // Days between two dates; of two moments it would be an interval, which is printed in many ways.
    if let ("-", Some(from), Some(to), 10) = (operator, moment(&right), moment(&left), left.len()) {
        return Some(Some((to - from).num_days().to_string())).filter(|_| right.len() == 10);
    }
    match operator {
        "=" => compared(std::cmp::Ordering::is_eq),
        "<>" | "!=" => compared(std::cmp::Ordering::is_ne),
        "<" => compared(std::cmp::Ordering::is_lt),
        "<=" => compared(std::cmp::Ordering::is_le),
        ">" => compared(std::cmp::Ordering::is_gt),
        ">=" => compared(std::cmp::Ordering::is_ge),
        "+" => rounded(|left, right| left + right, more),
        "-" => rounded(|left, right| left - right, more),
        "*" => rounded(|left, right| left * right, decimals(&left) + decimals(&right)),
        "/" if is_integer(&left) && is_integer(&right) => {
            counted(|left, right| (left / right).trunc())
        }
        "/" => counted(|left, right| left / right),
        "%" => rounded(|left, right| left % right, more),
        "||" => Some(Some(left + &right)),
        "~~" => Some(Some(truth(like(&left, &right)))),
        "!~~" => Some(Some(truth(!like(&left, &right)))),
        "~~*" => Some(Some(truth(like(&left.to_lowercase(), &right.to_lowercase())))),
        "^@" => Some(Some(truth(left.starts_with(&right)))),
        "->" => Some(json_at(&left, &[&right])?.map(|value| value.to_string())),
        "->>" => Some(json_text(json_at(&left, &[&right])?)),
        "#>" | "#>>" => {
            let inner = right.trim_start_matches('{').trim_end_matches('}');
            let path: Vec<&str> =
                inner.split(',').map(|step| step.trim().trim_matches('"')).collect();
            let found = json_at(&left, &path)?;
            Some(if operator == "#>" {
                found.map(|value| value.to_string())
            } else {
                json_text(found)
            })
        }
        "?" => match serde_json::from_str(&left).ok()? {
            Json::Object(fields) => Some(Some(truth(fields.contains_key(&right)))),
            Json::Array(list) => {
                Some(Some(truth(list.iter().any(|item| item.as_str() == Some(&right)))))
            }
            _ => Some(Some(truth(false))),
        },
        "@>" => {
            let (whole, part) =
                (serde_json::from_str(&left).ok()?, serde_json::from_str(&right).ok()?);
            Some(Some(truth(contains(&whole, &part))))
        }
        _ => None,
    }
}

/// Digits behind the point.
fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

/// What stands in a document under a path; the outer `None` when it is no document.
fn json_at(document: &str, path: &[&str]) -> Option<Found> {
    let mut value: Json = serde_json::from_str(document).ok()?;
    for step in path {
        let next = match &mut value {
            Json::Object(fields) => fields.remove(*step),
            Json::Array(list) => match step.parse::<usize>() {
                Ok(place) if place < list.len() => Some(list.swap_remove(place)),
                _ => None,
            },
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return Some(None),
        }
    }
    Some(Some(value))
}

/// A value out of a document as text; JSON's null is NULL.
fn json_text(value: Option<Json>) -> Value {
    match value? {
        Json::Null => None,
        Json::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// Whether a document contains another (`@>` on jsonb).
fn contains(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Object(whole), Json::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Json::Array(whole), Json::Array(part)) => {
            part.iter().all(|part| whole.iter().any(|whole| contains(whole, part)))
        }
        (whole, part) => whole == part,
    }
}

fn function(call: &Call, row: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    if call.folds || call.schema.as_deref().is_some_and(|schema| schema != "pg_catalog") {
        return None;
    }
    let values: Vec<Value> =
        call.arguments.iter().map(|argument| evaluate(argument, row)).collect::<Option<_>>()?;
    let name = call.name.as_str();
    if matches!(name, "concat" | "concat_ws") {
        let parts: Vec<String> = values.into_iter().flatten().collect();
        return Some(Some(match (name, parts.split_first()) {
            ("concat_ws", Some((between, parts))) => parts.join(between),
            _ => parts.concat(),
        }));
    }
    let Some(values) = values.into_iter().collect::<Option<Vec<String>>>() else {
        return Some(None);
    };
    let arguments: Vec<&str> = values.iter().map(String::as_str).collect();
    apply(name, &arguments)
}

/// A function that is NULL where an argument is.
fn apply(name: &str, arguments: &[&str]) -> Option<Value> {
    let whole = |text: &str| text.parse::<i64>().ok();
    let text = match (name, arguments) {
        ("lower", [text]) if text.starts_with(['[', '(']) => bound(text, 0)?,
        ("upper", [text]) if text.ends_with([']', ')']) => bound(text, 1)?,
        ("lower", [text]) => text.to_lowercase(),
        ("upper" | "initcap", [text]) => text.to_uppercase(),
        ("reverse", [text]) => text.chars().rev().collect(),
        ("trim" | "btrim" | "ltrim" | "rtrim", [text]) => text.trim_matches(' ').to_owned(),
        // Only that equal texts have equal sums, and their length, counts here.
        ("md5", [text]) => {
            let sum = Sha256::digest(text.as_bytes());
            format!("{sum:x}").chars().take(32).collect()
        }
        ("length" | "char_length" | "character_length", [text]) => text.chars().count().to_string(),
        ("octet_length", [text]) => text.len().to_string(),
        ("left", [text, count]) => part(text, 1, whole(count).filter(|count| *count >= 0)?),
        ("right", [text, count]) => {
            let count = whole(count).filter(|count| *count >= 0)?;
            part(text, text.chars().count() as i64 - count + 1, count)
        }
        ("substr" | "substring", [text, from]) => part(text, whole(from)?, i64::from(i32::MAX)),
        ("substr" | "substring", [text, from, count]) => part(text, whole(from)?, whole(count)?),
        ("split_part", [text, at, place]) => {
            let place = usize::try_from(whole(place)?).ok()?.checked_sub(1)?;
            text.split(at).nth(place).unwrap_or_default().to_owned()
        }
        ("replace", [text, from, to]) => text.replace(from, to),
        ("date", [text]) => text.get(..10)?.to_owned(),
        ("timezone", [_, text]) => printed(&moment(text)?),
        ("date_trunc", [unit, text, ..]) => printed(&truncated(unit, moment(text)?)?),
        ("extract" | "date_part", [field, text]) => field_of(field, moment(text)?)?.to_string(),
        ("abs", [text]) => text.parse::<f64>().ok()?.abs().to_string(),
        ("floor", [text]) => text.parse::<f64>().ok()?.floor().to_string(),
        ("ceil" | "ceiling", [text]) => text.parse::<f64>().ok()?.ceil().to_string(),
        ("round", [text]) => text.parse::<f64>().ok()?.round().to_string(),
        ("host", [text]) => text.split('/').next()?.to_owned(),
        ("cardinality", [text]) | ("array_length", [text, "1"]) => {
            super::arrays::elements(text)?.len().to_string()
        }
        ("jsonb_extract_path_text" | "json_extract_path_text", [document, path @ ..]) => {
            return Some(json_text(json_at(document, path)?));
        }
        ("jsonb_extract_path" | "json_extract_path", [document, path @ ..]) => {
            return Some(json_at(document, path)?.map(|value| value.to_string()));
        }
        _ => return None,
    };
    Some(Some(text))
}

/// `count` characters from the one at `from`, counted from 1; those before the first are counted too.
fn part(text: &str, from: i64, count: i64) -> String {
    let end = from.saturating_add(count).max(1);
    let from = from.max(1);
    text.chars().skip((from - 1) as usize).take((end - from).max(0) as usize).collect()
}

/// One end of a range.
fn bound(range: &str, place: usize) -> Option<String> {
    let inner = range.get(1..range.len().checked_sub(1)?)?;
    Some(inner.split(',').nth(place)?.trim_matches('"').to_owned())
}

/// A date or timestamp, its offset dropped.
pub(super) fn moment(text: &str) -> Option<NaiveDateTime> {
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return date.and_hms_opt(0, 0, 0);
    }
    let text = text.replacen('T', " ", 1);
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(&text, format).ok()).or_else(
        || {
            DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z")
                .ok()
                .map(|at| at.naive_local())
        },
    )
}

/// A moment so much later or earlier: a date by days, any by one or more of the larger units of an interval.
fn shifted(text: &str, at: NaiveDateTime, by: &str, back: bool) -> Option<String> {
    let sign = if back { -1 } else { 1 };
    if let Ok(days) = by.parse::<i64>() {
        let at = at.checked_add_signed(TimeDelta::try_days(sign * days)?)?;
        return Some(if text.len() == 10 { at.date().to_string() } else { printed(&at) });
    }
    let words: Vec<&str> = by.split_whitespace().collect();
    let mut seconds = 0.0;
    for pair in words.chunks(2) {
        let [count, unit] = pair else { return None };
        let unit = match unit.trim_end_matches('s') {
            "second" | "sec" => 1.0,
            "minute" | "min" => 60.0,
            "hour" => 3600.0,
            "day" => 86_400.0,
            "week" => 604_800.0,
            // As intervals are compared: of 30 days, and of twelve of these (interval_cmp_value, timestamp.c).
            "month" | "mon" => 2_592_000.0,
            "year" => 31_104_000.0,
            _ => return None,
        };
        seconds += count.parse::<f64>().ok()? * unit;
    }
    let by = TimeDelta::try_seconds(sign * seconds as i64)?;
    Some(printed(&at.checked_add_signed(by)?))
}

fn printed(at: &NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.f").to_string()
}

/// The beginning of the unit of time in which a moment lies.
fn truncated(unit: &str, at: NaiveDateTime) -> Option<NaiveDateTime> {
    let day = at.date();
    let day = match unit {
        "year" => NaiveDate::from_ymd_opt(day.year(), 1, 1)?,
        "quarter" => NaiveDate::from_ymd_opt(day.year(), day.month0() / 3 * 3 + 1, 1)?,
        "month" => day.with_day(1)?,
        "week" => day - chrono::Days::new(u64::from(day.weekday().num_days_from_monday())),
        "day" | "hour" | "minute" | "second" => day,
        _ => return None,
    };
    match unit {
        "hour" => day.and_hms_opt(at.hour(), 0, 0),
        "minute" => day.and_hms_opt(at.hour(), at.minute(), 0),
        "second" => day.and_hms_opt(at.hour(), at.minute(), at.second()),
        _ => day.and_hms_opt(0, 0, 0),
    }
}

fn field_of(field: &str, at: NaiveDateTime) -> Option<i64> {
    Some(match field {
        "year" => i64::from(at.year()),
        "quarter" => i64::from(at.month0() / 3 + 1),
        "month" => i64::from(at.month()),
        "week" => i64::from(at.iso_week().week()),
        "day" => i64::from(at.day()),
        "dow" => i64::from(at.weekday().num_days_from_sunday()),
        "isodow" => i64::from(at.weekday().number_from_monday()),
        "doy" => i64::from(at.ordinal()),
        "hour" => i64::from(at.hour()),
        "minute" => i64::from(at.minute()),
        "epoch" => at.and_utc().timestamp(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Value, evaluate};
    use crate::statement::expression_over;
    use crate::testing::snapshot;

    fn value(sql: &str) -> Option<Value> {
        let snapshot = snapshot("t(a text, d jsonb, n int4, at timestamptz, x text null) 10");
        let expr = expression_over(sql, &snapshot.tables[0], &snapshot).expect("an expression");
        evaluate(&expr, &|column| {
            Some(match column {
                "a" => Some("Ann@Mail.example".to_owned()),
                "d" => Some(
                    r#"{"kind": "x", "size": {"w": 7}, "tags": ["p", "q"], "no": null}"#.to_owned(),
                ),
                "n" => Some("-17".to_owned()),
                "at" => Some("2024-05-16 13:45:10.5+00".to_owned()),
                _ => None,
            })
        })
    }

    #[test]
    fn common_expressions_are_followed() {
        for (sql, result) in [
            ("lower(a)", "ann@mail.example"),
            ("split_part(a, '@', 2)", "Mail.example"),
            ("left(a, 3) || '-' || right(a, 2)", "Ann-le"),
            ("substr(a, 5, 4)", "Mail"),
            ("d ->> 'kind'", "x"),
            ("(d -> 'size' ->> 'w')::int + 1", "8"),
            ("d #>> '{tags,1}'", "q"),
            ("n % 10", "-7"),
            ("abs(n)", "17"),
            ("date_trunc('month', at AT TIME ZONE 'UTC')", "2024-05-01 00:00:00"),
            ("date_trunc('week', at)", "2024-05-13 00:00:00"),
            ("(at AT TIME ZONE 'UTC')::date", "2024-05-16"),
            ("extract(hour FROM at)", "13"),
            ("coalesce(x, 'none')", "none"),
            ("a LIKE 'Ann%' AND n < 0", "t"),
            ("x = 'y' OR d ? 'kind'", "t"),
            ("d @> '{\"tags\": [\"q\"]}'", "t"),
            ("n NOT IN (1, 2)", "t"),
            ("x IS NULL", "t"),
        ] {
            assert_eq!(value(sql), Some(Some(result.to_owned())), "{sql}");
        }
        for sql in ["x = 'y'", "d ->> 'no'", "d ->> 'none'", "lower(x)", "x = 'y' AND n < 0"] {
            assert_eq!(value(sql), Some(None), "{sql}");
        }
    }

    #[test]
    fn what_is_not_followed_is_unknown() {
        for sql in ["mine(a)", "a ~ 'x+'", "CASE WHEN n > 1 THEN 2 END", "a::mytype", "d[1]"] {
            assert_eq!(value(sql), None, "{sql}");
        }
    }
}
