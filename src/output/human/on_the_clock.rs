//! What the demo measured on the clock, for people.

use anstyle::Style;

use super::page::Page;
use super::{BAD, BOLD, FAINT, GOOD};
use crate::demo::{Comparison, Expected, Rates};
use crate::output::units;
use crate::text;

/// Columns of a statement's name, of a time, of a factor and of a number of pages.
const NAME: usize = 36;
const TIME: usize = 10;
const FACTOR: usize = 9;
const PAGES: usize = 11;

/// Writes both tables: statements, with `verbose` also what was expected of each, and what writing costs.
pub(crate) fn on_the_clock(
    statements: &[Comparison],
    writes: &[(&str, Rates)],
    width: usize,
    verbose: bool,
) -> String {
    let mut page = Page::new(width);
    // Where there is room: how many pages of 8 kB a call reads, which no clock disturbs.
    let pages = width >= 2 + NAME + 2 * TIME + FACTOR + 2 * PAGES;
    let right = |text: &str, columns: usize| format!("{text:>columns$}");
    let mut head = format!(
        "  {}{}{}{}",
        text::pad("statement", NAME),
        right("before", TIME),
        right("after", TIME),
        right("faster", FACTOR)
    );
    if pages {
        head.push_str(&right("pages read", PAGES));
        head.push_str(&right("after", PAGES));
    }
    page.whole_line(0, &format!("{FAINT}{head}{FAINT:#}"));
    for seen in statements {
        let style = match (seen.is_faster(), seen.is_slower()) {
            (true, _) => GOOD,
            (_, true) => BAD,
            _ => Style::new(),
        };
        let mut line = format!(
            "  {}{}{}{style}{}{style:#}",
            text::pad(seen.name, NAME),
            right(&units::duration(seen.before.p25_ms), TIME),
            right(&units::duration(seen.after.p25_ms), TIME),
            right(&times(seen.factor()), FACTOR),
        );
        if let (Some(explained), true) = (seen.explained, pages) {
            for read in [explained.pages_before, explained.pages_after] {
                line.push_str(&right(&units::count(read.round() as u64), PAGES));
            }
        }
        page.whole_line(0, &line);
        if verbose {
            let (kind, because) = match seen.expected {
                Expected::Index(because) => ("an index", because),
                Expected::Advice(because) => ("advice", because),
                Expected::Nothing(because) => ("nothing", because),
            };
            page.indented(4, &format!("{FAINT}expected: {kind}; {because}{FAINT:#}"));
        }
    }
    page.blank();
    for (name, rates) in writes {
        let rate = |rate: f64| units::count(rate.round() as u64);
        page.whole_line(
            0,
            &format!(
                "  {}{}{}{}",
                text::pad(name, NAME),
                right(&rate(rates.before), TIME),
                right(&rate(rates.after), TIME),
                right(&times(rates.ratio()), FACTOR),
            ),
        );
    }
    let faster = statements.iter().filter(|seen| seen.is_faster()).count();
    let slower = statements.iter().filter(|seen| seen.is_slower()).count();
    page.blank();
    page.text(&format!(
        "{BOLD}{} faster, {}{BOLD:#}; one round of the application took {} before and takes {} now.",
        units::plural(faster, "statement is", "statements are"),
        if slower == 0 { "none slower by more than 10 %".to_owned() } else { format!("{slower} slower") },
        units::duration(statements.iter().map(Comparison::round_before).sum()),
        units::duration(statements.iter().map(Comparison::round_after).sum()),
    ));
    page.finish()
}

/// `183x`, `1.02x`.
fn times(factor: f64) -> String {
    if factor >= 9.95 {
        format!("{}x", units::count(factor.round() as u64))
    } else {
        format!("{factor:.2}x")
    }
}

#[cfg(test)]
mod tests {
    use super::on_the_clock;
    use crate::demo::{Comparison, Expected, Explained, Rates, Timing};

    fn comparison(name: &'static str, before: f64, after: f64) -> Comparison {
        let timing = |ms: f64| Timing {
            calls: 10,
            p25_ms: ms,
            median_ms: ms,
            p95_ms: ms,
            total_ms: 10.0 * ms,
        };
        Comparison {
            name,
            per_round: 5,
            expected: Expected::Nothing("for the test"),
            before: timing(before),
            after: timing(after),
            explained: Some(Explained {
                cost_before: 1.0,
                cost_after: 1.0,
                pages_before: 27_031.4,
                pages_after: 12.0,
            }),
        }
    }

    #[test]
    fn the_tables_fit_a_narrow_page_and_use_a_wide_one() {
        let statements =
            [comparison("recent logs of a user", 64.1, 0.35), comparison("user by id", 0.1, 0.2)];
        let writes = [("bare INSERTs a second", Rates { before: 12_000.0, after: 11_400.0 })];
        let plain = |width| {
            anstream::adapter::strip_str(&on_the_clock(&statements, &writes, width, width > 80))
                .to_string()
        };
        assert_eq!(
            plain(80),
            "  statement                               before     after   faster
  recent logs of a user                    64 ms   0.35 ms     183x
  user by id                             0.10 ms   0.20 ms    0.50x

  bare INSERTs a second                   12,000    11,400    0.95x

1 statement is faster, 1 slower; one round of the application took 321 ms before
and takes 2.75 ms now.
"
        );
        assert!(plain(100).contains("    expected: nothing; for the test\n"), "{}", plain(100));
        assert!(plain(100).contains("183x     27,031         12\n"), "{}", plain(100));
    }
}
