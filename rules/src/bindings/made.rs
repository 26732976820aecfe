//! Values brought back through the steps by which a statement makes them from a parameter.

use serde_json::{Value, json};

use super::types::{ParameterType, array, at_position, micros, position};
use crate::snapshot::Column;
use crate::statement::Making;

/// The type that a parameter would have if it stood in the comparison itself; `None` where the steps cannot be undone.
pub(super) fn wanted(steps: &[Making], column: &Column, operator: &str) -> Option<ParameterType> {
    if steps.contains(&Making::Unknown) {
        return None;
    }
    let base = column.base_type.as_str();
    let listed = |step: &Making| matches!(step, Making::Separated(_) | Making::Unnest);
    let scalar = ParameterType {
        name: base.to_owned(),
        kind: 'b',
        category: column.type_category,
        ..ParameterType::default()
    };
    let elementary = column.type_category == 'A' || base == "tsvector";
    if steps.iter().any(listed) && !elementary {
        let name = format!("_{base}");
        let element = Some(base.to_owned());
        return Some(ParameterType { name, category: 'A', element, ..scalar });
    }
    // A pattern is a text whatever it is held against.
    let text = operator.contains('~') || operator.starts_with('?') || base == "tsvector";
    let text_type = ParameterType { name: "text".to_owned(), category: 'S', ..scalar.clone() };
    Some(if text { text_type } else { scalar })
}

/// The parameter's text with which the comparison sees `value`, a value of type `base`, or a list of such.
pub(super) fn undo(steps: &[Making], value: &str, base: &str) -> Option<String> {
    let mut text = value.to_owned();
    let mut document: Option<Value> = None;
    for step in steps {
        match step {
            Making::Key(key) => {
                let inner = document.take().unwrap_or_else(|| scalar(&text, base));
                document = Some(json!({ key: inner }));
            }
            Making::Separated(separator) => {
                text = elements(&text).join(separator);
            }
            Making::Element => text = array([text.as_str()]),
            Making::Within { before, after } => text = between(&text, before, after),
            Making::Seconds => text = format!("{:.0}", micros(&text)? as f64 / 1e6),
            Making::Plus(amount) => {
                text = at_position(base, position(base, &text)? - amount.parse::<f64>().ok()?)?;
            }
            Making::Times(factor) => {
                let factor: f64 = factor.parse().ok().filter(|factor| *factor != 0.0)?;
                text = at_position(base, position(base, &text)? / factor)?;
            }
            // A list already; the other two have no value of their own.
            Making::Unnest | Making::Unit(_) => {}
            Making::Field(_) | Making::Unknown => return None,
        }
    }
    Some(document.map_or(text, |document| document.to_string()))
}

/// Microseconds of the unit that a span is counted in.
pub(super) fn unit(steps: &[Making]) -> Option<f64> {
    steps.iter().find_map(|step| match step {
        Making::Unit(micros) => Some(*micros as f64),
        Making::Within { before, after } if before.is_empty() => {
            Making::unit(after).map(|micros| micros as f64)
        }
        _ => None,
    })
}

/// A value as JSON has it: numbers bare, lists as lists.
fn scalar(text: &str, base: &str) -> Value {
    let number = matches!(base, "int2" | "int4" | "int8" | "numeric" | "float4" | "float8");
    match serde_json::from_str::<Value>(text) {
        Ok(value) if number && value.is_number() || base == "bool" && value.is_boolean() => value,
        Ok(value) if matches!(base, "json" | "jsonb") => value,
        _ => Value::String(text.to_owned()),
    }
}

/// What stands between two texts; a wildcard at an end is the statement's own where it writes one there.
fn between(text: &str, before: &str, after: &str) -> String {
    let wild = |side: &str| side.starts_with('%') || side.ends_with('%');
    let mut inner = text;
    if wild(before) || wild(after) {
        inner = inner.trim_matches('%');
    }
    let inner = inner.strip_prefix(before).unwrap_or(inner);
    inner.strip_suffix(after).filter(|rest| !rest.is_empty()).unwrap_or(inner).to_owned()
}

/// The elements of an array as [`array`] writes it.
fn elements(text: &str) -> Vec<String> {
    let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return vec![text.to_owned()];
    };
    let mut found = Vec::new();
    let mut element = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for c in inner.chars() {
        match c {
            _ if escaped => {
                element.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => found.push(std::mem::take(&mut element)),
            _ => element.push(c),
        }
    }
    found.push(element);
    found
}

#[cfg(test)]
mod tests {
    use super::{elements, undo};
    use crate::statement::Making;

    #[test]
    fn steps_are_undone_from_the_outside_in() {
        let key = |key: &str| Making::Key(key.to_owned());
        let within = |before: &str, after: &str| Making::Within {
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let seconds = "1735689600";
        for (steps, value, base, expected) in [
            (vec![key("id"), key("user")], "7", "int8", r#"{"user":{"id":7}}"#),
            (vec![key("a")], "x\"y", "text", r#"{"a":"x\"y"}"#),
            (vec![Making::Separated(";".to_owned())], r#"{1,"a b"}"#, "text", "1;a b"),
            (vec![Making::Element], "5", "int4", "{5}"),
            (vec![within("%", "%")], "%abc%", "text", "abc"),
            (vec![within("user-", "")], "user-7", "text", "7"),
            (vec![within("", "@x")], "other", "text", "other"),
            (vec![Making::Seconds], "2025-01-01 00:00:00+00", "timestamptz", seconds),
            (vec![Making::Plus("1".to_owned())], "8", "int4", "7"),
            (vec![Making::Times("100".to_owned())], "250", "numeric", "2.5"),
        ] {
            assert_eq!(undo(&steps, value, base).as_deref(), Some(expected), "{steps:?}");
        }
        assert_eq!(undo(&[Making::Unknown], "1", "int4"), None);
        assert_eq!(elements(r#"{1,"a,b","c\"d",}"#), ["1", "a,b", "c\"d", ""]);
    }
}
