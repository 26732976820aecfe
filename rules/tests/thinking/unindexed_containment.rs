use rules::snapshot::{Function, Index, Snapshot, TableKind, Volatility};
use rules::testing::{function, index_mut, table_mut};

use crate::seen::{Changes, Seen, database, look};

const RULE: &str = "unindexed_containment";

fn documents(index: &str, statements: &[&str]) -> Snapshot {
    let lines = "docs(id int8 pk, data jsonb, tags _text, numbers _int8, raw _json, body tsvector, during tstzrange, \
                 title text, place point) 100000";
    let mut snapshot = database(&format!("{lines}\n{index}"), statements);
    let gives = |name: &str, arguments: &[&str], result: &str, volatility| Function {
        result: result.to_owned(),
        ..function(name, arguments, volatility)
    };
    snapshot.functions = vec![
        gives("to_tsvector", &["regconfig", "text"], "tsvector", Volatility::Immutable),
        gives("to_tsvector", &["text"], "tsvector", Volatility::Stable),
        gives("string_to_array", &["text", "text"], "text[]", Volatility::Immutable),
    ];
    snapshot
}

fn seen(statements: &[&str]) -> Seen {
    look(RULE, &documents("", statements))
}

/// A GIN index on `data`, changed, and what is found beside it for these statements.
fn beside(statements: &[&str], change: impl FnOnce(&mut Index)) -> Seen {
    let mut snapshot = documents("index g on docs(data)", statements);
    let index = index_mut(&mut snapshot, "g");
    "gin".clone_into(&mut index.method);
    "jsonb_ops".clone_into(&mut index.keys[0].opclass);
    change(index);
    look(RULE, &snapshot)
}

const CONTAINS: &str = "SELECT * FROM docs WHERE data @> $1";
const HAS_KEY: &str = "SELECT * FROM docs WHERE data ? 'a'";

#[test]
fn fires_with_the_small_class_where_only_containment_is_asked() {
    for condition in [
        "data @> $1",
        "data @> '{\"a\": 1}'",
        "$1::jsonb <@ data",
        "data @? '$.a'",
        "data @@ '$.a == 1'",
    ] {
        let found = seen(&[&format!("SELECT * FROM docs WHERE {condition}")]);
        assert_eq!(found.proposed(), ["gin (data jsonb_path_ops) on docs: act"], "{condition}");
    }
}

#[test]
fn fires_once_with_the_default_class_where_one_statement_asks_for_keys() {
    for key in ["data ? 'a'", "data ?| ARRAY['a', 'b']", "data ?& $1"] {
        let found = seen(&[CONTAINS, &format!("SELECT * FROM docs WHERE {key}"), CONTAINS]);
        assert_eq!(found.proposed(), ["gin (data) on docs: act"], "{key}");
        assert_eq!(found.only().serves, [0, 1, 2]);
    }
    let found = seen(&["SELECT * FROM docs WHERE data @> $1 AND data ? $2"]);
    assert_eq!(found.proposed(), ["gin (data) on docs: act"]);
    assert_eq!(found.only().serves, [0]);
}

#[test]
fn fires_for_arrays_and_text_search() {
    for (condition, index) in [
        ("tags @> $1", "gin (tags)"),
        ("tags && ARRAY['x']", "gin (tags)"),
        ("tags <@ $1", "gin (tags)"),
        ("numbers && $1", "gin (numbers)"),
        ("body @@ to_tsquery($1)", "gin (body)"),
        ("body @@ websearch_to_tsquery('english', $1)", "gin (body)"),
    ] {
        let found = seen(&[&format!("SELECT * FROM docs WHERE {condition}")]);
        assert_eq!(found.proposed(), [format!("{index} on docs: act")], "{condition}");
    }
}

#[test]
fn fires_for_expressions_that_are_immutable() {
    for (condition, index) in [
        ("data -> 'tags' ? 'x'", "gin ((data -> 'tags'))"),
        ("data -> 'a' @> $1", "gin ((data -> 'a') jsonb_path_ops)"),
        ("string_to_array(title, ',') && $1", "gin ((string_to_array(title, ',')))"),
    ] {
        let found = seen(&[&format!("SELECT * FROM docs WHERE {condition}")]);
        assert_eq!(found.proposed(), [format!("{index} on docs: act")], "{condition}");
    }
}

