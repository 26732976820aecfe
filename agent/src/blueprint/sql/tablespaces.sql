-- Tablespaces with costs of their own. That of the database goes by the name of the one that a new database has.
SELECT
    CASE WHEN d.oid IS NOT NULL THEN 'pg_default' ELSE t.spcname END AS name,
    t.spcoptions AS options
FROM pg_catalog.pg_tablespace AS t
LEFT JOIN pg_catalog.pg_database AS d ON d.dattablespace = t.oid AND d.datname = pg_catalog.current_database()
WHERE t.spcoptions IS NOT NULL
  AND (t.spcname <> 'pg_default' OR d.oid IS NOT NULL)
ORDER BY 1
