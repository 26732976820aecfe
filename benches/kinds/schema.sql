-- Tables, columns and statistics of every kind that the planner treats in a way of its own, with rows.
-- psql -v ON_ERROR_STOP=1 -d CONNECTION -f benches/kinds/schema.sql; every statement ends a line.
SELECT setseed(0.25);
CREATE SCHEMA kinds;
SET search_path = kinds, public;

CREATE TYPE status AS ENUM ('new', 'open', 'paid', 'sent', 'done', 'lost');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE TYPE place AS (street text, zip integer);
CREATE FUNCTION initial(text) RETURNS text LANGUAGE sql IMMUTABLE RETURN upper(left($1, 1));
CREATE FUNCTION threshold() RETURNS integer LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 900; END $$;

-- Types.
CREATE TABLE person (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    mail email,
    home place,
    born date,
    seen timestamptz,
    active boolean NOT NULL,
    weight real,
    balance numeric(12, 2),
    address inet,
    token uuid,
    code char(6),
    status status NOT NULL,
    pause interval,
    tags text[],
    scores integer[],
    data jsonb,
    stay daterange,
    spans int4multirange,
    spot point,
    picture bytea,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', name)) STORED
);
INSERT INTO person (name, mail, home, born, seen, active, weight, balance, address, token, code, status, pause, tags,
    scores, data, stay, spans, spot, picture)
SELECT
    (ARRAY['ada', 'ben', 'cleo', 'dora', 'emil', 'fay'])[1 + (random() ^ 2 * 5)::int] || ' ' || md5((i % 9973)::text)
        || CASE WHEN i % 50 = 0 THEN ' likes running dogs' ELSE ' sees the cat' END,
    CASE WHEN i % 3 <> 0 THEN 'user' || i || '@example.org' END,
    ROW('street ' || i % 100, i % 1000)::place,
    date '1940-01-01' + (random() * 25000)::int,
    timestamptz '2026-01-01' - random() ^ 3 * interval '3 years',
    random() < 0.9, (random() * 100)::real, round((random() ^ 4 * 100000)::numeric, 2),
    ('10.' || i % 250 || '.' || i % 17 || '.' || i % 200)::inet, md5(i::text)::uuid, 'C' || i % 5000,
    (enum_range(NULL::status))[1 + (random() ^ 3 * 5)::int], (i % 90) * interval '1 hour',
    ARRAY['t' || (random() ^ 2 * 50)::int, 't' || i % 7], CASE WHEN i % 5 > 0 THEN ARRAY[i % 10, i % 1000, (random() * 100)::int] END,
    jsonb_build_object('kind', 'k' || i % 20, 'level', i % 300, 'flags', jsonb_build_array(i % 3, i % 5)),
    CASE WHEN i % 40 = 0 THEN 'empty' WHEN i % 10 > 0 THEN daterange(date '2020-01-01' + i % 2000, date '2020-01-01' + i % 2000 + (random() ^ 3 * 300)::int) END,
    int4multirange(int4range(i % 1000, i % 1000 + 10), int4range(5000 + i % 100, 5200)),
    point(random() * 100, random() * 100), CASE WHEN i % 100 = 0 THEN decode(repeat(md5(i::text), 200), 'hex') END
FROM generate_series(1, 150000) AS i;
CREATE INDEX person_mail ON person (lower(mail)) WHERE mail IS NOT NULL;
CREATE INDEX person_initial ON person (initial(name), born DESC);
CREATE INDEX person_seen ON person USING brin (seen);
CREATE INDEX person_words ON person USING gin (words);
CREATE INDEX person_tags ON person USING gin (tags);
CREATE INDEX person_stay ON person USING gist (stay);
CREATE INDEX person_spot ON person USING spgist (spot);
CREATE UNIQUE INDEX person_token ON person (token) INCLUDE (name);
ALTER TABLE person ALTER COLUMN born SET STATISTICS 1000;
ALTER TABLE person ALTER COLUMN picture SET STATISTICS 0;
ALTER TABLE person ALTER COLUMN code SET (n_distinct = -0.5);

