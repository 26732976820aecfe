//! From what was chosen to the frozen change plan: facts, confidence, impact, order.

mod partners;

use std::collections::{BTreeMap, BTreeSet};

use crate::candidate::{Candidate, Change, Refusal};
use crate::change_plan::{
    Action, ChangePlan, Help, Impact, Operation, TableRef, action_key, index_name, statistics_name,
};
use crate::context::Context;
use crate::evidence::{Fact, INDEXES_PER_TABLE_MAX, VETO_CAP, confidence};
use crate::generic;
use crate::guess::rests_on_guess;
use crate::held_back::statistics_key;
use crate::index::{IndexDefinition, Term};
use crate::judge;
use crate::partitions;
use crate::reach::Reach;
use crate::select::{Chosen, HELPED_BELOW, Selection, Selector};
use crate::skew::skew;
use crate::snapshot::{Table, TableKind};
use crate::statement::Limit;
use crate::unpriced;
use crate::whatif::{Answerer, Cache, Configuration};
use crate::workload::{mean_ms, unknown_writes};
use crate::write_cost::{burden, index_count, insert_slowdown, write_cost};

/// Mean time in milliseconds under which a statement counts as fast already.
const FAST_MS: f64 = 0.2;
/// Calls under which a measured statement counts as seldom seen.
const SELDOM_CALLS: u64 = 5;

/// Everything that assembling needs.
#[derive(Clone, Copy, Debug)]
pub struct Assembly<'a> {
    /// Snapshot and workload.
    pub cx: Context<'a>,
    /// All candidates.
    pub candidates: &'a [Candidate],
    /// What was chosen.
    pub selection: &'a Selection,
    /// The prices.
    pub selector: &'a Selector<'a>,
    /// Who answered what-if questions.
    pub answerer: Answerer,
    /// Major version of the planner that answered, where it is not the server's.
    pub other_version: Option<u32>,
}

/// The actions, and what was refused while making them.
pub fn actions(assembly: &Assembly<'_>) -> (Vec<Action>, Vec<Refusal>) {
    let mut actions: Vec<Action> = Vec::new();
    let configuration: Configuration =
        assembly.selection.chosen.iter().map(|chosen| chosen.candidate).collect();
    let mut priced: BTreeMap<usize, Action> = BTreeMap::new();
    let mut needed: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for chosen in &assembly.selection.chosen {
        priced.insert(chosen.candidate, assembly.priced(chosen));
        let others = partners::needed(assembly, chosen.candidate, &chosen.under);
        needed.insert(chosen.candidate, others);
    }
    partners::bind(&mut priced, &needed);
    actions.extend(priced.into_values());
    let (unpriced, refusals) = unpriced::actions(assembly, &configuration);
    actions.extend(unpriced);
    for candidate in assembly.candidates {
        match &candidate.change {
            Change::DropIndex { .. }
            | Change::Analyze { .. }
            | Change::CreateStatistics { .. }
            | Change::Vacuum { .. } => {
                actions.push(assembly.plain(candidate));
            }
            Change::CreateIndex { .. } => {}
        }
    }
    let mut unique: BTreeMap<String, Action> = BTreeMap::new();
    for action in actions {
        // Of two reasons for one action the better one is told.
        let known = unique.get(&action.key).map_or(-1.0, |known| known.confidence.value);
        if action.confidence.value > known {
            unique.insert(action.key.clone(), action);
        }
    }
    let mut actions: Vec<Action> = unique.into_values().collect();
    actions.sort_by(|a, b| {
        let ((a_group, a_net), (b_group, b_net)) = (order(a), order(b));
        a_group.cmp(&b_group).then(b_net.total_cmp(&a_net)).then(a.key.cmp(&b.key))
    });
    let with_statistics = |action: Action| {
        let after = statistics_after(&action);
        std::iter::once(action).chain(after)
    };
    (actions.into_iter().flat_map(with_statistics).collect(), refusals)
}

/// Statistics first (others rest on them), then indexes, then drops; within a group by net time saved per day.
fn order(action: &Action) -> (u8, f64) {
    let group = match action.operation {
        Operation::Analyze | Operation::CreateStatistics { .. } => 0,
        Operation::CreateIndex { .. } => 1,
        Operation::DropIndex { .. } => 2,
        // After what it would have to clean up for.
        Operation::Vacuum => 3,
    };
    (group, action.impact.ms_per_day.unwrap_or(0.0) - action.impact.write_ms_per_day)
}

