//! Real calls out of a server's log: `log_min_duration_statement`, `log_statement` and `auto_explain`, written as
//! stderr, csvlog or jsonlog. They tell which values statements are really called with, and how often.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::tidy_examples;
use crate::snapshot::{Example, Intake, Statement};
use crate::statement::{Class, MARKER, classify, with_literals};

/// A server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its name as the user gave it; messages name it so.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// Different texts that are looked at; every one of them must be parsed.
const TEXTS_MAX: usize = 200_000;

/// One message of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Entry {
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    dbname: Option<String>,
}

/// A call as a log tells it.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    text: String,
    /// Values of its parameters.
    values: BTreeMap<u16, String>,
    /// Whether `auto_explain` wrote it, which may write what the server writes too.
    explained: bool,
}

/// Calls of one statement: literal text -> how often, as the server and as `auto_explain` wrote them.
type Seen = [BTreeMap<String, u64>; 2];

/// Adds the calls that logs tell to the statements that they are calls of, as examples with their number.
///
/// `database` is the one that is looked at: calls of others are passed over where the log names it.
pub fn add_calls(
    statements: &mut [Statement],
    logs: &[LogFile],
    database: &str,
    intake: &mut Intake,
) {
    let place: BTreeMap<String, usize> =
        statements.iter().enumerate().map(|(place, one)| (one.id.clone(), place)).collect();
    let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
    let mut ids: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for log in logs {
        let (mut calls, mut matched) = (0_u64, 0_u64);
        let mut unread = 0_u64;
        entries(&log.text, &mut |entry| {
            if entry.dbname.as_deref().is_some_and(|name| name != database) {
                return;
            }
            let Some(call) = call(&entry).filter(|call| !call.text.contains(MARKER)) else {
                return;
            };
            calls += 1;
            let full = ids.len() >= TEXTS_MAX;
            let at = match ids.get(&call.text) {
                Some(at) => *at,
                None if full => {
                    unread += 1;
                    return;
                }
                None => {
                    let at = match classify(&call.text) {
                        Class::Statement { fingerprint, .. } => place.get(&fingerprint).copied(),
                        _ => None,
                    };
                    ids.insert(call.text.clone(), at);
                    at
                }
            };
            let Some(at) = at else { return };
            let Some(text) = with_literals(&call.text, &call.values) else { return };
            matched += 1;
            let own = &mut seen.entry(at).or_default()[usize::from(call.explained)];
            *own.entry(text).or_default() += 1;
        });
        intake.notes.push(told(&log.name, calls, matched, unread));
    }
    for (at, [logged, explained]) in seen {
        // One call may be written twice; who wrote more of them is believed.
        let total = |calls: &BTreeMap<String, u64>| calls.values().sum::<u64>();
        let calls = if total(&explained) > total(&logged) { explained } else { logged };
        let statement = &mut statements[at];
        statement.examples.extend(calls.into_iter().map(|(text, times)| Example { text, times }));
        tidy_examples(statement);
    }
}

/// What a log gave, in a sentence.
fn told(name: &str, calls: u64, matched: u64, unread: u64) -> String {
    if calls == 0 {
        return format!(
            "{name} tells of no call: it takes log_min_duration_statement or auto_explain, and messages in English"
        );
    }
    let more = match unread {
        0 => String::new(),
        some => format!("; {some} were passed over, beyond {TEXTS_MAX} different texts"),
    };
    format!(
        "{name}: {matched} of {calls} calls are of statements looked at, and give real values{more}"
    )
}

/// Calls `take` with every message of a log.
fn entries(text: &str, take: &mut impl FnMut(Entry)) {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if first.trim_start().starts_with('{') {
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(take);
    } else if csv_record(first).is_some_and(|fields| fields.len() > SEVERITY) {
        csv_entries(text, take);
    } else {
        plain_entries(text, take);
    }
}

/// Places of fields in csvlog, the same in every version since 9.0.
const DATABASE: usize = 2;
const SEVERITY: usize = 11;
const MESSAGE: usize = 13;
const DETAIL: usize = 14;

fn csv_entries(text: &str, take: &mut impl FnMut(Entry)) {
    let mut rest = text;
    while !rest.is_empty() {
        let end = record_end(rest);
        let (record, more) = rest.split_at(end);
        rest = more;
        let Some(mut fields) = csv_record(record).filter(|fields| fields.len() > DETAIL) else {
            continue;
        };
        take(Entry {
            detail: std::mem::take(&mut fields[DETAIL]),
            message: std::mem::take(&mut fields[MESSAGE]),
            dbname: Some(std::mem::take(&mut fields[DATABASE])),
        });
    }
}

