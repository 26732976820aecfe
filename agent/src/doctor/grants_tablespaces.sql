-- One row for each tablespace with indexes that the owner of their table could not make again.
SELECT DISTINCT s.spcname AS name
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
JOIN pg_catalog.pg_roles AS o ON o.oid = t.relowner
JOIN pg_catalog.pg_tablespace AS s ON s.oid = c.reltablespace
WHERE t.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND NOT o.rolsuper
  AND NOT pg_catalog.has_tablespace_privilege(o.oid, s.oid, 'CREATE')
ORDER BY s.spcname
