//! The journal: one row per action in the database that the action changes, written before the action.
//!
//! It lies in the same database so that the write-ahead log keeps the order: after a crash, a failover or
//! a restore to a point in time, an index of ours is never there without its row. Rows move only along
//! [`State::may_become`], by compare-and-set. The SQL texts in it are for people: what is executed is
//! rendered anew from the structured columns.

mod attention;
mod blocks;
mod control;
mod entry;
mod failures;
mod portable;
mod schema;
mod trust;

use chrono::{DateTime, Utc};
use rules::change_plan::Operation;
use serde_json::{Value, json};
use uuid::Uuid;

pub use attention::{Attention, attention};
pub use blocks::{BY_HAND, unblock};
pub(crate) use blocks::{block_days, stopped};
pub use control::pause;
pub(crate) use control::paused;
pub use entry::Entry;
pub use rules::protocol::State;
pub use schema::FORMAT;
pub(crate) use schema::{ensure, exists};

use crate::postgres::{Param, PgError, Session};

/// What every index and all statistics that pgwright makes are called first.
pub const INDEX_PREFIX: &str = "pgw_";

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("cannot read the journal (pgwright.\"OptimizationLog\")")]
    Read(#[source] PgError),
    /// It cannot be made.
    #[error("cannot make the journal (schema pgwright){}", recipe(.0))]
    Create(#[source] PgError),
    /// A row cannot be written.
    #[error("cannot write to the journal (pgwright.\"OptimizationLog\")")]
    Write(#[source] PgError),
    /// It is not the table that we made.
    #[error(
        "the journal has been changed ({what}), so nothing is done; restore the tables of schema pgwright, \
         or move it away after undoing by hand what pgwright.\"OptimizationLog\" lists"
    )]
    Changed {
        /// What is different.
        what: String,
    },
    /// Somebody owns it who could have code run in the name of whoever reads it.
    #[error(
        "the journal is not to be trusted: {what} belongs to role {owner}, which is neither this one nor a superuser and \
         could have code run in the name of whoever reads the journal, so it is not read and nothing is done; connect \
         as {owner}, or look at it and have a superuser own it (ALTER SCHEMA … OWNER TO, ALTER TABLE … OWNER TO)"
    )]
    Untrusted {
        /// Which part of it.
        what: String,
        /// The role.
        owner: String,
    },
    /// It is that of another version of pgwright.
    #[error(
        "the journal has format {found}, and this pgwright works with format {FORMAT}, so nothing is done; {}",
        other_format(*.found)
    )]
    Format {
        /// Its format.
        found: i32,
    },
    /// It is gone, and our indexes or statistics are still there.
    #[error(
        "there are indexes or statistics made by pgwright ({}), but their journal is missing, so nothing is done; \
         restore schema pgwright, or drop these, or rename those that a person made",
        .indexes.join(", ")
    )]
    Lost {
        /// Their names.
        indexes: Vec<String>,
    },
    /// Somebody else moved a row under our hands.
    #[error("row {id} of the journal is no longer in state {expected}: somebody else changed it")]
    Moved {
        /// The row.
        id: i64,
        /// The state that it was in.
        expected: State,
    },
    /// A move that the diagram does not have.
    #[error("row {id} of the journal cannot go from {from} to {to}")]
    NoSuchMove {
        /// The row.
        id: i64,
        /// From where.
        from: State,
        /// To where.
        to: State,
    },
}

impl JournalError {
    /// Why a row cannot move now while others can: another one of its table or action is at work, or somebody
    /// else moved it. `None` where nothing can be written at all.
    pub(crate) fn in_the_way(&self) -> Option<String> {
        match self {
            Self::Write(error) if error.sqlstate() == Some("23505") => Some(
                "another action on the same table is unfinished and in the way; `pgwright log` shows it"
                    .to_owned(),
            ),
            Self::Moved { .. } => Some(self.to_string()),
            _ => None,
        }
    }
}

/// What helps a role that may not make the journal.
fn recipe(error: &PgError) -> &'static str {
    if error.sqlstate() == Some("42501") {
        "; the role needs CREATE on the database, or a schema of its own for it \
         (as a superuser: CREATE SCHEMA pgwright AUTHORIZATION the_role)"
    } else {
        ""
    }
}

/// What helps with the journal of another version.
fn other_format(found: i32) -> &'static str {
    if found > FORMAT {
        "use the newer pgwright that wrote it"
    } else {
        "with the pgwright that wrote it run `pgwright rollback --all`, then DROP SCHEMA pgwright CASCADE"
    }
}

