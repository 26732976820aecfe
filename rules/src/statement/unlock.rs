//! A statement without the clauses that lock rows (`FOR UPDATE` and its like), wherever they stand.

use super::parse::{self, Lexeme, NodeEnum, Token};
use super::walk::walk;

/// The statement without locks; itself when there are none, `None` when they cannot be told for certain.
///
/// A subquery that locks is planned by itself; so that it stays so without, it gets `OFFSET 0` where it has no LIMIT.
pub(super) fn unlock(text: &str) -> Option<String> {
    let locks = count(&parse::statement(text).ok()?);
    if locks == 0 {
        return Some(text.to_owned());
    }
    let mut lexemes = parse::tokens(text).ok()?;
    let comment = |lexeme: &Lexeme| matches!(lexeme.token, Token::SqlComment | Token::CComment);
    lexemes.retain(|lexeme| !comment(lexeme));
    let mut out = String::new();
    let (mut copied, mut at, mut found) = (0, 0, 0);
    while at < lexemes.len() {
        let Some(end) = clause(&lexemes, at) else {
            at += 1;
            continue;
        };
        out.push_str(&text[copied..lexemes[at].start]);
        if nested_without_limit(&lexemes, at) {
            out.push_str("OFFSET 0");
        }
        copied = lexemes[end - 1].end;
        (at, found) = (end, found + 1);
    }
    out.push_str(&text[copied..]);
    let out = out.trim_end().to_owned();
    let left = count(&parse::statement(&out).ok()?);
    (found == locks && left == 0).then_some(out)
}

/// How many clauses lock rows.
fn count(statement: &NodeEnum) -> usize {
    let mut found = 0;
    walk(statement, &mut |node| {
        if let NodeEnum::SelectStmt(select) = node {
            found += select.locking_clause.len();
        }
    });
    found
}

/// The token after the locking clause that begins at `at`.
fn clause(lexemes: &[Lexeme], at: usize) -> Option<usize> {
    let is = |at: usize, token: Token| lexemes.get(at).is_some_and(|lexeme| lexeme.token == token);
    if !is(at, Token::For) {
        return None;
    }
    let mut at = at + 1;
    for word in [Token::No, Token::Key] {
        at += usize::from(is(at, word));
    }
    if !is(at, Token::Update) && !is(at, Token::Share) {
        return None;
    }
    at += 1;
    if is(at, Token::Of) {
        at += 2;
        while is(at, Token::Ascii44) || is(at, Token::Ascii46) {
            at += 2;
        }
    }
    if is(at, Token::Nowait) {
        at += 1;
    } else if is(at, Token::Skip) && is(at + 1, Token::Locked) {
        at += 2;
    }
    Some(at.min(lexemes.len()))
}

/// Whether the place is within parentheses in which no LIMIT stands.
fn nested_without_limit(lexemes: &[Lexeme], at: usize) -> bool {
    let mut limited = false;
    let limits = |token: Token| matches!(token, Token::Limit | Token::Offset | Token::Fetch);
    let mut depth = 0;
    for lexeme in &lexemes[at..] {
        match lexeme.token {
            Token::Ascii40 => depth += 1,
            Token::Ascii41 if depth == 0 => break,
            Token::Ascii41 => depth -= 1,
            token => limited |= depth == 0 && limits(token),
        }
    }
    depth = 0;
    for lexeme in lexemes[..at].iter().rev() {
        match lexeme.token {
            Token::Ascii41 => depth += 1,
            Token::Ascii40 if depth == 0 => return !limited,
            Token::Ascii40 => depth -= 1,
            token => limited |= depth == 0 && limits(token),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::unlock;

    #[test]
    fn only_locks_are_left_out() {
        for (text, without) in [
            ("SELECT 1 FROM t", "SELECT 1 FROM t"),
            ("SELECT 1 FROM a, b FOR UPDATE OF a, b NOWAIT FOR KEY SHARE", "SELECT 1 FROM a, b"),
            ("SELECT substring(share FOR share) FROM t FOR /* x */ SHARE LIMIT 1", ""),
            (
                "SELECT 1 FROM t WHERE i IN (SELECT i FROM u FOR NO KEY UPDATE)",
                "SELECT 1 FROM t WHERE i IN (SELECT i FROM u OFFSET 0)",
            ),
            ("SELECT 'FOR UPDATE' FROM t", "SELECT 'FOR UPDATE' FROM t"),
        ] {
            assert_eq!(unlock(text).unwrap_or_default(), without, "{text}");
        }
    }
}