impl Assembly<'_> {
    pub(crate) fn table(&self, oid: u32) -> &Table {
        self.cx.snapshot.table(oid).expect("candidates are made from the snapshot's tables")
    }

    /// An action for a priced choice.
    fn priced(&self, chosen: &Chosen) -> Action {
        let configuration = &chosen.under;
        let candidate = &self.candidates[chosen.candidate];
        let helped = self.helped(chosen.candidate, configuration);
        let mut facts = candidate.facts.clone();
        if helped.is_empty() {
            facts.push(Fact::Unpriced {
                reason: "no statement of the workload shows it".to_owned(),
            });
        } else {
            facts.extend(self.price_facts(&helped, chosen.candidate, configuration));
            facts.extend(self.statement_facts(&helped));
            for &statement in &helped {
                facts.extend(self.shape_facts(statement, chosen.candidate, configuration));
            }
        }
        let server = self.cx.snapshot.server.version_num / 10_000;
        facts.extend(self.other_version.map(|planner| Fact::OtherVersion { planner, server }));
        if chosen.write.ends_hot > 0.01 {
            facts.push(Fact::EndsHot { share: chosen.write.ends_hot });
        }
        facts.extend(unknown_writes(&self.cx, candidate.change.table()));
        facts.extend(self.slows_inserts(candidate, configuration));
        facts.extend(self.crowds(candidate, configuration));
        if !chosen.proven && !helped.is_empty() && facts.iter().all(|fact| fact.cap() > VETO_CAP) {
            facts.push(Fact::BesideDoubtful);
        }
        let impact = Impact {
            ms_per_day: Some(round(chosen.gain_ms_per_day)),
            bytes: Some(chosen.bytes as i64),
            write_ms_per_day: round(chosen.write.ms_per_day),
        };
        let shown = self.serves(chosen.candidate, configuration);
        let mut helps: Vec<(f64, Help)> =
            shown.iter().filter_map(|&s| self.help(s, chosen.candidate, configuration)).collect();
        helps.sort_by(|a, b| b.0.total_cmp(&a.0));
        let Change::CreateIndex { table, definition } = &candidate.change else {
            unreachable!("only index candidates are chosen")
        };
        self.create(
            candidate,
            *table,
            definition,
            facts,
            impact,
            helps.into_iter().map(|(_, help)| help).collect(),
        )
    }

    /// How much longer inserts into the table would take with this index and the others judged beside it.
    fn slows_inserts(&self, candidate: &Candidate, configuration: &Configuration) -> Option<Fact> {
        let oid = candidate.change.table();
        let share =
            insert_slowdown(&self.cx, oid, burden(&self.cx, self.candidates, configuration, oid))?;
        (share > 0.01).then(|| Fact::SlowsInserts { share: round(share) })
    }

    /// Whether the table would have very many indexes.
    fn crowds(&self, candidate: &Candidate, configuration: &Configuration) -> Option<Fact> {
        let table = candidate.change.table();
        let indexes = index_count(&self.cx, self.candidates, configuration, table);
        (indexes > INDEXES_PER_TABLE_MAX).then_some(Fact::ManyIndexes { indexes })
    }

    pub(crate) fn create(
        &self,
        candidate: &Candidate,
        table: u32,
        definition: &IndexDefinition,
        facts: Vec<Fact>,
        impact: Impact,
        helps: Vec<Help>,
    ) -> Action {
        let owner = self.table(table);
        let table = self.reference(table);
        let key = action_key(&table, &format!("create index {}", definition.canonical()));
        let name = index_name(definition, &key);
        let (mut facts, mut reach) = (facts, candidate.reach);
        let (mut parts, mut by_hand) = (Vec::new(), None);
        if owner.kind == TableKind::Partitioned {
            match partitions::plan(self.cx.snapshot, owner, &key, definition) {
                Ok(planned) => parts = planned,
                Err(reason) => {
                    facts.push(Fact::NotAlone { reason });
                    reach = Reach::Advise;
                    by_hand = Some(partitions::create(self.cx.snapshot, owner, &name, definition));
                }
            }
        }
        Action {
            key,
            rule: candidate.rules[0].to_owned(),
            table,
            operation: Operation::CreateIndex { name, definition: definition.clone(), parts },
            reach,
            confidence: confidence(&distinct(facts)),
            impact,
            helps,
            by_hand,
        }
    }

    /// Statements that the candidate itself makes cheaper: without it they would cost more.
    fn helped(&self, candidate: usize, configuration: &Configuration) -> Vec<usize> {
        let gains = |&statement: &usize| {
            let ratio = self.ratio(statement, candidate, configuration, Cache::AsSet);
            ratio.is_some_and(|ratio| ratio <= HELPED_BELOW)
        };
        self.uses(candidate, configuration).into_iter().filter(gains).collect()
    }

    /// Statements whose plans use the candidate and that gain by it, be it only as much as by another new index
    /// that could take its place.
    fn serves(&self, candidate: usize, configuration: &Configuration) -> Vec<usize> {
        let gains = |&statement: &usize| {
            let ratio = |of: &Configuration| {
                let before = self.selector.cost(statement, &Configuration::new(), Cache::AsSet)?;
                let after = self.selector.cost(statement, of, Cache::AsSet)?;
                (before > 0.0).then(|| after / before)
            };
            let beside = self.ratio(statement, candidate, configuration, Cache::AsSet);
            let alone = ratio(&[candidate].into());
            let below = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio <= HELPED_BELOW);
            below(beside) || below(alone) && below(ratio(configuration))
        };
        self.uses(candidate, configuration).into_iter().filter(gains).collect()
    }

    /// Statements whose plans use the candidate.
    fn uses(&self, candidate: usize, configuration: &Configuration) -> Vec<usize> {
        let uses = |statement: &usize| {
            let statement = *statement;
            self.cx.workload[statement].weighed().any(|binding| {
                let price = self.selector.price(statement, binding, configuration, Cache::AsSet);
                price.is_some_and(|price| {
                    price.used.contains(&candidate)
                        && !self.selector.misjudged(statement, binding, price)
                })
            })
        };
        (0..self.cx.workload.len()).filter(uses).collect()
    }

    /// What the candidate does by itself: cost with everything / cost with everything but it.
    fn ratio(
        &self,
        statement: usize,
        candidate: usize,
        configuration: &Configuration,
        cache: Cache,
    ) -> Option<f64> {
        let mut without = configuration.clone();
        without.remove(&candidate);
        let before = self.selector.cost(statement, &without, cache)?;
        let after = self.selector.cost(statement, configuration, cache)?;
        (before > 0.0).then(|| after / before)
    }

    fn weighted_ratio(
        &self,
        helped: &[usize],
        candidate: usize,
        configuration: &Configuration,
        cache: Cache,
    ) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for &statement in helped {
            if let Some(ratio) = self.ratio(statement, candidate, configuration, cache) {
                let share =
                    crate::workload::ms_per_day(self.cx.snapshot, &self.cx.workload[statement])
                        .max(1e-9);
                sum += share * ratio;
                weight += share;
            }
        }
        if weight > 0.0 { sum / weight } else { 1.0 }
    }

    fn price_facts(
        &self,
        helped: &[usize],
        candidate: usize,
        configuration: &Configuration,
    ) -> Vec<Fact> {
        let ratio = self.weighted_ratio(helped, candidate, configuration, Cache::AsSet);
        let tiny = self.weighted_ratio(helped, candidate, configuration, Cache::Tiny);
        let mut facts = vec![
            Fact::Priced { by: self.answerer.name().to_owned(), ratio },
            if tiny <= 0.95 {
                Fact::PaysWithTinyCache { ratio: tiny }
            } else {
                Fact::FailsWithTinyCache { ratio: tiny }
            },
        ];
        let (mut gain, mut bindings, mut spread) = (0, 0, 1.0_f64);
        for &statement in helped {
            let analyzed = &self.cx.workload[statement];
            spread = spread.max(skew(analyzed).map_or(1.0, |skew| skew.factor));
            for binding in analyzed.weighed() {
                let Some(before) = &analyzed.plans[binding] else { continue };
                let Some(after) =
                    self.selector.price(statement, binding, configuration, Cache::AsSet)
                else {
                    continue;
                };
                bindings += 1;
                let misjudged = self.selector.misjudged(statement, binding, after);
                gain += usize::from(!misjudged && after.total_cost() <= before.total_cost() * 0.95);
            }
        }
        facts.push(if gain == bindings {
            Fact::AllBindingsGain { bindings }
        } else {
            Fact::SomeBindingsGain { gain, bindings }
        });
        if spread > 1.0 {
            facts.push(Fact::Skewed { spread });
        }
        let leaves = |&&s: &&usize| {
            generic::leaves_aside(&self.cx, self.selector, s, candidate, configuration)
        };
        let statements = helped.iter().filter(leaves).count();
        if statements > 0 {
            facts.push(Fact::GenericPlanStays { statements });
        }
        facts
    }

    /// What the server's own counters say of the helped statements: of the one that weighs most.
    fn statement_facts(&self, helped: &[usize]) -> Vec<Fact> {
        let weight =
            |&&s: &&usize| crate::workload::ms_per_day(self.cx.snapshot, &self.cx.workload[s]);
        let Some(&main) = helped.iter().max_by(|a, b| weight(a).total_cmp(&weight(b))) else {
            return Vec::new();
        };
        let analyzed = &self.cx.workload[main];
        let statement = analyzed.of(self.cx.snapshot);
        let mut facts = Vec::new();
        if let Some(mean) = mean_ms(statement) {
            facts.push(if mean < FAST_MS {
                Fact::AlreadyFast { mean_ms: mean }
            } else {
                Fact::Measured { mean_ms: mean, calls: statement.calls }
            });
            let calls: u64 =
                helped.iter().map(|&s| self.cx.workload[s].of(self.cx.snapshot).calls).sum();
            if calls < SELDOM_CALLS {
                facts.push(Fact::SeldomSeen { calls });
            }
        }
        facts.extend(self.rows_agree(main));
        facts
    }

    /// The planner's rows against those that the server counted, where both mean the same.
    fn rows_agree(&self, statement: usize) -> Option<Fact> {
        let analyzed = &self.cx.workload[statement];
        let outer = analyzed.analysis.blocks.first()?;
        let comparable =
            !outer.aggregates && outer.limit.is_none_or(|limit| matches!(limit, Limit::Rows(_)));
        let counted = analyzed.of(self.cx.snapshot);
        let observed = counted.rows? as f64 / counted.calls.max(1) as f64;
        if !comparable || analyzed.analysis.kind != crate::statement::StatementKind::Select {
            return None;
        }
        let estimated: f64 = analyzed
            .bindings
            .iter()
            .zip(&analyzed.plans)
            .filter_map(|(binding, plan)| Some(binding.weight * plan.as_ref()?.rows()))
            .sum();
        let (low, high) = (observed.max(1.0), estimated.max(1.0));
        Some(Fact::RowsAgree { factor: round((low / high).max(high / low)) })
    }

    fn shape_facts(
        &self,
        statement: usize,
        candidate: usize,
        configuration: &Configuration,
    ) -> Vec<Fact> {
        let analyzed = &self.cx.workload[statement];
        let mut facts = Vec::new();
        for binding in analyzed.weighed() {
            let before = &analyzed.plans[binding];
            let after = self.selector.price(statement, binding, configuration, Cache::AsSet);
            if let (Some(before), Some(after)) = (before, after)
                && after.used.contains(&candidate)
            {
                facts.extend(judge::plan_facts(before, &after.plan));
                if rests_on_guess(&self.cx, analyzed, before, &after.plan) {
                    facts.push(Fact::GuessedSelectivity);
                }
            }
        }
        facts
    }

    /// Gain in milliseconds per day, and the before and after of one statement: with this candidate alone where
    /// that gains, for nobody knows which others will be made; beside all others where it gains by them only.
    fn help(
        &self,
        statement: usize,
        candidate: usize,
        configuration: &Configuration,
    ) -> Option<(f64, Help)> {
        let analyzed = &self.cx.workload[statement];
        let alone: Configuration = [candidate].into();
        let cost = |of: &Configuration| self.selector.cost(statement, of, Cache::AsSet);
        let gains = cost(&alone)
            .zip(cost(&Configuration::new()))
            .is_some_and(|(after, before)| after <= before * HELPED_BELOW);
        let configuration = if gains { &alone } else { configuration };
        let before = self.selector.cost(statement, &Configuration::new(), Cache::AsSet)?;
        let after = self.selector.cost(statement, configuration, Cache::AsSet)?;
        let main = (0..analyzed.bindings.len())
            .filter(|&b| analyzed.plans[b].is_some())
            .max_by(|&a, &b| analyzed.bindings[a].weight.total_cmp(&analyzed.bindings[b].weight))?;
        let plan_after = self.selector.price(statement, main, configuration, Cache::AsSet)?;
        let gain = crate::workload::ms_per_day(self.cx.snapshot, analyzed)
            * (1.0 - after / before.max(f64::MIN_POSITIVE));
        let help = Help {
            statement: analyzed.of(self.cx.snapshot).id.clone(),
            cost_before: round(before),
            cost_after: round(after),
            plan_before: judge::one_line(analyzed.plans[main].as_ref()?),
            plan_after: stable_names(&judge::one_line(&plan_after.plan)),
        };
        Some((gain, help))
    }

    /// An action that needs no price: dropping an index, taking statistics.
    fn plain(&self, candidate: &Candidate) -> Action {
        let table = self.table(candidate.change.table());
        let reference = self.reference(table.oid);
        let (key, operation, impact) = match &candidate.change {
            Change::DropIndex { index, .. } => {
                let spared =
                    write_cost(&self.cx, table, &IndexDefinition::of(table, index)).ms_per_day;
                let impact = Impact {
                    ms_per_day: None,
                    bytes: Some(-(index.bytes as i64)),
                    write_ms_per_day: -round(spared),
                };
                let key = action_key(
                    &reference,
                    &format!("drop index {} {}", index.name, index.definition),
                );
                (key, Operation::DropIndex { index: index.clone() }, impact)
            }
            Change::CreateStatistics { definition, .. } => {
                let text = format!("create statistics {}", definition.canonical());
                let key = action_key(&reference, &text);
                let name = statistics_name(definition, &key);
                let definition = definition.clone();
                (key, Operation::CreateStatistics { name, definition }, Impact::default())
            }
            Change::Vacuum { .. } => {
                (action_key(&reference, "vacuum"), Operation::Vacuum, Impact::default())
            }
            _ => (action_key(&reference, "analyze"), Operation::Analyze, Impact::default()),
        };
        let by_hand = match &operation {
            Operation::DropIndex { index } if table.kind == TableKind::Partitioned => {
                Some(partitions::drop(self.cx.snapshot, index))
            }
            _ => None,
        };
        Action {
            key,
            rule: candidate.rules[0].to_owned(),
            table: reference,
            operation,
            reach: candidate.reach,
            confidence: confidence(&distinct(candidate.facts.clone())),
            impact,
            helps: Vec::new(),
            by_hand,
        }
    }

    fn reference(&self, oid: u32) -> TableRef {
        let table = self.table(oid);
        TableRef { oid, schema: table.schema.clone(), name: table.name.clone() }
    }
}

