//! The literals of statements.

use super::class::{Class, Sorting, of_named};
use super::container;
use super::scalar;
use super::visit::{Site, Visitor, value};
use super::{ColumnKey, Facts};
use crate::snapshot::{Example, Snapshot, Statement};
use crate::statement::{
    Analysis, Comparison, Literal, Parameter, ParameterRole, Repaired, Target, analyze,
    fingerprint, json_path, literals, mask, repair, rewritten,
};

/// Whole numbers below this that are neither compared with a column nor stored in one are part of the statement's
/// own making, such as the 2 of `round(x, 2)`.
const PLAIN_BELOW: i128 = 100;

/// Words of the server's own that stand in quotes.
const WORDS: [&str; 21] = [
    "simple",
    "english",
    "german",
    "french",
    "spanish",
    "italian",
    "portuguese",
    "dutch",
    "russian",
    "swedish",
    "norwegian",
    "danish",
    "finnish",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
];

/// Replaces the literals of a statement and of its examples, and takes their comments out.
pub(super) fn visit(
    statement: &mut Statement,
    snapshot: &Snapshot,
    facts: &Facts,
    visitor: &mut dyn Visitor,
) {
    let path = statement.search_path.clone();
    let redacted = |text: &str, visitor: &mut dyn Visitor| {
        let replaced = Text::read(text, snapshot, facts, &path)?.replaced(visitor)?;
        let same =
            |one: &str, other: &str| Some(fingerprint(one).ok()? == fingerprint(other).ok()?);
        same(text, &replaced)?.then_some(replaced)
    };
    let text = redacted(&statement.text, visitor);
    statement.text = text.unwrap_or_else(|| {
        visitor.forgotten();
        let masked = mask(&statement.text);
        rewritten(&masked, &[]).unwrap_or(masked)
    });
    let mut examples = Vec::new();
    for example in &statement.examples {
        match redacted(&example.text, visitor) {
            Some(text) => examples.push(Example { text, ..*example }),
            None => visitor.forgotten(),
        }
    }
    statement.examples = examples;
}

/// A text with what is known of its literals.
struct Text<'t> {
    source: &'t str,
    literals: Vec<Literal>,
    repaired: Repaired,
    analysis: Option<Analysis>,
    snapshot: &'t Snapshot,
    facts: &'t Facts,
}

impl<'t> Text<'t> {
    fn read(
        text: &'t str,
        snapshot: &'t Snapshot,
        facts: &'t Facts,
        search_path: &[String],
    ) -> Option<Self> {
        let (normalized, literals) = literals(text)?;
        let repaired = repair(&normalized);
        let analysis = analyze(&repaired.text, snapshot, search_path).ok();
        Some(Self { source: text, literals, repaired, analysis, snapshot, facts })
    }

    /// The text with other literals. One that cannot be replaced becomes a parameter.
    fn replaced(&self, visitor: &mut dyn Visitor) -> Option<String> {
        let mut pieces = Vec::new();
        for literal in &self.literals {
            let source = self.source.get(literal.start..literal.end)?;
            let word = literal.value.is_none() && !source.contains('\'') && !source.contains('$');
            let span = literal.value.as_ref().is_some_and(|value| is_span(value, false));
            if word || literal.interval && span {
                continue;
            }
            let replaced =
                literal.value.as_ref().and_then(|value| self.literal(literal, value, visitor));
            let piece = match replaced {
                Some(text) if Some(&text) == literal.value.as_ref() => continue,
                Some(text) if !literal.quoted && scalar::number(&text).is_some() => text,
                Some(text) => crate::quote::literal(&text),
                None => {
                    visitor.forgotten();
                    format!("${}", literal.parameter)
                }
            };
            pieces.push((literal.start, literal.end, piece));
        }
        rewritten(self.source, &pieces)
    }

    fn literal(&self, literal: &Literal, text: &str, visitor: &mut dyn Visitor) -> Option<String> {
        let used = self
            .repaired
            .parameters
            .get(&literal.parameter)
            .and_then(|number| self.analysis.as_ref()?.parameters.get(number));
        let Some(used) = used else { return unplaced(literal, text, self.snapshot, visitor) };
        match used.role {
            ParameterRole::Limit
            | ParameterRole::Offset
            | ParameterRole::DateField
            | ParameterRole::TimeZone => return Some(text.to_owned()),
            ParameterRole::JsonKey if !literal.quoted => return Some(text.to_owned()),
            ParameterRole::JsonKey => return keys(text, visitor),
            _ => {}
        }
        if used.compared.iter().any(|comparison| comparison.offset) {
            return Some(text.to_owned());
        }
        if let Some(comparison) = used.compared.first() {
            return self.compared(comparison, text, visitor);
        }
        match self.stored(used) {
            Some((class, key)) => {
                value(visitor, &class?, Site { column: Some(&key), literal: true }, text)
            }
            None => unplaced(literal, text, self.snapshot, visitor),
        }
    }

    /// The column that a value is stored in, with its class.
    fn stored(&self, used: &Parameter) -> Option<(Option<Class>, ColumnKey)> {
        let (table, column) = used.stored.as_ref()?;
        let table = self.snapshot.table(*table)?;
        let key = (table.schema.clone(), table.name.clone(), column.clone());
        Some((of_named(self.snapshot, self.facts, &key), key))
    }

