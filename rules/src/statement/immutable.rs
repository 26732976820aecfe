//! Whether an index can be made on an expression: everything in it is immutable, part of PostgreSQL itself, and takes
//! every value, since an index on what fails for some value makes the INSERT of that row fail.
//!
//! The types are followed from the columns up, so that of a function's overloads the one that the server would call
//! is asked for its volatility (`pg_proc.provolatile`, in the snapshot): `date(at AT TIME ZONE 'UTC')` calls another
//! `date` than `date(at)`.

use super::analyzer::expression_over;
use super::expression::{Call, Expr, Literal, Step};
use crate::snapshot::{Column, Function, Snapshot, Table, Volatility};

/// Functions of PostgreSQL itself that take every value of a column.
const TOTAL_FUNCTIONS: &[&str] = &[
    "array_length",
    "bit_length",
    "btrim",
    "cardinality",
    "char_length",
    "character_length",
    "date",
    "date_part",
    "date_trunc",
    "extract",
    "host",
    "initcap",
    "json_extract_path",
    "json_extract_path_text",
    "json_typeof",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "jsonb_typeof",
    "left",
    "length",
    "lower",
    "ltrim",
    "md5",
    "octet_length",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "starts_with",
    "string_to_array",
    "strpos",
    "timezone",
    // Up to a megabyte of words; what makes an index of it says so.
    "to_tsvector",
    "translate",
    "upper",
];

const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";

/// Types from which the cast to text is immutable; the output of enums, dates, money and the names of catalog objects
/// is not (`provolatile` of their output functions).
const PRINTABLE: &[&str] =
    &["bigint", "boolean", "integer", "json", "jsonb", "name", "smallint", "uuid"];

/// Numbers by width: each goes into those behind it without loss of range.
const NUMBERS: &[&str] = &["smallint", "integer", "bigint", "numeric", "real", "double precision"];

/// Why no index can be made on an expression over a table's columns, or should not; `None` when one can.
pub fn unfit_for_index(sql: &str, table: &Table, snapshot: &Snapshot) -> Option<String> {
    index_type(sql, table, snapshot).err()
}

/// The type of an expression over a table's columns, as `format_type` prints it, where it is known; or why no index
/// can be made on it.
pub fn index_type(sql: &str, table: &Table, snapshot: &Snapshot) -> Result<Option<String>, String> {
    let foreign = || "it is no expression over the table's own columns".to_owned();
    let expr = expression_over(sql, table, snapshot).ok_or_else(foreign)?;
    if expr.relations().is_empty() {
        return Err(foreign());
    }
    Judge { table, snapshot }.type_of(&expr)
}

/// A type as `format_type` prints it, without modifiers; `None` for a literal whose type is told by what is around.
type Type = Option<String>;

struct Judge<'a> {
    table: &'a Table,
    snapshot: &'a Snapshot,
}

