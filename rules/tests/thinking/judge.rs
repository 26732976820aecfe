//! The two vetoes, and what else is read off plans.

use planparse::Plan;
use rules::evidence::Fact;
use rules::judge::{one_line, plan_facts, reads_most, sequential_share};
use rules::testing::plan_of;
use serde_json::{Value, json};

/// An operator above others.
fn over(kind: &str, below: &[Value]) -> Value {
    let place = |(position, operator): (usize, &Value)| {
        let mut operator = operator.clone();
        operator["Parent Relationship"] = operator
            .get("Parent Relationship")
            .cloned()
            .unwrap_or_else(|| json!(if position == 0 { "Outer" } else { "Inner" }));
        operator
    };
    let below: Vec<Value> = below.iter().enumerate().map(place).collect();
    json!({ "Node Type": kind, "Plans": below })
}

fn seq(table: &str) -> Value {
    json!({ "Node Type": "Seq Scan", "Relation Name": table, "Alias": table })
}

/// A scan of `t` by the index `new`.
fn index() -> Value {
    json!({ "Node Type": "Index Scan", "Relation Name": "t", "Alias": "t", "Index Name": "new" })
}

fn filtered() -> Value {
    let mut scan = index();
    scan["Filter"] = json!("(kind = 'x'::text)");
    scan
}

fn with(mut operator: Value, key: &str, value: Value) -> Value {
    operator[key] = value;
    operator
}

/// The facts of a plan that is new, beside one that reads the whole table.
fn facts(after: &Value) -> Vec<Fact> {
    plan_facts(&plan_of(&over("Limit", &[over("Sort", &[seq("t")])])), &plan_of(after))
}

const VETO: [Fact; 1] = [Fact::OrderedLimitBesideFilter];

#[test]
fn an_ordered_limit_beside_a_filter_is_doubted() {
    assert_eq!(facts(&over("Limit", &[filtered()])), VETO);
    let only = with(filtered(), "Node Type", json!("Index Only Scan"));
    assert_eq!(facts(&over("Limit", &[only])), VETO);
    for between in [
        "Result",
        "LockRows",
        "Subquery Scan",
        "Unique",
        "WindowAgg",
        "ProjectSet",
        "Gather Merge",
        "Append",
        "Merge Append",
        "Materialize",
        "Incremental Sort",
        "Group",
    ] {
        assert_eq!(facts(&over("Limit", &[over(between, &[filtered()])])), VETO, "{between}");
    }
    let sorted = with(over("Aggregate", &[filtered()]), "Strategy", json!("Sorted"));
    assert_eq!(facts(&over("Limit", &[sorted])), VETO);
    assert_eq!(facts(&over("Result", &[over("Limit", &[filtered()])])), VETO, "not at the top");
}

#[test]
fn without_a_filter_or_a_limit_it_is_not() {
    assert_eq!(facts(&over("Limit", &[index()])), []);
    assert_eq!(facts(&filtered()), []);
    assert_eq!(facts(&over("Sort", &[filtered()])), []);
}

#[test]
fn what_collects_all_rows_first_takes_the_doubt_away() {
    for between in ["Sort", "Hash", "Aggregate"] {
        assert_eq!(facts(&over("Limit", &[over(between, &[filtered()])])), [], "{between}");
    }
    for strategy in ["Hashed", "Plain", "Mixed"] {
        let collects = with(over("Aggregate", &[filtered()]), "Strategy", json!(strategy));
        assert_eq!(facts(&over("Limit", &[collects])), [], "{strategy}");
    }
    let below = json!({ "Node Type": "Bitmap Index Scan", "Index Name": "new" });
    let bitmap = with(over("Bitmap Heap Scan", &[below]), "Filter", json!("(a > 1)"));
    assert_eq!(facts(&over("Limit", &[with(bitmap, "Relation Name", json!("t"))])), []);
}

#[test]
fn an_index_that_was_used_before_brings_nothing_new() {
    let plan = over("Limit", &[filtered()]);
    assert_eq!(plan_facts(&plan_of(&plan), &plan_of(&plan)), []);
    let old = with(filtered(), "Index Name", json!("old"));
    assert_eq!(plan_facts(&plan_of(&over("Sort", &[old])), &plan_of(&plan)), VETO);
}

#[test]
fn a_join_above_the_ordered_scan_thins_rows_out_like_a_filter() {
    let probe = over("Hash", &[seq("u")]);
    for (kind, inner) in [("Nested Loop", seq("u")), ("Hash Join", probe), ("Merge Join", seq("u"))]
    {
        let rows = |plan, rows: u32| with(plan, "Plan Rows", json!(rows));
        let join = rows(over(kind, &[rows(index(), 100), inner]), 100);
        // A merge join walks past what finds no match, however many rows come out.
        if kind != "Merge Join" {
            let plan = over("Limit", std::slice::from_ref(&join));
            assert_eq!(facts(&plan), [], "{kind} that keeps all rows");
        }
        let join = rows(join, 10);
        assert_eq!(facts(&over("Limit", std::slice::from_ref(&join))), VETO, "{kind}");
        assert_eq!(facts(&over("Limit", &[over("Sort", &[join])])), [], "{kind} below a sort");
    }
}

#[test]
fn the_inner_side_of_a_join_is_looked_up_not_walked() {
    for kind in ["Nested Loop", "Hash Join"] {
        assert_eq!(facts(&over("Limit", &[over(kind, &[seq("u"), filtered()])])), [], "{kind}");
    }
    let merged = over("Merge Join", &[seq("u"), filtered()]);
    assert_eq!(facts(&over("Limit", &[merged])), VETO, "a merge walks both sides");
}

