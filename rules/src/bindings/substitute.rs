//! Expressions with parameters, such as `metadata ->> $1`, as the concrete ones that they probably are.
//!
//! An index can be made on a concrete expression only. What is known of the parameter comes from real
//! executions, else from the documents: only a key that exists there can have been asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::examples;
use super::json::{self, Documents};
use super::values::Binder;
use super::{ParameterType, json_share};
use crate::snapshot::{Snapshot, Statement};
use crate::statement::{
    Analysis, Expression, JsonPath, Operand, PathStep, Predicate, PredicateClass, RelationId,
    Target, json_path, with_literals,
};

/// Concrete expressions that are kept of one.
const KEPT: usize = 5;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueSource {
    /// A real execution.
    Example,
    /// The column's statistics.
    Statistics,
}

/// An expression without parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Concrete {
    /// Its SQL.
    pub sql: String,
    /// The values in it, by parameter.
    pub values: BTreeMap<u16, String>,
    /// How probable it is that the statement asks for this one, 0 to 1. What is missing to 1 is not known.
    pub probability: f64,
    /// Share of the rows that have the value compared with it (or, where that is not known, its most common one).
    pub share: Option<f64>,
    /// Where the values come from.
    pub source: ValueSource,
}

/// The concrete expressions that `expression` of `relation` probably is, most probable first.
///
/// Without parameters it is itself. Every other needs examples, or a JSON path into documents that were sampled.
pub fn substitute(
    expression: &Expression,
    relation: RelationId,
    analysis: &Analysis,
    statement: &Statement,
    snapshot: &Snapshot,
) -> Vec<Concrete> {
    if expression.parameters.is_empty() {
        let share = compared(expression, relation, analysis).find_map(|predicate| match &predicate
            .operand
        {
            Operand::Constant(value) => {
                share_of(expression, &BTreeMap::new(), relation, value, analysis, snapshot)
            }
            _ => None,
        });
        let sql = expression.sql.clone();
        return vec![Concrete {
            sql,
            values: BTreeMap::new(),
            probability: 1.0,
            share,
            source: ValueSource::Statistics,
        }];
    }
    let mut found = from_examples(expression, relation, analysis, statement, snapshot);
    let told: f64 = found.iter().map(|concrete| concrete.probability).sum();
    for mut concrete in from_documents(expression, relation, analysis, statement, snapshot) {
        concrete.probability *= 1.0 - told;
        match found.iter_mut().find(|other| other.sql == concrete.sql) {
            Some(other) => other.probability += concrete.probability,
            None => found.push(concrete),
        }
    }
    if found.is_empty() {
        found.extend(from_settings(expression, snapshot));
    }
    found.sort_by(|one, other| {
        other.probability.total_cmp(&one.probability).then_with(|| one.sql.cmp(&other.sql))
    });
    found.truncate(KEPT);
    found
}

/// Share of the rows from which an index on an expression is not worth its while without a LIMIT.
pub const SHARE_MAX: f64 = 0.2;

/// Concrete expressions, with the table's oid, of which a binding wants a value that too many rows have for an index,
/// by the sampled documents. The planner does not know it: it has no statistics of an expression before it is indexed.
pub fn unselective(
    analysis: &Analysis,
    snapshot: &Snapshot,
    values: &[Option<String>],
) -> Vec<(u32, String)> {
    let value = |number: u16| values.get(usize::from(number).checked_sub(1)?)?.clone();
    let wide = |predicate: &Predicate| {
        let Target::Expression(expression) = &predicate.target else { return None };
        let relation = analysis.relations.get(predicate.relation)?;
        let block = analysis.blocks.get(relation.block)?;
        if predicate.class != PredicateClass::Equality
            || predicate.alternative.is_some()
            || (block.limit.is_some() && !block.aggregates)
        {
            return None;
        }
        let wanted = match &predicate.operand {
            Operand::Parameter(number) => value(*number)?,
            Operand::Constant(constant) => constant.clone(),
            _ => return None,
        };
        let constants = expression.parameters.iter().map(|number| Some((*number, value(*number)?)));
        let constants: BTreeMap<u16, String> = constants.collect::<Option<_>>()?;
        let share =
            share_of(expression, &constants, predicate.relation, &wanted, analysis, snapshot)?;
        let sql = with_literals(&expression.sql, &constants)?;
        (share > SHARE_MAX).then_some((relation.table, sql))
    };
    analysis.predicates.iter().filter_map(wide).collect()
}

/// Predicates on the expression.
fn compared<'a>(
    expression: &'a Expression,
    relation: RelationId,
    analysis: &'a Analysis,
) -> impl Iterator<Item = &'a Predicate> {
    analysis.predicates.iter().filter(move |predicate| {
        predicate.relation == relation
            && matches!(&predicate.target, Target::Expression(other) if other == expression)
    })
}

/// The path with keys in place of its parameters.
fn keys(path: &JsonPath, values: &BTreeMap<u16, String>) -> Option<Vec<String>> {
    let key = |step: &PathStep| match step {
        PathStep::Key(key) => Some(key.clone()),
        PathStep::Parameter(number) => values.get(number).cloned(),
    };
    path.steps.iter().map(key).collect()
}

fn share_of(
    expression: &Expression,
    values: &BTreeMap<u16, String>,
    relation: RelationId,
    value: &str,
    analysis: &Analysis,
    snapshot: &Snapshot,
) -> Option<f64> {
    let path = json_path(&expression.sql).filter(|path| !path.steps.is_empty())?;
    let table = snapshot.table(analysis.relations.get(relation)?.table)?;
    json_share(table.column(&path.column)?, &keys(&path, values)?, value)
}

