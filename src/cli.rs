//! The command line: every command and option, with the texts of `--help`.
#![expect(
    clippy::doc_markdown,
    reason = "doc comments here are the texts of --help, printed as they stand"
)]

mod reading;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;

use crate::limits::{LimitArgs, Manners};
use crate::values::{ByteSize, Gate, Milliseconds, Since, Wait, Whole};
use reading::Switch;

#[cfg(test)]
pub(crate) use reading::command;
pub(crate) use reading::parse;

/// Make a PostgreSQL server faster, provably and undoably
///
/// pgwright samples what a server really runs, finds the indexes and the maintenance that would help, has
/// the server's own planner price them, and shows what it found. It changes nothing unless told to, and
/// whatever it changed it can undo.
#[derive(Debug, Parser)]
#[command(name = "pgwright", version, arg_required_else_help = true, subcommand_required = true)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Connect to this database
    ///
    /// A URI (postgres://user@host/db) or key=value pairs, as for psql. What it leaves open comes from the
    /// PG* environment variables, the service file and the password file.
    #[arg(
        short,
        long,
        global = true,
        value_name = "URL",
        env = "PGWRIGHT_DATABASE",
        hide_env_values = true
    )]
    pub(crate) database: Option<String>,
    /// Ask the server for plans as another role
    ///
    /// The name of a role, to log in as on the same server, or a whole connection as for --database. Planning runs
    /// functions of users with the rights of whoever asks for the plan, so a login that owns nothing is safest;
    /// `pgwright doctor --grants` prints one. A role's password comes from the password file.
    #[arg(
        long,
        global = true,
        value_name = "ROLE|URL",
        env = "PGWRIGHT_EXPLAIN_AS",
        hide_env_values = true
    )]
    pub(crate) explain_as: Option<String>,
    /// Wait this long for another run of pgwright in the same database to end [default: 10s]
    ///
    /// Only one run at a time changes a database. When the time is over, this one ends with 5 and has changed nothing.
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        env = "PGWRIGHT_LOCK_WAIT",
        hide_env_values = true
    )]
    pub(crate) lock_wait: Option<Wait>,
    /// Append what happens to this file, one JSON object a line
    ///
    /// The lines name actions, tables and results, and hold no values, statements or passwords.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PGWRIGHT_LOG_FILE",
        hide_env_values = true
    )]
    pub(crate) log_file: Option<PathBuf>,
    /// Read the configuration from this file
    ///
    /// Without it, ./pgwright.toml and ~/.config/pgwright/config.toml are read where present, the first
    /// going before the second. Options and environment variables go before every file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PGWRIGHT_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// Say more (can be repeated)
    ///
    /// Once: everything that was refused, every statement, and how many statements were sent to the server
    /// in how much time. Twice and more: a trace on stderr.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "PGWRIGHT_VERBOSE", hide_env_values = true)]
    pub(crate) verbose: u8,
    /// Say nothing unless something was found, done or went wrong
    ///
    /// What `optimize --apply` did is then one line.
    #[arg(short, long, global = true, env = "PGWRIGHT_QUIET", hide_env_values = true, value_parser = Switch, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Colour the output
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        env = "PGWRIGHT_COLOR",
        hide_env_values = true
    )]
    pub(crate) color: Option<Color>,
    /// How what changes something behaves.
    #[command(flatten)]
    pub(crate) manners: Manners,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find what would help, and carry it out with --apply
    ///
    /// Without --apply this is a dry run: it reads, has the planner price what could be, and shows the
    /// result. Nothing is changed.
    #[command(after_long_help = OPTIMIZE_EXAMPLES)]
    Optimize(Box<OptimizeArgs>),
    /// Show the journal of what was done, or one action in full
    Log(LogArgs),
    /// Undo what was done
    ///
    /// The inverse of an action is made from what the journal holds, checked against the catalog, and
    /// carried out without blocking writers. Exactly one of ID, --run, --since and --all says what to undo.
    #[command(after_long_help = ROLLBACK_EXAMPLES)]
    Rollback(RollbackArgs),
    /// Judge what was applied by what the server counted, and keep it or take it back
    ///
    /// Made for cron, every 15 minutes. Reads the counters and writes them down, a window at a time. Statements on the
    /// tables of watched actions are compared with how they were before, and with statements that have nothing to do
    /// with it, so that a load on everything counts for nothing. What made a statement slower, ended HOT updates, or
    /// is used by nobody is taken back and not tried again for 90 days; the rest is kept. docs/verify.md tells how.
    #[command(after_long_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Say why a plan is slow, or what changed between two
    ///
    /// Reads what EXPLAIN printed, with or without ANALYZE and BUFFERS, one plan or several, and shows the tree with
    /// what each operator takes by itself, wrong estimates, and what is known to make plans slow. Needs no server.
    #[command(after_long_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Write down everything that a dry run needs, in one file
    ///
    /// Definitions, statistics, sizes, settings and statements of one database, and no table row. With the file,
    /// `optimize --snapshot FILE` works at a desk, in CI or for a support case, without any server.
    #[command(after_long_help = SNAPSHOT_EXAMPLES)]
    Snapshot(SnapshotArgs),
    /// List the rules, or explain one
    Rules(RulesArgs),
    /// Check what this server or role lacks, with the statements that mend it
    Doctor(DoctorArgs),
    /// Show the whole job on a private PostgreSQL that is removed afterwards
    ///
    /// Starts a server of its own from the PostgreSQL binaries of this machine, loads a schema with rows and a
    /// workload, shows the dry run, applies it, and measures the same statements before and after.
    Demo(DemoArgs),
}

