-- One row or none: the search_path of the configuration files, which our own session's hides.
SELECT f.setting AS path
FROM pg_catalog.pg_file_settings AS f
WHERE f.name = 'search_path' AND f.applied
