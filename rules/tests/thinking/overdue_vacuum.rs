use chrono::TimeDelta;
use rules::context::Context;
use rules::snapshot::{Persistence, Snapshot};
use rules::testing::{plan, plan_of, table_mut, workload};
use serde_json::json;

use crate::seen::{database, line, look};

/// A table of 1,000 pages and 100,000 rows, none of its pages marked, that a statement reads.
fn read() -> Snapshot {
    database("t(id int8 pk, a int8) 100000", &["SELECT a FROM t WHERE a > $1"])
}

/// The same with so many dead rows. Autovacuum, last seen so many hours ago, waits for 20,050.
fn dead(rows: u64, hours: i64) -> Snapshot {
    let mut snapshot = read();
    let at = snapshot.server.taken_at - TimeDelta::hours(hours);
    let counters = &mut table_mut(&mut snapshot, "t").counters;
    (counters.dead, counters.live, counters.vacuumed_at) = (rows, 100_000, Some(at));
    snapshot
}

/// What is proposed where the statement reads so many rows by this operator.
fn scanned(snapshot: &Snapshot, operator: &str, rows: f64) -> Vec<String> {
    let mut workload = workload(snapshot);
    let node = json!({
        "Node Type": operator, "Relation Name": "t", "Alias": "t", "Index Name": "i", "Total Cost": 9.0,
        "Plan Rows": rows
    });
    plan(&mut workload[0], plan_of(&node));
    let rule =
        rules::RULES.iter().find(|rule| rule.meta().id == "overdue_vacuum").expect("a known rule");
    let found = rule.propose(&Context { snapshot, workload: &workload });
    found.candidates.iter().map(line).collect()
}

#[test]
fn fires_where_index_only_scans_look_rows_up_after_all() {
    let mut snapshot = read();
    assert_eq!(scanned(&snapshot, "Index Only Scan", 100.0), ["vacuum 16384: act"]);
    assert!(scanned(&snapshot, "Index Only Scan", 99.0).is_empty());
    assert!(scanned(&snapshot, "Index Scan", 100.0).is_empty());
    table_mut(&mut snapshot, "t").all_visible = 500;
    assert!(scanned(&snapshot, "Index Only Scan", 100.0).is_empty());
}

#[test]
fn fires_where_dead_rows_lie_and_autovacuum_does_not_come() {
    let seen = look("overdue_vacuum", &dead(40_101, 24));
    assert_eq!(seen.proposed(), ["vacuum 16384: act"]);
    assert_eq!(
        seen.facts(),
        ["40101 dead rows beside 100000 live ones; autovacuum should have come at 20050"]
    );
    look("overdue_vacuum", &dead(40_100, 24)).is_silent();
    look("overdue_vacuum", &dead(40_101, 23)).is_silent();
}

#[test]
fn the_tables_own_settings_count() {
    let mut snapshot = dead(30_000, 23);
    table_mut(&mut snapshot, "t").options =
        vec!["autovacuum_enabled=false".into(), "autovacuum_vacuum_scale_factor=0.1".into()];
    assert_eq!(look("overdue_vacuum", &snapshot).proposed(), ["vacuum 16384: act"]);
    table_mut(&mut snapshot, "t").options = vec!["autovacuum_enabled=false".into()];
    look("overdue_vacuum", &snapshot).is_silent();
    let most = ("autovacuum_vacuum_max_threshold".to_owned(), "10000".to_owned());
    snapshot.settings.extend([most]);
    assert_eq!(look("overdue_vacuum", &snapshot).proposed(), ["vacuum 16384: act"]);
}

#[test]
fn stays_silent_where_it_is_not_ours_to_do() {
    let alter: [fn(&mut Snapshot); 4] = [
        |snapshot| snapshot.statements.clear(),
        |snapshot| table_mut(snapshot, "t").pages = 63,
        |snapshot| table_mut(snapshot, "t").persistence = Persistence::Temporary,
        |snapshot| table_mut(snapshot, "t").extension_member = true,
    ];
    for alter in alter {
        let mut snapshot = dead(90_000, 48);
        alter(&mut snapshot);
        look("overdue_vacuum", &snapshot).is_silent();
    }
    let mut snapshot = dead(90_000, 48);
    table_mut(&mut snapshot, "t").may_index = false;
    assert_eq!(look("overdue_vacuum", &snapshot).proposed(), ["vacuum 16384: act"]);
    table_mut(&mut snapshot, "t").may_analyze = false;
    assert_eq!(look("overdue_vacuum", &snapshot).proposed(), ["vacuum 16384: advise"]);
}
