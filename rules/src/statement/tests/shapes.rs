//! Statements by shape: joins, subqueries, views, set operations, writes.

use std::collections::BTreeSet;

use super::{joins, order, predicates, read, reads, shop};
use crate::statement::{Limit, StatementKind, Target, analyze};

#[test]
fn joins_of_all_kinds() {
    let found = read(
        "SELECT 1 FROM users u JOIN orders o ON u.id = o.user_id LEFT JOIN items i ON i.order_id = o.id WHERE u.email = $1",
    );
    assert_eq!(joins(&found), ["o.id = i.order_id outer", "u.id = o.user_id inner"]);
    assert_eq!(predicates(&found), ["u.email = $1 Equality"]);
    let found = read("SELECT 1 FROM users u, orders o WHERE u.id = o.user_id");
    assert_eq!(joins(&found), ["u.id = o.user_id inner"]);
}

#[test]
fn an_outer_join_filters_its_nullable_side_only() {
    let left = "SELECT 1 FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.status = 'x' AND u.active";
    assert_eq!(predicates(&read(left)), ["o.status = 'x' Equality"]);
    let right = left.replace("LEFT", "RIGHT");
    assert_eq!(predicates(&read(&right)), ["u.active  - Boolean"]);
    let full = left.replace("LEFT", "FULL");
    assert_eq!(predicates(&read(&full)), Vec::<String>::new());
}

#[test]
fn using_and_natural_joins() {
    let found = read("SELECT id FROM users JOIN orders USING (id) WHERE id = $1");
    assert_eq!(joins(&found), ["users.id = orders.id inner"]);
    assert_eq!(predicates(&found), ["users.id = $1 Equality"]);
    let found = read("SELECT * FROM users NATURAL JOIN orders");
    assert_eq!(
        joins(&found),
        ["users.created_at = orders.created_at inner", "users.id = orders.id inner"]
    );
    let found = read(
        "SELECT 1 FROM (SELECT * FROM orders o JOIN items i ON i.order_id = o.id) s WHERE s.product_id = 3 AND s.id = 4",
    );
    assert_eq!(predicates(&found), ["i.product_id = '3' Equality", "o.id = '4' Equality"]);
    let found =
        read("SELECT * FROM (users u JOIN orders o ON o.user_id = u.id) AS j(uid) WHERE j.uid = 3");
    assert_eq!(predicates(&found), ["u.id = '3' Equality"]);
}

#[test]
fn self_joins_are_two_relations() {
    let found =
        read("SELECT a.id FROM orders a JOIN orders b ON a.user_id = b.user_id AND a.id <> b.id");
    assert_eq!(found.relations.len(), 2);
    assert_eq!(joins(&found), ["a.user_id = b.user_id inner"]);
    let found = read(
        "SELECT orders.id FROM orders, orders o2 WHERE orders.id = o2.id AND orders.status = 'x'",
    );
    assert_eq!(predicates(&found), ["orders.status = 'x' Equality"]);
}

#[test]
fn subqueries_in_from_are_looked_through() {
    let found = read(
        "SELECT s.mail FROM (SELECT u.email AS mail, u.level + 1 AS next FROM users u WHERE u.active) s WHERE s.mail = $1 AND s.next > 3",
    );
    assert_eq!(
        predicates(&found),
        ["u.active  - Boolean", "u.email = $1 Equality", "u.(level + 1) > '3' Range"]
    );
    assert_eq!(found.blocks.len(), 2);
    assert_eq!((found.relations[0].block, &found.blocks[0].relations), (1, &vec![0]));
    let found = read("SELECT x FROM (SELECT id, email FROM users) AS s(x, y) WHERE y = 'a'");
    assert_eq!(predicates(&found), ["users.email = 'a' Equality"]);
}

#[test]
fn aggregates_of_a_subquery_are_no_target() {
    let found = read(
        "SELECT * FROM (SELECT user_id, count(*) AS n FROM orders GROUP BY user_id) s WHERE s.n > 5 AND s.user_id = $1",
    );
    assert_eq!(predicates(&found), ["orders.user_id = $1 Equality"]);
    assert!(!found.blocks[0].aggregates && found.blocks[1].aggregates);
}

#[test]
fn common_table_expressions() {
    let found = read(
        "WITH a AS MATERIALIZED (SELECT id, email FROM users), b(k) AS (SELECT id FROM a) SELECT 1 FROM b JOIN orders o ON o.user_id = b.k WHERE b.k = $1",
    );
    assert_eq!(joins(&found), ["users.id = o.user_id inner"]);
    assert_eq!(predicates(&found), ["users.id = $1 Equality"]);
    let twice = read(
        "WITH a AS (SELECT * FROM users) SELECT 1 FROM a x JOIN a y ON x.id = y.level WHERE x.email = 'e'",
    );
    assert_eq!(twice.relations.len(), 1);
    assert_eq!(predicates(&twice)[0], "users.(id = level)  - Other");
}

