-- The tables with the most updates, and those that are asked for.
SELECT s.relid, s.n_tup_upd::float8 AS updated, s.n_tup_hot_upd::float8 AS hot_updated, s.n_live_tup::float8 AS live
FROM (
    SELECT t.*, pg_catalog.row_number() OVER (ORDER BY t.n_tup_upd DESC, t.n_live_tup DESC, t.relid) AS place
    FROM pg_catalog.pg_stat_user_tables AS t WHERE t.schemaname <> 'pgwright'
) AS s
WHERE s.place <= $1 OR s.relid = ANY ($2)
