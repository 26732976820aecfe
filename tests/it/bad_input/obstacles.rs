//! Servers that let us in and lack something: the extension, HypoPG, the right to write, an empty seat.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, chown};

use super::{
    CONNECTION, REFUSED, SHOP, STATE, client, cluster, fails, fails_unchanged, run, shop, state,
    succeeds,
};
use crate::harness::{TestDatabase, database, database_with_hypopg};

async fn stocked(db: &TestDatabase) {
    shop(&db.connect().await).await;
}

/// One line, however it was wrapped.
fn told(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn without_the_extension_the_steps_to_it_are_told() {
    let Some(db) = database().await else { return };
    db.sql("DROP EXTENSION pg_stat_statements").await;
    let on = db.conninfo();
    let words = [
        &format!("not installed in the database `{}`", db.name())[..],
        "CREATE EXTENSION pg_stat_statements;",
        "superuser",
    ];
    for more in [&[][..], &["--apply"], &["--format", "json"]] {
        fails_unchanged(&db, &[&["optimize", "-d", &on], more].concat(), CONNECTION, &words).await;
    }
}

#[tokio::test]
async fn without_the_library_the_steps_to_it_are_told() {
    let Some(cluster) = cluster(&[], &[], false).await else { return };
    let on = cluster.conninfo("postgres");
    let admin = client(&on).await;
    let steps = [
        "pg_stat_statements is not loaded",
        "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements';",
        "restart PostgreSQL",
        "parameter group",
        "--workload",
    ];
    let create = "CREATE EXTENSION pg_stat_statements;";
    fails(&["optimize", "-d", &on], CONNECTION, &[&steps[..], &[create]].concat());
    // Installed without being loaded, its view fails with an error of its own.
    run(&admin, SHOP).await;
    let before = state(&admin).await;
    fails(&["optimize", "--apply", "-d", &on], CONNECTION, &steps);
    assert_eq!(state(&admin).await, before);
    // A workload from a file needs none of that.
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    std::fs::write(file.path(), "SELECT * FROM orders WHERE customer = 5;").unwrap();
    let said = succeeds(&["optimize", "-d", &on, "--workload", file.path().to_str().unwrap()]);
    assert!(said.contains("on public.orders (customer)"), "{said}");
    cluster.stop().await;
}

#[tokio::test]
async fn hypopg_that_was_asked_for_and_is_not_there_is_told() {
    let Some(db) = database().await else { return };
    stocked(&db).await;
    db.sql("DROP EXTENSION IF EXISTS hypopg").await;
    let on = db.conninfo();
    let words =
        ["HypoPG was asked for and is not installed", "CREATE EXTENSION hypopg;", "--what-if none"];
    fails_unchanged(
        &db,
        &["optimize", "--apply", "--what-if", "hypopg", "-d", &on],
        CONNECTION,
        &words,
    )
    .await;
    // Where nobody prices it says what is missing, and creates no index.
    let before = db.value(STATE).await;
    let said = told(&succeeds(&["optimize", "--apply", "--what-if", "none", "-d", &on]));
    assert!(said.contains("install HypoPG (CREATE EXTENSION hypopg)"), "{said}");
    assert_eq!(db.value(STATE).await, before);
    // Left to itself it asks a planner twin.
    let said = told(&succeeds(&["optimize", "-d", &on]));
    assert!(said.contains("priced by a planner twin"), "{said}");
    assert!(said.contains("CREATE INDEX CONCURRENTLY"), "{said}");
}

#[tokio::test]
async fn a_read_only_role_gets_a_dry_run_and_no_more() {
    let Some(db) = database_with_hypopg().await else { return };
    stocked(&db).await;
    let role = format!("{}_reader", db.name());
    db.sql(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).await;
    db.sql(&format!("ALTER ROLE {role} SET default_transaction_read_only = on")).await;
    let on = format!("{} user={role}", db.conninfo());
    let said = told(&succeeds(&["optimize", "-d", &on]));
    assert!(
        said.contains("CREATE INDEX CONCURRENTLY") && said.contains("read-only for this role"),
        "{said}"
    );
    let words = [
        "nothing was changed",
        "read-only (default_transaction_read_only)",
        "a role that may write",
    ];
    for args in [&["optimize", "--apply"][..], &["rollback", "--all"]] {
        fails_unchanged(&db, &[args, &["-d", &on]].concat(), REFUSED, &words).await;
    }
    db.sql(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_standby_gets_a_dry_run_and_no_more() {
    let Some(mut cluster) = cluster(&["pg_stat_statements"], &[], false).await else { return };
    let on = cluster.conninfo("postgres");
    let admin = client(&on).await;
    run(&admin, SHOP).await;
    run(&admin, &["CREATE TABLE fresh AS SELECT generate_series(1, 100) AS id"]).await;
    drop(admin);
    // A standby of a primary that is silent: it recovers for ever, and answers queries meanwhile.
    let (signal, owner) =
        (cluster.data_dir().join("standby.signal"), cluster.data_dir().metadata().unwrap());
    File::create(&signal).unwrap();
    chown(&signal, Some(owner.uid()), Some(owner.gid())).unwrap();
    cluster.restart().await.unwrap();
    let standby = client(&on).await;
    let recovering: bool =
        standby.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap().get(0);
    assert!(recovering);
    for customer in 0..60 {
        run(&standby, &[&format!("SELECT * FROM orders WHERE customer = {customer}")]).await;
    }
    let said = told(&succeeds(&["optimize", "-d", &on]));
    assert!(
        said.contains("CREATE INDEX CONCURRENTLY") && said.contains("this server is a standby"),
        "{said}"
    );
    let words = ["nothing was changed", "the server is a standby", "connect to the primary"];
    for args in [&["optimize", "--apply"][..], &["rollback", "--all"], &["rollback", "1"]] {
        fails(&[args, &["-d", &on]].concat(), REFUSED, &words);
    }
    assert!(succeeds(&["log", "-d", &on]).contains("changed nothing"));
    // What a standby cannot do it is not told to do; only for --apply is it a fault to be one.
    for (more, code) in [(&[][..], 0), (&["--apply"], CONNECTION)] {
        let examined = super::cli(&[&["doctor", "-d", &on], more].concat());
        super::behaves(&examined);
        assert_eq!(examined.status, Some(code), "{examined:?}");
        let told = told(&examined.stdout);
        assert!(told.contains("this is a standby: dry runs work"), "{told}");
        assert!(told.contains("Dry runs work. What is marked with apply"), "{told}");
        assert!(!told.contains("ANALYZE"), "{told}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn while_another_run_is_at_work_nothing_is_done() {
    let Some(db) = database_with_hypopg().await else { return };
    stocked(&db).await;
    let other = db.connect().await;
    // The key is documented with the lock: the head of the SHA-256 of `pgwright`, and the database.
    let lock = "SELECT pg_advisory_lock(x'fd0ae5ba'::int, oid::int) FROM pg_database WHERE datname = current_database()";
    run(&other, &[lock]).await;
    let on = db.conninfo();
    let words = [
        "another run of pgwright is at work in this database (user postgres",
        "pg_terminate_backend(",
    ];
    for args in [&["optimize", "--apply"][..], &["rollback", "--all"]] {
        fails_unchanged(&db, &[args, &["-d", &on]].concat(), REFUSED, &words).await;
    }
    // Looking is free.
    assert!(succeeds(&["optimize", "-d", &on]).contains("CREATE INDEX CONCURRENTLY"));
    assert!(succeeds(&["log", "-d", &on]).contains("changed nothing"));
}

#[tokio::test]
async fn an_event_trigger_that_forbids_ddl_is_respected() {
    let Some(db) = database_with_hypopg().await else { return };
    stocked(&db).await;
    db.sql("CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no DDL here'; END $$").await;
    db.sql("CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl()").await;
    let on = db.conninfo();
    let output = super::cli(&["optimize", "--apply", "-d", &on]);
    super::behaves(&output);
    assert_eq!(output.status, Some(REFUSED), "{output:?}");
    let said = told(&output.stdout);
    assert!(said.contains("event trigger no_ddl runs on"), "{said}");
    let schemas = db.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgwright'").await;
    assert_eq!(schemas, "0", "a refused run leaves nothing behind");

    // One that forbids the application's indexes only.
    db.sql("DROP EVENT TRIGGER no_ddl; CREATE OR REPLACE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name = 'public') THEN RAISE EXCEPTION 'no DDL here'; END IF; END $$").await;
    db.sql("CREATE EVENT TRIGGER no_index ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION no_ddl()").await;
    let output = super::cli(&["optimize", "--apply", "-d", &on]);
    super::behaves(&output);
    assert_eq!(output.status, Some(REFUSED), "{output:?}");
    let said = told(&output.stdout);
    for words in
        ["Carried out 0 of 1 action", "event trigger no_index runs on CREATE INDEX", "DISABLE"]
    {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
    let indexes =
        db.value("SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass").await;
    assert_eq!(indexes, "1");
}
