-- Writes rows of pg_statistic as ANALYZE writes them: std_typanalyze (analyze.c), array_typanalyze, ts_typanalyze,
-- range_typanalyze. Kinds of slots: 1 most common values, 2 histogram, 3 correlation, 4 most common elements,
-- 5 counts of distinct elements, 6 lengths of ranges, 7 bounds of ranges (pg_statistic.h).
INSERT INTO pg_catalog.pg_statistic
SELECT a.attrelid, a.attnum, g.inherited, g.null_fraction, g.width, g.n_distinct,
       coalesce(s.kinds[1], 0), coalesce(s.kinds[2], 0), coalesce(s.kinds[3], 0), coalesce(s.kinds[4], 0), coalesce(s.kinds[5], 0),
       coalesce(s.ops[1], 0), coalesce(s.ops[2], 0), coalesce(s.ops[3], 0), coalesce(s.ops[4], 0), coalesce(s.ops[5], 0),
       coalesce(s.colls[1], 0), coalesce(s.colls[2], 0), coalesce(s.colls[3], 0), coalesce(s.colls[4], 0), coalesce(s.colls[5], 0),
       s.numbers[1]::real[], s.numbers[2]::real[], s.numbers[3]::real[], s.numbers[4]::real[], s.numbers[5]::real[],
       pg_catalog.array_in(s.texts[1]::cstring, s.types[1], -1), pg_catalog.array_in(s.texts[2]::cstring, s.types[2], -1),
       pg_catalog.array_in(s.texts[3]::cstring, s.types[3], -1), pg_catalog.array_in(s.texts[4]::cstring, s.types[4], -1),
       pg_catalog.array_in(s.texts[5]::cstring, s.types[5], -1)
FROM ROWS FROM (
        unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::bool[]), unnest($5::real[]),
        unnest($6::int[]), unnest($7::real[]), unnest($8::text[]), unnest($9::text[]), unnest($10::text[]),
        unnest($11::text[]), unnest($12::text[]), unnest($13::text[]), unnest($14::text[]), unnest($15::text[]),
        unnest($16::text[]), unnest($17::text[])
    ) AS g (schema, relation, attribute, inherited, null_fraction, width, n_distinct, common, frequencies, histogram,
            correlation, elements, element_frequencies, element_counts, range_lengths, range_empty, range_bounds)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = g.schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = g.relation
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = g.attribute AND NOT a.attisdropped
JOIN twin_types AS t ON t.type = a.atttypid
LEFT JOIN pg_catalog.pg_index AS x ON x.indexrelid = c.oid
CROSS JOIN LATERAL (
    -- An index column with a collation of its own has statistics under that one (examine_attribute, analyze.c).
    SELECT coalesce(nullif(x.indcollation[a.attnum - 1], 0), a.attcollation) AS own
) AS k
CROSS JOIN LATERAL (
    SELECT array_agg(v.kind ORDER BY v.kind), array_agg(v.op ORDER BY v.kind), array_agg(v.coll ORDER BY v.kind),
           array_agg(v.numbers ORDER BY v.kind), array_agg(v.texts ORDER BY v.kind), array_agg(v.type ORDER BY v.kind)
    FROM (VALUES
        (1::smallint, t.eq, k.own, g.frequencies, g.common, t.base, g.common IS NOT NULL AND t.eq <> 0),
        (2::smallint, t.lt, k.own, NULL, g.histogram, t.base, g.histogram IS NOT NULL AND t.lt <> 0),
        (3::smallint, t.lt, k.own, g.correlation, NULL, 0, g.correlation IS NOT NULL AND t.lt <> 0),
        (4::smallint, t.element_eq, coalesce(t.element_collation, k.own), g.element_frequencies, g.elements, t.element,
         g.elements IS NOT NULL AND t.element_eq <> 0),
        (5::smallint, t.element_eq, coalesce(t.element_collation, k.own), g.element_counts, NULL, 0,
         g.element_counts IS NOT NULL AND t.element_eq <> 0),
        (6::smallint, 'pg_catalog.<(float8,float8)'::pg_catalog.regoperator::oid, 0::oid, g.range_empty, g.range_lengths,
         'pg_catalog.float8'::pg_catalog.regtype::oid, g.range_lengths IS NOT NULL),
        (7::smallint, 0::oid, 0::oid, NULL, g.range_bounds, t.bounded, g.range_bounds IS NOT NULL AND t.bounded <> 0)
    ) AS v (kind, op, coll, numbers, texts, type, there)
    WHERE v.there AND (t.readable OR v.texts IS NULL)
) AS s (kinds, ops, colls, numbers, texts, types)
