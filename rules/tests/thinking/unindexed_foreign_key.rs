use chrono::TimeDelta;
use rules::snapshot::{Index, Snapshot, TableKind};
use rules::testing::{index_mut, set_stats, stats, table_mut};

use crate::seen::{database, look};

const RULE: &str = "unindexed_foreign_key";

fn orders(more: &str) -> Snapshot {
    let lines = "users(id int8 pk, email text) 10000
                 orders(id int8 pk, user_id int8 -> users.id, status text) 100000";
    let mut snapshot = database(&format!("{lines}\n{more}"), &[]);
    set_stats(&mut snapshot, "orders.user_id", stats(10_000.0, &[], &[]));
    snapshot
}

/// Counts this many deletes on the parent in the day before the snapshot.
fn with_deletes(mut snapshot: Snapshot, deletes: u64) -> Snapshot {
    snapshot.server.counters_since = Some(snapshot.server.taken_at - TimeDelta::days(1));
    table_mut(&mut snapshot, "users").counters.deleted = deletes;
    snapshot
}

fn covered(index: &str, change: impl FnOnce(&mut Index)) -> Vec<String> {
    let mut snapshot = orders(&format!("index i on orders({index})"));
    change(index_mut(&mut snapshot, "i"));
    look(RULE, &snapshot).proposed()
}

const SHOWN: [&str; 1] = ["btree (user_id) on orders: advise"];
const NOTHING: [&str; 0] = [];

#[test]
fn fires_and_acts_where_deletes_are_counted() {
    let seen = look(RULE, &with_deletes(orders(""), 200));
    assert_eq!(seen.proposed(), ["btree (user_id) on orders: act"]);
    assert!(
        seen.facts()
            .contains(&"200 deletes a day on the referenced table look up this one".to_owned())
    );
    // 1,000 pages and 100,000 rows: 11.36 ms a scan.
    assert!((seen.only().own_gain_ms_per_day - 200.0 * 11.36).abs() < 1e-6);
}

#[test]
fn fires_for_deletes_counted_by_statement() {
    let mut snapshot = orders("");
    snapshot.intake.since = Some(snapshot.server.taken_at - TimeDelta::days(2));
    let mut delete = rules::testing::statement("DELETE FROM users WHERE id = $1");
    (delete.calls, delete.rows) = (100, Some(100));
    snapshot.statements.push(delete);
    let seen = look(RULE, &snapshot);
    assert!((seen.only().own_gain_ms_per_day - 50.0 * 11.36).abs() < 1e-6);
}

#[test]
fn fires_and_acts_where_statements_join_along_the_key() {
    let mut snapshot = orders("");
    for text in [
        "SELECT * FROM users WHERE id = 1",
        "SELECT * FROM users u JOIN orders o ON o.user_id = u.id WHERE u.email = $1",
    ] {
        snapshot.statements.push(rules::testing::statement(text));
    }
    let seen = look(RULE, &snapshot);
    assert_eq!(seen.proposed(), ["btree (user_id) on orders: act"]);
    assert_eq!(seen.only().serves, [1]);
}

#[test]
fn only_shows_it_without_counted_deletes_and_joins() {
    let seen = look(RULE, &orders(""));
    assert_eq!(seen.proposed(), SHOWN);
    assert!(seen.facts().contains(&"no deletes on the referenced table were counted".to_owned()));
}

#[test]
fn another_rule_that_knows_more_is_not_held_back_by_that() {
    let mut snapshot = orders("");
    snapshot.statements.push(rules::testing::statement("SELECT * FROM orders WHERE user_id = $1"));
    assert_eq!(look(RULE, &snapshot).proposed(), SHOWN, "a filter is no join along the key");
    let workload = rules::testing::workload(&snapshot);
    let cx = rules::context::Context { snapshot: &snapshot, workload: &workload };
    let all = rules::propose(&cx).candidates;
    let mine: Vec<_> = all.iter().filter(|c| c.rules.contains(&RULE)).collect();
    assert_eq!(mine[0].rules, ["unserved_predicate", RULE]);
    assert_eq!(mine[0].reach, rules::reach::Reach::Act);
}

