-- What ANALYZE found, as everybody may see it. Columns of later versions are absent before them.
SELECT
    s.schemaname AS schema,
    s.tablename AS relation,
    s.attname AS column,
    s.inherited,
    s.null_frac AS null_fraction,
    s.avg_width,
    s.n_distinct,
    s.most_common_vals::text AS common_values,
    coalesce(s.most_common_freqs, '{}') AS common_frequencies,
    s.histogram_bounds::text AS histogram,
    s.correlation,
    s.most_common_elems::text AS common_elements,
    coalesce(s.most_common_elem_freqs, '{}') AS element_frequencies,
    coalesce(s.elem_count_histogram, '{}') AS element_counts
    {ranges}
FROM pg_catalog.pg_stats AS s
WHERE s.schemaname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND s.schemaname NOT LIKE 'pg\_toast%' AND s.schemaname NOT LIKE 'pg\_temp\_%'
ORDER BY s.schemaname, s.tablename, s.attname, s.inherited
