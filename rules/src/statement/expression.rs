//! The expressions of a statement after names are resolved: every column is a column of a base table.
//!
//! References through subqueries, CTEs and views are replaced by what stands behind them, so that a condition
//! on `v.day` of a view is seen as the condition on `date(created_at)` that the planner makes of it.

use std::collections::BTreeSet;

use super::RelationId;

/// What kind of literal a constant is; decides how it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Literal {
    /// A number, printed bare.
    Number,
    /// A string.
    Text,
    /// `true`, `false`.
    Boolean,
    /// `B'101'`, `X'1F'`, as written.
    Bits,
    /// NULL.
    Null,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// Schema, if written.
    pub(crate) schema: Option<String>,
    /// Name.
    pub(crate) name: String,
    /// Arguments (with those of FILTER, ORDER BY and OVER for aggregates and windows).
    pub(crate) arguments: Vec<Expr>,
    /// Whether it is an aggregate or a window function.
    pub(crate) folds: bool,
}

/// A step into a composite or an array.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// `.field`.
    Field(String),
    /// `[index]`.
    Index(Expr),
}

/// An expression over base tables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// A column of a relation.
    Column(RelationId, String),
    /// A system column (`ctid`, `xmin` …): only the heap has it.
    System(RelationId, String),
    /// `$n`.
    Parameter(u16),
    /// A literal.
    Constant(String, Literal),
    /// A cast to a type, as SQL.
    Cast(Box<Expr>, String),
    /// A binary or prefix operator.
    Operator(Option<Box<Expr>>, String, Box<Expr>),
    /// `left op ANY (array)`, or ALL.
    Any {
        /// Left side.
        left: Box<Expr>,
        /// Operator.
        operator: String,
        /// The array.
        right: Box<Expr>,
        /// ALL instead of ANY.
        all: bool,
    },
    /// `left IN (list)`, or NOT IN.
    In(Box<Expr>, Vec<Expr>, bool),
    /// AND.
    And(Vec<Expr>),
    /// OR.
    Or(Vec<Expr>),
    /// NOT.
    Not(Box<Expr>),
    /// `value IS …`: the words after the value.
    Test(Box<Expr>, &'static str),
    /// A function call.
    Call(Call),
    /// COALESCE, GREATEST, LEAST, NULLIF.
    Keyword(&'static str, Vec<Expr>),
    /// `ARRAY[…]`.
    Array(Vec<Expr>),
    /// `ROW(…)`.
    Row(Vec<Expr>),
    /// CASE: its operand, its arms, ELSE.
    Case(Option<Box<Expr>>, Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// Subscripts and fields.
    Steps(Box<Expr>, Vec<Step>),
    /// COLLATE, with the collation as SQL.
    Collate(Box<Expr>, String),
    /// `CURRENT_DATE` and its like, in lower case.
    Clock(&'static str),
    /// A subquery within an expression.
    Sublink {
        /// What an IN or ANY compares, with the operator; `None` for EXISTS and scalar subqueries.
        test: Option<(Box<Expr>, String)>,
        /// Its output columns; empty for EXISTS and where they cannot be compared.
        outputs: Vec<Expr>,
        /// Columns of the enclosing query that it names.
        outer: Vec<Expr>,
        /// Parameters in it.
        parameters: Vec<u16>,
    },
    /// One output column of a set operation: what each arm puts there.
    Arms(Vec<Expr>),
    /// Something not looked into, with what it is made of.
    Opaque(Vec<Expr>),
}

/// Functions whose result depends on when they are called.
const CLOCKS: &[&str] =
    &["now", "statement_timestamp", "transaction_timestamp", "clock_timestamp", "timeofday", "age"];

impl Expr {
    /// The parts of an expression, in order.
    pub(super) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Column(..)
            | Self::System(..)
            | Self::Parameter(_)
            | Self::Constant(..)
            | Self::Clock(_) => Vec::new(),
            Self::Cast(value, _)
            | Self::Not(value)
            | Self::Test(value, _)
            | Self::Collate(value, _) => vec![value],
            Self::Operator(left, _, right) => {
                left.as_deref().into_iter().chain([right.as_ref()]).collect()
            }
            Self::Any { left, right, .. } => vec![left, right],
            Self::In(left, list, _) => std::iter::once(left.as_ref()).chain(list).collect(),
            Self::And(list)
            | Self::Or(list)
            | Self::Keyword(_, list)
            | Self::Array(list)
            | Self::Row(list)
            | Self::Arms(list)
            | Self::Opaque(list) => list.iter().collect(),
            Self::Call(call) => call.arguments.iter().collect(),
            Self::Case(operand, arms, otherwise) => operand
                .as_deref()
                .into_iter()
                .chain(arms.iter().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.as_deref())
                .collect(),
            Self::Steps(value, steps) => std::iter::once(value.as_ref())
                .chain(steps.iter().filter_map(|step| match step {
                    Step::Index(index) => Some(index),
                    Step::Field(_) => None,
                }))
                .collect(),
            Self::Sublink { test, outer, .. } => {
                test.iter().map(|(value, _)| value.as_ref()).chain(outer).collect()
            }
        }
    }

    /// Calls `look` on the expression and all that is in it.
    pub(crate) fn walk<'e>(&'e self, look: &mut impl FnMut(&'e Self)) {
        look(self);
        for child in self.children() {
            child.walk(look);
        }
    }

    /// Whether `test` holds for the expression or anything in it.
    pub(super) fn any(&self, test: &mut impl FnMut(&Self) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }

    /// How many nodes it has, counted up to `most`.
    pub(crate) fn size(&self, most: usize) -> usize {
        let mut count = 1;
        for child in self.children() {
            if count >= most {
                break;
            }
            count += child.size(most - count);
        }
        count
    }

    /// Relations whose columns it names.
    pub(super) fn relations(&self) -> BTreeSet<RelationId> {
        let mut found = BTreeSet::new();
        self.walk(&mut |part| {
            if let Self::Column(relation, _) | Self::System(relation, _) = part {
                found.insert(*relation);
            }
        });
        found
    }

    /// Parameters in it, each once, in order of appearance.
    pub(super) fn parameters(&self) -> Vec<u16> {
        let mut found: Vec<u16> = Vec::new();
        self.walk(&mut |part| match part {
            Self::Parameter(number) => found.push(*number),
            Self::Sublink { parameters, .. } => found.extend(parameters),
            _ => {}
        });
        let mut seen = BTreeSet::new();
        found.retain(|number| seen.insert(*number));
        found
    }

    /// Whether it aggregates or ranks rows of its own query; what a subquery has folded is opaque.
    pub(super) fn folds(&self) -> bool {
        match self {
            Self::Opaque(_) => false,
            Self::Call(call) if call.folds => true,
            _ => self.children().into_iter().any(Self::folds),
        }
    }

    /// Whether it reads the clock.
    pub(super) fn clock(&self) -> bool {
        self.any(&mut |part| match part {
            Self::Clock(name) => {
                !name.contains("user") && !name.contains("role") && !name.contains("catalog")
            }
            Self::Call(call) => CLOCKS.contains(&call.name.as_str()),
            _ => false,
        })
    }

    /// The expression without casts around it.
    pub(crate) fn uncast(&self) -> &Self {
        let mut inner = self;
        while let Self::Cast(value, _) = inner {
            inner = value;
        }
        inner
    }

    /// The number of arms of the set operations that it looks through; 1 without any.
    pub(super) fn arms(&self) -> usize {
        let mut most = 1;
        self.walk(&mut |part| {
            if let Self::Arms(arms) = part {
                most = most.max(arms.len());
            }
        });
        most
    }

    /// The expression as the `n`th arm of each set operation in it gives it.
    pub(super) fn arm(&self, n: usize) -> Self {
        self.map(&mut |part| match part {
            Self::Arms(mut list) if !list.is_empty() => list.swap_remove(n.min(list.len() - 1)),
            other => other,
        })
    }

    /// A copy in which every part, innermost first, is replaced by what `change` makes of it.
    pub(super) fn map(&self, change: &mut impl FnMut(Self) -> Self) -> Self {
        fn all(list: &[Expr], change: &mut impl FnMut(Expr) -> Expr) -> Vec<Expr> {
            list.iter().map(|part| part.map(change)).collect()
        }
        let copy = match self {
            Self::Cast(value, to) => Self::Cast(Box::new(value.map(change)), to.clone()),
            Self::Not(value) => Self::Not(Box::new(value.map(change))),
            Self::Test(value, words) => Self::Test(Box::new(value.map(change)), words),
            Self::Collate(value, collation) => {
                Self::Collate(Box::new(value.map(change)), collation.clone())
            }
            Self::Operator(left, name, right) => {
                let left = left.as_deref().map(|left| Box::new(left.map(change)));
                Self::Operator(left, name.clone(), Box::new(right.map(change)))
            }
            Self::Any { left, operator, right, all } => Self::Any {
                left: Box::new(left.map(change)),
                operator: operator.clone(),
                right: Box::new(right.map(change)),
                all: *all,
            },
            Self::In(left, list, negated) => {
                Self::In(Box::new(left.map(change)), all(list, change), *negated)
            }
            Self::And(list) => Self::And(all(list, change)),
            Self::Or(list) => Self::Or(all(list, change)),
            Self::Keyword(name, list) => Self::Keyword(name, all(list, change)),
            Self::Array(list) => Self::Array(all(list, change)),
            Self::Row(list) => Self::Row(all(list, change)),
            Self::Arms(list) => Self::Arms(all(list, change)),
            Self::Opaque(list) => Self::Opaque(all(list, change)),
            Self::Call(call) => {
                Self::Call(Call { arguments: all(&call.arguments, change), ..call.clone() })
            }
            Self::Case(operand, arms, otherwise) => Self::Case(
                operand.as_deref().map(|operand| Box::new(operand.map(change))),
                arms.iter().map(|(when, then)| (when.map(change), then.map(change))).collect(),
                otherwise.as_deref().map(|otherwise| Box::new(otherwise.map(change))),
            ),
            Self::Steps(value, steps) => Self::Steps(Box::new(value.map(change)), steps.clone()),
            Self::Sublink { test, outputs, outer, parameters } => Self::Sublink {
                test: test
                    .as_ref()
                    .map(|(value, operator)| (Box::new(value.map(change)), operator.clone())),
                outputs: outputs.clone(),
                outer: all(outer, change),
                parameters: parameters.clone(),
            },
            Self::Column(..)
            | Self::System(..)
            | Self::Parameter(_)
            | Self::Constant(..)
            | Self::Clock(_) => self.clone(),
        };
        change(copy)
    }
}

/// The operator with its sides exchanged, where that is another spelling of the same.
pub(super) fn commuted(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "=" => "=",
        "<>" | "!=" => "<>",
        "<" => ">",
        ">" => "<",
        "<=" => ">=",
        ">=" => "<=",
        "@>" => "<@",
        "<@" => "@>",
        "&&" => "&&",
        "@@" => "@@",
        "IS NOT DISTINCT FROM" => "IS NOT DISTINCT FROM",
        "IS DISTINCT FROM" => "IS DISTINCT FROM",
        _ => return None,
    })
}

