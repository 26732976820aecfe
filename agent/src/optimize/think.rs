//! Analysis, plans, candidates, prices, choice: the thinking, with a planner at hand.

use std::collections::BTreeSet;

use rules::assemble::{self, Assembly};
use rules::bindings;
use rules::candidate::{Candidate, Change, Refusal};
use rules::change_plan::Action;
use rules::context::{Analyzed, Context};
use rules::generic;
use rules::report::StatementReport;
use rules::select::{Selection, Selector, Step, Task};
use rules::snapshot::Snapshot;
use rules::statement::{self, Unanalyzable};
use rules::whatif::{Answer, Answerer, Question};

use super::report::{TwinReport, statements};
use super::{Event, OptimizeError, Options};
use crate::explain::{Explainer, Text};
use crate::postgres::PgError;
use crate::twin::Twin;
use crate::whatif;
use crate::whatif::hypopg::HypoPg;
use crate::whatif::twin::TwinWhatIf;

/// The planner that is asked.
pub(super) enum Planner<'p> {
    /// Nobody prices; plans as things are come from this session.
    Bare(&'p mut Explainer),
    /// The server's own planner, with HypoPG in this schema.
    Hypopg(&'p mut Explainer, String),
    /// A planner twin, and a session of it.
    Twin(&'p mut Explainer, &'p mut Twin),
}

impl Planner<'_> {
    /// Who answers.
    pub(super) fn answerer(&self) -> Answerer {
        match self {
            Self::Bare(_) => Answerer::None,
            Self::Hypopg(..) => Answerer::Hypopg,
            Self::Twin(..) => Answerer::Twin,
        }
    }

    /// Major version of a planner that is not the server's own.
    fn version(&self) -> Option<u32> {
        match self {
            Self::Bare(_) | Self::Hypopg(..) => None,
            Self::Twin(_, twin) => Some(twin.cluster().binaries().major),
        }
    }

    /// What plans statements as things are.
    fn explainer(&mut self) -> &mut Explainer {
        match self {
            Self::Bare(explainer) | Self::Hypopg(explainer, _) | Self::Twin(explainer, _) => {
                explainer
            }
        }
    }
}

/// What thinking came to.
pub(super) struct Thought {
    /// Who answered.
    pub(super) answerer: Answerer,
    /// Whether there was anything to price.
    pub(super) candidates: bool,
    /// The actions, most urgent first.
    pub(super) actions: Vec<Action>,
    /// What was refused.
    pub(super) refused: Vec<Refusal>,
    /// The statements, as the report shows them.
    pub(super) statements: Vec<StatementReport>,
    /// How many writes a SELECT of the same rows stood in for.
    pub(super) stood_in: usize,
    /// How many statements this role must not plan.
    pub(super) withheld: usize,
    /// Whether there were indexes that this planner cannot price.
    pub(super) beyond: bool,
    /// What is to be said of the twin, where one answered.
    pub(super) twin: Option<TwinReport>,
    /// Statements that the server itself was asked to plan, or that were part of asking.
    pub(super) planned_on_server: u64,
}

