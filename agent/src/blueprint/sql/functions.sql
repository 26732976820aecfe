-- Functions and procedures. Their bodies are as they were written.
SELECT
    p.tableoid::bigint AS class,
    p.oid::bigint AS oid,
    'function' AS kind,
    CASE p.prokind WHEN 'p' THEN 'procedure ' ELSE 'function ' END
        || n.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS name,
    pg_catalog.rtrim(pg_catalog.pg_get_functiondef(p.oid), E'\n') AS sql
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prokind IN ('f', 'p', 'w')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
  -- Support functions of a base type or of a range, which come with it.
  AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = p.tableoid AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
