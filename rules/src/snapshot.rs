//! Everything known of one database at one time; the only input of the thinking half.
//!
//! The agent's sampler fills it, a file can hold it, and nothing in it is a table row. "Unknown" is
//! `None`, never zero. All lists are sorted (tables by schema and name, columns by number, indexes by
//! name, statements by descending total time, then id) so that equal databases give equal bytes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::blueprint::Blueprint;

/// The version of the serialized form; raised when a reader of the old form could misread the new one.
pub const FORMAT: u32 = 1;

/// Everything known of one database at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version of the serialized form, [`FORMAT`].
    pub format: u32,
    /// The server, the database and the role that looked.
    pub server: Server,
    /// Planner and maintenance settings as `SHOW` prints them, by name.
    pub settings: BTreeMap<String, String>,
    /// Installed extensions.
    pub extensions: Vec<Extension>,
    /// Tables, partitioned tables and materialized views outside the system schemas.
    pub tables: Vec<Table>,
    /// Views outside the system schemas, with their definition as SQL.
    pub views: Vec<View>,
    /// Volatility of the functions that an expression index could use.
    pub functions: Vec<Function>,
    /// The sampled statements.
    pub statements: Vec<Statement>,
    /// Where the statements came from, what was left out, and how long they were counted.
    pub intake: Intake,
    /// What a planner twin is built from, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<Box<Blueprint>>,
}

/// The server, the database and the role that looked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// `server_version_num`, e.g. 150018.
    pub version_num: u32,
    /// `server_version` as printed, e.g. `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    /// Name of the database.
    pub database: String,
    /// The role that sampled.
    pub role: String,
    /// Whether that role is a superuser.
    pub superuser: bool,
    /// The role's own `search_path` in this database, resolved (`"$user"` replaced), as schema names.
    pub search_path: Vec<String>,
    /// Whether the server is a standby or otherwise read-only.
    pub read_only: bool,
    /// `system_identifier` of the cluster where it may be read.
    pub system_identifier: Option<String>,
    /// Oid of the database.
    pub database_oid: u32,
    /// When the snapshot was taken, by the server's clock.
    pub taken_at: DateTime<Utc>,
    /// `pg_stat_database.stats_reset`: since when the table counters run; `None` when never reset.
    pub counters_since: Option<DateTime<Utc>>,
}

/// An installed extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The schema that holds its objects.
    pub schema: String,
    /// Its version.
    pub version: String,
}

/// What kind of relation a table is (`pg_class.relkind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    /// An ordinary table (also a leaf partition).
    Table,
    /// A partitioned table; it has no storage of its own.
    Partitioned,
    /// A materialized view.
    MaterializedView,
    /// A foreign table; it can have no index.
    Foreign,
}

/// `pg_class.relpersistence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Persistence {
    /// Written to WAL.
    Permanent,
    /// Not written to WAL.
    Unlogged,
    /// Visible to one session.
    Temporary,
}

/// A table, partitioned table or materialized view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What kind of relation it is.
    pub kind: TableKind,
    /// Whether it is permanent, unlogged or temporary.
    pub persistence: Persistence,
    /// The owning role.
    pub owner: String,
    /// Whether the sampling role may act as the owner (`pg_has_role(owner, 'USAGE')`) and has CREATE on the schema.
    pub may_index: bool,
    /// Whether the sampling role may ANALYZE and VACUUM it: as the table's or the database's owner, or, from PostgreSQL
    /// 17 on, by MAINTAIN (documentation of ANALYZE). False where an older pgwright took the snapshot.
    #[serde(default)]
    pub may_analyze: bool,
    /// Rows: `reltuples`; for a partitioned table the sum over its leaves. `None` when never counted.
    pub rows: Option<f64>,
    /// Size of the heap in 8 kB blocks; for a partitioned table the sum over its leaves.
    pub pages: u64,
    /// `relallvisible`: blocks that an index-only scan need not visit.
    pub all_visible: u64,
    /// Oid of the parent when this is a partition.
    pub partition_of: Option<u32>,
    /// Whether the table has inheritance children that are no partitions.
    pub inherited: bool,
    /// Oids of the tables that it inherits from, as no partition of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherits: Vec<u32>,
    /// Whether row level security is on.
    pub row_security: bool,
    /// Whether an extension owns the table.
    pub extension_member: bool,
    /// Whether the user told pgwright to leave it alone.
    #[serde(default)]
    pub excluded: bool,
    /// Storage options as in `pg_class.reloptions`.
    pub options: Vec<String>,
    /// Its columns, dropped ones left out.
    pub columns: Vec<Column>,
    /// Values that occur together, of the extended statistics that list them.
    #[serde(default)]
    pub combinations: Vec<Combinations>,
    /// Extended statistics of its columns, whether ANALYZE has filled them or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statistics: Vec<Together>,
    /// Its indexes.
    pub indexes: Vec<Index>,
    /// Its constraints.
    pub constraints: Vec<Constraint>,
    /// Counters of `pg_stat_user_tables`.
    pub counters: TableCounters,
}

