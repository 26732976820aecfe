//! The literals of a text, by the parameters of its normalized form.

use std::collections::BTreeMap;

use super::parse::{self, Lexeme, Token};

/// What stands in a text in place of one parameter: several literals where it stands for a list, `None` for NULL.
pub type Literals = Vec<Option<String>>;

/// Reads the values of `normalized`'s parameters out of `text`, a statement with the same fingerprint. Lists may
/// differ in length. A parameter in whose place `text` has a parameter too is left out; `None` when the texts do
/// not match.
pub fn align(normalized: &str, text: &str) -> Option<BTreeMap<u16, Literals>> {
    let mut pair =
        Pair { one: Side::new(normalized)?, other: Side::new(text)?, found: BTreeMap::new() };
    while pair.one.at < pair.one.tokens.len() {
        pair.step()?;
    }
    let rest = pair.other.tokens.get(pair.other.at..)?;
    rest.iter().all(|token| token.token == Token::Ascii59).then_some(pair.found)
}

/// An expression with literals in place of some of its parameters; text values, quoted here.
pub fn with_literals(sql: &str, values: &BTreeMap<u16, String>) -> Option<String> {
    let mut written = String::new();
    let mut copied = 0;
    for token in parse::tokens(sql).ok()?.iter().filter(|token| token.token == Token::Param) {
        let number: u16 = sql.get(token.start + 1..token.end)?.parse().ok()?;
        if let Some(value) = values.get(&number) {
            written.push_str(sql.get(copied..token.start)?);
            written.push_str(&crate::quote::literal(value));
            copied = token.end;
        }
    }
    written.push_str(sql.get(copied..)?);
    Some(written)
}

/// One of the two texts and how far it is read.
struct Side<'t> {
    text: &'t str,
    tokens: Vec<Lexeme>,
    at: usize,
}

impl<'t> Side<'t> {
    fn new(text: &'t str) -> Option<Self> {
        let mut tokens = parse::tokens(text).ok()?;
        tokens.retain(|token| !matches!(token.token, Token::SqlComment | Token::CComment));
        while tokens.last().is_some_and(|token| token.token == Token::Ascii59) {
            tokens.pop();
        }
        Some(Self { text, tokens, at: 0 })
    }

    fn kind(&self) -> Option<Token> {
        self.tokens.get(self.at).map(|token| token.token)
    }

    fn source(&self) -> &'t str {
        self.tokens
            .get(self.at)
            .and_then(|token| self.text.get(token.start..token.end))
            .unwrap_or_default()
    }
}

struct Pair<'t> {
    one: Side<'t>,
    other: Side<'t>,
    found: BTreeMap<u16, Literals>,
}

impl Pair<'_> {
    fn step(&mut self) -> Option<()> {
        match (self.one.kind()?, self.other.kind()) {
            (Token::Param, Some(_)) => self.parameter(),
            // The text's list is the longer one: its further elements belong to the last parameter.
            (Token::Ascii41, Some(Token::Ascii44)) => {
                self.other.at += 1;
                let last = self.last_parameter()?;
                let value = self.literal()?;
                if let Some(value) = value {
                    self.found.entry(last).or_default().push(value);
                }
                Some(())
            }
            // The text's list is the shorter one: further parameters have no value there.
            (Token::Ascii44, Some(Token::Ascii41)) => {
                self.one.at += 1;
                (self.one.kind()? == Token::Param).then(|| self.one.at += 1)
            }
            (one, Some(other)) => {
                let (mine, yours) = (self.one.source(), self.other.source());
                // A literal that both kept (GROUP BY) may differ between texts of one fingerprint.
                let same = one == other && (literal(one) || mine.eq_ignore_ascii_case(yours));
                if !same {
                    return None;
                }
                self.one.at += 1;
                self.other.at += 1;
                Some(())
            }
            _ => None,
        }
    }

    fn number(&self) -> Option<u16> {
        self.one.source().strip_prefix('$')?.parse().ok()
    }

    fn last_parameter(&self) -> Option<u16> {
        let token = self
            .one
            .tokens
            .get(self.one.at.checked_sub(1)?)
            .filter(|token| token.token == Token::Param)?;
        self.one.text.get(token.start + 1..token.end)?.parse().ok()
    }

    fn parameter(&mut self) -> Option<()> {
        let number = self.number()?;
        self.one.at += 1;
        if let Some(value) = self.literal()? {
            let value = value.map(|value| self.with_unit(value));
            self.found.insert(number, vec![value]);
        }
        Some(())
    }

    /// `interval '90' day`: the field behind the literal is its unit, without which it would be seconds.
    fn with_unit(&self, value: String) -> String {
        let field = self.one.kind().is_some_and(unit_behind);
        let bare = value.parse::<f64>().is_ok();
        if field && bare { format!("{value} {}", self.one.source()) } else { value }
    }

    /// Reads a literal: `None` when there is none, an inner `None` for a parameter.
    #[expect(
        clippy::option_option,
        reason = "no literal, a parameter in its place, and NULL are three things"
    )]
    fn literal(&mut self) -> Option<Option<Option<String>>> {
        let negative = self.other.source() == "-";
        if negative {
            self.other.at += 1;
        }
        let source = self.other.source();
        let value = match self.other.kind()? {
            Token::Iconst | Token::Fconst if negative => Some(Some(format!("-{source}"))),
            _ if negative => return None,
            Token::Iconst | Token::Fconst => Some(Some(source.to_owned())),
            Token::Sconst => Some(Some(unquoted(source)?)),
            Token::Bconst | Token::Xconst => {
                Some(Some(source.get(2..source.len() - 1)?.to_owned()))
            }
            Token::TrueP => Some(Some("true".to_owned())),
            Token::FalseP => Some(Some("false".to_owned())),
            Token::NullP => Some(None),
            Token::Param => None,
            // The field of an EXTRACT.
            _ if self.other.tokens.get(self.other.at)?.keyword => {
                Some(Some(source.to_ascii_lowercase()))
            }
            Token::Ident => Some(Some(source.to_owned())),
            _ => return None,
        };
        self.other.at += 1;
        Some(value)
    }
}

