//! Takes off what psql and other clients draw around the rows of a result. Lines keep their numbers.

use crate::input::clean::{join, mostly};
use crate::text::is_rule;

/// What stands at the side of a table.
const SIDES: [char; 3] = ['|', '│', '║'];

/// `QUERY PLAN | Seq Scan on t`, as psql shows rows one by one (`\x`), with every border and style of lines.
pub(super) fn unexpand(text: &str) -> Option<String> {
    let named =
        |line: &str| line.trim_start_matches([' ', '|', '│', '║']).starts_with("QUERY PLAN");
    if !text.lines().any(is_record) || !text.lines().any(named) {
        return None;
    }
    let mut closed = false;
    Some(join(text.lines().map(|line| {
        if is_record(line) {
            closed = line.trim_start().starts_with(['+', '┌', '├', '╔', '╠', '╟']);
            return "---".to_owned();
        }
        let inner = line.trim_end();
        let inner = match inner.trim_start().strip_prefix(SIDES) {
            Some(inner) if closed => inner.strip_suffix(SIDES).unwrap_or(inner),
            _ => inner,
        };
        cell(inner).map_or_else(|| line.to_owned(), |cell| cell.trim_end().to_owned())
    })))
}

/// `-[ RECORD 1 ]---`, in whichever language, or `* Record 1`.
fn is_record(line: &str) -> bool {
    let numbered = |words: &str| {
        let (word, number) = words.trim().rsplit_once(' ').unwrap_or_default();
        word.chars().next().is_some_and(char::is_alphabetic)
            && word.chars().all(char::is_alphanumeric)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    if let Some(words) = line.strip_prefix("* ") {
        return numbered(words);
    }
    let drawn = |c: char| "-+─═┌├╔╠╟ ".contains(c);
    let inner = line.trim_start_matches(drawn).strip_prefix("[ ");
    inner.and_then(|inner| inner.split_once(" ]")).is_some_and(|(words, _)| numbered(words))
}

/// Returns the value on a line that names its column, or goes on with it.
fn cell(line: &str) -> Option<&str> {
    let rest = line.trim_start();
    let rest = rest.strip_prefix("QUERY PLAN").unwrap_or(rest);
    let value = match rest.trim_start().strip_prefix(['|', '│', '║', ':']) {
        Some(value) => value,
        // Without a border, a space alone parts the name from the value.
        None if rest.len() < line.trim_start().len() => rest,
        None => line.strip_prefix("          ").filter(|rest| rest.starts_with(' '))?,
    };
    Some(value.strip_prefix(' ').unwrap_or(value))
}

/// `| Seq Scan on t |`, as psql draws a table with a border; one side may be open.
pub(super) fn unframe(text: &str) -> Option<String> {
    let ends = |line: &str| line.ends_with(SIDES);
    // A table has a heading; what draws its own boxes within a plan has none in the first line.
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !is_rule(line))?;
    if ends(first) && mostly(text, 0.6, ends) {
        return Some(join(text.lines().map(|line| {
            let inner = line.trim_end();
            let Some(inner) = inner.strip_suffix(SIDES) else { return line.to_owned() };
            let left = inner.trim_start().strip_prefix(SIDES);
            left.unwrap_or(inner).trim_end().to_owned()
        })));
    }
    let begins = |line: &str| line.starts_with(SIDES);
    mostly(text, 0.5, begins).then(|| {
        let inner = |line: &str| line.trim_start().strip_prefix(SIDES).unwrap_or(line).to_owned();
        join(text.lines().map(inner))
    })
}

/// `Plan: {      +`, as psql marks values of several lines, at the right end of the column.
pub(super) fn unmark(text: &str) -> Option<String> {
    let ends = |line: &str| line.ends_with('+') && !is_rule(line);
    if !text.lines().map(str::trim_end).any(ends) {
        return None;
    }
    let all = mostly(text, 0.5, |line| line.ends_with('+'));
    let opens = |line: &str| {
        ["[", "{", "<explain", "- Plan:", "- Query Text:"].iter().any(|mark| line.starts_with(mark))
    };
    let (mut width, mut within) = (0, false);
    Some(join(text.lines().map(|line| {
        let inner = line.trim_end();
        if is_rule(inner) {
            (width, within) = (inner.chars().count(), false);
            return line.to_owned();
        }
        let at_end = || (width..=width + 1).contains(&inner.chars().count()) && width > 0;
        let Some(value) = inner
            .strip_suffix('+')
            .filter(|value| all || within || opens(value.trim_start()) || at_end())
        else {
            within = false;
            return line.to_owned();
        };
        within = true;
        value.trim_end().to_owned()
    })))
}

/// `rows=1 wid.` and `.th=4)` on the line below, as psql breaks what is wider than the screen (`\pset format wrapped`).
pub(super) fn unwrap(text: &str) -> Option<String> {
    let broken = |line: &str, next: &str| {
        let mark = line.trim_end().chars().next_back().filter(|c| matches!(c, '.' | '…'));
        mark.is_some_and(|mark| next.starts_with(mark) && !next.starts_with(".."))
            || mark == Some('.') && next.starts_with("..") && line.chars().count() > 20
    };
    if !text.contains("QUERY PLAN") {
        return None;
    }
    let lines: Vec<&str> = text.lines().collect();
    if !lines.windows(2).any(|pair| broken(pair[0], pair[1])) {
        return None;
    }
    let mut joined = String::new();
    for (at, line) in lines.iter().enumerate() {
        let begun = at > 0 && broken(lines[at - 1], line);
        let goes_on = lines.get(at + 1).is_some_and(|next| broken(line, next));
        let mut inner = *line;
        if begun {
            inner = inner.trim_start_matches('…');
            inner = if inner.len() == line.len() { &inner[1..] } else { inner };
        }
        if goes_on {
            inner = inner.trim_end();
            inner = inner.strip_suffix(['.', '…']).unwrap_or(inner);
        }
        joined.push_str(inner);
        if !goes_on {
            joined.push('\n');
        }
    }
    Some(joined)
}