impl Judge<'_> {
    /// The type of an expression, or why it cannot be indexed.
    fn type_of(&self, expr: &Expr) -> Result<Type, String> {
        Ok(match expr {
            Expr::Column(_, name) => self.table.column(name).map(column_type),
            Expr::Constant(_, Literal::Text | Literal::Null) | Expr::Parameter(_) => None,
            Expr::Constant(text, Literal::Number) => {
                let whole = text.parse::<i32>().is_ok();
                Some(if whole { "integer" } else { "numeric" }.to_owned())
            }
            Expr::Constant(_, Literal::Boolean) => Some("boolean".to_owned()),
            Expr::Constant(_, Literal::Bits) => Some("bit".to_owned()),
            Expr::Cast(value, to) => Some(cast(self.type_of(value)?, to)?),
            Expr::Operator(left, name, right) => {
                Some(self.operator(left.as_deref(), name, right)?)
            }
            Expr::Call(call) => Some(self.call(call)?),
            Expr::Keyword(_, list) | Expr::Arms(list) => self.first_of(list)?,
            Expr::Array(list) => self.first_of(list)?.map(|element| format!("{element}[]")),
            Expr::Collate(value, _) => self.type_of(value)?,
            Expr::Test(..) | Expr::Not(_) | Expr::And(_) | Expr::Or(_) => {
                self.all(expr)?;
                Some("boolean".to_owned())
            }
            Expr::Case(_, arms, otherwise) => {
                self.all(expr)?;
                let results: Vec<Expr> = arms
                    .iter()
                    .map(|(_, then)| then.clone())
                    .chain(otherwise.as_deref().cloned())
                    .collect();
                self.first_of(&results)?
            }
            Expr::Steps(value, steps) => self.steps(value, steps)?,
            Expr::Any { operator, .. } => return Err(unknown_operator(operator)),
            Expr::In(..) => return Err(unknown_operator("=")),
            Expr::Clock(name) => {
                return Err(format!("{} is not immutable", name.to_uppercase()));
            }
            Expr::Row(_) | Expr::System(..) | Expr::Sublink { .. } | Expr::Opaque(_) => {
                return Err("it is no expression over the table's own columns".to_owned());
            }
        })
    }

    fn all(&self, expr: &Expr) -> Result<(), String> {
        expr.children().into_iter().try_for_each(|part| self.type_of(part).map(|_| ()))
    }

    /// The type that the first of them with one has.
    fn first_of(&self, list: &[Expr]) -> Result<Type, String> {
        let types: Vec<Type> =
            list.iter().map(|part| self.type_of(part)).collect::<Result<_, _>>()?;
        Ok(types.into_iter().flatten().next())
    }

    fn steps(&self, value: &Expr, steps: &[Step]) -> Result<Type, String> {
        let mut of = self.type_of(value)?;
        for step in steps {
            of = match step {
                Step::Field(_) => None,
                Step::Index(index) => {
                    self.type_of(index)?;
                    of.map(|array| array.strip_suffix("[]").map_or(array.clone(), str::to_owned))
                }
            };
        }
        Ok(of)
    }

    fn operator(&self, left: Option<&Expr>, name: &str, right: &Expr) -> Result<String, String> {
        let left = left.map(|left| self.type_of(left)).transpose()?.flatten();
        let right = self.type_of(right)?;
        let documents = matches!(left.as_deref(), Some("json" | "jsonb"));
        let number = |side: &Type| side.as_deref().is_some_and(|of| NUMBERS.contains(&of));
        match name {
            "->" | "#>" if documents => Ok(left.unwrap_or_default()),
            "->>" | "#>>" if documents => Ok("text".to_owned()),
            "||" if left.is_some() || right.is_some() => {
                let texts = [&left, &right].into_iter().flatten().all(|of| is_text(of));
                if texts {
                    Ok("text".to_owned())
                } else {
                    Err("the operator || is known to be immutable between texts only".to_owned())
                }
            }
            "+" | "-" | "*" | "/" | "%" | "^" if number(&left) || number(&right) => Err(format!(
                "the operator {name} could fail on a later row (out of range, by zero)"
            )),
            _ => Err(unknown_operator(name)),
        }
    }

    /// The result of a call: of PostgreSQL's own functions of that name, those that take the arguments must all be
    /// immutable.
    fn call(&self, call: &Call) -> Result<String, String> {
        let name = call.name.as_str();
        let overloads: Vec<&Function> = self
            .snapshot
            .functions
            .iter()
            .filter(|f| f.name == name && call.schema.as_ref().is_none_or(|s| f.schema == *s))
            .collect();
        if overloads.iter().any(|function| function.schema != "pg_catalog") {
            return Err(format!(
                "{name}() is not PostgreSQL's own; its result could change with its definition"
            ));
        }
        if call.arguments.is_empty() {
            return Err(format!("{name}() is not immutable"));
        }
        let arguments: Vec<Type> =
            call.arguments.iter().map(|part| self.type_of(part)).collect::<Result<_, _>>()?;
        let taking = |fits: fn(&str, &str) -> bool| -> Vec<&Function> {
            let all = |function: &Function| {
                function.arguments.len() == arguments.len()
                    && function.arguments.iter().zip(&arguments).all(|(formal, actual)| {
                        actual.as_ref().is_none_or(|actual| fits(formal, actual))
                    })
            };
            overloads.iter().copied().filter(|function| all(function)).collect()
        };
        let mut fitting = taking(|formal, actual| formal == actual);
        if fitting.is_empty() {
            fitting = taking(coerces);
        }
        if fitting.is_empty() {
            return Err(format!("no built-in {name}() is known that takes the column"));
        }
        if fitting.iter().any(|function| function.volatility != Volatility::Immutable) {
            return Err(format!("{name}() is not immutable for this type"));
        }
        if !TOTAL_FUNCTIONS.contains(&name) || (name == "timezone" && arguments[0].is_some()) {
            return Err(format!("{name}() is not known to take every value"));
        }
        // Where a literal leaves the choice, the server takes it for text.
        let literal_text = |function: &&&Function| {
            function.arguments.iter().zip(&arguments).all(|(f, a)| a.is_some() || f == "text")
        };
        let chosen = fitting.iter().find(literal_text).unwrap_or(&fitting[0]);
        Ok(chosen.result.clone())
    }
}

