-- Which dictionaries a text search configuration asks, one row for each kind of token.
SELECT
    c.tableoid::bigint AS class, c.oid::bigint AS oid, 1 + m.maptokentype AS step, 'text_search' AS kind,
    'text search configuration ' || n.nspname || '.' || c.cfgname || ': ' || token.alias AS name,
    pg_catalog.format('ALTER TEXT SEARCH CONFIGURATION %I.%I ADD MAPPING FOR %I WITH %s', n.nspname, c.cfgname,
        token.alias, pg_catalog.string_agg(pg_catalog.format('%I.%I', dn.nspname, d.dictname), ', ' ORDER BY m.mapseqno)) AS sql
FROM pg_catalog.pg_ts_config AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.cfgnamespace
JOIN pg_catalog.pg_ts_config_map AS m ON m.mapcfg = c.oid
JOIN pg_catalog.pg_ts_dict AS d ON d.oid = m.mapdict
JOIN pg_catalog.pg_namespace AS dn ON dn.oid = d.dictnamespace
CROSS JOIN LATERAL pg_catalog.ts_token_type(c.cfgparser) AS token
WHERE token.tokid = m.maptokentype
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pgwright')
  AND n.nspname NOT LIKE 'pg\_toast%' AND n.nspname NOT LIKE 'pg\_temp\_%'
GROUP BY c.tableoid, c.oid, c.cfgname, n.nspname, m.maptokentype, token.alias
