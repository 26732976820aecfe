-- The statements of this database with the most time, with their counters. Columns that some versions of the
-- extension name otherwise, or lack, are taken from the row as JSON. The deviation is that of the population.
SELECT
    t.query,
    t.calls::float8 AS calls,
    t.ms,
    t.calls * (t.mean ^ 2 + t.deviation ^ 2) AS square_ms,
    t.blocks::float8 AS blocks,
    t.wal_bytes
FROM (
    SELECT
        s.query, s.calls,
        coalesce(j.row ->> 'total_exec_time', j.row ->> 'total_time')::float8 AS ms,
        coalesce(j.row ->> 'mean_exec_time', j.row ->> 'mean_time')::float8 AS mean,
        coalesce(j.row ->> 'stddev_exec_time', j.row ->> 'stddev_time')::float8 AS deviation,
        s.shared_blks_hit + s.shared_blks_read + s.local_blks_hit + s.local_blks_read
            + s.temp_blks_read + s.temp_blks_written AS blocks,
        coalesce(j.row ->> 'wal_bytes', '0')::float8 AS wal_bytes
    FROM {schema}.pg_stat_statements AS s
    CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(s) - 'query' AS row) AS j
    WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
      AND s.query IS NOT NULL AND s.calls > 0
      AND coalesce((j.row ->> 'toplevel')::boolean, true)
) AS t
ORDER BY t.ms DESC LIMIT $1
