-- One row: how many entries are of other databases; their texts are not read.
SELECT pg_catalog.count(*) AS entries
FROM {schema}.pg_stat_statements(false) AS s
WHERE s.dbid <> (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
