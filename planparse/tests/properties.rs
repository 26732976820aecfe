//! What holds for any input: nothing panics, nothing hangs, exclusive figures are never negative and add up.

use std::fmt::Write;

use planparse::{Link, OperatorKind, Plan};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NODE_TYPES: &[&str] = &[
    "Seq Scan",
    "Nested Loop",
    "Hash Join",
    "Hash",
    "Gather",
    "Gather Merge",
    "CTE Scan",
    "Materialize",
    "ModifyTable",
    "Limit",
    "Append",
    "BitmapOr",
    "Recursive Union",
    "Aggregate",
    "Vector Scan",
    "",
];
const RELATIONSHIPS: &[&str] =
    &["Outer", "Inner", "Member", "InitPlan", "SubPlan", "Subquery", "Nonsense"];
const NAMES: &[&str] = &["CTE x", "CTE y", "InitPlan 1 (returns $0)", "InitPlan 2", "SubPlan 1"];
const FILTERS: &[&str] = &["(a > $0)", "(a = (InitPlan 2).col1)", "(hashed SubPlan 1)", "(a = 1)"];

/// A figure as tools really hand it over: sane, huge, negative, a text, or absent.
fn figure() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (0u32..2_000_000).prop_map(|thousandths| json!(f64::from(thousandths) / 1000.0)),
        2 => (0u32..5).prop_map(|whole| json!(whole)),
        1 => Just(json!(1e308)),
        1 => Just(json!(-3.5)),
        1 => Just(json!("12")),
        1 => Just(json!(null)),
        1 => Just(json!([1])),
    ]
}

fn keys() -> impl Strategy<Value = Map<String, Value>> {
    let name = |names: &'static [&'static str]| prop::option::of(prop::sample::select(names));
    let figures = [
        "Startup Cost",
        "Total Cost",
        "Plan Rows",
        "Plan Width",
        "Actual Total Time",
        "Actual Rows",
        "Actual Loops",
        "Rows Removed by Filter",
        "Shared Hit Blocks",
        "Sort Space Used",
        "Workers Launched",
    ];
    let texts =
        (name(NODE_TYPES), name(RELATIONSHIPS), name(NAMES), name(FILTERS), name(&["x", "y"]));
    (texts, prop::collection::vec(prop::option::weighted(0.8, figure()), figures.len())).prop_map(
        move |(texts, values)| {
            let mut keys = Map::new();
            let texts = [
                ("Node Type", texts.0),
                ("Parent Relationship", texts.1),
                ("Subplan Name", texts.2),
                ("Filter", texts.3),
                ("CTE Name", texts.4),
            ];
            keys.extend(
                texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text?)))),
            );
            keys.extend(
                figures
                    .into_iter()
                    .zip(values)
                    .filter_map(|(key, value)| Some((key.to_owned(), value?))),
            );
            keys
        },
    )
}

fn tree() -> impl Strategy<Value = Value> {
    keys().prop_map(Value::Object).prop_recursive(6, 60, 5, |below| {
        (keys(), prop::collection::vec(below, 0..5)).prop_map(|(mut keys, plans)| {
            keys.insert("Plans".to_owned(), Value::Array(plans));
            Value::Object(keys)
        })
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "Plan",
        "Plans",
        "Node Type",
        "QUERY PLAN",
        "Workers",
        "Planning",
        "JIT",
        "Triggers",
        "Settings",
        "é",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from)
    ];
    leaf.prop_recursive(8, 60, 6, move |below| {
        prop_oneof![
            prop::collection::vec(below.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((key.clone(), below), 0..6).prop_map(|pairs| {
                Value::Object(
                    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                )
            }),
        ]
    })
}

/// A line as it may stand in a plan in text, YAML or XML form, or beside one.
fn plan_line() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec![
        "Seq Scan on t  (cost=0.00..1.00 rows=1 width=4) (actual time=0.1..2.0 rows=1 loops=3)",
        "->  Hash Join  (cost=1.00..2.00 rows=5 width=4) (never executed)",
        "->  Custom Scan (Citus Adaptive) on \"a\"\"b\"",
        "->  Task",
        "->  Distributed Subplan 1_1",
        "->  Gather  (actual time=1.0..2.0 rows=1.00 loops=1)",
        "InitPlan 1 (returns $0)",
        "CTE x",
        "Filter: (a > $0",
        "Output: a, 'b",
        "Worker 0:  actual time=1..2 rows=1 loops=1",
        "Worker 1:  Sort Method: external merge  Disk: 12kB",
        "Buffers: shared hit=1 read=2, temp written=3",
        "Full-sort Groups: 1  Sort Methods: a, b  Average Memory: 2kB",
        "Group Key: ()",
        "Hash Key: a",
        "Buckets: 1 (originally 2)  Batches: 1",
        "Planning:",
        "Planning Time: 1 ms",
        "JIT:",
        "Timing: Generation 0.3 ms (Deform 0.1 ms), Total 2 ms",
        "Options: Inlining false, x",
        "Trigger t on r: time=1 calls=2",
        "Settings: a = 'b', c = 'd",
        "Serialization: time=1 ms  output=1kB  format=text",
        "(3 rows)",
        "QUERY PLAN",
        "--------",
        "LOG:  duration: 1.5 ms  plan:",
        "Query Text: select",
        "- Plan:",
        "Node Type: \"Sort\"",
        "Plans:",
        "- Node Type: \"Result\"",
        "- [\"a\", 1]",
        "<explain><Query><Plan>",
        "<Node-Type>Sort</Node-Type>",
        "<Plans><Plan/></Plans>",
        "</Plan></Query></explain>",
        "{\"Plan\": {\"Node Type\": \"Result\", \"Plan Rows\": N.N}}",
        "[{\"Plan\": {",
        "{\"QUERY PLAN\": \"Result\"}",
        "",
    ]);
    let before = prop::sample::select(vec!["", " ", "\t", "> ", "| ", "\"", "-- "]);
    let after = prop::sample::select(vec!["", "", "", " ", " +", " |", "\"", "\r"]);
    (before, 0usize..12, text, after).prop_map(|(before, indent, text, after)| {
        format!("{before}{}{text}{after}", " ".repeat(indent))
    })
}

