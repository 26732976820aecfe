//! What is told of an operator below its name, and beside a plan.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::display::{decimal, kilobytes, milliseconds, quoted, shown, trigger_label};
use crate::{Operator, Plan, Wal, Worker};

/// Keys that the name, another line or nothing of an operator tells: what they say is part of what stands there, or serves
/// programs only.
const TOLD_ELSEWHERE: &[&str] = &[
    "Async Capable",
    "Cache Evictions",
    "Cache Hits",
    "Cache Key",
    "Cache Misses",
    "Cache Mode",
    "Cache Overflows",
    "Conflicting Tuples",
    "Custom Plan Provider",
    "Full-sort Groups",
    "Grouping Sets",
    "Hash Buckets",
    "Maximum Storage",
    "Original Hash Buckets",
    "Params Evaluated",
    "Pre-sorted Groups",
    "Storage",
    "Table Function Name",
    "Target Tables",
    "Tuples Deleted",
    "Tuples Inserted",
    "Tuples Skipped",
    "Tuples Updated",
    "Tuplestore Name",
];

/// Returns what was printed with an operator and helps to judge it, one line each, such as
/// `Filter: (customer = 7)  (removed 9,990)`: conditions, keys, memory, workers, what was written; without control characters.
///
/// Keys that only an extension prints are among them. The output list is not, nor are counters of blocks, which
/// [`Metrics`](crate::Metrics) has without what is below.
pub fn details(operator: &Operator) -> Vec<String> {
    let mut details = conditions(operator);
    details.extend(keys(operator));
    details.extend(memory(operator));
    details.extend(cache(&operator.other));
    details.extend(tuples(&operator.other));
    if let Some(fetches) = operator.heap_fetches.filter(|fetches| *fetches > 0) {
        details.push(format!("Heap Fetches: {}", count(fetches)));
    }
    let blocks = [(operator.exact_heap_blocks, "exact"), (operator.lossy_heap_blocks, "lossy")];
    let blocks = blocks.into_iter().filter_map(|(blocks, kind)| {
        Some(format!("{} {kind}", count(blocks.filter(|blocks| *blocks > 0)?)))
    });
    details.extend(line("Heap Blocks", blocks));
    if let Some(planned) = operator.workers_planned {
        let launched = operator.workers_launched;
        let launched = launched.map(|launched| format!(", {launched} launched"));
        details.push(format!("Workers: {planned} planned{}", launched.unwrap_or_default()));
    }
    details.extend(line("By worker", operator.workers.iter().filter_map(worker)));
    details.extend(operator.wal.and_then(wal));
    details.extend(tasks(&operator.other));
    details.extend(further(&operator.other));
    details
}

/// Tasks of a distributed query (Citus), of which mostly one is shown.
fn tasks(other: &BTreeMap<String, Value>) -> Option<String> {
    let job = other.get("Distributed Query")?.get("Job")?;
    let told = ["Task Count", "Tasks Shown"].into_iter().filter_map(|key| match job.get(key)? {
        Value::String(text) => Some(text.clone()),
        value => value.as_u64().map(count),
    });
    line("Tasks", told)
}

fn conditions(operator: &Operator) -> Vec<String> {
    let removed = |rows: Option<f64>| match rows {
        Some(rows) if rows > 0.0 => format!("  (removed {})", decimal(rows, 0)),
        _ => String::new(),
    };
    let conditions = [
        ("Index Cond", &operator.index_cond, String::new()),
        ("Recheck Cond", &operator.recheck_cond, removed(operator.rows_removed_by_index_recheck)),
        ("TID Cond", &operator.tid_cond, String::new()),
        ("Hash Cond", &operator.hash_cond, String::new()),
        ("Merge Cond", &operator.merge_cond, String::new()),
        ("Join Filter", &operator.join_filter, removed(operator.rows_removed_by_join_filter)),
        ("One-Time Filter", &operator.one_time_filter, String::new()),
        ("Filter", &operator.filter, removed(operator.rows_removed_by_filter)),
        ("Order By", &operator.order_by, String::new()),
    ];
    let told = |(name, condition, note): (&str, &Option<String>, String)| {
        condition.as_ref().map(|condition| format!("{name}: {}{note}", shown(condition)))
    };
    conditions.into_iter().filter_map(told).collect()
}

