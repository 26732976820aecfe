//! Turns what was printed into typed operators in a graph.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::keys::{Keys, flag, number, text_map};
use crate::raw::{Fields, RawNode, RawPlan};
use crate::tree::Tree;
use crate::{
    Actual, Buffers, Format, Jit, Link, Operator, OperatorId, OperatorKind, Parsed, Plan, Problem,
    Serialization, Trigger, Wal, Worker,
};

/// Keys of `PostgreSQL` 10 to 18 and of Citus that have no field of their own and stay in `other`, without being a problem.
const KEPT_KEYS: &[(&str, Kept)] = &[
    ("Async Capable", Kept::Flag),
    ("Cache Evictions", Kept::Number),
    ("Cache Hits", Kept::Number),
    ("Cache Key", Kept::Text),
    ("Cache Misses", Kept::Number),
    ("Cache Mode", Kept::Text),
    ("Cache Overflows", Kept::Number),
    ("Conflict Arbiter Indexes", Kept::Any),
    ("Conflict Filter", Kept::Text),
    ("Conflict Resolution", Kept::Text),
    ("Conflicting Tuples", Kept::Number),
    ("Custom Plan Provider", Kept::Text),
    ("Disabled", Kept::Flag),
    ("Distributed Query", Kept::Any),
    ("Foreign File", Kept::Text),
    ("Foreign File Size", Kept::Number),
    ("Foreign Program", Kept::Text),
    ("Full-sort Groups", Kept::Any),
    ("Function Call", Kept::Text),
    ("Grouping Sets", Kept::Any),
    ("Hash Buckets", Kept::Number),
    ("Index Searches", Kept::Number),
    ("Maximum Storage", Kept::Number),
    ("Original Hash Buckets", Kept::Number),
    ("Params Evaluated", Kept::Any),
    ("Planned Partitions", Kept::Number),
    ("Pre-sorted Groups", Kept::Any),
    ("Relations", Kept::Text),
    ("Remote SQL", Kept::Text),
    ("Repeatable Seed", Kept::Text),
    ("Rows Removed by Conflict Filter", Kept::Number),
    ("Run Condition", Kept::Text),
    ("Sampling Method", Kept::Text),
    ("Sampling Parameters", Kept::Any),
    ("Single Copy", Kept::Flag),
    ("Storage", Kept::Text),
    ("Subplans Removed", Kept::Number),
    ("Table Function Call", Kept::Text),
    ("Table Function Name", Kept::Text),
    ("Target Tables", Kept::Any),
    ("Task Count", Kept::Number),
    ("Tasks Shown", Kept::Text),
    ("Tuples Deleted", Kept::Number),
    ("Tuples Inserted", Kept::Number),
    ("Tuples Skipped", Kept::Number),
    ("Tuples Updated", Kept::Number),
    ("Tuplestore Name", Kept::Text),
    ("Window", Kept::Text),
];

