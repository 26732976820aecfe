//! The private server itself: it starts, is reachable, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use agent::cluster::{Cluster, ClusterError, ClusterOptions};
use tokio_postgres::NoTls;

use crate::harness::{binaries, processes};

async fn ask(cluster: &Cluster, sql: &str) -> String {
    let conninfo = cluster.conninfo("postgres");
    let (client, connection) = tokio_postgres::connect(&conninfo, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer: String = client.query_one(sql, &[]).await.unwrap().get(0);
    drop(client);
    connection.await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_server_starts_answers_and_leaves_nothing_behind() {
    let Some(binaries) = binaries() else { return };
    let options = ClusterOptions {
        settings: vec![("work_mem".into(), "9MB".into())],
        preload: vec!["pg_stat_statements".into()],
        tcp: true,
        keep_template: true,
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(&binaries, options).await.unwrap();
    let version = ask(&cluster, "SELECT current_setting('server_version_num')").await;
    assert_eq!(version, binaries.version_num.to_string());
    assert_eq!(ask(&cluster, "SHOW work_mem").await, "9MB");
    assert_eq!(ask(&cluster, "SHOW TimeZone").await, "UTC");
    assert_eq!(ask(&cluster, "SHOW shared_preload_libraries").await, "pg_stat_statements");
    assert!(std::net::TcpStream::connect(("127.0.0.1", cluster.port())).is_ok());
    let (folder, pid) = (cluster.data_dir().parent().unwrap().to_owned(), cluster.pid().unwrap());
    assert!(folder.exists());
    cluster.stop().await;
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test]
async fn a_killed_server_comes_back_with_its_data() {
    let Some(binaries) = binaries() else { return };
    let options = ClusterOptions { keep_template: true, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(&binaries, options).await.unwrap();
    ask(&cluster, "SELECT 'made' FROM (SELECT lo_create(4711)) AS made").await;
    cluster.kill().await.unwrap();
    assert_eq!(cluster.pid(), None);
    assert!(tokio_postgres::connect(&cluster.conninfo("postgres"), NoTls).await.is_err());
    for _ in 0..2 {
        cluster.restart().await.unwrap();
        let kept = "SELECT count(*)::text FROM pg_largeobject_metadata WHERE oid = 4711";
        assert_eq!(ask(&cluster, kept).await, "1");
    }
}

#[tokio::test]
async fn a_wrong_setting_is_reported_in_the_servers_words() {
    let Some(binaries) = binaries() else { return };
    let options = ClusterOptions {
        settings: vec![("shared_buffers".into(), "banana".into())],
        keep_template: true,
        ..ClusterOptions::default()
    };
    let error = Cluster::start(&binaries, options).await.unwrap_err();
    assert!(matches!(error, ClusterError::Start { .. }), "{error}");
    assert!(error.to_string().contains("banana"), "{error}");
}

/// A session that a killed server leaves behind notices that only when it waits for something.
#[tokio::test]
async fn nothing_of_a_killed_server_stays_even_while_a_session_is_busy() {
    const BUSY: &str = "DO $$ BEGIN LOOP BEGIN LOOP END LOOP; \
                        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";
    let Some(binaries) = binaries() else { return };
    let options = ClusterOptions { keep_template: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(&binaries, options).await.unwrap();
    let folder = cluster.data_dir().parent().unwrap().to_owned();
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let pid_file = std::fs::read_to_string(cluster.data_dir().join("postmaster.pid")).unwrap();
    let segment = pid_file.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let conninfo = cluster.conninfo("postgres");
    let (client, connection) = tokio_postgres::connect(&conninfo, NoTls).await.unwrap();
    tokio::spawn(connection);
    let busy = tokio::spawn(async move { client.batch_execute(BUSY).await });
    while ask(&cluster, "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'DO%'").await
        == "0"
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pid = cluster.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    cluster.stop().await;
    assert!(busy.await.unwrap().is_err());
    assert!(!folder.exists());
    let title = format!("postgres: {name}: ");
    assert_eq!(processes(&title), Vec::<String>::new());
    if let Ok(segments) = std::fs::read_to_string("/proc/sysvipc/shm") {
        let left = segments.lines().any(|line| line.split_whitespace().nth(1) == Some(&*segment));
        assert!(!left, "shared memory {segment} is left");
    }
}

/// Runs this test again in a process of its own, kills that one, and looks at what remains.
#[tokio::test]
async fn a_server_does_not_outlive_its_killed_owner() {
    const HOLD: &str = "PGWRIGHT_TEST_HOLD_CLUSTER";
    if std::env::var_os(HOLD).is_some() {
        let Some(binaries) = binaries() else { return };
        let options = ClusterOptions { keep_template: true, ..ClusterOptions::default() };
        let cluster = Cluster::start(&binaries, options).await.unwrap();
        println!("folder={}", cluster.data_dir().parent().unwrap().display());
        std::future::pending::<()>().await;
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::a_server_does_not_outlive_its_killed_owner", "--nocapture"])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.contains("folder=")).unwrap();
    let folder = Path::new(line.split_once("folder=").unwrap().1);
    let pid_file = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let server = Path::new("/proc").join(pid_file.lines().next().unwrap());
    assert!(server.exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    for _ in 0..400 {
        if !folder.exists() && !server.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} or its server is still there", folder.display());
}