#[test]
fn fires_where_only_a_partial_invalid_or_otherwise_unfit_index_exists() {
    assert_eq!(
        covered("user_id", |i| i.predicate = Some("(status = 'open'::text)".to_owned())),
        SHOWN
    );
    assert_eq!(covered("user_id", |i| i.valid = false), SHOWN);
    assert_eq!(covered("user_id", |i| i.ready = false), SHOWN);
    assert_eq!(covered("status, user_id", |_| {}), SHOWN, "it does not begin with the key");
    assert_eq!(covered("status", |i| i.include = vec!["user_id".to_owned()]), SHOWN);
    assert_eq!(covered("user_id", |i| i.method = "brin".to_owned()), SHOWN);
    assert_eq!(covered("user_id", |i| i.method = "gin".to_owned()), SHOWN);
    assert_eq!(covered("abs(user_id)", |_| {}), SHOWN);
    assert_eq!(covered("user_id", |i| i.keys[0].collation = Some("C".to_owned())), SHOWN);
}

#[test]
fn stays_silent_where_an_index_covers_the_key() {
    assert_eq!(covered("user_id", |_| {}), NOTHING);
    assert_eq!(covered("user_id desc", |_| {}), NOTHING);
    assert_eq!(covered("user_id, status", |i| i.unique = true), NOTHING);
    assert_eq!(covered("user_id", |i| i.method = "hash".to_owned()), NOTHING);
    assert_eq!(covered("user_id", |i| i.keys[0].nulls_first = true), NOTHING);
}

#[test]
fn stays_silent_where_a_partial_index_leaves_out_nulls_alone() {
    let partial = |predicate: &str| {
        let predicate = predicate.to_owned();
        covered("user_id", |i| i.predicate = Some(predicate))
    };
    assert_eq!(partial("(user_id IS NOT NULL)"), NOTHING);
    assert_eq!(partial("(status IS NOT NULL)"), SHOWN, "another column");
    assert_eq!(partial("((user_id IS NOT NULL) AND (status = 'open'::text))"), SHOWN);
    assert_eq!(partial("(user_id IS NULL)"), SHOWN);
    let mut snapshot = composite("index i on lines(number, shop)");
    index_mut(&mut snapshot, "i").predicate = Some("(shop IS NOT NULL)".to_owned());
    look(RULE, &snapshot).is_silent();
    let both = "((shop IS NOT NULL) AND (number IS NOT NULL))";
    index_mut(&mut snapshot, "i").predicate = Some(both.to_owned());
    look(RULE, &snapshot).is_silent();
    let more = "((shop IS NOT NULL) AND (price IS NOT NULL))";
    index_mut(&mut snapshot, "i").predicate = Some(more.to_owned());
    assert_eq!(look(RULE, &snapshot).proposed().len(), 1);
}

/// `lines` has two columns that reference two columns of `users`.
fn composite(index: &str) -> Snapshot {
    let mut snapshot = orders(&format!(
        "lines(id int8 pk, shop int8, number int8, price numeric) 500000\n{index}"
    ));
    let parent = table_mut(&mut snapshot, "orders");
    let mut key = parent.constraints[0].clone();
    key.references = Some(parent.oid);
    key.columns = vec!["number".to_owned(), "shop".to_owned()];
    table_mut(&mut snapshot, "lines").constraints.push(key);
    table_mut(&mut snapshot, "orders").constraints.clear();
    snapshot
}

#[test]
fn fires_on_a_composite_key_in_the_order_of_the_constraint() {
    let proposed = ["btree (number, shop) on lines: advise"];
    assert_eq!(look(RULE, &composite("")).proposed(), proposed);
    for index in ["number", "number, price, shop", "price, number, shop"] {
        let snapshot = composite(&format!("index i on lines({index})"));
        assert_eq!(look(RULE, &snapshot).proposed(), proposed, "{index}");
    }
}

