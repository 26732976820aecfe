//! A file of SQL into its statements.
//!
//! Cut with the lexical rules of psql (quotes, dollar quotes, comments, `BEGIN ATOMIC` bodies, COPY data, meta
//! commands), not with the grammar: what one statement lacks must not cost the others.

use super::Unanalyzable;
use super::parse;
use super::placeholders;

/// A statement of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatement {
    /// Line on which it begins, from 1.
    pub line: usize,
    /// Its text, without the semicolon, parameters as `$n`.
    pub text: String,
    /// How the file writes parameters, where not as `$n`: `?`, `:name`, `%s`, `%(name)s`, `@name`.
    pub style: Option<&'static str>,
}

/// A part of a file that is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct FileError {
    /// Line on which it begins, from 1.
    pub line: usize,
    /// Why it is none.
    pub reason: String,
}

/// The statements of a file in order, and what in it is none.
pub fn split(sql: &str) -> Vec<Result<FileStatement, FileError>> {
    let mut file = File { sql, at: 0, counted: (0, 1), found: Vec::new() };
    while file.next() {}
    file.found
}

struct File<'f> {
    sql: &'f str,
    /// Byte at which the next statement is sought.
    at: usize,
    /// A byte before that, and its line.
    counted: (usize, usize),
    found: Vec<Result<FileStatement, FileError>>,
}

/// How a statement ended.
enum End {
    /// At a semicolon or the end of the file.
    Complete,
    /// At a backslash: a meta-command follows.
    Meta,
    /// Within this, which the file does not close.
    Open(&'static str),
}

/// A statement as the lexer sees it.
struct Cut {
    /// Byte after its last, the semicolon left out.
    end: usize,
    /// Where the next one is sought.
    next: usize,
    how: End,
    /// Byte after the first semicolon that ended a line within quotes: where to go on when it all was a
    /// quote too few.
    doubt: Option<usize>,
}

impl File<'_> {
    /// Takes the next statement; false at the end of the file.
    fn next(&mut self) -> bool {
        self.at = skip_blank(self.sql, self.at);
        let start = self.at;
        if start >= self.sql.len() {
            return false;
        }
        if self.sql[start..].starts_with('\\') {
            self.at = line_end(self.sql, start);
            self.meta(start);
            return true;
        }
        let cut = cut(self.sql, start);
        let text = self.sql[start..cut.end].trim_end();
        if text.is_empty() {
            self.at = cut.next;
            return true;
        }
        self.at = cut.next;
        let translated = placeholders::translate(text);
        let style = translated.as_ref().map(|known| known.style);
        let text = translated.as_ref().map_or(text, |known| known.text.as_str());
        let refusal = match (&cut.how, parse::outline(text)) {
            (End::Open(what), _) => Some(format!("unterminated {what}")),
            (_, Err(Unanalyzable::Syntax(message))) => Some(message),
            (_, Err(reason)) => Some(reason.to_string()),
            (End::Complete | End::Meta, Ok(_)) => None,
        };
        match refusal {
            None => {
                let line = self.line(start);
                self.found.push(Ok(FileStatement { line, text: text.to_owned(), style }));
                self.skip_copy_data(text);
            }
            Some(reason) => {
                let line = self.line(start);
                self.found.push(Err(FileError { line, reason }));
                if let Some(doubt) = cut.doubt {
                    self.at = doubt;
                    return true;
                }
            }
        }
        if let End::Meta = cut.how {
            let start = self.at;
            self.at = line_end(self.sql, start);
            // `\g` and its like only send what stands before them.
            if !self.sql[start..].starts_with("\\g") {
                self.meta(start);
            }
        }
        true
    }

    fn meta(&mut self, start: usize) {
        let command = self.sql[start..self.at].split_whitespace().next().unwrap_or("\\");
        let reason = format!("psql's own command {command} is no SQL");
        let line = self.line(start);
        self.found.push(Err(FileError { line, reason }));
    }

    fn line(&mut self, at: usize) -> usize {
        let (from, line) = if at >= self.counted.0 { self.counted } else { (0, 1) };
        self.counted = (at, line + self.sql[from..at].matches('\n').count());
        self.counted.1
    }

    /// After `COPY … FROM STDIN` the data stands in the file, up to a line `\.`.
    fn skip_copy_data(&mut self, text: &str) {
        let first = text.split_whitespace().next().unwrap_or_default();
        if !first.eq_ignore_ascii_case("copy") {
            return;
        }
        let Ok(parse::NodeEnum::CopyStmt(copy)) = parse::statement(text) else { return };
        if !copy.is_from || copy.is_program || !copy.filename.is_empty() {
            return;
        }
        self.at = line_end(self.sql, self.at);
        while self.at < self.sql.len() {
            let start = self.at;
            self.at = line_end(self.sql, start);
            if self.sql[start..self.at].trim_end() == "\\." {
                return;
            }
        }
    }
}