/// Thinks a snapshot through with one planner.
pub(super) async fn think(
    snapshot: &Snapshot,
    mut planner: Planner<'_>,
    options: &Options,
    progress: &mut dyn FnMut(Event),
) -> Result<Thought, OptimizeError> {
    let answerer = planner.answerer();
    let other_version =
        planner.version().filter(|major| *major != snapshot.server.version_num / 10_000);
    let (mut workload, mut unanalyzed) = analyze(snapshot);
    if answerer == Answerer::Twin {
        workload.retain(|analyzed| {
            let reason = whatif::twin::refusal(snapshot, analyzed);
            let taken = reason.is_none();
            unanalyzed.extend(reason.map(|reason| (analyzed.statement, reason)));
            taken
        });
    }
    let planned = plan_all(planner.explainer(), snapshot, &mut workload, progress).await?;
    let withheld = planner.explainer().withheld();
    let cx = Context { snapshot, workload: &workload };
    let findings = rules::propose(&cx);
    let candidates = findings.candidates;
    let storage_budget = options.storage_budget;
    let selector = Selector::new(Task { cx, candidates: &candidates, storage_budget, answerer });
    let (selector, selection) = match &mut planner {
        Planner::Bare(_) => (selector, Selection::default()),
        Planner::Hypopg(explainer, schema) => {
            let hypopg = HypoPg::new(explainer, schema, snapshot, &workload, &candidates);
            choose(selector, Pricing::Hypopg(hypopg), &cx, progress).await?
        }
        Planner::Twin(_, twin) => {
            let twin = TwinWhatIf::new(twin, snapshot, &workload, &candidates).await?;
            choose(selector, Pricing::Twin(twin), &cx, progress).await?
        }
    };
    let assembly = Assembly {
        cx,
        candidates: &candidates,
        selection: &selection,
        selector: &selector,
        answerer,
        other_version,
    };
    let (actions, more) = assemble::actions(&assembly);
    let mut refused = [findings.refusals, selection.refusals.clone(), more].concat();
    refused.sort();
    refused.dedup();
    let reasons = [unanalyzed, planned.refused].concat();
    let beyond = |candidate: &Candidate| match &candidate.change {
        Change::CreateIndex { definition, .. } => answerer.refuses(&definition.method).is_some(),
        _ => false,
    };
    Ok(Thought {
        answerer,
        candidates: !candidates.is_empty(),
        actions,
        refused,
        statements: statements(snapshot, &workload, &selection, &reasons, &planned.stood_in),
        stood_in: planned.stood_in.len(),
        withheld,
        beyond: candidates.iter().any(beyond),
        twin: None,
        planned_on_server: 0,
    })
}

fn lost(source: PgError) -> OptimizeError {
    OptimizeError::Postgres { action: "lost the server while pricing", source }
}

/// One run of questions and answers.
enum Pricing<'e, 'a> {
    /// HypoPG answers.
    Hypopg(HypoPg<'e, 'a>),
    /// A planner twin answers.
    Twin(TwinWhatIf<'e, 'a>),
}

impl Pricing<'_, '_> {
    async fn answer(
        &mut self,
        questions: Vec<Question>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<(Question, Answer)>, OptimizeError> {
        match self {
            Self::Hypopg(hypopg) => hypopg.answer(questions, progress).await.map_err(lost),
            Self::Twin(twin) => Ok(twin.answer(questions, progress).await?),
        }
    }

    async fn finish(self) -> Result<(), OptimizeError> {
        match self {
            Self::Hypopg(hypopg) => hypopg.finish().await.map_err(lost),
            Self::Twin(twin) => Ok(twin.finish().await?),
        }
    }
}

/// Analyzes every statement; those that cannot be are named with their reason, by position.
pub(super) fn analyze(snapshot: &Snapshot) -> (Vec<Analyzed>, Vec<(usize, String)>) {
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
pub(super) struct Planned {
    /// Statements that the server refuses, with its reason.
    pub(super) refused: Vec<(usize, String)>,
    /// Writes that a SELECT of the same rows stands in for.
    stood_in: BTreeSet<usize>,
}

/// Gives every statement bindings and a plan for each.
#[tracing::instrument(level = "debug", name = "plan", skip_all)]
pub(super) async fn plan_all(
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
        let text = Text {
            id,
            label: &statement.id,
            text: &given,
            search_path: &statement.search_path,
            settings: &statement.settings,
        };
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
        if !types.is_empty()
            && !analyzed.plans.is_empty()
            && let Ok(plan) = explainer.plan_generic(text).await.map_err(lost)?
        {
            analyzed.bindings.push(generic::binding());
            analyzed.plans.push(Some(plan));
        }
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
    mut pricing: Pricing<'_, 'a>,
    cx: &Context<'_>,
    progress: &mut dyn FnMut(Event),
) -> Result<(Selector<'a>, Selection), OptimizeError> {
    let mut answered = 0;
    let selection = loop {
        match selector.step() {
            Step::Ask(questions) => {
                let answers = pricing
                    .answer(questions, &mut |done| {
                        progress(Event::Pricing { done: answered + done })
                    })
                    .await;
                let answers = answers?;
                answered += answers.len();
                tracing::debug!(answered, "questions answered");
                selector.feed(answers);
            }
            Step::Done(selection) => break *selection,
        }
    };
    let questions = generic::questions(&selector, cx, &selection);
    if !questions.is_empty() {
        selector.feed(pricing.answer(questions, &mut |_| {}).await?);
    }
    pricing.finish().await?;
    Ok((selector, selection))
}
