-- B-trees that the role may read through, with what asks the planner for each: its keys in its own order.
SELECT
    c.oid::bigint AS oid,
    n.nspname AS schema,
    t.relname AS "table",
    tn.nspname AS table_schema,
    c.relname AS name,
    pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
    (SELECT pg_catalog.string_agg(
        pg_catalog.pg_get_indexdef(c.oid, k.position::integer, false)
        || coalesce((SELECT pg_catalog.format(' COLLATE %I.%I', ln.nspname, l.collname)
                     FROM pg_catalog.pg_collation AS l
                     JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
                     WHERE l.oid = k.coll), '')
        || pg_catalog.format(' USING OPERATOR(%I.%s) NULLS %s', pn.nspname, p.oprname,
                             CASE WHEN k.option & 2 <> 0 THEN 'FIRST' ELSE 'LAST' END),
        ', ' ORDER BY k.position)
     FROM ROWS FROM (
        pg_catalog.unnest(i.indclass::pg_catalog.oid[]), pg_catalog.unnest(i.indcollation::pg_catalog.oid[]),
        pg_catalog.unnest(i.indoption::pg_catalog.int2[])) WITH ORDINALITY AS k (opclass, coll, option, position)
     JOIN pg_catalog.pg_opclass AS o ON o.oid = k.opclass
     -- Less than, or greater than where the order is descending (BTLessStrategyNumber, stratnum.h).
     JOIN pg_catalog.pg_amop AS s ON s.amopfamily = o.opcfamily AND s.amoplefttype = o.opcintype
        AND s.amoprighttype = o.opcintype AND s.amopstrategy = CASE WHEN k.option & 1 <> 0 THEN 5 ELSE 1 END
     JOIN pg_catalog.pg_operator AS p ON p.oid = s.amopopr
     JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.oprnamespace) AS keys
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
JOIN pg_catalog.pg_am AS m ON m.oid = c.relam AND m.amname = 'btree'
WHERE i.indisvalid
  AND t.relpersistence <> 't' AND (t.relkind <> 'm' OR t.relispopulated)
  AND pg_catalog.has_schema_privilege(t.relnamespace, 'USAGE') AND pg_catalog.has_table_privilege(t.oid, 'SELECT')
  AND NOT (t.relrowsecurity AND pg_catalog.row_security_active(t.oid))
  AND t.oid NOT IN (
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
      AND l.relation IS NOT NULL AND l.database = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
ORDER BY c.oid
