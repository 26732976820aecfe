//! The what-if answerer that asks the server itself, through the extension HypoPG.
//!
//! Hypothetical indexes live in one backend's memory only: nobody else sees them, nothing is written. They are
//! made anew for every configuration, few at a time, so that the extension never runs out of numbers for them.

use std::collections::{BTreeMap, BTreeSet};

use rules::candidate::{Candidate, Change};
use rules::context::Analyzed;
use rules::snapshot::{Snapshot, TableKind};
use rules::whatif::{Answer, Cache, Configuration, Price, Question};

use crate::explain::{Explainer, Text};
use crate::postgres::PgError;

/// Answers what-if questions by HypoPG.
#[derive(Debug)]
pub struct HypoPg<'e, 'a> {
    explainer: &'e mut Explainer,
    schema: String,
    snapshot: &'a Snapshot,
    workload: &'a [Analyzed],
    candidates: &'a [Candidate],
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
            present: None,
            names: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// Answers all questions; those of one configuration together.
    pub async fn answer(
        &mut self,
        mut questions: Vec<Question>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<(Question, Answer)>, PgError> {
        questions
            .sort_by(|a, b| (&a.configuration, a.cache, a).cmp(&(&b.configuration, b.cache, b)));
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            self.establish(&question.configuration, question.cache).await?;
            let answer = self.price(&question).await?;
            answers.push((question, answer));
            progress(answers.len());
        }
        Ok(answers)
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
        self.present = None;
        self.names.clear();
        self.explainer.leave().await?;
        let session = self.explainer.session();
        session.query(&format!("SELECT {}.hypopg_reset()", self.schema), &[]).await?;
        let cache_size = match cache {
            Cache::Tiny => "8MB".to_owned(),
            Cache::AsSet => self
                .snapshot
                .settings
                .get("effective_cache_size")
                .cloned()
                .unwrap_or_else(|| "4GB".into()),
        };
        session
            .query(
                "SELECT pg_catalog.set_config('effective_cache_size', $1, false)",
                &[&cache_size],
            )
            .await?;
        let create = format!("SELECT indexname::text FROM {}.hypopg_create_index($1)", self.schema);
        for &candidate in configuration {
            for statement in self.statements(candidate) {
                match session.query_one(&create, &[&statement]).await {
                    Ok(row) => {
                        let name: String = row.try_get(0)?;
                        self.names.insert(name, candidate);
                    }
                    Err(error) if error.is_lost() => return Err(error),
                    Err(error) => {
                        self.refused.insert(candidate, error.to_string());
                    }
                }
            }
        }
        self.present = Some((configuration.clone(), cache));
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
        if let Some((_, reason)) =
            self.refused.iter().find(|(candidate, _)| question.configuration.contains(candidate))
        {
            return Ok(Err(reason.clone()));
        }
        let analyzed = &self.workload[question.statement];
        let statement = analyzed.of(self.snapshot);
        let text = Text {
            id: question.statement,
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
