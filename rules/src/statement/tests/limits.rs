//! What is refused, and that nothing panics.

use proptest::prelude::*;

use super::{refused, shop};
use crate::statement::{
    StatementKind, Unanalyzable, align, analyze, classify, fingerprint, is_single_plannable, mask,
    repair,
};

#[test]
fn only_single_plannable_statements_pass() {
    assert_eq!(is_single_plannable("SELECT 1"), Ok(StatementKind::Select));
    assert_eq!(is_single_plannable("VALUES (1)"), Ok(StatementKind::Select));
    assert_eq!(
        is_single_plannable("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a"),
        Ok(StatementKind::Select)
    );
    assert_eq!(is_single_plannable("DELETE FROM t;"), Ok(StatementKind::Delete));
    assert_eq!(is_single_plannable("SELECT 1; DROP TABLE t"), Err(Unanalyzable::NotOne(2)));
    assert_eq!(is_single_plannable(""), Err(Unanalyzable::NotOne(0)));
    assert_eq!(is_single_plannable("SELECT a INTO n FROM t"), Err(Unanalyzable::Into));
    assert_eq!(
        is_single_plannable("SELECT a INTO n FROM t UNION SELECT 1"),
        Err(Unanalyzable::Into)
    );
    for other in [
        "EXPLAIN SELECT 1",
        "CREATE TABLE x AS SELECT 1",
        "SET a = 1",
        "COPY t TO STDOUT",
        "CALL p()",
        "DO ''",
        "PREPARE p AS SELECT 1",
    ] {
        assert!(matches!(is_single_plannable(other), Err(Unanalyzable::Kind(_))), "{other}");
    }
    assert!(matches!(is_single_plannable("SELECT FROM WHERE"), Err(Unanalyzable::Syntax(_))));
}

#[test]
fn refusals_name_the_reason() {
    assert_eq!(
        refused("SELECT * FROM missing"),
        Unanalyzable::UnknownRelation("missing".to_owned())
    );
    assert_eq!(
        refused("SELECT * FROM gone.users"),
        Unanalyzable::UnknownRelation("gone.users".to_owned())
    );
    assert_eq!(
        refused("SELECT u.nope FROM users u"),
        Unanalyzable::UnknownColumn("u.nope".to_owned())
    );
    assert_eq!(
        refused("SELECT 1 FROM users WHERE nope = 1"),
        Unanalyzable::UnknownColumn("nope".to_owned())
    );
    assert_eq!(refused("SELECT 1"), Unanalyzable::NoTable);
    assert_eq!(refused("SELECT relname FROM pg_class"), Unanalyzable::CatalogOnly);
    assert_eq!(refused("DELETE FROM pg_class"), Unanalyzable::CatalogOnly);
    assert_eq!(
        refused("UPDATE ordered SET count = 1"),
        Unanalyzable::Kind("writes through the view ordered".to_owned())
    );
}

#[test]
fn deep_and_wide_statements_end_in_an_answer() {
    let deep = |open: &str, close: &str, n: usize| {
        format!("SELECT 1 FROM users WHERE {}active{}", open.repeat(n), close.repeat(n))
    };
    for n in [10, 30, 45, 100, 1_000, 10_000] {
        for (open, close) in [
            ("(", ")"),
            ("NOT ", ""),
            ("coalesce(", ")"),
            ("(id = 1 OR (", "))"),
            ("CASE WHEN ", " THEN true END"),
            ("EXISTS (SELECT 1 FROM users WHERE ", ")"),
        ] {
            let found = analyze(&deep(open, close, n), &shop(), &["public".to_owned()]);
            assert!(matches!(found, Ok(_) | Err(Unanalyzable::TooDeep)), "{open} {n}: {found:?}");
        }
    }
    let or = format!("SELECT 1 FROM users WHERE id = 0{}", " OR id = 1".repeat(10_000));
    let found = analyze(&or, &shop(), &["public".to_owned()]).unwrap();
    assert_eq!(found.predicates.len(), 1);
}