/// Calls everything that a plan offers.
fn exercise(plan: &Plan) {
    let mut text = plan.to_string() + &plan.shape() + &planparse::summary(plan).concat();
    for (id, _) in plan.operators() {
        write!(
            text,
            "{id} {:?} {:?} {:?}",
            plan.relations_below(id),
            plan.outer(id),
            plan.inner(id)
        )
        .expect("a String takes everything");
        assert!(plan.descendants(id).all(|below| below > id));
    }
    assert!(!text.is_empty());
}

fn adds_up(plan: &Plan) {
    let metrics = plan.metrics();
    assert_eq!(metrics.len(), plan.operators().count());
    for metric in metrics.values() {
        assert!(metric.exclusive_cost >= 0.0 && metric.exclusive_cost.is_finite());
        assert!(metric.exclusive_ms.is_none_or(|ms| ms >= 0.0 && ms.is_finite()));
        assert!(metric.estimate_error.is_none_or(|error| error >= 1.0));
    }
    let near = |sum: f64, whole: f64| (sum - whole).abs() <= 1e-6 * whole.max(1.0);
    let own = || metrics.iter().filter(|(id, _)| !plan.is_remote(**id)).map(|(_, metric)| metric);
    let cost: f64 = own().map(|metric| metric.exclusive_cost).sum();
    assert!(
        near(cost, plan.total_cost().clamp(0.0, 1e100)),
        "costs: {cost} of {}",
        plan.total_cost()
    );

    let unread = |id| {
        plan.operator(id).kind == OperatorKind::ModifyTable && plan.link(id) == Some(Link::InitPlan)
    };
    let all_timed = plan.operators().all(|(id, operator)| {
        operator.actual.is_some_and(|actual| actual.total_ms.is_some()) && !unread(id)
    });
    if let Some(root) = plan.operator(plan.root()).actual.filter(|_| all_timed) {
        let time: f64 = metrics.values().filter_map(|metric| metric.exclusive_ms).sum();
        let whole = (root.total_ms.unwrap_or(0.0) * root.loops).clamp(0.0, 1e100);
        assert!(near(time, whole), "times: {time} of {whole}");
    }
}

proptest! {
    #[test]
    fn any_tree_is_read_and_adds_up(mut root in tree()) {
        root["Node Type"] = json!("Aggregate");
        let parsed = planparse::from_json(&json!([{"Plan": root}])).unwrap();
        exercise(&parsed.plan);
        adds_up(&parsed.plan);
        let again = planparse::parse(&json!([{"Plan": root}]).to_string()).unwrap();
        prop_assert_eq!(&again[0].plan, &parsed.plan);
        let written = serde_json::to_string(&parsed.plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&written).unwrap(), parsed.plan);
    }

    #[test]
    fn any_json_is_a_plan_or_a_message(value in any_json()) {
        if let Ok(parsed) = planparse::from_json(&value) {
            exercise(&parsed.plan);
        }
        match planparse::parse(&value.to_string()) {
            Ok(plans) => plans.iter().for_each(|parsed| exercise(&parsed.plan)),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_text_is_a_plan_or_a_message(text in "[\\[\\]{}:,\" a-zPN0-9\\\\\n\u{1}é-]{0,80}") {
        let _ = planparse::parse(&text);
        let _ = planparse::parse(&format!("{{\"Plan\": {{\"Node Type\": \"Result\", {text}"));
    }

    #[test]
    fn any_bytes_give_plans_or_a_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = planparse::read(&bytes);
    }

    #[test]
    fn lines_like_a_plan_s_give_plans_or_a_message(lines in prop::collection::vec(plan_line(), 1..30)) {
        if let Ok(reading) = planparse::read(lines.join("\n")) {
            for parsed in &reading.plans {
                exercise(&parsed.plan);
                adds_up(&parsed.plan);
            }
        }
    }

    #[test]
    fn a_cut_text_is_a_message(root in tree(), cut in 1usize..400) {
        let text = json!([{"Plan": root}]).to_string();
        let cut = text.len().saturating_sub(cut).max(1);
        if let Some(cut) = text.get(..cut) {
            prop_assert!(planparse::parse(cut).is_err());
        }
    }
}

