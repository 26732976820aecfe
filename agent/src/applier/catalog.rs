//! What the catalog says of tables, indexes and those who stand in the way.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::postgres::{Param, PgError, Row, Session};

/// Returns whether there is a relation with this oid.
pub(super) async fn is_there(session: &Session, oid: u32) -> Result<bool, PgError> {
    let sql = "SELECT FROM pg_catalog.pg_class WHERE oid = $1";
    Ok(session.query_opt(sql, &[&oid]).await?.is_some())
}

/// How often a look is repeated that met somebody who changes what is looked at.
const LOOKS: u32 = 3;

/// Looks something up. The functions that print definitions look at the catalog as it is by then, and fail where
/// somebody has changed it since the query began: then it is asked again.
pub(super) async fn look(
    session: &Session,
    sql: &str,
    params: &[&dyn Param],
) -> Result<Vec<Row>, PgError> {
    let mut looks = 1;
    loop {
        match session.query(sql, params).await {
            Err(error) if error.sqlstate() == Some("XX000") && looks < LOOKS => looks += 1,
            done => return done,
        }
    }
}

/// An index as it is now.
#[derive(Clone, Debug)]
pub(super) struct IndexState {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) table: u32,
    /// The table's schema and name as they are now.
    pub(super) relation: (String, String),
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
       (SELECT min(p.pid) FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid), \
       tn.nspname::text, t.relname::text \
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace \
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

/// Reads what an index that we made or dropped is now. People may have moved it with its table, or renamed it: it is
/// the index with its oid; or else, since REINDEX CONCURRENTLY gives it another one, that of its name on its table; or
/// else whatever bears its name.
pub(super) async fn found(
    session: &Session,
    oid: Option<u32>,
    table: u32,
    (schema, name): (&str, &str),
) -> Result<Named, PgError> {
    let sql = format!(
        "{INDEX} WHERE i.indrelid = $1 AND (c.oid = $2 OR c.relname::text = $3) ORDER BY c.oid = $2 DESC LIMIT 1"
    );
    let params: [&dyn Param; 3] = [&table, &oid.unwrap_or(0), &name];
    match indexes(session, &sql, &params).await?.pop() {
        Some(index) => Ok(Named::Index(Box::new(index))),
        None => named(session, schema, name).await,
    }
}

/// Reads the indexes of a table, by name.
pub(super) async fn indexes_of(session: &Session, table: u32) -> Result<Vec<IndexState>, PgError> {
    indexes(session, &format!("{INDEX} WHERE i.indrelid = $1 ORDER BY 3"), &[&table]).await
}

/// Reads the indexes of some tables, by name.
pub(super) async fn indexes_of_all(
    session: &Session,
    tables: &[u32],
) -> Result<Vec<IndexState>, PgError> {
    indexes(session, &format!("{INDEX} WHERE i.indrelid = ANY ($1) ORDER BY 2, 3"), &[&tables])
        .await
}

async fn indexes(
    session: &Session,
    sql: &str,
    params: &[&dyn Param],
) -> Result<Vec<IndexState>, PgError> {
    let mut found = Vec::new();
    for row in look(session, sql, params).await? {
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
            relation: (row.try_get(13)?, row.try_get(14)?),
        });
    }
    Ok(found)
}

/// Returns whether our role may make something in a tablespace; not where there is none of this name.
pub(super) async fn may_use_tablespace(session: &Session, name: &str) -> Result<bool, PgError> {
    let sql = "SELECT FROM pg_catalog.pg_tablespace s WHERE s.spcname::text = $1 \
               AND pg_catalog.has_tablespace_privilege(s.oid, 'CREATE')";
    Ok(session.query_opt(sql, &[&name]).await?.is_some())
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

/// Returns when a table was last vacuumed by hand.
pub(super) async fn last_vacuum(
    session: &Session,
    table: u32,
) -> Result<Option<DateTime<Utc>>, PgError> {
    let sql = "SELECT pg_catalog.pg_stat_get_last_vacuum_time($1)";
    Ok(session.query_one(sql, &[&table]).await?.try_get(0)?)
}

/// What there is for a vacuum to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visibility {
    /// Pages that are marked as visible to all.
    pub(super) all_visible: i32,
    /// Dead rows, as the server estimates.
    pub(super) dead: i64,
}

