//! Puts raw plans together from the brackets, keys and values of JSON, YAML or XML.
//!
//! A plan may stand at any depth: in an array, in a client's row, in an answer of some interface. So every object is
//! taken for an EXPLAIN result until it closes without a `Plan`. Nothing here recurses, whatever the depth of nodes.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::input::may_hold_plan;
use crate::raw::{self, Fields, MAX_NODES, RawNode, RawPlan};
use crate::{Format, Problem};

/// The deepest nesting of brackets that are not of plan nodes, so that values can be dropped and printed safely.
pub(crate) const MAX_VALUE_DEPTH: usize = 100;

/// The most values that are read of one text, so that memory stays bounded; plans of 100 megabytes have fewer.
const MAX_VALUES: usize = 10_000_000;

/// What a text holds, in order.
pub(crate) enum Item<'a> {
    /// A plan.
    Plan(RawPlan<'a>),
    /// A text within an object without a plan, such as the message of a log entry; with the line of the object.
    Text { line: usize, key: String, text: String },
}

/// A bracket that is open.
enum Frame<'a> {
    /// An object that is not within a node; an EXPLAIN result, if it has a `Plan`.
    Result(Box<RawPlan<'a>>),
    /// A plan node, by its index.
    Node(usize),
    /// The `Plans` of a node.
    Plans(usize),
    /// Any other object, within a node.
    Object(Map<String, Value>),
    /// Any other array.
    Array(Vec<Value>),
    /// The rest of an array from the first bare key on, which only `PostgreSQL` 15 to 18 prints.
    Bare { line: usize, fields: Fields<'a> },
}

pub(crate) struct Builder<'a> {
    format: Format,
    /// Open brackets with the key under which each stands.
    stack: Vec<(Frame<'a>, Option<Cow<'a, str>>)>,
    /// The results among them, by their place.
    results: Vec<usize>,
    value_depth: usize,
    /// Nodes so far, and the keys of the last one.
    nodes: usize,
    keys: usize,
    /// Values so far.
    values: usize,
    pub(crate) items: Vec<Item<'a>>,
    /// The first thing that is no plan, in words.
    pub(crate) found: Option<String>,
}

