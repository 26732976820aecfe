//! How the value that a comparison sees is made from a parameter: `$1::json ->> 'id'`, `string_to_array($1, ',')`,
//! `'%' || $1`. Who wants a certain value there has to undo the steps.

use super::Making;
use super::expression::{Expr, Literal, extracts};

/// Functions that give back their first argument, or nearly so.
const SAME: &[&str] = &[
    "lower",
    "upper",
    "initcap",
    "trim",
    "btrim",
    "ltrim",
    "rtrim",
    "normalize",
    "unaccent",
    "like_escape",
    "similar_to_escape",
    "to_number",
    "to_jsonb",
    "to_json",
];

/// Functions whose last argument is the value.
const LAST: &[&str] = &[
    "to_tsquery",
    "plainto_tsquery",
    "phraseto_tsquery",
    "websearch_to_tsquery",
    "date_trunc",
    "timezone",
];

/// Functions that make rows or elements out of an array.
const UNNEST: &[&str] = &["unnest", "jsonb_array_elements_text", "json_array_elements_text"];

/// The steps from the comparison's value in to the parameter; `None` when it is not in there.
pub(super) fn making(value: &Expr, number: u16) -> Option<Vec<Making>> {
    let mut steps = Vec::new();
    descend(value, number, &mut steps).then_some(steps)
}

/// Pushes the steps down to the parameter; false when it is not in there.
fn descend(value: &Expr, number: u16, steps: &mut Vec<Making>) -> bool {
    if !value.parameters().contains(&number) {
        return false;
    }
    match value {
        Expr::Parameter(_) => true,
        Expr::Cast(inner, _) | Expr::Collate(inner, _) => descend(inner, number, steps),
        Expr::Array(list) | Expr::Keyword(_, list) | Expr::Arms(list) => first(list, number, steps),
        Expr::Operator(Some(left), name, right) => operator(left, name, right, number, steps),
        Expr::Call(call) => function(&call.name, &call.arguments, number, steps),
        Expr::Case(_, arms, otherwise) => {
            let results = arms.iter().map(|(_, then)| then).chain(otherwise.as_deref());
            match results.into_iter().find(|then| then.parameters().contains(&number)) {
                Some(then) => descend(then, number, steps),
                None => unknown(steps),
            }
        }
        Expr::Steps(inner, _) if inner.parameters().contains(&number) => {
            steps.push(Making::Element);
            descend(inner, number, steps)
        }
        _ => unknown(steps),
    }
}

fn unknown(steps: &mut Vec<Making>) -> bool {
    steps.push(Making::Unknown);
    true
}

fn first(list: &[Expr], number: u16, steps: &mut Vec<Making>) -> bool {
    list.iter().any(|part| descend(part, number, steps))
}

fn operator(left: &Expr, name: &str, right: &Expr, number: u16, steps: &mut Vec<Making>) -> bool {
    let on_left = left.parameters().contains(&number);
    let (inner, other) = if on_left { (left, right) } else { (right, left) };
    match (name, constant(other)) {
        ("->" | "->>" | "#>" | "#>>", Some((key, _))) if on_left => {
            let list = key.strip_prefix('{').and_then(|key| key.strip_suffix('}'));
            match list.filter(|_| name.starts_with('#')) {
                Some(list) => {
                    let keys = list.split(',').rev();
                    steps.extend(keys.map(|key| Making::Key(key.trim_matches('"').to_owned())));
                }
                None => steps.push(Making::Key(key.to_owned())),
            }
        }
        ("||", Some((text, Literal::Text))) => {
            let (before, after) = if on_left { ("", text) } else { (text, "") };
            let (before, after) = (before.to_owned(), after.to_owned());
            steps.push(Making::Within { before, after });
        }
        ("*", Some((text, Literal::Text))) if unit(text).is_some() => {
            steps.push(Making::Unit(unit(text).unwrap_or_default()));
        }
        ("+", Some((text, Literal::Number))) => steps.push(Making::Plus(text.to_owned())),
        ("-", Some((text, Literal::Number))) if on_left => {
            steps.push(Making::Plus(format!("-{text}")));
        }
        ("*", Some((text, Literal::Number))) => steps.push(Making::Times(text.to_owned())),
        // Two times, or a time and a span: near enough to either.
        ("+" | "-" | "*", _) => {}
        _ => return unknown(steps),
    }
    if extracts(name) && !on_left {
        return unknown(steps);
    }
    descend(inner, number, steps)
}