#[test]
fn rows_of_a_sub_plan_do_not_flow_into_the_limit() {
    for relationship in ["SubPlan", "InitPlan"] {
        let answer = with(filtered(), "Parent Relationship", json!(relationship));
        let plan = over("Limit", &[over("Result", &[seq("u"), answer.clone()])]);
        assert_eq!(facts(&plan), [], "{relationship}");
        let own = with(over("Limit", &[filtered()]), "Parent Relationship", json!(relationship));
        assert_eq!(
            facts(&over("Result", &[seq("u"), own])),
            VETO,
            "its own limit in a {relationship}"
        );
    }
}

#[test]
fn a_nested_loop_over_a_join_is_doubted() {
    let hash = || over("Hash Join", &[seq("a"), over("Hash", &[seq("b")])]);
    let before = plan_of(&over("Hash Join", &[hash(), over("Hash", &[seq("t")])]));
    let facts = |after: Value| plan_facts(&before, &plan_of(&after));
    assert_eq!(facts(over("Nested Loop", &[hash(), index()])), [Fact::NestedLoopOverJoin]);
    let deeper = over("Nested Loop", &[over("Sort", &[over("Materialize", &[hash()])]), index()]);
    assert_eq!(facts(deeper), [Fact::NestedLoopOverJoin]);
    let twice = over("Nested Loop", &[over("Nested Loop", &[seq("a"), seq("b")]), index()]);
    assert_eq!(facts(twice), [Fact::NestedLoopOverJoin]);
    assert_eq!(facts(over("Nested Loop", &[seq("a"), index()])), [], "over one table");
    assert_eq!(facts(over("Nested Loop", &[seq("a"), hash()])), [], "the join on the inner side");
    assert_eq!(facts(over("Hash Join", &[hash(), over("Hash", &[index()])])), []);
}

#[test]
fn a_nested_loop_over_a_join_that_was_there_before_is_not_new() {
    let looped =
        |inner: Value| over("Nested Loop", &[over("Hash Join", &[seq("a"), seq("b")]), inner]);
    let before = plan_of(&looped(seq("t")));
    assert_eq!(plan_facts(&before, &plan_of(&looped(index()))), []);
    let another = over("Nested Loop", &[looped(index()), seq("c")]);
    assert_eq!(plan_facts(&before, &plan_of(&another)), [Fact::NestedLoopOverJoin]);
}

#[test]
fn both_doubts_can_stand_together() {
    let loops = over("Nested Loop", &[over("Nested Loop", &[filtered(), seq("a")]), seq("b")]);
    assert_eq!(
        facts(&over("Limit", &[loops])),
        [Fact::OrderedLimitBesideFilter, Fact::NestedLoopOverJoin]
    );
}

fn most(before: &Value, after: &Value) -> bool {
    let rows = |name: &str| (name == "t").then_some(1000.0);
    reads_most(&plan_of(before), &plan_of(after), &rows)
}

#[test]
fn a_new_index_that_reads_most_of_the_table_is_told() {
    let reading = |rows: u64| with(index(), "Plan Rows", json!(rows));
    assert!(most(&seq("t"), &reading(301)));
    assert!(!most(&seq("t"), &reading(300)));
    assert!(!most(&reading(900), &reading(900)), "it was used before");
    assert!(!most(&seq("t"), &over("Limit", &[reading(900)])), "the limit stops it");
    assert!(most(&seq("t"), &over("Limit", &[over("Sort", &[reading(900)])])));
    let other = with(reading(900), "Relation Name", json!("unknown"));
    assert!(!most(&seq("t"), &other), "a table of unknown size");
}

#[test]
fn a_bitmap_is_judged_by_the_table_of_its_heap_scan() {
    let bits = json!({ "Node Type": "Bitmap Index Scan", "Index Name": "new", "Plan Rows": 900 });
    let heap = |below: Value| with(over("Bitmap Heap Scan", &[below]), "Relation Name", json!("t"));
    assert!(most(&seq("t"), &heap(bits.clone())));
    assert!(most(&seq("t"), &heap(over("BitmapOr", &[bits]))));
}

#[test]
fn the_share_of_a_sequential_scan_is_read_off_the_plan() {
    let costs = |operator: Value, cost: f64, rows: f64| {
        with(with(operator, "Total Cost", json!(cost)), "Plan Rows", json!(rows))
    };
    let plan = |below: Value| plan_of(&costs(over("Sort", &[below]), 1000.0, 10.0));
    let of = |plan: &Plan| sequential_share(plan, ("public", "t"), 500.0);
    assert_eq!(of(&plan(costs(seq("t"), 900.0, 10.0))), Some((0.9, 0.02)));
    assert_eq!(of(&plan(costs(seq("u"), 900.0, 10.0))), None);
    assert_eq!(of(&plan(costs(index(), 900.0, 10.0))), None);
    let elsewhere = with(costs(seq("t"), 900.0, 10.0), "Schema", json!("other"));
    assert_eq!(of(&plan(elsewhere)), None);
}

#[test]
fn a_plan_on_one_line_names_at_most_eight_operators() {
    let plan = plan_of(&over("Limit", &[over("Nested Loop", &[seq("u"), index()])]));
    assert_eq!(one_line(&plan), "Limit > Nested Loop > Seq Scan on u > Index Scan using new on t");
    let deep = (0..9).fold(seq("t"), |below, _| over("Materialize", &[below]));
    assert!(one_line(&plan_of(&deep)).ends_with("Materialize > …"));
}
