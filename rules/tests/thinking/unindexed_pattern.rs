use rules::snapshot::{Extension, Snapshot, Volatility};
use rules::testing::{function, index_mut};

use crate::seen::{Seen, database, look};

const RULE: &str = "unindexed_pattern";

fn people(index: &str, schema: Option<&str>, statements: &[&str]) -> Snapshot {
    let lines = "people(id int8 pk, name text, mail varchar, code bpchar, age int4) 100000";
    let mut snapshot = database(&format!("{lines}\n{index}"), statements);
    snapshot.functions.push(function("lower", &["text"], Volatility::Immutable));
    snapshot.extensions.extend(schema.map(|schema| Extension {
        name: "pg_trgm".to_owned(),
        schema: schema.to_owned(),
        version: "1.6".to_owned(),
    }));
    snapshot
}

fn seen(condition: &str) -> Seen {
    let text = format!("SELECT * FROM people WHERE {condition}");
    look(RULE, &people("", Some("public"), &[&text]))
}

#[test]
fn fires_for_patterns_that_no_b_tree_serves() {
    for condition in [
        "name LIKE '%smith%'",
        "name ILIKE 'smi%'",
        "name ILIKE $1",
        "name ~* $1",
        "name ~ 'smi(th|dt)'",
        "name % 'smith'",
        "name % $1",
        "name ILIKE ANY (ARRAY['%smith%', '%jones%'])",
    ] {
        let found = seen(condition);
        assert_eq!(
            found.proposed(),
            ["gin (name public.gin_trgm_ops) on people: act"],
            "{condition}"
        );
    }
    assert_eq!(
        seen("mail LIKE '%@example.com'").proposed(),
        ["gin (mail public.gin_trgm_ops) on people: act"]
    );
    assert_eq!(
        seen("lower(name) LIKE '%smith%'").proposed(),
        ["gin ((lower(name)) public.gin_trgm_ops) on people: act"]
    );
}

#[test]
fn one_index_serves_all_statements_with_patterns_on_the_text() {
    let texts =
        ["SELECT * FROM people WHERE name ILIKE $1", "SELECT * FROM people WHERE name ~* 'smith'"];
    let found = look(RULE, &people("", Some("public"), &texts));
    assert_eq!(found.only().serves, [0, 1]);
}

#[test]
fn the_operator_class_is_named_with_the_schema_of_the_extension() {
    let text = "SELECT * FROM people WHERE name LIKE '%smith%'";
    let found = look(RULE, &people("", Some("Ext"), &[text]));
    assert_eq!(found.proposed(), ["gin (name \"Ext\".gin_trgm_ops) on people: act"]);
}

#[test]
fn silent_where_a_b_tree_serves_or_may() {
    for condition in
        ["name LIKE 'smi%'", "name LIKE $1", "name ~ '^smi'", "name ~ $1", "name = 'smith'"]
    {
        seen(condition).is_silent();
    }
}

#[test]
fn silent_on_types_that_trigrams_do_not_serve_and_on_negations() {
    for condition in ["code LIKE '%smith%'", "name NOT LIKE '%smith%'", "name !~ 'smith'"] {
        seen(condition).is_silent();
    }
}

#[test]
fn refuses_patterns_that_trigrams_do_not_narrow_down() {
    for condition in ["name LIKE '%a%'", "name LIKE '%'", "name ~ '[0-9]{3}'", "name LIKE '%a_b%'"]
    {
        seen(condition).refuses("three letters or digits in a row");
    }
}

#[test]
fn says_what_to_install_where_the_extension_is_missing() {
    let text = "SELECT * FROM people WHERE name LIKE '%smith%'";
    look(RULE, &people("", None, &[text])).refuses("CREATE EXTENSION pg_trgm");
}

#[test]
fn refuses_where_a_trigram_index_serves_already() {
    let text = "SELECT * FROM people WHERE name LIKE '%smith%'";
    for (method, class) in [("gin", "public.gin_trgm_ops"), ("gist", "gist_trgm_ops")] {
        let mut snapshot = people("index g on people(name)", Some("public"), &[text]);
        let index = index_mut(&mut snapshot, "g");
        method.clone_into(&mut index.method);
        class.clone_into(&mut index.keys[0].opclass);
        index.keys[0].opclass_default = false;
        look(RULE, &snapshot).refuses("already covered by g");
    }
    let plain = people("index g on people(name)", Some("public"), &[text]);
    assert_eq!(look(RULE, &plain).proposed(), ["gin (name public.gin_trgm_ops) on people: act"]);
}
