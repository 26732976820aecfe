//! The greedy algorithm: the best move first, as long as one pays.

use std::collections::{BTreeMap, BTreeSet};

use super::moves::{WIDER_SAVES, narrower};
use super::{Chosen, HELPED_BELOW, Missing, Selection, Selector, Trust};
use crate::candidate::Refusal;
use crate::evidence::{INDEXES_PER_TABLE_MAX, INSERT_SLOWDOWN_MAX};
use crate::whatif::{Cache, Configuration, Question};
use crate::write_cost::{burden, index_count, insert_slowdown};

/// No statement may cost more than this multiple of its cost before.
const HARMED_ABOVE: f64 = 1.1;
/// What only the planner promises must at least halve the cost that the proven choices leave.
const PROMISED_BELOW: f64 = 0.5;

/// One decided move: accepted with its gain, or refused for want of one; and what was refused beside it.
#[derive(Clone, Debug)]
pub(super) struct Pick {
    accepted: Configuration,
    gain: Option<f64>,
    reasons: BTreeMap<usize, String>,
}

/// Decided moves by the way and the start that they were decided on.
pub(super) type Picks = BTreeMap<(Trust, bool, Configuration), Vec<Pick>>;

/// What moves are worth, by their place and what is chosen nearby.
pub(super) type Values = BTreeMap<(Trust, usize, Configuration), Result<f64, String>>;

/// One way through the candidates.
#[derive(Clone, Copy)]
pub(super) struct Greedy<'s, 'a> {
    pub(super) of: &'s Selector<'a>,
    pub(super) trust: Trust,
    by_density: bool,
}

/// Chooses what is proven first, then adds what only the planner promises. Under a budget the gain per byte
/// may lead further than the gain; the better of both orders wins.
pub(super) fn solve(of: &Selector<'_>) -> Result<Selection, Missing> {
    let by_value = both_stages(of, false)?;
    if of.task.storage_budget.is_none() {
        return Ok(by_value);
    }
    let by_density = both_stages(of, true)?;
    let total = |s: &Selection| {
        s.chosen.iter().map(|c| c.gain_ms_per_day - c.write.ms_per_day).sum::<f64>()
    };
    Ok(if total(&by_density) > total(&by_value) { by_density } else { by_value })
}

fn both_stages(of: &Selector<'_>, by_density: bool) -> Result<Selection, Missing> {
    let mut selection = Selection::default();
    let proven = Greedy { of, trust: Trust::Proven, by_density };
    let configuration = proven.extend(Configuration::new(), &mut selection)?;
    proven.settle(&configuration, &mut selection)?;
    let promised = Greedy { of, trust: Trust::All, by_density };
    let everything = promised.extend(configuration.clone(), &mut selection)?;
    if everything != configuration {
        promised.settle(&everything, &mut selection)?;
    }
    selection.refusals.retain(|refusal| {
        !selection.chosen.iter().any(|c| {
            of.refusal(c.candidate, String::new()).what == refusal.what
                && of.refusal(c.candidate, String::new()).table == refusal.table
        })
    });
    selection.refusals.extend(saves_too_little(of, &selection));
    selection.refusals.sort();
    selection.refusals.dedup();
    Ok(selection)
}

/// Where nothing was chosen for a statement and nothing refused yet: the best that was tried, and how little
/// it saves.
fn saves_too_little(of: &Selector<'_>, selection: &Selection) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for statement in 0..of.tables.len() {
        let serves = |c: &usize| of.task.candidates[*c].serves.contains(&statement);
        let id = &of.task.cx.workload[statement].of(of.task.cx.snapshot).id;
        if selection.chosen.iter().any(|chosen| serves(&chosen.candidate))
            || selection.refusals.iter().any(|refusal| refusal.statements.contains(id))
        {
            continue;
        }
        let cost = |configuration: &Configuration| of.cost(statement, configuration, Cache::AsSet);
        let Some(before) = cost(&Configuration::new()) else { continue };
        let tried: Configuration = of.priceable().into_iter().filter(serves).collect();
        let saved = |c: usize| Some((1.0 - cost(&[c].into())? / before.max(f64::MIN_POSITIVE), c));
        let best =
            tried.iter().copied().filter_map(saved).reduce(|a, b| if b.0 > a.0 { b } else { a });
        let least = (1.0 - HELPED_BELOW) * 100.0;
        let (candidate, reason) = match (best, tried.first()) {
            (Some((saved, candidate)), _) if saved < 1.0 - HELPED_BELOW => {
                let saved = saved.max(0.0) * 100.0;
                (
                    candidate,
                    format!(
                        "would save {saved:.0} % of the cost; under {least:.0} % does not count"
                    ),
                )
            }
            (Some((_, candidate)), _) => {
                let reason = "a narrower index, or another that was chosen, does nearly as much";
                (candidate, reason.to_owned())
            }
            // Nobody asked about each alone where all together are not worth it.
            (None, Some(&first)) => {
                (first, format!("all candidates together save under {least:.0} % of the cost"))
            }
            (None, None) => continue,
        };
        refusals.push(of.refusal(candidate, reason));
    }
    refusals
}

