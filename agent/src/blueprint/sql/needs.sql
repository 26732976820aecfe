-- What each object needs, whole objects only. A row's "how": i part of it, e belongs to that extension, n needs it.
SELECT DISTINCT
    d.classid::bigint AS class,
    d.objid::bigint AS oid,
    d.refclassid::bigint AS needs_class,
    d.refobjid::bigint AS needs_oid,
    CASE d.deptype WHEN 'i' THEN 'i' WHEN 'e' THEN 'e' ELSE 'n' END AS how
FROM pg_catalog.pg_depend AS d
WHERE d.deptype IN ('n', 'a', 'i', 'e', 'P', 'S')
  AND (d.classid, d.objid) IS DISTINCT FROM (d.refclassid, d.refobjid)
  -- What a sequence belongs to need not be there before it.
  AND NOT (d.deptype = 'a' AND d.refobjsubid > 0 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND EXISTS (
               SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = d.objid AND c.relkind = 'S'))
