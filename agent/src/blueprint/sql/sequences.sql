-- Sequences. To the planner each is a relation of one row; where it stands does not matter.
SELECT
    c.tableoid::bigint AS class, c.oid::bigint AS oid, 'sequence' AS kind,
    'sequence ' || n.nspname || '.' || c.relname AS name,
    pg_catalog.format('CREATE %sSEQUENCE %I.%I AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s',
        -- From version 15 on.
        CASE WHEN c.relpersistence = 'u' THEN 'UNLOGGED ' END,
        n.nspname, c.relname, pg_catalog.format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart,
        s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' END) AS sql
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = c.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
