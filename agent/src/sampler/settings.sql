-- What the planner goes by, and what bounds building an index, as SHOW prints it.
SELECT s.name, pg_catalog.current_setting(s.name) AS value
FROM pg_catalog.pg_settings AS s
WHERE s.category LIKE 'Query Tuning%'
   OR s.name IN (
        'autovacuum', 'autovacuum_analyze_scale_factor', 'autovacuum_analyze_threshold',
        'autovacuum_vacuum_max_threshold', 'autovacuum_vacuum_scale_factor', 'autovacuum_vacuum_threshold',
        'autovacuum_work_mem', 'block_size', 'compute_query_id',
        'default_text_search_config', 'default_toast_compression', 'effective_io_concurrency', 'fsync', 'full_page_writes',
        'hash_mem_multiplier', 'huge_pages', 'io_method', 'maintenance_io_concurrency', 'maintenance_work_mem',
        'max_connections', 'max_parallel_maintenance_workers', 'max_parallel_workers',
        'max_parallel_workers_per_gather', 'max_worker_processes', 'pg_stat_statements.max',
        'pg_stat_statements.track', 'pg_stat_statements.track_planning', 'pg_stat_statements.track_utility',
        'server_encoding', 'shared_buffers', 'synchronous_commit', 'temp_buffers', 'track_activities',
        'track_activity_query_size', 'track_counts', 'track_io_timing', 'wal_level', 'work_mem')
