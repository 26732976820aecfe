//! Where the literals of a text stand, and the text with others in their places.

use super::align::{unit_behind, unquoted};
use super::parse::{self, Lexeme, Token};

/// A literal of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// First byte, that of its sign included.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What it stands for; `None` for NULL, truth values and fields of EXTRACT, and where the lexer's escapes are
    /// beyond us.
    pub value: Option<String>,
    /// Whether it is written in quotes.
    pub quoted: bool,
    /// Whether it is an interval: `interval '7 days'`, `'7 days'::interval`, `'90' day`.
    pub interval: bool,
    /// The parameter that stands for it in the normalized text.
    pub parameter: u16,
}

/// The normalized form of a text and the literals that it has parameters for, in order; `None` when the text does
/// not parse.
pub fn literals(text: &str) -> Option<(String, Vec<Literal>)> {
    let normalized = parse::normalize(text).ok()?;
    let (mine, yours) = (lexemes(text)?, lexemes(&normalized)?);
    let source = |of: &str, token: &Lexeme| of.get(token.start..token.end).map(str::to_owned);
    let mut found = Vec::new();
    let mut at = 0;
    for token in &yours {
        let (here, wanted) = (mine.get(at)?, source(&normalized, token)?);
        if source(text, here)? == wanted {
            at += 1;
            continue;
        }
        let parameter = wanted.strip_prefix('$')?.parse().ok()?;
        let signed = source(text, here)? == "-";
        let literal = mine.get(at + usize::from(signed))?;
        let written = source(text, literal)?;
        let sign = if signed { "-" } else { "" };
        let value = match literal.token {
            Token::Iconst | Token::Fconst => Some(format!("{sign}{written}")),
            Token::Sconst => unquoted(&written),
            _ => None,
        };
        let before = at.checked_sub(1).and_then(|before| mine.get(before));
        at += usize::from(signed) + 1;
        let cast = mine.get(at).is_some_and(|token| token.token == Token::Typecast)
            && mine.get(at + 1).is_some_and(|token| token.token == Token::Interval);
        found.push(Literal {
            start: here.start,
            end: literal.end,
            value,
            quoted: literal.token == Token::Sconst,
            interval: cast
                || before.is_some_and(|token| token.token == Token::Interval)
                || mine.get(at).is_some_and(|token| unit_behind(token.token)),
            parameter,
        });
    }
    (at == mine.len()).then_some((normalized, found))
}

/// A text without its comments and with other texts in the place of some bytes, in ascending order.
pub fn rewritten(text: &str, pieces: &[(usize, usize, String)]) -> Option<String> {
    let tokens = parse::tokens(text).ok()?;
    let comments = tokens
        .iter()
        .filter(|token| comment(token))
        .map(|token| (token.start, token.end, " ".to_owned()));
    let mut all: Vec<(usize, usize, String)> = pieces.iter().cloned().chain(comments).collect();
    all.sort();
    let mut written = String::new();
    let mut copied = 0;
    for (start, end, piece) in all {
        written.push_str(text.get(copied..start)?);
        written.push_str(&piece);
        copied = end;
    }
    written.push_str(text.get(copied..)?);
    Some(written.trim().to_owned())
}

/// A constant in a definition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constant {
    /// What it stands for.
    pub value: String,
    /// Whether it is written in quotes.
    pub quoted: bool,
}

/// Types whose numbers in parentheses are no values.
const WITH_MODIFIERS: [Token; 10] = [
    Token::Varying,
    Token::Varchar,
    Token::Character,
    Token::CharP,
    Token::Numeric,
    Token::DecimalP,
    Token::Bit,
    Token::Timestamp,
    Token::Time,
    Token::Interval,
];

/// The strings and numbers in a definition or a part of one; what is no SQL has none.
pub fn constants(sql: &str) -> Vec<Constant> {
    let Some(tokens) = lexemes(sql) else { return Vec::new() };
    let mut found = Vec::new();
    let mut modifiers = false;
    for (at, token) in tokens.iter().enumerate() {
        let before =
            at.checked_sub(1).and_then(|before| tokens.get(before)).map(|token| token.token);
        match token.token {
            Token::Ascii40 => {
                modifiers = before.is_some_and(|token| WITH_MODIFIERS.contains(&token))
            }
            Token::Ascii41 => modifiers = false,
            _ => {}
        }
        let Some(written) = sql.get(token.start..token.end) else { continue };
        match token.token {
            Token::Sconst => {
                found.extend(unquoted(written).map(|value| Constant { value, quoted: true }));
            }
            Token::Iconst | Token::Fconst if !modifiers => {
                let sign = if before == Some(Token::Ascii45) { "-" } else { "" };
                found.push(Constant { value: format!("{sign}{written}"), quoted: false });
            }
            _ => {}
        }
    }
    found
}

fn lexemes(text: &str) -> Option<Vec<Lexeme>> {
    let mut tokens = parse::tokens(text).ok()?;
    tokens.retain(|token| !comment(token));
    Some(tokens)
}

fn comment(token: &Lexeme) -> bool {
    matches!(token.token, Token::SqlComment | Token::CComment)
}

#[cfg(test)]
mod tests {
    use super::{constants, literals, rewritten};

    fn shown(text: &str) -> Vec<String> {
        let (_, found) = literals(text).unwrap();
        found
            .iter()
            .map(|literal| {
                let value = literal.value.as_deref().unwrap_or("-");
                let interval = if literal.interval { " interval" } else { "" };
                let quoted = if literal.quoted { "'" } else { "" };
                assert!(text[literal.start..literal.end].len() >= value.len() || value == "-");
                format!("${}={quoted}{value}{quoted}{interval}", literal.parameter)
            })
            .collect()
    }

    #[test]
    fn literals_are_found_where_they_stand() {
        assert_eq!(
            shown(
                "SELECT a /* 'x' */ FROM t WHERE b = 'it''s' AND c IN (1, -2.5) AND d = $1 AND e = E'a\\nb'"
            ),
            ["$2='it's'", "$3=1", "$4=-2.5", "$5='a\nb'"]
        );
        assert_eq!(
            shown(
                "SELECT 1 FROM t WHERE a > now() - interval '7 days' AND b > now() - '3 h'::interval AND c"
            ),
            ["$1=1", "$2='7 days' interval", "$3='3 h' interval"]
        );
        assert_eq!(
            shown("SELECT date '2024-01-01' FROM t WHERE a = true"),
            ["$1='2024-01-01'", "$2=-"]
        );
        assert!(literals("SELEC 'x'").is_none());
    }

    #[test]
    fn texts_are_rewritten_without_their_comments() {
        let text = "/* who: ann */ SELECT 'x' -- y\nFROM t /* z */";
        let (_, found) = literals(text).unwrap();
        let pieces = [(found[0].start, found[0].end, "'b'".to_owned())];
        assert_eq!(rewritten(text, &pieces).unwrap(), "SELECT 'b'  \nFROM t");
    }

    #[test]
    fn constants_of_definitions() {
        let found = constants(
            "((status)::character varying(20) = 'new'::text) AND (n > '-5'::integer) AND (m = -3) AND (p = 1.5)",
        );
        let shown: Vec<&str> = found.iter().map(|constant| constant.value.as_str()).collect();
        assert_eq!(shown, ["new", "-5", "-3", "1.5"]);
        assert_eq!(constants("'open"), []);
    }
}
