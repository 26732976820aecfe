//! `--format svg`: a picture of the plan that a browser, an editor or a ticket shows, in one file that needs no other.
//!
//! One row an operator, so that a thousand of them stay readable: what it takes by itself as a bar, its rows, how far
//! they were off, and the tree. The conditions are shown when the pointer rests on a row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use planparse::OperatorId;

use super::xml::escaped;
use super::{Estimate, Measure, Row, Sheet, Sheets, weight, words};
use crate::text;

/// Operators that a comparison marks.
pub(super) type Marks = BTreeMap<OperatorId, Mark>;

/// How an operator differs from the other plan's.
pub(super) struct Mark {
    pub(super) kind: Kind,
    /// What changed, in a few words; shown in the place of the first condition.
    pub(super) told: String,
}

/// In which plan an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the old one only.
    Gone,
    /// In the new one only.
    Added,
    /// In both, with other figures.
    Changed,
}

impl Kind {
    /// The class of its row, and a sign for those who see no colours.
    fn shown(self) -> (&'static str, char) {
        match self {
            Self::Gone => (" gone", '−'),
            Self::Added => (" added", '+'),
            Self::Changed => (" changed", '~'),
        }
    }
}

/// Pixels of a row.
const ROW: usize = 22;

/// Pixels of a line of text above the tree.
const LINE: usize = 20;

/// Pixels that a letter of the tree takes: those of a monospaced font of 12 pixels are 7.2 wide.
const LETTER: f64 = 7.3;

/// Where columns begin or end, in pixels.
const OWN_END: usize = 86;
const BAR_START: usize = 96;
const BAR_WIDTH: usize = 120;
const ROWS_END: usize = 350;
const ESTIMATE_END: usize = 430;
const TREE_START: usize = 450;
const INDENT: usize = 18;

/// Letters of an operator's name and its first condition that are shown; the whole is in the tooltip.
const NAME_MAX: usize = 110;
const DETAIL_MAX: usize = 90;

/// Letters of a line above the tree, and the pixels that so many take in a proportional font of 14 pixels.
const HEAD_MAX: usize = 130;
pub(super) const HEAD_WIDTH: usize = 960;

/// The style: light and dark, as the reader's system is set.
pub(super) const STYLE: &str = "\
.page{fill:#fff}.head{font:14px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:16px}\
.row text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#1f2328}\
.row .faint,.faint{fill:#6e7781}.row .wrong{fill:#cf222e;font-weight:600}.row .off{fill:#9a6700}\
.row .number,.number{fill:#0969da;font-weight:600}.row:hover .back{fill:#0969da;fill-opacity:.1}\
.back{fill:#fff;fill-opacity:0}.track{fill:#818b98;fill-opacity:.15}.bar{fill:#2da44e}.bar.off{fill:#d4a72c}.bar.wrong{fill:#cf222e}\
.branch{stroke:#afb8c1;fill:none}.never{opacity:.55}\
.gone .back{fill:#cf222e;fill-opacity:.12}.added .back{fill:#2da44e;fill-opacity:.15}.changed .back{fill:#d4a72c;fill-opacity:.15}\
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.head,.row text{fill:#e6edf3}.row .faint,.faint{fill:#8d96a0}\
.row .wrong{fill:#ff7b72}.row .off{fill:#d29922}.row .number,.number{fill:#58a6ff}.bar{fill:#3fb950}.bar.off{fill:#d29922}\
.bar.wrong{fill:#f85149}.branch{stroke:#484f58}}";

/// The whole picture: all plans, one below the other.
pub(crate) fn render(sheets: &Sheets<'_>) -> String {
    let mut body = String::new();
    let mut y = 16;
    let mut width = HEAD_WIDTH;
    for (position, sheet) in sheets.sheets.iter().enumerate() {
        width = width.max(self::width(sheet, &Marks::new()));
        let title = sheets.title(position).unwrap_or_else(|| "Plan".to_owned());
        y = head(&mut body, sheet, &title, y);
        y = tree(&mut body, sheet, &Marks::new(), position, y) + 24;
    }
    whole(&body, width, y)
}

/// A picture by itself.
pub(super) fn whole(body: &str, width: usize, height: usize) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Plan</title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n"
    );
    out.push_str(body);
    out.push_str("</svg>\n");
    out
}

/// The tree of one plan alone, to stand in a page that tells the rest.
pub(super) fn picture(sheet: &Sheet<'_>, position: usize) -> String {
    let mut body = String::new();
    let height = tree(&mut body, sheet, &Marks::new(), position, 4) + 4;
    let width = width(sheet, &Marks::new());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"the plan as a tree\">\n{body}</svg>\n"
    )
}

