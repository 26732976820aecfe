-- Collations by the name that a snapshot has for them, and as SQL.
SELECT DISTINCT ON (1)
    CASE WHEN n.nspname = 'pg_catalog' THEN l.collname
         ELSE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname) END AS name,
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname) AS sql
FROM pg_catalog.pg_collation AS l
JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
WHERE l.collencoding IN (-1, (SELECT d.encoding FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
ORDER BY 1, l.collencoding DESC