fn keys(operator: &Operator) -> Vec<String> {
    let lists = [
        ("Sort Key", &operator.sort_key),
        ("Presorted Key", &operator.presorted_key),
        ("Group Key", &operator.group_key),
    ];
    let mut keys: Vec<String> = lists
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}: {}", shown(&list.join(", "))))
        .collect();
    // Of grouping sets: in which order rows come, and by what they are grouped in that order or by hash.
    for set in operator.other.get("Grouping Sets").and_then(Value::as_array).into_iter().flatten() {
        for name in ["Sort Key", "Group Keys", "Hash Keys"] {
            let Some(list) = set.get(name).and_then(Value::as_array) else { continue };
            let told = list.iter().filter_map(|key| match key {
                Value::Array(keys) => Some(format!("({})", texts(keys).join(", "))),
                key => key.as_str().map(str::to_owned),
            });
            keys.extend(line(name, told));
        }
    }
    let target = |table: &Value| {
        let name = |key: &str| table.get(key).and_then(Value::as_str).map(quoted);
        let schema = name("Schema").map(|schema| format!("{schema}."));
        Some(format!("{}{}", schema.unwrap_or_default(), name("Relation Name")?))
    };
    let targets = operator.other.get("Target Tables").and_then(Value::as_array);
    keys.extend(line("Targets", targets.into_iter().flatten().filter_map(target)));
    keys
}

/// What a sort, hash table or store took, in memory and on disk.
fn memory(operator: &Operator) -> Vec<String> {
    let mut told = Vec::new();
    if let (Some(method), Some(kb)) = (&operator.sort_method, operator.sort_space_kb) {
        told.push(format!("Sort: {}", sort(method, kb, operator.sort_space_type.as_deref())));
    }
    for name in ["Full-sort Groups", "Pre-sorted Groups"] {
        told.extend(operator.other.get(name).and_then(|groups| sorted_groups(name, groups)));
    }
    let number = |key: &str| operator.other.get(key).and_then(Value::as_u64);
    let batches = operator.hash_batches.or(operator.hashagg_batches);
    let planned = operator.original_hash_batches.filter(|planned| Some(*planned) != batches);
    let parts = [
        operator.peak_memory_kb.map(kilobytes),
        number("Hash Buckets").map(|buckets| format!("{} buckets", count(buckets))),
        number("Original Hash Buckets")
            .filter(|planned| Some(*planned) != number("Hash Buckets"))
            .map(|planned| format!("{} planned", count(planned))),
        batches.filter(|batches| *batches > 1).map(|batches| {
            let planned = planned.map(|it| format!(" ({} planned)", count(it)));
            let planned = planned.unwrap_or_default();
            format!("{} batches{planned} through temporary files", count(batches))
        }),
        operator.disk_usage_kb.filter(|kb| *kb > 0).map(|kb| format!("{} on disk", kilobytes(kb))),
    ];
    told.extend(line("Memory", parts.into_iter().flatten()));
    if let Some(kind) = operator.other.get("Storage").and_then(Value::as_str) {
        let most = number("Maximum Storage").map(|kb| format!(", {}", kilobytes(kb)));
        told.push(format!("Storage: {}{}", shown(kind), most.unwrap_or_default()));
    }
    told
}

fn sort(method: &str, kb: u64, kind: Option<&str>) -> String {
    let place = match kind.map(str::to_lowercase).as_deref() {
        Some("disk") => "on disk".to_owned(),
        kind => format!("in {}", shown(kind.unwrap_or("memory"))),
    };
    format!("{}, {} {place}", shown(method), kilobytes(kb))
}

