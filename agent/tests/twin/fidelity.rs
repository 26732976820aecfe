//! The twin's plans are the source's.

use crate::harness::{Source, connect, twin, versions};

pub(crate) const SCHEMA: &str = "
CREATE SCHEMA shop;
CREATE DOMAIN shop.amount AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE TYPE shop.state AS ENUM ('new', 'paid', 'sent', 'gone');
CREATE TABLE shop.customer (id int PRIMARY KEY, name text NOT NULL, country char(2) NOT NULL, born date);
CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES shop.customer,
    placed timestamptz NOT NULL, state shop.state NOT NULL, total shop.amount NOT NULL, tags text[], notes jsonb,
    doubled numeric GENERATED ALWAYS AS (total * 2) STORED, CHECK (placed > '2001-01-01'));
CREATE TABLE shop.item (
    order_id bigint NOT NULL REFERENCES shop.orders, line int NOT NULL, product int NOT NULL, quantity int NOT NULL,
    PRIMARY KEY (order_id, line));
CREATE TABLE shop.event (at timestamp NOT NULL, kind int NOT NULL, body tsvector) PARTITION BY RANGE (at);
CREATE TABLE shop.event_1 PARTITION OF shop.event FOR VALUES FROM ('2024-01-01') TO ('2024-07-01');
CREATE TABLE shop.event_2 PARTITION OF shop.event FOR VALUES FROM ('2024-07-01') TO ('2025-01-01');
CREATE INDEX event_at ON shop.event (at);
CREATE INDEX orders_customer ON shop.orders (customer, placed DESC);
CREATE INDEX orders_month ON shop.orders (date_trunc('month', placed AT TIME ZONE 'UTC'));
CREATE INDEX orders_open ON shop.orders (placed) WHERE state = 'new';
CREATE INDEX customer_name ON shop.customer (lower(name));
CREATE VIEW shop.busy AS SELECT customer, count(*) AS n FROM shop.orders GROUP BY customer;
CREATE MATERIALIZED VIEW shop.per_country AS
    SELECT c.country, count(*) AS n FROM shop.orders AS o JOIN shop.customer AS c ON c.id = o.customer GROUP BY 1
    WITH NO DATA;
";

pub(crate) const ROWS: &str = "
INSERT INTO shop.customer SELECT i, 'name ' || i * 7919 % 20000, (ARRAY['de','fr','us','us','us'])[i % 5 + 1],
    CASE WHEN i % 10 > 0 THEN date '1950-01-01' + i % 15000 END FROM generate_series(1, 20000) AS i;
INSERT INTO shop.orders (customer, placed, state, total, tags, notes)
    SELECT 1 + (i * 7::bigint * i) % 20000, timestamptz '2020-01-01 00:00Z' + i * interval '10 minutes',
    (ARRAY['gone','gone','gone','sent','paid','new'])[CASE WHEN i % 50 = 0 THEN 6 ELSE i % 5 + 1 END]::shop.state,
    i % 1000 + 0.5, CASE WHEN i % 3 = 0 THEN ARRAY['a' || i % 20, 'b' || i % 7] END,
    jsonb_build_object('k', i % 100) FROM generate_series(1, 150000) AS i;
INSERT INTO shop.item SELECT o, l, (o * 31 + l * 17) % 3000, l FROM generate_series(1, 150000) AS o, generate_series(1, 3) AS l;
INSERT INTO shop.event SELECT timestamp '2024-01-01' + i * interval '5 minutes', i % 12,
    to_tsvector('simple', 'word' || i % 50 || ' other' || i % 9) FROM generate_series(1, 100000) AS i;
REFRESH MATERIALIZED VIEW shop.per_country;
VACUUM ANALYZE;
UPDATE shop.orders SET total = total + 1 WHERE id % 20 = 0;
";

pub(crate) const STATEMENTS: &[&str] = &[
    "SELECT * FROM shop.customer WHERE id = 77",
    "SELECT * FROM shop.customer WHERE id < 19000",
    "SELECT * FROM shop.customer WHERE lower(name) = 'name 77'",
    "SELECT * FROM shop.customer WHERE country = 'de' AND born < '1960-01-01'",
    "SELECT * FROM shop.orders WHERE customer = 77 ORDER BY placed DESC LIMIT 10",
    "SELECT * FROM shop.orders WHERE state = 'new' AND placed > '2022-10-01'",
    "SELECT * FROM shop.orders WHERE placed > '2022-11-05 00:00Z'",
    "SELECT count(*) FROM shop.orders WHERE id > 149000",
    "SELECT count(*) FROM shop.orders WHERE id > 160000",
    "SELECT * FROM shop.orders WHERE date_trunc('month', placed AT TIME ZONE 'UTC') = '2021-02-01'",
    "SELECT * FROM shop.orders WHERE tags @> ARRAY['a3']",
    "SELECT * FROM shop.orders WHERE notes @> '{\"k\": 5}' AND total > 900",
    "SELECT o.id, c.name FROM shop.orders AS o JOIN shop.customer AS c ON c.id = o.customer WHERE c.country = 'fr' AND o.total > 990",
    "SELECT c.name, sum(i.quantity) FROM shop.customer AS c JOIN shop.orders AS o ON o.customer = c.id \
     JOIN shop.item AS i ON i.order_id = o.id WHERE c.born > '1985-01-01' GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
    "SELECT product, count(*) FROM shop.item GROUP BY product",
    "SELECT * FROM shop.item WHERE order_id BETWEEN 100 AND 200",
    "SELECT * FROM shop.event WHERE at > '2024-06-20' AND at < '2024-07-10'",
    "SELECT count(*) FROM shop.event WHERE body @@ 'word7'::tsquery",
    "SELECT kind, count(*) FROM shop.event GROUP BY kind",
    "SELECT * FROM shop.busy WHERE n > 9",
    "SELECT * FROM shop.per_country ORDER BY n",
    "SELECT max(placed) FROM shop.orders",
    "SELECT * FROM shop.orders AS o WHERE EXISTS (SELECT FROM shop.item AS i WHERE i.order_id = o.id AND i.product = 5)",
    "UPDATE shop.orders SET total = 1 WHERE customer = 5",
    "DELETE FROM shop.item WHERE order_id = 9",
    "INSERT INTO shop.item SELECT id, 9, 9, 9 FROM shop.orders WHERE customer < 5",
];

