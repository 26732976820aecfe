//! No server, the wrong one, or one that does not let us in.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use agent::cluster::{Binaries, Cluster, ClusterOptions};

use super::relay::{Manner, relay};
use super::{
    CANARY, CONNECTION, REFUSED, behaves, cli_with, client, cluster, fails, fails_with, run,
    running, shop, state,
};
use crate::harness::database;

/// Every command that needs a server.
const COMMANDS: [&[&str]; 7] = [
    &["optimize"],
    &["optimize", "--apply"],
    &["optimize", "--format", "json"],
    &["doctor"],
    &["log"],
    &["rollback", "3"],
    &["rollback", "--all"],
];

#[track_caller]
fn every_command_fails(connection: &str, code: i32, words: &[&str]) {
    for command in COMMANDS {
        fails(&[command, &["-d", connection]].concat(), code, words);
    }
}

#[test]
fn nobody_answers() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = format!("app@127.0.0.1:{port}/shop");
    let words = [target.as_str(), "connection refused", "check host and port", "listen_addresses"];
    every_command_fails(
        &format!("postgres://app:{CANARY}@127.0.0.1:{port}/shop"),
        CONNECTION,
        &words,
    );
    let nowhere = format!("host=/nowhere user=app password={CANARY}");
    every_command_fails(
        &nowhere,
        CONNECTION,
        &["/nowhere:5432", "no server socket", "check host and port"],
    );
    let unknown = format!("postgres://app:{CANARY}@no-such-host.invalid/shop?connect_timeout=5");
    fails(&["optimize", "-d", &unknown], CONNECTION, &["no-such-host.invalid", "check host"]);
    let silent = relay(port, Manner::Silent);
    let silent = format!("postgres://app:{CANARY}@127.0.0.1:{silent}/shop?connect_timeout=1");
    fails(&["optimize", "-d", &silent], CONNECTION, &["no answer within 1 s", "connect_timeout"]);
}

#[tokio::test]
async fn a_database_that_is_gone_is_named() {
    let Some(db) = database().await else { return };
    db.sql("CREATE DATABASE bad_input_gone").await;
    db.sql("DROP DATABASE bad_input_gone").await;
    let gone = format!("{} dbname=bad_input_gone", db.conninfo());
    every_command_fails(
        &gone,
        CONNECTION,
        &["database \"bad_input_gone\" does not exist", "psql -l"],
    );
}

/// A server that lets the role `app` in by password only, and holds a database worth optimizing.
async fn guarded() -> Option<Cluster> {
    let cluster =
        cluster(&["pg_stat_statements"], &[("password_encryption", "scram-sha-256")], true).await?;
    let admin = client(&cluster.conninfo("postgres")).await;
    run(&admin, &[&format!("CREATE ROLE app LOGIN SUPERUSER PASSWORD '{CANARY}'")]).await;
    shop(&admin).await;
    let rules =
        "local all app scram-sha-256\nlocal all all trust\nhost all all all scram-sha-256\n";
    std::fs::write(cluster.data_dir().join("pg_hba.conf"), rules).unwrap();
    run(&admin, &["SELECT pg_reload_conf()"]).await;
    // The postmaster heeds it a moment later.
    while tokio_postgres::connect(
        &format!("{} user=app", cluster.conninfo("postgres")),
        tokio_postgres::NoTls,
    )
    .await
    .is_ok()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Some(cluster)
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_no_password_is_ever_told() {
    let Some(cluster) = guarded().await else { return };
    let (port, socket) = (cluster.port(), cluster.conninfo("postgres"));
    let refused = ["password authentication failed for user \"app\"", "PGPASSWORD or ~/.pgpass"];
    for wrong in [
        format!("postgres://app:{CANARY}x@127.0.0.1:{port}/postgres"),
        format!("{socket} user=app password={CANARY}x"),
    ] {
        every_command_fails(&wrong, CONNECTION, &refused);
    }
    let open = format!("postgres://app@127.0.0.1:{port}/postgres");
    let missing = ["asks for a password and none was given", "~/.pgpass"];
    fails(&["optimize", "-d", &open], CONNECTION, &missing);
    let wrong = format!("{CANARY}x");
    let by_environment = cli_with(&["optimize", "-d", &open], &[("PGPASSWORD", &wrong)], "");
    fails_with(&by_environment, CONNECTION, &refused);
    let nobody = format!("postgres://nobody:{CANARY}@127.0.0.1:{port}/postgres");
    fails(&["optimize", "-d", &nobody], CONNECTION, &["password authentication failed"]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    std::fs::write(&file, format!("*:*:*:*:{CANARY}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output =
        cli_with(&["optimize", "-d", &open], &[("PGPASSFILE", file.to_str().unwrap())], "");
    behaves(&output);
    assert_eq!(output.status, Some(CONNECTION));
    assert!(output.stderr.contains("chmod 0600"), "{}", output.stderr);

    // With the right one everything works, and even a trace and the journal hold none.
    let right = format!("postgres://app:{CANARY}@127.0.0.1:{port}/postgres");
    let run =
        cli_with(&["optimize", "-vvv", "--apply", "-d", &right], &[("PGWRIGHT_LOG", "trace")], "");
    behaves(&run);
    assert_eq!(run.status, Some(0), "{run:?}");
    behaves(&cli_with(&["doctor", "-vvv", "-d", &right], &[], ""));
    if !cluster.binaries().offers("hypopg") {
        return;
    }
    assert!(run.stderr.contains("agent::applier"), "no trace: {}", run.stderr);
    behaves(&cli_with(&["log", "1", "-d", &right], &[], ""));
    let admin = client(&socket).await;
    let journal = "SELECT string_agg(j::text, ' ') FROM pgwright.\"OptimizationLog\" j";
    let journal: String = admin.query_one(journal, &[]).await.unwrap().get(0);
    assert!(journal.contains("orders") && !journal.contains(CANARY), "{journal}");
    cluster.stop().await;
}

#[tokio::test]
async fn postgresql_13_is_refused_kindly() {
    let words = [
        "the server is PostgreSQL 13",
        "pgwright supports 14 to 18",
        "please upgrade the server first",
    ];
    let old = Binaries::find_all().into_iter().find(|found| found.major == 13);
    if let Some(old) = old {
        let cluster = Cluster::start(&old, ClusterOptions::default()).await.unwrap();
        every_command_fails(&cluster.conninfo("postgres"), REFUSED, &words);
        cluster.stop().await;
    }
    // One of another version that says it were 13.
    let Some(cluster) = cluster(&["pg_stat_statements"], &[], true).await else { return };
    let admin = client(&cluster.conninfo("postgres")).await;
    shop(&admin).await;
    let before = state(&admin).await;
    let number = cluster.binaries().version_num.to_string();
    let port = relay(cluster.port(), Manner::Replaces(number.leak(), "130011"));
    every_command_fails(
        &format!("host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable"),
        REFUSED,
        &words,
    );
    assert_eq!(state(&admin).await, before);
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_without_room_says_so() {
    let Some(cluster) = cluster(
        &["pg_stat_statements"],
        &[
            ("max_connections", "4"),
            ("superuser_reserved_connections", "0"),
            ("max_wal_senders", "0"),
            ("autovacuum_max_workers", "1"),
        ],
        false,
    )
    .await
    else {
        return;
    };
    let on = cluster.conninfo("postgres");
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(client(&on).await);
    }
    let words = ["too many clients", "try again when connections are free"];
    every_command_fails(&on, CONNECTION, &words);
    drop(taken);
    // The server takes a moment to see that they are gone.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running(&["log", "-d", &on]).await.status, Some(0));
    cluster.stop().await;
}
