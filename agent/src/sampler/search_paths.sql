-- Every search_path set for roles or databases that counts here, and one row (no role, not here) for the server's own.
SELECT r.rolname AS role, s.setdatabase <> 0 AS here, pg_catalog.substr(c.setting, pg_catalog.length('search_path=') + 1) AS path
FROM pg_catalog.pg_db_role_setting AS s
CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (setting)
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = s.setrole
WHERE c.setting LIKE 'search\_path=%'
  AND (s.setrole = 0 OR r.oid IS NOT NULL)
  AND (s.setdatabase = 0 OR s.setdatabase = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))
