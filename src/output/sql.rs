//! `--format sql`: exactly what `--apply` would run; undo and other recommendations as comments.

use std::fmt::Write as _;

use rules::report::ActionReport;

use super::{Document, Format};
use crate::output::units;
use crate::text;

/// A script for psql.
pub(crate) struct Sql;

impl Format for Sql {
    fn render(&self, document: &Document<'_>) -> String {
        let report = document.report;
        let mut out = String::new();
        let server = &report.server;
        let database = text::line(&server.database);
        let _ = writeln!(out, "-- pgwright {}, database {database}", report.run.pgwright);
        let _ = writeln!(out, "-- snapshot {}", text::line(&report.run.snapshot));
        let _ =
            writeln!(out, "-- CREATE and DROP INDEX CONCURRENTLY run outside a transaction block.");
        let (due, rest): (Vec<_>, Vec<_>) =
            report.actions.iter().partition(|action| action.applies);
        if due.is_empty() {
            let gate = report.run.min_confidence;
            let only_gate = super::human::only_gate(report);
            let what = if only_gate {
                format!("reaches the gate of {gate:.2}")
            } else {
                "may be carried out".into()
            };
            let _ = writeln!(out, "\n-- Nothing {what}.");
        }
        if !due.is_empty() {
            // The session of --apply is under no other.
            let _ = writeln!(
                out,
                "-- Under the settings of --apply: an index that names no tablespace goes to the database's own.\n\
                 SET default_tablespace = '';"
            );
        }
        for action in due {
            heading(&mut out, action);
            for statement in statements(&action.statement) {
                let _ = writeln!(out, "{};", one_line(statement));
            }
            undo(&mut out, action);
        }
        if !rest.is_empty() {
            let _ = writeln!(out, "\n-- Recommended only:");
        }
        for action in rest {
            heading(&mut out, action);
            for statement in statements(&action.statement) {
                let _ = writeln!(out, "-- {};", one_line(statement));
            }
            undo(&mut out, action);
        }
        out
    }
}

fn heading(out: &mut String, action: &ActionReport) {
    let saved = action
        .impact
        .ms_per_day
        .map_or(String::new(), |ms| format!(", saves {} a day", units::duration(ms)));
    let _ = writeln!(
        out,
        "\n-- {}: {}, confidence {:.2}{saved}",
        action.id, action.rule, action.confidence
    );
}

fn undo(out: &mut String, action: &ActionReport) {
    for statement in statements(&action.undo) {
        let _ = writeln!(out, "-- undo: {};", one_line(statement));
    }
}

/// The statements of an action or of its undo: the report joins them with `;` and a line break.
pub(crate) fn statements(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(";\n").filter(|statement| !statement.is_empty())
}

/// The same statement on one line and without a character that a terminal could obey.
///
/// A name or a literal that holds such characters is written in the Unicode form, `U&"a\000Ab"`, which the
/// server reads as the same name (documentation, section 4.1.1); outside of quotes they can only be blanks.
pub(crate) fn one_line(statement: &str) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(start) = rest.find(['"', '\'']) {
        out.push_str(&text::line_inside(&rest[..start]));
        let quote = if rest.as_bytes()[start] == b'"' { '"' } else { '\'' };
        let escapes =
            quote == '\'' && out.ends_with(['E', 'e']) && !ends_in_word(&out[..out.len() - 1]);
        let end = start + 1 + end_of_quoted(&rest[start + 1..], quote, escapes);
        let quoted = &rest[start..end];
        if !quoted.contains(text::unprintable) {
            out.push_str(quoted);
        } else if escapes {
            out.push_str(&escaped(quoted, false, |c| format!("\\u{c:04X}")));
        } else {
            out.push_str("U&");
            out.push_str(&escaped(quoted, true, |c| format!("\\{c:04X}")));
        }
        rest = &rest[end..];
    }
    out.push_str(&text::line_inside(rest));
    out
}

