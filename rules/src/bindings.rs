//! Representative values for the parameters of a statement.
//!
//! Planners need values. They come from real executions where some were seen ([`Statement::examples`]), else from
//! the statistics of the column that each parameter is compared with: what most rows have, what is in the middle,
//! what few have. Within one binding the values belong together: the ends of a range, the key and the value of a
//! JSON comparison, the elements of a list. Nothing here is random.

mod distribution;
mod examples;
mod fit;
mod json;
mod keys;
mod made;
mod substitute;
mod types;
mod values;

use distribution::Scenario;
pub use fit::fit;
pub use json::{json_longest, json_most_common, json_share};
pub use substitute::{Concrete, SHARE_MAX, ValueSource, substitute, unselective};
pub use types::ParameterType;
use values::Binder;

use crate::snapshot::{Snapshot, Statement};
use crate::statement::Analysis;

/// One set of values for the parameters of a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// One value for each parameter of the repaired text, in text form; `None` is NULL.
    pub values: Vec<Option<String>>,
    /// How much of the workload it stands for; those of one statement sum up to 1.
    pub weight: f64,
    /// Where it comes from: `example`, `common`, `typical`, `rare`, or `only` without parameters.
    pub label: String,
}

/// Real bindings that are kept of one statement.
const EXAMPLES_MAX: usize = 3;

/// Weight that real bindings have together, where there are some.
const EXAMPLES_WEIGHT: f64 = 0.85;

/// Within this factor the shares of rows that bindings select count as the same: no plan hangs on it.
const SAME_SHARE: f64 = 1.5;

/// A binding while it is weighed.
#[derive(Clone, Debug)]
struct Draft {
    values: Vec<Option<String>>,
    /// Share of the rows that the parameters together let pass.
    share: f64,
    weight: f64,
    scenario: Scenario,
}

/// Two to four bindings for a statement, or one where it has no parameters or none that matters.
///
/// `analysis` is that of the repaired text ([`repair`](crate::statement::repair)), `statement` as sampled, `types`
/// what Describe told of the repaired text's parameters, in order.
pub fn bind(
    analysis: &Analysis,
    statement: &Statement,
    snapshot: &Snapshot,
    types: &[ParameterType],
) -> Vec<Binding> {
    if types.is_empty() {
        return vec![Binding { values: Vec::new(), weight: 1.0, label: "only".to_owned() }];
    }
    let binder = Binder::new(analysis, statement, snapshot, types);
    let mut drafts: Vec<Draft> =
        Scenario::ALL.iter().map(|scenario| binder.draft(*scenario)).collect();
    weigh(&mut drafts, &binder);
    let drafts = merged(drafts, binder.keys_differ());
    let typical =
        drafts.iter().find(|draft| draft.scenario == Scenario::Typical).or(drafts.first()).cloned();
    let examples =
        examples::read(statement, types, typical.as_ref().map_or(&[], |typical| &typical.values));
    let mut bindings = Vec::new();
    if let Some(typical) = typical.filter(|_| !examples.is_empty()) {
        let kept = examples.len().min(EXAMPLES_MAX);
        for values in examples.into_iter().take(kept) {
            let weight = EXAMPLES_WEIGHT / kept as f64;
            bindings.push(Binding { values, weight, label: "example".to_owned() });
        }
        bindings.push(Binding {
            values: typical.values,
            weight: 1.0 - EXAMPLES_WEIGHT,
            label: "typical".to_owned(),
        });
        return bindings;
    }
    let total: f64 = drafts.iter().map(|draft| draft.weight).sum();
    for draft in drafts {
        let label = draft.scenario.label().to_owned();
        bindings.push(Binding { values: draft.values, weight: draft.weight / total, label });
    }
    bindings
}

/// Gives each draft its part of the workload: by how well the rows that were observed agree with those that it
/// should give, else the common value by its frequency.
fn weigh(drafts: &mut [Draft], binder: &Binder) {
    if let Some(observed) = binder.observed_share() {
        let base = binder.constant_share();
        for draft in drafts {
            let distance = (draft.share * base / observed).ln().abs();
            draft.weight = (1.0 + distance).powi(-2);
        }
        return;
    }
    let common = binder.common_frequency().map_or(0.2, |frequency| frequency.clamp(0.15, 0.7));
    for draft in drafts {
        draft.weight = match draft.scenario {
            Scenario::Common => common,
            Scenario::Typical => 0.9 - common,
            Scenario::Rare => 0.1,
        };
    }
}

/// The drafts without repetition; one alone where all let about as many rows pass, unless `all` are wanted.
fn merged(drafts: Vec<Draft>, all: bool) -> Vec<Draft> {
    let shares = || drafts.iter().map(|draft| draft.share);
    let (least, most) = (shares().fold(f64::INFINITY, f64::min), shares().fold(0.0, f64::max));
    if !all && most <= least * SAME_SHARE {
        return drafts.into_iter().filter(|draft| draft.scenario == Scenario::Typical).collect();
    }
    let mut kept: Vec<Draft> = Vec::new();
    for draft in drafts {
        match kept.iter_mut().find(|other| other.values == draft.values) {
            Some(other) => other.weight += draft.weight,
            None => kept.push(draft),
        }
    }
    kept
}

#[cfg(test)]
mod tests;
