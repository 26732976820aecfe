//! Statements that nobody expects: run for real, then looked at.

use std::fmt::Write as _;

use serde_json::Value;
use tokio_postgres::Client;

use super::{STATE, run, succeeds};
use crate::harness::{TestDatabase, database, database_with_hypopg};

/// A table and a column whose names hold what breaks texts: quotes, a line's end, escape codes, an emoji.
const ODD_TABLE: &str = "\"we\"\"ird\nta\u{1b}[31mble; -- */ 😀\"";
const ODD_COLUMN: &str = "\"co\"\"l\n\u{1b}]0;x\u{7} '😀\"";

async fn tables(client: &Client) {
    let wide: Vec<String> = (0..300).map(|n| format!("c{n} int")).collect();
    run(
        client,
        &[
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer int, note text)",
            "INSERT INTO orders SELECT g, g % 5000, 'n' || g FROM generate_series(1, 50000) g",
            "CREATE TABLE audit AS SELECT id, customer FROM orders LIMIT 1000",
            &format!("CREATE TABLE wide ({})", wide.join(", ")),
            "INSERT INTO wide (c0) SELECT generate_series(1, 20000)",
            &format!("CREATE TABLE {ODD_TABLE} ({ODD_COLUMN} int, \"select\" text)"),
            &format!("INSERT INTO {ODD_TABLE} SELECT g % 5000, g FROM generate_series(1, 50000) g"),
            "CREATE PROCEDURE touch() LANGUAGE sql AS 'UPDATE orders SET note = note WHERE customer = 3'",
            "VACUUM ANALYZE",
        ],
    )
    .await;
}

fn list(count: usize, item: impl Fn(usize) -> String, between: &str) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(between)
}

/// Statements as no person writes them, but programs do.
fn odd_statements(major: u32) -> Vec<String> {
    let mut all: Vec<String> = [
        "CALL touch()",
        "DO $$ BEGIN PERFORM * FROM orders WHERE customer = 7; END $$",
        "SELECT /* */ * /* nested /* comment */ */ FROM orders -- */ ; DROP TABLE orders\n WHERE customer = 11",
        "SELECT * FROM orders WHERE customer = 12 /* pgwright */",
        "SELECT '/* pgwright */', * FROM orders WHERE note = '*/ drop table orders; --'",
        "SELECT * FROM orders WHERE note = 'a\u{1b}]0;owned\u{7}b' AND customer = 4",
        "SELECT customer AS \"\u{1b}[31mred\n\" FROM orders WHERE customer = 4",
        "SELECT * FROM orders WHERE note = $q$ $1 '' $q$ AND customer = 5",
        "TABLE audit",
        "VALUES (1), (2)",
        "SELECT 1; SELECT * FROM orders WHERE customer = 13",
        "EXPLAIN SELECT * FROM orders WHERE customer = 99",
        "PREPARE p AS SELECT * FROM orders WHERE customer = $1",
        "EXECUTE p(3)",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders WHERE customer = 5",
        "FETCH 1 FROM c",
        "COPY (SELECT * FROM orders WHERE customer = 1) TO '/dev/null'",
        "CREATE TABLE made AS SELECT * FROM orders WHERE customer = 77",
        "SELECT * INTO made_too FROM orders WHERE customer = 78",
        "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT * FROM r JOIN orders o ON o.customer = r.n",
        "WITH gone AS (DELETE FROM audit WHERE customer = 1 RETURNING *) INSERT INTO audit SELECT * FROM gone",
        "SELECT * FROM orders TABLESAMPLE SYSTEM (1) WHERE customer = 3",
        "SELECT * FROM orders WHERE customer = 3 FOR UPDATE SKIP LOCKED LIMIT 1",
        "SELECT * FROM orders o, LATERAL (SELECT * FROM orders i WHERE i.customer = o.customer LIMIT 1) l LIMIT 5",
        "SELECT o FROM orders o WHERE o = ROW(1, 2, 'x')::orders",
        "SELECT (o).note FROM orders o WHERE (o).customer = 3",
        "SELECT count(*) FILTER (WHERE customer = 3) OVER w FROM orders WINDOW w AS (PARTITION BY customer) LIMIT 1",
        "SELECT FROM orders",
        "SELECT pg_sleep(0)",
        "INSERT INTO orders DEFAULT VALUES ON CONFLICT DO NOTHING RETURNING *",
        "UPDATE orders o SET note = o.note FROM audit a WHERE a.id = o.id AND a.customer = 7",
    ]
    .map(str::to_owned)
    .to_vec();
    // Without a value for its key the default row is refused; the refusal is not counted.
    all.retain(|statement| !statement.contains("DEFAULT VALUES"));
    if major >= 15 {
        all.push("MERGE INTO audit a USING orders o ON a.id = o.id WHEN MATCHED THEN UPDATE SET customer = o.customer WHEN NOT MATCHED THEN DO NOTHING".to_owned());
    }
    // The protocol has room for 65,535 parameters; a text has more.
    for (table, column, count) in
        [("orders", "customer", 10_000), ("orders", "id", 65_535), ("wide", "c0", 70_000)]
    {
        let values = list(count, |n| n.to_string(), ", ");
        all.push(format!("SELECT * FROM {table} WHERE {column} IN ({values})"));
    }
    let columns = |extra: &str| list(300, |n| format!("c{n}{extra}"), ", ");
    all.push(format!("SELECT {} FROM wide WHERE c0 = 5", columns("")));
    all.push(format!("SELECT {} FROM wide WHERE c0 = 5 ORDER BY {}", columns(" + 1"), columns("")));
    all.push(format!("SELECT 1 FROM wide WHERE {}", list(300, |n| format!("c{n} = {n}"), " AND ")));
    for value in 0..30 {
        all.push(format!("SELECT * FROM {ODD_TABLE} WHERE {ODD_COLUMN} = {value}"));
        all.push(format!("SELECT * FROM {ODD_TABLE} AS \"a\nb\" WHERE \"select\" = 'x{value}'"));
    }
    all
}

