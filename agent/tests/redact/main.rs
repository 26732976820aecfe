//! A redacted snapshot of a real database: nothing of its values is left in it, and a twin made of it plans as one
//! made of the whole.
//!
//! Without server programs of version 15 or later the test skips itself with a message; with `CI` set that is a failure.
#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test that called it")]

use std::io::Write;

use agent::blueprint::{DrawOptions, draw};
use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};
use agent::redact::redact;
use agent::sampler::{SampleOptions, sample};
use agent::twin::{Twin, TwinOptions};
use rules::intake::WorkloadFile;
use rules::snapshot::Snapshot;
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

const SCHEMA: &str = "
CREATE TYPE state AS ENUM ('new', 'paid', 'sent', 'gone');
CREATE TABLE customers (
    id bigint PRIMARY KEY, email text NOT NULL, name text NOT NULL, country char(2) NOT NULL, born date, plan text NOT NULL,
    profile jsonb NOT NULL, token uuid NOT NULL, CHECK (plan IN ('free', 'gold', 'iron')));
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, placed timestamptz NOT NULL, status text NOT NULL,
    state state NOT NULL, total numeric(12, 2) NOT NULL, discount real, tags text[], address inet, lasts int4range);
CREATE TABLE notes (id int PRIMARY KEY, order_id bigint NOT NULL, body text NOT NULL, words tsvector NOT NULL);
CREATE TABLE events (at timestamptz NOT NULL, kind int NOT NULL, actor bigint NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2000-01-01') TO ('2024-07-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2024-07-01') TO ('2100-01-01');
CREATE INDEX ON customers (lower(email));
CREATE INDEX ON customers (name text_pattern_ops);
CREATE INDEX ON customers USING gin (profile jsonb_path_ops);
CREATE INDEX ON customers (token);
CREATE INDEX ON orders (customer_id, placed);
CREATE INDEX ON orders (placed);
CREATE INDEX ON orders (total);
CREATE INDEX ON orders (id) WHERE status = 'held';
CREATE INDEX ON orders USING gin (tags);
CREATE INDEX ON notes (order_id);
CREATE INDEX ON notes USING gin (words);
CREATE INDEX ON events (at);
CREATE STATISTICS place (mcv, dependencies) ON country, plan FROM customers;
";

const ROWS: &str = "
INSERT INTO customers
SELECT i * 3 + 100000, (ARRAY['Ann', 'bob', 'Carla', 'dave', 'Eve-', 'zoë'])[i % 6 + 1] || i || '@' || (ARRAY['corp-one', 'Mailbox', 'school'])[i % 3 + 1] || '.example',
    (ARRAY['Smith', 'smithers', 'O''Neil', 'de la Cruz', 'Ångström', 'Zimmer-Mann'])[i % 6 + 1] || ' ' || i % 5000,
    (ARRAY['de', 'fr', 'us', 'us', 'us', 'no'])[i % 6 + 1], CASE WHEN i % 10 > 0 THEN date '1950-01-01' + i % 20000 END,
    (ARRAY['free', 'free', 'free', 'gold', 'iron'])[i % 5 + 1],
    jsonb_build_object('theme', (ARRAY['dark', 'light', 'dim'])[i % 3 + 1], 'seats', i % 400, 'since', date '2015-01-01' + i % 3000),
    md5(i::text)::uuid
FROM generate_series(1, 30000) AS i;
INSERT INTO orders
SELECT i * 7, ((i * 7919::bigint) % 30000 + 1) * 3 + 100000, now() - i * interval '7 minutes',
    (ARRAY['delivered', 'delivered', 'delivered', 'returned', 'packed', 'delivered', 'lost at sea'])[i % 7 + 1],
    (ARRAY['gone', 'gone', 'sent', 'paid', 'new'])[i % 5 + 1]::state, (i % 9973) * 1.37, CASE WHEN i % 4 = 0 THEN i % 30 / 100.0 END,
    CASE WHEN i % 3 = 0 THEN ARRAY['tag ' || i % 20, 'batch' || i % 7] END, ('172.20.' || i % 200 || '.' || i % 250)::inet,
    int4range(i % 1000, i % 1000 + i % 50 + 1)
FROM generate_series(1, 150000) AS i;
UPDATE orders SET status = 'held' WHERE id % 500 = 0;
INSERT INTO notes SELECT i, i * 7, t, to_tsvector('english', t) FROM (SELECT i, 'parcel ' || (ARRAY['arrived', 'vanished', 'burning'])[i % 3 + 1] || ' near station ' || i % 300 AS t
    FROM generate_series(1, 60000) AS i) AS q;
INSERT INTO events SELECT timestamptz '2023-10-01 00:00Z' + i * interval '7 minutes', i % 12, i % 30000 * 3 + 100000 FROM generate_series(1, 120000) AS i;
VACUUM ANALYZE;
";

const STATEMENTS: &[&str] = &[
    "SELECT * FROM customers WHERE id = 150001",
    "SELECT * FROM customers WHERE id BETWEEN 120000 AND 120900",
    "SELECT * FROM customers WHERE id > 189000",
    "SELECT * FROM customers WHERE lower(email) = 'bob7@mailbox.example'",
    "SELECT * FROM customers WHERE name LIKE 'Smith 1%'",
    "SELECT * FROM customers WHERE name ILIKE '%cruz%'",
    "SELECT count(*) FROM customers WHERE country = 'no' AND plan = 'gold'",
    "SELECT * FROM customers WHERE plan = 'iron' AND born < '1960-05-05'",
    "SELECT * FROM customers WHERE profile @> '{\"theme\": \"dim\"}' AND born > '1999-01-01'",
    "SELECT * FROM customers WHERE token = 'c4ca4238-a0b9-2382-0dcc-509a6f75849b'",
    "SELECT * FROM orders WHERE customer_id = 150001 ORDER BY placed DESC LIMIT 10",
    "SELECT * FROM orders WHERE placed > now() - interval '7 days'",
    "SELECT count(*) FROM orders WHERE placed > now() - interval '200 days' AND status = 'returned'",
    "SELECT * FROM orders WHERE status = 'held' AND id < 100000",
    "SELECT * FROM orders WHERE status = 'lost at sea' AND total > 13000",
    "SELECT * FROM orders WHERE total BETWEEN 100.5 AND 117.25",
    "SELECT * FROM orders WHERE total > 13600",
    "SELECT * FROM orders WHERE tags @> ARRAY['batch3', 'tag 17']",
    "SELECT * FROM orders WHERE address = '172.20.7.107'",
    "SELECT status, count(*) FROM orders WHERE state = 'new' GROUP BY status",
    "SELECT sum(total) FROM orders WHERE id IN (700, 1400, 2100, 777777)",
    "SELECT * FROM orders WHERE discount > 0.25 AND customer_id < 101000",
    "SELECT * FROM notes WHERE words @@ to_tsquery('english', 'vanishing & station')",
    "SELECT * FROM notes WHERE body LIKE '%station 17%'",
    "SELECT * FROM events WHERE at >= '2024-03-01' AND at < '2024-03-03'",
    "SELECT kind, count(*) FROM events WHERE at >= '2024-06-20' AND at < '2024-07-20' GROUP BY kind",
    "SELECT c.name, sum(o.total) FROM customers AS c JOIN orders AS o ON o.customer_id = c.id WHERE c.country = 'fr' AND o.total > 13500 GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
    "SELECT c.email, n.body FROM customers AS c JOIN orders AS o ON o.customer_id = c.id JOIN notes AS n ON n.order_id = o.id WHERE c.id = 100300",
    "SELECT o.id FROM orders AS o JOIN events AS e ON e.actor = o.customer_id WHERE e.kind = 7 AND e.at > '2025-04-25' AND o.status = 'packed'",
    "SELECT * FROM orders AS o WHERE o.total < 50 AND NOT EXISTS (SELECT FROM notes AS n WHERE n.order_id = o.id AND n.id > 59000)",
    "SELECT * FROM customers WHERE name > 'Zim' AND name < 'zimmer-mann 2' AND country <> 'us'",
    "UPDATE orders SET status = 'returned' WHERE customer_id = 160003 AND status = 'delivered'",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_snapshot_holds_no_value_and_plans_as_the_whole_one() {
    let mut found = Binaries::find_all();
    found.retain(|binaries| binaries.major == 15);
    let Some(binaries) = found.first() else { return skip("no PostgreSQL 15 found") };
    let options = ClusterOptions {
        settings: vec![("autovacuum".to_owned(), "off".to_owned())],
        keep_template: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(binaries, options).await.unwrap();
    let maker = connect(&cluster.conninfo("postgres")).await;
    // A collation under which case, accents and punctuation do not sort by their bytes.
    let create = "CREATE DATABASE app TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'";
    maker.batch_execute(create).await.unwrap();
    let client = connect(&cluster.conninfo("app")).await;
    for sql in [SCHEMA, ROWS].join("\n").split(";\n").map(str::trim).filter(|sql| !sql.is_empty()) {
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let (whole, redacted) = snapshots(&cluster).await;
    let plain = Plans::of(&whole).await;
    let made = Plans::of(&redacted).await;
    let mut off = Vec::new();
    for (before, after) in whole.statements.iter().zip(&redacted.statements) {
        let ((one, cost), (other, made)) =
            (plain.plan(&before.text).await, made.plan(&after.text).await);
        let apart = (made / cost).max(cost / made) - 1.0;
        if one != other || apart > 0.02 {
            tell(&format!(
                "{:.1} % apart: {}\n  {cost} {one}\n  {made} {other}\n  {}",
                apart * 100.0,
                before.text,
                after.text
            ));
        }
        off.push((one != other, apart));
    }
    off.sort_by(|one, other| one.1.total_cmp(&other.1));
    let same = off.iter().filter(|(differs, _)| !differs).count();
    let median = off[off.len() / 2].1 * 100.0;
    tell(&format!(
        "{same} of {} plans are the same; median cost difference {median:.2} %",
        off.len()
    ));
    nothing_remains(&whole, &redacted);
    assert_eq!(off.len(), STATEMENTS.len());
    assert!(same + 1 >= off.len(), "only {same} of {} plans are the same", off.len());
    assert!(median < 2.0, "{median}");
}

/// The snapshot as it was taken, and redacted.
async fn snapshots(cluster: &Cluster) -> (Snapshot, Snapshot) {
    let info = ConnInfo::resolve(Some(&cluster.conninfo("app")), &|_| None).unwrap();
    let session = Session::connect(&info, Purpose::Sample, &Meter::new()).await.unwrap();
    let workload = WorkloadFile { name: "app.sql".to_owned(), text: STATEMENTS.join(";\n") };
    let options = SampleOptions { workload: Some(vec![workload]), ..SampleOptions::default() };
    let mut whole = sample(&session, &options).await.unwrap();
    whole.blueprint = Some(Box::new(draw(&session, &info, &DrawOptions::default()).await.unwrap()));
    let mut redacted = whole.clone();
    redact(&session, &mut redacted).await.unwrap();
    session.close().await;
    (whole, redacted)
}

/// No value of the statistics is left that the schema does not name, and no literal.
fn nothing_remains(whole: &Snapshot, redacted: &Snapshot) {
    let schema = serde_json::to_string(&redacted.blueprint.as_ref().unwrap().definitions).unwrap();
    let mut rest = redacted.clone();
    rest.blueprint.as_mut().unwrap().definitions.clear();
    // Words of these are the server's.
    rest.functions.clear();
    let json = serde_json::to_string(&rest).unwrap();
    let mut looked_for = 0;
    for table in &whole.tables {
        for column in table.columns.iter().filter(|column| column.type_kind != 'e') {
            let Some(stats) = &column.stats else { continue };
            let elements = stats.common_elements.iter().chain(&stats.common_values);
            for value in elements.chain(&stats.histogram) {
                // Digits alone may come up as a part of any number.
                let short =
                    value.chars().count() < 4 || value.bytes().all(|byte| byte.is_ascii_digit());
                // A number can be another's replacement, a day its own.
                let plain = matches!(column.type_category, 'N' | 'D');
                if short || schema.contains(value.as_str()) || plain && value.len() < 12 {
                    continue;
                }
                let shown = serde_json::to_string(value).unwrap();
                looked_for += 1;
                let shown = shown.trim_matches('"');
                let at = json.find(shown).map(|at| &json[at.saturating_sub(60)..at + shown.len()]);
                assert_eq!(at, None, "{value} of {}.{}", table.name, column.name);
            }
        }
    }
    assert!(looked_for > 1000, "{looked_for}");
    for word in [
        "lost at sea",
        "= 150001",
        "returned",
        "mailbox",
        "cruz",
        "vanish",
        "'172.20",
        "> 13600",
        "c4ca4238",
        "1960-05-05",
    ] {
        assert!(!json.contains(word), "{word}");
    }
    assert!(json.contains("'7 days'") && json.contains("'held'"));
    let notes = &redacted.intake.notes;
    assert!(notes.iter().any(|note| note.contains("the values are redacted")), "{notes:?}");
    for note in notes {
        tell(note);
    }
}

/// A twin, asked for plans.
struct Plans {
    _twin: Twin,
    client: Client,
}

impl Plans {
    async fn of(snapshot: &Snapshot) -> Self {
        let twin = Twin::build(snapshot, &TwinOptions::default()).await.unwrap();
        for missing in twin.missing() {
            tell(&format!("missing: {missing:?}"));
        }
        for note in twin.notes() {
            tell(&format!("twin: {note}"));
        }
        let client =
            connect(&format!("{} user=pgwright_planner", twin.cluster().conninfo("twin_0"))).await;
        Self { _twin: twin, client }
    }

    /// Operators with what they read, and the whole cost.
    async fn plan(&self, statement: &str) -> (String, f64) {
        let sql = format!("EXPLAIN (FORMAT JSON) {statement}");
        let row = self
            .client
            .query_one(&sql, &[])
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        let plan: Value = row.get(0);
        let top = &plan[0]["Plan"];
        (shape(top), top["Total Cost"].as_f64().unwrap())
    }
}

fn shape(plan: &Value) -> String {
    let text = |key: &str| plan[key].as_str().unwrap_or_default().to_owned();
    let inner: Vec<String> = plan["Plans"].as_array().into_iter().flatten().map(shape).collect();
    format!(
        "{}[{} {}]({})",
        text("Node Type"),
        text("Relation Name"),
        text("Index Name"),
        inner.join(", ")
    )
}

async fn connect(conninfo: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test must not be skipped here: {reason}");
    tell(&format!("SKIPPED: {reason}"));
}

fn tell(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").unwrap();
}
