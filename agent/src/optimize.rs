//! One run of the thinking: sample, analyze, plan, propose, price, choose, freeze. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::Arc;

use rules::assemble::{self, Assembly};
use rules::bindings;
use rules::candidate::Candidate;
use rules::change_plan::{ChangePlan, digest, lint};
use rules::context::{Analyzed, Context};
use rules::held_back::hold_back;
use rules::report::{ActionReport, FORMAT, Report, RunReport, ServerReport, StatementReport};
use rules::select::{Selection, Selector, Step, Task};
use rules::snapshot::Snapshot;
use rules::statement::{self, Unanalyzable};
use rules::whatif::Question;
use rules::workload::{mean_ms, ms_per_day};

use crate::conninfo::ConnInfo;
use crate::explain::{Explainer, Text};
use crate::hypopg::HypoPg;
use crate::journal;
use crate::postgres::{Meter, PgError, Purpose, Session};
use crate::sampler::{SampleError, SampleOptions, sample};

/// Who is to answer what-if questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhatIfChoice {
    /// HypoPG where it is installed, else nobody.
    #[default]
    Auto,
    /// HypoPG, or an error.
    HypoPg,
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
    /// The change plan is faulty: a bug of pgwright, and nothing was done.
    #[error("the change plan does not pass its own check: {}", .0.join("; "))]
    Faulty(Vec<String>),
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
    let (mut workload, unanalyzed) = analyze(&snapshot);
    let mut explainer = Explainer::new(connect(info, Purpose::Explain, meter).await?);
    let planned = plan_all(&mut explainer, &snapshot, &mut workload, progress).await?;
    let cx = Context { snapshot: &snapshot, workload: &workload };
    let findings = rules::propose(&cx);
    let candidates = findings.candidates;
    let selector =
        Selector::new(Task { cx, candidates: &candidates, storage_budget: options.storage_budget });
    let answered_by = if hypopg.is_some() { "hypopg" } else { "none" };
    let (selector, selection) = match hypopg {
        Some(schema) => {
            let answerer = HypoPg::new(&mut explainer, &schema, &snapshot, &workload, &candidates);
            choose(selector, answerer, progress).await?
        }
        None => (selector, Selection::default()),
    };
    explainer.close().await;
    let assembly = Assembly {
        cx,
        candidates: &candidates,
        selection: &selection,
        selector: &selector,
        answered_by,
    };
    let (mut actions, more) = assemble::actions(&assembly);
    hold_back(&mut actions, &failed);
    let made_from = fingerprint(&snapshot);
    let plan = assemble::freeze(made_from, options.min_confidence, actions);
    let faults = lint(&plan);
    if !faults.is_empty() {
        return Err(OptimizeError::Faulty(faults));
    }
    let mut refused = [findings.refusals, selection.refusals.clone(), more].concat();
    refused.sort();
    refused.dedup();
    let notes = notes(&snapshot, answered_by, &candidates, &planned.stood_in);
    let reasons = [unanalyzed, planned.refused].concat();
    let statements = statements(&snapshot, &workload, &selection, &reasons, &planned.stood_in);
    let report = Report {
        format: FORMAT,
        server: server(&snapshot),
        run: run(&snapshot, &plan, answered_by, notes),
        statements,
        actions: plan
            .actions
            .iter()
            .map(|action| ActionReport::new(action, plan.passes(action)))
            .collect(),
        refused,
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
        WhatIfChoice::None => Ok(None),
        WhatIfChoice::Auto => Ok(installed),
        WhatIfChoice::HypoPg => match installed {
            Some(schema) => Ok(Some(schema)),
            None => Err(OptimizeError::NoHypoPg { database: snapshot.server.database.clone() }),
        },
    }
}

