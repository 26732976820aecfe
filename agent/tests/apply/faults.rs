//! Locks, cancels, kills: whatever ends a run, nothing unusable stays behind unsaid.

use std::time::{Duration, Instant};

use agent::applier::{ApplyError, ApplyOptions, Effect, ErrorKind, Event, Left};
use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::journal::{State, Which};
use agent::postgres::Session;
use rules::index::Key;
use tokio::sync::watch;

use crate::harness::{
    Database, apply_with, connect, database, index_on, info_of, name_of, quick, reason, skip,
};

/// A transaction that has written to the table: an index build waits for its end.
async fn writer(db: &Database) -> Session {
    let session = db.session().await;
    session.batch(r#"BEGIN; UPDATE app."Log" SET email = '' WHERE id = 1"#).await.unwrap();
    session
}

/// A transaction with a snapshot: an index build waits for its end in its last phase.
async fn reader(db: &Database) -> Session {
    let session = db.session().await;
    session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
    session
}

/// Waits until a build is under way that waits for others.
async fn building(db: &Database) -> i32 {
    let since = Instant::now();
    loop {
        let sql = "SELECT pid FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%' AND datname = current_database()";
        if let Some(row) = db.sql.query_opt(sql, &[]).await.unwrap() {
            return row.get(0);
        }
        assert!(since.elapsed() < Duration::from_secs(20), "no build began");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn stubborn() -> ApplyOptions {
    ApplyOptions { lock_timeout: Duration::from_mins(1), ..quick() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_to_be_had_leaves_nothing() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let holder = db.session().await;
    holder.batch(r#"BEGIN; LOCK TABLE app."Log" IN SHARE UPDATE EXCLUSIVE MODE"#).await.unwrap();
    let mut waited = 0;
    let outcomes = apply_with(&db.info(), std::slice::from_ref(&action), &quick(), &mut |event| {
        waited += u32::from(matches!(event, Event::Waiting { .. }));
    })
    .await
    .unwrap();
    assert!(
        matches!(&outcomes[0].effect, Effect::Failed { sqlstate: Some(code), left: Left::Nothing, .. } if code == "55P03"),
        "{outcomes:?}"
    );
    assert_eq!((waited, db.indexes().await), (1, vec!["Log_pkey".to_owned()]));
    let entry = db.log().await.remove(0);
    assert_eq!(
        (entry.state, entry.attempts, entry.last_sqlstate.as_deref()),
        (State::Aborted, 2, Some("55P03"))
    );
    holder.batch("ROLLBACK").await.unwrap();
    assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_late_is_cleaned_up() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let snapshot = reader(&db).await;
    let effect = db.apply_one(&action).await;
    assert!(
        matches!(&effect, Effect::Failed { sqlstate: Some(code), left: Left::Cleaned, .. } if code == "55P03"),
        "{effect:?}"
    );
    assert_eq!(db.indexes().await, ["Log_pkey"]);
    assert_eq!(db.states().await, [State::Aborted]);
    snapshot.batch("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn remains_that_cannot_be_dropped_are_said_and_removed_by_the_next_run() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let holder = writer(&db).await;
    let effect = db.apply_one(&action).await;
    assert!(matches!(&effect, Effect::Failed { left: Left::Pending, .. }), "{effect:?}");
    let entry = db.log().await.remove(0);
    assert_eq!(entry.state, State::CleanupPending);
    assert!(entry.note.as_ref().unwrap().contains("could not be dropped"), "{entry:?}");
    assert_eq!(db.indexes().await, ["Log_pkey", &format!("{}!", name_of(&action))]);
    // Still not to be had: another build on the table has to wait, and says so.
    let other = index_on(db.log_table().await, vec![Key::column("email")]);
    assert!(reason(&db.apply_one(&other).await).contains("what action 1 left on app.\"Log\""));
    assert_eq!(db.states().await, [State::CleanupPending]);
    assert!(reason(&db.rollback(Which::All).await.unwrap()[0].effect).contains("unfinished"));
    holder.batch("ROLLBACK").await.unwrap();
    let mut recovered = Vec::new();
    let outcomes = apply_with(&db.info(), std::slice::from_ref(&action), &quick(), &mut |event| {
        if let Event::Recovered { state, .. } = event {
            recovered.push(state);
        }
    })
    .await
    .unwrap();
    assert_eq!(recovered, [State::Aborted]);
    assert!(matches!(outcomes[0].effect, Effect::Applied { .. }), "{outcomes:?}");
    assert_eq!(db.indexes().await, ["Log_pkey", &name_of(&action)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_takes_too_long_is_ended() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let snapshot = reader(&db).await;
    let options = ApplyOptions { build_floor: Duration::from_millis(600), ..stubborn() };
    let outcomes = apply_with(&db.info(), &[action], &options, &mut |_| {}).await.unwrap();
    assert!(
        matches!(&outcomes[0].effect, Effect::Failed { sqlstate: Some(code), left: Left::Cleaned, message } if code == "57014" && message.contains("statement timeout")),
        "{outcomes:?}"
    );
    assert_eq!(db.indexes().await, ["Log_pkey"]);
    drop(snapshot);
}

#[tokio::test(flavor = "multi_thread")]
async fn we_give_way_to_those_who_wait_behind_us() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let snapshot = reader(&db).await;
    let info = db.info();
    let run =
        tokio::spawn(async move { apply_with(&info, &[action], &stubborn(), &mut |_| {}).await });
    building(&db).await;
    let since = Instant::now();
    let human = db.session().await;
    human.set_lock_timeout(Duration::from_secs(20)).await.unwrap();
    human.batch(r#"ALTER TABLE app."Log" ADD COLUMN note text"#).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    let outcomes = run.await.unwrap().unwrap();
    assert!(
        matches!(&outcomes[0].effect, Effect::Failed { message, .. } if message.contains("had waited behind it")),
        "{outcomes:?}"
    );
    assert_eq!(db.indexes().await, ["Log_pkey"]);
    drop(snapshot);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_can_stop_a_build() {
    let Some(db) = database().await else { return };
    let table = db.log_table().await;
    let actions = [db.an_index().await, index_on(table, vec![Key::column("email")])];
    let snapshot = reader(&db).await;
    let (stop, stopped) = watch::channel(false);
    let options = ApplyOptions { stop: Some(stopped), ..stubborn() };
    let info = db.info();
    let run = tokio::spawn(async move {
        let mut phases = Vec::new();
        let result = apply_with(&info, &actions, &options, &mut |event| {
            if let Event::Progress { phase, .. } = event {
                phases.push(phase);
            }
        })
        .await;
        (result, phases)
    });
    building(&db).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.send(true).unwrap();
    let (result, phases) = run.await.unwrap();
    let error = result.unwrap_err();
    assert!(matches!(error, ApplyError::Interrupted));
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(phases.iter().any(|phase| phase.starts_with("waiting")), "{phases:?}");
    assert_eq!(db.indexes().await, ["Log_pkey"]);
    assert_eq!(db.states().await, [State::Aborted]);
    drop(snapshot);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_run_at_a_time() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let holder = writer(&db).await;
    let (info, first) = (db.info(), action.clone());
    let run =
        tokio::spawn(async move { apply_with(&info, &[first], &stubborn(), &mut |_| {}).await });
    let pid = building(&db).await;
    let hasty = ApplyOptions { runner_wait: Duration::ZERO, ..quick() };
    let error = apply_with(&db.info(), std::slice::from_ref(&action), &hasty, &mut |_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ApplyError::OtherRun { pid: other, user: Some(user) } if *other == pid && user == "postgres"),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::Refused);
    // One that waits neither deadlocks with the first nor does its work again.
    let (info, second) = (db.info(), action.clone());
    let waiting =
        tokio::spawn(async move { apply_with(&info, &[second], &quick(), &mut |_| {}).await });
    tokio::time::sleep(Duration::from_millis(600)).await;
    holder.batch("COMMIT").await.unwrap();
    assert!(matches!(run.await.unwrap().unwrap()[0].effect, Effect::Applied { .. }));
    let second = waiting.await.unwrap().unwrap();
    assert!(matches!(second[0].effect, Effect::AlreadyThere { .. }), "{second:?}");
    assert_eq!(db.states().await, [State::Observing]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backend_is_recovered_from() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let holder = writer(&db).await;
    let (info, first) = (db.info(), action.clone());
    let run =
        tokio::spawn(async move { apply_with(&info, &[first], &stubborn(), &mut |_| {}).await });
    let pid = building(&db).await;
    db.sql.query("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
    assert_eq!(db.states().await, [State::Applying]);
    assert_eq!(db.indexes().await, ["Log_pkey", &format!("{}!", name_of(&action))]);
    holder.batch("ROLLBACK").await.unwrap();
    // A rollback cleans up as well.
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(matches!(undone[0].effect, Effect::NothingToUndo { .. }), "{undone:?}");
    assert_eq!(
        (db.indexes().await, db.states().await),
        (vec!["Log_pkey".to_owned()], vec![State::Aborted])
    );
    assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_future_is_recovered_from() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let holder = writer(&db).await;
    let (info, first) = (db.info(), action.clone());
    let run =
        tokio::spawn(async move { apply_with(&info, &[first], &stubborn(), &mut |_| {}).await });
    building(&db).await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    holder.batch("ROLLBACK").await.unwrap();
    let effect = db.apply_one(&action).await;
    assert!(matches!(effect, Effect::Applied { .. } | Effect::AlreadyThere { .. }), "{effect:?}");
    assert_eq!(db.indexes().await, ["Log_pkey", &name_of(&action)]);
    assert_eq!(db.states().await.last(), Some(&State::Observing));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unfinished_state_is_finished_by_what_the_catalog_says() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let name = name_of(&action);
    let states =
        ["intent", "applying", "verifying", "cleanup_pending", "reverting", "revert_pending"];
    for state in states {
        for there in ["usable", "absent", "another"] {
            db.sql
                .batch(&format!(
                    "DROP INDEX IF EXISTS app.{name}; DROP SCHEMA IF EXISTS pgwright CASCADE"
                ))
                .await
                .unwrap();
            assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
            let alter = match there {
                "usable" => String::new(),
                "absent" => format!("DROP INDEX app.{name};"),
                _ => format!("DROP INDEX app.{name}; CREATE INDEX {name} ON app.\"Log\" (email);"),
            };
            let sql =
                format!("{alter} UPDATE pgwright.\"OptimizationLog\" SET \"state\" = '{state}'");
            db.sql.batch(&sql).await.unwrap();
            db.apply(&[]).await.unwrap();
            let expected = match (state, there) {
                (_, "another") => State::Conflict,
                ("reverting" | "revert_pending", _) => State::Reverted,
                (_, "absent") => State::Aborted,
                _ => State::Observing,
            };
            assert_eq!(db.states().await, [expected], "{state} {there}");
            let left = db.indexes().await.len() - 1;
            let stays = matches!(expected, State::Observing | State::Conflict);
            assert_eq!(left, usize::from(stays), "{state} {there}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_drop_is_finished_and_half_a_return_as_well() {
    let Some(db) = database().await else { return };
    db.sql
        .batch(r#"CREATE INDEX a ON app."Log" (email); CREATE INDEX b ON app."Log" (email)"#)
        .await
        .unwrap();
    let before = db.dump().await;
    let action = db.drop_of(db.log_table().await, "b").await;
    // Someone who reads the table keeps the drop from finishing.
    let holder = db.session().await;
    holder.batch(r#"BEGIN; SELECT 1 FROM app."Log" LIMIT 1"#).await.unwrap();
    let effect = db.apply_one(&action).await;
    assert!(matches!(&effect, Effect::Failed { left: Left::Pending, .. }), "{effect:?}");
    assert_eq!(
        (db.states().await, db.indexes().await),
        (vec![State::CleanupPending], vec!["Log_pkey".to_owned(), "a".to_owned(), "b!".to_owned()])
    );
    holder.batch("ROLLBACK").await.unwrap();
    assert_eq!(db.apply(&[]).await.unwrap(), []);
    assert_eq!((db.states().await, db.indexes().await.len()), (vec![State::Observing], 2));

    let snapshot = reader(&db).await;
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(
        matches!(&undone[0].effect, Effect::Failed { left: Left::ToBeUndone, .. }),
        "{undone:?}"
    );
    assert_eq!(db.states().await, [State::RevertPending]);
    snapshot.batch("ROLLBACK").await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert_eq!(undone[0].effect, Effect::AlreadyReverted, "finished before the rows were listed");
    assert_eq!(db.dump().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_an_error_and_what_was_begun_is_finished_later() {
    let Ok(binaries) = Binaries::find(None) else { return skip() };
    let options = ClusterOptions { keep_template: true, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&binaries, options).await.unwrap();
    let info = info_of(&cluster.conninfo("postgres"));
    let session = connect(&info).await;
    session.batch("CREATE SCHEMA app; CREATE TABLE app.t (a int)").await.unwrap();
    let oid = session.query_one("SELECT 'app.t'::regclass::oid", &[]).await.unwrap().get(0);
    let table = rules::change_plan::TableRef { oid, schema: "app".into(), name: "t".into() };
    let action = crate::harness::create(table, |d| d.keys = vec![Key::column("a")]);
    let holder = connect(&info).await;
    holder.batch("BEGIN; INSERT INTO app.t VALUES (1)").await.unwrap();
    let (started, begun) = watch::channel(false);
    let (to, first) = (info.clone(), action.clone());
    let run = tokio::spawn(async move {
        apply_with(&to, &[first], &stubborn(), &mut |event| {
            if let Event::Progress { .. } = event {
                started.send_replace(true);
            }
        })
        .await
    });
    let mut begun = begun;
    begun.wait_for(|begun| *begun).await.unwrap();
    cluster.kill().await.unwrap();
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
    let error =
        apply_with(&info, std::slice::from_ref(&action), &quick(), &mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error}");
    cluster.restart().await.unwrap();
    let outcomes = apply_with(&info, &[action], &quick(), &mut |_| {}).await.unwrap();
    assert!(matches!(outcomes[0].effect, Effect::Applied { .. }), "{outcomes:?}");
    let session = connect(&info).await;
    let states = agent::journal::list(&session, Which::All).await.unwrap();
    let states: Vec<State> = states.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [State::Aborted, State::Observing]);
    cluster.stop().await;
}
