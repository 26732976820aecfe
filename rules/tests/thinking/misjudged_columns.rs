use chrono::DateTime;
use rules::snapshot::{Snapshot, TableKind, Together};
use rules::testing::{set_stats, stats, table_mut};

use crate::seen::{database, look};

const STATEMENT: &str = "SELECT * FROM home WHERE town = $1 AND zip = $2";

/// A hundred towns and as many zip codes over 100,000 rows: independent, a pair would have ten.
fn homes(statement: &str, calls: u64, rows: u64) -> Snapshot {
    let mut snapshot = database("home(id int8 pk, town text, zip text) 100000", &[statement]);
    for column in ["home.town", "home.zip"] {
        set_stats(&mut snapshot, column, stats(100.0, &[], &[]));
    }
    table_mut(&mut snapshot, "home").counters.analyzed_at =
        DateTime::from_timestamp(1_735_000_000, 0);
    snapshot.statements[0].calls = calls;
    snapshot.statements[0].rows = Some(rows);
    snapshot
}

#[test]
fn fires_where_more_rows_come_than_independent_columns_could_give() {
    let seen = look("misjudged_columns", &homes(STATEMENT, 10, 10_000));
    assert_eq!(
        seen.proposed(),
        ["statistics (dependencies, mcv) ON town, zip FROM public.home: act"]
    );
    assert_eq!(
        seen.facts(),
        [
            "1000 rows a call; were town and zip independent, it could be 10 at most, which is what the planner goes by"
        ]
    );
    let sure = rules::evidence::confidence(&seen.only().facts);
    assert!((0.7..0.9).contains(&sure.value), "{sure:?}");
}

#[test]
fn stays_silent_where_common_values_alone_can_explain_it() {
    let mut snapshot = homes(STATEMENT, 10, 10_000);
    set_stats(&mut snapshot, "home.town", stats(100.0, &[("Rome", 0.9)], &[]));
    look("misjudged_columns", &snapshot).is_silent();
}

#[test]
fn stays_silent_where_it_cannot_be_known_or_does_little_harm() {
    look("misjudged_columns", &homes(STATEMENT, 4, 4_000)).is_silent();
    look("misjudged_columns", &homes(STATEMENT, 10, 900)).is_silent();
    for statement in [
        "SELECT * FROM home WHERE town = $1",
        "SELECT * FROM home WHERE town = $1 AND zip > $2",
        "SELECT * FROM home WHERE town = $1 OR zip = $2",
        "SELECT * FROM home WHERE town = $1 AND zip = $2 LIMIT 1000",
        "SELECT DISTINCT id FROM home WHERE town = $1 AND zip = $2",
        "SELECT a.id FROM home a JOIN home b ON a.id = b.id WHERE a.town = $1 AND a.zip = $2",
        "UPDATE home SET id = 1 WHERE town = $1 AND zip = $2",
    ] {
        look("misjudged_columns", &homes(statement, 10, 10_000)).is_silent();
    }
}

#[test]
fn stays_silent_where_analyze_comes_first_or_statistics_are_there() {
    let mut stale = homes(STATEMENT, 10, 10_000);
    table_mut(&mut stale, "home").counters.modified_since_analyze = 50_000;
    look("misjudged_columns", &stale).is_silent();
    let mut foreign = homes(STATEMENT, 10, 10_000);
    table_mut(&mut foreign, "home").kind = TableKind::Foreign;
    look("misjudged_columns", &foreign).is_silent();
    let mut known = homes(STATEMENT, 10, 10_000);
    table_mut(&mut known, "home").statistics = vec![Together {
        schema: "public".into(),
        name: "theirs".into(),
        columns: ["id", "town", "zip"].map(str::to_owned).into(),
    }];
    look("misjudged_columns", &known).is_silent();
}

#[test]
fn a_table_of_another_role_is_only_shown() {
    let mut snapshot = homes(STATEMENT, 10, 10_000);
    table_mut(&mut snapshot, "home").may_index = false;
    let seen = look("misjudged_columns", &snapshot);
    assert!(seen.proposed()[0].ends_with(": advise"), "{:?}", seen.proposed());
}
