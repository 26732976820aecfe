//! Reads every JSON plan of a corpus that other people wrote, which lies beside the repository or where `PGWRIGHT_CORPUS` says.

#![expect(
    clippy::disallowed_methods,
    reason = "the test reads files and the environment; the library does not"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use planparse::{OperatorKind, Parsed};

fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("PGWRIGHT_CORPUS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora/plans");
    let folder = given.unwrap_or_else(beside);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "CI is set, but there is no corpus at {}",
        folder.display()
    );
    // Straight to stderr: the test harness would swallow what a passing test prints.
    let message = format!(
        "SKIPPED: there is no corpus of plans at {}; set PGWRIGHT_CORPUS\n",
        folder.display()
    );
    std::io::stderr().write_all(message.as_bytes()).expect("stderr takes a line");
    None
}

fn json_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            json_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

/// Some files are named for JSON and hold a psql session, or have their figures blotted out (`"Plan Rows": N`).
fn is_not_json(text: &str) -> bool {
    !text.contains("\"Node Type\"") || text.contains(": N,") || text.contains(": N.N,")
}

fn check(name: &str, text: &str, parsed: &Parsed) {
    let plan = &parsed.plan;
    let written = serde_json::to_string(plan).expect("a plan can be written");
    let read: planparse::Plan =
        serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(&read, plan, "{name}: what is written is not what is read");
    assert!(!plan.shape().is_empty() && !plan.to_string().is_empty(), "{name}");
    planparse::summary(plan);

    let metrics = plan.metrics();
    assert_eq!(metrics.len(), plan.operators().count(), "{name}");
    let near = |sum: f64, whole: f64| (sum - whole).abs() <= 1e-6 * whole.max(1.0);
    let cost: f64 = metrics.values().map(|metric| metric.exclusive_cost).sum();
    assert!(
        near(cost, plan.total_cost()),
        "{name}: exclusive costs add up to {cost}, not {}",
        plan.total_cost()
    );
    for metric in metrics.values() {
        assert!(
            metric.exclusive_cost >= 0.0 && metric.exclusive_ms.is_none_or(|ms| ms >= 0.0),
            "{name}"
        );
    }
    let unread_cte = |(id, operator): (_, &planparse::Operator)| {
        operator.kind == OperatorKind::ModifyTable
            && plan.link(id) == Some(planparse::Link::InitPlan)
    };
    let root = plan.operator(plan.root()).actual;
    if let Some(whole) =
        root.and_then(|actual| actual.total_ms).filter(|_| !plan.operators().any(unread_cte))
    {
        let time: f64 = metrics.values().filter_map(|metric| metric.exclusive_ms).sum();
        assert!(near(time, whole), "{name}: exclusive times add up to {time}, not {whole}");
    }
    // Escaped keys and keys inside texts would need a JSON reader; this corpus has none.
    if !text.contains("Remote Plan") && !text.contains("QUERY PLAN") {
        assert_eq!(
            text.matches("\"Node Type\":").count(),
            metrics.len(),
            "{name}: a node is missing"
        );
    }
}

#[test]
fn every_json_plan_of_the_corpus_is_read() {
    let Some(folder) = corpus() else { return };
    let mut files = Vec::new();
    json_files(&folder, &mut files);
    files.sort();
    let (mut read, mut operators, mut refused, mut problems) =
        (0, 0, Vec::new(), BTreeMap::<String, Vec<String>>::new());
    for path in &files {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        match planparse::parse(&text) {
            Ok(plans) => {
                assert!(!is_not_json(&text), "{name} was read, though it is not JSON");
                for parsed in &plans {
                    check(&name, &text, parsed);
                    operators += parsed.plan.operators().count();
                    for problem in &parsed.problems {
                        problems.entry(name.clone()).or_default().push(problem.to_string());
                    }
                }
                read += 1;
            }
            Err(error) => {
                assert!(is_not_json(&text), "{name}: {error}");
                refused.push(format!("{name}: {error}"));
            }
        }
    }
    println!(
        "{read} of {} files read, {operators} operators, {} refused",
        files.len(),
        refused.len()
    );
    println!("{}", refused.join("\n"));
    for (name, problems) in &problems {
        println!("{name}: {}", problems.join("; "));
    }
    assert!(read > 0, "no plan in {}", folder.display());
    // What real servers print (15, 17, 18 with every option; 10 to 18) is known to the last key.
    let from_servers =
        |name: &&String| name.starts_with("regress") || name.starts_with("generated");
    assert_eq!(problems.keys().filter(from_servers).collect::<Vec<_>>(), Vec::<&String>::new());
    let malformed = |name: &&String| name.starts_with("malformed");
    assert!(
        problems.keys().filter(malformed).count()
            == files.iter().filter(|path| path.parent().unwrap().ends_with("malformed")).count()
    );
}
