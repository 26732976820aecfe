-- Extended statistics objects: their columns' types in order of the columns' numbers, and their expressions.
SELECT
    n.nspname AS schema,
    s.stxname AS name,
    pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS table,
    coalesce((
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'type_name', coalesce(b.typname, t.typname), 'type_kind', coalesce(b.typtype, t.typtype),
            'collation', CASE WHEN ln.nspname = 'pg_catalog' THEN l.collname
                ELSE pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname) END,
            'modifier', a.atttypmod) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype AND t.typtype = 'd'
        LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
        LEFT JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
        WHERE a.attrelid = c.oid AND a.attnum = ANY (s.stxkeys::pg_catalog.int2[])), '[]') AS columns,
    coalesce(pg_catalog.to_json(pg_catalog.pg_get_statisticsobjdef_expressions(s.oid)), '[]') AS expressions
FROM pg_catalog.pg_statistic_ext AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
JOIN pg_catalog.pg_class AS c ON c.oid = s.stxrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = c.relnamespace
