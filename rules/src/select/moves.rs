//! What greedy may add at once.

use std::collections::{BTreeMap, BTreeSet};

use super::greedy::Greedy;
use super::{HELPED_BELOW, Missing};
use crate::index::{IndexDefinition, Key};
use crate::snapshot::Index;
use crate::whatif::{Cache, Configuration, Question};

/// A wider index must at least halve what a narrower one leaves …
const WIDER_HALVES: f64 = 0.5;
/// … or save this much more of the cost before.
pub(super) const WIDER_SAVES: f64 = 0.15;
/// Halving what is left for single values counts from this share of their cost before.
const WIDER_SAVES_LEAST: f64 = 0.02;
/// Weight of the bindings for which it must.
const WIDER_SHARE: f64 = 0.25;
/// Indexes of one question that looks for those worth asking about.
const TOGETHER: usize = 16;

impl Greedy<'_, '_> {
    /// What greedy may add at once: single candidates that help somebody, and sets that a plan uses together
    /// (two indexes under a `BitmapOr` are each worth nothing alone).
    pub(super) fn moves(&self) -> Result<Vec<Configuration>, Missing> {
        let priceable = self.of.priceable();
        let mut missing = BTreeSet::new();
        let mut moves: BTreeSet<Configuration> = BTreeSet::new();
        for statement in 0..self.of.tables.len() {
            let own: Configuration = priceable
                .iter()
                .copied()
                .filter(|&c| self.of.task.candidates[c].serves.contains(&statement))
                .collect();
            let Some(before) =
                self.cost(statement, &Configuration::new(), Cache::AsSet, &mut missing)
            else {
                continue;
            };
            let Some(own) = self.promising(statement, &own, before, &mut missing) else { continue };
            let mut best_single = before;
            for &candidate in &own {
                let alone = Configuration::from([candidate]);
                if let Some(cost) = self.cost(statement, &alone, Cache::AsSet, &mut missing) {
                    best_single = best_single.min(cost);
                    // Against an index that exists the same holds as against one chosen beside it, or the next
                    // run would widen what this one made.
                    let widens = self.widens(statement, candidate);
                    if cost <= before * if widens { WIDER_HALVES } else { HELPED_BELOW } {
                        moves.insert(alone);
                    }
                }
            }
            if own.len() > 1
                && let Some(together) = self.cost(statement, &own, Cache::AsSet, &mut missing)
                && together < best_single * HELPED_BELOW
            {
                let bindings = 0..self.of.task.cx.workload[statement].bindings.len();
                moves.extend(
                    bindings
                        .filter_map(|b| self.of.price(statement, b, &own, Cache::AsSet))
                        .map(|price| price.used.clone())
                        .filter(|used| used.len() > 1),
                );
            }
        }
        // A foreign key's own gain needs no statement.
        moves.extend(
            priceable
                .iter()
                .filter(|&&c| self.of.task.candidates[c].own_gain_ms_per_day > 0.0)
                .map(|&c| Configuration::from([c])),
        );
        if !missing.is_empty() {
            return Err(Missing(missing));
        }
        Ok(self.widened(self.undominated(moves)?))
    }

    /// Whether a statement's plans already use an index with some of a candidate's keys and no others.
    fn widens(&self, statement: usize, candidate: usize) -> bool {
        let cx = &self.of.task.cx;
        let definition = self.of.definition(candidate);
        let Some(table) = cx.snapshot.table(self.of.task.candidates[candidate].change.table())
        else {
            return false;
        };
        let wide: BTreeSet<&str> = definition.keys.iter().filter_map(Key::as_column).collect();
        let narrower = |index: &&Index| {
            let keys: Option<BTreeSet<&str>> =
                index.keys.iter().map(|key| key.column.as_deref()).collect();
            index.method == definition.method
                && index.predicate.is_none()
                && keys
                    .is_some_and(|keys| keys.len() < definition.keys.len() && keys.is_subset(&wide))
        };
        let plans = cx.workload[statement].plans.iter().flatten();
        let used: BTreeSet<String> = plans.flat_map(planparse::Plan::indexes_used).collect();
        table.indexes.iter().filter(narrower).any(|index| used.contains(&index.name))
    }

    /// Adds to the sets those in which a wider index does the work of one of them: else a set would be taken
    /// for what one of its indexes brings alone, and the better single that begins with it would come too late.
    fn widened(&self, mut moves: Vec<Configuration>) -> Vec<Configuration> {
        let singles: Vec<usize> =
            moves.iter().filter(|m| m.len() == 1).filter_map(|m| m.first().copied()).collect();
        let mut more = BTreeSet::new();
        for set in moves.iter().filter(|m| m.len() > 1) {
            for member in set {
                let covers = |c: &&usize| {
                    !set.contains(c) && self.of.definition(**c).covers(self.of.definition(*member))
                };
                for wider in singles.iter().filter(covers) {
                    let others = set.iter().filter(|c| *c != member).copied();
                    more.insert(others.chain([*wider]).collect::<Configuration>());
                }
            }
        }
        more.retain(|set| !moves.contains(set));
        moves.extend(more);
        moves
    }

