//! Conditions by class.

use super::{joins, predicates, read};
use crate::statement::index_expression;

fn of(condition: &str) -> Vec<String> {
    predicates(&read(&format!("SELECT 1 FROM users u WHERE {condition}")))
}

#[track_caller]
fn is(condition: &str, expected: &[&str]) {
    assert_eq!(of(condition), expected, "{condition}");
}

#[test]
fn plain_comparisons() {
    is("id = $1", &["u.id = $1 Equality"]);
    is("$1 = u.id", &["u.id = $1 Equality"]);
    is("id = 5 AND level > 3", &["u.id = '5' Equality", "u.level > '3' Range"]);
    is("3 > level", &["u.level < '3' Range"]);
    is("level BETWEEN $1 AND $2", &["u.level >= $1 Range", "u.level <= $2 Range"]);
    is("level NOT BETWEEN 1 AND 2", &["u.level < '1' Range |0.0", "u.level > '2' Range |0.1"]);
    is("email <> $1", &["u.email <> $1 NotEqual"]);
    is("email != $1", &["u.email <> $1 NotEqual"]);
    is("email IS NULL", &["u.email IS NULL - IsNull"]);
    is("email IS NOT NULL", &["u.email IS NOT NULL - IsNotNull"]);
    is("email IS DISTINCT FROM $1", &["u.email IS DISTINCT FROM $1 NotEqual"]);
    is("level = NULL", &["u.level = 'NULL' Other"]);
    is("1 = 1 AND true AND $1", &[]);
}

#[test]
fn lists() {
    is("id IN ($1, $2, $3)", &["u.id = list(3) AnyOf"]);
    is("id IN ($1)", &["u.id = $1 Equality"]);
    is("id = ANY($1)", &["u.id = $1 AnyOf"]);
    is("id = ANY($1::int8[])", &["u.id = $1 AnyOf"]);
    is("id = ANY(ARRAY[1, 2])", &["u.id = list(2) AnyOf"]);
    is("id = ANY('{1,2}')", &["u.id = '{1,2}' AnyOf"]);
    is("id NOT IN (1, 2)", &["u.id <> list(2) NotEqual"]);
    is("id <> ALL($1)", &["u.id <> $1 NotEqual"]);
    is("NOT (id = ANY($1))", &["u.id <> $1 NotEqual"]);
    is("$1 = ANY(tags)", &["u.tags = ANY $1 Other"]);
    is("email LIKE ANY($1)", &["u.email ~~ $1 Pattern"]);
    is("(id, level) IN (($1, $2), ($3, $4))", &["u.id = list(2) AnyOf", "u.level = list(2) AnyOf"]);
}

#[test]
fn or_trees() {
    is("id = $1 OR id = $2", &["u.id = list(2) AnyOf"]);
    is("id = 1 OR id IN (2, 3) OR (id = 4 OR id = 5)", &["u.id = list(5) AnyOf"]);
    is("id = $1 OR email = $2", &["u.id = $1 Equality |0.0", "u.email = $2 Equality |0.1"]);
    is(
        "(id = 1 AND level > 2) OR email = 'x'",
        &["u.id = '1' Equality |0.0", "u.level > '2' Range |0.0", "u.email = 'x' Equality |0.1"],
    );
    is(
        "NOT (id <> 1 AND email <> 'x')",
        &["u.id = '1' Equality |0.0", "u.email = 'x' Equality |0.1"],
    );
    is(
        "(id = 1 OR level = 2) AND (email = 'a' OR name = 'b')",
        &[
            "u.id = '1' Equality |0.0",
            "u.level = '2' Equality |0.1",
            "u.email = 'a' Equality |1.0",
            "u.name = 'b' Equality |1.1",
        ],
    );
}

#[test]
fn an_or_across_tables_restricts_neither() {
    let found = read(
        "SELECT 1 FROM users u JOIN orders o ON o.user_id = u.id WHERE u.email = $1 OR o.status = $2",
    );
    assert_eq!(predicates(&found), Vec::<String>::new());
    let found = read(
        "SELECT 1 FROM users u, orders o WHERE (u.email = $1 AND o.status = 'a') OR o.status = $2",
    );
    assert_eq!(predicates(&found), ["o.status = 'a' Equality |0.0", "o.status = $2 Equality |0.1"]);
}

