-- The workload. Columns that some versions of the extension name otherwise, or lack, are taken from the row as JSON.
SELECT
    s.queryid,
    pg_catalog.pg_get_userbyid(s.userid) AS role,
    s.query AS text,
    s.calls,
    coalesce(j.row ->> 'total_exec_time', j.row ->> 'total_time')::float8 AS total_ms,
    s.rows,
    s.shared_blks_hit + s.shared_blks_read AS blocks,
    coalesce((j.row ->> 'toplevel')::boolean, true) AS toplevel
FROM {schema}.pg_stat_statements AS s
CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(s) - 'query' AS row) AS j
WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
