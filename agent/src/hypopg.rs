//! The what-if answerer that asks the server itself, through the extension HypoPG.
//!
//! Hypothetical indexes live in one backend's memory only: nobody else sees them, nothing is written. They are
//! made anew for every configuration, few at a time, so that the extension never runs out of numbers for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rules::candidate::{Candidate, Change};
use rules::context::Analyzed;
use rules::snapshot::{Snapshot, TableKind};
use rules::whatif::{Answer, Cache, Configuration, Price, Question};

use crate::explain::{Explainer, Text, millis};
use crate::postgres::PgError;

/// Hypothetical indexes that exist at once; the extension's numbers for them are few (about 2,500 without
/// `hypopg.use_real_oids`, documentation of HypoPG).
const AT_ONCE: usize = 64;

/// Questions that are asked about the same hypothetical indexes.
#[derive(Debug)]
struct Batch {
    cache: Cache,
    present: Configuration,
    /// Tables whose hypothetical indexes are settled, even where there are none.
    tables: BTreeSet<u32>,
    questions: Vec<Question>,
}

impl Batch {
    fn of(question: Question, tables: &BTreeSet<u32>) -> Self {
        let present = question.configuration.clone();
        Self { cache: question.cache, present, tables: tables.clone(), questions: vec![question] }
    }

    fn add(&mut self, question: Question, tables: &BTreeSet<u32>) {
        self.present.extend(&question.configuration);
        self.tables.extend(tables);
        self.questions.push(question);
    }
}

/// Answers what-if questions by HypoPG.
#[derive(Debug)]
pub struct HypoPg<'e, 'a> {
    explainer: &'e mut Explainer,
    schema: String,
    snapshot: &'a Snapshot,
    workload: &'a [Analyzed],
    candidates: &'a [Candidate],
    /// The tables that a statement reads, and the partitions below and above them.
    tables: Vec<BTreeSet<u32>>,
    present: Option<(Configuration, Cache)>,
    names: BTreeMap<String, usize>,
    refused: BTreeMap<usize, String>,
}

