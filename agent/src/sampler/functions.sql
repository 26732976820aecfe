-- The users' functions, and those built-in ones that an expression over a column can be made of.
SELECT
    n.nspname AS schema,
    p.proname AS name,
    ARRAY(
        SELECT pg_catalog.format_type(u.type, NULL)
        FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) WITH ORDINALITY AS u (type, position)
        ORDER BY u.position
    ) AS arguments,
    pg_catalog.format_type(p.prorettype, NULL) AS result,
    CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END AS volatility,
    l.lanname IN ('internal', 'c') AS trusted
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.prokind = 'f'
  AND p.prorettype NOT IN (
        'pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
  AND n.nspname NOT IN ('information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
  AND (n.nspname <> 'pg_catalog' OR (
        p.provolatile <> 'v' AND p.pronargs BETWEEN 1 AND 3 AND NOT p.proretset
        -- Functions of the machinery take or give types that no column can have.
        AND p.prorettype <> 'pg_catalog.internal'::pg_catalog.regtype
        AND NOT p.proargtypes::pg_catalog.oid[] && ARRAY[
            'pg_catalog.internal'::pg_catalog.regtype, 'pg_catalog.cstring'::pg_catalog.regtype]::pg_catalog.oid[]
        AND p.prorettype <> 'pg_catalog.cstring'::pg_catalog.regtype))
