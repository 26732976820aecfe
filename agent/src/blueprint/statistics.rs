//! Sizes, and what ANALYZE found.

use std::collections::BTreeMap;

use rules::blueprint::{
    ColumnStatistics, CommonCombination, Distribution, ExtendedStatistics, RelationShape,
};
use serde::Deserialize;

use super::{BlueprintError, read};
use crate::postgres::Session;
use crate::sampler::{Query, SampleError};

const RELATIONS: &str = include_str!("sql/relations.sql");
const STATISTICS: &str = include_str!("sql/statistics.sql");
const RANGES: Query =
    Query { about: "the statistics of ranges", sql: include_str!("sql/ranges.sql") };
const HIDDEN: Query = Query { about: "what the role may see", sql: include_str!("sql/hidden.sql") };
const EXTENDED: &str = include_str!("sql/extended.sql");
const EXPRESSIONS: Query = Query {
    about: "the statistics of expressions",
    sql: include_str!("sql/extended_expressions.sql"),
};

/// What `pg_stats` shows of ranges from version 17 on.
const RANGE_COLUMNS: &str = ", s.range_length_histogram::text AS range_lengths,\n    \
    s.range_empty_frac AS range_empty_fraction,\n    s.range_bounds_histogram::text AS range_bounds";
const SHOWS_RANGES: u32 = 17;
/// Names that a note spells out; the rest is a number.
const NAMED_MAX: usize = 20;

/// Sizes and row counts, by schema and name.
pub(super) async fn relations(session: &Session) -> Result<Vec<RelationShape>, BlueprintError> {
    read::portions(session, "the sizes", RELATIONS).await
}

#[derive(Deserialize)]
struct Sight {
    hidden: Vec<String>,
    hidden_extended: Vec<String>,
    sees_pg_statistic: bool,
    has_ranges: bool,
}

/// Statistics of a range column, for versions whose `pg_stats` does not show them.
#[derive(Deserialize)]
struct Unshown {
    schema: String,
    relation: String,
    column: String,
    inherited: bool,
    range_lengths: Option<String>,
    range_empty_fraction: Option<f32>,
    range_bounds: Option<String>,
}

/// Statistics of columns and of indexed expressions.
pub(super) async fn columns(
    session: &Session,
    notes: &mut Vec<String>,
) -> Result<Vec<ColumnStatistics>, BlueprintError> {
    let shown = session.version().major() >= SHOWS_RANGES;
    let sql = STATISTICS.replace("{ranges}", if shown { RANGE_COLUMNS } else { "" });
    let mut statistics: Vec<ColumnStatistics> =
        read::portions(session, "the statistics", &sql).await?;
    let about = HIDDEN.about;
    let hidden = read::all::<Sight>(session, &HIDDEN).await?.pop();
    let hidden = hidden.ok_or(SampleError::Nothing { about })?;
    if !hidden.hidden.is_empty() {
        notes.push(format!(
            "the role does not see the statistics of {} (no SELECT privilege, or row security): there the planner's \
             defaults take their place",
            listed(&hidden.hidden)
        ));
    }
    if !hidden.hidden_extended.is_empty() {
        notes.push(format!(
            "extended statistics are shown to the owner of their table only, so those of {} may be missing: there \
             columns count as independent",
            listed(&hidden.hidden_extended)
        ));
    }
    if !shown && hidden.has_ranges {
        if hidden.sees_pg_statistic {
            add_ranges(&mut statistics, read::all(session, &RANGES).await?);
        } else {
            notes.push(format!(
                "statistics of range columns are shown to superusers only before PostgreSQL {SHOWS_RANGES}: conditions on \
                 ranges are estimated by the planner's defaults"
            ));
        }
    }
    Ok(statistics)
}

fn add_ranges(statistics: &mut [ColumnStatistics], ranges: Vec<Unshown>) {
    type Key = (String, String, String, bool);
    let mut ranges: BTreeMap<Key, Unshown> = ranges
        .into_iter()
        .map(|of| ((of.schema.clone(), of.relation.clone(), of.column.clone(), of.inherited), of))
        .collect();
    for of in statistics {
        let key = (of.schema.clone(), of.relation.clone(), of.column.clone(), of.inherited);
        if let Some(range) = ranges.remove(&key) {
            of.values.range_lengths = range.range_lengths;
            of.values.range_empty_fraction = range.range_empty_fraction;
            of.values.range_bounds = range.range_bounds;
        }
    }
}

