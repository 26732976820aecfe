-- What no definition can bring along: it needs another server, or a library that is not an extension's.
SELECT
    c.tableoid::bigint AS class, c.oid::bigint AS oid, 'foreign table ' || n.nspname || '.' || c.relname AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'f'
UNION ALL
SELECT t.tableoid::bigint, t.oid::bigint, 'type ' || n.nspname || '.' || t.typname
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype IN ('b', 'p') AND t.oid >= 16384
  -- An array type comes with its elements' type.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)
UNION ALL
SELECT l.tableoid::bigint, l.oid::bigint, 'language ' || l.lanname
FROM pg_catalog.pg_language AS l WHERE l.oid >= 16384
UNION ALL
SELECT m.tableoid::bigint, m.oid::bigint, 'access method ' || m.amname
FROM pg_catalog.pg_am AS m WHERE m.oid >= 16384
UNION ALL
SELECT p.tableoid::bigint, p.oid::bigint, 'text search parser ' || p.prsname
FROM pg_catalog.pg_ts_parser AS p WHERE p.oid >= 16384
UNION ALL
SELECT t.tableoid::bigint, t.oid::bigint, 'text search template ' || t.tmplname
FROM pg_catalog.pg_ts_template AS t WHERE t.oid >= 16384
