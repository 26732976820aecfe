//! Reads JSON text into raw plans, iteratively.
//!
//! `serde_json` reads what is not plain; the nesting is followed here, for three reasons. Plan nodes may nest far deeper
//! than its limit of 128 levels (a chain of 64 joins reaches it) and nothing here recurses. Up to version 12
//! `PostgreSQL` prints `Workers` twice in one object, and a map would lose one of them. And from version 15 on it
//! prints invalid JSON for MERGE on partitioned tables, which is repaired on the way.

use std::borrow::Cow;

use serde_json::Value;

use crate::builder::{Builder, Full, Item, MAX_VALUE_DEPTH};
use crate::problem::TEXT_END;
use crate::raw::{self, MAX_NODES, RawPlan};
use crate::vocabulary::is_node_key;
use crate::{Format, ParseError};

/// Returns every plan in a text that is JSON and nothing else.
pub(crate) fn read(text: &str) -> Result<Vec<RawPlan<'_>>, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text, 0);
    while reader.document()? {}
    if !reader.seen {
        return Err(ParseError::Empty);
    }
    let mut plans = Vec::new();
    for item in reader.builder.items {
        if let Item::Plan(plan) = item {
            plans.push(plan);
        }
    }
    if plans.is_empty() {
        let found = reader.builder.found.unwrap_or_else(|| "an empty array".to_owned());
        return Err(ParseError::NotAPlan { found });
    }
    if plans.iter().all(RawPlan::has_root) { Ok(plans) } else { Err(raw::no_node_type()) }
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

