-- What PostgreSQL starts with, where this session's role has settings of its own.
SELECT g.name, g.boot_val AS value
FROM pg_catalog.pg_settings AS g
WHERE g.source IN ('user', 'database user') AND g.boot_val IS NOT NULL
