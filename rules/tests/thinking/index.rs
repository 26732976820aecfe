//! Which index makes which other one needless.

use proptest::prelude::*;
use rules::index::{IndexDefinition, Key, Term};
use rules::snapshot::Snapshot;
use rules::testing::{index_mut, snapshot};

fn key() -> impl Strategy<Value = Key> {
    let term = prop_oneof![
        proptest::sample::select(vec!["a", "b", "c"])
            .prop_map(|name| Term::Column(name.to_owned())),
        Just(Term::Expression("lower(d)".to_owned())),
    ];
    let opclass = proptest::option::weighted(0.1, Just("text_pattern_ops".to_owned()));
    (term, opclass, any::<bool>(), any::<bool>()).prop_map(
        |(term, opclass, descending, nulls_first)| Key { term, opclass, descending, nulls_first },
    )
}

fn definition() -> impl Strategy<Value = IndexDefinition> {
    let names = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    (
        proptest::collection::vec(key(), 1..4),
        proptest::sample::subsequence(names, 0..3),
        proptest::option::weighted(0.2, Just("a > 1".to_owned())),
        prop_oneof![4 => Just("btree"), 1 => Just("gin")],
    )
        .prop_map(|(keys, include, predicate, method)| IndexDefinition {
            schema: "public".to_owned(),
            table: "t".to_owned(),
            method: method.to_owned(),
            keys,
            include,
            predicate,
        })
}

/// A definition and one that it covers by construction: a prefix of it, mirrored or not, with fewer columns.
fn pair() -> impl Strategy<Value = (IndexDefinition, IndexDefinition)> {
    (definition(), 1..4_usize, any::<bool>(), any::<bool>()).prop_map(
        |(wide, length, mirrored, bare)| {
            let mut narrow = wide.clone();
            if wide.method == "btree" {
                narrow.keys.truncate(length);
                for key in narrow.keys.iter_mut().filter(|_| mirrored) {
                    (key.descending, key.nulls_first) = (!key.descending, !key.nulls_first);
                }
            }
            if bare {
                narrow.include.clear();
            }
            (wide, narrow)
        },
    )
}

/// The columns that an index holds.
fn held(definition: &IndexDefinition) -> std::collections::BTreeSet<&str> {
    let keys = definition.keys.iter().filter_map(Key::as_column);
    keys.chain(definition.include.iter().map(String::as_str)).collect()
}

proptest! {
    #[test]
    fn covering_is_reflexive(one in definition()) {
        prop_assert!(one.covers(&one));
    }

    #[test]
    fn a_longer_index_covers_its_beginning_read_either_way((wide, narrow) in pair()) {
        prop_assert!(wide.covers(&narrow));
    }

    #[test]
    fn covering_is_transitive((one, two) in pair(), length in 1..4_usize, other in definition()) {
        let mut three = two.clone();
        if three.method == "btree" {
            three.keys.truncate(length);
        }
        three.include.clear();
        prop_assert!(two.covers(&three) && one.covers(&three));
        for last in [&three, &other] {
            if one.covers(&two) && two.covers(last) {
                prop_assert!(one.covers(last));
            }
        }
        if other.covers(&one) {
            prop_assert!(other.covers(&two) && other.covers(&three));
        }
    }

    #[test]
    fn two_that_cover_each_other_are_the_same_but_for_mirroring((one, two) in pair(), other in definition()) {
        for (left, right) in [(&one, &two), (&one, &other), (&two, &other)] {
            if left.covers(right) && right.covers(left) {
                prop_assert_eq!(left.keys.len(), right.keys.len());
                prop_assert!(left.keys.iter().zip(&right.keys).all(|(a, b)| a.term == b.term && a.opclass == b.opclass));
                prop_assert_eq!(held(left), held(right));
                prop_assert_eq!(&left.predicate, &right.predicate);
            }
        }
    }

    #[test]
    fn what_is_covered_holds_no_column_more(one in definition(), two in definition()) {
        if one.covers(&two) {
            prop_assert!(held(&two).is_subset(&held(&one)));
        }
    }
}

#[test]
fn another_table_method_predicate_or_operator_class_covers_nothing() {
    let table = snapshot("t(a int8, b text) 1000");
    let base = IndexDefinition::btree(&table.tables[0], vec![Key::column("b")]);
    let changes: [fn(&mut IndexDefinition); 6] = [
        |i| i.table = "u".to_owned(),
        |i| i.schema = "s".to_owned(),
        |i| i.method = "hash".to_owned(),
        |i| i.predicate = Some("a > 1".to_owned()),
        |i| i.keys[0].opclass = Some("text_pattern_ops".to_owned()),
        |i| i.include = vec!["a".to_owned()],
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut other = base.clone();
        change(&mut other);
        assert!(!base.covers(&other), "{number}");
        assert_eq!(other.covers(&base), number == 5, "only more INCLUDE columns cover the base");
    }
}

fn covered(definition: &IndexDefinition, database: &Snapshot) -> bool {
    let table = &database.tables[0];
    definition.covered_by(&table.indexes[0], table, database)
}

#[test]
fn an_index_that_exists_covers_only_what_it_serves() {
    let mut database = snapshot(
        "t(a int8, b text, c int8) 1000
         index i on t(a, b desc)",
    );
    index_mut(&mut database, "i").include = vec!["c".to_owned()];
    let desc = |name: &str| Key::ordered(Term::Column(name.to_owned()), true, true);
    let index = |keys: Vec<Key>| IndexDefinition::btree(&database.tables[0], keys);
    assert!(covered(&index(vec![Key::column("a")]), &database));
    assert!(covered(&index(vec![desc("a")]), &database));
    assert!(covered(&index(vec![Key::column("a"), desc("b")]), &database));
    assert!(covered(&index(vec![desc("a"), Key::column("b")]), &database), "the mirror image");
    assert!(!covered(&index(vec![Key::column("a"), Key::column("b")]), &database));
    assert!(!covered(&index(vec![Key::column("b")]), &database));
    assert!(!covered(&index(vec![Key::column("a"), desc("b"), Key::column("c")]), &database));
    for (include, serves) in [("c", true), ("b", true), ("d", false)] {
        let mut with = index(vec![Key::column("a")]);
        with.include = vec![include.to_owned()];
        assert_eq!(covered(&with, &database), serves, "{include}");
    }
    let mut pattern = index(vec![Key::column("a")]);
    pattern.keys[0].opclass = Some("text_pattern_ops".to_owned());
    assert!(!covered(&pattern, &database));
    index_mut(&mut database, "i").keys[0].opclass_options = vec!["x=1".to_owned()];
    assert!(!covered(
        &IndexDefinition::btree(&database.tables[0], vec![Key::column("a")]),
        &database
    ));
}

#[test]
fn a_partial_index_that_exists_covers_its_own_predicate_in_the_servers_spelling_and_no_other() {
    let mut database = snapshot(
        "t(a int8, status text) 1000
         index i on t(a)",
    );
    let mut partial = IndexDefinition::btree(&database.tables[0], vec![Key::column("a")]);
    partial.predicate = Some("status = 'open'".to_owned());
    assert!(covered(&partial, &database), "the index without predicate holds all rows");
    index_mut(&mut database, "i").predicate = Some("(status = 'open'::text)".to_owned());
    assert!(covered(&partial, &database));
    for other in
        ["status = 'op en'", "status = 'Open'", "status <> 'open'", "status = 'open' AND a > 1"]
    {
        partial.predicate = Some(other.to_owned());
        assert!(!covered(&partial, &database), "{other}");
    }
    partial.predicate = None;
    assert!(!covered(&partial, &database));
}
