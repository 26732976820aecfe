//! Reads EXPLAIN's text form into a raw plan keyed as in JSON.
//!
//! Indentation alone says what hangs below what, and people paste plans whose lines were broken, shifted or mixed with
//! tabs. So lines are first put together again (`lines`), each is told by what it says, and only then by its column.

mod detail;
mod footer;
mod header;
mod lines;
mod nodes;

pub(crate) use header::{opens_plan, says_more};
pub(crate) use lines::{column, is_label, is_rule};

use crate::raw::{Fields, RawPlan};
use crate::{Format, Problem};
use footer::Group;
use lines::{Logical, Place};
use nodes::Nodes;

/// One line as it was given, without its line end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// What stands on it.
    pub(crate) text: &'a str,
}

/// Reads the plan whose root stands on the line `first`; returns it with the index of the first line after it.
pub(crate) fn read(lines: &[Line<'_>], first: usize) -> (RawPlan<'static>, usize) {
    let mut reader = Reader { nodes: Nodes::default(), beside: Fields::new(), group: None };
    let mut ends_with_node = false;
    let next = lines::put_together(lines, first, |line| {
        ends_with_node = line.place == Place::Node;
        reader.line(&line);
    });
    let mut plan = RawPlan::new(Format::Text, lines[first].number);
    plan.nodes = reader.nodes.finish();
    plan.fields = reader.beside;
    if ends_with_node && next == lines.len() {
        break_off(&mut plan, &lines[first..]);
    }
    (plan, next)
}

/// Takes back the node on the last line of a text, where the line was cut before its figures end.
fn break_off(plan: &mut RawPlan<'_>, lines: &[Line<'_>]) {
    let Some(last) = lines.iter().rev().find(|line| !line.text.trim().is_empty()) else { return };
    let node = plan.nodes.len() - 1;
    let cut = plan.nodes[0].has("Plan Width") && !last.text.trim_end().ends_with(')');
    if cut || plan.lacks_figures(node) {
        plan.nodes.truncate(node.max(1));
        let reason = "the rest of the line of an operator is missing".to_owned();
        plan.problems.push(Problem::BreaksOff { line: last.number, reason });
    }
}

/// Tells whether a line with this key is one that EXPLAIN prints, of a node or beside the nodes.
pub(crate) fn is_key(key: &str) -> bool {
    detail::is_known(key) || lines::is_beside(key)
}

/// Tells whether one of the times begins here that EXPLAIN prints after the nodes.
pub(crate) fn is_time(text: &str) -> bool {
    ["Planning Time: ", "Execution Time: ", "Planning:"].iter().any(|key| text.starts_with(key))
}

/// Tells whether a line is one that EXPLAIN prints after the nodes.
pub(crate) fn is_beside(line: &str) -> bool {
    detail::split(line).is_some_and(|(key, _)| lines::is_beside(key))
}

/// Returns the type of the node on a line, given without its arrow; none where no figures stand there and it is no
/// known type.
pub(crate) fn node_type(line: &str) -> Option<String> {
    let header = header::read(line);
    let name = header.fields.first().and_then(|(_, name)| name.as_str()).map(str::to_owned);
    name.filter(|_| header.known || header.figures)
}

/// Tells whether a line can only be part of a plan that is open.
pub(crate) fn belongs_to_plan(line: &str) -> bool {
    let known = |(key, _): (&str, &str)| detail::is_known(key);
    line.starts_with("->") || lines::is_label(line) || detail::split(line).is_some_and(known)
}

struct Reader {
    nodes: Nodes,
    beside: Fields<'static>,
    /// The heading after the nodes below which the line may stand.
    group: Option<Group>,
}

impl Reader {
    fn line(&mut self, line: &Logical) {
        match line.place {
            Place::Node => {
                self.group = None;
                self.nodes.node(line.column, &line.text);
            }
            Place::Label => self.nodes.label(line.column, &line.text),
            Place::Other => self.other(line),
        }
    }

    /// Tells whether the last lines of what PostgreSQL prints were read.
    fn ends_in_footers(&self) -> bool {
        let last = |(key, _): &(_, _)| key == "Execution Time" || key == "Total Runtime";
        self.beside.iter().any(last)
    }

    fn other(&mut self, line: &Logical) {
        let pair = detail::split(&line.text);
        if let (Some(group), Some((key, value))) = (self.group, pair)
            && group.takes(key)
        {
            group.read(key, value, &mut self.beside);
            return;
        }
        if self.nodes.nested(line.column, &line.text) {
            return;
        }
        if let Some(footer) = footer::read(&line.text, &mut self.beside) {
            self.group = match footer {
                footer::Footer::Heads(group) => Some(group),
                footer::Footer::Read => None,
            };
            return;
        }
        match pair {
            // What PostgreSQL never prints there was added by an extension.
            Some((key, value))
                if line.beside && (!detail::is_known(key) || self.ends_in_footers()) =>
            {
                self.beside.push((key.to_owned().into(), value.into()));
            }
            _ => self.nodes.detail(line.column, &line.text),
        }
    }
}
