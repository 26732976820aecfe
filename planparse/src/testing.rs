//! Plans for the tests of this crate, written as EXPLAIN would print them.

use serde_json::{Value, json};

use crate::{Metrics, OperatorId, Plan};

/// A node with the given `Parent Relationship`, further keys and children.
pub(crate) fn node(node_type: &str, relationship: &str, keys: Value, plans: &[Value]) -> Value {
    let mut node =
        json!({"Node Type": node_type, "Parent Relationship": relationship, "Plans": plans});
    if let (Value::Object(node), Value::Object(keys)) = (&mut node, keys) {
        node.extend(keys);
    }
    node
}

/// What an execution prints: mean milliseconds and rows per loop, and the loops.
pub(crate) fn ran(total_ms: f64, rows: f64, loops: f64) -> Value {
    json!({"Actual Startup Time": 0.0, "Actual Total Time": total_ms, "Actual Rows": rows, "Actual Loops": loops})
}

/// Two sets of keys in one.
pub(crate) fn with(mut keys: Value, further: Value) -> Value {
    if let (Value::Object(keys), Value::Object(further)) = (&mut keys, further) {
        keys.extend(further);
    }
    keys
}

/// The plan with this root; nothing in it may be a problem.
pub(crate) fn plan(root: &Value) -> Plan {
    let parsed = crate::from_json(&json!([{"Plan": root}])).unwrap();
    assert_eq!(parsed.problems, []);
    parsed.plan
}

/// One figure of each operator, in printed order, to six digits.
pub(crate) fn figures(plan: &Plan, figure: impl Fn(&Metrics) -> f64) -> Vec<f64> {
    plan.metrics().values().map(|metrics| (figure(metrics) * 1e6).round() / 1e6).collect()
}

/// The id of an operator by its place in the printed order.
pub(crate) fn id(place: usize) -> OperatorId {
    OperatorId::from(place)
}