/// Keys that have a field of their own.
const TYPED_KEYS: &[&str] = &[
    "Actual Loops",
    "Actual Rows",
    "Actual Startup Time",
    "Actual Total Time",
    "Alias",
    "CTE Name",
    "Command",
    "Disk Usage",
    "Exact Heap Blocks",
    "Filter",
    "Function Name",
    "Group Key",
    "Hash Batches",
    "Hash Cond",
    "HashAgg Batches",
    "Heap Fetches",
    "I/O Read Time",
    "I/O Write Time",
    "Index Cond",
    "Index Name",
    "Inner Unique",
    "Join Filter",
    "Join Type",
    "Local Dirtied Blocks",
    "Local Hit Blocks",
    "Local I/O Read Time",
    "Local I/O Write Time",
    "Local Read Blocks",
    "Local Written Blocks",
    "Lossy Heap Blocks",
    "Merge Cond",
    "Node Type",
    "One-Time Filter",
    "Operation",
    "Order By",
    "Original Hash Batches",
    "Output",
    "Parallel Aware",
    "Parent Relationship",
    "Partial Mode",
    "Peak Memory Usage",
    "Plan Rows",
    "Plan Width",
    "Presorted Key",
    "Recheck Cond",
    "Relation Name",
    "Rows Removed by Filter",
    "Rows Removed by Index Recheck",
    "Rows Removed by Join Filter",
    "Scan Direction",
    "Schema",
    "Shared Dirtied Blocks",
    "Shared Hit Blocks",
    "Shared I/O Read Time",
    "Shared I/O Write Time",
    "Shared Read Blocks",
    "Shared Written Blocks",
    "Sort Key",
    "Sort Method",
    "Sort Space Type",
    "Sort Space Used",
    "Startup Cost",
    "Strategy",
    "Subplan Name",
    "TID Cond",
    "Temp I/O Read Time",
    "Temp I/O Write Time",
    "Temp Read Blocks",
    "Temp Written Blocks",
    "Total Cost",
    "WAL Buffers Full",
    "WAL Bytes",
    "WAL FPI",
    "WAL Records",
    "Workers",
    "Workers Launched",
    "Workers Planned",
];

/// What the value of a key is; XML and text print every one of them as text.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Text,
    Number,
    Flag,
    Any,
}

/// Tells whether `PostgreSQL` prints such a key of a node.
pub(crate) fn is_node_key(key: &str) -> bool {
    KEPT_KEYS.binary_search_by_key(&key, |(known, _)| known).is_ok() || TYPED_KEYS.contains(&key)
}

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
        let (relationship, operator) = lower_node(node, id, &mut problems);
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
        flags.map(|(key, flag)| Some((key.clone(), flag.as_bool()?))).collect::<Option<_>>()
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

/// Returns the printed relationship to the parent, and the operator.
fn lower_node(
    node: RawNode<'_>,
    id: OperatorId,
    problems: &mut Vec<Problem>,
) -> (Option<String>, Operator) {
    let mut keys = Keys::new(node.fields, Some(id), problems);
    let relationship = keys.text("Parent Relationship");
    let mut operator = Operator::default();
    lower_identity(&mut operator, &mut keys);
    lower_conditions(&mut operator, &mut keys);
    lower_execution(&mut operator, &mut keys);
    if operator.kind == OperatorKind::Unknown {
        let node_type = operator.node_type.clone();
        keys.problems.push(Problem::UnknownNodeType { operator: id, node_type });
    }
    operator.other = lower_kept(&mut keys);
    (relationship, operator)
}

