//! The harness itself, so that a failure in it is not taken for one of the program.

use crate::harness::{
    Output, TestDatabase, binaries, cli, cli_with, database, database_with_hypopg, server,
};

#[tokio::test]
async fn every_test_gets_a_database_of_its_own_on_one_server() {
    let (Some(one), Some(two)) = (database().await, database().await) else { return };
    assert_ne!(one.name(), two.name());
    one.sql("CREATE TABLE only_here (id int)").await;
    let tables = "SELECT count(*) FROM pg_class WHERE relname = 'only_here'";
    assert_eq!(one.value(tables).await, "1");
    assert_eq!(two.value(tables).await, "0");
    let other = one.connect().await;
    let row = other.query_one("SELECT current_database()::text", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), one.name());
    assert!(one.conninfo().contains(one.name()));
    let Some(server) = server().await else { return };
    assert_eq!(Some(server.binaries()), binaries().as_ref());
    assert_eq!(one.major(), server.binaries().major);
}

#[tokio::test]
async fn a_database_is_dropped_with_its_test() {
    let (Some(one), Some(two)) = (database().await, database().await) else { return };
    let name = one.name().to_owned();
    assert!(knows(&two, &name).await);
    drop(one);
    assert!(!knows(&two, &name).await);
}

async fn knows(db: &TestDatabase, name: &str) -> bool {
    let lookup = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    db.value(&lookup).await == "1"
}

#[tokio::test]
async fn extensions_are_there_and_all_values_are_text() {
    let Some(db) = database_with_hypopg().await else { return };
    db.sql("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 3)").await;
    assert_eq!(
        db.sql("SELECT id, NULL, true FROM t ORDER BY id LIMIT 1").await,
        [[Some("1".to_owned()), None, Some("t".to_owned())]]
    );
    db.sql("SELECT hypopg_create_index('CREATE INDEX ON t (id)')").await;
    let counted = "SELECT calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
                   WHERE datname = current_database() AND query LIKE 'SELECT hypopg_create_index%'";
    assert_eq!(db.value(counted).await, "1");
}

#[test]
fn the_program_runs_in_a_clean_environment() {
    let Output { status, stdout, stderr } = cli(&["--help"]);
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    // Input that nobody reads must not hang or fail the run.
    let unread = "x".repeat(1 << 20);
    let output = cli_with(&["--help"], &[("PGDATABASE", "elsewhere")], &unread);
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(output.stdout, stdout);
}
