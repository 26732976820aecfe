//! Puts raw plans together from the brackets, keys and values of JSON, YAML or XML.
//!
//! A plan may stand at any depth: in an array, in a client's row, in an answer of some interface. So every object is
//! taken for an EXPLAIN result until it closes without a `Plan`. Nothing here recurses, whatever the depth of nodes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::input::may_hold_plan;
use crate::raw::{self, Fields, MAX_NODES, RawNode, RawPlan};
use crate::{Format, Problem};

/// The deepest nesting of brackets that are not of plan nodes, so that values can be dropped and printed safely.
pub(crate) const MAX_VALUE_DEPTH: usize = 100;

/// The most values that are read of one text, so that memory stays bounded; plans of 100 megabytes have fewer.
const MAX_VALUES: usize = 10_000_000;

/// The key under which a client gives a result of EXPLAIN, row by row.
pub(crate) const ROWS: &str = "QUERY PLAN";

/// What a text holds, in order.
pub(crate) enum Item<'a> {
    /// A plan.
    Plan(RawPlan<'a>),
    /// A text within an object or list without a plan, such as the message of a log entry; with the line of the object.
    /// In a list there is no key.
    Text { line: usize, key: String, text: String },
}

/// A bracket that is open.
enum Frame<'a> {
    /// An object that is not within a node; an EXPLAIN result, if it has a `Plan`.
    Result(Box<RawPlan<'a>>),
    /// A plan node without `Plan` around it: the result and its root at once.
    Root(Box<RawPlan<'a>>),
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
    /// Keys under which a line of a plan stood: the texts that follow are its further lines.
    rows: BTreeSet<String>,
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
            rows: BTreeSet::from([ROWS.to_owned()]),
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
            || self.stack.iter().any(|(frame, _)| matches!(frame, Frame::Node(_) | Frame::Root(_)))
    }

    /// Tells whether the innermost bracket closes as an object does.
    pub(crate) fn in_object(&self) -> bool {
        let frame = self.stack.last().map(|(frame, _)| frame);
        matches!(frame, Some(Frame::Result(_) | Frame::Root(_) | Frame::Node(_) | Frame::Object(_)))
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
                    Frame::Root(_) => Some(0),
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
        let plans = key.as_deref() == Some("Plans");
        let frame = match self.stack.last() {
            Some((Frame::Node(index), _)) if plans => Frame::Plans(*index),
            Some((Frame::Root(_), _)) if plans => Frame::Plans(0),
            _ => {
                self.deeper()?;
                Frame::Array(Vec::new())
            }
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

    /// Takes the innermost object for a plan node that stands there without `Plan` around it, if it is in none.
    pub(crate) fn expect_root(&mut self) {
        let Some((frame, _)) = self.stack.last_mut() else { return };
        if let Frame::Result(plan) = frame
            && plan.nodes.is_empty()
        {
            let mut plan = std::mem::replace(plan, Box::new(RawPlan::new(self.format, 0)));
            let fields = std::mem::take(&mut plan.fields);
            plan.nodes.push(RawNode { parent: None, fields });
            plan.problems.push(Problem::BareNode { line: plan.line });
            self.nodes += 1;
            *frame = Frame::Root(plan);
        }
    }

    /// Tells whether the last node has not all the figures that the root has, and is open.
    pub(crate) fn lacks_figures(&self) -> bool {
        let open = self.stack.iter().rev().find_map(|(frame, _)| match frame {
            Frame::Node(index) => Some(*index),
            _ => None,
        });
        let plan = self.results.last().map(|at| &self.stack[*at].0);
        let (Some(open), Some(Frame::Result(plan) | Frame::Root(plan))) = (open, plan) else {
            return false;
        };
        open + 1 == plan.nodes.len() && plan.lacks_figures(open)
    }

    /// Closes all brackets of a text that breaks off. What was read of the innermost node is given up, for half of it
    /// says nothing true. `false` where no operator is left of the plan.
    pub(crate) fn break_off(&mut self, line: usize, reason: &str) -> bool {
        while let Some((frame, _)) = self.stack.last() {
            match frame {
                Frame::Plans(_) | Frame::Result(_) => break,
                Frame::Root(plan) if plan.nodes.len() > 1 => break,
                Frame::Root(_) => {
                    self.value_depth -= 1;
                    self.results.pop();
                }
                Frame::Node(index) => {
                    let index = *index;
                    let Some(plan) = self.plan() else { break };
                    if plan.nodes.len() > index + 1 {
                        break;
                    }
                    plan.nodes.truncate(index);
                }
                Frame::Object(_) | Frame::Array(_) => self.value_depth -= 1,
                Frame::Bare { .. } => {}
            }
            self.stack.pop();
        }
        let kept = self.plan().filter(|plan| !plan.nodes.is_empty());
        let is_kept = kept.is_some();
        if let Some(plan) = kept {
            plan.problems.push(Problem::BreaksOff { line, reason: reason.to_owned() });
        }
        while !self.is_closed() {
            self.close();
        }
        is_kept
    }

    fn plan(&mut self) -> Option<&mut RawPlan<'a>> {
        match self.results.last().map(|at| &mut self.stack[*at].0) {
            Some(Frame::Result(plan) | Frame::Root(plan)) => Some(plan),
            _ => None,
        }
    }

    fn within_node(&self) -> bool {
        // Brackets of values within a node are few.
        let inner = self.stack.iter().rev();
        inner.map(|(frame, _)| frame).find_map(|frame| match frame {
            Frame::Node(_) | Frame::Root(_) => Some(true),
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
            Frame::Root(plan) => {
                self.value_depth -= 1;
                self.results.pop();
                self.items.push(Item::Plan(*plan));
            }
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
        for (key, value) in &plan.fields {
            if let Some(text) = value.as_str() {
                self.text(plan.line, key, text);
            }
        }
        let fields = plan.fields.into_iter().map(|(key, value)| (key.into_owned(), value));
        let object = Value::Object(fields.collect());
        self.value(key, object);
    }

    /// Keeps a text that may hold a plan, or a line of one.
    fn text(&mut self, line: usize, key: &str, text: &str) {
        let begins = || may_hold_plan(text);
        if self.rows.contains(key) || begins() {
            if !is_several_lines(text) {
                self.rows.insert(key.to_owned());
            }
            let (key, text) = (key.to_owned(), text.to_owned());
            self.items.push(Item::Text { line, key, text });
        }
    }

    /// Puts a complete value where the innermost open bracket wants it.
    pub(crate) fn value(&mut self, key: Option<Cow<'a, str>>, value: Value) {
        let key = key.unwrap_or_default();
        self.values += 1;
        if key == "Node Type" && value.is_string() {
            self.expect_root();
        }
        if let (None | Some((Frame::Array(_), _)), Value::String(text)) =
            (self.stack.last(), &value)
            && !self.within_node()
        {
            let line = self.plan().map_or(1, |plan| plan.line);
            self.text(line, "", text);
        }
        match self.stack.last_mut().map(|(frame, _)| frame) {
            // What stands in the array has been described.
            None if value.is_array() => {}
            None => {
                self.found.get_or_insert_with(|| raw::describe(&value));
            }
            Some(Frame::Result(plan)) => plan.fields.push((key, value)),
            Some(Frame::Root(plan)) => plan.nodes[0].fields.push((key, value)),
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

/// Tells whether a text is more than one line of something.
pub(crate) fn is_several_lines(text: &str) -> bool {
    text.trim_end().contains('\n')
}
