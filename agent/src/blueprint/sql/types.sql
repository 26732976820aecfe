-- Enumerations, composite types, domains and ranges. A range's canonical function takes the very type and is
-- written in C; the planner does not call it.
SELECT
    t.tableoid::bigint AS class,
    t.oid::bigint AS oid,
    'type' AS kind,
    CASE t.typtype WHEN 'd' THEN 'domain ' ELSE 'type ' END || n.nspname || '.' || t.typname AS name,
    CASE t.typtype
        WHEN 'e' THEN pg_catalog.format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname, (
            SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
            FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid))
        WHEN 'c' THEN pg_catalog.format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname, (
            SELECT pg_catalog.string_agg(
                pg_catalog.format('%I %s%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (
                    SELECT pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname)
                    FROM pg_catalog.pg_collation AS l
                    JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
                    JOIN pg_catalog.pg_type AS of ON of.oid = a.atttypid
                    WHERE l.oid = a.attcollation AND l.oid <> of.typcollation)),
                ', ' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
        WHEN 'd' THEN pg_catalog.format(
            'CREATE DOMAIN %I.%I AS %s%s%s%s', n.nspname, t.typname,
            pg_catalog.format_type(t.typbasetype, t.typtypmod),
            (SELECT pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname)
             FROM pg_catalog.pg_collation AS l
             JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
             JOIN pg_catalog.pg_type AS of ON of.oid = t.typbasetype
             WHERE l.oid = t.typcollation AND l.oid <> of.typcollation),
            ' DEFAULT ' || coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), pg_catalog.quote_literal(t.typdefault)),
            CASE WHEN t.typnotnull THEN ' NOT NULL' END)
        WHEN 'r' THEN (
            SELECT pg_catalog.format(
                'CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s, SUBTYPE_OPCLASS = %I.%I%s%s, MULTIRANGE_TYPE_NAME = %I.%I)',
                n.nspname, t.typname, pg_catalog.format_type(r.rngsubtype, NULL), opn.nspname, op.opcname,
                (SELECT pg_catalog.format(', COLLATION = %I.%I', ln.nspname, l.collname)
                 FROM pg_catalog.pg_collation AS l
                 JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
                 WHERE l.oid = r.rngcollation),
                (SELECT pg_catalog.format(', SUBTYPE_DIFF = %I.%I', pn.nspname, p.proname)
                 FROM pg_catalog.pg_proc AS p
                 JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.pronamespace
                 WHERE p.oid = r.rngsubdiff),
                mn.nspname, m.typname)
            FROM pg_catalog.pg_range AS r
            JOIN pg_catalog.pg_opclass AS op ON op.oid = r.rngsubopc
            JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.opcnamespace
            JOIN pg_catalog.pg_type AS m ON m.oid = r.rngmultitypid
            JOIN pg_catalog.pg_namespace AS mn ON mn.oid = m.typnamespace
            WHERE r.rngtypid = t.oid)
    END AS sql
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND c.relkind = 'c')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
-- Conditions of domains, apart because their functions may take the domain.
SELECT
    q.tableoid::bigint, q.oid::bigint, 'type', 'constraint ' || q.conname || ' of domain ' || n.nspname || '.' || t.typname,
    pg_catalog.format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname, q.conname,
                      pg_catalog.pg_get_constraintdef(q.oid))
FROM pg_catalog.pg_constraint AS q
JOIN pg_catalog.pg_type AS t ON t.oid = q.contypid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE q.contype = 'c'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
