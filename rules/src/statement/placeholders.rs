//! Parameters as drivers and mappers write them: `?`, `:name`, `%s`, `%(name)s`, `@name`, into `$1` …
//!
//! Told by where a token stands, among the tokens of the server's own lexer (so never within strings, comments or
//! dollar quotes): `?` between two operands is an operator of jsonb, and one where an operand has to stand is a
//! parameter. A colon in a subscript is a slice, `::` is one token of its own, and `%` and `@` between operands are
//! operators. What comes out has to parse, or nothing is changed.

use std::collections::BTreeMap;

use super::parse::{self, Lexeme, Token};

/// A text with its parameters as `$n`, and the spellings that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Translated {
    /// The text.
    pub(super) text: String,
    /// How the first parameter was written: `?`, `:name` …
    pub(super) style: &'static str,
}

/// Operators that are written with no space before a parameter (`a=?`).
const GLUED: &[&str] = &["=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "/", "%", "||"];
/// The same where `<%` and `<@` are operators of their own.
const GLUED_STRICTLY: &[&str] = &["=", "<=", ">=", "<>", "!="];

/// The text with `$n` for its placeholders; `None` where it has none, or does not parse so either.
///
/// A text that parses as it is keeps what can be an operator: only a `?` and an `@name` where an operand has to stand
/// are taken for parameters then, as no prefix operator `?` exists, and `@ name` is the absolute value of a column,
/// which the rest of the statement names without the sign if it names it at all.
pub(super) fn translate(text: &str) -> Option<Translated> {
    if !text.contains(['?', ':', '%', '@']) {
        return None;
    }
    let all = parse::tokens(text).ok()?;
    let comment = |token: &Lexeme| matches!(token.token, Token::SqlComment | Token::CComment);
    let tokens: Vec<Lexeme> = all.into_iter().filter(|token| !comment(token)).collect();
    let parses = parse::outline(text).is_ok();
    let mut reader = Reader::new(text, &tokens, parses);
    while reader.step() {}
    let style = reader.style?;
    let text = reader.finish();
    parse::outline(&text).is_ok().then_some(Translated { text, style })
}

struct Reader<'t> {
    text: &'t str,
    tokens: &'t [Lexeme],
    /// Whether the text parses as it is.
    parses: bool,
    /// The token to look at next.
    at: usize,
    /// Whether an operand ends before it.
    operand: bool,
    /// For each open square bracket whether it is that of `ARRAY[…]`; parentheses are none.
    brackets: Vec<bool>,
    /// Bytes copied so far.
    copied: usize,
    out: String,
    named: BTreeMap<String, u16>,
    next: u16,
    style: Option<&'static str>,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, tokens: &'t [Lexeme], parses: bool) -> Self {
        let numbers = tokens.iter().filter(|token| token.token == Token::Param);
        let numbers =
            numbers.filter_map(|token| text.get(token.start + 1..token.end)?.parse().ok());
        let next = numbers.max().map_or(1, |most: u16| most.saturating_add(1));
        Self {
            text,
            tokens,
            parses,
            at: 0,
            operand: false,
            brackets: Vec::new(),
            copied: 0,
            out: String::with_capacity(text.len() + 16),
            named: BTreeMap::new(),
            next,
            style: None,
        }
    }

    fn step(&mut self) -> bool {
        let Some(token) = self.tokens.get(self.at).copied() else { return false };
        let length = match self.source(self.at) {
            ":" => self.colon(),
            "%" => self.percent(token.start),
            text if token.token == Token::Op || matches!(text, "@" | "?") => {
                self.operator(token, text)
            }
            _ => 0,
        };
        if length > 0 {
            self.at += length;
            self.operand = true;
        } else {
            self.pass(token);
            self.at += 1;
        }
        true
    }

    /// Takes notice of a token that stays.
    fn pass(&mut self, token: Lexeme) {
        match token.token {
            Token::Ascii91 => {
                let array = self.at > 0 && self.tokens[self.at - 1].token == Token::Array;
                self.brackets.push(array);
            }
            Token::Ascii40 => self.brackets.push(true),
            Token::Ascii93 | Token::Ascii41 => _ = self.brackets.pop(),
            _ => {}
        }
        self.operand = ends_operand(token) && !self.types_a_literal();
    }

    /// Whether the token is a word before a typed literal, as in `date ?`, or one that a count follows.
    fn types_a_literal(&self) -> bool {
        let word = self.source(self.at);
        ["date", "timestamptz", "first", "next"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
    }

    fn source(&self, index: usize) -> &'t str {
        self.tokens.get(index).and_then(|token| self.text.get(token.start..token.end)).unwrap_or("")
    }

    /// Whether a token follows the one before it without a space.
    fn adjacent(&self, index: usize) -> bool {
        index > 0 && self.tokens.get(index).is_some_and(|t| t.start == self.tokens[index - 1].end)
    }

    fn word(&self, index: usize) -> bool {
        self.tokens.get(index).is_some_and(|t| t.token == Token::Ident || t.keyword)
    }

    /// `:name`, `:1`, `:'name'`; not within a subscript, where it is a slice, nor behind an operand.
    fn colon(&mut self) -> usize {
        let slice = self.brackets.last().is_some_and(|array| !array);
        let name = self.at + 1;
        let known = self.word(name)
            || self
                .tokens
                .get(name)
                .is_some_and(|t| matches!(t.token, Token::Iconst | Token::Sconst));
        if self.operand || slice || !known || !self.adjacent(name) {
            return 0;
        }
        let name = self.source(name).trim_matches('\'').to_owned();
        self.put(self.tokens[self.at].start, self.tokens[self.at + 1].end, Some(name), ":name");
        2
    }

    /// `%s` and `%(name)s`, with the percent sign at `start`.
    fn percent(&mut self, start: usize) -> usize {
        if self.operand {
            return 0;
        }
        let kind = |index: usize| {
            self.adjacent(index) && matches!(self.source(index), "s" | "b" | "t" | "d" | "i")
        };
        if kind(self.at + 1) {
            self.put(start, self.tokens[self.at + 1].end, None, "%s");
            return 2;
        }
        let brackets = self.source(self.at + 1) == "(" && self.source(self.at + 3) == ")";
        if brackets && self.word(self.at + 2) && self.adjacent(self.at + 1) && kind(self.at + 4) {
            let name = self.source(self.at + 2).to_owned();
            self.put(start, self.tokens[self.at + 4].end, Some(name), "%(name)s");
            return 5;
        }
        0
    }

    /// `?` and `@name`, also with an operator before or behind them that the lexer takes for one with them.
    fn operator(&mut self, token: Lexeme, text: &'t str) -> usize {
        if text == "?" {
            let between = self.operand && starts_operand(self.tokens.get(self.at + 1));
            if between {
                return 0;
            }
            self.put(token.start, token.end, None, "?");
            return 1;
        }
        if let Some(before) = text.strip_suffix('@')
            && (before.is_empty() && !self.operand || GLUED_STRICTLY.contains(&before))
        {
            return self.at_name(token.end - 1);
        }
        if let Some(before) = text.strip_suffix('%')
            && GLUED_STRICTLY.contains(&before)
        {
            self.operand = false;
            return self.percent(token.end - 1);
        }
        self.glued(token, text)
    }

    /// `=?`, `?||`, `?+?`.
    fn glued(&mut self, token: Lexeme, text: &str) -> usize {
        let front = !self.operand && text.starts_with('?');
        let back = text.len() > 1 && text.ends_with('?');
        let inner = &text[usize::from(front)..text.len() - usize::from(back)];
        // The geometric `?-` is the one prefix operator among them.
        let own = self.parses && (back || inner == "-");
        if !(front || back) || own || !GLUED.contains(&inner) {
            return 0;
        }
        if front {
            self.put(token.start, token.start + 1, None, "?");
        }
        if back {
            self.put(token.end - 1, token.end, None, "?");
            return 1;
        }
        // What stays of it is an operator: the next token begins an operand.
        self.at += 1;
        self.operand = false;
        usize::from(!self.step())
    }

    /// `@name`, with the sign at `start`, unless the statement has a column of that name.
    fn at_name(&mut self, start: usize) -> usize {
        let name = self.at + 1;
        if !self.word(name) || !self.adjacent(name) {
            return 0;
        }
        let written = self.source(name);
        let signed = |index: usize| {
            index > 0 && self.adjacent(index) && self.source(index - 1).ends_with('@')
        };
        let bare = |index: &usize| self.source(*index) == written && !signed(*index);
        if (0..self.tokens.len()).any(|index| bare(&index)) {
            return 0;
        }
        self.put(start, self.tokens[name].end, Some(written.to_owned()), "@name");
        2
    }

    /// Writes `$n` in place of the bytes `start..end`; one name keeps one number.
    fn put(&mut self, start: usize, end: usize, name: Option<String>, style: &'static str) {
        let fresh = self.next;
        let number = match name {
            Some(name) => *self.named.entry(name).or_insert(fresh),
            None => fresh,
        };
        if number == fresh {
            self.next = self.next.saturating_add(1);
        }
        self.out.push_str(self.text.get(self.copied..start).unwrap_or_default());
        // `=$1` is fine, `a$1` would be a name.
        if self.out.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            self.out.push(' ');
        }
        self.out.push('$');
        self.out.push_str(&number.to_string());
        if self.text.get(end..).is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric()))
        {
            self.out.push(' ');
        }
        self.copied = end;
        self.style.get_or_insert(style);
    }

    fn finish(mut self) -> String {
        self.out.push_str(self.text.get(self.copied..).unwrap_or_default());
        self.out
    }
}

