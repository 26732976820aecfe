//! Resolved expressions as SQL, with unqualified column names, and the typed form of them.

use std::fmt::Write as _;

use super::expression::{Call, Expr, Literal, Step};
use super::parse::{NodeEnum, pg};
use super::{Expression, Target};
use crate::quote;

/// The expression as SQL. Every operator within an operator stands in parentheses.
pub(super) fn sql(expr: &Expr) -> String {
    match expr {
        Expr::Column(_, name) | Expr::System(_, name) => quote::ident(name),
        Expr::Parameter(number) => format!("${number}"),
        Expr::Constant(text, kind) => constant(text, *kind),
        Expr::Cast(value, to) => format!("{}::{to}", primary(value)),
        Expr::Operator(None, name, right) => format!("{name} {}", primary(right)),
        Expr::Operator(Some(left), name, right) => {
            format!("{} {name} {}", primary(left), primary(right))
        }
        Expr::Any { left, operator, right, all } => {
            format!(
                "{} {operator} {} ({})",
                primary(left),
                if *all { "ALL" } else { "ANY" },
                sql(right)
            )
        }
        Expr::In(left, list, negated) => {
            format!("{} {}IN ({})", primary(left), if *negated { "NOT " } else { "" }, joined(list))
        }
        Expr::And(list) => list.iter().map(primary).collect::<Vec<_>>().join(" AND "),
        Expr::Or(list) => list.iter().map(primary).collect::<Vec<_>>().join(" OR "),
        Expr::Not(value) => format!("NOT {}", primary(value)),
        Expr::Test(value, words) => format!("{} IS {words}", primary(value)),
        Expr::Call(call) => format!("{}({})", function(call), joined(&call.arguments)),
        Expr::Keyword(name, list) => format!("{name}({})", joined(list)),
        Expr::Array(list) => format!("ARRAY[{}]", joined(list)),
        Expr::Row(list) => format!("ROW({})", joined(list)),
        Expr::Case(operand, arms, otherwise) => {
            case(operand.as_deref(), arms, otherwise.as_deref())
        }
        Expr::Steps(value, steps) => {
            let mut text = format!("({})", sql(value));
            for step in steps {
                match step {
                    Step::Field(name) => _ = write!(text, ".{}", quote::ident(name)),
                    Step::Index(index) => _ = write!(text, "[{}]", sql(index)),
                }
            }
            text
        }
        Expr::Collate(value, collation) => format!("{} COLLATE {collation}", primary(value)),
        Expr::Clock(name) => name.to_uppercase(),
        // None of these is ever a target, so none is ever printed for the server.
        Expr::Sublink { .. } | Expr::Arms(_) | Expr::Opaque(_) => "(…)".to_owned(),
    }
}

fn joined(list: &[Expr]) -> String {
    list.iter().map(sql).collect::<Vec<_>>().join(", ")
}

fn function(call: &Call) -> String {
    match &call.schema {
        Some(schema) => quote::qualified(schema, &call.name),
        None => quote::ident(&call.name),
    }
}

fn constant(text: &str, kind: Literal) -> String {
    match kind {
        Literal::Text => quote::literal(text),
        Literal::Bits => {
            let (prefix, digits) = text.split_at(text.len().min(1));
            format!("{}'{}'", prefix.to_uppercase(), digits.replace('\'', "''"))
        }
        Literal::Number | Literal::Boolean => text.to_owned(),
        Literal::Null => "NULL".to_owned(),
    }
}

fn case(operand: Option<&Expr>, arms: &[(Expr, Expr)], otherwise: Option<&Expr>) -> String {
    let mut text = "CASE".to_owned();
    if let Some(operand) = operand {
        _ = write!(text, " {}", primary(operand));
    }
    for (when, then) in arms {
        _ = write!(text, " WHEN {} THEN {}", sql(when), sql(then));
    }
    if let Some(otherwise) = otherwise {
        _ = write!(text, " ELSE {}", sql(otherwise));
    }
    text.push_str(" END");
    text
}

/// The expression as SQL, in parentheses where something could bind into it.
fn primary(expr: &Expr) -> String {
    let text = sql(expr);
    let bare = match expr {
        Expr::Constant(text, Literal::Number) => !text.starts_with('-'),
        Expr::Operator(..)
        | Expr::Any { .. }
        | Expr::In(..)
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::Test(..)
        | Expr::Collate(..) => false,
        _ => true,
    };
    if bare { text } else { format!("({text})") }
}

/// The typed form of an expression over one relation.
pub(super) fn target(expr: &Expr) -> Target {
    if let Expr::Column(_, name) = expr {
        return Target::Column(name.clone());
    }
    let mut described = Expression {
        sql: sql(expr),
        columns: Vec::new(),
        functions: Vec::new(),
        operators: Vec::new(),
        casts: Vec::new(),
        parameters: expr.parameters(),
    };
    expr.walk(&mut |part| match part {
        Expr::Column(_, name) => add(&mut described.columns, name.clone()),
        Expr::Call(call) => add(&mut described.functions, (call.schema.clone(), call.name.clone())),
        // All of these are as stable as now(), and pg_proc has no entry of their own name.
        Expr::Clock(_) => {
            add(&mut described.functions, (Some("pg_catalog".to_owned()), "now".to_owned()));
        }
        Expr::Operator(_, name, _) | Expr::Any { operator: name, .. } => {
            add(&mut described.operators, name.clone());
        }
        Expr::In(..) => add(&mut described.operators, "=".to_owned()),
        Expr::Cast(_, to) => add(&mut described.casts, to.clone()),
        _ => {}
    });
    Target::Expression(described)
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// The strings of a list of name parts.
pub(super) fn parts(nodes: &[pg::Node]) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::String(part)) => Some(part.sval.clone()),
            _ => None,
        })
        .collect()
}

/// A type as SQL, such as `text`, `varchar(20)`, `app.status[]`.
pub(super) fn type_name(name: &pg::TypeName) -> String {
    let parts = parts(&name.names);
    let mut text = match parts.as_slice() {
        // What the grammar itself puts into pg_catalog needs no quotes and no schema.
        [schema, plain] if schema == "pg_catalog" && plain != "char" => plain.clone(),
        [schema, plain] => quote::qualified(schema, plain),
        _ => parts.iter().map(|part| quote::ident(part)).collect::<Vec<_>>().join("."),
    };
    let modifiers: Vec<String> = name
        .typmods
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::AConst(pg::AConst {
                val: Some(pg::a_const::Val::Ival(number)),
                ..
            })) => Some(number.ival.to_string()),
            _ => None,
        })
        .collect();
    // An interval's modifiers are a bit mask of fields; the value's meaning does not hang on them.
    if !modifiers.is_empty() && text != "interval" {
        _ = write!(text, "({})", modifiers.join(","));
    }
    text.push_str(&"[]".repeat(name.array_bounds.len()));
    text
}