impl<'e, 'a> HypoPg<'e, 'a> {
    /// Uses the extension in `schema` on the explainer's session.
    pub fn new(
        explainer: &'e mut Explainer,
        schema: &str,
        snapshot: &'a Snapshot,
        workload: &'a [Analyzed],
        candidates: &'a [Candidate],
    ) -> Self {
        Self {
            explainer,
            schema: rules::quote::ident(schema),
            snapshot,
            workload,
            candidates,
            tables: workload.iter().map(|analyzed| family(snapshot, analyzed)).collect(),
            present: None,
            names: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Answers all questions; those that do not get in each other's way together.
    pub async fn answer(
        &mut self,
        questions: Vec<Question>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<(Question, Answer)>, PgError> {
        let mut answers = Vec::with_capacity(questions.len());
        for batch in self.batches(questions) {
            for question in batch.questions {
                self.establish(&batch.present, question.cache).await?;
                let mut answer = self.price(&question).await?;
                // A table that the statement does not name, as behind a row security policy.
                let strange = |price: &Price| !price.used.is_subset(&question.configuration);
                if answer.as_ref().is_ok_and(strange) {
                    self.establish(&question.configuration, question.cache).await?;
                    answer = self.price(&question).await?;
                }
                answers.push((question, answer));
                progress(answers.len());
            }
        }
        Ok(answers)
    }

    /// Puts questions together whose configurations can exist at once: on the tables of each one's statement
    /// there is exactly what it asks about.
    fn batches(&self, mut questions: Vec<Question>) -> Vec<Batch> {
        let path = |q: &Question| &self.workload[q.statement].of(self.snapshot).search_path;
        questions
            .sort_by(|a, b| (a.cache, &a.configuration, a).cmp(&(b.cache, &b.configuration, b)));
        let mut batches: Vec<Batch> = Vec::new();
        let mut open = 0;
        for question in questions {
            if batches.get(open).is_some_and(|batch| batch.cache != question.cache) {
                open = batches.len();
            }
            let tables = &self.tables[question.statement];
            let on = |all: &Configuration, tables: &BTreeSet<u32>| -> Configuration {
                let table = |c: &usize| self.candidates[*c].change.table();
                all.iter().copied().filter(|c| tables.contains(&table(c))).collect()
            };
            let fits = |batch: &&mut Batch| {
                on(&batch.present, tables) == on(&question.configuration, &batch.tables)
                    && batch.present.union(&question.configuration).count() <= AT_ONCE
            };
            if let Some(batch) = batches[open..].iter_mut().find(fits) {
                batch.add(question, tables);
            } else {
                batches.push(Batch::of(question, tables));
            }
        }
        for batch in &mut batches {
            batch.questions.sort_by(|a, b| (path(a), a).cmp(&(path(b), b)));
        }
        batches
    }

    /// Makes exactly the indexes of a configuration exist hypothetically.
    async fn establish(
        &mut self,
        configuration: &Configuration,
        cache: Cache,
    ) -> Result<(), PgError> {
        if self.present.as_ref().is_some_and(|(c, k)| c == configuration && *k == cache) {
            return Ok(());
        }
        let since = Instant::now();
        self.present = None;
        self.names.clear();
        self.explainer.leave().await?;
        let cache_size = match cache {
            Cache::Tiny => "8MB".to_owned(),
            Cache::AsSet => self
                .snapshot
                .settings
                .get("effective_cache_size")
                .cloned()
                .unwrap_or_else(|| "4GB".into()),
        };
        let empty = format!(
            "SELECT {}.hypopg_reset(), pg_catalog.set_config('effective_cache_size', $1, false)",
            self.schema
        );
        self.explainer.session().query(&empty, &[&cache_size]).await?;
        let wanted: Vec<(usize, String)> = configuration
            .iter()
            .filter(|candidate| !self.refused.contains_key(candidate))
            .flat_map(|&c| self.statements(c).into_iter().map(move |statement| (c, statement)))
            .collect();
        self.create(&wanted).await?;
        let (indexes, ms) = (self.names.len(), millis(since));
        tracing::debug!(indexes, ?cache, ms, "hypothetical indexes made");
        self.present = Some((configuration.clone(), cache));
        Ok(())
    }

    /// Makes hypothetical indexes, all at once; one by one where one of them is refused.
    async fn create(&mut self, wanted: &[(usize, String)]) -> Result<(), PgError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let create = format!(
            "SELECT made.indexname::text FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS wanted(statement, place), \
             LATERAL {}.hypopg_create_index(wanted.statement) AS made ORDER BY wanted.place",
            self.schema
        );
        let session = self.explainer.session();
        let statements: Vec<&str> = wanted.iter().map(|(_, statement)| &**statement).collect();
        match session.query(&create, &[&statements]).await {
            Ok(rows) => {
                for ((candidate, _), row) in wanted.iter().zip(rows) {
                    self.names.insert(row.try_get(0)?, *candidate);
                }
                return Ok(());
            }
            Err(error) if error.is_lost() => return Err(error),
            Err(_) => {}
        }
        session.query(&format!("SELECT {}.hypopg_reset()", self.schema), &[]).await?;
        for (candidate, statement) in wanted {
            match session.query(&create, &[&[statement.as_str()].as_slice()]).await {
                Ok(rows) => {
                    for row in rows {
                        self.names.insert(row.try_get(0)?, *candidate);
                    }
                }
                Err(error) if error.is_lost() => return Err(error),
                Err(error) => {
                    tracing::debug!(candidate, sqlstate = error.sqlstate(), "HypoPG refuses it");
                    self.refused.insert(*candidate, error.to_string());
                }
            }
        }
        Ok(())
    }

    /// The hypothetical definitions of a candidate: on a partitioned table one for each leaf, since only leaves
    /// are scanned.
    fn statements(&self, candidate: usize) -> Vec<String> {
        let Change::CreateIndex { table, definition } = &self.candidates[candidate].change else {
            return Vec::new();
        };
        let mut statements = Vec::new();
        let mut below = vec![*table];
        while let Some(oid) = below.pop() {
            let Some(table) = self.snapshot.table(oid) else { continue };
            if table.kind == TableKind::Partitioned {
                below.extend(
                    self.snapshot
                        .tables
                        .iter()
                        .filter(|t| t.partition_of == Some(oid))
                        .map(|t| t.oid),
                );
            } else if table.kind != TableKind::Foreign {
                let mut leaf = definition.clone();
                leaf.schema.clone_from(&table.schema);
                leaf.table.clone_from(&table.name);
                statements.push(leaf.hypothetical());
            }
        }
        statements
    }

    async fn price(&mut self, question: &Question) -> Result<Answer, PgError> {
        let reason = |candidate: &usize| self.refused.get(candidate);
        if let Some(reason) = question.configuration.first().and_then(reason)
            && question.configuration.iter().all(|c| self.refused.contains_key(c))
        {
            return Ok(Err(reason.clone()));
        }
        let analyzed = &self.workload[question.statement];
        let statement = analyzed.of(self.snapshot);
        let text = Text {
            id: question.statement,
            label: &statement.id,
            text: &analyzed.text,
            search_path: &statement.search_path,
        };
        let values = &analyzed.bindings[question.binding].values;
        Ok(self.explainer.plan(text, values).await?.map(|plan| {
            let used: BTreeSet<usize> = plan
                .indexes_used()
                .iter()
                .filter_map(|name| self.names.get(name.as_str()).copied())
                .collect();
            Price { plan, used }
        }))
    }

    /// Leaves the backend as it was.
    pub async fn finish(self) -> Result<(), PgError> {
        self.explainer.leave().await?;
        self.explainer
            .session()
            .query(&format!("SELECT {}.hypopg_reset()", self.schema), &[])
            .await?;
        Ok(())
    }
}

/// The tables that a statement reads, with what is partitioned into them and what they are partitions of: an
/// index of a partitioned table is tried on the partitions.
fn family(snapshot: &Snapshot, analyzed: &Analyzed) -> BTreeSet<u32> {
    let mut family: BTreeSet<u32> = analyzed.analysis.relations.iter().map(|r| r.table).collect();
    let partitions = || snapshot.tables.iter().filter_map(|t| Some((t.oid, t.partition_of?)));
    loop {
        let more: Vec<u32> = partitions()
            .filter(|(leaf, parent)| family.contains(leaf) != family.contains(parent))
            .flat_map(|(leaf, parent)| [leaf, parent])
            .collect();
        if more.is_empty() {
            return family;
        }
        family.extend(more);
    }
}