/// Pixels that the widest row takes.
pub(super) fn width(sheet: &Sheet<'_>, marks: &Marks) -> usize {
    let pixels = |row: &Row| {
        let letters = text::width(&shown(row)) + 5 * row.findings.len();
        let detail = detail(row, marks.get(&row.id));
        let detail = detail.map_or(0, |detail| 2 + text::width(detail).min(DETAIL_MAX));
        TREE_START + row.depth * INDENT + ((letters + detail) as f64 * LETTER) as usize + 24
    };
    sheet.rows.iter().map(pixels).max().unwrap_or(0)
}

/// What stands beside an operator's name.
fn detail<'a>(row: &'a Row, mark: Option<&'a Mark>) -> Option<&'a String> {
    let told = mark.map(|mark| &mark.told).filter(|told| !told.is_empty());
    told.or_else(|| row.details.first())
}

fn shown(row: &Row) -> String {
    text::cut(&row.name, NAME_MAX)
}

/// Figures and findings; returns where the next thing begins.
fn head(out: &mut String, sheet: &Sheet<'_>, title: &str, top: usize) -> usize {
    let mut told = vec![("title", title.to_owned())];
    if let Some(statement) = &sheet.plan().query_text {
        told.push(("faint", text::cut(&text::line(statement), HEAD_MAX)));
    }
    told.push(("", sheet.facts().join(" · ")));
    told.extend(sheet.beside().into_iter().map(|line| ("faint", line)));
    if sheet.findings.is_empty() {
        told.push(("faint", sheet.nothing_found().to_owned()));
    }
    for (position, finding) in sheet.findings.iter().enumerate() {
        let (name, weight) = (words(finding.pattern), weight(finding));
        let what = text::line(&finding.what);
        told.push(("", format!("[{}] {name}, {weight}: {what}", position + 1)));
        told.push(("faint", format!("→ {}", text::line(&finding.advice))));
    }
    lines(out, &told, top)
}

/// Lines of text, each with its class; returns where the next thing begins.
pub(super) fn lines(out: &mut String, told: &[(&str, String)], top: usize) -> usize {
    let mut y = top;
    for (class, told) in told {
        for line in wrapped(told) {
            y += LINE;
            let line = escaped(&line);
            let _ = writeln!(out, "<text class=\"head {class}\" x=\"16\" y=\"{y}\">{line}</text>");
        }
    }
    y + 12
}

/// Broken between words; a longer word is cut.
fn wrapped(told: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in told.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if line.is_empty() {
            *line = text::cut(word, HEAD_MAX);
        } else if text::width(line) + 1 + text::width(word) <= HEAD_MAX {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(text::cut(word, HEAD_MAX));
        }
    }
    lines
}

/// The rows; returns where the next thing begins.
pub(super) fn tree(
    out: &mut String,
    sheet: &Sheet<'_>,
    marks: &Marks,
    position: usize,
    top: usize,
) -> usize {
    let share = if sheet.measure == Measure::Nothing { "" } else { "share" };
    let y = top + 14;
    let names = [
        (OWN_END, "end", sheet.measure.own()),
        (BAR_START, "start", share),
        (ROWS_END, "end", "rows"),
        (ESTIMATE_END, "end", if sheet.plan().executed() { "estimate" } else { "" }),
        (TREE_START, "start", "operator"),
    ];
    out.push_str("<g class=\"row\">");
    for (x, anchor, name) in names {
        let _ = write!(
            out,
            "<text class=\"faint\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{name}</text>"
        );
    }
    out.push_str("</g>\n");
    let first = top + ROW;
    branches(out, sheet, first);
    for (place, row) in sheet.rows.iter().enumerate() {
        one(out, row, marks.get(&row.id), position, first + place * ROW);
    }
    first + sheet.rows.len() * ROW
}

/// The lines of the tree: from each operator down to its last child, and across to each child.
fn branches(out: &mut String, sheet: &Sheet<'_>, first: usize) {
    // The row of the operator above, by depth.
    let mut above: Vec<usize> = Vec::new();
    let mut path = String::new();
    for (place, row) in sheet.rows.iter().enumerate() {
        let y = first + place * ROW + ROW / 2;
        if let Some(parent) = row.depth.checked_sub(1).and_then(|depth| above.get(depth)) {
            let x = TREE_START + (row.depth - 1) * INDENT + 5;
            let last = row.follow.last() == Some(&false);
            let across = format!("M{x} {y}h{}", INDENT - 7);
            // Down once, to the last child.
            if last {
                let _ = write!(path, "M{x} {}V{y}", first + parent * ROW + ROW / 2 + 7);
            }
            path.push_str(&across);
        }
        above.truncate(row.depth);
        above.push(place);
    }
    if !path.is_empty() {
        let _ = writeln!(out, "<path class=\"branch\" d=\"{path}\"/>");
    }
}

