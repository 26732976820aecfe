//! Turns what was printed into typed operators in a graph.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::keys::{self, Keys, number, text_map};
use crate::node;
use crate::raw::{Fields, RawPlan};
use crate::tree::Tree;
use crate::{
    Actual, Buffers, Format, Jit, Link, Operator, OperatorId, OperatorKind, Parsed, Plan, Problem,
    Serialization, Trigger,
};

/// Returns the plan and whatever was not understood. The raw plan has a root.
pub(crate) fn lower(raw: RawPlan<'_>) -> Parsed {
    // The text form names no relationship; it follows from the node types.
    let told = raw.format != Format::Text;
    let mut problems = raw.problems;
    let mut tree = Tree::default();
    let mut has_outer: Vec<bool> = Vec::new();
    for node in raw.nodes {
        let id = OperatorId::from(tree.len());
        let parent = node.parent.map(OperatorId::from);
        let (relationship, operator) = node::lower(node, id, &mut problems);
        let parent = parent.map(|parent| {
            let link = relationship.as_deref().and_then(link_from_name).unwrap_or_else(|| {
                let above = tree.operator(parent).kind;
                let taken = likely_link(above, has_outer[parent.index()], &operator);
                if told {
                    problems.push(Problem::UnknownLink { operator: id, relationship, taken });
                }
                taken
            });
            // Up to version 13 the input of a ModifyTable was a member, even where it was the only one.
            let first = !has_outer[parent.index()];
            let only = tree.operator(parent).kind == OperatorKind::ModifyTable && first;
            let link = if only && link == Link::Member { Link::Outer } else { link };
            has_outer[parent.index()] |= link == Link::Outer;
            (parent, link)
        });
        has_outer.push(false);
        tree.push(parent, operator);
    }
    link_ctes(&mut tree, &mut problems);
    let plan = lower_result(tree, raw.fields, &mut problems);
    Parsed { plan, format: raw.format, line: raw.line, problems }
}

fn lower_result(tree: Tree, fields: Fields<'_>, problems: &mut Vec<Problem>) -> Plan {
    let mut keys = Keys::new(fields, None, problems);
    let planning = keys.take("Planning", "an object", |value| value.as_object().cloned());
    let serialization = keys.take("Serialization", "an object", |value| value.as_object().cloned());
    let triggers = keys.objects("Triggers");
    let jit = keys.take("JIT", "an object", |value| value.as_object().cloned());
    let mut plan = Plan {
        tree,
        planning_ms: keys.number("Planning Time"),
        duration_ms: keys.number("Duration"),
        execution_ms: keys.number("Execution Time").or_else(|| keys.number("Total Runtime")),
        settings: keys.take("Settings", "an object of texts", text_map).unwrap_or_default(),
        query_text: keys.text("Query Text"),
        query_identifier: keys.take("Query Identifier", "a whole number", whole),
        triggers: Vec::new(),
        jit: None,
        planning_buffers: None,
        planning_memory_used_kb: None,
        planning_memory_allocated_kb: None,
        serialization: None,
        other: BTreeMap::new(),
    };
    if let Some(text) = keys.fields.remove("Query Parameters") {
        plan.other.insert("Query Parameters".to_owned(), text);
    }
    plan.other.extend(keys.rest());
    for trigger in triggers {
        plan.triggers.push(lower_trigger(trigger, problems));
    }
    if let Some(fields) = planning {
        let mut keys = Keys::new(fields, None, problems);
        plan.planning_buffers = lower_buffers(&mut keys);
        plan.planning_memory_used_kb = keys.count("Memory Used");
        plan.planning_memory_allocated_kb = keys.count("Memory Allocated");
        keys.rest();
    }
    plan.serialization = serialization.map(|fields| {
        let mut keys = Keys::new(fields, None, problems);
        let serialization = Serialization {
            time_ms: keys.number("Time"),
            output_kb: keys.count("Output Volume"),
            format: keys.text("Format"),
            buffers: lower_buffers(&mut keys),
        };
        keys.rest();
        serialization
    });
    plan.jit = jit.map(|fields| lower_jit(fields, problems));
    plan
}

/// Reads a whole number, also one that stands as a text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn lower_trigger(fields: serde_json::Map<String, Value>, problems: &mut Vec<Problem>) -> Trigger {
    let mut keys = Keys::new(fields, None, problems);
    let trigger = Trigger {
        name: keys.text("Trigger Name"),
        constraint: keys.text("Constraint Name"),
        relation: keys.text("Relation"),
        total_ms: keys.number("Time"),
        calls: keys.number("Calls").unwrap_or(0.0),
    };
    keys.rest();
    trigger
}

