//! What it takes to find what is wrong with a plan, metrics included: on made plans of a thousand operators, and on the
//! largest of the corpus where that is there (`PGWRIGHT_CORPUS`, or beside the repository).
#![expect(
    clippy::disallowed_methods,
    reason = "the bench reads files and the environment; the library does not"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use planparse::Plan;

fn plan(text: &str) -> Plan {
    planparse::read(text).expect("a plan").plans.remove(0).plan
}

fn scan(place: usize) -> String {
    format!(
        r#""Node Type": "Seq Scan", "Relation Name": "orders_{place}", "Alias": "orders_{place}", "Total Cost": 900.0, "Plan Rows": 10,
        "Plan Width": 40, "Actual Startup Time": 0.1, "Actual Total Time": 2.0, "Actual Rows": 200, "Actual Loops": 7,
        "Filter": "((a = 1) AND (b = 2))", "Rows Removed by Filter": 9900, "Shared Hit Blocks": 100, "Shared Read Blocks": 7"#
    )
}

/// A table of a thousand partitions.
fn wide() -> Plan {
    let mut members = String::new();
    for place in 0..1000 {
        let comma = if place > 0 { "," } else { "" };
        let _ = write!(members, "{comma}{{{}, \"Parent Relationship\": \"Member\"}}", scan(place));
    }
    plan(&format!(
        r#"[{{"Plan": {{"Node Type": "Append", "Total Cost": 900000.0, "Plan Rows": 10000, "Actual Startup Time": 0.1,
        "Actual Total Time": 14100.0, "Actual Rows": 1400000, "Actual Loops": 1, "Plans": [{members}]}}, "Execution Time": 15000.0}}]"#
    ))
}

/// Five hundred nested joins, each over a scan.
fn deep() -> Plan {
    let mut text = format!("{{{}, \"Parent Relationship\": \"Outer\"}}", scan(0));
    for place in 1..500 {
        text = format!(
            r#"{{"Node Type": "Nested Loop", "Parent Relationship": "Outer", "Join Filter": "(x = y)", "Total Cost": 9000.0,
            "Plan Rows": 10, "Actual Startup Time": 0.1, "Actual Total Time": {}.0, "Actual Rows": 2000, "Actual Loops": 1,
            "Plans": [{text}, {{{}, "Parent Relationship": "Inner"}}]}}"#,
            20 * place,
            scan(place)
        );
    }
    plan(&format!("[{{\"Plan\": {text}}}]"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn largest() -> Option<Plan> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora/plans");
    let folder = std::env::var_os("PGWRIGHT_CORPUS").map_or_else(beside, PathBuf::from);
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    let read = |path: &PathBuf| planparse::read(std::fs::read(path).ok()?).ok();
    let plans = paths.iter().filter_map(read).flat_map(|reading| reading.plans);
    plans.map(|parsed| parsed.plan).max_by_key(|plan| plan.operators().count())
}

fn findings(c: &mut Criterion) {
    let made =
        [("wide", Some(wide())), ("deep", Some(deep())), ("largest of the corpus", largest())];
    for (name, plan) in made {
        let Some(plan) = plan else { continue };
        let name = format!("findings/{name}, {} operators", plan.operators().count());
        c.bench_function(&name, |b| b.iter(|| planparse::findings(black_box(&plan))));
        let name = name.replace("findings/", "of these metrics/");
        c.bench_function(&name, |b| b.iter(|| black_box(&plan).metrics()));
    }
}

criterion_group!(benches, findings);
criterion_main!(benches);