#[test]
fn a_text_search_over_texts_waits_for_a_person() {
    let english = "gin ((to_tsvector('english', title))) on docs: ask";
    let text =
        "SELECT * FROM docs WHERE to_tsvector('english', title) @@ to_tsquery('english', $1)";
    assert_eq!(seen(&[text]).proposed(), [english]);
    assert!(seen(&[text]).facts().iter().any(|fact| fact.contains("1 MB of words")));
    // What pg_stat_statements makes of it.
    let text = "SELECT * FROM docs WHERE to_tsvector($1, title) @@ to_tsquery($2, $3)";
    seen(&[text]).refuses("constant in it is not known");
    let mut snapshot = documents("", &[text]);
    snapshot.settings.insert("default_text_search_config".into(), "pg_catalog.english".into());
    assert_eq!(look(RULE, &snapshot).proposed(), [english]);
}

#[test]
fn says_why_a_text_search_without_configuration_cannot_be_indexed() {
    let found = seen(&["SELECT * FROM docs WHERE to_tsvector(title) @@ to_tsquery($1)"]);
    found.refuses("depends on default_text_search_config");
}

#[test]
fn fires_for_each_column_apart() {
    let found = seen(&["SELECT * FROM docs WHERE data @> $1 AND tags && $2"]);
    assert_eq!(
        found.proposed(),
        ["gin (data jsonb_path_ops) on docs: act", "gin (tags) on docs: act"]
    );
}

#[test]
fn fires_though_another_statement_uses_an_operator_that_gin_does_not_serve() {
    let found = seen(&[CONTAINS, "SELECT * FROM docs WHERE data <@ $1"]);
    assert_eq!(found.proposed(), ["gin (data jsonb_path_ops) on docs: act"]);
    assert_eq!(found.only().serves, [0], "the other one is none of its statements");
}

#[test]
fn stays_silent_where_no_gin_class_serves_the_operator_on_the_type() {
    for condition in [
        "data <@ $1",
        "data -> 'a' <@ $1",
        "to_tsvector(title) = $1",
        "during && $1",
        "during @> now()",
        "place <@ box '((0,0),(1,1))'",
        "title @@ to_tsquery($1)",
        "title LIKE '%x%'",
        "tags = $1",
        "data = $1",
        "NOT data @> $1",
    ] {
        seen(&[&format!("SELECT * FROM docs WHERE {condition}")]).is_silent();
    }
}

#[test]
fn stays_silent_on_arrays_whose_elements_have_no_order() {
    seen(&["SELECT * FROM docs WHERE raw && $1"]).is_silent();
}

#[test]
fn refuses_where_a_gin_index_serves_already() {
    beside(&[CONTAINS], |_| {}).refuses("already covered by g");
    beside(&[CONTAINS, HAS_KEY], |_| {}).refuses("already covered by g");
    let paths = |index: &mut Index| {
        "jsonb_path_ops".clone_into(&mut index.keys[0].opclass);
        index.keys[0].opclass_default = false;
    };
    beside(&[CONTAINS], paths).refuses("already covered by g");
    beside(&[CONTAINS], |i| {
        let mut first = i.keys[0].clone();
        first.column = Some("tags".to_owned());
        i.keys.insert(0, first);
    })
    .refuses("already covered by g");
}

#[test]
fn fires_where_the_gin_index_that_exists_serves_not_all_of_it() {
    let changes: Changes<4> = [
        ("path operators only", |i| {
            "jsonb_path_ops".clone_into(&mut i.keys[0].opclass);
            i.keys[0].opclass_default = false;
        }),
        ("partial", |i| i.predicate = Some("(id > 5)".to_owned())),
        ("invalid", |i| i.valid = false),
        ("another method", |i| i.method = "hash".to_owned()),
    ];
    for (what, change) in changes {
        let found = beside(&[CONTAINS, HAS_KEY], change);
        assert_eq!(found.proposed(), ["gin (data) on docs: act"], "{what}");
    }
}

#[test]
fn refuses_tiny_foreign_excluded_and_extension_tables() {
    let refused = |change: fn(&mut rules::snapshot::Table), words: &str| {
        let mut snapshot = documents("", &[CONTAINS]);
        change(table_mut(&mut snapshot, "docs"));
        look(RULE, &snapshot).refuses(words);
    };
    refused(|t| (t.rows, t.pages) = (Some(10.0), 1), "tiny");
    refused(|t| t.kind = TableKind::Foreign, "foreign");
    refused(|t| t.excluded = true, "excluded");
    refused(|t| t.extension_member = true, "extension");
}

#[test]
fn only_shows_it_on_other_peoples_tables() {
    let mut snapshot = documents("", &[CONTAINS]);
    table_mut(&mut snapshot, "docs").may_index = false;
    assert_eq!(look(RULE, &snapshot).proposed(), ["gin (data jsonb_path_ops) on docs: advise"]);
}