#[test]
fn stays_silent_where_an_index_begins_with_the_keys_columns_in_any_order() {
    for index in ["number, shop", "shop, number", "shop desc, number, price"] {
        look(RULE, &composite(&format!("index i on lines({index})"))).is_silent();
    }
    let mut snapshot = composite("index i on lines(shop)");
    index_mut(&mut snapshot, "i").method = "hash".to_owned();
    assert_eq!(look(RULE, &snapshot).proposed().len(), 1, "hash has one column");
}

#[test]
fn fires_for_each_of_two_keys_and_for_a_table_that_references_itself() {
    let lines = "nodes(id int8 pk) 10000
                 edges(source int8 -> nodes.id, target int8 -> nodes.id) 100000";
    assert_eq!(
        look(RULE, &database(lines, &[])).proposed(),
        ["btree (source) on edges: advise", "btree (target) on edges: advise"]
    );
}

#[test]
fn stays_silent_on_partitions_and_excluded_tables() {
    let mut snapshot = orders("");
    table_mut(&mut snapshot, "orders").partition_of = Some(1);
    look(RULE, &snapshot).is_silent();
    let mut snapshot = orders("");
    table_mut(&mut snapshot, "orders").excluded = true;
    look(RULE, &snapshot).is_silent();
}

#[test]
fn stays_silent_on_an_empty_table_unless_deletes_or_joins_are_known() {
    let empty = |mut snapshot: Snapshot| {
        let table = table_mut(&mut snapshot, "orders");
        (table.rows, table.pages) = (None, 0);
        snapshot
    };
    look(RULE, &empty(orders(""))).is_silent();
    let acts = ["btree (user_id) on orders: act"];
    assert_eq!(look(RULE, &empty(with_deletes(orders(""), 5))).proposed(), acts);
    let mut joined = empty(orders(""));
    let text = "SELECT * FROM users u JOIN orders o ON o.user_id = u.id";
    joined.statements.push(rules::testing::statement(text));
    assert_eq!(look(RULE, &joined).proposed(), acts);
    let mut partitioned = empty(orders(""));
    table_mut(&mut partitioned, "orders").kind = TableKind::Partitioned;
    assert_eq!(look(RULE, &partitioned).proposed(), SHOWN);
}

#[test]
fn refuses_tiny_foreign_and_extension_tables_with_the_reason() {
    let mut snapshot = with_deletes(orders(""), 5);
    let table = table_mut(&mut snapshot, "orders");
    (table.rows, table.pages) = (Some(20.0), 1);
    look(RULE, &snapshot).refuses(
        "index (user_id) for foreign key orders_user_id_fkey: the table is tiny (20 rows in 1 blocks)",
    );
    let mut snapshot = orders("");
    table_mut(&mut snapshot, "orders").kind = TableKind::Foreign;
    look(RULE, &snapshot).refuses("foreign table");
    let mut snapshot = orders("");
    table_mut(&mut snapshot, "orders").extension_member = true;
    look(RULE, &snapshot).refuses("belongs to an extension");
}

#[test]
fn refuses_a_key_whose_values_could_outgrow_a_page() {
    let lines = "pages(url text pk) 10000
                 links(id int8 pk, page text -> pages.url) 100000";
    let mut snapshot = database(lines, &[]);
    let long = "x".repeat(700);
    set_stats(&mut snapshot, "links.page", stats(-1.0, &[], &[long.as_str()]));
    look(RULE, &snapshot).refuses("values of page are up to 700 bytes long");
}

#[test]
fn only_shows_it_on_other_peoples_tables() {
    let mut snapshot = with_deletes(orders(""), 5);
    table_mut(&mut snapshot, "orders").kind = TableKind::Partitioned;
    assert_eq!(
        look(RULE, &snapshot).proposed(),
        look(RULE, &with_deletes(orders(""), 5)).proposed()
    );
    let mut snapshot = with_deletes(orders(""), 5);
    table_mut(&mut snapshot, "orders").may_index = false;
    let seen = look(RULE, &snapshot);
    assert_eq!(seen.proposed(), SHOWN);
    assert!(seen.facts().iter().any(|f| f.contains("needs the rights of test")));
}
