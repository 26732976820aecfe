//! Reads what EXPLAIN prints as XML. Its tags are the keys of JSON with dashes for all that no tag may hold, and every
//! value is a text.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};
use serde_json::{Value, json};

use crate::Format;
use crate::builder::{Builder, Full, Item};
use crate::raw::RawPlan;

/// What was read: the plans, the length in bytes of what was looked at, and why there is none, if it
/// is broken.
pub(crate) type Outcome = (Vec<RawPlan<'static>>, usize, Option<String>);

/// Tells whether a document begins on a line.
pub(crate) fn opens_document(line: &str) -> bool {
    line.starts_with("<explain") || line.starts_with("<?xml")
}

/// Tells whether a result begins on a line, or a node, around which nothing was copied.
pub(crate) fn opens_plan(line: &str) -> bool {
    line.starts_with("<Query>") || line.starts_with("<Plan>")
}

/// Reads the one document at the beginning of a text; `line` is the number of its first line.
pub(crate) fn read(text: &str, line: usize) -> Outcome {
    let mut document = Document { builder: Builder::new(Format::Xml), open: Vec::new(), line };
    let mut reader = Reader::from_str(text);
    let error = loop {
        let before = reader.buffer_position() as usize;
        match reader.read_event() {
            Err(error) => break Some(error.to_string()),
            Ok(Event::Eof) => {
                break (!document.open.is_empty()).then(|| "the end is missing".to_owned());
            }
            Ok(event) => {
                let lines = &text[before..reader.buffer_position() as usize];
                document.line += lines.matches('\n').count();
                match document.event(&event) {
                    Err(Full::TooDeep) => break Some("elements are nested too deeply".to_owned()),
                    Err(Full::TooLarge) => break Some("there are too many plan nodes".to_owned()),
                    Ok(()) if document.open.is_empty() && matches!(event, Event::End(_)) => {
                        break None;
                    }
                    Ok(()) => {}
                }
            }
        }
    };
    // A plan tells of its own end.
    let error = error.filter(|error| !document.builder.break_off(document.line, error));
    let plans = document.builder.items.into_iter().filter_map(|item| match item {
        Item::Plan(plan) => Some(plan),
        Item::Text { .. } => None,
    });
    let error = error.map(|error| format!("a plan in XML that cannot be read: {error}"));
    (plans.collect(), reader.buffer_position() as usize, error)
}

/// What an element turned out to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unknown,
    Array,
    Object,
}

struct Element {
    name: String,
    kind: Kind,
    text: String,
    line: usize,
}

struct Document {
    builder: Builder<'static>,
    open: Vec<Element>,
    line: usize,
}

impl Document {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Full> {
        match event {
            Event::Start(start) => self.start(start.name().0)?,
            Event::Empty(empty) => {
                self.start(empty.name().0)?;
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => self.text(text),
            Event::CData(text) => self.text(text),
            Event::GeneralRef(entity) => self.text(&resolve(entity)),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(text);
        }
    }

    fn start(&mut self, name: &str) -> Result<(), Full> {
        let in_array = self.in_array();
        if let Some(parent) = self.open.last_mut().filter(|parent| parent.kind == Kind::Unknown) {
            // Of auto_explain there is one result, without `Query` around it.
            let several = parent.name == "explain" && name == "Query";
            let list = name == "Item" || several || is_plural(&parent.name, name);
            parent.kind = if list { Kind::Array } else { Kind::Object };
            let key = (!in_array).then(|| key_of(&parent.name));
            let line = parent.line;
            if list {
                self.builder.open_array(key)?;
            } else {
                self.builder.open_object(key, || line)?;
            }
        }
        let (name, line) = (name.to_owned(), self.line);
        self.open.push(Element { name, kind: Kind::Unknown, text: String::new(), line });
        Ok(())
    }

    /// Tells whether the innermost element stands in a list.
    fn in_array(&self) -> bool {
        let above = self.open.len().checked_sub(2).and_then(|above| self.open.get(above));
        above.is_none_or(|above| above.kind == Kind::Array)
    }

    fn end(&mut self) {
        let in_array = self.in_array();
        let Some(element) = self.open.pop() else { return };
        if element.kind != Kind::Unknown {
            self.builder.close();
            return;
        }
        let is_item = element.name == "Item";
        let value = match (element.text.trim(), in_array) {
            ("", true) if !is_item => json!([]),
            ("", false) => Value::Null,
            _ => Value::String(element.text),
        };
        self.builder.value((!in_array).then(|| key_of(&element.name)), value);
    }
}

fn is_plural(list: &str, item: &str) -> bool {
    list.strip_suffix('s') == Some(item)
}

fn resolve(entity: &BytesRef<'_>) -> Cow<'static, str> {
    let name: &str = entity;
    match name {
        "lt" => "<".into(),
        "gt" => ">".into(),
        "amp" => "&".into(),
        "quot" => "\"".into(),
        "apos" => "'".into(),
        _ => match entity.resolve_char_ref() {
            Ok(Some(c)) => c.to_string().into(),
            _ => format!("&{name};").into(),
        },
    }
}

/// Returns the key of JSON for a tag.
fn key_of(tag: &str) -> Cow<'static, str> {
    let key = tag.replace('-', " ");
    let dashed = [
        ("I O ", "I/O "),
        ("One Time Filter", "One-Time Filter"),
        ("Full sort Groups", "Full-sort Groups"),
        ("Pre sorted Groups", "Pre-sorted Groups"),
    ];
    let key = dashed.iter().fold(
        key,
        |key, (from, to)| {
            if key.contains(from) { key.replace(from, to) } else { key }
        },
    );
    key.into()
}
