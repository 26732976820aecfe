//! An index on a partitioned table as one action: made, kept right while others add, detach and lock, and taken back.

use std::future::Future;

use agent::applier::{Effect, Event, Left};
use agent::journal::{State, Which};
use agent::postgres::Session;
use rules::change_plan::{Action, Operation, TableRef};
use rules::index::Key;
use rules::partitions::{Branch, Part};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::harness::{Database, apply_with, database, databases, index_on, name_of, quick, reason};

/// Two levels, a default partition, hash partitions, another schema, and names that need quotes and begin alike.
const TREE: &str = r#"CREATE SCHEMA "Old Years";
CREATE TABLE app."Part" (id bigint NOT NULL, "userId" int NOT NULL, year int NOT NULL, kind text NOT NULL) PARTITION BY RANGE (year);
CREATE TABLE app.a_rather_long_name_of_a_partition_that_goes_on_and_on_until_24 PARTITION OF app."Part" FOR VALUES FROM (2024) TO (2025);
CREATE TABLE app.a_rather_long_name_of_a_partition_that_goes_on_and_on_until_25 PARTITION OF app."Part" FOR VALUES FROM (2025) TO (2026);
CREATE TABLE "Old Years"."Größe 2026" PARTITION OF app."Part" FOR VALUES FROM (2026) TO (2027) PARTITION BY HASH (id);
CREATE TABLE "Old Years"."Part a" PARTITION OF "Old Years"."Größe 2026" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Old Years"."Part b" PARTITION OF "Old Years"."Größe 2026" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE app.rest PARTITION OF app."Part" DEFAULT;
CREATE INDEX mine ON app.rest (kind);
INSERT INTO app."Part" SELECT n, n % 100, 2024 + n % 4, chr(97 + n % 2) FROM generate_series(1, 4000) AS n;"#;

/// Three partitions of one table.
const PLAIN: &str = "CREATE TABLE app.plain (id int, a int) PARTITION BY LIST (id);
CREATE TABLE app.plain_1 PARTITION OF app.plain FOR VALUES IN (1);
CREATE TABLE app.plain_2 PARTITION OF app.plain FOR VALUES IN (2);
CREATE TABLE app.plain_3 PARTITION OF app.plain FOR VALUES IN (3);
INSERT INTO app.plain SELECT 1 + n % 3, n FROM generate_series(1, 3000) AS n;";

/// An action as the rules would plan it; which partitions there are is looked up again when it is carried out.
async fn action_on(db: &Database, table: &str, column: &str) -> Action {
    let table = db.table("app", table).await;
    let mut action = index_on(table.clone(), vec![Key::column(column)]);
    let key = action.key.clone();
    if let Operation::CreateIndex { definition, parts, .. } = &mut action.operation {
        let leaf = TableRef { oid: 1, schema: "app".into(), name: "leaf".into() };
        let branch = Branch { table: leaf, above: table.oid, partitioned: false };
        parts.push(Part::of(&key, definition, &branch));
    }
    action
}

/// Runs something of another session's between two steps of a run.
fn meanwhile<T>(work: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(work))
}

/// Applies while `others` hear each statement that is about to be sent.
async fn beside(db: &Database, action: &Action, others: &mut (dyn FnMut(&str) + Send)) -> Effect {
    let mut outcomes =
        apply_with(&db.info(), std::slice::from_ref(action), &quick(), &mut |event| match event {
            Event::Started { statement, .. } => others(&statement),
            Event::Waiting { .. } => others("waiting"),
            _ => {}
        })
        .await
        .unwrap();
    outcomes.remove(0).effect
}

async fn roll_back(db: &Database) -> Effect {
    db.rollback(Which::All).await.unwrap().remove(0).effect
}

/// How many indexes hang on the one of this name, itself included, and whether it is valid.
async fn whole(db: &Database, action: &Action) -> (i64, bool) {
    let sql = "WITH RECURSIVE tree (oid) AS (SELECT oid FROM pg_class WHERE relname = $1 \
               UNION ALL SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = tree.oid) \
               SELECT count(*), bool_and(indisvalid) FROM tree JOIN pg_index ON indexrelid = tree.oid";
    let row = db.sql.query_one(sql, &[&name_of(action)]).await.unwrap();
    (row.get(0), row.get(1))
}

