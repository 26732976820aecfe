//! The choice over the whole workload: which candidates together save most, under budget, harming nobody.
//!
//! Greedy with compound moves. Prices come from outside through [`Step::Ask`]: the algorithm is written as a
//! plain function of the prices known so far and runs anew from the start whenever it lacked some, so its state
//! is the set of answers and nothing else. A solver can take its place behind [`Selector`].

use std::collections::{BTreeMap, BTreeSet};

use planparse::Plan;

use crate::candidate::{Candidate, Change, Refusal};
use crate::context::Context;
use crate::index::{IndexDefinition, Term};
use crate::judge;
use crate::sizes::index_bytes;
use crate::statement::Target;
use crate::whatif::{Answer, Cache, Configuration, Price, Question};
use crate::workload::ms_per_day;
use crate::write_cost::{WriteCost, write_cost};

/// A statement counts as helped when its cost falls at least this far (share of the cost before).
pub const HELPED_BELOW: f64 = 0.9;
/// No statement may cost more than this multiple of its cost before.
pub const HARMED_ABOVE: f64 = 1.1;
/// A wider index must at least halve what a narrower one leaves …
const WIDER_HALVES: f64 = 0.5;
/// … or save this much more of the cost before.
const WIDER_SAVES: f64 = 0.15;
/// Indexes on one table at most, old and new together (planning time and lock slots grow with each).
const INDEXES_PER_TABLE_MAX: usize = 15;

/// What selection works on.
#[derive(Clone, Debug)]
pub struct Task<'a> {
    /// Snapshot and workload.
    pub cx: Context<'a>,
    /// All candidates; those that cannot be priced and those that create no index are left alone.
    pub candidates: &'a [Candidate],
    /// Bytes that new indexes may take together.
    pub storage_budget: Option<u64>,
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
}

/// Chooses; asks for prices until it knows enough.
#[derive(Debug)]
pub struct Selector<'a> {
    task: Task<'a>,
    tables: Vec<BTreeSet<u32>>,
    weights: Vec<f64>,
    prices: BTreeMap<Question, Answer>,
}

/// Prices that the algorithm lacked.
struct Missing(BTreeSet<Question>);

impl<'a> Selector<'a> {
    /// Begins a selection.
    pub fn new(task: Task<'a>) -> Self {
        let tables = task
            .cx
            .workload
            .iter()
            .map(|s| s.analysis.relations.iter().map(|r| r.table).collect())
            .collect();
        let weights = task.cx.workload.iter().map(|s| ms_per_day(task.cx.snapshot, s)).collect();
        Self { task, tables, weights, prices: BTreeMap::new() }
    }

    /// The next step, given all prices fed so far.
    pub fn step(&self) -> Step {
        match self.solve() {
            Ok(selection) => Step::Done(Box::new(selection)),
            Err(Missing(questions)) => Step::Ask(questions.into_iter().collect()),
        }
    }

    /// Takes answers in.
    pub fn feed(&mut self, answers: impl IntoIterator<Item = (Question, Answer)>) {
        self.prices.extend(answers);
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
        self.known_cost(statement, configuration, cache, &mut BTreeSet::new())
    }

    fn relevant(&self, statement: usize, configuration: &Configuration) -> Configuration {
        configuration.iter().copied().filter(|&c| self.touches(statement, c)).collect()
    }

    /// Whether an index can matter to a statement at all: it reads the table and asks for the leading key.
    fn touches(&self, statement: usize, candidate: usize) -> bool {
        let candidate = &self.task.candidates[candidate];
        let Change::CreateIndex { table, definition } = &candidate.change else { return false };
        candidate.serves.contains(&statement)
            || (self.tables[statement].contains(table)
                && asks_for(&self.task.cx.workload[statement], *table, definition))
    }

