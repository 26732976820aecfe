-- The root that scans start from (btm_fastlevel), which is what the planner takes for the height.
SELECT c.oid::bigint AS oid, m.fastlevel AS height
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i' AND c.relpersistence <> 't'
JOIN pg_catalog.pg_am AS a ON a.oid = c.relam AND a.amname = 'btree'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL {schema}.bt_metap(c.oid::pg_catalog.regclass::text) AS m
WHERE i.indisvalid
  AND i.indrelid NOT IN (
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.relation IS NOT NULL AND l.database = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
