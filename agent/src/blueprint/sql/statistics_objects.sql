-- Extended statistics objects.
SELECT
    s.tableoid::bigint AS class, s.oid::bigint AS oid, s.stxrelid::bigint AS table_oid, 0 AS step, 'statistics' AS kind,
    'statistics ' || n.nspname || '.' || s.stxname AS name,
    pg_catalog.pg_get_statisticsobjdef(s.oid) AS sql
FROM pg_catalog.pg_statistic_ext AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
SELECT
    s.tableoid::bigint, s.oid::bigint, s.stxrelid::bigint, 1, 'statistics',
    'statistics ' || n.nspname || '.' || s.stxname || ': target',
    pg_catalog.format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget)
FROM pg_catalog.pg_statistic_ext AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
WHERE s.stxstattarget >= 0
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