/// The most common combinations of values of some columns (`pg_stats_ext.most_common_vals`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Combinations {
    /// The columns.
    pub columns: Vec<String>,
    /// A value for each column, `None` for NULL, with the share of the rows that have them; most frequent first.
    pub rows: Vec<(Vec<Option<String>>, f64)>,
}

/// Extended statistics (`pg_statistic_ext`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Together {
    /// Their schema.
    pub schema: String,
    /// Their name.
    pub name: String,
    /// The columns; those that are expressions are left aside.
    pub columns: BTreeSet<String>,
}

/// Counters of `pg_stat_user_tables`, since [`Server::counters_since`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableCounters {
    /// Sequential scans begun.
    pub seq_scan: u64,
    /// Index scans begun.
    pub idx_scan: u64,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated, HOT ones included.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows updated without touching an index.
    pub hot_updated: u64,
    /// Estimated live rows.
    pub live: u64,
    /// Estimated dead rows.
    pub dead: u64,
    /// Rows changed since the last ANALYZE.
    pub modified_since_analyze: u64,
    /// The later of `last_analyze` and `last_autoanalyze`.
    pub analyzed_at: Option<DateTime<Utc>>,
    /// The later of `last_vacuum` and `last_autovacuum`.
    pub vacuumed_at: Option<DateTime<Utc>>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// `attnum`.
    pub number: i16,
    /// Its name as stored.
    pub name: String,
    /// `format_type(atttypid, atttypmod)`, e.g. `character varying(20)`.
    pub type_name: String,
    /// Name of the underlying type in `pg_type.typname`, domains resolved, e.g. `varchar`, `int4`, `_text`.
    pub base_type: String,
    /// Schema of that underlying type.
    pub base_type_schema: String,
    /// `pg_type.typtype` of the underlying type: `b` base, `e` enum, `c` composite, `r` range, `m` multirange, `p` pseudo.
    pub type_kind: char,
    /// `pg_type.typcategory` of the underlying type (`N` number, `S` string, `D` date/time, `A` array …).
    pub type_category: char,
    /// `attlen`: bytes of a fixed-length type, -1 for variable length.
    pub length: i16,
    /// Alignment in bytes: 1, 2, 4 or 8.
    pub align: u8,
    /// `atttypmod`, -1 for none.
    pub type_modifier: i32,
    /// Declared NOT NULL (or part of the primary key).
    pub not_null: bool,
    /// Whether the type has a default B-tree operator class, so that it can be a B-tree key.
    pub btree: bool,
    /// Whether a B-tree on it deduplicates (`equalimage`): false for numeric, float, interval, jsonb, nondeterministic collations.
    pub deduplicates: bool,
    /// Name of the collation when the type has one, else `None`.
    pub collation: Option<String>,
    /// Whether the collation sorts as `C` does, so that `LIKE 'x%'` can use a plain B-tree.
    pub c_collation: bool,
    /// Statistics from `pg_stats` (inherited ones for partitioned tables); `None` when never analyzed or not readable.
    pub stats: Option<ColumnStats>,
}

/// What `pg_stats` says of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnStats {
    /// Share of NULLs, 0 to 1.
    pub null_fraction: f64,
    /// Average width in bytes.
    pub avg_width: f64,
    /// Distinct values; negative: minus the share of distinct values among the rows.
    pub n_distinct: f64,
    /// Most common values as text, most frequent first.
    pub common_values: Vec<String>,
    /// Their shares of all rows.
    pub common_frequencies: Vec<f64>,
    /// Bounds of the equal-mass histogram of the other values, as text.
    pub histogram: Vec<String>,
    /// Correlation of value order with physical order, -1 to 1.
    pub correlation: Option<f64>,
    /// Most common elements, for arrays and tsvector, as text.
    pub common_elements: Vec<String>,
    /// Their frequencies.
    pub element_frequencies: Vec<f64>,
}

/// One key column of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexKey {
    /// Column name, when the key is a plain column.
    pub column: Option<String>,
    /// The expression as `pg_get_indexdef(oid, n, false)` prints it, when it is none.
    pub expression: Option<String>,
    /// Operator class, schema-qualified when not in `pg_catalog`.
    pub opclass: String,
    /// Whether that is the default operator class of the type and method.
    pub opclass_default: bool,
    /// Operator class options (`attoptions`), e.g. `siglen=32`.
    pub opclass_options: Vec<String>,
    /// Collation, when it differs from the column's own.
    pub collation: Option<String>,
    /// Sorted descending.
    pub descending: bool,
    /// NULLs come first.
    pub nulls_first: bool,
}