    fn known_cost(
        &self,
        statement: usize,
        configuration: &Configuration,
        cache: Cache,
        missing: &mut BTreeSet<Question>,
    ) -> Option<f64> {
        let analyzed = &self.task.cx.workload[statement];
        let configuration = self.relevant(statement, configuration);
        let (mut sum, mut weight) = (0.0, 0.0);
        for (binding, plan) in analyzed.plans.iter().enumerate() {
            let Some(plan) = plan else { continue };
            let share = analyzed.bindings[binding].weight;
            let cost = if configuration.is_empty() && cache == Cache::AsSet {
                plan.total_cost()
            } else {
                let question =
                    Question { statement, binding, configuration: configuration.clone(), cache };
                match self.prices.get(&question) {
                    // Most of a table through an index is no gain to count on.
                    Some(Ok(price)) if self.reads_most(statement, plan, price) => {
                        plan.total_cost().max(price.total_cost())
                    }
                    Some(Ok(price)) => price.total_cost(),
                    // What cannot be planned with the index keeps its cost: it gains nothing.
                    Some(Err(_)) => plan.total_cost(),
                    None => {
                        missing.insert(question);
                        continue;
                    }
                }
            };
            sum += share * cost;
            weight += share;
        }
        (weight > 0.0).then(|| sum / weight)
    }

    fn reads_most(&self, statement: usize, before: &Plan, price: &Price) -> bool {
        let analysis = &self.task.cx.workload[statement].analysis;
        let rows = |name: &str| {
            let tables =
                analysis.relations.iter().filter_map(|r| self.task.cx.snapshot.table(r.table));
            tables
                .filter(|table| table.name == name)
                .filter_map(|table| table.rows)
                .reduce(f64::max)
        };
        !price.used.is_empty() && judge::reads_most(before, &price.plan, &rows)
    }

    fn priceable(&self) -> Vec<usize> {
        let creates = |c: &Candidate| {
            matches!(c.change, Change::CreateIndex { .. }) && c.unpriceable.is_none()
        };
        (0..self.task.candidates.len()).filter(|&c| creates(&self.task.candidates[c])).collect()
    }

    fn definition(&self, candidate: usize) -> &IndexDefinition {
        match &self.task.candidates[candidate].change {
            Change::CreateIndex { definition, .. } => definition,
            _ => unreachable!("only index candidates are priced"),
        }
    }

    fn solve(&self) -> Result<Selection, Missing> {
        let moves = self.moves()?;
        let by_value = self.greedy(&moves, false)?;
        let (configuration, mut selection) = match self.task.storage_budget {
            // Under a budget the gain per byte may lead further; the better of both orders wins.
            Some(_) => {
                let by_density = self.greedy(&moves, true)?;
                let total = |s: &Selection| {
                    s.chosen.iter().map(|c| c.gain_ms_per_day - c.write.ms_per_day).sum::<f64>()
                };
                if total(&by_density.1) > total(&by_value.1) { by_density } else { by_value }
            }
            None => by_value,
        };
        self.settle(&configuration, &mut selection)?;
        Ok(selection)
    }

    /// Prices the final configuration under both caches and shares each statement's gain out equally among the
    /// chosen indexes that its plans use.
    fn settle(
        &self,
        configuration: &Configuration,
        selection: &mut Selection,
    ) -> Result<(), Missing> {
        let mut missing = BTreeSet::new();
        let mut gains: BTreeMap<usize, f64> = BTreeMap::new();
        for statement in
            (0..self.tables.len()).filter(|&s| !self.relevant(s, configuration).is_empty())
        {
            let mut ratio = |cache| {
                let before =
                    self.known_cost(statement, &Configuration::new(), cache, &mut missing)?;
                let after = self.known_cost(statement, configuration, cache, &mut missing)?;
                Some((after, after / before.max(f64::MIN_POSITIVE)))
            };
            let (normal, tiny) = (ratio(Cache::AsSet), ratio(Cache::Tiny));
            let (Some((cost, normal)), Some((_, tiny))) = (normal, tiny) else { continue };
            selection.costs.insert(statement, cost);
            let gain = self.weights[statement] * (1.0 - normal.max(tiny));
            let used = self.used(statement, configuration);
            for &candidate in &used {
                *gains.entry(candidate).or_insert(0.0) += gain / used.len() as f64;
            }
        }
        for chosen in &mut selection.chosen {
            let own = self.task.candidates[chosen.candidate].own_gain_ms_per_day;
            let shared = gains.get(&chosen.candidate).copied().unwrap_or(0.0).max(0.0);
            chosen.gain_ms_per_day = shared + own;
        }
        if missing.is_empty() { Ok(()) } else { Err(Missing(missing)) }
    }

    /// Candidates that the plans of a statement use under a configuration.
    fn used(&self, statement: usize, configuration: &Configuration) -> Configuration {
        let bindings = 0..self.task.cx.workload[statement].bindings.len();
        bindings
            .filter_map(|binding| self.price(statement, binding, configuration, Cache::AsSet))
            .flat_map(|price| price.used.iter().copied())
            .collect()
    }

