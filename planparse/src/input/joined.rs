//! Puts lines apart that were joined into one, and guesses the indentation where it is lost.

use crate::OperatorKind;
use crate::text;

/// Figures that stand on one line with others.
const FIGURES: [&str; 12] = [
    "Average Memory: ",
    "Batches: ",
    "Disk Usage: ",
    "Disk: ",
    "Evictions: ",
    "Maximum Storage: ",
    "Memory Usage: ",
    "Memory: ",
    "Misses: ",
    "Overflows: ",
    "Peak Memory: ",
    "Sort Method: ",
];

/// Returns the text with every node and detail on a line of its own; with the line of the first node whose indentation
/// was guessed. None where nothing was joined.
pub(super) fn take_apart(text: &str) -> Option<(String, Option<usize>)> {
    let flat = is_flat(text);
    if !flat && !text.lines().any(is_joined) {
        return None;
    }
    let mut apart = String::new();
    for line in text.lines() {
        if is_joined(line) {
            put_apart(line, &mut apart);
        } else {
            apart.push_str(line);
        }
        apart.push('\n');
    }
    if !flat && !is_flat(&apart) {
        return Some((apart, None));
    }
    let first = text.lines().position(|line| arrows(line).next().is_some())?;
    Some((indented(&apart), Some(first + 1)))
}

/// Returns where the arrows of nodes stand on a line.
fn arrows(line: &str) -> impl Iterator<Item = usize> {
    line.match_indices("->").map(|(at, _)| at).filter(|at| {
        let before = line[..*at].chars().next_back();
        let node = &line[at + 2..];
        before.is_none_or(|c| c == ' ' || c == ')')
            && node.starts_with(' ')
            && node.trim_start().starts_with(|c: char| c.is_ascii_uppercase())
    })
}

/// Tells whether a node begins on a line after the figures of another.
fn is_joined(line: &str) -> bool {
    let figures = line.find("(cost=").or_else(|| line.find("(actual "));
    figures.is_some_and(|figures| {
        arrows(line).any(|at| {
            at > figures && {
                let node = &line[at + 2..];
                let node = &node[..node.find("->").unwrap_or(node.len())];
                node.contains("(cost=") || node.contains("(actual ") || node.contains("(never ")
            }
        })
    })
}

/// Tells whether there are several nodes below the root, but no arrow is further right than another.
fn is_flat(text: &str) -> bool {
    let columns = text.lines().filter_map(|line| {
        let inner = line.trim_start();
        let node = inner.strip_prefix("-> ")?;
        (node.contains("(cost=") || node.contains("(actual ")).then(|| line.len() - inner.len())
    });
    let columns: Vec<usize> = columns.take(200).collect();
    let [first, rest @ ..] = columns.as_slice() else { return false };
    *first <= 1 && rest.len() >= 2 && rest.iter().all(|column| column == first)
}

/// Breaks a line before each node and each key; the spaces before an arrow stay, for they tell how deep it is.
fn put_apart(line: &str, apart: &mut String) {
    let mut arrows = arrows(line).peekable();
    let (mut quote, mut depth, mut from, mut key, mut key_end) = (None, 0i32, 0, "", 0);
    for (at, byte) in line.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if byte == open => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[') => depth += 1,
            (None, b')' | b']') => depth -= 1,
            _ => {}
        }
        while arrows.next_if(|arrow| *arrow < at).is_some() {}
        let node = arrows.peek() == Some(&at);
        let apart_already = || line[..at].ends_with([' ', ')']) || text::is_time(&line[at..]);
        let starts = byte.is_ascii_uppercase() && at >= key_end && apart_already();
        if at == 0 || quote.is_some() || depth > 0 || !(node || starts) {
            continue;
        }
        if !node {
            let Some(found) = begins(&line[at..], key) else {
                // Two spaces stand between the figures of one line.
                if FIGURES.iter().any(|figure| line[at..].starts_with(figure))
                    && !line[..at].ends_with("  ")
                {
                    apart.push_str(&line[from..at]);
                    apart.push(' ');
                    from = at;
                }
                continue;
            };
            (key, key_end) = (found, at + found.len());
        }
        let end = line[..at].trim_end().len();
        apart.push_str(&line[from..end.max(from)]);
        apart.push('\n');
        from = end.max(from);
    }
    apart.push_str(&line[from..]);
}

/// Returns the key or label that begins here, if it is not a part of what the key before it says.
fn begins<'a>(rest: &'a str, before: &str) -> Option<&'a str> {
    let near = &rest.as_bytes()[..rest.len().min(200)];
    if text::is_label(rest) && near.windows(2).any(|pair| pair == b"->") {
        return Some("");
    }
    let end = rest.bytes().take(40).position(|byte| byte == b':')?;
    let key = &rest[..end];
    let within = match key {
        "Batches" => before == "Buckets" || before == "Planned Partitions",
        "Sort Method" => before.ends_with(" Groups") || before.starts_with("Worker "),
        _ => false,
    };
    let ends = rest[end + 1..].is_empty() || rest[end + 1..].starts_with(' ');
    (ends && !within && text::is_key(key)).then_some(key)
}

/// Indents each node by the inputs that the nodes before it must have.
fn indented(text: &str) -> String {
    let mut indented = String::new();
    // For each open node, the column of its details and the inputs that are still to come.
    let mut open: Vec<(usize, usize)> = Vec::new();
    // Whether a label or a worker came, below which the next lines stand.
    let (mut label, mut worker) = (false, false);
    for line in text.lines().map(str::trim) {
        let node = line.strip_prefix("->").map(str::trim_start);
        let node_type = text::node_type(node.unwrap_or(line));
        let column = match node_type.filter(|_| node.is_some() || open.is_empty()) {
            Some(node_type) => {
                while open.len() > 1 && open.last().is_some_and(|(_, inputs)| *inputs == 0) {
                    open.pop();
                }
                let column = open.last_mut().map_or(0, |(details, inputs)| {
                    *inputs = inputs.saturating_sub(1);
                    *details + if label { 2 } else { 0 }
                });
                open.push((column + if node.is_some() { 6 } else { 2 }, inputs_of(&node_type)));
                (label, worker) = (false, false);
                column
            }
            None if text::is_beside(line) => 0,
            None => {
                let details = open.last_mut().map_or(0, |(details, inputs)| {
                    // A subplan is none of the inputs.
                    label = text::is_label(line);
                    *inputs = inputs.saturating_add(usize::from(label));
                    *details
                });
                let of_worker = worker && !line.starts_with("Worker ");
                worker |= line.starts_with("Worker ");
                details + if of_worker { 2 } else { 0 }
            }
        };
        indented.extend(std::iter::repeat_n(' ', column));
        indented.push_str(line);
        indented.push('\n');
    }
    indented
}

/// Returns how many inputs a node of this type has.
fn inputs_of(node_type: &str) -> usize {
    let kind = OperatorKind::from_name(node_type);
    match kind {
        OperatorKind::Append
        | OperatorKind::MergeAppend
        | OperatorKind::ModifyTable
        | OperatorKind::BitmapAnd
        | OperatorKind::BitmapOr => usize::MAX,
        OperatorKind::RecursiveUnion => 2,
        OperatorKind::BitmapHeapScan | OperatorKind::SubqueryScan => 1,
        OperatorKind::Result => 0,
        kind if kind.is_join() => 2,
        _ => usize::from(!node_type.ends_with("Scan")),
    }
}
