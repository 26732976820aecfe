//! What the tests of all patterns need.

use serde_json::{Value, json};

use super::{Finding, findings};
use crate::Plan;
use crate::testing::{plan, ran, with};

/// What one pattern finds among all findings of a plan.
pub(super) fn found(pattern: &str, plan: &Plan) -> Vec<Finding> {
    findings(plan).into_iter().filter(|finding| finding.pattern == pattern).collect()
}

/// The one finding of a pattern in the plan with this root.
pub(super) fn fires(pattern: &str, root: &Value) -> Finding {
    let mut found = found(pattern, &plan(root));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// A pattern finds nothing in the plan with this root.
pub(super) fn silent(pattern: &str, root: &Value) {
    assert_eq!(found(pattern, &plan(root)), [], "{root:#}");
}

/// What an execution prints, with the estimate that was right, and further keys.
pub(super) fn exact(total_ms: f64, rows: f64, loops: f64, further: Value) -> Value {
    with(with(ran(total_ms, rows, loops), json!({"Plan Rows": rows})), further)
}

/// A copy with one key changed.
pub(super) fn but(node: &Value, key: &str, value: Value) -> Value {
    let mut node = node.clone();
    node[key] = value;
    node
}