fn lower_jit(fields: serde_json::Map<String, Value>, problems: &mut Vec<Problem>) -> Jit {
    let mut keys = Keys::new(fields, None, problems);
    let flags = |value: &Value| {
        let flags = value.as_object()?.iter();
        flags.map(|(key, flag)| Some((key.clone(), keys::flag(flag)?))).collect::<Option<_>>()
    };
    // From version 17 on, `Generation` is an object with a total.
    let timing = |value: &Value| {
        let steps = value.as_object()?.iter();
        let total = |step: &Value| number(step.get("Total").unwrap_or(step));
        steps.map(|(key, step)| Some((key.clone(), total(step)?))).collect::<Option<_>>()
    };
    let jit = Jit {
        functions: keys.count("Functions").unwrap_or(0),
        options: keys.take("Options", "an object of booleans", flags).unwrap_or_default(),
        timing_ms: keys.take("Timing", "an object of times", timing).unwrap_or_default(),
    };
    // Up to version 11, the number of the leader or worker.
    keys.fields.remove("Worker Number");
    keys.rest();
    jit
}

fn link_from_name(name: &str) -> Option<Link> {
    Some(match name {
        "Outer" => Link::Outer,
        "Inner" => Link::Inner,
        // A Custom Scan calls its inputs "child" or "children".
        "Member" | "child" | "children" => Link::Member,
        "InitPlan" => Link::InitPlan,
        "SubPlan" => Link::SubPlan,
        "Subquery" => Link::Subquery,
        "Remote" => Link::Remote,
        _ => return None,
    })
}

/// What an operator without a relationship most likely is to its parent.
fn likely_link(above: OperatorKind, has_outer: bool, operator: &Operator) -> Link {
    match (operator.subplan_name.as_deref(), above) {
        (Some(name), _) if name.starts_with("SubPlan") => Link::SubPlan,
        (Some(_), _) => Link::InitPlan,
        (
            _,
            OperatorKind::Append
            | OperatorKind::MergeAppend
            | OperatorKind::BitmapAnd
            | OperatorKind::BitmapOr
            | OperatorKind::CustomScan,
        ) => Link::Member,
        (_, OperatorKind::SubqueryScan) => Link::Subquery,
        _ if !has_outer => Link::Outer,
        (_, OperatorKind::RecursiveUnion | OperatorKind::SetOp) => Link::Inner,
        (_, above) if above.is_join() => Link::Inner,
        _ => Link::Member,
    }
}

pub(crate) fn lower_actual(keys: &mut Keys) -> Option<Actual> {
    let startup_ms = keys.number("Actual Startup Time");
    let total_ms = keys.number("Actual Total Time");
    let rows = keys.number("Actual Rows");
    let loops = keys.number("Actual Loops");
    (rows.is_some() || loops.is_some()).then(|| Actual {
        startup_ms,
        total_ms,
        rows: rows.unwrap_or(0.0),
        loops: loops.unwrap_or(1.0),
    })
}

pub(crate) fn lower_buffers(keys: &mut Keys) -> Option<Buffers> {
    let before = keys.fields.len();
    let mut count = |key| keys.count(key).unwrap_or(0);
    let mut buffers = Buffers {
        shared_hit: count("Shared Hit Blocks"),
        shared_read: count("Shared Read Blocks"),
        shared_dirtied: count("Shared Dirtied Blocks"),
        shared_written: count("Shared Written Blocks"),
        local_hit: count("Local Hit Blocks"),
        local_read: count("Local Read Blocks"),
        local_dirtied: count("Local Dirtied Blocks"),
        local_written: count("Local Written Blocks"),
        temp_read: count("Temp Read Blocks"),
        temp_written: count("Temp Written Blocks"),
        ..Buffers::default()
    };
    buffers.read_ms = keys.number("Shared I/O Read Time").or_else(|| keys.number("I/O Read Time"));
    buffers.write_ms =
        keys.number("Shared I/O Write Time").or_else(|| keys.number("I/O Write Time"));
    buffers.local_read_ms = keys.number("Local I/O Read Time");
    buffers.local_write_ms = keys.number("Local I/O Write Time");
    buffers.temp_read_ms = keys.number("Temp I/O Read Time");
    buffers.temp_write_ms = keys.number("Temp I/O Write Time");
    (keys.fields.len() < before).then_some(buffers)
}

