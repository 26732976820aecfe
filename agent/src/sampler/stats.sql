-- What ANALYZE found. A value list has the type of its column; as text and then as an array of text it has one type.
SELECT
    s.schemaname AS schema,
    s.tablename AS "table",
    s.attname AS column,
    s.inherited,
    s.null_frac AS null_fraction,
    s.avg_width,
    s.n_distinct,
    coalesce(s.most_common_vals::text::text[], '{}') AS common_values,
    coalesce(s.most_common_freqs, '{}') AS common_frequencies,
    coalesce(s.histogram_bounds::text::text[], '{}') AS histogram,
    s.correlation,
    coalesce(s.most_common_elems::text::text[], '{}') AS common_elements,
    coalesce(s.most_common_elem_freqs, '{}') AS element_frequencies
FROM pg_catalog.pg_stats AS s
WHERE s.schemaname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND s.schemaname NOT LIKE 'pg\_toast%' AND s.schemaname NOT LIKE 'pg\_temp\_%'
