//! One plan: the operators as a graph, and what stands beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use petgraph::stable_graph::StableDiGraph;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tree::Tree;
use crate::{Buffers, Link, Metrics, Operator, OperatorId};

/// What EXPLAIN printed for one statement. It has one operator at least, the root.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Plan {
    /// The operators, serialized as a flat list in printed order.
    #[cfg_attr(feature = "serde", serde(rename = "operators"))]
    pub(crate) tree: Tree,
    /// Milliseconds of planning.
    pub planning_ms: Option<f64>,
    /// Milliseconds of execution, triggers included.
    pub execution_ms: Option<f64>,
    /// Milliseconds of the whole statement, as the log gives them with a plan of `auto_explain`.
    pub duration_ms: Option<f64>,
    /// Planner settings that are not at their default; printed with SETTINGS.
    pub settings: BTreeMap<String, String>,
    /// The statement; printed by `auto_explain`.
    pub query_text: Option<String>,
    /// The identifier that `pg_stat_statements` gives the statement; printed with VERBOSE.
    pub query_identifier: Option<i64>,
    /// Triggers that were fired.
    pub triggers: Vec<Trigger>,
    /// Just-in-time compilation, where there was any.
    pub jit: Option<Jit>,
    /// Blocks touched in planning.
    pub planning_buffers: Option<Buffers>,
    /// Memory that planning used, in kilobytes; printed with MEMORY.
    pub planning_memory_used_kb: Option<u64>,
    /// Memory that planning allocated, in kilobytes; printed with MEMORY.
    pub planning_memory_allocated_kb: Option<u64>,
    /// What turning the result into text or binary cost; printed with SERIALIZE.
    pub serialization: Option<Serialization>,
    /// Every further key beside `Plan`, as printed.
    pub other: BTreeMap<String, Value>,
}

/// A trigger that was fired.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Trigger {
    /// Its name.
    pub name: Option<String>,
    /// The constraint that it enforces.
    pub constraint: Option<String>,
    /// The table.
    pub relation: Option<String>,
    /// Milliseconds, all calls together.
    pub total_ms: Option<f64>,
    /// Calls.
    pub calls: f64,
}

/// Just-in-time compilation.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Jit {
    /// Functions compiled.
    pub functions: u64,
    /// `Inlining`, `Optimization`, `Expressions`, `Deforming`: whether it was done.
    pub options: BTreeMap<String, bool>,
    /// Milliseconds by step, `Total` among them. Of a step with parts, the total.
    pub timing_ms: BTreeMap<String, f64>,
}

/// What turning the result into text or binary cost.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Serialization {
    /// Milliseconds.
    pub time_ms: Option<f64>,
    /// Kilobytes that would have been sent.
    pub output_kb: Option<u64>,
    /// `text` or `binary`.
    pub format: Option<String>,
    /// Blocks touched.
    pub buffers: Option<Buffers>,
}

/// A table as it stands in a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Relation {
    /// Its schema; printed with VERBOSE only.
    pub schema: Option<String>,
    /// Its name, without quotes.
    pub relation: String,
    /// Its name within the statement; the relation's own where none is printed.
    pub alias: String,
}

impl Plan {
    /// Returns the top operator.
    pub fn root(&self) -> OperatorId {
        OperatorId::ROOT
    }

    /// Returns an operator.
    ///
    /// # Panics
    /// Where `id` is of another plan that has more operators.
    pub fn operator(&self, id: OperatorId) -> &Operator {
        self.tree.operator(id)
    }

    /// Returns all operators in printed order: each before everything below it. Each comes once.
    pub fn operators(&self) -> impl Iterator<Item = (OperatorId, &Operator)> {
        self.tree.ids().map(|id| (id, self.operator(id)))
    }

    /// Returns the operators right below, in printed order.
    pub fn children(&self, id: OperatorId) -> Vec<(OperatorId, Link)> {
        self.tree.children(id)
    }

    /// Returns the operator right above.
    pub fn parent(&self, id: OperatorId) -> Option<OperatorId> {
        self.tree.parent(id).map(|(parent, _)| parent)
    }

    /// Returns how an operator serves the one above it; none for the root.
    pub fn link(&self, id: OperatorId) -> Option<Link> {
        self.tree.parent(id).map(|(_, link)| link)
    }

