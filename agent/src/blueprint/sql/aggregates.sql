-- Aggregates, which the server does not print itself.
SELECT
    p.tableoid::bigint AS class,
    p.oid::bigint AS oid,
    'function' AS kind,
    'aggregate ' || n.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS name,
    pg_catalog.format(
        'CREATE AGGREGATE %I.%I(%s) (%s)', n.nspname, p.proname,
        CASE WHEN p.pronargs = 0 THEN '*' ELSE pg_catalog.pg_get_function_arguments(p.oid) END,
        pg_catalog.concat_ws(', ',
            'SFUNC = ' || a.aggtransfn::pg_catalog.text,
            'STYPE = ' || pg_catalog.format_type(a.aggtranstype, NULL),
            CASE WHEN a.aggtransspace <> 0 THEN 'SSPACE = ' || a.aggtransspace END,
            'FINALFUNC = ' || nullif(a.aggfinalfn::pg_catalog.text, '-'),
            CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
            CASE WHEN a.aggfinalfn <> 0 THEN 'FINALFUNC_MODIFY = ' || modify.final END,
            'COMBINEFUNC = ' || nullif(a.aggcombinefn::pg_catalog.text, '-'),
            'SERIALFUNC = ' || nullif(a.aggserialfn::pg_catalog.text, '-'),
            'DESERIALFUNC = ' || nullif(a.aggdeserialfn::pg_catalog.text, '-'),
            'INITCOND = ' || pg_catalog.quote_literal(a.agginitval),
            'MSFUNC = ' || nullif(a.aggmtransfn::pg_catalog.text, '-'),
            'MINVFUNC = ' || nullif(a.aggminvtransfn::pg_catalog.text, '-'),
            CASE WHEN a.aggmtranstype <> 0 THEN 'MSTYPE = ' || pg_catalog.format_type(a.aggmtranstype, NULL) END,
            CASE WHEN a.aggmtransspace <> 0 THEN 'MSSPACE = ' || a.aggmtransspace END,
            'MFINALFUNC = ' || nullif(a.aggmfinalfn::pg_catalog.text, '-'),
            CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
            CASE WHEN a.aggmfinalfn <> 0 THEN 'MFINALFUNC_MODIFY = ' || modify.moving END,
            'MINITCOND = ' || pg_catalog.quote_literal(a.aggminitval),
            (SELECT pg_catalog.format('SORTOP = OPERATOR(%I.%s)', opn.nspname, o.oprname)
             FROM pg_catalog.pg_operator AS o
             JOIN pg_catalog.pg_namespace AS opn ON opn.oid = o.oprnamespace
             WHERE o.oid = a.aggsortop),
            CASE WHEN a.aggkind = 'h' THEN 'HYPOTHETICAL' END,
            CASE p.proparallel WHEN 's' THEN 'PARALLEL = SAFE' WHEN 'r' THEN 'PARALLEL = RESTRICTED' END)) AS sql
FROM pg_catalog.pg_aggregate AS a
JOIN pg_catalog.pg_proc AS p ON p.oid = a.aggfnoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
CROSS JOIN LATERAL (
    SELECT
        CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END,
        CASE a.aggmfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END
) AS modify (final, moving)
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
