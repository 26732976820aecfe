//! The what-if answerer that asks a planner twin.
//!
//! Every candidate is a real index there, made when it is first asked about and as long as it would be; a
//! configuration is a matter of which indexes count as valid (`pg_index.indisvalid`), so changing it takes about a
//! millisecond, and an existing index can be out of it as well.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::future::try_join_all;
use rules::candidate::{Candidate, Change};
use rules::context::Analyzed;
use rules::index::IndexDefinition;
use rules::snapshot::{Snapshot, Table, TableKind};
use rules::whatif::{Answer, Cache, Configuration, Price, Question};

use super::{Batch, World};
use crate::explain::{Explainer, Text};
use crate::twin::{Database, Trial, Twin, TwinError};

/// A batch may hold any number of candidates; they exist anyway.
const AT_ONCE: usize = usize::MAX;

/// The names of indexes on trial begin so; the candidate's number follows.
const TRIAL: &str = "pgwright_whatif_";

/// The candidate that an index on trial stands for, by the name that plans show.
pub fn candidate_of(index: &str) -> Option<usize> {
    index.strip_prefix(TRIAL)?.split('_').next()?.parse().ok()
}

/// Prices by statement, binding, cache, and what of the configuration is on the statement's tables.
type Known = BTreeMap<(usize, usize, Cache, Configuration), Answer>;

/// One connection that plans.
#[derive(Debug)]
struct Worker {
    explainer: Explainer,
    cache: Option<Cache>,
}

/// Answers what-if questions by a twin.
#[derive(Debug)]
pub struct TwinWhatIf<'t, 'a> {
    twin: &'t mut Twin,
    world: World<'a>,
    workers: Vec<Worker>,
    /// The names of a candidate's indexes.
    made: BTreeMap<usize, BTreeSet<String>>,
    refused: BTreeMap<usize, String>,
    known: Known,
    /// Statements of our own that were planned.
    asides: usize,
}

impl<'t, 'a> TwinWhatIf<'t, 'a> {
    /// Plans on as many connections as the twin has databases.
    pub async fn new(
        twin: &'t mut Twin,
        snapshot: &'a Snapshot,
        workload: &'a [Analyzed],
        candidates: &'a [Candidate],
    ) -> Result<Self, TwinError> {
        let mut workers = Vec::new();
        for worker in 0..twin.workers() {
            workers.push(Worker { explainer: twin.explainer(worker).await?, cache: None });
        }
        Ok(Self {
            twin,
            world: World::new(snapshot, workload, candidates),
            workers,
            made: BTreeMap::new(),
            refused: BTreeMap::new(),
            known: BTreeMap::new(),
            asides: 0,
        })
    }

