//! Texts within quotes in comma-separated values: PostgreSQL's csvlog, and tables that a client exported.

use crate::text;

/// Tells whether plans stand in the fields of comma-separated values, where quotes are doubled.
pub(super) fn holds_plans(text: &str) -> bool {
    // Where each line is a field by itself, the fields are put together as lines of a plan.
    let of_several_lines = |line: &str| {
        opens_field(line)
            || (line.contains("Node Type: \"\"") && !line.starts_with('"'))
            || (line.contains("<explain xmlns=\"\"") && line.matches('"').count() % 2 == 1)
    };
    text.contains(",\"duration: ")
        || text.contains("\"\"Node Type\"\"")
        || text.lines().any(of_several_lines)
}

/// Tells whether a field of several lines begins on a line with the root of a plan in text form.
fn opens_field(line: &str) -> bool {
    let Some(at) = line.rfind('"').filter(|_| line.contains("(cost=") || line.contains("(actual "))
    else {
        return false;
    };
    let begins = line[..at].is_empty() || line[..at].ends_with([',', ';', '\t']);
    begins && text::opens_plan(&line[at + 1..])
}

/// Returns each field in quotes with the line on which it begins, from 1.
pub(super) fn quoted_fields(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut at = 0;
    let mut line = 1;
    std::iter::from_fn(move || {
        let bytes = text.as_bytes();
        loop {
            let open = at + bytes[at..].iter().position(|byte| *byte == b'"')?;
            line += count_lines(&text[at..open]);
            let first = line;
            let mut field = String::new();
            let mut end = open + 1;
            loop {
                let Some(length) = bytes[end..].iter().position(|byte| *byte == b'"') else {
                    field.push_str(&text[end..]);
                    end = bytes.len();
                    break;
                };
                field.push_str(&text[end..end + length]);
                end += length + 1;
                if bytes.get(end) != Some(&b'"') {
                    break;
                }
                // A doubled quote stands for one.
                field.push('"');
                end += 1;
            }
            line += count_lines(&text[open..end]);
            at = end;
            let starts = open == 0 || matches!(bytes[open - 1], b',' | b'\n' | b';' | b'\t');
            if starts {
                return Some((first, field));
            }
        }
    })
}

fn count_lines(text: &str) -> usize {
    text.matches('\n').count()
}
