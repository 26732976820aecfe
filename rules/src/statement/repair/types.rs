//! Casts where a bare number or interval has lost its type and the server can no longer tell it.

use super::super::parse::{NodeEnum, pg};
use super::super::print::parts;

/// Aggregates that exist for numbers only, and so refuse a parameter, which without a type is text.
const SUMS: &[&str] =
    &["sum", "avg", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp"];

/// Functions that take anything, and so cannot tell what a parameter is.
const TAKE_ANYTHING: &[&str] = &[
    "array_agg",
    "concat",
    "concat_ws",
    "count",
    "format",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "num_nonnulls",
    "num_nulls",
    "pg_typeof",
    "to_json",
    "to_jsonb",
];

/// A point in time that an operand of `+` or `-` is known to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// A date: whole days are added to it.
    Date,
    /// A timestamp: intervals are added to it.
    Time,
}

/// What is told of a parameter: its location, the type to cast it to, and why.
type Tell<'t> = &'t mut dyn FnMut(i32, &str, &str);

/// Looks at a function call.
pub(super) fn call(call: &pg::FuncCall, tell: Tell) {
    let name = parts(&call.funcname).pop().unwrap_or_default();
    let name = name.as_str();
    if SUMS.contains(&name) {
        if let [argument] = call.args.as_slice()
            && let Some(first) = results(argument).and_then(|all| all.first().copied())
        {
            tell(first, "integer", "a sum of bare parameters adds integers");
        }
    } else if name == "generate_series" {
        let bare: Vec<i32> = call.args.iter().filter_map(parameter).collect();
        if bare.len() == call.args.len()
            && let Some(first) = bare.first()
        {
            tell(*first, "integer", "a series between bare parameters is one of integers");
        }
    } else if TAKE_ANYTHING.binary_search(&name).is_ok() {
        for location in call.args.iter().filter_map(parameter) {
            tell(location, "text", "a bare parameter of a function that takes anything is text");
        }
    }
}

/// Looks at an operator.
pub(super) fn operation(operation: &pg::AExpr, tell: Tell) {
    let name = parts(&operation.name).pop().unwrap_or_default();
    if operation.kind() != pg::AExprKind::AexprOp
        || !matches!(name.as_str(), "+" | "-" | "*" | "/" | "%")
    {
        return;
    }
    let Some(right) = operation.rexpr.as_deref() else { return };
    let Some(left) = operation.lexpr.as_deref() else {
        if let Some(location) = parameter(right) {
            tell(location, "integer", "a bare parameter behind a sign is an integer");
        }
        return;
    };
    let sum = matches!(name.as_str(), "+" | "-");
    match (parameter(left), parameter(right)) {
        (Some(left), Some(_)) => {
            tell(left, "integer", "arithmetic on bare parameters is that of integers");
        }
        (Some(left), None) if sum && is_interval(right) => {
            tell(left, "timestamptz", "a bare parameter less an interval is a time");
        }
        (None, Some(right)) if sum => match moment(left) {
            Some(Moment::Date) => {
                tell(right, "integer", "a bare parameter added to a date is days");
            }
            Some(Moment::Time) => {
                tell(right, "interval", "a bare parameter added to a time is an interval");
            }
            None => {}
        },
        _ => {}
    }
}

/// Location of a bare parameter.
fn parameter(node: &pg::Node) -> Option<i32> {
    match &node.node {
        Some(NodeEnum::ParamRef(parameter)) => Some(parameter.location),
        _ => None,
    }
}

/// Locations of the parameters that an expression can result in, when it can result in nothing else.
fn results(node: &pg::Node) -> Option<Vec<i32>> {
    let all = |nodes: Vec<&pg::Node>| {
        let each: Option<Vec<Vec<i32>>> = nodes.into_iter().map(results).collect();
        each.map(|each| each.concat())
    };
    match &node.node {
        Some(NodeEnum::ParamRef(parameter)) => Some(vec![parameter.location]),
        Some(NodeEnum::CoalesceExpr(inner)) => all(inner.args.iter().collect()),
        Some(NodeEnum::CaseExpr(inner)) => {
            let arms = inner.args.iter().filter_map(|arm| match &arm.node {
                Some(NodeEnum::CaseWhen(when)) => when.result.as_deref(),
                _ => None,
            });
            all(arms.chain(inner.defresult.as_deref()).collect())
        }
        _ => None,
    }
}

fn type_of(cast: &pg::TypeCast) -> String {
    cast.type_name.as_ref().and_then(|name| parts(&name.names).pop()).unwrap_or_default()
}

fn is_interval(node: &pg::Node) -> bool {
    matches!(&node.node, Some(NodeEnum::TypeCast(cast)) if type_of(cast) == "interval")
}

fn moment(node: &pg::Node) -> Option<Moment> {
    match &node.node {
        Some(NodeEnum::SqlvalueFunction(inner)) => match inner.op() {
            pg::SqlValueFunctionOp::SvfopCurrentDate => Some(Moment::Date),
            pg::SqlValueFunctionOp::SvfopCurrentTimestamp
            | pg::SqlValueFunctionOp::SvfopCurrentTimestampN
            | pg::SqlValueFunctionOp::SvfopLocaltimestamp
            | pg::SqlValueFunctionOp::SvfopLocaltimestampN => Some(Moment::Time),
            _ => None,
        },
        Some(NodeEnum::FuncCall(call)) => match parts(&call.funcname).pop().as_deref() {
            Some("now" | "statement_timestamp" | "transaction_timestamp" | "clock_timestamp") => {
                Some(Moment::Time)
            }
            Some("date_trunc" | "timezone") => {
                call.args.get(1).and_then(moment).map(|_| Moment::Time)
            }
            _ => None,
        },
        Some(NodeEnum::TypeCast(cast)) => match type_of(cast).as_str() {
            "date" => Some(Moment::Date),
            "timestamp" | "timestamptz" => {
                cast.arg.as_deref().and_then(moment).map(|_| Moment::Time)
            }
            _ => None,
        },
        Some(NodeEnum::AExpr(inner))
            if matches!(parts(&inner.name).last().map(String::as_str), Some("+" | "-")) =>
        {
            match (inner.lexpr.as_deref().and_then(moment)?, inner.rexpr.as_deref()) {
                (Moment::Date, Some(right)) if !is_interval(right) => Some(Moment::Date),
                _ => Some(Moment::Time),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::TAKE_ANYTHING;

    #[test]
    fn functions_are_sorted_for_the_search() {
        assert!(TAKE_ANYTHING.is_sorted());
    }
}
