//! An index is dropped only where it can be made again, and a row that needs a person is tried again when one asks.

use agent::applier::{ApplyOptions, Effect, apply};
use agent::postgres::Meter;
use rules::change_plan::ChangePlan;
use uuid::Uuid;

use crate::harness::{Output, TestDatabase, cli, database};
use crate::verify::{carry_out, index, info, is_there, run};

/// A table with two equal indexes, the younger one with a comment.
async fn twins(db: &TestDatabase, term: &str, tail: &str) {
    db.sql(&format!(
        "CREATE TABLE visit (id int PRIMARY KEY, page int NOT NULL, name text);
         INSERT INTO visit SELECT n, n % 10, 'name ' || n FROM generate_series(1, 2000) n;
         CREATE INDEX one ON visit ({term}) {tail}; CREATE INDEX two ON visit ({term}) {tail};
         COMMENT ON INDEX two IS 'for the report'"
    ))
    .await;
    db.sql("VACUUM ANALYZE visit").await;
}

async fn optimized(db: &TestDatabase, login: &str, args: &'static [&'static str]) -> Output {
    let conninfo = format!("{}{login}", db.conninfo());
    let all = move || cli(&[args, &["-d", &conninfo]].concat());
    tokio::task::spawn_blocking(all).await.unwrap()
}

