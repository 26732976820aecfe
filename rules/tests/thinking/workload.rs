//! How often tables are written, and what statements weigh.

use chrono::TimeDelta;
use rules::context::{Analyzed, Context};
use rules::snapshot::{Snapshot, Statement};
use rules::testing::{plan, plan_of, statement, table_mut, workload};
use rules::workload::{Writes, deletes_per_day, mean_ms, ms_per_day, unknown_writes, writes};

use crate::seen::database;

/// A table whose statements were counted for two days.
fn counted(statements: Vec<Statement>) -> Snapshot {
    let mut snapshot = database("t(id int8 pk, a int8, b int8) 100000", &[]);
    snapshot.intake.since = Some(snapshot.server.taken_at - TimeDelta::days(2));
    snapshot.statements = statements;
    snapshot
}

fn run(text: &str, calls: u64, rows: Option<u64>) -> Statement {
    Statement { calls, rows, ..statement(text) }
}

fn of(snapshot: &Snapshot) -> Writes {
    let workload = workload(snapshot);
    writes(&Context { snapshot, workload: &workload }, snapshot.tables[0].oid)
}

#[test]
fn rows_are_counted_by_statement_where_statements_were_counted() {
    let snapshot = counted(vec![
        run("INSERT INTO t (id, a, b) VALUES ($1, $2, $3)", 100, Some(100)),
        run("INSERT INTO t (id) SELECT $1", 10, Some(300)),
        run("UPDATE t SET a = $1 WHERE id = $2", 50, Some(40)),
        run("UPDATE t SET a = $1, b = 2 WHERE id = $2", 6, None),
        run("DELETE FROM t WHERE id = $1", 20, Some(10)),
        run("SELECT * FROM t", 1000, Some(1000)),
    ]);
    let set = |columns: &[&str]| columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        of(&snapshot),
        Writes {
            inserted: 200.0,
            updated: vec![(set(&["a"]), 20.0), (set(&["a", "b"]), 3.0)],
            deleted: 5.0
        }
    );
}

#[test]
fn the_tables_own_counters_say_nothing_beside_counted_statements() {
    let mut snapshot = counted(vec![]);
    snapshot.server.counters_since = snapshot.intake.since;
    table_mut(&mut snapshot, "t").counters.inserted = 1000;
    assert_eq!(of(&snapshot), Writes::default());
}

#[test]
fn a_bulk_load_that_ran_once_or_twice_is_no_habit() {
    let inserted = |calls, rows| {
        of(&counted(vec![run("INSERT INTO t (id) SELECT 1", calls, Some(rows))])).inserted
    };
    assert!(inserted(1, 10_000) < 1e-9);
    assert!(inserted(2, 20_000) < 1e-9);
    assert!((inserted(2, 19_999) - 9_999.5).abs() < 1e-9, "not that large");
    assert!((inserted(3, 3_000_000) - 1_500_000.0).abs() < 1e-9, "not that seldom");
}

#[test]
fn without_counted_statements_the_tables_counters_are_taken() {
    let mut snapshot = counted(vec![]);
    snapshot.intake.since = None;
    let counters = &mut table_mut(&mut snapshot, "t").counters;
    (counters.inserted, counters.updated, counters.deleted) = (100, 200, 300);
    assert_eq!(of(&snapshot), Writes::default(), "it is not known since when they run");
    snapshot.server.counters_since = Some(snapshot.server.taken_at - TimeDelta::days(10));
    assert_eq!(
        of(&snapshot),
        Writes { inserted: 10.0, updated: vec![(vec![], 20.0)], deleted: 30.0 }
    );
    snapshot.server.counters_since = Some(snapshot.server.taken_at);
    let an_hours_worth = of(&snapshot).inserted;
    assert!((an_hours_worth - 2400.0).abs() < 1e-6, "a moment is not blown up into a day");
}

