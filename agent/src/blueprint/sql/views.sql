-- Views and materialized views. These are made without data; how many rows they have is told elsewhere.
SELECT
    c.tableoid::bigint AS class, c.oid::bigint AS oid, 'view' AS kind,
    n.nspname AS schema, c.relname AS view,
    CASE c.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || n.nspname || '.' || c.relname AS name,
    pg_catalog.format('CREATE %s %I.%I%s AS%s%s',
        CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, n.nspname, c.relname,
        (SELECT ' WITH (' || pg_catalog.string_agg(pg_catalog.format('%I = %L', pg_catalog.split_part(o.option, '=', 1),
                    pg_catalog.substr(o.option, pg_catalog.strpos(o.option, '=') + 1)), ', ' ORDER BY o.place) || ')'
         FROM pg_catalog.unnest(c.reloptions) WITH ORDINALITY AS o (option, place)),
        E'\n' || pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';'),
        CASE c.relkind WHEN 'm' THEN E'\nWITH NO DATA' END) AS sql
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
