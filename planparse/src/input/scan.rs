//! Goes through a text and reads each plan in it, in whichever format it stands there.

use crate::builder::Item;
use crate::input::{clean, csv};
use crate::raw::{MAX_NODES, RawPlan};
use crate::text::{self, Line};
use crate::{Note, ParseError, Parsed, json, lower, xml, yaml};

/// Texts within texts within texts: a log entry in a table of a client, at most.
const MAX_NESTING: usize = 3;

/// What a text gave.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) plans: Vec<Parsed>,
    pub(crate) notes: Vec<Note>,
    /// Nodes of all plans together, also of those beyond the limit.
    pub(crate) nodes: usize,
    /// Why the first thing that looked like JSON is none, or no plan.
    pub(crate) error: Option<ParseError>,
}

/// Finds every plan.
pub(crate) fn scan(text: &str) -> Found {
    let mut found = Found::default();
    part(text, 0, 0, &mut found);
    found
}

/// Reads a part of the text; `before` is the number of lines before it.
fn part(text: &str, before: usize, nesting: usize, found: &mut Found) {
    if nesting > MAX_NESTING {
        return;
    }
    if text.trim_start().starts_with(['[', '{']) && whole_json(text, before, nesting, found) {
        return;
    }
    if csv::holds_plans(text) {
        for (line, field) in csv::quoted_fields(text).filter(|(_, field)| may_hold_plan(field)) {
            part(&field, before + line - 1, nesting + 1, found);
        }
        if !found.plans.is_empty() {
            return;
        }
    }
    let text = clean::clean(text);
    Scanner::new(&text, before, nesting).run(found);
}

/// Tells whether a text is worth a look.
pub(crate) fn may_hold_plan(text: &str) -> bool {
    ["Plan", "(cost=", "(actual ", "plan:"].iter().any(|mark| text.contains(mark))
}