/// Analyzes every statement; those that cannot be are named with their reason, by position.
fn analyze(snapshot: &Snapshot) -> (Vec<Analyzed>, Vec<(usize, String)>) {
    let mut workload = Vec::new();
    let mut unanalyzed = Vec::new();
    for (position, statement) in snapshot.statements.iter().enumerate() {
        let repaired = statement::repair(&statement.text);
        match statement::analyze(&repaired.text, snapshot, &statement.search_path) {
            Ok(analysis) => workload.push(Analyzed {
                statement: position,
                analysis,
                text: repaired.text,
                bindings: Vec::new(),
                plans: Vec::new(),
            }),
            Err(Unanalyzable::NoTable | Unanalyzable::CatalogOnly) => {
                unanalyzed.push((position, "touches no table of this database".to_owned()));
            }
            Err(reason) => unanalyzed.push((position, reason.to_string())),
        }
    }
    (workload, unanalyzed)
}

/// What came of planning, by position in the snapshot.
#[derive(Default)]
struct Planned {
    /// Statements that the server refuses, with its reason.
    refused: Vec<(usize, String)>,
    /// Writes that a SELECT of the same rows stands in for.
    stood_in: BTreeSet<usize>,
}

/// Gives every statement bindings and a plan for each.
#[tracing::instrument(level = "debug", name = "plan", skip_all)]
async fn plan_all(
    explainer: &mut Explainer,
    snapshot: &Snapshot,
    workload: &mut [Analyzed],
    progress: &mut dyn FnMut(Event),
) -> Result<Planned, OptimizeError> {
    let lost =
        |source| OptimizeError::Postgres { action: "lost the server while planning", source };
    let total = workload.len();
    let mut planned = Planned::default();
    for (id, analyzed) in workload.iter_mut().enumerate() {
        progress(Event::Planning { done: id, total });
        let statement = &snapshot.statements[analyzed.statement];
        let given = analyzed.text.clone();
        let text =
            Text { id, label: &statement.id, text: &given, search_path: &statement.search_path };
        let types = match explainer.prepare(text).await.map_err(lost)? {
            Ok(types) => types,
            Err(reason) => {
                planned.refused.push((analyzed.statement, reason));
                continue;
            }
        };
        let mut failure = None;
        for binding in bindings::bind(&analyzed.analysis, statement, snapshot, &types) {
            match explainer.plan(text, &binding.values).await.map_err(lost)? {
                Ok(plan) => {
                    analyzed.bindings.push(binding);
                    analyzed.plans.push(Some(plan));
                }
                Err(reason) => failure = Some(reason),
            }
        }
        let (bindings, cost) = (analyzed.bindings.len(), analyzed.cost());
        tracing::debug!(statement = text.label, bindings, cost, "planned as things are");
        bindings::fit(&analyzed.analysis, statement, &mut analyzed.bindings, &analyzed.plans);
        if let Some(reason) = failure.filter(|_| analyzed.plans.is_empty()) {
            planned.refused.push((analyzed.statement, reason));
        } else if explainer.is_stood_in(id) {
            planned.stood_in.insert(analyzed.statement);
        }
    }
    explainer.leave().await.map_err(lost)?;
    Ok(planned)
}

#[tracing::instrument(level = "debug", name = "price", skip_all)]
async fn choose<'a>(
    mut selector: Selector<'a>,
    mut answerer: HypoPg<'_, 'a>,
    progress: &mut dyn FnMut(Event),
) -> Result<(Selector<'a>, Selection), OptimizeError> {
    let lost = |source| OptimizeError::Postgres { action: "lost the server while pricing", source };
    let mut answered = 0;
    let selection = loop {
        match selector.step() {
            Step::Ask(questions) => {
                let questions: Vec<Question> = questions;
                let answers = answerer
                    .answer(questions, &mut |done| {
                        progress(Event::Pricing { done: answered + done })
                    })
                    .await;
                let answers = answers.map_err(lost)?;
                answered += answers.len();
                tracing::debug!(answered, "questions answered");
                selector.feed(answers);
            }
            Step::Done(selection) => break *selection,
        }
    };
    answerer.finish().await.map_err(lost)?;
    Ok((selector, selection))
}

/// The snapshot's identity: all that the thinking rests on. The moment it was taken and how often tables and
/// indexes were scanned change with every look and change nothing else.
fn fingerprint(snapshot: &Snapshot) -> String {
    let mut still = snapshot.clone();
    still.server.taken_at = snapshot.intake.since.unwrap_or_default();
    for table in &mut still.tables {
        table.counters.seq_scan = 0;
        table.counters.idx_scan = 0;
        for index in &mut table.indexes {
            index.scans = 0;
        }
    }
    digest(&serde_json::to_string(&still).unwrap_or_default())
}

