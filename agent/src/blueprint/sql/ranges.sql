-- Statistics of range columns, which pg_stats does not show before version 17. Kinds 6 and 7: pg_statistic.h.
SELECT
    n.nspname AS schema,
    c.relname AS relation,
    a.attname AS column,
    s.stainherit AS inherited,
    (ARRAY[s.stavalues1::text, s.stavalues2::text, s.stavalues3::text, s.stavalues4::text, s.stavalues5::text])[
        pg_catalog.array_position(kinds.list, 6::smallint)] AS range_lengths,
    (CASE pg_catalog.array_position(kinds.list, 6::smallint)
        WHEN 1 THEN s.stanumbers1 WHEN 2 THEN s.stanumbers2 WHEN 3 THEN s.stanumbers3 WHEN 4 THEN s.stanumbers4
        WHEN 5 THEN s.stanumbers5 END)[1] AS range_empty_fraction,
    (ARRAY[s.stavalues1::text, s.stavalues2::text, s.stavalues3::text, s.stavalues4::text, s.stavalues5::text])[
        pg_catalog.array_position(kinds.list, 7::smallint)] AS range_bounds
FROM pg_catalog.pg_statistic AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.starelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = s.starelid AND a.attnum = s.staattnum AND NOT a.attisdropped
CROSS JOIN LATERAL (SELECT ARRAY[s.stakind1, s.stakind2, s.stakind3, s.stakind4, s.stakind5]) AS kinds (list)
WHERE kinds.list && ARRAY[6, 7]::smallint[]
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
