//! What stands around: the counters, the clock, the version.

use std::path::Path;

use super::ground::{After, Stage, pgwright};
use super::{Scenario, quick, slow};
use crate::harness::{Fault, Harm, Moment, Side, say};

pub(super) const SCENARIOS: &[Scenario] = &[
    quick(29, "pg_stat_statements missing", missing),
    slow(29, "pg_stat_statements reset while watching", reset),
    slow(29, "pg_stat_statements.track = none", untracked),
    slow(29, "pg_stat_statements evicts the statement that is watched", evicted),
    slow(30, "agent's clock a day ahead, then a day behind", clock),
    quick(30, "time zone of the database 14 h ahead", time_zone),
    quick(33, "server that calls itself 14.3", version),
];

const DONE: After<'_> =
    After { exits: &[0], tolerated: &[], same_schema: true, same_rows: true, states: "" };

fn missing(stage: &mut Stage<'_>) {
    stage.sql("DROP EXTENSION pg_stat_statements");
    let output = pgwright(&["optimize", "--apply", "-d", &stage.on], &[]);
    stage.note(&output);
    assert_eq!(output.status, Some(3), "{output:?}");
    assert!(output.stderr.contains("CREATE EXTENSION pg_stat_statements"), "{output:?}");
    assert_eq!(stage.states(), "");
    // With a file of statements it is not needed, nor is it to watch.
    stage.apply(&[]);
    let output = pgwright(&["verify", "-d", &stage.on], &[]);
    stage.note(&output);
    assert!(matches!(output.status, Some(0 | 3)), "{output:?}");
    stage.sql("CREATE EXTENSION pg_stat_statements");
    stage.settle(&After { states: "observing", ..DONE });
}

/// Watches once, and expects that nothing is concluded.
fn watch(stage: &mut Stage<'_>) {
    let output = pgwright(&["verify", "-d", &stage.on], &[]);
    stage.note(&output);
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(stage.states(), "observing", "not yet decided");
}

fn reset(stage: &mut Stage<'_>) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    for _ in 0..2 {
        watch(stage);
        stage.sql("SELECT pg_stat_statements_reset(); SELECT pg_stat_reset()");
        watch(stage);
    }
    stage.settle(&After { states: "observing", ..DONE });
}

fn untracked(stage: &mut Stage<'_>) {
    let name = stage.name.clone();
    stage
        .ground
        .sql("postgres", &format!("ALTER DATABASE {name} SET pg_stat_statements.track = 'none'"));
    assert_eq!(stage.apply(&[]).status, Some(0));
    watch(stage);
    stage.ground.sql("postgres", &format!("ALTER DATABASE {name} RESET pg_stat_statements.track"));
    watch(stage);
    stage.settle(&After { states: "observing", ..DONE });
}

/// The server of these scenarios keeps a hundred statements.
fn evicted(stage: &mut Stage<'_>) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    watch(stage);
    let columns = |n: usize| vec!["id"; n + 1].join(", ");
    let others: Vec<String> =
        (0..400).map(|n| format!("SELECT {} FROM shop.orders WHERE id = 1;", columns(n))).collect();
    stage.sql(&others.join("\n"));
    assert_ne!(stage.sql("SELECT dealloc FROM pg_stat_statements_info"), "0");
    watch(stage);
    stage.settle(&After { states: "observing", ..DONE });
}

/// Where `libfaketime` is: its package puts it there.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

fn clock(stage: &mut Stage<'_>) {
    if !Path::new(FAKETIME).exists() {
        say("SKIPPED: libfaketime is not installed (package libfaketime)");
        stage.tell("not run: libfaketime is not installed");
        return;
    }
    for step in ["+1d", "-1d"] {
        let variables =
            [("LD_PRELOAD", FAKETIME), ("FAKETIME", step), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        let output = pgwright(&stage.args(&[]), &variables);
        stage.note(&output);
        assert_eq!(output.status, Some(0), "{output:?}");
        let output = pgwright(&["verify", "-d", &stage.on], &variables);
        assert_eq!((output.status, stage.states().as_str()), (Some(0), "observing"), "{output:?}");
    }
    let apart = r#"SELECT count(*) FROM pgwright."OptimizationLog" WHERE "appliedAt" NOT BETWEEN now() - interval '1 hour' AND now()"#;
    assert_eq!(stage.sql(apart), "0", "times are the server's");
    stage.settle(&After { states: "observing", ..DONE });
}

fn time_zone(stage: &mut Stage<'_>) {
    let name = stage.name.clone();
    stage
        .ground
        .sql("postgres", &format!("ALTER DATABASE {name} SET timezone = 'Pacific/Kiritimati'"));
    assert_eq!(stage.apply(&[]).status, Some(0));
    stage.ground.sql("postgres", &format!("ALTER DATABASE {name} SET timezone = 'Etc/GMT+12'"));
    stage.settle(&After { states: "observing", ..DONE });
}

/// The proxy changes the answer: no such server is at hand.
fn version(stage: &mut Stage<'_>) {
    let number = stage.sql("SHOW server_version_num");
    stage.through_proxy();
    let harm = Harm::Rewrite(number, "140003".to_owned());
    let fault = Fault { side: Side::Server, with: "", number: 1, moment: Moment::Before, harm };
    stage.ground.proxy.arm(Some(fault));
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(5), "{output:?}");
    assert!(format!("{output:?}").contains("14.4"), "{output:?}");
    stage.ground.proxy.arm(None);
    stage.is_untouched();
}
