//! What people see of the journal, and what they may write in it: which objects its rows explain, times without an end,
//! rows of another database, and what the log file tells of verdicts.

use std::process::Command;

use agent::postgres::{Meter, Purpose, Session};
use serde_json::Value;

use crate::harness::{TestDatabase, binaries, database, say};
use crate::verify::{carry_out, flush, index, info, row, run};

/// A small table with an index that pgwright made; returns the index's name.
async fn made(db: &TestDatabase) -> String {
    db.sql(
        "CREATE TABLE visit (id int PRIMARY KEY, page int NOT NULL);
         INSERT INTO visit SELECT n, n % 10 FROM generate_series(1, 2000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE visit").await;
    let action = index(db, "visit", &["page"], "SELECT count(*) FROM visit WHERE page = 3").await;
    carry_out(db, action).await
}

/// What a command says, as one line.
async fn told(db: &TestDatabase, args: &[&str]) -> String {
    run(db, args).await.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn set(db: &TestDatabase, what: &str) {
    db.sql(&format!("UPDATE pgwright.\"OptimizationLog\" SET {what}")).await;
}

#[tokio::test]
async fn a_row_explains_an_index_only_while_it_says_that_it_is_there() {
    let Some(db) = database().await else { return };
    let name = made(&db).await;
    let none = "indexes and statistics without a row: none";
    for state in ["observing", "kept", "conflict", "cleanup_pending", "revert_pending"] {
        set(&db, &format!("\"state\" = '{state}'")).await;
        let said = told(&db, &["doctor"]).await;
        assert!(said.contains(none), "{state}: {said}");
    }
    for state in ["reverted", "aborted"] {
        set(&db, &format!("\"state\" = '{state}'")).await;
        let said = told(&db, &["doctor"]).await;
        assert!(said.contains(&format!("no row of public.{name}")), "{state}: {said}");
    }

    // Only what an open row is about is finished or removed by the next run.
    db.sql(&format!(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass"
    ))
    .await;
    let finishes =
        format!("the next `pgwright optimize --apply` finishes or removes public.{name}");
    let said = told(&db, &["doctor"]).await;
    assert!(said.contains(&format!("DROP INDEX CONCURRENTLY public.{name};")), "{said}");
    assert!(!said.contains(&finishes), "{said}");
    set(&db, "\"state\" = 'cleanup_pending'").await;
    let said = told(&db, &["doctor"]).await;
    assert!(said.contains(&finishes) && !said.contains("DROP INDEX CONCURRENTLY"), "{said}");
}

#[tokio::test]
async fn a_person_may_block_an_action_for_ever() {
    let Some(db) = database().await else { return };
    made(&db).await;
    // Every time that a row has, however far away.
    set(
        &db,
        "\"createdAt\" = '-infinity', \"updatedAt\" = '290000-01-01', \"appliedAt\" = '-infinity', \
         \"blockedUntil\" = 'infinity'",
    )
    .await;
    let list = told(&db, &["log"]).await;
    assert!(list.contains("blocked for ever") && !list.contains(", blocked"), "{list}");
    assert!(
        told(&db, &["log", "1"]).await.contains("blocked for ever; `pgwright log --unblock 1`")
    );
    let log: Value =
        serde_json::from_str(&run(&db, &["log", "--format", "json"]).await.stdout).unwrap();
    assert_eq!(log["entries"][0]["blocked_until"], "9999-12-31T23:59:59Z", "{log:#}");
    run(&db, &["verify"]).await;
    run(&db, &["rollback", "--all"]).await;
    // Taking it back blocks it for a time, which must not shorten what the person said.
    let blocked = "SELECT \"state\" || ' ' || \"blockedUntil\" FROM pgwright.\"OptimizationLog\"";
    assert_eq!(db.value(blocked).await, "reverted infinity");
    set(&db, "\"revertedAt\" = 'infinity', \"verdict\" = 'unused'").await;
    assert!(told(&db, &["log", "1"]).await.contains("undone 9999-12-31T23:59:59Z"));
    assert!(told(&db, &["log", "--unblock", "1"]).await.contains("may be tried again"));
    assert_eq!(row(&db).await.2, "");

    // The switch as well.
    db.sql("UPDATE pgwright.\"Control\" SET \"pausedUntil\" = 'infinity'").await;
    let session = Session::connect(&info(&db), Purpose::Other, &Meter::new()).await.unwrap();
    let why = agent::journal::pause(&session).await.unwrap().unwrap();
    assert!(why.starts_with("pgwright is paused for ever (UPDATE"), "{why}");
}

#[tokio::test]
async fn a_journal_is_explained_and_comes_whole_out_of_a_dump() {
    let Some(db) = database().await else { return };
    made(&db).await;
    let unexplained = "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
        WHERE c.relnamespace = 'pgwright'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0 \
        AND col_description(c.oid, a.attnum) IS NULL";
    assert_eq!(db.value(unexplained).await, "0");

    let program = binaries().unwrap().bin.join("pg_dump");
    if !program.exists() {
        say("SKIPPED: there is no pg_dump of the server's version");
        return;
    }
    let dump = Command::new(program)
        .args(["--schema=pgwright", "--inserts", "-d", &db.conninfo()])
        .output()
        .unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dump = String::from_utf8(dump.stdout).unwrap();
    db.sql("DROP SCHEMA pgwright CASCADE").await;
    // Later minor versions put a random key around the dump, for psql.
    let script: Vec<&str> = dump.lines().filter(|line| !line.starts_with('\\')).collect();
    db.sql(&script.join("\n")).await;
    let log = run(&db, &["log"]).await;
    assert!(log.status == Some(0) && log.stdout.contains("create index"), "{log:?}");
}

#[tokio::test]
async fn rows_that_came_with_a_copy_are_marked() {
    let Some(db) = database().await else { return };
    made(&db).await;
    assert!(!told(&db, &["log"]).await.contains("in another database"));
    set(&db, "\"databaseOid\" = 1").await;
    assert!(told(&db, &["log"]).await.contains("applied, in another database"));
    assert!(told(&db, &["log", "1"]).await.contains("applied, in another database"));
    let log: Value =
        serde_json::from_str(&run(&db, &["log", "--format", "json"]).await.stdout).unwrap();
    assert_eq!(log["entries"][0]["elsewhere"], true, "{log:#}");
}

#[tokio::test]
async fn a_watch_that_sees_nothing_says_so_even_when_quiet() {
    let Some(db) = database().await else { return };
    let name = made(&db).await;
    flush(&db).await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let path = log.path().to_str().unwrap().to_owned();
    db.sql("DROP EXTENSION pg_stat_statements").await;
    let blind = run(&db, &["verify", "--quiet"]).await;
    assert_eq!((blind.stdout.as_str(), blind.stderr.lines().count()), ("", 1), "{blind:?}");
    assert!(blind.stderr.contains("pg_stat_statements is not installed here"), "{blind:?}");

    // The end of watching is in the log file, with the verdict and what it rests on.
    db.sql(&format!("DROP INDEX {name}")).await;
    run(&db, &["verify", "--quiet", "--log-file", &path]).await;
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["event"], &lines[0]["apply"]), (&"begin".into(), &true.into()), "{text}");
    let verdict = lines.iter().find(|line| line["event"] == "verdict").unwrap();
    assert_eq!((&verdict["verdict"], &verdict["level"]), (&"by_hand".into(), &"warn".into()));
    assert_eq!((&verdict["index"], &verdict["state"]), (&name.as_str().into(), &"reverted".into()));
    assert_eq!(verdict["reason"], "a person took it back");

    let idle = run(&db, &["verify", "--quiet"]).await;
    assert_eq!((idle.stdout, idle.stderr), (String::new(), String::new()));
}
