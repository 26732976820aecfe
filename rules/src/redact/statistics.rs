//! The values of statistics.

use super::class::{Class, of_named};
use super::container;
use super::line::Point;
use super::scalar;
use super::visit::{Site, Visitor, value, values};
use super::{ColumnKey, Facts};
use crate::blueprint::{Blueprint, Distribution};
use crate::snapshot::{ColumnStats, Snapshot, Table};

/// Statistics of the snapshot's columns.
pub(super) fn tables(snapshot: &mut Snapshot, facts: &Facts, visitor: &mut dyn Visitor) {
    for table in &mut snapshot.tables {
        for column in &mut table.columns {
            let class = Class::of_column(column, facts);
            let key = (table.schema.clone(), table.name.clone(), column.name.clone());
            if let Some(stats) = &mut column.stats {
                column_stats(stats, class.as_ref(), &key, visitor);
            }
        }
        combinations(table, facts, visitor);
    }
}

/// The values that occur together; a combination of which one cannot be replaced is left out.
fn combinations(table: &mut Table, facts: &Facts, visitor: &mut dyn Visitor) {
    let mut all = std::mem::take(&mut table.combinations);
    for combination in &mut all {
        let keys: Vec<ColumnKey> = combination
            .columns
            .iter()
            .map(|column| (table.schema.clone(), table.name.clone(), column.clone()))
            .collect();
        let class = |name: &String| Class::of_column(table.column(name)?, facts);
        let classes: Vec<Option<Class>> = combination.columns.iter().map(class).collect();
        let mut row = |values: &[Option<String>]| -> Option<Vec<Option<String>>> {
            (values.len() == classes.len()).then_some(())?;
            let one = |((text, class), key): ((&Option<String>, &Option<Class>), &ColumnKey)| {
                let site = Site { column: Some(key), literal: false };
                match text {
                    None => Some(None),
                    Some(text) => value(visitor, class.as_ref()?, site, text).map(Some),
                }
            };
            values.iter().zip(&classes).zip(&keys).map(one).collect()
        };
        combination.rows = combination
            .rows
            .iter()
            .filter_map(|(values, share)| Some((row(values)?, *share)))
            .collect();
    }
    table.combinations = all;
}

fn column_stats(
    stats: &mut ColumnStats,
    class: Option<&Class>,
    key: &ColumnKey,
    visitor: &mut dyn Visitor,
) {
    let common = plain(&stats.common_values, class, key, visitor);
    let histogram = plain(&stats.histogram, class, key, visitor);
    let elements = plain(&stats.common_elements, class.map(Class::element), key, visitor);
    if common.is_none() || histogram.is_none() || elements.is_none() {
        visitor.left_out(named(key));
    }
    if common.is_none() {
        stats.common_frequencies.clear();
    }
    if elements.is_none() {
        stats.element_frequencies.clear();
    }
    stats.common_values = common.unwrap_or_default();
    stats.histogram = histogram.unwrap_or_default();
    stats.common_elements = elements.unwrap_or_default();
    if class == Some(&Class::Lexemes) {
        sort_words(&mut stats.common_elements, &mut stats.element_frequencies);
    }
}

/// The replacements of values that are never NULL.
fn plain(
    all: &[String],
    class: Option<&Class>,
    key: &ColumnKey,
    visitor: &mut dyn Visitor,
) -> Option<Vec<String>> {
    if all.is_empty() {
        return Some(Vec::new());
    }
    let site = Site { column: Some(key), literal: false };
    all.iter().map(|text| value(visitor, class?, site, text)).collect()
}

/// `ts_typanalyze` stores words by length, then bytes, and the planner searches them by halves.
fn sort_words<F: Copy>(words: &mut [String], frequencies: &mut [F]) {
    if frequencies.len() < words.len() {
        return;
    }
    let mut both: Vec<(String, F)> =
        words.iter().cloned().zip(frequencies.iter().copied()).collect();
    both.sort_by(|(one, _), (other, _)| (one.len(), one).cmp(&(other.len(), other)));
    for (place, (word, frequency)) in both.into_iter().enumerate() {
        (words[place], frequencies[place]) = (word, frequency);
    }
}

/// What the blueprint holds of values.
pub(super) fn blueprint(snapshot: &mut Snapshot, facts: &Facts, visitor: &mut dyn Visitor) {
    let Some(mut blueprint) = snapshot.blueprint.take() else { return };
    for row in &mut blueprint.statistics {
        let key = (row.schema.clone(), row.relation.clone(), row.column.clone());
        let class = of_named(snapshot, facts, &key);
        distribution(&mut row.values, class.as_ref(), &key, visitor);
    }
    for end in &mut blueprint.ends {
        let key = (end.schema.clone(), end.table.clone(), end.column.clone());
        let class = of_named(snapshot, facts, &key);
        let site = Site { column: Some(&key), literal: false };
        for bound in [&mut end.low, &mut end.high] {
            let replaced = bound.as_ref().map(|text| value(visitor, class.as_ref()?, site, text));
            if replaced == Some(None) {
                visitor.left_out(named(&key));
            }
            *bound = replaced.flatten();
        }
    }
    extended(&mut blueprint, facts, visitor);
    snapshot.blueprint = Some(blueprint);
}