/// Reads a text that is JSON from its first to its last character; `false` where it is not.
fn whole_json(text: &str, before: usize, nesting: usize, found: &mut Found) -> bool {
    let mut reader = json::Reader::new(text, 0);
    let result = loop {
        match reader.document() {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    if let Err(error) = result {
        if matches!(error, ParseError::TooLarge { .. }) {
            found.nodes = MAX_NODES + 1;
            return true;
        }
        found.error.get_or_insert(error);
        return false;
    }
    if let Some(words) = reader.builder.found {
        found.error.get_or_insert(ParseError::NotAPlan { found: words });
    }
    items(reader.builder.items, before, nesting, found);
    true
}

fn items(items: Vec<Item<'_>>, before: usize, nesting: usize, found: &mut Found) {
    let mut rows: Option<(usize, String)> = None;
    for item in items {
        match item {
            Item::Plan(mut plan) => {
                plan.line += before;
                keep(plan, found);
            }
            // A client's rows: each holds one line of the plan.
            Item::Text { line, key, text } if key == "QUERY PLAN" => {
                let (_, rows) = rows.get_or_insert((line, String::new()));
                rows.push_str(&text);
                rows.push('\n');
            }
            Item::Text { line, text, .. } => part(&text, before + line - 1, nesting + 1, found),
        }
    }
    if let Some((line, text)) = rows {
        part(&text, before + line - 1, nesting + 1, found);
    }
}

fn keep(plan: RawPlan<'_>, found: &mut Found) {
    found.nodes += plan.nodes.len();
    if found.nodes > MAX_NODES {
        return;
    }
    if plan.has_root() {
        found.plans.push(lower::lower(plan));
    } else {
        let message = "a `Plan` without a `Node Type`, left out".to_owned();
        found.notes.push(Note { line: plan.line, message });
    }
}

struct Scanner<'a> {
    text: &'a str,
    lines: Vec<Line<'a>>,
    nesting: usize,
    /// What `auto_explain` said on the line before the plan.
    duration: Option<f64>,
    query: Option<String>,
    parameters: Option<String>,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, before: usize, nesting: usize) -> Self {
        let lines = text.lines().enumerate();
        let lines = lines.map(|(index, text)| Line { number: before + index + 1, text }).collect();
        Self { text, lines, nesting, duration: None, query: None, parameters: None }
    }

    fn run(&mut self, found: &mut Found) {
        let mut index = 0;
        while let Some(line) = self.lines.get(index) {
            let trimmed = line.text.trim();
            let next = if let Some(duration) = clean::duration(trimmed) {
                self.duration = Some(duration);
                None
            } else if trimmed.starts_with(['[', '{']) {
                Some(self.json(index, found))
            } else if trimmed.starts_with("<explain") || trimmed.starts_with("<?xml") {
                Some(self.xml(index, found))
            } else if yaml::opens_plan(trimmed) {
                self.yaml(index, found)
            } else if trimmed.starts_with("Query Text:") {
                self.query(index)
            } else {
                self.text(index, trimmed, found)
            };
            index = next.unwrap_or(index + 1).max(index + 1);
        }
    }

    /// Adds what the log says to a plan, and keeps it.
    fn add(&mut self, mut plan: RawPlan<'_>, found: &mut Found) {
        if let Some(duration) = self.duration.take() {
            plan.fields.push(("Duration".into(), duration.into()));
        }
        if let Some(query) = self.query.take() {
            plan.fields.push(("Query Text".into(), query.into()));
        }
        if let Some(parameters) = self.parameters.take() {
            plan.fields.push(("Query Parameters".into(), parameters.into()));
        }
        keep(plan, found);
    }

    fn offset(&self, index: usize) -> usize {
        self.lines[index].text.as_ptr().addr() - self.text.as_ptr().addr()
    }

    /// Returns the index of the first line that begins at or after a place.
    fn line_at(&self, offset: usize) -> usize {
        let start = self.text.as_ptr().addr();
        self.lines.partition_point(|line| line.text.as_ptr().addr() - start < offset)
    }

    /// Tells whether another JSON document begins before the line ends.
    fn goes_on(&self, offset: usize) -> bool {
        let rest = self.text[offset..].trim_start_matches([' ', '\t']);
        rest.starts_with(['[', '{'])
    }

    fn json(&mut self, index: usize, found: &mut Found) -> usize {
        let number = self.lines[index].number;
        let mut reader = json::Reader::new(self.text, self.offset(index));
        reader.first_line(number);
        let mut result = reader.document();
        // Further documents may stand on the same line.
        while result.is_ok() && self.goes_on(reader.at) {
            result = reader.document();
        }
        let (next, begun) = (self.line_at(reader.at), reader.builder.has_plan());
        if let Err(error) = result {
            if begun || index == 0 {
                found.error.get_or_insert_with(|| error.clone());
            }
            if begun {
                let message = format!("a plan that cannot be read: {error}");
                found.notes.push(Note { line: number, message });
            }
        }
        for item in reader.builder.items {
            match item {
                Item::Plan(plan) => self.add(plan, found),
                Item::Text { line, text, .. } => part(&text, line - 1, self.nesting + 1, found),
            }
        }
        next
    }

    fn xml(&mut self, index: usize, found: &mut Found) -> usize {
        let offset = self.offset(index);
        let number = self.lines[index].number;
        let (plans, length, error) = xml::read(&self.text[offset..], number);
        for plan in plans {
            self.add(plan, found);
        }
        if let Some(message) = error {
            found.notes.push(Note { line: number, message });
        }
        self.line_at(offset + length)
    }

    fn yaml(&mut self, index: usize, found: &mut Found) -> Option<usize> {
        let (plan, next) = yaml::read(&self.lines, index);
        self.add(plan?, found);
        Some(next)
    }

    /// Takes the statement before a plan in text form, which may go over several lines.
    fn query(&mut self, index: usize) -> Option<usize> {
        let first = self.lines[index].text.trim().strip_prefix("Query Text:")?;
        let rest = &self.lines[index + 1..];
        let root = |line: &Line<'_>| {
            let line = line.text.trim();
            line.contains("(cost=") && text::opens_plan(line)
        };
        let other =
            |line: &Line<'_>| line.text.contains("duration: ") || line.text.contains("Query Text:");
        let ends = |line: &Line<'_>| other(line) || root(line);
        let length = rest.iter().position(ends).filter(|at| root(&rest[*at]))?;
        let mut query = first.trim_start().to_owned();
        for line in &rest[..length] {
            query.push('\n');
            query.push_str(line.text);
        }
        if let Some((before, parameters)) = query.rsplit_once("\nQuery Parameters: ") {
            self.parameters = Some(parameters.trim_end().to_owned());
            query.truncate(before.len());
        }
        self.query = Some(query.trim_end().to_owned());
        Some(index + 1 + length)
    }

    fn text(&mut self, index: usize, line: &str, found: &mut Found) -> Option<usize> {
        let node = line.strip_prefix("->").map_or(line, str::trim_start);
        if !text::opens_plan(node) || !(text::says_more(node) || self.stands_as_plan(index)) {
            return None;
        }
        let (plan, next) = text::read(&self.lines, index);
        self.add(plan, found);
        Some(next)
    }

    /// Tells whether a bare word such as `Result` is a plan, by the lines around it.
    fn stands_as_plan(&self, index: usize) -> bool {
        let said = |line: &&Line<'_>| !line.text.trim().is_empty();
        let before = self.lines[..index].iter().rev().take(3).find(said);
        let after = self.lines[index + 1..].iter().take(3).find(said);
        let heads = |line: &str| line.contains("QUERY PLAN") || text::is_rule(line);
        before.is_some_and(|line| heads(line.text.trim()))
            || after.is_some_and(|line| text::belongs_to_plan(line.text.trim()))
            || (before.is_none() && after.is_none())
    }
}
