//! What cannot be undone now, or never, and that it is in nobody's way.

use agent::applier::{Effect, Left};
use agent::journal::{State, Which, attention};
use agent::postgres::Purpose;
use rules::index::Key;

use crate::harness::{Database, database, index_on, name_of, reason};

/// Applies an index on `"userId"`, then drops the second of two indexes on `email`.
async fn two_actions(db: &Database) -> [String; 2] {
    db.sql
        .batch(r#"CREATE INDEX a ON app."Log" (email); CREATE INDEX b ON app."Log" (email)"#)
        .await
        .unwrap();
    let made = index_on(db.log_table().await, vec![Key::column("userId")]);
    let dropped = db.drop_of(db.log_table().await, "b").await;
    for outcome in db.apply(&[made.clone(), dropped]).await.unwrap() {
        assert!(matches!(outcome.effect, Effect::Applied { .. }), "{outcome:?}");
    }
    [name_of(&made), "b".to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_undone_now_does_not_keep_the_others_from_it() {
    let Some(db) = database().await else { return };
    let before = {
        db.sql.batch(r#"CREATE INDEX a ON app."Log" (email)"#).await.unwrap();
        db.sql.batch(r#"CREATE INDEX b ON app."Log" (email)"#).await.unwrap();
        let dump = db.dump().await;
        db.sql.batch("DROP INDEX app.a, app.b").await.unwrap();
        dump
    };
    two_actions(&db).await;
    // A build waits for every snapshot, so the dropped index cannot come back; dropping waits for none.
    let snapshot = db.session().await;
    snapshot.batch("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(
        matches!(&undone[0].effect, Effect::Failed { left: Left::ToBeUndone, .. }),
        "{undone:?}"
    );
    assert_eq!(undone[1].effect, Effect::Reverted { note: None });
    assert_eq!(db.states().await, [State::Reverted, State::RevertPending]);
    let waiting = attention(&db.log().await[1]).unwrap();
    assert!(waiting.what.contains("tries again"), "{waiting:?}");

    snapshot.batch("ROLLBACK").await.unwrap();
    assert_eq!(db.apply(&[]).await.unwrap(), [], "the next run of any kind finishes it");
    assert_eq!(db.states().await, [State::Reverted, State::Reverted]);
    assert_eq!(db.dump().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_undone_goes_to_a_person_and_the_rest_goes_on() {
    let Some(db) = database().await else { return };
    let [made, _] = two_actions(&db).await;
    db.sql.batch(r#"ALTER TABLE app."Log" DROP COLUMN email"#).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(
        matches!(&undone[0].effect, Effect::Failed { sqlstate: Some(code), left: Left::ForAPerson, .. } if code == "42703"),
        "{undone:?}"
    );
    assert_eq!(undone[1].effect, Effect::Reverted { note: None });
    assert_eq!(db.states().await, [State::Reverted, State::Conflict]);
    let told = attention(&db.log().await[1]).unwrap();
    assert!(told.what.contains("column \"email\" does not exist"), "{told:?}");
    assert!(told.steps.iter().any(|step| step.starts_with("pgwright rollback 2")), "{told:?}");

    // Both the next rollback, which tries again, and the next apply go their way.
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(
        matches!(&undone[0].effect, Effect::Failed { left: Left::ForAPerson, .. }),
        "{undone:?}"
    );
    assert_eq!(undone[1].effect, Effect::AlreadyReverted);
    agent::journal::unblock(&db.sql, 1).await.unwrap();
    let action = index_on(db.log_table().await, vec![Key::column("userId")]);
    assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
    assert_eq!(db.indexes().await, ["Log_pkey", &made]);

    // The person makes the index by hand, and rollback closes the row.
    db.sql
        .batch(r#"ALTER TABLE app."Log" ADD COLUMN email varchar(80); CREATE INDEX b ON app."Log" USING btree (email)"#)
        .await
        .unwrap();
    let undone = db.rollback(Which::Id(2)).await.unwrap();
    assert!(matches!(&undone[0].effect, Effect::Reverted { note: Some(_) }), "{undone:?}");
    assert_eq!(db.rollback(Which::Id(2)).await.unwrap()[0].effect, Effect::AlreadyReverted);
    assert_eq!(attention(&db.log().await[1]), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_came_back_in_the_wrong_tablespace_is_told_and_closed_when_moved() {
    let Some(db) = database().await else { return };
    if db.cluster.binaries().major < 15 {
        return;
    }
    let space = format!("elsewhere_{}", db.name);
    db.sql.batch("SET allow_in_place_tablespaces = on").await.unwrap();
    db.sql.batch(&format!("CREATE TABLESPACE {space} LOCATION ''")).await.unwrap();
    let [made, _] = two_actions(&db).await;
    // As a run leaves it that was under a role with a default_tablespace.
    let stuck = format!(
        "CREATE INDEX b ON app.\"Log\" USING btree (email) TABLESPACE {space}; \
         UPDATE pgwright.\"OptimizationLog\" SET state = 'revert_pending' WHERE id = 2"
    );
    db.sql.batch(&stuck).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    let why = reason(&undone[0].effect);
    assert!(why.contains("ALTER INDEX app.b SET TABLESPACE pg_default moves it"), "{why}");
    assert_eq!(undone[1].effect, Effect::Reverted { note: None });
    assert_eq!(db.states().await, [State::Reverted, State::Conflict]);
    assert_eq!(db.indexes().await, ["Log_pkey", "a", "b"], "{made}");
    db.sql.batch("ALTER INDEX app.b SET TABLESPACE pg_default").await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(matches!(&undone[0].effect, Effect::Reverted { note: Some(_) }), "{undone:?}");
    assert_eq!(db.states().await, [State::Reverted, State::Reverted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_closes_the_row_of_its_dropped_index() {
    let Some(db) = database().await else { return };
    two_actions(&db).await;
    db.sql.batch(r#"DROP TABLE app."Log""#).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(matches!(&undone[0].effect, Effect::Reverted { note: Some(_) }), "{undone:?}");
    // What went with the table is closed first.
    assert_eq!(undone[1].effect, Effect::AlreadyReverted);
    assert_eq!(db.states().await, [State::Reverted, State::Reverted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_began_and_meets_an_obstacle_waits_without_blocking() {
    let Some(db) = database().await else { return };
    let [_, _] = two_actions(&db).await;
    // A run was killed in the middle of the undo; since then an event trigger forbids the statement.
    let setup = "UPDATE pgwright.\"OptimizationLog\" SET state = 'reverting' WHERE id = 2; \
                 CREATE FUNCTION app.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
                 CREATE EVENT TRIGGER no_builds ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION app.f()";
    db.sql.batch(setup).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(reason(&undone[0].effect).contains("event trigger no_builds"), "{undone:?}");
    assert_eq!(undone[1].effect, Effect::Reverted { note: None });
    assert_eq!(db.states().await, [State::Reverted, State::RevertPending]);
    db.sql.batch("DROP EVENT TRIGGER no_builds").await.unwrap();
    db.rollback(Which::All).await.unwrap();
    assert_eq!(db.states().await, [State::Reverted, State::Reverted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_apply_leaves_nothing_behind() {
    let Some(db) = database().await else { return };
    let setup = "CREATE FUNCTION app.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
                 CREATE EVENT TRIGGER no_builds ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION app.f(); \
                 CREATE TABLE app.parts (a int) PARTITION BY RANGE (a)";
    db.sql.batch(setup).await.unwrap();
    let parts = index_on(db.table("app", "parts").await, vec![Key::column("a")]);
    let outcomes = db.apply(&[db.an_index().await, parts]).await.unwrap();
    assert!(reason(&outcomes[0].effect).contains("event trigger no_builds"), "{outcomes:?}");
    assert!(reason(&outcomes[1].effect).contains("is partitioned"), "{outcomes:?}");
    db.sql.batch("DROP EVENT TRIGGER no_builds").await.unwrap();
    // Neither does what is there already, nor an index that has to stay.
    db.sql.batch(r#"CREATE INDEX c ON app."Log" ("userId", "timestamp" DESC)"#).await.unwrap();
    let lonely = db.drop_of(db.log_table().await, "c").await;
    let outcomes = db.apply(&[db.an_index().await, lonely]).await.unwrap();
    assert!(matches!(outcomes[0].effect, Effect::AlreadyThere { .. }), "{outcomes:?}");
    assert!(reason(&outcomes[1].effect).contains("has to stay"), "{outcomes:?}");
    let ours = "SELECT FROM pg_namespace WHERE nspname = 'pgwright'";
    assert!(db.sql.query_opt(ours, &[]).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_s_limits_on_idle_sessions_and_transactions_do_not_end_us() {
    let Some(db) = database().await else { return };
    let mut settings =
        vec!["idle_session_timeout = 200", "idle_in_transaction_session_timeout = 200"];
    if db.cluster.binaries().major >= 17 {
        settings.push("transaction_timeout = 200");
    }
    for setting in settings {
        let name = &db.name;
        db.sql
            .batch(&format!("ALTER ROLE postgres IN DATABASE {name} SET {setting}"))
            .await
            .unwrap();
    }
    for purpose in [Purpose::Sample, Purpose::Explain, Purpose::Watch, Purpose::Apply] {
        let meter = agent::postgres::Meter::new();
        let session = agent::postgres::Session::connect(&db.info(), purpose, &meter).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        assert!(session.query("SELECT 1", &[]).await.is_ok(), "{purpose:?}");
    }
    assert!(matches!(db.apply_one(&db.an_index().await).await, Effect::Applied { .. }));
}
