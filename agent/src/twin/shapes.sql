-- Sizes and row counts as the source has them.
UPDATE pg_catalog.pg_class AS c
SET relpages = g.pages, reltuples = g.tuples, relallvisible = g.visible
FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::int[]), unnest($4::real[]), unnest($5::int[]))
         AS g (schema, name, pages, tuples, visible),
     pg_catalog.pg_namespace AS n
WHERE n.nspname = g.schema AND c.relnamespace = n.oid AND c.relname = g.name
  AND (c.relpages, c.reltuples, c.relallvisible) IS DISTINCT FROM (g.pages, g.tuples, g.visible)
