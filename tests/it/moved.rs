//! What people rename or move meanwhile is followed, taken back all the same, or left alone with a reason that leads on.

use crate::harness::{Output, TestDatabase, cli, database};
use crate::verify::{carry_out, index, is_there, row, run, statistics, taken_back};

async fn table(db: &TestDatabase) {
    db.sql(
        "CREATE SCHEMA arch; CREATE TABLE visit (id int PRIMARY KEY, page int NOT NULL, site int NOT NULL);
         INSERT INTO visit SELECT n, n % 10, n % 20 FROM generate_series(1, 2000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE visit").await;
}

/// A table with an index of ours on it.
async fn made(db: &TestDatabase) -> String {
    table(db).await;
    let action = index(db, "visit", &["page"], "SELECT count(*) FROM visit WHERE page = 1").await;
    carry_out(db, action).await
}

/// Runs the program, which need not succeed.
async fn attempt(db: &TestDatabase, args: &'static [&'static str]) -> Output {
    let conninfo = db.conninfo();
    let all = move || cli(&[args, &["-d", &conninfo]].concat());
    tokio::task::spawn_blocking(all).await.unwrap()
}

/// Has it rolled back, which is refused for a reason.
async fn refused(db: &TestDatabase, because: &str) {
    let output = attempt(db, &["rollback", "--all"]).await;
    assert_eq!(output.status, Some(4), "{output:?}");
    let said = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(because), "{output:?}");
}

async fn count(db: &TestDatabase) -> String {
    db.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'").await
}

#[tokio::test]
async fn an_index_that_moved_with_its_table_is_watched_and_taken_back_there() {
    let Some(db) = database().await else { return };
    made(&db).await;
    for moved in
        ["ALTER TABLE visit SET SCHEMA arch", "ALTER TABLE arch.visit RENAME TO \"Old visits\""]
    {
        db.sql(moved).await;
        run(&db, &["verify", "--every", "0s"]).await;
        assert_eq!(row(&db).await.0, "observing", "{moved}");
    }
    run(&db, &["rollback", "--all"]).await;
    assert_eq!(row(&db).await.0, "reverted");
    assert_eq!(count(&db).await, "0");
}

#[tokio::test]
async fn a_half_made_index_is_removed_where_its_table_went() {
    let Some(db) = database().await else { return };
    let name = made(&db).await;
    // As a run leaves it that is killed during the build.
    db.sql(&format!(
        "UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = '{name}'::regclass;
         UPDATE pgwright.\"OptimizationLog\" SET \"state\" = 'applying', \"indexOid\" = NULL, \"definition\" = NULL;
         ALTER TABLE visit SET SCHEMA arch"
    ))
    .await;
    run(&db, &["verify", "--every", "0s"]).await;
    assert_eq!((row(&db).await.0.as_str(), count(&db).await.as_str()), ("aborted", "0"));
}

#[tokio::test]
async fn a_renamed_index_is_left_alone_until_it_has_its_name_back() {
    let Some(db) = database().await else { return };
    let name = made(&db).await;
    db.sql(&format!("ALTER INDEX {name} RENAME TO mine")).await;
    run(&db, &["verify", "--every", "0s"]).await;
    assert_eq!(row(&db).await.0, "observing");
    refused(&db, "was renamed to public.mine").await;
    assert!(is_there(&db, "mine").await);
    db.sql(&format!("ALTER INDEX mine RENAME TO {name}")).await;

    db.sql(&format!("COMMENT ON INDEX {name} IS 'keep'")).await;
    refused(&db, "meanwhile has a comment; take that away first").await;
    db.sql(&format!("COMMENT ON INDEX {name} IS NULL")).await;

    run(&db, &["rollback", "--all"]).await;
    assert_eq!((row(&db).await.0.as_str(), count(&db).await.as_str()), ("reverted", "0"));
}