fn one(out: &mut String, row: &Row, mark: Option<&Mark>, position: usize, top: usize) {
    let y = top + 15;
    let never = if row.never { " never" } else { "" };
    let (marked, sign) = mark.map(|mark| mark.kind.shown()).unwrap_or_default();
    let mut title = vec![row.name.clone()];
    title.extend(mark.map(|mark| mark.told.clone()).filter(|told| !told.is_empty()));
    title.extend(row.details.iter().cloned());
    let _ = write!(
        out,
        "<g class=\"row{never}{marked}\" id=\"{}\"><title>{}</title><rect class=\"back\" x=\"0\" y=\"{top}\" width=\"100%\" height=\"{ROW}\"/>",
        anchor(position, row.id.index()),
        escaped(&title.join("\n"))
    );
    if mark.is_some() {
        let _ = write!(out, "<text class=\"number\" x=\"3\" y=\"{y}\">{sign}</text>");
    }
    let own = row.own.as_deref().unwrap_or("-");
    let _ = write!(out, "<text x=\"{OWN_END}\" y=\"{y}\" text-anchor=\"end\">{own}</text>");
    if let Some(share) = row.share {
        bar(out, share, top);
    }
    let _ = write!(out, "<text x=\"{ROWS_END}\" y=\"{y}\" text-anchor=\"end\">{}</text>", row.rows);
    if let Some(estimate) = row.estimate {
        let class = if estimate.is_wrong() { "wrong" } else { "off" };
        let mark = Estimate::mark(estimate);
        let _ = write!(
            out,
            "<text class=\"{class}\" x=\"{ESTIMATE_END}\" y=\"{y}\" text-anchor=\"end\">{mark}</text>"
        );
    }
    let x = TREE_START + row.depth * INDENT;
    let _ = write!(out, "<text x=\"{x}\" y=\"{y}\">{}", escaped(&shown(row)));
    for number in &row.findings {
        let _ = write!(out, "<tspan class=\"number\" dx=\"6\">[{number}]</tspan>");
    }
    if let Some(detail) = detail(row, mark) {
        let _ = write!(
            out,
            "<tspan class=\"faint\" dx=\"10\">{}</tspan>",
            escaped(&text::cut(detail, DETAIL_MAX))
        );
    }
    out.push_str("</text></g>\n");
}

/// A share as a bar and a percentage.
fn bar(out: &mut String, share: f64, top: usize) {
    let level = match share {
        share if share >= 0.5 => " wrong",
        share if share >= 0.1 => " off",
        _ => "",
    };
    let (y, height) = (top + 5, ROW - 10);
    let _ = write!(
        out,
        "<rect class=\"track\" x=\"{BAR_START}\" y=\"{y}\" width=\"{BAR_WIDTH}\" height=\"{height}\"/>\
         <rect class=\"bar{level}\" x=\"{BAR_START}\" y=\"{y}\" width=\"{:.1}\" height=\"{height}\"/>\
         <text class=\"faint\" x=\"{}\" y=\"{}\">{:.0} %</text>",
        share * BAR_WIDTH as f64,
        BAR_START + BAR_WIDTH + 6,
        top + 15,
        share * 100.0
    );
}

/// The name of an operator's row within the file.
pub(super) fn anchor(position: usize, operator: usize) -> String {
    format!("plan-{}-operator-{operator}", position + 1)
}

#[cfg(test)]
mod tests {
    use super::super::{Sheets, testing};

    #[test]
    fn all_text_is_escaped_and_every_operator_is_there() {
        let reading = testing::hostile();
        let svg = super::render(&Sheets::of(&reading.plans, &reading.notes));
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        for words in ["&lt;img src=x", "id=\"plan-1-operator-1\"", "▲500×", "[1]"] {
            assert!(svg.contains(words), "no {words} in\n{svg}");
        }
        for words in ["<img", "<b>", "</script>", "\u{1b}", "\u{0}", "\u{202e}", "http://e)\"<"] {
            assert!(!svg.contains(words), "{words:?} in\n{svg}");
        }
        // Nothing is fetched: the only address is the name space.
        assert_eq!(svg.matches("href").count() + svg.matches("url(").count(), 0);
    }

    #[test]
    fn several_plans_stand_below_one_another() {
        let reading = testing::several();
        let svg = super::render(&Sheets::of(&reading.plans, &reading.notes));
        assert_eq!(svg.matches("<svg").count(), 1);
        assert!(svg.contains("Plan 2 of 2") && svg.contains("plan-2-operator-1"));
    }
}
