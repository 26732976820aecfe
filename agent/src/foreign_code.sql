-- Every name by which a statement reaches code of users, with what it stands for.
--
-- At the bottom are functions in a language other than C, and aggregates and operators that no extension brought:
-- an operator of anybody's can stand for any function there is, and estimating its selectivity calls that. Foreign
-- tables count too, unless superusers made them and their servers, for planning asks those. From there pg_depend leads
-- up: what depends on such code reaches it, and so does what consists of what depends on it.
WITH RECURSIVE member AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d WHERE d.deptype = 'e'
), code AS (
    SELECT p.oid FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND (
          -- 12 and 13 are internal and C, which only a superuser can write in.
          p.prolang NOT IN (12, 13)
          OR p.prokind = 'a' AND (1255, p.oid) NOT IN (SELECT m.classid, m.objid FROM member AS m)
      )
), operators AS (
    SELECT o.oid FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
    WHERE n.nspname <> 'pg_catalog'
      AND (o.oprcode IN (SELECT c.oid FROM code AS c)
           OR (2617, o.oid) NOT IN (SELECT m.classid, m.objid FROM member AS m))
), up (classid, objid, by_class, by_object) AS (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_catalog.pg_depend AS d WHERE d.deptype <> 'e'
    UNION ALL
    SELECT 1259, r.ev_class, 2618, r.oid FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class WHERE c.relkind <> 'm'
    UNION ALL
    SELECT 1259, p.polrelid, 3256, p.oid FROM pg_catalog.pg_policy AS p
    UNION ALL
    SELECT 1259, a.adrelid, 2604, a.oid FROM pg_catalog.pg_attrdef AS a
    UNION ALL
    SELECT CASE WHEN k.conrelid = 0 THEN 1247 ELSE 1259 END, CASE WHEN k.conrelid = 0 THEN k.contypid ELSE k.conrelid END,
           2606, k.oid
    FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'c'
    UNION ALL
    SELECT 1259, i.indrelid, 1259, i.indexrelid FROM pg_catalog.pg_index AS i
    UNION ALL
    SELECT 1259, s.stxrelid, 3381, s.oid FROM pg_catalog.pg_statistic_ext AS s
    UNION ALL
    SELECT 1259, h.inhparent, 1259, h.inhrelid FROM pg_catalog.pg_inherits AS h
    UNION ALL
    -- A cast is nowhere named: the types of a user's between which it leads stand for it.
    SELECT 1247, t.oid, 2605, k.oid FROM pg_catalog.pg_cast AS k
    JOIN pg_catalog.pg_type AS t ON t.oid IN (k.castsource, k.casttarget)
    WHERE t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace
), reaching (classid, objid) AS (
    SELECT 1255::pg_catalog.oid, c.oid FROM code AS c
    UNION
    SELECT 2617, o.oid FROM operators AS o
    UNION
    SELECT 1259, f.ftrelid FROM pg_catalog.pg_foreign_table AS f
    JOIN pg_catalog.pg_foreign_server AS s ON s.oid = f.ftserver
    JOIN pg_catalog.pg_class AS c ON c.oid = f.ftrelid
    WHERE NOT (SELECT pg_catalog.bool_and(r.rolsuper) FROM pg_catalog.pg_roles AS r
               WHERE r.oid IN (s.srvowner, c.relowner))
    UNION
    SELECT u.classid, u.objid FROM reaching AS r JOIN up AS u ON u.by_class = r.classid AND u.by_object = r.objid
)
SELECT p.proname::text AS name, 'function ' || p.oid::pg_catalog.regproc AS what
FROM reaching AS r JOIN pg_catalog.pg_proc AS p ON r.classid = 1255 AND p.oid = r.objid
WHERE p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
UNION
SELECT o.oprname::text, 'operator ' || o.oid::pg_catalog.regoper
FROM reaching AS r JOIN pg_catalog.pg_operator AS o ON r.classid = 2617 AND o.oid = r.objid
UNION
SELECT t.typname::text, 'type ' || pg_catalog.format_type(t.oid, NULL)
FROM reaching AS r JOIN pg_catalog.pg_type AS t ON r.classid = 1247 AND t.oid = r.objid
WHERE t.typrelid = 0
UNION
SELECT c.relname::text,
       CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || c.oid::pg_catalog.regclass
FROM reaching AS r JOIN pg_catalog.pg_class AS c ON r.classid = 1259 AND c.oid = r.objid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
