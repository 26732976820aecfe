//! A page of text: lines broken at its width, labels at the left, colour codes not counted.

use std::fmt::Write as _;

use crate::text;

use super::FAINT;

/// Column at which the text beside a label begins.
const LABEL: usize = 13;

/// A page being written.
pub(crate) struct Page {
    out: String,
    width: usize,
}

impl Page {
    /// An empty page of so many columns.
    pub(crate) fn new(width: usize) -> Self {
        Self { out: String::new(), width }
    }

    /// Its text.
    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// An empty line.
    pub(crate) fn blank(&mut self) {
        self.out.push('\n');
    }

    /// A paragraph from the left edge.
    pub(crate) fn text(&mut self, text: &str) {
        self.wrapped("", "", text);
    }

    /// A paragraph that begins and goes on at a column.
    pub(crate) fn indented(&mut self, indent: usize, text: &str) {
        let hang = " ".repeat(indent);
        self.wrapped(&hang, &hang, text);
    }

    /// A faint label and a paragraph beside it.
    pub(crate) fn labelled(&mut self, label: &str, text: &str) {
        // A label that fills the column still stands apart.
        let gap = if text::width(label) >= LABEL - 2 { " " } else { "" };
        let first = format!("  {FAINT}{}{gap}{FAINT:#}", text::pad(label, LABEL - 2));
        self.wrapped(&first, &" ".repeat(LABEL), text);
    }

    /// A paragraph with its own beginning of the first and of every further line.
    pub(crate) fn wrapped(&mut self, first: &str, hang: &str, text: &str) {
        for (position, line) in
            wrap(text, self.width.saturating_sub(visible(hang))).iter().enumerate()
        {
            let start = if position == 0 { first } else { hang };
            let _ = writeln!(self.out, "{start}{line}");
        }
    }

    /// Figures in a row, ` · ` between them; a line is broken only where one ends.
    pub(crate) fn row(&mut self, first: &str, hang: &str, parts: &[String]) {
        let columns = self.width.saturating_sub(visible(hang));
        let mut line = String::new();
        let mut start = first;
        for (position, part) in parts.iter().enumerate() {
            let joined = if position == 0 { part.clone() } else { format!("{line} · {part}") };
            if position > 0 && visible(&joined) > columns {
                self.wrapped(start, hang, &line);
                (line, start) = (part.clone(), hang);
            } else {
                line = joined;
            }
        }
        self.wrapped(start, hang, &line);
    }

    /// One line, cut at the page's edge; it holds no colour codes.
    pub(crate) fn cut_line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(
            self.out,
            "{}{}",
            " ".repeat(indent),
            text::cut(text, self.width.saturating_sub(indent))
        );
    }

    /// One line as it is, however long: something to copy.
    pub(crate) fn whole_line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{}{text}", " ".repeat(indent));
    }
}

/// Columns without colour codes.
fn visible(text: &str) -> usize {
    text::width(&anstream::adapter::strip_str(text).to_string())
}

/// Breaks between words, colour codes not counted; a longer word stands on its own line whole.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.trim_start().split(' ') {
        let wide = visible(word);
        let line = lines.last_mut().expect("there is always a last line");
        if line.is_empty() {
            line.push_str(word);
            used = wide;
        } else if used + 1 + wide <= columns {
            line.push(' ');
            line.push_str(word);
            used += 1 + wide;
        } else {
            lines.push(word.to_owned());
            used = wide;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Page, visible, wrap};

    #[test]
    fn wrapping_does_not_count_colour_codes() {
        let bold = super::super::BOLD;
        let text = format!("{bold}one{bold:#} two three");
        let lines = wrap(&text, 7);
        assert_eq!(lines.iter().map(|line| visible(line)).collect::<Vec<_>>(), [7, 5]);
    }

    #[test]
    fn paragraphs_hang_below_their_beginning() {
        let mut page = Page::new(20);
        page.wrapped("     4  ", "        ", "served by an index already");
        page.indented(2, "plain text that goes on");
        assert_eq!(
            page.finish(),
            "     4  served by an\n        index\n        already\n  plain text that\n  goes on\n"
        );
    }

    #[test]
    fn a_row_breaks_between_figures() {
        let mut page = Page::new(20);
        page.row("> ", "  ", &["1 h a day".into(), "34 MB".into(), "writers pay 1 s".into()]);
        assert_eq!(page.finish(), "> 1 h a day · 34 MB\n  writers pay 1 s\n");
    }
}
