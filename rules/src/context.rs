//! What a rule looks at: the snapshot and the workload, analyzed and planned.

use planparse::Plan;

use crate::bindings::Binding;
use crate::snapshot::{Snapshot, Statement, Table};
use crate::statement::Analysis;

/// One statement of the workload, analyzed and, where it could be, planned as things are.
#[derive(Clone, Debug)]
pub struct Analyzed {
    /// Position in [`Snapshot::statements`].
    pub statement: usize,
    /// What it asks for.
    pub analysis: Analysis,
    /// The text that is planned: repaired where normalization broke it.
    pub text: String,
    /// Its sets of values.
    pub bindings: Vec<Binding>,
    /// The plan of each binding as things are; `None` where planning failed.
    pub plans: Vec<Option<Plan>>,
}

impl Analyzed {
    /// The statement itself.
    pub fn of<'a>(&self, snapshot: &'a Snapshot) -> &'a Statement {
        &snapshot.statements[self.statement]
    }

    /// Positions of the bindings that stand for a part of the workload; the generic plan stands for none.
    pub fn weighed(&self) -> impl Iterator<Item = usize> {
        let weighed = self.bindings.iter().enumerate().filter(|(_, binding)| binding.weight > 0.0);
        weighed.map(|(position, _)| position)
    }

    /// Weighted mean cost over the bindings that could be planned; `None` when none could.
    pub fn cost(&self) -> Option<f64> {
        let planned = || {
            self.bindings
                .iter()
                .zip(&self.plans)
                .filter_map(|(b, p)| p.as_ref().map(|p| (b.weight, p)))
        };
        let weight: f64 = planned().map(|(weight, _)| weight).sum();
        (weight > 0.0)
            .then(|| planned().map(|(w, plan)| w * plan.total_cost()).sum::<f64>() / weight)
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Everything known of the database.
    pub snapshot: &'a Snapshot,
    /// The statements that could be analyzed, in the order of the snapshot.
    pub workload: &'a [Analyzed],
}

impl<'a> Context<'a> {
    /// The tables that pgwright may think of changing: all but those that the user excluded.
    pub fn tables(&self) -> impl Iterator<Item = &'a Table> {
        self.snapshot.tables.iter().filter(|table| !table.excluded)
    }
}
