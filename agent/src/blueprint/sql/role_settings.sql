-- Settings of roles and of the database.
SELECT
    r.rolname AS role,
    s.setdatabase <> 0 AS in_database,
    (SELECT pg_catalog.json_object_agg(
                pg_catalog.split_part(c.setting, '=', 1), pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1))
     FROM pg_catalog.unnest(s.setconfig) AS c (setting)) AS settings
FROM pg_catalog.pg_db_role_setting AS s
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
WHERE (s.setdatabase = 0 OR s.setdatabase = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
  AND (s.setrole = 0 OR r.oid IS NOT NULL)
ORDER BY r.rolname NULLS FIRST, s.setdatabase <> 0
