//! `btree::candidates`: which keys in which order for one relation of one statement.

use rules::btree::{candidates, popularity};
use rules::context::Context;
use rules::index::{IndexDefinition, Term};
use rules::snapshot::Snapshot;
use rules::statement::Target;
use rules::testing::{set_stats, stats, table_mut, workload};

use crate::seen::database;

fn table(statements: &[&str]) -> Snapshot {
    database(
        "u(id int8 pk, k int8, m int8, n int8) 10000
         t(id int8 pk, a int8, b int8, c int8, d int8, e int8, f bool, g text null, h text) 100000",
        statements,
    )
}

/// The keys of every candidate for one relation of the first statement.
fn keys_of(snapshot: &Snapshot, relation: usize) -> Vec<String> {
    let workload = workload(snapshot);
    let cx = Context { snapshot, workload: &workload };
    let columns = |target: &Target| match target {
        Target::Column(name) => vec![Term::Column(name.clone())],
        Target::Expression(_) => vec![],
    };
    candidates(&cx, &workload[0], relation, &popularity(&cx), &columns)
        .iter()
        .map(IndexDefinition::brief)
        .collect()
}

fn keys(condition: &str) -> Vec<String> {
    keys_of(&table(&[&format!("SELECT * FROM t WHERE {condition}")]), 0)
}

fn ordered(rest: &str) -> Vec<String> {
    keys_of(&table(&[&format!("SELECT * FROM t {rest}")]), 0)
}

#[test]
fn equality_comes_before_one_range() {
    assert_eq!(keys("b > 5 AND a = 1"), ["a", "a, b", "b"]);
    assert_eq!(keys("b > 5 AND c < 3 AND a = 1"), ["a", "a, b", "b", "a, c", "c"]);
    assert_eq!(keys("a BETWEEN 1 AND 5"), ["a"]);
    assert_eq!(keys("a >= 1 AND a < 5 AND b = 2"), ["b", "b, a", "a"]);
}

#[test]
fn lists_come_after_single_values_and_before_the_range() {
    assert_eq!(keys("a IN (1, 2) AND b = 1 AND c > 5"), ["b, a", "b, a, c", "c", "b", "a"]);
    assert_eq!(keys("a = ANY($1) AND b = $2")[0], "b, a");
    assert_eq!(keys("a = 1 OR a = 2"), ["a"]);
}

#[test]
fn null_tests_and_booleans_count_as_equality() {
    assert_eq!(keys("g IS NULL AND a > 1"), ["g", "g, a", "a"]);
    assert_eq!(keys("f AND a > 1"), ["f", "f, a", "a"]);
    assert_eq!(keys("NOT f"), ["f"]);
    assert_eq!(keys("g IS NOT NULL"), Vec::<String>::new());
}

#[test]
fn a_prefix_counts_as_a_range() {
    let pattern = ["a", "a, h text_pattern_ops", "h text_pattern_ops"];
    assert_eq!(keys("h LIKE 'abc%' AND a = 1"), pattern);
    assert_eq!(keys("h ~ '^abc' AND a = 1"), pattern);
    let statement = "SELECT * FROM t WHERE h LIKE 'abc%' AND a = 1";
    let mut sorted_by_bytes = table(&[statement]);
    for column in &mut table_mut(&mut sorted_by_bytes, "t").columns {
        column.c_collation = true;
    }
    assert_eq!(keys_of(&sorted_by_bytes, 0), ["a", "a, h", "h"]);
    assert_eq!(keys("h > 'a' AND h LIKE 'abc%'"), ["h", "h text_pattern_ops"]);
    assert_eq!(keys("h LIKE '%abc'"), Vec::<String>::new());
    assert_eq!(keys("h ILIKE 'abc%' AND a <> 1"), Vec::<String>::new());
}

#[test]
fn a_column_is_a_key_once() {
    assert_eq!(keys("a = 1 AND a > 0"), ["a"]);
    assert_eq!(ordered("WHERE a = 1 ORDER BY a, b"), ["a", "a, b"]);
}

