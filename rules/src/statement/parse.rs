//! The one module that calls `pg_query`, the server's own grammar.
//!
//! Everything that another module needs of it is asked for here, so that its options (above all the one that
//! keeps relation names in a fingerprint) are chosen in one place. The C code guards its own stack and the
//! decoder stops at a hundred nested messages; both are answered with [`Unanalyzable::TooDeep`].

pub(super) use pg_query::NodeEnum;
pub(super) use pg_query::protobuf as pg;
pub(super) use pg_query::protobuf::Token;

use super::Unanalyzable;

/// A token of a text: bytes `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lexeme {
    /// First byte.
    pub(super) start: usize,
    /// Byte after the last.
    pub(super) end: usize,
    /// Its kind.
    pub(super) token: Token,
    /// Whether it is a keyword.
    pub(super) keyword: bool,
    /// Whether it is a keyword that can be a column's name without quotes (`key`, `value`, `first`).
    pub(super) name: bool,
}

/// The statements of a text as syntax trees.
pub(super) fn statements(text: &str) -> Result<Vec<pg::RawStmt>, Unanalyzable> {
    let parsed =
        pg_query::parse(text, pg_query::ParserOptions::DEFAULT).map_err(|error| refusal(&error))?;
    Ok(parsed.protobuf.stmts)
}

/// The one statement of a text as a syntax tree.
pub(super) fn statement(text: &str) -> Result<NodeEnum, Unanalyzable> {
    let mut all = statements(text)?;
    if all.len() != 1 {
        return Err(Unanalyzable::NotOne(all.len()));
    }
    all.pop().and_then(|raw| raw.stmt).and_then(|node| node.node).ok_or(Unanalyzable::NotOne(0))
}

/// The one statement of a text as a tree of plain values, for those who look for something anywhere in it.
pub(crate) fn syntax_tree(text: &str) -> Result<serde_json::Value, Unanalyzable> {
    serde_json::to_value(statement(text)?).map_err(|error| Unanalyzable::Syntax(error.to_string()))
}

/// A syntax tree as text.
pub(super) fn print(statement: &NodeEnum) -> Result<String, Unanalyzable> {
    statement.deparse(pg_query::DeparseOptions::default()).map_err(|error| refusal(&error))
}

/// What can be told of a text without its tree, which takes a tenth of the time.
pub(super) struct Outline {
    /// Kinds of the statements in it, each once, the outermost first.
    pub(super) kinds: Vec<String>,
    /// Schema (may be empty) and name of each relation in it, common table expressions left out.
    pub(super) tables: Vec<(String, String)>,
}

/// The outline of a text.
pub(super) fn outline(text: &str) -> Result<Outline, Unanalyzable> {
    const WHOLE: i32 = -1;
    let summary = pg_query::summary(text, pg_query::ParserOptions::DEFAULT, WHOLE)
        .map_err(|error| refusal(&error))?
        .protobuf;
    let tables =
        summary.tables.into_iter().map(|table| (table.schema_name, table.table_name)).collect();
    Ok(Outline { kinds: summary.statement_types, tables })
}

/// The fingerprint of a text: 16 hexadecimal digits, equal for texts that differ only in literals, parameter
/// numbers, aliases and layout. Schema and relation names count, and so do digits in them.
pub fn fingerprint(text: &str) -> Result<String, Unanalyzable> {
    // The default of libpg_query 18 takes an alias in place of the relation, so that three tables with one
    // alias would be one statement, and drops digits, so that `t10` and `t11` would be one table.
    let options = pg_query::FingerprintOptions::RANGEVAR_PG17_COMPAT
        | pg_query::FingerprintOptions::FULL_RELNAME;
    pg_query::fingerprint(text, pg_query::ParserOptions::DEFAULT, options)
        .map(|fingerprint| fingerprint.hex)
        .map_err(|error| refusal(&error))
}

/// The text with its literals replaced by `$n`.
pub(super) fn normalize(text: &str) -> Result<String, Unanalyzable> {
    pg_query::normalize(text).map_err(|error| refusal(&error))
}

