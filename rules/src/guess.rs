//! Conditions whose share of rows the planner takes from a constant, for want of statistics: those on expressions.
//!
//! An equality is then taken to keep one row in two hundred (`DEFAULT_NUM_DISTINCT` of selfuncs.h), whatever it is.
//! Where a LIMIT lets a plan stop early, or a nested loop runs once for every row that is left, a promise that
//! rests on that constant is no promise.

use planparse::{OperatorKind, Plan};

use crate::bindings::json_most_common;
use crate::context::{Analyzed, Context};
use crate::judge::streams_into_limit;
use crate::snapshot::{Column, Table};
use crate::statement::{
    Expression, JsonPath, Limit, PathStep, Predicate, PredicateClass, Target, json_path,
};

/// Share of the rows that the planner takes an equality to keep: 1 / `DEFAULT_NUM_DISTINCT`.
const GUESS: f64 = 0.005;

/// How many times more rows than guessed may be left before the promise counts as doubtful.
const OFF: f64 = 4.0;

/// Functions that keep different values different, or nearly so.
const FAITHFUL: &[&str] =
    &["lower", "upper", "trim", "btrim", "ltrim", "rtrim", "unaccent", "md5", "reverse", "initcap"];

/// Whether what the new plan saves hangs on the share of rows that an expression is guessed to keep: the old plan
/// could stop at a LIMIT sooner than the planner thinks, or the new one loops over more rows than it thinks.
pub(crate) fn rests_on_guess(
    cx: &Context<'_>,
    analyzed: &Analyzed,
    before: &Plan,
    after: &Plan,
) -> bool {
    let guessed: Vec<&str> = analyzed
        .analysis
        .predicates
        .iter()
        .filter_map(|predicate| {
            let table = cx.snapshot.table(analyzed.analysis.relations[predicate.relation].table)?;
            guessed(table, predicate).then_some(table.name.as_str())
        })
        .collect();
    if guessed.is_empty() {
        return false;
    }
    let of = |relation: Option<&str>| relation.is_some_and(|name| guessed.contains(&name));
    let stops = |plan: &Plan| {
        plan.operators().any(|(id, operator)| {
            of(operator.relation.as_deref()) && streams_into_limit(plan, id).0
        })
    };
    let loops = |plan: &Plan| {
        let outer = |id| {
            std::iter::once(id)
                .chain(plan.descendants(id))
                .any(|below| of(plan.operator(below).relation.as_deref()))
        };
        plan.operators()
            .filter(|(id, operator)| {
                operator.kind == OperatorKind::NestedLoop && plan.outer(*id).is_some_and(outer)
            })
            .count()
    };
    stops(before) && limit_is_reached(cx, analyzed) || loops(after) > loops(before)
}

/// Whether executions end at their LIMIT, as far as the rows that were counted tell. One that returns fewer rows has
/// read to the end.
fn limit_is_reached(cx: &Context<'_>, analyzed: &Analyzed) -> bool {
    let statement = analyzed.of(cx.snapshot);
    let limit = analyzed.analysis.blocks.first().and_then(|block| block.limit);
    match (statement.rows, limit) {
        (Some(rows), Some(Limit::Rows(limit))) => {
            rows as f64 / statement.calls.max(1) as f64 >= limit as f64 * 0.9
        }
        _ => true,
    }
}

/// Whether the planner guesses what the condition keeps, and may guess far too low.
fn guessed(table: &Table, predicate: &Predicate) -> bool {
    let Target::Expression(expression) = &predicate.target else { return false };
    matches!(predicate.class, PredicateClass::Equality | PredicateClass::AnyOf)
        && !has_statistics(table, expression)
        && likely_share(table, expression).is_none_or(|share| share > GUESS * OFF)
}

/// Whether an index on the expression has ANALYZE collect statistics of it.
fn has_statistics(table: &Table, expression: &Expression) -> bool {
    let bare = |sql: &str| sql.replace([' ', '(', ')'], "").replace("::text", "");
    let keys = table.indexes.iter().flat_map(|index| &index.keys);
    keys.filter_map(|key| key.expression.as_deref()).any(|key| bare(key) == bare(&expression.sql))
}

/// Share of the rows that the most common value of an expression has, as far as the column's statistics tell.
fn likely_share(table: &Table, expression: &Expression) -> Option<f64> {
    let column = table.column(expression.columns.first()?)?;
    if let Some(path) = json_path(&expression.sql).filter(|path| !path.steps.is_empty()) {
        return json_most_common(column, &keys(&path)?);
    }
    let faithful = expression.functions.iter().all(|(_, name)| FAITHFUL.contains(&name.as_str()));
    let text = expression.casts.iter().all(|cast| matches!(cast.as_str(), "text" | "varchar"));
    (faithful && text && expression.operators.is_empty() && expression.columns.len() == 1)
        .then(|| column_share(table, column))
        .flatten()
}

fn keys(path: &JsonPath) -> Option<Vec<String>> {
    let key = |step: &PathStep| match step {
        PathStep::Key(key) => Some(key.clone()),
        PathStep::Parameter(_) => None,
    };
    path.steps.iter().map(key).collect()
}

/// Share of the rows that the most common value of a column has.
fn column_share(table: &Table, column: &Column) -> Option<f64> {
    let stats = column.stats.as_ref()?;
    let distinct = column.distinct(table.rows?)?;
    Some(stats.common_frequencies.first().copied().unwrap_or(1.0 / distinct.max(1.0)))
}
