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
pub(crate) use lines::{column, is_rule};

use crate::Format;
use crate::raw::{Fields, RawPlan};
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
    let next = lines::put_together(lines, first, |line| reader.line(&line));
    let mut plan = RawPlan::new(Format::Text, lines[first].number);
    plan.nodes = reader.nodes.finish();
    plan.fields = reader.beside;
    (plan, next)
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
            Some((key, value)) if line.beside && !detail::is_known(key) => {
                self.beside.push((key.to_owned().into(), value.into()));
            }
            _ => self.nodes.detail(line.column, &line.text),
        }
    }
}
