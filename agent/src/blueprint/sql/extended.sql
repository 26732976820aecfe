-- What ANALYZE found for extended statistics objects. Columns count as a rebuilt table numbers them: without the dropped.
SELECT
    x.statistics_schemaname AS schema,
    x.statistics_name AS name,
    x.schemaname AS table_schema,
    x.tablename AS "table",
    coalesce((pg_catalog.to_jsonb(x) ->> 'inherited')::boolean, false) AS inherited,
    x.n_distinct::text AS n_distinct,
    x.dependencies::text AS dependencies,
    coalesce(pg_catalog.to_json(x.most_common_vals), '[]') AS values,
    coalesce(x.most_common_freqs::text[], '{}') AS frequencies,
    coalesce(x.most_common_base_freqs::text[], '{}') AS base_frequencies,
    (SELECT pg_catalog.json_object_agg(a.attnum, a.place)
     FROM (SELECT o.attnum, pg_catalog.row_number() OVER (ORDER BY o.attnum) AS place
           FROM pg_catalog.pg_attribute AS o
           WHERE o.attrelid = s.stxrelid AND o.attnum > 0 AND NOT o.attisdropped) AS a
     WHERE a.attnum = ANY (s.stxkeys::pg_catalog.int2[])) AS places
FROM pg_catalog.pg_stats_ext AS x
JOIN pg_catalog.pg_namespace AS n ON n.nspname = x.statistics_schemaname
JOIN pg_catalog.pg_statistic_ext AS s ON s.stxnamespace = n.oid AND s.stxname = x.statistics_name
WHERE x.schemaname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
ORDER BY 1, 2, 3
