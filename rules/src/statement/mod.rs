//! What a statement asks of its tables: the typed description on which candidates and bindings rest.
//!
//! [`analyze`] reads one statement with the server's own grammar (`pg_query`), resolves names against the
//! [`Snapshot`](crate::snapshot::Snapshot) and answers with an [`Analysis`], or with the reason why not.

mod align;
mod analyzer;
mod classify;
mod condition;
pub mod definition;
mod dump;
mod expression;
mod from;
pub mod guard;
mod immutable;
pub mod index_shape;
mod literals;
mod making;
mod mask;
mod parse;
mod path;
mod placeholders;
mod print;
mod query;
mod repair;
mod resolve;
mod scope;
mod setting;
mod split;
mod stand_in;
pub mod statistics_shape;
mod unlock;
mod usage;
mod walk;
mod write;

use std::collections::BTreeMap;

pub use align::{Literals, align, with_literals};
pub(crate) use analyzer::expression_over;
pub use analyzer::{analyze, index_expression, is_single_plannable};
pub use classify::{Class, MARKER, Mention, Touched, classify, classify_within, touched};
pub use dump::{Dump, definitions};
pub(crate) use expression::{Call, Expr, Literal as ExprLiteral};
pub use immutable::{index_type, unfit_for_index};
pub use literals::{Constant, Literal, constants, literals, rewritten};
pub use mask::mask;
pub use parse::fingerprint;
pub(crate) use parse::syntax_tree;
pub use path::{JsonPath, PathStep, json_path};
pub use repair::{Repaired, repair};
pub use setting::{Setting, setting};
pub use split::{FileError, FileStatement, split};
pub use stand_in::stand_ins;

use petgraph::graphmap::UnGraphMap;

/// What kind of statement it is; only these are ever planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatementKind {
    /// SELECT, VALUES, TABLE.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

/// Why a statement cannot be analyzed. Shown to the user, counted in the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanalyzable {
    /// The grammar refuses it.
    #[error("does not parse: {0}")]
    Syntax(String),
    /// More than one statement, or none.
    #[error("holds {0} statements, not one")]
    NotOne(usize),
    /// DDL, SET, COPY, MERGE …
    #[error("is no single SELECT, INSERT, UPDATE or DELETE ({0})")]
    Kind(String),
    /// `SELECT … INTO` creates a table.
    #[error("creates a table (SELECT INTO)")]
    Into,
    /// It names a relation that the snapshot does not know.
    #[error("names the unknown relation {0}")]
    UnknownRelation(String),
    /// It names a column that its tables do not have.
    #[error("names the unknown column {0}")]
    UnknownColumn(String),
    /// It touches no table of this database that an index could help.
    #[error("touches no table")]
    NoTable,
    /// It reads system catalogs only.
    #[error("reads system catalogs only")]
    CatalogOnly,
    /// Nested deeper than the analysis follows.
    #[error("is nested too deeply")]
    TooDeep,
}

/// Index of a [`Relation`] in [`Analysis::relations`].
pub type RelationId = usize;
/// Index of a [`Block`] in [`Analysis::blocks`].
pub type BlockId = usize;

/// The typed description of one statement.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// What kind of statement it is.
    pub kind: StatementKind,
    /// Every occurrence of a base table, views, CTEs and subqueries looked through, in order of appearance.
    pub relations: Vec<Relation>,
    /// Every SELECT (or the body of UPDATE/DELETE) in it, the outermost first.
    pub blocks: Vec<Block>,
    /// Conditions on single relations, `ANDed` at the top of their block (WHERE, HAVING without aggregates, ON of inner joins and of the nullable side).
    pub predicates: Vec<Predicate>,
    /// Equality joins between relations: nodes are [`RelationId`]s, an edge holds the pairs of columns compared.
    pub joins: UnGraphMap<RelationId, Vec<JoinPair>>,
    /// `$n` -> how it is used.
    pub parameters: BTreeMap<u16, Parameter>,
    /// The table written to, for INSERT, UPDATE, DELETE.
    pub writes: Option<Write>,
}