#[test]
fn an_order_follows_the_equality_with_its_directions() {
    assert_eq!(ordered("WHERE a = 1 ORDER BY b, c DESC"), ["a", "a, b, c DESC", "b, c DESC"]);
    assert_eq!(ordered("ORDER BY b DESC, c"), ["b DESC, c"]);
    assert_eq!(ordered("ORDER BY b NULLS FIRST"), ["b NULLS FIRST"]);
    assert_eq!(ordered("ORDER BY b DESC NULLS LAST"), ["b DESC NULLS LAST"]);
}

#[test]
fn an_order_that_descends_throughout_is_turned_forward() {
    assert_eq!(ordered("ORDER BY b DESC"), ["b"]);
    assert_eq!(ordered("WHERE a = 1 ORDER BY b DESC, c DESC"), ["a", "a, b, c", "b, c"]);
    assert_eq!(ordered("ORDER BY b DESC, c DESC NULLS LAST"), ["b DESC, c DESC NULLS LAST"]);
}

#[test]
fn an_order_stands_beside_a_range_not_behind_it() {
    let found = ordered("WHERE a = 1 AND b > 5 ORDER BY c");
    assert_eq!(found, ["a", "a, c", "c", "a, b", "b"]);
}

#[test]
fn a_list_keeps_no_order_so_the_order_goes_without_it() {
    assert_eq!(ordered("WHERE a IN (1, 2) ORDER BY b"), ["a", "b"]);
    assert_eq!(ordered("WHERE c = 1 AND a IN (1, 2) ORDER BY b")[..2], ["c, a", "c, b"]);
}

#[test]
fn an_order_over_two_relations_or_by_an_expression_gives_none() {
    let snapshot = table(&["SELECT * FROM t JOIN u ON t.a = u.k ORDER BY t.b, u.m"]);
    assert_eq!(keys_of(&snapshot, 0), ["a"]);
    assert_eq!(ordered("ORDER BY a + b"), Vec::<String>::new());
    assert_eq!(ordered("ORDER BY a, lower(h)"), Vec::<String>::new());
}

#[test]
fn arms_of_an_or_get_an_index_each() {
    assert_eq!(keys("a = 1 OR b = 2"), ["a", "b"]);
    assert_eq!(keys("(a = 1 AND b > 5) OR c = 2"), ["a, b", "c"]);
    assert_eq!(keys("d = 3 AND (a = 1 OR b = 2)"), ["d", "a", "b"]);
    assert_eq!(keys("a = 1 OR lower(h) = 'x'"), ["a"]);
}

#[test]
fn a_join_column_is_tried_before_and_after_the_filter() {
    let snapshot =
        table(&["SELECT * FROM t JOIN u ON t.a = u.k WHERE t.b = 1 AND t.c > 2 AND u.m = 3"]);
    let of_t = keys_of(&snapshot, 0);
    for wanted in ["b", "b, c", "a", "a, b", "b, a", "a, b, c"] {
        assert!(of_t.contains(&wanted.to_owned()), "{wanted}: {of_t:?}");
    }
    assert_eq!(keys_of(&snapshot, 1), ["m", "k", "k, m", "m, k"]);
}

#[test]
fn a_join_by_two_columns_gets_both() {
    let snapshot = table(&["SELECT * FROM t JOIN u ON t.a = u.k AND t.b = u.m"]);
    assert!(keys_of(&snapshot, 0).contains(&"a, b".to_owned()));
    assert!(keys_of(&snapshot, 1).contains(&"k, m".to_owned()));
    let apart = table(&["SELECT * FROM t JOIN u x ON t.a = x.k JOIN u y ON t.b = y.m"]);
    assert!(!keys_of(&apart, 0).contains(&"a, b".to_owned()), "two other relations");
}

#[test]
fn a_correlated_subquery_is_a_join() {
    let snapshot =
        table(&["SELECT * FROM u WHERE EXISTS (SELECT 1 FROM t WHERE t.a = u.id AND t.b = 2)"]);
    let of_t = keys_of(&snapshot, 1);
    for wanted in ["a", "a, b", "b, a"] {
        assert!(of_t.contains(&wanted.to_owned()), "{wanted}: {of_t:?}");
    }
}