/// Which actions of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// One, by its number.
    Id(i64),
    /// Those of one run.
    Run(Uuid),
    /// Those written at or after this time.
    Since(DateTime<Utc>),
    /// All.
    All,
}

/// What a row is written with; the rest is the server's to fill in.
#[derive(Clone, Debug)]
pub(crate) struct NewEntry {
    pub(crate) run: Uuid,
    pub(crate) action: rules::change_plan::Action,
    /// Name, oid and definition of an index or statistics, as far as known before.
    pub(crate) index: (Option<String>, Option<u32>, Option<String>),
    pub(crate) before: Value,
    pub(crate) server: Identity,
}

/// Which database of which cluster it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `None` where the role may not read it.
    pub(crate) system_identifier: Option<String>,
    pub(crate) database: u32,
    pub(crate) version_num: i32,
    /// Of the write-ahead log; `None` where the server does not tell.
    pub(crate) timeline: Option<i32>,
    /// `None` for a Unix socket.
    pub(crate) address: Option<String>,
}

/// What a move changes in a row, beside its state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change<'a> {
    pub(crate) index_oid: Option<u32>,
    pub(crate) definition: Option<&'a str>,
    pub(crate) sqlstate: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) note: Option<&'a str>,
    /// Statements that change something, sent since the last move.
    pub(crate) attempts: i32,
    /// What watching the action led to.
    pub(crate) verdict: Option<&'a str>,
    /// The figures behind the verdict.
    pub(crate) verdict_detail: Option<&'a Value>,
    /// For how many days from now the same action is not tried again.
    pub(crate) blocked_days: Option<i32>,
}

/// Returns whether there is a journal; an error when it is not as we made it, or when indexes or statistics named as
/// ours show that there was one, which is lost.
pub(crate) async fn found(session: &Session) -> Result<bool, JournalError> {
    if exists(session).await? {
        return Ok(true);
    }
    match named_as_ours(session, "").await? {
        indexes if indexes.is_empty() => Ok(false),
        indexes => Err(JournalError::Lost { indexes }),
    }
}

/// Returns the indexes and statistics named as ours that no row of the journal explains: a person made them by what a
/// dry run printed, or made them again after they were taken back, or the rows were deleted. Needs the journal.
pub(crate) async fn unrecorded(session: &Session) -> Result<Vec<String>, JournalError> {
    // What was taken back or did not happen is not there.
    let explains = |state: &State| !matches!(state, State::Aborted | State::Reverted);
    named_as_ours(session, &format!("AND NOT {}", has_row(explains))).await
}

/// Returns the indexes and statistics named as ours that a run was at work on and the next one finishes or removes.
/// Needs the journal.
pub(crate) async fn unfinished(session: &Session) -> Result<Vec<String>, JournalError> {
    named_as_ours(session, &format!("AND {}", has_row(|state| state.is_in_flight()))).await
}

/// The condition that a row in one of these states is about the object: its name ends with the first digits of the
/// action's key, or it is the index of a partition, named by a key of its own.
fn has_row(wanted: impl Fn(&State) -> bool) -> String {
    let wanted = State::ALL.iter().filter(|state| wanted(state)).map(|state| state.name());
    let states: Vec<String> = wanted.map(rules::quote::literal).collect();
    format!(
        r#"EXISTS (SELECT FROM pgwright."OptimizationLog" AS l WHERE l."state" IN ({})
        AND l."kind" IN ('create_index', 'create_statistics')
        AND (pg_catalog.left(l."actionKey", 8) = pg_catalog.right(o.name, 8)
             OR l."operation" -> 'parts' @> pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('name', o.name))))"#,
        states.join(", ")
    )
}

async fn named_as_ours(session: &Session, and: &str) -> Result<Vec<String>, JournalError> {
    let sql = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, o.name) FROM ( \
         SELECT c.relname::text AS name, c.relnamespace AS schema FROM pg_catalog.pg_class AS c \
         WHERE c.relkind IN ('i', 'I') \
         UNION ALL SELECT s.stxname::text, s.stxnamespace FROM pg_catalog.pg_statistic_ext AS s) AS o \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = o.schema \
         WHERE pg_catalog.left(o.name, 4) = $1 AND o.name ~ '_[0-9a-f]{{8}}$' {and} ORDER BY 1"
    );
    let rows = session.query(&sql, &[&INDEX_PREFIX]).await.map_err(JournalError::Read)?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    names.map_err(|error| JournalError::Read(error.into()))
}