impl Command {
    /// Its name on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Optimize(_) => "optimize",
            Self::Log(_) => "log",
            Self::Rollback(_) => "rollback",
            Self::Verify(_) => "verify",
            Self::Explain(_) => "explain",
            Self::Snapshot(_) => "snapshot",
            Self::Rules(_) => "rules",
            Self::Doctor(_) => "doctor",
            Self::Demo(_) => "demo",
        }
    }
}

/// Options of `optimize`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OptimizeArgs {
    /// Carry out what is above the gate
    ///
    /// Only actions that pgwright may take alone and whose confidence reaches --min-confidence are carried
    /// out; the rest stay recommendations. Cannot be set in a configuration file.
    #[arg(long, env = "PGWRIGHT_APPLY", hide_env_values = true, value_parser = Switch)]
    pub(crate) apply: bool,
    /// Think about this file of `pgwright snapshot`, without any server
    ///
    /// A private PostgreSQL with the schema, the statistics and the sizes of the file, and none of the rows,
    /// is started from the PostgreSQL programs of this machine, plans the statements, and is removed again.
    #[arg(long, value_name = "FILE", env = "PGWRIGHT_SNAPSHOT", hide_env_values = true, conflicts_with_all = ["apply", "workload", "log", "limit", "min_calls", "min_mean_ms"])]
    pub(crate) snapshot: Option<PathBuf>,
    /// Which statements to look at.
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
    /// With --apply, watch for this long what was applied, and take back what does not pay
    ///
    /// Does in between what `pgwright verify` does once. It can be stopped at any time without harm: a later
    /// `pgwright verify` goes on from there.
    #[arg(
        long,
        value_name = "DURATION",
        requires = "apply",
        env = "PGWRIGHT_WATCH",
        hide_env_values = true
    )]
    pub(crate) watch: Option<Wait>,
    /// Set the gate of --apply, 0.5 to 1.0 [default: 0.90]
    #[arg(long, value_name = "P", env = "PGWRIGHT_MIN_CONFIDENCE", hide_env_values = true)]
    pub(crate) min_confidence: Option<Gate>,
    /// Let all indexes of pgwright together take at most this much disk
    ///
    /// Those that earlier runs made count with the size that they have now. As PostgreSQL writes sizes: 500MB, 2GB, 1.5 GiB; 1 kB is 1024 bytes.
    #[arg(long, value_name = "SIZE", env = "PGWRIGHT_STORAGE_BUDGET", hide_env_values = true)]
    pub(crate) storage_budget: Option<ByteSize>,
    /// Propose for tables of this schema only (can be repeated)
    ///
    /// Names are read as for --exclude-table.
    #[arg(
        long,
        value_name = "NAME",
        env = "PGWRIGHT_SCHEMA",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) schema: Vec<String>,
    /// Propose nothing for this table, given as name or schema.name (can be repeated)
    ///
    /// As in psql upper case counts as lower unless it is quoted ('app."Orders"'); the name just as it is stored does as
    /// well. A name that is not there is a warning, and with --apply an error.
    #[arg(
        long,
        value_name = "TABLE",
        env = "PGWRIGHT_EXCLUDE_TABLE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) exclude_table: Vec<String>,
    /// Choose who prices what does not exist [default: auto]
    #[arg(long, value_name = "WHO", value_enum, env = "PGWRIGHT_WHAT_IF", hide_env_values = true)]
    pub(crate) what_if: Option<WhatIf>,
    /// Take another PostgreSQL version for the planner twin where the server's is not installed
    ///
    /// Its planner may choose otherwise, so confidence falls, and the report says so.
    #[arg(long, env = "PGWRIGHT_TWIN_ANY_VERSION", hide_env_values = true, value_parser = Switch)]
    pub(crate) twin_any_version: bool,
    /// Print the result in this form [default: human]
    #[arg(long, value_name = "FORM", value_enum, env = "PGWRIGHT_FORMAT", hide_env_values = true)]
    pub(crate) format: Option<ReportFormat>,
    /// Write the result to this file instead of stdout
    #[arg(long, value_name = "FILE", env = "PGWRIGHT_OUTPUT", hide_env_values = true)]
    pub(crate) output: Option<PathBuf>,
    /// What keeps --apply polite.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Which statements to look at.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SampleArgs {
    /// Take the statements from this file, or from the .sql files of this folder
    ///
    /// In place of pg_stat_statements. A file may hold many statements, ended by semicolons.
    #[arg(long, value_name = "FILE|DIR", env = "PGWRIGHT_WORKLOAD", hide_env_values = true)]
    pub(crate) workload: Option<PathBuf>,
    /// Take real values from this log of the server (can be repeated)
    ///
    /// As stderr, csvlog or jsonlog, with log_min_duration_statement, log_statement or auto_explain on: it tells
    /// with which values statements are called and how often, so that they are planned with those.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Vec<PathBuf>,
    /// Look at this many statements, the most time-consuming first [default: 500]
    #[arg(long, value_name = "N", env = "PGWRIGHT_LIMIT", hide_env_values = true)]
    pub(crate) limit: Option<Whole<1>>,
    /// Leave out statements with fewer calls [default: 1]
    #[arg(long, value_name = "N", env = "PGWRIGHT_MIN_CALLS", hide_env_values = true)]
    pub(crate) min_calls: Option<Whole<0>>,
    /// Leave out statements with a lower mean time [default: 0]
    #[arg(long, value_name = "MS", env = "PGWRIGHT_MIN_MEAN_MS", hide_env_values = true)]
    pub(crate) min_mean_ms: Option<Milliseconds>,
}

