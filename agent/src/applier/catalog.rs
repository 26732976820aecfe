//! What the catalog says of tables, indexes and those who stand in the way.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::postgres::{PgError, Session};

/// Returns whether there is a relation with this oid.
pub(super) async fn is_there(session: &Session, oid: u32) -> Result<bool, PgError> {
    let sql = "SELECT FROM pg_catalog.pg_class WHERE oid = $1";
    Ok(session.query_opt(sql, &[&oid]).await?.is_some())
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
