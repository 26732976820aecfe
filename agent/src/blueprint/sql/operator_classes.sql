-- Operator families, then operator classes with the entries that came with them, then casts.
WITH entry AS (
    -- Each operator and support function, with the class that it is part of; without one it is loose in its family.
    SELECT d.refobjid AS owner, d.refclassid AS owner_class, 0 AS sort, o.amopstrategy AS number,
           pg_catalog.format('OPERATOR %s %s%s', o.amopstrategy,
               (SELECT pg_catalog.format('%I.%s(%s, %s)', n.nspname, p.oprname,
                           pg_catalog.format_type(o.amoplefttype, NULL), pg_catalog.format_type(o.amoprighttype, NULL))
                FROM pg_catalog.pg_operator AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.oprnamespace
                WHERE p.oid = o.amopopr),
               (SELECT pg_catalog.format(' FOR ORDER BY %I.%I', n.nspname, f.opfname)
                FROM pg_catalog.pg_opfamily AS f JOIN pg_catalog.pg_namespace AS n ON n.oid = f.opfnamespace
                WHERE f.oid = o.amopsortfamily)) AS text
    FROM pg_catalog.pg_amop AS o
    JOIN pg_catalog.pg_depend AS d ON d.classid = o.tableoid AND d.objid = o.oid
        AND d.refclassid IN ('pg_catalog.pg_opclass'::pg_catalog.regclass, 'pg_catalog.pg_opfamily'::pg_catalog.regclass)
    UNION ALL
    SELECT d.refobjid, d.refclassid, 1, o.amprocnum,
           pg_catalog.format('FUNCTION %s (%s, %s) %s', o.amprocnum, pg_catalog.format_type(o.amproclefttype, NULL),
               pg_catalog.format_type(o.amprocrighttype, NULL), o.amproc::pg_catalog.oid::pg_catalog.regprocedure)
    FROM pg_catalog.pg_amproc AS o
    JOIN pg_catalog.pg_depend AS d ON d.classid = o.tableoid AND d.objid = o.oid
        AND d.refclassid IN ('pg_catalog.pg_opclass'::pg_catalog.regclass, 'pg_catalog.pg_opfamily'::pg_catalog.regclass)
), entries AS (
    SELECT e.owner, e.owner_class, pg_catalog.string_agg(e.text, ', ' ORDER BY e.sort, e.number, e.text) AS list
    FROM entry AS e GROUP BY e.owner, e.owner_class
)
SELECT
    f.tableoid::bigint AS class, f.oid::bigint AS oid, 0 AS step, 'operator' AS kind,
    pg_catalog.format('operator family %s.%s (%s)', n.nspname, f.opfname, m.amname) AS name,
    pg_catalog.format('CREATE OPERATOR FAMILY %I.%I USING %I', n.nspname, f.opfname, m.amname) AS sql
FROM pg_catalog.pg_opfamily AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.opfnamespace
JOIN pg_catalog.pg_am AS m ON m.oid = f.opfmethod
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
SELECT
    f.tableoid::bigint, f.oid::bigint, 1, 'operator',
    pg_catalog.format('operator family %s.%s (%s): more', n.nspname, f.opfname, m.amname),
    pg_catalog.format('ALTER OPERATOR FAMILY %I.%I USING %I ADD %s', n.nspname, f.opfname, m.amname, e.list)
FROM pg_catalog.pg_opfamily AS f
JOIN entries AS e ON e.owner = f.oid AND e.owner_class = f.tableoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.opfnamespace
JOIN pg_catalog.pg_am AS m ON m.oid = f.opfmethod
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
SELECT
    c.tableoid::bigint, c.oid::bigint, 0, 'operator',
    pg_catalog.format('operator class %s.%s (%s)', n.nspname, c.opcname, m.amname),
    pg_catalog.format('CREATE OPERATOR CLASS %I.%I %sFOR TYPE %s USING %I FAMILY %I.%I AS %s',
        n.nspname, c.opcname, CASE WHEN c.opcdefault THEN 'DEFAULT ' END, pg_catalog.format_type(c.opcintype, NULL),
        m.amname, fn.nspname, f.opfname,
        pg_catalog.concat_ws(', ', e.list,
            'STORAGE ' || pg_catalog.format_type(coalesce(nullif(c.opckeytype, 0),
                CASE WHEN e.list IS NULL THEN c.opcintype END), NULL)))
FROM pg_catalog.pg_opclass AS c
JOIN pg_catalog.pg_opfamily AS f ON f.oid = c.opcfamily
LEFT JOIN entries AS e ON e.owner = c.oid AND e.owner_class = c.tableoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.opcnamespace
JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.opfnamespace
JOIN pg_catalog.pg_am AS m ON m.oid = c.opcmethod
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
SELECT
    c.tableoid::bigint, c.oid::bigint, 0, 'operator',
    pg_catalog.format('cast %s as %s', pg_catalog.format_type(c.castsource, NULL), pg_catalog.format_type(c.casttarget, NULL)),
    pg_catalog.format('CREATE CAST (%s AS %s) %s%s',
        pg_catalog.format_type(c.castsource, NULL), pg_catalog.format_type(c.casttarget, NULL),
        CASE c.castmethod WHEN 'f' THEN 'WITH FUNCTION ' || c.castfunc::pg_catalog.regprocedure WHEN 'i' THEN 'WITH INOUT'
                          ELSE 'WITHOUT FUNCTION' END,
        CASE c.castcontext WHEN 'i' THEN ' AS IMPLICIT' WHEN 'a' THEN ' AS ASSIGNMENT' END)
FROM pg_catalog.pg_cast AS c
WHERE c.oid >= 16384
