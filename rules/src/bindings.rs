//! Representative values for the parameters of a statement.
//!
//! Planners need values. They come from real executions where some were seen ([`Statement::examples`]), else from
//! the statistics of the column that each parameter is compared with: what most rows have, what is in the middle,
//! what few have. Within one binding the values belong together: the ends of a range, the key and the value of a
//! JSON comparison, the elements of a list. Nothing here is random.

mod distribution;
mod examples;
mod fit;
mod joint;
mod json;
mod keys;
mod made;
mod parts;
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

/// Real bindings that are kept of one statement, beside one for what was not seen.
const EXAMPLES_MAX: usize = 3;

/// Weight of what was not seen, where only a few calls were.
const UNSEEN_MAX: f64 = 0.15;

/// Weight under which what was not seen is not worth the planner's time.
const UNSEEN_MIN: f64 = 0.02;

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
    if let Some(typical) = typical.filter(|_| !examples.is_empty()) {
        return real(examples, typical.values);
    }
    let mut bindings = Vec::new();
    let total: f64 = drafts.iter().map(|draft| draft.weight).sum();
    for draft in drafts {
        let label = draft.scenario.label().to_owned();
        bindings.push(Binding { values: draft.values, weight: draft.weight / total, label });
    }
    bindings
}

/// Real values, each by its number of calls, and the typical ones for what was not seen: the more calls were seen,
/// the less of them.
fn real(examples: Vec<(Vec<Option<String>>, u64)>, typical: Vec<Option<String>>) -> Vec<Binding> {
    let seen: u64 = examples.iter().map(|(_, times)| times).sum();
    let unseen = (1.0 / (1.0 + seen as f64)).min(UNSEEN_MAX);
    let unseen = if unseen < UNSEEN_MIN { 0.0 } else { unseen };
    let kept = if unseen > 0.0 { EXAMPLES_MAX } else { EXAMPLES_MAX + 1 };
    let kept: Vec<_> = examples.into_iter().take(kept).collect();
    let total: u64 = kept.iter().map(|(_, times)| times).sum();
    let mut bindings: Vec<Binding> = kept
        .into_iter()
        .map(|(values, times)| {
            let weight = (1.0 - unseen) * times as f64 / total.max(1) as f64;
            Binding { values, weight, label: "example".to_owned() }
        })
        .collect();
    if unseen > 0.0 {
        let label = "typical".to_owned();
        bindings.push(Binding { values: typical, weight: unseen, label });
    }
    bindings
}

/// Gives each draft its part of the workload: by how well the rows that were observed agree with those that it
/// should give, else by the rows and values that each stands for.
fn weigh(drafts: &mut [Draft], binder: &Binder) {
    if let Some(observed) = binder.observed_share() {
        let base = binder.constant_share();
        for draft in drafts {
            let distance = (draft.share * base / observed).ln().abs();
            draft.weight = (1.0 + distance).powi(-2);
        }
        return;
    }
    let masses = binder.masses().unwrap_or([0.2, 0.7, 0.1]);
    for draft in drafts {
        draft.weight = masses[draft.scenario.index()];
    }
}

/// The drafts without repetition: of those that let about as many rows pass the most typical stands for the others,
/// since no plan hangs on which it is, unless `all` are wanted.
fn merged(mut drafts: Vec<Draft>, all: bool) -> Vec<Draft> {
    let nearest = |draft: &Draft| (draft.scenario != Scenario::Typical, draft.scenario.index());
    drafts.sort_by_key(nearest);
    let mut kept: Vec<Draft> = Vec::new();
    for draft in drafts {
        let same = |other: &&mut Draft| {
            let factor = (other.share / draft.share).max(draft.share / other.share);
            other.values == draft.values || !all && factor <= SAME_SHARE
        };
        match kept.iter_mut().find(same) {
            Some(other) => other.weight += draft.weight,
            None => kept.push(draft),
        }
    }
    kept.retain(|draft| draft.weight > 0.0);
    kept.sort_by_key(|draft| draft.scenario.index());
    kept
}

#[cfg(test)]
mod tests;
