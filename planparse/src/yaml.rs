//! Reads what EXPLAIN prints as YAML: a fixed part of that language, one key or item a line, texts quoted as in JSON.

use serde_json::Value;

use crate::Format;
use crate::builder::{Builder, Full, Item};
use crate::raw::RawPlan;
use crate::text::{Line, column};

/// Tells whether a result begins on a line.
pub(crate) fn opens_plan(line: &str) -> bool {
    let keys = line.strip_prefix("- ").unwrap_or(line);
    keys == "Plan:" || keys.starts_with("Query Text: \"")
}

/// Tells whether a line begins a node, around which nothing was copied.
pub(crate) fn opens_node(line: &str) -> bool {
    line.strip_prefix("- ").unwrap_or(line).starts_with("Node Type: \"")
}

/// Reads the result that begins on the line `first`; returns it, if there is a plan in it, with the index of the first
/// line after it.
pub(crate) fn read(lines: &[Line<'_>], first: usize) -> (Option<RawPlan<'static>>, usize) {
    let mut reader =
        Reader { builder: Builder::new(Format::Yaml), has_plan: false, open: Vec::new() };
    let number = lines[first].number;
    let dash = lines[first].text.trim_start().starts_with("- ");
    let base = column(lines[first].text) + if dash { 2 } else { 0 };
    let mut next = first;
    if reader.builder.open_object(None, || number).is_ok() {
        reader.open.push(base);
        next = reader.lines(lines, first, base).unwrap_or_else(|(_, at)| at + 1);
    }
    if let Some(last) = reader.breaks_off(&lines[..next.min(lines.len())]) {
        // The line that is no entry any more, if there is one.
        let beyond = lines.get(next).filter(|line| column(line.text) >= base.max(1));
        let line = beyond.map_or(last, |line| line.number);
        reader.builder.break_off(line, "the rest of an entry is missing");
    }
    while !reader.builder.is_closed() {
        reader.builder.close();
    }
    let plan = reader.builder.items.into_iter().find_map(|item| match item {
        Item::Plan(plan) => Some(plan),
        Item::Text { .. } => None,
    });
    (plan.filter(RawPlan::has_root), next.max(first + 1))
}

struct Reader {
    builder: Builder<'static>,
    /// Whether the plan of the result was met.
    has_plan: bool,
    /// The column at which the entries of each open bracket stand.
    open: Vec<usize>,
}

impl Reader {
    fn lines(
        &mut self,
        lines: &[Line<'_>],
        first: usize,
        base: usize,
    ) -> Result<usize, (Full, usize)> {
        let mut index = first;
        while let Some(line) = lines.get(index) {
            let mut text = line.text.trim();
            let mut at = column(line.text);
            if index == first && at < base {
                at = base;
                text = text[2..].trim_start();
            }
            if text.is_empty() {
                index += 1;
                continue;
            }
            if at < base || (at == base && index > first && self.begins_another(text)) {
                break;
            }
            self.has_plan |= at == base && text == "Plan:";
            while self.open.len() > 1 && self.open.last().is_some_and(|open| *open > at) {
                self.open.pop();
                self.builder.close();
            }
            let after = lines[index + 1..].iter().find(|line| !line.text.trim().is_empty());
            let after = after.map(|line| (column(line.text), line.text.trim_start()));
            if !self.entry(text, at, after).map_err(|deep| (deep, index))? {
                break;
            }
            index += 1;
        }
        Ok(index)
    }

    /// Returns the number of the last line, where the text ends in the middle of it or of its node.
    fn breaks_off(&self, lines: &[Line<'_>]) -> Option<usize> {
        let last = lines.iter().rev().find(|line| !line.text.trim().is_empty())?;
        let text = last.text.trim();
        let item = text.strip_prefix("- ").unwrap_or(text);
        let value = key_of(item).map_or(item, |(_, value)| value);
        let quote = value.starts_with('"') && serde_json::from_str::<Value>(value).is_err();
        (quote || self.builder.lacks_figures()).then_some(last.number)
    }

    /// Tells whether a key belongs to the next result.
    fn begins_another(&self, text: &str) -> bool {
        text.starts_with("Query Text:") || (text == "Plan:" && self.has_plan)
    }

    /// Reads one entry; `false` where it is none.
    fn entry(&mut self, text: &str, at: usize, after: Option<(usize, &str)>) -> Result<bool, Full> {
        let Some(item) = text.strip_prefix("- ") else {
            return self.pair(text, at, after);
        };
        let item = item.trim_start();
        if item.starts_with(['"', '[']) || key_of(item).is_none() {
            self.builder.value(None, scalar(item));
            return Ok(true);
        }
        self.builder.open_object(None, || 0)?;
        self.open.push(at + 2);
        self.pair(item, at + 2, after)
    }

    fn pair(&mut self, text: &str, at: usize, after: Option<(usize, &str)>) -> Result<bool, Full> {
        let Some((key, value)) = key_of(text) else { return Ok(false) };
        let key = Some(key.to_owned().into());
        match after {
            _ if !value.is_empty() => self.builder.value(key, scalar(value)),
            Some((below, next)) if below > at => {
                if next.starts_with("- ") {
                    self.builder.open_array(key)?;
                } else {
                    self.builder.open_object(key, || 0)?;
                }
                self.open.push(below);
            }
            _ => self.builder.value(key, Value::Null),
        }
        Ok(true)
    }
}

fn key_of(text: &str) -> Option<(&str, &str)> {
    let (key, value) = match text.split_once(": ") {
        Some((key, value)) => (key, value.trim()),
        None => (text.strip_suffix(':')?, ""),
    };
    (!key.is_empty() && !key.contains('"')).then_some((key, value))
}

/// Reads a text in quotes, a list in brackets, a number, a boolean; anything else is a text.
fn scalar(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.trim_matches('"').to_owned()))
}
