//! What is taken back, what is not, and that nobody's words in the journal are executed.

use agent::applier::{Effect, ErrorKind};
use agent::journal::{State, Which};
use rules::index::Key;

use crate::harness::{database, databases, index_on, name_of, reason};

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_duplicate_comes_back_exactly() {
    for db in databases().await {
        let space = if db.cluster.binaries().major >= 15 {
            db.sql.batch("SET allow_in_place_tablespaces = on").await.unwrap();
            // One name per database: tablespaces belong to the whole server.
            let space = format!("\"fast disk {}\"", db.name);
            db.sql.batch(&format!("CREATE TABLESPACE {space} LOCATION ''")).await.unwrap();
            format!("TABLESPACE {space}")
        } else {
            String::new()
        };
        let body = format!(
            "ON app.\"Log\" (lower(email), \"userId\" DESC) WITH (fillfactor = 70) {space} WHERE email <> ' WHERE '"
        );
        db.sql
            .batch(&format!("CREATE INDEX stays {body}; CREATE INDEX \"It's\" {body}"))
            .await
            .unwrap();
        let extras = r#"COMMENT ON INDEX app."It's" IS E'a \\ comment with ''quotes''';
                        ALTER INDEX app."It's" ALTER COLUMN 1 SET STATISTICS 500"#;
        db.sql.batch(extras).await.unwrap();
        let before = db.dump().await;

        let action = db.drop_of(db.log_table().await, "It's").await;
        let effect = db.apply_one(&action).await;
        assert!(
            matches!(effect, Effect::Applied { bytes: Some(bytes), .. } if bytes < 0),
            "{effect:?}"
        );
        assert_eq!(db.indexes().await, ["Log_pkey", "stays"]);
        assert_eq!(db.states().await, [State::Observing]);
        let entry = db.log().await.remove(0);
        assert_eq!(entry.before["index"]["statistics_targets"]["1"], 500);
        assert!(entry.undo.contains("COMMENT ON INDEX"), "{}", entry.undo);

        let undone = db.rollback(Which::All).await.unwrap();
        assert_eq!(undone[0].effect, Effect::Reverted { note: None }, "{:?}", db.log().await);
        assert_eq!(db.dump().await, before);
        assert_ne!(db.log().await[0].index_oid, entry.index_oid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_be_spared_is_dropped() {
    let Some(db) = database().await else { return };
    let setup = r#"CREATE INDEX lonely ON app."Log" (email); CREATE UNIQUE INDEX one ON app."Log" ("userId", id);
                   CREATE INDEX marked ON app."Log" (metadata); CREATE INDEX twin ON app."Log" (metadata);
                   ALTER TABLE app."Log" CLUSTER ON marked;
                   CREATE INDEX tied ON app."Log" (metadata); ALTER INDEX app.tied DEPENDS ON EXTENSION plpgsql;
                   CREATE UNIQUE INDEX identity ON app."Log" (id);
                   ALTER TABLE app."Log" REPLICA IDENTITY USING INDEX identity;
                   CREATE INDEX changed ON app."Log" ("timestamp"); CREATE INDEX twin2 ON app."Log" ("timestamp")"#;
    db.sql.batch(setup).await.unwrap();
    let table = db.log_table().await;
    let before = db.dump().await;
    let lonely = db.drop_of(table.clone(), "lonely").await;
    assert!(reason(&db.apply_one(&lonely).await).contains("no other usable index"));
    let marked = db.drop_of(table.clone(), "marked").await;
    assert!(reason(&db.apply_one(&marked).await).contains("needed for CLUSTER"));
    let tied = db.drop_of(table.clone(), "tied").await;
    assert!(reason(&db.apply_one(&tied).await).contains("needed for an extension"));
    // The lint of the plan sees uniqueness first; the applier does not rely on that.
    for name in ["one", "identity"] {
        let mut unique = db.drop_of(table.clone(), name).await;
        assert_eq!(
            db.apply(std::slice::from_ref(&unique)).await.unwrap_err().kind(),
            ErrorKind::Refused
        );
        if let rules::change_plan::Operation::DropIndex { index } = &mut unique.operation {
            index.unique = false;
        }
        assert!(reason(&db.apply_one(&unique).await).contains("needed for uniqueness"));
    }
    let changed = db.drop_of(table.clone(), "changed").await;
    assert_eq!(db.dump().await, before);
    db.sql
        .batch(r#"DROP INDEX app.changed; CREATE INDEX changed ON app."Log" (email)"#)
        .await
        .unwrap();
    assert!(reason(&db.apply_one(&changed).await).contains("not what it was"));
    db.sql.batch("DROP INDEX app.changed").await.unwrap();
    assert!(matches!(db.apply_one(&changed).await, Effect::AlreadyThere { .. }));
    assert_eq!(db.states().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_in_the_journal_are_never_executed() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    db.apply_one(&action).await;
    let tampered = r#"UPDATE pgwright."OptimizationLog" SET "undo" = 'DROP TABLE app."Log"', "statement" = 'DROP TABLE app."Log"'"#;
    db.sql.batch(tampered).await.unwrap();
    assert_eq!(db.rollback(Which::All).await.unwrap()[0].effect, Effect::Reverted { note: None });
    assert_eq!(db.indexes().await, ["Log_pkey"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_contradict_themselves_are_refused() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    db.apply_one(&action).await;
    let name = name_of(&action);
    db.sql.batch(r#"CREATE INDEX theirs ON app."Log" (email); CREATE TEMP TABLE kept AS SELECT * FROM pgwright."OptimizationLog""#).await.unwrap();
    let there = db.indexes().await;
    for change in [
        r#""operation" = jsonb_set("operation", '{name}', '"theirs"')"#,
        r#""operation" = jsonb_set("operation", '{name}', '"theirs"'), "indexName" = 'theirs'"#,
        r#""operation" = jsonb_set("operation", '{definition,table}', '"other"')"#,
        r#""operation" = '{"kind": "analyze"}'"#,
        r#""operation" = '{}'"#,
        r#""kind" = 'drop_index'"#,
        r#""definition" = 'CREATE INDEX x ON app."Log" (id)'"#,
        r#""systemIdentifier" = '1'"#,
        r#""databaseOid" = 1"#,
    ] {
        let restore = r#"UPDATE pgwright."OptimizationLog" l SET "operation" = k."operation", "indexName" = k."indexName",
            "kind" = k."kind", "definition" = k."definition", "systemIdentifier" = k."systemIdentifier",
            "databaseOid" = k."databaseOid" FROM kept k"#;
        let restore = restore.replace("kept k", "pg_temp.kept k");
        db.sql.batch(&format!("UPDATE pgwright.\"OptimizationLog\" SET {change}")).await.unwrap();
        let undone = db.rollback(Which::All).await.unwrap();
        assert!(!reason(&undone[0].effect).is_empty(), "{change}");
        assert_eq!(db.indexes().await, there, "{change}");
        assert_eq!(db.states().await, [State::Observing], "{change}");
        db.sql.batch(&restore).await.unwrap();
    }
    assert_eq!(db.rollback(Which::All).await.unwrap()[0].effect, Effect::Reverted { note: None });
    assert!(!db.indexes().await.contains(&name));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_changed_since_is_not_touched() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    db.apply_one(&action).await;
    let name = name_of(&action);
    // A person uses the index for something else.
    db.sql.batch(&format!(r#"ALTER TABLE app."Log" CLUSTER ON {name}"#)).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(reason(&undone[0].effect).contains("meanwhile serves CLUSTER"));
    db.sql.batch(r#"ALTER TABLE app."Log" SET WITHOUT CLUSTER"#).await.unwrap();
    // A person made another index under its name.
    let replace = format!(r#"DROP INDEX app.{name}; CREATE INDEX {name} ON app."Log" (email)"#);
    db.sql.batch(&replace).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(reason(&undone[0].effect).contains("no longer what pgwright made"));
    assert_eq!(db.indexes().await, ["Log_pkey", &name]);
    // A person dropped it: not made again behind their back, and the row can be closed.
    db.sql.batch(&format!("DROP INDEX app.{name}")).await.unwrap();
    assert!(reason(&db.apply_one(&action).await).contains("removed by somebody"));
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(
        matches!(&undone[0].effect, Effect::Reverted { note: Some(note) } if note.contains("removed already"))
    );
    assert!(reason(&db.apply_one(&action).await).contains("a person took it back"));
    agent::journal::unblock(&db.sql, 1).await.unwrap();
    assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_index_is_still_ours_and_a_dropped_table_takes_it_along() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    db.apply_one(&action).await;
    db.sql.batch(&format!("REINDEX INDEX CONCURRENTLY app.{}", name_of(&action))).await.unwrap();
    assert_eq!(db.rollback(Which::All).await.unwrap()[0].effect, Effect::Reverted { note: None });
    let action = index_on(db.log_table().await, vec![Key::column("email")]);
    db.apply_one(&action).await;
    db.sql.batch(r#"DROP TABLE app."Log""#).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert_eq!(undone[0].effect, Effect::AlreadyReverted);
    let entry = db.log().await.pop().unwrap();
    assert_eq!((entry.state, entry.verdict), (State::Reverted, None));
    assert!(entry.note.unwrap().contains("made anew"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_cannot_come_back_under_a_name_that_is_taken() {
    let Some(db) = database().await else { return };
    db.sql
        .batch(r#"CREATE INDEX a ON app."Log" (email); CREATE INDEX b ON app."Log" (email)"#)
        .await
        .unwrap();
    let action = db.drop_of(db.log_table().await, "b").await;
    db.apply_one(&action).await;
    db.sql.batch(r#"CREATE INDEX b ON app."Log" (metadata)"#).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(reason(&undone[0].effect).contains("the name app.b is taken"));
    db.sql.batch("DROP INDEX app.b").await.unwrap();
    assert_eq!(db.rollback(Which::All).await.unwrap()[0].effect, Effect::Reverted { note: None });
}