    /// Tells whether an operator is part of a plan that another server ran; its costs and blocks are not contained in
    /// those of this plan's root.
    pub fn is_remote(&self, id: OperatorId) -> bool {
        let mut way = std::iter::successors(Some(id), |id| self.parent(*id));
        way.any(|id| self.link(id) == Some(Link::Remote))
    }

    /// Returns the first or only input.
    pub fn outer(&self, id: OperatorId) -> Option<OperatorId> {
        self.child(id, Link::Outer)
    }

    /// Returns the second input.
    pub fn inner(&self, id: OperatorId) -> Option<OperatorId> {
        self.child(id, Link::Inner)
    }

    fn child(&self, id: OperatorId, wanted: Link) -> Option<OperatorId> {
        self.children(id).into_iter().find(|(_, link)| *link == wanted).map(|(child, _)| child)
    }

    /// Returns the `InitPlan` of the CTE that a CTE Scan reads.
    pub fn cte(&self, scan: OperatorId) -> Option<OperatorId> {
        self.tree.cte(scan)
    }

    /// Returns the CTE Scans that read a CTE, given by its `InitPlan`.
    pub fn readers(&self, cte: OperatorId) -> Vec<OperatorId> {
        self.tree.readers(cte)
    }

    /// Returns everything below an operator, in printed order, without the operator itself.
    pub fn descendants(&self, id: OperatorId) -> impl Iterator<Item = OperatorId> {
        self.tree.descendants(id)
    }

    /// Returns the planner's cost of the whole statement.
    pub fn total_cost(&self) -> f64 {
        self.operator(self.root()).total_cost
    }

    /// Returns the planner's cost until the first row.
    pub fn startup_cost(&self) -> f64 {
        self.operator(self.root()).startup_cost
    }

    /// Returns the rows that the planner expects of the whole statement.
    pub fn rows(&self) -> f64 {
        self.operator(self.root()).rows
    }

    /// Tells whether estimates were printed (COSTS OFF leaves them out).
    pub fn has_costs(&self) -> bool {
        self.operators().any(|(_, operator)| operator.total_cost > 0.0 || operator.rows > 0.0)
    }

    /// Tells whether the statement was run.
    pub fn executed(&self) -> bool {
        self.operator(self.root()).actual.is_some()
    }

    /// Returns the tables that an operator and everything below it read or write.
    pub fn relations_below(&self, id: OperatorId) -> BTreeSet<Relation> {
        let below = std::iter::once(id).chain(self.descendants(id)).map(|id| self.operator(id));
        let relation = |operator: &Operator| {
            let relation = operator.relation.clone()?;
            let alias = operator.alias.clone().unwrap_or_else(|| relation.clone());
            Some(Relation { schema: operator.schema.clone(), relation, alias })
        };
        below.filter_map(relation).collect()
    }

    /// Returns the names of all indexes that are read.
    pub fn indexes_used(&self) -> BTreeSet<String> {
        self.operators().filter_map(|(_, operator)| operator.index_name.clone()).collect()
    }

    /// Gives indexes other names, old name to new: those of another server, on which the same index is called otherwise.
    pub fn rename_indexes(&mut self, names: &BTreeMap<String, String>) {
        for index in self.tree.operators_mut().filter_map(|operator| operator.index_name.as_mut()) {
            if let Some(name) = names.get(index.as_str()) {
                index.clone_from(name);
            }
        }
    }

    /// Returns a signature of the plan's structure in one line: node types, join types, tables, indexes, join order,
    /// and no figures. Two plans with the same signature do the same work in the same order.
    pub fn shape(&self) -> String {
        let mut shape = String::new();
        let mut open: Vec<(OperatorId, usize)> = Vec::new();
        for (id, operator) in self.operators() {
            let parent = self.parent(id);
            while open.last().is_some_and(|(last, _)| Some(*last) != parent) {
                open.pop();
                shape.push(')');
            }
            if let Some((_, children)) = open.last_mut() {
                shape.push_str(if *children == 0 { "(" } else { ", " });
                *children += 1;
            }
            push_signature(&mut shape, operator, self.link(id));
            if self.children(id).is_empty() {
                continue;
            }
            open.push((id, 0));
        }
        shape.extend(open.iter().map(|_| ')'));
        shape
    }

