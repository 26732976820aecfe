//! The graph of operators: a tree, with an edge more from each CTE to every scan that reads it.

use std::fmt;

use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::EdgeRef;
#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Operator;

/// How an operator serves the one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Link {
    /// Its first or only input.
    Outer,
    /// The second input of a join, set operation or recursive union.
    Inner,
    /// One of the many inputs of an Append, Merge Append, `BitmapAnd`, `BitmapOr`, `ModifyTable` or Custom Scan.
    Member,
    /// Run once at most, when its result is first asked for; CTEs too.
    InitPlan,
    /// Run again for every row that asks for it, or once into a hash table.
    SubPlan,
    /// The input of a Subquery Scan.
    Subquery,
    /// The top of a plan that another server ran for this operator: a task of a distributed query (Citus). Its costs and
    /// blocks are that server's, and not contained in those of the operator above, which waited while it ran.
    Remote,
    /// From the `InitPlan` of a CTE to a CTE Scan that reads it. Not an edge of the tree.
    Cte,
}

/// Names one operator of one plan: its place in the printed order, from 0 for the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct OperatorId(u32);

impl OperatorId {
    /// The root of every plan.
    pub const ROOT: Self = Self(0);

    /// Returns its place in the printed order, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Returns the id after it.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns its place in [`Plan::graph`](crate::Plan::graph).
    pub fn node(self) -> NodeIndex {
        NodeIndex::new(self.index())
    }
}

impl From<usize> for OperatorId {
    fn from(index: usize) -> Self {
        Self(u32::try_from(index).expect("four thousand million nodes do not fit into memory"))
    }
}

impl From<NodeIndex> for OperatorId {
    fn from(node: NodeIndex) -> Self {
        Self::from(node.index())
    }
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator {}", self.0)
    }
}

/// Operators in pre-order, so that an operator's descendants are the ids right after its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(StableDiGraph<Operator, Link>);

impl Tree {
    /// Adds the next operator in pre-order. The parent must be the operator added last or one above it.
    pub(crate) fn push(
        &mut self,
        parent: Option<(OperatorId, Link)>,
        operator: Operator,
    ) -> OperatorId {
        let node = self.0.add_node(operator);
        if let Some((parent, link)) = parent {
            self.0.add_edge(parent.node(), node, link);
        }
        node.into()
    }

    /// Adds the edge from a CTE to a scan that reads it.
    pub(crate) fn add_reader(&mut self, cte: OperatorId, scan: OperatorId) {
        self.0.add_edge(cte.node(), scan.node(), Link::Cte);
    }