#[test]
fn columns_that_other_statements_compare_come_first() {
    let alone = table(&["SELECT * FROM t WHERE a = 1 AND b = 2"]);
    assert_eq!(keys_of(&alone, 0)[0], "a, b");
    let shared = table(&[
        "SELECT * FROM t WHERE a = 1 AND b = 2",
        "SELECT * FROM t WHERE b = 3 AND c > 1",
        "SELECT * FROM t WHERE c = 3 AND b = 1",
    ]);
    assert_eq!(keys_of(&shared, 0)[0], "b, a");
}

#[test]
fn of_columns_equally_shared_the_more_distinct_comes_first() {
    let mut snapshot = table(&["SELECT * FROM t WHERE a = 1 AND b = 2 AND c = 3"]);
    set_stats(&mut snapshot, "t.a", stats(5.0, &[], &[]));
    set_stats(&mut snapshot, "t.b", stats(500.0, &[], &[]));
    set_stats(&mut snapshot, "t.c", stats(-0.5, &[], &[]));
    assert_eq!(keys_of(&snapshot, 0)[0], "c, b, a");
}

#[test]
fn popularity_counts_statements_not_occurrences_and_tables_apart() {
    let snapshot = table(&[
        "SELECT * FROM t WHERE a = 1 AND id IN (SELECT id FROM t WHERE a = 2)",
        "SELECT * FROM t WHERE a = 1 AND b > 5",
        "SELECT * FROM u WHERE k = 1",
    ]);
    let workload = workload(&snapshot);
    let cx = Context { snapshot: &snapshot, workload: &workload };
    let t = snapshot.table_named("public", "t").unwrap().oid;
    let u = snapshot.table_named("public", "u").unwrap().oid;
    let counts = popularity(&cx);
    assert_eq!(counts.get(&(t, "a".to_owned())), Some(&2));
    assert_eq!(counts.get(&(u, "k".to_owned())), Some(&1));
    assert_eq!(counts.get(&(t, "b".to_owned())), None, "a range is not shared");
}

#[test]
fn keys_are_no_wider_than_four() {
    let found = keys("a = 1 AND b = 2 AND c = 3 AND d = 4 AND e = 5");
    assert_eq!(found[0], "a, b, c, d");
    assert!(found.iter().all(|keys| keys.split(", ").count() <= 4), "{found:?}");
}

#[test]
fn a_statement_with_many_conditions_gets_a_bounded_number() {
    let columns: Vec<String> = (0..40).map(|n| format!("c{n} int8")).collect();
    let lines = format!("wide({}) 100000", columns.join(", "));
    let conditions: Vec<String> = (0..40).map(|n| format!("c{n} > {n}")).collect();
    let text = format!("SELECT * FROM wide WHERE {}", conditions.join(" AND "));
    assert_eq!(keys_of(&database(&lines, &[&text]), 0).len(), 16);
}

#[test]
fn groups_follow_the_equality() {
    let snapshot = table(&["SELECT b, c, count(*) FROM t WHERE a = 1 GROUP BY b, c"]);
    assert_eq!(keys_of(&snapshot, 0), ["a", "a, b, c"]);
    let four = table(&["SELECT count(*) FROM t GROUP BY a, b, c, d"]);
    assert_eq!(keys_of(&four, 0), Vec::<String>::new(), "too many to be worth it");
}

#[test]
fn an_aggregate_gets_an_index_that_holds_all_it_reads() {
    let of = |text: &str| keys_of(&table(&[text]), 0);
    let found = of("SELECT b, count(*) FROM t WHERE a > 1 GROUP BY b");
    assert_eq!(found, ["a", "b", "a, b"]);
    let found = of("SELECT b, max(c) FROM t WHERE a > 1 GROUP BY b");
    assert_eq!(found, ["a", "b"], "c would have to be read from the table");
}
