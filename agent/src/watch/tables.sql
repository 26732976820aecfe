-- The tables with the most updates, and those that are asked for; of a partitioned one, the sums of its partitions.
WITH RECURSIVE tree (root, oid) AS (
    SELECT DISTINCT t.oid, t.oid FROM pg_catalog.unnest($2::pg_catalog.oid[]) AS t (oid)
    UNION ALL
    SELECT t.root, h.inhrelid FROM tree AS t JOIN pg_catalog.pg_inherits AS h ON h.inhparent = t.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = h.inhparent AND c.relkind = 'p'
), asked AS (
    SELECT t.root AS relid, pg_catalog.sum(s.n_tup_upd) AS n_tup_upd, pg_catalog.sum(s.n_tup_hot_upd) AS n_tup_hot_upd,
           pg_catalog.sum(s.n_live_tup) AS n_live_tup
    FROM tree AS t JOIN pg_catalog.pg_stat_user_tables AS s ON s.relid = t.oid GROUP BY t.root
), most AS (
    SELECT t.relid, t.n_tup_upd, t.n_tup_hot_upd, t.n_live_tup
    FROM pg_catalog.pg_stat_user_tables AS t
    WHERE t.schemaname <> 'pgwright' AND t.relid <> ALL ($2::pg_catalog.oid[])
    ORDER BY t.n_tup_upd DESC, t.n_live_tup DESC, t.relid LIMIT $1
)
SELECT s.relid, s.n_tup_upd::float8 AS updated, s.n_tup_hot_upd::float8 AS hot_updated, s.n_live_tup::float8 AS live
FROM (TABLE asked UNION ALL TABLE most) AS s
