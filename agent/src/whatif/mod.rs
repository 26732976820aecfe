//! Who answers what-if questions, and what all of them share: which questions can be asked together, and what a
//! candidate comes to on a partitioned table.

pub mod hypopg;
pub mod twin;

use std::collections::{BTreeMap, BTreeSet};

use rules::candidate::{Candidate, Change};
use rules::context::Analyzed;
use rules::index::IndexDefinition;
use rules::snapshot::{Snapshot, Table, TableKind};
use rules::whatif::{Cache, Configuration, Question};

use crate::explain::Text;

/// The setting that tells the planner how much of the data is in memory.
const CACHE_SIZE: &str = "effective_cache_size";

/// Questions that are asked about the same indexes.
#[derive(Debug)]
struct Batch {
    cache: Cache,
    present: Configuration,
    /// Tables whose indexes are settled, even where nothing is tried on them.
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

/// What questions are about.
#[derive(Debug)]
struct World<'a> {
    snapshot: &'a Snapshot,
    workload: &'a [Analyzed],
    candidates: &'a [Candidate],
    /// The tables that a statement reads, and the partitions below and above them.
    tables: Vec<BTreeSet<u32>>,
    /// The settings of each statement's role without the size of the cache.
    cacheless: Vec<BTreeMap<String, String>>,
}

impl<'a> World<'a> {
    fn new(snapshot: &'a Snapshot, workload: &'a [Analyzed], candidates: &'a [Candidate]) -> Self {
        let tables = workload.iter().map(|analyzed| family(snapshot, analyzed)).collect();
        let cacheless = |analyzed: &Analyzed| {
            let mut settings = analyzed.of(snapshot).settings.clone();
            settings.remove(CACHE_SIZE);
            settings
        };
        let cacheless = workload.iter().map(cacheless).collect();
        Self { snapshot, workload, candidates, tables, cacheless }
    }

    /// Puts questions together whose configurations can exist at once: on the tables of each one's statement
    /// there is exactly what it asks about.
    fn batches(&self, mut questions: Vec<Question>, at_once: usize) -> Vec<Batch> {
        let under = |q: &Question| {
            let statement = self.workload[q.statement].of(self.snapshot);
            (&statement.search_path, &statement.settings)
        };
        questions
            .sort_by(|a, b| (a.cache, &a.configuration, a).cmp(&(b.cache, &b.configuration, b)));
        let mut batches: Vec<Batch> = Vec::new();
        let mut open = 0;
        for question in questions {
            if batches.get(open).is_some_and(|batch| batch.cache != question.cache) {
                open = batches.len();
            }
            let tables = &self.tables[question.statement];
            let fits = |batch: &&mut Batch| {
                self.on(&batch.present, tables) == self.on(&question.configuration, &batch.tables)
                    && batch.present.union(&question.configuration).count() <= at_once
            };
            if let Some(batch) = batches[open..].iter_mut().find(fits) {
                batch.add(question, tables);
            } else {
                batches.push(Batch::of(question, tables));
            }
        }
        for batch in &mut batches {
            batch.questions.sort_by(|a, b| (under(a), a).cmp(&(under(b), b)));
        }
        batches
    }

    /// What of a configuration is on these tables.
    fn on(&self, all: &Configuration, tables: &BTreeSet<u32>) -> Configuration {
        let table = |c: &usize| self.candidates[*c].change.table();
        all.iter().copied().filter(|c| tables.contains(&table(c))).collect()
    }

    /// The definitions of a candidate: on a partitioned table one for each leaf, since only leaves are scanned.
    fn leaves(&self, candidate: usize) -> Vec<(&'a Table, IndexDefinition)> {
        let Change::CreateIndex { table, definition } = &self.candidates[candidate].change else {
            return Vec::new();
        };
        let mut leaves = Vec::new();
        let mut below = vec![*table];
        while let Some(oid) = below.pop() {
            let Some(table) = self.snapshot.table(oid) else { continue };
            if table.kind == TableKind::Partitioned {
                let children = self.snapshot.tables.iter().filter(|t| t.partition_of == Some(oid));
                below.extend(children.map(|t| t.oid));
            } else if table.kind != TableKind::Foreign {
                let mut leaf = definition.clone();
                leaf.schema.clone_from(&table.schema);
                leaf.table.clone_from(&table.name);
                leaves.push((table, leaf));
            }
        }
        leaves
    }

    /// The value of `effective_cache_size`.
    fn cache_size(&self, cache: Cache) -> String {
        let own = || self.snapshot.settings.get(CACHE_SIZE).cloned();
        match cache {
            Cache::Tiny => "8MB".to_owned(),
            Cache::AsSet => own().unwrap_or_else(|| "4GB".into()),
        }
    }

    /// What is to be planned for a question.
    fn text(&self, question: &Question) -> (Text<'_>, &'a [Option<String>]) {
        let analyzed = &self.workload[question.statement];
        let statement = analyzed.of(self.snapshot);
        let text = Text {
            id: question.statement,
            label: &statement.id,
            text: &analyzed.text,
            search_path: &statement.search_path,
            settings: match question.cache {
                Cache::Tiny => &self.cacheless[question.statement],
                Cache::AsSet => &statement.settings,
            },
        };
        (text, &analyzed.bindings[question.binding].values)
    }
}

/// The tables that a statement reads, with what is partitioned into them and what they are partitions of, since an
/// index of a partitioned table is tried on the partitions; and what inherits from them, which is read as well.
fn family(snapshot: &Snapshot, analyzed: &Analyzed) -> BTreeSet<u32> {
    let mut family: BTreeSet<u32> = analyzed.analysis.relations.iter().map(|r| r.table).collect();
    let partitions = || snapshot.tables.iter().filter_map(|t| Some((t.oid, t.partition_of?)));
    let children = || snapshot.tables.iter().flat_map(|t| t.inherits.iter().map(|p| (t.oid, *p)));
    loop {
        let mut more: Vec<u32> = partitions()
            .filter(|(leaf, parent)| family.contains(leaf) != family.contains(parent))
            .flat_map(|(leaf, parent)| [leaf, parent])
            .collect();
        let below = children()
            .filter(|(child, parent)| family.contains(parent) && !family.contains(child))
            .map(|(child, _)| child);
        more.extend(below);
        if more.is_empty() {
            return family;
        }
        family.extend(more);
    }
}
