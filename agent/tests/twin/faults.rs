//! What is left, and what is said, when something goes wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agent::cluster::Binaries;
use agent::explain::Text;
use agent::optimize::{Options, Source as From, WhatIfChoice, propose};
use agent::postgres::Meter;
use agent::sampler::SampleOptions;
use agent::twin::{Twin, TwinError, TwinOptions};
use rules::change_plan::Action;
use rules::evidence::VETO_CAP;

use crate::harness::{Source, skip, twin};

const SCHEMA: &str = "CREATE TABLE public.t (a int PRIMARY KEY, b int);\n";

const FILL: &str = "INSERT INTO t SELECT i, i % 20000 FROM generate_series(1, 100000) AS i";

/// A run that has a twin price.
fn price_by_twin() -> Options {
    Options {
        sample: SampleOptions::default(),
        min_confidence: 0.9,
        storage_budget: None,
        what_if: WhatIfChoice::Twin,
        twin: TwinOptions::default(),
        explain_as: None,
    }
}

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
    source.run(FILL).await;
    source.run("VACUUM ANALYZE t").await;
    source.run("SELECT pg_stat_statements_reset()").await;
    for value in 0..20 {
        source.run(&format!("SELECT * FROM public.t WHERE b = {value}")).await;
    }
    let mut snapshot = source.snapshot().await;
    snapshot.server.version_num = 130_010;
    let refused = Twin::build(&snapshot, &TwinOptions::default()).await.unwrap_err();
    assert!(matches!(refused, TwinError::Version { wanted: 13, .. }), "{refused:?}");
    assert!(refused.to_string().contains("PostgreSQL 13"), "{refused}");
    let options = TwinOptions { any_version: true, ..TwinOptions::default() };
    let twin = Twin::build(&snapshot, &options).await.unwrap();
    assert!(twin.notes().iter().any(|note| note.contains("in place of 13")), "{:?}", twin.notes());
    twin.stop().await;
    let mut surest = Vec::new();
    for version in [150_001, 130_010] {
        snapshot.server.version_num = version;
        let options = Options { twin: options.clone(), ..price_by_twin() };
        let from = From::File(Box::new(snapshot.clone()));
        let proposal = propose(from, &Meter::new(), &options, &mut |_| {}).await.unwrap();
        let confidence = |action: &Action| action.confidence.value;
        surest.push(proposal.plan.actions.iter().map(confidence).fold(0.0, f64::max));
        let passes = proposal.plan.actions.iter().any(|action| proposal.plan.passes(action));
        assert_eq!(passes, version == 150_001, "only the server's own planner opens the gate");
    }
    assert!(surest[0] >= 0.9 && surest[1] <= VETO_CAP && surest[1] > 0.5, "{surest:?}");
    snapshot.blueprint = None;
    let refused = Twin::build(&snapshot, &options).await.unwrap_err();
    assert!(matches!(refused, TwinError::NoBlueprint));
}
