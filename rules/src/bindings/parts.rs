//! Values made of a part of what a column holds: the beginning of a text, an element, the field of a document.

use super::distribution::{Distribution, Scenario};
use super::json::{self, Documents};
use super::types::{ParameterType, array};
use super::values::{LIST, UNKNOWN_SHARE, Valued};
use crate::snapshot::Column;
use crate::statement::{Comparison, Making, PathStep, Target, json_path};

/// A value of a column as the expression over it gives it, where we know how.
pub(super) fn changed(target: &Target, value: &str) -> String {
    let Target::Expression(expression) = target else { return value.to_owned() };
    let calls = |name: &str| expression.functions.iter().any(|(_, function)| function == name);
    if calls("lower") {
        value.to_lowercase()
    } else if calls("upper") {
        value.to_uppercase()
    } else {
        value.to_owned()
    }
}

/// A pattern that finds something.
pub(super) fn pattern(
    parameter: &ParameterType,
    comparison: &Comparison,
    of: Distribution,
    scenario: Scenario,
) -> Option<Valued> {
    if !matches!(parameter.category, 'S' | 'A') {
        return None;
    }
    let value = of.value(scenario, 0)?;
    let length = [3, 5, 8][scenario.index()];
    let plain: String = value
        .chars()
        .take_while(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | '@'))
        .take(length)
        .collect();
    let part = if plain.is_empty() { "a".to_owned() } else { plain };
    let share = of.prefix_share(&part);
    let part = changed(&comparison.target, &part);
    let (text, share) = match comparison.operator.as_str() {
        "~~" => (format!("{part}%"), share),
        "^@" => (part, share),
        "~~*" => (format!("%{part}%"), share),
        "%" => (value.to_owned(), UNKNOWN_SHARE),
        _ => (part.replace('.', "\\."), share),
    };
    let text = if parameter.is_array() { array([text.as_str()]) } else { text };
    Some((text, share.max(UNKNOWN_SHARE)))
}

/// Elements of arrays, or words of documents.
pub(super) fn elements(
    parameter: &ParameterType,
    comparison: &Comparison,
    of: Distribution,
    scenario: Scenario,
) -> Option<Valued> {
    let known = of.elements();
    let last = known.len().checked_sub(1)?;
    let index = [0, last / 2, last][scenario.index()];
    let one = known.get(index)?;
    let share = of.element_share(index);
    if !parameter.is_array() {
        let element = if of.column.base_type == "tsvector" {
            "text"
        } else {
            of.column.base_type.trim_start_matches('_')
        };
        let value = if parameter.name == "tsquery" {
            Some(one.clone())
        } else {
            parameter.adapt(element, one)
        };
        return value.map(|value| (value, share));
    }
    let wanted: Vec<&str> = match comparison.operator.as_str() {
        "&&" => [index, (index + 1).min(last)].iter().map(|index| known[*index].as_str()).collect(),
        "<@" => known.iter().take(2 * LIST).map(String::as_str).collect(),
        _ => vec![one],
    };
    let mut distinct: Vec<&str> = Vec::new();
    for element in wanted {
        if !distinct.contains(&element) {
            distinct.push(element);
        }
    }
    Some((array(distinct), share))
}

/// The value under the keys of a document that is built around the parameter.
pub(super) fn field(
    parameter: &ParameterType,
    comparison: &Comparison,
    column: &Column,
    scenario: Scenario,
) -> Option<Valued> {
    let mut keys = match &comparison.target {
        Target::Column(_) => Vec::new(),
        Target::Expression(expression) => json_path(&expression.sql)?.steps,
    };
    for step in &comparison.making {
        match step {
            Making::Field(key) => keys.push(PathStep::Key(key.clone())),
            _ => return None,
        }
    }
    let steps: Vec<Option<&str>> = keys
        .iter()
        .map(|step| match step {
            PathStep::Key(key) => Some(key.as_str()),
            PathStep::Parameter(_) => None,
        })
        .collect();
    let mut leaves = Documents::of(column)?.leaves(&steps);
    leaves.retain(|leaf| parameter.takes(&json::text(&leaf.value)));
    let last = leaves.len().checked_sub(1)?;
    let leaf = &leaves[[0, last / 2, last][scenario.index()]];
    Some((json::text(&leaf.value), leaf.share))
}

/// What is asked of a JSON document: a key, a part, a path.
pub(super) fn document(
    parameter: &ParameterType,
    comparison: &Comparison,
    column: &Column,
    scenario: Scenario,
) -> Option<Valued> {
    let documents = Documents::of(column)?;
    let path = match &comparison.target {
        Target::Column(_) => Vec::new(),
        Target::Expression(expression) => json_path(&expression.sql)?.steps,
    };
    let mut steps: Vec<Option<&str>> = path
        .iter()
        .map(|step| match step {
            PathStep::Key(key) => Some(key.as_str()),
            PathStep::Parameter(_) => None,
        })
        .collect();
    if comparison.operator.starts_with('?') {
        let keys = documents.keys(&steps);
        let last = keys.len().checked_sub(1)?;
        let (key, share) = &keys[[0, last / 2, last][scenario.index()]];
        let text = if parameter.is_array() { array([key.as_str()]) } else { key.clone() };
        return Some((text, *share));
    }
    steps.push(None);
    let leaves = documents.leaves(&steps);
    let last = leaves.len().checked_sub(1)?;
    let leaf = &leaves[[0, last / 2, last][scenario.index()]];
    let (key, value) = (leaf.keys.last()?, &leaf.value);
    let quoted = serde_json::Value::String(key.clone());
    let text = match comparison.operator.as_str() {
        "@>" => format!("{{{quoted}: {value}}}"),
        "@?" => format!("$.{quoted} ? (@ == {value})"),
        _ => format!("$.{quoted} == {value}"),
    };
    Some((text, leaf.share))
}
