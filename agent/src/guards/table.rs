//! What guards look at of a table.

use rules::change_plan::TableRef;
use rules::guards::{Blocker, TableFacts, Work};
use rules::quote::qualified;

use super::unsigned;
use crate::postgres::{PgError, Session};

/// A table that was looked up.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is the one.
    Table(TableFacts),
    /// It is not there, or is another one: why.
    Refused(String),
}

/// Looks a planned table up by its oid, with all that guards of a table look at; blockers are left out.
pub(crate) async fn table(
    session: &Session,
    planned: &TableRef,
    work: Work,
) -> Result<Found, PgError> {
    let Some(mut table) = read(session, planned.oid).await? else {
        return Ok(Found::Refused(format!(
            "{} is not there any more, or was made anew; run pgwright optimize again",
            planned.qualified()
        )));
    };
    if table.schema != planned.schema || table.name != planned.name {
        return Ok(Found::Refused(format!(
            "{} is called {} by now; run pgwright optimize again, or, to take something back, give it its name back",
            planned.qualified(),
            qualified(&table.schema, &table.name)
        )));
    }
    if !work.refreshes() {
        table.event_triggers = event_triggers(session, work).await?;
    }
    Ok(Found::Table(table))
}

async fn read(session: &Session, oid: u32) -> Result<Option<TableFacts>, PgError> {
    let maintain = if session.version().major() >= 17 {
        "OR pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')"
    } else {
        ""
    };
    // A vacuum of another role's shows neither its table nor its words to those who may not read all statistics.
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, \
                pg_catalog.pg_get_userbyid(c.relowner)::text, pg_catalog.pg_has_role(c.relowner, 'USAGE'), \
                pg_catalog.pg_has_role(c.relowner, 'MEMBER'), \
                pg_catalog.has_schema_privilege(n.oid, 'CREATE'), \
                pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.pg_has_role(d.datdba, 'USAGE') {maintain}, \
                EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                        AND e.objid = c.oid AND e.deptype = 'e'), \
                CASE WHEN c.relfrozenxid = '0' THEN 0 ELSE pg_catalog.age(c.relfrozenxid)::bigint END, \
                least(pg_catalog.current_setting('autovacuum_freeze_max_age')::bigint, \
                      (SELECT o.option_value::bigint FROM pg_catalog.pg_options_to_table(c.reloptions) o \
                       WHERE o.option_name = 'autovacuum_freeze_max_age')), \
                CASE WHEN pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') THEN \
                    EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v \
                            JOIN pg_catalog.pg_stat_activity a ON a.pid = v.pid \
                            WHERE v.relid = c.oid AND a.query LIKE '%to prevent wraparound%') END, \
                coalesce(pg_catalog.pg_relation_size(c.oid), 0), \
                (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid), \
                coalesce(pg_catalog.pg_stat_get_tuples_updated(c.oid), 0), \
                coalesce(pg_catalog.pg_stat_get_tuples_hot_updated(c.oid), 0), c.relrowsecurity \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() \
         WHERE c.oid = $1"
    );
    let Some(row) = session.query_opt(&sql, &[&oid]).await? else { return Ok(None) };
    let number = |column: usize| -> Result<u64, PgError> { Ok(unsigned(row.try_get(column)?)) };
    Ok(Some(TableFacts {
        schema: row.try_get(0)?,
        name: row.try_get(1)?,
        kind: row.try_get(2)?,
        persistence: row.try_get(3)?,
        owner: row.try_get(4)?,
        own: row.try_get(5)?,
        member: row.try_get(6)?,
        may_create: row.try_get(7)?,
        may_analyze: row.try_get(8)?,
        extension_member: row.try_get(9)?,
        age: number(10)?,
        freeze_max_age: number(11)?,
        freezing: row.try_get(12)?,
        bytes: number(13)?,
        indexes: number(14)?,
        updated: number(15)?,
        hot_updated: number(16)?,
        row_security: row.try_get(17)?,
        event_triggers: Vec::new(),
        blockers: Vec::new(),
    }))
}

