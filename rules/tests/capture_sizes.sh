#!/usr/bin/env bash
# Builds real B-trees on a scratch PostgreSQL server and prints what ANALYZE knows of them with
# their true sizes, as the JSON that rules/tests/size.rs reads (rules/tests/size_real.json).
#
# The connection comes from the usual PG* variables; the role must be allowed to create a
# database. Everything happens in the database `size_capture`, dropped again at the end.
#
#   PGHOST=localhost PGUSER=postgres rules/tests/capture_sizes.sh [seed] > rules/tests/size_real.json
set -euo pipefail
seed=${1:-0.42}
export PGOPTIONS='-c client_min_messages=warning'
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }

psql -d postgres -c 'DROP DATABASE IF EXISTS size_capture' -c 'CREATE DATABASE size_capture'
trap 'psql -d postgres -c "DROP DATABASE size_capture"' EXIT

psql -d size_capture -v seed="$seed" <<'SQL'
SET max_parallel_maintenance_workers = 0;
SET maintenance_work_mem = '512MB';
CREATE TYPE mood AS ENUM ('new', 'open', 'held', 'shipped', 'closed');
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

CREATE TABLE result (place serial, name text, keys text[], include text[], fraction float8, without_nulls int,
                     fillfactor int, joint_distinct float8, bytes bigint);

-- One table of n rows. `power(n, random())` is Zipf's law with exponent 1; `random() ^ 3` a milder skew.
CREATE PROCEDURE fill(name text, n int) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($sql$
    CREATE TABLE %1$I AS
    SELECT *, thousand * 7 %% 997 AS town, thousand %% 50 AS region, day + (id %% 30) AS shipped FROM (
    SELECT i AS id,
           (random() * 9e18)::bigint AS big,
           (random() * %2$s / 4)::bigint AS big_quarter,
           md5(random()::text)::uuid AS uid,
           (random() * %2$s / 10)::int AS parent,
           floor(power(%2$s / 5, random()))::int AS zipf,
           floor(power(random(), 3) * %2$s / 8)::int AS skewed,
           (random() * 9)::smallint AS ten,
           (random() * 999)::int AS thousand,
           (random() * 2 < 1) AS flag,
           date '2015-01-01' + (random() * 3000)::int AS day,
           timestamptz '2020-01-01' + i * interval '17 s' + random() * interval '40 s' AS stamp,
           date_trunc('minute', timestamptz '2020-01-01' + random() * %2$s / 20 * interval '1 min') AS minute,
           (random() * 100000)::numeric(12, 2) AS price,
           (random() * 50)::int::numeric AS grade,
           random() * 1000 AS ratio,
           (random() * 500)::real AS level,
           (random() * 5000)::int * interval '1 min' AS span,
           jsonb_build_object('id', (random() * %2$s)::int, 'kind', (random() * 5)::int) AS doc,
           md5(random()::text) AS hash,
           'user' || (random() * 1e9)::int || '@example.' || (ARRAY['com', 'org', 'co.uk'])[1 + (random() * 2)::int] AS email,
           left(repeat(md5(random()::text), 3), 4 + (random() * 70)::int) AS title,
           ('city of ' || substr('abcdefghijklmnopqrstuvwxyz', 1, 1 + (power(random(), 2) * 20)::int)
              || (random() * 40)::int)::varchar(60) AS city,
           left(repeat(md5((random() * 300)::int::text), 8), 200) AS paragraph,
           (ARRAY['new', 'open', 'held', 'shipped', 'closed'])[1 + (power(random(), 2) * 4)::int]::mood AS state,
           ('C' || lpad((random() * 20000)::int::text, 7, '0'))::char(8) AS code,
           (md5((random() * %2$s / 30)::int::text)) COLLATE blind AS folded,
           CASE WHEN random() < 0.8 THEN (random() * %2$s)::int END AS rare,
           CASE WHEN random() < 0.4 THEN (random() * 2000)::int END AS some_few,
           CASE WHEN random() < 0.3 THEN md5((random() * %2$s)::int::text) END AS note,
           CASE WHEN random() < 0.15 THEN timestamptz '2020-01-01' + random() * interval '900 days' END AS closed_at
    FROM generate_series(1, %2$s) AS i) AS base
    $sql$, name, n);
  -- `town` follows from `thousand` and `shipped` nearly from `day`; only some such pairs have extended statistics.
  EXECUTE format('CREATE STATISTICS %I (ndistinct) ON thousand, town FROM %I', name || '_town', name);
  EXECUTE format('CREATE STATISTICS %I (ndistinct) ON day, shipped FROM %I', name || '_ship', name);
END $$;