#[tokio::test(flavor = "multi_thread")]
async fn plans_and_costs_are_the_sources() {
    for binaries in versions(&[14, 15, 16, 17, 18]) {
        let source = Source::start(&binaries, SCHEMA).await;
        for sql in ROWS.split(";\n").filter(|sql| !sql.trim().is_empty()) {
            source.run(sql).await;
        }
        let twin = twin(&source.snapshot().await).await;
        assert!(twin.notes().is_empty(), "{:?}", twin.notes());
        source.compare(&twin, STATEMENTS).await;
        twin.stop().await;
        source.cluster.stop().await;
    }
}

const CORRELATED: &str = "
CREATE TABLE public.car (id int, make text, model text COLLATE \"C\", year smallint, price numeric(10, 2), sold date, gone int);
ALTER TABLE public.car DROP COLUMN gone;
CREATE STATISTICS public.car_all (ndistinct, dependencies, mcv) ON make, model, price FROM public.car;
CREATE STATISTICS public.car_when ON (price / 10), (date_trunc('month', sold)), year FROM public.car;
CREATE STATISTICS public.car_tenth ON (price % 7) FROM public.car;
";

const CARS: &str = "
INSERT INTO public.car SELECT i, 'make ' || i % 20, nullif('model ' || i % 100, 'model 3'), 1990 + i % 25, (i % 40) * 1000 + 0.5,
    date '2020-01-01' + i % 300 FROM generate_series(1, 30000) AS i;
ANALYZE;
";

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_the_sources() {
    let shown = [
        "SELECT to_jsonb(s) - 'attname' || jsonb_build_object('attname', attname) FROM pg_stats AS s \
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY schemaname, tablename, attname, inherited",
        "SELECT to_jsonb(s) - 'statistics_owner' - 'attnames' - 'most_common_vals' - 'most_common_freqs' - 'most_common_base_freqs' - 'most_common_val_nulls' \
         FROM pg_stats_ext AS s ORDER BY statistics_name",
        "SELECT jsonb_agg(v ORDER BY v, f, b) FROM pg_stats_ext AS s, \
         unnest(s.most_common_vals::text[], s.most_common_freqs, s.most_common_base_freqs) AS m (v, f, b)",
        "SELECT to_jsonb(s) - 'statistics_owner' FROM pg_stats_ext_exprs AS s ORDER BY statistics_name, expr",
    ];
    for binaries in versions(&[14, 15, 16, 17, 18]) {
        let source = Source::start(&binaries, CORRELATED).await;
        for schema in [SCHEMA, ROWS, CARS] {
            for sql in schema.split(";\n").filter(|sql| !sql.trim().is_empty()) {
                source.run(sql).await;
            }
        }
        let twin = twin(&source.snapshot().await).await;
        assert!(twin.notes().is_empty(), "{:?}", twin.notes());
        let there = connect(&twin.cluster().conninfo("twin_0")).await;
        for sql in shown {
            let sql = format!("SELECT s.s::text FROM ({sql}) AS s (s)");
            let rows = async |client: &tokio_postgres::Client| -> Vec<Option<String>> {
                client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
            };
            let (mine, theirs) = (rows(&source.client).await, rows(&there).await);
            assert!(!mine.is_empty());
            assert_eq!(mine, theirs, "PostgreSQL {}: {sql}", binaries.major);
        }
        source
            .compare(
                &twin,
                &[
                    "SELECT * FROM car WHERE make = 'make 3' AND model = 'model 23'",
                    "SELECT * FROM car WHERE make = 'make 3' AND model IS NULL",
                    "SELECT make, model, count(*) FROM car GROUP BY make, model",
                    "SELECT * FROM car WHERE price / 10 = 100.05 AND year = 1995",
                    "SELECT date_trunc('month', sold), count(*) FROM car GROUP BY 1",
                    "SELECT * FROM car WHERE price % 7 = 1.5",
                ],
            )
            .await;
        twin.stop().await;
        source.cluster.stop().await;
    }
}