#[test]
fn recursive_common_table_expressions() {
    let found = read(
        "WITH RECURSIVE tree AS (SELECT id, user_id FROM orders WHERE id = $1 UNION ALL
         SELECT o.id, o.user_id FROM orders o JOIN tree t ON o.user_id = t.id) SELECT * FROM tree",
    );
    assert_eq!(joins(&found), ["orders.id = o.user_id inner"]);
    assert_eq!(predicates(&found), ["orders.id = $1 Equality"]);
}

#[test]
fn a_cte_hides_a_table_of_its_name() {
    let found = read("WITH users AS (SELECT id FROM orders) SELECT id FROM users WHERE id = 1");
    assert_eq!(reads(&found), ["orders: id"]);
}

#[test]
fn views_are_looked_through() {
    let found = read("SELECT address FROM active_users WHERE address = $1 AND day = $2");
    assert_eq!(
        predicates(&found),
        ["u.active  - Boolean", "u.email = $1 Equality", "u.(date(created_at)) = $2 Equality"]
    );
    assert_eq!(reads(&found), ["u: active,created_at,email"]);
    let found = read("SELECT id FROM nested n WHERE n.address = $1");
    assert_eq!(
        predicates(&found),
        [
            "u.active  - Boolean",
            "u.(date(created_at)) > '2024-01-01' Range",
            "u.email = $1 Equality"
        ]
    );
    let found = read("SELECT 1 FROM ordered WHERE user_id = $1 AND count > 3");
    assert_eq!(predicates(&found), ["o.user_id = $1 Equality"]);
}

#[test]
fn subquery_expressions() {
    let found = read(
        "SELECT 1 FROM users u WHERE EXISTS (SELECT * FROM orders o WHERE o.user_id = u.id AND o.status = $1)",
    );
    assert_eq!(joins(&found), ["u.id = o.user_id semi"]);
    assert_eq!(predicates(&found), ["o.status = $1 Equality"]);
    assert_eq!(reads(&found), ["u: id", "o: status,user_id"]);
    let found =
        read("SELECT 1 FROM users WHERE id IN (SELECT user_id FROM orders WHERE total > 5)");
    assert_eq!(joins(&found), ["users.id = orders.user_id semi"]);
    let found = read(
        "SELECT 1 FROM users WHERE NOT EXISTS (SELECT 1 FROM orders WHERE user_id = users.id)",
    );
    assert_eq!(joins(&found), ["users.id = orders.user_id semi"]);
    let found =
        read("SELECT (SELECT max(total) FROM orders o WHERE o.user_id = u.id) FROM users u");
    assert_eq!(joins(&found), ["u.id = o.user_id semi"]);
    let found =
        read("SELECT 1 FROM users WHERE (id, level) IN (SELECT user_id, total FROM orders)");
    assert_eq!(
        joins(&found),
        ["users.id = orders.user_id semi", "users.level = orders.total semi"]
    );
    let found = read(
        "SELECT 1 FROM users WHERE level = (SELECT max(quantity) FROM items WHERE product_id = $1)",
    );
    assert_eq!(
        predicates(&found),
        ["items.product_id = $1 Equality", "users.level = computed[1] Equality"]
    );
}

#[test]
fn a_subquery_may_use_its_outer_row_not_the_reverse() {
    let found = read(
        "SELECT 1 FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.created_at > u.created_at)",
    );
    assert_eq!(predicates(&found), ["o.created_at > u.created_at Range"]);
}

#[test]
fn lateral_subqueries() {
    let found = read(
        "SELECT 1 FROM users u CROSS JOIN LATERAL (SELECT * FROM orders o WHERE o.user_id = u.id ORDER BY o.created_at DESC LIMIT 3) l WHERE l.status = 'x'",
    );
    assert_eq!(joins(&found), ["u.id = o.user_id inner"]);
    assert_eq!(order(&found, 1), ["o.created_at desc nulls"]);
    assert_eq!(found.blocks[1].limit, Some(Limit::Rows(3)));
}

#[test]
fn set_operations() {
    let found = read(
        "SELECT id FROM users WHERE level = 1 UNION ALL SELECT user_id FROM orders WHERE status = 'x' ORDER BY 1 LIMIT 5",
    );
    assert_eq!(predicates(&found), ["users.level = '1' Equality", "orders.status = 'x' Equality"]);
    assert_eq!(found.blocks.len(), 3);
    assert!(found.blocks.iter().all(|block| block.aggregates));
    assert_eq!(
        (order(&found, 1), order(&found, 2)),
        (vec!["users.id".to_owned()], vec!["orders.user_id".to_owned()])
    );
    assert_eq!(found.blocks[1].limit, Some(Limit::Rows(5)));
    let found = read(
        "SELECT * FROM (SELECT id, email FROM users UNION ALL SELECT id, status FROM orders) s WHERE s.id = $1",
    );
    assert_eq!(predicates(&found), ["users.id = $1 Equality", "orders.id = $1 Equality"]);
    let found = read(
        "SELECT id FROM users UNION SELECT id FROM orders EXCEPT SELECT order_id FROM items ORDER BY id",
    );
    assert_eq!(found.blocks.len(), 4);
    assert!(order(&found, 1).is_empty());
    assert_eq!(reads(&found), ["users: id", "orders: id", "items: order_id"]);
}