fn ends_in_word(text: &str) -> bool {
    text.ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Bytes up to and with the closing quote; all when it is missing.
fn end_of_quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return at + c.len_utf8(),
            }
        } else if c == '\\' && escapes {
            chars.next();
        }
    }
    text.len()
}

fn escaped(quoted: &str, double_backslash: bool, escape: impl Fn(u32) -> String) -> String {
    let mut out = String::new();
    for c in quoted.chars() {
        if text::unprintable(c) {
            out.push_str(&escape(u32::from(c)));
        } else if c == '\\' && double_backslash {
            out.push_str("\\\\");
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Sql, one_line};
    use crate::output::{Document, Format as _, fixture};

    #[test]
    fn the_script_runs_what_is_due_and_comments_the_rest() {
        let report = fixture::report();
        assert_eq!(
            Sql.render(&Document::of(&report)),
            r#"-- pgwright 0.1.0, database vedfinance
-- snapshot 5f0c9d
-- CREATE and DROP INDEX CONCURRENTLY run outside a transaction block.
-- Under the settings of --apply: an index that names no tablespace goes to the database's own.
SET default_tablespace = '';

-- 3f2a91c0: filter-or-order-without-index, confidence 0.97, saves 48 min a day
CREATE INDEX CONCURRENTLY pgw_behaviorlog_userid_timestamp_3f2a91c0 ON public."BehaviorLog" USING btree ("userId", "timestamp" DESC);
-- undo: DROP INDEX CONCURRENTLY public.pgw_behaviorlog_userid_timestamp_3f2a91c0;

-- Recommended only:

-- 77aa00bb: duplicate-index, confidence 0.85
-- DROP INDEX CONCURRENTLY public.user_email_idx2;
-- undo: CREATE INDEX CONCURRENTLY user_email_idx2 ON public."User" USING btree (email);
-- undo: COMMENT ON INDEX public.user_email_idx2 IS 'old';
"#
        );
    }

    #[test]
    fn nothing_due_is_said_so() {
        let script = Sql.render(&Document::of(&fixture::empty()));
        assert!(script.contains("-- Nothing reaches the gate of 0.90."), "{script}");
        assert!(script.lines().all(|line| line.is_empty() || line.starts_with("--")));
    }

    #[test]
    fn a_hostile_name_cannot_leave_its_comment_or_its_quotes() {
        let mut report = fixture::report();
        let hostile = "DROP INDEX CONCURRENTLY public.\"x\nDROP TABLE users; --\u{1b}[2J\"";
        report.server.database = "db\nDROP TABLE a;".into();
        for action in &mut report.actions {
            action.statement = hostile.into();
            action.undo = hostile.into();
        }
        let script = Sql.render(&Document::of(&report));
        let run: Vec<&str> =
            script.lines().filter(|line| !line.is_empty() && !line.starts_with("--")).collect();
        assert_eq!(
            run,
            [
                "SET default_tablespace = '';",
                r#"DROP INDEX CONCURRENTLY public.U&"x\000ADROP TABLE users; --\001B[2J";"#
            ]
        );
    }

    #[test]
    fn a_statement_on_one_line_is_the_same_statement() {
        assert_eq!(one_line("ANALYZE public.\"a\"\"b\""), "ANALYZE public.\"a\"\"b\"");
        assert_eq!(one_line("ANALYZE \"a\"\"\n\\\""), r#"ANALYZE U&"a""\000A\\""#);
        assert_eq!(one_line("x IS 'it''s\u{7}'"), r"x IS U&'it''s\0007'");
        assert_eq!(one_line("x IS E'a\\\\\n\\'b'"), r"x IS E'a\\\u000A\'b'");
        assert_eq!(
            one_line("WHERE (CASE\n    WHEN a THEN b\nEND)"),
            "WHERE (CASE WHEN a THEN b END)"
        );
        assert_eq!(one_line("ANALYZE \"größe\u{202e}\""), r#"ANALYZE U&"größe\202E""#);
    }
}
