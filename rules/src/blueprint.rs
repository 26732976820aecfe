//! What a planner twin is built from: everything the planner asks of a database, and no table row.
//!
//! The planner asks a relation three things: its catalog entries, its statistics, and its size in blocks
//! (`get_relation_info`, plancat.c). The blueprint holds all three in a form that another server of the same
//! major version can be given: definitions as SQL, statistics as `pg_stats` shows them, sizes as numbers.
//! Values stand as the text that their type's output function prints; arrays of them as array literals, because
//! only a server that knows the type can take such a literal apart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that a twin needs beside the [`Snapshot`](crate::snapshot::Snapshot).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blueprint {
    /// Encoding and collation of the database.
    pub locale: Locale,
    /// Who wrote the definitions: `pg_dump 15.18`, or `pgwright` where they were read from the catalogs.
    pub written_by: String,
    /// Definitions in an order in which they can be run.
    pub definitions: Vec<Definition>,
    /// Sizes and row counts of everything that has or sums up storage, by schema and name.
    pub relations: Vec<RelationShape>,
    /// Rows of `pg_stats`, by schema, relation, column and inheritance.
    pub statistics: Vec<ColumnStatistics>,
    /// Rows of `pg_stats_ext`, by schema, name and inheritance.
    pub extended: Vec<ExtendedStatistics>,
    /// The ends of indexed columns as they are now, by schema, table and column.
    pub ends: Vec<EndPoints>,
    /// Settings of roles and of the database (`pg_db_role_setting`).
    pub role_settings: Vec<RoleSettings>,
    /// Tablespaces with costs of their own (`pg_tablespace.spcoptions`).
    pub tablespaces: Vec<Tablespace>,
    /// What could not be read and what that may change, one sentence each.
    pub notes: Vec<String>,
}

/// Encoding and collation of a database (`pg_database`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locale {
    /// `pg_encoding_to_char(encoding)`, e.g. `UTF8`.
    pub encoding: String,
    /// `datcollate`, e.g. `en_US.UTF-8`.
    pub collate: String,
    /// `datctype`.
    pub ctype: String,
    /// `datlocprovider`: `c` libc, `i` ICU, `b` built in. `c` before version 15.
    pub provider: char,
    /// `daticulocale` (15, 16) or `datlocale` (17 and later), for other providers than libc.
    pub locale: Option<String>,
}

/// What a definition makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefinitionKind {
    /// A role that something else names (a policy, an owner).
    Role,
    /// A schema.
    Schema,
    /// An extension.
    Extension,
    /// A collation.
    Collation,
    /// A type or domain.
    Type,
    /// A function, procedure or aggregate.
    Function,
    /// An operator, operator class or family, or a cast.
    Operator,
    /// A text search dictionary or configuration.
    TextSearch,
    /// A sequence.
    Sequence,
    /// A table of any kind, also partitioned, or a change to one.
    Table,
    /// A view or materialized view.
    View,
    /// An index.
    Index,
    /// A constraint that is made after the tables.
    Constraint,
    /// An extended statistics object.
    Statistics,
    /// A rule, trigger or policy.
    Behaviour,
    /// Anything else (comments, grants), not needed for planning.
    Other,
}

/// One object to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// What it makes.
    pub kind: DefinitionKind,
    /// What it makes, as a person would name it: `table public.users`.
    pub name: String,
    /// One statement, without a semicolon at its end; every name in it is qualified.
    pub sql: String,
}

/// Size and row count of one relation (`pg_class`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelationShape {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `relkind`: `r` table, `p` partitioned table, `m` materialized view, `i` index, `I` partitioned index, `f`
    /// foreign table.
    pub kind: char,
    /// `relpages`: blocks when it was last vacuumed or analyzed.
    pub rel_pages: u32,
    /// `reltuples` at that time; -1 when never.
    pub rel_tuples: f64,
    /// `relallvisible`: blocks all of whose rows everybody sees.
    pub rel_all_visible: u32,
    /// Size of the main fork now, in blocks of 8 kB.
    pub pages: u64,
    /// Levels of a B-tree above its leaves, where it could be found out.
    pub height: Option<u32>,
    /// What the planner takes from the meta page of a GIN index, where it could be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gin: Option<GinFigures>,
}

