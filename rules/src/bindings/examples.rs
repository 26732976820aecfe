//! Values out of real executions.

use std::collections::BTreeMap;

use super::types::{ParameterType, array};
use crate::snapshot::Statement;
use crate::statement::{Literals, align, repair};

/// What the examples of a statement put in place of the repaired text's parameters, for each example that matches,
/// with the number of calls that it stands for.
pub(super) fn literals(statement: &Statement) -> Vec<(BTreeMap<u16, Literals>, u64)> {
    if statement.examples.is_empty() {
        return Vec::new();
    }
    let numbers = repair(&statement.text).parameters;
    let renumbered = |found: BTreeMap<u16, Literals>| -> BTreeMap<u16, Literals> {
        found.into_iter().filter_map(|(old, values)| Some((*numbers.get(&old)?, values))).collect()
    };
    statement
        .examples
        .iter()
        .filter_map(|example| {
            Some((renumbered(align(&statement.text, &example.text)?), example.times))
        })
        .collect()
}

/// Full sets of values, each once with the number of its calls, the most frequent first; what an example does not tell is taken from `otherwise`.
pub(super) fn read(
    statement: &Statement,
    types: &[ParameterType],
    otherwise: &[Option<String>],
) -> Vec<(Vec<Option<String>>, u64)> {
    let mut sets: Vec<(Vec<Option<String>>, u64)> = Vec::new();
    for (found, times) in literals(statement) {
        let of = |(number, parameter): (u16, &ParameterType)| {
            let told = found.get(&number).and_then(|values| value(values, parameter));
            (
                told.is_some(),
                told.or_else(|| otherwise.get(usize::from(number) - 1).cloned().flatten()),
            )
        };
        let values: Vec<(bool, Option<String>)> = (1..=u16::MAX).zip(types).map(of).collect();
        let told = values.iter().any(|(told, _)| *told);
        let values: Vec<Option<String>> = values.into_iter().map(|(_, value)| value).collect();
        match sets.iter_mut().find(|(known, _)| *known == values) {
            Some((_, calls)) => *calls += times,
            None if told => sets.push((values, times)),
            None => {}
        }
    }
    sets.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    sets
}

/// The literals as a value of the type; NULL is not used, since it makes plans of strict comparisons empty.
fn value(literals: &Literals, parameter: &ParameterType) -> Option<String> {
    let first = literals.first()?.as_deref()?;
    if parameter.is_array() && !(literals.len() == 1 && first.starts_with('{')) {
        return Some(array(literals.iter().flatten().map(String::as_str)));
    }
    // Where a type was lost and an integer put in its place, the literal may have been another number. All else
    // the server took before.
    let fits = !matches!(
        parameter.name.as_str(),
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8"
    ) || parameter.takes(first);
    fits.then(|| first.to_owned())
}