    /// Those of a statement's own candidates that can help it. One question about many at once answers for all
    /// that the planner leaves aside, and where even all together hardly help, none needs to be asked about.
    fn promising(
        &self,
        statement: usize,
        own: &Configuration,
        before: f64,
        missing: &mut BTreeSet<Question>,
    ) -> Option<Configuration> {
        let others = self.of.priceable().into_iter().filter(|c| !own.contains(c));
        let others = others.filter(|&c| self.of.touches(statement, c));
        let mut promising = Configuration::new();
        for together in own.iter().copied().chain(others).collect::<Vec<_>>().chunks(TOGETHER) {
            let together: Configuration = together.iter().copied().collect();
            let floor = self.of.floor(statement, &together, missing)?;
            if floor <= before * HELPED_BELOW {
                promising.extend(own.intersection(&together));
            }
        }
        Some(promising)
    }

    /// Leaves out single indexes of which a narrower one does nearly as much.
    fn undominated(&self, moves: BTreeSet<Configuration>) -> Result<Vec<Configuration>, Missing> {
        let singles: Vec<usize> =
            moves.iter().filter(|m| m.len() == 1).filter_map(|m| m.first().copied()).collect();
        let mut missing = BTreeSet::new();
        let mut dominated = BTreeSet::new();
        let mut by_table: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for &single in &singles {
            by_table
                .entry(self.of.task.candidates[single].change.table())
                .or_default()
                .push(single);
        }
        for singles in by_table.values() {
            for (&wide, &narrow) in
                singles.iter().flat_map(|wide| singles.iter().map(move |narrow| (wide, narrow)))
            {
                let comparable = narrower(self.of.definition(narrow), self.of.definition(wide));
                if comparable && !self.wider_pays(wide, narrow, &mut missing) {
                    dominated.insert(wide);
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

    /// Whether the wider index is worth its width to some statement, on average or for a good part of its values,
    /// and no worse than the narrower one where little is cached.
    fn wider_pays(&self, wide: usize, narrow: usize, missing: &mut BTreeSet<Question>) -> bool {
        let mut pays = false;
        for statement in (0..self.of.tables.len()).filter(|&s| self.of.touches(s, wide)) {
            let mut mean =
                |candidate: usize, cache| self.cost(statement, &[candidate].into(), cache, missing);
            if let (Some(wider), Some(narrower)) =
                (mean(wide, Cache::AsSet), mean(narrow, Cache::AsSet))
                && wider <= narrower * WIDER_HALVES
                && let (Some(wider), Some(narrower)) =
                    (mean(wide, Cache::Tiny), mean(narrow, Cache::Tiny))
            {
                pays |= wider <= narrower;
            }
            let analyzed = &self.of.task.cx.workload[statement];
            let mut share = 0.0;
            for (binding, weight) in
                analyzed.bindings.iter().map(|binding| binding.weight).enumerate()
            {
                let mut cost = |candidates: &[usize], cache| {
                    let configuration = candidates.iter().copied().collect();
                    self.of.binding_cost(
                        statement,
                        binding,
                        &configuration,
                        cache,
                        self.trust,
                        missing,
                    )
                };
                let (Some(before), Some(wider), Some(narrower)) = (
                    cost(&[], Cache::AsSet),
                    cost(&[wide], Cache::AsSet),
                    cost(&[narrow], Cache::AsSet),
                ) else {
                    continue;
                };
                let saved = narrower - wider;
                let halves =
                    wider <= narrower * WIDER_HALVES && saved >= before * WIDER_SAVES_LEAST;
                if (halves || saved >= before * WIDER_SAVES)
                    && let (Some(wider), Some(narrower)) =
                        (cost(&[wide], Cache::Tiny), cost(&[narrow], Cache::Tiny))
                    && wider <= narrower
                {
                    share += weight;
                }
            }
            pays |= share >= WIDER_SHARE;
        }
        pays
    }
}

/// Whether one index is of the same table and method with a true subset of the other's terms.
pub(super) fn narrower(narrow: &IndexDefinition, wide: &IndexDefinition) -> bool {
    let terms =
        |d: &IndexDefinition| d.keys.iter().map(|key| key.term.clone()).collect::<BTreeSet<_>>();
    let same =
        narrow.schema == wide.schema && narrow.table == wide.table && narrow.method == wide.method;
    same && narrow.keys.len() < wide.keys.len() && terms(narrow).is_subset(&terms(wide))
}
