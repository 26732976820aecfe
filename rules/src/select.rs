//! The choice over the whole workload: which candidates together save most, under budget, harming nobody.
//!
//! Greedy with compound moves. Prices come from outside through [`Step::Ask`]: the algorithm is written as a
//! plain function of the prices known so far and runs anew whenever it lacked some, from the last move that was
//! decided, so its state is the set of answers and nothing else. A solver can take its place behind [`Selector`].

mod greedy;
mod moves;
mod prices;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use planparse::Plan;

use crate::bindings::unselective;
use crate::candidate::{Candidate, Change, Refusal};
use crate::change_plan::is_index_name;
use crate::context::Context;
use crate::guess::rests_on_guess;
use crate::index::{IndexDefinition, Term};
use crate::judge;
use crate::sizes::index_bytes;
use crate::snapshot::Snapshot;
use crate::statement::Target;
use crate::whatif::{Answer, Answerer, Cache, Configuration, Price, Question};
use crate::workload::ms_per_day;
use crate::write_cost::{WriteCost, write_cost};
use prices::Prices;

/// A statement counts as helped when its cost falls at least this far (share of the cost before).
pub const HELPED_BELOW: f64 = 0.9;

/// What selection works on.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// Snapshot and workload.
    pub cx: Context<'a>,
    /// All candidates; those that cannot be priced and those that create no index are left alone.
    pub candidates: &'a [Candidate],
    /// Bytes that new indexes and those that earlier runs made may take together; `None` is no limit.
    pub storage_budget: Option<u64>,
    /// Who will answer: what it cannot price is left alone.
    pub answerer: Answerer,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Get these prices and feed them.
    Ask(Vec<Question>),
    /// Finished.
    Done(Box<Selection>),
}

/// One chosen candidate.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Position among the candidates.
    pub candidate: usize,
    /// Milliseconds saved per day, by the more careful of the two prices, write cost not subtracted.
    pub gain_ms_per_day: f64,
    /// What writers pay.
    pub write: WriteCost,
    /// Estimated size.
    pub bytes: u64,
    /// What exists besides where it is judged: for the proven choices only the proven ones, so that a
    /// doubtful index, which may never be made, takes no credit from them.
    pub under: Configuration,
    /// Whether it pays beside proven choices alone.
    pub proven: bool,
}

/// The outcome.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What was chosen, in the order of choice.
    pub chosen: Vec<Chosen>,
    /// What was refused on the way.
    pub refusals: Vec<Refusal>,
    /// Position in the workload -> cost with everything chosen, for the statements that it touches.
    pub costs: BTreeMap<usize, f64>,
    /// The same as a share of the cost as things are, the worse of both caches.
    pub ratios: BTreeMap<usize, f64>,
}

/// Chooses; asks for prices until it knows enough.
#[derive(Debug)]
pub struct Selector<'a> {
    task: Task<'a>,
    /// Partition -> what it is a partition of, at any depth.
    ancestors: BTreeMap<u32, BTreeSet<u32>>,
    /// The tables that a statement reads, with what they are partitions of.
    tables: Vec<BTreeSet<u32>>,
    weights: Vec<f64>,
    /// Table -> tables that some statement reads together with it, itself among them.
    neighbours: BTreeMap<u32, BTreeSet<u32>>,
    /// Statement and binding -> expressions of which it wants a value that too many rows have.
    unselective: BTreeMap<(usize, usize), Vec<(u32, String)>>,
    prices: Prices,
    /// The moves, once all their prices were known.
    moves: RefCell<BTreeMap<Trust, Vec<Configuration>>>,
    /// What was decided already: kept so that every step goes on where the last one lacked a price.
    picks: RefCell<greedy::Picks>,
    values: RefCell<greedy::Values>,
    /// Candidate -> bytes of its index, once asked for: some are told from sample values, which takes its time.
    sizes: RefCell<BTreeMap<usize, u64>>,
}

/// Prices that the algorithm lacked.
struct Missing(BTreeSet<Question>);

/// Which plans count as a gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// Only those without a shape in which the planner's promises break.
    Proven,
    /// Whatever the planner says.
    All,
}

