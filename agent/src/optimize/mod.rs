//! One run of the thinking: sample, analyze, plan, propose, price, choose, freeze. Changes nothing.

mod report;
mod think;
mod twin_check;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;

use rules::assemble;
use rules::change_plan::{ChangePlan, lint};
use rules::held_back::hold_back;
use rules::report::{ActionReport, FORMAT, Report};
use rules::snapshot::Snapshot;

pub use self::twin_check::{
    Checked, PlannedWorkload, TwinCheck, check_twin, compare_plans, plan_workload,
};

use self::think::{Planner, Thought, think};
use crate::blueprint::{self, BlueprintError};
use crate::conninfo::ConnInfo;
use crate::explain::Explainer;
use crate::journal;
use crate::postgres::{Meter, PgError, Purpose, Session};
use crate::sampler::{SampleError, SampleOptions, sample};
use crate::twin::TwinError;

/// Who is to answer what-if questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhatIfChoice {
    /// HypoPG where it is installed, else nobody.
    #[default]
    Auto,
    /// HypoPG, or an error.
    HypoPg,
    /// The planner twin, or an error.
    Twin,
    /// Nobody: only what plans and statistics show.
    None,
}

/// What to look at and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to sample.
    pub sample: SampleOptions,
    /// The gate of `--apply`, 0 to 1.
    pub min_confidence: f64,
    /// Bytes that new indexes may take together.
    pub storage_budget: Option<u64>,
    /// Who prices.
    pub what_if: WhatIfChoice,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Reading catalogs and counters.
    Sampling,
    /// Building a planner twin.
    Twin,
    /// Planning the statements as things are.
    Planning {
        /// Statements done.
        done: usize,
        /// Statements in all.
        total: usize,
    },
    /// Pricing; the total is not known beforehand.
    Pricing {
        /// Questions answered.
        done: usize,
    },
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// What was seen.
    pub snapshot: Snapshot,
    /// What would be done.
    pub plan: ChangePlan,
    /// What there is to say.
    pub report: Report,
}

impl Proposal {
    /// Forgets the actions of a plan that were carried out before this proposal was made.
    pub fn without(&mut self, done: &ChangePlan) {
        let fresh = |id: &str| done.actions.iter().all(|action| action.id() != id);
        self.plan.actions.retain(|action| fresh(action.id()));
        self.report.actions.retain(|action| fresh(&action.id));
    }

    /// Puts the actions of a plan that were carried out before at the head, so that the report tells the whole run.
    pub fn tell_first(&mut self, done: &ChangePlan) {
        self.plan.actions.splice(0..0, done.actions.iter().cloned());
        let told = done.actions.iter().map(|action| ActionReport::new(action, true));
        self.report.actions.splice(0..0, told);
    }
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum OptimizeError {
    /// The connection failed or was lost.
    #[error("{action}")]
    Postgres {
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        source: PgError,
    },
    /// The twin cannot be had.
    #[error(transparent)]
    Twin(#[from] TwinError),
    /// What a twin is built from cannot be read.
    #[error(transparent)]
    Blueprint(#[from] BlueprintError),
    /// Nothing could be sampled.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// `--what-if hypopg` without the extension.
    #[error("HypoPG was asked for and is not installed in database `{database}`")]
    NoHypoPg {
        /// The database.
        database: String,
    },
    /// The change plan is faulty: a bug of pgwright, and nothing was done.
    #[error("the change plan does not pass its own check: {}", .0.join("; "))]
    Faulty(Vec<String>),
}

/// Takes a snapshot with all that a planner twin needs.
pub async fn snapshot(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    options: &SampleOptions,
) -> Result<Snapshot, OptimizeError> {
    let session = connect(info, Purpose::Sample, meter).await?;
    let mut snapshot = sample(&session, options).await?;
    snapshot.blueprint = Some(Box::new(blueprint::draw(&session).await?));
    session.close().await;
    Ok(snapshot)
}

/// Samples, thinks and answers; changes nothing.
pub async fn propose(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    options: &Options,
    progress: &mut dyn FnMut(Event),
) -> Result<Proposal, OptimizeError> {
    progress(Event::Sampling);
    let session = connect(info, Purpose::Sample, meter).await?;
    let mut snapshot = sample(&session, &options.sample).await?;
    let failed = failed_before(&session, &mut snapshot).await;
    session.close().await;
    let hypopg = hypopg_schema(&snapshot, options.what_if)?;
    let mut explainer = Explainer::new(connect(info, Purpose::Explain, meter).await?);
    let planner = match hypopg {
        Some(schema) => Planner::Hypopg(&mut explainer, schema),
        None => Planner::Bare(&mut explainer),
    };
    let thought = think(&snapshot, planner, options, progress).await?;
    explainer.close().await;
    freeze(snapshot, thought, &failed, options)
}

/// Freezes what thinking came to, and says what there is to say of it.
fn freeze(
    snapshot: Snapshot,
    mut thought: Thought,
    failed: &BTreeMap<String, String>,
    options: &Options,
) -> Result<Proposal, OptimizeError> {
    hold_back(&mut thought.actions, failed);
    let made_from = report::fingerprint(&snapshot);
    let actions = std::mem::take(&mut thought.actions);
    let plan = assemble::freeze(made_from, options.min_confidence, actions);
    let faults = lint(&plan);
    if !faults.is_empty() {
        return Err(OptimizeError::Faulty(faults));
    }
    let shown = |action| ActionReport::new(action, plan.passes(action));
    let report = Report {
        format: FORMAT,
        server: report::server(&snapshot),
        run: report::run(&snapshot, &plan, &thought),
        statements: thought.statements,
        actions: plan.actions.iter().map(shown).collect(),
        refused: thought.refused,
    };
    Ok(Proposal { snapshot, plan, report })
}

/// What the journal says failed before and would fail again. Where it cannot be read the dry run goes on and
/// says so; `--apply` has to read it anyway.
async fn failed_before(session: &Session, snapshot: &mut Snapshot) -> BTreeMap<String, String> {
    journal::failures(session).await.unwrap_or_else(|error| {
        let why = error.source().map_or(String::new(), |source| format!(": {source}"));
        snapshot.intake.notes.push(format!("earlier failures are not known: {error}{why}"));
        BTreeMap::new()
    })
}

async fn connect(
    info: &ConnInfo,
    purpose: Purpose,
    meter: &Arc<Meter>,
) -> Result<Session, OptimizeError> {
    let failed = |source| OptimizeError::Postgres { action: "cannot connect", source };
    Session::connect(info, purpose, meter).await.map_err(failed)
}

fn hypopg_schema(
    snapshot: &Snapshot,
    choice: WhatIfChoice,
) -> Result<Option<String>, OptimizeError> {
    let installed = snapshot.extension("hypopg").map(|extension| extension.schema.clone());
    match choice {
        WhatIfChoice::None | WhatIfChoice::Twin => Ok(None),
        WhatIfChoice::Auto => Ok(installed),
        WhatIfChoice::HypoPg => match installed {
            Some(schema) => Ok(Some(schema)),
            None => Err(OptimizeError::NoHypoPg { database: snapshot.server.database.clone() }),
        },
    }
}