/// The groups of an Incremental Sort.
fn sorted_groups(name: &str, groups: &Value) -> Option<String> {
    let number = groups.get("Group Count")?.as_u64()?;
    let methods = groups.get("Sort Methods Used").and_then(Value::as_array);
    let peak = |kind: &str| groups.get(kind)?.get("Peak Sort Space Used")?.as_u64();
    let parts = [
        Some(count(number)),
        methods.map(|methods| texts(methods).join(", ")),
        peak("Sort Space Memory").map(|kb| format!("{} in memory at most", kilobytes(kb))),
        peak("Sort Space Disk").map(|kb| format!("{} on disk at most", kilobytes(kb))),
    ];
    line(name, parts.into_iter().flatten())
}

/// What a Memoize found again.
fn cache(other: &BTreeMap<String, Value>) -> Option<String> {
    let key = other.get("Cache Key").and_then(Value::as_str);
    let mode = other.get("Cache Mode").and_then(Value::as_str).filter(|mode| *mode != "logical");
    let counted = ["Hits", "Misses", "Evictions", "Overflows"].into_iter().filter_map(|name| {
        let number = other.get(&format!("Cache {name}"))?.as_u64()?;
        (number > 0).then(|| format!("{} {}", count(number), name.to_lowercase()))
    });
    line("Cache", key.into_iter().chain(mode).map(shown).chain(counted))
}

/// Rows that an INSERT with ON CONFLICT or a MERGE wrote.
fn tuples(other: &BTreeMap<String, Value>) -> Option<String> {
    let names = [
        ("Tuples Inserted", "inserted"),
        ("Tuples Updated", "updated"),
        ("Tuples Deleted", "deleted"),
        ("Tuples Skipped", "skipped"),
        ("Conflicting Tuples", "in conflict"),
    ];
    let told = names.into_iter().filter_map(|(key, name)| {
        Some(format!("{} {name}", decimal(other.get(key)?.as_f64()?, 0)))
    });
    line("Rows", told)
}

/// What one worker did: mean time and rows of its runs, and how it sorted.
fn worker(worker: &Worker) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(actual) = worker.actual {
        parts.extend(actual.total_ms.map(milliseconds));
        parts.push(format!("{} rows", decimal(actual.rows, 0)));
        parts.extend((actual.loops > 1.0).then(|| format!("×{}", decimal(actual.loops, 0))));
    }
    let text = |key: &str| worker.other.get(key).and_then(Value::as_str);
    let number = |key: &str| worker.other.get(key).and_then(Value::as_u64);
    if let (Some(method), Some(kb)) = (text("Sort Method"), number("Sort Space Used")) {
        parts.push(sort(method, kb, text("Sort Space Type")));
    }
    parts.extend(number("Peak Memory Usage").map(kilobytes));
    let disk = number("Disk Usage").filter(|kb| *kb > 0);
    parts.extend(disk.map(|kb| format!("{} on disk", kilobytes(kb))));
    let number = worker.number;
    (!parts.is_empty()).then(|| format!("[{number}] {}", parts.join(" ")))
}

fn wal(wal: Wal) -> Option<String> {
    let parts = [
        (wal.bytes > 0).then(|| kilobytes(wal.bytes.div_ceil(1024))),
        (wal.records > 0).then(|| format!("{} records", count(wal.records))),
        (wal.fpi > 0).then(|| format!("{} full page images", count(wal.fpi))),
        (wal.buffers_full > 0).then(|| format!("buffers full {} times", count(wal.buffers_full))),
    ];
    line("WAL with what is below", parts.into_iter().flatten())
}

