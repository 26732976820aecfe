//! VACUUM (ANALYZE): done and verified, kept, never undone, and not begun where it would be for nothing.

use std::time::Duration;

use agent::applier::Effect;
use agent::journal::{State, Which};

use crate::harness::{apply_with, connect, database, databases, info_of, quick, reason, vacuum_of};

#[tokio::test(flavor = "multi_thread")]
async fn dead_rows_go_pages_become_visible_and_the_file_keeps_its_length() {
    for db in databases().await {
        db.sql.batch("DELETE FROM app.\"Log\" WHERE id > 10000").await.unwrap();
        let size = "SELECT pg_relation_size('app.\"Log\"')";
        let before: i64 = db.sql.query_one(size, &[]).await.unwrap().get(0);
        let action = vacuum_of(db.log_table().await);
        let effect = db.apply_one(&action).await;
        assert!(matches!(effect, Effect::Applied { index_oid: None, .. }), "{effect:?}");
        let sql = "SELECT relallvisible, reltuples::bigint FROM pg_class WHERE oid = 'app.\"Log\"'::regclass";
        let row = db.sql.query_one(sql, &[]).await.unwrap();
        assert!(row.get::<_, i32>(0) > 0);
        assert_eq!(row.get::<_, i64>(1), 10_000);
        assert_eq!(db.sql.query_one(size, &[]).await.unwrap().get::<_, i64>(0), before);
        let entry = db.log().await.remove(0);
        assert_eq!((entry.state, entry.kind.as_str()), (State::Kept, "vacuum"));
        assert_eq!(entry.before["all_visible"], 0);
        assert_eq!(entry.undo, "-- nothing to undo");
        let undone = db.rollback(Which::All).await.unwrap();
        assert!(matches!(&undone[0].effect, Effect::NothingToUndo { .. }), "{undone:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_begun_without_the_right_or_for_nothing() {
    let Some(db) = database().await else { return };
    let action = vacuum_of(db.log_table().await);
    let role = format!("cleaner_{}", db.name);
    let grants =
        format!("CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {} TO {role}", db.name);
    db.sql.batch(&grants).await.unwrap();
    let info = db.info_as(&role);
    let one = std::slice::from_ref(&action);
    let outcomes = apply_with(&info, one, &quick(), &mut |_| {}).await.unwrap();
    assert!(reason(&outcomes[0].effect).contains("only the owner of app.\"Log\" may vacuum it"));

    let reader = connect(&info_of(&db.cluster.conninfo(&db.name))).await;
    reader
        .batch("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
        .await
        .unwrap();
    let mut options = quick();
    options.guards.limits.max_transaction_age = Duration::ZERO;
    let outcomes = apply_with(&db.info(), one, &options, &mut |_| {}).await.unwrap();
    assert!(reason(&outcomes[0].effect).contains("holds a snapshot"), "{outcomes:?}");
    reader.batch("ROLLBACK").await.unwrap();
    assert_eq!(db.states().await, []);

    // A prepared transaction keeps what died since, whatever it has done.
    let prepare =
        format!("BEGIN; CREATE TABLE app.more (); PREPARE TRANSACTION 'kept_{}'", db.name);
    reader.batch(&prepare).await.unwrap();
    assert!(reason(&db.apply_one(&action).await).contains("prepared transaction 'kept_"));
    reader.batch(&format!("ROLLBACK PREPARED 'kept_{}'", db.name)).await.unwrap();

    // Who is at work on the table is not waited for longer than any statement of ours waits.
    reader.batch("BEGIN; LOCK TABLE app.\"Log\" IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    let effect = db.apply_one(&action).await;
    assert!(
        matches!(&effect, Effect::Failed { sqlstate: Some(code), .. } if code == "55P03"),
        "{effect:?}"
    );
    assert_eq!(db.states().await, [State::Aborted]);
    reader.batch("ROLLBACK").await.unwrap();
    assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
}
