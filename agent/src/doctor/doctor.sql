-- One row: everything that decides whether a dry run and an --apply can work for this role in this database.
WITH relation AS (
    SELECT c.oid, c.relkind, c.relowner, c.reltuples, n.oid AS nspoid,
           pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
           pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_ours,
           pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_read,
           c.relkind IN ('r', 'p') AND NOT (
               pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
               AND pg_catalog.has_table_privilege(c.oid, 'DELETE')) AS unwritable
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
      AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
), tab AS (
    SELECT r.* FROM relation AS r WHERE r.relkind IN ('r', 'p', 'm')
)
SELECT
    pg_catalog.current_setting('server_version_num')::integer AS version_num,
    pg_catalog.current_database() AS database,
    CURRENT_USER AS role,
    pg_catalog.pg_is_in_recovery() AS in_recovery,
    EXISTS (
        SELECT FROM pg_catalog.pg_settings AS s
        WHERE s.name = 'default_transaction_read_only' AND s.source NOT IN ('session', 'client') AND s.setting = 'on'
    ) AS read_only,
    (SELECT s.setting FROM pg_catalog.pg_settings AS s WHERE s.name = 'shared_preload_libraries') AS preloaded,
    EXISTS (SELECT FROM pg_catalog.pg_settings AS s WHERE s.name = 'pg_stat_statements.max') AS pgss_loaded,
    (SELECT s.setting FROM pg_catalog.pg_settings AS s WHERE s.name = 'pg_stat_statements.track') AS pgss_track,
    (SELECT s.setting::bigint FROM pg_catalog.pg_settings AS s WHERE s.name = 'pg_stat_statements.max') AS pgss_max,
    x.extversion AS pgss_version,
    (SELECT v.default_version FROM pg_catalog.pg_available_extensions AS v
     WHERE v.name = 'pg_stat_statements') AS pgss_available,
    n.nspname AS pgss_schema,
    coalesce(
        pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND (SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class AS c
             WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements')
        -- The view runs its function in the name of whoever asks.
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_proc AS p
            WHERE p.pronamespace = n.oid AND p.proname IN ('pg_stat_statements', 'pg_stat_statements_info')
              AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE')),
        false
    ) AS pgss_readable,
    EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements_info'
    ) AS pgss_has_info,
    pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS reads_all_stats,
    (SELECT h.extversion FROM pg_catalog.pg_extension AS h WHERE h.extname = 'hypopg') AS hypopg_version,
    (SELECT v.default_version FROM pg_catalog.pg_available_extensions AS v WHERE v.name = 'hypopg') AS hypopg_available,
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create_schema,
    (SELECT pg_catalog.has_schema_privilege(j.oid, 'USAGE') AND pg_catalog.has_schema_privilege(j.oid, 'CREATE')
     FROM pg_catalog.pg_namespace AS j WHERE j.nspname = 'pgwright') AS may_use_schema,
    (SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
            AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
     FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS j ON j.oid = c.relnamespace
     WHERE j.nspname = 'pgwright' AND c.relname = 'OptimizationLog') AS may_write_journal,
    (SELECT pg_catalog.count(*) FROM tab) AS tables,
    (SELECT pg_catalog.count(*) FROM tab WHERE is_ours AND pg_catalog.has_schema_privilege(nspoid, 'CREATE'))
        AS tables_to_index,
    ARRAY(SELECT DISTINCT o.rolname::text FROM tab AS t JOIN pg_catalog.pg_roles AS o ON o.oid = t.relowner
          WHERE NOT t.is_ours AND NOT o.rolsuper ORDER BY 1) AS other_owners,
    ARRAY(SELECT DISTINCT o.rolname::text FROM tab AS t JOIN pg_catalog.pg_roles AS o ON o.oid = t.relowner
          WHERE NOT t.is_ours AND NOT o.rolsuper AND pg_catalog.pg_has_role(t.relowner, 'MEMBER') ORDER BY 1) AS idle_owners,
    ARRAY(SELECT DISTINCT o.rolname::text FROM tab AS t JOIN pg_catalog.pg_roles AS o ON o.oid = t.relowner
          WHERE NOT t.is_ours AND o.rolsuper ORDER BY 1) AS super_owners,
    ARRAY(SELECT DISTINCT s.nspname::text FROM tab AS t JOIN pg_catalog.pg_namespace AS s ON s.oid = t.nspoid
          WHERE t.is_ours AND NOT pg_catalog.has_schema_privilege(t.nspoid, 'CREATE') ORDER BY 1) AS closed_schemas,
    (SELECT pg_catalog.count(*) FROM tab AS t WHERE NOT t.may_read) AS tables_unreadable,
    (SELECT pg_catalog.count(*) FROM tab AS t WHERE t.unwritable) AS tables_unwritable,
    ARRAY(SELECT DISTINCT s.nspname::text FROM tab AS t JOIN pg_catalog.pg_namespace AS s ON s.oid = t.nspoid
          WHERE NOT t.may_read ORDER BY 1) AS unreadable_schemas,
    ARRAY(SELECT t.name COLLATE "C" FROM tab AS t LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = t.oid
          WHERE greatest(s.last_analyze, s.last_autoanalyze) IS NULL
            AND coalesce(s.n_live_tup, 0) + greatest(t.reltuples, 0) > 0
          ORDER BY 1) AS never_analyzed,
    ARRAY(SELECT r.name COLLATE "C" FROM relation AS r JOIN pg_catalog.pg_index AS i ON i.indexrelid = r.oid
          WHERE NOT i.indisvalid AND r.relkind = 'i'
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS b
                            WHERE b.index_relid = r.oid)
          ORDER BY 1) AS invalid_indexes,
    pg_catalog.current_setting('track_counts') AS track_counts,
    pg_catalog.current_setting('track_activities') AS track_activities,
    pg_catalog.current_setting('track_io_timing') AS track_io_timing,
    pg_catalog.current_setting('autovacuum') AS autovacuum
FROM pg_catalog.pg_roles AS r
LEFT JOIN pg_catalog.pg_extension AS x ON x.extname = 'pg_stat_statements'
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
WHERE r.rolname = CURRENT_USER