#[test]
fn orderings() {
    let of = |text: &str| order(&read(text), 0);
    assert_eq!(
        of("SELECT id, email AS m FROM users ORDER BY 2, m DESC, level NULLS FIRST"),
        ["users.email", "users.email desc nulls", "users.level nulls"]
    );
    assert_eq!(
        of("SELECT 1 FROM users ORDER BY lower(email) DESC NULLS LAST"),
        ["users.(lower(email)) desc"]
    );
    assert_eq!(
        of("SELECT 1 FROM users u JOIN orders o ON o.user_id = u.id ORDER BY o.created_at, u.id"),
        ["o.created_at", "u.id"]
    );
    assert!(of("SELECT count(*) AS n FROM users GROUP BY level ORDER BY n, level").is_empty());
    assert_eq!(of("SELECT DISTINCT ON (user_id) * FROM orders"), ["orders.user_id"]);
    assert_eq!(
        of("SELECT DISTINCT ON (user_id) * FROM orders ORDER BY user_id, id DESC"),
        ["orders.user_id", "orders.id desc nulls"]
    );
    assert_eq!(
        of("SELECT row_number() OVER (PARTITION BY user_id ORDER BY id DESC) FROM orders"),
        ["orders.user_id", "orders.id desc nulls"]
    );
    assert_eq!(
        of("SELECT max(created_at) FROM orders WHERE user_id = 1"),
        ["orders.created_at desc nulls"]
    );
}

#[test]
fn groupings_and_limits() {
    let found = read("SELECT level, lower(email), count(*) FROM users GROUP BY level, 2 LIMIT $1");
    let expected: Vec<_> = found.blocks[0]
        .group_by
        .iter()
        .map(|(relation, target)| super::target(&found, *relation, target))
        .collect();
    assert_eq!(expected, ["users.level", "users.(lower(email))"]);
    assert_eq!(found.blocks[0].limit, Some(Limit::Parameter(1)));
    assert!(found.blocks[0].aggregates);
    let found = read("SELECT DISTINCT status FROM orders FETCH FIRST ROW ONLY");
    assert_eq!(found.blocks[0].group_by, [(0, Target::Column("status".to_owned()))]);
    assert_eq!(found.blocks[0].limit, Some(Limit::Rows(1)));
    let found = read("SELECT 1 FROM orders LIMIT ALL");
    assert_eq!(found.blocks[0].limit, None);
    let found = read(
        "SELECT status FROM orders GROUP BY status HAVING status <> 'x' AND count(*) > 5 LIMIT 2 + 3",
    );
    assert_eq!(predicates(&found), ["orders.status <> 'x' NotEqual"]);
    assert_eq!(found.blocks[0].limit, Some(Limit::Unknown));
    let found = read("SELECT level, sum(id) FROM users GROUP BY ROLLUP (level)");
    assert!(found.blocks[0].group_by.is_empty() && found.blocks[0].aggregates);
}

#[test]
fn names_resolve_as_on_the_server() {
    let found = read("SELECT \"Kind\" FROM \"Events\" AS \"E\" WHERE \"E\".\"userId\" = $1");
    assert_eq!(predicates(&found), ["E.userId = $1 Equality"]);
    let found = read("SELECT public.users.id FROM public.users WHERE users.email = 'x'");
    assert_eq!(found.relations[0].table, shop().table_named("public", "users").unwrap().oid);
    let path = ["other".to_owned(), "public".to_owned()];
    let found = analyze("SELECT code FROM users", &shop(), &path).unwrap();
    assert_eq!(found.relations[0].table, shop().table_named("other", "users").unwrap().oid);
    let found =
        read("SELECT count(*) FROM orders o, pg_catalog.pg_class c WHERE c.relname = o.status");
    assert_eq!(reads(&found), ["o: status"]);
}

#[test]
fn expressions_quote_mixed_case() {
    let found = read("SELECT 1 FROM \"Events\" WHERE lower(\"Kind\") = 'x'");
    assert_eq!(predicates(&found), ["Events.(lower(\"Kind\")) = 'x' Equality"]);
}

