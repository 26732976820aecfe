-- Where everything with storage lies, and what pages of it a planner reads.
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, m.amname::text,
       pg_catalog.pg_relation_filepath(c.oid),
       coalesce((SELECT sum(pg_catalog.abs(a.attlen)) FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attnum > 0), 0)::bigint
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
WHERE c.relkind IN ('r', 'm', 'i') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