    /// Answers all questions, as many at a time as there are connections.
    pub async fn answer(
        &mut self,
        questions: Vec<Question>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<(Question, Answer)>, TwinError> {
        let fresh: BTreeSet<Question> = questions
            .iter()
            .map(|question| self.canonical(question))
            .filter(|question| !self.known.contains_key(&key(question)))
            .collect();
        let done = Cell::new(questions.len() - fresh.len());
        self.make(&fresh).await?;
        let batches = self.world.batches(fresh.into_iter().collect(), AT_ONCE);
        let queue = RefCell::new(VecDeque::from(batches));
        let progress = RefCell::new(progress);
        let tell = || {
            done.set(done.get() + 1);
            progress.borrow_mut()(done.get());
        };
        let Self { twin, world, workers, made, refused, .. } = self;
        let view = View { world, made, refused };
        let work = workers.iter_mut().zip(twin.databases()).map(|(worker, database)| {
            let (queue, view, tell) = (&queue, &view, &tell);
            async move {
                let mut answers = Vec::new();
                loop {
                    let next = queue.borrow_mut().pop_front();
                    let Some(batch) = next else { return Ok::<_, TwinError>(answers) };
                    answers.extend(view.work(worker, database, batch, tell).await?);
                }
            }
        });
        let answers: Vec<Vec<(Question, Answer)>> = try_join_all(work).await?;
        let answers =
            answers.into_iter().flatten().map(|(question, answer)| (key(&question), answer));
        self.known.extend(answers);
        let answered = questions.into_iter().map(|question| {
            let answer = self.known[&key(&self.canonical(&question))].clone();
            (question, answer)
        });
        Ok(answered.collect())
    }

    /// The same question without what cannot matter to it.
    fn canonical(&self, question: &Question) -> Question {
        let tables = &self.world.tables[question.statement];
        let configuration = self.world.on(&question.configuration, tables);
        Question { configuration, ..question.clone() }
    }

    /// Makes the indexes of all candidates that are asked about for the first time.
    async fn make(&mut self, questions: &BTreeSet<Question>) -> Result<(), TwinError> {
        let asked = questions.iter().flat_map(|question| question.configuration.iter().copied());
        let fresh: BTreeSet<usize> =
            asked.filter(|candidate| !self.made.contains_key(candidate)).collect();
        let mut trials = Vec::new();
        for candidate in fresh {
            let made = self.made.entry(candidate).or_default();
            for (place, (table, definition)) in self.world.leaves(candidate).into_iter().enumerate()
            {
                let name = format!("{TRIAL}{candidate}_{place}");
                made.insert(name.clone());
                self.asides += 1;
                let explainer = &mut self.workers[0].explainer;
                let rows = rows(explainer, usize::MAX - self.asides, table, &definition).await?;
                trials.push((
                    candidate,
                    Trial::new(self.world.snapshot, table, definition, name, rows),
                ));
            }
        }
        if trials.is_empty() {
            return Ok(());
        }
        for worker in &mut self.workers {
            worker.explainer.leave().await.map_err(TwinError::doing("price"))?;
        }
        let (owners, trials): (Vec<usize>, Vec<Trial>) = trials.into_iter().unzip();
        let outcomes = self.twin.make(&trials).await?;
        for (candidate, outcome) in owners.into_iter().zip(outcomes) {
            if let Err(reason) = outcome {
                tracing::debug!(candidate, "the twin refuses it");
                self.refused.insert(candidate, reason);
            }
        }
        Ok(())
    }

    /// Leaves the twin with the indexes that the source has.
    pub async fn finish(self) -> Result<(), TwinError> {
        for database in self.twin.databases() {
            database.switch(&BTreeSet::new(), &BTreeSet::new()).await?;
        }
        for worker in self.workers {
            worker.explainer.close().await;
        }
        Ok(())
    }
}

/// Why a twin cannot plan a statement that an ordinary server can: it reads a foreign table, also as a partition of
/// another, whose cost only the other server knows.
pub fn refusal(snapshot: &Snapshot, analyzed: &Analyzed) -> Option<String> {
    let mut read: BTreeSet<u32> = BTreeSet::new();
    let mut below: Vec<u32> = analyzed.analysis.relations.iter().map(|r| r.table).collect();
    while let Some(oid) = below.pop() {
        if read.insert(oid) {
            let parts = snapshot.tables.iter().filter(|table| table.partition_of == Some(oid));
            below.extend(parts.map(|table| table.oid));
        }
    }
    let foreign = read.iter().filter_map(|table| snapshot.table(*table));
    let foreign = foreign.filter(|table| table.kind == TableKind::Foreign).map(Table::qualified);
    let names: Vec<String> = foreign.collect();
    (!names.is_empty()).then(|| {
        format!(
            "it reads from another server ({}), and the planner twin cannot ask that one",
            names.join(", ")
        )
    })
}

fn key(question: &Question) -> (usize, usize, Cache, Configuration) {
    let Question { statement, binding, configuration, cache } = question;
    (*statement, *binding, *cache, configuration.clone())
}

/// How many rows a partial index would hold, by the planner's own estimate.
async fn rows(
    explainer: &mut Explainer,
    id: usize,
    table: &Table,
    definition: &IndexDefinition,
) -> Result<Option<f64>, TwinError> {
    let Some(predicate) = &definition.predicate else { return Ok(None) };
    let sql = format!("SELECT FROM {} WHERE ({predicate})", table.qualified());
    let settings = &BTreeMap::new();
    let text = Text { id, label: "partial index", text: &sql, search_path: &[], settings };
    let plan = explainer.plan(text, &[]).await.map_err(TwinError::doing("price"))?;
    Ok(plan.ok().map(|plan| plan.rows()))
}

/// What all connections go by.
struct View<'v, 'a> {
    world: &'v World<'a>,
    made: &'v BTreeMap<usize, BTreeSet<String>>,
    refused: &'v BTreeMap<usize, String>,
}

impl View<'_, '_> {
    async fn work(
        &self,
        worker: &mut Worker,
        database: &mut Database,
        batch: Batch,
        tell: &impl Fn(),
    ) -> Result<Vec<(Question, Answer)>, TwinError> {
        let mut answers = Vec::with_capacity(batch.questions.len());
        for question in batch.questions {
            self.establish(worker, database, &batch.present, question.cache).await?;
            let mut answer = self.price(worker, &question).await?;
            // A table that the statement does not name, as behind a row security policy.
            let strange = |price: &Price| !price.used.is_subset(&question.configuration);
            if answer.as_ref().is_ok_and(strange) {
                self.establish(worker, database, &question.configuration, question.cache).await?;
                answer = self.price(worker, &question).await?;
            }
            answers.push((question, answer));
            tell();
        }
        Ok(answers)
    }