/// One occurrence of a base table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Oid of the table in the snapshot.
    pub table: u32,
    /// Its alias, or its name.
    pub alias: String,
    /// The block in whose FROM it stands.
    pub block: BlockId,
    /// Columns of it that the statement reads anywhere; `None` when all are read (`*`, whole-row).
    pub read: Option<std::collections::BTreeSet<String>>,
}

/// One SELECT level.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Relations in its FROM, looked-through ones included.
    pub relations: Vec<RelationId>,
    /// ORDER BY, in order; empty when a key is none of [`Target`]. DISTINCT ON and merge-able window orders count when no ORDER BY stands.
    pub order_by: Vec<OrderKey>,
    /// GROUP BY or DISTINCT columns, when all are plain targets.
    pub group_by: Vec<(RelationId, Target)>,
    /// LIMIT or FETCH FIRST.
    pub limit: Option<Limit>,
    /// Whether it aggregates, has DISTINCT, window functions, or a set operation on top (row counts then say nothing of the filter).
    pub aggregates: bool,
}

/// LIMIT of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A literal number of rows.
    Rows(u64),
    /// A parameter.
    Parameter(u16),
    /// An expression.
    Unknown,
}

/// What of a relation is compared, ordered or grouped: a column or an expression over one relation's columns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A plain column, by name.
    Column(String),
    /// An expression over columns of one relation.
    Expression(Expression),
}

/// An expression over columns of one relation, such as `lower(email)` or `metadata ->> 'theme'`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expression {
    /// Its SQL with unqualified column names, quoted where needed; parameters that stand for constants of
    /// the expression are written `$n`.
    pub sql: String,
    /// Columns in it.
    pub columns: Vec<String>,
    /// Functions in it (schema if written, name), operators excepted.
    pub functions: Vec<(Option<String>, String)>,
    /// Operators in it, e.g. `->>`.
    pub operators: Vec<String>,
    /// Types cast to, as written.
    pub casts: Vec<String>,
    /// Parameters in it: their values must be known before it can be indexed.
    pub parameters: Vec<u16>,
}

/// What is done to the target; by this an index method and a place among the keys is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PredicateClass {
    /// `=`.
    Equality,
    /// `IN (…)`, `= ANY(…)`.
    AnyOf,
    /// `<`, `<=`, `>`, `>=`, BETWEEN.
    Range,
    /// `LIKE 'abc%'`, `^@`, `starts_with`: a fixed prefix.
    Prefix,
    /// `LIKE '%abc%'`, `ILIKE`, `~`: a pattern without fixed prefix, or not known.
    Pattern,
    /// `@>` on jsonb, arrays, ranges.
    Contains,
    /// `?`, `?|`, `?&` on jsonb.
    HasKey,
    /// `&&`, `<@` and what else GIN or `GiST` serve.
    Overlaps,
    /// `@@` on tsvector or jsonpath.
    Matches,
    /// `IS NULL`.
    IsNull,
    /// `IS NOT NULL`.
    IsNotNull,
    /// `<>`, NOT IN, NOT LIKE: no index serves it.
    NotEqual,
    /// A bare boolean column or its negation.
    Boolean,
    /// Anything else.
    Other,
}

/// What the target is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A parameter; `element` tells that it is one element of an IN list.
    Parameter(u16),
    /// Several parameters or constants: an IN list of this length.
    List(usize),
    /// A literal, as text.
    Constant(String),
    /// An expression without columns of any relation, e.g. `now() - $1`.
    Computed {
        /// Parameters in it.
        parameters: Vec<u16>,
    },
    /// A correlated or joined column of another relation.
    Column(RelationId, String),
    /// Nothing (null tests, booleans).
    None,
}

/// A condition on one relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate {
    /// The relation.
    pub relation: RelationId,
    /// What of it.
    pub target: Target,
    /// What is done to it.
    pub class: PredicateClass,
    /// The operator as written, e.g. `>=`, `@>`; mirrored when the target stood on the right.
    pub operator: String,
    /// What it is compared with.
    pub operand: Operand,
    /// Number of the OR that it stands in: predicates of one relation with the same number are alternatives.
    /// They are given only where every arm of the OR has one, so that a bitmap of the arms can serve it.
    pub alternative: Option<usize>,
    /// Arm of that OR, from 0; predicates of one arm are `ANDed`. 0 outside of an OR.
    pub arm: usize,
}

