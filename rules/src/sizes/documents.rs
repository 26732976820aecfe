//! The entries that GIN makes of jsonb documents (`src/backend/utils/adt/jsonb_gin.c`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::capacity::capacity;
use super::kind::Kind;
use super::samples::Samples;
use crate::size::entries::{Entries, Law, Seen, sampled_entries};

/// Longest key or string that is an entry itself; longer ones are hashed to eight digits (`JGIN_MAXLENGTH`).
const TEXT_MAX: usize = 125;
/// Bytes of an entry of `jsonb_path_ops`, a hash of path and value.
const HASH_BYTES: f64 = 4.0;
/// Groups that are compared with each other; beyond, each stands for itself.
const COMPARED_MAX: usize = 64;
/// Numbers that two groups must have for their ranges to be compared.
const NUMBERS_MIN: usize = 10;
/// The group of all object keys.
const KEYS: &str = "";
/// Depth to which documents are followed.
const DEPTH_MAX: usize = 32;

/// Entries of one document: each with the group of those that are drawn from the same values.
type Found = BTreeSet<(String, String)>;

/// The entries of a column's documents under `jsonb_path_ops` or else `jsonb_ops`.
pub(super) fn document_entries(samples: &Samples, paths: bool, rows: f64) -> Vec<Entries> {
    let taken = |text: &str| {
        let mut found = Found::new();
        if let Ok(document) = serde_json::from_str::<Json>(text) {
            take(&document, "$", paths, 0, &mut found);
        }
        found
    };
    let common: Vec<(Found, f64)> = samples
        .common
        .iter()
        .filter_map(|(value, share)| Some((taken(value.as_deref()?), *share)))
        .collect();
    let rest: Vec<Found> = samples.rest.iter().flatten().map(|text| taken(text)).collect();
    let groups = groups(common.iter().map(|(found, _)| found).chain(&rest), paths);
    let mut seen: BTreeMap<usize, BTreeMap<&str, Seen>> = BTreeMap::new();
    let common_documents = common.iter().map(|(found, share)| (found, Some(*share)));
    for (found, share) in common_documents.chain(rest.iter().map(|found| (found, None))) {
        let distinct: BTreeSet<(usize, &str)> =
            found.iter().map(|(group, text)| (groups[group], text.as_str())).collect();
        for (group, text) in distinct {
            let one = seen.entry(group).or_default().entry(text).or_default();
            one.bytes = if paths { HASH_BYTES } else { text_bytes(text) };
            match share {
                Some(share) => one.common += share,
                None => one.count += 1,
            }
        }
    }
    let entries = |group: &BTreeMap<&str, Seen>| {
        let all: Vec<Seen> = group.values().copied().collect();
        sampled_entries(
            &all,
            samples.sample(rows),
            capacity(Kind::Text, group.keys().copied()),
            Law::Fitted,
        )
    };
    seen.values().flat_map(entries).collect()
}

/// Bytes of an entry of `jsonb_ops`: a header, a flag for its type, and its text.
fn text_bytes(text: &str) -> f64 {
    2.0 + if text.len() > TEXT_MAX { 8.0 } else { text.len() as f64 }
}

/// Takes a document apart. Array elements share the path of their array, since they are alike.
fn take(value: &Json, path: &str, paths: bool, depth: usize, found: &mut Found) {
    if depth > DEPTH_MAX {
        return;
    }
    // Truths and null are few and the same everywhere, unless their path counts.
    let (group, text) = match value {
        Json::Object(fields) => {
            for (key, value) in fields {
                if !paths {
                    found.insert((KEYS.to_owned(), key.clone()));
                }
                take(value, &format!("{path}.{key}"), paths, depth + 1, found);
            }
            return;
        }
        Json::Array(list) => {
            return list.iter().for_each(|item| take(item, path, paths, depth + 1, found));
        }
        Json::Bool(_) | Json::Null if !paths => ("b".to_owned(), value.to_string()),
        Json::Number(number) => (format!("n{path}"), number.to_string()),
        Json::String(text) => (format!("s{path}"), text.clone()),
        other => (format!("b{path}"), other.to_string()),
    };
    found.insert((group, text));
}

