-- Tables, and materialized views as far as they are treated alike.
SELECT
    c.tableoid::bigint AS class,
    c.oid::bigint AS oid,
    n.nspname AS schema,
    c.relname AS name,
    c.relkind AS kind,
    c.relpersistence = 'u' AS unlogged,
    coalesce(c.reloptions, '{}') AS options,
    coalesce(t.reloptions, '{}') AS toast_options,
    CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key,
    CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END AS partition_bound,
    ARRAY(
        SELECT h.inhparent::bigint FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = c.oid ORDER BY h.inhseqno
    ) AS parents,
    CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END AS of_type,
    nullif(m.amname, 'heap') AS access_method,
    s.spcname AS tablespace,
    c.relrowsecurity AS row_security,
    c.relforcerowsecurity AS force_row_security
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class AS t ON t.oid = c.reltoastrelid
LEFT JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
-- Only one with costs of its own matters.
LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid = c.reltablespace AND s.spcoptions IS NOT NULL
WHERE c.relkind IN ('r', 'p', 'm')
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
