//! What changed between two plans of one statement.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "serde")]
use serde::Serialize;

use crate::display::label;
use crate::{Link, Metrics, Operator, OperatorId, OperatorKind, Plan};

/// Estimates are told as changed from so many times on; below, ANALYZE took another sample.
const ESTIMATE_CHANGE: f64 = 2.0;

/// What changed from an old plan to a new one.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct Diff {
    /// Whether both do the same work in the same order; then only figures changed.
    pub same_shape: bool,
    /// The statement as a whole, before and after.
    pub total: Change<Figures>,
    /// Tables that are read in another way, such as by an index instead of a sequential scan.
    pub scans: Vec<ScanChange>,
    /// Tables joined by another method.
    pub joins: Vec<JoinChange>,
    /// The order in which tables are joined, where it changed: aliases, each followed by those joined to it later.
    pub join_order: Option<Change<Vec<String>>>,
    /// Every operator of either plan that has no partner in the other, or whose figures changed; those first whose
    /// time (or cost) changed most.
    pub operators: Vec<OperatorChange>,
}

/// Something before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct Change<T> {
    /// In the old plan.
    pub old: T,
    /// In the new plan.
    pub new: T,
}

/// A table that is read in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct ScanChange {
    /// The table's name within the statement.
    pub alias: String,
    /// How it is read, such as `Index Scan using orders_pkey on orders`.
    pub scan: Change<String>,
}

/// Tables that are joined by another method.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct JoinChange {
    /// The names of all tables below the join.
    pub aliases: BTreeSet<String>,
    /// The method, such as `Hash Left Join`.
    pub join: Change<String>,
}

/// An operator before and after.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct OperatorChange {
    /// What it is; in both plans where only its figures changed.
    pub operator: Change<Option<OperatorId>>,
    /// Its name; the new one where it is in both plans.
    pub name: String,
    /// Its figures, none where it is not in that plan.
    pub figures: Change<Option<Figures>>,
}

/// What is compared of an operator, or of a statement as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct Figures {
    /// Planner's cost, without what is below it; none with COSTS OFF.
    pub cost: Option<f64>,
    /// Estimated rows per loop; none with COSTS OFF.
    pub estimated_rows: Option<f64>,
    /// Rows per loop.
    pub rows: Option<f64>,
    /// Times it ran.
    pub loops: Option<f64>,
    /// Milliseconds on the clock, without what is below it; of the statement, of its execution.
    pub ms: Option<f64>,
    /// Shared and local blocks found or read, without what is below it.
    pub blocks: Option<u64>,
    /// Blocks read from outside the buffers, without what is below it.
    pub blocks_read: Option<u64>,
    /// Blocks of temporary files written, without what is below it: their size.
    pub temp_blocks: Option<u64>,
}

/// Returns what changed between two plans of one statement.
///
/// Operators of both plans are the same if they do the same to the same tables: scans are told by the table's name within
/// the statement, joins by the tables below, others by their kind and the tables below.
///
/// ```
/// let plan = |scan| format!(r#"[{{"Plan": {{"Node Type": "{scan}", "Relation Name": "orders", "Alias": "o"}}}}]"#);
/// let old = planparse::read(plan("Seq Scan"))?;
/// let new = planparse::read(plan("Index Scan"))?;
/// let diff = planparse::diff(&old.plans[0].plan, &new.plans[0].plan);
/// assert_eq!(diff.scans[0].alias, "o");
/// assert_eq!(diff.scans[0].scan.new, "Index Scan on orders o");
/// # Ok::<(), planparse::ParseError>(())
/// ```
pub fn diff(old: &Plan, new: &Plan) -> Diff {
    let (old, new) = (Side::of(old), Side::of(new));
    let pairs = pair(&old, &new);
    let join_order = Change { old: old.join_order(), new: new.join_order() };
    Diff {
        same_shape: old.plan.shape() == new.plan.shape(),
        total: Change { old: old.total(), new: new.total() },
        scans: scans(&old, &new),
        joins: joins(&old, &new),
        join_order: Some(join_order).filter(|order| order.old != order.new),
        operators: operators(&old, &new, &pairs),
    }
}

/// One of both plans, with what is looked up in it.
struct Side<'a> {
    plan: &'a Plan,
    metrics: Vec<Metrics>,
    /// A fingerprint of the tables at and below each operator; lists of their names would grow with the square of a deep plan.
    tables: Vec<u64>,
    /// Whether estimates were printed.
    estimated: bool,
}

