//! Takes typed values out of what was printed, and keeps book of what was not understood.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{OperatorId, Problem};

/// The keys of one object, taken out one by one by what they call for; what is left is unknown.
pub(crate) struct Keys<'a> {
    pub(crate) fields: BTreeMap<String, Value>,
    pub(crate) operator: Option<OperatorId>,
    pub(crate) problems: &'a mut Vec<Problem>,
    /// Keys whose value was of the wrong type and stays.
    wrong: Vec<String>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new<K: Into<String>>(
        fields: impl IntoIterator<Item = (K, Value)>,
        operator: Option<OperatorId>,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        let mut map: BTreeMap<String, Value> = BTreeMap::new();
        for (key, value) in fields {
            let key = key.into();
            let Some(first) = map.get_mut(&key) else {
                map.insert(key, value);
                continue;
            };
            if key != "Workers" || !merge_workers(first, value) {
                problems.push(Problem::DuplicateKey { operator, key });
            }
        }
        Self { fields: map, operator, problems, wrong: Vec::new() }
    }

    /// Takes a key out if `read` can make sense of its value; null counts as absent.
    pub(crate) fn take<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.fields.get(key)?;
        let taken = read(value);
        if taken.is_some() || value.is_null() {
            self.fields.remove(key);
        } else if !self.wrong.iter().any(|wrong| wrong == key) {
            let (operator, expected) = (self.operator, expected.to_owned());
            self.problems.push(Problem::WrongType { operator, key: key.to_owned(), expected });
            self.wrong.push(key.to_owned());
        }
        taken
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        self.take(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn number(&mut self, key: &str) -> Option<f64> {
        self.take(key, "a number", number)
    }

    pub(crate) fn count(&mut self, key: &str) -> Option<u64> {
        let read = |value: &Value| {
            value
                .as_u64()
                .or_else(|| number(value).filter(|count| *count >= 0.0).map(|count| count as u64))
        };
        self.take(key, "a number", read)
    }

    pub(crate) fn objects(&mut self, key: &str) -> Vec<serde_json::Map<String, Value>> {
        let read = |value: &Value| {
            value.as_array()?.iter().map(|object| object.as_object().cloned()).collect()
        };
        self.take(key, "a list of objects", read).unwrap_or_default()
    }

    /// Returns what is left, and tells of every key of it that is not known.
    pub(crate) fn rest(&mut self) -> BTreeMap<String, Value> {
        for key in self.fields.keys() {
            if !self.wrong.contains(key) {
                self.problems
                    .push(Problem::UnknownKey { operator: self.operator, key: key.clone() });
            }
        }
        std::mem::take(&mut self.fields)
    }
}

/// Brings together the two lists of workers that versions up to 12 print: times in one, sorts in the other.
pub(crate) fn merge_workers(first: &mut Value, second: Value) -> bool {
    let (Value::Array(first), Value::Array(second)) = (first, second) else {
        return false;
    };
    // PostgreSQL starts no more workers than this (`MAX_PARALLEL_WORKER_LIMIT`).
    if first.len().max(second.len()) > 1024 {
        return false;
    }
    for worker in second {
        let same = first
            .iter_mut()
            .find(|other| other.get("Worker Number") == worker.get("Worker Number"));
        match (same.and_then(Value::as_object_mut), worker) {
            (Some(first), Value::Object(second)) => {
                for (key, value) in second {
                    first.entry(key).or_insert(value);
                }
            }
            (_, worker) => first.push(worker),
        }
    }
    true
}

/// Reads a number, also one that a tool has put into quotes.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
        .filter(|number: &f64| number.is_finite())
}

/// Reads a boolean, also one that stands as a text, as all values do in XML.
pub(crate) fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

/// Reads an object of texts; other values are written out.
pub(crate) fn text_map(value: &Value) -> Option<BTreeMap<String, String>> {
    let texts = value.as_object()?.iter();
    Some(
        texts
            .map(|(key, value)| {
                (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect(),
    )
}

/// Makes numbers and booleans of all texts that are one: XML and text print every value as text.
pub(crate) fn type_figures(value: &mut Value) {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(list) => open.extend(list),
            Value::Object(object) => open.extend(object.values_mut()),
            Value::String(text) => {
                let typed = serde_json::from_str(text.trim()).ok();
                if let Some(typed @ (Value::Number(_) | Value::Bool(_))) = typed {
                    *value = typed;
                }
            }
            _ => {}
        }
    }
}
