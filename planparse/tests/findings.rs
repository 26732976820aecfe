//! Findings in every plan of the corpus that other people wrote: no panic, no figure that is none, and a table of how
//! often each pattern fires, by which a pattern that cries wolf is seen.

#![expect(
    clippy::disallowed_methods,
    reason = "the test reads files and the environment; the library does not"
)]

#[path = "common/files.rs"]
mod files;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use files::{corpus, files};
use planparse::{Finding, PATTERNS, Plan};
use serde_json::Value;

/// Shares are shares, sentences are whole and hold figures, the order is that of their tenths.
fn check(name: &str, plan: &Plan, findings: &[Finding]) {
    let mut last = 9.0;
    for finding in findings {
        let stake = finding.stake;
        let tenth = (stake.share * 10.0).floor().min(9.0);
        assert!(stake.share > 0.0 && stake.share <= 1.0 && tenth <= last, "{name}: {finding:?}");
        last = tenth;
        let figures = [stake.ms, stake.cost, stake.blocks.map(|blocks| blocks as f64)];
        assert_eq!(figures.iter().flatten().count(), 1, "{name}: {finding:?}");
        assert!(figures.into_iter().flatten().all(|figure| figure > 0.0 && figure.is_finite()));
        if let Some(operator) = finding.operator {
            assert!(operator.index() < plan.operators().count(), "{name}: {finding:?}");
        }
        for sentence in [&finding.what, &finding.why, &finding.advice] {
            assert!(sentence.ends_with('.') && !sentence.contains("  "), "{name}: {sentence}");
            assert!(!sentence.contains("NaN") && !sentence.contains("inf "), "{name}: {sentence}");
        }
    }
}

/// Plans that `scripts/capture-findings.sh` took from servers: `pg15_sort_on_disk_fires.json` and its near miss
/// `pg15_sort_on_disk_silent.json`, which differs in what the pattern is about.
#[test]
fn every_pattern_fires_on_a_real_plan_and_not_on_a_near_miss() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let mut seen: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("the folder is part of the repository") {
        let path = entry.expect("it is readable").path();
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let (_, rest) = name.split_once('_').expect("a version in front");
        let (pattern, expected) = rest.rsplit_once('_').expect("what is expected at the end");
        let known = PATTERNS.iter().map(|known| known.meta().id).find(|known| *known == pattern);
        let pattern = known.unwrap_or_else(|| panic!("{name} is of no pattern"));
        let read = planparse::read(fs::read(&path).expect("it was listed")).expect("a plan");
        let parsed = &read.plans[0];
        assert_eq!(parsed.problems, [], "{name}");
        let findings = planparse::findings(&parsed.plan);
        check(&name, &parsed.plan, &findings);
        let fired = findings.iter().any(|finding| finding.pattern == pattern);
        assert_eq!(fired, expected == "fires", "{name}: {findings:#?}");
        seen.entry(pattern).or_default()[usize::from(fired)] += 1;
    }
    for pattern in PATTERNS {
        let id = pattern.meta().id;
        assert!(
            seen.get(id).is_some_and(|both| both.iter().all(|plans| *plans > 0)),
            "no plans for {id}"
        );
    }
}

/// A copy without what some options of EXPLAIN leave out.
fn without(value: &Value, left_out: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !left_out(key));
            kept.map(|(key, value)| (key.clone(), without(value, left_out))).collect()
        }
        Value::Array(list) => list.iter().map(|value| without(value, left_out)).collect(),
        value => value.clone(),
    }
}

fn is_cost(key: &str) -> bool {
    ["Startup Cost", "Total Cost", "Plan Rows", "Plan Width"].contains(&key)
}

fn is_time(key: &str) -> bool {
    key.ends_with("Time") && key != "Execution Time" && key != "Planning Time"
        || ["Timing", "JIT"].contains(&key)
}

fn is_block(key: &str) -> bool {
    key.ends_with(" Blocks") && !key.contains("Heap")
}

/// What only an execution tells.
fn is_actual(key: &str) -> bool {
    let counters =
        ["Actual", "Rows Removed", "Workers Launched", "Hash B", "Original Hash", "Peak"];
    let others = ["Sort Method", "Sort Space Used", "Sort Space Type", "Heap Fetches", "Triggers"];
    counters.iter().any(|start| key.starts_with(start))
        || others.contains(&key)
        || ["HashAgg Batches", "Disk Usage", "JIT", "Execution Time"].contains(&key)
        || key.ends_with("Heap Blocks")
        || is_block(key)
}

#[test]
fn nothing_is_made_of_what_was_not_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/findings");
    let judged = |value: &Value| {
        let parsed = planparse::from_json(value).expect("a plan");
        let findings = planparse::findings(&parsed.plan);
        check("captured", &parsed.plan, &findings);
        findings
    };
    for entry in fs::read_dir(&folder).expect("the folder is part of the repository") {
        let path = entry.expect("it is readable").path();
        let text = fs::read_to_string(&path).expect("it was listed");
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        let name = path.display();
        // COSTS OFF: no estimate to be wrong, no width to size memory by.
        for finding in judged(&without(&value, &is_cost)) {
            let estimate = ["misestimate", "function_estimate", "wide_rows"];
            assert!(!estimate.contains(&finding.pattern), "{name}: {finding:?}");
            assert!(!finding.advice.contains("hash_mem_multiplier"), "{name}: {finding:?}");
            assert_eq!(finding.stake.cost, None, "{name}: {finding:?}");
        }
        // TIMING OFF: blocks tell; without BUFFERS cost does.
        for finding in judged(&without(&value, &is_time)) {
            assert!(finding.stake.blocks.is_some(), "{name}: {finding:?}");
        }
        for finding in judged(&without(&value, &|key| is_time(key) || is_block(key))) {
            assert!(finding.stake.cost.is_some(), "{name}: {finding:?}");
        }
        let nothing = |key: &str| is_time(key) || is_block(key) || is_cost(key);
        assert_eq!(judged(&without(&value, &nothing)), [], "{name}");
        // No ANALYZE: only what is expected to be dear.
        for finding in judged(&without(&value, &is_actual)) {
            let expected = [
                "discarding_scan",
                "discarding_index_scan",
                "looping_join",
                "repeated_subplan",
                "fenced_cte",
                "wide_rows",
            ];
            assert!(expected.contains(&finding.pattern), "{name}: {finding:?}");
            assert!(finding.stake.cost.is_some(), "{name}: {finding:?}");
        }
        assert_eq!(judged(&without(&value, &|key| is_actual(key) || is_cost(key))), [], "{name}");
    }
}

#[test]
fn every_plan_of_the_corpus_is_judged() {
    let Some(folder) = corpus() else { return };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    paths.sort();
    let (mut plans, mut fired) = (0, BTreeMap::<&str, Vec<String>>::new());
    for path in &paths {
        let name = path.strip_prefix(&folder).expect("listed below it").display().to_string();
        // What is no plan is another test's matter.
        let Ok(read) = planparse::read(fs::read(path).expect("it was listed")) else { continue };
        for parsed in &read.plans {
            let findings = planparse::findings(&parsed.plan);
            check(&name, &parsed.plan, &findings);
            plans += 1;
            for finding in findings {
                fired.entry(finding.pattern).or_default().push(format!("{name}: {}", finding.what));
            }
        }
    }
    println!("{plans} plans");
    for (pattern, places) in &fired {
        println!("\n{pattern}: {}", places.len());
        for place in places {
            println!("  {place}");
        }
    }
    assert!(plans > 0, "no plan in {}", folder.display());
}
