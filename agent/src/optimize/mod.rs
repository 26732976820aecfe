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

use self::report::TwinReport;
use self::think::{Planner, Thought, think};
use crate::blueprint::{BlueprintError, DrawOptions, draw};
use crate::cluster::Binaries;
use crate::conninfo::ConnInfo;
use crate::explain::Explainer;
use crate::journal;
use crate::postgres::{Meter, PgError, Purpose, Session};
use crate::sampler::{SampleError, SampleOptions, restrict, sample};
use crate::twin::{Twin, TwinError, TwinOptions};

/// Who is to answer what-if questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhatIfChoice {
    /// HypoPG on the server for a handful of statements; the twin for many, or for what HypoPG cannot price.
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
    /// Bytes that new indexes and those of earlier runs may take together.
    pub storage_budget: Option<u64>,
    /// Who prices.
    pub what_if: WhatIfChoice,
    /// How a planner twin is built.
    pub twin: TwinOptions,
    /// The login that asks the server for plans, where it is another one than the one that samples and applies.
    pub explain_as: Option<ConnInfo>,
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
    /// Nothing could be sampled.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// `--what-if hypopg` without the extension.
    #[error("HypoPG was asked for and is not installed in database `{database}`")]
    NoHypoPg {
        /// The database.
        database: String,
    },
    /// `--explain-as` leads elsewhere.
    #[error(
        "the login for plans leads to another database ({there}) than the connection ({here}); plans have to come from the same one"
    )]
    Elsewhere {
        /// The connection's database.
        here: String,
        /// That of the login for plans.
        there: String,
    },
    /// The definitions of the database could not be read.
    #[error("cannot read what a planner twin is built from")]
    Blueprint(#[from] BlueprintError),
    /// The planner twin could not be had, or was lost.
    #[error(transparent)]
    Twin(#[from] TwinError),
    /// The change plan is faulty: a bug of pgwright, and nothing was done.
    #[error("the change plan does not pass its own check: {}", .0.join("; "))]
    Faulty(Vec<String>),
}

impl OptimizeError {
    /// Whether the same question can be put to the server instead.
    fn is_of_the_twin(&self) -> bool {
        matches!(self, Self::Twin(_) | Self::Blueprint(_))
    }
}

/// Takes a snapshot with all that a planner twin needs, drawn as `how` says.
///
/// # Errors
/// When the server cannot be reached, holds nothing to sample, or refuses a query.
pub async fn snapshot(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    options: &SampleOptions,
    how: &DrawOptions,
) -> Result<Snapshot, OptimizeError> {
    let session = connect(info, Purpose::Sample, meter).await?;
    let mut snapshot = sample(&session, options).await?;
    snapshot.blueprint = Some(Box::new(draw(&session, info, how).await?));
    session.close().await;
    Ok(snapshot)
}

/// Where what is known of a database comes from.
#[derive(Debug)]
pub enum Source<'a> {
    /// A server.
    Server(&'a ConnInfo),
    /// A file; there is no server.
    File(Box<Snapshot>),
}

/// Replaces the values of a snapshot of this database by made-up ones in the same order.
pub async fn redact(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    snapshot: &mut Snapshot,
) -> Result<(), OptimizeError> {
    let session = connect(info, Purpose::Sample, meter).await?;
    crate::redact::redact(&session, snapshot).await?;
    session.close().await;
    Ok(())
}

/// Samples, thinks and answers; changes nothing.
///
/// # Errors
/// When the server cannot be reached or holds nothing to sample, or when whoever was asked to price cannot be had.
pub async fn propose(
    source: Source<'_>,
    meter: &Arc<Meter>,
    options: &Options,
    progress: &mut dyn FnMut(Event),
) -> Result<Proposal, OptimizeError> {
    match source {
        Source::File(mut snapshot) => {
            restrict(&mut snapshot, &options.sample);
            let thought =
                Box::pin(with_twin(&mut snapshot, None, meter, options, progress)).await?;
            freeze(*snapshot, thought, &BTreeMap::new(), options)
        }
        Source::Server(info) => {
            progress(Event::Sampling);
            let session = connect(info, Purpose::Sample, meter).await?;
            let mut snapshot = sample(&session, &options.sample).await?;
            let failed = failed_before(&session, &mut snapshot).await;
            session.close().await;
            let mut thought =
                Box::pin(of_server(info, &mut snapshot, meter, options, progress)).await?;
            thought.planned_on_server = meter.statements(Purpose::Explain);
            freeze(snapshot, thought, &failed, options)
        }
    }
}

/// Statements from which on the twin is asked rather than the server: pricing takes some thirty plans for each.
const HANDFUL: usize = 100;

/// Thinks with the planner that was asked for, or the one that serves best.
async fn of_server(
    info: &ConnInfo,
    snapshot: &mut Snapshot,
    meter: &Arc<Meter>,
    options: &Options,
    progress: &mut dyn FnMut(Event),
) -> Result<Thought, OptimizeError> {
    let hypopg = snapshot.extension("hypopg").map(|extension| extension.schema.clone());
    match options.what_if {
        WhatIfChoice::None => on_server(info, snapshot, None, meter, options, progress).await,
        WhatIfChoice::Twin => {
            Box::pin(with_twin(snapshot, Some(info), meter, options, progress)).await
        }
        WhatIfChoice::HypoPg if hypopg.is_none() => {
            Err(OptimizeError::NoHypoPg { database: snapshot.server.database.clone() })
        }
        WhatIfChoice::HypoPg => on_server(info, snapshot, hypopg, meter, options, progress).await,
        WhatIfChoice::Auto => {
            let few = hypopg.is_some() && snapshot.statements.len() <= HANDFUL;
            let mut thought = None;
            if few {
                let hypopg = hypopg.clone();
                let first = on_server(info, snapshot, hypopg, meter, options, progress).await?;
                if !first.beyond && first.withheld == 0 {
                    return Ok(first);
                }
                thought = Some(first);
            }
            match Box::pin(with_twin(snapshot, Some(info), meter, options, progress)).await {
                Ok(thought) => Ok(thought),
                Err(error) if error.is_of_the_twin() => {
                    let withheld = thought.as_ref().is_some_and(|of| of.withheld > 0);
                    let wanted = if withheld {
                        "for the statements that reach code of users"
                    } else if few {
                        "for the indexes that HypoPG cannot price"
                    } else {
                        "to price without load on the server"
                    };
                    let why = error.source().map_or(String::new(), |source| format!(": {source}"));
                    let note = format!("no planner twin {wanted}: {error}{why}");
                    snapshot.intake.notes.push(note);
                    match thought {
                        Some(thought) => Ok(thought),
                        None => on_server(info, snapshot, hypopg, meter, options, progress).await,
                    }
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// Has the server plan, and price by HypoPG in this schema.
async fn on_server(
    info: &ConnInfo,
    snapshot: &Snapshot,
    hypopg: Option<String>,
    meter: &Arc<Meter>,
    options: &Options,
    progress: &mut dyn FnMut(Event),
) -> Result<Thought, OptimizeError> {
    let login = options.explain_as.as_ref().unwrap_or(info);
    let mut explainer = explainer(login, snapshot, meter).await?;
    let planner = match hypopg {
        Some(schema) => Planner::Hypopg(&mut explainer, schema),
        None => Planner::Bare(&mut explainer),
    };
    let thought = think(snapshot, planner, options, progress).await?;
    explainer.close().await;
    Ok(thought)
}

/// A session that plans the statements of a snapshot on their own server.
async fn explainer(
    login: &ConnInfo,
    snapshot: &Snapshot,
    meter: &Arc<Meter>,
) -> Result<Explainer, OptimizeError> {
    let failed = |source| OptimizeError::Postgres { action: "cannot connect to plan", source };
    let (mut explainer, role) = Explainer::on_server(login, meter).await.map_err(failed)??;
    let server = &snapshot.server;
    let other = |(here, there): (&String, &String)| here != there;
    let cluster = server.system_identifier.as_ref().zip(role.system_identifier.as_ref());
    if server.database != role.database || cluster.is_some_and(other) {
        let (here, there) = (server.database.clone(), login.display());
        return Err(OptimizeError::Elsewhere { here, there });
    }
    if server.role != role.role {
        explainer.adopt(&snapshot.settings).await.map_err(failed)?;
    }
    Ok(explainer)
}

/// Has a planner twin plan and price, built from what the snapshot holds or the server tells.
async fn with_twin(
    snapshot: &mut Snapshot,
    info: Option<&ConnInfo>,
    meter: &Arc<Meter>,
    options: &Options,
    progress: &mut dyn FnMut(Event),
) -> Result<Thought, OptimizeError> {
    progress(Event::Twin);
    if let (None, Some(info)) = (&snapshot.blueprint, info) {
        let session = connect(info, Purpose::Sample, meter).await?;
        snapshot.blueprint = Some(Box::new(draw(&session, info, &DrawOptions::default()).await?));
        session.close().await;
    }
    let mut twin = Twin::build(snapshot, &options.twin).await?;
    let mut explainer = twin.explainer(0).await?;
    let planner = match options.what_if {
        WhatIfChoice::None => Planner::Bare(&mut explainer),
        _ => Planner::Twin(&mut explainer, &mut twin),
    };
    let thought = think(snapshot, planner, options, progress).await;
    explainer.close().await;
    let thought = match thought {
        Ok(thought) => Ok(Thought {
            twin: Some(TwinReport {
                version: version(twin.cluster().binaries()),
                missing: twin
                    .missing()
                    .iter()
                    .map(|m| format!("{}: {}", m.name, m.reason))
                    .collect(),
                notes: twin.notes().to_vec(),
            }),
            ..thought
        }),
        Err(error) => Err(of_twin(&mut twin, error).await),
    };
    twin.stop().await;
    thought
}

/// What failed on a twin, with what its server shows of the cause.
async fn of_twin(twin: &mut Twin, error: OptimizeError) -> OptimizeError {
    match error {
        OptimizeError::Postgres { action, source } => {
            twin.diagnosed(TwinError::Postgres { action, source }).await.into()
        }
        OptimizeError::Twin(error) => twin.diagnosed(error).await.into(),
        error => error,
    }
}

/// `15.18`.
fn version(binaries: &Binaries) -> String {
    format!("{}.{}", binaries.major, binaries.version_num % 10_000)
}

/// Freezes what thinking came to, and says what there is to say of it.
fn freeze(
    mut snapshot: Snapshot,
    mut thought: Thought,
    failed: &BTreeMap<String, String>,
    options: &Options,
) -> Result<Proposal, OptimizeError> {
    hold_back(&mut thought.actions, failed);
    if thought.withheld > 0 {
        let count = thought.withheld;
        snapshot.intake.notes.push(format!(
            "{count} of the statements were not planned: they reach code of users, which planning would run with \
             the rights of a role that may do too much; `pgwright doctor` says more"
        ));
    }
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

/// What the journal says failed before and would fail again, or was taken back and is blocked. Where it cannot be read the dry run goes on and
/// says so; `--apply` has to read it anyway.
async fn failed_before(session: &Session, snapshot: &mut Snapshot) -> BTreeMap<String, String> {
    journal::stopped(session).await.unwrap_or_else(|error: journal::JournalError| {
        let why = error.source().map_or(String::new(), |source| format!(": {source}"));
        snapshot
            .intake
            .notes
            .push(format!("earlier failures and verdicts are not known: {error}{why}"));
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
