//! What guards look at.

use std::time::Duration;

use chrono::NaiveDateTime;

use super::limits::Limits;

/// Everything that a guard looks at. What the server does not tell is `None`.
#[derive(Clone, Copy, Debug)]
pub struct Premises<'a> {
    /// The server and our session.
    pub server: &'a ServerFacts,
    /// What the user allows.
    pub limits: &'a Limits,
    /// What this run has used up of its budget.
    pub spent: Spent,
    /// What is to be done; `None` before the first action.
    pub target: Option<Target<'a>>,
}

/// What a run has used up by building indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Time.
    pub time: Duration,
    /// Bytes on disk.
    pub bytes: u64,
}

/// One action and its table.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What is to be done.
    pub work: Work,
    /// The table.
    pub table: &'a TableFacts,
    /// The index that is to be made, where it is one that was planned.
    pub index: Option<&'a PlannedIndex>,
}

/// What is to be done to a table; each needs a right of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `CREATE INDEX CONCURRENTLY`.
    CreateIndex,
    /// `DROP INDEX CONCURRENTLY`.
    DropIndex,
    /// Making the index of a partitioned table whole: `CREATE INDEX … ON ONLY` and `ALTER INDEX … ATTACH PARTITION`.
    AttachIndexes,
    /// `DROP INDEX` of a partitioned table, with all that is attached.
    DropPartitionedIndex,
    /// `ANALYZE`.
    Analyze,
    /// `CREATE STATISTICS`.
    CreateStatistics,
    /// `DROP STATISTICS`.
    DropStatistics,
    /// `VACUUM`.
    Vacuum,
}

impl Work {
    /// Whether it only refreshes what the server keeps of a table: no event trigger sees it.
    pub fn refreshes(self) -> bool {
        matches!(self, Self::Analyze | Self::Vacuum)
    }

    /// The command's tag, as event triggers know it; of two commands, the first one's.
    pub fn command(self) -> &'static str {
        self.commands()[0]
    }

    /// The tags of all its commands.
    pub fn commands(self) -> &'static [&'static str] {
        match self {
            Self::CreateIndex => &["CREATE INDEX"],
            Self::DropIndex | Self::DropPartitionedIndex => &["DROP INDEX"],
            Self::AttachIndexes => &["CREATE INDEX", "ALTER INDEX"],
            Self::Analyze => &["ANALYZE"],
            Self::CreateStatistics => &["CREATE STATISTICS"],
            Self::DropStatistics => &["DROP STATISTICS"],
            Self::Vacuum => &["VACUUM"],
        }
    }
}

/// The server and our session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFacts {
    /// `server_version_num`.
    pub version_num: u32,
    /// The version for people.
    pub version: String,
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// Whether our transactions are read-only.
    pub read_only: bool,
    /// Whether a connection pooler stands between.
    pub behind_pooler: bool,
    /// Settings of our session that are not what we asked for: name, wanted, found.
    pub overruled: Vec<(String, String, String)>,
    /// Whether the server looks while a statement is at work whether we are still there
    /// (`client_connection_check_interval`).
    pub checks_connection: bool,
    /// Why the switch in the journal stops us; `None` where nobody has set it.
    pub paused: Option<String>,
    /// The stop file that exists.
    pub stop_file: Option<String>,
    /// The time by the clock on the wall in the window's zone, or why it is not known; `None` without a window.
    pub local_time: Option<Result<NaiveDateTime, String>>,
    /// Standbys that stream from this server.
    pub replicas: Option<Vec<Replica>>,
    /// Replication slots.
    pub slots: Option<Vec<Slot>>,
    /// Prepared transactions and others apart, the oldest transaction that a slot or a standby keeps rows for: who,
    /// and how many transactions ago.
    pub horizon: Option<(String, u64)>,
    /// `temp_file_limit` in bytes; `None` without a limit.
    pub temp_file_limit: Option<u64>,
    /// `maintenance_work_mem` in bytes.
    pub maintenance_work_mem: u64,
    /// `vacuum_freeze_min_age` in transactions.
    pub freeze_min_age: u64,
    /// Free bytes where new indexes go.
    pub disk_free: Option<u64>,
}

