//! The twin's plans are the source's.

use crate::harness::{Source, twin, versions};

const SCHEMA: &str = "
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

const ROWS: &str = "
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

const STATEMENTS: &[&str] = &[
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