    /// What greedy may add at once: single candidates that help somebody, and sets that a plan uses together
    /// (two indexes under a `BitmapOr` are each worth nothing alone).
    fn moves(&self) -> Result<Vec<Configuration>, Missing> {
        let priceable = self.priceable();
        let mut missing = BTreeSet::new();
        let mut moves: BTreeSet<Configuration> = BTreeSet::new();
        for statement in 0..self.tables.len() {
            let own: Configuration = priceable
                .iter()
                .copied()
                .filter(|&c| self.task.candidates[c].serves.contains(&statement))
                .collect();
            let Some(before) =
                self.known_cost(statement, &Configuration::new(), Cache::AsSet, &mut missing)
            else {
                continue;
            };
            let mut best_single = before;
            for &candidate in &own {
                let alone = Configuration::from([candidate]);
                if let Some(cost) = self.known_cost(statement, &alone, Cache::AsSet, &mut missing) {
                    best_single = best_single.min(cost);
                    if cost <= before * HELPED_BELOW {
                        moves.insert(alone);
                    }
                }
            }
            if own.len() > 1
                && let Some(together) = self.known_cost(statement, &own, Cache::AsSet, &mut missing)
                && together < best_single * HELPED_BELOW
            {
                let bindings = 0..self.task.cx.workload[statement].bindings.len();
                moves.extend(
                    bindings
                        .filter_map(|b| self.price(statement, b, &own, Cache::AsSet))
                        .map(|price| price.used.clone())
                        .filter(|used| used.len() > 1),
                );
            }
        }
        // A foreign key's own gain needs no statement.
        moves.extend(
            priceable
                .iter()
                .filter(|&&c| self.task.candidates[c].own_gain_ms_per_day > 0.0)
                .map(|&c| Configuration::from([c])),
        );
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        self.undominated(moves)
    }

    /// Leaves out single indexes of which a narrower one does nearly as much.
    fn undominated(&self, moves: BTreeSet<Configuration>) -> Result<Vec<Configuration>, Missing> {
        let singles: Vec<usize> =
            moves.iter().filter(|m| m.len() == 1).filter_map(|m| m.first().copied()).collect();
        let mut missing = BTreeSet::new();
        let mut dominated = BTreeSet::new();
        for &wide in &singles {
            for &narrow in &singles {
                if wide != narrow && narrower(self.definition(narrow), self.definition(wide)) {
                    let pays = self.wider_pays(wide, narrow, &mut missing);
                    if !pays {
                        dominated.insert(wide);
                    }
                }
            }
        }
        if missing.is_empty() {
            Ok(moves
                .into_iter()
                .filter(|m| !(m.len() == 1 && m.iter().any(|c| dominated.contains(c))))
                .collect())
        } else {
            Err(Missing(missing))
        }
    }

    fn wider_pays(&self, wide: usize, narrow: usize, missing: &mut BTreeSet<Question>) -> bool {
        let mut pays = false;
        for statement in (0..self.tables.len()).filter(|&s| self.touches(s, wide)) {
            let mut cost = |c: &[usize]| {
                self.known_cost(statement, &c.iter().copied().collect(), Cache::AsSet, missing)
            };
            if let (Some(before), Some(with_wide), Some(with_narrow)) =
                (cost(&[]), cost(&[wide]), cost(&[narrow]))
            {
                pays |= with_wide <= with_narrow * WIDER_HALVES
                    || with_narrow - with_wide >= before * WIDER_SAVES;
            }
        }
        pays
    }