/// What the planner knows of a GIN index beside its size (`gincostestimate`, selfuncs.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GinFigures {
    /// Pages of the list of entries that are not in the tree yet; every scan reads them all.
    pub pending_pages: u64,
    /// Pages of the tree of keys.
    pub entry_pages: u64,
    /// Pages of the trees of postings.
    pub data_pages: u64,
    /// Keys.
    pub entries: u64,
}

/// One row of `pg_stats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// Schema of the relation.
    pub schema: String,
    /// The table, or the index whose expression it describes.
    pub relation: String,
    /// The column; of an index, the name PostgreSQL gave to the expression.
    pub column: String,
    /// Whether it includes the children.
    pub inherited: bool,
    /// What it says.
    #[serde(flatten)]
    pub values: Distribution,
}

/// What ANALYZE found out about one column or expression (`pg_statistic`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// `null_frac`, 0 to 1.
    pub null_fraction: f32,
    /// `avg_width` in bytes.
    pub avg_width: i32,
    /// `n_distinct`: a count, or if negative minus a share of the rows.
    pub n_distinct: f32,
    /// `most_common_vals`, an array literal of the column's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_values: Option<String>,
    /// `most_common_freqs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub common_frequencies: Vec<f32>,
    /// `histogram_bounds`, an array literal of the column's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
    /// `correlation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<f32>,
    /// `most_common_elems`, an array literal of the element's type (text for tsvector).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_elements: Option<String>,
    /// `most_common_elem_freqs`, with the two or three numbers at its end that are no element's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub element_frequencies: Vec<f32>,
    /// `elem_count_histogram`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub element_counts: Vec<f32>,
    /// `range_length_histogram`, an array literal of double precision. Shown since version 17.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_lengths: Option<String>,
    /// `range_empty_frac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_empty_fraction: Option<f32>,
    /// `range_bounds_histogram`, an array literal of the column's range type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_bounds: Option<String>,
}

/// One row of `pg_stats_ext`, with its rows of `pg_stats_ext_exprs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExtendedStatistics {
    /// Schema of the statistics object.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Schema of its table; empty in snapshots of versions that did not note it.
    #[serde(default)]
    pub table_schema: String,
    /// Its table.
    #[serde(default)]
    pub table: String,
    /// Whether it includes the children (15 and later).
    pub inherited: bool,
    /// `n_distinct` as the type prints it: `{"1, 2": 100}`, by column number, expressions negative.
    pub n_distinct: Option<String>,
    /// `dependencies` as the type prints it: `{"1 => 2": 0.9}`.
    pub dependencies: Option<String>,
    /// The most common combinations, most frequent first.
    pub common: Vec<CommonCombination>,
    /// What it says of each of its expressions, in order.
    pub expressions: Vec<Distribution>,
}

/// One of the most common combinations of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommonCombination {
    /// A value for each column in order of its number, then for each expression; `None` for NULL.
    pub values: Vec<Option<String>>,
    /// Its share of all rows.
    pub frequency: f64,
    /// The share it would have if the columns were independent.
    pub base_frequency: f64,
}

/// The lowest and the highest value of an indexed column, as the planner looks them up itself
/// (`get_actual_variable_range`, selfuncs.c).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndPoints {
    /// Schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The lowest value that is not NULL.
    pub low: Option<String>,
    /// The highest value that is not NULL.
    pub high: Option<String>,
}

/// Settings that a role, the database or one in the other brings along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSettings {
    /// The role; `None` for everybody.
    pub role: Option<String>,
    /// Whether they hold in this database only.
    pub in_database: bool,
    /// Settings by name.
    pub settings: BTreeMap<String, String>,
}

/// A tablespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tablespace {
    /// Its name.
    pub name: String,
    /// Its options, e.g. `random_page_cost=1.1`.
    pub options: Vec<String>,
}