/// Indexes of ours that are there.
async fn ours(db: &Database) -> usize {
    db.indexes().await.iter().filter(|name| name.starts_with("pgw_")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_made_verified_and_taken_back_on_every_version() {
    for db in databases().await {
        db.sql.batch(TREE).await.unwrap();
        let before = db.dump().await;
        let action = action_on(&db, "Part", "userId").await;
        let mut sent = Vec::new();
        let effect = beside(&db, &action, &mut |sql| sent.push(sql.to_owned())).await;
        let Effect::Applied { index_oid: Some(oid), bytes: Some(bytes), .. } = effect else {
            panic!("{effect:?}")
        };
        assert!(bytes > 5 * 8192, "the sum of five indexes: {bytes}");
        let built = sent.iter().filter(|sql| sql.starts_with("CREATE INDEX CONCURRENTLY")).count();
        assert_eq!((sent.len(), built), (6, 5), "{sent:#?}");
        assert_eq!(whole(&db, &action).await, (7, true));
        let entry = db.log().await.remove(0);
        assert_eq!((entry.state, entry.index_oid), (State::Observing, Some(oid)));
        let Operation::CreateIndex { parts, .. } = entry.operation().unwrap() else { panic!() };
        assert_eq!(parts.len(), 6);
        assert_eq!(entry.undo, format!("DROP INDEX app.{};", name_of(&action)));

        let again = db.apply_one(&action).await;
        assert!(matches!(again, Effect::AlreadyThere { .. }), "{again:?}");
        assert_eq!(roll_back(&db).await, Effect::Reverted { note: None });
        assert_eq!(db.states().await, [State::Reverted]);
        assert_eq!(db.dump().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_come_and_go_meanwhile_are_heeded() {
    let Some(db) = database().await else { return };
    db.sql.batch(PLAIN).await.unwrap();
    let action = action_on(&db, "plain", "a").await;
    let (other, mut step) = (db.session().await, 0);
    let effect = beside(&db, &action, &mut |sql| {
        step += 1;
        let change = match (step, sql) {
            // During the builds.
            (2, _) => "CREATE TABLE app.plain_4 PARTITION OF app.plain FOR VALUES IN (4)",
            (4, _) => "ALTER TABLE app.plain DETACH PARTITION app.plain_1",
            // Everything is built and about to be attached.
            (6, sql) if sql.contains(" ON ONLY ") => {
                "CREATE TABLE app.plain_5 (id int, a int); \
                 ALTER TABLE app.plain ATTACH PARTITION app.plain_5 FOR VALUES IN (5)"
            }
            _ => return,
        };
        meanwhile(other.batch(change)).unwrap();
    })
    .await;
    assert!(matches!(effect, Effect::Applied { .. }), "{effect:?}");
    assert_eq!(whole(&db, &action).await, (5, true), "the whole, and partitions 2 to 5");
    assert_eq!(ours(&db).await, 5, "that of the detached partition is gone");
    assert!(step >= 6, "{step}");
    // What the server makes for one that comes later goes with the whole; one that leaves takes ours along.
    db.sql
        .batch(
            "CREATE TABLE app.plain_6 PARTITION OF app.plain FOR VALUES IN (6); \
             ALTER TABLE app.plain DETACH PARTITION app.plain_2",
        )
        .await
        .unwrap();
    assert_eq!(roll_back(&db).await, Effect::Reverted { note: None });
    assert_eq!(db.indexes().await, ["Log_pkey"]);
}

/// A transaction that has read a partition, and so holds up whoever attaches its index.
async fn reading(db: &Database) -> Session {
    let session = db.session().await;
    session.batch("BEGIN; SELECT count(*) FROM app.plain_1").await.unwrap();
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_holds_the_attaching_up_is_tried_again_and_then_given_up() {
    let Some(db) = database().await else { return };
    db.sql.batch(PLAIN).await.unwrap();
    let before = db.dump().await;
    let action = action_on(&db, "plain", "a").await;
    // It stays: everything that was built goes.
    let mut holder = None;
    let effect = beside(&db, &action, &mut |sql| {
        if sql.contains(" ON ONLY ") && holder.is_none() {
            holder = Some(meanwhile(reading(&db)));
        }
        if sql.starts_with("DROP INDEX")
            && let Some(holder) = &holder
        {
            meanwhile(holder.batch("COMMIT")).unwrap();
        }
    })
    .await;
    assert!(
        matches!(&effect, Effect::Failed { sqlstate: Some(code), left: Left::Cleaned, .. } if code == "55P03" || code == "57014"),
        "{effect:?}"
    );
    assert_eq!((db.dump().await, db.states().await), (before, vec![State::Aborted]));
    // It ends before the second try: nothing is built twice.
    let (mut holder, mut built) = (None, 0);
    let effect = beside(&db, &action, &mut |sql| match sql {
        "waiting" => {
            if let Some(holder) = &holder {
                meanwhile(async { Session::batch(holder, "COMMIT").await.unwrap() });
            }
        }
        sql if sql.contains(" ON ONLY ") => {
            holder.get_or_insert_with(|| meanwhile(reading(&db)));
        }
        _ => built += 1,
    })
    .await;
    assert!(matches!(effect, Effect::Applied { .. }), "{effect:?}");
    assert_eq!((built, db.log().await[1].attempts), (3, 2));
    assert_eq!(whole(&db, &action).await, (4, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_is_neither_drawn_in_nor_dropped() {
    let Some(db) = database().await else { return };
    db.sql.batch(PLAIN).await.unwrap();
    let action = action_on(&db, "plain", "a").await;
    db.sql.batch("CREATE INDEX theirs ON app.plain_2 (a)").await.unwrap();
    let effect = db.apply_one(&action).await;
    assert!(reason(&effect).contains("app.theirs on app.plain_2"), "{effect:?}");
    db.sql.batch("DROP INDEX app.theirs").await.unwrap();
    assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
    // A table with an index of its own joins: the server attaches that.
    db.sql
        .batch(
            "CREATE TABLE app.plain_4 (id int, a int); CREATE INDEX theirs ON app.plain_4 (a); \
             ALTER TABLE app.plain ATTACH PARTITION app.plain_4 FOR VALUES IN (4)",
        )
        .await
        .unwrap();
    let effect = roll_back(&db).await;
    assert!(reason(&effect).contains("app.theirs is attached to it"), "{effect:?}");
    assert_eq!(whole(&db, &action).await, (5, true));
    db.sql.batch("ALTER TABLE app.plain DETACH PARTITION app.plain_4").await.unwrap();
    assert_eq!(roll_back(&db).await, Effect::Reverted { note: None });
    assert_eq!(db.indexes().await, ["Log_pkey", "theirs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_indexes_the_whole_meanwhile_keeps_what_they_took() {
    let Some(db) = database().await else { return };
    db.sql.batch(PLAIN).await.unwrap();
    let action = action_on(&db, "plain", "a").await;
    let (other, mut step) = (db.session().await, 0);
    // Theirs takes the two that are built as its own.
    let effect = beside(&db, &action, &mut |_| {
        step += 1;
        if step == 3 {
            meanwhile(other.batch("CREATE INDEX theirs ON app.plain (a)")).unwrap();
        }
    })
    .await;
    let Effect::Failed { message, left: Left::ForAPerson, .. } = &effect else {
        panic!("{effect:?}")
    };
    assert!(message.contains("attached to an index by now"), "{message}");
    assert_eq!(db.states().await, [State::Conflict]);
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'app.theirs'::regclass";
    assert!(db.sql.query_one(valid, &[]).await.unwrap().get::<_, bool>(0));
    assert_eq!(ours(&db).await, 2, "they hang on theirs; the third was dropped");
    // Once they are gone with it, the row is closed.
    db.sql.batch("DROP INDEX app.theirs").await.unwrap();
    assert!(matches!(roll_back(&db).await, Effect::Reverted { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_cannot_have_it_are_named_beforehand() {
    let Some(db) = database().await else { return };
    db.sql
        .batch(&format!(
            "{PLAIN} CREATE TABLE app.empty (a int) PARTITION BY LIST (a); CREATE ROLE other_owner; \
             CREATE FOREIGN DATA WRAPPER dummy; CREATE SERVER far FOREIGN DATA WRAPPER dummy; \
             CREATE FOREIGN TABLE app.plain_0 PARTITION OF app.plain FOR VALUES IN (0) SERVER far"
        ))
        .await
        .unwrap();
    let action = action_on(&db, "plain", "a").await;
    let effect = db.apply_one(&action).await;
    assert!(reason(&effect).contains("app.plain_0 is no ordinary table"), "{effect:?}");
    let effect = db.apply_one(&action_on(&db, "empty", "a").await).await;
    assert!(reason(&effect).contains("no partitions"), "{effect:?}");
    assert!(db.log().await.is_empty());
}
