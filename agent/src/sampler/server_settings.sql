-- What the configuration files say, where this session hides it: by its own search_path, or by its role's settings.
SELECT f.name, f.setting AS value
FROM pg_catalog.pg_file_settings AS f
JOIN pg_catalog.pg_settings AS g ON g.name = f.name
WHERE f.applied AND (f.name = 'search_path' OR g.source IN ('user', 'database user'))
