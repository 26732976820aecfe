use rules::snapshot::Snapshot;
use rules::testing::{index_mut, table_mut};

use crate::seen::{Seen, database, look};

const RULE: &str = "unindexed_overlap";

fn bookings(index: &str, statements: &[&str]) -> Snapshot {
    let lines = "bookings(id int8 pk, during tstzrange, place point, area box, data jsonb, at timestamptz, \
                 until timestamptz) 100000";
    let mut snapshot = database(&format!("{lines}\n{index}"), statements);
    for column in &mut table_mut(&mut snapshot, "bookings").columns {
        if column.base_type == "tstzrange" {
            column.type_kind = 'r';
        }
    }
    snapshot
}

fn seen(condition: &str) -> Seen {
    let text = format!("SELECT * FROM bookings WHERE {condition}");
    look(RULE, &bookings("", &[&text]))
}

#[test]
fn fires_for_operators_of_ranges_and_shapes() {
    for (condition, keys) in [
        ("during && $1", "(during)"),
        ("during @> now()", "(during)"),
        ("$1::timestamptz <@ during", "(during)"),
        ("during -|- $1", "(during)"),
        ("place <@ box '((0,0),(1,1))'", "(place)"),
        ("area && $1", "(area)"),
    ] {
        let found = seen(condition);
        assert_eq!(found.proposed(), [format!("gist {keys} on bookings: act")], "{condition}");
    }
}

#[test]
fn silent_where_another_method_serves_or_none() {
    for condition in
        ["data @> $1", "during = $1", "at > $1", "NOT during && $1", "place ~= $1 IS NULL"]
    {
        seen(condition).is_silent();
    }
}

#[test]
fn refuses_where_a_gist_index_exists() {
    for method in ["gist", "spgist"] {
        let mut snapshot =
            bookings("index g on bookings(during)", &["SELECT * FROM bookings WHERE during && $1"]);
        method.clone_into(&mut index_mut(&mut snapshot, "g").method);
        look(RULE, &snapshot).refuses("already covered by g");
    }
}
