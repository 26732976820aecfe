-- Extensions. Their version is in the snapshot; what is installed where the twin runs decides which it can have.
SELECT
    e.tableoid::bigint AS class,
    e.oid::bigint AS oid,
    'extension' AS kind,
    'extension ' || e.extname AS name,
    pg_catalog.format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I', e.extname, n.nspname) AS sql
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
