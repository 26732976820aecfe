use rules::snapshot::{Index, Snapshot, TableKind};
use rules::testing::{index_mut, table_mut};

use crate::seen::{Changes, Seen, database, look};

fn twins() -> Snapshot {
    database(
        "t(id int8 pk, a int8, b text null) 100000
         index t_a on t(a, b)
         index t_a_again on t(a, b)",
        &[],
    )
}

fn after(change: impl FnOnce(&mut Index)) -> Seen {
    let mut snapshot = twins();
    change(index_mut(&mut snapshot, "t_a_again"));
    look("duplicate_index", &snapshot)
}

#[test]
fn fires_on_the_younger_of_two_plain_twins() {
    let seen = look("duplicate_index", &twins());
    assert_eq!(seen.proposed(), ["drop t_a_again: act"]);
    assert_eq!(seen.facts(), ["t_a has the very same definition and stays"]);
}

#[test]
fn fires_once_for_each_further_twin() {
    let mut snapshot = twins();
    let table = table_mut(&mut snapshot, "t");
    let mut third = table.indexes[1].clone();
    (third.oid, third.name) = (third.oid + 50, "t_a_thrice".to_owned());
    table.indexes.push(third);
    let seen = look("duplicate_index", &snapshot);
    assert_eq!(seen.proposed(), ["drop t_a_again: act", "drop t_a_thrice: act"]);
}

#[test]
fn fires_whatever_the_order_in_which_they_are_listed() {
    let mut snapshot = twins();
    table_mut(&mut snapshot, "t").indexes.reverse();
    assert_eq!(look("duplicate_index", &snapshot).proposed(), ["drop t_a_again: act"]);
}

