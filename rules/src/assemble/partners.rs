//! Indexes that gain only together: neither is surer than the other, since one alone is made for nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::Assembly;
use crate::change_plan::{Action, Operation};
use crate::evidence::{Fact, Term, confidence};
use crate::select::HELPED_BELOW;
use crate::whatif::{Cache, Configuration};

/// The chosen candidates without which a chosen one is known to gain nothing.
pub(super) fn needed(
    assembly: &Assembly<'_>,
    candidate: usize,
    configuration: &Configuration,
) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let alone: Configuration = [candidate].into();
    for statement in assembly.helped(candidate, configuration) {
        let cost = |of: &Configuration| assembly.selector.cost(statement, of, Cache::AsSet);
        let Some((before, after)) = cost(&Configuration::new()).zip(cost(&alone)) else {
            return BTreeSet::new();
        };
        if after <= before * HELPED_BELOW {
            return BTreeSet::new();
        }
        for binding in assembly.cx.workload[statement].weighed() {
            let price = assembly.selector.price(statement, binding, configuration, Cache::AsSet);
            needed.extend(price.iter().flat_map(|price| &price.used).copied());
        }
    }
    needed.remove(&candidate);
    needed
}

/// Says of each action which others it needs, by candidate, and makes it no surer than those.
pub(super) fn bind(
    actions: &mut BTreeMap<usize, Action>,
    needed: &BTreeMap<usize, BTreeSet<usize>>,
) {
    let known: BTreeMap<usize, (String, f64)> = actions
        .iter()
        .filter_map(|(candidate, action)| match &action.operation {
            Operation::CreateIndex { name, .. } => {
                Some((*candidate, (name.clone(), action.confidence.value)))
            }
            _ => None,
        })
        .collect();
    for (candidate, others) in needed {
        let Some(action) = actions.get_mut(candidate) else { continue };
        let needs = others
            .iter()
            .filter_map(|other| known.get(other))
            .map(|(index, value)| Fact::NeedsIndex { index: index.clone(), confidence: *value });
        let facts = action.confidence.terms.iter().map(|Term { fact, .. }| fact.clone());
        let facts: Vec<Fact> = facts.chain(needs).collect();
        action.confidence = confidence(&facts);
    }
}