-- Order lines: 1 to 7 for each order, in order of arrival, with dates near each other and customers of very different size.
CREATE PROCEDURE fill_lines(name text, orders int) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($sql$
    CREATE TABLE %1$I AS
    SELECT row_number() OVER () AS line_id, o.order_id, o.tenant, o.customer, line AS line_no,
           (random() * %2$s / 8)::int AS part, o.ordered, o.ordered + (1 + random() * 120)::int AS delivered,
           (1 + random() * 49)::int AS quantity, ((1 + random() * 49)::int * (900 + random() * 1000))::numeric(15, 2) AS amount,
           (ARRAY['AIR', 'MAIL', 'RAIL', 'SHIP', 'TRUCK', 'FOB', 'REG AIR'])[1 + (random() * 6)::int] AS mode,
           substr('furiously even deposits sleep above the blithely pending accounts ' || md5(random()::text),
                  1 + (random() * 40)::int, 10 + (random() * 34)::int) AS comment,
           'SKU-' || upper(substr(md5((random() * %2$s / 3)::int::text), 1, 8)) AS sku,
           'https://shop.example.org/item/' || (random() * %2$s)::int || '?from='
             || (ARRAY['mail', 'search', 'ad'])[1 + (random() * 2)::int] AS url,
           CASE WHEN o.ordered > '2024-06-01' THEN o.ordered::timestamptz + random() * interval '30 days' END AS returned_at
    FROM (SELECT i::bigint * 4 AS order_id, floor(power(400, random()))::int AS tenant,
                 floor(power(%2$s / 20, random()))::int AS customer,
                 date '2018-01-01' + (i::bigint * 2500 / %2$s)::int AS ordered, 1 + (random() * 6)::int AS lines
          FROM generate_series(1, %2$s) AS i) AS o, generate_series(1, o.lines) AS line
    $sql$, name, orders);
  EXECUTE format('CREATE STATISTICS %I (ndistinct) ON tenant, customer FROM %I', name || '_owner', name);
  EXECUTE format('ALTER TABLE %I ADD UNIQUE (order_id, line_no)', name);
  EXECUTE format('CREATE STATISTICS %I (ndistinct) ON order_id, ordered FROM %I', name || '_order', name);
END $$;

CREATE TABLE wanted (keys text, include text DEFAULT '', predicate text DEFAULT '', fillfactor int DEFAULT 90);
INSERT INTO wanted (keys) VALUES
  ('parent id'), ('ten day'), ('state stamp'), ('thousand ten'), ('zipf ten'), ('zipf state flag'), ('skewed day'),
  ('city state'), ('parent rare'), ('some_few flag'), ('rare closed_at'), ('note ten'), ('flag day state'),
  ('ten price'), ('uid ten'), ('email day'), ('code flag'), ('title id'), ('minute ten'), ('big_quarter ten'),
  ('thousand town'), ('day shipped'), ('thousand region'), ('ten state some_few');
INSERT INTO wanted (keys, include) VALUES
  ('parent', 'price'), ('day', 'id ratio'), ('zipf', 'state'), ('thousand', 'email'), ('ten', 'rare closed_at'), ('uid', 'flag');
INSERT INTO wanted (keys, predicate) VALUES
  ('parent', 'state = ''new'''), ('day', 'flag'), ('closed_at', 'closed_at IS NOT NULL'), ('rare', 'ten < 4'),
  ('zipf', 'thousand < 300'), ('hash', 'ten = 3'), ('id', 'closed_at IS NULL'), ('city', 'day >= ''2019-01-01''');
INSERT INTO wanted (keys, fillfactor) VALUES ('id', 70), ('email', 100), ('thousand', 60), ('parent', 100);

CREATE TABLE wanted_lines (LIKE wanted INCLUDING ALL);
INSERT INTO wanted_lines (keys) VALUES
  ('tenant customer'), ('tenant ordered'), ('customer ordered'), ('order_id line_no'), ('order_id ordered'), ('tenant delivered'),
  ('part mode'), ('mode quantity'), ('tenant customer ordered'), ('sku mode'), ('part quantity mode'), ('tenant sku');
INSERT INTO wanted_lines (keys, include) VALUES
  ('customer', 'amount'), ('ordered', 'mode quantity'), ('tenant ordered', 'line_id'), ('sku', 'returned_at');
INSERT INTO wanted_lines (keys, predicate) VALUES
  ('customer', 'returned_at IS NOT NULL'), ('part', 'quantity > 40'), ('url', 'mode = ''AIR''');

CREATE PROCEDURE build(place text, wanted regclass, smallest bigint) LANGUAGE plpgsql AS $$
DECLARE
  want record; plan json; share float8; joint float8; size bigint;
  list text; included text;
