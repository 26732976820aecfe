//! Planner's costs as figures that can be shared out.

use crate::attribution::Entry;
use crate::mentions::Mentions;
use crate::{Link, OperatorId, OperatorKind, Plan};

/// The planner's default `cpu_operator_cost`; a Materialize charges it for each row that it returns again
/// (`cost_rescan()` in `costsize.c`).
const CPU_OPERATOR_COST: f64 = 0.0025;

/// The runs of the recursive term that the planner assumes (`cost_recursive_union()` in `costsize.c`).
const RECURSIVE_RUNS: f64 = 10.0;

/// Returns what each operator and everything below it cost, all runs of it together.
///
/// Costs are printed per run; what is contained in the parent's figure is all runs together. `InitPlan`s are charged
/// at the operator under which they are printed (`SS_charge_for_initplans()` in `subselect.c`).
pub(crate) fn entries(plan: &Plan) -> Vec<Entry> {
    let hashed = Mentions::of(plan, &["hashed SubPlan "]);
    let mut outer: Vec<Option<OperatorId>> = vec![None; plan.operators().count()];
    let mut runs: Vec<f64> = Vec::new();
    let mut entries = Vec::new();
    for (id, operator) in plan.operators() {
        let above = plan.parent(id).zip(plan.link(id));
        let per_run =
            above.map_or(1.0, |(parent, link)| match (plan.operator(parent).kind, link) {
                (OperatorKind::NestedLoop, Link::Inner) => {
                    outer[parent.index()].map_or(1.0, |outer| plan.operator(outer).rows.max(1.0))
                }
                (OperatorKind::RecursiveUnion, Link::Inner) => RECURSIVE_RUNS,
                (_, Link::SubPlan) => {
                    let name =
                        format!("hashed {}", operator.subplan_name.as_deref().unwrap_or_default());
                    if hashed.has(&name, parent) {
                        1.0
                    } else {
                        plan.operator(parent).rows.max(1.0)
                    }
                }
                _ => 1.0,
            });
        if let Some((parent, Link::Outer)) = above {
            outer[parent.index()].get_or_insert(id);
        }
        let is_stored = |(parent, _)| plan.operator(parent).kind == OperatorKind::Materialize;
        let parent_runs = above.map_or(1.0, |(parent, _)| runs[parent.index()]);
        let all =
            if above.is_some_and(is_stored) { 1.0 } else { (parent_runs * per_run).min(1e30) };
        let inclusive = if operator.kind == OperatorKind::Materialize {
            operator.total_cost + (all - 1.0) * CPU_OPERATOR_COST * operator.rows
        } else {
            operator.total_cost * all
        };
        // Another server's costs are contained in none of this one's.
        let contained = above.filter(|(_, link)| *link != Link::Remote);
        let up = contained.map(|(parent, _)| parent.index());
        runs.push(all);
        entries.push(Entry { inclusive, up, repeated: per_run > 1.0 });
    }
    entries
}
