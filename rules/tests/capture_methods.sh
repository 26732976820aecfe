#!/usr/bin/env bash
# Builds real indexes of every method but the plain B-tree (that is capture_sizes.sh's), and B-trees on expressions
# and under predicates, on a scratch PostgreSQL server. Prints what ANALYZE knows of their tables with their true
# sizes, as the JSON that rules/tests/methods.rs reads (rules/tests/methods_real.json).
#
# The connection comes from the usual PG* variables; the role must be allowed to create a database and the contrib
# extensions pg_trgm, btree_gist, btree_gin, ltree and pageinspect must be installed. Everything happens in the
# database `methods_capture`, dropped again at the end.
#
#   PGHOST=localhost PGUSER=postgres rules/tests/capture_methods.sh [seed] > rules/tests/methods_real.json
set -euo pipefail
seed=${1:-0.42}
export PGOPTIONS='-c client_min_messages=warning'
psql() { command psql -X -q -v ON_ERROR_STOP=1 "$@"; }

psql -d postgres -c 'DROP DATABASE IF EXISTS methods_capture' -c 'CREATE DATABASE methods_capture'
trap 'psql -d postgres -c "DROP DATABASE methods_capture"' EXIT

psql -d methods_capture -v seed="$seed" <<'SQL'
SET max_parallel_workers_per_gather = 0;
SET max_parallel_maintenance_workers = 0;
CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gist; CREATE EXTENSION btree_gin; CREATE EXTENSION ltree;
CREATE EXTENSION pageinspect;
CREATE TABLE result (place serial, name text, definition jsonb, bytes bigint, pages bigint, entry_pages bigint, data_pages bigint, entries bigint);

