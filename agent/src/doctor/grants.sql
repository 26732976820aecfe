-- One row for each schema with tables, and for each owner of tables in it.
SELECT
    n.nspname AS schema,
    o.rolname AS owner,
    o.rolsuper AS super,
    pg_catalog.has_schema_privilege('public', n.oid, 'USAGE') AS open,
    pg_catalog.has_schema_privilege(o.oid, n.oid, 'CREATE') AS may_create
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
GROUP BY n.oid, n.nspname, o.oid, o.rolname, o.rolsuper
ORDER BY n.nspname, o.rolname
