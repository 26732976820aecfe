//! Whether the planner twin plans as its source does, on the live workload.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rules::bindings::Binding;
use rules::context::Analyzed;
use rules::fidelity::{Comparison, compare};
use rules::snapshot::Snapshot;

use super::think::{analyze, plan_all};
use super::{Event, OptimizeError, of_twin};
use crate::blueprint::DrawOptions;
use crate::conninfo::ConnInfo;
use crate::explain::{Explainer, Text};
use crate::postgres::Meter;
use crate::sampler::SampleOptions;
use crate::twin::{Missing, Twin, TwinOptions};
use crate::whatif;

/// One statement with one set of values, planned on both.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Position in [`Snapshot::statements`].
    pub statement: usize,
    /// Which set of values; `None` where there was no plan to compare.
    pub binding: Option<Binding>,
    /// How both plans compare, or why they were not compared.
    pub outcome: Result<Comparison, String>,
}

/// What the comparison of a whole workload came to.
#[derive(Clone, Debug)]
pub struct TwinCheck {
    /// What the twin was built from.
    pub snapshot: Snapshot,
    /// Every statement, in the order of the snapshot.
    pub checked: Vec<Checked>,
    /// What of the source the twin does not have, and what makes it differ, one sentence each.
    pub notes: Vec<String>,
    /// From the snapshot in hand until the twin took statements.
    pub ready: Duration,
}

/// The statements of a workload with the plans that a server has for them.
#[derive(Clone, Debug)]
pub struct PlannedWorkload {
    /// Those that could be analyzed, with their bindings and a plan for each.
    pub statements: Vec<Analyzed>,
    /// Those that have no plan, by position in the snapshot, with the reason.
    pub refused: Vec<(usize, String)>,
}

/// Builds a twin of a database and compares its plans with the server's, which `explain_as` asks for where that is
/// another login; changes nothing.
///
/// # Errors
/// When the server cannot be sampled or the twin cannot be built.
pub async fn check_twin(
    info: &ConnInfo,
    explain_as: Option<&ConnInfo>,
    meter: &Arc<Meter>,
    sample: &SampleOptions,
    options: &TwinOptions,
    progress: &mut dyn FnMut(Event),
) -> Result<TwinCheck, OptimizeError> {
    progress(Event::Sampling);
    let snapshot = super::snapshot(info, meter, sample, &DrawOptions::default()).await?;
    let mut source = super::explainer(explain_as.unwrap_or(info), &snapshot, meter).await?;
    let planned = plan_workload(&mut source, &snapshot, progress).await?;
    source.close().await;
    progress(Event::Twin);
    let since = Instant::now();
    let mut twin = Twin::build(&snapshot, options).await?;
    let ready = since.elapsed();
    let missing = |missing: &Missing| format!("no {}: {}", missing.name, missing.reason);
    let mut notes: Vec<String> = twin.missing().iter().map(missing).collect();
    notes.extend(twin.notes().iter().cloned());
    let mut explainer = twin.explainer(0).await?;
    let checked = compare_plans(&mut explainer, &snapshot, &planned, progress).await;
    explainer.close().await;
    let checked = match checked {
        Ok(checked) => Ok(checked),
        Err(error) => Err(of_twin(&mut twin, error).await),
    };
    twin.stop().await;
    Ok(TwinCheck { checked: checked?, snapshot, notes, ready })
}

/// Analyzes and binds all statements of a snapshot and has a server plan them as things are.
///
/// # Errors
/// When the server is lost.
pub async fn plan_workload(
    explainer: &mut Explainer,
    snapshot: &Snapshot,
    progress: &mut dyn FnMut(Event),
) -> Result<PlannedWorkload, OptimizeError> {
    let (mut statements, mut refused) = analyze(snapshot);
    refused.extend(plan_all(explainer, snapshot, &mut statements, progress).await?.refused);
    for (id, analyzed) in statements.iter_mut().enumerate() {
        if explainer.is_stood_in(id) {
            // The twin may write, and plans the write itself.
            analyzed.bindings.clear();
            analyzed.plans.clear();
            let reason = "this role may not run it, so the server plans only a SELECT of its rows";
            refused.push((analyzed.statement, reason.to_owned()));
        }
    }
    refused.sort();
    Ok(PlannedWorkload { statements, refused })
}

/// Plans on the twin what was planned on its source, with the same values, and compares.
///
/// # Errors
/// When the twin is lost.
pub async fn compare_plans(
    twin: &mut Explainer,
    snapshot: &Snapshot,
    planned: &PlannedWorkload,
    progress: &mut dyn FnMut(Event),
) -> Result<Vec<Checked>, OptimizeError> {
    let lost = |source| OptimizeError::Postgres { action: "lost the twin while planning", source };
    let refused = planned.refused.iter().map(|(statement, reason)| Checked {
        statement: *statement,
        binding: None,
        outcome: Err(reason.clone()),
    });
    let mut checked: Vec<Checked> = refused.collect();
    let total = planned.statements.len();
    for (id, analyzed) in planned.statements.iter().enumerate() {
        progress(Event::Planning { done: id, total });
        let statement = analyzed.of(snapshot);
        let text = Text {
            id,
            label: &statement.id,
            text: &analyzed.text,
            search_path: &statement.search_path,
            settings: &statement.settings,
        };
        let prepared = match whatif::twin::refusal(snapshot, analyzed) {
            Some(reason) => Err(reason),
            None => twin.prepare(text).await.map_err(lost)?,
        };
        for (binding, plan) in analyzed.bindings.iter().zip(&analyzed.plans) {
            let Some(source) = plan else { continue };
            let outcome = match &prepared {
                Err(reason) => Err(reason.clone()),
                Ok(_) => twin.plan(text, &binding.values).await.map_err(lost)?,
            };
            checked.push(Checked {
                statement: analyzed.statement,
                binding: Some(binding.clone()),
                outcome: match outcome {
                    Ok(plan) => Ok(compare(source, &plan)),
                    Err(reason) => Err(format!("the twin cannot plan it: {reason}")),
                },
            });
        }
    }
    twin.leave().await.map_err(lost)?;
    checked.sort_by_key(|checked| checked.statement);
    Ok(checked)
}