/// The operator that is true where this one is false (NULLs aside).
pub(super) fn negated(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "=" => "<>",
        "<>" | "!=" => "=",
        "<" => ">=",
        ">" => "<=",
        "<=" => ">",
        ">=" => "<",
        "~~" => "!~~",
        "!~~" => "~~",
        "~~*" => "!~~*",
        "!~~*" => "~~*",
        "~" => "!~",
        "!~" => "~",
        "~*" => "!~*",
        "!~*" => "~*",
        "IS DISTINCT FROM" => "IS NOT DISTINCT FROM",
        "IS NOT DISTINCT FROM" => "IS DISTINCT FROM",
        _ => return None,
    })
}

/// Whether the operator computes a value rather than a truth.
pub(super) fn computes(operator: &str) -> bool {
    matches!(
        operator,
        "+" | "-"
            | "*"
            | "/"
            | "%"
            | "^"
            | "||"
            | "|"
            | "&"
            | "#"
            | "<->"
            | "<=>"
            | "<#>"
            | "|/"
            | "||/"
            | "@"
    ) || extracts(operator)
}

/// Whether the operator takes a part of a JSON document by key or path.
pub(super) fn extracts(operator: &str) -> bool {
    matches!(operator, "->" | "->>" | "#>" | "#>>" | "#-")
}
