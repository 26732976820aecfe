-- One row: the server, the database, the role that looks, and whether pg_stat_statements can be read.
SELECT
    pg_catalog.current_setting('server_version_num')::integer AS version_num,
    pg_catalog.current_setting('server_version') AS version,
    pg_catalog.current_database() AS database,
    d.oid::bigint AS database_oid,
    CURRENT_USER AS role,
    r.rolsuper AS superuser,
    pg_catalog.pg_is_in_recovery() OR EXISTS (
        SELECT FROM pg_catalog.pg_settings AS s
        WHERE s.name = 'default_transaction_read_only'
          -- What we set for our own session says nothing of the server.
          AND s.source NOT IN ('session', 'client') AND s.setting = 'on'
    ) AS read_only,
    pg_catalog.now() AS taken_at,
    (SELECT s.stats_reset FROM pg_catalog.pg_stat_database AS s WHERE s.datid = d.oid) AS counters_since,
    pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_read_control,
    pg_catalog.has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE') AS may_read_files,
    -- Found out later.
    '{}'::text[] AS search_path,
    ARRAY(SELECT s.nspname::text FROM pg_catalog.pg_namespace AS s) AS schemas,
    -- NULL when this role may not see it.
    (SELECT s.setting FROM pg_catalog.pg_settings AS s WHERE s.name = 'shared_preload_libraries') AS preloaded,
    -- The setting exists only where the library was loaded at the server's start.
    EXISTS (SELECT FROM pg_catalog.pg_settings AS s WHERE s.name = 'pg_stat_statements.max') AS pgss_loaded,
    x.extversion AS pgss_version,
    n.nspname AS pgss_schema,
    coalesce(
        pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND (SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT') FROM pg_catalog.pg_class AS c
             WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements'),
        false
    ) AS pgss_readable,
    EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements_info'
    ) AS pgss_has_info
FROM pg_catalog.pg_database AS d
JOIN pg_catalog.pg_roles AS r ON r.rolname = CURRENT_USER
LEFT JOIN pg_catalog.pg_extension AS x ON x.extname = 'pg_stat_statements'
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
WHERE d.datname = pg_catalog.current_database()
