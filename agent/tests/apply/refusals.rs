//! What is not begun, and that the reason names a way out.

use agent::applier::{ApplyError, Effect, ErrorKind, Left};
use agent::journal::{self, JournalError, State, Which};
use agent::postgres::Meter;
use agent::rollback::rollback;
use rules::evidence::{Fact, Term};
use rules::index::Key;

use crate::harness::{
    Database, analyze_of, apply_with, connect, create, database, index_on, name_of, quick, reason,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_name_is_left_alone() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let name = name_of(&action);
    db.sql.batch(&format!(r#"CREATE INDEX {name} ON app."Log" (email)"#)).await.unwrap();
    // The journal is missing and there is an index that looks like ours.
    let lost = db.apply(std::slice::from_ref(&action)).await.unwrap_err();
    assert!(
        matches!(&lost, ApplyError::Journal(JournalError::Lost { indexes }) if indexes == &[format!("app.{name}")])
    );
    assert_eq!(lost.kind(), ErrorKind::Refused);
    db.sql.batch(&format!("DROP INDEX app.{name}")).await.unwrap();
    db.apply_one(&analyze_of(db.log_table().await)).await;
    for taken in [
        format!(r#"CREATE INDEX {name} ON app."Log" (email)"#),
        format!("CREATE TABLE app.{name} ()"),
    ] {
        db.sql.batch(&taken).await.unwrap();
        let before = db.dump().await;
        let effect = db.apply_one(&action).await;
        assert!(reason(&effect).contains("is taken by"), "{effect:?}");
        assert_eq!(db.dump().await, before);
        let kind = if taken.contains("TABLE app") { "TABLE" } else { "INDEX" };
        db.sql.batch(&format!("DROP {kind} app.{name}")).await.unwrap();
    }
    db.sql.batch(r#"CREATE INDEX other ON app."Log" ("userId", "timestamp" DESC)"#).await.unwrap();
    assert_eq!(db.apply_one(&action).await, Effect::AlreadyThere { what: "app.other".into() });
    assert_eq!(db.states().await, [State::Kept]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_wrong_kind_are_refused_with_a_recipe() {
    let Some(db) = database().await else { return };
    let setup = "CREATE TABLE app.parts (a int) PARTITION BY RANGE (a); CREATE UNLOGGED TABLE app.loose (a int); \
                 CREATE VIEW app.seen AS SELECT 1 AS a; CREATE MATERIALIZED VIEW app.stored AS SELECT 1 AS a; \
                 CREATE TABLE app.leaf PARTITION OF app.parts FOR VALUES FROM (1) TO (2)";
    db.sql.batch(setup).await.unwrap();
    for (name, expected) in
        [("parts", "ATTACH PARTITION"), ("loose", "unlogged"), ("seen", "no ordinary table")]
    {
        let action = index_on(db.table("app", name).await, vec![Key::column("a")]);
        let effect = db.apply_one(&action).await;
        assert!(reason(&effect).contains(expected), "{effect:?}");
    }
    for name in ["stored", "leaf"] {
        let action = index_on(db.table("app", name).await, vec![Key::column("a")]);
        assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }), "{name}");
    }
    let action = analyze_of(db.table("app", "parts").await);
    let effect = db.apply_one(&action).await;
    assert!(matches!(effect, Effect::Applied { .. }), "{effect:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_another_by_now_is_refused() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    db.sql.batch(r#"ALTER TABLE app."Log" RENAME TO moved; CREATE TABLE app."Log" ("userId" int, "timestamp" date)"#).await.unwrap();
    assert!(reason(&db.apply_one(&action).await).contains("is called app.moved by now"));
    db.sql.batch("DROP TABLE app.moved").await.unwrap();
    assert!(reason(&db.apply_one(&action).await).contains("not there any more"));
    assert_eq!(db.states().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_looked_at_before_anything_is_sent() {
    let Some(db) = database().await else { return };
    let role = format!("role_{}", db.name);
    let actions = [db.an_index().await, analyze_of(db.log_table().await)];
    let grants = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA app TO {role}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON app.\"Log\" TO {role}"
    );
    db.sql.batch(&grants).await.unwrap();
    let as_role = db.info_as(&role);
    let outcomes = apply_with(&as_role, &actions, &quick(), &mut |_| {}).await.unwrap();
    for outcome in &outcomes {
        assert!(reason(&outcome.effect).contains("GRANT postgres TO this role"), "{outcome:?}");
    }
    // Owner, but the role cannot make the journal.
    db.sql.batch(&format!("ALTER TABLE app.\"Log\" OWNER TO {role}")).await.unwrap();
    let error = apply_with(&as_role, &actions, &quick(), &mut |_| {}).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Journal(JournalError::Create(_))), "{error}");
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(error.to_string().contains("CREATE SCHEMA pgwright AUTHORIZATION"));
    // It owns a schema for the journal, as the message advises, but may make nothing beside the table.
    db.sql.batch(&format!("CREATE SCHEMA pgwright AUTHORIZATION {role}")).await.unwrap();
    let outcomes = apply_with(&as_role, &actions, &quick(), &mut |_| {}).await.unwrap();
    assert!(reason(&outcomes[0].effect).contains("GRANT CREATE ON SCHEMA app"));
    assert!(matches!(outcomes[1].effect, Effect::Applied { .. }));
    db.sql.batch(&format!("GRANT CREATE ON SCHEMA app TO {role}")).await.unwrap();
    let outcomes = apply_with(&as_role, &actions[..1], &quick(), &mut |_| {}).await.unwrap();
    assert!(matches!(outcomes[0].effect, Effect::Applied { .. }), "{outcomes:?}");
    let undone =
        rollback(&as_role, &Meter::new(), Which::All, &quick(), &mut |_| {}).await.unwrap();
    assert_eq!(
        undone.last().map(|one| one.effect.clone()),
        Some(Effect::NothingToUndo {
            why: "what ANALYZE or VACUUM has done cannot be taken back, and need not be".into()
        })
    );
    assert_eq!(undone[0].effect, Effect::Reverted { note: None });
    // The log is not for everybody.
    let stranger = format!("stranger_{}", db.name);
    db.sql.batch(&format!("CREATE ROLE {stranger} LOGIN")).await.unwrap();
    let session = connect(&db.info_as(&stranger)).await;
    let read = journal::list(&session, Which::All).await;
    assert!(matches!(read, Err(JournalError::Untrusted { .. })), "{read:?}");
    let superusers = "ALTER SCHEMA pgwright OWNER TO postgres; \
                      ALTER TABLE pgwright.\"OptimizationLog\" OWNER TO postgres; \
                      ALTER TABLE pgwright.\"Control\" OWNER TO postgres; \
                      ALTER TABLE pgwright.\"Observations\" OWNER TO postgres";
    db.sql.batch(superusers).await.unwrap();
    let read = journal::list(&session, Which::All).await;
    assert!(matches!(read, Err(JournalError::Read(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_session_is_refused() {
    let Some(db) = database().await else { return };
    db.sql
        .batch(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", db.name))
        .await
        .unwrap();
    let action = db.an_index().await;
    let error = db.apply(&[action]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_eq!(db.indexes().await, ["Log_pkey"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_lost_journal_stops_everything() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    db.apply_one(&action).await;
    let another = index_on(db.log_table().await, vec![Key::column("email")]);
    for (change, back, expected) in [
        (
            r#"DROP COLUMN "before""#,
            r#"ADD COLUMN "before" jsonb NOT NULL DEFAULT '{}'"#,
            "column \"before\" is missing",
        ),
        ("ADD COLUMN mine int", "DROP COLUMN mine", "column \"mine\" was added"),
        (
            r#"ALTER COLUMN "attempts" TYPE bigint"#,
            r#"ALTER COLUMN "attempts" TYPE integer"#,
            "has type bigint, not integer",
        ),
    ] {
        db.sql.batch(&format!("ALTER TABLE pgwright.\"OptimizationLog\" {change}")).await.unwrap();
        for error in [
            db.apply(std::slice::from_ref(&another)).await.unwrap_err(),
            db.rollback(Which::All).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(error.kind(), ErrorKind::Refused);
        }
        assert!(matches!(
            journal::list(&db.sql, Which::All).await,
            Err(JournalError::Changed { .. })
        ));
        db.sql.batch(&format!("ALTER TABLE pgwright.\"OptimizationLog\" {back}")).await.unwrap();
    }
    for (change, back, expected) in [
        ("UPDATE pgwright.\"Control\" SET format = 3", "format = 2", "format 3"),
        ("UPDATE pgwright.\"Control\" SET format = 1", "format = 2", "DROP SCHEMA pgwright"),
    ] {
        db.sql.batch(change).await.unwrap();
        let error = db.apply(std::slice::from_ref(&another)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), ErrorKind::Refused);
        db.sql.batch(&format!("UPDATE pgwright.\"Control\" SET {back}")).await.unwrap();
    }
    let second =
        db.sql.batch("INSERT INTO pgwright.\"Control\" (single, format) VALUES (false, 2)");
    assert_eq!(second.await.unwrap_err().sqlstate(), Some("23514"));
    db.sql.batch("ALTER TABLE pgwright.\"Control\" RENAME TO hidden").await.unwrap();
    let error = journal::list(&db.sql, Which::All).await.unwrap_err();
    assert!(error.to_string().contains("table \"Control\" is missing"), "{error}");
    // The first format had no such table, and said of itself what it was.
    let first = "COMMENT ON TABLE pgwright.\"OptimizationLog\" IS 'pgwright journal, format 1. One row per action.'";
    db.sql.batch(first).await.unwrap();
    let error = db.apply(std::slice::from_ref(&another)).await.unwrap_err().to_string();
    assert!(error.contains("format 1") && error.contains("DROP SCHEMA pgwright"), "{error}");
    db.sql.batch("DROP SCHEMA pgwright CASCADE").await.unwrap();
    let lost = db.apply(&[another]).await.unwrap_err();
    assert!(lost.to_string().contains(&name_of(&action)), "{lost}");
    assert_eq!(db.indexes().await, ["Log_pkey", &name_of(&action)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_without_what_keeps_it_right_stops_everything() {
    let Some(db) = database().await else { return };
    db.apply_one(&db.an_index().await).await;
    let another = index_on(db.log_table().await, vec![Key::column("email")]);
    let log = r#"ALTER TABLE pgwright."OptimizationLog""#;
    let state = r#"CONSTRAINT "OptimizationLog_state""#;
    let states = "CHECK (state IN ('intent', 'applying', 'verifying', 'observing', 'kept', 'aborted', 'cleanup_pending', \
                  'conflict', 'reverting', 'reverted', 'revert_pending'))";
    let keys = r#"CREATE UNIQUE INDEX "OptimizationLog_one_per_action" ON pgwright."OptimizationLog" ("actionKey")
                  WHERE state NOT IN ('kept', 'aborted', 'conflict', 'reverted')"#;
    let no_keys = r#"DROP INDEX pgwright."OptimizationLog_one_per_action""#;
    let plain_keys = keys.replace("UNIQUE ", "");
    let valid = |is: bool| {
        format!(
            "UPDATE pg_index SET indisvalid = {is} \
             WHERE indexrelid = 'pgwright.\"OptimizationLog_one_per_table\"'::regclass"
        )
    };
    let view = r#"ALTER VIEW pgwright."Actions" RENAME"#;
    for (change, back, expected) in [
        (
            format!("{log} DROP {state}"),
            format!("{log} ADD {state} {states}"),
            r#"constraint "OptimizationLog_state" of "OptimizationLog" is missing"#,
        ),
        (
            format!("{log} DROP {state}; {log} ADD {state} {states} NOT VALID"),
            format!("{log} VALIDATE {state}"),
            r#"constraint "OptimizationLog_state" of "OptimizationLog" is not as it was made"#,
        ),
        (
            no_keys.to_owned(),
            keys.to_owned(),
            r#"index "OptimizationLog_one_per_action" is missing"#,
        ),
        (
            format!("{no_keys}; {plain_keys}"),
            format!("{no_keys}; {keys}"),
            r#"index "OptimizationLog_one_per_action" is not as it was made"#,
        ),
        (
            valid(false),
            valid(true),
            r#"index "OptimizationLog_one_per_table" is not as it was made"#,
        ),
        (
            format!("{view} TO \"Hidden\""),
            r#"ALTER VIEW pgwright."Hidden" RENAME TO "Actions""#.to_owned(),
            r#"view "Actions" is missing"#,
        ),
        (
            format!("{view} COLUMN undo TO redo"),
            format!("{view} COLUMN redo TO undo"),
            r#"view "Actions" is not as it was made"#,
        ),
    ] {
        db.sql.batch(&change).await.unwrap();
        let error = db.apply(std::slice::from_ref(&another)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), ErrorKind::Refused);
        db.sql.batch(&back).await.unwrap();
    }
    // What somebody added beside it for their own reports is theirs.
    db.sql
        .batch(r#"CREATE INDEX mine ON pgwright."OptimizationLog" (rule); CREATE VIEW pgwright.ours AS SELECT 1"#)
        .await
        .unwrap();
    assert_eq!(journal::list(&db.sql, Which::All).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_triggers_and_transactions_in_the_way_are_named() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let trigger = "CREATE FUNCTION app.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
                   CREATE EVENT TRIGGER watch_ddl ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION app.f()";
    db.apply_one(&analyze_of(db.log_table().await)).await;
    db.sql.batch(trigger).await.unwrap();
    assert!(reason(&db.apply_one(&action).await).contains("event trigger watch_ddl"));
    db.sql.batch("ALTER EVENT TRIGGER watch_ddl DISABLE").await.unwrap();

    let mut impatient = quick();
    impatient.guards.limits.max_transaction_age = std::time::Duration::ZERO;
    let other = db.session().await;
    for (sql, end, expected) in [
        ("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1", "ROLLBACK", "which holds a snapshot"),
        (
            r#"BEGIN; UPDATE app."Log" SET email = '' WHERE id = 1"#,
            "ROLLBACK",
            "which uses the table",
        ),
        (
            r#"BEGIN; UPDATE app."Log" SET email = '' WHERE id = 1; PREPARE TRANSACTION 'p'"#,
            "ROLLBACK PREPARED 'p'",
            "prepared transaction 'p' of postgres, for",
        ),
    ] {
        other.batch(sql).await.unwrap();
        let outcomes =
            apply_with(&db.info(), std::slice::from_ref(&action), &impatient, &mut |_| {})
                .await
                .unwrap();
        assert!(reason(&outcomes[0].effect).contains(expected), "{outcomes:?}");
        other.batch(end).await.unwrap();
    }
    assert_eq!(db.states().await, [State::Kept]);
    let outcomes = apply_with(&db.info(), &[action], &impatient, &mut |_| {}).await.unwrap();
    assert!(matches!(outcomes[0].effect, Effect::Applied { .. }), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_and_the_server_have_the_last_word() {
    let Some(db) = database().await else { return };
    let table = db.log_table().await;
    db.sql
        .batch("CREATE FUNCTION app.same(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'")
        .await
        .unwrap();
    let expression =
        |sql: &str| Key::ordered(rules::index::Term::Expression(sql.into()), false, false);
    let foreign = create(table.clone(), |d| d.keys = vec![expression("app.same(\"userId\")")]);
    let raising = create(table.clone(), |d| d.keys = vec![expression("1 / (\"userId\" - 5)")]);
    let missing = create(table, |d| d.keys = vec![Key::column("nobody")]);
    let outcomes = db.apply(&[foreign, raising, missing]).await.unwrap();
    let failed: Vec<_> = outcomes
        .iter()
        .map(|one| match &one.effect {
            Effect::Failed { sqlstate, left, .. } => (sqlstate.as_deref(), *left),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        failed,
        [(None, Left::Nothing), (Some("22012"), Left::Cleaned), (Some("42703"), Left::Nothing)]
    );
    assert_eq!(db.states().await, [State::Aborted; 3]);
    assert_eq!(db.indexes().await, ["Log_pkey"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_in_the_journal_tells_that_and_why_nothing_may_be_changed() {
    let Some(db) = database().await else { return };
    assert_eq!(journal::pause(&db.sql).await.unwrap(), None, "no journal, no switch");
    db.apply_one(&db.an_index().await).await;
    for (set, expected) in [
        ("paused = false", None),
        ("paused = true", Some("pgwright is paused (UPDATE")),
        ("\"pausedBecause\" = 'release night'", Some("is paused: release night (UPDATE")),
        ("paused = false", None),
        ("\"pausedUntil\" = now() + interval '1 hour'", Some("is paused until 20")),
        ("\"pausedUntil\" = now() - interval '1 hour'", None),
    ] {
        db.sql.batch(&format!("UPDATE pgwright.\"Control\" SET {set}")).await.unwrap();
        let why = journal::pause(&db.sql).await.unwrap();
        assert_eq!(why.is_some(), expected.is_some(), "{set}");
        assert!(why.unwrap_or_default().contains(expected.unwrap_or("")), "{set}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_takes_every_sentence_of_ours() {
    let Some(utf8) = database().await else { return };
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let options = format!("ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        let db = Database::made(utf8.cluster, &options).await;
        db.sql.batch("ALTER TABLE app.\"Log\" ADD \"größe\" int").await.unwrap();
        let mut action = index_on(db.log_table().await, vec![Key::column("größe")]);
        let reason = "ORDER BY … LIMIT – “größe” → 2 × slower".to_owned();
        let fact = Fact::Unpriced { reason };
        action.confidence.terms.push(Term { fact, weight: 0.0, cap: None });
        let effect = db.apply_one(&action).await;
        assert!(matches!(effect, Effect::Applied { .. }), "{encoding}: {effect:?}");
        let sql = "SELECT \"evidence\"::text FROM pgwright.\"OptimizationLog\"";
        let written: String = db.sql.query_one(sql, &[]).await.unwrap().get(0);
        assert!(written.contains("ORDER BY ... LIMIT - "), "{written}");
        assert!(written.contains("größe") && written.contains("-> 2 x slower"), "{written}");
        let undone = db.rollback(Which::All).await.unwrap();
        assert_eq!(undone[0].effect, Effect::Reverted { note: None }, "{encoding}");
    }
}
