-- Text search dictionaries and configurations.
SELECT
    d.tableoid::bigint AS class, d.oid::bigint AS oid, 'text_search' AS kind,
    'text search dictionary ' || n.nspname || '.' || d.dictname AS name,
    pg_catalog.format('CREATE TEXT SEARCH DICTIONARY %I.%I (TEMPLATE = %I.%I%s)', n.nspname, d.dictname,
        tn.nspname, t.tmplname, ', ' || d.dictinitoption) AS sql
FROM pg_catalog.pg_ts_dict AS d
JOIN pg_catalog.pg_namespace AS n ON n.oid = d.dictnamespace
JOIN pg_catalog.pg_ts_template AS t ON t.oid = d.dicttemplate
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.tmplnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
UNION ALL
SELECT
    c.tableoid::bigint, c.oid::bigint, 'text_search', 'text search configuration ' || n.nspname || '.' || c.cfgname,
    pg_catalog.format('CREATE TEXT SEARCH CONFIGURATION %I.%I (PARSER = %I.%I)', n.nspname, c.cfgname, pn.nspname, p.prsname)
FROM pg_catalog.pg_ts_config AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.cfgnamespace
JOIN pg_catalog.pg_ts_parser AS p ON p.oid = c.cfgparser
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.prsnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
