-- search_path and the planner settings that anybody may change, as set for roles, the database, or one in the other.
SELECT r.rolname AS role, s.setdatabase <> 0 AS here, g.name, pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1) AS value
FROM pg_catalog.pg_db_role_setting AS s
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (setting)
JOIN pg_catalog.pg_settings AS g ON g.name = pg_catalog.split_part(c.setting, '=', 1)
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
WHERE g.context = 'user'
  AND (g.category LIKE 'Query Tuning%' OR g.name IN (
        'effective_io_concurrency', 'hash_mem_multiplier', 'max_parallel_workers', 'max_parallel_workers_per_gather',
        'search_path', 'temp_buffers', 'work_mem'))
  AND (s.setrole = 0 OR r.oid IS NOT NULL)
  AND (s.setdatabase = 0 OR s.setdatabase = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