/// Reads one document after the other.
pub(crate) struct Reader<'a> {
    text: &'a str,
    /// Where it stands, in bytes.
    pub(crate) at: usize,
    /// What was read.
    pub(crate) builder: Builder<'a>,
    /// The key whose value is about to be read.
    key: Option<Cow<'a, str>>,
    /// Line feeds counted so far, and up to where.
    lines: (usize, usize),
    seen: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str, at: usize) -> Self {
        let builder = Builder::new(Format::Json);
        Self { text, at, builder, key: None, lines: (0, 0), seen: false }
    }

    /// Tells on which line the text stands at which reading begins.
    pub(crate) fn first_line(&mut self, number: usize) {
        self.lines = (number - 1, self.at);
    }

    /// Reads one value with all that is in it; `false` where there is none any more.
    pub(crate) fn document(&mut self) -> Result<bool, ParseError> {
        let mut expect = Expect::Value;
        let mut begun = false;
        self.builder.next_document();
        loop {
            if begun && self.builder.is_closed() {
                return Ok(true);
            }
            self.skip_space();
            let Some(byte) = self.byte() else {
                return if begun { Err(self.unexpected(expect.words())) } else { Ok(false) };
            };
            expect = match (expect, byte) {
                (Expect::Value | Expect::ValueOrEnd, b'{') => self.open_object()?,
                (Expect::Value | Expect::ValueOrEnd, b'[') => self.open_array()?,
                (Expect::Value | Expect::ValueOrEnd, b'"') => self.string_value()?,
                (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') if !self.builder.in_object() => {
                    self.close()
                }
                (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') if self.builder.in_object() => {
                    self.close()
                }
                (Expect::CommaOrEnd, b',') => {
                    let keys = self.builder.in_object() || self.builder.in_bare();
                    self.step(if keys { Expect::Key } else { Expect::Value })
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    self.key = Some(self.string()?);
                    self.colon()?
                }
                (Expect::Value | Expect::ValueOrEnd, _) => self.scalar(expect)?,
                _ => return Err(self.unexpected_first(expect.words())),
            };
            if self.builder.is_overfull() {
                return Err(self.full(Full::TooLarge));
            }
            begun = true;
            self.seen = true;
        }
    }

    /// Ends a text that breaks off with this error on a line; `false` where nothing is left of a plan.
    pub(crate) fn break_off(&mut self, line: usize, error: &ParseError) -> bool {
        let reason = match error {
            ParseError::Syntax { expected, found, .. } => {
                format!("expected {expected}, found {found}")
            }
            error => error.to_string(),
        };
        self.builder.break_off(line, &reason)
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

    fn open_object(&mut self) -> Result<Expect, ParseError> {
        let (text, at, lines) = (self.text, self.at, &mut self.lines);
        let line = || line_of(text, at, lines);
        match self.builder.open_object(self.key.take(), line) {
            Ok(()) => Ok(self.step(Expect::KeyOrEnd)),
            Err(full) => Err(self.full(full)),
        }
    }

    fn open_array(&mut self) -> Result<Expect, ParseError> {
        // In a plan that was stored as `jsonb`, the inputs come before the type.
        if self.key.as_deref() == Some("Plans") && is_node(&self.text[self.at + 1..]) {
            self.builder.expect_root();
        }
        match self.builder.open_array(self.key.take()) {
            Ok(()) => Ok(self.step(Expect::ValueOrEnd)),
            Err(full) => Err(self.full(full)),
        }
    }

    fn full(&self, full: Full) -> ParseError {
        let (line, column) = self.position();
        match full {
            Full::TooDeep => ParseError::TooDeep { line, column, limit: MAX_VALUE_DEPTH },
            Full::TooLarge => ParseError::TooLarge { limit: MAX_NODES },
        }
    }

    fn close(&mut self) -> Expect {
        self.builder.close();
        self.step(Expect::CommaOrEnd)
    }

    fn string_value(&mut self) -> Result<Expect, ParseError> {
        let start = self.at;
        let string = self.string()?;
        if self.builder.in_array() {
            let after = self.at;
            self.skip_space();
            if self.byte() == Some(b':') {
                // A bare key inside an array: the array ends here, and what follows up to its bracket belongs to the node.
                let line = line_of(self.text, start, &mut self.lines);
                self.builder.open_bare(line);
                self.key = Some(string);
                return self.colon();
            }
            self.at = after;
        }
        self.builder.value(self.key.take(), Value::String(string.into_owned()));
        Ok(Expect::CommaOrEnd)
    }

    fn colon(&mut self) -> Result<Expect, ParseError> {
        self.skip_space();
        match self.byte() {
            Some(b':') => Ok(self.step(Expect::Value)),
            _ => Err(self.unexpected("a colon")),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ParseError> {
        let rest = &self.text.as_bytes()[self.at..];
        let (mut length, mut plain) = (1, true);
        loop {
            match rest.get(length) {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    length += 2;
                }
                Some(byte) => {
                    plain &= *byte >= b' ';
                    length += 1;
                }
                None => {
                    return Err(self.syntax("the end of this string", TEXT_END.to_owned()));
                }
            }
        }
        let (start, end) = (self.at, self.at + length);
        let slice = &self.text[start..=end];
        if plain {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start + 1..end]));
        }
        // A line break within a string is none of the server's, but of whoever pasted it.
        let escaped = slice
            .contains(|c: char| c < ' ')
            .then(|| slice.replace('\t', "\\t").chars().filter(|c| *c >= ' ').collect::<String>());
        match serde_json::from_str::<String>(escaped.as_deref().unwrap_or(slice)) {
            Ok(string) => {
                self.at = end + 1;
                Ok(Cow::Owned(string))
            }
            Err(_) => Err(self.syntax("a valid JSON string", excerpt(slice))),
        }
    }

    fn scalar(&mut self, expect: Expect) -> Result<Expect, ParseError> {
        let rest = &self.text[self.at..];
        let is_end = |byte: &u8| b",]} \t\r\n[{\":".contains(byte);
        let slice = &rest[..rest.bytes().position(|byte| is_end(&byte)).unwrap_or(rest.len())];
        let other = || serde_json::from_str::<Value>(slice).ok().or_else(|| beyond_range(slice));
        let Some(value) = number(slice).or_else(other) else {
            return self.masked(slice, expect);
        };
        self.at += slice.len();
        self.builder.value(self.key.take(), value);
        Ok(Expect::CommaOrEnd)
    }

    /// A figure that somebody made unrecognizable, such as `N.N`.
    fn masked(&mut self, word: &str, expect: Expect) -> Result<Expect, ParseError> {
        let is_word = word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        let Some(key) = self.key.clone().filter(|_| is_word) else {
            return Err(self.unexpected_first(expect.words()));
        };
        self.at += word.len();
        self.key = None;
        self.builder.value(Some(key), Value::String(word.to_owned()));
        Ok(Expect::CommaOrEnd)
    }

    /// An unexpected token; the first one of a text may mean that this is another format altogether.
    fn unexpected_first(&self, expected: &'static str) -> ParseError {
        match other_format(self.text) {
            Some(format) if self.builder.items.is_empty() && self.builder.is_closed() => {
                ParseError::OtherFormat { format }
            }
            _ => self.unexpected(expected),
        }
    }

    fn unexpected(&self, expected: &'static str) -> ParseError {
        let rest = &self.text[self.at..];
        self.syntax(expected, if rest.is_empty() { TEXT_END.to_owned() } else { excerpt(rest) })
    }

    fn syntax(&self, expected: &'static str, found: String) -> ParseError {
        let (line, column) = self.position();
        ParseError::Syntax { line, column, expected, found }
    }

    fn position(&self) -> (usize, usize) {
        let (lines, from) = self.lines;
        let before = &self.text[..self.at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = 1 + lines + self.text[from.min(self.at)..self.at].matches('\n').count();
        (line, 1 + before[line_start..].chars().count())
    }
}

