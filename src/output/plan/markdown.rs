//! `--format markdown`: findings as a list and the tree in a code block, for a ticket or a pull request.

use std::fmt::Write as _;

use super::{Sheet, Sheets, human, weight, words};
use crate::text;

/// The whole text.
pub(crate) fn render(sheets: &Sheets<'_>) -> String {
    let mut out = String::new();
    for (position, sheet) in sheets.sheets.iter().enumerate() {
        let title = sheets.title(position).unwrap_or_else(|| "Plan".to_owned());
        let _ = write!(out, "{}## {title}\n\n", if position > 0 { "\n" } else { "" });
        plan(&mut out, sheet);
    }
    for note in sheets.notes {
        let _ = writeln!(out, "\n> {}", escaped(&text::line(&note.to_string())));
    }
    out
}

fn plan(out: &mut String, sheet: &Sheet<'_>) {
    if let Some(statement) = &sheet.plan().query_text {
        out.push_str(&block("sql", &text::visible(statement.trim())));
        out.push('\n');
    }
    let _ = writeln!(out, "{}", sheet.facts().join(" · "));
    if let Some(dearest) = sheet.dearest() {
        let _ = writeln!(out, "\n{}", escaped(&dearest));
    }
    out.push('\n');
    if sheet.findings.is_empty() {
        let _ = writeln!(out, "{}", sheet.nothing_found());
    }
    for (position, finding) in sheet.findings.iter().enumerate() {
        let _ = writeln!(
            out,
            "{}. **{}**, {}: {} {} *{}*",
            position + 1,
            words(finding.pattern),
            weight(finding),
            escaped(&text::line(&finding.what)),
            escaped(&text::line(&finding.why)),
            with_code(&text::line(&finding.advice)),
        );
    }
    let tree = anstream::adapter::strip_str(&human::tree(sheet).join("\n")).to_string();
    let _ = write!(out, "\n{}", block("text", &tree));
    for line in sheet.beside() {
        let _ = write!(out, "\n- {}", escaped(&line));
    }
    if !sheet.beside().is_empty() {
        out.push('\n');
    }
    for problem in sheet.problems() {
        let _ = writeln!(out, "\n> {}", escaped(&problem));
    }
}

/// A block of code with a fence longer than any in it.
pub(super) fn block(language: &str, code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{code}\n{fence}\n")
}

/// Text in which nothing is markup.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A zero-width joint would do too, but could not be seen.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Text in which only `code` is markup.
fn with_code(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return escaped(text);
    }
    let piece = |(place, piece): (usize, &&str)| {
        if place % 2 == 1 { format!("`{piece}`") } else { escaped(piece) }
    };
    pieces.iter().enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Sheets, testing};
    use super::{block, render, with_code};

    #[test]
    fn nothing_of_the_plan_is_markup() {
        let reading = testing::hostile();
        let out = render(&Sheets::of(&reading.plans, &reading.notes));
        assert!(out.contains("1. **discarding scan**, 93 % of the time: "), "{out}");
        let prose = || out.lines().filter(|line| line.starts_with(['1', '2', '>']));
        assert!(prose().count() >= 2);
        for line in prose() {
            assert!(!line.contains("<img") && !line.contains("[l]("), "{line}");
        }
        // The statement holds a fence of three.
        assert!(out.contains("````sql\nSELECT") && out.contains("````text\n"), "{out}");
        assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'));
    }

    #[test]
    fn fences_and_code_hold() {
        assert_eq!(block("text", "a `````b"), "``````text\na `````b\n``````\n");
        assert_eq!(with_code("run `SET a_b = 1` for t_x"), "run `SET a_b = 1` for t\\_x");
        assert_eq!(with_code("one ` only_"), "one \\` only\\_");
    }
}