/// Byte after the line that `at` stands in.
fn line_end(sql: &str, at: usize) -> usize {
    sql[at..].find('\n').map_or(sql.len(), |length| at + length + 1)
}

/// First byte that is neither white space nor comment.
fn skip_blank(sql: &str, mut at: usize) -> usize {
    loop {
        let rest = &sql[at..];
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        at += rest.len() - trimmed.len();
        if trimmed.starts_with("--") {
            at = line_end(sql, at);
        } else if let Some(end) = trimmed.starts_with("/*").then(|| comment_end(sql, at)).flatten()
        {
            at = end;
        } else {
            return at;
        }
    }
}

/// The text from its first word on.
pub(super) fn without_comments_before(sql: &str) -> &str {
    sql[skip_blank(sql, 0)..].trim_end()
}

/// Byte after the block comment that begins at `at`; comments nest.
fn comment_end(sql: &str, at: usize) -> Option<usize> {
    let bytes = sql.as_bytes();
    let (mut depth, mut at) = (0_usize, at);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Byte after the quoted thing that begins at `at`.
fn quote_end(sql: &str, at: usize, escapes: bool) -> Option<usize> {
    let bytes = sql.as_bytes();
    let quote = bytes[at];
    let mut at = at + 1;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return Some(at + 1);
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    None
}

/// The dollar quote's tag with both dollars, when one begins at `at`.
fn dollar_tag(sql: &str, at: usize) -> Option<&str> {
    let rest = &sql[at + 1..];
    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let named = rest[length..].starts_with('$') && !rest.starts_with(|c: char| c.is_ascii_digit());
    named.then(|| &sql[at..at + length + 2])
}

/// Counts what may hold semicolons within a CREATE: brackets (rules) and `BEGIN … END` (routines).
#[derive(Default)]
struct Nesting {
    words: usize,
    create: bool,
    routine: bool,
    brackets: usize,
    bodies: usize,
}

impl Nesting {
    fn word(&mut self, word: &str) {
        self.words += 1;
        match word.to_ascii_lowercase().as_str() {
            "create" if self.words == 1 => self.create = true,
            "function" | "procedure" if self.create && self.words <= 4 => self.routine = true,
            "begin" if self.routine => self.bodies += 1,
            "case" if self.bodies > 0 => self.bodies += 1,
            "end" if self.bodies > 0 => self.bodies -= 1,
            _ => {}
        }
    }

    fn open(&self) -> bool {
        self.create && self.brackets > 0 || self.bodies > 0
    }
}

/// The statement that begins at `start`.
fn cut(sql: &str, start: usize) -> Cut {
    let bytes = sql.as_bytes();
    let mut at = start;
    let mut doubt = None;
    let mut nesting = Nesting::default();
    let end = |at: usize, next: usize, how: End, doubt| Cut { end: at, next, how, doubt };
    let open = |what: &'static str, from: usize, doubt: Option<usize>| {
        let next = doubt.or_else(|| doubtful(sql, from, sql.len())).unwrap_or(sql.len());
        Cut { end: sql.len(), next, how: End::Open(what), doubt: None }
    };
    while at < bytes.len() {
        match bytes[at] {
            b'\'' | b'"' => {
                let escapes =
                    bytes[at] == b'\'' && at > start && matches!(bytes[at - 1], b'e' | b'E');
                let Some(close) = quote_end(sql, at, escapes) else {
                    return open("quote", at, doubt);
                };
                let close = close.min(sql.len());
                doubt = doubt.or_else(|| doubtful(sql, at, close));
                at = close;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = line_end(sql, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let Some(close) = comment_end(sql, at) else { return open("comment", at, doubt) };
                at = close;
            }
            b'$' => match dollar_tag(sql, at) {
                Some(tag) => {
                    let from = at + tag.len();
                    let Some(length) = sql[from..].find(tag) else {
                        return open("dollar quote", at, doubt);
                    };
                    at = from + length + tag.len();
                }
                None => at += 1,
            },
            b';' if nesting.open() => at += 1,
            b';' => return end(at, at + 1, End::Complete, doubt),
            b'\\' => return end(at, at, End::Meta, doubt),
            b'(' => (nesting.brackets, at) = (nesting.brackets + 1, at + 1),
            b')' => (nesting.brackets, at) = (nesting.brackets.saturating_sub(1), at + 1),
            byte if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 => {
                let rest = &sql[at..];
                let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
                let length = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
                nesting.word(&rest[..length]);
                at += length;
            }
            _ => at += 1,
        }
    }
    end(sql.len(), sql.len(), End::Complete, doubt)
}

/// Byte after the first semicolon in the range that ends a line.
fn doubtful(sql: &str, from: usize, to: usize) -> Option<usize> {
    let mut at = from;
    while let Some(length) = sql[at..to].find(';') {
        at += length + 1;
        let rest = sql[at..].trim_start_matches([' ', '\t', '\r']);
        if rest.starts_with('\n') {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FileError, FileStatement, split};

    /// Statements as `line text`, errors as `line !reason`.
    fn shown(sql: &str) -> Vec<String> {
        let show = |found: &Result<FileStatement, FileError>| match found {
            Ok(statement) => format!("{} {}", statement.line, statement.text),
            Err(error) => format!("{} !{}", error.line, error.reason),
        };
        split(sql).iter().map(show).collect()
    }

    #[test]
    fn statements_with_their_lines() {
        let sql = "-- first\nSELECT 1;\n\n/* a /* nested */ comment; */ SELECT ';' AS \"a;b\" -- end;\n, 2;;\nSELECT 3";
        assert_eq!(
            shown(sql),
            ["2 SELECT 1", "4 SELECT ';' AS \"a;b\" -- end;\n, 2", "6 SELECT 3"]
        );
        assert!(split(" \n-- nothing\n;").is_empty());
    }

    #[test]
    fn quotes_of_all_kinds() {
        let sql = "SELECT $$;$$, $a$ $$;' $a$, $1;SELECT E'\\';', 'it''s;';SELECT a$b$c FROM t;";
        assert_eq!(
            shown(sql),
            [
                "1 SELECT $$;$$, $a$ $$;' $a$, $1",
                "1 SELECT E'\\';', 'it''s;'",
                "1 SELECT a$b$c FROM t"
            ]
        );
    }

    #[test]
    fn an_error_costs_its_statement_only() {
        let sql = "SELECT 1;\nSELEC 2;\nSELECT (3;\nSELECT 4;\n";
        assert_eq!(
            shown(sql),
            [
                "1 SELECT 1",
                "2 !syntax error at or near \"SELEC\"",
                "3 !syntax error at end of input",
                "4 SELECT 4"
            ]
        );
    }

    #[test]
    fn a_missing_quote_costs_its_statement_only() {
        let sql = "SELECT 'open;\nSELECT 'b', 2;\nSELECT 3;\n";
        let found = shown(sql);
        assert!(found[0].starts_with("1 !"), "{found:?}");
        assert_eq!(found[1..], ["2 SELECT 'b', 2", "3 SELECT 3"]);
        let sql = "SELECT 1;\nSELECT $$ open;\nSELECT 2;";
        assert_eq!(shown(sql), ["1 SELECT 1", "2 !unterminated dollar quote", "3 SELECT 2"]);
        assert_eq!(shown("SELECT /* open"), ["1 !unterminated comment"]);
    }

    #[test]
    fn psql_commands_are_named() {
        let sql = "\\set ON_ERROR_STOP on\nSELECT 1 \\g\nSELECT 2;\n\\echo done\n";
        assert_eq!(
            shown(sql),
            [
                "1 !psql's own command \\set is no SQL",
                "2 SELECT 1",
                "3 SELECT 2",
                "4 !psql's own command \\echo is no SQL"
            ]
        );
    }

    #[test]
    fn copy_data_is_passed_over() {
        let sql = "COPY t FROM stdin;\n1\tit's\n2\t;\n\\.\nSELECT 1;\nCOPY t FROM '/x';\nSELECT 2;";
        assert_eq!(
            shown(sql),
            ["1 COPY t FROM stdin", "5 SELECT 1", "6 COPY t FROM '/x'", "7 SELECT 2"]
        );
    }

    #[test]
    fn routine_bodies_and_rules_stay_whole() {
        let body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END";
        assert_eq!(
            shown(&format!("{body}; SELECT 1;")),
            [format!("1 {body}"), "1 SELECT 1".to_owned()]
        );
        let rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)";
        assert_eq!(
            shown(&format!("{rule};BEGIN;COMMIT;")),
            [format!("1 {rule}"), "1 BEGIN".to_owned(), "1 COMMIT".to_owned()]
        );
    }

    proptest! {
        #[test]
        fn any_file_is_split(sql in "[ -~\\n\u{e9}]{0,80}") {
            let _ = split(&sql);
        }

        #[test]
        fn soup_is_split(words in prop::collection::vec(prop::sample::select(vec![
            "SELECT", "'", "\"", "$$", "$a$", ";", ";\n", "\n", "--", "/*", "*/", "\\", "E'", "é", "CREATE", "FUNCTION", "BEGIN", "END", "(", ")", "1", "COPY t FROM stdin;\n", "\\.\n",
        ]), 0..25)) {
            let lines = split(&words.join(" "));
            prop_assert!(lines.len() <= words.len() + 1);
        }
    }
}
