-- What ANALYZE found for the expressions of extended statistics objects, in the order of their definition.
SELECT
    x.statistics_schemaname AS schema,
    x.statistics_name AS name,
    coalesce((pg_catalog.to_jsonb(x) ->> 'inherited')::boolean, false) AS inherited,
    coalesce(x.null_frac, 0) AS null_fraction,
    coalesce(x.avg_width, 0) AS avg_width,
    coalesce(x.n_distinct, 0) AS n_distinct,
    x.most_common_vals::text AS common_values,
    coalesce(x.most_common_freqs, '{}') AS common_frequencies,
    x.histogram_bounds::text AS histogram,
    x.correlation,
    x.most_common_elems::text AS common_elements,
    coalesce(x.most_common_elem_freqs, '{}') AS element_frequencies,
    coalesce(x.elem_count_histogram, '{}') AS element_counts
FROM pg_catalog.pg_stats_ext_exprs AS x
JOIN pg_catalog.pg_namespace AS n ON n.nspname = x.statistics_schemaname
JOIN pg_catalog.pg_statistic_ext AS s ON s.stxnamespace = n.oid AND s.stxname = x.statistics_name
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_position(pg_catalog.pg_get_statisticsobjdef_expressions(s.oid), x.expr)
) AS expression (place)
WHERE x.schemaname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
ORDER BY 1, 2, 3, expression.place
