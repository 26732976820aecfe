-- Planner settings that anybody may change and that this session has otherwise.
SELECT given.name, given.value
FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) AS given (name, value)
JOIN pg_catalog.pg_settings AS g ON g.name = given.name
WHERE g.context = 'user'
  AND (g.category LIKE 'Query Tuning%' OR g.name IN (
        'effective_io_concurrency', 'hash_mem_multiplier', 'max_parallel_workers', 'max_parallel_workers_per_gather',
        'temp_buffers', 'work_mem'))
  AND g.name <> 'effective_cache_size'
  AND pg_catalog.current_setting(given.name) <> given.value