#[test]
fn negations() {
    is("NOT (level < 5)", &["u.level >= '5' Range"]);
    is("NOT active", &["u.active NOT - Boolean"]);
    is("NOT NOT active", &["u.active  - Boolean"]);
    is("NOT (email IS NULL)", &["u.email IS NOT NULL - IsNotNull"]);
    is("NOT (id = 1 OR level = 2)", &["u.id <> '1' NotEqual", "u.level <> '2' NotEqual"]);
    is("email NOT LIKE 'a%'", &["u.email !~~ 'a%' NotEqual"]);
}

#[test]
fn booleans() {
    is("active", &["u.active  - Boolean"]);
    is("active IS TRUE", &["u.active IS TRUE - Boolean"]);
    is("active IS NOT FALSE", &["u.active IS NOT FALSE - Boolean"]);
    is("active = true", &["u.active = 'true' Equality"]);
}

#[test]
fn patterns() {
    is("email LIKE 'ab%'", &["u.email ~~ 'ab%' Prefix"]);
    is("email LIKE '%ab'", &["u.email ~~ '%ab' Pattern"]);
    is("email LIKE $1", &["u.email ~~ $1 Pattern"]);
    is("email ILIKE 'ab%'", &["u.email ~~* 'ab%' Pattern"]);
    is("email ~ '^ab'", &["u.email ~ '^ab' Prefix"]);
    is("email ~ 'ab'", &["u.email ~ 'ab' Pattern"]);
    is("email ~* $1", &["u.email ~* $1 Pattern"]);
    is("email ^@ $1", &["u.email ^@ $1 Prefix"]);
    is("starts_with(email, $1)", &["u.email ^@ $1 Prefix"]);
    is("email LIKE $1 || '%'", &["u.email ~~ computed[1] Pattern"]);
    is("email % $1", &["u.email % $1 Pattern"]);
}

#[test]
fn json_arrays_and_text_search() {
    is("settings @> $1", &["u.settings @> $1 Contains"]);
    is("settings @> '{\"a\":1}'::jsonb", &["u.settings @> '{\"a\":1}' Contains"]);
    is("$1 <@ settings", &["u.settings @> $1 Contains"]);
    is("settings ? 'a'", &["u.settings ? 'a' HasKey"]);
    is("settings ?| $1", &["u.settings ?| $1 HasKey"]);
    is("settings ?& ARRAY['a']", &["u.settings ?& computed[] HasKey"]);
    is("settings @? '$.a'", &["u.settings @? '$.a' Matches"]);
    is("settings @@ $1", &["u.settings @@ $1 Matches"]);
    is("tags && $1", &["u.tags && $1 Overlaps"]);
    is("tags @> ARRAY[$1]", &["u.tags @> computed[1] Contains"]);
    is("tags <@ $1", &["u.tags <@ $1 Overlaps"]);
    is("search @@ to_tsquery('english', $1)", &["u.search @@ computed[1] Matches"]);
    is("settings ->> 'theme' = $1", &["u.(settings ->> 'theme') = $1 Equality"]);
    is("settings->>$1 = $2", &["u.(settings ->> $1) = $2 Equality"]);
    is("settings->'a'->>'b' = 'c'", &["u.((settings -> 'a') ->> 'b') = 'c' Equality"]);
    is("settings#>>'{a,b}' = 'c'", &["u.(settings #>> '{a,b}') = 'c' Equality"]);
    is("(settings->>'n')::int > 3", &["u.((settings ->> 'n')::int4) > '3' Range"]);
    is("settings['a'] = '1'", &["u.((settings)['a']) = '1' Equality"]);
}

#[test]
fn casts() {
    is("id = $1::int8", &["u.id = $1 Equality"]);
    is("id = CAST($1 AS bigint)", &["u.id = $1 Equality"]);
    is("id::text = $1", &["u.(id::text) = $1 Equality"]);
    // A varchar read as text is the same column to an index.
    is("email::text = $1", &["u.email = $1 Equality"]);
    is(
        "(email)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])",
        &["u.email = list(2) AnyOf"],
    );
    is("created_at::date = $1", &["u.(created_at::date) = $1 Equality"]);
    is("settings ->> 'a'::text = 'b'::text", &["u.(settings ->> 'a') = 'b' Equality"]);
}

