//! What the patterns look at: a plan with its metrics, and the weights by which everything is judged.

use super::{Finding, Meta, Stake};
use crate::display::{decimal, kilobytes, label, milliseconds};
use crate::{Link, Metrics, Operator, OperatorId, OperatorKind, Plan};

/// What takes a smaller share of the whole is not worth a finding.
const SHARE_MIN: f64 = 0.01;

/// Nor is what takes fewer milliseconds: below lies what any statement pays for being one, and the noise of the clock.
const MS_MIN: f64 = 1.0;

/// Nor what touches fewer blocks (1 MB), where blocks are all there is.
const BLOCKS_MIN: f64 = 128.0;

/// Nor what costs less: with PostgreSQL's default settings, a hundred pages read in order, about a millisecond.
const COST_MIN: f64 = 100.0;

/// An estimate is off if it is wrong by so many times: the planner's choices rarely change for less, and its own
/// defaults (0.5 % of the rows for an equality) are within it.
pub(super) const ESTIMATE_ERROR: f64 = 10.0;

/// Below so many rows, over all loops, neither a wrong estimate nor a discarded row costs anything to speak of.
pub(super) const FEW_ROWS: f64 = 1000.0;

/// In what a plan is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Milliseconds: the plan was run with timing.
    Time,
    /// Blocks: it was run without timing, but with BUFFERS.
    Blocks,
    /// Planner's cost: all else.
    Cost,
}

