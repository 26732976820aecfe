//! Reads JSON text into raw plans, iteratively.
//!
//! `serde_json` reads the scalars; the nesting is followed here, for three reasons. Plan nodes may nest far deeper
//! than its limit of 128 levels (a chain of 64 joins reaches it) and nothing here recurses. Up to version 12
//! `PostgreSQL` prints `Workers` twice in one object, and a map would lose one of them. And from version 15 on it
//! prints invalid JSON for MERGE on partitioned tables, which is repaired on the way.

use std::mem;

use serde_json::{Map, Value};

use crate::raw::{self, Fields, RawNode, RawPlan};
use crate::{Format, ParseError, Problem};

/// The deepest nesting of brackets that are not of plan nodes; the limit of `serde_json`, so that they can be dropped and printed safely.
const MAX_VALUE_DEPTH: usize = 100;

/// Returns every plan in the text.
pub(crate) fn read(text: &str) -> Result<Vec<RawPlan>, ParseError> {
    let mut reader = Reader::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.run()?;
    if reader.plans.is_empty() {
        let found = reader.found.unwrap_or_else(|| "an empty array".to_owned());
        return Err(ParseError::NotAPlan { found });
    }
    if reader.plans.iter().all(RawPlan::has_root) {
        Ok(reader.plans)
    } else {
        Err(raw::no_node_type())
    }
}

/// A bracket that is open.
enum Frame {
    /// An array of EXPLAIN results.
    Results,
    /// An EXPLAIN result, the object with `Plan`; it is `Reader::current`.
    Result,
    /// A plan node, by its index.
    Node(usize),
    /// The `Plans` of a node.
    Plans(usize),
    /// Any other object.
    Object(Map<String, Value>),
    /// Any other array.
    Array(Vec<Value>),
    /// The rest of an array from the first bare key on, which only `PostgreSQL` 15 to 18 prints.
    Bare { line: usize, fields: Fields },
}

/// What may come next.
#[derive(Clone, Copy)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    CommaOrEnd,
}

impl Expect {
    fn words(self) -> &'static str {
        match self {
            Self::Value => "a JSON value",
            Self::ValueOrEnd => "a JSON value or `]`",
            Self::Key => "a key in double quotes",
            Self::KeyOrEnd => "a key in double quotes or `}`",
            Self::CommaOrEnd => "a comma or a closing bracket",
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Open brackets with the key under which each stands.
    stack: Vec<(Frame, Option<String>)>,
    /// The key whose value is about to be read.
    key: Option<String>,
    value_depth: usize,
    current: RawPlan,
    plans: Vec<RawPlan>,
    /// Line feeds counted so far, and up to where.
    lines: (usize, usize),
    /// The first thing that is no plan, in words.
    found: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let current = RawPlan::new(Format::Json, 1);
        Self {
            text,
            at: 0,
            stack: Vec::new(),
            key: None,
            value_depth: 0,
            current,
            plans: Vec::new(),
            lines: (0, 0),
            found: None,
        }
    }