#[test]
fn stays_silent_where_anything_in_the_definitions_differs() {
    let changes: Changes<15> = [
        ("method", |i| i.method = "hash".to_owned()),
        ("another column", |i| i.keys[1].column = Some("id".to_owned())),
        ("an expression", |i| {
            i.keys[1].column = None;
            i.keys[1].expression = Some("lower(b)".to_owned());
        }),
        ("order of the keys", |i| i.keys.reverse()),
        ("fewer keys", |i| _ = i.keys.pop()),
        ("direction", |i| i.keys[1].descending = true),
        ("place of NULLs", |i| i.keys[1].nulls_first = true),
        ("operator class", |i| {
            i.keys[1].opclass = "text_pattern_ops".to_owned();
            i.keys[1].opclass_default = false;
        }),
        ("operator class options", |i| i.keys[1].opclass_options = vec!["siglen=32".to_owned()]),
        ("collation", |i| i.keys[1].collation = Some("C".to_owned())),
        ("INCLUDE", |i| i.include = vec!["id".to_owned()]),
        ("predicate", |i| i.predicate = Some("(a > 1)".to_owned())),
        ("storage options", |i| i.options = vec!["fillfactor=70".to_owned()]),
        ("tablespace", |i| i.tablespace = Some("fast".to_owned())),
        ("an expression in its place", |i| {
            i.keys[0].column = None;
            i.keys[0].expression = Some("abs(a)".to_owned());
        }),
    ];
    for (what, change) in changes {
        assert_eq!(after(change).proposed(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn stays_silent_on_indexes_that_are_invalid_or_parts_of_a_partitioned_one() {
    after(|i| i.valid = false).is_silent();
    after(|i| i.ready = false).is_silent();
    after(|i| i.live = false).is_silent();
    after(|i| i.partition_of = Some(1)).is_silent();
}

#[test]
fn stays_silent_where_both_serve_constraints() {
    let mut snapshot = twins();
    for name in ["t_a", "t_a_again"] {
        let index = index_mut(&mut snapshot, name);
        (index.unique, index.constraint) = (true, Some(name.to_owned()));
    }
    look("duplicate_index", &snapshot).is_silent();
}

#[test]
fn stays_silent_on_tables_that_are_excluded_or_an_extensions() {
    let mut snapshot = twins();
    table_mut(&mut snapshot, "t").excluded = true;
    look("duplicate_index", &snapshot).is_silent();
    let mut snapshot = twins();
    table_mut(&mut snapshot, "t").extension_member = true;
    look("duplicate_index", &snapshot).is_silent();
}

#[test]
fn stays_silent_where_two_unique_ones_treat_nulls_differently() {
    let mut snapshot = twins();
    index_mut(&mut snapshot, "t_a").unique = true;
    let again = index_mut(&mut snapshot, "t_a_again");
    (again.unique, again.nulls_not_distinct) = (true, true);
    look("duplicate_index", &snapshot).is_silent();
}

#[test]
fn only_shows_a_twin_of_a_unique_index_and_keeps_the_unique_one() {
    let seen = after(|i| i.unique = true);
    assert_eq!(seen.proposed(), ["drop t_a: advise"], "the younger one is unique and stays");
    assert!(seen.facts()[1].contains("t_a_again is more than a plain index"), "{:?}", seen.facts());
    let seen = after(|i| (i.unique, i.constraint) = (true, Some("t_a_again".to_owned())));
    assert_eq!(seen.proposed(), ["drop t_a: advise"]);
}

#[test]
fn only_shows_a_twin_of_the_primary_key() {
    let lines = "t(id int8 pk, a int8) 100000
                 index t_id on t(id)";
    assert_eq!(look("duplicate_index", &database(lines, &[])).proposed(), ["drop t_id: advise"]);
}

#[test]
fn keeps_the_one_that_is_marked_and_acts_on_the_plain_one() {
    let marks: [fn(&mut Index); 4] = [
        |i| i.clustered = true,
        |i| i.replica_identity = true,
        |i| i.required_by = vec!["constraint x on table y".to_owned()],
        |i| i.extension_dependent = true,
    ];
    for mark in marks {
        assert_eq!(after(mark).proposed(), ["drop t_a: act"]);
    }
}

#[test]
fn keeps_the_replica_identity_among_unique_twins() {
    let mut snapshot = twins();
    index_mut(&mut snapshot, "t_a").unique = true;
    let again = index_mut(&mut snapshot, "t_a_again");
    (again.unique, again.replica_identity) = (true, true);
    assert_eq!(look("duplicate_index", &snapshot).proposed(), ["drop t_a: advise"]);
}

#[test]
fn only_shows_a_marked_twin_of_a_marked_one() {
    let mut snapshot = twins();
    index_mut(&mut snapshot, "t_a").clustered = true;
    index_mut(&mut snapshot, "t_a_again").extension_dependent = true;
    let seen = look("duplicate_index", &snapshot);
    assert_eq!(seen.proposed(), ["drop t_a_again: advise"]);
}

#[test]
fn only_shows_what_may_not_come_back_or_has_statistics_of_its_own() {
    for (call, reach) in
        [("app.folded(a)", "advise"), ("lower(b)", "act"), ("pg_catalog.lower(b)", "act")]
    {
        let definition = format!("CREATE INDEX t_a_again ON public.t USING btree ({call}, b)");
        let seen = after(|index| index.definition = definition);
        assert_eq!(seen.proposed(), [format!("drop t_a_again: {reach}")], "{call}");
    }
    let operator = "CREATE INDEX t_a_again ON public.t USING btree ((b OPERATOR(app.||) b))";
    let seen = after(|index| index.definition = operator.to_owned());
    assert!(seen.facts()[1].contains("its expression calls app.||"), "{:?}", seen.facts());
    let seen = after(|index| index.statistics_targets = [(1, 300)].into());
    assert_eq!(seen.proposed(), ["drop t_a_again: advise"]);
}

#[test]
fn only_shows_what_another_role_owns_or_what_is_partitioned() {
    let mut snapshot = twins();
    table_mut(&mut snapshot, "t").may_index = false;
    let seen = look("duplicate_index", &snapshot);
    assert_eq!(seen.proposed(), ["drop t_a_again: advise"]);
    assert_eq!(
        seen.facts()[1],
        "needs the rights of test, the owner of public.t, and CREATE on schema public"
    );
    let mut snapshot = twins();
    table_mut(&mut snapshot, "t").kind = TableKind::Partitioned;
    let seen = look("duplicate_index", &snapshot);
    assert_eq!(seen.proposed(), ["drop t_a_again: advise"]);
    assert!(seen.facts()[1].contains("cannot be dropped concurrently"), "{:?}", seen.facts());
}