/// An index with every property that makes two of them differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Access method: `btree`, `gin` …
    pub method: String,
    /// Key columns in order.
    pub keys: Vec<IndexKey>,
    /// INCLUDE columns.
    pub include: Vec<String>,
    /// Predicate of a partial index as PostgreSQL prints it.
    pub predicate: Option<String>,
    /// `pg_get_indexdef(oid)` under `search_path = pg_catalog`.
    pub definition: String,
    /// `indisunique`.
    pub unique: bool,
    /// `indisprimary`.
    pub primary: bool,
    /// `indisexclusion`.
    pub exclusion: bool,
    /// `indnullsnotdistinct` (15 and later).
    pub nulls_not_distinct: bool,
    /// `indisvalid`: the planner may use it.
    pub valid: bool,
    /// `indisready`: writers maintain it.
    pub ready: bool,
    /// `indislive`: false while it is being dropped.
    pub live: bool,
    /// `indisreplident`.
    pub replica_identity: bool,
    /// `indisclustered`.
    pub clustered: bool,
    /// Name of the constraint that it serves.
    pub constraint: Option<String>,
    /// Whether a foreign key references through it, or another object depends on it.
    pub required_by: Vec<String>,
    /// Oid of the index that it is attached to, when it is a partition of one.
    pub partition_of: Option<u32>,
    /// Whether it belongs to, or depends on, an extension.
    pub extension_dependent: bool,
    /// Tablespace, when not the database's default.
    pub tablespace: Option<String>,
    /// `reloptions`.
    pub options: Vec<String>,
    /// Comment on it.
    pub comment: Option<String>,
    /// Statistics targets set on its expression columns, by column position (1-based).
    #[serde(deserialize_with = "by_position")]
    pub statistics_targets: BTreeMap<i16, i32>,
    /// Size in bytes.
    pub bytes: u64,
    /// Scans begun, since [`Server::counters_since`]. Zero is no proof of being unused.
    pub scans: u64,
    /// Whether a `CREATE INDEX` or `REINDEX` is at work on it now (`pg_stat_progress_create_index`).
    pub building: bool,
}

/// Reads a map whose keys are numbers. JSON has them as texts, and inside of a tagged enum serde does not turn
/// them back by itself.
fn by_position<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<i16, i32>, D::Error> {
    let texts = BTreeMap::<String, i32>::deserialize(from)?;
    let number = |text: &str| text.parse().map_err(D::Error::custom);
    texts.into_iter().map(|(position, target)| Ok((number(&position)?, target))).collect()
}

/// What kind of constraint it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    Unique,
    /// FOREIGN KEY.
    Foreign,
    /// CHECK.
    Check,
    /// EXCLUDE.
    Exclusion,
}

/// A constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: ConstraintKind,
    /// Its columns in constraint order (`conkey`).
    pub columns: Vec<String>,
    /// Oid of the referenced table, for a foreign key.
    pub references: Option<u32>,
    /// Referenced columns (`confkey`) in constraint order.
    pub referenced_columns: Vec<String>,
    /// `pg_get_constraintdef`.
    pub definition: String,
}

/// A view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its column names in order.
    pub columns: Vec<String>,
    /// `pg_get_viewdef(oid)` under `search_path = pg_catalog`: every relation is qualified.
    pub definition: String,
}

/// Volatility of a function (`pg_proc.provolatile`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volatility {
    /// Same arguments, same result, for ever.
    Immutable,
    /// Same result within one statement.
    Stable,
    /// Anything.
    Volatile,
}

/// A function, summed up over its overloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Argument types of this overload as `format_type` prints them.
    pub arguments: Vec<String>,
    /// Result type.
    pub result: String,
    /// Its volatility.
    pub volatility: Volatility,
    /// Whether it is written in C or is built in, so that planning cannot run foreign code.
    pub trusted: bool,
}

/// One normalized statement of the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Stable id: 16 hexadecimal digits of the fingerprint of the text, relation names kept.
    pub id: String,
    /// `queryid` values of `pg_stat_statements` that it sums up; empty for statements from files.
    pub queryids: Vec<i64>,
    /// The text, normalized (`$1` …) or, from a file, as written.
    pub text: String,
    /// The role that runs it most.
    pub role: Option<String>,
    /// `search_path` under which its names resolve, as schema names.
    pub search_path: Vec<String>,
    /// Planner settings of that role that are others than in [`Snapshot::settings`], by name, as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Executions; 1 for statements from files.
    pub calls: u64,
    /// Total execution time in milliseconds; `None` when not measured (files).
    pub total_ms: Option<f64>,
    /// Rows returned or affected by all executions.
    pub rows: Option<u64>,
    /// Shared blocks hit and read by all executions.
    pub blocks: Option<u64>,
    /// Real texts of the same statement with their literals, as other sessions were seen running them or a log
    /// tells, the most frequent first.
    pub examples: Vec<Example>,
}

