//! The nodes that were read so far, and which of them are open.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::raw::{Fields, MAX_NODES, RawNode};
use crate::text::{detail, footer, header};

/// Something below which further lines may stand.
struct Open {
    /// Where its arrow or text begins; what hangs below begins further right.
    column: usize,
    kind: Kind,
}

enum Kind {
    /// A node, by its index.
    Node(usize),
    /// `InitPlan 1 (returns $0)`: the next node is its top.
    Label(String),
    /// A part of a distributed query, by its index in [`Nodes::parts`].
    Part(usize),
    /// A worker of a node, by its number.
    Worker { node: usize, number: u64 },
}

/// A task or subplan of Citus: it has lines of its own and a plan below, and is no node.
struct Part {
    node: usize,
    list: &'static str,
    name: String,
    fields: Map<String, Value>,
}

#[derive(Default)]
pub(super) struct Nodes {
    list: Vec<RawNode<'static>>,
    workers: Vec<BTreeMap<u64, Fields<'static>>>,
    open: Vec<Open>,
    parts: Vec<Part>,
}

impl Nodes {
    /// Adds the node on a line, given without its arrow.
    pub(super) fn node(&mut self, column: usize, text: &str) {
        self.close(column);
        if self.part(column, text) || self.list.len() > MAX_NODES {
            return;
        }
        let parent = self.open.iter().rev().find_map(|open| match open.kind {
            Kind::Node(index) => Some(index),
            _ => None,
        });
        let mut fields = header::read(text).fields;
        for open in self.open.iter().rev() {
            match &open.kind {
                Kind::Label(name) => {
                    let link = if name.starts_with("SubPlan") { "SubPlan" } else { "InitPlan" };
                    fields.push(("Parent Relationship".into(), link.into()));
                    fields.push(("Subplan Name".into(), name.clone().into()));
                }
                Kind::Part(part) => {
                    fields.push(("Parent Relationship".into(), "Remote".into()));
                    let name = &self.parts[*part].name;
                    if !name.is_empty() {
                        fields.push(("Subplan Name".into(), name.clone().into()));
                    }
                }
                Kind::Worker { .. } => continue,
                Kind::Node(_) => {}
            }
            break;
        }
        self.open.push(Open { column, kind: Kind::Node(self.list.len()) });
        self.list.push(RawNode { parent, fields });
        self.workers.push(BTreeMap::new());
    }

    fn part(&mut self, column: usize, text: &str) -> bool {
        let (list, name) = match text.strip_prefix("Distributed Subplan ") {
            Some(_) => ("Subplans", text),
            None if text == "Task" => ("Tasks", ""),
            None => return false,
        };
        let Some(node) = self.innermost_node() else { return false };
        self.open.push(Open { column, kind: Kind::Part(self.parts.len()) });
        self.parts.push(Part { node, list, name: name.to_owned(), fields: Map::new() });
        true
    }

    /// Opens `InitPlan 1`, `SubPlan 1` or `CTE x`.
    pub(super) fn label(&mut self, column: usize, text: &str) {
        self.close(column);
        self.open.push(Open { column, kind: Kind::Label(text.to_owned()) });
    }

    /// Takes in what stands below a worker or a part of a distributed query, though it looks like a line of the
    /// statement as a whole.
    pub(super) fn nested(&mut self, column: usize, text: &str) -> bool {
        let inside = self.open.iter().rposition(|open| {
            open.column < column && matches!(open.kind, Kind::Part(_) | Kind::Worker { .. })
        });
        let Some(inside) = inside else { return false };
        let mut fields = Fields::new();
        if let Kind::Worker { node, number } = self.open[inside].kind {
            let Some((key, value)) = detail::split(text) else { return false };
            let jit = matches!(key, "JIT" | "Functions" | "Options" | "Timing");
            if jit && !(key == "JIT" && value.is_empty()) {
                let worker = self.workers[node].entry(number).or_default();
                footer::Group::Jit.read(key, value, worker);
            }
            return jit;
        }
        let Kind::Part(part) = self.open[inside].kind else { return false };
        if footer::read(text, &mut fields).is_none() {
            return false;
        }
        self.parts[part]
            .fields
            .extend(fields.into_iter().map(|(key, value)| (key.into_owned(), value)));
        true
    }

    /// Adds a line below a node.
    pub(super) fn detail(&mut self, column: usize, text: &str) {
        self.close(column);
        let Some(node) = self.innermost_node() else { return };
        let Some((key, value)) = detail::split(text) else {
            match header::modified(text) {
                Some((_, target)) => self.target(node, target),
                None => self.list[node].fields.push((text.to_owned().into(), true.into())),
            }
            return;
        };
        if let Some(number) = key.strip_prefix("Worker ").and_then(|number| number.parse().ok()) {
            self.worker(node, number, column, value);
            return;
        }
        match self.open.last().map(|open| &open.kind) {
            Some(Kind::Worker { node, number }) => {
                detail::read(key, value, self.workers[*node].entry(*number).or_default());
            }
            Some(Kind::Part(part)) => {
                self.parts[*part].fields.insert(key.to_owned(), value.into());
            }
            _ => detail::read(key, value, &mut self.list[node].fields),
        }
    }