/// Byte after the first record: a line break outside of quotes.
fn record_end(text: &str) -> usize {
    let mut quoted = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The fields of a record.
fn csv_record(record: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = record.trim_end_matches(['\r', '\n']).chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    Some(fields)
}

/// What begins a message or a part of one in a log without columns.
const PARTS: &[&str] = &[
    "LOG:  ",
    "DETAIL:  ",
    "HINT:  ",
    "CONTEXT:  ",
    "STATEMENT:  ",
    "QUERY:  ",
    "ERROR:  ",
    "WARNING:  ",
    "NOTICE:  ",
    "FATAL:  ",
    "PANIC:  ",
    "INFO:  ",
    "DEBUG:  ",
    "LOCATION:  ",
];

fn plain_entries(text: &str, take: &mut impl FnMut(Entry)) {
    let mut entry = Entry::default();
    let mut part = "";
    for line in text.lines() {
        if let Some(more) = line.strip_prefix('\t').or_else(|| line.strip_prefix("#011")) {
            match part {
                "LOG:  " => entry.message.extend(["\n", more]),
                "DETAIL:  " => entry.detail.extend(["\n", more]),
                _ => {}
            }
            continue;
        }
        let found = PARTS.iter().filter_map(|part| Some((line.find(part)?, *part)));
        let Some((at, name)) = found.min() else {
            part = "";
            continue;
        };
        let rest = &line[at + name.len()..];
        part = name;
        match name {
            "DETAIL:  " => rest.clone_into(&mut entry.detail),
            "HINT:  " | "CONTEXT:  " | "STATEMENT:  " | "QUERY:  " | "LOCATION:  " => {}
            _ => {
                take(std::mem::take(&mut entry));
                if name == "LOG:  " {
                    rest.clone_into(&mut entry.message);
                }
            }
        }
    }
    take(entry);
}

/// The call that a message tells of.
fn call(entry: &Entry) -> Option<Call> {
    let message = entry.message.as_str();
    let told = match message.strip_prefix("duration: ") {
        Some(rest) => rest.split_once(" ms")?.1.trim_start(),
        None => message,
    };
    if told.starts_with("plan:") {
        let plan = planparse::read(message).ok()?.plans.into_iter().next()?.plan;
        let parameters = plan.other.get("Query Parameters").and_then(|value| value.as_str());
        let values = parameters.map(values).unwrap_or_default();
        return Some(Call { text: plan.query_text?, values, explained: true });
    }
    let text = if let Some(text) = told.strip_prefix("statement: ") {
        text
    } else {
        let rest = told.strip_prefix("execute ")?;
        // A part of a cursor's rows is no call of its own.
        rest.split_once(": ").filter(|(name, _)| !name.starts_with("fetch from "))?.1
    };
    let detail = entry.detail.as_str();
    let parameters = detail.get(..12).filter(|start| start.eq_ignore_ascii_case("parameters: "));
    let values = parameters.map(|start| values(&detail[start.len()..])).unwrap_or_default();
    Some(Call { text: text.to_owned(), values, explained: false })
}

/// The values in `$1 = 'a', $2 = NULL`; NULL, and what the log has cut, is left out.
fn values(list: &str) -> BTreeMap<u16, String> {
    let mut values = BTreeMap::new();
    let mut rest = list.trim();
    while let Some(after) = rest.strip_prefix('$') {
        let Some((number, after)) = after.split_once(" = ") else { break };
        let Ok(number) = number.parse::<u16>() else { break };
        if let Some(quoted) = after.strip_prefix('\'') {
            let Some(end) = quote_end(quoted) else { break };
            let value = quoted[..end].replace("''", "'");
            if !value.ends_with("...") {
                values.insert(number, value);
            }
            rest = &quoted[end + 1..];
        } else {
            rest = after.strip_prefix("NULL").unwrap_or_default();
        }
        rest = rest.strip_prefix(", ").unwrap_or_default();
    }
    values
}

/// The quote that ends a text in which quotes are doubled.
fn quote_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += text.get(at..)?.find('\'')?;
        if bytes.get(at + 1) != Some(&b'\'') {
            return Some(at);
        }
        at += 2;
    }
}

/// Of many examples a few that stand for all: the most frequent ones, and of the others some with their number.
pub(super) fn representative(mut examples: Vec<Example>, most: usize) -> Vec<Example> {
    examples.sort_by(|a, b| b.times.cmp(&a.times).then_with(|| a.text.cmp(&b.text)));
    if examples.len() <= most {
        return examples;
    }
    let average = examples.iter().map(|one| one.times).sum::<u64>() / examples.len() as u64;
    let frequent = examples.iter().filter(|one| one.times > 2 * average.max(1)).count();
    let mut others = examples.split_off(frequent.min(most / 2 + 1));
    others.sort_by(|a, b| a.text.cmp(&b.text));
    let total: u64 = others.iter().map(|one| one.times).sum();
    let places = most - examples.len();
    let chosen: BTreeSet<usize> =
        (0..places).map(|place| (2 * place + 1) * others.len() / (2 * places)).collect();
    let times = (total / chosen.len().max(1) as u64).max(1);
    examples.extend(chosen.into_iter().map(|at| Example { text: others[at].text.clone(), times }));
    examples
}

#[cfg(test)]
mod tests {
    use super::{Call, LogFile, add_calls, call, entries, representative, values};
    use crate::snapshot::{Example, Intake};
    use crate::testing;

