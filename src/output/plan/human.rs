//! `--format human`: the tree with bars for what each operator takes by itself, then what was found.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use planparse::Finding;

use super::{Estimate, Measure, Row, Sheet, Sheets, weight, words};
use crate::output::human::page::Page;
use crate::output::units;
use crate::text;

const BOLD: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const WRONG: Style = AnsiColor::Red.on_default().bold();
const OFF: Style = AnsiColor::Yellow.on_default();
const NUMBER: Style = AnsiColor::Cyan.on_default().bold();

/// Cells of a bar.
const BAR: usize = 8;

/// The columns before the tree: own figure, bar and share, rows, estimate.
const FIGURES: usize = 10 + 1 + BAR + 5 + 11 + 9 + 1;

/// The whole text for a page of this width; trees are cut to `columns`, the width of the terminal, if there is one.
pub(crate) fn render(sheets: &Sheets<'_>, width: usize, columns: Option<usize>) -> String {
    let mut page = Page::new(width);
    for (position, sheet) in sheets.sheets.iter().enumerate() {
        if position > 0 {
            page.blank();
        }
        if let Some(title) = sheets.title(position) {
            page.text(&format!("{BOLD}{title}{BOLD:#}"));
            page.blank();
        }
        if let Some(statement) = &sheet.plan().query_text {
            page.cut_line(0, &text::line(statement));
            page.blank();
        }
        page.text(&sheet.facts().join(" · "));
        page.blank();
        for line in tree(sheet) {
            match columns {
                Some(columns) => page.whole_line(0, &cut(&line, columns)),
                None => page.whole_line(0, &line),
            }
        }
        page.blank();
        let beside = sheet.beside();
        for line in &beside {
            page.wrapped("", "  ", line);
        }
        if !beside.is_empty() {
            page.blank();
        }
        found(&mut page, sheet);
        for problem in sheet.problems() {
            page.wrapped("note: ", "      ", &problem);
        }
    }
    for note in sheets.notes {
        page.wrapped("note: ", "      ", &text::line(&note.to_string()));
    }
    page.finish()
}

/// The tree, one line an operator and its conditions below; with colour codes.
pub(super) fn tree(sheet: &Sheet<'_>) -> Vec<String> {
    let (own, width) = (sheet.measure.own(), BAR + 5);
    let share = if sheet.measure == Measure::Nothing { "" } else { "share" };
    let estimate = if sheet.plan().executed() { "estimate" } else { "" };
    let head = format!("{own:>10} {share:<width$}{:>11}{estimate:>9} operator", "rows");
    let mut lines = vec![format!("{FAINT}{head}{FAINT:#}")];
    for row in &sheet.rows {
        lines.push(line(row));
        let stem = if row.has_children { "│ " } else { "  " };
        for detail in &row.details {
            lines.push(format!(
                "{FAINT}{:FIGURES$}{}{stem}  {detail}{FAINT:#}",
                "",
                gutter(&row.follow, true)
            ));
        }
    }
    lines
}

fn line(row: &Row) -> String {
    let own = row.own.as_deref().unwrap_or("-");
    let share = row.share.map_or_else(|| " ".repeat(BAR + 5), bar);
    let mut line = format!("{own:>10} {share}{:>11}", row.rows);
    let mark = row.estimate.map(Estimate::mark).unwrap_or_default();
    let mark = format!("{mark:>9}");
    match row.estimate {
        Some(estimate) if estimate.is_wrong() => {
            let _ = write!(line, "{WRONG}{mark}{WRONG:#}");
        }
        Some(_) => {
            let _ = write!(line, "{OFF}{mark}{OFF:#}");
        }
        None => line.push_str(&mark),
    }
    let name = if row.never { format!("{FAINT}{}{FAINT:#}", row.name) } else { row.name.clone() };
    let _ = write!(line, " {FAINT}{}{FAINT:#}{name}", gutter(&row.follow, false));
    for number in &row.findings {
        let _ = write!(line, " {NUMBER}[{number}]{NUMBER:#}");
    }
    line
}

/// The branches before an operator's name, or before what stands below it.
fn gutter(follow: &[bool], below: bool) -> String {
    let Some((last, above)) = follow.split_last() else { return String::new() };
    let mut gutter: String = above.iter().map(|more| if *more { "│  " } else { "   " }).collect();
    gutter.push_str(match (*last, below) {
        (true, true) => "│  ",
        (false, true) => "   ",
        (true, false) => "├─ ",
        (false, false) => "└─ ",
    });
    gutter
}

