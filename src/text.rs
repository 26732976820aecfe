//! Text from elsewhere (statements, names, server messages) made safe and short for a terminal.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character could move a cursor, recolour, hide or reorder what a person reads: control
/// characters of both ranges, line separators, zero-width marks and the bidirectional overrides.
pub(crate) fn unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// One line of it: runs of white space become one blank, unprintable characters are written `\u{1b}`.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        if c.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else if unprintable(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// As [`line`], for a piece from the middle of a text: a blank at either end stays.
pub(crate) fn line_inside(text: &str) -> String {
    let blank = |is: bool| if is { " " } else { "" };
    let body = line(text);
    if body.is_empty() {
        return blank(!text.is_empty()).to_owned();
    }
    format!(
        "{}{body}{}",
        blank(text.starts_with(char::is_whitespace)),
        blank(text.ends_with(char::is_whitespace))
    )
}

/// Several lines of it, each made safe; all but the first begin with `indent`.
pub(crate) fn lines(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(line).collect();
    lines.join(&format!("\n{indent}"))
}

/// The text with its lines and blanks as they are, unprintable characters written `\u{1b}`.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && unprintable(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Columns that it takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// At most so many columns of it, with `…` where something was cut.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// Filled with blanks to so many columns, or cut to them.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    out.push_str(&" ".repeat(columns.saturating_sub(out.width())));
    out
}

#[cfg(test)]
mod tests {
    use super::{cut, line, line_inside, lines, pad};

    #[test]
    fn a_hostile_statement_becomes_one_harmless_line() {
        assert_eq!(
            line("SELECT 1\n\t-- \u{1b}[31mred\u{202e}\r\n "),
            r"SELECT 1 -- \u{1b}[31mred\u{202e}"
        );
        assert_eq!(lines("a\nb\u{7}\n", "  "), "a\n  b\\u{7}");
    }

    #[test]
    fn cutting_counts_columns_and_keeps_characters_whole() {
        assert_eq!(cut("größer", 6), "größer");
        assert_eq!(cut("größer", 5), "größ…");
        assert_eq!(cut("日本語です", 6), "日本…");
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(cut("anything", 0), "…");
    }

    #[test]
    fn a_piece_keeps_its_blank_ends() {
        assert_eq!(line_inside(" a\n b\n"), " a b ");
        assert_eq!(line_inside(""), "");
        assert_eq!(line_inside("\n"), " ");
    }
}
