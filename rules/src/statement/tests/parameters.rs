//! What each parameter is for.

use super::{parameter, read};

#[track_caller]
fn is(text: &str, expected: &[&str]) {
    let found = read(text);
    let all: Vec<String> =
        found.parameters.keys().map(|number| parameter(&found, *number)).collect();
    assert_eq!(all, expected, "{text}");
}

#[test]
fn comparisons_name_the_column() {
    is(
        "SELECT 1 FROM users u WHERE id = $1 AND $2 < level AND email LIKE $3",
        &["Value; u.id =", "Value; u.level >", "Value; u.email ~~"],
    );
    is(
        "SELECT 1 FROM users u WHERE id = ANY($1) AND level IN ($2, $3)",
        &["Value; u.id = any", "Value; u.level =", "Value; u.level ="],
    );
    is(
        "SELECT 1 FROM users u WHERE (created_at, id) > ($1, $2)",
        &["Value; u.created_at >", "Value; u.id >"],
    );
    is(
        "SELECT 1 FROM users u WHERE level BETWEEN $1 AND $2",
        &["Value; u.level >=", "Value; u.level <="],
    );
    is(
        "SELECT 1 FROM users u WHERE id = CAST($1 AS int8) OR lower(email) = lower($2)",
        &["Value; u.id =", "Value; u.(lower(email)) ="],
    );
    is(
        "SELECT 1 FROM users u WHERE settings @> $1 AND tags && $2 AND $3 = ANY(tags)",
        &["Value; u.settings @>", "Value; u.tags &&", "Value; u.tags = ANY"],
    );
}

#[test]
fn offsets_from_the_clock() {
    is(
        "SELECT 1 FROM users u WHERE created_at > now() - $1::interval",
        &["Value; u.created_at > offset"],
    );
    is(
        "SELECT 1 FROM users u WHERE created_at > CURRENT_DATE - $1",
        &["Value; u.created_at > offset"],
    );
    is(
        "SELECT 1 FROM users u WHERE created_at > $1::timestamptz - $2::interval",
        &["Value; u.created_at >", "Value; u.created_at >"],
    );
}

#[test]
fn comparisons_outside_of_where_count_too() {
    is(
        "SELECT count(*) FILTER (WHERE status = $1), sum(CASE WHEN total > $2 THEN $3 ELSE $4 END) FROM orders o",
        &["Value; o.status =", "Value; o.total >", "Output", "Output"],
    );
    is("SELECT CASE status WHEN $1 THEN $2 END FROM orders o", &["Value; o.status =", "Output"]);
    is(
        "SELECT 1 FROM users u WHERE EXISTS (SELECT $1 FROM orders o WHERE o.user_id = u.id AND o.status = $2)",
        &["Output", "Value; o.status ="],
    );
    is("SELECT 1 FROM orders o GROUP BY status HAVING count(*) > $1", &["Value"]);
}

#[test]
fn roles() {
    is("SELECT $1 FROM users LIMIT $2 OFFSET $3", &["Output", "Limit", "Offset"]);
    is(
        "SELECT date_trunc($1, created_at), pg_catalog.extract($2, created_at) FROM users",
        &["DateField", "DateField"],
    );
    is(
        "SELECT settings->>$1 FROM users u WHERE settings->$2->>$3 = $4",
        &[
            "JsonKey; u.settings ->>",
            "JsonKey; u.settings ->",
            "JsonKey; u.(settings -> $2) ->>",
            "Value; u.((settings -> $2) ->> $3) =",
        ],
    );
    is(
        "SELECT 1 FROM users u WHERE jsonb_extract_path_text(settings, $1) = $2",
        &["JsonKey; u.settings ->", "Value; u.(jsonb_extract_path_text(settings, $1)) ="],
    );
}

#[test]
fn how_a_value_is_read_is_no_value() {
    is("SELECT 1 FROM users u WHERE email LIKE $1 ESCAPE $2", &["Value; u.email ~~", "Value"]);
    is(
        "SELECT 1 FROM users u WHERE created_at > to_date($1, $2)",
        &["Value; u.created_at >", "Value"],
    );
    is("SELECT created_at AT TIME ZONE $1 FROM users u", &["TimeZone"]);
}

#[test]
fn stored_values_name_their_column() {
    is("INSERT INTO orders (id, status) VALUES ($1, lower($2))", &["Stored(id)", "Stored(status)"]);
    is("INSERT INTO orders (id, status) SELECT id, $1 FROM users", &["Stored(status)"]);
    is(
        "UPDATE orders o SET status = $1, total = coalesce($2, total) WHERE id = $3",
        &["Stored(status)", "Stored(total)", "Value; o.id ="],
    );
    is(
        "UPDATE orders o SET (status, note) = ($1, $2) WHERE status <> $1",
        &["Stored(status); o.status <>", "Stored(note)"],
    );
    is(
        "INSERT INTO users (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET level = $2",
        &["Stored(id)", "Stored(level)"],
    );
}

#[test]
fn parameters_are_seen_through_views_and_set_operations() {
    is("SELECT 1 FROM active_users WHERE address = $1", &["Value; u.email ="]);
    is(
        "SELECT 1 FROM (SELECT id FROM users UNION ALL SELECT user_id FROM orders) s WHERE s.id = $1",
        &["Value; users.id =; orders.user_id ="],
    );
    is("SELECT 1 FROM (SELECT id, $1 AS x FROM users) s", &["Output"]);
}