#[test]
fn what_is_read() {
    assert_eq!(reads(&read("SELECT * FROM users")), ["users: *"]);
    assert_eq!(reads(&read("SELECT u FROM users u")), ["u: *"]);
    assert_eq!(reads(&read("SELECT count(*) FROM users WHERE level = 1")), ["users: level"]);
    assert_eq!(reads(&read("SELECT ctid FROM users")), ["users: *"]);
    assert_eq!(reads(&read("SELECT id FROM users FOR UPDATE")), ["users: *"]);
    assert_eq!(
        reads(&read("SELECT s.id FROM (SELECT * FROM users ORDER BY level) s")),
        ["users: id,level"]
    );
    assert_eq!(
        reads(&read("SELECT o.* FROM users u JOIN orders o ON o.user_id = u.id")),
        ["u: id", "o: *"]
    );
    assert_eq!(reads(&read("SELECT to_jsonb(i.*) FROM items i")), ["i: *"]);
}

#[test]
fn functions_in_from() {
    let found = read("SELECT 1 FROM unnest($1::int8[]) AS x(id) JOIN orders o ON o.id = x.id");
    assert_eq!(predicates(&found), ["o.id = computed[1] Equality"]);
    let found = read(
        "SELECT e FROM users u, jsonb_array_elements(u.settings -> 'list') e WHERE e ->> 'x' = $1 AND u.id = $2",
    );
    assert_eq!(predicates(&found), ["u.id = $2 Equality"]);
    let found = read("SELECT g FROM generate_series(1, 3) g JOIN users ON users.id = g");
    assert_eq!(predicates(&found), ["users.id = computed[] Equality"]);
    let found = read(
        "SELECT 1 FROM users u JOIN (VALUES (1, $1), (2, $2)) v(id, x) ON v.id = u.id WHERE u.email = v.x",
    );
    assert_eq!(
        predicates(&found),
        ["u.id = computed[] Equality", "u.email = computed[1, 2] Equality"]
    );
}

#[test]
fn updates() {
    let found = read(
        "UPDATE orders o SET status = $1, total = total + $2 FROM users u WHERE u.id = o.user_id AND u.email = $3 RETURNING o.id",
    );
    assert_eq!(found.kind, StatementKind::Update);
    let write = found.writes.as_ref().unwrap();
    assert_eq!(write.columns, BTreeSet::from(["status".to_owned(), "total".to_owned()]));
    assert_eq!(joins(&found), ["o.user_id = u.id inner"]);
    assert_eq!(predicates(&found), ["u.email = $3 Equality"]);
    assert_eq!(reads(&found), ["o: *", "u: email,id"]);
    let found = read(
        "UPDATE users SET (name, level) = (SELECT note, 1 FROM orders WHERE orders.user_id = users.id)",
    );
    assert_eq!(joins(&found), ["users.id = orders.user_id semi"]);
    assert_eq!(found.writes.unwrap().columns.len(), 2);
}

#[test]
fn deletes() {
    let found =
        read("DELETE FROM items i USING orders o WHERE o.id = i.order_id AND o.status = 'gone'");
    assert_eq!((found.kind, found.blocks.len()), (StatementKind::Delete, 1));
    assert_eq!(joins(&found), ["i.order_id = o.id inner"]);
    assert_eq!(predicates(&found), ["o.status = 'gone' Equality"]);
    assert!(found.writes.unwrap().columns.is_empty());
}

#[test]
fn inserts() {
    let found =
        read("INSERT INTO orders (id, status) SELECT u.id, $1 FROM users u WHERE u.level = $2");
    assert_eq!(predicates(&found), ["u.level = $2 Equality"]);
    assert_eq!(found.relations.len(), 1);
    let found = read(
        "INSERT INTO users AS t (id, email) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email = excluded.email, level = t.level + 1 WHERE t.active RETURNING id, xmax",
    );
    assert!(found.relations.is_empty() && found.predicates.is_empty());
    assert_eq!(
        found.writes.unwrap().columns,
        BTreeSet::from(["email".to_owned(), "id".to_owned(), "level".to_owned()])
    );
    assert_eq!(read("INSERT INTO items VALUES ($1)").writes.unwrap().columns.len(), 4);
}

#[test]
fn data_modifying_common_table_expressions() {
    let found = read(
        "WITH gone AS (DELETE FROM orders WHERE status = 'x' RETURNING *) INSERT INTO items (order_id) SELECT id FROM gone",
    );
    assert_eq!(found.kind, StatementKind::Insert);
    assert_eq!(
        found.writes.as_ref().unwrap().table,
        shop().table_named("public", "items").unwrap().oid
    );
    assert_eq!(predicates(&found), ["orders.status = 'x' Equality"]);
    let found = read(
        "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT count(*) FROM gone",
    );
    assert_eq!(found.kind, StatementKind::Select);
    assert!(found.writes.is_some());
}
