//! Actions that were tried before, failed, and would fail again.

use std::collections::BTreeMap;

use crate::change_plan::{Action, action_key};
use crate::evidence::{Fact, Term};
use crate::reach::Reach;

/// Leaves actions to a person that failed before and would fail again, each with its reason, and with an index
/// the statistics that would have followed it. `failures` are keys of actions with the reason in words.
pub fn hold_back(actions: &mut [Action], failures: &BTreeMap<String, String>) {
    let mut reasons = failures.clone();
    for action in actions.iter() {
        if let Some(reason) = failures.get(&action.key) {
            reasons.insert(statistics_key(action), reason.clone());
        }
    }
    for action in actions {
        if let Some(reason) = reasons.get(&action.key) {
            action.reach = Reach::Advise;
            let fact = Fact::NotAlone { reason: reason.clone() };
            action.confidence.terms.push(Term { fact, weight: 0.0, cap: None });
        }
    }
}

/// The key of the ANALYZE that follows an index on an expression.
pub(crate) fn statistics_key(index: &Action) -> String {
    action_key(&index.table, &format!("analyze for {}", index.key))
}
