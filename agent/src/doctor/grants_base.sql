-- One row: what a script of roles and grants depends on beside the tables.
SELECT
    pg_catalog.current_setting('server_version_num')::integer AS version_num,
    pg_catalog.current_database() AS database,
    pg_catalog.has_database_privilege('public', pg_catalog.current_database(), 'CONNECT') AS open,
    ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles AS r) AS roles,
    n.nspname AS pgss_schema,
    coalesce(
        pg_catalog.has_schema_privilege('public', n.oid, 'USAGE')
        AND (SELECT pg_catalog.has_table_privilege('public', c.oid, 'SELECT') FROM pg_catalog.pg_class AS c
             WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements')
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_proc AS p
            WHERE p.pronamespace = n.oid AND p.proname IN ('pg_stat_statements', 'pg_stat_statements_info')
              AND NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')),
        true
    ) AS pgss_open,
    (SELECT s.nspname FROM pg_catalog.pg_extension AS h JOIN pg_catalog.pg_namespace AS s ON s.oid = h.extnamespace
     WHERE h.extname = 'hypopg' AND NOT pg_catalog.has_schema_privilege('public', s.oid, 'USAGE')) AS hypopg_schema,
    (SELECT pg_catalog.pg_get_userbyid(j.nspowner) FROM pg_catalog.pg_namespace AS j WHERE j.nspname = 'pgwright')
        AS journal_owner,
    coalesce((SELECT o.rolsuper FROM pg_catalog.pg_namespace AS j JOIN pg_catalog.pg_roles AS o ON o.oid = j.nspowner
              WHERE j.nspname = 'pgwright'), false) AS journal_of_superuser
FROM (SELECT) AS one
LEFT JOIN pg_catalog.pg_extension AS x ON x.extname = 'pg_stat_statements'
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