impl<'a> Side<'a> {
    fn of(plan: &'a Plan) -> Self {
        let mut tables: Vec<u64> =
            plan.operators().map(|(_, operator)| alias(operator).map_or(0, fingerprint)).collect();
        for place in (1..tables.len()).rev() {
            if let Some(parent) = plan.parent(OperatorId::from(place)) {
                tables[parent.index()] = tables[parent.index()].wrapping_add(tables[place]);
            }
        }
        let estimated = plan.has_costs();
        Self { plan, metrics: plan.metrics().into_values().collect(), tables, estimated }
    }

    fn name(&self, id: OperatorId) -> String {
        label(self.plan.operator(id), self.plan.link(id))
    }

    fn names(&self, ids: &[OperatorId]) -> String {
        let names: Vec<String> = ids.iter().map(|id| self.name(*id)).collect();
        names.join(" and ")
    }

    /// The names of the tables at and below an operator.
    fn aliases_below(&self, id: OperatorId) -> BTreeSet<String> {
        let below = std::iter::once(id).chain(self.plan.descendants(id));
        below.filter_map(|id| alias(self.plan.operator(id)).map(str::to_owned)).collect()
    }

    fn figures(&self, id: OperatorId) -> Figures {
        let (operator, metrics) = (self.plan.operator(id), &self.metrics[id.index()]);
        let buffers = metrics.exclusive_buffers;
        Figures {
            cost: self.estimated.then_some(metrics.exclusive_cost),
            estimated_rows: self.estimated.then_some(operator.rows),
            rows: operator.actual.map(|actual| actual.rows),
            loops: operator.actual.map(|actual| actual.loops),
            ms: metrics.exclusive_ms,
            blocks: buffers.map(|buffers| buffers.touched()),
            blocks_read: buffers.map(|buffers| buffers.read()),
            temp_blocks: buffers.map(|buffers| buffers.temp_written),
        }
    }

    fn total(&self) -> Figures {
        let root = self.plan.operator(self.plan.root());
        let buffers = self.plan.buffers();
        Figures {
            cost: self.estimated.then(|| self.plan.total_cost()),
            estimated_rows: self.estimated.then(|| self.plan.rows()),
            rows: root.actual.map(|actual| actual.rows),
            loops: root.actual.map(|actual| actual.loops),
            ms: self.plan.execution_ms.or_else(|| self.plan.operators_ms()),
            blocks: buffers.map(|buffers| buffers.touched()),
            blocks_read: buffers.map(|buffers| buffers.read()),
            temp_blocks: buffers.map(|buffers| buffers.temp_written),
        }
    }

    /// The tables in the order in which they are joined: those of the outer side first.
    fn join_order(&self) -> Vec<String> {
        let reads =
            |(_, operator): (_, &'a Operator)| alias(operator).filter(|_| is_scan(operator));
        self.plan.operators().filter_map(reads).map(str::to_owned).collect()
    }

    /// The scans of each table: one, mostly.
    fn scans(&self) -> BTreeMap<&'a str, Vec<OperatorId>> {
        let mut scans: BTreeMap<&str, Vec<OperatorId>> = BTreeMap::new();
        for (id, operator) in self.plan.operators() {
            if let Some(alias) = alias(operator).filter(|_| is_scan(operator)) {
                scans.entry(alias).or_default().push(id);
            }
        }
        scans
    }

    /// The joins by the tables that they bring together.
    fn joins(&self) -> BTreeMap<u64, Vec<OperatorId>> {
        let mut joins: BTreeMap<_, Vec<OperatorId>> = BTreeMap::new();
        for (id, operator) in self.plan.operators() {
            if operator.kind.is_join() {
                joins.entry(self.tables[id.index()]).or_default().push(id);
            }
        }
        joins
    }
}

