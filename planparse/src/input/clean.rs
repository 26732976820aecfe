//! Takes off what clients, mail programs and logs put around each line of a plan. No line is added or taken away, so
//! that line numbers stay.

use std::borrow::Cow;

use crate::input::{html, psql};
use crate::text::is_rule;

/// Returns the text without frames, quotation marks, prompts and the like.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if text.contains(['\u{a0}', '↵']) {
        text = Cow::Owned(text.replace('\u{a0}', " ").replace('↵', "+"));
    }
    // What a word processor makes of an arrow.
    if !text.contains("->") && text.contains(['→', '–']) {
        text = Cow::Owned(text.replace('→', "->").replace("–>", "->"));
    }
    if text.contains("#011") {
        text = Cow::Owned(text.replace("#011", "\t"));
    }
    let steps: [Step; 8] = [
        html::plain,
        unquote_mail,
        uncomment,
        unquote,
        psql::unexpand,
        psql::unframe,
        psql::unmark,
        psql::unwrap,
    ];
    for step in steps {
        if let Some(cleaned) = step(&text) {
            text = Cow::Owned(cleaned);
        }
    }
    text
}

/// A step; none where it would change nothing.
type Step = fn(&str) -> Option<String>;

/// Tells whether at least this part of the lines that say something are of a kind.
pub(super) fn mostly(text: &str, part: f64, is: impl Fn(&str) -> bool) -> bool {
    let (mut all, mut of_kind) = (0u32, 0u32);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || is_rule(line) {
            continue;
        }
        all += 1;
        of_kind += u32::from(is(line));
    }
    all > 0 && f64::from(of_kind) >= part * f64::from(all)
}

/// `> Seq Scan on t`, also quoted several times.
fn unquote_mail(text: &str) -> Option<String> {
    if !text.lines().any(|line| line.starts_with('>')) {
        return None;
    }
    let unquoted = |line: &str| {
        let inner = line.trim_start_matches('>');
        if inner.len() == line.len() {
            return line.to_owned();
        }
        // Between the marks of several quotations there may be spaces.
        let mut inner = inner.strip_prefix(' ').unwrap_or(inner);
        while let Some(rest) = inner.strip_prefix('>') {
            inner = rest.strip_prefix(' ').unwrap_or(rest);
        }
        inner.to_owned()
    };
    Some(join(text.lines().map(unquoted)))
}

pub(super) fn join(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |mut text, line| {
        text.push_str(&line);
        text.push('\n');
        text
    })
}

/// `-- Seq Scan on t`, in a script.
fn uncomment(text: &str) -> Option<String> {
    let mark = ["-- ", "# ", "// ", "* "]
        .into_iter()
        .find(|mark| mostly(text, 0.8, |line| line.starts_with(mark)))?;
    let bare = |line: &str| {
        let inner = line.trim_start();
        inner
            .strip_prefix(mark)
            .unwrap_or_else(|| inner.strip_prefix(mark.trim_end()).unwrap_or(line))
            .to_owned()
    };
    Some(join(text.lines().map(bare)))
}

/// `"Seq Scan on t"`, as pgAdmin copies rows.
fn unquote(text: &str) -> Option<String> {
    let quoted = |line: &str| line.len() > 1 && line.starts_with('"') && line.ends_with('"');
    mostly(text, 0.6, quoted).then(|| {
        join(text.lines().map(|line| {
            let inner = line.trim().strip_prefix('"').and_then(|line| line.strip_suffix('"'));
            inner.map_or_else(|| line.to_owned(), |inner| inner.replace("\"\"", "\""))
        }))
    })
}
