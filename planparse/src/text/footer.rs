//! The lines after the nodes: what EXPLAIN says of the statement as a whole.

use serde_json::{Map, Value, json};

use crate::raw::Fields;
use crate::text::detail::{self, list_of};
use crate::text::header::figures_of;

/// A heading whose lines follow, indented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Planning,
    Serialization,
    Jit,
    /// Just-in-time compilation of one worker, printed up to version 11.
    JitOfWorker,
}

impl Group {
    /// Tells whether a line with this key stands below the heading.
    pub(super) fn takes(self, key: &str) -> bool {
        match self {
            Self::Planning => matches!(key, "Buffers" | "I/O Timings" | "Memory"),
            Self::Serialization => matches!(key, "Buffers" | "I/O Timings"),
            Self::Jit | Self::JitOfWorker => matches!(key, "Functions" | "Options" | "Timing"),
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Planning => "Planning",
            Self::Serialization => "Serialization",
            Self::Jit => "JIT",
            Self::JitOfWorker => "Worker JIT",
        }
    }

    /// Adds what a line below the heading says.
    pub(super) fn read(self, key: &str, value: &str, beside: &mut Fields<'static>) {
        let mut fields = Fields::new();
        match key {
            "Memory" => {
                for (name, size) in figures_of(value) {
                    let name = if name == "used" { "Memory Used" } else { "Memory Allocated" };
                    fields.push((name.into(), size.trim_end_matches("kB").into()));
                }
            }
            "Options" => fields.push((key.to_owned().into(), options(value))),
            "Timing" => fields.push((key.to_owned().into(), timing(value))),
            _ => detail::read(key, value, &mut fields),
        }
        self.extend(fields, beside);
    }

    fn extend(self, fields: Fields<'static>, beside: &mut Fields<'static>) {
        let own = beside.iter().rposition(|(key, _)| key == self.key());
        let at = own.unwrap_or_else(|| {
            beside.push((self.key().into(), json!({})));
            beside.len() - 1
        });
        if let Value::Object(object) = &mut beside[at].1 {
            object.extend(fields.into_iter().map(|(key, value)| (key.into_owned(), value)));
        }
    }
}

/// What a line after the nodes is.
pub(super) enum Footer {
    /// It was taken in.
    Read,
    /// It heads further lines.
    Heads(Group),
}

/// Reads a line after the nodes into what stands beside the plan; none where it is no such line.
pub(super) fn read(line: &str, beside: &mut Fields<'static>) -> Option<Footer> {
    if line.starts_with("Trigger") {
        return trigger(line, beside).then_some(Footer::Read);
    }
    let (key, value) = detail::split(line)?;
    let mut push = |key: &'static str, value: Value| {
        beside.push((key.into(), value));
        Some(Footer::Read)
    };
    match key {
        "Planning Time" | "Planning time" => push("Planning Time", milliseconds(value)),
        "Execution Time" | "Execution time" => push("Execution Time", milliseconds(value)),
        "Total runtime" | "Total Runtime" => push("Total Runtime", milliseconds(value)),
        "Settings" => push("Settings", settings(value)),
        "Query Identifier" => push("Query Identifier", whole(value)),
        "Query Parameters" => push("Query Parameters", value.into()),
        "Planning" if value.is_empty() => Some(Footer::Heads(Group::Planning)),
        "JIT" if value.is_empty() => Some(Footer::Heads(Group::Jit)),
        _ if key.starts_with("JIT for worker ") => Some(Footer::Heads(Group::JitOfWorker)),
        "Serialization" => {
            let figures = figures_of(value).map(|(name, figure)| match name {
                "time" => ("Time".into(), figure.into()),
                "output" => ("Output Volume".into(), figure.trim_end_matches("kB").into()),
                "format" => ("Format".into(), figure.into()),
                _ => (name.to_owned().into(), figure.into()),
            });
            Group::Serialization.extend(figures.collect(), beside);
            Some(Footer::Heads(Group::Serialization))
        }
        _ => None,
    }
}

fn milliseconds(value: &str) -> Value {
    value.trim_end_matches("ms").trim_end().into()
}

fn whole(value: &str) -> Value {
    value.parse::<i64>().map_or_else(|_| value.into(), Value::from)
}

/// `work_mem = '1MB', jit = 'off'`; quotes within a value are doubled.
fn settings(value: &str) -> Value {
    let setting = |item: String| {
        let (name, value) = item.split_once(" = ")?;
        let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
        Some((name.to_owned(), Value::from(value.replace("''", "'"))))
    };
    let settings: Option<Map<String, Value>> = list_of(value).into_iter().map(setting).collect();
    settings.map_or_else(|| value.into(), Value::Object)
}

/// `Inlining false, Optimization true`
fn options(value: &str) -> Value {
    let option = |item: String| {
        let (name, flag) = item.rsplit_once(' ')?;
        Some((name.to_owned(), Value::Bool(flag.parse().ok()?)))
    };
    let options: Option<Map<String, Value>> = list_of(value).into_iter().map(option).collect();
    options.map_or_else(|| value.into(), Value::Object)
}

/// `Generation 0.340 ms (Deform 0.112 ms), Inlining 0.000 ms, Total 2.414 ms`
fn timing(value: &str) -> Value {
    let step = |item: String| {
        let (item, parts) = match item.split_once(" (") {
            Some((item, parts)) => (item.to_owned(), Some(parts.trim_end_matches(')').to_owned())),
            None => (item, None),
        };
        let figure = |item: &str| {
            let (name, figure) = item.trim_end_matches(" ms").rsplit_once(' ')?;
            Some((name.to_owned(), figure.parse::<f64>().ok()?))
        };
        let (name, total) = figure(&item)?;
        let Some(parts) = parts else { return Some((name, json!(total))) };
        let mut with_parts = Map::new();
        for part in parts.split(", ") {
            let (name, part) = figure(part)?;
            with_parts.insert(name, json!(part));
        }
        with_parts.insert("Total".to_owned(), json!(total));
        Some((name, Value::Object(with_parts)))
    };
    let steps: Option<Map<String, Value>> = list_of(value).into_iter().map(step).collect();
    steps.map_or_else(|| value.into(), Value::Object)
}

/// `Trigger t for constraint fk on orders: time=1.500 calls=2`
fn trigger(line: &str, beside: &mut Fields<'static>) -> bool {
    let Some((name, figures)) = line.rsplit_once(": ") else { return false };
    let figures: Vec<_> = figures_of(figures).collect();
    let Some((_, calls)) = figures.iter().find(|(name, _)| *name == "calls") else { return false };
    let mut trigger = Map::new();
    let mut rest = name.strip_prefix("Trigger").unwrap_or(name);
    if let Some((before, relation)) = rest.rsplit_once(" on ") {
        trigger.insert("Relation".to_owned(), relation.into());
        rest = before;
    }
    let named = match rest.split_once(" for constraint ") {
        Some((name, constraint)) => {
            trigger.insert("Constraint Name".to_owned(), constraint.into());
            name
        }
        None => rest,
    };
    if !named.trim().is_empty() {
        trigger.insert("Trigger Name".to_owned(), named.trim().into());
    }
    if let Some((_, time)) = figures.iter().find(|(name, _)| *name == "time") {
        trigger.insert("Time".to_owned(), (*time).into());
    }
    trigger.insert("Calls".to_owned(), (*calls).into());
    match beside.iter_mut().find(|(key, _)| key == "Triggers") {
        Some((_, Value::Array(triggers))) => triggers.push(Value::Object(trigger)),
        _ => beside.push(("Triggers".into(), json!([trigger]))),
    }
    true
}