/// A chain of operators, each hanging below the one before.
fn chain(depth: usize, keys: &str) -> String {
    let open = format!(
        r#"{{"Node Type":"CTE Scan","Actual Total Time":1,"Actual Rows":1,"Actual Loops":1,{keys},"Plans":["#
    );
    format!(r#"{{"Plan":{}{}}}"#, open.repeat(depth), "]}".repeat(depth))
}

#[test]
fn deep_and_wide_plans_are_read_whole() {
    for keys in [
        r#""Parent Relationship":"Outer","CTE Name":"x""#,
        r#""Parent Relationship":"InitPlan","Subplan Name":"CTE x","CTE Name":"x""#,
        r#""Parent Relationship":"InitPlan","Subplan Name":"InitPlan 1","Filter":"(InitPlan 1)""#,
    ] {
        let deep = planparse::parse(&chain(3000, keys)).unwrap().remove(0).plan;
        assert_eq!(deep.operators().count(), 3000);
        exercise_once(&deep);
    }
    let member = r#"{"Node Type":"Seq Scan","Parent Relationship":"Member","Relation Name":"t"}"#;
    let wide = format!(
        r#"{{"Plan":{{"Node Type":"Append","Plans":[{}]}}}}"#,
        vec![member; 20_000].join(",")
    );
    let wide = planparse::parse(&wide).unwrap().remove(0).plan;
    assert_eq!(wide.children(wide.root()).len(), 20_000);
    exercise_once(&wide);
}

/// As [`exercise`], without what is done for every operator of a large plan.
fn exercise_once(plan: &Plan) {
    assert!(!plan.to_string().is_empty() && !plan.shape().is_empty());
    planparse::summary(plan);
    let written = serde_json::to_string(plan).expect("a plan can be written");
    assert_eq!(
        serde_json::from_str::<Plan>(&written).expect("what was written can be read"),
        *plan
    );
}

#[test]
fn deep_and_large_texts_of_every_format_end() {
    let depth = 1_000;
    let text = (0..depth).fold("Limit  (cost=1..2 rows=1 width=4)\n".to_owned(), |text, level| {
        text + &format!("{}->  Sort  (cost=1..2 rows=1 width=4)\n", " ".repeat(2 + 6 * level))
    });
    let xml = format!(
        "<explain><Query>{}{}</Query></explain>",
        "<Plan><Node-Type>Sort</Node-Type><Plans>".repeat(depth),
        "</Plans></Plan>".repeat(depth)
    );
    let yaml = (0..depth).fold("- Plan:\n    Node Type: \"Sort\"\n".to_owned(), |text, level| {
        let indent = " ".repeat(4 + 4 * level);
        text + &format!("{indent}Plans:\n{indent}  - Node Type: \"Sort\"\n")
    });
    for (text, count) in [(text, depth + 1), (xml, depth), (yaml, depth + 1)] {
        let plan = planparse::read(&text).expect("a plan").plans.remove(0).plan;
        assert_eq!(plan.operators().count(), count);
        exercise_once(&plan);
    }
    // Each of these once led to reading the same text again and again.
    for part in [
        "{\"a\n",
        "[[\n",
        "<explain>\n",
        "<explain\n",
        "- Plan:\n",
        "Plan:\n",
        "Query Text: a\n",
        "Query Text: \"a\n",
        "\"",
        "Limit\n",
        "LOG:  duration: 1 ms  plan:\n",
        "Result  (cost=1\n",
        "->  (",
        "Filter: (\n",
        "{\"message\": \"(cost=\"}\n",
        ",\"duration: \n",
    ] {
        let large = format!("x\n{}", part.repeat(400_000 / part.len()));
        let _ = planparse::read(&large);
        let _ = planparse::read(format!("Limit  (cost=1..2 rows=1 width=4)\n{large}"));
    }
}

#[test]
fn a_broken_line_that_ends_in_wide_space_is_joined() {
    // Each ideographic space is three bytes, and only one stays between the parts.
    let text = "Seq Scan on t  (cost=0.00..1.00 rows=1 width=4)\n  Filter: (a = (b ||\u{3000}\u{3000}\n   \u{fffd}\u{fffd} 'x'))\n";
    let reading = planparse::read(text).unwrap();
    assert_eq!(reading.plans.len(), 1);
}