/// Nested so deeply that some servers refuse some of them.
fn deep_statements() -> Vec<String> {
    let mut all = Vec::new();
    for depth in [100, 500, 2000_usize] {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        all.push(format!("SELECT * FROM orders WHERE {open}customer = 5{close}"));
        all.push(format!(
            "SELECT * FROM {}orders WHERE customer = 6{}",
            "(SELECT * FROM ".repeat(depth),
            ") x".repeat(depth)
        ));
        all.push(format!(
            "SELECT * FROM orders WHERE {}customer = 8{close}",
            "NOT (".repeat(depth)
        ));
        all.push(format!(
            "SELECT * FROM orders WHERE customer = {}",
            list(depth, |_| "1".to_owned(), " + ")
        ));
        all.push(format!(
            "SELECT {}1{} FROM orders WHERE customer = 9",
            "CASE WHEN true THEN ".repeat(depth),
            " END".repeat(depth)
        ));
        let either = |n: usize| format!("(customer = {n} AND note = '{n}')");
        all.push(format!("SELECT * FROM orders WHERE {}", list(depth.min(500), either, " OR ")));
    }
    all
}

/// Holds an SQL script to what a reader may rely on, and runs what it holds: every line is a comment or one
/// whole statement; so is every comment that is a recommendation or an undo.
async fn runs_as_script(db: &TestDatabase, script: &str) -> usize {
    let mut undos = Vec::new();
    let mut done = 0;
    for line in script.lines().filter(|line| !line.is_empty()) {
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        let is_statement = |text: &str| {
            ["CREATE INDEX", "DROP INDEX", "ANALYZE", "SET default_tablespace = ''"]
                .iter()
                .any(|verb| text.starts_with(verb))
        };
        let text = line.trim_start_matches("-- ");
        if let Some(undo) = text.strip_prefix("undo: ") {
            undos.push(undo);
        } else if is_statement(text) {
            db.sql(text).await;
            done += 1;
        } else {
            assert!(line.starts_with("--"), "neither comment nor known statement: {line}");
        }
    }
    for undo in undos {
        db.sql(undo).await;
    }
    done
}