impl Greedy<'_, '_> {
    pub(super) fn cost(
        &self,
        statement: usize,
        configuration: &Configuration,
        cache: Cache,
        missing: &mut BTreeSet<Question>,
    ) -> Option<f64> {
        self.of.known_cost(statement, configuration, cache, self.trust, missing)
    }

    /// Cost under a configuration / cost as things are, the worse of both caches.
    fn careful_ratio(
        &self,
        statement: usize,
        configuration: &Configuration,
        missing: &mut BTreeSet<Question>,
    ) -> Option<f64> {
        let mut ratio = |cache| {
            let before = self.cost(statement, &Configuration::new(), cache, missing)?;
            let after = self.cost(statement, configuration, cache, missing)?;
            Some(after / before.max(f64::MIN_POSITIVE))
        };
        let (normal, tiny) = (ratio(Cache::AsSet), ratio(Cache::Tiny));
        Some(normal?.max(tiny?))
    }

    /// Adds to what is chosen already, move by move, the best first.
    fn extend(
        &self,
        mut current: Configuration,
        selection: &mut Selection,
    ) -> Result<Configuration, Missing> {
        let known = self.of.moves.borrow().get(&self.trust).cloned();
        let moves = match known {
            Some(moves) => moves,
            None => self.moves()?,
        };
        self.of.moves.borrow_mut().insert(self.trust, moves.clone());
        let settled = selection.chosen.len();
        let mut refused: BTreeSet<Configuration> = BTreeSet::new();
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        let start = current.clone();
        let known =
            self.of.picks.borrow().get(&(self.trust, self.by_density, start.clone())).cloned();
        let mut picks = known.unwrap_or_default();
        // What was decided with all prices known stays decided: later answers only add prices.
        for pick in &picks {
            reasons.extend(pick.reasons.clone());
            self.follow(pick, &mut current, selection, &mut refused);
        }
        loop {
            let (against, more) = self.pick(&moves, &current, &refused)?;
            reasons.extend(against);
            if more.is_empty() {
                break;
            }
            for pick in &more {
                self.follow(pick, &mut current, selection, &mut refused);
            }
            picks.extend(more);
            let key = (self.trust, self.by_density, start.clone());
            self.of.picks.borrow_mut().insert(key, picks.clone());
        }
        self.prune(&mut current, selection, settled)?;
        for (candidate, reason) in
            reasons.into_iter().filter(|(candidate, _)| !current.contains(candidate))
        {
            selection.refusals.push(self.of.refusal(candidate, reason));
        }
        for chosen in &mut selection.chosen[settled..] {
            chosen.under.clone_from(&current);
        }
        Ok(current)
    }