    fn run(&mut self) -> Result<(), ParseError> {
        let mut expect = Expect::Value;
        let mut seen = false;
        loop {
            self.skip_space();
            let Some(byte) = self.byte() else {
                return match (seen, self.stack.is_empty()) {
                    (true, true) => Ok(()),
                    (false, _) => Err(ParseError::Empty),
                    (true, false) => Err(self.unexpected(expect.words())),
                };
            };
            if self.stack.is_empty() {
                expect = Expect::Value;
            }
            expect = match (expect, byte) {
                (Expect::Value | Expect::ValueOrEnd, b'{') => self.open_object()?,
                (Expect::Value | Expect::ValueOrEnd, b'[') => self.open_array()?,
                (Expect::Value | Expect::ValueOrEnd, b'"') => self.string_value()?,
                (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') if !self.in_object() => {
                    self.close()
                }
                (Expect::CommaOrEnd, b']')
                    if matches!(self.stack.last(), Some((Frame::Bare { .. }, _))) =>
                {
                    self.close()
                }
                (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') if self.closes_with_brace() => {
                    self.close()
                }
                (Expect::CommaOrEnd, b',') => {
                    self.step(if self.in_object() { Expect::Key } else { Expect::Value })
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    self.key = Some(self.string()?);
                    self.colon()?
                }
                (Expect::Value | Expect::ValueOrEnd, _) => self.scalar(expect)?,
                _ => return Err(self.unexpected_first(expect.words())),
            };
            seen = true;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.byte().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn step(&mut self, expect: Expect) -> Expect {
        self.at += 1;
        expect
    }

    /// Tells whether keys stand in the innermost open bracket.
    fn in_object(&self) -> bool {
        self.closes_with_brace() || matches!(self.stack.last(), Some((Frame::Bare { .. }, _)))
    }

    fn closes_with_brace(&self) -> bool {
        matches!(self.stack.last(), Some((Frame::Result | Frame::Node(_) | Frame::Object(_), _)))
    }

    fn open_object(&mut self) -> Result<Expect, ParseError> {
        let key = self.key.take();
        let frame = match self.stack.last() {
            None | Some((Frame::Results, _)) => {
                self.current = RawPlan::new(Format::Json, self.line_of(self.at));
                Frame::Result
            }
            Some((Frame::Result, _))
                if key.as_deref() == Some("Plan") && self.current.nodes.is_empty() =>
            {
                self.open_node(None)
            }
            Some((Frame::Plans(parent), _)) => {
                let parent = *parent;
                self.open_node(Some(parent))
            }
            _ => {
                self.deeper()?;
                Frame::Object(Map::new())
            }
        };
        self.stack.push((frame, key));
        Ok(self.step(Expect::KeyOrEnd))
    }

    fn open_node(&mut self, parent: Option<usize>) -> Frame {
        self.current.nodes.push(RawNode { parent, fields: Fields::new() });
        Frame::Node(self.current.nodes.len() - 1)
    }

    fn open_array(&mut self) -> Result<Expect, ParseError> {
        let key = self.key.take();
        let frame = match (self.stack.last(), key.as_deref()) {
            (None | Some((Frame::Results, _)), _) => {
                self.deeper()?;
                Frame::Results
            }
            // A client's row with the column that EXPLAIN returns.
            (Some((Frame::Result, _)), Some("QUERY PLAN")) if self.current.nodes.is_empty() => {
                self.deeper()?;
                Frame::Results
            }
            (Some((Frame::Node(index), _)), Some("Plans")) => Frame::Plans(*index),
            _ => {
                self.deeper()?;
                Frame::Array(Vec::new())
            }
        };
        self.stack.push((frame, key));
        Ok(self.step(Expect::ValueOrEnd))
    }

    fn deeper(&mut self) -> Result<(), ParseError> {
        self.value_depth += 1;
        if self.value_depth <= MAX_VALUE_DEPTH {
            return Ok(());
        }
        let (line, column) = self.position();
        Err(ParseError::TooDeep { line, column, limit: MAX_VALUE_DEPTH })
    }

    fn close(&mut self) -> Expect {
        let (frame, key) = self.stack.pop().expect("only called with a bracket open");
        match frame {
            Frame::Node(_) | Frame::Plans(_) => {}
            Frame::Results => self.value_depth -= 1,
            Frame::Result => self.close_result(),
            Frame::Object(object) => {
                self.value_depth -= 1;
                self.attach(key, Value::Object(object));
            }
            Frame::Array(elements) => {
                self.value_depth -= 1;
                self.attach(key, Value::Array(elements));
            }
            Frame::Bare { line, fields } => {
                let keys = fields.iter().map(|(key, _)| key.clone()).collect();
                self.current.problems.push(Problem::MisplacedKeys { line, keys });
                for (key, value) in fields {
                    self.attach(Some(key), value);
                }
            }
        }
        self.step(Expect::CommaOrEnd)
    }

    fn close_result(&mut self) {
        let plan = mem::replace(&mut self.current, RawPlan::new(Format::Json, 1));
        if plan.nodes.is_empty() {
            let keys = plan.fields.iter().map(|(key, _)| key.as_str());
            self.found.get_or_insert_with(|| raw::describe_object(keys));
        } else {
            self.plans.push(plan);
        }
    }

    /// Puts a complete value where the innermost open bracket wants it.
    fn attach(&mut self, key: Option<String>, value: Value) {
        let Self { stack, current, found, .. } = self;
        let key = key.unwrap_or_default();
        match stack.last_mut().map(|(frame, _)| frame) {
            None | Some(Frame::Results) => {
                found.get_or_insert_with(|| raw::describe(&value));
            }
            Some(Frame::Result) => current.fields.push((key, value)),
            Some(Frame::Node(index)) => current.nodes[*index].fields.push((key, value)),
            Some(Frame::Plans(index)) => {
                current.problems.push(Problem::NotANode { operator: (*index).into() });
            }
            Some(Frame::Object(object)) => {
                object.insert(key, value);
            }
            Some(Frame::Array(elements)) => elements.push(value),
            Some(Frame::Bare { fields, .. }) => fields.push((key, value)),
        }
    }

    fn string_value(&mut self) -> Result<Expect, ParseError> {
        let start = self.at;
        let string = self.string()?;
        let after = self.at;
        self.skip_space();
        let misplaced =
            matches!(self.stack.last(), Some((Frame::Array(_), _))) && self.byte() == Some(b':');
        if !misplaced {
            self.at = after;
            let key = self.key.take();
            self.attach(key, Value::String(string));
            return Ok(Expect::CommaOrEnd);
        }
        // A bare key inside an array: the array ends here, and what follows up to its bracket belongs to the node.
        if let Some((Frame::Array(elements), key)) = self.stack.pop() {
            self.value_depth -= 1;
            self.attach(key, Value::Array(elements));
        }
        let line = self.line_of(start);
        self.stack.push((Frame::Bare { line, fields: Fields::new() }, None));
        self.key = Some(string);
        self.colon()
    }

    /// Returns the line of a place that is not before one asked for earlier.
    fn line_of(&mut self, at: usize) -> usize {
        self.lines.0 += self.text[self.lines.1..at].matches('\n').count();
        self.lines.1 = at;
        1 + self.lines.0
    }

    fn colon(&mut self) -> Result<Expect, ParseError> {
        self.skip_space();
        match self.byte() {
            Some(b':') => Ok(self.step(Expect::Value)),
            _ => Err(self.unexpected("a colon")),
        }
    }

    fn string(&mut self) -> Result<String, ParseError> {
        let rest = &self.text.as_bytes()[self.at..];
        let mut length = 1;
        while rest.get(length).is_some_and(|byte| *byte != b'"') {
            length += if rest[length] == b'\\' { 2 } else { 1 };
        }
        if length >= rest.len() {
            return Err(self.syntax("the end of this string", "the end of the text".to_owned()));
        }
        let slice = &self.text[self.at..=self.at + length];
        match serde_json::from_str(slice) {
            Ok(string) => {
                self.at += slice.len();
                Ok(string)
            }
            Err(_) => Err(self.syntax("a valid JSON string", excerpt(slice))),
        }
    }

    fn scalar(&mut self, expect: Expect) -> Result<Expect, ParseError> {
        let rest = &self.text[self.at..];
        let is_end = |c: char| {
            matches!(c, ',' | ']' | '}' | ' ' | '\t' | '\r' | '\n' | '[' | '{' | '"' | ':')
        };
        let slice = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        let Ok(value) = serde_json::from_str::<Value>(slice) else {
            return Err(self.unexpected_first(expect.words()));
        };
        self.at += slice.len();
        let key = self.key.take();
        self.attach(key, value);
        Ok(Expect::CommaOrEnd)
    }

    /// An unexpected token; the first one of a text may mean that this is another format altogether.
    fn unexpected_first(&self, expected: &'static str) -> ParseError {
        match other_format(self.text) {
            Some(format) if self.plans.is_empty() && self.current.nodes.is_empty() => {
                ParseError::OtherFormat { format }
            }
            _ => self.unexpected(expected),
        }
    }

    fn unexpected(&self, expected: &'static str) -> ParseError {
        let rest = &self.text[self.at..];
        self.syntax(
            expected,
            if rest.is_empty() { "the end of the text".to_owned() } else { excerpt(rest) },
        )
    }

    fn syntax(&self, expected: &'static str, found: String) -> ParseError {
        let (line, column) = self.position();
        ParseError::Syntax { line, column, expected, found }
    }

    fn position(&self) -> (usize, usize) {
        let before = &self.text[..self.at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
    }
}

/// The beginning of what stands there, in back-ticks.
fn excerpt(rest: &str) -> String {
    let line = rest.lines().next().unwrap_or_default();
    let shown: String = line.chars().filter(|c| !c.is_control()).take(24).collect();
    format!("`{shown}`")
}

/// Recognizes what EXPLAIN prints in its other formats.
fn other_format(text: &str) -> Option<&'static str> {
    let text = text.trim_start();
    if text.starts_with('<') {
        Some("XML")
    } else if text.starts_with("- Plan:")
        || text.starts_with("- Query Text:")
        || text.starts_with("Plan:")
    {
        Some("YAML")
    } else if text.contains("\"Plan\"") {
        None
    } else if ["QUERY PLAN", "(cost=", "(actual time=", "(actual rows=", "(never executed)"]
        .iter()
        .any(|mark| text.contains(mark))
    {
        Some("text")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCAN: &str = r#"{"Plan": {"Node Type": "Result", "Output": ["1"], "Plan Rows": 1}}"#;

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn one_and_several_results() {
        for (text, count) in [
            (SCAN.to_owned(), 1),
            (format!("[{SCAN}]"), 1),
            (format!("\u{feff} [{SCAN}, {SCAN}]\n"), 2),
            (format!("[{SCAN}]\n[{SCAN}]{SCAN}"), 3),
            (format!(r#"[{{"QUERY PLAN": [{SCAN}]}}]"#), 1),
        ] {
            let plans = read(&text).unwrap();
            assert_eq!(plans.len(), count, "{text}");
            assert!(
                plans.iter().all(|plan| plan.nodes.len() == 1 && plan.nodes[0].fields.len() == 3),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_plan_is_told_apart() {
        assert!(error(" \n").starts_with("the plan text is empty"));
        assert!(error("[]").starts_with("found an empty array where a plan was expected"));
        assert!(error("42").starts_with("found a number where"));
        assert!(
            error(r#"{"rows": [1], "b": 2}"#)
                .starts_with("found an object with the keys `rows`, `b` … where")
        );
        assert!(
            error(r#"{"Plan": "Seq Scan"}"#).starts_with("found an object with the keys `Plan`")
        );
        assert!(error(r#"{"Plan": {}}"#).starts_with("found a `Plan` without a `Node Type`"));
        assert!(
            error("<explain xmlns=")
                .starts_with("this is EXPLAIN output in XML format, not JSON: run")
        );
        assert!(error("- Plan:\n    Node Type: \"Result\"").contains("in YAML format"));
        assert!(
            error("Seq Scan on t  (cost=0.00..1.00 rows=1 width=4)").contains("in text format")
        );
    }

    #[test]
    fn syntax_errors_name_the_place() {
        let cut = &SCAN[..30];
        assert!(error(cut).starts_with(
            "line 1, column 24: expected the end of this string, found the end of the text"
        ));
        assert!(
            error("[\n {\"é\" 1}]").starts_with("line 2, column 7: expected a colon, found `1}]`")
        );
        assert!(
            error("{\"Plan\": {\"Plan Rows\": N}}").contains("expected a JSON value, found `N}}`")
        );
        assert!(error("[1 2]").contains("expected a comma or a closing bracket, found `2]`"));
        assert!(error("[{]").contains("expected a key in double quotes or `}`"));
        assert!(error("[1}").contains("expected a comma"));
        assert!(error("{\"a\": 1]").contains("expected a comma"));
        assert!(error("[1,]").contains("expected a JSON value, found `]`"));
        assert!(error("[\"\\ud800\"]").contains("expected a valid JSON string"));
        assert!(error(&format!("{SCAN} (1 row)")).contains("found `(1 row)`"));
        assert!(error("{\"a\": [\"b\": 1}").contains("expected a comma"));
    }

    #[test]
    fn the_invalid_json_of_a_merge_is_repaired() {
        let text = r#"[{"Plan": {"Node Type": "ModifyTable", "Target Tables": [{"Alias": "a"},
            {"Alias": "b"},
            "Tuples Inserted": 2,
            "Tuples Updated": 3
            ], "Plans": [{"Node Type": "Result"}]}}]"#;
        let plans = read(text).unwrap();
        let root = &plans[0].nodes[0];
        let keys: Vec<&str> = root.fields.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["Node Type", "Target Tables", "Tuples Inserted", "Tuples Updated"]);
        assert_eq!(root.fields[1].1.as_array().map(Vec::len), Some(2));
        assert_eq!(plans[0].nodes.len(), 2);
        let keys = vec!["Tuples Inserted".to_owned(), "Tuples Updated".to_owned()];
        assert_eq!(plans[0].problems, [Problem::MisplacedKeys { line: 3, keys }]);
    }

    #[test]
    fn plan_nodes_may_nest_without_limit_and_nothing_else_may() {
        let depth = 50_000;
        let open = r#"{"Node Type":"Sort","Plans":["#.repeat(depth);
        let text = format!(r#"{{"Plan":{open}{}}}"#, "]}".repeat(depth));
        let plans = read(&text).unwrap();
        assert_eq!(plans[0].nodes.len(), depth);
        assert_eq!(plans[0].nodes[depth - 1].parent, Some(depth - 2));

        let brackets = "[".repeat(200_000);
        let rows = r#"[{"QUERY PLAN":"#.repeat(200_000);
        let value = format!(r#"{{"Plan":{{"Node Type":"Sort","x":{brackets}"#);
        for deep in [brackets, rows, value] {
            let error = read(&deep);
            let Err(ParseError::TooDeep { line: 1, limit: MAX_VALUE_DEPTH, column }) = error else {
                panic!("{error:?}")
            };
            assert!(column < 2000, "given up early: {column}");
        }
    }
}
