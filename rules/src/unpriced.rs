//! Candidates that no planner priced: what plans and statistics alone say of them.
//!
//! They never pass the gate: confidence is capped and the reach is at most `Ask`, or `Advise` for a foreign key by
//! which nothing is known to gain.

use std::collections::{BTreeMap, BTreeSet};

use crate::assemble::{Assembly, UNPRICED_REACH, round};
use crate::candidate::{Candidate, Change, Refusal};
use crate::change_plan::{Action, Help, Impact};
use crate::evidence::Fact;
use crate::index::IndexDefinition;
use crate::judge::sequential_share;
use crate::reach::Reach;
use crate::sizes::index_bytes;
use crate::whatif::{Answerer, Cache, Configuration};
use crate::workload::{ms_per_day, unknown_writes};
use crate::write_cost::write_cost;

/// Cost of a row fetched through an index against one read in sequence (1.2 µs against 0.11 µs, measured warm).
const FETCH_FACTOR: f64 = 11.0;
/// Share of a statement's cost that must at least be saved.
const GAIN_MIN: f64 = 0.1;

/// The best unpriced candidate of each table and statement as an action, and the refusals.
pub fn actions(assembly: &Assembly<'_>, chosen: &Configuration) -> (Vec<Action>, Vec<Refusal>) {
    let mut actions = Vec::new();
    let mut refusals = Vec::new();
    let mut settled: BTreeSet<(usize, u32)> = BTreeSet::new();
    let mut taken: u64 = assembly.selection.chosen.iter().map(|chosen| chosen.bytes).sum();
    // Statement -> share of its time that no action saves yet: nothing is saved twice.
    let mut left: BTreeMap<usize, f64> = BTreeMap::new();
    for (position, candidate) in assembly.candidates.iter().enumerate() {
        let Change::CreateIndex { table, definition } = &candidate.change else { continue };
        let refuses = assembly.answerer.refuses(&definition.method);
        let priced = refuses.is_none();
        if chosen.contains(&position) || covered(assembly, chosen, definition) {
            continue;
        }
        let foreign_key = candidate.rules.contains(&"unindexed_foreign_key");
        if priced && (!foreign_key || refused(assembly, candidate, definition)) {
            continue;
        }
        let gains: Vec<(usize, f64)> = if priced {
            Vec::new()
        } else {
            let open = candidate.serves.iter().filter(|&&s| !settled.contains(&(s, *table)));
            let share = |&s: &usize| {
                let priced = || assembly.selection.ratios.get(&s).copied().unwrap_or(1.0);
                let left = left.entry(s).or_insert_with(|| priced().clamp(0.0, 1.0));
                let share = gain(assembly, s, *table)?.min(*left);
                (share > GAIN_MIN).then(|| {
                    *left -= share;
                    (s, share)
                })
            };
            open.filter_map(share).collect()
        };
        if gains.is_empty() && !foreign_key {
            if refuses.is_some() && assembly.answerer != Answerer::None {
                let planned =
                    |&s: &usize| assembly.cx.workload[s].plans.iter().any(Option::is_some);
                let reason = if candidate.serves.iter().any(planned) {
                    "the plans keep too many rows of the table, or read it otherwise already"
                } else {
                    "the statements that it would serve could not be planned"
                };
                refusals.push(refusal(assembly, candidate, definition, reason.to_owned()));
            }
            continue;
        }
        let bytes = index_bytes(assembly.cx.snapshot, assembly.table(*table), definition);
        let all = taken.saturating_add(bytes);
        if let Some(reason) = assembly.selector.over_budget(all, "what was chosen before it") {
            refusals.push(refusal(assembly, candidate, definition, reason));
            for (statement, share) in &gains {
                *left.entry(*statement).or_default() += share;
            }
            continue;
        }
        taken += bytes;
        settled.extend(gains.iter().map(|(s, _)| (*s, *table)));
        actions.push(action(assembly, candidate, *table, definition, &gains));
    }
    (actions, refusals)
}

fn covered(assembly: &Assembly<'_>, chosen: &Configuration, definition: &IndexDefinition) -> bool {
    chosen.iter().any(|&c| match &assembly.candidates[c].change {
        Change::CreateIndex { definition: other, .. } => other.covers(definition),
        _ => false,
    })
}

