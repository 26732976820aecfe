-- Indexes, also those behind constraints.
SELECT
    c.tableoid::bigint AS class,
    c.oid::bigint AS oid,
    i.indrelid::bigint AS table_oid,
    n.nspname AS schema,
    c.relname AS name,
    c.relkind AS kind,
    pg_catalog.pg_get_indexdef(c.oid) AS definition,
    -- What the planner itself asks; a partitioned index is invalid while a partition lacks its part.
    i.indisvalid OR c.relkind = 'I' AS valid,
    coalesce(c.reloptions, '{}') AS options,
    s.spcname AS tablespace,
    (SELECT h.inhparent::bigint FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = c.oid LIMIT 1) AS parent,
    coalesce((
        SELECT pg_catalog.json_object_agg(a.attnum, pg_catalog.to_jsonb(a) ->> 'attstattarget')
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND (pg_catalog.to_jsonb(a) ->> 'attstattarget')::integer >= 0
    ), '{}') AS statistics_targets
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid = c.reltablespace AND s.spcoptions IS NOT NULL
WHERE t.relkind IN ('r', 'p', 'm') AND t.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
ORDER BY c.oid
