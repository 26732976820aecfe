-- What other sessions of this database run or ran last, literals and all; a text that may have been cut is none.
SELECT a.query AS text
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND a.backend_type = 'client backend' AND a.query <> ''
  AND pg_catalog.octet_length(a.query) < (
        SELECT s.setting::integer - 1 FROM pg_catalog.pg_settings AS s WHERE s.name = 'track_activity_query_size')
ORDER BY a.query_start DESC NULLS LAST
LIMIT 200
