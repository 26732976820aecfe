//! The way that everything goes when nobody is in the way.

use agent::applier::{ApplyError, Effect, ErrorKind, Event};
use agent::journal::{self, State, Which};
use rules::index::{Key, Term};

use crate::harness::{
    analyze_of, apply_with, create, database, databases, index_on, name_of, quick, reason,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_made_verified_logged_and_taken_back_on_every_version() {
    for db in databases().await {
        let before = db.dump().await;
        let action = db.an_index().await;
        let mut events = Vec::new();
        let outcomes =
            apply_with(&db.info(), std::slice::from_ref(&action), &quick(), &mut |event| {
                events.push(event);
            })
            .await
            .unwrap();
        let Effect::Applied { index_oid: Some(oid), bytes: Some(bytes), .. } = outcomes[0].effect
        else {
            panic!("{:?}", outcomes[0])
        };
        assert!(oid > 0 && bytes > 100_000, "{bytes}");
        assert!(
            matches!(&events[0], Event::Started { statement, .. } if *statement == action.sql())
        );
        assert_eq!(events.last(), Some(&Event::Finished(outcomes[0].clone())));
        assert_eq!(db.indexes().await, ["Log_pkey", &name_of(&action)]);

        let entry = db.log().await.remove(0);
        assert_eq!(
            (entry.state, entry.attempts, entry.index_oid),
            (State::Observing, 1, Some(oid))
        );
        assert_eq!(entry.operation().unwrap(), action.operation);
        assert!(entry.applied_at > Some(entry.created_at) && entry.reverted_at.is_none());
        assert!(entry.definition.as_ref().unwrap().starts_with("CREATE INDEX pgw_log_"));
        assert_eq!(entry.helps[0]["cost_before"], 100.0);
        assert!(!format!("{entry:?}").contains("hunter2"), "plans can show values and stay out");
        assert_eq!(journal::get(&db.sql, entry.id).await.unwrap().as_ref(), Some(&entry));
        let view =
            db.sql.query_one(r#"SELECT "msPerDay"::text FROM pgwright."Actions""#, &[]).await;
        assert_eq!(view.unwrap().get::<_, String>(0), "1000");

        // The same plan again changes nothing and is no error.
        let again = db.apply_one(&action).await;
        assert!(matches!(again, Effect::AlreadyThere { .. }), "{again:?}");
        assert_eq!(db.log().await, std::slice::from_ref(&entry));

        let undone = db.rollback(Which::Id(entry.id)).await.unwrap();
        assert_eq!(undone[0].effect, Effect::Reverted { note: None });
        assert_eq!(db.states().await, [State::Reverted]);
        assert_eq!(db.dump().await, before);
        let undone = db.rollback(Which::Id(entry.id)).await.unwrap();
        assert_eq!(undone[0].effect, Effect::AlreadyReverted);

        // What was taken back can be applied again once a person says so, under a row of its own.
        assert!(reason(&db.apply_one(&action).await).contains("a person took it back"));
        journal::unblock(&db.sql, entry.id).await.unwrap();
        assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
        assert_eq!(db.states().await, [State::Reverted, State::Observing]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_index_is_recognized_after_it_was_built() {
    for db in databases().await {
        let table = db.log_table().await;
        let expression = |sql: &str| Key::ordered(Term::Expression(sql.into()), false, false);
        let mut gin = Key::column("metadata");
        gin.opclass = Some("jsonb_path_ops".into());
        let mut pattern = Key::column("email");
        pattern.opclass = Some("varchar_pattern_ops".into());
        let before = db.dump().await;
        let actions = [
            create(table.clone(), |d| d.keys = vec![expression("lower(email)")]),
            create(table.clone(), |d| {
                d.keys = vec![expression("metadata ->> 'theme'"), Key::column("id")];
            }),
            create(table.clone(), |d| d.keys = vec![expression("(metadata ->> 'theme')::int")]),
            create(table.clone(), |d| {
                d.keys = vec![Key::column("userId")];
                d.include = vec!["timestamp".into()];
                d.predicate = Some("email IN ('a', 'b') AND \"userId\" BETWEEN 1 AND 5".into());
            }),
            create(table.clone(), |d| {
                d.keys = vec![pattern];
                d.predicate =
                    Some("email LIKE 'u%' AND \"timestamp\" IS NOT NULL AND id > -1".into());
            }),
            create(table.clone(), |d| {
                d.method = "gin".into();
                d.keys = vec![gin];
            }),
            create(table.clone(), |d| {
                d.method = "brin".into();
                d.keys = vec![Key::column("timestamp")];
            }),
            create(table.clone(), |d| {
                d.method = "hash".into();
                d.keys = vec![Key::column("email")];
            }),
        ];
        for outcome in db.apply(&actions).await.unwrap() {
            assert!(matches!(outcome.effect, Effect::Applied { .. }), "{outcome:?}");
        }
        for outcome in db.apply(&actions).await.unwrap() {
            assert!(matches!(outcome.effect, Effect::AlreadyThere { .. }), "{outcome:?}");
        }
        let undone = db.rollback(Which::All).await.unwrap();
        assert!(
            undone.iter().all(|one| one.effect == Effect::Reverted { note: None }),
            "{undone:?}"
        );
        let mut newest_first: Vec<_> = undone.iter().map(|one| one.row).collect();
        newest_first.sort_by(|a, b| b.cmp(a));
        assert_eq!(undone.iter().map(|one| one.row).collect::<Vec<_>>(), newest_first);
        assert_eq!(db.dump().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_only_names() {
    let Some(db) = database().await else { return };
    let names = [
        "select",
        "Mixed Case",
        "a\"b'c",
        "x\"; DROP TABLE app.\"Log\"; --",
        "line\nbreak",
        "größe",
        "$1",
        &"ü".repeat(31),
        &"m".repeat(63),
        "",
    ];
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let sql =
            format!("CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} int, b int)");
        db.sql.batch(&sql).await.unwrap();
        let table = db.table(name, name).await;
        let before = db.dump().await;
        let action = create(table.clone(), |d| {
            d.keys = vec![Key::column(name)];
            d.include = vec!["b".into()];
            d.predicate = Some(format!("{quoted} > 1"));
        });
        let analyze = analyze_of(table);
        for outcome in db.apply(&[action, analyze]).await.unwrap() {
            assert!(matches!(outcome.effect, Effect::Applied { .. }), "{name}: {outcome:?}");
        }
        let undone = db.rollback(Which::All).await.unwrap();
        let reverted = |effect: &Effect| matches!(effect, Effect::Reverted { .. });
        assert_eq!(undone.iter().filter(|one| reverted(&one.effect)).count(), 1, "{name}");
        assert_eq!(db.dump().await, before);
    }
    assert!(db.indexes().await.contains(&"Log_pkey".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn analyze_is_verified_kept_and_not_undone() {
    for db in databases().await {
        let action = analyze_of(db.log_table().await);
        let effect = db.apply_one(&action).await;
        assert!(
            matches!(effect, Effect::Applied { index_oid: None, bytes: None, .. }),
            "{effect:?}"
        );
        let entry = db.log().await.remove(0);
        assert_eq!(
            (entry.state, &entry.before["last_analyze"]),
            (State::Kept, &serde_json::Value::Null)
        );
        // Once more: analyzing is never "already there".
        assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
        assert!(db.log().await[1].before["last_analyze"].is_string());
        let undone = db.rollback(Which::All).await.unwrap();
        assert!(
            undone.iter().all(|one| matches!(&one.effect, Effect::NothingToUndo { .. })),
            "{undone:?}"
        );
        assert_eq!(db.states().await, [State::Kept, State::Kept]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_due_nothing_is_written() {
    let Some(db) = database().await else { return };
    let before = db.dump().await;
    let mut below_the_gate = db.an_index().await;
    below_the_gate.confidence.value = 0.89;
    let mut to_be_asked = analyze_of(db.log_table().await);
    to_be_asked.reach = rules::reach::Reach::Ask;
    assert_eq!(db.apply(&[below_the_gate, to_be_asked]).await.unwrap(), []);
    assert_eq!(db.dump().await, before);
    assert_eq!(db.log().await, []);
    let schemas = db.sql.query("SELECT FROM pg_namespace WHERE nspname = 'pgwright'", &[]).await;
    assert!(schemas.unwrap().is_empty());
    assert_eq!(db.rollback(Which::All).await.unwrap(), []);
    let missing = db.rollback(Which::Id(7)).await.unwrap_err();
    assert!(matches!(missing, ApplyError::NoSuchAction { id: 7 }));
    assert_eq!(missing.kind(), ErrorKind::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_chooses_by_run_and_by_time() {
    let Some(db) = database().await else { return };
    let table = db.log_table().await;
    let actions = ["userId", "timestamp", "email"]
        .map(|column| index_on(table.clone(), vec![Key::column(column)]));
    for action in &actions {
        db.apply_one(action).await;
    }
    let log = db.log().await;
    let undone = db.rollback(Which::Run(log[0].run)).await.unwrap();
    assert_eq!(undone.iter().map(|one| one.row).collect::<Vec<_>>(), [Some(log[0].id)]);
    let undone = db.rollback(Which::Since(log[2].created_at)).await.unwrap();
    assert_eq!(undone.iter().map(|one| one.row).collect::<Vec<_>>(), [Some(log[2].id)]);
    assert_eq!(db.states().await, [State::Reverted, State::Observing, State::Reverted]);
    let undone = db.rollback(Which::All).await.unwrap();
    let effects: Vec<_> = undone.into_iter().map(|one| one.effect).collect();
    let reverted = Effect::Reverted { note: None };
    assert_eq!(effects, [Effect::AlreadyReverted, reverted, Effect::AlreadyReverted]);
}