/// Every key that no other line tells, but for what says nothing: a flag that is not set, a zero.
fn further(other: &BTreeMap<String, Value>) -> impl Iterator<Item = String> {
    let told = |(key, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) if !text.is_empty() => shown(text),
            Value::Bool(true) => "true".to_owned(),
            Value::Number(number) if number.as_f64() != Some(0.0) => number.to_string(),
            Value::Array(list) if list.iter().any(Value::is_string) => {
                shown(&texts(list).join(", "))
            }
            _ => return None,
        };
        // A scan of one index searches it once in each run.
        let usual = key == "Index Searches" && text == "1";
        let elsewhere = TOLD_ELSEWHERE.binary_search(&key.as_str()).is_ok();
        (!usual && !elsewhere).then(|| format!("{}: {text}", shown(key)))
    };
    other.iter().filter_map(told)
}

/// Returns what stands beside a plan and says where time went or why it was chosen, one line each: triggers, just-in-time
/// compilation, serialization, memory of planning, settings; without control characters.
pub fn beside(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for trigger in &plan.triggers {
        let calls = format!("{} calls", decimal(trigger.calls, 0));
        let parts = trigger.total_ms.map(milliseconds).into_iter().chain([calls]);
        lines.extend(line(&trigger_label(trigger), parts));
    }
    if let Some(jit) = &plan.jit {
        let steps = jit.timing_ms.iter().filter(|(name, _)| *name != "Total");
        let steps = steps
            .map(|(name, ms)| format!("{} {}", shown(&name.to_lowercase()), milliseconds(*ms)));
        let total = jit.timing_ms.get("Total").map(|ms| milliseconds(*ms));
        let functions = format!("{} functions", count(jit.functions));
        lines.extend(line("JIT", [functions].into_iter().chain(total).chain(steps)));
    }
    if let Some(serialization) = &plan.serialization {
        let parts = [
            serialization.time_ms.map(milliseconds),
            serialization.output_kb.map(kilobytes),
            serialization.format.as_deref().map(|format| format!("as {}", shown(format))),
        ];
        lines.extend(line("Serialization", parts.into_iter().flatten()));
    }
    let memory =
        [(plan.planning_memory_used_kb, "used"), (plan.planning_memory_allocated_kb, "allocated")];
    let memory =
        memory.into_iter().filter_map(|(kb, name)| Some(format!("{} {name}", kilobytes(kb?))));
    lines.extend(line("Planning memory", memory));
    let settings =
        plan.settings.iter().map(|(name, value)| format!("{} = {}", shown(name), shown(value)));
    lines.extend(line("Settings", settings));
    lines
}

fn line(name: &str, parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| format!("{name}: {}", shown(&parts.join(", "))))
}