    /// `Update on child c`: a further table that a `ModifyTable` changes.
    fn target(&mut self, node: usize, target: &str) {
        let fields = header::read(&format!("Update on {target}")).fields;
        let named = fields.into_iter().filter(|(key, _)| key != "Node Type" && key != "Operation");
        let target = Value::Object(named.map(|(key, value)| (key.into_owned(), value)).collect());
        let fields = &mut self.list[node].fields;
        match fields.iter_mut().find(|(key, _)| key == "Target Tables") {
            Some((_, Value::Array(targets))) => targets.push(target),
            _ => fields.push(("Target Tables".into(), json!([target]))),
        }
    }

    /// `Worker 0:  actual time=0.1..0.2 rows=3 loops=1`, or `Worker 0:  Sort Method: quicksort  Memory: 25kB`.
    fn worker(&mut self, node: usize, number: u64, column: usize, value: &str) {
        let fields = self.workers[node].entry(number).or_default();
        if let Some(actual) = value.strip_prefix("actual ") {
            header::read_actual(actual, fields);
        } else if let Some((key, value)) = detail::split(value) {
            detail::read(key, value, fields);
        }
        self.open.push(Open { column, kind: Kind::Worker { node, number } });
    }

    fn innermost_node(&self) -> Option<usize> {
        self.open.iter().rev().find_map(|open| match open.kind {
            Kind::Node(index) => Some(index),
            _ => None,
        })
    }

    /// Closes what does not reach as far as this column; the root stays open.
    fn close(&mut self, column: usize) {
        while self.open.len() > 1 && self.open.last().is_some_and(|open| open.column >= column) {
            self.open.pop();
        }
    }

    pub(super) fn finish(mut self) -> Vec<RawNode<'static>> {
        let timed = |node: &RawNode<'_>| node.has("Actual Total Time");
        if self.list.iter().any(timed) {
            for node in self.list.iter_mut().filter(|node| node.has("Actual Loops")) {
                if !node.has("Actual Total Time") {
                    node.fields.push(("Actual Startup Time".into(), 0.into()));
                    node.fields.push(("Actual Total Time".into(), 0.into()));
                }
            }
        }
        for (node, workers) in self.list.iter_mut().zip(self.workers) {
            group_sets(&mut node.fields);
            if workers.is_empty() {
                continue;
            }
            let workers = workers.into_iter().map(|(number, fields)| {
                let mut worker = Map::from_iter([("Worker Number".to_owned(), number.into())]);
                worker.extend(fields.into_iter().map(|(key, value)| (key.into_owned(), value)));
                Value::Object(worker)
            });
            node.fields.push(("Workers".into(), Value::Array(workers.collect())));
        }
        distribute(&mut self.list, self.parts);
        self.list
    }
}

/// Hangs the parts of distributed queries at their nodes, as Citus does in JSON.
fn distribute(nodes: &mut [RawNode<'static>], parts: Vec<Part>) {
    for part in parts {
        let fields = &mut nodes[part.node].fields;
        let at =
            fields.iter().position(|(key, _)| key == "Distributed Query").unwrap_or_else(|| {
                let mut job = Map::new();
                fields.retain_mut(|(key, value)| {
                    let moves = matches!(
                        key.as_ref(),
                        "Task Count" | "Tasks Shown" | "Tuple data received from nodes"
                    );
                    if moves {
                        job.insert(key.to_string(), value.take());
                    }
                    !moves
                });
                fields.push(("Distributed Query".into(), json!({"Job": job})));
                fields.len() - 1
            });
        let query = &mut fields[at].1;
        let holder = if part.list == "Tasks" { &mut query["Job"] } else { query };
        if holder[part.list].is_null() {
            holder[part.list] = json!([]);
        }
        if let Some(list) = holder[part.list].as_array_mut() {
            list.push(Value::Object(part.fields));
        }
    }
}

/// Brings the lines of grouping sets, of which there are several with the same key, into the one list of JSON.
fn group_sets(fields: &mut Fields<'static>) {
    let is_set = |key: &str| matches!(key, "Group Key" | "Hash Key");
    let sets = fields.iter().filter(|(key, _)| is_set(key)).count();
    let special = |(key, value): &(_, Value)| key == "Hash Key" || *value == json!(["()"]);
    if sets < 2 && !fields.iter().any(special) {
        return;
    }
    let mut phases: Vec<Value> = Vec::new();
    fields.retain_mut(|(key, value)| {
        match key.as_ref() {
            "Sort Key" => phases.push(json!({"Sort Key": value.take(), "Group Keys": []})),
            "Hash Key" => phases.push(json!({"Hash Keys": [value.take()]})),
            "Group Key" => {
                if phases.last().is_none_or(|phase| phase.get("Group Keys").is_none()) {
                    phases.push(json!({"Group Keys": []}));
                }
                let set = if *value == json!(["()"]) { json!([]) } else { value.take() };
                if let Some(Value::Array(sets)) =
                    phases.last_mut().and_then(|phase| phase.get_mut("Group Keys"))
                {
                    sets.push(set);
                }
            }
            _ => return true,
        }
        false
    });
    fields.push(("Grouping Sets".into(), Value::Array(phases)));
}
