-- Leading plain columns of B-trees that hold all rows: where the planner looks for the ends of a column itself.
SELECT DISTINCT ON (c.oid, a.attnum)
    n.nspname AS schema,
    c.relname AS "table",
    a.attname AS column,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
        AND NOT (c.relrowsecurity AND pg_catalog.row_security_active(c.oid))
        AND (c.relkind <> 'm' OR c.relispopulated)
        AND c.oid NOT IN (
            SELECT l.relation FROM pg_catalog.pg_locks AS l
            WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
              AND l.relation IS NOT NULL AND l.database = (
                SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
        ) AS readable,
    -- Our look counts as a use of the index. A superuser can have it not counted; for others an index that nobody
    -- uses must not look used.
    pg_catalog.current_setting('is_superuser') = 'on' AS uncounted,
    EXISTS (
        SELECT FROM pg_catalog.pg_index AS oi
        JOIN pg_catalog.pg_stat_all_indexes AS os ON os.indexrelid = oi.indexrelid
        WHERE oi.indrelid = c.oid AND oi.indkey[0] = a.attnum AND os.idx_scan > 0
    ) AS used
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_catalog.pg_am AS m ON m.oid = x.relam AND m.amname = 'btree'
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid AND c.relpersistence <> 't'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attnum > 0
JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[0] AND o.opcdefault
WHERE i.indisvalid AND i.indpred IS NULL
  AND i.indcollation[0] = a.attcollation
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
ORDER BY c.oid, a.attnum
