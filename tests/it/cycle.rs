//! The whole way on a real server: dry run, apply, apply again, log, roll back, roll back again.

use serde_json::Value;

use crate::harness::{Output, TestDatabase, cli, database_with_hypopg};

/// An application with two missing indexes and one statement that needs none.
const SCHEMA: &str = "
CREATE TABLE customer (id int PRIMARY KEY, email text NOT NULL, city text NOT NULL);
INSERT INTO customer SELECT n, 'user' || n || '@example.com', 'city' || n % 50 FROM generate_series(1, 40000) AS n;
CREATE TABLE \"Order\" (id int PRIMARY KEY, \"customerId\" int NOT NULL, placed timestamptz NOT NULL, cents int NOT NULL);
INSERT INTO \"Order\"
SELECT n, 1 + (n::bigint * 7919) % 40000, timestamptz '2026-01-01' + n * interval '1 minute', n % 1000
FROM generate_series(1, 200000) AS n";

/// Everything that a schema change would change, with oids, so that what was made anew shows as well. Ours is
/// left out.
const CATALOG: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT concat_ws(' ', 'relation', c.oid, n.nspname, c.relname, c.relkind, c.reloptions::text, i.indisvalid,
                   i.indisunique, pg_get_indexdef(i.indexrelid)) AS line
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
  WHERE n.nspname NOT IN ('pgwright', 'pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_temp%'
    AND NOT (n.nspname = 'pg_toast' AND c.oid IN (
      SELECT t.reltoastrelid FROM pg_class t JOIN pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = 'pgwright'
      UNION ALL
      SELECT x.indexrelid FROM pg_index x JOIN pg_class t ON t.reltoastrelid = x.indrelid
      JOIN pg_namespace s ON s.oid = t.relnamespace WHERE s.nspname = 'pgwright'))
  UNION ALL
  SELECT concat_ws(' ', 'column', attrelid, attnum, attname, atttypid, attstattarget, attoptions::text)
  FROM pg_attribute WHERE attrelid IN ('customer'::regclass, '\"Order\"'::regclass) AND attnum > 0
  UNION ALL
  SELECT concat_ws(' ', 'constraint', oid, pg_get_constraintdef(oid)) FROM pg_constraint
  WHERE conrelid IN ('customer'::regclass, '\"Order\"'::regclass)
  UNION ALL
  SELECT concat_ws(' ', 'setting', setdatabase, setrole, setconfig::text) FROM pg_db_role_setting
) AS lines";

async fn load(db: &TestDatabase) {
    db.sql(SCHEMA).await;
    // The rows have to be counted before ANALYZE looks at them, or they count as changed after it.
    let flush = if db.major() >= 15 { "pg_stat_force_next_flush()" } else { "pg_sleep(2)" };
    db.sql(&format!("SELECT {flush}")).await;
    db.sql("VACUUM ANALYZE").await;
    let here = "SELECT oid FROM pg_database WHERE datname = current_database()";
    db.sql(&format!("SELECT pg_stat_statements_reset(0, ({here}), 0)")).await;
}

/// Plays the application: thirty calls of each statement.
async fn play(db: &TestDatabase) {
    for n in 1..=30 {
        let customer = n * 997;
        db.sql(&format!(
            "SELECT id, placed, cents FROM \"Order\" WHERE \"customerId\" = {customer} ORDER BY placed DESC"
        ))
        .await;
        db.sql(&format!(
            "SELECT id, city FROM customer WHERE email = 'user{customer}@example.com'"
        ))
        .await;
        db.sql(&format!("SELECT email FROM customer WHERE id = {customer}")).await;
    }
}