/// FNV-1a of a name, and a mix of its bits (`splitmix64`), so that sums of several tell sets of tables apart.
fn fingerprint(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The name within the statement of what an operator reads.
fn alias(operator: &Operator) -> Option<&str> {
    operator.alias.as_deref().or(operator.relation.as_deref())
}

/// Whether it reads a table or the like, as opposed to writing one.
fn is_scan(operator: &Operator) -> bool {
    operator.kind != OperatorKind::ModifyTable && operator.kind != OperatorKind::SubqueryScan
}

fn scans(old: &Side<'_>, new: &Side<'_>) -> Vec<ScanChange> {
    let (before, after) = (old.scans(), new.scans());
    let changed = |(alias, ids): (&&str, &Vec<OperatorId>)| {
        let scan = Change { old: old.names(ids), new: new.names(after.get(alias)?) };
        (scan.old != scan.new).then(|| ScanChange { alias: (*alias).to_owned(), scan })
    };
    before.iter().filter_map(changed).collect()
}

fn joins(old: &Side<'_>, new: &Side<'_>) -> Vec<JoinChange> {
    let after = new.joins();
    let mut changes: Vec<JoinChange> = Vec::new();
    for (tables, ids) in old.joins() {
        let Some(others) = after.get(&tables) else { continue };
        let join = Change { old: old.names(&ids), new: new.names(others) };
        if join.old != join.new {
            let aliases = ids.first().map(|id| old.aliases_below(*id)).unwrap_or_default();
            changes.push(JoinChange { aliases, join });
        }
    }
    changes.sort_by(|a, b| a.aliases.cmp(&b.aliases));
    changes
}

/// The partner of each old operator. In both plans partners stand in the same order where keys are equal.
fn pair(old: &Side<'_>, new: &Side<'_>) -> BTreeMap<OperatorId, OperatorId> {
    let mut pairs = BTreeMap::new();
    let mut taken = BTreeSet::new();
    // From the strictest likeness to the loosest.
    for strictness in [Likeness::Same, Likeness::SameWork, Likeness::SameScan] {
        let mut free: BTreeMap<Key, Vec<OperatorId>> = BTreeMap::new();
        for (id, _) in new.plan.operators().filter(|(id, _)| !taken.contains(id)) {
            if let Some(key) = key(new, id, strictness) {
                free.entry(key).or_default().push(id);
            }
        }
        for list in free.values_mut() {
            list.reverse();
        }
        for (id, _) in old.plan.operators() {
            if pairs.contains_key(&id) {
                continue;
            }
            let partner = key(old, id, strictness).and_then(|key| free.get_mut(&key)?.pop());
            if let Some(partner) = partner {
                pairs.insert(id, partner);
                taken.insert(partner);
            }
        }
    }
    pairs
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// Everything but figures.
    Same,
    /// The same kind on the same tables.
    SameWork,
    /// A scan of the same table, or a join of the same tables.
    SameScan,
}

type Key = (String, u64, Option<Link>);

fn key(side: &Side<'_>, id: OperatorId, likeness: Likeness) -> Option<Key> {
    let operator = side.plan.operator(id);
    let tables = side.tables[id.index()];
    let name = match likeness {
        Likeness::Same => return Some((side.name(id), tables, side.plan.link(id))),
        Likeness::SameWork => operator.node_type.clone(),
        Likeness::SameScan if operator.kind.is_join() => "join".to_owned(),
        Likeness::SameScan if alias(operator).is_some() && is_scan(operator) => "scan".to_owned(),
        Likeness::SameScan => return None,
    };
    Some((name, tables, None))
}

fn operators(
    old: &Side<'_>,
    new: &Side<'_>,
    pairs: &BTreeMap<OperatorId, OperatorId>,
) -> Vec<OperatorChange> {
    let mut changes = Vec::new();
    for (id, _) in old.plan.operators() {
        let before = old.figures(id);
        let Some(partner) = pairs.get(&id).copied() else {
            let operator = Change { old: Some(id), new: None };
            let figures = Change { old: Some(before), new: None };
            changes.push(OperatorChange { operator, name: old.name(id), figures });
            continue;
        };
        let after = new.figures(partner);
        if before != after || old.name(id) != new.name(partner) {
            let operator = Change { old: Some(id), new: Some(partner) };
            let figures = Change { old: Some(before), new: Some(after) };
            changes.push(OperatorChange { operator, name: new.name(partner), figures });
        }
    }
    let partners: BTreeSet<_> = pairs.values().copied().collect();
    for (id, _) in new.plan.operators().filter(|(id, _)| !partners.contains(id)) {
        let operator = Change { old: None, new: Some(id) };
        let figures = Change { old: None, new: Some(new.figures(id)) };
        changes.push(OperatorChange { operator, name: new.name(id), figures });
    }
    let timed = [old, new].iter().all(|side| side.metrics[0].exclusive_ms.is_some());
    changes.sort_by(|a, b| b.weight(timed).total_cmp(&a.weight(timed)));
    changes
}

impl OperatorChange {
    /// By how much its time, or its cost where one of both plans has no times, changed.
    fn weight(&self, timed: bool) -> f64 {
        let figure = |figures: Option<Figures>| {
            figures.and_then(|it| if timed { it.ms } else { it.cost }).unwrap_or(0.0)
        };
        (figure(self.figures.new) - figure(self.figures.old)).abs()
    }

    /// Tells whether the planner expects another number of rows, twice as many or half as many at least.
    pub fn estimate_changed(&self) -> bool {
        let rows = |figures: Option<Figures>| Some(figures?.estimated_rows?.max(1.0));
        let both = rows(self.figures.old).zip(rows(self.figures.new));
        both.is_some_and(|(old, new)| old.max(new) >= ESTIMATE_CHANGE * old.min(new))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{node, plan, ran, with};

    fn scan(kind: &str, link: &str, alias: &str, ms: f64) -> Value {
        let index = (kind == "Index Scan").then(|| format!("{alias}_idx"));
        let keys =
            json!({"Relation Name": alias, "Alias": alias, "Plan Rows": 100, "Total Cost": ms});
        let keys =
            if let Some(index) = index { with(keys, json!({"Index Name": index})) } else { keys };
        node(kind, link, with(ran(ms, 10.0, 1.0), keys), &[])
    }

    fn join(kind: &str, ms: f64, outer: Value, inner: Value) -> Value {
        let keys = json!({"Join Type": "Inner", "Plan Rows": 10, "Total Cost": ms});
        node(kind, "Outer", with(ran(ms, 10.0, 1.0), keys), &[outer, inner])
    }

    #[test]
    fn another_scan_join_and_order_are_told() {
        let hash =
            node("Hash", "Inner", ran(41.0, 10.0, 1.0), &[scan("Seq Scan", "Outer", "b", 40.0)]);
        let old = plan(&join("Hash Join", 100.0, scan("Seq Scan", "Outer", "a", 50.0), hash));
        let inner = scan("Index Scan", "Inner", "a", 2.0);
        let new = plan(&join("Nested Loop", 45.0, scan("Seq Scan", "Outer", "b", 40.0), inner));
        let diff = diff(&old, &new);
        assert!(!diff.same_shape);
        assert_eq!((diff.total.old.ms, diff.total.new.ms), (Some(100.0), Some(45.0)));
        assert_eq!(diff.scans.len(), 1);
        assert_eq!(diff.scans[0].scan.old, "Seq Scan on a");
        assert_eq!(diff.scans[0].scan.new, "Index Scan using a_idx on a");
        assert_eq!(
            diff.joins[0].join,
            Change { old: "Hash Join".to_owned(), new: "Nested Loop".to_owned() }
        );
        let order = diff.join_order.unwrap();
        assert_eq!(
            (order.old, order.new),
            (vec!["a".to_owned(), "b".to_owned()], vec!["b".to_owned(), "a".to_owned()])
        );
        let told: Vec<_> = diff.operators.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(told[..3], ["Index Scan using a_idx on a", "Nested Loop", "Hash"]);
        assert_eq!(diff.operators[2].operator.new, None);
    }

    #[test]
    fn a_plan_equals_itself() {
        let one = plan(&join(
            "Hash Join",
            9.0,
            scan("Seq Scan", "Outer", "a", 3.0),
            scan("Seq Scan", "Inner", "b", 4.0),
        ));
        let diff = diff(&one, &one);
        assert!(
            diff.same_shape
                && diff.operators.is_empty()
                && diff.scans.is_empty()
                && diff.joins.is_empty()
        );
        assert_eq!(diff.join_order, None);
    }

    #[test]
    fn without_costs_nothing_is_said_of_estimates() {
        let of = |keys: Value| plan(&node("Seq Scan", "Outer", keys, &[]));
        let without = of(with(ran(5.0, 10.0, 1.0), json!({"Alias": "t"})));
        let estimated = json!({"Alias": "t", "Plan Rows": 500, "Total Cost": 9.0});
        let change = &diff(&without, &of(with(ran(5.0, 10.0, 1.0), estimated))).operators[0];
        assert!(!change.estimate_changed());
        let old = change.figures.old.unwrap();
        assert_eq!((old.cost, old.estimated_rows), (None, None));
    }

    #[test]
    fn estimates_that_moved_are_told_apart_from_noise() {
        let of = |rows: u64| {
            plan(&node("Seq Scan", "Outer", json!({"Alias": "t", "Plan Rows": rows}), &[]))
        };
        assert!(diff(&of(100), &of(500)).operators[0].estimate_changed());
        assert!(!diff(&of(100), &of(120)).operators[0].estimate_changed());
    }
}