    fn calls(text: &str) -> Vec<Call> {
        let mut found = Vec::new();
        entries(text, &mut |entry| found.extend(call(&entry)));
        found
    }

    /// Calls as `text | 1=value`.
    fn shown(text: &str) -> Vec<String> {
        let show = |call: Call| {
            let values = call.values.iter().map(|(number, value)| format!(" | {number}={value}"));
            call.text + &values.collect::<String>()
        };
        calls(text).into_iter().map(show).collect()
    }

    const TOLD: &[&str] = &[
        "SELECT 1\n FROM t WHERE a = $1 AND b = $2 | 1=5 | 2=Or'der",
        "SELECT 2 FROM t WHERE c = '\tx'",
    ];

    #[test]
    fn stderr_is_read_whatever_its_prefix() {
        let text = "2026-11-22 20:16:26.766 UTC [14294] app@shop LOG:  duration: 4.2 ms  execute s1: SELECT 1\n\t FROM t WHERE a = $1 AND b = $2\n2026-11-22 20:16:26.766 UTC [14294] app@shop DETAIL:  parameters: $1 = '5', $2 = 'Or''der', $3 = NULL\nx LOG:  duration: 1 ms  parse s1: SELECT 3\nx LOG:  statement: SELECT 2 FROM t WHERE c = '\tx'\nx ERROR:  no\nx STATEMENT:  SELECT 4\nx LOG:  duration: 1 ms  execute fetch from c/p: SELECT 5\nx LOG:  checkpoint starting: time\n";
        assert_eq!(shown(text), TOLD);
    }

    #[test]
    fn csv_and_json_are_read() {
        let row = |message: &str, detail: &str| {
            let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            format!(
                "2026-11-22 20:16:26.808 UTC,\"u\",\"shop\",1,\"[local]\",6b.3,9,\"SET\",2026-11-22 20:16:26 UTC,3/0,0,LOG,00000,{},{},,,,,,,,\"psql\",\"client backend\",,0\n",
                quote(message),
                quote(detail)
            )
        };
        let first = "duration: 4 ms  execute <unnamed>: SELECT 1\n FROM t WHERE a = $1 AND b = $2";
        let detail = "Parameters: $1 = '5', $2 = 'Or''der'";
        let second = "duration: 4 ms  statement: SELECT 2 FROM t WHERE c = '\tx'";
        assert_eq!(shown(&(row(first, detail) + &row(second, ""))), TOLD);
        let line = |message: &str, detail: &str| {
            serde_json::json!({ "dbname": "shop", "message": message, "detail": detail })
                .to_string()
        };
        assert_eq!(shown(&format!("{}\n{}\n", line(first, detail), line(second, ""))), TOLD);
    }

    #[test]
    fn auto_explain_tells_values_too() {
        let text = "x LOG:  duration: 1.5 ms  plan:\n\tQuery Text: SELECT 1 FROM t WHERE a = $1\n\tQuery Parameters: $1 = '5'\n\tSeq Scan on t  (cost=0.00..1.00 rows=1 width=4)\n\t  Filter: (a = 5)\n";
        let found = calls(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].explained);
        assert_eq!(shown(text), ["SELECT 1 FROM t WHERE a = $1 | 1=5"]);
    }

    #[test]
    fn cut_values_are_left_out() {
        let found = values("$1 = 'abc...', $2 = '', $12 = '7'");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [(2, String::new()), (12, "7".to_owned())]
        );
        assert!(values("nonsense").is_empty());
    }

    #[test]
    fn calls_become_examples_with_their_number() {
        let mut statements = vec![testing::statement("SELECT x FROM t WHERE a = $1 AND b = $2")];
        let mut text = String::new();
        for (value, times) in [(7, 50), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1), (13, 1)] {
            for _ in 0..times {
                text += &format!(
                    "LOG:  duration: 1 ms  execute q: SELECT x FROM t WHERE a = $1 AND b = 3\nDETAIL:  parameters: $1 = '{value}'\n"
                );
            }
        }
        text += "LOG:  duration: 1 ms  statement: SELECT x FROM elsewhere\n";
        let mut intake = Intake::default();
        let log = LogFile { name: "pg.log".to_owned(), text };
        add_calls(&mut statements, &[log], "shop", &mut intake);
        let examples = &statements[0].examples;
        assert_eq!(
            (examples[0].text.as_str(), examples[0].times),
            ("SELECT x FROM t WHERE a = '7' AND b = 3", 50)
        );
        assert_eq!(examples.iter().map(|one| one.times).sum::<u64>(), 54, "{examples:?}");
        assert_eq!(
            intake.notes,
            ["pg.log: 56 of 57 calls are of statements looked at, and give real values"]
        );
    }

    #[test]
    fn few_stand_for_many() {
        let many = |count: usize| -> Vec<Example> {
            (0..count).map(|n| Example { text: format!("{n:03}"), times: 1 }).collect()
        };
        assert_eq!(representative(many(3), 5).len(), 3);
        let few = representative(many(100), 5);
        let texts: Vec<&str> = few.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["010", "030", "050", "070", "090"]);
        assert!(few.iter().all(|one| one.times == 20));
    }
}