/// Runs a command on the database while the runtime goes on.
async fn run(db: &TestDatabase, args: &[&str]) -> Output {
    let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    args.extend(["-d".to_owned(), db.conninfo()]);
    let ran = tokio::task::spawn_blocking(move || {
        cli(&args.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let output = ran.await.unwrap();
    assert_eq!(output.status, Some(0), "{output:?}");
    output
}

async fn run_json(db: &TestDatabase, args: &[&str]) -> Value {
    let output = run(db, args).await;
    serde_json::from_str(&output.stdout).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

/// The short ids of the actions that are above the gate, or of those below it.
fn actions(report: &Value, due: bool) -> Vec<&str> {
    let actions = list(report, "actions").iter().filter(|action| action["applies"] == due);
    actions.map(|action| action["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_applied_stands_is_not_applied_twice_and_is_taken_back() {
    let Some(db) = database_with_hypopg().await else { return };
    load(&db).await;
    play(&db).await;
    let before = db.value(CATALOG).await;
    let ours = "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgwright'";

    // The dry run finds both and changes nothing.
    let dry = run_json(&db, &["optimize", "--format", "json"]).await;
    let mut keys: Vec<String> = list(&dry, "actions")
        .iter()
        .filter(|action| action["applies"] == true)
        .map(|action| format!("{} {}", action["table"], action["index"]["keys"]))
        .collect();
    keys.sort();
    assert_eq!(keys.len(), 2, "{dry:#}");
    assert!(keys[0].contains("\"Order") && keys[0].contains("customerId"), "{keys:?}");
    assert!(keys[1].contains("customer") && keys[1].contains("email"), "{keys:?}");
    assert_eq!(db.value(CATALOG).await, before);
    assert_eq!(db.value(ours).await, "0");

    // What it promised is what is built: real, valid, under our names, each with its row.
    let first = run_json(&db, &["optimize", "--apply", "--format", "json"]).await;
    assert_eq!(actions(&first, true), actions(&dry, true));
    let outcomes = list(&first["applied"], "outcomes");
    assert_eq!(outcomes.len(), 2, "{first:#}");
    assert!(outcomes.iter().all(|outcome| outcome["result"] == "applied"), "{outcomes:#?}");
    let built = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
                 WHERE relname LIKE 'pgw\\_%' AND indisvalid AND indisready AND indislive";
    assert_eq!(db.value(built).await, "2");
    let rows = "SELECT count(*) FROM pgwright.\"OptimizationLog\"";
    assert_eq!(db.value(rows).await, "2");
    let explain =
        "EXPLAIN (FORMAT JSON) SELECT id, city FROM customer WHERE email = 'user5@example.com'";
    assert!(db.value(explain).await.contains("pgw_customer_email"), "the new index is not used");
    let applied = db.value(CATALOG).await;

    // A second run finds nothing that the first did not, and changes nothing.
    let second = run_json(&db, &["optimize", "--apply", "--format", "json"]).await;
    assert_eq!(list(&second["applied"], "outcomes"), &[] as &[Value], "{second:#}");
    let known = actions(&first, false);
    assert!(actions(&second, true).is_empty(), "{second:#}");
    assert!(actions(&second, false).iter().all(|action| known.contains(action)), "{second:#}");
    assert_eq!(db.value(rows).await, "2");
    assert_eq!(db.value(CATALOG).await, applied);

    // The journal tells of both, in full as well.
    let log = run_json(&db, &["log", "--format", "json"]).await;
    let entries = list(&log, "entries");
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert_eq!(entry["state"], "observing");
        let index = entry["index"].as_str().unwrap();
        assert!(index.starts_with("pgw_"), "{index}");
        let one = run(&db, &["log", &entry["id"].to_string()]).await.stdout;
        assert!(one.contains(index) && one.contains("undo: DROP INDEX CONCURRENTLY"), "{one}");
    }

    // All of it goes, and what was there before is as it was.
    let undone = run(&db, &["rollback", "--all"]).await.stdout;
    assert!(undone.contains("Undone 2 of 2 actions"), "{undone}");
    assert_eq!(db.value(built).await, "0");
    assert_eq!(db.value(CATALOG).await, before);
    let again = run(&db, &["rollback", "--all"]).await.stdout;
    assert!(again.contains("Undone 0 of 2 actions"), "{again}");
    assert!(again.contains("Nothing was left to undo of 2"), "{again}");
    assert_eq!(db.value(CATALOG).await, before);
}

#[tokio::test]
async fn a_dry_run_twice_says_the_same() {
    let Some(db) = database_with_hypopg().await else { return };
    load(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("workload.sql");
    std::fs::write(
        &file,
        "SELECT id FROM \"Order\" WHERE \"customerId\" = 5; SELECT id FROM customer WHERE email = 'user5@example.com';",
    )
    .unwrap();
    let args = ["optimize", "--format", "json", "--workload", file.to_str().unwrap()];
    let (one, two) = (run(&db, &args).await.stdout, run(&db, &args).await.stdout);
    assert!(one.contains("CREATE INDEX CONCURRENTLY"), "{one}");
    assert_eq!(one, two);
}

#[tokio::test]
async fn statistics_are_taken_first_and_then_trusted_in_the_same_run() {
    let Some(db) = database_with_hypopg().await else { return };
    db.sql("CREATE TABLE visit (id int, visitor int, page text) WITH (autovacuum_enabled = off)")
        .await;
    db.sql("INSERT INTO visit SELECT n, n % 20000, 'page' || n % 100 FROM generate_series(1, 200000) n").await;
    for visitor in 1..=20 {
        db.sql(&format!("SELECT id, page FROM visit WHERE visitor = {visitor}")).await;
    }
    let dry = run_json(&db, &["optimize", "--format", "json"]).await;
    let due: Vec<_> =
        list(&dry, "actions").iter().filter(|action| action["applies"] == true).collect();
    assert_eq!(due.len(), 1, "{dry:#}");
    assert_eq!(due[0]["kind"], "analyze");

    let applied = run_json(&db, &["optimize", "--apply", "--format", "json"]).await;
    let outcomes = list(&applied["applied"], "outcomes");
    assert!(outcomes.iter().all(|outcome| outcome["result"] == "applied"), "{applied:#}");
    let kinds: Vec<_> = list(&applied, "actions").iter().map(|action| &action["kind"]).collect();
    assert_eq!(kinds, ["analyze", "create_index"], "{applied:#}");
    let index =
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'visit' AND indexdef LIKE '%(visitor)'";
    assert_eq!(db.value(index).await, "1");

    let again = run_json(&db, &["optimize", "--apply", "--format", "json"]).await;
    assert!(list(&again, "actions").is_empty(), "{again:#}");
}

#[tokio::test]
async fn a_constant_that_normalization_hid_is_learned_from_an_open_session() {
    let Some(db) = database_with_hypopg().await else { return };
    db.sql("CREATE TABLE account (id int PRIMARY KEY, created timestamptz, settings jsonb)").await;
    db.sql(
        "INSERT INTO account SELECT n, timestamptz '2026-01-01' + n * interval '1 minute', jsonb_build_object(\
         'theme', CASE WHEN n % 9 = 0 THEN 'dark' ELSE 'light' END, 'plan', CASE WHEN n % 7 = 0 THEN 'pro' ELSE 'free' END) \
         FROM generate_series(1, 100000) n",
    )
    .await;
    db.sql("SELECT pg_sleep(1.1)").await;
    db.sql("VACUUM ANALYZE account").await;
    let session = db.connect().await;
    for _ in 0..10 {
        let sql = "SELECT id FROM account WHERE settings->>'theme' = 'dark' ORDER BY created DESC LIMIT 20";
        session.simple_query(sql).await.unwrap();
    }
    let report = run_json(&db, &["optimize", "--format", "json"]).await;
    let due: Vec<_> =
        list(&report, "actions").iter().filter(|action| action["applies"] == true).collect();
    let keys: Vec<_> =
        due.iter().filter(|a| a["kind"] == "create_index").map(|a| &a["index"]["keys"]).collect();
    assert_eq!(keys.len(), 1, "{report:#}");
    assert_eq!(*keys[0], serde_json::json!(["(settings ->> 'theme')", "created"]), "{report:#}");
    drop(session);
}
