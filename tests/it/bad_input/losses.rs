//! Connections that break and servers that die while the program is at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent::cluster::Cluster;
use tokio_postgres::Client;

use super::relay::{Manner, relay};
use super::{
    CANARY, CONNECTION, behaves, client, cluster, fails, fails_with, run, running, shop, state,
    succeeds,
};

/// Longer than any of these waits takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Asks until the answer is not null.
async fn wait_for(client: &Client, sql: &str) -> i32 {
    let since = Instant::now();
    loop {
        let rows = client.query(sql, &[]).await.unwrap();
        if let Some(pid) = rows.first().and_then(|row| row.get(0)) {
            return pid;
        }
        assert!(since.elapsed() < PATIENCE, "never came: {sql}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server with HypoPG; none, said loudly, where there is none.
async fn priced(tcp: bool) -> Option<Cluster> {
    // Slow enough to be met while it builds.
    let settings = [("maintenance_work_mem", "1MB"), ("max_parallel_maintenance_workers", "0")];
    let cluster = cluster(&["pg_stat_statements"], &settings, tcp).await?;
    cluster.binaries().offers("hypopg").then_some(cluster)
}

#[tokio::test]
async fn a_connection_that_breaks_while_looking_is_told_and_changes_nothing() {
    let Some(cluster) = priced(true).await else { return };
    let admin = client(&cluster.conninfo("postgres")).await;
    shop(&admin).await;
    let before = state(&admin).await;
    for word in ["FROM pg_catalog.pg_stats", "(FORMAT JSON)", "hypopg_create_index"] {
        let port = relay(cluster.port(), Manner::BreaksAt(word));
        let on = format!("postgres://postgres:{CANARY}@127.0.0.1:{port}/postgres?sslmode=disable");
        for more in [&[][..], &["--apply"]] {
            let args = [&["optimize", "-d", &on], more].concat();
            fails(&args, CONNECTION, &["the connection was lost", "see the server's log"]);
        }
        assert_eq!(state(&admin).await, before, "broken at {word}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_while_plans_are_made_is_told() {
    static HELD: AtomicBool = AtomicBool::new(false);
    let Some(mut cluster) = priced(true).await else { return };
    let on = cluster.conninfo("postgres");
    let admin = client(&on).await;
    shop(&admin).await;
    let before = state(&admin).await;
    let port = relay(cluster.port(), Manner::HoldsAt("(FORMAT JSON)", &HELD));
    let held = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable");
    let args = ["optimize", "--apply", "-d", &held];
    let (output, ()) = tokio::join!(running(&args), async {
        let since = Instant::now();
        while !HELD.load(Ordering::Acquire) {
            assert!(since.elapsed() < PATIENCE, "it never asked for a plan");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cluster.kill().await.unwrap();
    });
    fails_with(&output, CONNECTION, &["the connection was lost", "see the server's log"]);
    fails(&["optimize", "--apply", "-d", &on], CONNECTION, &["check host and port"]);
    cluster.restart().await.unwrap();
    assert_eq!(state(&client(&on).await).await, before);
    cluster.stop().await;
}

/// Fills a table whose index takes a while, and writes the workload that asks for one to a file.
async fn large(admin: &Client) -> tempfile::NamedTempFile {
    run(
        admin,
        &[
            "CREATE EXTENSION pg_stat_statements",
            "CREATE EXTENSION hypopg",
            "CREATE TABLE orders (id bigint, customer int, note text)",
            "INSERT INTO orders SELECT g, g * 7919::bigint % 100003, 'n' || g FROM generate_series(1, 3000000) g",
            "VACUUM ANALYZE orders",
        ],
    )
    .await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    std::fs::write(file.path(), "SELECT * FROM orders WHERE customer = 5;\n".repeat(100)).unwrap();
    file
}

/// The index on the table, and not one of the journal's.
const BUILDING: &str = "SELECT pid FROM pg_stat_progress_create_index \
    WHERE relid = 'orders'::regclass AND phase LIKE 'building index%'";

/// The indexes of the table: how many, and how many of them can be used.
async fn indexes(client: &Client) -> (i64, i64) {
    let sql = "SELECT count(*), count(*) FILTER (WHERE indisvalid AND indisready) FROM pg_index WHERE indrelid = 'orders'::regclass";
    let row = client.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

/// What the first run left, the next one finishes; and what that did can be taken back.
async fn the_next_run_finishes(on: &str, args: &[&str]) {
    let admin = client(on).await;
    let said = succeeds(args);
    assert!(said.contains("Carried out 1 of 1 action"), "{said}");
    assert_eq!(indexes(&admin).await, (1, 1));
    succeeds(&["log", "-d", on]);
    let said = succeeds(&["rollback", "--all", "-d", on]);
    assert_eq!(indexes(&admin).await, (0, 0), "{said}");
}

#[tokio::test]
async fn wherever_an_application_breaks_off_the_next_run_finishes_it() {
    let Some(cluster) = priced(true).await else { return };
    let on = cluster.conninfo("postgres");
    let admin = client(&on).await;
    shop(&admin).await;
    run(&admin, &["ALTER TABLE orders DROP CONSTRAINT orders_pkey"]).await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    std::fs::write(file.path(), "SELECT * FROM orders WHERE customer = 5;\n".repeat(100)).unwrap();
    let workload = ["optimize", "--apply", "--workload", file.path().to_str().unwrap(), "-d"];
    for word in [
        "pg_try_advisory_lock",
        "SCHEMA pgwright;",
        "INSERT /* pgwright */ INTO pgwright",
        "UPDATE /* pgwright */ pgwright",
        "CREATE /* pgwright */ INDEX CONCURRENTLY",
        "pg_advisory_unlock_all",
    ] {
        let port = relay(cluster.port(), Manner::BreaksAt(word));
        let broken =
            format!("host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable");
        let output = running(&[&workload[..], &[&broken]].concat()).await;
        if word == "pg_advisory_unlock_all" {
            // Everything was done by then.
            behaves(&output);
            assert_eq!(output.status, Some(0), "{output:?}");
        } else {
            fails_with(&output, CONNECTION, &["the connection was lost", "see the server's log"]);
        }
        succeeds(&[&workload[..], &[&on]].concat());
        assert_eq!(indexes(&admin).await, (1, 1), "broken at {word}");
        succeeds(&["rollback", "--all", "-d", &on]);
        assert_eq!(indexes(&admin).await, (0, 0), "broken at {word}");
        run(&admin, &["DROP SCHEMA pgwright CASCADE"]).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_while_an_index_is_built_is_told_and_mended() {
    let Some(cluster) = priced(false).await else { return };
    let on = cluster.conninfo("postgres");
    let admin = client(&on).await;
    let file = large(&admin).await;
    let args = ["optimize", "--apply", "-d", &on, "--workload", file.path().to_str().unwrap()];
    let (output, ()) = tokio::join!(running(&args), async {
        let pid = wait_for(&admin, BUILDING).await;
        run(&admin, &[&format!("SELECT pg_terminate_backend({pid})")]).await;
    });
    fails_with(
        &output,
        CONNECTION,
        &["connection", "terminat", "`pgwright log` shows", "the next run finishes"],
    );
    assert_eq!(indexes(&admin).await, (1, 0), "PostgreSQL leaves an invalid one behind");
    the_next_run_finishes(&on, &args).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_while_it_builds_an_index_is_told_and_mended() {
    let Some(mut cluster) = priced(false).await else { return };
    let on = cluster.conninfo("postgres");
    let admin = client(&on).await;
    let file = large(&admin).await;
    let args = ["optimize", "--apply", "-d", &on, "--workload", file.path().to_str().unwrap()];
    let (output, ()) = tokio::join!(running(&args), async {
        wait_for(&admin, BUILDING).await;
        cluster.kill().await.unwrap();
    });
    fails_with(
        &output,
        CONNECTION,
        &["the connection was lost", "`pgwright log` shows", "the next run finishes"],
    );
    cluster.restart().await.unwrap();
    let admin = client(&on).await;
    assert_eq!(indexes(&admin).await, (1, 0), "PostgreSQL leaves an invalid one behind");
    let unfinished = succeeds(&["log", "-d", &on]);
    assert!(
        unfinished.contains("create index") || unfinished.contains("create_index"),
        "{unfinished}"
    );
    behaves(&super::cli(&["optimize", "-d", &on]));
    the_next_run_finishes(&on, &args).await;
    cluster.stop().await;
}
