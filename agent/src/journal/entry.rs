//! One row of the journal.

use chrono::{DateTime, Utc};
use rules::change_plan::{Operation, TableRef};
use serde_json::Value;
use uuid::Uuid;

use super::{Identity, JournalError, State};
use crate::postgres::{Instant, PgError, Row};

/// One action as the journal has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// The run that it belongs to.
    pub run: Uuid,
    /// SHA-256 of table and operation, 64 hexadecimal digits.
    pub action_key: String,
    /// `create_index`, `drop_index`, `analyze`, `create_statistics` or `vacuum`.
    pub kind: String,
    /// Where it stands.
    pub state: State,
    /// The table.
    pub table: TableRef,
    /// The index or statistics that were made or dropped.
    pub index_name: Option<String>,
    /// Its oid when it was made or dropped.
    pub index_oid: Option<u32>,
    /// These as the server printed them, under `search_path = pg_catalog`.
    pub definition: Option<String>,
    /// The rule that proposed it.
    pub rule: String,
    /// What was run, for people to read.
    pub statement: String,
    /// What takes it back, for people to read.
    pub undo: String,
    /// Probability that it helps, when it was applied.
    pub confidence: f64,
    /// How far the rule may go.
    pub reach: String,
    /// `rules::change_plan::Impact` as JSON.
    pub impact: Value,
    /// The terms of its confidence as JSON.
    pub evidence: Value,
    /// The statements that it was meant to help: `statement`, `cost_before`, `cost_after`.
    pub helps: Value,
    /// [`Operation`] as JSON; see [`Entry::operation`].
    pub operation: Value,
    /// What was there before.
    pub before: Value,
    /// The cluster in which it was done, where the role could read that.
    pub system_identifier: Option<String>,
    /// The database in which it was done.
    pub database: u32,
    /// `server_version_num` of the server.
    pub server_version: i32,
    /// Version of pgwright.
    pub agent_version: String,
    /// Server process that worked on it last.
    pub backend_pid: i32,
    /// How often a statement that changes something was sent for it.
    pub attempts: i32,
    /// Code of the last error.
    pub last_sqlstate: Option<String>,
    /// The last error.
    pub last_error: Option<String>,
    /// Anything else a person should know.
    pub note: Option<String>,
    /// When the row was written, by the server's clock as all times here.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
    /// When the action was found in place.
    pub applied_at: Option<DateTime<Utc>>,
    /// When it was found taken back.
    pub reverted_at: Option<DateTime<Utc>>,
    /// What watching it led to; `None` while that is not decided.
    pub verdict: Option<String>,
    /// The figures behind the verdict.
    pub verdict_detail: Option<Value>,
    /// The same action is not tried again before; [`FOR_EVER`](crate::postgres::FOR_EVER) where a person set `infinity`.
    pub blocked_until: Option<DateTime<Utc>>,
    /// Timeline of the write-ahead log when the row was written.
    pub timeline: Option<i32>,
    /// Address and port of the server when the row was written; none for a Unix socket.
    pub server_address: Option<String>,
}

impl Entry {
    /// The first eight digits of its key: the action's short id, and the end of the name of its index or statistics.
    pub fn action_id(&self) -> &str {
        self.action_key.get(..8).unwrap_or(&self.action_key)
    }

    /// What was done, as data; the reason when the journal does not tell any more.
    pub fn operation(&self) -> Result<Operation, String> {
        let operation: Operation = serde_json::from_value(self.operation.clone())
            .map_err(|error| format!("its column \"operation\" cannot be read: {error}"))?;
        if operation.kind() == self.kind {
            Ok(operation)
        } else {
            Err("its columns \"operation\" and \"kind\" contradict each other".to_owned())
        }
    }

    /// Whether it was done in this database of this cluster, and not in the one that this database
    /// was copied from.
    pub(crate) fn is_of(&self, here: &Identity) -> bool {
        let same_cluster = match (&self.system_identifier, &here.system_identifier) {
            (Some(there), Some(here)) => there == here,
            _ => true,
        };
        same_cluster && self.database == here.database
    }

    pub(super) fn read(row: &Row) -> Result<Self, JournalError> {
        let text = |name: &str| row.try_get::<_, String>(name);
        let state = text("state").map_err(|error| JournalError::Read(error.into()))?;
        match state.parse() {
            Ok(state) => Self::read_in(row, state).map_err(JournalError::Read),
            Err(what) => Err(JournalError::Changed { what }),
        }
    }

    fn read_in(row: &Row, state: State) -> Result<Self, PgError> {
        let time = |name: &str| row.try_get::<_, Instant>(name).map(|at| at.0);
        let perhaps = |name: &str| row.try_get::<_, Option<Instant>>(name).map(|at| Some(at?.0));
        Ok(Self {
            id: row.try_get("id")?,
            run: row.try_get("runId")?,
            action_key: row.try_get("actionKey")?,
            kind: row.try_get("kind")?,
            state,
            table: TableRef {
                oid: row.try_get("tableOid")?,
                schema: row.try_get("schemaName")?,
                name: row.try_get("tableName")?,
            },
            index_name: row.try_get("indexName")?,
            index_oid: row.try_get("indexOid")?,
            definition: row.try_get("definition")?,
            rule: row.try_get("rule")?,
            statement: row.try_get("statement")?,
            undo: row.try_get("undo")?,
            confidence: row.try_get("confidence")?,
            reach: row.try_get("reach")?,
            impact: row.try_get("impact")?,
            evidence: row.try_get("evidence")?,
            helps: row.try_get("helps")?,
            operation: row.try_get("operation")?,
            before: row.try_get("before")?,
            system_identifier: row.try_get("systemIdentifier")?,
            database: row.try_get("databaseOid")?,
            server_version: row.try_get("serverVersion")?,
            agent_version: row.try_get("agentVersion")?,
            backend_pid: row.try_get("backendPid")?,
            attempts: row.try_get("attempts")?,
            last_sqlstate: row.try_get("lastSqlstate")?,
            last_error: row.try_get("lastError")?,
            note: row.try_get("note")?,
            created_at: time("createdAt")?,
            updated_at: time("updatedAt")?,
            applied_at: perhaps("appliedAt")?,
            reverted_at: perhaps("revertedAt")?,
            verdict: row.try_get("verdict")?,
            verdict_detail: row.try_get("verdictDetail")?,
            blocked_until: perhaps("blockedUntil")?,
            timeline: row.try_get("timeline")?,
            server_address: row.try_get("serverAddress")?,
        })
    }
}