/// The tokens of a text, comments included.
pub(super) fn tokens(text: &str) -> Result<Vec<Lexeme>, Unanalyzable> {
    // pg_query 18.1 makes a slice of a null pointer where there is no token at all.
    if text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')) {
        return Ok(Vec::new());
    }
    let scanned = pg_query::scan_tokens(text).map_err(|error| refusal(&error))?;
    Ok(scanned
        .iter()
        .map(|token| Lexeme {
            start: usize::try_from(token.start).unwrap_or(0),
            end: usize::try_from(token.end).unwrap_or(0),
            token: token.token(),
            keyword: token.keyword_kind() != pg::KeywordKind::NoKeyword,
            name: token.keyword_kind() == pg::KeywordKind::UnreservedKeyword,
        })
        .collect())
}

/// What `pg_query`'s refusal means to us.
fn refusal(error: &pg_query::Error) -> Unanalyzable {
    let message = match error {
        pg_query::Error::Decode(_) => return Unanalyzable::TooDeep,
        pg_query::Error::Parse(message)
        | pg_query::Error::Scan(message)
        | pg_query::Error::Split(message) => message.clone(),
        other => other.to_string(),
    };
    let deep = ["stack depth limit exceeded", "memory exhausted", "nested too deeply"];
    if deep.iter().any(|words| message.contains(words)) {
        Unanalyzable::TooDeep
    } else {
        Unanalyzable::Syntax(message)
    }
}

#[cfg(test)]
mod tests {
    use super::{Unanalyzable, fingerprint, statement, tokens};

    #[test]
    fn literals_and_parameters_do_not_change_a_fingerprint() {
        let normalized =
            fingerprint("SELECT id FROM orders WHERE status = $1 AND total > $2").unwrap();
        assert_eq!(
            normalized,
            fingerprint("select id from orders where status = 'new' and total > 10").unwrap()
        );
        assert_eq!(normalized.len(), 16);
        assert!(normalized.chars().all(|c| c.is_ascii_hexdigit()));
    }

    #[test]
    fn relation_names_change_a_fingerprint_even_under_one_alias() {
        let of = |table: &str| {
            fingerprint(&format!("SELECT t.id FROM {table} t WHERE t.id = $1")).unwrap()
        };
        assert_ne!(of("orders"), of("users"));
        assert_ne!(of("a.orders"), of("b.orders"));
        assert_ne!(of("log_2024_10"), of("log_2024_11"));
    }

    #[test]
    fn aliases_do_not_change_a_fingerprint() {
        let of = |alias: &str| fingerprint(&format!("SELECT 1 FROM orders {alias}")).unwrap();
        assert_eq!(of("a"), of("b"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let deep = format!("SELECT {}1{}", "f(".repeat(10_000), ")".repeat(10_000));
        assert_eq!(statement(&deep), Err(Unanalyzable::TooDeep));
        assert_eq!(fingerprint(&deep), Err(Unanalyzable::TooDeep));
        let wide = format!("SELECT 1 FROM t WHERE a = 0{}", " OR a = 1".repeat(10_000));
        assert!(statement(&wide).is_ok());
        let chain = format!("SELECT 1{}", "+1".repeat(10_000));
        assert_eq!(statement(&chain), Err(Unanalyzable::TooDeep));
    }

    #[test]
    fn bad_texts_are_refused_with_the_servers_words() {
        let Err(Unanalyzable::Syntax(message)) = statement("SELEC 1") else { panic!("parsed") };
        assert!(message.contains("syntax error at or near \"SELEC\""), "{message}");
        assert!(matches!(statement("SELECT '\0'"), Err(Unanalyzable::Syntax(_))));
        assert!(matches!(tokens("SELECT 'open"), Err(Unanalyzable::Syntax(_))));
        assert_eq!(statement(""), Err(Unanalyzable::NotOne(0)));
        assert_eq!(tokens(" \n\t"), Ok(Vec::new()));
        assert_eq!(statement("SELECT 1; SELECT 2"), Err(Unanalyzable::NotOne(2)));
    }
}
