//! The demo's data are what its expectations rest on: shares, skew, order on disk, missing indexes.

use crate::harness::{TestDatabase, database};

const USERS: u32 = 5_000;
const LOGS: u32 = 45_000;

async fn number(db: &TestDatabase, sql: &str) -> f64 {
    db.value(sql).await.parse().unwrap()
}

#[tokio::test]
async fn shares_are_exact_and_activity_is_skewed() {
    let Some(db) = database().await else { return };
    db.load_demo(USERS, LOGS).await;
    for (condition, share) in [
        ("\"role\" = 'STUDENT'", 0.95),
        ("\"role\" = 'TEACHER'", 0.04),
        ("\"role\" = 'ADMIN'", 0.01),
        ("\"preferredLocale\" = 'vi'", 0.80),
        ("\"preferredLocale\" = 'zh'", 0.05),
        ("\"metadata\"->>'theme' = 'dark'", 0.12),
        ("\"metadata\"->>'theme' = 'light'", 0.88),
        ("\"id\" NOT IN (SELECT \"userId\" FROM \"BehaviorLog\")", 0.30),
    ] {
        let found = number(&db, &format!("SELECT count(*) FROM \"User\" WHERE {condition}")).await;
        assert!((found - share * f64::from(USERS)).abs() < 0.5, "{condition}: {found}");
    }
    assert!(
        (number(&db, "SELECT count(*) FROM \"BehaviorLog\"").await - f64::from(LOGS)).abs() < 0.5
    );
    let by_activity = "SELECT count(*) AS logs FROM \"BehaviorLog\" GROUP BY \"userId\"";
    let top = number(&db, &format!("SELECT max(logs) FROM ({by_activity}) AS users")).await;
    assert!(top > 0.01 * f64::from(LOGS), "the busiest user has only {top} log rows");
    let event = |rank: u32| {
        format!(
            "SELECT count(*) FROM \"BehaviorLog\" GROUP BY \"eventType\" \
             ORDER BY 1 DESC OFFSET {rank} LIMIT 1"
        )
    };
    // Zipf 1.1: the first is 2^1.1 = 2.14 times as common as the second, and there are 20.
    let ratio = number(&db, &event(0)).await / number(&db, &event(1)).await;
    assert!((ratio - 2.14).abs() < 0.1, "{ratio}");
    assert!(number(&db, &event(19)).await > 0.0);
}

#[tokio::test]
async fn order_on_disk_and_missing_indexes_are_those_of_a_real_application() {
    let Some(db) = database().await else { return };
    db.load_demo(USERS, LOGS).await;
    let correlation = |table: &str, column: &str| {
        format!(
            "SELECT correlation FROM pg_stats WHERE tablename = '{table}' AND attname = '{column}'"
        )
    };
    assert!(number(&db, &correlation("User", "id")).await.abs() < 0.1);
    assert!(number(&db, &correlation("BehaviorLog", "timestamp")).await > 0.99);
    let late = "SELECT count(*) FROM (SELECT \"timestamp\" < \
                max(\"timestamp\") OVER (ORDER BY \"id\") - interval '1 hour' AS late \
                FROM \"BehaviorLog\") AS logs WHERE late";
    let late = number(&db, late).await / f64::from(LOGS);
    assert!((0.01..0.03).contains(&late), "{late}");
    let indexes = "SELECT indexrelid::regclass::text FROM pg_index \
                   WHERE indrelid = '\"BehaviorLog\"'::regclass";
    assert_eq!(db.value(indexes).await, "\"BehaviorLog_pkey\"");
    let foreign_keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
    assert_eq!(db.value(foreign_keys).await, "7");
}

#[tokio::test]
async fn the_same_load_gives_the_same_rows() {
    let (Some(one), Some(two)) = (database().await, database().await) else { return };
    for db in [&one, &two] {
        db.load_demo(500, 4_500).await;
    }
    // Instants are counted back from the time of the load, and are left out.
    let digest = "SELECT md5(string_agg(md5(concat(\"userId\", \"sessionId\", \"eventType\", \
                  \"payload\")), '' ORDER BY \"id\")) FROM \"BehaviorLog\"";
    assert_eq!(one.value(digest).await, two.value(digest).await);
}
