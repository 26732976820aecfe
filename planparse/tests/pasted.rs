//! One plan in every shape in which people and logs hand it over: it always is the same plan.

#[path = "common/margin.rs"]
mod margin;

use std::fmt::Write as _;

use margin::broken_at;
use planparse::Format::{self, Json, Text, Xml, Yaml};
use planparse::{Link, OperatorKind, Plan, Reading};

const TEXT: &str = r#"Limit  (cost=57.94..57.96 rows=10 width=44) (actual time=1.510..1.515 rows=10.00 loops=1)
  Output: o.id, o.note, (count(*))
  Buffers: shared hit=26 read=3
  CTE recent
    ->  Index Scan Backward using orders_placed on public.orders  (cost=0.28..16.30 rows=120 width=44) (actual time=0.021..0.410 rows=118.00 loops=1)
          Output: orders.id, orders.note
          Index Cond: (orders.placed > (now() - '7 days'::interval))
          Filter: (orders.note <> 'a -> b; (cost=1'::text)
          Rows Removed by Filter: 2
          Index Searches: 1
          Buffers: shared hit=12 read=3
  ->  Sort  (cost=41.64..41.94 rows=120 width=44) (actual time=1.508..1.511 rows=10.00 loops=1)
        Output: o.id, o.note, (count(*))
        Sort Key: (count(*)) DESC, o.id
        Sort Method: top-N heapsort  Memory: 26kB
        Buffers: shared hit=26 read=3
        ->  HashAggregate  (cost=37.85..39.05 rows=120 width=44) (actual time=1.420..1.460 rows=118.00 loops=1)
              Output: o.id, o.note, count(*)
              Group Key: o.id, o.note
              Batches: 1  Memory Usage: 48kB
              Buffers: shared hit=26 read=3
              ->  Hash Join  (cost=12.25..35.90 rows=260 width=36) (actual time=0.610..1.200 rows=257.00 loops=1)
                    Output: o.id, o.note
                    Inner Unique: true
                    Hash Cond: (l.order_id = o.id)
                    Buffers: shared hit=26 read=3
                    ->  Seq Scan on public."OrderLine" l  (cost=0.00..22.70 rows=1270 width=4) (actual time=0.010..0.220 rows=1270.00 loops=1)
                          Output: l.id, l.order_id
                          Buffers: shared hit=14
                    ->  Hash  (cost=2.40..2.40 rows=120 width=36) (actual time=0.590..0.591 rows=118.00 loops=1)
                          Output: o.id, o.note
                          Buckets: 1024  Batches: 1  Memory Usage: 17kB
                          Buffers: shared hit=12 read=3
                          ->  CTE Scan on recent o  (cost=0.00..2.40 rows=120 width=36) (actual time=0.025..0.520 rows=118.00 loops=1)
                                Output: o.id, o.note
                                Storage: Memory  Maximum Storage: 21kB
                                Buffers: shared hit=12 read=3
Settings: work_mem = '8MB', search_path = '"$user", public'
Planning:
  Buffers: shared hit=88
Planning Time: 0.611 ms
Trigger audit for constraint "orders_fk" on orders: time=0.250 calls=3
Execution Time: 1.702 ms
"#;

fn one(input: impl AsRef<[u8]>) -> Plan {
    let mut reading = planparse::read(input).expect("a plan");
    assert_eq!(reading.plans.len(), 1, "{reading:?}");
    let parsed = reading.plans.remove(0);
    assert_eq!((parsed.problems, reading.notes), (Vec::new(), Vec::new()));
    parsed.plan
}

fn lines(change: impl Fn(&str) -> String) -> String {
    TEXT.lines().fold(String::new(), |text, line| text + &change(line) + "\n")
}