/// Returns the keys without a field, each value in the type that it has in JSON.
fn lower_kept(keys: &mut Keys) -> BTreeMap<String, Value> {
    let mut kept = BTreeMap::new();
    for (key, kind) in KEPT_KEYS {
        let Some(value) = keys.fields.remove(*key) else { continue };
        let typed = match kind {
            Kept::Number => value.as_str().and_then(|text| serde_json::from_str(text.trim()).ok()),
            Kept::Flag => flag(&value).map(Value::Bool),
            Kept::Text | Kept::Any => None,
        };
        kept.insert((*key).to_owned(), typed.unwrap_or(value));
    }
    kept.extend(keys.rest());
    kept
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

fn lower_identity(operator: &mut Operator, keys: &mut Keys) {
    operator.node_type = keys.text("Node Type").unwrap_or_default();
    operator.kind = OperatorKind::from_name(&operator.node_type);
    operator.relation = keys.text("Relation Name");
    operator.schema = keys.text("Schema");
    operator.alias = keys.text("Alias");
    operator.index_name = keys.text("Index Name");
    operator.cte_name = keys.text("CTE Name");
    operator.function_name = keys.text("Function Name");
    operator.subplan_name = keys.text("Subplan Name");
    operator.join_type = keys.text("Join Type");
    operator.strategy = keys.text("Strategy");
    operator.partial_mode = keys.text("Partial Mode");
    operator.command = keys.text("Operation").or_else(|| keys.text("Command"));
    operator.scan_direction = keys.text("Scan Direction");
    operator.parallel_aware = keys.flag("Parallel Aware").unwrap_or(false);
    operator.inner_unique = keys.flag("Inner Unique");
    operator.startup_cost = keys.number("Startup Cost").unwrap_or(0.0);
    operator.total_cost = keys.number("Total Cost").unwrap_or(0.0);
    operator.rows = keys.number("Plan Rows").unwrap_or(0.0);
    operator.width = keys.number("Plan Width").unwrap_or(0.0) as u32;
}

fn lower_conditions(operator: &mut Operator, keys: &mut Keys) {
    operator.filter = keys.text("Filter");
    operator.index_cond = keys.text("Index Cond");
    operator.recheck_cond = keys.text("Recheck Cond");
    operator.hash_cond = keys.text("Hash Cond");
    operator.merge_cond = keys.text("Merge Cond");
    operator.join_filter = keys.text("Join Filter");
    operator.tid_cond = keys.text("TID Cond");
    operator.order_by = keys.text("Order By");
    operator.one_time_filter = keys.text("One-Time Filter");
    operator.sort_key = keys.texts("Sort Key");
    operator.presorted_key = keys.texts("Presorted Key");
    operator.group_key = keys.texts("Group Key");
    operator.output = keys.texts("Output");
}

fn lower_execution(operator: &mut Operator, keys: &mut Keys) {
    operator.actual = lower_actual(keys);
    operator.workers_planned = keys.count("Workers Planned");
    operator.workers_launched = keys.count("Workers Launched");
    operator.rows_removed_by_filter = keys.number("Rows Removed by Filter");
    operator.rows_removed_by_join_filter = keys.number("Rows Removed by Join Filter");
    operator.rows_removed_by_index_recheck = keys.number("Rows Removed by Index Recheck");
    operator.heap_fetches = keys.count("Heap Fetches");
    operator.exact_heap_blocks = keys.count("Exact Heap Blocks");
    operator.lossy_heap_blocks = keys.count("Lossy Heap Blocks");
    operator.sort_method = keys.text("Sort Method");
    operator.sort_space_kb = keys.count("Sort Space Used");
    operator.sort_space_type = keys.text("Sort Space Type");
    operator.hash_batches = keys.count("Hash Batches");
    operator.original_hash_batches = keys.count("Original Hash Batches");
    operator.hashagg_batches = keys.count("HashAgg Batches");
    operator.peak_memory_kb = keys.count("Peak Memory Usage");
    operator.disk_usage_kb = keys.count("Disk Usage");
    operator.buffers = lower_buffers(keys);
    operator.wal = lower_wal(keys);
    for fields in keys.objects("Workers") {
        let mut keys = Keys::new(fields, keys.operator, keys.problems);
        operator.workers.push(Worker {
            number: keys.count("Worker Number").unwrap_or(0),
            actual: lower_actual(&mut keys),
            buffers: lower_buffers(&mut keys),
            other: std::mem::take(&mut keys.fields),
        });
    }
}

fn lower_actual(keys: &mut Keys) -> Option<Actual> {
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

fn lower_buffers(keys: &mut Keys) -> Option<Buffers> {
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

fn lower_wal(keys: &mut Keys) -> Option<Wal> {
    let before = keys.fields.len();
    let mut count = |key| keys.count(key).unwrap_or(0);
    let wal = Wal {
        records: count("WAL Records"),
        fpi: count("WAL FPI"),
        bytes: count("WAL Bytes"),
        buffers_full: count("WAL Buffers Full"),
    };
    (keys.fields.len() < before).then_some(wal)
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
            "operator 0: the value of `Total Cost` is not a number, kept as it is",
            "operator 0: unknown key `Flux`, kept as it is",
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