#[test]
fn towers_of_subqueries_do_not_explode() {
    let mut text = "SELECT name AS x FROM users".to_owned();
    for _ in 0..20 {
        text = format!("SELECT x || x AS x FROM ({text}) s");
    }
    assert_eq!(refused(&text), Unanalyzable::TooDeep);
}

#[test]
fn towers_of_views_end_in_an_answer() {
    let view = |n: usize| {
        let below = n - 1;
        format!("view v{n}(id, name) = SELECT v{below}.id, v{below}.name FROM public.v{below};\n")
    };
    let lines = "t(id int8, name text)\nview v0(id, name) = SELECT t.id, t.name FROM public.t;\n"
        .to_owned();
    let lines = lines + &(1..=100).map(view).collect::<String>();
    let snapshot = crate::testing::snapshot(&lines);
    let read = |n: usize| {
        analyze(&format!("SELECT 1 FROM v{n} WHERE id = $1"), &snapshot, &["public".to_owned()])
    };
    assert_eq!(read(30).unwrap().predicates.len(), 1);
    assert_eq!(read(100).unwrap_err(), Unanalyzable::TooDeep);
}

/// Words out of which statements and near misses are made.
fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "SELECT",
        "FROM",
        "WHERE",
        "users",
        "u",
        "orders",
        "o",
        ".",
        "id",
        "email",
        "settings",
        "(",
        ")",
        ",",
        "=",
        "->>",
        "'x'",
        "$1",
        "$2",
        "1",
        "AND",
        "OR",
        "NOT",
        "IN",
        "ANY",
        "JOIN",
        "LEFT",
        "ON",
        "USING",
        "GROUP BY",
        "ORDER BY",
        "LIMIT",
        "UNION",
        "ALL",
        "WITH",
        "AS",
        "a",
        "INSERT INTO",
        "VALUES",
        "UPDATE",
        "SET",
        "DELETE",
        "RETURNING",
        "*",
        "::",
        "int",
        "interval",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "EXISTS",
        "LATERAL",
        "BETWEEN",
        "LIKE",
        "IS NULL",
        "count",
        "DISTINCT",
        "ARRAY",
        "[",
        "]",
        ";",
        "--",
        "/*",
        "*/",
        "$$",
        "\"",
        "'",
        "E'\\",
        "é",
        "\0",
        "extract",
        "date_trunc",
        "OVER",
        "RECURSIVE",
        "\\set x",
        "\n",
        "-",
        "now()",
    ])
}

proptest! {
    // 2,000 cases each, or more where PROPTEST_CASES says so.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2_000)))]

    #[test]
    fn token_soup_never_panics(words in prop::collection::vec(word(), 0..30)) {
        let text = words.join(" ");
        let snapshot = shop();
        let _ = analyze(&text, &snapshot, &["public".to_owned()]);
        let _ = classify(&text);
        let _ = fingerprint(&text);
        let _ = mask(&text);
        let _ = align(&text, "SELECT 1");
        let repaired = repair(&text);
        // A mended text still parses, and there is nothing left to mend.
        if is_single_plannable(&text).is_ok() {
            prop_assert!(is_single_plannable(&repaired.text).is_ok(), "{text} -> {}", repaired.text);
            prop_assert_eq!(&repair(&repaired.text).text, &repaired.text);
        }
    }

    #[test]
    fn mended_expressions_still_parse(words in prop::collection::vec(word(), 1..8), more in prop::collection::vec(word(), 0..6)) {
        let text = format!("SELECT {} FROM orders GROUP BY {} {}", words.join(" "), words.join(" "), more.join(" "));
        if is_single_plannable(&text).is_ok() {
            let repaired = repair(&text);
            prop_assert!(is_single_plannable(&repaired.text).is_ok(), "{text} -> {}", repaired.text);
        }
    }

    #[test]
    fn conditions_of_soup_never_panic(words in prop::collection::vec(word(), 0..12)) {
        let text = format!("SELECT 1 FROM users u JOIN orders o ON o.user_id = u.id WHERE {}", words.join(" "));
        let _ = analyze(&text, &shop(), &["public".to_owned()]);
    }

    #[test]
    fn any_text_is_answered(text in ".{0,60}") {
        let _ = analyze(&text, &shop(), &[]);
        let _ = classify(&text);
    }
}
