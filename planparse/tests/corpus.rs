//! Reads every plan of a corpus that other people wrote, in whichever form it is.

#![expect(
    clippy::disallowed_methods,
    reason = "the test reads files and the environment; the library does not"
)]

mod common;
#[path = "common/files.rs"]
mod files;
#[path = "common/margin.rs"]
mod margin;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use common::{comparable, difference};
use files::{corpus, files};
use margin::broken_at;
use planparse::{Link, OperatorKind, Parsed};

/// Counts the nodes in a text by the marks of its format, independently of the reader; none where the marks themselves
/// are broken by a margin.
fn nodes_marked(text: &str) -> Option<usize> {
    let marks = ["\"Node Type\":", "<Node-Type>", "Node Type: \""];
    let marked = marks.iter().map(|mark| text.matches(mark).count()).max().unwrap_or_default();
    if marked > 0 {
        return Some(marked);
    }
    let broken = |line: &str| {
        line.trim_start().starts_with(char::is_alphanumeric)
            && line.ends_with("loops=1)")
            && !line.contains("actual")
    };
    if text.lines().any(broken) {
        return None;
    }
    let line = |line: &str| {
        let line = line.trim_start_matches(['|', '"', ' ', '\t', '>']);
        let arrow = line.starts_with("->")
            && !line.contains("->  Task")
            && !line.contains("Distributed Subplan");
        let root = !line.starts_with("->")
            && [" (cost=", " (actual ", " (never "].iter().any(|mark| line.contains(mark));
        usize::from(arrow || root)
    };
    let marked: usize = text.lines().map(line).sum();
    let bare = !text.contains("(cost=") && !text.contains("(actual ") && !text.contains("(never ");
    // Without figures, the roots bear no mark, but each stands after a blank line or at the beginning.
    let mut roots = 0;
    let mut after_blank = true;
    for line in text.lines() {
        roots += usize::from(bare && after_blank && !line.trim().is_empty());
        after_blank = line.trim().is_empty();
    }
    Some(marked + roots)
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
    for (id, _) in plan.operators() {
        for (child, link) in plan.children(id) {
            // An InitPlan runs below whichever operator waits for it, another server's plan below none.
            let contained = matches!(
                link,
                Link::Outer | Link::Inner | Link::Member | Link::Subquery | Link::SubPlan
            );
            let [whole, part] = [id, child].map(|id| metrics[&id].inclusive_ms.unwrap_or(0.0));
            if contained && part > whole + 1e-6 {
                broken.push(format!(
                    "{name}: {child} took {part} ms, more than {id} with {whole} ms"
                ));
            }
        }
    }
    // A data-modifying CTE that nobody reads runs after the root has finished, and counts beside it.
    let unread_cte = |(id, operator): (_, &planparse::Operator)| {
        operator.kind == OperatorKind::ModifyTable && plan.link(id) == Some(Link::InitPlan)
    };
    let unread_cte = plan.operators().any(unread_cte);
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
    let root = plan.operator(plan.root());
    let whole = root.actual.and_then(|actual| Some(actual.total_ms? * actual.loops));
    if let Some(whole) = whole.filter(|_| !unread_cte) {
        let time: f64 = metrics.values().filter_map(|metric| metric.exclusive_ms).sum();
        if !near(time, whole) {
            broken.push(format!("{name}: exclusive times add up to {time}, not {whole}"));
        }
    }
    if let Some(buffers) = root.buffers.filter(|_| !unread_cte) {
        let sum: u64 =
            own().filter_map(|metric| metric.exclusive_buffers).map(|b| b.shared_hit).sum();
        if sum != buffers.shared_hit {
            broken.push(format!(
                "{name}: exclusive shared hits add up to {sum}, not {}",
                buffers.shared_hit
            ));
        }
    }
    if let Some(wal) = root.wal.filter(|_| !unread_cte) {
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
        if let Some(marked) = nodes_marked(&text).filter(|marked| *marked != operators) {
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
    println!(
        "| set | format | files | no plan | plans | operators | files with notes |\n|---|---|---|---|---|---|---|"
    );
    for ((set, kind), row) in &table {
        let Row { files, refused, plans, operators, with_problems } = row;
        println!(
            "| {set} | {kind} | {files} | {refused} | {plans} | {operators} | {with_problems} |"
        );
    }
    println!("\nNo plan: {}\n{}", refused.len(), refused.join("\n"));
    println!("\nNotes:");
    for (name, problems) in &problems {
        println!("{name}: {}", problems.join("; "));
    }
    println!("\nNodes lost or made up: {}\n{}", lost.len(), lost.join("\n"));
    assert!(table.values().any(|row| row.plans > 0), "no plan in {}", folder.display());
    assert_eq!(refused, Vec::<String>::new(), "every file of the corpus holds a plan");
    assert_eq!(lost, Vec::<String>::new());
    assert_eq!(broken, Vec::<String>::new());
    // What real servers print (15, 17, 18 with every option; 10 to 18) is known to the last key.
    let from_servers =
        |name: &&String| name.starts_with("regress") || name.starts_with("generated");
    assert_eq!(problems.keys().filter(from_servers).collect::<Vec<_>>(), Vec::<&String>::new());
    for (name, problems) in problems.iter().filter(|(name, _)| name.starts_with("malformed")) {
        assert!(problems.iter().any(|problem| problem.contains("inside an array")), "{name}");
    }
    let malformed = problems.keys().filter(|name| name.starts_with("malformed")).count();
    let row = table.iter().filter(|((set, _), _)| set == "malformed").map(|(_, row)| row.files);
    assert_eq!(malformed, row.sum::<usize>());
}

#[test]
fn the_four_formats_of_a_statement_agree() {
    let Some(folder) = corpus() else { return };
    let mut all = Vec::new();
    files(&folder.join("generated"), &mut all);
    let mut stems: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in all {
        stems.entry(path.with_extension("")).or_default().push(path);
    }
    let (mut compared, mut differ) = (0, Vec::new());
    for paths in stems.values().filter(|paths| paths.len() > 1) {
        let read = |path: &PathBuf| {
            let bytes = fs::read(path).expect("the file can be read");
            let mut reading = planparse::read(bytes).expect("a plan");
            comparable(&reading.plans.remove(0).plan)
        };
        let json = paths.iter().find(|path| path.extension().is_some_and(|e| e == "json"));
        let Some(json) = json else { continue };
        let first = read(json);
        for path in paths.iter().filter(|path| *path != json) {
            compared += 1;
            let other = read(path);
            if other != first {
                differ.push(format!("{}\n{}", path.display(), difference(&first, &other)));
            }
        }
    }
    println!("{compared} plans compared, {} differ\n{}", differ.len(), differ.join("\n"));
    assert!(compared > 0, "no statement in several formats in {}", folder.display());
    assert_eq!(differ, Vec::<String>::new());
}

/// A small generator of numbers, so that a failure can be had again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX constants.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

#[test]
fn changed_files_of_the_corpus_are_read_or_refused_in_time() {
    let Some(folder) = corpus() else { return };
    let mut all = Vec::new();
    files(&folder, &mut all);
    all.sort();
    let mut numbers = Numbers(1);
    let scraps: [&[u8]; 12] = [
        b"\n",
        b"->  ",
        b"\"",
        b"{",
        b"]",
        b"(cost=",
        b"  ",
        b"\t",
        b"Query Text: ",
        b"<Plan>",
        b"- ",
        b"\xff",
    ];
    let mut read = 0;
    for path in &all {
        let mut bytes = fs::read(path).expect("the file can be read");
        for _ in 0..4 {
            let at = numbers.below(bytes.len());
            match numbers.below(4) {
                0 => bytes.truncate(at),
                1 => {
                    let scrap = scraps[numbers.below(scraps.len())];
                    bytes.splice(at..at, scrap.iter().copied());
                }
                2 => {
                    let end = (at + numbers.below(40)).min(bytes.len());
                    bytes.drain(at..end);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = numbers.below(256) as u8;
                    }
                }
            }
            if let Ok(reading) = planparse::read(&bytes) {
                read += 1;
                for parsed in reading.plans {
                    assert!(
                        parsed.plan.metrics().values().all(|metric| metric.exclusive_cost >= 0.0)
                    );
                    assert!(!parsed.plan.to_string().is_empty());
                }
            }
        }
    }
    println!("{read} of {} changed files still give a plan", 4 * all.len());
}

#[test]
fn plans_that_a_margin_broke_are_the_same() {
    let Some(folder) = corpus() else { return };
    let mut all = Vec::new();
    files(&folder.join("generated"), &mut all);
    let (mut compared, mut differ) = (0, Vec::new());
    for path in all.iter().filter(|path| path.extension().is_some_and(|kind| kind == "txt")) {
        let text = fs::read_to_string(path).expect("the file can be read");
        let whole = planparse::read(&text).expect("a plan").plans.remove(0).plan;
        for margin in [72, 80, 100, 132] {
            compared += 1;
            let read =
                planparse::read(broken_at(&text, margin)).expect("a plan").plans.remove(0).plan;
            if read != whole {
                let values =
                    [&whole, &read].map(|plan| serde_json::to_value(plan).expect("a plan"));
                let difference = difference(&values[0], &values[1]);
                differ.push(format!("{} at {margin}:\n{difference}", path.display()));
            }
        }
    }
    println!("{compared} broken plans compared, {} differ\n{}", differ.len(), differ.join("\n"));
    assert!(compared > 0 && differ.is_empty(), "{}", differ.join("\n"));
}
