//! Values that occur together: of columns of one table that must each equal a parameter, where extended statistics
//! know which combinations there are.

use std::collections::BTreeMap;

use super::distribution::Scenario;
use super::values::{Binder, Valued};
use crate::snapshot::Combinations;
use crate::statement::{Operand, PredicateClass, RelationId, Target};

impl Binder<'_> {
    /// Values for the parameters of each relation that a known combination covers at least two of.
    pub(super) fn joint_choices(&self) -> [BTreeMap<u16, Valued>; 3] {
        let mut choices: [BTreeMap<u16, Valued>; 3] = Default::default();
        for relation in 0..self.analysis.relations.len() {
            let (parameters, constants) = self.equalities(relation);
            let Some(table) = self.table(relation).filter(|_| parameters.len() > 1) else {
                continue;
            };
            let covered = |known: &&Combinations| {
                known.columns.iter().filter(|column| parameters.contains_key(*column)).count()
            };
            let best = table.combinations.iter().max_by_key(covered);
            let Some(known) = best.filter(|known| covered(known) > 1) else { continue };
            let fits = |values: &Vec<Option<String>>| {
                known.columns.iter().zip(values).all(|(column, value)| {
                    let wanted = constants.get(column);
                    let bound = parameters.contains_key(column);
                    wanted.is_none_or(|wanted| value.as_ref() == Some(wanted))
                        && (!bound || value.is_some())
                })
            };
            let rows: Vec<_> = known.rows.iter().filter(|(values, _)| fits(values)).collect();
            let Some(last) = rows.len().checked_sub(1) else { continue };
            for (scenario, choice) in Scenario::ALL.into_iter().zip(&mut choices) {
                let (values, frequency) = rows[[0, last / 2, last][scenario.index()]];
                let mut share = *frequency;
                for (column, value) in known.columns.iter().zip(values) {
                    let (Some(number), Some(value)) = (parameters.get(column), value) else {
                        continue;
                    };
                    if self.takes(*number, value) {
                        choice.insert(*number, (value.clone(), share.max(1e-9)));
                        // Counted once, for all of them.
                        share = 1.0;
                    }
                }
            }
        }
        choices
    }

    /// The columns of a relation that must equal a parameter, and those that must equal a constant.
    fn equalities(
        &self,
        relation: RelationId,
    ) -> (BTreeMap<String, u16>, BTreeMap<String, String>) {
        let (mut parameters, mut constants) = (BTreeMap::new(), BTreeMap::new());
        let predicates = self.analysis.predicates.iter().filter(|predicate| {
            predicate.relation == relation
                && predicate.class == PredicateClass::Equality
                && predicate.alternative.is_none()
        });
        for predicate in predicates {
            let Target::Column(column) = &predicate.target else { continue };
            match &predicate.operand {
                Operand::Parameter(number) => {
                    parameters.insert(column.clone(), *number);
                }
                Operand::Constant(value) => {
                    constants.insert(column.clone(), value.clone());
                }
                _ => {}
            }
        }
        (parameters, constants)
    }

    fn takes(&self, number: u16, value: &str) -> bool {
        self.types.get(usize::from(number) - 1).is_some_and(|of| of.takes(value))
    }
}
