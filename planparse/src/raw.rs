//! What was printed, key by key, before any of it is understood.
//!
//! Every input format is brought into this one shape, keyed by the names that EXPLAIN prints in JSON. The nodes
//! stand flat in one list, so that no depth of nesting can exhaust the stack.

use std::borrow::Cow;

use serde_json::Value;

use crate::{Format, ParseError, Problem};

/// Keys and values in the order in which they were printed; a key may stand there twice (`Workers`, up to version 12).
pub(crate) type Fields<'a> = Vec<(Cow<'a, str>, Value)>;

/// The most nodes that are read of one text, so that memory stays bounded: a node costs up to some kilobytes, and the
/// largest plan that we know of has some ten thousand.
pub(crate) const MAX_NODES: usize = 500_000;

/// One EXPLAIN result.
#[derive(Debug)]
pub(crate) struct RawPlan<'a> {
    /// In which form it was printed.
    pub(crate) format: Format,
    /// The line on which it begins, from 1.
    pub(crate) line: usize,
    /// What stands beside `Plan`.
    pub(crate) fields: Fields<'a>,
    /// The nodes in pre-order: the root first, children in printed order.
    pub(crate) nodes: Vec<RawNode<'a>>,
    /// What was repaired or left out in reading.
    pub(crate) problems: Vec<Problem>,
}

/// One plan node without its `Plans`.
#[derive(Debug, Default)]
pub(crate) struct RawNode<'a> {
    /// Index of the parent in [`RawPlan::nodes`], smaller than the node's own; none for the root.
    pub(crate) parent: Option<usize>,
    /// All keys but `Plans`.
    pub(crate) fields: Fields<'a>,
}

impl RawNode<'_> {
    /// Tells whether a key was printed.
    pub(crate) fn has(&self, wanted: &str) -> bool {
        self.fields.iter().any(|(key, _)| key == wanted)
    }
}

impl RawPlan<'_> {
    /// Returns a plan without nodes.
    pub(crate) fn new(format: Format, line: usize) -> Self {
        Self { format, line, fields: Fields::new(), nodes: Vec::new(), problems: Vec::new() }
    }

    /// Tells whether a node lacks figures that the root has, which are printed for each node or for none.
    pub(crate) fn lacks_figures(&self, node: usize) -> bool {
        let lacks = |key| self.nodes[0].has(key) && !self.nodes[node].has(key);
        node > 0 && (lacks("Plan Width") || lacks("Actual Loops"))
    }

    /// Tells whether there is a root node that says what it is.
    pub(crate) fn has_root(&self) -> bool {
        let named = |(key, value): &(Cow<'_, str>, Value)| {
            key == "Node Type" && value.as_str().is_some_and(|name| !name.is_empty())
        };
        self.nodes.first().is_some_and(|root| root.fields.iter().any(named))
    }
}

/// Returns the one plan of an EXPLAIN result that was already parsed.
pub(crate) fn from_value(value: &Value) -> Result<RawPlan<'_>, ParseError> {
    let mut documents = vec![value];
    let mut plans = Vec::new();
    let mut found = None;
    while let Some(value) = documents.pop() {
        match value {
            Value::Array(elements) => documents.extend(elements.iter().rev()),
            Value::Object(object) => match (object.get("Plan"), object.get("QUERY PLAN")) {
                (Some(Value::Object(root)), _) => plans.push((object, root)),
                (None, Some(rows)) => documents.push(rows),
                _ => {
                    found =
                        found.or_else(|| Some(describe_object(object.keys().map(String::as_str))));
                }
            },
            scalar => found = found.or_else(|| Some(describe(scalar))),
        }
    }
    let count = plans.len();
    let Some((object, root)) = plans.pop().filter(|_| count == 1) else {
        return Err(match count {
            0 => {
                ParseError::NotAPlan { found: found.unwrap_or_else(|| "an empty array".to_owned()) }
            }
            _ => ParseError::SeveralPlans { count },
        });
    };
    let beside = object.iter().filter(|(key, _)| key.as_str() != "Plan");
    let mut plan = RawPlan {
        fields: beside.map(|(key, value)| (key.as_str().into(), value.clone())).collect(),
        ..RawPlan::new(Format::Json, 1)
    };
    let mut open = vec![(None, root)];
    while let Some((parent, object)) = open.pop() {
        let index = plan.nodes.len();
        let children = object.get("Plans").and_then(Value::as_array);
        let fields = object.iter().filter(|(key, _)| key.as_str() != "Plans" || children.is_none());
        let fields = fields.map(|(key, value)| (key.as_str().into(), value.clone())).collect();
        plan.nodes.push(RawNode { parent, fields });
        for child in children.into_iter().flatten().rev() {
            match child.as_object() {
                Some(child) => open.push((Some(index), child)),
                None => plan.problems.push(Problem::NotANode { operator: index.into() }),
            }
        }
    }
    if plan.has_root() { Ok(plan) } else { Err(no_node_type()) }
}

/// The error for a plan whose root does not say what it is.
pub(crate) fn no_node_type() -> ParseError {
    ParseError::NotAPlan { found: "a `Plan` without a `Node Type`".to_owned() }
}

/// Says in words what a value is.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(object) => describe_object(object.keys().map(String::as_str)),
    }
}

/// Says in words what an object is, by its first keys.
pub(crate) fn describe_object<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let shown: Vec<String> =
        keys.take(3).map(|key| format!("`{}`", key.chars().take(40).collect::<String>())).collect();
    match shown.as_slice() {
        [] => "an empty object".to_owned(),
        shown => format!("an object with the keys {} …", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_come_in_printed_order() {
        let leaf = |name: &str| json!({"Node Type": name});
        let value = json!([{"Planning Time": 1.0, "Plan": {"Node Type": "a", "Plans": [
            {"Node Type": "b", "Plans": [leaf("c"), leaf("d")]}, leaf("e")]}}]);
        let plan = from_value(&value).unwrap();
        let names: Vec<&str> =
            plan.nodes.iter().filter_map(|node| node.fields[0].1.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e"]);
        let parents: Vec<_> = plan.nodes.iter().map(|node| node.parent).collect();
        assert_eq!(parents, [None, Some(0), Some(1), Some(1), Some(0)]);
        assert_eq!(plan.fields, [("Planning Time".into(), json!(1.0))]);
        assert!(plan.problems.is_empty());
    }

    #[test]
    fn what_is_not_one_plan_is_an_error() {
        let plan = json!({"Plan": {"Node Type": "Result"}});
        assert!(from_value(&plan).is_ok());
        assert!(from_value(&json!([{"QUERY PLAN": [plan]}])).is_ok());
        assert_eq!(
            from_value(&json!([plan, plan])).unwrap_err(),
            ParseError::SeveralPlans { count: 2 }
        );
        let found = |value: &Value| match from_value(value) {
            Err(ParseError::NotAPlan { found }) => found,
            other => format!("{other:?}"),
        };
        assert_eq!(found(&json!([])), "an empty array");
        assert_eq!(found(&json!("x")), "a string");
        assert_eq!(
            found(&json!({"a": 1, "b": 2, "c": 3, "d": 4})),
            "an object with the keys `a`, `b`, `c` …"
        );
        assert_eq!(found(&json!({"Plan": {"Total Cost": 1}})), "a `Plan` without a `Node Type`");
    }
}
