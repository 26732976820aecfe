-- One row: who plans on this session, and what makes that role one in whose name no code of users may run. A role
-- counts as what it can become, for a function can become it.
SELECT
    SESSION_USER::text AS role,
    CASE
        WHEN r.rolsuper THEN 'a superuser'
        WHEN r.rolreplication THEN 'a role with REPLICATION'
        ELSE (
            SELECT CASE WHEN g.rolsuper THEN 'a member of the superuser ' ELSE 'a member of ' END || g.rolname
            FROM pg_catalog.pg_roles AS g
            WHERE pg_catalog.pg_has_role(SESSION_USER, g.oid, 'MEMBER')
              AND (g.rolsuper OR g.rolreplication OR g.rolname IN (
                    'pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_signal_backend'))
            ORDER BY g.rolname LIMIT 1
        )
    END AS excess,
    r.rolsuper OR EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace NOT IN (
                SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname IN ('pg_catalog', 'information_schema', 'pgwright'))
          AND (pg_catalog.pg_has_role(SESSION_USER, c.relowner, 'MEMBER')
               OR pg_catalog.has_table_privilege(SESSION_USER, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))
    ) AS may_change,
    pg_catalog.current_database() AS database,
    CASE WHEN pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
         THEN (SELECT s.system_identifier::text FROM pg_catalog.pg_control_system() AS s) END AS system_identifier
FROM pg_catalog.pg_roles AS r WHERE r.rolname = SESSION_USER