#[test]
fn every_line_of_the_text_is_understood() {
    let plan = one(TEXT);
    assert_eq!(
        plan.shape(),
        "Limit(InitPlan: Index Scan Backward orders_placed orders, Sort(Aggregate Hashed(Hash Join(\
         Seq Scan OrderLine l, Hash(CTE Scan recent o)))))"
    );
    let scan = plan.operators().find(|(_, operator)| operator.kind == OperatorKind::IndexScan);
    let (id, scan) = scan.expect("it is there");
    assert_eq!(plan.link(id), Some(Link::InitPlan));
    assert_eq!(scan.subplan_name.as_deref(), Some("CTE recent"));
    assert_eq!(scan.filter.as_deref(), Some("(orders.note <> 'a -> b; (cost=1'::text)"));
    assert_eq!((scan.schema.as_deref(), scan.alias.as_deref()), (Some("public"), Some("orders")));
    assert_eq!(scan.actual.map(|actual| (actual.rows, actual.loops)), Some((118.0, 1.0)));
    assert_eq!(scan.rows_removed_by_filter, Some(2.0));
    assert_eq!(scan.buffers.map(|b| (b.shared_hit, b.shared_read)), Some((12, 3)));
    assert_eq!(scan.other["Index Searches"], 1);
    let (cte_scan, _) =
        plan.operators().find(|(_, o)| o.kind == OperatorKind::CteScan).expect("it is there");
    assert_eq!(plan.cte(cte_scan), Some(id));
    let root = plan.operator(plan.root());
    assert_eq!(root.output, ["o.id", "o.note", "(count(*))"]);
    assert_eq!((plan.planning_ms, plan.execution_ms), (Some(0.611), Some(1.702)));
    assert_eq!(plan.settings["search_path"], "\"$user\", public");
    assert_eq!(plan.planning_buffers.map(|buffers| buffers.shared_hit), Some(88));
    let trigger = &plan.triggers[0];
    assert_eq!(
        (trigger.name.as_deref(), trigger.total_ms, trigger.calls),
        (Some("audit"), Some(0.25), 3.0)
    );
    assert_eq!(planparse::read(TEXT).unwrap().plans[0].format, Text);
}

#[test]
fn what_clients_draw_around_it_is_taken_off() {
    let plan = one(TEXT);
    let width = TEXT.lines().map(str::len).max().unwrap_or_default();
    let rule = "-".repeat(width + 2);
    let psql = format!(
        "{:^width$}\n{rule}\n{}(43 rows)\n\n",
        "QUERY PLAN",
        lines(|line| format!(" {line}"))
    );
    assert_eq!(one(&psql), plan);
    assert_eq!(one(psql.replace('\n', "\r\n")), plan);
    assert_eq!(one(psql.replace("->  ", "->\u{a0} ")), plan);
    let aligned = psql.replace("(43 rows)", "(43 lignes)\n\nTemps : 12,345 ms");
    assert_eq!(one(format!("shop=# EXPLAIN (ANALYZE, VERBOSE) SELECT 1;\n{aligned}shop=# ")), plan);
    let border = format!(
        "+{rule}+\n|{:^w$}|\n+{rule}+\n{}+{rule}+\n(43 rows)\n",
        "QUERY PLAN",
        lines(|line| format!("| {line:<width$} |")),
        w = width + 2
    );
    assert_eq!(one(&border), plan);
    let drawn =
        border.replace("| ", "│ ").replace(" |\n", " │\n").replace(&rule, &"─".repeat(width + 2));
    assert_eq!(one(&drawn), plan);
    let expanded = lines(|line| format!("-[ RECORD 1 ]----\nQUERY PLAN | {line}"));
    assert_eq!(one(&expanded), plan);
    let open =
        format!("{:<width$}|\n{rule}+\n{}", "QUERY PLAN", lines(|line| format!("{line:<width$}|")));
    assert_eq!(one(&open), plan);
    let quoted =
        format!("\"QUERY PLAN\"\n{}", lines(|line| format!("\"{}\"", line.replace('"', "\"\""))));
    assert_eq!(one(&quoted), plan);
}