/// Options of `snapshot`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// Which statements to look at.
    #[command(flatten)]
    pub(crate) sample: SampleArgs,
    /// Replace the values in statistics and statements
    ///
    /// Most common values, histograms and literals become made-up ones in the same order, so that no value of a
    /// table leaves the server. What precision that costs is said in the file and in every report made from it.
    #[arg(long)]
    pub(crate) redact: bool,
    /// Where the definitions of the schema come from
    #[arg(long, value_name = "WHERE", value_enum, default_value_t)]
    pub(crate) schema_from: SchemaFrom,
    /// Write the snapshot to this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Who writes the definitions of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFrom {
    /// The server's catalogs: as any role, with no lock held and no program needed
    #[default]
    Catalogs,
    /// pg_dump of the server's major version; the catalogs where there is none or it fails
    PgDump,
}

/// Who prices what does not exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WhatIf {
    /// HypoPG on the server for a handful of statements; the twin for many, or for what HypoPG cannot price
    #[default]
    Auto,
    /// HypoPG; an error where the server does not have it
    Hypopg,
    /// The planner twin: a private PostgreSQL with the same schema, statistics and sizes
    Twin,
    /// Nobody: confidence stays under the gate
    None,
}

/// The forms of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReportFormat {
    /// For people
    #[default]
    Human,
    /// For programs; versioned
    Json,
    /// What --apply would run, for psql; undo and recommendations as comments
    Sql,
}

