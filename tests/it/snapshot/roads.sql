CREATE SCHEMA kinds;
CREATE DOMAIN kinds.place AS text CHECK (VALUE <> '');
CREATE TYPE kinds.mood AS ENUM ('glad', 'calm', 'sad');
CREATE FUNCTION kinds.tenfold(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 10';
CREATE TABLE kinds.visit (at timestamptz NOT NULL, who int NOT NULL, page int) PARTITION BY RANGE (at);
CREATE TABLE kinds.visit_1 PARTITION OF kinds.visit FOR VALUES FROM ('2024-01-01') TO ('2024-03-01');
CREATE TABLE kinds.visit_2 PARTITION OF kinds.visit FOR VALUES FROM ('2024-03-01') TO ('2024-06-01');
CREATE INDEX visit_at ON kinds.visit (at);
CREATE TABLE kinds.thing (id int, gone int, weight int, label text);
CREATE TABLE kinds.gadget (volts int, watts int) INHERITS (kinds.thing);
CREATE STATISTICS kinds.gadget_both (mcv) ON volts, weight FROM kinds.gadget;
ALTER TABLE kinds.thing DROP COLUMN gone;
ALTER TABLE kinds.thing ADD COLUMN late date;
CREATE TABLE kinds.customer (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mail text NOT NULL, city kinds.place, zip int, mood kinds.mood,
    born date, twice int GENERATED ALWAYS AS (zip * 2) STORED);
CREATE INDEX customer_mail ON kinds.customer (lower(mail));
CREATE INDEX customer_tenfold ON kinds.customer (kinds.tenfold(zip));
CREATE INDEX customer_sad ON kinds.customer (born) WHERE mood = 'sad';
CREATE STATISTICS kinds.customer_place ON city, zip FROM kinds.customer;
ALTER TABLE kinds.customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON kinds.customer USING (zip >= 0);
CREATE VIEW kinds.sad AS SELECT id, mail FROM kinds.customer WHERE mood = 'sad';
CREATE TABLE kinds.booking (room int, guest int, span int4range, EXCLUDE USING gist (span WITH &&));
INSERT INTO kinds.visit SELECT timestamptz '2024-01-01 00:00Z' + i * interval '3 minutes', i % 3000, i % 90 FROM generate_series(1, 60000) AS i;
INSERT INTO kinds.thing SELECT i, i % 1000, 'thing ' || i FROM generate_series(1, 20000) AS i;
INSERT INTO kinds.gadget (id, weight, label, volts) SELECT i, i % 40, 'gadget ' || i, i % 40 FROM generate_series(1, 20000) AS i;
INSERT INTO kinds.customer (mail, city, zip, mood, born) SELECT 'C' || i || '@example.com', 'c' || i % 200, i % 200,
    (ARRAY['glad', 'calm', 'glad', 'sad'])[i % 4 + 1]::kinds.mood, date '1950-01-01' + i % 20000 FROM generate_series(1, 40000) AS i;
INSERT INTO kinds.booking SELECT i % 50, i % 4000, int4range(i * 10, i * 10 + 9) FROM generate_series(1, 20000) AS i;
VACUUM ANALYZE