fn texts(list: &[Value]) -> Vec<String> {
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn count(number: u64) -> String {
    decimal(number as f64, 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{node, plan, ran, with};

    fn told(node_type: &str, keys: Value) -> Vec<String> {
        let plan = plan(&node(node_type, "Outer", with(ran(1.0, 1.0, 1.0), keys), &[]));
        details(plan.operator(plan.root()))
    }

    #[test]
    fn keys_are_told_by_which_an_operator_is_judged() {
        assert_eq!(
            told(
                "Memoize",
                json!({"Cache Key": "o.id", "Cache Mode": "binary", "Cache Hits": 90, "Cache Misses": 10,
                "Cache Evictions": 3, "Cache Overflows": 0, "Peak Memory Usage": 33})
            ),
            ["Memory: 33 kB", "Cache: o.id, binary, 90 hits, 10 misses, 3 evictions"]
        );
        assert_eq!(
            told(
                "Hash",
                json!({"Hash Buckets": 4096, "Original Hash Buckets": 1024, "Hash Batches": 4,
                "Original Hash Batches": 1, "Peak Memory Usage": 3073})
            ),
            [
                "Memory: 3.0 MB, 4,096 buckets, 1,024 planned, 4 batches (1 planned) through temporary files"
            ]
        );
        assert_eq!(
            told(
                "Aggregate",
                json!({"Strategy": "Mixed", "Disk Usage": 2048, "Planned Partitions": 4, "Grouping Sets": [
                {"Hash Keys": [["a", "b"], ["a"]]}, {"Sort Key": ["c"], "Group Keys": [["c"], []]}]})
            ),
            [
                "Hash Keys: (a, b), (a)",
                "Sort Key: c",
                "Group Keys: (c), ()",
                "Memory: 2.0 MB on disk",
                "Planned Partitions: 4"
            ]
        );
        assert_eq!(
            told(
                "ModifyTable",
                json!({"Operation": "Merge", "Tuples Inserted": 3, "Tuples Updated": 0, "WAL Records": 5,
                "WAL Bytes": 2000, "Target Tables": [{"Relation Name": "a"}, {"Schema": "s", "Relation Name": "B"}]})
            ),
            [
                "Targets: a, s.\"B\"",
                "Rows: 3 inserted, 0 updated",
                "WAL with what is below: 2 kB, 5 records"
            ]
        );
        assert_eq!(
            told(
                "WindowAgg",
                json!({"Window": "w AS (ORDER BY a)", "Run Condition": "(x < 3)", "Storage": "Disk",
                "Maximum Storage": 2048, "Disabled": false})
            ),
            ["Storage: Disk, 2.0 MB", "Run Condition: (x < 3)", "Window: w AS (ORDER BY a)"]
        );
    }

    #[test]
    fn workers_groups_and_blocks() {
        let workers = json!([{"Worker Number": 0, "Actual Total Time": 2.5, "Actual Rows": 40, "Actual Loops": 1,
            "Sort Method": "quicksort", "Sort Space Used": 30, "Sort Space Type": "Memory"}]);
        assert_eq!(
            told(
                "Incremental Sort",
                json!({"Workers Planned": 2, "Workers Launched": 1, "Workers": workers, "Full-sort Groups": {
                "Group Count": 12, "Sort Methods Used": ["quicksort"], "Sort Space Memory": {"Peak Sort Space Used": 28}}})
            ),
            [
                "Full-sort Groups: 12, quicksort, 28 kB in memory at most",
                "Workers: 2 planned, 1 launched",
                "By worker: [0] 2.50 ms 40 rows quicksort, 30 kB in memory"
            ]
        );
        assert_eq!(
            told(
                "Bitmap Heap Scan",
                json!({"Exact Heap Blocks": 1200, "Lossy Heap Blocks": 3, "Index Searches": 2})
            ),
            ["Heap Blocks: 1,200 exact, 3 lossy", "Index Searches: 2"]
        );
    }

    #[test]
    fn tasks_of_other_servers_are_counted() {
        let job = json!({"Job": {"Task Count": 32, "Tasks Shown": "One of 32", "Tasks": []}});
        assert_eq!(
            told("Custom Scan", json!({"Distributed Query": job})),
            ["Tasks: 32, One of 32"]
        );
    }

    #[test]
    fn what_stands_beside_is_told_and_what_is_not_known_is_not() {
        let parsed = crate::from_json(&json!({"Plan": {"Node Type": "Result"}, "Settings": {"work_mem": "1MB"},
            "Planning": {"Memory Used": 9, "Memory Allocated": 16}, "Triggers": [{"Trigger Name": "t", "Relation": "r", "Calls": 2}],
            "JIT": {"Functions": 4, "Timing": {"Generation": 0.4, "Total": 1.0}},
            "Serialization": {"Output Volume": 12, "Format": "text"}})).unwrap();
        assert_eq!(
            beside(&parsed.plan),
            [
                "Trigger t on r: 2 calls",
                "JIT: 4 functions, 1.00 ms, generation 0.400 ms",
                "Serialization: 12 kB, as text",
                "Planning memory: 9 kB used, 16 kB allocated",
                "Settings: work_mem = 1MB",
            ]
        );
    }

    #[test]
    fn keys_told_elsewhere_are_sorted() {
        assert!(TOLD_ELSEWHERE.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