    /// Returns what each operator contributes by itself.
    pub fn metrics(&self) -> BTreeMap<OperatorId, Metrics> {
        crate::metrics::metrics(self)
    }

    /// Returns the operators as a graph; the node indices are those of the [`OperatorId`]s.
    pub fn graph(&self) -> &StableDiGraph<Operator, Link> {
        self.tree.graph()
    }
}

fn push_signature(shape: &mut String, operator: &Operator, link: Option<Link>) {
    match link {
        Some(Link::InitPlan) => shape.push_str("InitPlan: "),
        Some(Link::SubPlan) => shape.push_str("SubPlan: "),
        _ => {}
    }
    if operator.parallel_aware {
        shape.push_str("Parallel ");
    }
    shape.push_str(&operator.node_type);
    let join_type = operator.join_type.as_deref().filter(|join| *join != "Inner");
    let backward = operator.scan_direction.as_deref().filter(|direction| *direction == "Backward");
    let simple = |word: &&str| !matches!(*word, "Plain" | "Simple");
    let strategy = operator.strategy.as_deref().filter(simple);
    let partial = operator.partial_mode.as_deref().filter(simple);
    let index = operator.index_name.as_deref().map(without_hypothetical_oid);
    let alias =
        operator.alias.as_deref().filter(|alias| Some(*alias) != operator.relation.as_deref());
    let words = [
        join_type,
        backward,
        strategy,
        partial,
        operator.command.as_deref(),
        index,
        operator.relation.as_deref(),
        operator.cte_name.as_deref(),
        operator.function_name.as_deref(),
        alias,
    ];
    for word in words.into_iter().flatten() {
        shape.push(' ');
        shape.push_str(word);
    }
}

/// `HypoPG` names an index `<12345>btree_table_column`; the number differs from run to run.
fn without_hypothetical_oid(name: &str) -> &str {
    let stripped = name.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match stripped {
        Some((oid, rest)) if !oid.is_empty() && oid.bytes().all(|byte| byte.is_ascii_digit()) => {
            rest
        }
        _ => name,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::display::tree(self))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{id, node, plan};

    fn table(node_type: &str, relationship: &str, relation: &str, further: Value) -> Value {
        node(
            node_type,
            relationship,
            crate::testing::with(json!({"Relation Name": relation, "Alias": relation}), further),
            &[],
        )
    }

    #[test]
    fn a_shape_has_structure_and_no_figures() {
        let index = json!({"Index Name": "<13543>btree_orders_id", "Total Cost": 3.5, "Scan Direction": "Backward"});
        let join = node(
            "Nested Loop",
            "Outer",
            json!({"Join Type": "Left", "Total Cost": 9.0}),
            &[
                table("Seq Scan", "Outer", "users", json!({"Alias": "u"})),
                table("Index Scan", "Inner", "orders", index),
            ],
        );
        let with_limit = plan(&node("Limit", "Outer", json!({}), &[join]));
        assert_eq!(
            with_limit.shape(),
            "Limit(Nested Loop Left(Seq Scan users u, Index Scan Backward btree_orders_id orders))"
        );
        assert_eq!(
            with_limit.indexes_used().into_iter().collect::<Vec<_>>(),
            ["<13543>btree_orders_id"]
        );
        let two = [
            table("Seq Scan", "Member", "a", json!({})),
            node("Sort", "Member", json!({}), &[table("Seq Scan", "Outer", "b", json!({}))]),
        ];
        assert_eq!(
            plan(&node("Append", "Outer", json!({}), &two)).shape(),
            "Append(Seq Scan a, Sort(Seq Scan b))"
        );
    }

    #[test]
    fn relations_below_an_operator() {
        let both = [
            table("Seq Scan", "Outer", "t", json!({"Schema": "s", "Alias": "t1"})),
            table("Seq Scan", "Inner", "t", json!({})),
        ];
        let plan = plan(&node("Nested Loop", "Outer", json!({}), &both));
        let relation = |schema: Option<&str>, alias: &str| Relation {
            schema: schema.map(str::to_owned),
            relation: "t".to_owned(),
            alias: alias.to_owned(),
        };
        assert_eq!(
            plan.relations_below(id(0)),
            BTreeSet::from([relation(Some("s"), "t1"), relation(None, "t")])
        );
        assert_eq!(plan.relations_below(id(2)), BTreeSet::from([relation(None, "t")]));
    }
}
