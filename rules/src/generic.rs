//! Which plan a prepared statement really runs with.
//!
//! The server plans the first five executions for their values. From then on it takes the plan that fits all values
//! (the generic plan) where that costs less than the others did on average, the effort of planning included
//! (`choose_custom_plan` and `cached_plan_cost` of plancache.c).

use crate::bindings::Binding;
use crate::context::{Analyzed, Context};
use crate::select::{Selection, Selector};
use crate::whatif::{Cache, Configuration, Question};

/// What the planner's own effort counts for each relation, in units of `cpu_operator_cost`.
const PLANNING: f64 = 1000.0;

/// The binding that has no values: the plan made with it is the generic one. It weighs nothing.
pub fn binding() -> Binding {
    Binding { values: Vec::new(), weight: 0.0, label: "generic".to_owned() }
}

/// Position of the generic plan among a statement's bindings.
pub fn position(analyzed: &Analyzed) -> Option<usize> {
    analyzed.bindings.iter().position(|binding| binding.label == "generic")
}

/// Whether the server takes the generic plan of a statement whose plans for its values cost `custom` on average.
pub fn is_taken(cx: &Context<'_>, analyzed: &Analyzed, custom: f64, generic: f64) -> bool {
    let own = &analyzed.of(cx.snapshot).settings;
    let setting = |name: &str| own.get(name).or(cx.snapshot.settings.get(name)).map(String::as_str);
    match setting("plan_cache_mode") {
        Some("force_custom_plan") => return false,
        Some("force_generic_plan") => return true,
        _ => {}
    }
    let operator: f64 =
        setting("cpu_operator_cost").and_then(|cost| cost.parse().ok()).unwrap_or(0.0025);
    let planning = PLANNING * operator * (analyzed.analysis.relations.len() + 1) as f64;
    generic < custom + planning
}

/// What remains to be asked when the choice is made: the generic plans beside what was chosen.
pub fn questions(
    selector: &Selector<'_>,
    cx: &Context<'_>,
    selection: &Selection,
) -> Vec<Question> {
    let mut questions = std::collections::BTreeSet::new();
    for chosen in &selection.chosen {
        for (statement, analyzed) in cx.workload.iter().enumerate() {
            let configuration = selector.relevant(statement, &chosen.under);
            if let Some(binding) = position(analyzed).filter(|_| !configuration.is_empty()) {
                questions.insert(Question {
                    statement,
                    binding,
                    configuration,
                    cache: Cache::AsSet,
                });
            }
        }
    }
    questions.into_iter().collect()
}

/// Whether the server would, once the statement is prepared, take a generic plan that leaves the candidate aside and
/// costs no less than before, though the plans for the values gain by it.
pub(crate) fn leaves_aside(
    cx: &Context<'_>,
    selector: &Selector<'_>,
    statement: usize,
    candidate: usize,
    configuration: &Configuration,
) -> bool {
    let analyzed = &cx.workload[statement];
    let Some(place) = position(analyzed) else { return false };
    let before = analyzed.plans[place].as_ref();
    let after = selector.price(statement, place, configuration, Cache::AsSet);
    let custom = selector.cost(statement, configuration, Cache::AsSet);
    let (Some(before), Some(after), Some(custom)) = (before, after, custom) else { return false };
    !after.used.contains(&candidate)
        && after.total_cost() >= before.total_cost() * 0.95
        && is_taken(cx, analyzed, custom, after.total_cost())
}

#[cfg(test)]
mod tests {
    use super::is_taken;
    use crate::context::Context;
    use crate::testing;

    #[test]
    fn a_generic_plan_is_taken_where_it_costs_less_than_planning_anew() {
        let mut snapshot = testing::snapshot("t(a int8) 1000");
        snapshot.statements = vec![testing::statement("SELECT 1 FROM t WHERE a = $1")];
        let workload = testing::workload(&snapshot);
        let taken = |snapshot: &crate::snapshot::Snapshot, custom, generic| {
            let cx = Context { snapshot, workload: &workload };
            is_taken(&cx, &workload[0], custom, generic)
        };
        // One relation: 1000 * 0.0025 * 2.
        assert!(taken(&snapshot, 100.0, 104.9));
        assert!(!taken(&snapshot, 100.0, 105.1));
        snapshot.settings.insert("plan_cache_mode".to_owned(), "force_custom_plan".to_owned());
        assert!(!taken(&snapshot, 100.0, 1.0));
        // The role's own setting counts before the session's.
        let generic = ("plan_cache_mode".to_owned(), "force_generic_plan".to_owned());
        snapshot.statements[0].settings = [generic].into();
        assert!(taken(&snapshot, 1.0, 100.0));
    }
}
