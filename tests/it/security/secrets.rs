//! No password and no value of a utility statement is ever told.

use std::path::Path;

use crate::harness::{cli_with, database};

/// Nothing may ever print it.
const CANARY: &str = "c4nary";

fn files(folder: &Path) -> Vec<(String, String)> {
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), read(&path))).collect()
}

#[tokio::test]
async fn neither_passwords_nor_utility_statements_are_in_any_output() {
    let Some(db) = database().await else { return };
    let role = format!("{}_secret", db.name());
    db.sql("CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t SELECT g, g % 500 FROM generate_series(1, 50000) g")
        .await;
    db.sql("CREATE INDEX one ON t (b)").await;
    db.sql("CREATE INDEX two ON t (b)").await;
    db.sql("SELECT pg_sleep(1.1)").await;
    db.sql("VACUUM ANALYZE t").await;
    // pg_stat_statements keeps utility statements word for word, and comments within others.
    for statement in [
        format!("CREATE ROLE {role} LOGIN PASSWORD '{CANARY}'"),
        format!("ALTER ROLE {role} PASSWORD '{CANARY}'"),
        format!("COMMENT ON TABLE t IS '{CANARY}'"),
        format!("SET application_name = '{CANARY}'"),
        "RESET application_name".to_owned(),
        format!("DO $$ BEGIN PERFORM '{CANARY}'; END $$"),
        format!("PREPARE p AS SELECT * FROM t WHERE b = 1 AND '{CANARY}' <> 'x'"),
        format!("COPY (SELECT '{CANARY}') TO '/dev/null'"),
        format!("SELECT a FROM t WHERE b = 5 AND a::text <> '{CANARY}'"),
    ] {
        db.sql(&statement).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let on = format!("{} password={CANARY}", db.conninfo());
    let log = at("log.jsonl");
    let snapshot = at("snapshot.pgwright");
    let mut said = String::new();
    for args in [
        &["doctor"][..],
        &["doctor", "--grants"],
        &["optimize", "-v"],
        &["optimize", "-vvv"],
        &["optimize", "--format", "json"],
        &["optimize", "--format", "sql"],
        &["optimize", "--apply", "--quiet"],
        &["log"],
        &["log", "1"],
        &["log", "--format", "json"],
        &["rollback", "--all"],
        &["snapshot", "-o", &snapshot],
        &["optimize", "--explain-as", &format!("postgres://nobody:{CANARY}@127.0.0.1:1/x")],
    ] {
        let variables = [("PGWRIGHT_DATABASE", on.as_str()), ("PGWRIGHT_LOG_FILE", &log)];
        let output = cli_with(args, &variables, "");
        assert!(matches!(output.status, Some(0 | 3)), "{args:?}: {output:?}");
        for text in [&output.stdout, &output.stderr] {
            assert!(!text.contains(CANARY), "{args:?} tells the secret: {text}");
        }
        said.push_str(&output.stdout);
    }
    assert!(said.contains("DROP INDEX CONCURRENTLY"), "there was something to do: {said}");
    for (name, text) in files(folder.path()) {
        // The comment on the table is part of no snapshot, nor is any literal of a statement.
        assert!(!text.contains(CANARY), "{name} holds the secret");
    }
    let journal = "SELECT string_agg(l::text, ' ') FROM pgwright.\"OptimizationLog\" l";
    assert!(!db.value(journal).await.contains(CANARY));
    let lines = std::fs::read_to_string(&log).unwrap();
    let events: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |event: &str| events.iter().filter(|line| line["event"] == event).count();
    assert_eq!((count("begin"), count("end")), (13, 13));
    assert!(count("action") >= 2 && count("proposed") >= 5, "{lines}");
    db.sql(&format!("DROP ROLE {role}")).await;
}
