//! What the sampled documents of a JSON column hold.
//!
//! The most common values and the histogram bounds of a `jsonb` column are whole documents: a few hundred rows of
//! the table. Shares reckoned from them are estimates with that many samples behind them.

use serde_json::Value;

use crate::snapshot::Column;

/// Documents of a column, each with the share of rows that it stands for.
pub(super) struct Documents {
    documents: Vec<(Value, f64)>,
}

/// A value found at a path.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Keys that led to it.
    pub(super) keys: Vec<String>,
    /// It.
    pub(super) value: Value,
    /// Share of the rows that have it there.
    pub(super) share: f64,
}

impl Documents {
    /// The documents of a column; `None` when the statistics hold none.
    pub(super) fn of(column: &Column) -> Option<Self> {
        let stats = column
            .stats
            .as_ref()
            .filter(|_| matches!(column.base_type.as_str(), "json" | "jsonb"))?;
        let parse = |text: &String| serde_json::from_str::<Value>(text).ok();
        let common = stats.common_values.iter().zip(&stats.common_frequencies);
        let mut documents: Vec<(Value, f64)> =
            common.filter_map(|(text, share)| Some((parse(text)?, *share))).collect();
        let rest =
            (1.0 - stats.null_fraction - stats.common_frequencies.iter().sum::<f64>()).max(0.0);
        let each = rest / stats.histogram.len().max(1) as f64;
        documents.extend(stats.histogram.iter().filter_map(|text| Some((parse(text)?, each))));
        (!documents.is_empty()).then_some(Self { documents })
    }

    /// Scalars at a path, equal ones together, those that most rows have first. `None` in the path stands for any key.
    pub(super) fn leaves(&self, path: &[Option<&str>]) -> Vec<Leaf> {
        let mut leaves: Vec<Leaf> = Vec::new();
        for (document, share) in &self.documents {
            let mut here = Vec::new();
            descend(document, path, &mut Vec::new(), &mut here);
            for (keys, value) in here {
                match leaves.iter_mut().find(|leaf| leaf.keys == keys && leaf.value == *value) {
                    Some(leaf) => leaf.share += share,
                    None => leaves.push(Leaf { keys, value: value.clone(), share: *share }),
                }
            }
        }
        leaves.sort_by(|one, other| other.share.total_cmp(&one.share));
        leaves
    }

    /// Keys of the objects at a path with the share of rows that have them, most common first.
    pub(super) fn keys(&self, path: &[Option<&str>]) -> Vec<(String, f64)> {
        let mut keys: Vec<(String, f64)> = Vec::new();
        for (document, share) in &self.documents {
            let mut objects = Vec::new();
            objects_at(document, path, &mut objects);
            for key in objects.into_iter().flat_map(|object| object.keys()) {
                match keys.iter_mut().find(|(known, _)| known == key) {
                    Some((_, total)) => *total += share,
                    None => keys.push((key.clone(), *share)),
                }
            }
        }
        keys.sort_by(|one, other| other.1.total_cmp(&one.1));
        keys
    }
}

fn child<'d>(value: &'d Value, key: &str) -> Option<&'d Value> {
    match value {
        Value::Object(object) => object.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

fn descend<'d>(
    value: &'d Value,
    path: &[Option<&str>],
    keys: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, &'d Value)>,
) {
    match path {
        [] if !value.is_object() && !value.is_array() && !value.is_null() => {
            found.push((keys.clone(), value));
        }
        [] => {}
        [Some(key), rest @ ..] => {
            if let Some(inner) = child(value, key) {
                keys.push((*key).to_owned());
                descend(inner, rest, keys, found);
                keys.pop();
            }
        }
        [None, rest @ ..] => {
            for (key, inner) in value.as_object().into_iter().flatten() {
                keys.push(key.clone());
                descend(inner, rest, keys, found);
                keys.pop();
            }
        }
    }
}

fn objects_at<'d>(
    value: &'d Value,
    path: &[Option<&str>],
    found: &mut Vec<&'d serde_json::Map<String, Value>>,
) {
    match path {
        [] => found.extend(value.as_object()),
        [Some(key), rest @ ..] => {
            if let Some(inner) = child(value, key) {
                objects_at(inner, rest, found);
            }
        }
        [None, rest @ ..] => {
            for inner in value.as_object().into_iter().flat_map(|object| object.values()) {
                objects_at(inner, rest, found);
            }
        }
    }
}

/// A scalar as `->>` prints it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Share of the rows whose document has `value` (as `->>` prints it) at `path`, estimated from the sampled
/// documents; `None` when there are none.
pub fn json_share(column: &Column, path: &[String], value: &str) -> Option<f64> {
    let documents = Documents::of(column)?;
    let path: Vec<Option<&str>> = path.iter().map(|key| Some(key.as_str())).collect();
    Some(
        documents
            .leaves(&path)
            .iter()
            .filter(|leaf| text(&leaf.value) == value)
            .map(|leaf| leaf.share)
            .sum(),
    )
}

/// Share of the rows whose document has the most common value at `path`; `None` when there are no documents.
pub fn json_most_common(column: &Column, path: &[String]) -> Option<f64> {
    let path: Vec<Option<&str>> = path.iter().map(|key| Some(key.as_str())).collect();
    let leaves = Documents::of(column)?.leaves(&path);
    Some(leaves.first().map_or(0.0, |leaf| leaf.share))
}

/// Bytes of the longest value, as `->>` prints it, at `path` in the sampled documents; `None` when none has one.
pub fn json_longest(column: &Column, path: &[String]) -> Option<usize> {
    let at = |document| path.iter().try_fold(document, |value, key| child(value, key));
    let documents = Documents::of(column)?.documents;
    documents.iter().filter_map(|(document, _)| Some(text(at(document)?).len())).max()
}

#[cfg(test)]
mod tests {
    use super::{Documents, json_share};
    use crate::testing;

    fn column() -> crate::snapshot::Column {
        let mut snapshot = testing::snapshot("t(doc jsonb) 1000");
        let common = [(r#"{"theme": "dark", "n": 5}"#, 0.4), (r#"{"theme": "light"}"#, 0.2)];
        let histogram = [
            r#"{"theme": "dark", "deep": {"a": true}}"#,
            r#"{"theme": "blue", "deep": {"a": false}}"#,
            "not json",
            "[1, 2]",
        ];
        testing::set_stats(&mut snapshot, "t.doc", testing::stats(-0.5, &common, &histogram));
        snapshot.tables[0].columns[0].clone()
    }

    #[test]
    fn shares_are_reckoned_from_the_documents() {
        let share = |path: &[&str], value: &str| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            json_share(&column(), &path, value).unwrap()
        };
        assert!((share(&["theme"], "dark") - 0.5).abs() < 1e-9);
        assert!((share(&["n"], "5") - 0.4).abs() < 1e-9);
        assert!((share(&["deep", "a"], "true") - 0.1).abs() < 1e-9);
        assert!(share(&["theme"], "none") < 1e-9);
        let snapshot = testing::snapshot("t(doc jsonb, name text)");
        assert_eq!(json_share(&snapshot.tables[0].columns[0], &[], "x"), None);
    }

    #[test]
    fn keys_and_leaves_are_found() {
        let documents = Documents::of(&column()).unwrap();
        let keys: Vec<String> = documents.keys(&[]).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["theme", "n", "deep"]);
        let leaves = documents.leaves(&[None]);
        assert_eq!((leaves[0].keys[0].as_str(), leaves[0].value.as_str()), ("theme", Some("dark")));
        assert_eq!(documents.leaves(&[None, Some("a")]).len(), 2);
    }
}
