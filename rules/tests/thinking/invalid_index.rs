use rules::snapshot::{Index, TableKind};
use rules::testing::{index_mut, table_mut};

use crate::seen::{Seen, database, look};

fn broken(change: impl FnOnce(&mut Index)) -> Seen {
    let mut snapshot = database(
        "t(id int8 pk, a int8) 100000
         index t_a on t(a)",
        &[],
    );
    let index = index_mut(&mut snapshot, "t_a");
    index.valid = false;
    change(index);
    look("invalid_index", &snapshot)
}

#[test]
fn fires_on_what_a_failed_build_left_and_asks() {
    let seen = broken(|_| {});
    assert_eq!(seen.proposed(), ["drop t_a: ask"]);
    assert_eq!(seen.facts(), ["the index is invalid: writers maintain it, no query can use it"]);
    assert_eq!(
        broken(|i| i.ready = false).proposed(),
        ["drop t_a: ask"],
        "failed before it was ready"
    );
    assert_eq!(broken(|i| i.live = false).proposed(), ["drop t_a: ask"], "left by a failed drop");
}

#[test]
fn fires_even_where_a_valid_twin_exists() {
    let mut snapshot = database(
        "t(id int8 pk, a int8) 100000
         index t_a on t(a)
         index t_a_ccnew on t(a)",
        &[],
    );
    index_mut(&mut snapshot, "t_a_ccnew").valid = false;
    assert_eq!(look("invalid_index", &snapshot).proposed(), ["drop t_a_ccnew: ask"]);
    look("duplicate_index", &snapshot).is_silent();
}

#[test]
fn stays_silent_on_valid_ones_and_while_it_is_being_built() {
    broken(|i| i.valid = true).is_silent();
    broken(|i| i.building = true).is_silent();
    broken(|i| (i.building, i.ready) = (true, false)).is_silent();
}

#[test]
fn stays_silent_on_parts_of_partitioned_indexes_and_on_those_themselves() {
    broken(|i| i.partition_of = Some(7)).is_silent();
    let mut snapshot = database(
        "t(id int8 pk, a int8) 100000
         index t_a on t(a)",
        &[],
    );
    index_mut(&mut snapshot, "t_a").valid = false;
    table_mut(&mut snapshot, "t").kind = TableKind::Partitioned;
    look("invalid_index", &snapshot).is_silent();
}

#[test]
fn stays_silent_on_tables_that_are_excluded_or_an_extensions() {
    for (excluded, extension) in [(true, false), (false, true)] {
        let mut snapshot = database(
            "t(id int8 pk, a int8) 100000
             index t_a on t(a)",
            &[],
        );
        index_mut(&mut snapshot, "t_a").valid = false;
        let table = table_mut(&mut snapshot, "t");
        (table.excluded, table.extension_member) = (excluded, extension);
        look("invalid_index", &snapshot).is_silent();
    }
}

#[test]
fn only_shows_one_on_which_more_than_speed_hangs() {
    let marks: [fn(&mut Index); 6] = [
        |i| i.unique = true,
        |i| i.primary = true,
        |i| i.exclusion = true,
        |i| i.constraint = Some("c".to_owned()),
        |i| i.required_by = vec!["x".to_owned()],
        |i| i.replica_identity = true,
    ];
    for mark in marks {
        assert_eq!(broken(mark).proposed(), ["drop t_a: advise"]);
    }
}

#[test]
fn only_shows_one_on_another_roles_table() {
    let mut snapshot = database(
        "t(id int8 pk, a int8) 100000
         index t_a on t(a)",
        &[],
    );
    index_mut(&mut snapshot, "t_a").valid = false;
    table_mut(&mut snapshot, "t").may_index = false;
    let seen = look("invalid_index", &snapshot);
    assert_eq!(seen.proposed(), ["drop t_a: advise"]);
    assert!(seen.facts()[1].contains("needs the rights of test"));
}