/// Why no further bracket is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Full {
    /// There are too many within one another.
    TooDeep,
    /// There are too many nodes.
    TooLarge,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            stack: Vec::new(),
            results: Vec::new(),
            value_depth: 0,
            nodes: 0,
            keys: 0,
            values: 0,
            items: Vec::new(),
            found: None,
        }
    }

    /// Begins to count values anew: those before are gone, or parts of plans.
    pub(crate) fn next_document(&mut self) {
        self.values = 0;
    }

    /// Tells whether there were more values than are read of one text.
    pub(crate) fn is_overfull(&self) -> bool {
        self.values > MAX_VALUES
    }

    /// Tells whether no bracket is open.
    pub(crate) fn is_closed(&self) -> bool {
        self.stack.is_empty()
    }

    /// Tells whether a plan was begun.
    pub(crate) fn has_plan(&self) -> bool {
        let is_plan = |item: &Item<'_>| matches!(item, Item::Plan(_));
        self.items.iter().any(is_plan)
            || self.stack.iter().any(|(frame, _)| matches!(frame, Frame::Node(_)))
    }

    /// Tells whether the innermost bracket closes as an object does.
    pub(crate) fn in_object(&self) -> bool {
        matches!(self.stack.last(), Some((Frame::Result(_) | Frame::Node(_) | Frame::Object(_), _)))
    }

    /// Tells whether the innermost bracket is an array of values.
    pub(crate) fn in_array(&self) -> bool {
        matches!(self.stack.last(), Some((Frame::Array(_), _)))
    }

    /// Tells whether keys stand where an array should go on.
    pub(crate) fn in_bare(&self) -> bool {
        matches!(self.stack.last(), Some((Frame::Bare { .. }, _)))
    }

    pub(crate) fn open_object(
        &mut self,
        key: Option<Cow<'a, str>>,
        line: impl FnOnce() -> usize,
    ) -> Result<(), Full> {
        let is_plan = key.as_deref() == Some("Plan");
        let frame = match self.stack.last() {
            Some((Frame::Result(plan), _)) if is_plan && plan.nodes.is_empty() => {
                self.open_node(None, false)?
            }
            Some((Frame::Plans(parent), _)) => {
                let parent = *parent;
                self.open_node(Some(parent), false)?
            }
            // Citus prints the plans of other servers within a node.
            Some((Frame::Object(_), _)) if is_plan => {
                let parent = self.stack.iter().rev().find_map(|(frame, _)| match frame {
                    Frame::Node(index) => Some(*index),
                    _ => None,
                });
                self.open_node(parent, true)?
            }
            _ if self.within_node() => {
                self.deeper()?;
                Frame::Object(Map::new())
            }
            _ => {
                self.deeper()?;
                self.results.push(self.stack.len());
                Frame::Result(Box::new(RawPlan::new(self.format, line())))
            }
        };
        self.stack.push((frame, key));
        Ok(())
    }

    pub(crate) fn open_array(&mut self, key: Option<Cow<'a, str>>) -> Result<(), Full> {
        let frame = if let (Some((Frame::Node(index), _)), Some("Plans")) =
            (self.stack.last(), key.as_deref())
        {
            Frame::Plans(*index)
        } else {
            self.deeper()?;
            Frame::Array(Vec::new())
        };
        self.stack.push((frame, key));
        Ok(())
    }

    /// Ends the innermost array early: what follows are keys, which belong to the node.
    pub(crate) fn open_bare(&mut self, line: usize) {
        if let Some((Frame::Array(elements), key)) = self.stack.pop() {
            self.value_depth -= 1;
            self.value(key, Value::Array(elements));
        }
        self.stack.push((Frame::Bare { line, fields: Fields::new() }, None));
    }

    fn plan(&mut self) -> Option<&mut RawPlan<'a>> {
        match self.results.last().map(|at| &mut self.stack[*at].0) {
            Some(Frame::Result(plan)) => Some(plan),
            _ => None,
        }
    }

    fn within_node(&self) -> bool {
        // Brackets of values within a node are few.
        let inner = self.stack.iter().rev();
        inner.map(|(frame, _)| frame).find_map(|frame| match frame {
            Frame::Node(_) => Some(true),
            Frame::Result(_) => Some(false),
            _ => None,
        }) == Some(true)
    }

    fn open_node(&mut self, parent: Option<usize>, remote: bool) -> Result<Frame<'a>, Full> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Full::TooLarge);
        }
        // A node has about as many keys as the one before it.
        let mut fields = Fields::with_capacity(self.keys);
        if remote {
            fields.push(("Parent Relationship".into(), "Remote".into()));
        }
        let Some(plan) = self.plan() else { return Ok(Frame::Object(Map::new())) };
        plan.nodes.push(RawNode { parent, fields });
        Ok(Frame::Node(plan.nodes.len() - 1))
    }

    fn deeper(&mut self) -> Result<(), Full> {
        self.value_depth += 1;
        if self.value_depth <= MAX_VALUE_DEPTH { Ok(()) } else { Err(Full::TooDeep) }
    }

    /// Closes the innermost bracket.
    pub(crate) fn close(&mut self) {
        let Some((frame, key)) = self.stack.pop() else { return };
        match frame {
            Frame::Node(index) => {
                let keys = self.plan().map_or(0, |plan| plan.nodes[index].fields.len());
                self.keys = keys.min(64);
            }
            Frame::Plans(_) => {}
            Frame::Result(plan) => {
                self.value_depth -= 1;
                self.results.pop();
                self.close_result(*plan, key);
            }
            Frame::Object(object) => {
                self.value_depth -= 1;
                self.value(key, Value::Object(object));
            }
            Frame::Array(elements) => {
                self.value_depth -= 1;
                self.value(key, Value::Array(elements));
            }
            Frame::Bare { line, fields } => {
                let keys = fields.iter().map(|(key, _)| key.to_string()).collect();
                if let Some(plan) = self.plan() {
                    plan.problems.push(Problem::MisplacedKeys { line, keys });
                }
                for (key, value) in fields {
                    self.value(Some(key), value);
                }
            }
        }
    }

    fn close_result(&mut self, plan: RawPlan<'a>, key: Option<Cow<'a, str>>) {
        if !plan.nodes.is_empty() {
            self.items.push(Item::Plan(plan));
            return;
        }
        let keys = || plan.fields.iter().map(|(key, _)| key.as_ref());
        self.found.get_or_insert_with(|| raw::describe_object(keys()));
        let texts = plan.fields.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
        let texts = texts.filter(|(key, text)| key.as_ref() == "QUERY PLAN" || may_hold_plan(text));
        let items = texts.map(|(key, text)| Item::Text {
            line: plan.line,
            key: key.to_string(),
            text: text.to_owned(),
        });
        self.items.extend(items);
        let fields = plan.fields.into_iter().map(|(key, value)| (key.into_owned(), value));
        let object = Value::Object(fields.collect());
        self.value(key, object);
    }

    /// Puts a complete value where the innermost open bracket wants it.
    pub(crate) fn value(&mut self, key: Option<Cow<'a, str>>, value: Value) {
        let key = key.unwrap_or_default();
        self.values += 1;
        match self.stack.last_mut().map(|(frame, _)| frame) {
            // What stands in the array has been described.
            None if value.is_array() => {}
            None => {
                self.found.get_or_insert_with(|| raw::describe(&value));
            }
            Some(Frame::Result(plan)) => plan.fields.push((key, value)),
            Some(Frame::Node(index)) => {
                let index = *index;
                if let Some(plan) = self.plan() {
                    plan.nodes[index].fields.push((key, value));
                }
            }
            Some(Frame::Plans(index)) => {
                let operator = (*index).into();
                if let Some(plan) = self.plan() {
                    plan.problems.push(Problem::NotANode { operator });
                }
            }
            Some(Frame::Object(object)) => {
                object.insert(key.into_owned(), value);
            }
            // Nobody asks for what stands in a list that is no plan's.
            Some(Frame::Array(_)) if self.results.is_empty() => {}
            Some(Frame::Array(elements)) => elements.push(value),
            Some(Frame::Bare { fields, .. }) => fields.push((key, value)),
        }
    }
}
