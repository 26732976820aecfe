//! Takes off what clients, mail programs and logs put around each line of a plan. No line is added or taken away, so
//! that line numbers stay.

use std::borrow::Cow;

use crate::text::is_rule;

/// Returns the text without frames, quotation marks, prompts and the like.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    if text.contains("-&gt;") && !text.contains("->") {
        let entities =
            [("&gt;", ">"), ("&lt;", "<"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        for (entity, c) in entities {
            text = Cow::Owned(text.replace(entity, c));
        }
    }
    if text.contains(['\u{a0}', '↵']) {
        text = Cow::Owned(text.replace('\u{a0}', " ").replace('↵', "+"));
    }
    if text.contains("#011") {
        text = Cow::Owned(join(text.lines().map(|line| from_syslog(line).replace("#011", "\t"))));
    }
    let steps: [Step; 6] = [unquote_mail, uncomment, unquote, unexpand, unframe, unmark];
    for step in steps {
        if let Some(cleaned) = step(&text) {
            text = Cow::Owned(cleaned);
        }
    }
    if text.contains("plan:") {
        text = Cow::Owned(from_log(&text));
    }
    text
}

/// A step; none where it would change nothing.
type Step = fn(&str) -> Option<String>;

/// Tells whether at least this part of the lines that say something are of a kind.
fn mostly(text: &str, part: f64, is: impl Fn(&str) -> bool) -> bool {
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

fn join(lines: impl Iterator<Item = String>) -> String {
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

/// `QUERY PLAN | Seq Scan on t`, as psql shows rows one by one (`\x`).
fn unexpand(text: &str) -> Option<String> {
    let is_head =
        |line: &str| line.trim_start_matches(['-', '─', '═', '*', ' ']).starts_with("[ RECORD ");
    if !text.lines().any(is_head) {
        return None;
    }
    let value = |line: &str| {
        if is_head(line) {
            return String::new();
        }
        match line.split_once(['|', '│']) {
            Some((name, value)) if matches!(name.trim(), "" | "QUERY PLAN") => {
                value.strip_prefix(' ').unwrap_or(value).to_owned()
            }
            _ => line.to_owned(),
        }
    };
    Some(join(text.lines().map(value)))
}

/// `| Seq Scan on t |`, as psql draws a table with a border; the left side may be open.
fn unframe(text: &str) -> Option<String> {
    const SIDES: [char; 3] = ['|', '│', '║'];
    let ends = |line: &str| line.ends_with(SIDES);
    // A table has a heading; what draws its own boxes within a plan has none in the first line.
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !is_rule(line))?;
    if !ends(first) || !mostly(text, 0.6, ends) {
        return None;
    }
    Some(join(text.lines().map(|line| {
        let inner = line.trim_end();
        let Some(inner) = inner.strip_suffix(SIDES) else { return line.to_owned() };
        let left = inner.trim_start().strip_prefix(SIDES);
        left.unwrap_or(inner).trim_end().to_owned()
    })))
}

/// `Plan: {      +`, as psql marks values of several lines.
fn unmark(text: &str) -> Option<String> {
    let marked = |line: &str| line.ends_with('+');
    mostly(text, 0.5, marked).then(|| {
        join(text.lines().map(|line| {
            let inner = line.trim_end();
            if is_rule(line) {
                return line.to_owned();
            }
            inner
                .strip_suffix('+')
                .map_or_else(|| line.to_owned(), |line| line.trim_end().to_owned())
        }))
    })
}

/// `Jan  1 00:00:00 host postgres[12]: [5-2] text`: what follows the number of the part, from the second on.
fn from_syslog(line: &str) -> &str {
    let part = |start: usize| {
        let (number, rest) = line[start + 3..].split_once("] ")?;
        let (_, position) = number.split_once('-')?;
        (position.parse::<u32>().ok()? > 1).then_some(rest)
    };
    line.find("]: [").and_then(|start| part(start + 1)).unwrap_or(line)
}

/// In the server's log each further line of a message begins with a tab.
fn from_log(text: &str) -> String {
    let mut within = false;
    join(text.lines().map(|line| {
        if within && let Some(inner) = line.strip_prefix('\t') {
            return inner.to_owned();
        }
        within = duration(line).is_some();
        line.to_owned()
    }))
}

/// Returns the milliseconds of a line such as `LOG:  duration: 12.345 ms  plan:`, which `auto_explain` writes before a plan.
pub(super) fn duration(line: &str) -> Option<f64> {
    let line = line.trim_end().strip_suffix("plan:")?.trim_end().strip_suffix("ms")?;
    let (_, duration) = line.rsplit_once("duration: ")?;
    duration.trim().parse().ok()
}