#[tokio::test]
async fn what_went_with_its_table_was_taken_back_by_nobody() {
    let Some(db) = database().await else { return };
    let anew = "CREATE TABLE fresh (LIKE visit INCLUDING CONSTRAINTS); INSERT INTO fresh SELECT * FROM visit;
                DROP TABLE visit; ALTER TABLE fresh RENAME TO visit";
    let name = made(&db).await;
    db.sql(anew).await;
    run(&db, &["verify", "--every", "0s"]).await;
    assert_eq!(row(&db).await, ("reverted".to_owned(), String::new(), String::new()));
    let why = db.value(r#"SELECT "note" FROM pgwright."OptimizationLog""#).await;
    assert!(why.contains("made anew"), "{why}");
    // It may be made on the new table at once, whether or not verify was here in between.
    for _ in 0..2 {
        let action =
            index(&db, "visit", &["page"], "SELECT count(*) FROM visit WHERE page = 1").await;
        carry_out(&db, action).await;
        assert!(is_there(&db, &name).await);
        db.sql(anew).await;
    }
    // Nobody knows whose an index of the same name is that came with the new table, from a dump perhaps.
    db.sql(&format!("CREATE INDEX {name} ON visit (page)")).await;
    let output = attempt(&db, &["verify", "--every", "0s"]).await;
    assert!(output.stdout.contains("made anew, perhaps from a dump"), "{output:?}");
    let last = r#"SELECT "state" FROM pgwright."OptimizationLog" ORDER BY "id" DESC LIMIT 1"#;
    assert_eq!(db.value(last).await, "conflict");
    assert!(is_there(&db, &name).await);
    run(&db, &["verify", "--every", "0s"]).await;
}

#[tokio::test]
async fn what_is_on_a_renamed_column_is_taken_back() {
    let Some(db) = database().await else { return };
    let name = made(&db).await;
    let meant = "SELECT count(*) FROM visit WHERE page = 1 AND site = 1";
    carry_out(&db, statistics(&db, "visit", &["page", "site"], meant).await).await;
    db.sql("ALTER TABLE visit RENAME page TO leaf; ALTER TABLE visit RENAME site TO page").await;
    // Of the same name, and something else.
    db.sql("CREATE INDEX theirs ON visit (page)").await;
    run(&db, &["verify", "--every", "0s"]).await;
    run(&db, &["rollback", "--all"]).await;
    assert!(!is_there(&db, &name).await && is_there(&db, "theirs").await);
    assert_eq!(db.value("SELECT count(*) FROM pg_statistic_ext").await, "0");
}

#[tokio::test]
async fn a_half_made_index_on_a_renamed_column_is_removed() {
    let Some(db) = database().await else { return };
    let name = made(&db).await;
    db.sql(&format!(
        "UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = '{name}'::regclass;
         UPDATE pgwright.\"OptimizationLog\" SET \"state\" = 'applying', \"indexOid\" = NULL, \"definition\" = NULL;
         ALTER TABLE visit RENAME page TO leaf"
    ))
    .await;
    run(&db, &["verify", "--every", "0s"]).await;
    assert_eq!((row(&db).await.0.as_str(), count(&db).await.as_str()), ("aborted", "0"));
}

#[tokio::test]
async fn statistics_that_moved_are_left_alone_and_their_table_is_followed() {
    let Some(db) = database().await else { return };
    table(&db).await;
    let meant = "SELECT count(*) FROM visit WHERE page = 1 AND site = 1";
    let name = carry_out(&db, statistics(&db, "visit", &["page", "site"], meant).await).await;
    db.sql(&format!("ALTER STATISTICS {name} SET SCHEMA arch; ALTER TABLE visit RENAME TO visits"))
        .await;
    run(&db, &["verify", "--every", "0s"]).await;
    assert_eq!(row(&db).await.0, "observing");
    refused(&db, "is in schema arch by now").await;
    db.sql(&format!("ALTER STATISTICS arch.{name} SET SCHEMA public")).await;
    run(&db, &["rollback", "--all"]).await;
    assert_eq!(db.value("SELECT count(*) FROM pg_statistic_ext").await, "0");
}

#[tokio::test]
async fn what_a_person_took_back_after_it_was_kept_is_blocked() {
    let Some(db) = database().await else { return };
    let name = made(&db).await;
    let keep = r#"UPDATE pgwright."OptimizationLog" SET "state" = 'kept', "verdict" = 'kept'"#;
    db.sql(keep).await;
    db.sql(&format!("DROP INDEX {name}")).await;
    // Seen by the next verify, which has nothing else to do.
    let said = run(&db, &["verify", "--every", "0s"]).await.stdout;
    assert!(said.contains("taken back by a person"), "{said}");
    taken_back(&row(&db).await, "by_hand");

    // A rollback says the same.
    run(&db, &["log", "--unblock", "1"]).await;
    db.sql(r#"DELETE FROM pgwright."OptimizationLog""#).await;
    let action = index(&db, "visit", &["page"], "SELECT count(*) FROM visit WHERE page = 1").await;
    carry_out(&db, action).await;
    db.sql(keep).await;
    run(&db, &["rollback", "--all"]).await;
    taken_back(&row(&db).await, "by_hand");
}