/// The forms of everything but the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Human,
    /// For programs
    Json,
}

/// Options of `log`.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Number of the action to show in full
    #[arg(value_name = "ID")]
    pub(crate) id: Option<i64>,
    /// Let the action with this number, taken back before, be tried again
    #[arg(long, value_name = "ID", conflicts_with_all = ["id", "format"])]
    pub(crate) unblock: Option<i64>,
    /// Print in this form
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Options of `rollback`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RollbackArgs {
    /// Undo the action with this number in the journal
    #[arg(value_name = "ID")]
    pub(crate) id: Option<i64>,
    /// Undo every action of this run
    #[arg(long, value_name = "RUN", value_parser = crate::values::run)]
    pub(crate) run: Option<uuid::Uuid>,
    /// Undo every action since an instant (2026-03-01T08:00:00Z) or for a time (2h, `3 days`)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,
    /// Undo every action
    #[arg(long)]
    pub(crate) all: bool,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Report only: write nothing down, keep nothing, take nothing back
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Write the counters down this far apart [default: 1h]
    ///
    /// In between, they are only looked at for harm that cannot wait.
    #[arg(long, value_name = "DURATION", env = "PGWRIGHT_EVERY", hide_env_values = true)]
    pub(crate) every: Option<Wait>,
    /// Watch at least this long before an action is kept or called unused [default: 3 days]
    #[arg(long, value_name = "DURATION", env = "PGWRIGHT_AT_LEAST", hide_env_values = true)]
    pub(crate) at_least: Option<Wait>,
    /// Watch at most this long [default: 35 days]
    #[arg(long, value_name = "DURATION", env = "PGWRIGHT_AT_MOST", hide_env_values = true)]
    pub(crate) at_most: Option<Wait>,
    /// Print in this form
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The file to read, or - for stdin
    #[arg(value_name = "FILE|-", required_unless_present = "diff")]
    pub(crate) file: Option<PathBuf>,
    /// Tell what changed between two files with plans of one statement
    #[arg(long, value_names = ["OLD", "NEW"], num_args = 2, conflicts_with = "file")]
    pub(crate) diff: Option<Vec<PathBuf>>,
    /// Print in this form
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) format: PlanFormat,
    /// Write the result to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The forms of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For people: a tree with bars, then what was found
    #[default]
    Human,
    /// For programs; versioned
    Json,
    /// For a ticket or a pull request
    Markdown,
    /// A picture of the tree, in one file
    Svg,
    /// A page with the picture and all that was found, in one file
    Html,
}

