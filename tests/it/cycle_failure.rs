//! An action that failed and would fail again is not tried again by the next run.

use serde_json::Value;

use crate::harness::{Output, TestDatabase, cli, database_with_hypopg};

async fn run(db: &TestDatabase, args: &[&str]) -> Output {
    let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    args.extend(["-d".to_owned(), db.conninfo()]);
    let ran = tokio::task::spawn_blocking(move || {
        cli(&args.iter().map(String::as_str).collect::<Vec<_>>())
    });
    ran.await.unwrap()
}

/// The one action that makes an index.
async fn proposed(db: &TestDatabase) -> Value {
    let output = run(db, &["optimize", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let actions = report["actions"].as_array().unwrap();
    let index = actions.iter().find(|action| action["kind"] == "create_index");
    index.unwrap_or_else(|| panic!("{report:#}")).clone()
}

#[tokio::test]
async fn what_failed_for_good_is_left_to_a_person_for_a_while() {
    let Some(db) = database_with_hypopg().await else { return };
    db.sql("CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, pad text)").await;
    db.sql(
        "INSERT INTO t SELECT n, n % 20000, repeat('x', 100) FROM generate_series(1, 100000) AS n",
    )
    .await;
    db.sql(if db.major() >= 15 {
        "SELECT pg_stat_force_next_flush()"
    } else {
        "SELECT pg_sleep(2)"
    })
    .await;
    db.sql("VACUUM ANALYZE").await;
    for n in 1..=30 {
        db.sql(&format!("SELECT id FROM t WHERE a = {n}")).await;
    }
    assert_eq!(proposed(&db).await["applies"], true);
    // A journal as such a failure leaves it: the row of the action, with the server's code.
    for args in [&["optimize", "--apply"][..], &["rollback", "--all"][..]] {
        let output = run(&db, args).await;
        assert_eq!(output.status, Some(0), "{output:?}");
    }
    // What a person took back is left to a person, until one lifts the block.
    let held = proposed(&db).await;
    assert_eq!(held["applies"], false);
    assert!(held["evidence"].to_string().contains("a person took it back"), "{held:#}");
    let output = run(&db, &["log", "--unblock", "1"]).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(proposed(&db).await["applies"], true);
    let set = |code: &str, days: u32| {
        format!(
            "UPDATE pgwright.\"OptimizationLog\" SET state = 'aborted', \"lastSqlstate\" = '{code}', \
             \"lastError\" = 'index row requires 12816 bytes', \"updatedAt\" = now() - interval '{days} days' \
             WHERE kind = 'create_index'"
        )
    };
    db.sql(&set("54000", 0)).await;
    let held = proposed(&db).await;
    assert_eq!((&held["applies"], &held["reach"]), (&false.into(), &"advise".into()));
    let told = held["evidence"].to_string();
    assert!(told.contains("would fail again: index row requires 12816 bytes"), "{told}");
    let output = run(&db, &["optimize", "--apply", "--quiet"]).await;
    assert_eq!(output.status, Some(0), "cron is not alarmed again: {output:?}");
    // A lock that was not to be had is no reason, nor is a failure of long ago.
    db.sql(&set("55P03", 0)).await;
    assert_eq!(proposed(&db).await["applies"], true);
    db.sql(&set("54000", 91)).await;
    assert_eq!(proposed(&db).await["applies"], true);
}