/// A number for each group, the same for groups that draw from the same values.
fn groups<'f>(documents: impl Iterator<Item = &'f Found>, paths: bool) -> BTreeMap<String, usize> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut holders: BTreeMap<&str, u32> = BTreeMap::new();
    for found in documents {
        let mut last = None;
        for (group, text) in found {
            values.entry(group).or_default().insert(text);
            if last != Some(group) {
                *holders.entry(group).or_default() += 1;
                last = Some(group);
            }
        }
    }
    let mut numbers = BTreeMap::new();
    let mut heads: Vec<&BTreeSet<&str>> = Vec::new();
    let mut rare: BTreeMap<String, usize> = BTreeMap::new();
    let mut next = 0;
    for (group, texts) in &values {
        // A path that one document alone has ends in a key that is data itself.
        if holders[group] == 1 && values.len() > 1 {
            let parent = group.rsplit_once('.').map_or(*group, |(parent, _)| parent);
            let number = *rare.entry(parent.to_owned()).or_insert_with(|| {
                next += 1;
                next - 1
            });
            numbers.insert((*group).to_owned(), number);
            heads.resize(next, texts);
            continue;
        }
        let same = |head: &&BTreeSet<&str>| alike(head, texts);
        let merged = !paths && *group != KEYS && heads.len() <= COMPARED_MAX;
        let number = merged.then(|| heads.iter().position(same)).flatten().unwrap_or_else(|| {
            heads.push(texts);
            next += 1;
            next - 1
        });
        numbers.insert((*group).to_owned(), number);
    }
    numbers
}

/// Whether two sets of values look as if drawn from the same: several in common, or numbers from the same range.
fn alike(one: &BTreeSet<&str>, other: &BTreeSet<&str>) -> bool {
    let common = one.intersection(other).count();
    if common >= 2 && common * 5 >= one.len().min(other.len()) {
        return true;
    }
    let range = |texts: &BTreeSet<&str>| {
        let numbers =
            texts.iter().map(|text| text.parse::<f64>().ok()).collect::<Option<Vec<f64>>>()?;
        let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (numbers.len() >= NUMBERS_MIN).then_some((low, high))
    };
    let (Some(one), Some(other)) = (range(one), range(other)) else { return false };
    let shared = one.1.min(other.1) - one.0.max(other.0);
    shared > 0.5 * (one.1 - one.0).max(other.1 - other.0)
}

#[cfg(test)]
mod tests {
    use super::{Entries, Samples, document_entries};

    fn samples(documents: impl Iterator<Item = String>) -> Samples {
        let rest: Vec<_> = documents.map(Some).collect();
        Samples { common: Vec::new(), rest, rest_share: 1.0 }
    }

    fn count(samples: &Samples, paths: bool) -> f64 {
        let held = |entry: &Entries| entry.values * -(-1e6 * entry.share).exp_m1();
        document_entries(samples, paths, 1e6).iter().map(held).sum()
    }

    #[test]
    fn keys_and_values_are_entries_and_paths_are_not() {
        let few = samples(
            (0..100)
                .map(|i| format!(r#"{{"kind": "k{}", "ok": true, "tags": ["a", "b"]}}"#, i % 4)),
        );
        // Three keys, four kinds, true, and two tags, which are keys too but seen as values of their own.
        assert!((count(&few, false) - 10.0).abs() < 0.5);
        assert!((count(&few, true) - 7.0).abs() < 0.5);
    }

    #[test]
    fn what_differs_in_every_document_is_taken_as_unique() {
        let mixed = samples((0..100_u64).map(|i| {
            let unique = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            format!(r#"{{"id": "{unique:016x}", "n": {}}}"#, i * 37 % 1000)
        }));
        assert!((count(&mixed, true) / 1e6 - 1.0).abs() < 0.01);
    }

    #[test]
    fn keys_that_are_data_stand_for_many_others() {
        let keyed = samples((0..100_u64).map(|i| {
            format!(
                r#"{{"by_user": {{"u{:x}": {}}}}}"#,
                i.wrapping_mul(0x9E37_79B9_7F4A_7C15),
                i % 2
            )
        }));
        assert!(count(&keyed, false) > 1e5);
    }
}