    /// The best moves from here, with what was learned on the way; none when none pays any more. Moves that
    /// cannot change each other's worth are made at once: one by one they would be the same.
    fn pick(
        &self,
        moves: &[Configuration],
        current: &Configuration,
        refused: &BTreeSet<Configuration>,
    ) -> Result<(BTreeMap<usize, String>, Vec<Pick>), Missing> {
        let mut missing = BTreeSet::new();
        let mut reasons = BTreeMap::new();
        let mut paying: Vec<(f64, &Configuration)> = Vec::new();
        for (place, candidate_move) in moves.iter().enumerate() {
            if candidate_move.is_subset(current) || refused.contains(candidate_move) {
                continue;
            }
            // Only what was chosen on the same tables can change a move's worth.
            let nearby = self.nearby(current, candidate_move);
            let key = (self.trust, place, nearby);
            let known = self.of.values.borrow().get(&key).cloned();
            let value = known.unwrap_or_else(|| {
                let mut lacking = BTreeSet::new();
                let value = self.value(current, candidate_move, &mut lacking);
                if lacking.is_empty() {
                    self.of.values.borrow_mut().insert(key, value.clone());
                }
                missing.extend(lacking);
                value
            });
            match value {
                Ok(value) if value > 0.0 => {
                    let bytes = self.of.bytes(candidate_move.difference(current)).max(1) as f64;
                    let rank = if self.by_density { value / bytes } else { value };
                    paying.push((rank, candidate_move));
                }
                Ok(_) => {}
                Err(reason) => {
                    reasons.extend(
                        candidate_move.iter().map(|&candidate| (candidate, reason.clone())),
                    );
                }
            }
        }
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        // What a part of a set brings by itself, it brings without the rest.
        let alone = |set: &Configuration| {
            let parts =
                paying.iter().filter(|(_, part)| part.len() < set.len() && part.is_subset(set));
            parts.map(|(rank, _)| *rank).reduce(f64::max).unwrap_or(0.0)
        };
        let mut paying: Vec<(f64, &Configuration)> =
            paying.iter().map(|&(rank, set)| (rank - alone(set), set)).collect();
        // A stable sort: of equals the first stays first.
        paying.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut taken = BTreeSet::new();
        let mut gains = Vec::new();
        for (_, accepted) in paying {
            let reach = self.reach(accepted);
            if taken.is_disjoint(&reach) {
                gains.push((accepted, self.careful_gain(current, accepted, &mut missing)));
            }
            taken.extend(reach);
            if self.of.task.storage_budget.is_some() {
                break;
            }
        }
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        let mut picks = Vec::new();
        for (accepted, gain) in gains {
            if gain.is_none() {
                let reason = "with a cold cache (effective_cache_size 8MB) it does not pay";
                reasons.extend(accepted.iter().map(|&candidate| (candidate, reason.to_owned())));
            }
            picks.push(Pick { accepted: accepted.clone(), gain, reasons: BTreeMap::new() });
        }
        if let Some(pick) = picks.first_mut() {
            pick.reasons.clone_from(&reasons);
        }
        Ok((reasons, picks))
    }

    /// The tables that some statement reads together with a move's.
    fn reach(&self, candidate_move: &Configuration) -> BTreeSet<u32> {
        let table = |&c: &usize| self.of.task.candidates[c].change.table();
        candidate_move.iter().flat_map(|c| self.of.neighbours(table(c)).iter().copied()).collect()
    }

    /// What of a configuration can matter to a move: under a budget all of it, else what is on tables that some
    /// statement reads together with the move's.
    fn nearby(&self, current: &Configuration, candidate_move: &Configuration) -> Configuration {
        if self.of.task.storage_budget.is_some() {
            return current.clone();
        }
        let reach = self.reach(candidate_move);
        let table = |&c: &usize| self.of.task.candidates[c].change.table();
        current.iter().copied().filter(|c| reach.contains(&table(c))).collect()
    }

    fn follow(
        &self,
        pick: &Pick,
        current: &mut Configuration,
        selection: &mut Selection,
        refused: &mut BTreeSet<Configuration>,
    ) {
        match pick.gain {
            Some(gain) => self.accept(current, selection, &pick.accepted, gain),
            None => {
                refused.insert(pick.accepted.clone());
            }
        }
    }