fn extended(blueprint: &mut Blueprint, facts: &Facts, visitor: &mut dyn Visitor) {
    for object in &mut blueprint.extended {
        let key = (object.schema.clone(), object.name.clone(), String::new());
        let site = Site { column: None, literal: false };
        let types = facts.extended.get(&(object.schema.clone(), object.name.clone()));
        let classes: Vec<Option<Class>> =
            types.into_iter().flatten().map(|of| Class::of(of, &facts.enums)).collect();
        let mut combination = |all: &[Option<String>]| -> Option<Vec<Option<String>>> {
            (all.len() == classes.len()).then_some(())?;
            let one = |(text, class): (&Option<String>, &Option<Class>)| match text {
                None => Some(None),
                Some(text) => value(visitor, class.as_ref()?, site, text).map(Some),
            };
            all.iter().zip(&classes).map(one).collect()
        };
        let replaced: Option<Vec<_>> =
            object.common.iter().map(|common| combination(&common.values)).collect();
        if let Some(replaced) = replaced {
            for (common, values) in object.common.iter_mut().zip(replaced) {
                common.values = values;
            }
        } else {
            object.common.clear();
            visitor.left_out(named(&key));
        }
        let first = classes.len().saturating_sub(object.expressions.len());
        for (place, expression) in object.expressions.iter_mut().enumerate() {
            let class = classes.get(first + place).and_then(Option::as_ref);
            distribution(expression, class, &key, visitor);
        }
    }
}

fn distribution(
    values: &mut Distribution,
    class: Option<&Class>,
    key: &ColumnKey,
    visitor: &mut dyn Visitor,
) {
    let had = |values: &Distribution| {
        [&values.common_values, &values.histogram, &values.common_elements, &values.range_bounds]
            .map(Option::is_some)
    };
    let before = had(values);
    for slot in [&mut values.common_values, &mut values.histogram] {
        *slot = slot.take().and_then(|literal| array(&literal, class, key, visitor));
    }
    if values.common_values.is_none() {
        values.common_frequencies.clear();
    }
    let element = class.map(Class::element);
    let elements = values.common_elements.take();
    values.common_elements = elements.and_then(|literal| array(&literal, element, key, visitor));
    if values.common_elements.is_none() {
        values.element_frequencies.clear();
    } else if class == Some(&Class::Lexemes) {
        sort_element_literal(values);
    }
    let bounds = values.range_bounds.take();
    values.range_bounds = bounds.and_then(|literal| array(&literal, class, key, visitor));
    let lengths = values.range_lengths.take();
    values.range_lengths =
        values.range_bounds.as_deref().filter(|_| lengths.is_some()).and_then(range_lengths);
    if before != had(values) {
        visitor.left_out(named(key));
    }
}

fn array(
    literal: &str,
    class: Option<&Class>,
    key: &ColumnKey,
    visitor: &mut dyn Visitor,
) -> Option<String> {
    let site = Site { column: Some(key), literal: false };
    Some(container::array(&values(visitor, class?, site, &container::elements(literal)?)?))
}

fn sort_element_literal(values: &mut Distribution) {
    let Some(elements) = values.common_elements.as_deref().and_then(container::elements) else {
        return;
    };
    let mut words: Vec<String> = elements.into_iter().flatten().collect();
    sort_words(&mut words, &mut values.element_frequencies);
    let words: Vec<Option<String>> = words.into_iter().map(Some).collect();
    values.common_elements = Some(container::array(&words));
}

/// Lengths of ranges between these bounds, sorted: those of the originals belong to other bounds.
fn range_lengths(bounds: &str) -> Option<String> {
    let mut lengths = Vec::new();
    for range in container::elements(bounds)?.into_iter().flatten() {
        let mut ends: Vec<f64> = Vec::new();
        let _ = container::range(&range, &mut |bound| {
            let of_number = scalar::number(bound).map(Point::units);
            let seconds = |bound: &str| {
                let (point, form) = scalar::time(bound)?;
                Some(point.units() * if form.is_date() { 1.0 } else { 86_400.0 })
            };
            ends.push(of_number.or_else(|| seconds(bound))?);
            Some(String::new())
        });
        if let [low, high] = ends[..] {
            lengths.push(high - low);
        }
    }
    lengths.sort_by(f64::total_cmp);
    let lengths: Vec<Option<String>> =
        lengths.into_iter().map(|length| Some(length.to_string())).collect();
    (lengths.len() > 1).then(|| container::array(&lengths))
}

fn named((schema, relation, column): &ColumnKey) -> String {
    let relation = crate::quote::qualified(schema, relation);
    if column.is_empty() { relation } else { format!("{relation}.{}", crate::quote::ident(column)) }
}