#[test]
fn expressions() {
    is("lower(email) = lower($1)", &["u.(lower(email)) = computed[1] Equality"]);
    is("date_trunc('day', created_at) = $1", &["u.(date_trunc('day', created_at)) = $1 Equality"]);
    is("created_at > now() - interval '1 day'", &["u.created_at > computed[] Range"]);
    is("created_at > now() - $1::interval", &["u.created_at > computed[1] Range"]);
    is("coalesce(name, '') = 'x'", &["u.(COALESCE(name, '')) = 'x' Equality"]);
    is(
        "level + 1 = level * 2",
        &["u.((level + 1) = (level * 2)) - Other".replace("- Other", " - Other").as_str()],
    );
    is(
        "extract(year from created_at) = 2024",
        &["u.(pg_catalog.\"extract\"('year', created_at)) = '2024' Equality"],
    );
    is(
        "created_at AT TIME ZONE 'UTC' < $1",
        &["u.(pg_catalog.timezone('UTC', created_at)) < $1 Range"],
    );
    is("name COLLATE \"C\" > $1", &["u.(name COLLATE \"C\") > $1 Range"]);
    is(
        "CASE WHEN level > 3 THEN 1 ELSE 0 END = 1",
        &["u.(CASE WHEN level > 3 THEN 1 ELSE 0 END) = '1' Equality"],
    );
    is("-level < -5", &["u.(- level) < '-5' Range"]);
}

#[test]
fn an_expression_tells_what_it_is_made_of() {
    let found = read(
        "SELECT 1 FROM users WHERE lower(settings ->> $1)::varchar(5) = $2 AND CURRENT_DATE - created_at > '1 day'",
    );
    let super::Target::Expression(expression) = &found.predicates[0].target else { panic!() };
    assert_eq!(expression.sql, "lower(settings ->> $1)::varchar(5)");
    assert_eq!(expression.columns, ["settings"]);
    assert_eq!(expression.functions, [(None, "lower".to_owned())]);
    assert_eq!(expression.operators, ["->>"]);
    assert_eq!(expression.casts, ["varchar(5)"]);
    assert_eq!(expression.parameters, [1]);
    let super::Target::Expression(expression) = &found.predicates[1].target else { panic!() };
    assert_eq!(expression.functions, [(Some("pg_catalog".to_owned()), "now".to_owned())]);
}

#[test]
fn expressions_of_indexes_compare_equal() {
    let snapshot = super::shop();
    let users = snapshot.table_named("public", "users").unwrap();
    for (condition, printed) in [
        ("lower(email) = $1", "lower((email)::text)"),
        ("settings->>'theme' = $1", "((settings ->> 'theme'::text))"),
        ("date_trunc('day', created_at) = $1", "date_trunc('day'::text, created_at)"),
        ("(settings->>'n')::int = $1", "(((settings ->> 'n'::text))::integer)"),
        ("extract(year from created_at) = $1", "EXTRACT(year FROM created_at)"),
        ("coalesce(name, '') = $1", "COALESCE(name, ''::text)"),
    ] {
        let found = read(&format!("SELECT 1 FROM users WHERE {condition}"));
        let indexed = index_expression(printed, users, &snapshot);
        assert_eq!(indexed.as_ref(), Some(&found.predicates[0].target), "{printed}");
    }
    assert_eq!(index_expression("lower(nope)", users, &snapshot), None);
}

#[test]
fn rows() {
    is("(id, level) = ($1, $2)", &["u.id = $1 Equality", "u.level = $2 Equality"]);
    is("(created_at, id) > ($1, $2)", &["u.created_at >= $1 Range"]);
    is("ROW(created_at, id) <= ROW($1, $2)", &["u.created_at <= $1 Range"]);
}

#[test]
fn comparisons_between_tables() {
    let found = read(
        "SELECT 1 FROM users u JOIN orders o ON o.user_id = u.id AND o.created_at > u.created_at",
    );
    assert_eq!(joins(&found), ["u.id = o.user_id inner"]);
    assert_eq!(
        predicates(&found),
        ["o.created_at > u.created_at Range", "u.created_at < o.created_at Range"]
    );
}
