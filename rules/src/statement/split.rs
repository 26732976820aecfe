//! Cuts a file of statements into its statements.

use super::parse::{self, Lexeme, Token};

/// The statements of a text, each without the comments around it and without its semicolon.
///
/// Cuts by tokens, not by syntax, so that one statement that does not parse spoils no other. A text that
/// cannot be cut even so (a quote is left open) is one piece.
pub fn split(text: &str) -> Vec<&str> {
    let Ok(tokens) = parse::tokens(text) else { return vec![text.trim()] };
    let mut pieces = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    let mut depth = Depth::default();
    for lexeme in tokens.iter().filter(|lexeme| !is_comment(lexeme.token)) {
        depth.follow(lexeme);
        if lexeme.token == Token::Ascii59 && depth.is_zero() {
            pieces.extend(open.take());
        } else {
            open = Some((open.map_or(lexeme.start, |(start, _)| start), lexeme.end));
        }
    }
    pieces.extend(open);
    pieces.into_iter().filter_map(|(start, end)| text.get(start..end)).collect()
}

fn is_comment(token: Token) -> bool {
    matches!(token, Token::SqlComment | Token::CComment)
}

/// How deep in parentheses and in the body of a function (`BEGIN ATOMIC … END`) a token stands.
#[derive(Default)]
struct Depth {
    parentheses: usize,
    /// Bodies, and within them the CASEs, which end in END as well.
    blocks: usize,
    after_begin: bool,
}

impl Depth {
    fn follow(&mut self, lexeme: &Lexeme) {
        match lexeme.token {
            Token::Ascii40 => self.parentheses += 1,
            Token::Ascii41 => self.parentheses = self.parentheses.saturating_sub(1),
            Token::Atomic if self.after_begin => self.blocks += 1,
            Token::Case if self.blocks > 0 => self.blocks += 1,
            Token::EndP => self.blocks = self.blocks.saturating_sub(1),
            _ => {}
        }
        self.after_begin = lexeme.token == Token::BeginP;
    }

    fn is_zero(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn semicolons_part_statements_and_nothing_else_does() {
        assert_eq!(
            split("SELECT 1; SELECT ';' -- ; \n, $$;$$ ;;\n/* ; */ SELECT 2 -- end"),
            ["SELECT 1", "SELECT ';' -- ; \n, $$;$$", "SELECT 2"]
        );
        assert_eq!(
            split("CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1")
                .len(),
            2
        );
        let body = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END";
        assert_eq!(split(&format!("{body}; SELECT 1")), [body, "SELECT 1"]);
        assert_eq!(
            split("BEGIN; SELECT 1; END; SELECT 2"),
            ["BEGIN", "SELECT 1", "END", "SELECT 2"]
        );
    }

    #[test]
    fn what_does_not_parse_spoils_no_other() {
        assert_eq!(
            split("SELEC 1; SELECT 'ä'; WHERE x = ?"),
            ["SELEC 1", "SELECT 'ä'", "WHERE x = ?"]
        );
        assert_eq!(split("SELECT 'open; SELECT 1"), ["SELECT 'open; SELECT 1"]);
    }

    #[test]
    fn nothing_gives_nothing() {
        for text in ["", " \n", ";", "-- only a comment\n", "/* a */ ; -- b"] {
            assert_eq!(split(text), [""; 0], "{text}");
        }
    }
}