/// The most common value at the path, where the compared one is not known.
fn most_common(
    expression: &Expression,
    values: &BTreeMap<u16, String>,
    relation: RelationId,
    analysis: &Analysis,
    snapshot: &Snapshot,
) -> Option<f64> {
    let path = json_path(&expression.sql).filter(|path| !path.steps.is_empty())?;
    let table = snapshot.table(analysis.relations.get(relation)?.table)?;
    let keys = keys(&path, values)?;
    let steps: Vec<Option<&str>> = keys.iter().map(|key| Some(key.as_str())).collect();
    Documents::of(table.column(&path.column)?)?.leaves(&steps).first().map(|leaf| leaf.share)
}

fn from_examples(
    expression: &Expression,
    relation: RelationId,
    analysis: &Analysis,
    statement: &Statement,
    snapshot: &Snapshot,
) -> Vec<Concrete> {
    let mut counted: Vec<(BTreeMap<u16, String>, u64, Option<f64>)> = Vec::new();
    let mut total = 0;
    for (literals, times) in examples::literals(statement) {
        let value = |number: &u16| literals.get(number)?.first()?.clone();
        let Some(values) = expression
            .parameters
            .iter()
            .map(|number| Some((*number, value(number)?)))
            .collect::<Option<BTreeMap<_, _>>>()
        else {
            continue;
        };
        total += times;
        let share = compared(expression, relation, analysis).find_map(|predicate| {
            let value = match &predicate.operand {
                Operand::Parameter(number) => value(number)?,
                Operand::Constant(value) => value.clone(),
                _ => return None,
            };
            share_of(expression, &values, relation, &value, analysis, snapshot)
        });
        match counted.iter_mut().find(|(other, ..)| *other == values) {
            Some((_, count, _)) => *count += times,
            None => counted.push((values, times, share)),
        }
    }
    let concrete = |(values, count, share): (BTreeMap<u16, String>, u64, Option<f64>)| {
        // One more than was seen: the next execution may ask for something else.
        let probability = count as f64 / (total + 1) as f64;
        let sql = with_literals(&expression.sql, &values)?;
        Some(Concrete { sql, values, probability, share, source: ValueSource::Example })
    };
    counted.into_iter().filter_map(concrete).collect()
}

/// Probability that a text search names the configuration that the server has as default.
const DEFAULT_CONFIGURATION: f64 = 0.6;

/// The configuration of `to_tsvector($1, …)`, where nothing else is known: the server's default.
fn from_settings(expression: &Expression, snapshot: &Snapshot) -> Option<Concrete> {
    let [number] = expression.parameters[..] else { return None };
    if !expression.sql.contains(&format!("to_tsvector(${number},")) {
        return None;
    }
    let value = snapshot.settings.get("default_text_search_config")?;
    let value = value.strip_prefix("pg_catalog.").unwrap_or(value).to_owned();
    let values = BTreeMap::from([(number, value)]);
    let sql = with_literals(&expression.sql, &values)?;
    let probability = DEFAULT_CONFIGURATION;
    Some(Concrete { sql, values, probability, share: None, source: ValueSource::Statistics })
}

/// Keys that exist in the documents; the better the rows that were observed agree with the share of a value
/// there, the more probable.
fn from_documents(
    expression: &Expression,
    relation: RelationId,
    analysis: &Analysis,
    statement: &Statement,
    snapshot: &Snapshot,
) -> Vec<Concrete> {
    let Some(path) = json_path(&expression.sql).filter(|path| !path.steps.is_empty()) else {
        return Vec::new();
    };
    let binder = Binder::new(analysis, statement, snapshot, &[]);
    let any = ParameterType {
        name: "text".to_owned(),
        kind: 'b',
        category: 'S',
        ..ParameterType::default()
    };
    let Some(leaves) = binder.leaves(relation, &path, &any) else { return Vec::new() };
    let constant =
        compared(expression, relation, analysis).find_map(|predicate| match &predicate.operand {
            Operand::Constant(value) => Some(value.clone()),
            _ => None,
        });
    let mut found: Vec<Concrete> = Vec::new();
    for leaf in leaves {
        if constant.as_ref().is_some_and(|value| *value != json::text(&leaf.value)) {
            continue;
        }
        let step = |(step, key): (&PathStep, &String)| match step {
            PathStep::Parameter(number) => Some((*number, key.clone())),
            PathStep::Key(_) => None,
        };
        let values: BTreeMap<u16, String> =
            path.steps.iter().zip(&leaf.keys).filter_map(step).collect();
        let Some(sql) = with_literals(&expression.sql, &values) else { continue };
        if found.iter().any(|other| other.sql == sql) {
            continue;
        }
        let fit = binder.observed_share().map_or(leaf.share, |observed| {
            (1.0 + (leaf.share.max(1e-9) / observed).ln().abs()).powi(-2)
        });
        let known = most_common(expression, &values, relation, analysis, snapshot);
        let share = if binder.observed_share().is_some() { Some(leaf.share) } else { known };
        found.push(Concrete {
            sql,
            values,
            probability: fit,
            share,
            source: ValueSource::Statistics,
        });
    }
    let total: f64 = found.iter().map(|concrete| concrete.probability).sum();
    for concrete in &mut found {
        concrete.probability /= total.max(f64::MIN_POSITIVE);
    }
    found
}