fn words(output: &Output) -> String {
    output.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn an_index_by_a_function_of_users_is_not_dropped() {
    let Some(db) = database().await else { return };
    db.sql(
        "CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS 'SELECT lower($1)';
         CREATE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS 'SELECT public.plain($1)'",
    )
    .await;
    twins(&db, "folded(name)", "").await;
    let output = optimized(&db, "", &["optimize", "--apply"]).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(words(&output).contains("its expression calls public.folded"), "{output:?}");
    assert!(is_there(&db, "one").await && is_there(&db, "two").await);
}

#[tokio::test]
async fn an_index_that_an_event_trigger_keeps_from_coming_back_is_not_dropped() {
    let Some(db) = database().await else { return };
    twins(&db, "page", "").await;
    db.sql(
        "CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER made ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION audit()",
    )
    .await;
    let output = optimized(&db, "", &["optimize", "--apply"]).await;
    assert_eq!(output.status, Some(5), "{output:?}");
    let said = words(&output);
    assert!(said.contains("could not be made again") && said.contains("made"), "{output:?}");
    assert!(is_there(&db, "two").await);
    db.sql("DROP EVENT TRIGGER made").await;
    run(&db, &["optimize", "--apply"]).await;
    assert!(!is_there(&db, "two").await);
}

#[tokio::test]
async fn an_index_in_a_tablespace_where_we_may_make_nothing_is_not_dropped() {
    let Some(db) = database().await else { return };
    if db.major() < 15 {
        // `allow_in_place_tablespaces` came with 15.
        return;
    }
    let (space, role) = (format!("{}_far", db.name()), format!("{}_app", db.name()));
    db.sql("SET allow_in_place_tablespaces = on").await;
    db.sql(&format!("CREATE TABLESPACE {space} LOCATION ''")).await;
    twins(&db, "page", &format!("TABLESPACE {space}")).await;
    db.sql(&format!(
        "CREATE ROLE {role} LOGIN IN ROLE pg_read_all_stats; ALTER TABLE visit OWNER TO {role};
         CREATE SCHEMA pgwright AUTHORIZATION {role}; GRANT CREATE ON SCHEMA public TO {role}"
    ))
    .await;
    let login = format!(" user={role}");
    let output = optimized(&db, &login, &["optimize", "--apply"]).await;
    assert_eq!(output.status, Some(5), "{output:?}");
    let grant = format!("GRANT CREATE ON TABLESPACE {space} TO");
    assert!(words(&output).contains(&grant), "{output:?}");
    assert!(is_there(&db, "two").await);

    let script = run(&db, &["doctor", "--grants", "--role", &role]).await.stdout;
    assert!(script.contains(&format!("{grant} {role};")), "{script}");
    db.sql(&format!("{grant} {role}")).await;
    let output = optimized(&db, &login, &["optimize", "--apply"]).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(!is_there(&db, "two").await);
    let output = optimized(&db, &login, &["rollback", "--all"]).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    let there = db.value("SELECT tablespace FROM pg_indexes WHERE indexname = 'two'").await;
    assert_eq!(there, space);
    db.sql(&format!(
        "DROP TABLE visit; DROP SCHEMA pgwright CASCADE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}"
    ))
    .await;
    db.sql(&format!("DROP TABLESPACE {space}")).await;
}

#[tokio::test]
async fn what_could_not_come_back_is_tried_again_when_a_person_asks() {
    let Some(db) = database().await else { return };
    twins(&db, "page", "").await;
    run(&db, &["optimize", "--apply"]).await;
    assert!(!is_there(&db, "two").await);
    let rollback = || async {
        let conninfo = db.conninfo();
        let all = move || cli(&["rollback", "--all", "-d", &conninfo]);
        tokio::task::spawn_blocking(all).await.unwrap()
    };
    let state = r#"SELECT "state" FROM pgwright."OptimizationLog""#;
    db.sql("ALTER TABLE visit RENAME page TO leaf").await;
    let output = rollback().await;
    assert!(words(&output).contains("RENAME COLUMN leaf TO page"), "{output:?}");
    assert_eq!(db.value(state).await, "observing");

    // A row of a time when columns were not written down yet.
    db.sql(r#"UPDATE pgwright."OptimizationLog" SET "before" = "before" - 'columns'"#).await;
    let output = rollback().await;
    assert_eq!(output.status, Some(4), "{output:?}");
    assert_eq!(db.value(state).await, "conflict");
    db.sql("ALTER TABLE visit RENAME leaf TO page").await;
    let output = rollback().await;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(db.value(state).await, "reverted");
    let comment = "SELECT obj_description('two'::regclass)";
    assert_eq!(db.value(comment).await, "for the report");
}

#[tokio::test]
async fn a_dropped_index_is_not_made_on_a_table_that_was_made_anew() {
    let Some(db) = database().await else { return };
    twins(&db, "page", "").await;
    run(&db, &["optimize", "--apply"]).await;
    db.sql("CREATE TABLE fresh (LIKE visit); DROP TABLE visit; ALTER TABLE fresh RENAME TO visit")
        .await;
    run(&db, &["verify", "--every", "0s"]).await;
    let conninfo = db.conninfo();
    let rollback = move || cli(&["rollback", "--all", "-d", &conninfo]);
    let output = tokio::task::spawn_blocking(rollback).await.unwrap();
    assert_eq!(output.status, Some(4), "{output:?}");
    assert!(words(&output).contains("was made anew since, perhaps from a dump"), "{output:?}");
    assert!(!is_there(&db, "two").await);
}

#[tokio::test]
async fn what_was_taken_back_since_the_plan_was_made_is_not_done() {
    let Some(db) = database().await else { return };
    twins(&db, "name", "").await;
    let action = index(&db, "visit", &["page"], "SELECT count(*) FROM visit WHERE page = 1").await;
    let plan =
        ChangePlan { made_from: "test".into(), min_confidence: 0.9, actions: vec![action.clone()] };
    let name = carry_out(&db, action).await;
    run(&db, &["rollback", "--all"]).await;
    let (options, meter) = (ApplyOptions::default(), Meter::new());
    let outcomes = apply(&info(&db), &meter, &plan, Uuid::new_v4(), &options, &mut |_| {}).await;
    let outcomes = outcomes.unwrap();
    let Effect::Refused { reason } = &outcomes[0].effect else { panic!("{outcomes:?}") };
    assert!(reason.contains("a person took it back"), "{reason}");
    assert!(!is_there(&db, &name).await);
}
