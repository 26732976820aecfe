-- Columns of those tables, with what their type can do in a B-tree.
WITH RECURSIVE underlying (domain, type) AS (
    SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type AS t WHERE t.typtype = 'd'
    UNION ALL
    SELECT u.domain, t.typbasetype
    FROM underlying AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.type AND t.typtype = 'd'
), attribute AS (
    SELECT a.*, coalesce(
        (SELECT u.type FROM underlying AS u JOIN pg_catalog.pg_type AS t ON t.oid = u.type AND t.typtype <> 'd'
         WHERE u.domain = a.atttypid), a.atttypid) AS type
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
      AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
), opclass AS (
    -- Default B-tree operator classes, with whether equal keys of theirs are always interchangeable bytes.
    SELECT o.opcintype, (
        SELECT p.amproc::pg_catalog.oid::pg_catalog.regproc::text FROM pg_catalog.pg_amproc AS p
        WHERE p.amprocfamily = o.opcfamily AND p.amprocnum = 4
          AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype) AS equal_image
    FROM pg_catalog.pg_opclass AS o
    JOIN pg_catalog.pg_am AS m ON m.oid = o.opcmethod AND m.amname = 'btree'
    WHERE o.opcdefault
), accepted (type, opcintype) AS (
    -- A type is served by its own class, by that of a type with the same bytes, or by that of its kind.
    SELECT DISTINCT ON (t.oid) t.oid, o.opcintype
    FROM (SELECT DISTINCT type FROM attribute) AS used
    JOIN pg_catalog.pg_type AS t ON t.oid = used.type
    LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
    JOIN opclass AS o ON o.opcintype = t.oid
        OR o.opcintype IN (
            SELECT k.casttarget FROM pg_catalog.pg_cast AS k
            WHERE k.castsource = t.oid AND k.castmethod = 'b' AND k.castcontext = 'i')
        OR (t.typtype, o.opcintype) IN (
            ('e', 'pg_catalog.anyenum'::pg_catalog.regtype), ('r', 'pg_catalog.anyrange'::pg_catalog.regtype),
            ('c', 'pg_catalog.record'::pg_catalog.regtype), ('m', 'pg_catalog.anymultirange'::pg_catalog.regtype))
        OR (o.opcintype = 'pg_catalog.anyarray'::pg_catalog.regtype AND (
            e.typtype IN ('e', 'r', 'c', 'm') OR e.oid IN (SELECT opcintype FROM opclass) OR e.oid IN (
                SELECT k.castsource FROM pg_catalog.pg_cast AS k
                WHERE k.castmethod = 'b' AND k.castcontext = 'i' AND k.casttarget IN (SELECT opcintype FROM opclass))))
    ORDER BY t.oid, o.opcintype <> t.oid, o.opcintype
)
SELECT
    a.attrelid::bigint AS table_oid,
    a.attnum AS number,
    a.attname AS name,
    pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
    t.typname AS base_type,
    n.nspname AS base_type_schema,
    t.typtype AS type_kind,
    t.typcategory AS type_category,
    a.attlen AS length,
    CASE a.attalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END AS align,
    a.atttypmod AS type_modifier,
    a.attnotnull AND NOT EXISTS (
        -- From PostgreSQL 18 a NOT NULL can wait for its validation; the planner does not believe it before.
        SELECT FROM pg_catalog.pg_constraint AS q
        WHERE q.conrelid = a.attrelid AND q.contype = 'n' AND NOT q.convalidated AND q.conkey = ARRAY[a.attnum]
    ) AS not_null,
    -- A virtual generated column (PostgreSQL 18) can be no index key.
    k.opcintype IS NOT NULL AND a.attgenerated <> 'v' AS btree,
    coalesce(o.equal_image IS NOT NULL AND coalesce(l.collisdeterministic, true), false) AS deduplicates,
    CASE WHEN ln.nspname = 'pg_catalog' THEN l.collname
         ELSE pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname) END AS collation,
    coalesce(CASE CASE WHEN l.collprovider = 'd' THEN coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c')
                       ELSE l.collprovider::text END
        WHEN 'b' THEN true
        WHEN 'c' THEN CASE WHEN l.collprovider = 'd' THEN d.datcollate ELSE l.collcollate END IN ('C', 'POSIX')
        ELSE false END, false) AS c_collation
FROM attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.type
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
LEFT JOIN accepted AS k ON k.type = a.type
LEFT JOIN opclass AS o ON o.opcintype = k.opcintype
LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
LEFT JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