fn unknown_operator(name: &str) -> String {
    format!("the operator {name} is not known to be immutable and to take every value")
}

/// Whether a value of a type is taken where another is wanted, without being told to.
fn coerces(formal: &str, actual: &str) -> bool {
    let place = |of: &str| NUMBERS.iter().position(|number| *number == of);
    let wider = matches!((place(actual), place(formal)), (Some(from), Some(to)) if from < to);
    formal == actual
        || wider
        || (formal == "text" && is_text(actual))
        || matches!((actual, formal), ("date", TIMESTAMP | TIMESTAMPTZ) | (TIMESTAMP, TIMESTAMPTZ))
        || matches!(formal, "anyelement" | "anynonarray" | "\"any\"" | "anycompatible")
        || (matches!(formal, "anyarray" | "anycompatiblearray") && actual.ends_with("[]"))
}

fn is_text(of: &str) -> bool {
    matches!(of, "text" | "character varying" | "character")
}

/// The type of a column, domains looked through.
fn column_type(column: &Column) -> String {
    canonical(&column.base_type).map_or_else(|| unmodified(&column.type_name), str::to_owned)
}

/// A built-in type as `format_type` prints it, by the name that it has in `pg_type`.
fn canonical(name: &str) -> Option<&'static str> {
    Some(match name {
        "bool" | "boolean" => "boolean",
        "int2" | "smallint" => "smallint",
        "int4" | "int" | "integer" => "integer",
        "int8" | "bigint" => "bigint",
        "numeric" | "decimal" => "numeric",
        "float4" | "real" => "real",
        "float8" | "double precision" => "double precision",
        "text" => "text",
        "varchar" | "character varying" => "character varying",
        "bpchar" | "character" => "character",
        "date" => "date",
        "timestamp" | TIMESTAMP => TIMESTAMP,
        "timestamptz" | TIMESTAMPTZ => TIMESTAMPTZ,
        "json" => "json",
        "jsonb" => "jsonb",
        "uuid" => "uuid",
        _ => return None,
    })
}

/// `timestamp without time zone` for `timestamp(3) without time zone`.
fn unmodified(type_name: &str) -> String {
    match (type_name.find('('), type_name.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", &type_name[..open], &type_name[close + 1..])
        }
        _ => type_name.to_owned(),
    }
}

/// The type that a cast gives, or why it cannot be indexed.
fn cast(from: Type, to: &str) -> Result<String, String> {
    let wanted = canonical(&unmodified(to)).map_or_else(|| unmodified(to), str::to_owned);
    // A literal is read once, when the index is made.
    let Some(from) = from else { return Ok(wanted) };
    let place = |of: &str| NUMBERS.iter().position(|number| *number == of);
    let wider = matches!((place(&from), place(&wanted)), (Some(from), Some(to)) if from <= to);
    let exact = unmodified(to) == to;
    let free = from == wanted
        || wider
        || matches!((from.as_str(), wanted.as_str()), (TIMESTAMP, "date") | ("date", TIMESTAMP))
        || (is_text(&wanted) && (is_text(&from) || PRINTABLE.contains(&from.as_str())));
    if free && (exact || !NUMBERS.contains(&wanted.as_str())) {
        return Ok(wanted);
    }
    let zoned = |of: &str| of == TIMESTAMPTZ;
    let moment = |of: &str| matches!(of, "date" | TIMESTAMP | TIMESTAMPTZ);
    let number = |of: &str| NUMBERS.contains(&of);
    Err(if zoned(&from) || (zoned(&wanted) && moment(&from)) {
        format!("the cast to {to} is not immutable, it depends on the session's time zone")
    } else if (is_text(&from) || number(&from)) && number(&wanted) {
        format!("the cast to {to} could fail on a later row")
    } else if is_text(&wanted) {
        format!("the cast to {to} is not immutable, what is printed depends on settings or names")
    } else {
        format!("the cast to {to} is not immutable, or could fail on a later row")
    })
}
