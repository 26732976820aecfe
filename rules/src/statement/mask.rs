//! A statement without its literals, for showing.

use super::parse::{self, Token};

/// The statement with its literals replaced by `$n`. Of a text that does not parse the literals become `?`; what
/// not even the lexer can read is not shown at all.
pub fn mask(text: &str) -> String {
    if let Ok(normalized) = parse::normalize(text) {
        return normalized;
    }
    let Ok(tokens) = parse::tokens(text) else { return "(a text that cannot be read)".to_owned() };
    let mut masked = String::new();
    let mut copied = 0;
    for token in tokens {
        use Token::{Bconst, Fconst, Iconst, Sconst, Usconst, Xconst};
        if matches!(token.token, Sconst | Usconst | Bconst | Xconst | Iconst | Fconst) {
            masked.push_str(text.get(copied..token.start).unwrap_or_default());
            masked.push('?');
            copied = token.end;
        }
    }
    masked.push_str(text.get(copied..).unwrap_or_default());
    masked
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn literals_are_masked() {
        assert_eq!(
            mask("SELECT a FROM t WHERE b = 'secret' AND c > 5"),
            "SELECT a FROM t WHERE b = $1 AND c > $2"
        );
        assert_eq!(
            mask("SELECT a FROM t WHERE b = $1 AND c = 'x'"),
            "SELECT a FROM t WHERE b = $1 AND c = $2"
        );
        assert_eq!(mask("SELECT WHERE FROM 'secret', 5"), "SELECT WHERE FROM ?, ?");
        assert_eq!(mask("SELECT 'secret"), "(a text that cannot be read)");
    }
}