impl<'a> Selector<'a> {
    /// Begins a selection.
    pub fn new(task: Task<'a>) -> Self {
        let ancestors = ancestors(task.cx.snapshot);
        let tables: Vec<BTreeSet<u32>> = task
            .cx
            .workload
            .iter()
            .map(|s| {
                let read: BTreeSet<u32> = s.analysis.relations.iter().map(|r| r.table).collect();
                let more = read.iter().filter_map(|table| ancestors.get(table)).flatten();
                more.chain(&read).copied().collect()
            })
            .collect();
        let weights = task.cx.workload.iter().map(|s| ms_per_day(task.cx.snapshot, s)).collect();
        let mut neighbours: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for together in &tables {
            let together: &BTreeSet<u32> = together;
            for &table in together {
                neighbours.entry(table).or_default().extend(together);
            }
        }
        let unselective = unselective_bindings(&task.cx);
        Self {
            task,
            ancestors,
            tables,
            unselective,
            weights,
            neighbours,
            prices: Prices::default(),
            moves: RefCell::default(),
            picks: RefCell::default(),
            values: RefCell::default(),
            sizes: RefCell::default(),
        }
    }

    /// The next step, given all prices fed so far.
    pub fn step(&self) -> Step {
        match greedy::solve(self) {
            Ok(selection) => Step::Done(Box::new(selection)),
            Err(Missing(questions)) => Step::Ask(questions.into_iter().collect()),
        }
    }

    /// Why new indexes of this size in all are too much, told of the one that comes after `others`; `None` when they
    /// fit into the storage budget beside the indexes that earlier runs made.
    pub fn over_budget(&self, bytes: u64, others: &str) -> Option<String> {
        let budget = self.task.storage_budget?;
        let tables = self.task.cx.snapshot.tables.iter().flat_map(|table| &table.indexes);
        let made = tables.filter(|index| is_index_name(&index.name));
        let standing: u64 = made.map(|index| index.bytes).sum();
        let beside = match standing {
            0 => others.to_owned(),
            _ => format!("{others} and the {standing} bytes of indexes that earlier runs made"),
        };
        (bytes.saturating_add(standing) > budget)
            .then(|| format!("does not fit the storage budget of {budget} bytes beside {beside}"))
    }

    /// Takes answers in.
    pub fn feed(&mut self, answers: impl IntoIterator<Item = (Question, Answer)>) {
        answers.into_iter().for_each(|(question, answer)| self.prices.insert(question, answer));
    }

    /// The price of a statement's binding under a configuration, once asked.
    pub fn price(
        &self,
        statement: usize,
        binding: usize,
        configuration: &Configuration,
        cache: Cache,
    ) -> Option<&Price> {
        let configuration = self.relevant(statement, configuration);
        self.prices.get(&Question { statement, binding, configuration, cache })?.as_ref().ok()
    }

    /// Weighted cost of a statement under a configuration; `None` where a price is missing or the statement
    /// could not be planned as things are.
    pub fn cost(
        &self,
        statement: usize,
        configuration: &Configuration,
        cache: Cache,
    ) -> Option<f64> {
        self.known_cost(statement, configuration, cache, Trust::All, &mut BTreeSet::new())
    }

    pub(crate) fn relevant(
        &self,
        statement: usize,
        configuration: &Configuration,
    ) -> Configuration {
        configuration.iter().copied().filter(|&c| self.touches(statement, c)).collect()
    }

    fn neighbours(&self, table: u32) -> &BTreeSet<u32> {
        static NONE: BTreeSet<u32> = BTreeSet::new();
        self.neighbours.get(&table).unwrap_or(&NONE)
    }

    /// Whether an index can matter to a statement at all: it reads the table and asks for the leading key.
    fn touches(&self, statement: usize, candidate: usize) -> bool {
        let candidate = &self.task.candidates[candidate];
        let Change::CreateIndex { table, definition } = &candidate.change else { return false };
        candidate.serves.contains(&statement)
            || (self.tables[statement].contains(table)
                && self.asks_for(statement, *table, definition))
    }

    /// Whether a statement compares, joins, orders or groups by the leading key of an index on `table` or on a
    /// partition of it. Not the other way round: that a partition's index serves the whole table's statement
    /// may be so for the values tried, which all lie in that partition, and for no others.
    fn asks_for(&self, statement: usize, table: u32, definition: &IndexDefinition) -> bool {
        let analysis = &self.task.cx.workload[statement].analysis;
        let is_of = |read: u32| {
            read == table || self.ancestors.get(&read).is_some_and(|above| above.contains(&table))
        };
        let leading = definition.keys.first().map(|key| &key.term);
        let is_leading = |relation: usize, target: &Target| {
            is_of(analysis.relations[relation].table)
                && match (target, leading) {
                    (Target::Column(mine), Some(Term::Column(theirs))) => mine == theirs,
                    (Target::Expression(mine), Some(Term::Expression(theirs))) => {
                        !mine.parameters.is_empty() || mine.sql == *theirs
                    }
                    _ => false,
                }
        };
        analysis.predicates.iter().any(|p| is_leading(p.relation, &p.target))
            || analysis.joins.all_edges().any(|(_, _, pairs)| {
                pairs
                    .iter()
                    .any(|p| is_leading(p.left.0, &p.left.1) || is_leading(p.right.0, &p.right.1))
            })
            || analysis.blocks.iter().any(|block| {
                block.order_by.iter().any(|key| is_leading(key.relation, &key.target))
                    || block.group_by.iter().any(|(relation, target)| is_leading(*relation, target))
            })
    }