/// Names of the enabled event triggers that run on a command.
async fn event_triggers(session: &Session, work: Work) -> Result<Vec<String>, PgError> {
    let sql = "SELECT evtname::text FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' \
               AND evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop') \
               AND (evttags IS NULL OR evttags && $1) ORDER BY 1";
    session.query(sql, &[&work.commands()]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Table lock modes that hold a statement up, from the strongest down. Source: PostgreSQL documentation, table
/// "Conflicting Lock Modes", and `WaitForLockers` in `indexcmds.c` and `index.c`.
const MODES: [&str; 8] = [
    "AccessExclusiveLock",
    "ExclusiveLock",
    "ShareRowExclusiveLock",
    "ShareLock",
    "ShareUpdateExclusiveLock",
    "RowExclusiveLock",
    "RowShareLock",
    "AccessShareLock",
];

fn modes(work: Work) -> &'static [&'static str] {
    match work {
        // Writers of the table, and every snapshot of the database.
        Work::CreateIndex | Work::AttachIndexes => &MODES[..6],
        // Whoever uses the table.
        Work::DropIndex | Work::DropPartitionedIndex => &MODES,
        // Other maintenance.
        Work::Analyze | Work::Vacuum | Work::CreateStatistics | Work::DropStatistics => &MODES[..5],
    }
}

/// Lists the transactions that would hold a statement on a table up. An autovacuum worker, which has no user, gives way
/// by itself and is not among them. Without pg_read_all_stats the kind of other people's processes is not shown: whoever
/// has a snapshot in this database counts.
pub(crate) async fn blockers(
    session: &Session,
    table: u32,
    work: Work,
) -> Result<Vec<Blocker>, PgError> {
    let sql = "SELECT coalesce(l.pid, 0) || '/' || l.virtualtransaction, \
            CASE WHEN l.pid IS NULL THEN coalesce('prepared transaction ' || pg_catalog.quote_literal(x.gid) \
                      || ' of ' || pg_catalog.quote_ident(x.owner), 'a prepared transaction (see pg_prepared_xacts)') \
                 ELSE pg_catalog.format('process %s%s%s', l.pid, \
                      coalesce(' (' || concat_ws(', ', 'user ' || a.usename, nullif(a.application_name, ''), a.state) || ')', ''), \
                      CASE l.locktype WHEN 'relation' THEN ', which uses the table' ELSE ', which holds a snapshot' END) \
            END, \
            extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, x.prepared))::double precision, \
            l.pid IS NULL \
        FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
        LEFT JOIN pg_catalog.pg_locks t ON l.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid' \
            AND t.virtualtransaction = l.virtualtransaction \
        LEFT JOIN pg_catalog.pg_prepared_xacts x ON x.transaction = t.transactionid \
        WHERE l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() \
        AND (a.pid IS NULL OR a.usesysid IS NOT NULL) \
        AND (l.locktype = 'relation' AND l.relation = $1 AND l.mode = ANY ($2) AND l.database = \
                 (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) \
             OR $3 AND l.locktype = 'virtualxid' AND a.backend_xmin IS NOT NULL \
             AND coalesce(a.backend_type, 'client backend') = 'client backend' \
             AND a.datname = pg_catalog.current_database() \
             OR $4 AND l.locktype = 'transactionid' AND l.pid IS NULL AND EXISTS ( \
                 SELECT FROM pg_catalog.pg_prepared_xacts p WHERE p.transaction = l.transactionid \
                 AND p.database = pg_catalog.current_database())) \
        ORDER BY 1, l.locktype";
    // A vacuum does not wait for them, but what they can still see it leaves.
    let snapshots = matches!(work, Work::CreateIndex | Work::Vacuum);
    let mut found: Vec<Blocker> = Vec::new();
    let prepared = work == Work::Vacuum;
    for row in session.query(sql, &[&table, &modes(work), &snapshots, &prepared]).await? {
        let blocker = Blocker {
            key: row.try_get(0)?,
            who: row.try_get(1)?,
            age: row.try_get(2)?,
            prepared: row.try_get(3)?,
        };
        if found.last().is_none_or(|last| last.key != blocker.key) {
            found.push(blocker);
        }
    }
    Ok(found)
}