#[test]
fn what_messages_put_around_it_is_taken_off() {
    let plan = one(TEXT);
    assert_eq!(one(format!("Why is this slow?\n\n```sql\n{TEXT}```\nThanks: a lot\n")), plan);
    assert_eq!(
        one(format!(
            "On Monday somebody wrote:\n{}\nNo idea.\n",
            lines(|line| format!("> {line}"))
        )),
        plan
    );
    assert_eq!(one(lines(|line| format!("> > {line}"))), plan);
    assert_eq!(one(lines(|line| format!("-- {line}"))), plan);
    assert_eq!(one(lines(|line| format!("    {line}"))), plan);
    assert_eq!(one(lines(|line| format!("{line}   "))), plan);
    assert_eq!(one(TEXT.replace('>', "&gt;").replace('<', "&lt;").replace('"', "&quot;")), plan);
    assert_eq!(one(TEXT.replace("    ", "\t")), plan);
    let units = TEXT.encode_utf16().flat_map(u16::to_le_bytes);
    assert_eq!(one([0xff, 0xfe].into_iter().chain(units).collect::<Vec<u8>>()), plan);
    assert_eq!(one(format!("\u{feff}{TEXT}")), plan);
}

#[test]
fn broken_lines_are_put_together_again() {
    let plan = one(TEXT);
    for margin in 60..180 {
        let broken = broken_at(TEXT, margin);
        let read = serde_json::to_string_pretty(&one(&broken)).expect("a plan can be written");
        let whole = serde_json::to_string_pretty(&plan).expect("a plan can be written");
        let differ = read.lines().zip(whole.lines()).find(|(read, whole)| read != whole);
        assert_eq!(differ, None, "at {margin}:\n{broken}");
    }
}

const JSON: &str = r#"[
  {
    "Plan": {
      "Node Type": "Seq Scan",
      "Parallel Aware": false,
      "Relation Name": "orders",
      "Alias": "orders",
      "Startup Cost": 0.00,
      "Total Cost": 35.50,
      "Plan Rows": 10,
      "Plan Width": 36,
      "Filter": "((note ->> 'a'::text) = 'x \"y\", z'::text)"
    }
  }
]"#;

