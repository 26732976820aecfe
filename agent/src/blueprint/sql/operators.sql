-- Operators. One that names a commutator or negator not yet made leaves a shell for it.
SELECT
    o.tableoid::bigint AS class,
    o.oid::bigint AS oid,
    'operator' AS kind,
    pg_catalog.format('operator %s.%s (%s, %s)', n.nspname, o.oprname,
        coalesce(nullif(pg_catalog.format_type(o.oprleft, NULL), '-'), 'none'), pg_catalog.format_type(o.oprright, NULL)) AS name,
    pg_catalog.format(
        'CREATE OPERATOR %I.%s (%s)', n.nspname, o.oprname,
        pg_catalog.concat_ws(', ',
            'FUNCTION = ' || o.oprcode::pg_catalog.text,
            CASE WHEN o.oprleft <> 0 THEN 'LEFTARG = ' || pg_catalog.format_type(o.oprleft, NULL) END,
            'RIGHTARG = ' || pg_catalog.format_type(o.oprright, NULL),
            'COMMUTATOR = ' || (
                SELECT pg_catalog.format('OPERATOR(%I.%s)', cn.nspname, c.oprname) FROM pg_catalog.pg_operator AS c
                JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.oprnamespace WHERE c.oid = o.oprcom),
            'NEGATOR = ' || (
                SELECT pg_catalog.format('OPERATOR(%I.%s)', cn.nspname, c.oprname) FROM pg_catalog.pg_operator AS c
                JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.oprnamespace WHERE c.oid = o.oprnegate),
            'RESTRICT = ' || nullif(o.oprrest::pg_catalog.text, '-'),
            'JOIN = ' || nullif(o.oprjoin::pg_catalog.text, '-'),
            CASE WHEN o.oprcanhash THEN 'HASHES' END,
            CASE WHEN o.oprcanmerge THEN 'MERGES' END)) AS sql
FROM pg_catalog.pg_operator AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
WHERE o.oprcode <> 0
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
