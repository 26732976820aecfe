-- Under which names statements may touch a table: its own, those of its partitions and of what it is a partition of
-- (not of the other partitions of that), and those of views over any of these. A name is ambiguous where another schema
-- has it as well: without its schema it can mean either.
WITH RECURSIVE above (root, oid) AS (
    SELECT t.oid, t.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t (oid)
    UNION
    SELECT a.root, i.inhparent FROM above AS a JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = a.oid
), below (root, oid) AS (
    SELECT t.oid, t.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t (oid)
    UNION
    SELECT b.root, i.inhrelid FROM below AS b JOIN pg_catalog.pg_inherits AS i ON i.inhparent = b.oid
), reach (root, oid) AS (
    SELECT f.root, f.oid FROM (TABLE above UNION TABLE below) AS f
    UNION
    SELECT r.root, w.ev_class FROM reach AS r
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid
        AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid
)
SELECT r.root, n.nspname::text AS schema, c.relname::text AS name,
       EXISTS (SELECT FROM pg_catalog.pg_class AS o WHERE o.relname = c.relname AND o.oid <> c.oid
               AND o.relkind IN ('r', 'p', 'v', 'm', 'f') AND o.relpersistence <> 't') AS ambiguous
FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
