-- Hides indexes just made, gives them sizes and row counts, and tells where they lie.
WITH found AS (
    SELECT c.oid, g.name, g.pages, g.tuples
    FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::int[]), unnest($4::real[]))
             AS g (schema, name, pages, tuples)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = g.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = g.name AND c.relkind = 'i'
), hidden AS (
    UPDATE pg_catalog.pg_index AS x SET indisvalid = false FROM found AS f WHERE x.indexrelid = f.oid
), sized AS (
    UPDATE pg_catalog.pg_class AS c SET relpages = f.pages, reltuples = f.tuples FROM found AS f WHERE c.oid = f.oid
)
SELECT f.oid, f.name, pg_catalog.pg_relation_filepath(f.oid) FROM found AS f