fn literal(token: Token) -> bool {
    matches!(
        token,
        Token::Sconst
            | Token::Iconst
            | Token::Fconst
            | Token::Bconst
            | Token::Xconst
            | Token::TrueP
            | Token::FalseP
    )
}

/// Whether it is a unit behind a literal, which makes an interval of it: `'90' day`.
pub(super) fn unit_behind(token: Token) -> bool {
    use Token::{DayP, HourP, MinuteP, MonthP, SecondP, YearP};
    matches!(token, YearP | MonthP | DayP | HourP | MinuteP | SecondP)
}

/// The text that a string literal stands for.
pub(super) fn unquoted(source: &str) -> Option<String> {
    if let Some(inner) = source.strip_prefix('\'') {
        return Some(inner.strip_suffix('\'')?.replace("''", "'"));
    }
    if source.starts_with('$') {
        let tag = source.get(1..)?.find('$')? + 2;
        return source.get(tag..source.len().checked_sub(tag)?).map(str::to_owned);
    }
    let inner = source.strip_prefix(['E', 'e'])?.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                chars.next();
                text.push('\'');
            }
            '\\' => text.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                // Numbered characters are rare enough to do without such an example.
                'x' | 'u' | 'U' | '0'..='7' => return None,
                other => other,
            }),
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{align, with_literals};

    /// Values as `number=value|value`.
    fn shown(normalized: &str, text: &str) -> Option<Vec<String>> {
        let found = align(normalized, text)?;
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
        Some(
            found
                .iter()
                .map(|(number, values)| {
                    format!("{number}={}", values.iter().map(show).collect::<Vec<_>>().join("|"))
                })
                .collect(),
        )
    }

    #[test]
    fn literals_of_all_kinds() {
        let found = shown(
            "SELECT a FROM t WHERE b = $1 AND c > $2 AND d IN ($3, $4) AND e = $5 AND f = $6 AND g = $7",
            "select a from T where b = 'it''s' and c > -5.5 and d in (1, 2) and e = E'a\\tb' and f = true and g = $$x'y$$;",
        );
        assert_eq!(found.unwrap(), ["1=it's", "2=-5.5", "3=1", "4=2", "5=a\tb", "6=true", "7=x'y"]);
    }

    #[test]
    fn lists_may_differ_in_length() {
        let normalized = "SELECT 1 FROM t WHERE a IN ($1, $2) AND b = $3";
        assert_eq!(
            shown(normalized, "SELECT 1 FROM t WHERE a IN (1, 2, 3, 4) AND b = 5").unwrap(),
            ["1=1", "2=2|3|4", "3=5"]
        );
        assert_eq!(
            shown(normalized, "SELECT 1 FROM t WHERE a IN (1) AND b = 5").unwrap(),
            ["1=1", "3=5"]
        );
        assert_eq!(
            shown(
                "SELECT 1 FROM t WHERE a IN ($1 /*, ... */)",
                "SELECT 1 FROM t WHERE a IN (1, 2)"
            )
            .unwrap(),
            ["1=1|2"]
        );
    }

    #[test]
    fn an_interval_keeps_its_unit() {
        assert_eq!(
            shown(
                "SELECT interval $1 day, interval $2",
                "SELECT interval '90' day, interval '1 hour'"
            )
            .unwrap(),
            ["1=90 day", "2=1 hour"]
        );
    }

    #[test]
    fn what_has_no_value_is_left_out() {
        assert_eq!(
            shown(
                "SELECT 1 FROM t WHERE a = $1 AND b = $2",
                "SELECT 1 FROM t WHERE a = $1 AND b = NULL"
            )
            .unwrap(),
            ["2=NULL"]
        );
        assert_eq!(
            shown("SELECT extract($1 from a) FROM t", "SELECT extract(YEAR from a) FROM t")
                .unwrap(),
            ["1=year"]
        );
    }

    #[test]
    fn literals_take_the_place_of_parameters() {
        let values = [(2, "it's".to_owned())].into();
        assert_eq!(with_literals("(a -> $1) ->> $2", &values).unwrap(), "(a -> $1) ->> 'it''s'");
    }

    #[test]
    fn other_statements_do_not_match() {
        assert_eq!(shown("SELECT 1 FROM t WHERE a = $1", "SELECT 1 FROM u WHERE a = 1"), None);
        assert_eq!(
            shown("SELECT 1 FROM t WHERE a = $1", "SELECT 1 FROM t WHERE a = 1 LIMIT 5"),
            None
        );
        assert_eq!(shown("SELECT 1 FROM t WHERE a = $1", "SELECT 1 FROM t WHERE a ="), None);
    }
}
