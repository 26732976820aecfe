-- Roles that row security or settings name; the twin has them without any right.
SELECT
    'pg_catalog.pg_roles'::pg_catalog.regclass::bigint AS class,
    r.oid::bigint AS oid,
    'role' AS kind,
    'role ' || r.rolname AS name,
    pg_catalog.format('CREATE ROLE %I NOLOGIN', r.rolname) AS sql
FROM pg_catalog.pg_roles AS r
WHERE r.oid >= 16384
  AND (r.oid IN (SELECT pg_catalog.unnest(p.polroles) FROM pg_catalog.pg_policy AS p)
       OR r.oid IN (
            SELECT s.setrole FROM pg_catalog.pg_db_role_setting AS s
            WHERE s.setdatabase = 0 OR s.setdatabase = (
                SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())))
