-- Under which names statements may touch a table: its own, those of views over it, its partitions and what it is a
-- partition of.
WITH RECURSIVE reach (root, oid) AS (
    SELECT t.oid, t.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t (oid)
    UNION
    SELECT r.root, x.oid
    FROM reach AS r CROSS JOIN LATERAL (
        SELECT w.ev_class FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid
        WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid
        UNION SELECT i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = r.oid
        UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid
    ) AS x (oid)
)
SELECT r.root, c.relname::text AS name FROM reach AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
