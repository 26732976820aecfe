-- Schemas.
SELECT
    n.tableoid::bigint AS class,
    n.oid::bigint AS oid,
    'schema' AS kind,
    'schema ' || n.nspname AS name,
    pg_catalog.format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname) AS sql
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
