-- Keys, foreign keys, checks and exclusions of those tables.
SELECT
    q.conrelid::bigint AS table_oid,
    q.conname AS name,
    CASE q.contype WHEN 'p' THEN 'primary' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign' WHEN 'x' THEN 'exclusion'
                   ELSE 'check' END AS kind,
    ARRAY(
        SELECT a.attname::text FROM pg_catalog.unnest(q.conkey) WITH ORDINALITY AS u (attnum, position)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = q.conrelid AND a.attnum = u.attnum
        ORDER BY u.position) AS columns,
    nullif(q.confrelid, 0)::bigint AS references,
    ARRAY(
        SELECT a.attname::text FROM pg_catalog.unnest(q.confkey) WITH ORDINALITY AS u (attnum, position)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = q.confrelid AND a.attnum = u.attnum
        ORDER BY u.position) AS referenced_columns,
    pg_catalog.pg_get_constraintdef(q.oid) AS definition
FROM pg_catalog.pg_constraint AS q
JOIN pg_catalog.pg_class AS c ON c.oid = q.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE q.contype IN ('p', 'u', 'f', 'c', 'x')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