    fn known_cost(
        &self,
        statement: usize,
        configuration: &Configuration,
        cache: Cache,
        trust: Trust,
        missing: &mut BTreeSet<Question>,
    ) -> Option<f64> {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (binding, drawn) in self.task.cx.workload[statement].bindings.iter().enumerate() {
            if drawn.weight <= 0.0 {
                continue;
            }
            if let Some(cost) =
                self.binding_cost(statement, binding, configuration, cache, trust, missing)
            {
                sum += drawn.weight * cost;
                weight += drawn.weight;
            }
        }
        (weight > 0.0).then(|| sum / weight)
    }

    /// Cost of one binding; `None` where it could not be planned as things are, or the price is missing.
    fn binding_cost(
        &self,
        statement: usize,
        binding: usize,
        configuration: &Configuration,
        cache: Cache,
        trust: Trust,
        missing: &mut BTreeSet<Question>,
    ) -> Option<f64> {
        let plan = self.task.cx.workload[statement].plans[binding].as_ref()?;
        let configuration = self.relevant(statement, configuration);
        if configuration.is_empty() && cache == Cache::AsSet {
            return Some(plan.total_cost());
        }
        let question = Question { statement, binding, configuration, cache };
        match self.prices.get(&question) {
            // A plan whose promise often breaks is no gain to count on.
            Some(Ok(price))
                if self.doubtful(statement, plan, price, trust)
                    || self.misjudged(statement, binding, price) =>
            {
                Some(plan.total_cost().max(price.total_cost()))
            }
            Some(Ok(price)) => Some(price.total_cost()),
            // What cannot be planned with the index keeps its cost: it gains nothing.
            Some(Err(_)) => Some(plan.total_cost()),
            None => {
                missing.insert(question);
                None
            }
        }
    }

    /// What a statement can cost at least under any part of a configuration: the planner's own word, doubtful
    /// or not. `None` where prices are missing; zero where the planner refused.
    fn floor(
        &self,
        statement: usize,
        configuration: &Configuration,
        missing: &mut BTreeSet<Question>,
    ) -> Option<f64> {
        let (mut sum, mut weight, mut complete) = (0.0, 0.0, true);
        let analyzed = &self.task.cx.workload[statement];
        for (binding, drawn) in analyzed.bindings.iter().enumerate() {
            if analyzed.plans[binding].is_none() || drawn.weight <= 0.0 {
                continue;
            }
            let configuration = configuration.clone();
            let question = Question { statement, binding, configuration, cache: Cache::AsSet };
            let Some(answer) = self.prices.get(&question) else {
                missing.insert(question);
                complete = false;
                continue;
            };
            sum += drawn.weight * answer.as_ref().map_or(0.0, Price::total_cost);
            weight += drawn.weight;
        }
        (complete && weight > 0.0).then(|| sum / weight)
    }

    /// Whether the planner's promise is not to be relied upon.
    fn doubtful(&self, statement: usize, before: &Plan, price: &Price, trust: Trust) -> bool {
        let analysis = &self.task.cx.workload[statement].analysis;
        let rows = |name: &str| {
            let tables =
                analysis.relations.iter().filter_map(|r| self.task.cx.snapshot.table(r.table));
            tables
                .filter(|table| table.name == name)
                .filter_map(|table| table.rows)
                .reduce(f64::max)
        };
        let broken = trust == Trust::Proven
            && (!judge::plan_facts(before, &price.plan).is_empty()
                || rests_on_guess(
                    &self.task.cx,
                    &self.task.cx.workload[statement],
                    before,
                    &price.plan,
                ));
        !price.used.is_empty() && (broken || judge::reads_most(before, &price.plan, &rows))
    }