    /// Milliseconds per day that a move nets, or why it is refused.
    fn value(
        &self,
        current: &Configuration,
        candidate_move: &Configuration,
        missing: &mut BTreeSet<Question>,
    ) -> Result<f64, String> {
        let next: Configuration = current.union(candidate_move).copied().collect();
        if let Some(reason) = self.of.over_budget(self.of.bytes(next.iter()), "what saves more") {
            return Err(reason);
        }
        self.not_crowded(&next, candidate_move)?;
        self.spares_inserts(&next, candidate_move)?;
        let helped_below = match self.trust {
            Trust::Proven => HELPED_BELOW,
            Trust::All => PROMISED_BELOW,
        };
        let (mut gain, mut helped) = (0.0, false);
        for statement in (0..self.of.tables.len())
            .filter(|&s| candidate_move.iter().any(|&c| self.of.touches(s, c)))
        {
            let Some(before) = self.cost(statement, &Configuration::new(), Cache::AsSet, missing)
            else {
                continue;
            };
            let now = self.cost(statement, current, Cache::AsSet, missing);
            let then = self.cost(statement, &next, Cache::AsSet, missing);
            let (Some(now), Some(then)) = (now, then) else { continue };
            if then > before * HARMED_ABOVE {
                let id = &self.of.task.cx.workload[statement].of(self.of.task.cx.snapshot).id;
                return Err(format!(
                    "statement {id} would cost {:.0} % more",
                    (then / before - 1.0) * 100.0
                ));
            }
            helped |= then <= now * helped_below;
            gain += self.of.weights[statement] * (now - then) / before.max(f64::MIN_POSITIVE);
        }
        let fresh = || candidate_move.difference(current).copied();
        let own: f64 = fresh().map(|c| self.of.task.candidates[c].own_gain_ms_per_day).sum();
        let write: f64 = fresh().map(|c| self.of.write(c).ms_per_day).sum();
        if !helped && own <= 0.0 {
            return Ok(0.0);
        }
        let net = gain + own - write;
        if net <= 0.0 && missing.is_empty() {
            let saved = gain + own;
            return Err(if saved > 0.0 {
                format!("writers would pay {write:.1} ms a day for {saved:.1} ms saved")
            } else {
                "beside what was chosen it saves nothing".to_owned()
            });
        }
        Ok(net)
    }

    /// Refuses what would give a table more indexes than a person has agreed to.
    fn not_crowded(
        &self,
        next: &Configuration,
        candidate_move: &Configuration,
    ) -> Result<(), String> {
        let task = &self.of.task;
        for table in candidate_move.iter().map(|&c| task.candidates[c].change.table()) {
            let indexes = index_count(&task.cx, task.candidates, next, table);
            if self.trust == Trust::Proven && indexes > INDEXES_PER_TABLE_MAX {
                return Err(format!("the table would have over {INDEXES_PER_TABLE_MAX} indexes"));
            }
        }
        Ok(())
    }

    /// Refuses what would slow the tables' inserts down by more than a person has agreed to.
    fn spares_inserts(
        &self,
        next: &Configuration,
        candidate_move: &Configuration,
    ) -> Result<(), String> {
        if self.trust == Trust::All {
            return Ok(());
        }
        let task = &self.of.task;
        for table in candidate_move.iter().map(|&c| task.candidates[c].change.table()) {
            let burden = burden(&task.cx, task.candidates, next, table);
            let share = insert_slowdown(&task.cx, table, burden).unwrap_or(0.0);
            if share > INSERT_SLOWDOWN_MAX {
                return Err(format!(
                    "inserts into the table would take {:.0} % longer",
                    share * 100.0
                ));
            }
        }
        Ok(())
    }