/// An index on an expression makes ANALYZE collect statistics of the expression; without them the planner
/// goes on guessing. What it saves is counted with the index already, and what speaks for the index is said there.
fn statistics_after(index: &Action) -> Option<Action> {
    let Operation::CreateIndex { name, definition, .. } = &index.operation else { return None };
    let follows = Fact::FollowsIndex { index: name.clone(), confidence: index.confidence.value };
    definition.keys.iter().any(|key| matches!(key.term, Term::Expression(_))).then(|| Action {
        key: statistics_key(index),
        rule: index.rule.clone(),
        table: index.table.clone(),
        operation: Operation::Analyze,
        reach: index.reach,
        confidence: confidence(&[follows]),
        impact: Impact::default(),
        helps: Vec::new(),
        by_hand: None,
    })
}

fn distinct(facts: Vec<Fact>) -> Vec<Fact> {
    let mut kept: Vec<Fact> = Vec::new();
    for fact in facts {
        if !kept.contains(&fact) {
            kept.push(fact);
        }
    }
    kept
}

/// Hypothetical indexes are named with an oid that differs from run to run; a report must not.
fn stable_names(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        match from[1..].split_once('>') {
            Some((oid, after)) if !oid.is_empty() && oid.bytes().all(|b| b.is_ascii_digit()) => {
                out.push_str("new ");
                rest = after;
            }
            _ => {
                out.push('<');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Three significant decimals are enough for a person and keep equal runs equal.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Freezes the actions into a change plan.
pub fn freeze(made_from: String, min_confidence: f64, actions: Vec<Action>) -> ChangePlan {
    ChangePlan { made_from, min_confidence, actions }
}

/// The furthest that a candidate without a price may go.
pub(crate) const UNPRICED_REACH: Reach = Reach::Ask;