/// Reads what there is for a vacuum to do.
pub(super) async fn visibility(session: &Session, table: u32) -> Result<Visibility, PgError> {
    let sql = "SELECT coalesce((SELECT c.relallvisible FROM pg_catalog.pg_class c WHERE c.oid = $1), 0), \
               coalesce(pg_catalog.pg_stat_get_dead_tuples($1), 0)";
    let row = session.query_one(sql, &[&table]).await?;
    Ok(Visibility { all_visible: row.try_get(0)?, dead: row.try_get(1)? })
}

/// Extended statistics as they are now.
#[derive(Clone, Debug)]
pub(super) struct StatisticsState {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) table: u32,
    /// The table's schema and name as they are now.
    pub(super) relation: (String, String),
    /// `pg_get_statisticsobjdef` under our `search_path`, which holds only `pg_catalog`.
    pub(super) definition: String,
    /// Whether ANALYZE has filled them, as far as our role may see that.
    pub(super) filled: bool,
    /// What they are for besides, or who has changed them: an extension, a target of their own …
    pub(super) marked: Option<String>,
}

/// Reads the statistics of this name, or those of a table.
const STATISTICS: &str = "SELECT s.oid, s.stxrelid, pg_catalog.pg_get_statisticsobjdef(s.oid), \
       EXISTS (SELECT FROM pg_catalog.pg_stats_ext e WHERE e.statistics_schemaname = n.nspname AND e.statistics_name = s.stxname \
               AND (e.n_distinct IS NOT NULL OR e.dependencies IS NOT NULL OR e.most_common_vals IS NOT NULL)), \
       CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype IN ('e', 'x') AND d.objid = s.oid \
                         AND d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass) THEN 'an extension' \
            WHEN (pg_catalog.to_jsonb(s) ->> 'stxstattarget')::integer >= 0 THEN 'a target of its own' \
            WHEN pg_catalog.obj_description(s.oid, 'pg_statistic_ext') IS NOT NULL THEN 'a comment' END, \
       n.nspname::text, s.stxname::text, tn.nspname::text, t.relname::text \
FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace \
JOIN pg_catalog.pg_class t ON t.oid = s.stxrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace ";

/// Reads what extended statistics that we made are now, or are to make: those with the oid, or else of the name.
pub(super) async fn statistics_found(
    session: &Session,
    oid: Option<u32>,
    (schema, name): (&str, &str),
) -> Result<Option<StatisticsState>, PgError> {
    let sql = format!(
        "{STATISTICS} WHERE s.oid = $1 OR n.nspname::text = $2 AND s.stxname::text = $3 \
         ORDER BY s.oid = $1 DESC LIMIT 1"
    );
    Ok(statistics(session, &sql, &[&oid.unwrap_or(0), &schema, &name]).await?.pop())
}

/// Reads the extended statistics of a table.
pub(super) async fn statistics_of(
    session: &Session,
    table: u32,
) -> Result<Vec<StatisticsState>, PgError> {
    let sql = format!("{STATISTICS} WHERE s.stxrelid = $1 ORDER BY s.oid");
    statistics(session, &sql, &[&table]).await
}

async fn statistics(
    session: &Session,
    sql: &str,
    params: &[&dyn Param],
) -> Result<Vec<StatisticsState>, PgError> {
    let rows = look(session, sql, params).await?;
    let read = |row: &Row| {
        Ok(StatisticsState {
            oid: row.try_get(0)?,
            table: row.try_get(1)?,
            definition: row.try_get(2)?,
            filled: row.try_get(3)?,
            marked: row.try_get(4)?,
            schema: row.try_get(5)?,
            name: row.try_get(6)?,
            relation: (row.try_get(7)?, row.try_get(8)?),
        })
    };
    rows.iter().map(read).collect()
}

/// Returns whether a process still works for one of our runs.
pub(super) async fn is_at_work(session: &Session, pid: i32) -> Result<bool, PgError> {
    let sql = "SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND pid <> pg_catalog.pg_backend_pid() \
               AND datname = pg_catalog.current_database() AND application_name LIKE 'pgwright/apply%'";
    Ok(session.query_opt(sql, &[&pid]).await?.is_some())
}
