//! Goes through a text and reads each plan in it, in whichever format it stands there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::builder::{Item, ROWS, is_several_lines};
use crate::input::log::{self, Log};
use crate::input::{clean, csv, joined};
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
    part(&with_line_feeds(text), 0, 0, &mut found);
    found
}

/// Puts line feeds where lines end with something else: a carriage return, or what a word processor has.
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    const ENDS: [char; 5] = ['\r', '\u{b}', '\u{85}', '\u{2028}', '\u{2029}'];
    let one_line = !text.trim_end().contains('\n') && text.contains(ENDS);
    if one_line { Cow::Owned(text.replace(ENDS, "\n")) } else { Cow::Borrowed(text) }
}

/// Reads a part of the text; `before` is the number of lines before it.
fn part(text: &str, before: usize, nesting: usize, found: &mut Found) {
    if nesting > MAX_NESTING {
        return;
    }
    let start = text.trim_start();
    // A text in quotes is one value of JSON, if quotes within it are escaped.
    let quoted = || start.starts_with('"') && text.contains(r#"\"Node Type\"#);
    if (start.starts_with(['[', '{']) || quoted()) && whole_json(text, before, nesting, found) {
        return;
    }
    let plans = found.plans.len();
    if csv::holds_plans(text) {
        for (line, field) in csv::quoted_fields(text).filter(|(_, field)| may_hold_plan(field)) {
            part(&field, before + line - 1, nesting + 1, found);
        }
        if found.plans.len() > plans {
            return;
        }
    }
    if holds_escaped_plans(text) {
        escaped(text, before, nesting, found);
        if found.plans.len() > plans {
            return;
        }
    }
    let text = clean::clean(text);
    let text = match joined::take_apart(&text) {
        Some((text, line)) => {
            if let Some(line) = line {
                let message = "the indentation is lost, so what is below what is guessed by the kinds of the operators";
                found.notes.push(Note { line: before + line, message: message.to_owned() });
            }
            Cow::Owned(text)
        }
        None => text,
    };
    if let Some(log) = log::take_apart(&text) {
        Scanner::of_log(&log, before, nesting).run(&log.parts, found);
    } else {
        Scanner::new(&text, before, nesting).run(&[0], found);
    }
}

/// Tells whether line feeds or quotes of a plan are escaped, as in a text of JSON or of a programming language.
fn holds_escaped_plans(text: &str) -> bool {
    text.contains(r#"\"Node Type\"#) || text.contains(r"\n  ->")
}

/// Reads the texts in quotes; where there are none, as if all of it were one.
fn escaped(text: &str, before: usize, nesting: usize, found: &mut Found) {
    let (mut line, mut counted, mut any) = (before, 0, false);
    for (at, inner) in json::escaped_texts(text).filter(|(_, inner)| may_hold_plan(inner)) {
        any = true;
        line += text[counted..at].matches('\n').count();
        counted = at;
        part(&inner, line, nesting + 1, found);
    }
    if !any {
        let plain = text.replace(r"\r\n", "\n").replace(r"\n", "\n").replace(r"\t", "\t");
        let plain = plain.replace(r#"\""#, "\"");
        part(&plain, before, nesting + 1, found);
    }
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
        found.error.get_or_insert_with(|| error.clone());
        // What ends in the middle is read as far as it goes; in what breaks elsewhere, plans stand among other text.
        let end = text.trim_end();
        if reader.at < end.len() && !error.is_at_end() {
            return false;
        }
        let line = 1 + end.matches('\n').count();
        if !reader.break_off(line, &error) {
            if !reader.builder.has_plan() {
                return false;
            }
            let message = format!("a plan that cannot be read: {error}");
            found.notes.push(Note { line: before + line, message });
        }
    }
    if let Some(words) = reader.builder.found {
        found.error.get_or_insert(ParseError::NotAPlan { found: words });
    }
    items(reader.builder.items, before, nesting, found);
    true
}

fn items(items: Vec<Item<'_>>, before: usize, nesting: usize, found: &mut Found) {
    // A client's rows, or a container's log: each holds one line.
    let mut rows: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for item in items {
        match item {
            Item::Plan(mut plan) => {
                plan.line += before;
                keep(plan, found);
            }
            Item::Text { line, key, text } if key == ROWS || !is_several_lines(&text) => {
                let (_, rows) = rows.entry(key).or_insert_with(|| (line, String::new()));
                rows.push_str(text.strip_suffix('\n').unwrap_or(&text));
                rows.push('\n');
            }
            Item::Text { line, text, .. } => part(&text, before + line - 1, nesting + 1, found),
        }
    }
    for (line, text) in rows.into_values() {
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
    /// Where the part of a log that is being read ends, by the index of the line after it.
    end: usize,
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
        Self { text, lines, end: 0, nesting, duration: None, query: None, parameters: None }
    }

    /// Reads a log, the lines of which are numbered as they were given.
    fn of_log(log: &'a Log, before: usize, nesting: usize) -> Self {
        let mut scanner = Self::new(&log.text, 0, nesting);
        for (line, at) in scanner.lines.iter_mut().zip(&log.lines) {
            line.number = before + at + 1;
        }
        scanner
    }

    /// Reads the parts that begin on these lines, each for itself.
    fn run(&mut self, parts: &[usize], found: &mut Found) {
        for (at, first) in parts.iter().enumerate() {
            self.end = parts.get(at + 1).copied().unwrap_or(self.lines.len());
            (self.duration, self.query, self.parameters) = (None, None, None);
            self.part(*first, found);
        }
    }

    fn part(&mut self, first: usize, found: &mut Found) {
        let mut index = first;
        while let Some(line) = self.lines[..self.end].get(index) {
            let trimmed = line.text.trim();
            let next = if let Some(duration) = log::duration(trimmed) {
                self.duration = Some(duration);
                None
            } else if trimmed.starts_with(['[', '{']) {
                Some(self.json(index, self.offset(index), found))
            } else if let Some((duration, at)) = log::inline_plan(line.text) {
                self.duration = Some(duration);
                Some(self.json(index, self.offset(index) + at, found))
            } else if let Some(at) = json::begins_within(line.text) {
                Some(self.json(index, self.offset(index) + at, found))
            } else if xml::opens_document(trimmed)
                || (xml::opens_plan(trimmed) && !self.line_before(index).starts_with('<'))
            {
                Some(self.xml(index, found))
            } else if yaml::opens_plan(trimmed)
                || (yaml::opens_node(trimmed) && !self.line_before(index).contains(": "))
            {
                self.yaml(index, found)
            } else if trimmed.starts_with("Query Text:") {
                self.query(index)
            } else {
                self.text(index, trimmed, found)
            };
            index = next.unwrap_or(index + 1).max(index + 1);
        }
    }

    /// Returns the last line before that says something.
    fn line_before(&self, index: usize) -> &'a str {
        let before = self.lines[..index].iter().rev().map(|line| line.text.trim());
        before.take(3).find(|line| !line.is_empty()).unwrap_or_default()
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

    /// Returns the text up to where the part ends that is being read.
    fn text_of_part(&self) -> &'a str {
        match self.lines.get(self.end) {
            Some(_) => &self.text[..self.offset(self.end)],
            None => self.text,
        }
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
        let rest = self.text_of_part()[offset..].trim_start_matches([' ', '\t']);
        rest.starts_with(['[', '{'])
    }

    /// Reads the JSON that begins at a place on a line.
    fn json(&mut self, index: usize, offset: usize, found: &mut Found) -> usize {
        let number = self.lines[index].number;
        let mut reader = json::Reader::new(self.text_of_part(), offset);
        reader.first_line(number);
        let mut result = reader.document();
        // Further documents may stand on the same line.
        while result.is_ok() && self.goes_on(reader.at) {
            result = reader.document();
        }
        let mut next = self.line_at(reader.at);
        if let Err(error) = result {
            let begun = reader.builder.has_plan();
            if begun || index == 0 {
                found.error.get_or_insert_with(|| error.clone());
            }
            if begun {
                let last = self.lines[..self.end].last();
                let line =
                    self.lines[..self.end].get(next).or(last).map_or(number, |line| line.number);
                if !reader.break_off(line, &error) {
                    let message = format!("a plan that cannot be read: {error}");
                    found.notes.push(Note { line: number, message });
                }
                next = self.rest_of_json(next);
            }
        }
        for item in reader.builder.items {
            match item {
                Item::Plan(plan) => self.add(plan, found),
                Item::Text { line, text, .. } => {
                    part(&text, line.max(1) - 1, self.nesting + 1, found);
                }
            }
        }
        next
    }

    /// Returns the index of the first line after the rest of a plan that breaks off: its nodes are none that stand for
    /// themselves.
    fn rest_of_json(&self, from: usize) -> usize {
        let rest = self.lines[..self.end].get(from..).unwrap_or_default();
        let begins = |line: &str| {
            line.starts_with('[')
                || ["\"Plan\":", "\"Query Text\":"].iter().any(|key| line.contains(key))
        };
        let goes_on = |at: &usize| {
            let line = rest[*at].text.trim();
            let next = rest.get(at + 1).map_or("", |line| line.text.trim());
            line.starts_with(['"', '{', '}', ']'])
                && !begins(line)
                && !(line == "{" && begins(next))
        };
        from + (0..rest.len()).take_while(goes_on).count()
    }

    fn xml(&mut self, index: usize, found: &mut Found) -> usize {
        let offset = self.offset(index);
        let number = self.lines[index].number;
        let (plans, length, error) = xml::read(&self.text_of_part()[offset..], number);
        for plan in plans {
            self.add(plan, found);
        }
        if let Some(message) = error {
            found.notes.push(Note { line: number, message });
        }
        self.line_at(offset + length)
    }

    fn yaml(&mut self, index: usize, found: &mut Found) -> Option<usize> {
        let (plan, next) = yaml::read(&self.lines[..self.end], index);
        self.add(plan?, found);
        Some(next)
    }

    /// Takes the statement before a plan in text form, which may go over several lines.
    fn query(&mut self, index: usize) -> Option<usize> {
        let first = self.lines[index].text.trim().strip_prefix("Query Text:")?;
        let rest = &self.lines[index + 1..self.end];
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
        let (plan, next) = text::read(&self.lines[..self.end], index);
        self.add(plan, found);
        Some(next)
    }

    /// Tells whether a bare word such as `Result` is a plan, by the lines around it.
    fn stands_as_plan(&self, index: usize) -> bool {
        let said = |line: &&Line<'_>| !line.text.trim().is_empty();
        let before = self.lines[..index].iter().rev().take(3).find(said);
        let after = self.lines[index + 1..self.end].iter().take(3).find(said);
        let heads = |line: &str| line.contains("QUERY PLAN") || text::is_rule(line);
        before.is_some_and(|line| heads(line.text.trim()))
            || after.is_some_and(|line| text::belongs_to_plan(line.text.trim()))
            || (before.is_none() && after.is_none())
    }
}
