//! What the planner expects of each binding, held against what the server counted.

use planparse::{OperatorKind, Plan};

use super::Binding;
use crate::snapshot::Statement;
use crate::statement::Analysis;

/// Weighs the bindings anew by how well the rows that the planner expects of each agree with the rows that the
/// statement really returned or touched per call. The planner has joined and combined the conditions, which
/// the statistics of single columns do not tell.
///
/// Leaves them as they are where real values are known, where LIMIT or aggregation hides the rows, and where
/// nobody counted.
pub fn fit(
    analysis: &Analysis,
    statement: &Statement,
    bindings: &mut [Binding],
    plans: &[Option<Plan>],
) {
    let hidden =
        analysis.blocks.first().is_none_or(|block| block.aggregates || block.limit.is_some());
    let real = bindings.iter().any(|binding| binding.label == "example");
    let (Some(rows), false, false) = (statement.rows, hidden, real) else { return };
    let observed = (rows as f64 / statement.calls.max(1) as f64).max(1.0);
    let scores: Vec<f64> = bindings
        .iter()
        .zip(plans)
        .map(|(_, plan)| plan.as_ref().map_or(0.0, |plan| score(touched(plan), observed)))
        .collect();
    let sum: f64 = scores.iter().sum();
    if sum > 0.0 {
        for (binding, score) in bindings.iter_mut().zip(scores) {
            binding.weight = score / sum;
        }
    }
}

/// Falls from 1 with the distance of the two numbers on a logarithmic scale: a tenth at about 9 times off.
fn score(expected: f64, observed: f64) -> f64 {
    (1.0 + (expected.max(1.0) / observed).ln().abs()).powi(-2)
}

/// Rows that come out at the top; of INSERT, UPDATE and DELETE those that go in.
fn touched(plan: &Plan) -> f64 {
    let root = plan.root();
    if plan.operator(root).kind == OperatorKind::ModifyTable {
        plan.outer(root)
            .or_else(|| plan.children(root).first().map(|(child, _)| *child))
            .map_or(0.0, |child| plan.operator(child).rows)
    } else {
        plan.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn the_nearer_the_better() {
        assert!((score(60.0, 60.0) - 1.0).abs() < 1e-9);
        assert!(score(120.0, 60.0) > score(600.0, 60.0));
        assert!((score(600.0, 60.0) - score(6.0, 60.0)).abs() < 1e-9);
        assert!(score(193_628.0, 7.0) < 0.01);
    }
}