    /// Milliseconds per day that a move saves by the more careful of both caches; `None` when it saves nothing.
    fn careful_gain(
        &self,
        current: &Configuration,
        accepted: &Configuration,
        missing: &mut BTreeSet<Question>,
    ) -> Option<f64> {
        let next: Configuration = current.union(accepted).copied().collect();
        let mut gain = 0.0;
        for statement in
            (0..self.of.tables.len()).filter(|&s| accepted.iter().any(|&c| self.of.touches(s, c)))
        {
            let now = self.careful_ratio(statement, current, missing);
            let then = self.careful_ratio(statement, &next, missing);
            if let (Some(now), Some(then)) = (now, then) {
                gain += self.of.weights[statement] * (now - then);
            }
        }
        let fresh = || accepted.difference(current).copied();
        let own: f64 = fresh().map(|c| self.of.task.candidates[c].own_gain_ms_per_day).sum();
        let write: f64 = fresh().map(|c| self.of.write(c).ms_per_day).sum();
        (gain + own > write).then_some(gain + own)
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
                write: self.of.write(candidate),
                bytes: self.of.bytes(std::iter::once(&candidate)),
                under: Configuration::new(),
                proven: self.trust == Trust::Proven,
            });
        }
        current.extend(fresh);
    }

    /// Takes back what later choices made idle: an index without which nobody's cost rises noticeably. Beside
    /// an index that begins with the same keys it must save a good part of the cost as things are.
    fn prune(
        &self,
        current: &mut Configuration,
        selection: &mut Selection,
        settled: usize,
    ) -> Result<(), Missing> {
        let fresh: Vec<usize> =
            selection.chosen[settled..].iter().map(|chosen| chosen.candidate).collect();
        // All are asked about at once, as if none were idle: seldom one is.
        let mut missing = BTreeSet::new();
        for &candidate in &fresh {
            self.needed(candidate, current, &mut missing);
        }
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        for candidate in fresh {
            let needed = self.needed(candidate, current, &mut missing);
            if !missing.is_empty() {
                return Err(Missing(missing));
            }
            if !needed {
                current.remove(&candidate);
                selection.chosen.retain(|chosen| chosen.candidate != candidate);
                // A foreign key's index has work besides the statements', and stays as advice.
                if !self.of.task.candidates[candidate].rules.contains(&"unindexed_foreign_key") {
                    let reason = "what else was chosen does its work".to_owned();
                    selection.refusals.push(self.of.refusal(candidate, reason));
                }
            }
        }
        Ok(())
    }

    /// Whether somebody's cost rises noticeably without a chosen candidate.
    fn needed(
        &self,
        candidate: usize,
        current: &Configuration,
        missing: &mut BTreeSet<Question>,
    ) -> bool {
        let mut without = current.clone();
        without.remove(&candidate);
        let definition = |c: usize| self.of.definition(c);
        let covering = || without.iter().filter(|&&c| definition(c).covers(definition(candidate)));
        let wider = covering().any(|&c| narrower(definition(candidate), definition(c)));
        let mut needed = self.of.task.candidates[candidate].own_gain_ms_per_day > 0.0
            && covering().next().is_none();
        for statement in (0..self.of.tables.len()).filter(|&s| self.of.touches(s, candidate)) {
            let with = self.cost(statement, current, Cache::AsSet, missing);
            let gone = self.cost(statement, &without, Cache::AsSet, missing);
            if let (Some(with), Some(gone)) = (with, gone) {
                let before = self.cost(statement, &Configuration::new(), Cache::AsSet, missing);
                needed |= with <= gone * HELPED_BELOW
                    && (!wider || gone - with >= before.unwrap_or(gone) * WIDER_SAVES);
            }
        }
        needed
    }

    /// Prices a final configuration under both caches and shares each statement's gain out among the indexes
    /// judged under it that its plans use: in proportion to what would be lost without each.
    fn settle(
        &self,
        configuration: &Configuration,
        selection: &mut Selection,
    ) -> Result<(), Missing> {
        let mut missing = BTreeSet::new();
        let mut gains: BTreeMap<usize, f64> = BTreeMap::new();
        let relevant = |&s: &usize| !self.of.relevant(s, configuration).is_empty();
        for statement in (0..self.of.tables.len()).filter(relevant) {
            let ratio = self.careful_ratio(statement, configuration, &mut missing);
            let cost = self.cost(statement, configuration, Cache::AsSet, &mut missing);
            let (Some(ratio), Some(cost)) = (ratio, cost) else { continue };
            let already = selection.ratios.get(&statement).copied().unwrap_or(1.0);
            selection.costs.insert(statement, cost);
            selection.ratios.insert(statement, ratio);
            let judged = |c: &usize| {
                selection
                    .chosen
                    .iter()
                    .any(|chosen| chosen.candidate == *c && chosen.under == *configuration)
            };
            let gain = self.of.weights[statement] * (already - ratio).max(0.0);
            let used: Vec<usize> =
                self.of.used(statement, configuration).into_iter().filter(judged).collect();
            let mut losses = Vec::new();
            for &candidate in &used {
                let mut without = configuration.clone();
                without.remove(&candidate);
                // Asked for as well, though only evidence rests on it.
                self.cost(statement, &without, Cache::Tiny, &mut missing);
                let gone = self.cost(statement, &without, Cache::AsSet, &mut missing);
                losses.push((candidate, (gone.unwrap_or(cost) - cost).max(0.0)));
            }
            let all: f64 = losses.iter().map(|(_, loss)| loss).sum();
            for (candidate, loss) in losses {
                let share = if all > 0.0 { loss / all } else { 1.0 / used.len() as f64 };
                *gains.entry(candidate).or_insert(0.0) += gain * share;
            }
        }
        for chosen in selection.chosen.iter_mut().filter(|chosen| chosen.under == *configuration) {
            let own = self.of.task.candidates[chosen.candidate].own_gain_ms_per_day;
            chosen.gain_ms_per_day = gains.get(&chosen.candidate).copied().unwrap_or(0.0) + own;
        }
        if missing.is_empty() { Ok(()) } else { Err(Missing(missing)) }
    }
}
