//! Names and literals as SQL, read back by the server's own grammar and by hand.

use proptest::prelude::*;
use rules::quote::{ident, literal, qualified};
use rules::statement::index_shape::IndexShape;

/// What the server makes of an identifier.
fn unquoted(sql: &str) -> String {
    match sql.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => {
            assert!(!inner.replace("\"\"", "").contains('"'), "a quote alone in {sql}");
            inner.replace("\"\"", "\"")
        }
        None => sql.to_lowercase(),
    }
}

/// What the server makes of a string literal, whatever `standard_conforming_strings` says.
fn value(sql: &str) -> String {
    let (escaped, body) = match sql.strip_prefix('E') {
        Some(body) => (true, body),
        None => (false, sql),
    };
    let body = body.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).expect("quotes");
    assert!(!body.replace("''", "").contains('\''), "a quote alone in {sql}");
    let text = body.replace("''", "'");
    if escaped {
        assert!(!text.replace("\\\\", "").contains('\\'), "a backslash alone in {sql}");
        text.replace("\\\\", "\\")
    } else {
        assert!(!text.contains('\\'), "a backslash means two things in {sql}");
        text
    }
}

/// Any name that PostgreSQL can store, hostile ones often.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_][a-z0-9_]{0,12}", "[a-zA-Z0-9_ \"'\\\\;.-]{1,12}", "[^\u{0}]{1,12}"]
}

proptest! {
    #[test]
    fn a_name_survives(name in name()) {
        prop_assert_eq!(unquoted(&ident(&name)), name);
    }

    #[test]
    fn a_literal_survives(text in "[^\u{0}]{0,20}", hostile in "[a'\\\\\";]{0,12}") {
        prop_assert_eq!(value(&literal(&text)), text);
        prop_assert_eq!(value(&literal(&hostile)), hostile);
    }

    #[test]
    fn the_grammar_takes_every_name_where_names_stand(one in name(), other in name()) {
        let table = qualified(&one, &other);
        let sql = format!("CREATE INDEX {} ON {table} USING btree ({}) INCLUDE ({})", ident(&other), ident(&one), ident(&other));
        prop_assert!(IndexShape::of(&sql).is_ok(), "{}: {:?}", sql, IndexShape::of(&sql));
    }
}

#[test]
fn every_keyword_can_be_a_name() {
    for word in sqlparser::keywords::ALL_KEYWORDS {
        let word = ident(&word.to_lowercase());
        let sql = format!(
            "CREATE INDEX {word} ON {word}.{word} USING btree ({word} DESC) INCLUDE ({word}) WHERE {word} IS NULL"
        );
        assert!(IndexShape::of(&sql).is_ok(), "{sql}: {:?}", IndexShape::of(&sql));
        let sql = format!("SELECT {word} FROM {word}.{word} ORDER BY {word}");
        assert!(rules::statement::fingerprint(&sql).is_ok(), "{sql}");
    }
}
