-- Tables, partitioned tables, materialized views and foreign tables outside the system's schemas and ours.
WITH locked AS (
    -- Reading a size waits for such a lock, and we make nobody wait behind us.
    SELECT l.relation
    FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.database = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
)
SELECT
    c.oid::bigint AS oid,
    n.nspname AS schema,
    c.relname AS name,
    CASE c.relkind WHEN 'p' THEN 'partitioned' WHEN 'm' THEN 'materialized_view' WHEN 'f' THEN 'foreign'
                   ELSE 'table' END AS kind,
    CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' ELSE 'permanent' END AS persistence,
    pg_catalog.pg_get_userbyid(c.relowner) AS owner,
    pg_catalog.pg_has_role(c.relowner, 'USAGE') AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
        AND c.relkind <> 'f' AS may_index,
    pg_catalog.pg_has_role(c.relowner, 'USAGE') OR (
        SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_database AS d
        WHERE d.datname = pg_catalog.current_database())
        -- An older server does not know the word.
        OR CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 170000
                THEN pg_catalog.has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS may_analyze,
    CASE WHEN c.reltuples >= 0 THEN c.reltuples END AS rows,
    w.is_locked AS locked,
    CASE WHEN w.is_locked OR c.relkind IN ('p', 'f') THEN 0
         ELSE coalesce(pg_catalog.pg_relation_size(c.oid), 0) / 8192 END AS pages,
    c.relallvisible::bigint AS all_visible,
    CASE WHEN c.relispartition THEN (
        SELECT h.inhparent::bigint FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = c.oid LIMIT 1
    ) END AS partition_of,
    c.relkind <> 'p' AND EXISTS (
        SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = c.oid
    ) AS inherited,
    CASE WHEN c.relispartition THEN '{}' ELSE ARRAY(
        SELECT h.inhparent::bigint FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = c.oid ORDER BY h.inhseqno
    ) END AS inherits,
    c.relrowsecurity AS row_security,
    EXISTS (
        SELECT FROM pg_catalog.pg_depend AS e
        WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e'
    ) AS extension_member,
    coalesce(c.reloptions, '{}') AS options,
    coalesce((
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'schema', sn.nspname, 'name', x.stxname, 'columns', ARRAY(
                SELECT a.attname FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum = ANY (x.stxkeys::pg_catalog.int2[]) ORDER BY a.attname
            )) ORDER BY sn.nspname, x.stxname)
        FROM pg_catalog.pg_statistic_ext AS x
        JOIN pg_catalog.pg_namespace AS sn ON sn.oid = x.stxnamespace
        WHERE x.stxrelid = c.oid
    ), '[]') AS statistics,
    -- Other queries fill these.
    '[]'::json AS columns, '[]'::json AS indexes, '[]'::json AS constraints,
    pg_catalog.json_build_object(
        'seq_scan', coalesce(s.seq_scan, 0),
        'idx_scan', coalesce(s.idx_scan, 0),
        'inserted', coalesce(s.n_tup_ins, 0),
        'updated', coalesce(s.n_tup_upd, 0),
        'deleted', coalesce(s.n_tup_del, 0),
        'hot_updated', coalesce(s.n_tup_hot_upd, 0),
        'live', coalesce(s.n_live_tup, 0),
        'dead', coalesce(s.n_dead_tup, 0),
        'modified_since_analyze', coalesce(s.n_mod_since_analyze, 0),
        'analyzed_at', greatest(s.last_analyze, s.last_autoanalyze),
        'vacuumed_at', greatest(s.last_vacuum, s.last_autovacuum)
    ) AS counters
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM locked WHERE locked.relation = c.oid)) AS w (is_locked)
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'p', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