/// Says that a person removed what this row says is in place, and what leads on.
pub(crate) fn removed_before(id: i64) -> String {
    format!(
        "it was made before and then removed by somebody; to have it made again, first `pgwright rollback {id}`, which \
         closes that row of the journal, then `pgwright log --unblock {id}`"
    )
}

/// Writes the row of an action that is about to be carried out, and returns its number.
pub(crate) async fn insert(session: &Session, new: &NewEntry) -> Result<i64, JournalError> {
    let action = &new.action;
    let undo = action.undo().join(
        ";
",
    );
    let undo = if undo.is_empty() { "-- nothing to undo".to_owned() } else { undo + ";" };
    let reach = action.reach.to_string();
    let (name, oid, definition) = &new.index;
    let version = env!("CARGO_PKG_VERSION");
    let (impact, operation) = (to_json(&action.impact), to_json(&action.operation));
    let evidence = portable::json(to_json(&action.confidence.terms));
    let helps = helps(action);
    let params: [&dyn Param; 25] = [
        &new.run,
        &action.key,
        &action.operation.kind(),
        &action.table.schema,
        &action.table.name,
        &action.table.oid,
        name,
        oid,
        definition,
        &action.rule,
        &action.statements().join(";\n"),
        &undo,
        &action.confidence.value,
        &reach,
        &impact,
        &evidence,
        &helps,
        &operation,
        &new.before,
        &new.server.system_identifier,
        &new.server.database,
        &new.server.version_num,
        &version,
        &new.server.timeline,
        &new.server.address,
    ];
    let row = session
        .query_one(
            r#"INSERT INTO pgwright."OptimizationLog" ("state", "runId", "actionKey", "kind", "schemaName", "tableName",
               "tableOid", "indexName", "indexOid", "definition", "rule", "statement", "undo", "confidence", "reach",
               "impact", "evidence", "helps", "operation", "before", "systemIdentifier", "databaseOid",
               "serverVersion", "agentVersion", "backendPid", "timeline", "serverAddress")
               VALUES ('intent', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
               $19, $20, $21, $22, $23, pg_catalog.pg_backend_pid(), $24, $25) RETURNING "id""#,
            &params,
        )
        .await
        .map_err(JournalError::Write)?;
    row.try_get(0).map_err(|error| JournalError::Write(error.into()))
}

/// The statements that an action helps, without the lines of their plans: those can show values.
fn helps(action: &rules::change_plan::Action) -> Value {
    let lines = action.helps.iter().map(|help| {
        json!({"statement": help.statement, "cost_before": help.cost_before, "cost_after": help.cost_after})
    });
    lines.collect()
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("texts, numbers and lists have a JSON form")
}

/// Moves a row from one state to another, if it still is in the one.
pub(crate) async fn advance(
    session: &Session,
    id: i64,
    from: State,
    to: State,
    change: &Change<'_>,
) -> Result<(), JournalError> {
    if !from.may_become(to) {
        return Err(JournalError::NoSuchMove { id, from, to });
    }
    let applied = matches!(to, State::Observing | State::Kept);
    let (error, note) = (change.error.map(portable::text), change.note.map(portable::text));
    let detail = change.verdict_detail.cloned().map(portable::json);
    let params: [&dyn Param; 14] = [
        &id,
        &from.name(),
        &to.name(),
        &change.index_oid,
        &change.definition,
        &change.sqlstate,
        &error,
        &note,
        &change.attempts,
        &applied,
        &(to == State::Reverted),
        &change.verdict,
        &detail,
        &change.blocked_days,
    ];
    let moved = session
        .execute(
            r#"UPDATE pgwright."OptimizationLog" SET "state" = $3, "updatedAt" = pg_catalog.clock_timestamp(),
               "backendPid" = pg_catalog.pg_backend_pid(), "attempts" = "attempts" + $9,
               "indexOid" = coalesce($4, "indexOid"), "definition" = coalesce($5, "definition"),
               "lastSqlstate" = coalesce($6, "lastSqlstate"), "lastError" = coalesce($7, "lastError"),
               "note" = coalesce($8, "note"),
               "appliedAt" = CASE WHEN $10 THEN coalesce("appliedAt", pg_catalog.clock_timestamp()) ELSE "appliedAt" END,
               "revertedAt" = CASE WHEN $11 THEN pg_catalog.clock_timestamp() ELSE "revertedAt" END,
               "verdict" = coalesce($12, "verdict"), "verdictDetail" = coalesce($13, "verdictDetail"),
               "blockedUntil" = greatest("blockedUntil", pg_catalog.clock_timestamp() + pg_catalog.make_interval(days => $14))
               WHERE "id" = $1 AND "state" = $2"#,
            &params,
        )
        .await
        .map_err(JournalError::Write)?;
    if moved == 1 { Ok(()) } else { Err(JournalError::Moved { id, expected: from }) }
}

