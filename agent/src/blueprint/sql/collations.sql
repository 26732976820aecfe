-- Collations. Where the locale stands has changed with version 15 and again with 17.
SELECT
    l.tableoid::bigint AS class,
    l.oid::bigint AS oid,
    'collation' AS kind,
    'collation ' || n.nspname || '.' || l.collname AS name,
    pg_catalog.format(
        'CREATE COLLATION %I.%I (PROVIDER = %s, %s%s%s)',
        n.nspname, l.collname,
        CASE l.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
        CASE WHEN l.collprovider IN ('i', 'b')
             THEN 'LOCALE = ' || pg_catalog.quote_literal(coalesce(
                    pg_catalog.to_jsonb(l) ->> 'colllocale', pg_catalog.to_jsonb(l) ->> 'colliculocale', l.collcollate))
             ELSE pg_catalog.format('LC_COLLATE = %L, LC_CTYPE = %L', l.collcollate, l.collctype) END,
        CASE WHEN NOT l.collisdeterministic THEN ', DETERMINISTIC = false' ELSE '' END,
        ', RULES = ' || pg_catalog.quote_literal(pg_catalog.to_jsonb(l) ->> 'collicurules')) AS sql
FROM pg_catalog.pg_collation AS l
JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