    fn greedy(
        &self,
        moves: &[Configuration],
        by_density: bool,
    ) -> Result<(Configuration, Selection), Missing> {
        let mut current = Configuration::new();
        let mut selection = Selection::default();
        let mut refused: BTreeSet<&Configuration> = BTreeSet::new();
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        loop {
            let mut missing = BTreeSet::new();
            let mut best: Option<(f64, &Configuration)> = None;
            for candidate_move in
                moves.iter().filter(|m| !m.is_subset(&current) && !refused.contains(m))
            {
                match self.value(&current, candidate_move, &mut missing) {
                    Ok(value) if value > 0.0 => {
                        let bytes = self.bytes(candidate_move.difference(&current)).max(1) as f64;
                        let rank = if by_density { value / bytes } else { value };
                        if best.is_none_or(|(known, _)| rank > known * (1.0 + 1e-9)) {
                            best = Some((rank, candidate_move));
                        }
                    }
                    Ok(_) => {}
                    Err(reason) => {
                        for &candidate in candidate_move {
                            reasons.entry(candidate).or_insert_with(|| reason.clone());
                        }
                    }
                }
            }
            if !missing.is_empty() {
                return Err(Missing(missing));
            }
            let Some((_, accepted)) = best else { break };
            if let Some(gain) = self.careful_gain(&current, accepted)? {
                self.accept(&mut current, &mut selection, accepted, gain);
            } else {
                refused.insert(accepted);
                let reason = "with a cold cache (effective_cache_size 8MB) it does not pay";
                reasons.extend(accepted.iter().map(|&candidate| (candidate, reason.to_owned())));
            }
        }
        self.prune(&mut current, &mut selection)?;
        for (candidate, reason) in
            reasons.into_iter().filter(|(candidate, _)| !current.contains(candidate))
        {
            selection.refusals.push(self.refusal(candidate, reason));
        }
        Ok((current, selection))
    }

    /// Milliseconds per day that a move nets, or why it is refused.
    fn value(
        &self,
        current: &Configuration,
        candidate_move: &Configuration,
        missing: &mut BTreeSet<Question>,
    ) -> Result<f64, String> {
        let next: Configuration = current.union(candidate_move).copied().collect();
        if let Some(budget) =
            self.task.storage_budget.filter(|&budget| self.bytes(next.iter()) > budget)
        {
            return Err(format!(
                "does not fit the storage budget of {budget} bytes beside what saves more"
            ));
        }
        for &candidate in candidate_move {
            let table = self.task.candidates[candidate].change.table();
            let existing = self.task.cx.snapshot.table(table).map_or(0, |t| t.indexes.len());
            let new =
                next.iter().filter(|&&c| self.task.candidates[c].change.table() == table).count();
            if existing + new > INDEXES_PER_TABLE_MAX {
                return Err(format!("the table would have over {INDEXES_PER_TABLE_MAX} indexes"));
            }
        }
        let (mut gain, mut helped) = (0.0, false);
        for statement in
            (0..self.tables.len()).filter(|&s| candidate_move.iter().any(|&c| self.touches(s, c)))
        {
            let Some(before) =
                self.known_cost(statement, &Configuration::new(), Cache::AsSet, missing)
            else {
                continue;
            };
            let now = self.known_cost(statement, current, Cache::AsSet, missing);
            let then = self.known_cost(statement, &next, Cache::AsSet, missing);
            let (Some(now), Some(then)) = (now, then) else { continue };
            if then > before * HARMED_ABOVE {
                let id = &self.task.cx.workload[statement].of(self.task.cx.snapshot).id;
                return Err(format!(
                    "statement {id} would cost {:.0} % more",
                    (then / before - 1.0) * 100.0
                ));
            }
            helped |= then <= now * HELPED_BELOW;
            gain += self.weights[statement] * (now - then) / before.max(f64::MIN_POSITIVE);
        }
        let fresh = || candidate_move.difference(current).copied();
        let own: f64 = fresh().map(|c| self.task.candidates[c].own_gain_ms_per_day).sum();
        let write: f64 = fresh().map(|c| self.write(c).ms_per_day).sum();
        if !helped && own <= 0.0 {
            return Ok(0.0);
        }
        let net = gain + own - write;
        if net <= 0.0 && missing.is_empty() {
            return Err(format!(
                "writers would pay {write:.1} ms a day for {:.1} ms saved",
                gain + own
            ));
        }
        Ok(net)
    }

    /// Milliseconds per day that a move saves by the more careful of both caches; `None` when it saves nothing.
    fn careful_gain(
        &self,
        current: &Configuration,
        accepted: &Configuration,
    ) -> Result<Option<f64>, Missing> {
        let next: Configuration = current.union(accepted).copied().collect();
        let mut missing = BTreeSet::new();
        let mut gain = 0.0;
        for statement in
            (0..self.tables.len()).filter(|&s| accepted.iter().any(|&c| self.touches(s, c)))
        {
            let mut ratio = |cache| {
                let before =
                    self.known_cost(statement, &Configuration::new(), cache, &mut missing)?;
                let now = self.known_cost(statement, current, cache, &mut missing)?;
                let then = self.known_cost(statement, &next, cache, &mut missing)?;
                Some((now - then) / before.max(f64::MIN_POSITIVE))
            };
            let (normal, tiny) = (ratio(Cache::AsSet), ratio(Cache::Tiny));
            if let (Some(normal), Some(tiny)) = (normal, tiny) {
                gain += self.weights[statement] * normal.min(tiny);
            }
        }
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        let own: f64 = accepted
            .difference(current)
            .map(|&c| self.task.candidates[c].own_gain_ms_per_day)
            .sum();
        let write: f64 = accepted.difference(current).map(|&c| self.write(c).ms_per_day).sum();
        Ok((gain + own > write).then_some(gain + own))
    }