/// Options of `rules`.
#[derive(Debug, Args)]
pub(crate) struct RulesArgs {
    /// Name of the rule to explain
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Fail also for what only `optimize --apply` lacks
    ///
    /// Without it, exit code 3 means that not even a dry run can work.
    #[arg(long)]
    pub(crate) apply: bool,
    /// Check instead whether the planner twin plans as this server does
    ///
    /// Builds the twin, has both plan the statements of the workload with the same values, and shows where their
    /// plans or costs differ, and in what. A difference is a finding and no failure: the exit code stays 0.
    #[arg(long, conflicts_with = "apply")]
    pub(crate) twin: bool,
    /// Print instead the roles and grants that pgwright needs here, as a script for psql
    ///
    /// Two logins: one that reads, keeps the journal and applies, and one that only asks for plans. The script holds
    /// everything that a dry run needs, and then what --apply needs in addition, and no more.
    #[arg(long, conflicts_with_all = ["apply", "twin"])]
    pub(crate) grants: bool,
    /// With --grants, call the logins this, and this with _explain [default: pgwright]
    #[arg(long, value_name = "NAME", requires = "grants")]
    pub(crate) role: Option<String>,
    /// With --twin, take the statements from this file, or from the .sql files of this folder
    #[arg(long, value_name = "FILE|DIR", requires = "twin")]
    pub(crate) workload: Option<PathBuf>,
    /// With --twin, look at this many statements, the most time-consuming first [default: 500]
    #[arg(long, value_name = "N", requires = "twin")]
    pub(crate) limit: Option<Whole<1>>,
    /// Print in this form
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Undo everything at the end and show that nothing is left of it
    #[arg(long, env = "PGWRIGHT_ROLLBACK", hide_env_values = true, value_parser = Switch)]
    pub(crate) rollback: bool,
    /// Size of the data
    #[arg(
        long,
        value_name = "SIZE",
        value_enum,
        default_value_t,
        ignore_case = true,
        env = "PGWRIGHT_SCALE",
        hide_env_values = true
    )]
    pub(crate) scale: Scale,
    /// Leave the server running at the end and print how to connect
    #[arg(long, env = "PGWRIGHT_KEEP", hide_env_values = true, value_parser = Switch)]
    pub(crate) keep: bool,
    /// Print in this form
    ///
    /// For people it is told as it goes; for programs it is one object at the end.
    #[arg(long, value_name = "FORM", value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Size of the demo's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    /// 5,000 users, 45,000 log rows: too small for any index to pay
    S,
    /// 50,000 users, 1 million log rows
    #[default]
    M,
    /// 200,000 users, 8 million log rows
    L,
}

const OPTIMIZE_EXAMPLES: &str = "\
Examples:
  pgwright optimize -d postgres://app@db.example.com/shop   show what would help
  pgwright optimize --apply                                 carry out what is above the gate
  pgwright optimize --format sql --output indexes.sql       write it down for a review
  pgwright optimize --workload queries/ --what-if hypopg    take the statements from files
  pgwright optimize --apply --quiet --lock-wait 10min       from cron";

const SNAPSHOT_EXAMPLES: &str = "\
Examples:
  pgwright snapshot -d postgres://app@db.example.com/shop -o shop.pgwright   write it down
  pgwright optimize --snapshot shop.pgwright                                 think about it elsewhere
  pgwright snapshot --redact -o shop.pgwright                                for somebody who may see no value";

const ROLLBACK_EXAMPLES: &str = "\
Examples:
  pgwright rollback 12            undo action 12 of `pgwright log`
  pgwright rollback --since 2h    undo what was done in the last two hours
  pgwright rollback --all         undo everything";

const VERIFY_EXAMPLES: &str = "\
Examples:
  pgwright verify --quiet                every 15 minutes from cron; speaks when a verdict is given
  pgwright verify --dry-run -v           what is being watched, with every figure
  pgwright log --unblock 12              let action 12 be tried again, which was taken back";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  psql -XAtc 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT …' | pgwright explain -
  pgwright explain plan.json --format html --output plan.html   a picture to share
  pgwright explain --diff before.json after.json                what an index or an upgrade changed";