/// A real text of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The text, with its literals.
    pub text: String,
    /// How many calls it stands for.
    pub times: u64,
}

impl From<String> for Example {
    fn from(text: String) -> Self {
        Self { text, times: 1 }
    }
}

/// Where the statements came from and what was left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intake {
    /// `pg_stat_statements` or the files' names.
    pub source: String,
    /// Since when the statements were counted (`pg_stat_statements_info.stats_reset`).
    pub since: Option<DateTime<Utc>>,
    /// Entries evicted for want of room (`pg_stat_statements_info.dealloc`); more than zero means the picture has holes.
    pub evicted: Option<u64>,
    /// Entries seen.
    pub seen: u64,
    /// Share of the seen entries' total time that the kept statements make up, 0 to 1.
    pub kept_share: Option<f64>,
    /// What was left out: reason -> number of entries. Nothing is left out silently.
    pub left_out: BTreeMap<LeftOut, u64>,
    /// Row-writing statements that were left out of pricing but tell how tables are written: table oid is not known here, so the texts' target names.
    pub copied_rows: BTreeMap<String, u64>,
    /// Anything else a person should know, one sentence each.
    pub notes: Vec<String>,
}

/// Why a `pg_stat_statements` entry was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// `<insufficient privilege>` stands in place of the text.
    InsufficientPrivilege,
    /// The text was cut (at `track_activity_query_size`, or lost by `pg_stat_statements`).
    Truncated,
    /// DDL, SET, COPY, transaction control …
    Utility,
    /// Sent by pgwright itself, or by people to its journal.
    Own,
    /// Of another database.
    OtherDatabase,
    /// Reads system catalogs only.
    CatalogOnly,
    /// Run inside a function, not by a client (`toplevel` false).
    Nested,
    /// Does not parse.
    Unparsable,
    /// Fewer calls than `--min-calls`.
    FewCalls,
    /// Less mean time than `--min-mean-ms`.
    FastEnough,
    /// Beyond `--limit`.
    BeyondLimit,
    /// The file gave the same statement again.
    Repeated,
}

impl LeftOut {
    /// What the report says of it, to be put after a number.
    pub fn label(self) -> &'static str {
        match self {
            Self::InsufficientPrivilege => "hidden from this role (needs pg_read_all_stats)",
            Self::Truncated => "with a truncated text",
            Self::Utility => "utility statements",
            Self::Own => "pgwright's own",
            Self::OtherDatabase => "of other databases",
            Self::CatalogOnly => "on system catalogs only",
            Self::Nested => "run inside functions",
            Self::Unparsable => "that do not parse",
            Self::FewCalls => "with too few calls (--min-calls)",
            Self::FastEnough => "faster than --min-mean-ms",
            Self::BeyondLimit => "beyond --limit",
            Self::Repeated => "repeated",
        }
    }
}

impl Snapshot {
    /// The table with this oid.
    pub fn table(&self, oid: u32) -> Option<&Table> {
        self.tables.iter().find(|table| table.oid == oid)
    }

    /// The table of this schema and name, exactly as stored.
    pub fn table_named(&self, schema: &str, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.schema == schema && table.name == name)
    }

    /// Whether an extension of this name is installed.
    pub fn extension(&self, name: &str) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.name == name)
    }

    /// Days over which the statements were counted, at least an hour's worth; 1 when unknown (files).
    ///
    /// The floor keeps a workload counted for seconds from being blown up into a whole day of them.
    pub fn days(&self) -> f64 {
        self.observed_days().map_or(1.0, |days| days.max(1.0 / 24.0))
    }

    /// Days for which the statements were really counted, however short; `None` when unknown (files).
    pub fn observed_days(&self) -> Option<f64> {
        let since = self.intake.since?;
        Some(((self.server.taken_at - since).num_milliseconds() as f64 / 86_400_000.0).max(0.0))
    }
}

impl Table {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// `schema.name`, quoted where SQL needs it.
    pub fn qualified(&self) -> String {
        crate::quote::qualified(&self.schema, &self.name)
    }
}

impl Column {
    /// Distinct values in a table of `rows` rows; `None` without statistics.
    pub fn distinct(&self, rows: f64) -> Option<f64> {
        let n = self.stats.as_ref()?.n_distinct;
        Some(if n < 0.0 { (-n * rows).max(1.0) } else { n.max(1.0) })
    }
}