#[tokio::test]
async fn odd_statements_are_looked_at_without_harm() {
    let Some(db) = database_with_hypopg().await else { return };
    let client = db.connect().await;
    tables(&client).await;
    for statement in odd_statements(db.major()) {
        run(&client, &[&statement]).await;
    }
    for statement in deep_statements() {
        // What is too deep for the server is not in its statistics either.
        let _ = client.simple_query(&statement).await;
    }
    let before = db.value(STATE).await;
    let on = db.conninfo();
    let human = succeeds(&["optimize", "-v", "-d", &on]);
    assert!(human.contains(r"\u{1b}[31mble; -- */ 😀"), "{human}");

    let text = succeeds(&["optimize", "-d", &on, "--format", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    let statements = report["statements"].as_array().unwrap();
    assert!(statements.len() >= 25, "{}", statements.len());
    for statement in statements.iter().filter(|one| !one["unanalyzed"].is_null()) {
        let reason = statement["unanalyzed"].as_str().unwrap();
        assert!(!reason.is_empty() && !reason.contains("internal"), "{statement}");
    }
    let left_out = &report["run"]["left_out"];
    assert!(
        left_out["pgwright's own"].as_u64().unwrap() >= 2,
        "a statement with our marker: {left_out}"
    );
    assert!(left_out["utility statements"].as_u64().unwrap() >= 8, "{left_out}");
    assert!(left_out["with a truncated text"].is_null(), "no text was cut: {left_out}");
    let tables: Vec<&str> = report["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action["table"].as_str().unwrap())
        .collect();
    assert!(
        tables.iter().any(|table| table.contains("ird")) && tables.contains(&"public.wide"),
        "{tables:?}"
    );

    let script = succeeds(&["optimize", "-d", &on, "--format", "sql"]);
    assert_eq!(db.value(STATE).await, before, "a dry run changed something");
    assert!(runs_as_script(&db, &script).await >= 3, "{script}");
    assert_eq!(db.value(STATE).await, before, "the undo in comments undoes");
}

#[tokio::test]
async fn odd_names_are_applied_logged_and_taken_back() {
    let Some(db) = database_with_hypopg().await else { return };
    let client = db.connect().await;
    tables(&client).await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    let mut workload = String::new();
    for value in 0..60 {
        writeln!(workload, "SELECT * FROM {ODD_TABLE} WHERE {ODD_COLUMN} = {value};").unwrap();
    }
    std::fs::write(file.path(), workload).unwrap();
    let on = db.conninfo();
    let before = db.value(STATE).await;
    let said =
        succeeds(&["optimize", "--apply", "-d", &on, "--workload", file.path().to_str().unwrap()]);
    assert!(said.contains("Carried out 1 of 1 action"), "{said}");
    let index = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid::regclass::text LIKE '%ird%'";
    assert!(db.value(index).await.contains(ODD_COLUMN));
    for args in [&["log"][..], &["log", "1"], &["log", "--format", "json"]] {
        succeeds(&[args, &["-d", &on]].concat());
    }
    succeeds(&["rollback", "--all", "-d", &on]);
    db.sql("DROP SCHEMA pgwright CASCADE").await;
    assert_eq!(db.value(STATE).await, before);
}

/// A statement longer than `track_activity_query_size`, which is 1024 unless set.
fn long_statement(customer: u32) -> String {
    let others = list(100, |n| format!("id = {n} + 1"), " OR ");
    format!("SELECT * FROM orders WHERE customer = {customer} AND (id > 0 OR {others})")
}

#[tokio::test]
async fn a_long_text_is_whole_in_the_statistics_and_cut_in_the_activity() {
    let Some(db) = database_with_hypopg().await else { return };
    let client = db.connect().await;
    tables(&client).await;
    run(&client, &["SELECT pg_stat_statements_reset(0, oid, 0) IS NULL FROM pg_database WHERE datname = current_database()"]).await;
    for customer in 0..60 {
        run(&client, &[&long_statement(customer)]).await;
    }
    let seen = "SELECT max(length(query)) FROM pg_stat_activity WHERE query LIKE '%id = 7 + 1%' AND pid <> pg_backend_pid()";
    assert_eq!(db.value(seen).await, "1023");
    let report: Value =
        serde_json::from_str(&succeeds(&["optimize", "-d", &db.conninfo(), "--format", "json"]))
            .unwrap();
    assert!(report["run"]["left_out"]["with a truncated text"].is_null(), "{}", report["run"]);
    let keys = |action: &Value| action["index"]["keys"] == serde_json::json!(["customer"]);
    assert!(report["actions"].as_array().unwrap().iter().any(keys), "{}", report["actions"]);
}

#[tokio::test]
async fn texts_that_were_cut_are_counted_and_not_guessed_at() {
    let Some(db) = database().await else { return };
    let client = db.connect().await;
    tables(&client).await;
    run(&client, &["SELECT pg_stat_statements_reset(0, oid, 0) IS NULL FROM pg_database WHERE datname = current_database()"]).await;
    for customer in 0..10 {
        run(
            &client,
            &[
                &long_statement(customer),
                &format!("SELECT * FROM orders WHERE customer = {customer}"),
            ],
        )
        .await;
    }
    // Since version 9.4 the extension itself cuts nothing; services that put a view of their own before it do.
    let columns = "SELECT string_agg(CASE attname WHEN 'query' THEN 'left(query, 1023) AS query' ELSE attname::text END, ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = 'pg_stat_statements'::regclass AND attnum > 0";
    let columns = db.value(columns).await;
    for change in [
        "ALTER EXTENSION pg_stat_statements DROP VIEW pg_stat_statements",
        "DROP VIEW pg_stat_statements",
        &format!(
            "CREATE VIEW pg_stat_statements AS SELECT {columns} FROM pg_stat_statements(true)"
        ),
    ] {
        run(&client, &[change]).await;
    }
    let said = succeeds(&["optimize", "-v", "-d", &db.conninfo()]);
    let told = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("1 with a truncated text"), "{told}");
    assert!(said.contains("SELECT * FROM orders WHERE customer = $1\n"), "{said}");
    assert!(!said.contains("id > "), "{said}");
}