/// A plan as the patterns see it.
pub struct Context<'a> {
    pub(super) plan: &'a Plan,
    metrics: Vec<Metrics>,
    pub(super) unit: Unit,
    /// The whole, in the unit; planning included where its time is known.
    pub(super) whole: f64,
    /// What the operators before each place have, in the unit, and last what all have.
    sums: Vec<f64>,
    ends: Vec<OperatorId>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        let metrics: Vec<Metrics> = plan.metrics().into_values().collect();
        let root = plan.operator(plan.root());
        let unit = match root.actual {
            Some(_) if metrics[0].exclusive_ms.is_some() => Unit::Time,
            Some(_) if root.buffers.is_some() => Unit::Blocks,
            _ => Unit::Cost,
        };
        let own = |metric: &Metrics| match unit {
            Unit::Time => metric.exclusive_ms.unwrap_or(0.0),
            Unit::Blocks => metric.exclusive_buffers.as_ref().map_or(0.0, blocks),
            Unit::Cost => metric.exclusive_cost,
        };
        let mut sums = vec![0.0];
        for metric in &metrics {
            sums.push(sums[sums.len() - 1] + own(metric));
        }
        let operators = sums[sums.len() - 1];
        let whole = if unit == Unit::Time {
            let triggers: f64 = plan.triggers.iter().filter_map(|trigger| trigger.total_ms).sum();
            let execution = plan.execution_ms.unwrap_or(operators + triggers).max(operators);
            execution + plan.planning_ms.unwrap_or(0.0)
        } else {
            operators
        };
        Self { plan, metrics, unit, whole, sums, ends: plan.tree.ends() }
    }

    /// Every operator with its metrics, in printed order.
    pub(super) fn operators(&self) -> impl Iterator<Item = (OperatorId, &'a Operator, &Metrics)> {
        self.plan
            .operators()
            .zip(&self.metrics)
            .map(|((id, operator), metrics)| (id, operator, metrics))
    }

    pub(super) fn operator(&self, id: OperatorId) -> &'a Operator {
        self.plan.operator(id)
    }

    pub(super) fn metrics(&self, id: OperatorId) -> &Metrics {
        &self.metrics[id.index()]
    }

    /// The operator's name for a sentence.
    pub(super) fn name(&self, id: OperatorId) -> String {
        label(self.operator(id), self.plan.link(id))
    }

    /// What an operator has by itself, in the unit.
    pub(super) fn own(&self, id: OperatorId) -> f64 {
        self.sums[id.index() + 1] - self.sums[id.index()]
    }

    /// What an operator and everything below it have, in the unit.
    pub(super) fn below(&self, id: OperatorId) -> f64 {
        match self.metrics(id).inclusive_ms {
            Some(ms) if self.unit == Unit::Time => ms,
            _ => self.sums[self.ends[id.index()].index() + 1] - self.sums[id.index()],
        }
    }

    /// Whether the operator above takes its rows from it, as opposed to a subplan.
    pub(super) fn is_input(&self, id: OperatorId) -> bool {
        use Link::{Inner, Member, Outer, Subquery};
        matches!(self.plan.link(id), Some(Outer | Inner | Member | Subquery))
    }

    /// The operators that an operator takes its rows from.
    pub(super) fn inputs(&self, id: OperatorId) -> Vec<OperatorId> {
        let children = self.plan.children(id).into_iter().map(|(child, _)| child);
        children.filter(|child| self.is_input(*child)).collect()
    }

    /// Whether an operator reads the server's own catalog, on which no user can create an index.
    pub(super) fn reads_catalog(&self, id: OperatorId) -> bool {
        let operator = self.operator(id);
        let relation = operator.relation.as_deref().unwrap_or_default();
        match operator.schema.as_deref() {
            Some(schema) => matches!(schema, "pg_catalog" | "pg_toast"),
            None => relation.starts_with("pg_"),
        }
    }

    /// Whether the statement changes or locks no row that EXPLAIN shows.
    pub(super) fn reads_only(&self) -> bool {
        let writes = |operator: &Operator| {
            matches!(operator.kind, OperatorKind::ModifyTable | OperatorKind::LockRows)
                || operator.command.as_deref().is_some_and(|command| {
                    matches!(command, "Insert" | "Update" | "Delete" | "Merge")
                })
        };
        !self.plan.operators().any(|(_, operator)| writes(operator))
    }

    /// A finding with so much at stake, in the unit; none where that is too little to speak of.
    pub(super) fn finding(
        &self,
        meta: &Meta,
        operator: Option<OperatorId>,
        at_stake: f64,
        text: Text,
    ) -> Option<Finding> {
        let stake = self.stake(at_stake)?;
        let why = format!("{} {}", text.why, self.told(at_stake.min(self.whole), stake.share));
        Some(Finding {
            pattern: meta.id,
            operator,
            what: text.what,
            why,
            advice: text.advice,
            stake,
        })
    }

    /// Whether so much at stake, in the unit, is worth a finding; asked before sentences are made that nobody reads.
    pub(super) fn matters(&self, at_stake: f64) -> bool {
        let at_stake = at_stake.min(self.whole);
        let least = match self.unit {
            Unit::Time => MS_MIN,
            Unit::Blocks => BLOCKS_MIN,
            Unit::Cost => COST_MIN,
        };
        let share = at_stake / self.whole;
        share.is_finite() && share >= SHARE_MIN && at_stake >= least
    }

    fn stake(&self, at_stake: f64) -> Option<Stake> {
        if !self.matters(at_stake) {
            return None;
        }
        let at_stake = at_stake.min(self.whole);
        let share = at_stake / self.whole;
        let figure = |unit| (self.unit == unit).then_some(at_stake);
        Some(Stake {
            share,
            ms: figure(Unit::Time),
            blocks: figure(Unit::Blocks).map(|blocks| blocks.round() as u64),
            cost: figure(Unit::Cost),
        })
    }

    fn told(&self, at_stake: f64, share: f64) -> String {
        let percent = decimal(100.0 * share, usize::from(share < 0.0995));
        let (whole, part) = match self.unit {
            Unit::Time => (milliseconds(self.whole), milliseconds(at_stake)),
            Unit::Blocks => (decimal(self.whole, 0), decimal(at_stake, 0)),
            Unit::Cost => (decimal(self.whole, 2), decimal(at_stake, 2)),
        };
        let of = match self.unit {
            Unit::Time => "the time",
            Unit::Blocks => "the blocks touched",
            Unit::Cost => "the estimated cost",
        };
        format!("At stake is {percent} % of {of}: {part} of {whole}.")
    }
}

/// The sentences of a finding.
pub(super) struct Text {
    /// What was found.
    pub(super) what: String,
    /// Why it costs; how much is added.
    pub(super) why: String,
    /// What to do.
    pub(super) advice: String,
}

/// Blocks found, read and written, of tables and temporary files.
fn blocks(buffers: &crate::Buffers) -> f64 {
    let counters = [
        buffers.shared_hit,
        buffers.shared_read,
        buffers.local_hit,
        buffers.local_read,
        buffers.temp_read,
        buffers.temp_written,
    ];
    counters.into_iter().map(|counter| counter as f64).sum()
}

/// A number of rows for a sentence: `1 row`, `12,000 rows`.
pub(super) fn rows(number: f64) -> String {
    let shown = decimal(number, 0);
    if shown == "1" { "1 row".to_owned() } else { format!("{shown} rows") }
}

/// A share for a sentence about rows: not `100 %` where something is left.
pub(super) fn percent(share: f64) -> String {
    match share {
        share if share > 0.999 && share < 1.0 => "more than 99.9 %".to_owned(),
        share => format!("{} %", decimal(100.0 * share, usize::from(share > 0.99 && share < 1.0))),
    }
}

/// Blocks as a size for a sentence.
pub(super) fn size(blocks: u64) -> String {
    kilobytes(blocks.saturating_mul(8))
}