BEGIN
  FOR want IN EXECUTE format($sql$
    SELECT attname::text AS keys, '' AS include, '' AS predicate, 90 AS fillfactor
    FROM pg_attribute WHERE attrelid = %L::regclass AND attnum > 0
    UNION ALL SELECT * FROM %s $sql$, place, wanted)
  LOOP
    list := replace(want.keys, ' ', ', ');
    included := replace(want.include, ' ', ', ');
    EXECUTE format('CREATE INDEX probe ON %I (%s) %s WITH (fillfactor = %s) %s', place, list,
      CASE WHEN included <> '' THEN 'INCLUDE (' || included || ')' ELSE '' END, want.fillfactor,
      CASE WHEN want.predicate <> '' THEN 'WHERE ' || want.predicate ELSE '' END);
    size := pg_relation_size('probe');
    DROP INDEX probe;
    CONTINUE WHEN size < smallest;
    share := 1;
    IF want.predicate <> '' THEN
      EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM %I WHERE %s', place, want.predicate) INTO plan;
      SELECT (plan->0->'Plan'->>'Plan Rows')::float8 / reltuples INTO share FROM pg_class WHERE oid = place::regclass;
    END IF;
    SELECT (SELECT value::float8 FROM json_each_text(n_distinct::text::json)) INTO joint
    FROM pg_stats_ext WHERE tablename = place AND array_to_string(attnames, ' ') = want.keys;
    joint := coalesce(joint, (SELECT reltuples FROM pg_class c WHERE oid = place::regclass AND EXISTS (
      SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indnatts > 1 AND NOT EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attname <> ALL (string_to_array(want.keys, ' '))))));
    INSERT INTO result (name, keys, include, fraction, without_nulls, fillfactor, joint_distinct, bytes)
    VALUES (place, string_to_array(want.keys, ' '), coalesce(string_to_array(nullif(want.include, ''), ' '), '{}'),
      share, CASE WHEN want.predicate = want.keys || ' IS NOT NULL' THEN 0 END, want.fillfactor, joint, size);
  END LOOP;
END $$;
SELECT setseed(:seed) \g /dev/null
CALL fill('rows_20k', 20000);
CALL fill('rows_70k', 70000);
CALL fill('rows_300k', 300000);
CALL fill('rows_1m', 1000000);
CALL fill_lines('lines_30k', 7500);
CALL fill_lines('lines_700k', 175000);
VACUUM ANALYZE rows_20k, rows_70k, rows_300k, rows_1m, lines_30k, lines_700k;
CALL build('rows_20k', 'wanted', 200000);
CALL build('rows_70k', 'wanted', 200000);
CALL build('rows_300k', 'wanted', 200000);
CALL build('rows_1m', 'wanted', 200000);
CALL build('lines_30k', 'wanted_lines', 200000);
CALL build('lines_700k', 'wanted_lines', 200000);
SQL

# What the planner's catalogs tell of each column. `deduplicates` is nbtree's equalimage: the operator class has
# support function 4 and the collation is deterministic; interval_ops has the function but is refused by the server.
psql -d size_capture -At <<'SQL'
CREATE VIEW shape AS
SELECT c.relname, a.attnum, a.attname, json_build_object(
         'type', format_type(a.atttypid, NULL), 'width', s.avg_width,
         'align', CASE a.attalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END,
         'fixed', a.attlen > 0, 'null_fraction', s.null_frac::numeric(8, 6), 'distinct', s.n_distinct::numeric(14, 6),
         'common', coalesce((SELECT json_agg(f::numeric(8, 6)) FROM unnest(s.most_common_freqs) AS f), '[]'),
         'deduplicates', coalesce(l.collisdeterministic, true) AND o.opcname <> 'interval_ops' AND EXISTS (
           SELECT FROM pg_amproc p WHERE p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype AND p.amprocnum = 4)
       ) AS shape
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
JOIN pg_stats s ON s.schemaname = 'public' AND s.tablename = c.relname AND s.attname = a.attname
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_opclass o ON o.opcdefault AND o.opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree')
  AND o.opcintype = CASE WHEN t.typname = 'varchar' THEN 'text'::regtype WHEN t.typtype = 'e' THEN 'anyenum'::regtype ELSE t.oid END
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relname ~ '^(rows|lines)_';
SELECT '{"server": "' || split_part(current_setting('server_version'), ' ', 1) || '", "tables": [';
SELECT CASE WHEN lag(relname) OVER (ORDER BY c.oid) IS NULL THEN '' ELSE ',' END
  || format(E'{"name": "%s", "rows": %s, "columns": {\n', relname, reltuples)
  || (SELECT string_agg(format('"%s": %s', attname, replace(shape::text, ' : ', ': ')), E',\n' ORDER BY attnum) FROM shape WHERE shape.relname = c.relname)
  || E'\n}, "indexes": [\n'
  || (SELECT string_agg(line, E',\n' ORDER BY place) FROM (
        SELECT place, (SELECT row_to_json(shown) FROM (
          SELECT keys, include, round(fraction::numeric, 6) AS fraction, without_nulls, fillfactor, joint_distinct, bytes
        ) AS shown)::text AS line FROM result WHERE name = c.relname) AS lines) || ']}'
FROM pg_class c WHERE relkind = 'r' AND relname ~ '^(rows|lines)_' ORDER BY c.oid;
SELECT ']}';
SQL
