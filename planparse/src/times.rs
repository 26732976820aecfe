//! Times as figures that can be shared out.

use crate::attribution::Entry;
use crate::mentions::Mentions;
use crate::{Link, OperatorId, OperatorKind, Plan};

/// Returns the milliseconds on the clock of each operator and everything below it.
///
/// Times are printed as a mean per loop, in whichever process. Those that run at the same time count once.
pub(crate) fn entries(plan: &Plan) -> Vec<Entry> {
    let loops = |id: OperatorId| plan.operator(id).actual.map_or(0.0, |actual| actual.loops);
    let mut processes: Vec<f64> = Vec::new();
    let mut entries = Vec::new();
    for (id, operator) in plan.operators() {
        let above = plan.parent(id).zip(plan.link(id));
        let here = above.map_or(1.0, |(parent, link)| {
            let inherited = processes[parent.index()];
            let gathered = plan.operator(parent).kind.is_gather() && link == Link::Outer;
            // Leader and workers each count one loop for a run of the Gather.
            if gathered && loops(parent) > 0.0 {
                inherited * (loops(id) / loops(parent)).max(1.0)
            } else {
                inherited
            }
        });
        processes.push(here);
        let total_ms = operator.actual.and_then(|actual| actual.total_ms).unwrap_or(0.0);
        entries.push(Entry {
            inclusive: total_ms * loops(id) / here,
            // What another server ran ran while the operator above waited for it.
            up: above.map(|(parent, _)| parent.index()),
            repeated: above.is_some_and(|(parent, _)| loops(id) > loops(parent)),
        });
    }
    rehang_init_plans(plan, &mut entries);
    entries
}

/// Hangs each `InitPlan` below the operator that waited for it.
///
/// EXPLAIN prints an `InitPlan` at the top of its query level, but it runs inside whichever operator first asks for
/// its result, and that operator's time holds it. A CTE likewise runs inside the scans that read it; all of it counts
/// below the one that waited longest.
fn rehang_init_plans(plan: &Plan, entries: &mut [Entry]) {
    let ends = plan.tree.ends();
    let mut spare: Vec<f64> = entries.iter().map(|entry| entry.inclusive).collect();
    for id in plan.tree.ids().filter(|id| plan.link(*id) != Some(Link::InitPlan)) {
        if let Some(up) = entries[id.index()].up {
            spare[up] -= entries[id.index()].inclusive;
        }
    }
    let mentions = Mentions::of(plan, &["$", "InitPlan "]);
    for id in plan.tree.ids().filter(|id| plan.link(*id) == Some(Link::InitPlan)) {
        let Some(attached) = plan.parent(id) else { continue };
        let operator = plan.operator(id);
        // Who may wait for it: the query level without the InitPlan itself.
        let before = attached..id;
        let after = ends[id.index()].next()..ends[attached.index()].next();
        let ran = |user: &OperatorId| !plan.operator(*user).never_executed();
        let readers = plan.readers(id);
        if operator.kind == OperatorKind::ModifyTable && !readers.iter().any(ran) {
            entries[id.index()].up = None;
            continue;
        }
        let names = operator.subplan_name.as_deref().map(result_names).unwrap_or_default();
        let mentioned = names.iter().flat_map(|name| {
            [&before, &after].into_iter().flat_map(|level| mentions.within(name, level))
        });
        let in_level = |user: &OperatorId| before.contains(user) || after.contains(user);
        let users: Vec<OperatorId> =
            readers.into_iter().filter(in_level).chain(mentioned.copied()).filter(ran).collect();
        let waited = match users.iter().find(|user| plan.operator(**user).kind.is_gather()) {
            // A Gather runs the InitPlans that its workers need before it starts them.
            Some(gather) => Some(*gather),
            None if !users.is_empty() => longest(&spare, users.into_iter()),
            // In an output list, which is not printed without VERBOSE.
            None if spare[attached.index()] >= entries[id.index()].inclusive => Some(attached),
            None => {
                let level = [&before, &after]
                    .into_iter()
                    .flat_map(|level| level.start.index()..level.end.index());
                longest(&spare, level.map(OperatorId::from))
            }
        };
        let waited = waited.unwrap_or(attached);
        // Only another InitPlan that hangs below this one by now can be in the way.
        let mut way = std::iter::successors(Some(waited.index()), |index| entries[*index].up);
        if way.find(|index| *index == id.index() || *index == attached.index()) == Some(id.index())
        {
            continue;
        }
        entries[id.index()].up = Some(waited.index());
        entries[id.index()].repeated = false;
        spare[waited.index()] -= entries[id.index()].inclusive;
    }
}

/// The operator with most time to spare; of equals, the first.
fn longest(spare: &[f64], users: impl Iterator<Item = OperatorId>) -> Option<OperatorId> {
    users.fold(None, |best: Option<OperatorId>, user| match best {
        Some(best) if spare[best.index()] >= spare[user.index()] => Some(best),
        _ => Some(user),
    })
}

/// The names by which expressions call the results of an `InitPlan`: `$0` of `InitPlan 1 (returns $0)` up to version
/// 16, `InitPlan 1` from 17 on.
fn result_names(subplan_name: &str) -> Vec<String> {
    match subplan_name.split_once(" (returns ") {
        Some((_, results)) => results.trim_end_matches(')').split(',').map(str::to_owned).collect(),
        None => vec![subplan_name.to_owned()],
    }
}
