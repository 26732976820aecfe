//! Keys and values of JSON comparisons: they are chosen together, since a value of one key is none of another.

use std::collections::BTreeMap;

use super::distribution::Scenario;
use super::json::{self, Documents};
use super::types::{ParameterType, array};
use super::values::{Binder, LIST, Valued};
use crate::statement::{
    Comparison, JsonPath, ParameterRole, PathStep, RelationId, Target, json_path,
};

impl Binder<'_> {
    /// Whether scenarios ask for different keys: then none of them stands for the others, since an index on one
    /// key does not serve another.
    pub(super) fn keys_differ(&self) -> bool {
        let key = |number: u16| {
            self.analysis
                .parameters
                .get(&number)
                .is_some_and(|used| used.role == ParameterRole::JsonKey)
        };
        let keys = |choice: &BTreeMap<u16, Valued>| -> Vec<String> {
            choice
                .iter()
                .filter(|(number, _)| key(**number))
                .map(|(_, (value, _))| value.clone())
                .collect()
        };
        let [one, other, third] = &self.json;
        keys(one) != keys(other) || keys(one) != keys(third)
    }

    /// Keys and values of JSON comparisons.
    pub(super) fn json_choices(&self) -> [BTreeMap<u16, Valued>; 3] {
        let mut choices: [BTreeMap<u16, Valued>; 3] = Default::default();
        for (number, used) in &self.analysis.parameters {
            for comparison in &used.compared {
                if used.role != ParameterRole::JsonKey {
                    self.json_pair(*number, comparison, &mut choices);
                }
            }
        }
        for (number, used) in &self.analysis.parameters {
            if used.role == ParameterRole::JsonKey
                && let Some(comparison) = used.compared.first()
            {
                self.json_key(*number, comparison, &mut choices);
            }
        }
        choices
    }

    /// The value compared with a JSON path, and the keys of that path that are parameters.
    fn json_pair(
        &self,
        number: u16,
        comparison: &Comparison,
        choices: &mut [BTreeMap<u16, Valued>; 3],
    ) {
        let Target::Expression(expression) = &comparison.target else { return };
        let Some(path) = json_path(&expression.sql).filter(|path| !path.steps.is_empty()) else {
            return;
        };
        let Some(parameter) = self.types.get(usize::from(number) - 1) else { return };
        let Some(leaves) = self.leaves(comparison.relation, &path, &parameter.scalar()) else {
            return;
        };
        for (scenario, choice) in Scenario::ALL.into_iter().zip(choices) {
            let Some(leaf) = leaves.get(scenario.index().min(leaves.len() - 1)) else { continue };
            let value = json::text(&leaf.value);
            let value = if comparison.any || parameter.is_array() {
                let same_keys = leaves
                    .iter()
                    .filter(|other| other.keys == leaf.keys)
                    .map(|other| json::text(&other.value));
                let values: Vec<String> = same_keys.take(LIST).collect();
                array(values.iter().map(String::as_str))
            } else {
                value
            };
            choice.entry(number).or_insert((value, leaf.share.max(1e-9)));
            for (step, key) in path.steps.iter().zip(&leaf.keys) {
                if let PathStep::Parameter(step) = step {
                    choice.entry(*step).or_insert((self.as_key(*step, key), 1.0));
                }
            }
        }
    }

    /// A key as its parameter wants it: `#>>` takes an array of keys.
    fn as_key(&self, number: u16, key: &str) -> String {
        let array_wanted =
            self.types.get(usize::from(number) - 1).is_some_and(ParameterType::is_array);
        if array_wanted { array([key]) } else { key.to_owned() }
    }

    /// Scalars at a path in the order in which scenarios take them: one for each key first, best first.
    pub(super) fn leaves(
        &self,
        relation: RelationId,
        path: &JsonPath,
        wanted: &ParameterType,
    ) -> Option<Vec<json::Leaf>> {
        let table = self.table(relation)?;
        let documents = Documents::of(table.column(&path.column)?)?;
        let steps: Vec<Option<&str>> = path
            .steps
            .iter()
            .map(|step| match step {
                PathStep::Key(key) => Some(key.as_str()),
                PathStep::Parameter(_) => None,
            })
            .collect();
        let mut leaves = documents.leaves(&steps);
        leaves.retain(|leaf| wanted.category == 'S' || wanted.takes(&json::text(&leaf.value)));
        if let Some(observed) = self.observed_share() {
            let distance = |leaf: &json::Leaf| (leaf.share.max(1e-9) / observed).ln().abs();
            leaves.sort_by(|one, other| distance(one).total_cmp(&distance(other)));
        }
        let mut first: Vec<json::Leaf> = Vec::new();
        let mut further: Vec<json::Leaf> = Vec::new();
        for leaf in leaves {
            if first.iter().any(|other| other.keys == leaf.keys) {
                &mut further
            } else {
                &mut first
            }
            .push(leaf);
        }
        if let [only] = first.as_slice() {
            // One key: its most common value, one from the middle, the rarest.
            let (middle, last) = (further.len() / 2, further.len().saturating_sub(1));
            let picked: Vec<json::Leaf> =
                [middle, last].iter().filter_map(|index| further.get(*index)).cloned().collect();
            let rest = further
                .iter()
                .filter(|leaf| !picked.iter().any(|other| other.value == leaf.value))
                .cloned();
            first =
                std::iter::once(only.clone()).chain(picked.iter().cloned()).chain(rest).collect();
        } else {
            first.extend(further);
        }
        (!first.is_empty()).then_some(first)
    }

    /// A key that no value depends on.
    fn json_key(
        &self,
        number: u16,
        comparison: &Comparison,
        choices: &mut [BTreeMap<u16, Valued>; 3],
    ) {
        let sql = match &comparison.target {
            Target::Column(name) => crate::quote::ident(name),
            Target::Expression(expression) => expression.sql.clone(),
        };
        let Some(path) = json_path(&sql) else { return };
        let Some(documents) = self
            .table(comparison.relation)
            .and_then(|table| Documents::of(table.column(&path.column)?))
        else {
            return;
        };
        for choice in choices {
            let known = choice.clone();
            let steps: Vec<Option<&str>> = path
                .steps
                .iter()
                .map(|step| match step {
                    PathStep::Key(key) => Some(key.as_str()),
                    PathStep::Parameter(number) => known.get(number).map(|(key, _)| key.as_str()),
                })
                .collect();
            if let Some((key, _)) = documents.keys(&steps).first() {
                choice.entry(number).or_insert((self.as_key(number, key), 1.0));
            }
        }
    }
}

impl ParameterType {
    /// The type of a single value: that of an element, for an array.
    fn scalar(&self) -> Self {
        if self.is_array() { self.element_type() } else { self.clone() }
    }
}