/// Returns the line of a place that is not before one asked for earlier; `lines` remembers how far they were counted.
fn line_of(text: &str, at: usize, lines: &mut (usize, usize)) -> usize {
    lines.0 += text[lines.1..at].matches('\n').count();
    lines.1 = at;
    1 + lines.0
}

/// Reads a short plain number; what is longer or odder is left to `serde_json`.
fn number(text: &str) -> Option<Value> {
    /// Powers of ten, all exact.
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let bytes = digits.as_bytes();
    let leading_zero = bytes.len() > 1 && bytes[0] == b'0' && bytes[1] != b'.';
    if bytes.len() > 15 || leading_zero || !bytes.first()?.is_ascii_digit() {
        return None;
    }
    let (mut whole, mut fraction) = (0u64, None);
    for byte in bytes {
        match byte {
            b'0'..=b'9' => {
                whole = whole * 10 + u64::from(byte - b'0');
                fraction = fraction.map(|places: usize| places + 1);
            }
            b'.' if fraction.is_none() => fraction = Some(0),
            _ => return None,
        }
    }
    // Both numbers are exact in 53 bits, so that their quotient is the number that is nearest to what is written.
    Some(match (fraction, negative) {
        (Some(0), _) => return None,
        (Some(places), false) => (whole as f64 / POWERS[places]).into(),
        (Some(places), true) => (-(whole as f64 / POWERS[places])).into(),
        (None, false) => whole.into(),
        (None, true) if whole == 0 => return None,
        (None, true) => (-(whole as i64)).into(),
    })
}

/// Returns where a result begins on a line after other words.
pub(crate) fn begins_within(line: &str) -> Option<usize> {
    let key = line.find("\"Plan\":").or_else(|| line.find("\"Query Text\":"))?;
    let object = line[..key].trim_end().strip_suffix('{')?;
    let array = object.trim_end().strip_suffix('[');
    Some(array.map_or(object.len(), str::len))
}

/// Tells whether an object begins here whose first key is that of a plan node.
fn is_node(text: &str) -> bool {
    let key = text.trim_start().strip_prefix('{').map(str::trim_start);
    let key = key.and_then(|key| key.strip_prefix('"')?.split_once('"'));
    key.is_some_and(|(key, _)| key == "Plans" || is_node_key(key))
}

/// Keeps a number as a text that is greater than any number can be, such as `1e309`; what it is good for is told later.
fn beyond_range(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit());
    let infinite = is_number && text.parse::<f64>().is_ok_and(f64::is_infinite);
    infinite.then(|| text.into())
}

/// Returns the texts in quotes in which quotes or line feeds are escaped as in JSON, with the place at which each begins.
pub(crate) fn escaped_texts(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find('"')?;
            let (mut end, mut escaped) = (start + 1, false);
            let bytes = text.as_bytes();
            loop {
                match bytes.get(end)? {
                    b'"' => break,
                    b'\\' => {
                        escaped |= matches!(bytes.get(end + 1), Some(b'"' | b'n'));
                        end += 2;
                    }
                    _ => end += 1,
                }
            }
            at = end + 1;
            if escaped && let Ok(inner) = serde_json::from_str(&text[start..=end]) {
                return Some((start, inner));
            }
        }
    })
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
    use crate::Problem;

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
        assert!(error("[N]").contains("expected a JSON value or `]`, found `N]`"));
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
        let keys: Vec<&str> = root.fields.iter().map(|(key, _)| key.as_ref()).collect();
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