/// One equality of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinPair {
    /// The one side.
    pub left: (RelationId, Target),
    /// The other side.
    pub right: (RelationId, Target),
    /// What kind of join: inner, outer, or a semi/anti join out of a subquery.
    pub kind: JoinKind,
}

/// The kind of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Inner, or implied by WHERE.
    Inner,
    /// Left, right or full.
    Outer,
    /// EXISTS, IN (SELECT …), NOT EXISTS, correlated subquery.
    Semi,
}

/// One ORDER BY key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderKey {
    /// The relation.
    pub relation: RelationId,
    /// What of it.
    pub target: Target,
    /// Descending.
    pub descending: bool,
    /// NULLs first (explicit, or the default: true for DESC).
    pub nulls_first: bool,
}

/// How a parameter is used; the ground for its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameter {
    /// Columns that it is compared with: table oid, column or expression, operator as for the column on the left.
    pub compared: Vec<Comparison>,
    /// What else it does.
    pub role: ParameterRole,
    /// Where it is stored, for [`ParameterRole::Stored`]: oid of the table, and column.
    pub stored: Option<(u32, String)>,
}

/// One comparison of a parameter with a column or expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Comparison {
    /// The relation.
    pub relation: RelationId,
    /// What of it.
    pub target: Target,
    /// The operator, e.g. `=`, `>=`, `~~`, `@>`.
    pub operator: String,
    /// Whether the parameter is an array compared with ANY/ALL.
    pub any: bool,
    /// Whether the parameter stands inside an expression with clock functions (`now() - $1`): an offset, not a value.
    pub offset: bool,
    /// How the value compared is made from the parameter, from the comparison inwards; empty where it is the
    /// parameter itself, casts aside.
    pub making: Vec<Making>,
}

/// One step from a value back to the parameter that it is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Making {
    /// The value at this key of a JSON document: `$1 ->> 'id'`.
    Key(String),
    /// A document that has it under this key: `jsonb_build_object('size', $1)`.
    Field(String),
    /// A list cut at this separator: `string_to_array($1, ',')`.
    Separated(String),
    /// One element of an array: `($1)[1]`.
    Element,
    /// Each element of an array: `unnest($1)`.
    Unnest,
    /// Text put between others: `'%' || $1 || '%'`.
    Within {
        /// What stands before it.
        before: String,
        /// What stands after it.
        after: String,
    },
    /// Seconds since 1970: `to_timestamp($1)`.
    Seconds,
    /// So many microseconds times it: `$1 * interval '1 hour'`.
    Unit(u64),
    /// A number added.
    Plus(String),
    /// A number multiplied with.
    Times(String),
    /// Something that cannot be undone: `md5($1)`.
    Unknown,
}

impl Making {
    /// Microseconds of a unit of time as written: `1 day`, ` hours`.
    pub fn unit(text: &str) -> Option<u64> {
        making::unit(text)
    }
}

/// What a parameter is for, beyond comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParameterRole {
    /// A value like any other.
    #[default]
    Value,
    /// LIMIT.
    Limit,
    /// OFFSET.
    Offset,
    /// Field name of `date_trunc`, `extract`, `date_part`.
    DateField,
    /// Name of a time zone, for `AT TIME ZONE`.
    TimeZone,
    /// Key of `->`, `->>`, `#>`, `jsonb_extract_path` …
    JsonKey,
    /// A value that is stored (INSERT … VALUES, SET).
    Stored,
    /// In the output list only.
    Output,
}

/// The table that a statement writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Oid of the table.
    pub table: u32,
    /// Columns in SET (update) or the target list (insert).
    pub columns: std::collections::BTreeSet<String>,
}

#[cfg(test)]
mod tests;
