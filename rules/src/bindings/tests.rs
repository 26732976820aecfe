use super::{Binding, ParameterType, ValueSource, bind, substitute};
use crate::snapshot::{Snapshot, Statement};
use crate::statement::{Target, analyze, repair};
use crate::testing;

fn shop() -> Snapshot {
    let mut snapshot = testing::snapshot(
        "
        orders(id int8 pk, user_id int8, status text, total numeric, paid bool, mood mood, tags _text, doc jsonb, code uuid, address inet, created_at timestamptz, day date) 100000
        bare(id int8 pk, name text, at timestamptz, n int4) 1000
        ",
    );
    let mut set =
        |column: &str, stats| testing::set_stats(&mut snapshot, &format!("orders.{column}"), stats);
    set("id", testing::stats(-1.0, &[], &["1", "25000", "50000", "75000", "100000"]));
    set(
        "user_id",
        testing::stats(2000.0, &[("7", 0.05), ("9", 0.02)], &["1", "500", "1000", "1500", "2000"]),
    );
    set(
        "status",
        testing::stats(4.0, &[("new", 0.6), ("paid", 0.3), ("sent", 0.09), ("lost", 0.01)], &[]),
    );
    set("total", testing::stats(-0.5, &[], &["0", "10.5", "20.5", "30.5", "1000"]));
    set("paid", testing::stats(2.0, &[("t", 0.9), ("f", 0.1)], &[]));
    set("mood", testing::stats(2.0, &[("sad", 0.8), ("glad", 0.2)], &[]));
    let mut tags = testing::stats(100.0, &[("{a,b}", 0.1)], &[]);
    tags.common_elements = vec!["red".to_owned(), "b lue".to_owned(), "green".to_owned()];
    tags.element_frequencies = vec![0.5, 0.2, 0.1];
    set("tags", tags);
    let doc = |theme: &str, n: u32, id: &str| {
        format!(r#"{{"n": {n}, "theme": "{theme}", "key": "{id}"}}"#)
    };
    let docs = [
        doc("dark", 1, "a"),
        doc("dark", 1, "b"),
        doc("dark", 2, "c"),
        doc("light", 2, "d"),
        doc("blue", 3, "e"),
    ];
    let docs: Vec<&str> = docs.iter().map(String::as_str).collect();
    set("doc", testing::stats(-1.0, &[], &docs));
    set(
        "code",
        testing::stats(
            -1.0,
            &[],
            &["00000000-0000-4000-8000-00000000000a", "90000000-0000-4000-8000-00000000000a"],
        ),
    );
    set("address", testing::stats(-1.0, &[], &["10.0.0.1", "10.0.0.9"]));
    set(
        "created_at",
        testing::stats(
            -1.0,
            &[],
            &["2024-01-01 00:00:00+00", "2024-07-01 00:00:00+00", "2025-01-01 00:00:00+00"],
        ),
    );
    set("day", testing::stats(-0.01, &[], &["2024-01-01", "2024-07-01", "2025-01-01"]));
    snapshot
}

fn of(name: &str) -> ParameterType {
    let (kind, category) = match name {
        "int4" | "int8" | "numeric" | "float8" => ('b', 'N'),
        "text" | "varchar" => ('b', 'S'),
        "bool" => ('b', 'B'),
        "date" | "timestamptz" => ('b', 'D'),
        "interval" => ('b', 'T'),
        "inet" => ('b', 'I'),
        "mood" => ('e', 'E'),
        "thing" => ('c', 'C'),
        _ if name.starts_with('_') => ('b', 'A'),
        _ => ('b', 'U'),
    };
    let labels =
        if name == "mood" { vec!["sad".to_owned(), "glad".to_owned()] } else { Vec::new() };
    let element = name.strip_prefix('_').map(str::to_owned);
    ParameterType { name: name.to_owned(), kind, category, element, labels }
}

fn bound(statement: &Statement, types: &[&str]) -> Vec<Binding> {
    let snapshot = shop();
    let repaired = repair(&statement.text);
    let analysis = analyze(&repaired.text, &snapshot, &statement.search_path)
        .unwrap_or_else(|error| panic!("{}: {error}", statement.text));
    let types: Vec<ParameterType> = types.iter().map(|name| of(name)).collect();
    let bindings = bind(&analysis, statement, &snapshot, &types);
    let total: f64 = bindings.iter().map(|binding| binding.weight).sum();
    assert!((total - 1.0).abs() < 1e-9, "{bindings:?}");
    assert!(bindings.len() <= 4);
    assert!(bindings.iter().all(|binding| binding.values.len() == types.len()));
    assert_eq!(bindings, bind(&analysis, statement, &snapshot, &types), "not deterministic");
    bindings
}

/// Bindings as `label: value value`.
fn shown(text: &str, types: &[&str]) -> Vec<String> {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".to_owned());
    let show = |binding: &Binding| {
        format!(
            "{}: {}",
            binding.label,
            binding.values.iter().map(value).collect::<Vec<_>>().join(" ")
        )
    };
    bound(&testing::statement(text), types).iter().map(show).collect()
}

#[track_caller]
fn is(condition: &str, types: &[&str], expected: &[&str]) {
    assert_eq!(
        shown(&format!("SELECT 1 FROM orders WHERE {condition}"), types),
        expected,
        "{condition}"
    );
}

#[test]
fn without_parameters_there_is_one() {
    assert_eq!(shown("SELECT 1 FROM orders", &[]), ["only: "]);
}

#[test]
fn equality_by_frequency() {
    is("status = $1", &["text"], &["common: new", "typical: sent", "rare: lost"]);
    let bindings = bound(&testing::statement("SELECT 1 FROM orders WHERE status = $1"), &["text"]);
    // Nine rows in ten and two values of four.
    assert!((bindings[0].weight - 0.7).abs() < 1e-9, "{bindings:?}");
    is("id = $1", &["int8"], &["typical: 50000"]);
    is("user_id = $1", &["int8"], &["common: 7", "typical: 1000"]);
    is("paid = $1", &["bool"], &["common: t", "typical: f"]);
    is("mood = $1", &["mood"], &["common: sad", "typical: glad"]);
    is("code = $1", &["uuid"], &["typical: 90000000-0000-4000-8000-00000000000a"]);
    is("address = $1", &["inet"], &["typical: 10.0.0.9"]);
    is("lower(status) = $1", &["text"], &["common: new", "typical: sent", "rare: lost"]);
}

#[test]
fn lists() {
    is("status IN ($1, $2)", &["text", "text"], &["common: new paid", "typical: sent lost"]);
    is("status = ANY($1)", &["_text"], &["typical: {sent,lost,new,paid}"]);
    is(
        "user_id = ANY($1)",
        &["_int8"],
        &["common: {7,9,1500,2000,1}", "typical: {1000,1500,2000,1,500}"],
    );
}

#[test]
fn ranges_are_ordered_and_sensibly_wide() {
    is(
        "total >= $1 AND total < $2",
        &["numeric", "numeric"],
        &["common: 15.5 25.5", "typical: 19.5 21.5", "rare: 20.3 20.7"],
    );
    is(
        "total BETWEEN $1 AND $2",
        &["int4", "int4"],
        &["common: 16 26", "typical: 20 22", "rare: 20 21"],
    );
    is("total > $1", &["numeric"], &["common: 30.5", "typical: 806.1", "rare: 961.22"]);
    is(
        "created_at >= $1 AND created_at < $2",
        &["date", "date"],
        &[
            "common: 2024-10-01 2025-01-01",
            "typical: 2024-12-13 2025-01-01",
            "rare: 2024-12-28 2025-01-01",
        ],
    );
    is("day < $1", &["date"], &["common: 2024-04-01", "typical: 2024-01-19", "rare: 2024-01-04"]);
}

#[test]
fn widths_follow_the_rows_that_were_observed() {
    let mut statement =
        testing::statement("SELECT 1 FROM orders WHERE created_at >= $1 AND created_at < $2");
    (statement.calls, statement.rows) = (10, Some(1_000));
    let bindings = bound(&statement, &["timestamptz", "timestamptz"]);
    let typical = bindings.iter().find(|binding| binding.label == "typical").unwrap();
    // 100 rows of 100,000: a thousandth of the two years' halves.
    assert!(typical.values[0].as_deref().unwrap().starts_with("2024-12-31"), "{typical:?}");
    assert!(bindings.iter().all(|binding| binding.weight <= typical.weight));
    let mut statement = testing::statement("SELECT 1 FROM orders WHERE status = $1");
    (statement.calls, statement.rows) = (10, Some(10_000));
    let bindings = bound(&statement, &["text"]);
    let best = bindings.iter().max_by(|one, other| one.weight.total_cmp(&other.weight)).unwrap();
    assert_eq!(best.values[0].as_deref(), Some("lost"), "{bindings:?}");
}

#[test]
fn offsets_from_now() {
    is(
        "created_at > now() - $1",
        &["interval"],
        &["common: 92 days", "typical: 18 days", "rare: 4 days"],
    );
    is(
        "created_at < now() - $1",
        &["interval"],
        &["common: 275 days", "typical: 348 days", "rare: 362 days"],
    );
    is(
        "created_at > now() - $1 AND created_at < now() - $2",
        &["interval", "interval"],
        &["common: 92 days 9 days", "typical: 18 days 44 hours", "rare: 4 days 9 hours"],
    );
    is("day >= CURRENT_DATE - $1", &["int4"], &["common: 92", "typical: 19", "rare: 4"]);
    let found = shown("SELECT 1 FROM bare WHERE at > now() - $1", &["interval"]);
    assert_eq!(found, ["common: 30 days", "typical: 7 days", "rare: 24 hours"]);
}

#[test]
fn patterns_find_something() {
    is("status LIKE $1", &["text"], &["common: new%", "typical: sent%", "rare: lost%"]);
    is("status ILIKE $1", &["text"], &["common: %new%", "typical: %sent%", "rare: %lost%"]);
    is("status ^@ $1", &["text"], &["common: new", "typical: sent", "rare: lost"]);
}

#[test]
fn arrays() {
    is("tags @> $1", &["_text"], &["common: {red}", "typical: {\"b lue\"}", "rare: {green}"]);
    is(
        "tags && $1",
        &["_text"],
        &["common: {red,\"b lue\"}", "typical: {\"b lue\",green}", "rare: {green}"],
    );
    is("$1 = ANY(tags)", &["text"], &["common: red", "typical: b lue", "rare: green"]);
}

#[test]
fn documents() {
    is("doc->>'theme' = $1", &["text"], &["common: dark", "typical: blue"]);
    is("doc->>$1 = $2", &["text", "text"], &["common: theme dark", "typical: n 1", "rare: key a"]);
    is("(doc->>'n')::int = $1", &["int4"], &["common: 1", "typical: 3"]);
    is("doc @> $1", &["jsonb"], &["common: {\"theme\": \"dark\"}", "typical: {\"key\": \"c\"}"]);
    is("doc ? $1", &["text"], &["typical: n"]);
    assert_eq!(shown("SELECT doc->>$1 FROM orders", &["text"]), ["typical: key"]);
    assert_eq!(shown("SELECT doc#>>$1 FROM orders", &["_text"]), ["typical: {key}"]);
}

#[test]
fn parameters_within_expressions_are_given_what_the_comparison_wants() {
    let found = |condition: &str, types: &[&str]| {
        shown(&format!("SELECT 1 FROM orders WHERE {condition}"), types).join(" | ")
    };
    assert_eq!(found("doc @> jsonb_build_object('n', $1::int)", &["int4"]), "typical: 2 | rare: 3");
    assert_eq!(
        found("user_id = ($1::json->>'id')::bigint", &["json"]),
        r#"common: {"id":7} | typical: {"id":1000}"#
    );
    assert_eq!(
        found("user_id = ANY(string_to_array($1, ',')::bigint[])", &["text"]),
        "common: 7,9,1500,2000,1 | typical: 1000,1500,2000,1,500"
    );
    assert_eq!(
        found("user_id IN (SELECT unnest($1::bigint[]))", &["_int8"]).split(" | ").next(),
        Some("common: {7,9,1500,2000,1}")
    );
    assert_eq!(found("status = md5($1::int::text)", &["int4"]), "typical: 1");
    assert_eq!(
        found("status LIKE '%' || $1 || '%'", &["text"]),
        "common: new | typical: sent | rare: lost"
    );
    assert!(
        found("created_at >= to_timestamp($1::double precision)", &["float8"])
            .starts_with("common: 1727740800")
    );
    assert_eq!(
        found("created_at > now() - ($1::int * interval '1 hour')", &["int4"]),
        "common: 2208 | typical: 442 | rare: 89"
    );
    assert_eq!(
        found("created_at > now() - ($1 || ' days')::interval", &["text"]),
        "common: 92 | typical: 19 | rare: 4"
    );
    // Without statistics the key must be there all the same.
    assert_eq!(
        shown("SELECT 1 FROM bare WHERE id = ($1::json->>'id')::bigint", &["json"]),
        [r#"typical: {"id":1}"#]
    );
}

#[test]
fn the_key_that_fits_the_rows_weighs_most() {
    let mut statement = testing::statement("SELECT * FROM orders WHERE doc->>$1 = $2");
    (statement.calls, statement.rows) = (1, Some(60_000));
    let bindings = bound(&statement, &["text", "text"]);
    let best = bindings.iter().max_by(|one, other| one.weight.total_cmp(&other.weight)).unwrap();
    assert_eq!(best.values, [Some("theme".to_owned()), Some("dark".to_owned())], "{bindings:?}");
}

#[test]
fn roles_have_their_own_values() {
    let text = "SELECT date_trunc($1, created_at), $2 FROM orders WHERE id = $3 LIMIT $4 OFFSET $5";
    assert_eq!(
        shown(text, &["text", "text", "int8", "int8", "int8"]),
        ["typical: day a 50000 100 100"]
    );
    assert_eq!(
        shown("SELECT id FROM orders ORDER BY total LIMIT 20 OFFSET $1", &["int8"]),
        ["typical: 20", "rare: 400"],
        "a page or two, and now and then far"
    );
    let mut statement = testing::statement("SELECT 1 FROM orders LIMIT $1");
    (statement.calls, statement.rows) = (10, Some(195));
    assert_eq!(bound(&statement, &["int8"])[0].values, [Some("20".to_owned())]);
    assert_eq!(
        shown("INSERT INTO orders (status, total) VALUES ($1, $2)", &["text", "numeric"]),
        ["typical: sent 20.5"]
    );
    assert_eq!(
        shown("UPDATE orders SET status = $1 WHERE id = $2", &["text", "int8"]),
        ["typical: sent 50000"]
    );
}

#[test]
fn without_statistics_values_still_fit_their_types() {
    let text = "SELECT 1 FROM bare WHERE id = $1 AND name = $2 AND at > $3 AND at < $4 AND n BETWEEN $5 AND $6";
    let found = shown(text, &["int8", "text", "timestamptz", "timestamptz", "int4", "int4"]);
    assert_eq!(found[1], "typical: 1 a 2024-12-25 00:00:00+00 2025-01-01 00:00:00+00 1 100");
    assert_eq!(shown("SELECT 1 FROM bare WHERE id = ANY($1)", &["_int8"]), ["typical: {1}"]);
    assert_eq!(shown("SELECT $1 FROM bare", &["thing"]), ["typical: NULL"]);
}

#[test]
fn examples_come_first() {
    let mut statement = testing::statement(
        "SELECT count(*) FROM orders WHERE status = $1 AND created_at > now() - interval $2 AND id IN ($3, $4)",
    );
    statement.examples = [
        "SELECT count(*) FROM orders WHERE status = 'odd' AND created_at > now() - interval '3 days' AND id IN (4, 5)".to_owned(),
        "SELECT count(*) FROM orders WHERE status = 'odd' AND created_at > now() - interval '3 days' AND id IN (4, 5)".to_owned(),
        "SELECT count(*) FROM orders WHERE status = NULL AND created_at > now() - interval '1 hour' AND id IN (6)".to_owned(),
        "SELECT 1 FROM elsewhere".to_owned(),
    ]
    .map(Into::into)
    .to_vec();
    let bindings = bound(&statement, &["text", "interval", "int8", "int8"]);
    let labels: Vec<&str> = bindings.iter().map(|binding| binding.label.as_str()).collect();
    assert_eq!(labels, ["example", "example", "typical"]);
    let values = |index: usize| {
        bindings[index].values.iter().map(|value| value.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(values(0), ["odd", "3 days", "4", "5"]);
    // What the example does not tell comes from the statistics.
    assert_eq!(values(1)[..3], ["sent", "1 hour", "6"]);
    // Called twice of three times.
    assert!((bindings[0].weight - 0.85 * 2.0 / 3.0).abs() < 1e-9);
    let mut statement = testing::statement("SELECT 1 FROM orders WHERE id IN ($1 /*, ... */)");
    statement.examples = vec!["SELECT 1 FROM orders WHERE id IN (1, 2, 3)".to_owned().into()];
    assert_eq!(bound(&statement, &["_int8"])[0].values, [Some("{1,2,3}".to_owned())]);
}

#[test]
fn examples_follow_the_numbers_of_the_repaired_text() {
    let mut statement = testing::statement(
        "SELECT date_trunc($1, created_at) FROM orders WHERE status = $2 GROUP BY date_trunc($3, created_at)",
    );
    statement.examples = vec!["SELECT date_trunc('week', created_at) FROM orders WHERE status = 'x' GROUP BY date_trunc('week', created_at)".to_owned().into()];
    let bindings = bound(&statement, &["text", "text"]);
    assert_eq!(bindings[0].values, [Some("week".to_owned()), Some("x".to_owned())]);
}

fn concrete(statement: &Statement) -> Vec<super::Concrete> {
    let snapshot = shop();
    let analysis = analyze(&statement.text, &snapshot, &statement.search_path).unwrap();
    let Target::Expression(expression) = &analysis.predicates[0].target else { panic!() };
    substitute(expression, 0, &analysis, statement, &snapshot)
}

#[test]
fn expressions_become_concrete_by_example() {
    let mut statement = testing::statement("SELECT 1 FROM orders WHERE doc->>$1 = $2");
    statement.examples =
        vec!["SELECT 1 FROM orders WHERE doc->>'theme' = 'dark'".to_owned().into(); 3];
    let found = concrete(&statement);
    assert_eq!((found[0].sql.as_str(), found[0].source), ("doc ->> 'theme'", ValueSource::Example));
    assert!(found[0].probability > 0.8, "{found:?}");
    assert!((found[0].share.unwrap() - 0.6).abs() < 1e-9);
}

#[test]
fn expressions_become_concrete_by_the_rows_observed() {
    let mut statement = testing::statement("SELECT * FROM orders WHERE doc->>$1 = $2");
    (statement.calls, statement.rows) = (1, Some(60_000));
    let found = concrete(&statement);
    assert_eq!(
        (found[0].sql.as_str(), found[0].source),
        ("doc ->> 'theme'", ValueSource::Statistics)
    );
    let total: f64 = found.iter().map(|concrete| concrete.probability).sum();
    assert!((total - 1.0).abs() < 1e-9, "{found:?}");
    let fixed = concrete(&testing::statement("SELECT 1 FROM orders WHERE doc->>'theme' = 'light'"));
    assert_eq!((fixed.len(), fixed[0].probability), (1, 1.0));
    assert!((fixed[0].share.unwrap() - 0.2).abs() < 1e-9);
    assert!(
        concrete(&testing::statement("SELECT 1 FROM orders WHERE date_trunc($1, created_at) = $2"))
            .is_empty()
    );
}

#[test]
fn columns_that_must_equal_parameters_together_get_values_that_occur_together() {
    let mut snapshot = testing::snapshot("place(city text, zip text, kind text) 10000");
    let known = [("Bern", "3011", 0.4), ("Basel", "4051", 0.2), ("Chur", "7000", 0.001)];
    for (column, values) in [("city", known.map(|row| row.0)), ("zip", known.map(|row| row.1))] {
        let common: Vec<_> = values.into_iter().zip(known.map(|row| row.2)).collect();
        testing::set_stats(
            &mut snapshot,
            &format!("place.{column}"),
            testing::stats(500.0, &common, &["a", "m", "z"]),
        );
    }
    let row = |(city, zip, share): (&str, &str, f64)| {
        (vec![Some(zip.to_owned()), Some(city.to_owned())], share)
    };
    snapshot.tables[0].combinations = vec![crate::snapshot::Combinations {
        columns: vec!["zip".to_owned(), "city".to_owned()],
        rows: known.map(row).to_vec(),
    }];
    let values = |condition: &str| {
        let statement = testing::statement(&format!("SELECT 1 FROM place WHERE {condition}"));
        let analysis = analyze(&statement.text, &snapshot, &statement.search_path).unwrap();
        let bindings = bind(&analysis, &statement, &snapshot, &[of("text"), of("text")]);
        let joined = |binding: &Binding| {
            binding.values.iter().flatten().cloned().collect::<Vec<_>>().join(" ")
        };
        bindings.iter().map(joined).collect::<Vec<_>>()
    };
    assert_eq!(values("city = $1 AND zip = $2"), ["Bern 3011", "Basel 4051", "Chur 7000"]);
    assert_eq!(values("zip = $1 AND city = $2"), ["3011 Bern", "4051 Basel", "7000 Chur"]);
}