-- Partitions of partitions.
CREATE TABLE reading (at timestamptz NOT NULL, device integer NOT NULL, kind text NOT NULL, value double precision)
PARTITION BY RANGE (at);
CREATE TABLE reading_old PARTITION OF reading FOR VALUES FROM (MINVALUE) TO ('2026-01-01+00');
CREATE TABLE reading_q1 PARTITION OF reading FOR VALUES FROM ('2026-01-01+00') TO ('2026-04-01+00');
CREATE TABLE reading_q2 PARTITION OF reading FOR VALUES FROM ('2026-04-01+00') TO ('2026-07-01+00') PARTITION BY HASH (device);
CREATE TABLE reading_q2_0 PARTITION OF reading_q2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE reading_q2_1 PARTITION OF reading_q2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE reading_rest PARTITION OF reading DEFAULT;
CREATE INDEX reading_device ON reading (device, at);
INSERT INTO reading
SELECT timestamptz '2025-11-01+00' + i * interval '40 seconds', (random() ^ 2 * 500)::int, 'kind ' || i % 4, random() * 1000
FROM generate_series(1, 600000) AS i;

-- Inheritance.
CREATE TABLE event (id integer, at date NOT NULL, note text);
CREATE TABLE event_click (x integer, y integer) INHERITS (event);
CREATE TABLE event_view (seconds integer) INHERITS (event);
INSERT INTO event SELECT i, date '2026-01-01' + i % 100, 'plain ' || i % 30 FROM generate_series(1, 3000) AS i;
INSERT INTO event_click SELECT i, date '2026-01-01' + i % 300, 'click ' || i % 9, i % 800, i % 600 FROM generate_series(1, 80000) AS i;
INSERT INTO event_view SELECT i, date '2026-02-01' + i % 60, 'view', i % 3000 FROM generate_series(1, 40000) AS i;
CREATE INDEX event_click_at ON event_click (at);
CREATE INDEX event_view_at ON event_view (at) WITH (fillfactor = 60);

-- Columns that depend on each other, with extended statistics.
CREATE TABLE address (id integer PRIMARY KEY, country text, region text, city text, zip integer, person bigint REFERENCES person);
INSERT INTO address
SELECT i, 'country ' || i % 20, 'region ' || i % 200, 'city ' || i % 2000, (i % 2000) * 3, 1 + i % 150000
FROM generate_series(1, 120000) AS i;
CREATE STATISTICS address_all (ndistinct, dependencies, mcv) ON country, region, city FROM address;
CREATE STATISTICS address_expression ON (zip % 7), (upper(country)) FROM address;
CREATE INDEX address_country ON address (country, city) INCLUDE (zip);

-- Storage options, unlogged, changed since it was analyzed, never analyzed, empty.
CREATE TABLE wide (id integer PRIMARY KEY, body text, extra text) WITH (fillfactor = 40, parallel_workers = 3);
INSERT INTO wide SELECT i, repeat(md5(i::text), 60 + i % 200), CASE WHEN i % 4 = 0 THEN md5(i::text) END FROM generate_series(1, 20000) AS i;
CREATE UNLOGGED TABLE scratch AS SELECT i AS id, i % 100 AS bucket FROM generate_series(1, 50000) AS i;
CREATE TABLE grown AS SELECT i AS id, i % 1000 AS bucket FROM generate_series(1, 30000) AS i;
CREATE INDEX grown_id ON grown (id);
CREATE TABLE fresh (id integer, note text) WITH (autovacuum_enabled = off);
CREATE TABLE hollow (id integer PRIMARY KEY, person bigint);
ALTER TABLE grown SET (autovacuum_enabled = off);

CREATE VIEW active_person AS SELECT id, name, born, status FROM person WHERE active;
CREATE MATERIALIZED VIEW city_count AS SELECT country, city, count(*) AS people FROM address GROUP BY country, city;
CREATE INDEX city_count_people ON city_count (people DESC);

VACUUM (ANALYZE);
-- What happened since: rows beyond the histograms, rows gone, blocks no longer all-visible.
INSERT INTO grown SELECT i, i % 1000 FROM generate_series(30001, 90000) AS i;
INSERT INTO fresh SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
UPDATE address SET zip = zip + 1 WHERE id BETWEEN 1000 AND 30000;
DELETE FROM reading_rest WHERE device < 3;