/// Whether an operand can end with the token.
fn ends_operand(token: Lexeme) -> bool {
    use Token::{
        Ascii41, Ascii93, Bconst, CurrentDate, CurrentTimestamp, CurrentUser, EndP, FalseP, Fconst,
        Iconst, Ident, Localtimestamp, NullP, Param, Sconst, TrueP, Uident, Usconst, Xconst,
    };
    let ends = [
        Ascii41,
        Ascii93,
        Bconst,
        CurrentDate,
        CurrentTimestamp,
        CurrentUser,
        EndP,
        FalseP,
        Fconst,
        Iconst,
        Ident,
        Localtimestamp,
        NullP,
        Param,
        Sconst,
        TrueP,
        Uident,
        Usconst,
        Xconst,
    ];
    ends.contains(&token.token) || token.keyword && token.name
}

/// Whether an operand can begin with the token.
fn starts_operand(token: Option<&Lexeme>) -> bool {
    use Token::{Array, Ascii40, Ascii58, Case, Op};
    let closes = |t: &Lexeme| matches!(t.token, Token::Ascii41 | Token::Ascii93 | Token::EndP);
    token.is_some_and(|t| {
        matches!(t.token, Array | Ascii40 | Ascii58 | Case | Op) || ends_operand(*t) && !closes(t)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::split;
    use super::translate;

    #[track_caller]
    fn becomes(text: &str, expected: &str) {
        assert_eq!(translate(text).map(|known| known.text).as_deref(), Some(expected));
    }

    #[track_caller]
    fn stays(text: &str) {
        assert_eq!(translate(text), None, "{text}");
    }

    #[test]
    fn question_marks_where_an_operand_has_to_stand() {
        becomes(
            "SELECT a FROM t WHERE b = ? AND c IN (?, ?) LIMIT ? OFFSET ?",
            "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3) LIMIT $4 OFFSET $5",
        );
        becomes("INSERT INTO t VALUES (?,?)", "INSERT INTO t VALUES ($1,$2)");
        becomes("SELECT 1 FROM t WHERE a=?", "SELECT 1 FROM t WHERE a=$1");
        becomes("SELECT 1 FROM t WHERE a>=? and b=?", "SELECT 1 FROM t WHERE a>=$1 and b=$2");
        becomes("SELECT 1 FROM t WHERE a LIKE ?||'%'", "SELECT 1 FROM t WHERE a LIKE $1||'%'");
        becomes("SELECT 1 FROM t WHERE a = ?+?", "SELECT 1 FROM t WHERE a = $1+$2");
        becomes("SELECT 1 FROM t WHERE a = ?::int", "SELECT 1 FROM t WHERE a = $1::int");
        becomes("SELECT 1 FROM t WHERE a = ? + 1", "SELECT 1 FROM t WHERE a = $1 + 1");
        becomes(
            "SELECT 1 FROM t WHERE d >= date ? AND e < now() - interval ?",
            "SELECT 1 FROM t WHERE d >= date $1 AND e < now() - interval $2",
        );
        becomes("UPDATE t SET a = ? WHERE id = $2", "UPDATE t SET a = $3 WHERE id = $2");
        becomes(
            "SELECT 1 FROM t WHERE a BETWEEN ? AND ? -- why?\nORDER BY b",
            "SELECT 1 FROM t WHERE a BETWEEN $1 AND $2 -- why?\nORDER BY b",
        );
    }

    #[test]
    fn operators_of_jsonb_stay() {
        becomes(
            "SELECT 1 FROM t WHERE data ? 'key' AND id = ?",
            "SELECT 1 FROM t WHERE data ? 'key' AND id = $1",
        );
        becomes(
            "SELECT 1 FROM t WHERE data ?| array['a'] AND value ? key AND id IN (?)",
            "SELECT 1 FROM t WHERE data ?| array['a'] AND value ? key AND id IN ($1)",
        );
        becomes("SELECT 1 FROM t WHERE data ? ?", "SELECT 1 FROM t WHERE data ? $1");
        becomes("SELECT 1 FROM t WHERE data->'a' ? :k", "SELECT 1 FROM t WHERE data->'a' ? $1");
        stays("SELECT 1 FROM t WHERE data ? 'key' AND data @? '$.a' AND (data) ?& array['x']");
        stays("SELECT a ? b FROM t");
        stays("SELECT '?' FROM t WHERE a = 'what?' /* ? */ AND \"b?\" = $$?$$ -- ?");
    }

    #[test]
    fn names_behind_a_colon() {
        becomes(
            "SELECT 1 FROM t WHERE a = :id AND b > :low AND c = :id",
            "SELECT 1 FROM t WHERE a = $1 AND b > $2 AND c = $1",
        );
        becomes(
            "SELECT a::text, arr[1:2], ':x' FROM t WHERE b = :b::int AND c = ANY(ARRAY[:x, :y])",
            "SELECT a::text, arr[1:2], ':x' FROM t WHERE b = $1::int AND c = ANY(ARRAY[$2, $3])",
        );
        becomes("SELECT 1 FROM t WHERE a=:id", "SELECT 1 FROM t WHERE a=$1");
        becomes(
            "SELECT 1 FROM t WHERE a = :'id' LIMIT :1",
            "SELECT 1 FROM t WHERE a = $1 LIMIT $2",
        );
        stays("SELECT a::text, arr[1:n], arr[:n] FROM t");
        // A slice stays a slice even where a name behind a colon is a parameter elsewhere.
        becomes(
            "SELECT arr[low:high], arr[:high] FROM t WHERE a = :a",
            "SELECT arr[low:high], arr[:high] FROM t WHERE a = $1",
        );
    }

    #[test]
    fn percent_signs_of_python() {
        becomes(
            "SELECT 1 FROM t WHERE a = %s AND b=%s AND c % 2 = %s",
            "SELECT 1 FROM t WHERE a = $1 AND b=$2 AND c % 2 = $3",
        );
        becomes(
            "SELECT 1 FROM t WHERE a = %(id)s AND b IN (%(id)s, %(other)s)",
            "SELECT 1 FROM t WHERE a = $1 AND b IN ($1, $2)",
        );
        stays("SELECT a %s FROM t");
        stays("SELECT 1 FROM t WHERE name LIKE '%s' AND a % b = 1 AND a <% s");
    }

    #[test]
    fn names_behind_an_at_sign() {
        becomes(
            "SELECT 1 FROM t WHERE a = @p1 AND b=@p2 AND c > @p1",
            "SELECT 1 FROM t WHERE a = $1 AND b=$2 AND c > $1",
        );
        becomes(
            "SELECT 1 FROM t WHERE a = @__id_0 LIMIT @n",
            "SELECT 1 FROM t WHERE a = $1 LIMIT $2",
        );
        stays("SELECT @ x, @x FROM t");
        stays("SELECT @x FROM t WHERE x > 3");
        stays("SELECT 1 FROM t WHERE a <@b AND c @> d AND e @@ f AND 'a@b' = g");
    }

    #[test]
    fn what_does_not_parse_so_either_stays() {
        stays("SELEC a FROM t WHERE b = ?");
        stays("This is prose: is it not?");
        stays("SELECT 'open ?");
    }

    #[test]
    fn a_file_with_them_is_read() {
        let found = split("SELECT 1 FROM t WHERE a = ?;\nSELECT 2 FROM t WHERE a = :a;\nSELECT 3");
        let texts: Vec<_> = found.iter().flatten().map(|s| (s.text.as_str(), s.style)).collect();
        assert_eq!(
            texts,
            [
                ("SELECT 1 FROM t WHERE a = $1", Some("?")),
                ("SELECT 2 FROM t WHERE a = $1", Some(":name")),
                ("SELECT 3", None)
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1_000)))]

        #[test]
        fn soup_is_answered_with_what_parses(words in prop::collection::vec(prop::sample::select(vec![
            "SELECT", "a", "?", "=?", "?||", "?+?", ":", ":n", "::int", "%", "%s", "%(n)s", "@", "@p", "=@p", "FROM t", "WHERE",
            "=", "AND", "(", ")", "[", "]", "ARRAY[", ",", "'x'", "1", "$3", "é", "--", "\"", "date", "LIMIT", "é?", "?é", "=%s",
        ]), 0..14), glue in prop::sample::select(vec!["", " "])) {
            let text = words.join(glue);
            if let Some(found) = translate(&text) {
                prop_assert!(super::parse::outline(&found.text).is_ok());
            }
        }

        #[test]
        fn what_has_none_stays(low in 0..9_u8, high in 0..9_u8) {
            stays(&format!("SELECT arr[{low}:{high}], a ? 'x', b % {low}, c::int FROM t WHERE d @> e"));
        }
    }
}
