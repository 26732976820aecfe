CREATE SCHEMA app;
CREATE SCHEMA "Odd ""name";
DO $$ BEGIN CREATE ROLE "Blueprint reader"; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE COLLATION app.numeric_order (PROVIDER = icu, LOCALE = 'en-u-kn-true');
CREATE COLLATION app.c_like (PROVIDER = libc, LOCALE = 'C');
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s fine', 'back\slash');
CREATE TYPE app.pair AS (a integer, b text COLLATE "C", m app.mood);
CREATE FUNCTION app.is_even(integer) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 % 2 = 0';
CREATE DOMAIN app.even AS integer DEFAULT 2 NOT NULL CHECK (app.is_even(VALUE)) CONSTRAINT small CHECK (VALUE < 1000);
CREATE DOMAIN app.label AS varchar(20) COLLATE "C";
CREATE FUNCTION app.distance(double precision, double precision) RETURNS double precision IMMUTABLE LANGUAGE sql AS 'SELECT $1 - $2';
CREATE TYPE app.float_range AS RANGE (SUBTYPE = double precision, SUBTYPE_DIFF = app.distance, MULTIRANGE_TYPE_NAME = app.float_ranges);
CREATE SEQUENCE app.counter AS smallint INCREMENT BY -2 MINVALUE -100 MAXVALUE -1 CYCLE;

-- Functions of every shape.
CREATE FUNCTION app.many(a integer, b text DEFAULT 'x;y', OUT c integer, OUT d text) RETURNS record STABLE PARALLEL SAFE COST 7
    LANGUAGE plpgsql AS $f$ BEGIN c := a; d := b || $$;$$; END $f$;
CREATE FUNCTION app.variadic_sum(VARIADIC integer[]) RETURNS bigint IMMUTABLE STRICT LANGUAGE sql AS 'SELECT sum(n) FROM unnest($1) AS n';
CREATE FUNCTION app.rows_of() RETURNS TABLE (i integer, t text) ROWS 12 LANGUAGE sql AS $$ SELECT 1, 'a' $$;
CREATE FUNCTION app.hidden(app.mood[]) RETURNS integer SECURITY DEFINER SET work_mem = '1MB' SET search_path = app, "Odd ""name"
    LANGUAGE sql AS 'SELECT cardinality($1)';
CREATE PROCEDURE app.work(INOUT n integer) LANGUAGE plpgsql AS 'BEGIN n := n + 1; COMMIT; END';
CREATE FUNCTION app.standard(i integer) RETURNS integer IMMUTABLE RETURN i + 1;
CREATE AGGREGATE app.product(double precision) (SFUNC = float8mul, STYPE = double precision, INITCOND = '1', COMBINEFUNC = float8mul, PARALLEL = SAFE);
CREATE AGGREGATE app.counted(*) (SFUNC = int8inc, STYPE = bigint, INITCOND = '0',
    MSFUNC = int8inc, MINVFUNC = int8dec, MSTYPE = bigint, MINITCOND = '0');
CREATE AGGREGATE app.middle(double precision ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal,
    FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA);

