-- What changes a statement before it is planned: rules, INSTEAD OF triggers, row security.
SELECT
    r.tableoid::bigint AS class, r.oid::bigint AS oid, r.ev_class::bigint AS table_oid, 'behaviour' AS kind,
    'rule ' || r.rulename || ' on ' || n.nspname || '.' || c.relname AS name,
    pg_catalog.rtrim(pg_catalog.pg_get_ruledef(r.oid), E';\n') AS sql
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE r.ev_type <> '1' AND r.ev_enabled <> 'D'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
SELECT
    t.tableoid::bigint, t.oid::bigint, t.tgrelid::bigint, 'behaviour',
    'trigger ' || t.tgname || ' on ' || n.nspname || '.' || c.relname,
    pg_catalog.pg_get_triggerdef(t.oid)
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
-- TRIGGER_TYPE_INSTEAD, pg_trigger.h.
WHERE (t.tgtype::integer & 64) <> 0 AND NOT t.tgisinternal AND t.tgenabled <> 'D'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
SELECT
    p.tableoid::bigint, p.oid::bigint, p.polrelid::bigint, 'behaviour',
    'policy ' || p.polname || ' on ' || n.nspname || '.' || c.relname,
    pg_catalog.format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s%s%s', p.polname, n.nspname, c.relname,
        CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
        (SELECT pg_catalog.string_agg(
                    CASE WHEN u.role = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(u.role)) END,
                    ', ' ORDER BY u.role = 0, pg_catalog.pg_get_userbyid(u.role))
         FROM pg_catalog.unnest(p.polroles) AS u (role)),
        ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
        ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')')
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
