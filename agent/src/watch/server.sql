-- One row: the clock, what changes whenever counters begin anew (also by a crash, which no other sign tells of),
-- whether standbys read along, and where pg_stat_statements is.
SELECT
    pg_catalog.clock_timestamp() AS at,
    d.datname::text AS database,
    pg_catalog.md5(pg_catalog.concat_ws(' ',
        pg_catalog.pg_postmaster_start_time(),
        (SELECT b.stats_reset FROM pg_catalog.pg_stat_bgwriter AS b),
        (SELECT w.stats_reset FROM pg_catalog.pg_stat_wal AS w),
        d.oid, (SELECT s.stats_reset FROM pg_catalog.pg_stat_database AS s WHERE s.datid = d.oid)
    )) AS epoch,
    EXISTS (
        SELECT FROM pg_catalog.pg_replication_slots AS p WHERE p.slot_type = 'physical'
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_stat_replication AS r
        WHERE NOT EXISTS (
            SELECT FROM pg_catalog.pg_replication_slots AS p WHERE p.active_pid = r.pid AND p.slot_type = 'logical')
    ) AS standbys,
    n.nspname::text AS pgss_schema,
    EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = n.oid AND c.relname = 'pg_stat_statements_info'
    ) AS pgss_has_info
FROM pg_catalog.pg_database AS d
LEFT JOIN pg_catalog.pg_extension AS x ON x.extname = 'pg_stat_statements'
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
WHERE d.datname = pg_catalog.current_database()