fn server(snapshot: &Snapshot) -> ServerReport {
    let indexes = || snapshot.tables.iter().flat_map(|table| &table.indexes);
    let heap: u64 = snapshot
        .tables
        .iter()
        .filter(|table| table.kind != rules::snapshot::TableKind::Partitioned)
        .map(|table| table.pages * 8192)
        .sum();
    ServerReport {
        version: snapshot.server.version.clone(),
        database: snapshot.server.database.clone(),
        role: snapshot.server.role.clone(),
        tables: snapshot.tables.len(),
        indexes: indexes().count(),
        bytes: heap + indexes().map(|index| index.bytes).sum::<u64>(),
    }
}

/// What else is worth knowing of a run, one sentence each.
fn notes(
    snapshot: &Snapshot,
    answered_by: &str,
    candidates: &[Candidate],
    stood_in: &BTreeSet<usize>,
) -> Vec<String> {
    let mut notes = snapshot.intake.notes.clone();
    if snapshot.server.read_only {
        notes.push(
            "this server is a standby, or read-only for this role: `--apply` needs the primary and a role that may write"
                .into(),
        );
    }
    if answered_by == "none" && !candidates.is_empty() {
        notes.push(
            "nobody priced the candidates: install HypoPG (CREATE EXTENSION hypopg) for verified recommendations".into(),
        );
    }
    if !stood_in.is_empty() {
        notes.push(format!(
            "{} may not write to some tables, so for {} of the INSERT, UPDATE and DELETE statements the SELECT of the \
             same rows was planned, which the server finds in the same way; no grant is needed for that",
            snapshot.server.role,
            stood_in.len()
        ));
    }
    notes
}

fn run(snapshot: &Snapshot, plan: &ChangePlan, answered_by: &str, notes: Vec<String>) -> RunReport {
    RunReport {
        pgwright: env!("CARGO_PKG_VERSION").to_owned(),
        snapshot: plan.made_from.clone(),
        what_if: answered_by.to_owned(),
        min_confidence: plan.min_confidence,
        source: snapshot.intake.source.clone(),
        days: (snapshot.days() * 1000.0).round() / 1000.0,
        observed_days: snapshot.observed_days().map(|days| (days * 1e6).round() / 1e6),
        seen: snapshot.intake.seen,
        kept_share: snapshot.intake.kept_share.map(|share| (share * 1000.0).round() / 1000.0),
        left_out: snapshot
            .intake
            .left_out
            .iter()
            .map(|(why, n)| (why.label().to_owned(), *n))
            .collect(),
        notes,
    }
}

fn statements(
    snapshot: &Snapshot,
    workload: &[Analyzed],
    selection: &Selection,
    reasons: &[(usize, String)],
    stood_in: &BTreeSet<usize>,
) -> Vec<StatementReport> {
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let place =
        |position: usize| workload.iter().position(|analyzed| analyzed.statement == position);
    snapshot
        .statements
        .iter()
        .enumerate()
        .map(|(position, statement)| {
            let analyzed = place(position);
            let cost = analyzed.and_then(|id| workload[id].cost());
            StatementReport {
                id: statement.id.clone(),
                text: statement::mask(&statement.text),
                calls: statement.calls,
                mean_ms: mean_ms(statement).map(round),
                ms_per_day: analyzed.map(|id| round(ms_per_day(snapshot, &workload[id]))),
                cost: cost.map(round),
                cost_after: analyzed
                    .and_then(|id| selection.costs.get(&id).copied())
                    .or(cost)
                    .map(round),
                unanalyzed: reasons
                    .iter()
                    .find(|(at, _)| *at == position)
                    .map(|(_, why)| why.clone()),
                planned_as: stood_in
                    .contains(&position)
                    .then(|| "a SELECT of the same rows".to_owned()),
            }
        })
        .collect()
}
