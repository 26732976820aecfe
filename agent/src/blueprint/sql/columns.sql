-- Columns of tables, materialized views and views (of the last only those with a default).
SELECT
    a.attrelid::bigint AS table_oid,
    a.attnum AS number,
    a.attname AS name,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
    CASE WHEN l.oid <> t.typcollation THEN pg_catalog.format('%I.%I', ln.nspname, l.collname) END AS collation,
    a.attnotnull AS not_null,
    a.attidentity AS identity,
    -- The sequence behind an identity column; that of a partition is its parent's since version 17.
    CASE WHEN a.attidentity <> '' THEN (
        SELECT pg_catalog.format('%I.%I', sn.nspname, sc.relname)
        FROM pg_catalog.pg_depend AS sd
        JOIN pg_catalog.pg_class AS sc ON sc.oid = sd.objid AND sc.relkind = 'S'
        JOIN pg_catalog.pg_namespace AS sn ON sn.oid = sc.relnamespace
        WHERE sd.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND sd.deptype = 'i'
          AND sd.refclassid = sd.classid AND sd.refobjid = a.attrelid AND sd.refobjsubid = a.attnum
        LIMIT 1) END AS identity_sequence,
    a.attgenerated AS generated,
    d.tableoid::bigint AS default_class,
    d.oid::bigint AS default_oid,
    -- A default names no column; without the table it is printed without looking at all of its columns, or its lock.
    pg_catalog.pg_get_expr(d.adbin, CASE WHEN a.attgenerated = '' THEN 0 ELSE d.adrelid END) AS expression,
    CASE WHEN a.attstorage <> t.typstorage THEN
        CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
    END AS storage,
    nullif((pg_catalog.to_jsonb(a) ->> 'attstattarget')::integer, -1) AS statistics_target,
    coalesce(a.attoptions, '{}') AS options
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
WHERE (c.relkind IN ('r', 'p', 'm') OR c.relkind = 'v' AND d.oid IS NOT NULL)
  AND c.relpersistence <> 't'
  AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
ORDER BY a.attrelid, a.attnum
