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

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension != "tsv") {
            found.push(path);
        }
    }
}

/// Counts the nodes in a text by the marks of its format, independently of the reader.
fn nodes_marked(text: &str) -> usize {
    let marks = ["\"Node Type\":", "<Node-Type>", "Node Type: \""];
    let marked = marks.iter().map(|mark| text.matches(mark).count()).max().unwrap_or_default();
    if marked > 0 {
        return marked;
    }
    let line = |line: &str| {
        let line = line.trim_start_matches(['|', '"', ' ', '\t', '>']);
        let arrow = line.starts_with("->") && !line.contains("->  Task") && !line.contains("Distributed Subplan");
        let root = !line.starts_with("->") && (line.contains("  (cost=") || line.contains(" (actual "));
        usize::from(arrow || root)
    };
    let marked: usize = text.lines().map(line).sum();
    let has_root = |line: &&str| !line.trim().is_empty();
    let bare = !text.contains("(cost=") && !text.contains("(actual ") && !text.contains("(never ");
    // Without figures, the root of the one plan bears no mark.
    let roots = usize::from(bare && text.lines().any(|line| has_root(&line)));
    marked + roots
}

/// What the invariants of one plan are.
fn check(name: &str, parsed: &Parsed) -> Vec<String> {
    let mut broken = Vec::new();
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
    let own = || metrics.iter().filter(|(id, _)| !plan.is_remote(**id)).map(|(_, metric)| metric);
    let cost: f64 = own().map(|metric| metric.exclusive_cost).sum();
    if !near(cost, plan.total_cost()) {
        broken.push(format!("{name}: exclusive costs add up to {cost}, not {}", plan.total_cost()));
    }
    for metric in metrics.values() {
        let sane = metric.exclusive_cost >= 0.0
            && metric.exclusive_ms.is_none_or(|ms| ms >= 0.0)
            && metric.estimate_error.is_none_or(|error| error >= 1.0)
            && metric.rows.is_none_or(|rows| rows >= 0.0);
        assert!(sane, "{name}");
    }
    let unread_cte = |(id, operator): (_, &planparse::Operator)| {
        operator.kind == OperatorKind::ModifyTable
            && plan.link(id) == Some(planparse::Link::InitPlan)
    };
    let root = plan.operator(plan.root());
    let whole = root.actual.and_then(|actual| Some(actual.total_ms? * actual.loops));
    if let Some(whole) = whole.filter(|_| !plan.operators().any(unread_cte)) {
        let time: f64 = own().filter_map(|metric| metric.exclusive_ms).sum();
        if !near(time, whole) {
            broken.push(format!("{name}: exclusive times add up to {time}, not {whole}"));
        }
    }
    if let Some(buffers) = root.buffers {
        let sum: u64 = own().filter_map(|metric| metric.exclusive_buffers).map(|b| b.shared_hit).sum();
        if sum != buffers.shared_hit {
            broken.push(format!("{name}: exclusive shared hits add up to {sum}, not {}", buffers.shared_hit));
        }
    }
    if let Some(wal) = root.wal {
        let sum: u64 = own().filter_map(|metric| metric.exclusive_wal).map(|wal| wal.bytes).sum();
        if sum != wal.bytes {
            broken.push(format!("{name}: exclusive WAL adds up to {sum}, not {}", wal.bytes));
        }
    }
    broken
}

#[derive(Default)]
struct Row {
    files: usize,
    refused: usize,
    plans: usize,
    operators: usize,
    with_problems: usize,
}

#[test]
fn every_file_of_the_corpus_is_read() {
    let Some(folder) = corpus() else { return };
    let mut all = Vec::new();
    files(&folder, &mut all);
    all.sort();
    let mut table: BTreeMap<(String, String), Row> = BTreeMap::new();
    let (mut refused, mut lost, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in &all {
        let bytes = fs::read(path).expect("the file can be read");
        let text = String::from_utf8_lossy(&bytes);
        let name = path.strip_prefix(&folder).expect("it is below").display().to_string();
        let (set, _) = name.split_once('/').unwrap_or_default();
        let kind = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let row = table.entry((set.to_owned(), kind)).or_default();
        row.files += 1;
        let reading = match planparse::read(&bytes) {
            Ok(reading) => reading,
            Err(error) => {
                row.refused += 1;
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        row.plans += reading.plans.len();
        let operators: usize =
            reading.plans.iter().map(|parsed| parsed.plan.operators().count()).sum();
        row.operators += operators;
        let marked = nodes_marked(&text);
        if marked > 0 && marked != operators {
            lost.push(format!("{name}: {operators} operators, but {marked} nodes are printed"));
        }
        let mut told: Vec<String> = reading.notes.iter().map(ToString::to_string).collect();
        for parsed in &reading.plans {
            broken.extend(check(&name, parsed));
            told.extend(parsed.problems.iter().map(ToString::to_string));
        }
        if !told.is_empty() {
            row.with_problems += 1;
            problems.insert(name, told);
        }
    }
    println!("| set | format | files | no plan | plans | operators | files with notes |\n|---|---|---|---|---|---|---|");
    for ((set, kind), row) in &table {
        let Row { files, refused, plans, operators, with_problems } = row;
        println!("| {set} | {kind} | {files} | {refused} | {plans} | {operators} | {with_problems} |");
    }
    println!("\nNo plan:\n{}", refused.join("\n"));
    println!("\nNotes:");
    for (name, problems) in &problems {
        println!("{name}: {}", problems.join("; "));
    }
    println!("\nCounts:\n{}", lost.join("\n"));
    println!("\nBroken:\n{}", broken.join("\n"));
}
