-- Installed extensions.
SELECT x.extname AS name, n.nspname AS schema, x.extversion AS version
FROM pg_catalog.pg_extension AS x
JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
