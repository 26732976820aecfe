-- GIN indexes that the role may read through, with conditions on their first key that look for 1 and for 40 entries,
-- and for all of them: what the planner asks of each is told by the costs. No condition where the operator class is not
-- known here.
SELECT
    c.oid::bigint AS oid,
    n.nspname AS schema,
    c.relname AS name,
    tn.nspname AS table_schema,
    t.relname AS "table",
    pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
    coalesce(pg_catalog.pg_relation_size(c.oid, 'main'), 0)
        / pg_catalog.current_setting('block_size')::bigint AS pages,
    CASE
        WHEN o.opcname = 'jsonb_path_ops' THEN ARRAY(
            SELECT pg_catalog.format('%s OPERATOR(pg_catalog.@>) %L::pg_catalog.jsonb', k.key,
                '{' || (SELECT pg_catalog.string_agg(pg_catalog.format('"pgwright %s": 1', g), ', ')
                        FROM pg_catalog.generate_series(1, w.count) AS g) || '}')
            FROM (VALUES (1), (40)) AS w (count))
            || pg_catalog.format('%s OPERATOR(pg_catalog.@>) %L::pg_catalog.jsonb', k.key, '{}')
        WHEN o.opcname = 'jsonb_ops' THEN ARRAY(
            SELECT pg_catalog.format('%s OPERATOR(pg_catalog.?&) %L::pg_catalog.text[]', k.key,
                (SELECT pg_catalog.array_agg('pgwright ' || g) FROM pg_catalog.generate_series(1, w.count) AS g))
            FROM (VALUES (1), (40)) AS w (count))
            || pg_catalog.format('%s OPERATOR(pg_catalog.@>) %L::pg_catalog.jsonb', k.key, '{}')
        WHEN o.opcname = 'tsvector_ops' THEN ARRAY(
            SELECT pg_catalog.format('%s OPERATOR(pg_catalog.@@) %L::pg_catalog.tsquery', k.key,
                (SELECT pg_catalog.string_agg('pgwright' || g, ' & ')
                 FROM pg_catalog.generate_series(1, w.count) AS g))
            FROM (VALUES (1), (40)) AS w (count))
            || pg_catalog.format('%s OPERATOR(pg_catalog.@@) %L::pg_catalog.tsquery', k.key, '!pgwright')
        WHEN o.opcname = 'gin_trgm_ops' THEN ARRAY[
            pg_catalog.format('%s OPERATOR(pg_catalog.~~) %L', k.key, '%q7z%'),
            pg_catalog.format('%s OPERATOR(pg_catalog.~~) %L', k.key,
                '%abcdefghijklmnopqrstuvwxyz0123456789acegik%'),
            pg_catalog.format('%s OPERATOR(pg_catalog.~~) %L', k.key, '%q%')]
        WHEN o.opcname = 'array_ops' AND e.element IS NOT NULL THEN ARRAY(
            SELECT pg_catalog.format('%s OPERATOR(pg_catalog.@>) %L::%s', k.key,
                (SELECT pg_catalog.array_agg(pg_catalog.format(e.element, 10 + g))
                 FROM pg_catalog.generate_series(1, w.count) AS g), pg_catalog.format_type(a.atttypid, NULL))
            FROM (VALUES (1), (40)) AS w (count))
            || pg_catalog.format('%s OPERATOR(pg_catalog.@>) %L::%s', k.key, '{}',
                pg_catalog.format_type(a.atttypid, NULL))
        WHEN o.opcname = 'gin_hstore_ops' THEN ARRAY(
            SELECT pg_catalog.format('%s OPERATOR(%I.?&) %L::pg_catalog.text[]', k.key, p.nspname,
                (SELECT pg_catalog.array_agg('pgwright ' || g) FROM pg_catalog.generate_series(1, w.count) AS g))
            FROM (VALUES (1), (40)) AS w (count))
            || pg_catalog.format('%s OPERATOR(%I.@>) %L', k.key, p.nspname, '')
        WHEN o.opcname = 'gin__int_ops' THEN ARRAY(
            SELECT pg_catalog.format('%s OPERATOR(%I.@>) %L::pg_catalog.int4[]', k.key, p.nspname,
                (SELECT pg_catalog.array_agg(1000010 + g) FROM pg_catalog.generate_series(1, w.count) AS g))
            FROM (VALUES (1), (40)) AS w (count))
            || pg_catalog.format('%s OPERATOR(%I.@>) %L::pg_catalog.int4[]', k.key, p.nspname, '{}')
        ELSE '{}'
    END AS conditions
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam AND m.amname = 'gin'
JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[0]
JOIN pg_catalog.pg_namespace AS p ON p.oid = o.opcnamespace
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = i.indkey[0] AND a.attnum > 0
LEFT JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid AND y.typtype = 'b'
LEFT JOIN (VALUES ('_int4', '10000%s'), ('_int8', '10000%s'), ('_int2', '100%s'), ('_text', 'pgwright %s'),
           ('_varchar', 'pgwright %s'), ('_numeric', '0.10000%s'),
           ('_uuid', '70677772-6967-6874-0000-0000000000%s')) AS e (type, element) ON e.type = y.typname
CROSS JOIN LATERAL (SELECT '(' || pg_catalog.pg_get_indexdef(c.oid, 1, false) || ')' AS key) AS k
WHERE i.indisvalid
  AND t.relpersistence <> 't' AND (t.relkind <> 'm' OR t.relispopulated)
  AND pg_catalog.has_schema_privilege(t.relnamespace, 'USAGE') AND pg_catalog.has_table_privilege(t.oid, 'SELECT')
  AND NOT (t.relrowsecurity AND pg_catalog.row_security_active(t.oid))
  AND t.oid NOT IN (
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.relation IS NOT NULL AND l.database = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
ORDER BY c.oid