    /// Makes the planner see exactly the indexes of a configuration.
    async fn establish(
        &self,
        worker: &mut Worker,
        database: &mut Database,
        configuration: &Configuration,
        cache: Cache,
    ) -> Result<(), TwinError> {
        let failed = TwinError::doing("price");
        let taken =
            || configuration.iter().filter(|candidate| !self.refused.contains_key(candidate));
        let on = taken().filter_map(|candidate| self.made.get(candidate)).flatten().cloned();
        let off = taken().flat_map(|&candidate| self.gone(candidate));
        if database.switch(&on.collect(), &off.collect()).await? {
            worker.explainer.leave().await.map_err(&failed)?;
        }
        if worker.cache != Some(cache) {
            worker.explainer.leave().await.map_err(&failed)?;
            let set = "SELECT pg_catalog.set_config('effective_cache_size', $1, false)";
            let size = self.world.cache_size(cache);
            worker.explainer.session().query(set, &[&size]).await.map_err(&failed)?;
            worker.cache = Some(cache);
        }
        Ok(())
    }

    /// The existing indexes that a candidate takes away: one, or all parts of a partitioned one.
    fn gone(&self, candidate: usize) -> BTreeSet<(String, String)> {
        let Change::DropIndex { index, .. } = &self.world.candidates[candidate].change else {
            return BTreeSet::new();
        };
        let all = || self.world.snapshot.tables.iter().flat_map(|table| &table.indexes);
        let mut gone = BTreeSet::from([(index.schema.clone(), index.name.clone())]);
        let mut below = vec![index.oid];
        while let Some(oid) = below.pop() {
            for part in all().filter(|part| part.partition_of == Some(oid)) {
                gone.insert((part.schema.clone(), part.name.clone()));
                below.push(part.oid);
            }
        }
        gone
    }

    async fn price(&self, worker: &mut Worker, question: &Question) -> Result<Answer, TwinError> {
        let reason = |candidate: &usize| self.refused.get(candidate);
        if let Some(reason) = question.configuration.first().and_then(reason)
            && question.configuration.iter().all(|c| self.refused.contains_key(c))
        {
            return Ok(Err(reason.clone()));
        }
        let (text, values) = self.world.text(question);
        let planned =
            worker.explainer.plan(text, values).await.map_err(TwinError::doing("price"))?;
        if planned.is_err() {
            // The session may be another one now, with its own settings.
            worker.cache = None;
        }
        Ok(planned.map(|plan| {
            let names = plan.indexes_used();
            let uses = |candidate: &&usize| {
                self.made.get(candidate).is_some_and(|made| !made.is_disjoint(&names))
            };
            let used = self.made.keys().filter(uses).copied().collect();
            Price { plan, used }
        }))
    }
}
