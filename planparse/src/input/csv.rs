//! Texts within quotes in comma-separated values: PostgreSQL's csvlog, and tables that a client exported.

/// Tells whether plans stand in the fields of comma-separated values.
pub(super) fn holds_plans(text: &str) -> bool {
    text.contains(",\"duration: ") || text.contains("\"\"Node Type\"\"")
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