    fn accept(
        &self,
        current: &mut Configuration,
        selection: &mut Selection,
        accepted: &Configuration,
        gain: f64,
    ) {
        let fresh: Vec<usize> = accepted.difference(current).copied().collect();
        for &candidate in &fresh {
            selection.chosen.push(Chosen {
                candidate,
                gain_ms_per_day: gain / fresh.len() as f64,
                write: self.write(candidate),
                bytes: self.bytes(std::iter::once(&candidate)),
            });
        }
        current.extend(fresh);
    }

    /// Takes back what later choices made idle: an index without which nobody's cost rises noticeably.
    fn prune(&self, current: &mut Configuration, selection: &mut Selection) -> Result<(), Missing> {
        for candidate in selection.chosen.iter().map(|chosen| chosen.candidate).collect::<Vec<_>>()
        {
            let mut without = current.clone();
            without.remove(&candidate);
            let mut missing = BTreeSet::new();
            let mut needed = self.task.candidates[candidate].own_gain_ms_per_day > 0.0
                && !without.iter().any(|&c| self.definition(c).covers(self.definition(candidate)));
            for statement in (0..self.tables.len()).filter(|&s| self.touches(s, candidate)) {
                let with = self.known_cost(statement, current, Cache::AsSet, &mut missing);
                let gone = self.known_cost(statement, &without, Cache::AsSet, &mut missing);
                if let (Some(with), Some(gone)) = (with, gone) {
                    needed |= with <= gone * HELPED_BELOW;
                }
            }
            if !missing.is_empty() {
                return Err(Missing(missing));
            }
            if !needed {
                *current = without;
                selection.chosen.retain(|chosen| chosen.candidate != candidate);
                selection
                    .refusals
                    .push(self.refusal(candidate, "what else was chosen does its work".to_owned()));
            }
        }
        Ok(())
    }

    fn write(&self, candidate: usize) -> WriteCost {
        let table = self.task.cx.snapshot.table(self.task.candidates[candidate].change.table());
        table.map_or_else(WriteCost::default, |table| {
            write_cost(&self.task.cx, table, self.definition(candidate))
        })
    }

    fn bytes<'c>(&self, candidates: impl Iterator<Item = &'c usize>) -> u64 {
        candidates
            .map(|&c| {
                let table = self.task.cx.snapshot.table(self.task.candidates[c].change.table());
                table.map_or(0, |table| {
                    index_bytes(self.task.cx.snapshot, table, self.definition(c))
                })
            })
            .sum()
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

/// Whether one index is of the same table and method with a true subset of the other's terms.
fn narrower(narrow: &IndexDefinition, wide: &IndexDefinition) -> bool {
    let terms =
        |d: &IndexDefinition| d.keys.iter().map(|key| key.term.clone()).collect::<BTreeSet<_>>();
    let same =
        narrow.schema == wide.schema && narrow.table == wide.table && narrow.method == wide.method;
    same && narrow.keys.len() < wide.keys.len() && terms(narrow).is_subset(&terms(wide))
}

/// Whether a statement compares, joins, orders or groups by the leading key of an index on `table`.
fn asks_for(analyzed: &crate::context::Analyzed, table: u32, definition: &IndexDefinition) -> bool {
    let analysis = &analyzed.analysis;
    let leading = definition.keys.first().map(|key| &key.term);
    let is_leading = |relation: usize, target: &Target| {
        analysis.relations[relation].table == table
            && match (target, leading) {
                (Target::Column(mine), Some(Term::Column(theirs))) => mine == theirs,
                (Target::Expression(mine), Some(Term::Expression(theirs))) => {
                    !mine.parameters.is_empty() || crate::index::same_expression(&mine.sql, theirs)
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
