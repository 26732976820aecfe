-- Sizes and row counts. Reading a size waits for an exclusive lock, and we make nobody wait behind us: there the size
-- when it was last vacuumed stands for the size now.
SELECT
    n.nspname AS schema,
    c.relname AS name,
    c.relkind AS kind,
    c.relpages::bigint & 4294967295 AS rel_pages,
    c.reltuples AS rel_tuples,
    c.relallvisible::bigint & 4294967295 AS rel_all_visible,
    CASE WHEN c.relkind IN ('p', 'I', 'f') THEN 0
         WHEN c.oid IN (
            SELECT l.relation FROM pg_catalog.pg_locks AS l
            WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
              AND l.database = (
                SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
         THEN c.relpages::bigint & 4294967295
         ELSE coalesce(pg_catalog.pg_relation_size(c.oid, 'main'), 0)
              / pg_catalog.current_setting('block_size')::bigint END AS pages
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I', 'f')
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
ORDER BY n.nspname, c.relname