-- Operators, a class over them, casts.
CREATE FUNCTION app.pair_lt(app.pair, app.pair) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a < ($2).a';
CREATE FUNCTION app.pair_gt(app.pair, app.pair) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a > ($2).a';
CREATE FUNCTION app.pair_eq(app.pair, app.pair) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT ($1).a = ($2).a';
CREATE FUNCTION app.pair_cmp(app.pair, app.pair) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT btint4cmp(($1).a, ($2).a)';
CREATE OPERATOR app.<<< (FUNCTION = app.pair_lt, LEFTARG = app.pair, RIGHTARG = app.pair, COMMUTATOR = OPERATOR(app.>>>), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR app.>>> (FUNCTION = app.pair_gt, LEFTARG = app.pair, RIGHTARG = app.pair, COMMUTATOR = OPERATOR(app.<<<), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
CREATE OPERATOR app.=== (FUNCTION = app.pair_eq, LEFTARG = app.pair, RIGHTARG = app.pair, COMMUTATOR = OPERATOR(app.===), HASHES, MERGES);
CREATE OPERATOR app.!! (FUNCTION = pg_catalog.int4abs, RIGHTARG = integer);
CREATE OPERATOR FAMILY app.pairs USING btree;
CREATE OPERATOR CLASS app.pair_ops FOR TYPE app.pair USING btree FAMILY app.pairs AS OPERATOR 1 app.<<<, OPERATOR 3 app.===, OPERATOR 5 app.>>>, FUNCTION 1 app.pair_cmp(app.pair, app.pair);
CREATE OPERATOR FAMILY app.loose USING btree;
CREATE FUNCTION app.pair_cmp(app.pair, integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT btint4cmp(($1).a, $2)';
ALTER OPERATOR FAMILY app.loose USING btree ADD FUNCTION 1 (app.pair, integer) app.pair_cmp(app.pair, integer);
CREATE FUNCTION app.pair_of(integer) RETURNS app.pair IMMUTABLE LANGUAGE sql AS 'SELECT ROW($1, NULL, NULL)::app.pair';
CREATE CAST (integer AS app.pair) WITH FUNCTION app.pair_of(integer) AS ASSIGNMENT;
CREATE CAST (app.mood AS varchar) WITH INOUT;

-- Text search.
CREATE TEXT SEARCH DICTIONARY app.plain (TEMPLATE = pg_catalog.simple, ACCEPT = false);
CREATE TEXT SEARCH CONFIGURATION app.search (PARSER = pg_catalog."default");
ALTER TEXT SEARCH CONFIGURATION app.search ADD MAPPING FOR asciiword, word WITH app.plain, pg_catalog.english_stem;

-- Tables.
CREATE TABLE app.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gone_one text,
    name app.label NOT NULL,
    "Mixed Case" text COLLATE app.numeric_order DEFAULT 'semi;colon',
    gone_two integer,
    mood app.mood DEFAULT 'ok',
    score app.even,
    span app.float_range,
    tags text[] DEFAULT '{}',
    doc jsonb,
    lowered text GENERATED ALWAYS AS (lower("Mixed Case")) STORED,
    next_even integer GENERATED ALWAYS AS (app.standard(id::integer)) STORED,
    made timestamptz DEFAULT now(),
    EXCLUDE USING gist (span WITH &&),
    CONSTRAINT positive CHECK (id > 0),
    CONSTRAINT by_function CHECK (app.is_even(id::integer) OR id > 1)
) WITH (fillfactor = 70, autovacuum_enabled = false, parallel_workers = 3, toast.autovacuum_vacuum_scale_factor = 0.5);
ALTER TABLE app.customers DROP COLUMN gone_one, DROP COLUMN gone_two;
ALTER TABLE app.customers ALTER COLUMN name SET STATISTICS 500, ALTER COLUMN mood SET (n_distinct = -0.25), ALTER COLUMN doc SET STORAGE EXTERNAL;
ALTER TABLE app.customers ADD CONSTRAINT later CHECK (score > 0) NOT VALID;
CREATE UNLOGGED TABLE app.orders (
    id serial,
    customer bigint REFERENCES app.customers ON DELETE CASCADE,
    number integer DEFAULT nextval('app.counter'),
    note text,
    CONSTRAINT orders_key PRIMARY KEY (id) INCLUDE (note) WITH (fillfactor = 50),
    CONSTRAINT once UNIQUE (customer, number) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE app.orders ADD CONSTRAINT unchecked FOREIGN KEY (number) REFERENCES app.orders (id) NOT VALID;
CREATE TABLE app.empty ();
CREATE TABLE app.typed OF app.pair (a PRIMARY KEY, b WITH OPTIONS DEFAULT 'q');
CREATE TABLE "Odd ""name"."select" ("from" integer, "ünï cødé" text, "quote""d" text, "a b" integer CHECK ("a b" > 0), UNIQUE ("from", "a b"));
CREATE INDEX "Index of ""odd""" ON "Odd ""name"."select" ("ünï cødé" DESC NULLS LAST, "quote""d" text_pattern_ops) WHERE "from" IS NOT NULL;

-- A function that takes a row of a table, used in a default of the same table and in an index on it.
CREATE FUNCTION app.of_row(app.orders) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT ($1).id';
CREATE FUNCTION app.how_many() RETURNS bigint STABLE LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM app.orders; END;
ALTER TABLE app.orders ADD COLUMN before bigint DEFAULT app.how_many();
ALTER TABLE app.orders ADD CHECK (app.of_row(orders.*) > 0);
CREATE INDEX by_row ON app.orders (app.of_row(orders.*));
CREATE INDEX by_expression ON app.customers (lower("Mixed Case"), (score + 1)) INCLUDE (mood) WITH (fillfactor = 80) WHERE mood <> 'sad';
ALTER INDEX app.by_expression ALTER COLUMN 2 SET STATISTICS 321;
CREATE INDEX by_doc ON app.customers USING gin (doc jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX by_made ON app.customers USING brin (made) WITH (pages_per_range = 16);
CREATE INDEX by_name ON app.customers USING hash (name);
CREATE INDEX by_pair ON app.customers (app.pair_of(id::integer) app.pair_ops);

-- Inheritance.
CREATE TABLE app.base (id integer NOT NULL, kind text CHECK (kind <> ''), CONSTRAINT own CHECK (id > 0) NO INHERIT);
CREATE TABLE app.second (extra integer);
CREATE TABLE app.child (more text) INHERITS (app.base, app.second);
CREATE TABLE app.late (kind text, id integer NOT NULL, other text, CONSTRAINT base_kind_check CHECK (kind <> ''));
ALTER TABLE app.late INHERIT app.base;

-- Partitions of two levels, with a column order of their own.
CREATE TABLE app.events (id bigint NOT NULL, at date NOT NULL, region text, amount numeric(10,2), customer bigint REFERENCES app.customers) PARTITION BY RANGE (at);
CREATE TABLE app.events_2024 PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (region);
CREATE TABLE app.events_2024_eu PARTITION OF app.events_2024 FOR VALUES IN ('de', 'fr', NULL);
CREATE TABLE app.events_2024_rest PARTITION OF app.events_2024 DEFAULT;
CREATE TABLE app.events_old (dropped integer, region text, amount numeric(10,2), id bigint NOT NULL, at date NOT NULL, customer bigint);
ALTER TABLE app.events_old DROP COLUMN dropped;
ALTER TABLE app.events ATTACH PARTITION app.events_old FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
ALTER TABLE app.events ADD PRIMARY KEY (id, at, region);
CREATE INDEX events_amount ON app.events (amount);
CREATE INDEX events_pending ON ONLY app.events (customer);
CREATE INDEX events_old_customer ON app.events_old (customer);
ALTER INDEX app.events_pending ATTACH PARTITION app.events_old_customer;
CREATE TABLE app.hashed (k integer, v text) PARTITION BY HASH (k, app.standard(k));
CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.details (event bigint, at date, region text, FOREIGN KEY (event, at, region) REFERENCES app.events);

-- Views on views, rules, triggers.
CREATE VIEW app.zz_first WITH (security_barrier = true) AS SELECT id, name, "Mixed Case" AS "as" FROM app.customers WHERE app.is_even(id::integer);
CREATE VIEW app.a_second AS SELECT "as", count(*) AS n FROM app.zz_first GROUP BY "as";
CREATE VIEW app.grouped AS SELECT c.id, c.name, count(o.id) FROM app.customers AS c LEFT JOIN app.orders AS o ON o.customer = c.id GROUP BY c.id;
CREATE VIEW app.checked AS SELECT * FROM app.orders WHERE number < 5 WITH LOCAL CHECK OPTION;
ALTER VIEW app.checked ALTER COLUMN note SET DEFAULT 'of view';
CREATE MATERIALIZED VIEW app.summary WITH (fillfactor = 90) AS SELECT customer, sum(number) AS total, app.how_many() AS rows FROM app.orders GROUP BY customer;
CREATE UNIQUE INDEX summary_key ON app.summary (customer);
ALTER MATERIALIZED VIEW app.summary ALTER COLUMN total SET STATISTICS 77;
CREATE VIEW app.over_summary AS SELECT * FROM app.summary JOIN app.a_second ON n = total;
CREATE RULE redirect AS ON INSERT TO app.a_second DO INSTEAD (INSERT INTO app.base VALUES (1, 'a;b'); DELETE FROM app.second);
CREATE RULE nothing AS ON DELETE TO app.second WHERE OLD.extra > 1 DO INSTEAD NOTHING;
CREATE FUNCTION app.instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER instead_of INSTEAD OF UPDATE ON app.grouped FOR EACH ROW EXECUTE FUNCTION app.instead();

-- Row security.
ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.orders FORCE ROW LEVEL SECURITY;
CREATE POLICY "their own" ON app.orders AS RESTRICTIVE FOR UPDATE TO "Blueprint reader", pg_read_all_data
    USING (customer IN (SELECT id FROM app.customers WHERE app.is_even(id::integer))) WITH CHECK (number > 0);
CREATE POLICY everybody ON app.customers FOR SELECT USING (name = current_user);

-- Extended statistics.
CREATE STATISTICS app.together (ndistinct, dependencies, mcv) ON name, mood, score FROM app.customers;
ALTER STATISTICS app.together SET STATISTICS 250;
CREATE STATISTICS app.computed ON lower("Mixed Case"), (score % 3) FROM app.customers;
CREATE STATISTICS app.single ON (score / 2) FROM app.customers;