#[test]
fn json_comes_framed_and_wrapped_up_too() {
    let plan = one(JSON);
    let width = JSON.lines().map(str::len).max().unwrap_or_default();
    let last = JSON.lines().count() - 1;
    let mark = |at: usize| if at < last { "+" } else { "" };
    let marked = JSON.lines().enumerate().fold(String::new(), |mut text, (at, line)| {
        let _ = writeln!(text, " {line:<width$}{}", mark(at));
        text
    });
    let rule = "-".repeat(width + 2);
    assert_eq!(one(format!("{:^width$}\n{rule}\n{marked}(1 row)\n", "QUERY PLAN")), plan);
    let bordered = marked
        .lines()
        .fold(String::new(), |text, line| text + &format!("|{line:<w$}|\n", w = width + 2));
    let bordered = format!(
        "+{rule}+\n|{:^w$}|\n+{rule}+\n{bordered}+{rule}+\n(1 row)\n",
        "QUERY PLAN",
        w = width + 2
    );
    assert_eq!(one(&bordered), plan);
    let expanded = marked.lines().fold("-[ RECORD 1 ]----\n".to_owned(), |text, line| {
        let name = if text.contains('|') { "" } else { "QUERY PLAN" };
        text + &format!("{name:<10} |{line}\n")
    });
    assert_eq!(one(&expanded), plan);
    assert_eq!(one(format!("shop=> explain (format json) select;\n{JSON}\nshop=> ")), plan);
    assert_eq!(one(format!("Here it is:\n```json\n{JSON}\n```\n")), plan);
    assert_eq!(one(JSON.replace('\n', "\r\n")), plan);
    let cell = JSON.replace('"', "\"\"");
    assert_eq!(one(format!("\"QUERY PLAN\"\n\"{cell}\"\n")), plan);
    let in_text = serde_json::json!([{"QUERY PLAN": JSON}]).to_string();
    assert_eq!(one(&in_text), plan);
    let rows: Vec<_> = TEXT.lines().map(|line| serde_json::json!({"QUERY PLAN": line})).collect();
    assert_eq!(one(serde_json::json!(rows).to_string()), one(TEXT));
    let answer = format!(r#"{{"ok": true, "result": {{"rows": [{{"QUERY PLAN": {JSON}}}]}}}}"#);
    assert_eq!(one(&answer), plan);
}

const QUERY: &str = "select *\n  from orders\n where note = 'Limit'";

fn logged(text: &str) -> Plan {
    let mut plan = one(text);
    assert_eq!(
        (plan.duration_ms, plan.query_text.as_deref()),
        (Some(12.345), Some(QUERY)),
        "{text}"
    );
    (plan.duration_ms, plan.query_text) = (None, None);
    plan
}

/// What `auto_explain` logs: the message of one entry.
fn message(plan: &str) -> String {
    format!("duration: 12.345 ms  plan:\n{plan}")
}

#[test]
fn the_server_s_log_is_read_in_each_of_its_forms() {
    let text = message(&format!("Query Text: {QUERY}\n{}", TEXT.trim_end()));
    let json =
        JSON.trim_start_matches(['[', '\n', ' ', '{']).trim_end_matches([']', '\n', ' ', '}']);
    let json =
        message(&format!("{{\n  \"Query Text\": {},\n  {json} }} }}", serde_json::json!(QUERY)));
    for (message, plan) in [(text, one(TEXT)), (json, one(JSON))] {
        let prefix = "2026-11-22 10:00:00.123 UTC [4711] app@shop";
        let entry = format!("{prefix} LOG:  {}", message.replace('\n', "\n\t"));
        let around = format!(
            "{prefix} LOG:  checkpoint starting: time\n{entry}\n{prefix} LOG:  disconnection: session time: 0:00:01 user=app\n"
        );
        assert_eq!(logged(&around), plan);
        let twice = planparse::read(format!("{around}{around}")).expect("two plans");
        assert_eq!(twice.plans.len(), 2);
        let csv = format!(
            "2026-11-22 10:00:00.123 UTC,\"app\",\"shop\",4711,\"[local]\",6.1,1,\"SELECT\",2026-11-22 09:00:00 UTC,3/4,0,LOG,00000,\"{}\",,,,,,,,,\"psql\",\"client backend\",,7\n",
            message.replace('"', "\"\"")
        );
        assert_eq!(logged(&csv), plan);
        let entry = serde_json::json!({"timestamp": "2026-11-22 10:00:00.123 UTC", "error_severity": "LOG", "message": message});
        let other = serde_json::json!({"timestamp": "2026-11-22 10:00:01 UTC", "error_severity": "LOG", "message": "checkpoint"});
        assert_eq!(logged(&format!("{other}\n{entry}\n{other}\n")), plan);
        let mut syslog = String::new();
        for (at, line) in message.lines().enumerate() {
            let start = if at == 0 { "app@shop LOG:  " } else { "#011" };
            let _ =
                writeln!(syslog, "Nov 22 10:00:00 db postgres[4711]: [5-{}] {start}{line}", at + 1);
        }
        assert_eq!(logged(&syslog), plan);
    }
}

#[test]
fn the_parameters_of_a_logged_statement_are_kept_apart() {
    let entry = format!(
        "LOG:  {}",
        message(&format!("Query Text: select $1\nQuery Parameters: $1 = 'a'\n{TEXT}"))
    );
    let plan = one(&entry);
    assert_eq!(plan.query_text.as_deref(), Some("select $1"));
    assert_eq!(plan.other["Query Parameters"], "$1 = 'a'");
}

#[test]
fn several_plans_and_formats_in_one_file() {
    let yaml = "- Plan: \n    Node Type: \"Result\"\n    Output: \n      - \"1\"\n      - \"'a: b'::text\"\n  Triggers: \n";
    let xml = "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n    <Plan>\n      <Node-Type>Result</Node-Type>\n      <Output>\n        <Item>1</Item>\n        <Item>'a: b'::text</Item>\n      </Output>\n    </Plan>\n    <Triggers>\n    </Triggers>\n  </Query>\n</explain>\n";
    let result = "Result\n  Output: 1, 'a: b'::text\n";
    let all = format!("{TEXT}\n{JSON}\n\n{yaml}\n{xml}\nand\n{result}\n{result}");
    let Reading { plans, notes } = planparse::read(&all).expect("six plans");
    let formats: Vec<Format> = plans.iter().map(|parsed| parsed.format).collect();
    assert_eq!(formats, [Text, Json, Yaml, Xml, Text, Text]);
    assert_eq!(notes, []);
    let line = JSON.replace('\n', "");
    let three = planparse::read(format!("{line} {line}{line} and so on")).expect("three plans");
    assert_eq!(three.plans.len(), 3);
    let lines: Vec<usize> = plans.iter().map(|parsed| parsed.line).collect();
    let line_of = |what: &str| 1 + all[..all.find(what).unwrap()].matches('\n').count();
    assert_eq!(lines[..4], [1, line_of("[\n") + 1, line_of("- Plan"), line_of("<explain") + 1]);
    assert!(plans[2..].windows(2).all(|pair| pair[0].plan == pair[1].plan), "{plans:#?}");
}

#[test]
fn a_plan_that_is_cut_off_does_not_hide_the_others() {
    let cut = &JSON[..200];
    let reading =
        planparse::read(format!("first\n{TEXT}\n{JSON}\nand\n{cut}\n")).expect("two plans");
    assert_eq!(reading.plans.len(), 2);
    assert_eq!(reading.notes.len(), 1);
    assert!(reading.notes[0].to_string().contains("cannot be read"), "{}", reading.notes[0]);
}

#[test]
fn citus_tasks_run_elsewhere() {
    let text = "Custom Scan (Citus Adaptive)  (cost=0.00..0.00 rows=0 width=0) (actual time=10.000..10.000 rows=1 loops=1)
  ->  Distributed Subplan 3_1
        Subplan Duration: 1.50 ms
        ->  Seq Scan on users  (cost=0.00..1.00 rows=1 width=4) (actual time=0.100..1.000 rows=1 loops=1)
  Task Count: 32
  Tasks Shown: One of 32
  ->  Task
        Node: host=localhost port=9701 dbname=shop
        ->  Aggregate  (cost=1.00..2.00 rows=1 width=8) (actual time=6.000..6.000 rows=1 loops=1)
              ->  Seq Scan on orders_102008 orders  (cost=0.00..1.00 rows=1 width=4) (actual time=0.100..4.000 rows=9 loops=1)
            Planning Time: 0.100 ms
            Execution Time: 6.100 ms
Planning Time: 0.500 ms
Execution Time: 10.500 ms
";
    let plan = one(text);
    assert_eq!(plan.execution_ms, Some(10.5));
    let root = plan.operator(plan.root());
    assert_eq!(root.other["Distributed Query"]["Job"]["Task Count"], 32);
    assert_eq!(root.other["Distributed Query"]["Job"]["Tasks"][0]["Execution Time"], 6.1);
    let children = plan.children(plan.root());
    assert!(children.iter().all(|(_, link)| *link == Link::Remote) && children.len() == 2);
    let exclusive: Vec<_> =
        plan.metrics().values().filter_map(|metric| metric.exclusive_ms).collect();
    // Seven of the ten milliseconds were spent waiting for them.
    assert_eq!(exclusive, [3.0, 1.0, 2.0, 4.0]);
    assert_eq!(plan.operators_ms(), Some(10.0));

    let nested = r#"[{"Plan": {"Node Type": "Custom Scan", "Custom Plan Provider": "Citus Adaptive", "Distributed Query": {"Job": {
        "Task Count": 1, "Tasks": [{"Node": "n", "Remote Plan": [[{"Plan": {"Node Type": "Sort", "Plans": [
        {"Node Type": "Seq Scan", "Parent Relationship": "Outer"}]}, "Execution Time": 1.5}]]}]}}}}]"#;
    let plan = one(nested);
    assert_eq!(plan.shape(), "Custom Scan(Sort(Seq Scan))");
    assert!(plan.is_remote(2.into()) && !plan.is_remote(plan.root()));
    assert_eq!(plan.execution_ms, None);
}
