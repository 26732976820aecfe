use chrono::DateTime;
use rules::snapshot::{Snapshot, TableKind};
use rules::testing::{set_stats, stats, table_mut};

use crate::seen::{database, look};

fn read() -> Snapshot {
    database("t(id int8 pk, a int8) 100000", &["SELECT * FROM t WHERE a = $1"])
}

/// The table, analyzed when it had as many rows as now, with this many rows changed since.
fn analyzed(changed: u64) -> Snapshot {
    let mut snapshot = read();
    let counters = &mut table_mut(&mut snapshot, "t").counters;
    counters.analyzed_at = DateTime::from_timestamp(1_735_000_000, 0);
    counters.modified_since_analyze = changed;
    snapshot
}

fn proposed(snapshot: &Snapshot) -> Vec<String> {
    look("stale_statistics", snapshot).proposed()
}

#[test]
fn fires_on_a_table_never_analyzed() {
    let seen = look("stale_statistics", &read());
    assert_eq!(seen.proposed(), ["analyze 16384: act"]);
    assert_eq!(seen.facts(), ["the table has no statistics and 1 statement reads it"]);
    assert_eq!(seen.only().serves, [0]);
}

#[test]
fn fires_where_over_a_fifth_of_the_rows_changed() {
    let seen = look("stale_statistics", &analyzed(20_001));
    assert_eq!(seen.proposed(), ["analyze 16384: act"]);
    assert_eq!(
        seen.facts(),
        ["20 % of the rows changed since the last ANALYZE and 1 statement reads it"]
    );
}

#[test]
fn fires_where_it_was_analyzed_empty_and_then_filled() {
    let mut snapshot = analyzed(100_000);
    table_mut(&mut snapshot, "t").rows = Some(0.0);
    assert_eq!(proposed(&snapshot), ["analyze 16384: act"]);
    table_mut(&mut snapshot, "t").rows = None;
    assert_eq!(proposed(&snapshot), ["analyze 16384: act"]);
}

#[test]
fn fires_for_every_statement_that_reads_it_joins_and_updates_included() {
    let snapshot = database(
        "t(id int8 pk, a int8) 100000
         u(id int8 pk, t_id int8) 100",
        &[
            "SELECT * FROM u WHERE id = 1",
            "SELECT * FROM u JOIN t ON t.id = u.t_id",
            "UPDATE t SET a = 1 WHERE id = $1",
        ],
    );
    assert_eq!(look("stale_statistics", &snapshot).only().serves, [1, 2]);
}

#[test]
fn stays_silent_where_few_rows_changed() {
    assert!(proposed(&analyzed(20_000)).is_empty());
    assert!(proposed(&analyzed(0)).is_empty());
}

#[test]
fn stays_silent_where_columns_have_statistics_though_the_counters_forgot() {
    let mut snapshot = read();
    set_stats(&mut snapshot, "t.a", stats(100.0, &[], &[]));
    assert!(proposed(&snapshot).is_empty(), "counters are zeroed by a crash, statistics are not");
}

#[test]
fn stays_silent_on_small_foreign_excluded_and_unread_tables() {
    let mut snapshot = read();
    table_mut(&mut snapshot, "t").pages = 7;
    assert!(proposed(&snapshot).is_empty());
    table_mut(&mut snapshot, "t").pages = 8;
    assert_eq!(proposed(&snapshot).len(), 1);
    table_mut(&mut snapshot, "t").kind = TableKind::Foreign;
    assert!(proposed(&snapshot).is_empty());
    let mut snapshot = read();
    table_mut(&mut snapshot, "t").excluded = true;
    assert!(proposed(&snapshot).is_empty());
    snapshot.statements.clear();
    table_mut(&mut snapshot, "t").excluded = false;
    assert!(proposed(&snapshot).is_empty());
}

#[test]
fn only_shows_it_on_another_roles_table_unless_it_may_maintain_it() {
    let mut snapshot = read();
    table_mut(&mut snapshot, "t").may_index = false;
    assert_eq!(proposed(&snapshot), ["analyze 16384: act"]);
    table_mut(&mut snapshot, "t").may_analyze = false;
    let seen = look("stale_statistics", &snapshot);
    assert_eq!(seen.proposed(), ["analyze 16384: advise"]);
    assert_eq!(seen.facts()[1], "needs the rights of test, the owner of public.t");
}

#[test]
fn acts_on_a_partitioned_table_whose_leaves_alone_are_kept_fresh() {
    let mut snapshot = read();
    table_mut(&mut snapshot, "t").kind = TableKind::Partitioned;
    assert_eq!(proposed(&snapshot), ["analyze 16384: act"]);
}