/// A share as a bar and a percentage, coloured by how much it is, always of the same width.
fn bar(share: f64) -> String {
    let eighths = (share * (BAR * 8) as f64).round() as usize;
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    let cells = format!("{}{part}", "█".repeat(eighths / 8));
    let percent = (share * 100.0).round();
    let colour = match share {
        share if share >= 0.5 => WRONG,
        share if share >= 0.1 => OFF,
        _ => FAINT,
    };
    format!("{colour}{cells:<BAR$}{colour:#}{percent:>3} %")
}

fn found(page: &mut Page, sheet: &Sheet<'_>) {
    if let Some(dearest) = sheet.dearest() {
        page.text(&dearest);
        page.blank();
    }
    if sheet.findings.is_empty() {
        page.text(sheet.nothing_found());
    }
    for (position, finding) in sheet.findings.iter().enumerate() {
        one(page, position + 1, finding);
    }
}

fn one(page: &mut Page, number: usize, finding: &Finding) {
    let first = format!("{NUMBER}{:>3}{NUMBER:#} ", format!("[{number}]"));
    let title = format!("{BOLD}{}{BOLD:#}, {}", words(finding.pattern), weight(finding));
    page.wrapped(&first, "    ", &title);
    page.indented(4, &text::line(&finding.what));
    page.indented(4, &text::line(&finding.why));
    page.wrapped("    → ", "      ", &text::line(&finding.advice));
}

/// What changed of a figure, or nothing: `12 ms → 3 ms`.
pub(super) fn change(old: Option<String>, new: Option<String>) -> Option<String> {
    match (old, new) {
        (old, new) if old == new => None,
        (old, new) => {
            let or_none = |figure: Option<String>| figure.unwrap_or_else(|| "none".to_owned());
            Some(format!("{} → {}", or_none(old), or_none(new)))
        }
    }
}

/// A number of blocks as a size.
pub(super) fn blocks(blocks: u64) -> String {
    units::bytes(blocks.saturating_mul(8192))
}

/// At most so many columns of a line, whose colour codes do not count and stay whole.
fn cut(line: &str, columns: usize) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    if text::width(&plain) <= columns {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    let mut in_code = false;
    for c in line.chars() {
        in_code = in_code || c == '\u{1b}';
        let wide = if in_code { 0 } else { text::width(c.encode_utf8(&mut [0; 4])) };
        if in_code || used + wide < columns {
            out.push(c);
            used += wide;
        } else if used < columns {
            out.push('…');
            used = columns;
        }
        in_code = in_code && c != 'm';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Sheets, testing};
    use super::{bar, cut, render};
    use crate::text;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn the_tree_shows_bars_marks_and_findings() {
        let reading = testing::hostile();
        let out = plain(&render(&Sheets::of(&reading.plans, &reading.notes), 100, None));
        for words in [
            "own time",
            "▲500×",
            "└─ Seq Scan on",
            "[1]",
            "discarding scan, 93 % of the time",
            "→ Create an index",
            "note: operator 1: unknown key",
            "execution 96 ms · planning 0.50 ms",
        ] {
            assert!(out.contains(words), "no {words} in\n{out}");
        }
        assert!(!out.chars().any(|c| c != '\n' && text::unprintable(c)));
    }

    #[test]
    fn several_plans_have_titles_and_costs() {
        let reading = testing::several();
        let out = plain(&render(&Sheets::of(&reading.plans, &reading.notes), 100, None));
        assert!(out.contains("Plan 2 of 2, from line 3") && out.contains("own cost"), "{out}");
        assert!(out.contains("Nothing found"));
    }

    #[test]
    fn a_terminal_cuts_lines_and_keeps_codes_whole() {
        let reading = testing::hostile();
        let out = render(&Sheets::of(&reading.plans, &reading.notes), 80, Some(80));
        assert!(plain(&out).lines().all(|line| text::width(line) <= 80), "{out}");
        let line = "\u{1b}[1mbold and long\u{1b}[0m";
        assert_eq!(cut(line, 6), "\u{1b}[1mbold …\u{1b}[0m");
    }

    #[test]
    fn bars_are_of_one_width() {
        for share in [0.0, 0.001, 0.33, 1.0] {
            assert_eq!(text::width(&plain(&bar(share))), 13, "{share}");
        }
    }
}