/// Whether the choice refused it, with a reason.
fn refused(assembly: &Assembly<'_>, candidate: &Candidate, definition: &IndexDefinition) -> bool {
    let table = assembly.table(candidate.change.table()).qualified();
    let what = format!("index ({})", definition.brief());
    assembly.selection.refusals.iter().any(|r| r.table == table && r.what == what)
}

/// Share of a statement's cost that the candidate would save, judged by the sequential scans that it replaces,
/// on average over the bindings; one that keeps too many rows goes on as it is. `None` when hardly anything is
/// saved, or what was chosen helps the statement already.
fn gain(assembly: &Assembly<'_>, statement: usize, table: u32) -> Option<f64> {
    let analyzed = &assembly.cx.workload[statement];
    let owner = assembly.table(table);
    let chosen: Configuration = assembly.selection.chosen.iter().map(|c| c.candidate).collect();
    let before = assembly.selector.cost(statement, &Configuration::new(), Cache::AsSet)?;
    let after = assembly.selector.cost(statement, &chosen, Cache::AsSet).unwrap_or(before);
    if after < before * 0.5 {
        return None;
    }
    let (mut saved, mut cost) = (0.0, 0.0);
    for (binding, plan) in analyzed.bindings.iter().zip(&analyzed.plans) {
        let Some(plan) = plan else { continue };
        let weighed = binding.weight * plan.total_cost();
        cost += weighed;
        let rows = owner.rows.unwrap_or(1.0);
        if let Some((share, kept)) = sequential_share(plan, (&owner.schema, &owner.name), rows) {
            saved += weighed * share * (1.0 - kept * FETCH_FACTOR).max(0.0);
        }
    }
    (cost > 0.0).then(|| saved / cost).filter(|&gain| gain > GAIN_MIN)
}

fn action(
    assembly: &Assembly<'_>,
    candidate: &Candidate,
    table: u32,
    definition: &IndexDefinition,
    gains: &[(usize, f64)],
) -> Action {
    let owner = assembly.table(table);
    let write = write_cost(&assembly.cx, owner, definition);
    let mut facts = candidate.facts.clone();
    let reason = match assembly.answerer.refuses(&definition.method) {
        Some(reason) if !gains.is_empty() => reason,
        _ => "no statement of the workload shows it".to_owned(),
    };
    facts.push(Fact::Unpriced { reason });
    if write.ends_hot > 0.01 {
        facts.push(Fact::EndsHot { share: write.ends_hot });
    }
    facts.extend(unknown_writes(&assembly.cx, table));
    let saved: f64 = gains
        .iter()
        .map(|(s, share)| share * ms_per_day(assembly.cx.snapshot, &assembly.cx.workload[*s]))
        .sum();
    let helps = gains
        .iter()
        .filter_map(|(s, share)| {
            let analyzed = &assembly.cx.workload[*s];
            let before = analyzed.cost()?;
            Some(Help {
                statement: analyzed.of(assembly.cx.snapshot).id.clone(),
                cost_before: round(before),
                cost_after: round(before * (1.0 - share)),
                plan_before: crate::judge::one_line(analyzed.plans.iter().flatten().next()?),
                plan_after: "not priced: estimated from the sequential scan that it replaces"
                    .to_owned(),
            })
        })
        .collect();
    let impact = Impact {
        ms_per_day: Some(round(saved + candidate.own_gain_ms_per_day)),
        bytes: Some(index_bytes(assembly.cx.snapshot, owner, definition) as i64),
        write_ms_per_day: round(write.ms_per_day),
    };
    let mut action = assembly.create(candidate, table, definition, facts, impact, helps);
    let shown = gains.is_empty() && candidate.own_gain_ms_per_day <= 0.0;
    action.reach = action.reach.min(if shown { Reach::Advise } else { UNPRICED_REACH });
    action
}

fn refusal(
    assembly: &Assembly<'_>,
    candidate: &Candidate,
    definition: &IndexDefinition,
    reason: String,
) -> Refusal {
    Refusal {
        rule: candidate.rules[0].to_owned(),
        table: assembly.table(candidate.change.table()).qualified(),
        what: format!("{} index ({})", definition.method, definition.brief()),
        reason,
        statements: candidate
            .serves
            .iter()
            .map(|&s| assembly.cx.workload[s].of(assembly.cx.snapshot).id.clone())
            .collect(),
    }
}
