-- Tables of which the role does not see all statistics, and what keeps it from those of ranges.
SELECT
    coalesce(pg_catalog.json_agg(n.nspname || '.' || c.relname ORDER BY n.nspname, c.relname), '[]') AS hidden,
    (SELECT coalesce(pg_catalog.json_agg(sn.nspname || '.' || s.stxname ORDER BY sn.nspname, s.stxname), '[]')
     FROM pg_catalog.pg_statistic_ext AS s
     JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.stxnamespace
     JOIN pg_catalog.pg_class AS sc ON sc.oid = s.stxrelid
     -- Since 2024 the view shows them to the table's owner only.
     WHERE NOT pg_catalog.pg_has_role(sc.relowner, 'USAGE')
        OR sc.relrowsecurity AND pg_catalog.row_security_active(sc.oid)) AS hidden_extended,
    pg_catalog.has_table_privilege('pg_catalog.pg_statistic', 'SELECT') AS sees_pg_statistic,
    EXISTS (
        SELECT FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid AND t.typtype IN ('r', 'm')
        JOIN pg_catalog.pg_class AS rc ON rc.oid = a.attrelid AND rc.relkind IN ('r', 'p', 'm')
        JOIN pg_catalog.pg_namespace AS rn ON rn.oid = rc.relnamespace
        WHERE a.attnum > 0 AND NOT a.attisdropped AND rn.nspname NOT IN ('pg_catalog', 'information_schema')
    ) AS has_ranges
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
  AND (c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
       OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') AND EXISTS (
            SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND NOT pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')))
