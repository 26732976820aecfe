-- Indexes of those tables with every property that makes two of them differ.
WITH locked AS (
    -- Printing a definition and reading a size wait for such a lock, and we make nobody wait behind us.
    SELECT l.relation
    FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.database = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
), index AS (
    SELECT
        i.*, c.relname, c.relam, c.relnamespace, c.relkind, c.reloptions, c.reltablespace, n.nspname,
        i.indrelid IN (SELECT relation FROM locked) OR i.indexrelid IN (SELECT relation FROM locked) AS is_locked
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
      AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
), part AS (
    -- One row for each column of each index; operator class, collation and order are there for keys only.
    SELECT
        i.indexrelid,
        u.position,
        u.position <= i.indnkeyatts AS is_key,
        a.attname,
        CASE WHEN u.attnum = 0 AND NOT i.is_locked
             THEN pg_catalog.pg_get_indexdef(i.indexrelid, u.position::integer, false) END AS expression,
        CASE WHEN opn.nspname = 'pg_catalog' THEN op.opcname
             ELSE pg_catalog.quote_ident(opn.nspname) || '.' || pg_catalog.quote_ident(op.opcname) END AS opclass,
        op.opcdefault,
        ia.attoptions,
        -- What an expression's own collation is the catalog does not say: there the database's default counts as its own.
        CASE WHEN l.oid IS DISTINCT FROM coalesce(nullif(a.attcollation, 0), 100::pg_catalog.oid)
             THEN CASE WHEN ln.nspname = 'pg_catalog' THEN l.collname
                       ELSE pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname) END
        END AS collation,
        (u.option::integer & 1) <> 0 AS descending,
        (u.option::integer & 2) <> 0 AS nulls_first,
        nullif((pg_catalog.to_jsonb(ia) ->> 'attstattarget')::integer, -1) AS statistics_target
    FROM index AS i
    CROSS JOIN LATERAL ROWS FROM (
        pg_catalog.unnest(i.indkey::pg_catalog.int2[]),
        pg_catalog.unnest(i.indclass::pg_catalog.oid[]),
        pg_catalog.unnest(i.indcollation::pg_catalog.oid[]),
        pg_catalog.unnest(i.indoption::pg_catalog.int2[])
    ) WITH ORDINALITY AS u (attnum, opclass, collation_oid, option, position)
    JOIN pg_catalog.pg_attribute AS ia ON ia.attrelid = i.indexrelid AND ia.attnum = u.position
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = u.attnum AND u.attnum <> 0
    LEFT JOIN pg_catalog.pg_opclass AS op ON op.oid = u.opclass
    LEFT JOIN pg_catalog.pg_namespace AS opn ON opn.oid = op.opcnamespace
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = u.collation_oid
    LEFT JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
), parts AS (
    SELECT
        p.indexrelid,
        pg_catalog.json_agg(pg_catalog.json_build_object(
            'column', p.attname, 'expression', p.expression, 'opclass', p.opclass,
            'opclass_default', p.opcdefault, 'opclass_options', coalesce(p.attoptions, '{}'),
            'collation', p.collation, 'descending', p.descending, 'nulls_first', p.nulls_first
        ) ORDER BY p.position) FILTER (WHERE p.is_key) AS keys,
        pg_catalog.json_agg(p.attname ORDER BY p.position) FILTER (WHERE NOT p.is_key) AS include,
        pg_catalog.json_object_agg(p.position, p.statistics_target)
            FILTER (WHERE p.statistics_target IS NOT NULL) AS statistics_targets
    FROM part AS p
    GROUP BY p.indexrelid
), required AS (
    -- Objects that would go with the index or with the constraint behind it.
    SELECT on_what.indexrelid,
           pg_catalog.array_agg(DISTINCT pg_catalog.pg_describe_object(e.classid, e.objid, e.objsubid)) AS by
    FROM (
        SELECT i.indexrelid, 'pg_catalog.pg_class'::pg_catalog.regclass AS class, i.indexrelid AS object FROM index AS i
        UNION ALL
        SELECT q.conindid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, q.oid
        FROM pg_catalog.pg_constraint AS q WHERE q.contype IN ('p', 'u', 'x')
    ) AS on_what
    JOIN pg_catalog.pg_depend AS e
        ON e.refclassid = on_what.class AND e.refobjid = on_what.object AND e.deptype = 'n'
    GROUP BY on_what.indexrelid
)
SELECT
    i.indrelid::bigint AS table_oid,
    i.is_locked AS locked,
    i.indexrelid::bigint AS oid,
    i.nspname AS schema,
    i.relname AS name,
    m.amname AS method,
    p.keys,
    coalesce(p.include, '[]') AS include,
    CASE WHEN NOT i.is_locked THEN pg_catalog.pg_get_expr(i.indpred, i.indrelid) END AS predicate,
    CASE WHEN i.is_locked THEN '' ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END AS definition,
    i.indisunique AS unique,
    i.indisprimary AS primary,
    i.indisexclusion AS exclusion,
    coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_not_distinct,
    i.indisvalid AS valid,
    i.indisready AS ready,
    i.indislive AS live,
    i.indisreplident AS replica_identity,
    i.indisclustered AS clustered,
    q.conname AS constraint,
    coalesce(r.by, '{}') AS required_by,
    (SELECT h.inhparent::bigint FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = i.indexrelid) AS partition_of,
    EXISTS (
        SELECT FROM pg_catalog.pg_depend AS e
        WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = i.indexrelid
          AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND e.deptype IN ('e', 'x')
    ) AS extension_dependent,
    t.spcname AS tablespace,
    coalesce(i.reloptions, '{}') AS options,
    pg_catalog.obj_description(i.indexrelid, 'pg_class') AS comment,
    coalesce(p.statistics_targets, '{}') AS statistics_targets,
    CASE WHEN i.is_locked OR i.relkind = 'I' THEN 0
         ELSE coalesce(pg_catalog.pg_relation_size(i.indexrelid), 0) END AS bytes,
    coalesce(s.idx_scan, 0) AS scans,
    EXISTS (
        SELECT FROM pg_catalog.pg_stat_progress_create_index AS b WHERE b.index_relid = i.indexrelid
    ) AS building
FROM index AS i
JOIN parts AS p ON p.indexrelid = i.indexrelid
JOIN pg_catalog.pg_am AS m ON m.oid = i.relam
LEFT JOIN pg_catalog.pg_constraint AS q
    ON q.conindid = i.indexrelid AND q.conrelid = i.indrelid AND q.contype IN ('p', 'u', 'x')
LEFT JOIN required AS r ON r.indexrelid = i.indexrelid
LEFT JOIN pg_catalog.pg_tablespace AS t ON t.oid = i.reltablespace
LEFT JOIN pg_catalog.pg_stat_all_indexes AS s ON s.indexrelid = i.indexrelid