/// A table that a file updates once, and the server updated 4,000 times, all of them HOT.
fn from_file(text: &str) -> Snapshot {
    let mut snapshot = counted(vec![run(text, 1, None)]);
    snapshot.intake.since = None;
    let counters = &mut table_mut(&mut snapshot, "t").counters;
    (counters.updated, counters.hot_updated, counters.inserted) = (4000, 4000, 500);
    snapshot
}

fn unknown(snapshot: &Snapshot) -> Option<String> {
    let workload = workload(snapshot);
    let cx = Context { snapshot, workload: &workload };
    unknown_writes(&cx, snapshot.tables[0].oid).map(|fact| fact.to_string())
}

#[test]
fn a_file_tells_which_columns_are_set_and_the_counters_how_often() {
    let mut snapshot = from_file("UPDATE t SET b = b + 1 WHERE id = $1");
    let b = vec!["b".to_owned()];
    assert_eq!(of(&snapshot).updated, [(b.clone(), 1.0)], "once a day, as a file's reads");
    snapshot.server.counters_since = Some(snapshot.server.taken_at - TimeDelta::days(10));
    assert_eq!(of(&snapshot).updated, [(b, 400.0)]);
    assert_eq!(unknown(&snapshot), None, "all is weighed");
}

#[test]
fn writes_that_no_file_holds_are_told() {
    let mut snapshot = from_file("SELECT * FROM t WHERE a = $1");
    let told = unknown(&snapshot).unwrap();
    assert!(told.contains("4000 updates of the table, 100 % of them HOT"), "{told}");
    table_mut(&mut snapshot, "t").counters.updated = 0;
    let told = unknown(&snapshot).unwrap();
    assert!(told.starts_with("500 rows inserted into the table are not weighed"), "{told}");
    let updates = from_file("UPDATE t SET b = b + 1 WHERE id = $1");
    assert!(unknown(&updates).unwrap().contains("500 rows inserted"));
    snapshot.intake.since = Some(snapshot.server.taken_at - TimeDelta::days(2));
    assert_eq!(unknown(&snapshot), None, "counted statements know better");
}

#[test]
fn other_tables_are_not_counted() {
    let mut snapshot = counted(vec![run("DELETE FROM t WHERE id = $1", 20, Some(10))]);
    let other = rules::testing::snapshot("u(id int8 pk) 5").tables.remove(0);
    snapshot.tables.push(rules::snapshot::Table { oid: 99, ..other });
    let workload = workload(&snapshot);
    let cx = Context { snapshot: &snapshot, workload: &workload };
    assert!(deletes_per_day(&cx, 99) < 1e-9);
    assert!((deletes_per_day(&cx, snapshot.tables[0].oid) - 5.0).abs() < 1e-9);
    assert!(deletes_per_day(&cx, 12_345) < 1e-9, "no such table");
}

#[test]
fn a_statements_weight_is_its_measured_time_else_its_cost() {
    let analyzed = |statement: Statement| -> (Snapshot, Analyzed) {
        let snapshot = counted(vec![statement]);
        let mut analyzed = workload(&snapshot).remove(0);
        let scan = serde_json::json!({
            "Node Type": "Seq Scan", "Relation Name": "t", "Total Cost": 1000.0, "Plan Rows": 1
        });
        plan(&mut analyzed, plan_of(&scan));
        (snapshot, analyzed)
    };
    let measured =
        Statement { total_ms: Some(500.0), ..run("SELECT * FROM t WHERE a = 1", 10, None) };
    assert_eq!(mean_ms(&measured), Some(50.0));
    let (snapshot, known) = analyzed(measured);
    assert!((ms_per_day(&snapshot, &known) - 250.0).abs() < 1e-9);
    let (snapshot, known) = analyzed(run("SELECT * FROM t WHERE a = 1", 10, None));
    // 1,000 units of 0.004 ms, ten times in two days.
    assert!((ms_per_day(&snapshot, &known) - 20.0).abs() < 1e-9);
    let unplanned = workload(&snapshot).remove(0);
    assert!(ms_per_day(&snapshot, &unplanned) < 1e-9);
}
