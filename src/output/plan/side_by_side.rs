//! `--diff OLD NEW --format svg|html`: both trees side by side, with what is gone, added and changed marked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use planparse::OperatorId;

use super::diff::{self, Comparison};
use super::svg::{Kind, Mark, Marks};
use super::xml::escaped;
use super::{Sheet, html, svg};
use crate::text;

/// Pixels between both trees.
const GAP: usize = 24;

/// What the marks mean.
const LEGEND: &str = "− only in the old plan · + only in the new one · ~ other figures";

/// The whole picture: all pairs, one below the other.
pub(crate) fn picture(pairs: &[Comparison<'_>]) -> String {
    let (mut body, mut width, mut y) = (String::new(), 960, 16);
    for (position, pair) in pairs.iter().enumerate() {
        let mut lines = vec![("title", Comparison::title(position, pairs.len()))];
        let line = |label: &str, told: &str| match label {
            "" => text::line(told),
            label => text::line(&format!("{label}: {told}")),
        };
        lines.extend(diff::told(pair).iter().map(|(label, told)| ("", line(label, told))));
        lines.push(("faint", LEGEND.to_owned()));
        y = svg::lines(&mut body, &lines, y);
        let (trees, wide, height) = trees(pair, position, y);
        body.push_str(&trees);
        width = width.max(wide);
        y += height + GAP;
    }
    svg::whole(&body, width, y)
}

/// A page with the same picture, to open and share.
pub(crate) fn page(pairs: &[Comparison<'_>]) -> String {
    let mut body = String::new();
    for (position, pair) in pairs.iter().enumerate() {
        let _ = writeln!(body, "<h1>{}</h1>\n<ul>", Comparison::title(position, pairs.len()));
        for (label, told) in diff::told(pair) {
            let _ = writeln!(body, "<li><b>{label}</b> {}</li>", escaped(&text::line(&told)));
        }
        let (trees, width, height) = trees(pair, position, 4);
        let height = height + 8;
        let _ = writeln!(
            body,
            "</ul>\n<p class=\"faint\">{LEGEND}</p>\n<div class=\"picture\">\n<svg xmlns=\"http://www.w3.org/2000/svg\" \
             width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"both plans as trees\">\n{trees}</svg>\n</div>"
        );
    }
    html::whole("What changed", &body)
}

/// Both trees with their width and height.
fn trees(pair: &Comparison<'_>, position: usize, top: usize) -> (String, usize, usize) {
    let marks = marks(pair);
    let (mut out, mut left, mut height) = (String::new(), 0, 0);
    for (side, (name, sheet, marks)) in
        [("old", &pair.old, &marks[0]), ("new", &pair.new, &marks[1])].into_iter().enumerate()
    {
        let (tree, width, tall) = one(sheet, marks, name, 2 * position + side);
        let _ = writeln!(
            out,
            "<svg x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{tall}\">\n{tree}</svg>"
        );
        left += width + GAP;
        height = height.max(tall);
    }
    (out, left - GAP, height)
}

fn one(sheet: &Sheet<'_>, marks: &Marks, name: &str, position: usize) -> (String, usize, usize) {
    let mut out = String::new();
    let facts = text::line(&format!("{name}: {}", sheet.facts().join(" · ")));
    let top = svg::lines(&mut out, &[("", facts)], 0);
    let height = svg::tree(&mut out, sheet, marks, position, top);
    (out, svg::width(sheet, marks).max(svg::HEAD_WIDTH), height + 4)
}

/// The marks of the old plan's operators and of the new one's.
fn marks(pair: &Comparison<'_>) -> [Marks; 2] {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    let mark = |marks: &mut Marks, id: Option<OperatorId>, kind, told: &str| {
        if let Some(id) = id {
            marks.insert(id, Mark { kind, told: told.to_owned() });
        }
    };
    for change in &pair.diff.operators {
        let Some((_, told)) = diff::operator(change) else { continue };
        let told = told.strip_prefix(&change.name).unwrap_or(&told).trim_start_matches(": ");
        let told = text::line(told);
        match (change.operator.old, change.operator.new) {
            (id, None) => mark(&mut old, id, Kind::Gone, &told),
            (None, id) => mark(&mut new, id, Kind::Added, &told),
            (before, after) => {
                mark(&mut old, before, Kind::Changed, "");
                mark(&mut new, after, Kind::Changed, &told);
            }
        }
    }
    [old, new]
}

#[cfg(test)]
mod tests {
    use super::super::diff::Comparison;
    use super::super::testing;

    #[test]
    fn both_trees_are_there_marked_and_escaped() {
        let (old, new) = (testing::hostile(), testing::several());
        let pairs = [Comparison::of(&old.plans[0], &new.plans[0])];
        for drawn in [super::picture(&pairs), super::page(&pairs)] {
            assert_eq!(drawn.matches("class=\"back\"").count(), 4);
            for words in ["&lt;b", "row gone", "row added", ">−</text>", "plan-2-operator-1"] {
                assert!(drawn.contains(words), "no {words} in\n{drawn}");
            }
            for words in ["<img", "<script", "\u{1b}", "\u{202e}", "href=", "src=\"", "url("] {
                assert!(!drawn.contains(words), "{words:?} in\n{drawn}");
            }
            assert_eq!(drawn.matches("id=\"plan-1-operator-0\"").count(), 1);
        }
    }

    #[test]
    fn what_stayed_is_not_marked() {
        let reading = testing::hostile();
        let drawn = super::picture(&[Comparison::of(&reading.plans[0], &reading.plans[0])]);
        for words in ["row gone", "row added", "row changed"] {
            assert!(!drawn.contains(words), "{words} in\n{drawn}");
        }
    }
}
