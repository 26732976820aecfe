//! What the catalog says of tables, indexes and those who stand in the way.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::postgres::{PgError, Session};

/// A table as it is now.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one answer of the catalog")]
pub(super) struct TableState {
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_class.relkind`.
    pub(super) kind: String,
    /// `pg_class.relpersistence`.
    pub(super) persistence: String,
    /// Whether our role counts as its owner.
    pub(super) own: bool,
    pub(super) owner: String,
    /// Whether our role may make an index in its schema.
    pub(super) may_create: bool,
    /// Whether our role may run ANALYZE on it.
    pub(super) may_analyze: bool,
    /// Whether an extension owns it.
    pub(super) extension_member: bool,
    /// Whether only a vacuum can keep it from running out of transaction ids.
    pub(super) wraparound: bool,
    /// Size without indexes and TOAST.
    pub(super) bytes: i64,
}

/// Reads a table by its oid; `None` when there is none.
pub(super) async fn table(session: &Session, oid: u32) -> Result<Option<TableState>, PgError> {
    let maintain = if session.version().major() >= 17 {
        "OR pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')"
    } else {
        ""
    };
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, \
                pg_catalog.pg_has_role(c.relowner, 'USAGE'), pg_catalog.pg_get_userbyid(c.relowner)::text, \
                pg_catalog.has_schema_privilege(n.oid, 'CREATE'), \
                pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.pg_has_role(d.datdba, 'USAGE') {maintain}, \
                EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                        AND e.objid = c.oid AND e.deptype = 'e'), \
                c.relfrozenxid <> '0' AND pg_catalog.age(c.relfrozenxid) > \
                    pg_catalog.current_setting('autovacuum_freeze_max_age')::integer, \
                coalesce(pg_catalog.pg_relation_size(c.oid), 0) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() \
         WHERE c.oid = $1"
    );
    let Some(row) = session.query_opt(&sql, &[&oid]).await? else { return Ok(None) };
    Ok(Some(TableState {
        schema: row.try_get(0)?,
        name: row.try_get(1)?,
        kind: row.try_get(2)?,
        persistence: row.try_get(3)?,
        own: row.try_get(4)?,
        owner: row.try_get(5)?,
        may_create: row.try_get(6)?,
        may_analyze: row.try_get(7)?,
        extension_member: row.try_get(8)?,
        wraparound: row.try_get(9)?,
        bytes: row.try_get(10)?,
    }))
}

/// An index as it is now.
#[derive(Clone, Debug)]
pub(super) struct IndexState {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) table: u32,
    /// Valid, ready and live: the planner uses it and writers maintain it.
    pub(super) usable: bool,
    /// `pg_get_indexdef` under our `search_path`, which holds only `pg_catalog`.
    pub(super) definition: String,
    /// What it is for besides being an index: a constraint, replica identity …
    pub(super) needed_for: Option<String>,
    pub(super) tablespace: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) statistics_targets: BTreeMap<i16, i32>,
    pub(super) bytes: i64,
    /// The process that is building it or building it anew.
    pub(super) builder: Option<i32>,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// Nothing.
    Absent,
    /// An index.
    Index(Box<IndexState>),
    /// Another kind of relation.
    Other,
}

const INDEX: &str = "SELECT c.oid, n.nspname::text, c.relname::text, i.indrelid, \
       i.indisvalid AND i.indisready AND i.indislive, pg_catalog.pg_get_indexdef(c.oid), \
       CASE WHEN i.indisunique THEN 'uniqueness' WHEN i.indisexclusion THEN 'an exclusion constraint' \
            WHEN i.indisreplident THEN 'replica identity' WHEN i.indisclustered THEN 'CLUSTER' \
            WHEN c.relispartition OR c.relkind = 'I' THEN 'an index of a partitioned table' \
            WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid) THEN 'a constraint' \
            WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype IN ('e', 'x') AND d.objid = c.oid \
                         AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass) THEN 'an extension' \
            WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refobjid = c.oid \
                         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) THEN 'another object' END, \
       s.spcname::text, pg_catalog.obj_description(c.oid, 'pg_class'), \
       (SELECT coalesce(pg_catalog.array_agg(a.attnum ORDER BY a.attnum), '{}') FROM pg_catalog.pg_attribute a \
        WHERE a.attrelid = c.oid AND a.attstattarget >= 0), \
       (SELECT coalesce(pg_catalog.array_agg(a.attstattarget::integer ORDER BY a.attnum), '{}') \
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0), \
       coalesce(pg_catalog.pg_relation_size(c.oid), 0), \
       (SELECT min(p.pid) FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid) \
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace ";

/// Reads what a name in a schema stands for.
pub(super) async fn named(session: &Session, schema: &str, name: &str) -> Result<Named, PgError> {
    let sql = format!("{INDEX} WHERE n.nspname::text = $1 AND c.relname::text = $2");
    if let Some(index) = indexes(session, &sql, &[&schema, &name]).await?.pop() {
        return Ok(Named::Index(Box::new(index)));
    }
    let sql = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname::text = $1 AND c.relname::text = $2";
    let other = session.query_opt(sql, &[&schema, &name]).await?;
    Ok(other.map_or(Named::Absent, |_| Named::Other))
}

/// Reads the indexes of a table, by name.
pub(super) async fn indexes_of(session: &Session, table: u32) -> Result<Vec<IndexState>, PgError> {
    indexes(session, &format!("{INDEX} WHERE i.indrelid = $1 ORDER BY 3"), &[&table]).await
}

async fn indexes(
    session: &Session,
    sql: &str,
    params: &[&dyn crate::postgres::Param],
) -> Result<Vec<IndexState>, PgError> {
    let mut found = Vec::new();
    for row in session.query(sql, params).await? {
        let columns: Vec<i16> = row.try_get(9)?;
        let targets: Vec<i32> = row.try_get(10)?;
        found.push(IndexState {
            oid: row.try_get(0)?,
            schema: row.try_get(1)?,
            name: row.try_get(2)?,
            table: row.try_get(3)?,
            usable: row.try_get(4)?,
            definition: row.try_get(5)?,
            needed_for: row.try_get(6)?,
            tablespace: row.try_get(7)?,
            comment: row.try_get(8)?,
            statistics_targets: columns.into_iter().zip(targets).collect(),
            bytes: row.try_get(11)?,
            builder: row.try_get(12)?,
        });
    }
    Ok(found)
}

/// Returns the name of the tablespace in which the database puts what names none.
pub(super) async fn default_tablespace(session: &Session) -> Result<String, PgError> {
    let sql = "SELECT s.spcname::text FROM pg_catalog.pg_database d \
               JOIN pg_catalog.pg_tablespace s ON s.oid = d.dattablespace \
               WHERE d.datname = pg_catalog.current_database()";
    Ok(session.query_one(sql, &[]).await?.try_get(0)?)
}

/// A transaction that would hold our statement up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Blocker {
    /// Process and virtual transaction: another transaction has another one.
    pub(super) key: String,
    /// Who it is and what it does.
    pub(super) who: String,
    /// Seconds since it began; `None` where our role may not see that.
    pub(super) age: Option<f64>,
}

/// What a statement of ours waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// `CREATE INDEX CONCURRENTLY`: writers of the table, and every snapshot of the database.
    WritersAndSnapshots,
    /// `DROP INDEX CONCURRENTLY`: whoever uses the table.
    Users,
    /// `ANALYZE`: other maintenance.
    Maintenance,
}

impl WaitsFor {
    /// Table lock modes that hold the statement up. Source: PostgreSQL documentation, table
    /// "Conflicting Lock Modes", and `WaitForLockers` in `indexcmds.c` and `index.c`.
    fn modes(self) -> &'static [&'static str] {
        const STRONG: [&str; 7] = [
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
            "RowExclusiveLock",
            "RowShareLock",
        ];
        const ALL: [&str; 8] = [
            "AccessShareLock",
            "RowShareLock",
            "RowExclusiveLock",
            "ShareUpdateExclusiveLock",
            "ShareLock",
            "ShareRowExclusiveLock",
            "ExclusiveLock",
            "AccessExclusiveLock",
        ];
        match self {
            Self::WritersAndSnapshots => &STRONG[..6],
            Self::Users => &ALL,
            Self::Maintenance => &STRONG[..5],
        }
    }
}

/// Lists the transactions that would hold a statement on a table up. An autovacuum worker gives way
/// by itself and is not among them.
pub(super) async fn blockers(
    session: &Session,
    table: u32,
    what: WaitsFor,
) -> Result<Vec<Blocker>, PgError> {
    let sql = "SELECT coalesce(l.pid, 0) || '/' || l.virtualtransaction, \
            CASE WHEN l.pid IS NULL THEN 'a prepared transaction (see pg_prepared_xacts)' \
                 ELSE pg_catalog.format('process %s%s%s', l.pid, \
                      coalesce(' (' || concat_ws(', ', 'user ' || a.usename, nullif(a.application_name, ''), a.state) || ')', ''), \
                      CASE l.locktype WHEN 'relation' THEN ', which uses the table' ELSE ', which holds a snapshot' END) \
            END, \
            extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::double precision \
        FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
        WHERE l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() \
        AND a.backend_type IS DISTINCT FROM 'autovacuum worker' \
        AND (l.locktype = 'relation' AND l.relation = $1 AND l.mode = ANY ($2) AND l.database = \
                 (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) \
             OR $3 AND l.locktype = 'virtualxid' AND a.backend_xmin IS NOT NULL AND a.backend_type = 'client backend' \
             AND a.datname = pg_catalog.current_database()) \
        ORDER BY 1, l.locktype";
    let snapshots = what == WaitsFor::WritersAndSnapshots;
    let mut found: Vec<Blocker> = Vec::new();
    for row in session.query(sql, &[&table, &what.modes(), &snapshots]).await? {
        let blocker = Blocker { key: row.try_get(0)?, who: row.try_get(1)?, age: row.try_get(2)? };
        if found.last().is_none_or(|last| last.key != blocker.key) {
            found.push(blocker);
        }
    }
    Ok(found)
}

/// Returns the names of event triggers that run on a command (`CREATE INDEX`, `DROP INDEX`).
pub(super) async fn event_triggers(
    session: &Session,
    command: &str,
) -> Result<Vec<String>, PgError> {
    let sql = "SELECT evtname::text FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' \
               AND evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop') \
               AND (evttags IS NULL OR $1 = ANY (evttags)) ORDER BY 1";
    session.query(sql, &[&command]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Returns when a table was last analyzed by hand.
pub(super) async fn last_analyze(
    session: &Session,
    table: u32,
) -> Result<Option<DateTime<Utc>>, PgError> {
    let sql = "SELECT pg_catalog.pg_stat_get_last_analyze_time($1)";
    Ok(session.query_one(sql, &[&table]).await?.try_get(0)?)
}

/// Returns whether a process still works for one of our runs.
pub(super) async fn is_at_work(session: &Session, pid: i32) -> Result<bool, PgError> {
    let sql = "SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND pid <> pg_catalog.pg_backend_pid() \
               AND datname = pg_catalog.current_database() AND application_name LIKE 'pgwright/apply%'";
    Ok(session.query_opt(sql, &[&pid]).await?.is_some())
}