-- The word of a rank: frequent ones are shorter.
CREATE FUNCTION word(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT s[1 + i * 17 % 32] || CASE WHEN i > 24 THEN s[1 + i * 7 / 24 % 31] ELSE '' END
    || CASE WHEN i > 700 THEN s[1 + i / 310 % 29] ELSE '' END || CASE WHEN i > 9000 THEN s[1 + i / 5000 % 30] ELSE '' END
  FROM (SELECT '{ba,tor,in,el,shi,mar,ne,lo,ve,con,per,ti,gra,su,dan,ke,or,pli,fa,men,ru,bel,qui,ost,ha,ger,mi,cho,ta,vin,we,ap}'::text[] AS s) AS syllables
$$;
-- That many words out of a vocabulary, by Zipf's law.
CREATE FUNCTION sentence(words int, vocabulary int) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT string_agg(word(floor(power(vocabulary, random()))::int), ' ') FROM generate_series(1, words) $$;
CREATE FUNCTION pick(VARIADIC list text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT list[1 + floor(power(random(), 2) * cardinality(list))::int] $$;

CREATE PROCEDURE fill(name text, n int, columns text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I AS SELECT i AS id, %s FROM generate_series(1, %s) AS i', name, replace(columns, '$n', n::text), n);
END $$;

CREATE TABLE wanted (place serial, method text, keys text[], predicate text);
-- A key is a column or an expression in parentheses, with an operator class after `@`.
CREATE FUNCTION key_json(key text) RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_strip_nulls(jsonb_build_object('opclass', nullif(split_part(key, ' @', 2), ''), 'term', CASE WHEN key LIKE '(%'
    THEN jsonb_build_object('expression', substr(split_part(key, ' @', 1), 2, length(split_part(key, ' @', 1)) - 2))
    ELSE jsonb_build_object('column', split_part(key, ' @', 1)) END)) $$;

-- Builds all that is wanted of a table.
CREATE PROCEDURE build(place text) LANGUAGE plpgsql AS $$
DECLARE want record; meta record;
BEGIN
  FOR want IN SELECT * FROM wanted ORDER BY wanted.place LOOP
    EXECUTE format('CREATE INDEX probe ON %I USING %s (%s) %s', place, want.method,
      (SELECT string_agg(replace(key, '@', ''), ', ' ORDER BY o) FROM unnest(want.keys) WITH ORDINALITY AS k (key, o)),
      'WHERE ' || nullif(want.predicate, ''));
    SELECT NULL::bigint AS n_entry_pages, NULL::bigint AS n_data_pages, NULL::bigint AS n_entries INTO meta;
    IF want.method = 'gin' THEN SELECT * INTO meta FROM gin_metapage_info(get_raw_page('probe', 0)); END IF;
    INSERT INTO result (name, definition, bytes, entry_pages, data_pages, entries) VALUES (place, jsonb_build_object(
        'schema', 'public', 'table', place, 'method', want.method, 'predicate', want.predicate,
        'keys', (SELECT jsonb_agg(key_json(key) ORDER BY o) FROM unnest(want.keys) WITH ORDINALITY AS k (key, o))),
      pg_relation_size('probe'), meta.n_entry_pages, meta.n_data_pages, meta.n_entries);
    DROP INDEX probe;
  END LOOP;
END $$;

CREATE PROCEDURE make(name text, n int, columns text) LANGUAGE plpgsql AS $$
BEGIN
  CALL fill(name, n, columns); EXECUTE format('ANALYZE %I', name); CALL build(name);
END $$;
SELECT setseed(:seed) \g /dev/null

-- Arrays.
TRUNCATE wanted;
INSERT INTO wanted (method, keys) VALUES
  ('gin', '{labels}'), ('gin', '{tags}'), ('gin', '{followers}'), ('gin', '{rare}'), ('gin', '{tokens}'), ('gin', '{labels, tags}'),
  ('gin', '{owner, tags}'), ('gin', '{owner}'), ('hash', '{owner}'), ('hash', '{id}'), ('brin', '{id}'), ('brin', '{owner}'), ('btree', '{(cardinality(tags))}');
INSERT INTO wanted (method, keys, predicate) VALUES ('gin', '{tags}', 'flag'), ('btree', '{id}', 'flag'), ('btree', '{owner}', 'rare IS NOT NULL');
SELECT $columns$
  ARRAY(SELECT floor(random() * 60)::int FROM generate_series(1, 1 + (random() * 4)::int + i * 0)) AS labels,
  ARRAY(SELECT word(floor(power(2000, random()))::int) FROM generate_series(1, (random() * 7)::int + i * 0)) AS tags,
  ARRAY(SELECT (random() * $n)::bigint FROM generate_series(1, (random() * 20)::int + i * 0)) AS followers,
  CASE WHEN random() < 0.2 THEN ARRAY[(random() * 5000)::int, (random() * 300)::int] END AS rare,
  ARRAY[md5(random()::text), md5((i / 3)::text)] AS tokens,
  floor(power($n / 4, random()))::int AS owner, random() < 0.3 AS flag
$columns$ AS columns \gset
CALL make('arrays_6k', 6000, :'columns');
CALL make('arrays_120k', 120000, :'columns');

-- Documents.
TRUNCATE wanted;
INSERT INTO wanted (method, keys) VALUES
  ('gin', '{event}'), ('gin', '{event @jsonb_path_ops}'), ('gin', '{profile}'), ('gin', '{profile @jsonb_path_ops}'),
  ('gin', '{flags}'), ('gin', '{flags @jsonb_path_ops}'), ('gin', '{"(profile -> ''address'')"}'),
  ('btree', '{"(event ->> ''kind'')"}'), ('btree', '{"(event ->> ''user'')"}'), ('btree', '{"((event ->> ''user'')::int)"}'),
  ('btree', '{"(profile ->> ''email'')"}'), ('btree', '{"(lower(profile ->> ''email''))"}'), ('btree', '{"(profile #>> ''{address,city}'')"}'),
  ('btree', '{"(profile -> ''address'' ->> ''zip'')"}'), ('hash', '{"(profile ->> ''email'')"}');
INSERT INTO wanted (method, keys, predicate) VALUES
  ('btree', '{id}', 'event ->> ''kind'' = ''click'''), ('btree', '{id}', 'profile ? ''phone''');
SELECT $columns$
  jsonb_build_object('kind', pick('view', 'click', 'search', 'buy', 'refund', 'login'), 'user', floor(random() * $n / 10)::int,
    'at', to_char(timestamp '2024-01-01' + i * interval '7 s', 'YYYY-MM-DD"T"HH24:MI:SS'), 'ms', (power(random(), 3) * 5000)::int, 'ok', random() < 0.95) AS event,
  jsonb_strip_nulls(jsonb_build_object('email', word(1 + (random() * 20000)::int) || i || '@' || pick('mail', 'post', 'corp') || '.example',
    'name', jsonb_build_object('first', word((random() * 300)::int), 'last', word((random() * 4000)::int)),
    'address', jsonb_build_object('city', word((power(random(), 2) * 900)::int), 'zip', lpad((random() * 99999)::int::text, 5, '0'), 'country', pick('de', 'fr', 'us', 'uk', 'pl')),
    'interests', (SELECT jsonb_agg(word(floor(power(500, random()))::int)) FROM generate_series(1, 1 + (random() * 5)::int + i * 0)),
    'phone', CASE WHEN random() < 0.4 THEN '+' || (random() * 1e10)::bigint END)) AS profile,
  (SELECT jsonb_object_agg('opt_' || k, random() < 0.5) FROM generate_series(1, 25) AS k WHERE random() < 0.3 AND i > 0) AS flags
$columns$ AS columns \gset
CALL make('docs_8k', 8000, :'columns');
CALL make('docs_90k', 90000, :'columns');

-- Texts.
TRUNCATE wanted;
INSERT INTO wanted (method, keys) VALUES
  ('gin', '{title @gin_trgm_ops}'), ('gin', '{email @gin_trgm_ops}'), ('gin', '{hash @gin_trgm_ops}'), ('gin', '{city @gin_trgm_ops}'),
  ('gin', '{body @gin_trgm_ops}'), ('gin', '{"(lower(email)) @gin_trgm_ops"}'), ('gin', '{terms}'), ('gin', '{"(to_tsvector(''english'', title))"}'),
  ('gin', '{"(to_tsvector(''simple'', body))"}'), ('gist', '{title @gist_trgm_ops}'), ('gist', '{email @gist_trgm_ops}'), ('gist', '{city @gist_trgm_ops}'),
  ('gist', '{terms}'), ('gin', '{title @gin_trgm_ops, city @gin_trgm_ops}'),
  ('hash', '{email}'), ('hash', '{city}'), ('brin', '{title}'), ('spgist', '{email}'), ('spgist', '{city}'),
  ('btree', '{(lower(email))}'), ('btree', '{(lower(city))}'), ('btree', '{"(left(title, 10))"}'), ('btree', '{(md5(title))}'), ('btree', '{(length(body))}'),
  ('btree', '{"(split_part(email, ''@'', 2))"}'), ('btree', '{(upper(hash))}'), ('btree', '{"(coalesce(note, ''''))"}'), ('btree', '{"(city || email)"}');
INSERT INTO wanted (method, keys, predicate) VALUES
  ('gin', '{title @gin_trgm_ops}', 'city = ''tor'''), ('btree', '{email}', 'note IS NULL'), ('btree', '{email}', 'note IS NOT NULL AND score > 50'),
  ('btree', '{title}', 'score BETWEEN 20 AND 40'), ('btree', '{id}', 'city IN (''tor'', ''in'', ''elin'')');
SELECT $columns$
  sentence(3 + (random() * 8)::int + i * 0, 20000) AS title,
  word(1 + (random() * 5000)::int) || '.' || word(1 + (random() * 20000)::int) || (random() * 99)::int || '@' || pick('mail', 'post', 'corp') || '.example' AS email,
  md5(random()::text) AS hash, word(1 + floor(power(800, random()))::int) AS city,
  sentence(20 + (random() * 40)::int + i * 0, 30000) AS body,
  to_tsvector('simple', sentence(10 + (random() * 20)::int + i * 0, 8000)) AS terms,
  CASE WHEN random() < 0.15 THEN md5((random() * $n)::int::text) END AS note, (random() * 100)::numeric(5, 2) AS score
$columns$ AS columns \gset
CALL make('texts_7k', 7000, :'columns');
CALL make('texts_60k', 60000, :'columns');

-- Values in space and time.
TRUNCATE wanted;
INSERT INTO wanted (method, keys) VALUES
  ('gist', '{place}'), ('gist', '{area}'), ('gist', '{span}'), ('gist', '{stay}'), ('gist', '{days}'), ('gist', '{address @inet_ops}'), ('gist', '{path}'), ('gist', '{room}'),
  ('gist', '{room, stay}'), ('gist', '{seen}'), ('gist', '{code}'), ('gist', '{amount}'), ('gist', '{disc}'), ('gist', '{shape}'), ('gist', '{uid}'),
  ('spgist', '{place}'), ('spgist', '{place @kd_point_ops}'), ('spgist', '{stay}'), ('spgist', '{address}'), ('spgist', '{code}'), ('spgist', '{area}'),
  ('brin', '{seen}'), ('brin', '{place_box}'), ('brin', '{stay}'), ('brin', '{address @inet_inclusion_ops}'), ('brin', '{seen @timestamptz_minmax_multi_ops}'),
  ('brin', '{room @int4_bloom_ops}'), ('brin', '{seen, room}'), ('brin', '{uid @uuid_bloom_ops}'), ('brin', '{amount @numeric_minmax_multi_ops}'),
  ('hash', '{room}'), ('hash', '{uid}'), ('hash', '{code}'), ('hash', '{ten}'), ('hash', '{seen}'),
  ('btree', '{"(date_trunc(''day'', seen AT TIME ZONE ''UTC''))"}'), ('btree', '{"((seen AT TIME ZONE ''UTC'')::date)"}'), ('btree', '{(lower(stay))}'), ('btree', '{"(room % 10)"}'),
  ('btree', '{(amount::int)}'), ('btree', '{"(extract(hour FROM seen AT TIME ZONE ''UTC''))"}'), ('btree', '{"(amount * 1.19)"}'), ('btree', '{(host(address))}');
INSERT INTO wanted (method, keys, predicate) VALUES
  ('gist', '{stay}', 'ten = 3'), ('hash', '{uid}', 'ten < 4'), ('btree', '{room}', 'ten = 3'), ('btree', '{seen}', 'amount > 5000'),
  ('btree', '{uid}', 'seen >= ''2023-02-01'''), ('btree', '{id}', 'ten = 1 OR ten = 2'), ('btree', '{room}', 'NOT gone'), ('btree', '{uid}', 'ten <> 0 AND NOT gone');
SELECT $columns$
  point(random() * 360 - 180, random() * 180 - 90) AS place,
  box(point(x, y), point(x + random() * 5, y + random() * 5)) AS area, box(point(i / 100, y), point(i / 100 + 1, y + 1)) AS place_box,
  int4range(s, s + (random() * 1000)::int) AS span, tstzrange(t, t + random() * interval '3 days') AS stay,
  daterange(t::date, t::date + (random() * 20)::int) AS days,
  ('10.' || (random() * 3)::int || '.' || (random() * 255)::int || '.' || (random() * 255)::int)::inet AS address,
  (word((random() * 5)::int) || '.' || word((random() * 50)::int) || '.' || word((random() * 1000)::int))::ltree AS path,
  (random() * 400)::int AS room, timestamptz '2023-01-01' + i * interval '40 s' + random() * interval '10 min' AS seen,
  'C-' || lpad((random() * 9e6)::int::text, 7, '0') AS code, (random() * 9000)::numeric(10, 2) AS amount,
  circle(point(x, y), random() * 3) AS disc, polygon(4, circle(point(x, y), random())) AS shape, gen_random_uuid() AS uid, (random() * 9)::int AS ten,
  random() < 0.08 AS gone
  FROM (SELECT i, random() * 1000 AS x, random() * 1000 AS y, (random() * 1e6)::int AS s, timestamptz '2023-01-01' + random() * interval '700 days' AS t FROM generate_series(1, $n) AS i) AS base, LATERAL (SELECT base.i AS row) AS unused WHERE true OR EXISTS (SELECT
$columns$ AS columns \gset
CREATE PROCEDURE make_spaces(name text, n int, columns text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I AS SELECT i AS id, %s', name, replace(split_part(columns, ', LATERAL', 1), '$n', n::text));
  EXECUTE format('ANALYZE %I', name); CALL build(name);
END $$;
CALL make_spaces('spaces_15k', 15000, :'columns');
CALL make_spaces('spaces_200k', 200000, :'columns');

-- Others, made in other ways; the models are not tuned on them.
TRUNCATE wanted;
INSERT INTO wanted (method, keys) VALUES
  ('gin', '{sizes}'), ('gin', '{related}'), ('gin', '{attributes}'), ('gin', '{attributes @jsonb_path_ops}'), ('gin', '{history}'), ('gin', '{history @jsonb_path_ops}'),
  ('gin', '{name @gin_trgm_ops}'), ('gin', '{url @gin_trgm_ops}'), ('gin', '{about @gin_trgm_ops}'), ('gin', '{"(lower(name)) @gin_trgm_ops"}'), ('gin', '{search}'),
  ('gin', '{"(to_tsvector(''english'', about))"}'), ('gin', '{shop, sizes}'), ('gin', '{"(attributes -> ''colours'')"}'),
  ('gist', '{name @gist_trgm_ops}'), ('gist', '{url @gist_trgm_ops}'), ('gist', '{search}'), ('gist', '{sold}'), ('gist', '{weights}'), ('gist', '{spot}'), ('gist', '{shop, sold}'),
  ('gist', '{made}'), ('gist', '{frame}'), ('spgist', '{url}'), ('spgist', '{spot}'), ('spgist', '{sold}'),
  ('brin', '{made}'), ('brin', '{id, made}'), ('brin', '{price @numeric_minmax_multi_ops}'), ('brin', '{name @text_bloom_ops}'), ('brin', '{frame}'),
  ('hash', '{sku}'), ('hash', '{shop}'), ('hash', '{url}'), ('hash', '{made}'),
  ('btree', '{(lower(name))}'), ('btree', '{"(attributes ->> ''brand'')"}'), ('btree', '{"((attributes ->> ''weight'')::numeric)"}'), ('btree', '{"(date_trunc(''month'', made))"}'),
  ('btree', '{(made::date)}'), ('btree', '{"(substr(sku, 1, 6))"}'), ('btree', '{"(lower(sku))"}'), ('btree', '{"(shop, lower(name))"}'), ('btree', '{"(upper(name))", shop}'),
  ('btree', '{"(attributes -> ''size'' ->> ''w'')", shop}'), ('btree', '{(abs(stock))}');
DELETE FROM wanted WHERE keys = '{"(shop, lower(name))"}';
INSERT INTO wanted (method, keys, predicate) VALUES
  ('gin', '{attributes}', 'retired IS NULL'), ('gist', '{sold}', 'shop = 1'), ('hash', '{sku}', 'retired IS NOT NULL'), ('btree', '{sku}', 'retired IS NULL'), ('btree', '{made}', 'shop IN (1, 2, 3)'),
  ('btree', '{shop, made}', 'stock > 0'), ('btree', '{sku}', 'price < 10'), ('btree', '{name}', 'NOT listed'), ('btree', '{id}', 'listed AND shop = 2'),
  ('btree', '{id}', 'made >= ''2022-01-01'' AND made < ''2022-07-01'''), ('btree', '{sku}', 'attributes ->> ''brand'' = ''ba'''), ('btree', '{id}', 'name LIKE ''to%''');
CREATE PROCEDURE make_wares(name text, n int) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format($sql$ CREATE TABLE %1$I AS SELECT i AS id, floor(power(random(), 2) * 120)::int AS shop,
    ARRAY(SELECT pick('XS', 'S', 'M', 'L', 'XL', 'XXL', '3XL') FROM generate_series(1, 1 + (random() * 3)::int + i * 0)) AS sizes,
    ARRAY(SELECT floor(power(%2$s, random()))::int FROM generate_series(1, (power(random(), 2) * 30)::int + i * 0)) AS related,
    jsonb_build_object('brand', word(floor(power(1500, random()))::int), 'weight', round((random() * 40)::numeric, 2), 'ean', (4e12 + floor(random() * 9e11))::bigint::text,
      'colours', (SELECT jsonb_agg(pick('red', 'green', 'blue', 'black', 'white', 'teal', 'pink', 'grey')) FROM generate_series(1, 1 + (random() * 2)::int + i * 0)),
      'size', jsonb_build_object('w', (random() * 200)::int, 'h', (random() * 200)::int, 'd', (random() * 90)::int)) AS attributes,
    (SELECT jsonb_agg(jsonb_build_object('on', (date '2020-01-01' + (random() * 1500)::int)::text, 'price', (random() * 500)::int, 'by', 'user-' || (random() * 3000)::int))
       FROM generate_series(1, (random() * 5)::int + i * 0)) AS history,
    initcap(word((random() * 2000)::int) || ' ' || word((random() * 15000)::int)) || CASE WHEN random() < 0.3 THEN ' ' || (random() * 500)::int ELSE '' END AS name,
    'https://shop.example/' || word((random() * 40)::int) || '/' || word((random() * 9000)::int) || '-' || word((random() * 3000)::int) || '?item=' || i AS url,
    (SELECT string_agg(description, '. ') FROM (SELECT texts.list[1 + floor(random() * cardinality(texts.list))::int] AS description FROM generate_series(1, 2 + (random() * 4)::int + i * 0)) AS d) AS about,
    to_tsvector('english', (SELECT string_agg(description, ' ') FROM (SELECT texts.list[1 + floor(power(random(), 3) * cardinality(texts.list))::int] AS description FROM generate_series(1, 1 + (random() * 3)::int + i * 0)) AS d)) AS search,
    daterange(date '2020-01-01' + (random() * 900)::int, date '2023-01-01' + (random() * 900)::int) AS sold, numrange((random() * 50)::int, 51 + (random() * 50)::int) AS weights,
    point(50 + random() * random() * 4, 8 + random() * random() * 5) AS spot, box(point(i %% 1000, i / 1000), point(i %% 1000 + 1, i / 1000 + 1)) AS frame,
    timestamp '2021-01-01' + i * (interval '800 days' / %2$s) + random() * interval '1 hour' AS made, 'AB' || (1000 + (random() * 90)::int) || '-' || upper(substr(md5((random() * %2$s)::int::text), 1, 10)) AS sku,
    (exp(random() * 6))::numeric(10, 2) AS price, CASE WHEN random() < 0.25 THEN date '2024-01-01' + (random() * 300)::int END AS retired,
    (random() * 300 - 100)::int AS stock, random() < 0.85 AS listed
    FROM generate_series(1, %2$s) AS i, (SELECT array_agg(description ORDER BY objoid, classoid, objsubid) AS list FROM pg_description WHERE classoid = 'pg_proc'::regclass) AS texts $sql$, name, n);
  EXECUTE format('ANALYZE %I', name); CALL build(name);
END $$;
CALL make_wares('wares_12k', 12000);
CALL make_wares('wares_150k', 150000);
SQL

psql -d methods_capture -At <<'SQL'
CREATE VIEW shape AS
SELECT c.relname, a.attnum, jsonb_build_object('number', a.attnum, 'name', a.attname, 'type_name', format_type(a.atttypid, a.atttypmod),
  'base_type', t.typname, 'base_type_schema', n.nspname, 'type_kind', t.typtype, 'type_category', t.typcategory, 'length', a.attlen,
  'align', CASE a.attalign WHEN 'c' THEN 1 WHEN 's' THEN 2 WHEN 'i' THEN 4 ELSE 8 END, 'type_modifier', a.atttypmod, 'not_null', a.attnotnull, 'btree', true,
  'deduplicates', t.typname NOT IN ('numeric', 'float4', 'float8', 'interval', 'jsonb', 'point', 'box', 'circle', 'polygon', 'tsvector'),
  'collation', NULL, 'c_collation', false, 'stats', jsonb_build_object(
    'null_fraction', s.null_frac::numeric(8, 6), 'avg_width', s.avg_width, 'n_distinct', s.n_distinct::numeric(14, 6), 'correlation', s.correlation::numeric(8, 5),
    'common_values', coalesce(to_jsonb(s.most_common_vals::text::text[]), '[]'),
    'common_frequencies', coalesce((SELECT jsonb_agg(f::numeric(8, 6)) FROM unnest(s.most_common_freqs) AS f), '[]'),
    'histogram', coalesce(to_jsonb(s.histogram_bounds::text::text[]), '[]'),
    'common_elements', coalesce(to_jsonb(s.most_common_elems::text::text[]), '[]'),
    'element_frequencies', coalesce((SELECT jsonb_agg(f::numeric(8, 6)) FROM unnest(s.most_common_elem_freqs) AS f), '[]'))) AS shape
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN pg_stats s ON s.schemaname = 'public' AND s.tablename = c.relname AND s.attname = a.attname
WHERE c.relname IN (SELECT name FROM result);
SELECT '{"server": "' || split_part(current_setting('server_version'), ' ', 1) || '", "tables": [';
SELECT CASE WHEN lag(relname) OVER (ORDER BY c.oid) IS NULL THEN '' ELSE ',' END
  || format(E'{"name": "%s", "rows": %s, "pages": %s, "columns": [\n', relname, reltuples, pg_relation_size(c.oid) / 8192)
  || (SELECT string_agg(shape::text, E',\n' ORDER BY attnum) FROM shape WHERE shape.relname = c.relname)
  || E'\n], "indexes": [\n'
  || (SELECT string_agg(jsonb_strip_nulls(jsonb_build_object('definition', definition, 'bytes', bytes, 'entry_pages', entry_pages, 'data_pages', data_pages, 'entries', entries))::text, E',\n' ORDER BY place) FROM result WHERE name = c.relname) || ']}'
FROM pg_class c WHERE relkind = 'r' AND relname IN (SELECT name FROM result) ORDER BY c.oid;
SELECT ']}';
SQL