/// A few of the names, and how many more there are.
pub(super) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMED_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[derive(Deserialize)]
struct Extended {
    schema: String,
    name: String,
    table_schema: String,
    table: String,
    inherited: bool,
    n_distinct: Option<String>,
    dependencies: Option<String>,
    values: Vec<Vec<Option<String>>>,
    frequencies: Vec<String>,
    base_frequencies: Vec<String>,
    places: Option<BTreeMap<i32, i32>>,
}

#[derive(Deserialize)]
struct Expression {
    schema: String,
    name: String,
    inherited: bool,
    #[serde(flatten)]
    values: Distribution,
}

/// Extended statistics, with those of their expressions.
pub(super) async fn extended(session: &Session) -> Result<Vec<ExtendedStatistics>, BlueprintError> {
    let rows: Vec<Extended> = read::portions(session, "the extended statistics", EXTENDED).await?;
    let mut expressions: BTreeMap<(String, String, bool), Vec<Distribution>> = BTreeMap::new();
    for row in read::all::<Expression>(session, &EXPRESSIONS).await? {
        expressions.entry((row.schema, row.name, row.inherited)).or_default().push(row.values);
    }
    let statistics = rows.into_iter().map(|row| {
        let places = row.places.clone().unwrap_or_default();
        let key = (row.schema.clone(), row.name.clone(), row.inherited);
        ExtendedStatistics {
            n_distinct: row.n_distinct.as_deref().map(|text| renumber(text, &places)),
            dependencies: row.dependencies.as_deref().map(|text| renumber(text, &places)),
            common: combinations(&row),
            expressions: expressions.remove(&key).unwrap_or_default(),
            schema: row.schema,
            name: row.name,
            table_schema: row.table_schema,
            table: row.table,
            inherited: row.inherited,
        }
    });
    Ok(statistics.collect())
}

fn combinations(row: &Extended) -> Vec<CommonCombination> {
    let number = |text: &String| text.parse().unwrap_or_default();
    let both = row.frequencies.iter().zip(&row.base_frequencies);
    let combination = |(values, (frequency, base)): (&Vec<Option<String>>, (&String, &String))| {
        CommonCombination {
            values: values.clone(),
            frequency: number(frequency),
            base_frequency: number(base),
        }
    };
    row.values.iter().zip(both).map(combination).collect()
}

/// Column numbers within the keys of `{"1, 3": 100, "1 => 3": 0.9}` as a table without its dropped columns
/// counts them. Expressions have negative numbers and keep them.
fn renumber(text: &str, places: &BTreeMap<i32, i32>) -> String {
    let renamed = |(at, part): (usize, &str)| {
        // Every second piece between double quotes is a key.
        if at % 2 == 0 { part.to_owned() } else { renumber_key(part, places) }
    };
    text.split('"').enumerate().map(renamed).collect::<Vec<_>>().join("\"")
}

fn renumber_key(key: &str, places: &BTreeMap<i32, i32>) -> String {
    let word = |word: &str| {
        let digits = word.trim_end_matches(',');
        let place = digits.parse().ok().and_then(|number: i32| places.get(&number));
        place.map_or_else(|| word.to_owned(), |place| format!("{place}{}", &word[digits.len()..]))
    };
    key.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{listed, renumber};

    #[test]
    fn column_numbers_close_the_gaps_of_dropped_columns() {
        let places = [(2, 1), (4, 2), (12, 3)].into();
        assert_eq!(
            renumber(r#"{"2, 4": 100, "2, -1": 7, "2, 4, 12": 12}"#, &places),
            r#"{"1, 2": 100, "1, -1": 7, "1, 2, 3": 12}"#
        );
        assert_eq!(
            renumber(r#"{"2 => 4": 0.900000, "2, 4 => 12": 1.000000}"#, &places),
            r#"{"1 => 2": 0.900000, "1, 2 => 3": 1.000000}"#
        );
    }

    #[test]
    fn many_names_become_a_number() {
        let names: Vec<String> = (1..=22).map(|n| format!("t{n}")).collect();
        assert_eq!(listed(&names[..3]), "t1, t2, t3");
        assert!(listed(&names[..20]).ends_with("t19, t20"));
        assert!(listed(&names).ends_with("t19, t20 and 2 more"));
    }
}