    fn compared(
        &self,
        comparison: &Comparison,
        text: &str,
        visitor: &mut dyn Visitor,
    ) -> Option<String> {
        let relation = self.analysis.as_ref()?.relations.get(comparison.relation)?;
        let table = self.snapshot.table(relation.table)?;
        let name = match &comparison.target {
            Target::Column(name) => name,
            Target::Expression(expression) => expression.columns.first()?,
        };
        let key = (table.schema.clone(), table.name.clone(), name.clone());
        let of_column = of_named(self.snapshot, self.facts, &key);
        let class = match &comparison.target {
            Target::Column(_) => of_column?,
            Target::Expression(expression) => {
                let path = json_path(&expression.sql).is_some_and(|path| !path.steps.is_empty());
                match of_column {
                    Some(class @ (Class::Text(_) | Class::Padded(_) | Class::Lexemes))
                        if !path && expression.casts.is_empty() =>
                    {
                        class
                    }
                    Some(Class::Json) if !path => Class::Json,
                    _ => looks_of(text),
                }
            }
        };
        if class == Class::Lexemes && WORDS.contains(&text) {
            // The language of the search.
            return Some(text.to_owned());
        }
        let operator = comparison.operator.trim_start_matches('!');
        let operator = operator.split_whitespace().next().unwrap_or(operator);
        match operator {
            "~~" | "~~*" | "~" | "~*" | "^@" => {
                let sorting = match class {
                    Class::Text(sorting) | Class::Padded(sorting) => sorting,
                    _ => Sorting::default(),
                };
                let mut one = |text: &str| visitor.pattern(&sorting, operator, text);
                each(comparison.any, text, &mut one)
            }
            "?" | "?|" | "?&" if class == Class::Json => keys(text, visitor),
            _ => {
                let site = Site { column: Some(&key), literal: true };
                let list = comparison.any && !matches!(class, Class::Array(_));
                each(list, text, &mut |text| value(visitor, &class, site, text))
            }
        }
    }
}

/// A text, or each element of it where it is an array for a list.
fn each(list: bool, text: &str, replace: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
    match container::elements(text).filter(|_| list) {
        None => replace(text),
        Some(elements) => {
            let one = |element: Option<String>| match element {
                None => Some(None),
                Some(text) => replace(&text).map(Some),
            };
            let replaced: Option<Vec<_>> = elements.into_iter().map(one).collect();
            Some(container::array(&replaced?))
        }
    }
}

/// A key of a document, or an array of keys.
fn keys(text: &str, visitor: &mut dyn Visitor) -> Option<String> {
    let site = Site { column: None, literal: true };
    let mut key = |key: &str| {
        if key.parse::<u32>().is_ok() { Some(key.to_owned()) } else { visitor.key(site, key) }
    };
    each(true, text, &mut key)
}

/// What a text of unknown type seems to be.
fn looks_of(text: &str) -> Class {
    let object = text.starts_with(['{', '[']);
    if object && serde_json::from_str::<serde_json::Value>(text).is_ok() {
        Class::Json
    } else if container::elements(text).is_some() {
        Class::Array(Box::new(Class::Looks))
    } else {
        Class::Looks
    }
}

/// A literal of which nobody knows what it is compared with.
fn unplaced(
    literal: &Literal,
    text: &str,
    snapshot: &Snapshot,
    visitor: &mut dyn Visitor,
) -> Option<String> {
    let site = Site { column: None, literal: true };
    let kept = if literal.quoted {
        let named =
            snapshot.tables.iter().any(|table| table.name == text || table.qualified() == text);
        named || WORDS.contains(&text) || is_span(text, true)
    } else {
        scalar::number(text).is_some_and(|point| point.part == 0 && point.whole.abs() < PLAIN_BELOW)
    };
    if kept { Some(text.to_owned()) } else { value(visitor, &looks_of(text), site, text) }
}

/// Units of time as they stand in an interval.
const UNITS: [&str; 28] = [
    "microsecond",
    "millisecond",
    "second",
    "sec",
    "s",
    "minute",
    "min",
    "m",
    "hour",
    "hr",
    "h",
    "day",
    "d",
    "week",
    "w",
    "month",
    "mon",
    "year",
    "yr",
    "y",
    "decade",
    "century",
    "centuries",
    "millennium",
    "millennia",
    "usec",
    "msec",
    "ago",
];

/// Whether a text is a span of time such as `7 days` or `1 day 02:03:04`. Without `unit` bare numbers are one, too.
fn is_span(text: &str, unit: bool) -> bool {
    let mut units = 0;
    for word in text.split_whitespace() {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit() || ".:+-".contains(c));
        let rest = rest.to_ascii_lowercase();
        let known = UNITS.contains(&rest.as_str())
            || rest.strip_suffix('s').is_some_and(|one| UNITS.contains(&one));
        if !rest.is_empty() && !known {
            return false;
        }
        units += usize::from(known);
    }
    !text.trim().is_empty() && (units > 0 || !unit)
}
