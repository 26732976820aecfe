-- B-trees that the planner can walk in order, the largest first: heights and ends are found out by such walks. Left out
-- is what would wait for a lock, what hides rows, and what no plain ORDER BY asks for.
SELECT
    n.nspname AS schema,
    c.relname AS "table",
    ic.relname AS index,
    ic.relpages::bigint & 4294967295 AS pages,
    CASE WHEN i.indpred IS NULL THEN a.attname END AS "column",
    pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
    ARRAY(
        SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k, false)
            || CASE i.indoption[k - 1] & 3
               WHEN 1 THEN ' DESC NULLS LAST' WHEN 2 THEN ' NULLS FIRST' WHEN 3 THEN ' DESC' ELSE '' END
        FROM pg_catalog.generate_series(1, i.indnkeyatts::integer) AS k ORDER BY k) AS keys
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = ic.relam
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND i.indkey[0] > 0
WHERE m.amname = 'btree' AND i.indisvalid AND c.relkind IN ('r', 'm') AND c.relispopulated
  AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
  AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND NOT pg_catalog.row_security_active(c.oid)
  AND c.oid NOT IN (
      SELECT l.relation FROM pg_catalog.pg_locks AS l
      WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
        AND l.pid <> pg_catalog.pg_backend_pid())
  AND NOT EXISTS (
      SELECT FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) AS k
      JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[k]
      LEFT JOIN pg_catalog.pg_attribute AS t ON t.attrelid = c.oid AND t.attnum = i.indkey[k] AND i.indkey[k] > 0
      WHERE NOT o.opcdefault OR (t.attnum IS NOT NULL AND i.indcollation[k] <> t.attcollation))
ORDER BY ic.relpages DESC, n.nspname, ic.relname