    pub(crate) fn graph(&self) -> &StableDiGraph<Operator, Link> {
        &self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.node_count()
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = OperatorId> + use<> {
        (0..self.len()).map(OperatorId::from)
    }

    pub(crate) fn operator(&self, id: OperatorId) -> &Operator {
        &self.0[id.node()]
    }

    pub(crate) fn operators_mut(&mut self) -> impl Iterator<Item = &mut Operator> {
        self.0.node_weights_mut()
    }

    pub(crate) fn parent(&self, id: OperatorId) -> Option<(OperatorId, Link)> {
        let mut edges = self.0.edges_directed(id.node(), Direction::Incoming);
        edges
            .find(|edge| *edge.weight() != Link::Cte)
            .map(|edge| (edge.source().into(), *edge.weight()))
    }

    /// Returns the operators right below, in printed order.
    pub(crate) fn children(&self, id: OperatorId) -> Vec<(OperatorId, Link)> {
        let edges = self.0.edges(id.node()).filter(|edge| *edge.weight() != Link::Cte);
        let mut children: Vec<_> =
            edges.map(|edge| (edge.target().into(), *edge.weight())).collect();
        children.sort_unstable();
        children
    }

    /// Returns the CTE that a scan reads.
    pub(crate) fn cte(&self, scan: OperatorId) -> Option<OperatorId> {
        let mut edges = self.0.edges_directed(scan.node(), Direction::Incoming);
        edges.find(|edge| *edge.weight() == Link::Cte).map(|edge| edge.source().into())
    }

    /// Returns the scans that read a CTE, in printed order.
    pub(crate) fn readers(&self, cte: OperatorId) -> Vec<OperatorId> {
        let edges = self.0.edges(cte.node()).filter(|edge| *edge.weight() == Link::Cte);
        let mut readers: Vec<_> = edges.map(|edge| edge.target().into()).collect();
        readers.sort_unstable();
        readers
    }

    /// Returns everything below, in pre-order, without the operator itself.
    pub(crate) fn descendants(&self, id: OperatorId) -> impl Iterator<Item = OperatorId> {
        let after = (id.index() + 1..self.len()).map(OperatorId::from);
        after.take_while(move |next| self.parent(*next).is_some_and(|(parent, _)| parent >= id))
    }

    /// Returns for each operator the last id of its subtree.
    pub(crate) fn ends(&self) -> Vec<OperatorId> {
        let mut ends: Vec<_> = self.ids().collect();
        for id in self.ids().rev() {
            if let Some((parent, _)) = self.parent(id) {
                ends[parent.index()] = ends[parent.index()].max(ends[id.index()]);
            }
        }
        ends
    }

    fn entries(&self) -> impl Iterator<Item = Entry<&Operator>> {
        self.ids().map(|id| {
            let (parent, link) = self.parent(id).unzip();
            Entry { parent, link, reads: self.cte(id), operator: self.operator(id) }
        })
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.entries().eq(other.entries())
    }
}

/// One operator as it is serialized: the tree is a flat list, so that depth costs no stack on the way back either.
#[derive(PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
struct Entry<O> {
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    parent: Option<OperatorId>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    link: Option<Link>,
    /// The CTE that a scan reads.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    reads: Option<OperatorId>,
    operator: O,
}

#[cfg(feature = "serde")]
impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.entries())
    }
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<Entry<Operator>>::deserialize(deserializer)?;
        let count = entries.len();
        let mut tree = Self::default();
        let mut open: Vec<OperatorId> = Vec::new();
        let mut reads = Vec::new();
        for entry in entries {
            let id = OperatorId::from(tree.len());
            while open.last().is_some_and(|last| Some(*last) != entry.parent) {
                open.pop();
            }
            let parent = match (entry.parent, entry.link) {
                (None, None) if id == OperatorId::ROOT => None,
                (Some(parent), Some(link)) if open.last() == Some(&parent) && link != Link::Cte => {
                    Some((parent, link))
                }
                _ => {
                    return Err(de::Error::custom(format!(
                        "{id} is not in the printed order of a plan"
                    )));
                }
            };
            tree.push(parent, entry.operator);
            open.push(id);
            reads.extend(entry.reads.map(|cte| (cte, id)));
        }
        if count == 0 {
            return Err(de::Error::custom("a plan has one operator at least"));
        }
        for (cte, scan) in reads {
            if cte.index() >= count || cte == scan {
                return Err(de::Error::custom(format!("{scan} reads {cte}, which is not there")));
            }
            tree.add_reader(cte, scan);
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Plan;
    use crate::testing::{id, node, plan};

    fn sample() -> Plan {
        let cte = node(
            "Seq Scan",
            "InitPlan",
            json!({"Subplan Name": "CTE x", "Relation Name": "a"}),
            &[],
        );
        let scan = node("CTE Scan", "Outer", json!({"CTE Name": "x"}), &[]);
        let hash = node(
            "Hash",
            "Inner",
            json!({}),
            &[node("Seq Scan", "Outer", json!({"Relation Name": "b"}), &[])],
        );
        plan(&node("Hash Join", "Outer", json!({"Total Cost": 12.34}), &[cte, scan, hash]))
    }

    #[test]
    fn the_tree_is_walked_in_printed_order_and_ctes_are_no_children() {
        let plan = sample();
        assert_eq!(plan.operators().map(|(id, _)| id.index()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(
            plan.children(id(0)),
            [(id(1), Link::InitPlan), (id(2), Link::Outer), (id(3), Link::Inner)]
        );
        assert_eq!(plan.children(id(1)), []);
        assert_eq!((plan.parent(id(2)), plan.parent(id(0))), (Some(id(0)), None));
        assert_eq!(
            (plan.outer(id(0)), plan.inner(id(0)), plan.inner(id(3))),
            (Some(id(2)), Some(id(3)), None)
        );
        assert_eq!(plan.descendants(id(3)).collect::<Vec<_>>(), [id(4)]);
        assert_eq!(plan.descendants(id(0)).count(), 4);
        assert_eq!((plan.cte(id(2)), plan.readers(id(1))), (Some(id(1)), vec![id(2)]));
        assert_eq!((plan.graph().node_count(), plan.graph().edge_count()), (5, 5));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let plan = sample();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let written = serde_json::to_value(sample()).unwrap();
        let refused = |change: &dyn Fn(&mut Vec<Value>)| {
            let mut changed = written.clone();
            change(changed["operators"].as_array_mut().unwrap());
            serde_json::from_value::<Plan>(changed).unwrap_err().to_string()
        };
        assert_eq!(refused(&|operators| operators.clear()), "a plan has one operator at least");
        assert_eq!(
            refused(&|operators| operators[4]["parent"] = json!(2)),
            "operator 4 is not in the printed order of a plan"
        );
        assert_eq!(
            refused(&|operators| operators[4]["parent"] = json!(9)),
            "operator 4 is not in the printed order of a plan"
        );
        assert_eq!(
            refused(&|operators| operators[0]["parent"] = json!(0)),
            "operator 0 is not in the printed order of a plan"
        );
        assert_eq!(
            refused(&|operators| operators[4]["link"] = json!("cte")),
            "operator 4 is not in the printed order of a plan"
        );
        assert_eq!(
            refused(&|operators| operators[2]["reads"] = json!(9)),
            "operator 2 reads operator 9, which is not there"
        );
    }
}
