//! The what-if answerer that asks the server itself, through the extension HypoPG.
//!
//! Hypothetical indexes live in one backend's memory only: nobody else sees them, nothing is written. They are
//! made anew for every configuration, few at a time, so that the extension never runs out of numbers for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rules::candidate::Candidate;
use rules::context::Analyzed;
use rules::index::{IndexDefinition, Term};
use rules::snapshot::Snapshot;
use rules::whatif::{Answer, Cache, Configuration, Price, Question};

use super::World;
use crate::explain::{Explainer, millis};
use crate::postgres::PgError;

/// Hypothetical indexes that exist at once; the extension's numbers for them are few (about 2,500 without
/// `hypopg.use_real_oids`, documentation of HypoPG).
const AT_ONCE: usize = 64;

/// Answers what-if questions by HypoPG.
#[derive(Debug)]
pub struct HypoPg<'e, 'a> {
    explainer: &'e mut Explainer,
    schema: String,
    world: World<'a>,
    /// What exists, and in which backend: a new one has nothing.
    present: Option<(Configuration, Cache, i32)>,
    names: BTreeMap<String, usize>,
    refused: BTreeMap<usize, String>,
}

/// Why such an index is not asked for.
const CUT: &str =
    "HypoPG would cut the name of this index within a character; `--what-if twin` can price it";

/// Whether HypoPG would cut the index's name within a character: it takes the first 63 bytes of oid, method, schema,
/// table and columns, and neither its answers nor plans would be text any more. Source: `hypo_set_indexname` of HypoPG,
/// whose oids have five digits (below `FirstNormalObjectId`) unless `hypopg.use_real_oids` is on.
fn is_cut(definition: &IndexDefinition) -> bool {
    let keys = definition.keys.iter().map(|key| match &key.term {
        Term::Column(name) => name.as_str(),
        Term::Expression(_) => "expr",
    });
    let IndexDefinition { method, schema, table, .. } = definition;
    let keys = keys.collect::<Vec<_>>().join("_");
    let name = format!("<12345>{method}_{schema}_{table}_{keys}");
    !name.is_char_boundary(name.len().min(63))
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
            world: World::new(snapshot, workload, candidates),
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
        for batch in self.world.batches(questions, AT_ONCE) {
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

    /// Makes exactly the indexes of a configuration exist hypothetically.
    async fn establish(
        &mut self,
        configuration: &Configuration,
        cache: Cache,
    ) -> Result<(), PgError> {
        let backend = self.explainer.session().backend_pid();
        let there = |(c, k, b): &(Configuration, Cache, i32)| {
            c == configuration && *k == cache && *b == backend
        };
        if self.present.as_ref().is_some_and(there) {
            return Ok(());
        }
        let since = Instant::now();
        self.present = None;
        self.names.clear();
        self.explainer.leave().await?;
        let cache_size = self.world.cache_size(cache);
        let empty = format!(
            "SELECT {}.hypopg_reset(), pg_catalog.set_config('effective_cache_size', $1, false)",
            self.schema
        );
        self.explainer.session().query(&empty, &[&cache_size]).await?;
        for &candidate in configuration {
            if self.world.leaves(candidate).iter().any(|(_, definition)| is_cut(definition)) {
                self.refused.insert(candidate, CUT.to_owned());
            }
        }
        let wanted: Vec<(usize, String)> = configuration
            .iter()
            .filter(|candidate| !self.refused.contains_key(candidate))
            .flat_map(|&c| {
                let leaves = self.world.leaves(c);
                leaves.into_iter().map(move |(_, definition)| (c, definition.hypothetical()))
            })
            .collect();
        self.create(&wanted).await?;
        let (indexes, ms) = (self.names.len(), millis(since));
        tracing::debug!(indexes, ?cache, ms, "hypothetical indexes made");
        self.present = Some((configuration.clone(), cache, backend));
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

    async fn price(&mut self, question: &Question) -> Result<Answer, PgError> {
        let reason = |candidate: &usize| self.refused.get(candidate);
        if let Some(reason) = question.configuration.first().and_then(reason)
            && question.configuration.iter().all(|c| self.refused.contains_key(c))
        {
            return Ok(Err(reason.clone()));
        }
        let (text, values) = self.world.text(question);
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
