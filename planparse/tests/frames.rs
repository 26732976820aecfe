//! What psql draws around a result, in every style that it has.

use std::fmt::Write as _;

use planparse::Plan;

const TEXT: &str = "Limit  (cost=0.50..1.50 rows=3 width=4)
  ->  Seq Scan on orders  (cost=0.50..1.50 rows=3 width=4)
        Filter: (note = 'a | b'::text)";

const JSON: &str = r#"[
  {"Plan": {"Node Type": "Seq Scan", "Relation Name": "orders"}}
]"#;

const TINY: &str = "[\n  {\"Plan\": {\"Node Type\": \"Result\"}} ]";

const XML: &str = "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n    <Plan>\n      <Node-Type>Result</Node-Type>\n      <Output>\n        <Item>'it -&gt; &lt;b&gt;'::text</Item>\n      </Output>\n    </Plan>\n  </Query>\n</explain>";

const YAML: &str = "- Plan: \n    Node Type: \"Result\"\n    Output: \n      - \"1\"";

/// A style of lines: horizontal, vertical, the mark of a value that goes on, and the left ends of a rule in an expanded table.
struct Style {
    line: &'static str,
    side: &'static str,
    further_side: &'static str,
    mark: &'static str,
    corner: &'static str,
}

const STYLES: [Style; 3] = [
    Style { line: "-", side: "|", further_side: "|", mark: "+", corner: "+" },
    Style { line: "─", side: "│", further_side: "│", mark: "↵", corner: "┌" },
    Style { line: "-", side: "|", further_side: ":", mark: " ", corner: "+" },
];

/// A result in rows of a table; each row is a value of one line or of several.
fn table(rows: &[&str], style: &Style, border: usize) -> String {
    let width = rows.iter().flat_map(|row| row.lines()).map(str::len).max().unwrap_or_default();
    let pad = if border == 0 { "" } else { " " };
    let side = if border == 2 { style.side } else { "" };
    let rule = style.line.repeat(width + 2 * pad.len());
    let rule = if border == 2 { format!("{0}{rule}{0}\n", style.corner) } else { rule + "\n" };
    let mut drawn = if border == 2 { rule.clone() } else { String::new() };
    let _ = writeln!(drawn, "{side}{pad}{:^width$}{pad}{side}", "QUERY PLAN");
    drawn += &rule;
    for row in rows {
        let last = row.lines().count() - 1;
        for (at, line) in row.lines().enumerate() {
            let mark = if at < last { style.mark } else { pad };
            let whole = format!("{side}{pad}{line:<width$}{mark}{side}");
            drawn += if at < last || border == 2 { &whole } else { whole.trim_end() };
            drawn += "\n";
        }
    }
    if border == 2 {
        drawn += &rule;
    }
    let _ = writeln!(drawn, "({} rows)\n\nTime: 12.345 ms", rows.len());
    drawn
}

/// The same row by row (`\x`).
fn expanded(rows: &[&str], style: &Style, border: usize) -> String {
    let width = rows.iter().flat_map(|row| row.lines()).map(str::len).max().unwrap_or_default();
    let line = |count| style.line.repeat(count);
    let mut drawn = String::new();
    for (number, row) in rows.iter().enumerate() {
        let number = number + 1;
        let _ = match border {
            0 => writeln!(drawn, "* Record {number}{:width$}", ""),
            1 => writeln!(drawn, "{}[ RECORD {number} ]{}", line(1), line(width)),
            _ => writeln!(
                drawn,
                "{}{}[ RECORD {number} ]{}{}",
                style.corner,
                line(1),
                line(width),
                style.corner
            ),
        };
        let last = row.lines().count() - 1;
        for (at, text) in row.lines().enumerate() {
            let name = if at == 0 { "QUERY PLAN" } else { "" };
            let middle = if at == 0 { style.side } else { style.further_side };
            let mark = if at < last { style.mark } else { "" };
            let _ = match border {
                0 => writeln!(drawn, "{name:<10} {text:<width$}{mark}"),
                1 => writeln!(drawn, "{name:<10} {middle} {text:<width$}{mark}"),
                _ => writeln!(
                    drawn,
                    "{0} {name:<10} {middle} {text:<width$}{mark:<1}{0}",
                    style.side
                ),
            };
        }
    }
    drawn + "\nTime: 12.345 ms\n"
}

fn one(text: &str) -> Plan {
    let mut reading = planparse::read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(reading.plans.len(), 1, "{text}");
    let parsed = reading.plans.remove(0);
    assert_eq!((parsed.problems, reading.notes), (Vec::new(), Vec::new()), "{text}");
    parsed.plan
}

#[test]
fn every_border_and_style_of_psql() {
    let lines: Vec<&str> = TEXT.lines().collect();
    let results: [&[&str]; 5] = [&lines, &[JSON], &[TINY], &[XML], &[YAML]];
    let wholes = [one(TEXT), one(JSON), one(TINY), one(XML), one(YAML)];
    for (rows, whole) in results.iter().zip(&wholes) {
        for (number, style) in STYLES.iter().enumerate() {
            for border in 0..=2 {
                for drawn in [table(rows, style, border), expanded(rows, style, border)] {
                    assert!(one(&drawn) == *whole, "style {number}, border {border}:\n{drawn}");
                }
            }
        }
    }
}

#[test]
fn a_result_wrapped_at_the_width_of_the_screen() {
    for mark in ['.', '…'] {
        let mut drawn = format!("{:^60}\n{}\n", "QUERY PLAN", "-".repeat(60));
        for line in TEXT.lines() {
            let letters: Vec<char> = line.chars().collect();
            let parts = letters.chunks(30).count();
            for (at, part) in letters.chunks(30).enumerate() {
                let begin = if at == 0 { ' ' } else { mark };
                let end = if at + 1 < parts { mark } else { ' ' };
                let _ = writeln!(drawn, "{begin}{}{end}", part.iter().collect::<String>());
            }
        }
        drawn += "(3 rows)\n";
        assert!(one(&drawn) == one(TEXT), "{drawn}");
    }
}

#[test]
fn what_tools_copy_to_the_clipboard() {
    for whole in [TEXT, JSON, XML, YAML] {
        let cell = whole.replace('"', "\"\"");
        for copied in [
            format!("\"QUERY PLAN\"\n\"{cell}\"\n"),
            format!("\"{cell}\"\n"),
            format!("id,\"QUERY PLAN\"\n1,\"{cell}\"\n"),
        ] {
            assert!(one(&copied) == one(whole), "{copied}");
        }
        let rows = whole.lines().map(|line| format!("\"{}\"\n", line.replace('"', "\"\"")));
        let copied = format!("\"QUERY PLAN\"\n{}", rows.collect::<String>());
        assert!(one(&copied) == one(whole), "{copied}");
        let rows = whole.lines().fold("|QUERY PLAN|\n|----------|\n".to_owned(), |text, line| {
            text + "|" + line + "|\n"
        });
        assert!(one(&rows) == one(whole), "{rows}");
    }
    let ruled = TEXT
        .lines()
        .fold("[options=\"header\"]\n|====\n^l|QUERY PLAN\n".to_owned(), |text, line| {
            text + "|" + line + "\n"
        });
    assert!(one(&(ruled.clone() + "|====\n")) == one(TEXT), "{ruled}");
}