/// Draws an edge from each CTE to the scans that read it: the nearest definition above a scan counts.
fn link_ctes(tree: &mut Tree, problems: &mut Vec<Problem>) {
    let ends = tree.ends();
    // By name, the definitions met so far with the last operator that sees each; inner ones come last.
    let mut visible: BTreeMap<String, Vec<(OperatorId, OperatorId)>> = BTreeMap::new();
    for id in tree.ids() {
        for (cte, link) in tree.children(id) {
            let name = tree
                .operator(cte)
                .subplan_name
                .as_deref()
                .and_then(|name| name.strip_prefix("CTE "));
            if let (Some(name), Link::InitPlan) = (name, link) {
                let definitions = visible.entry(name.to_owned()).or_default();
                while definitions.pop_if(|(_, last)| *last < id).is_some() {}
                definitions.push((cte, ends[id.index()]));
            }
        }
        let operator = tree.operator(id);
        let Some(name) =
            operator.cte_name.clone().filter(|_| operator.kind == OperatorKind::CteScan)
        else {
            continue;
        };
        let definitions = visible.get(&name).map(Vec::as_slice).unwrap_or_default();
        // A CTE does not see itself: the same name within it is one further out.
        let seen = |(cte, last): &&(OperatorId, OperatorId)| {
            *last >= id && !(*cte <= id && id <= ends[cte.index()])
        };
        match definitions.iter().rev().find(seen) {
            Some((cte, _)) => tree.add_reader(*cte, id),
            None => problems.push(Problem::DanglingCte { operator: id, cte_name: name }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{id, node, plan};

    fn root(keys: Value) -> Parsed {
        crate::from_json(&json!({"Plan": node("Seq Scan", "Outer", keys, &[])})).unwrap()
    }

    #[test]
    fn typed_fields_are_taken_out_and_known_keys_kept() {
        let parsed = root(json!({
            "Relation Name": "BehaviorLog", "Schema": "public", "Alias": "b", "Parallel Aware": true, "Async Capable": false,
            "Startup Cost": 0.25, "Total Cost": 18334.5, "Plan Rows": 10, "Plan Width": 4, "Output": ["id", "now()"],
            "Actual Startup Time": 0.01, "Actual Total Time": 1.5, "Actual Rows": 2.5, "Actual Loops": 3,
            "Filter": "(id > 1)", "Rows Removed by Filter": 7, "Shared Hit Blocks": 5, "I/O Read Time": 0.5,
            "WAL Bytes": 77, "Disabled": false, "Workers": [{"Worker Number": 1, "Actual Total Time": 1.0, "Actual Rows": 2, "Actual Loops": 1}],
        }));
        assert_eq!(parsed.problems, []);
        let scan = parsed.plan.operator(parsed.plan.root());
        assert_eq!(
            (scan.kind, scan.relation.as_deref()),
            (OperatorKind::SeqScan, Some("BehaviorLog"))
        );
        assert_eq!(
            (scan.startup_cost, scan.total_cost, scan.rows, scan.width),
            (0.25, 18334.5, 10.0, 4)
        );
        let actual = Actual { startup_ms: Some(0.01), total_ms: Some(1.5), rows: 2.5, loops: 3.0 };
        assert_eq!(scan.actual, Some(actual));
        assert_eq!(scan.output, ["id", "now()"]);
        let buffers = Buffers { shared_hit: 5, read_ms: Some(0.5), ..Buffers::default() };
        assert_eq!((scan.buffers, scan.wal.map(|wal| wal.bytes)), (Some(buffers), Some(77)));
        assert_eq!(
            (scan.workers[0].number, scan.workers[0].actual.map(|actual| actual.rows)),
            (1, Some(2.0))
        );
        assert_eq!(scan.other.keys().collect::<Vec<_>>(), ["Async Capable", "Disabled"]);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_kept_and_told() {
        let parsed = root(
            json!({"Flux": [1], "Total Cost": {"a": 1}, "Plan Rows": "12", "Sort Key": "id", "Filter": null}),
        );
        let scan = parsed.plan.operator(parsed.plan.root());
        assert_eq!((scan.total_cost, scan.rows), (0.0, 12.0));
        assert_eq!(scan.sort_key, ["id"]);
        assert_eq!(
            scan.other,
            BTreeMap::from([
                ("Flux".to_owned(), json!([1])),
                ("Total Cost".to_owned(), json!({"a": 1}))
            ])
        );
        let told: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
        let expected = [
            "operator 0: unknown key `Flux`, kept as it is",
            "operator 0: the value of `Total Cost` is not a number, kept as it is",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn an_unknown_node_type_and_link_do_not_lose_the_node() {
        let child = json!({"Node Type": "Vector Scan"});
        let parsed = crate::from_json(
            &json!({"Plan": {"Node Type": "Hash Join", "Plans": [child, child, 7]}}),
        )
        .unwrap();
        assert_eq!(parsed.plan.operator(id(1)).kind, OperatorKind::Unknown);
        assert_eq!(parsed.plan.operator(id(1)).node_type, "Vector Scan");
        assert_eq!(parsed.plan.children(id(0)), [(id(1), Link::Outer), (id(2), Link::Inner)]);
        assert_eq!(parsed.problems.len(), 5);
        assert_eq!(parsed.problems[0], Problem::NotANode { operator: id(0) });
    }

    #[test]
    fn the_two_lists_of_workers_of_old_versions_are_one() {
        let text = r#"{"Plan": {"Node Type": "Sort",
            "Workers": [{"Worker Number": 0, "Sort Method": "quicksort"}],
            "Workers": [{"Worker Number": 0, "Actual Rows": 5, "Actual Loops": 1}, {"Worker Number": 1}],
            "Filter": "a", "Filter": "b"}}"#;
        let parsed = crate::parse(text).unwrap().remove(0);
        let sort = parsed.plan.operator(parsed.plan.root());
        assert_eq!(sort.workers.len(), 2);
        assert_eq!(sort.workers[0].other["Sort Method"], "quicksort");
        assert_eq!(sort.workers[0].actual.map(|actual| actual.rows), Some(5.0));
        assert_eq!(sort.filter.as_deref(), Some("a"));
        assert_eq!(
            parsed.problems,
            [Problem::DuplicateKey { operator: Some(id(0)), key: "Filter".to_owned() }]
        );
    }

    #[test]
    fn a_scan_reads_the_nearest_cte_of_its_name_above() {
        let cte = |name: &str, below: &[Value]| {
            node("Result", "InitPlan", json!({"Subplan Name": format!("CTE {name}")}), below)
        };
        let scan = |relationship: &str, name: &str, below: &[Value]| {
            node("CTE Scan", relationship, json!({"CTE Name": name}), below)
        };
        // 0 Append: 1 CTE x, 2 CTE x inside 3 (reads the outer), read by 3 itself; 5 reads 1.
        let inner = cte("x", &[scan("Outer", "x", &[])]);
        let tree = plan(&node(
            "Append",
            "Outer",
            json!({}),
            &[cte("x", &[]), scan("Member", "x", &[inner]), scan("Member", "x", &[])],
        ));
        assert_eq!(tree.cte(id(2)), Some(id(3)));
        assert_eq!(tree.cte(id(4)), Some(id(1)));
        assert_eq!(tree.cte(id(5)), Some(id(1)));
        assert_eq!(tree.readers(id(1)), [id(4), id(5)]);

        let lost = crate::from_json(&json!({"Plan": scan("Outer", "y", &[])})).unwrap();
        assert_eq!(
            lost.problems,
            [Problem::DanglingCte { operator: id(0), cte_name: "y".to_owned() }]
        );
    }

    #[test]
    fn what_stands_beside_the_plan() {
        let parsed = crate::from_json(&json!([{
            "Query Text": "select 1", "Query Identifier": -7, "Plan": {"Node Type": "Result"}, "Settings": {"work_mem": "1MB"},
            "Planning": {"Shared Hit Blocks": 3, "Memory Used": 9}, "Planning Time": 0.5, "Execution Time": 2,
            "Triggers": [{"Constraint Name": "fk", "Relation": "t", "Time": 1.5, "Calls": 2}],
            "JIT": {"Functions": 4, "Options": {"Inlining": false}, "Timing": {"Generation": {"Deform": 0.1, "Total": 0.4}, "Total": 1.0}},
            "Serialization": {"Time": 0.1, "Output Volume": 12, "Format": "text"}, "Mystery": 1,
        }])).unwrap();
        let plan = &parsed.plan;
        assert_eq!(
            (plan.planning_ms, plan.execution_ms, plan.query_identifier),
            (Some(0.5), Some(2.0), Some(-7))
        );
        assert_eq!(
            (plan.query_text.as_deref(), plan.settings["work_mem"].as_str()),
            (Some("select 1"), "1MB")
        );
        assert_eq!(
            (plan.planning_buffers.map(|buffers| buffers.shared_hit), plan.planning_memory_used_kb),
            (Some(3), Some(9))
        );
        assert_eq!((plan.triggers[0].total_ms, plan.triggers[0].calls), (Some(1.5), 2.0));
        let jit = plan.jit.as_ref().unwrap();
        assert_eq!(
            (jit.functions, jit.timing_ms["Generation"], jit.timing_ms["Total"]),
            (4, 0.4, 1.0)
        );
        assert_eq!(
            plan.serialization.as_ref().and_then(|serialization| serialization.output_kb),
            Some(12)
        );
        assert_eq!(
            parsed.problems,
            [Problem::UnknownKey { operator: None, key: "Mystery".to_owned() }]
        );
        assert_eq!(plan.other["Mystery"], 1);
    }
}
