//! Statements whose cost depends on the values that they are called with.

use serde::{Deserialize, Serialize};

use crate::bindings::Binding;
use crate::context::Analyzed;
use crate::statement::Target;

/// Dearest / cheapest from which a statement counts as skewed.
pub const SKEW_SPREAD: f64 = 10.0;

/// How a statement's cost depends on its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skew {
    /// Dearest / cheapest.
    pub factor: f64,
    /// Planner cost with the cheapest values.
    pub cheapest: f64,
    /// Which these are: `common`, `typical`, `rare`, or `example` for real ones.
    pub cheapest_values: String,
    /// Planner cost with the dearest values.
    pub dearest: f64,
    /// Which these are.
    pub dearest_values: String,
    /// The parameters that differ, with what they are compared with: `$1 (status)`.
    pub parameters: Vec<String>,
}

/// The skew of a statement as things are; `None` where its cost hardly depends on its values.
pub fn skew(analyzed: &Analyzed) -> Option<Skew> {
    let costs = analyzed.bindings.iter().zip(&analyzed.plans).filter_map(|(binding, plan)| {
        (binding.weight > 0.0).then_some((plan.as_ref()?.total_cost(), binding))
    });
    let costs: Vec<(f64, &Binding)> = costs.collect();
    let (cheapest, cheap) = costs.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let (dearest, dear) = costs.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let factor = dearest / cheapest.max(0.01);
    if factor < SKEW_SPREAD {
        return None;
    }
    let pairs = (1..=u16::MAX).zip(cheap.values.iter().zip(&dear.values));
    let differing = pairs.filter(|(_, (one, other))| one != other).map(|(number, _)| number);
    let round = |value: f64| (value * 100.0).round() / 100.0;
    Some(Skew {
        factor: round(factor),
        cheapest: round(cheapest),
        cheapest_values: cheap.label.clone(),
        dearest: round(dearest),
        dearest_values: dear.label.clone(),
        parameters: differing.map(|number| named(analyzed, number)).collect(),
    })
}

/// A parameter with what it is compared with.
fn named(analyzed: &Analyzed, number: u16) -> String {
    let used = analyzed.analysis.parameters.get(&number);
    let target = used.and_then(|used| used.compared.first()).map(|compared| &compared.target);
    match target {
        Some(Target::Column(column)) => format!("${number} ({column})"),
        Some(Target::Expression(expression)) => format!("${number} ({})", expression.sql),
        None => format!("${number}"),
    }
}

impl std::fmt::Display for Skew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let which = |label: &str| match label {
            "example" => "one that was seen".to_owned(),
            label => format!("a {label} one"),
        };
        write!(
            f,
            "cost differs {:.0} times with the value of {}: {} for {}, {} for {}",
            self.factor,
            self.parameters.join(", "),
            self.cheapest,
            which(&self.cheapest_values),
            self.dearest,
            which(&self.dearest_values)
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::skew;
    use crate::bindings::Binding;
    use crate::testing;

    #[test]
    fn the_parameter_and_the_values_are_named() {
        let mut snapshot = testing::snapshot("t(id int8, status text) 1000");
        let text = "SELECT 1 FROM t WHERE status = $1 AND id > $2";
        snapshot.statements = vec![testing::statement(text)];
        let mut analyzed = testing::workload(&snapshot).remove(0);
        let binding = |value: &str, label: &str| Binding {
            values: vec![Some(value.to_owned()), Some("7".to_owned())],
            weight: 0.5,
            label: label.to_owned(),
        };
        let plan = |cost: f64| {
            Some(testing::plan_of(&json!({ "Node Type": "Seq Scan", "Total Cost": cost })))
        };
        analyzed.bindings = vec![binding("new", "common"), binding("lost", "rare")];
        analyzed.plans = vec![plan(984.0), plan(8.0)];
        assert_eq!(
            skew(&analyzed).unwrap().to_string(),
            "cost differs 123 times with the value of $1 (status): 8 for a rare one, 984 for a common one"
        );
        analyzed.plans = vec![plan(80.0), plan(9.0)];
        assert_eq!(skew(&analyzed), None);
        // The plan that fits all values is none of a value.
        analyzed.bindings.push(crate::generic::binding());
        analyzed.plans.push(plan(9000.0));
        assert_eq!(skew(&analyzed), None);
    }
}
