-- What ANALYZE found of columns together (CREATE STATISTICS ... (mcv)); expressions are left aside.
SELECT
    s.schemaname AS schema,
    s.tablename AS "table",
    s.attnames::text[] AS columns,
    to_jsonb(s.most_common_vals) AS "values",
    s.most_common_freqs AS frequencies
FROM pg_catalog.pg_stats_ext AS s
WHERE s.most_common_vals IS NOT NULL AND s.attnames IS NOT NULL
  AND to_jsonb(s) ->> 'exprs' IS NULL
  AND s.schemaname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
ORDER BY s.statistics_schemaname, s.statistics_name