fn function(name: &str, arguments: &[Expr], number: u16, steps: &mut Vec<Making>) -> bool {
    let has = |argument: &Expr| argument.parameters().contains(&number);
    let Some(place) = arguments.iter().position(has) else { return unknown(steps) };
    let at = |place: usize| arguments.get(place).and_then(constant).map(|(text, _)| text);
    match name {
        "jsonb_build_object" | "json_build_object" if place % 2 == 1 => match at(place - 1) {
            Some(key) => steps.push(Making::Field(key.to_owned())),
            None => return unknown(steps),
        },
        "jsonb_extract_path"
        | "jsonb_extract_path_text"
        | "json_extract_path"
        | "json_extract_path_text"
            if place == 0 =>
        {
            let keys: Option<Vec<&str>> = (1..arguments.len()).map(at).collect();
            let Some(keys) = keys else { return unknown(steps) };
            steps.extend(keys.into_iter().rev().map(|key| Making::Key(key.to_owned())));
        }
        "string_to_array"
        | "regexp_split_to_array"
        | "string_to_table"
        | "regexp_split_to_table"
            if place == 0 =>
        {
            match at(1).filter(|separator| !separator.contains(['\\', '[', '*', '+', '.'])) {
                Some(separator) => steps.push(Making::Separated(separator.to_owned())),
                None => return unknown(steps),
            }
        }
        "concat" => {
            let texts = |range: &[Expr]| -> Option<String> {
                range.iter().map(|part| constant(part).map(|(text, _)| text)).collect()
            };
            match (texts(&arguments[..place]), texts(&arguments[place + 1..])) {
                (Some(before), Some(after)) => steps.push(Making::Within { before, after }),
                _ => return unknown(steps),
            }
        }
        "to_date" | "to_timestamp" if arguments.len() == 2 => {
            // Other orders of year, month and day would have to be written so.
            let iso = |format: &str| format.to_ascii_uppercase().starts_with("YYYY-MM-DD");
            if place != 0 || at(1).is_some_and(|format| !iso(format)) {
                return unknown(steps);
            }
        }
        "to_timestamp" => steps.push(Making::Seconds),
        "make_interval" => steps.push(Making::Unit(unit("day").unwrap_or_default())),
        _ if UNNEST.contains(&name) && place == 0 => steps.push(Making::Unnest),
        _ if SAME.contains(&name) && place == 0 => {}
        _ if LAST.contains(&name) && place + 1 == arguments.len() => {}
        _ => return unknown(steps),
    }
    descend(&arguments[place], number, steps)
}

/// A literal, casts aside.
fn constant(expr: &Expr) -> Option<(&str, Literal)> {
    match expr.uncast() {
        Expr::Constant(text, kind) if *kind != Literal::Null => Some((text, *kind)),
        _ => None,
    }
}

/// Microseconds of an interval such as `1 day`, ` hours`, `15 minutes`.
pub(super) fn unit(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let (count, word) = match first.parse::<u64>() {
        Ok(count) => (count, words.next()?),
        Err(_) => (1, first),
    };
    let seconds = match word.to_ascii_lowercase().trim_end_matches('s') {
        "second" | "sec" => 1,
        "minute" | "min" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "month" | "mon" => 30 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    };
    words.next().is_none().then_some(count * seconds * 1_000_000)
}
