-- The types of all columns, with what statistics of a column of that type are made of: the type below domains, its
-- equality and less-than operators as the type cache finds them (GetDefaultOpClass, indexcmds.c), the same of its
-- elements, and whether its values can be read without running code of the schema's own.
CREATE TEMPORARY TABLE twin_types AS
WITH RECURSIVE used AS (
    SELECT DISTINCT a.atttypid AS type
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'i', 'I')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
), below AS (
    SELECT u.type, u.type AS base FROM used AS u
    UNION ALL
    SELECT b.type, t.typbasetype
    FROM below AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.base
    WHERE t.typtype = 'd'
), based AS (
    SELECT b.type, t.oid AS base, t.typtype, t.typcategory, t.typlen,
           CASE WHEN t.oid = 'pg_catalog.tsvector'::pg_catalog.regtype THEN 'pg_catalog.text'::pg_catalog.regtype::oid
                WHEN t.typcategory = 'A' AND t.typlen = -1 THEN t.typelem
                ELSE 0 END AS element
    FROM below AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.base
    WHERE t.typtype <> 'd'
), checked (type) AS (
    SELECT t.oid
    FROM pg_catalog.pg_type AS t
    LEFT JOIN pg_catalog.pg_proc AS p ON p.oid = t.typinput
    LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid
    LEFT JOIN pg_catalog.pg_proc AS c ON c.oid = r.rngcanonical
    LEFT JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
    LEFT JOIN pg_catalog.pg_language AS k ON k.oid = c.prolang
    WHERE t.typtype = 'd' OR l.lanname NOT IN ('internal', 'c') OR k.lanname NOT IN ('internal', 'c')
    UNION
    SELECT d.type
    FROM checked AS s
    JOIN LATERAL (
        SELECT t.oid FROM pg_catalog.pg_type AS t WHERE t.typelem = s.type OR t.typbasetype = s.type
        UNION ALL
        SELECT r.rngtypid FROM pg_catalog.pg_range AS r WHERE r.rngsubtype = s.type
        UNION ALL
        SELECT r.rngmultitypid FROM pg_catalog.pg_range AS r WHERE r.rngtypid = s.type
        UNION ALL
        SELECT c.reltype
        FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
        WHERE a.atttypid = s.type AND a.attnum > 0 AND NOT a.attisdropped AND c.reltype <> 0
    ) AS d (type) ON true
), compared AS (
    SELECT b.base AS type FROM based AS b UNION SELECT b.element FROM based AS b WHERE b.element <> 0
), classes AS (
    SELECT DISTINCT ON (w.type, o.opcmethod) w.type, m.amname, o.opcfamily, o.opcintype
    FROM compared AS w
    JOIN pg_catalog.pg_type AS t ON t.oid = w.type
    JOIN pg_catalog.pg_opclass AS o ON o.opcdefault
    JOIN pg_catalog.pg_am AS m ON m.oid = o.opcmethod AND m.amname IN ('btree', 'hash')
    JOIN pg_catalog.pg_type AS i ON i.oid = o.opcintype
    WHERE o.opcintype = t.oid
       OR EXISTS (SELECT FROM pg_catalog.pg_cast AS c
                  WHERE c.castsource = t.oid AND c.casttarget = o.opcintype AND c.castmethod = 'b' AND c.castcontext = 'i')
       OR (i.typname = 'anyarray' AND t.typcategory = 'A' AND t.typlen = -1)
       OR (i.typname = 'anyenum' AND t.typtype = 'e')
       OR (i.typname = 'anyrange' AND t.typtype = 'r')
       OR (i.typname = 'anymultirange' AND t.typtype = 'm')
       OR (i.typname = 'record' AND t.typtype = 'c')
    ORDER BY w.type, o.opcmethod, o.opcintype = t.oid DESC, i.typispreferred DESC
), operators AS (
    SELECT c.type,
           max(a.amopopr) FILTER (WHERE c.amname = 'btree' AND a.amopstrategy = 1) AS lt,
           coalesce(max(a.amopopr) FILTER (WHERE c.amname = 'btree' AND a.amopstrategy = 3),
                    max(a.amopopr) FILTER (WHERE c.amname = 'hash' AND a.amopstrategy = 1)) AS eq
    FROM classes AS c
    JOIN pg_catalog.pg_amop AS a
      ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype
    WHERE a.amoppurpose = 's'
    GROUP BY c.type
)
SELECT b.type, b.base, b.base NOT IN (SELECT s.type FROM checked AS s) AS readable,
       coalesce(o.eq, 0) AS eq, coalesce(o.lt, 0) AS lt, b.element, coalesce(e.eq, 0) AS element_eq,
       CASE WHEN b.base = 'pg_catalog.tsvector'::pg_catalog.regtype
            THEN (SELECT l.oid FROM pg_catalog.pg_collation AS l
                  WHERE l.collname = 'default' AND l.collnamespace = 'pg_catalog'::pg_catalog.regnamespace) END
           AS element_collation,
       coalesce((SELECT r.rngtypid FROM pg_catalog.pg_range AS r WHERE b.base IN (r.rngtypid, r.rngmultitypid)), 0)
           AS bounded
FROM based AS b
LEFT JOIN operators AS o ON o.type = b.base
LEFT JOIN operators AS e ON e.type = b.element
