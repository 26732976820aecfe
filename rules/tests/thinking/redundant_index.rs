use rules::snapshot::{Index, Snapshot, TableKind};
use rules::testing::{index_mut, table_mut};

use crate::seen::{Changes, database, look};

fn prefix() -> Snapshot {
    database(
        "t(id int8 pk, a int8, b text, c int8) 100000
         index short on t(a)
         index long on t(a, b desc)",
        &[],
    )
}

fn proposed(name: &str, change: impl FnOnce(&mut Index)) -> Vec<String> {
    let mut snapshot = prefix();
    change(index_mut(&mut snapshot, name));
    look("redundant_index", &snapshot).proposed()
}

const NOTHING: [&str; 0] = [];

#[test]
fn fires_on_a_true_prefix_and_only_shows_it() {
    let seen = look("redundant_index", &prefix());
    assert_eq!(seen.proposed(), ["drop short: advise"]);
    assert_eq!(seen.facts(), ["long serves everything that this one serves"]);
}

#[test]
fn fires_for_every_link_of_a_chain() {
    let lines = "t(a int8, b int8, c int8) 100000
                 index one on t(a)
                 index two on t(a, b)
                 index three on t(a, b, c)";
    assert_eq!(
        look("redundant_index", &database(lines, &[])).proposed(),
        ["drop one: advise", "drop two: advise"]
    );
}

#[test]
fn fires_where_the_longer_one_is_unique_or_holds_the_included_column() {
    assert_eq!(proposed("long", |i| i.unique = true), ["drop short: advise"]);
    assert_eq!(proposed("short", |i| i.include = vec!["b".to_owned()]), ["drop short: advise"]);
    let partial = |i: &mut Index| i.predicate = Some("(c > 1)".to_owned());
    let mut snapshot = prefix();
    partial(index_mut(&mut snapshot, "short"));
    partial(index_mut(&mut snapshot, "long"));
    assert_eq!(look("redundant_index", &snapshot).proposed(), ["drop short: advise"]);
}

#[test]
fn stays_silent_where_the_shorter_one_is_more_than_a_plain_index() {
    let marks: Changes<9> = [
        ("unique", |i| i.unique = true),
        ("primary", |i| i.primary = true),
        ("exclusion", |i| i.exclusion = true),
        ("constraint", |i| i.constraint = Some("short".to_owned())),
        ("replica identity", |i| i.replica_identity = true),
        ("cluster mark", |i| i.clustered = true),
        ("required", |i| i.required_by = vec!["x".to_owned()]),
        ("an extension's", |i| i.extension_dependent = true),
        ("expression", |i| {
            i.keys[0].column = None;
            i.keys[0].expression = Some("abs(a)".to_owned());
        }),
    ];
    for (what, mark) in marks {
        assert_eq!(proposed("short", mark), NOTHING, "{what}");
    }
}

#[test]
fn stays_silent_where_the_expression_is_the_beginning_of_both() {
    let mut snapshot = prefix();
    for name in ["short", "long"] {
        let key = &mut index_mut(&mut snapshot, name).keys[0];
        (key.column, key.expression) = (None, Some("abs(a)".to_owned()));
    }
    look("redundant_index", &snapshot).is_silent();
}

#[test]
fn stays_silent_where_the_longer_one_does_not_serve_all() {
    let changes: Changes<8> = [
        ("method", |i| i.method = "gist".to_owned()),
        ("direction", |i| i.keys[0].descending = true),
        ("place of NULLs", |i| i.keys[0].nulls_first = true),
        ("operator class", |i| {
            i.keys[0].opclass = "my_ops".to_owned();
            i.keys[0].opclass_default = false;
        }),
        ("collation", |i| i.keys[0].collation = Some("C".to_owned())),
        ("predicate", |i| i.predicate = Some("(a > 1)".to_owned())),
        ("order", |i| i.keys.reverse()),
        ("invalid", |i| i.valid = false),
    ];
    for (what, change) in changes {
        assert_eq!(proposed("long", change), NOTHING, "{what}");
    }
    assert_eq!(proposed("short", |i| i.include = vec!["c".to_owned()]), NOTHING);
    assert_eq!(proposed("short", |i| i.predicate = Some("(a > 1)".to_owned())), NOTHING);
}

#[test]
fn stays_silent_on_equal_definitions() {
    let lines = "t(a int8, b int8) 100000
                 index one on t(a)
                 index two on t(a)";
    look("redundant_index", &database(lines, &[])).is_silent();
}

#[test]
fn stays_silent_on_invalid_or_attached_indexes_and_on_other_peoples_tables() {
    assert_eq!(proposed("short", |i| i.valid = false), NOTHING);
    assert_eq!(proposed("short", |i| i.partition_of = Some(1)), NOTHING);
    assert_eq!(proposed("long", |i| i.partition_of = Some(1)), NOTHING);
    for (excluded, extension) in [(true, false), (false, true)] {
        let mut snapshot = prefix();
        let table = table_mut(&mut snapshot, "t");
        (table.excluded, table.extension_member) = (excluded, extension);
        look("redundant_index", &snapshot).is_silent();
    }
}

#[test]
fn says_why_it_is_no_simple_drop_on_a_partitioned_table() {
    let mut snapshot = prefix();
    table_mut(&mut snapshot, "t").kind = TableKind::Partitioned;
    let seen = look("redundant_index", &snapshot);
    assert_eq!(seen.proposed(), ["drop short: advise"]);
    assert!(seen.facts()[1].contains("cannot be dropped concurrently"));
}

#[test]
fn a_twin_that_also_begins_a_longer_index_is_still_dropped_as_a_twin() {
    let lines = "t(a int8, b int8) 100000
                 index one on t(a)
                 index twin on t(a)
                 index wide on t(a, b)";
    let snapshot = database(lines, &[]);
    let cx = rules::context::Context { snapshot: &snapshot, workload: &[] };
    let all: Vec<String> = rules::propose(&cx).candidates.iter().map(crate::seen::line).collect();
    assert_eq!(all, ["drop twin: act", "drop one: advise"]);
}
