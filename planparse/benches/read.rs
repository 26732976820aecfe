//! How long a plan takes to be read and lowered, against `serde_json::from_slice::<Value>` of the same bytes.
//!
//! `cargo bench -p pgwright-planparse` prints a table; each figure is the best of many runs, all in one process.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a benchmark measures time and prints it; the library does neither"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// One node with the keys that `EXPLAIN (ANALYZE, BUFFERS, VERBOSE, WAL)` of version 18 prints.
fn node(number: usize, below: &[Value]) -> Value {
    let mut node = json!({
        "Node Type": if below.is_empty() { "Seq Scan" } else { "Append" },
        "Parent Relationship": "Member", "Parallel Aware": false, "Async Capable": false,
        "Relation Name": format!("orders_{number}"), "Schema": "public", "Alias": format!("o_{number}"),
        "Startup Cost": 0.29, "Total Cost": 812.44, "Plan Rows": 1200, "Plan Width": 44,
        "Actual Startup Time": 0.018, "Actual Total Time": 3.412, "Actual Rows": 1187.00, "Actual Loops": 1,
        "Disabled": false, "Output": ["o.id", "o.note", "(o.total * '2'::numeric)"],
        "Filter": format!("((o_{number}.placed > '2026-01-01'::date) AND (o_{number}.note <> 'x'::text))"),
        "Rows Removed by Filter": 13,
    });
    let counters = ["Hit", "Read", "Dirtied", "Written"];
    for (group, counters) in
        [("Shared", &counters[..]), ("Local", &counters), ("Temp", &["Read", "Written"])]
    {
        for counter in counters {
            node[format!("{group} {counter} Blocks")] = json!(number);
        }
    }
    for (key, value) in
        [("WAL Records", 0), ("WAL FPI", 0), ("WAL Bytes", 0), ("WAL Buffers Full", 0)]
    {
        node[key] = json!(value);
    }
    if !below.is_empty() {
        node["Plans"] = json!(below);
    }
    node
}

fn json_of(nodes: usize) -> String {
    let leaves: Vec<Value> = (1..nodes).map(|number| node(number, &[])).collect();
    let plan = json!([{"Plan": node(0, &leaves), "Planning Time": 1.5, "Triggers": [], "Execution Time": 7.5}]);
    serde_json::to_string_pretty(&plan).expect("JSON can be written")
}

fn text_of(nodes: usize) -> String {
    let line = |number: usize| {
        format!(
            "->  Seq Scan on public.orders_{number} o_{number}  (cost=0.29..812.44 rows=1200 width=44) (actual time=0.018..3.412 rows=1187.00 loops=1)\n        Output: o.id, o.note, (o.total * '2'::numeric)\n        Filter: ((o.placed > '2026-01-01'::date) AND (o.note <> 'x'::text))\n        Rows Removed by Filter: 13\n        Buffers: shared hit={number}\n"
        )
    };
    let mut text = "Append  (cost=0.29..812.44 rows=1200 width=44) (actual time=0.018..3.412 rows=1187.00 loops=1)\n".to_owned();
    for number in 1..nodes {
        text.push_str("  ");
        text.push_str(&line(number));
    }
    text + "Planning Time: 1.500 ms\nExecution Time: 7.500 ms\n"
}

/// The best of as many runs as fit into half a second, three at least.
fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    let mut best = Duration::MAX;
    let mut runs = 0;
    while runs < 3 || start.elapsed() < Duration::from_millis(500) {
        let begin = Instant::now();
        black_box(run());
        best = best.min(begin.elapsed());
        runs += 1;
    }
    best
}

fn main() {
    println!(
        "| plan | bytes | read | serde_json::Value | ratio | allocations per node, read | Value |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, nodes) in [("small", 5), ("typical", 60), ("large", 6000)] {
        let json = json_of(nodes);
        let read = || planparse::read(&json).expect("a plan");
        let value = || serde_json::from_slice::<Value>(json.as_bytes()).expect("JSON");
        assert_eq!(read().plans[0].plan.operators().count(), nodes);
        let (ours, theirs) = (best(read), best(value));
        let allocations =
            |run: &dyn Fn()| allocation_counter::measure(run).count_total as f64 / nodes as f64;
        println!(
            "| {name} JSON, {nodes} nodes | {} | {ours:.1?} | {theirs:.1?} | {:.2} | {:.1} | {:.1} |",
            json.len(),
            ours.as_secs_f64() / theirs.as_secs_f64(),
            allocations(&|| drop(black_box(read()))),
            allocations(&|| drop(black_box(value()))),
        );
        let text = text_of(nodes);
        let read = || planparse::read(&text).expect("a plan");
        assert_eq!(read().plans[0].plan.operators().count(), nodes);
        let ours = best(read);
        let per_second = text.len() as f64 / ours.as_secs_f64() / 1e6;
        println!(
            "| {name} text, {nodes} nodes | {} | {ours:.1?} | {per_second:.0} MB/s | | {:.1} | |",
            text.len(),
            allocations(&|| drop(black_box(read()))),
        );
    }
}
