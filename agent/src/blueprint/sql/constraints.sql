-- Constraints of tables. A foreign key that a partition has from its parent comes with the parent's.
SELECT
    q.tableoid::bigint AS class,
    q.oid::bigint AS oid,
    c.oid::bigint AS table_oid,
    n.nspname AS schema,
    c.relname AS "table",
    q.contype AS type,
    q.conname AS name,
    pg_catalog.pg_get_constraintdef(q.oid) AS definition,
    q.convalidated AND coalesce((pg_catalog.to_jsonb(q) ->> 'conenforced')::boolean, true) AS plain,
    q.conkey[1] AS "column",
    nullif(q.confrelid, 0)::bigint AS references
FROM pg_catalog.pg_constraint AS q
JOIN pg_catalog.pg_class AS c ON c.oid = q.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE (q.contype IN ('p', 'u', 'x', 'c', 'n') OR q.contype = 'f' AND q.conparentid = 0)
  AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
ORDER BY q.conrelid, q.conname
