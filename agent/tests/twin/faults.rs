//! What is left, and what is said, when something goes wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agent::cluster::Binaries;
use agent::explain::Text;
use agent::twin::{Twin, TwinError, TwinOptions};

use crate::harness::{Source, skip, twin};

const SCHEMA: &str = "CREATE TABLE public.t (a int PRIMARY KEY);\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_reported_and_nothing_stays() {
    let Ok(binaries) = Binaries::find(Some(15)) else { return skip("no PostgreSQL 15") };
    let source = Source::start(&binaries, SCHEMA).await;
    source.run("INSERT INTO t SELECT generate_series(1, 100000)").await;
    source.run("VACUUM ANALYZE t").await;
    let twin = twin(&source.snapshot().await).await;
    let folder = twin.cluster().data_dir().parent().unwrap().to_path_buf();
    assert!(folder.join("trials").is_dir());
    let mut explainer = twin.explainer(0).await.unwrap();
    let path = ["public".to_owned()];
    let text = Text {
        id: 0,
        label: "t",
        text: "SELECT * FROM t WHERE a = 7",
        search_path: &path,
        settings: &BTreeMap::new(),
    };
    explainer.prepare(text).await.unwrap().unwrap();
    explainer.plan(text, &[]).await.unwrap().unwrap();
    let pid = twin.cluster().pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let mut outcome = explainer.plan(text, &[]).await;
    for _ in 0..50 {
        if outcome.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        let next = Text { id: 1, ..text };
        outcome = explainer.plan(next, &[]).await;
    }
    let error = outcome.unwrap_err().to_string();
    assert!(!error.is_empty());
    drop(explainer);
    twin.stop().await;
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_named_and_taken_only_when_allowed() {
    let Ok(binaries) = Binaries::find(Some(15)) else { return skip("no PostgreSQL 15") };
    let source = Source::start(&binaries, SCHEMA).await;
    let mut snapshot = source.snapshot().await;
    snapshot.server.version_num = 130_010;
    let refused = Twin::build(&snapshot, &TwinOptions::default()).await.unwrap_err();
    assert!(matches!(refused, TwinError::Version { wanted: 13, .. }), "{refused:?}");
    assert!(refused.to_string().contains("PostgreSQL 13"), "{refused}");
    let options = TwinOptions { any_version: true, ..TwinOptions::default() };
    let twin = Twin::build(&snapshot, &options).await.unwrap();
    assert!(twin.notes().iter().any(|note| note.contains("in place of 13")), "{:?}", twin.notes());
    twin.stop().await;
    snapshot.blueprint = None;
    let refused = Twin::build(&snapshot, &options).await.unwrap_err();
    assert!(matches!(refused, TwinError::NoBlueprint));
}