/// Writes an operation down anew, of which more is to be done than its row says.
pub(crate) async fn set_operation(
    session: &Session,
    id: i64,
    operation: &Operation,
) -> Result<(), JournalError> {
    let sql = r#"UPDATE pgwright."OptimizationLog" SET "operation" = $2, "updatedAt" = pg_catalog.clock_timestamp()
                 WHERE "id" = $1"#;
    let params: [&dyn Param; 2] = [&id, &to_json(operation)];
    session.execute(sql, &params).await.map_err(JournalError::Write)?;
    Ok(())
}

/// Returns the actions asked for, oldest first; none where there is no journal.
pub async fn list(session: &Session, which: Which) -> Result<Vec<Entry>, JournalError> {
    if !found(session).await? {
        return Ok(Vec::new());
    }
    let (condition, params): (&str, Vec<&dyn Param>) = match &which {
        Which::Id(id) => (r#""id" = $1"#, vec![id]),
        Which::Run(run) => (r#""runId" = $1"#, vec![run]),
        Which::Since(time) => (r#""createdAt" >= $1"#, vec![time]),
        Which::All => ("true", Vec::new()),
    };
    select(session, condition, &params).await
}

/// Returns one action by its number.
pub async fn get(session: &Session, id: i64) -> Result<Option<Entry>, JournalError> {
    Ok(list(session, Which::Id(id)).await?.pop())
}

/// Returns the numbers of those that were done in another server or database, of which this one is a copy.
pub async fn copied(session: &Session, entries: &[Entry]) -> Result<Vec<i64>, JournalError> {
    let here = crate::applier::identity(session).await.map_err(JournalError::Read)?;
    Ok(entries.iter().filter(|entry| !entry.is_of(&here)).map(|entry| entry.id).collect())
}

/// Returns the rows that a run left unfinished: those that it was at work on, then those that wait, each
/// oldest first.
pub(crate) async fn in_flight(session: &Session) -> Result<Vec<Entry>, JournalError> {
    let names: Vec<&str> =
        State::ALL.iter().filter(|state| state.is_in_flight()).map(|state| state.name()).collect();
    let mut entries = select(session, r#""state" = ANY($1)"#, &[&names]).await?;
    entries.sort_by_key(|entry| entry.state.is_pending());
    Ok(entries)
}

/// Returns the rows of what is watched and went with its table: that was dropped, or made anew.
pub(crate) async fn without_table(session: &Session) -> Result<Vec<Entry>, JournalError> {
    let made = r#""state" = $1 AND "kind" IN ('create_index', 'create_statistics')
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = "tableOid")"#;
    select(session, made, &[&State::Observing.name()]).await
}

/// Returns the row that says that an action is in place or under way, if there is one. What had proved itself is in
/// place as long as its table is the same one.
pub(crate) async fn open(
    session: &Session,
    key: &str,
    table: u32,
) -> Result<Option<Entry>, JournalError> {
    if !exists(session).await? {
        return Ok(None);
    }
    let over = [State::Aborted, State::Conflict, State::Reverted].map(State::name);
    let params: [&dyn Param; 4] = [&key, &over.as_slice(), &State::Kept.name(), &table];
    let open = r#""actionKey" = $1 AND "state" <> ALL($2) AND ("state" <> $3 OR "tableOid" = $4)"#;
    Ok(select(session, open, &params).await?.pop())
}

/// Returns the row of a table that says that something is left which could not be removed yet.
pub(crate) async fn remains(session: &Session, table: u32) -> Result<Option<Entry>, JournalError> {
    if !exists(session).await? {
        return Ok(None);
    }
    let params: [&dyn Param; 2] = [&table, &State::CleanupPending.name()];
    Ok(select(session, r#""tableOid" = $1 AND "state" = $2"#, &params).await?.pop())
}

async fn select(
    session: &Session,
    condition: &str,
    params: &[&dyn Param],
) -> Result<Vec<Entry>, JournalError> {
    let sql =
        format!(r#"SELECT * FROM pgwright."OptimizationLog" WHERE {condition} ORDER BY "id""#);
    let rows = session.query(&sql, params).await.map_err(JournalError::Read)?;
    rows.iter().map(Entry::read).collect()
}