/// One standby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its `application_name`.
    pub name: String,
    /// Bytes of WAL that it has not replayed; `None` where our role may not see that.
    pub behind: Option<u64>,
}

/// One replication slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether somebody reads from it.
    pub active: bool,
    /// Bytes of WAL that are kept for it.
    pub retained: Option<u64>,
    /// Bytes of WAL until it loses some (`safe_wal_size`); `None` without `max_slot_wal_keep_size`.
    pub left: Option<u64>,
    /// Whether it has lost some and is of no more use (`wal_status` is `lost`).
    pub lost: bool,
}

/// A table as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableFacts {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `pg_class.relkind`.
    pub kind: String,
    /// `pg_class.relpersistence`.
    pub persistence: String,
    /// Its owner.
    pub owner: String,
    /// Whether our role counts as its owner.
    pub own: bool,
    /// Whether our role is a member of its owner, be it one that does not inherit the owner's rights.
    pub member: bool,
    /// Whether our role may make an index in its schema.
    pub may_create: bool,
    /// Whether our role may analyze and vacuum it.
    pub may_analyze: bool,
    /// Whether it belongs to an extension.
    pub extension_member: bool,
    /// Age of its oldest transaction id; 0 where it has none.
    pub age: u64,
    /// From which age on a vacuum against wraparound is forced; the table's own setting goes before the server's.
    pub freeze_max_age: u64,
    /// Whether such a vacuum is at work on it; `None` where our role may not see that.
    pub freezing: Option<bool>,
    /// Bytes without indexes and TOAST.
    pub bytes: u64,
    /// Number of its indexes, unusable ones included.
    pub indexes: u64,
    /// Rows updated since counters were reset.
    pub updated: u64,
    /// Of these, HOT.
    pub hot_updated: u64,
    /// Whether it has row-level security.
    pub row_security: bool,
    /// Event triggers that would run on the command.
    pub event_triggers: Vec<String>,
    /// Transactions that would hold the statement up.
    pub blockers: Vec<Blocker>,
}

impl TableFacts {
    /// Its name, quoted where SQL needs it.
    pub fn qualified(&self) -> String {
        crate::quote::qualified(&self.schema, &self.name)
    }
}

/// A transaction that would hold a statement up.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocker {
    /// Process and virtual transaction: another transaction has another one.
    pub key: String,
    /// Who it is and what it does.
    pub who: String,
    /// Seconds since it began; `None` where our role may not see that.
    pub age: Option<f64>,
    /// Whether it is a prepared transaction, which ends only when somebody ends it.
    pub prepared: bool,
}

/// An index that is to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlannedIndex {
    /// Access method.
    pub method: String,
    /// Bytes that it will take, as estimated; `None` where nobody knows.
    pub bytes: Option<u64>,
    /// How long its build will take, as estimated.
    pub time: Duration,
    /// Of the table's updates, the share that is HOT now and would not be any more, as the plan says.
    pub ends_hot: Option<f64>,
    /// Its keys.
    pub keys: Vec<KeyFacts>,
}

/// One key of an index that is to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyFacts {
    /// Its column or expression.
    pub name: String,
    /// Whether its type lets values grow without bound.
    pub unbounded: bool,
    /// Bytes of the longest value that statistics know; `None` where they know none.
    pub longest: Option<u64>,
    /// Mean width in bytes; `None` without statistics.
    pub width: Option<f64>,
    /// Share of NULLs; `None` without statistics.
    pub null_fraction: Option<f64>,
    /// Whether the planner may use it below a policy of row-level security: all its operators are leakproof. `None`
    /// where that is not known.
    pub leakproof: Option<bool>,
}