    /// Whether the plan uses an index on an expression for a value that too many rows have, which the planner could
    /// not know: with statistics of the expression it will leave the index aside.
    pub(crate) fn misjudged(&self, statement: usize, binding: usize, price: &Price) -> bool {
        let Some(wide) = self.unselective.get(&(statement, binding)) else { return false };
        price.used.iter().any(|&candidate| {
            let leading = self.definition(candidate).keys.first().map(|key| &key.term);
            let table = self.task.candidates[candidate].change.table();
            wide.iter().any(|(of, sql)| {
                *of == table && matches!(leading, Some(Term::Expression(mine)) if mine == sql)
            })
        })
    }

    fn priceable(&self) -> Vec<usize> {
        let creates = |c: &Candidate| {
            matches!(&c.change, Change::CreateIndex { definition, .. }
                if self.task.answerer.refuses(&definition.method).is_none())
        };
        (0..self.task.candidates.len()).filter(|&c| creates(&self.task.candidates[c])).collect()
    }

    fn definition(&self, candidate: usize) -> &IndexDefinition {
        match &self.task.candidates[candidate].change {
            Change::CreateIndex { definition, .. } => definition,
            _ => unreachable!("only index candidates are priced"),
        }
    }

    /// Candidates that the plans of a statement use under a configuration.
    fn used(&self, statement: usize, configuration: &Configuration) -> Configuration {
        let bindings = 0..self.task.cx.workload[statement].bindings.len();
        bindings
            .filter_map(|binding| self.price(statement, binding, configuration, Cache::AsSet))
            .flat_map(|price| price.used.iter().copied())
            .collect()
    }

    fn write(&self, candidate: usize) -> WriteCost {
        let table = self.task.cx.snapshot.table(self.task.candidates[candidate].change.table());
        table.map_or_else(WriteCost::default, |table| {
            write_cost(&self.task.cx, table, self.definition(candidate))
        })
    }

    fn bytes<'c>(&self, candidates: impl Iterator<Item = &'c usize>) -> u64 {
        candidates.map(|&c| *self.sizes.borrow_mut().entry(c).or_insert_with(|| self.size(c))).sum()
    }

    fn size(&self, candidate: usize) -> u64 {
        let snapshot = self.task.cx.snapshot;
        let table = snapshot.table(self.task.candidates[candidate].change.table());
        table.map_or(0, |table| index_bytes(snapshot, table, self.definition(candidate)))
    }

    fn refusal(&self, candidate: usize, reason: String) -> Refusal {
        let wanted = &self.task.candidates[candidate];
        let table = self.task.cx.snapshot.table(wanted.change.table());
        let id = |&s: &usize| self.task.cx.workload[s].of(self.task.cx.snapshot).id.clone();
        Refusal {
            rule: wanted.rules[0].to_owned(),
            table: table.map(crate::snapshot::Table::qualified).unwrap_or_default(),
            what: format!("index ({})", self.definition(candidate).brief()),
            reason,
            statements: wanted.serves.iter().map(id).collect(),
        }
    }
}

fn unselective_bindings(cx: &Context<'_>) -> BTreeMap<(usize, usize), Vec<(u32, String)>> {
    let bindings = cx.workload.iter().enumerate().flat_map(|(statement, analyzed)| {
        let each = analyzed.bindings.iter().enumerate();
        each.map(move |(place, binding)| {
            let wide = unselective(&analyzed.analysis, cx.snapshot, &binding.values);
            ((statement, place), wide)
        })
    });
    bindings.filter(|(_, wide)| !wide.is_empty()).collect()
}

/// What each partition is a partition of, at any depth, and of a table that others inherit from those: reading the one,
/// an index of the other can serve.
fn ancestors(snapshot: &Snapshot) -> BTreeMap<u32, BTreeSet<u32>> {
    let parent = |&of: &u32| snapshot.table(of).and_then(|table| table.partition_of);
    let partitions = snapshot.tables.iter().filter(|table| table.partition_of.is_some());
    let mut ancestors: BTreeMap<u32, BTreeSet<u32>> = partitions
        .map(|leaf| (leaf.oid, std::iter::successors(leaf.partition_of, parent).collect()))
        .collect();
    for child in snapshot.tables.iter().filter(|table| !table.inherits.is_empty()) {
        let mut above = child.inherits.clone();
        let mut seen = BTreeSet::new();
        while let Some(table) = above.pop() {
            if seen.insert(table) {
                ancestors.entry(table).or_default().insert(child.oid);
                above.extend(snapshot.table(table).iter().flat_map(|table| &table.inherits));
            }
        }
    }
    ancestors
}
