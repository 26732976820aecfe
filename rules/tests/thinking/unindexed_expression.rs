use rules::evidence::Fact;
use rules::snapshot::Volatility::{Immutable, Stable};
use rules::snapshot::{Function, Snapshot, TableKind};
use rules::testing::{function, index_mut, set_stats, stats, table_mut};

use crate::seen::{Seen, database, look};

const RULE: &str = "unindexed_expression";

fn people(index: &str, statements: &[&str]) -> Snapshot {
    let lines = "people(id int8 pk, email varchar, bio text, age int4, code int8, metadata jsonb, raw json, mood mood, \
                 price money, created timestamp, at timestamptz, born date, tags _text) 100000";
    let mut snapshot = database(&format!("{lines}\n{index}"), statements);
    let (plain, zoned) = ("timestamp without time zone", "timestamp with time zone");
    snapshot.functions = vec![
        function("abs", &["integer"], Immutable),
        function("array_length", &["text[]", "integer"], Immutable),
        function("date", &[plain], Immutable),
        function("date", &[zoned], Stable),
        function("date_trunc", &["text", plain], Immutable),
        function("date_trunc", &["text", zoned], Stable),
        function("date_trunc", &["text", zoned, "text"], Stable),
        function("extract", &["text", plain], Immutable),
        function("extract", &["text", zoned], Stable),
        function("jsonb_array_length", &["jsonb"], Immutable),
        function("length", &["text"], Immutable),
        function("lower", &["text"], Immutable),
        function("lower", &["anyrange"], Immutable),
        function("md5", &["text"], Immutable),
        function("now", &[], Stable),
        Function { result: plain.to_owned(), ..function("timezone", &["text", zoned], Immutable) },
        Function {
            result: plain.to_owned(),
            ..function("timezone", &["interval", zoned], Immutable)
        },
        Function { result: zoned.to_owned(), ..function("timezone", &["text", plain], Immutable) },
        function("timezone", &[zoned], Stable),
        function("to_char", &[plain, "text"], Stable),
        function("to_char", &[zoned, "text"], Stable),
        function("app.slug", &["text"], Immutable),
    ];
    snapshot
}

/// The first statement was seen to find 1 % of the rows.
fn finds_one_percent(snapshot: &mut Snapshot) {
    let statement = &mut snapshot.statements[0];
    (statement.calls, statement.rows) = (10, Some(10_000));
}

fn seen(condition: &str) -> Seen {
    look(RULE, &people("", &[&format!("SELECT * FROM people WHERE {condition}")]))
}

/// Documents of which 1 % have this theme.
fn with_documents(snapshot: &mut Snapshot, theme: &str) {
    let rare = format!(r#"{{"theme": "{theme}", "lang": "en"}}"#);
    let common = [(r#"{"theme": "light", "lang": "en"}"#, 0.9), (rare.as_str(), 0.01)];
    let histogram = [r#"{"theme": "dim", "lang": "fr"}"#, r#"{"lang": "de"}"#];
    set_stats(snapshot, "people.metadata", stats(-0.1, &common, &histogram));
}

#[test]
fn fires_on_immutable_expressions() {
    for (condition, index) in [
        ("lower(email) = $1", "btree ((lower(email)))"),
        ("lower(email) LIKE 'a%'", "btree ((lower(email)) text_pattern_ops)"),
        ("lower(email) COLLATE \"C\" LIKE 'a%'", "btree ((lower(email)) COLLATE \"C\")"),
        ("lower(email) = lower($1)", "btree ((lower(email)))"),
        ("lower(email::text) IN ('a', 'b')", "btree ((lower(email)))"),
        ("metadata->>'theme' = $1", "btree ((metadata ->> 'theme'))"),
        ("metadata->'ui'->>'theme' = 'dark'", "btree (((metadata -> 'ui') ->> 'theme'))"),
        ("metadata #>> '{ui,theme}' = $1", "btree ((metadata #>> '{ui,theme}'))"),
        ("raw->>'theme' = $1", "btree ((raw ->> 'theme'))"),
        ("lower(metadata->>'email') = $1", "btree ((lower(metadata ->> 'email')))"),
        ("date_trunc('day', created) = $1", "btree ((date_trunc('day', created)))"),
        ("date(created) >= $1", "btree ((date(created)))"),
        ("created::date = $1", "btree ((created::date))"),
        ("age::bigint = $1", "btree ((age::int8))"),
        ("code::text = $1", "btree ((code::text))"),
        ("md5(bio) = $1", "btree ((md5(bio)))"),
        ("(metadata->'n')::text = $1", "btree (((metadata -> 'n')::text))"),
        ("coalesce(email, '') = $1", "btree ((COALESCE(email, '')))"),
        ("lower(email) COLLATE \"C\" = $1", "btree ((lower(email)) COLLATE \"C\")"),
        ("email COLLATE \"C\" = $1", "btree ((email) COLLATE \"C\")"),
        ("email || '@x' = $1", "btree ((email || '@x'))"),
        ("lower(email || bio) = $1", "btree ((lower(email || bio)))"),
        ("date(at AT TIME ZONE 'UTC') = $1", "btree ((date(pg_catalog.timezone('UTC', at))))"),
        ("(at AT TIME ZONE 'UTC')::date = $1", "btree ((pg_catalog.timezone('UTC', at)::date))"),
        (
            "date_trunc('day', at AT TIME ZONE 'UTC') = $1",
            "btree ((date_trunc('day', pg_catalog.timezone('UTC', at))))",
        ),
        ("born::timestamp = $1", "btree ((born::timestamp))"),
        ("tags[1] = 'x'", "btree (((tags)[1]))"),
        ("array_length(tags, 1) = 3", "btree ((array_length(tags, 1)))"),
    ] {
        assert_eq!(seen(condition).proposed(), [format!("{index} on people: act")], "{condition}");
    }
}

#[test]
fn fires_on_a_timestamp_with_a_declared_precision() {
    let mut snapshot = people("", &["SELECT * FROM people WHERE date(created) = $1"]);
    let columns = &mut table_mut(&mut snapshot, "people").columns;
    let created = columns.iter_mut().find(|column| column.name == "created").unwrap();
    "timestamp(3) without time zone".clone_into(&mut created.type_name);
    assert_eq!(look(RULE, &snapshot).proposed(), ["btree ((date(created))) on people: act"]);
}

#[test]
fn fires_together_with_the_other_columns_of_the_statement() {
    let text =
        "SELECT * FROM people WHERE lower(email) = $1 AND age = $2 AND born > $3 ORDER BY created";
    let proposed = look(RULE, &people("", &[text])).proposed();
    for index in [
        "btree ((lower(email)), age)",
        "btree ((lower(email)), age, born)",
        "btree ((lower(email)), age, created)",
        "btree ((lower(email)))",
    ] {
        let line = format!("{index} on people: act");
        let swapped = line.replace("(lower(email)), age", "age, (lower(email))");
        assert!(proposed.contains(&line) || proposed.contains(&swapped), "{index}: {proposed:?}");
    }
    assert!(proposed.iter().all(|line| line.contains("(lower(email))")), "{proposed:?}");
}

#[test]
fn fires_where_a_limit_takes_the_first_rows_by_an_expression() {
    let of = |rest: &str| look(RULE, &people("", &[&format!("SELECT * FROM people {rest}")]));
    let wanted = ["btree ((lower(email))) on people: act"];
    assert_eq!(of("ORDER BY lower(email) LIMIT 10").proposed(), wanted);
    assert_eq!(of("ORDER BY lower(email) DESC LIMIT 10").proposed(), wanted, "read backwards");
    let filtered = of("WHERE age = 3 ORDER BY lower(email) LIMIT 10").proposed();
    assert!(filtered.contains(&"btree (age, (lower(email))) on people: act".to_owned()));
    of("ORDER BY lower(email)").is_silent();
    of("ORDER BY random() LIMIT 10").is_silent();
    of("ORDER BY date_trunc('day', at) LIMIT 10").refuses("date_trunc() is not immutable");
}

#[test]
fn stays_silent_on_plain_columns_and_what_no_btree_compares() {
    for condition in
        ["email = $1", "lower(email) LIKE '%x'", "lower(email) <> 'x'", "lower(email) IS NULL"]
    {
        seen(condition).is_silent();
    }
}

#[test]
fn refuses_what_depends_on_the_time_zone_or_the_clock() {
    for (condition, words) in [
        ("date_trunc('day', at) = $1", "date_trunc() is not immutable for this type"),
        ("date(at) = $1", "date() is not immutable"),
        ("at::date = $1", "cast to date is not immutable"),
        ("at::text = $1", "cast to text is not immutable"),
        ("born::text = $1", "cast to text is not immutable"),
        ("extract(epoch from at) > $1", "extract() is not immutable"),
        ("to_char(created, 'YYYY') = $1", "to_char() is not immutable"),
        ("created - now() > $1", "now() is not immutable"),
        ("coalesce(at, now()) > $1", "now() is not immutable"),
        ("at + interval '1 day' > $1", "the operator +"),
        ("date_trunc('day', born) = $1", "date_trunc() is not immutable for this type"),
        ("date(created AT TIME ZONE 'UTC') = $1", "date() is not immutable for this type"),
        ("created::timestamptz = $1", "it depends on the session's time zone"),
        ("at AT TIME ZONE email = $1", "timezone() is not known to take every value"),
        ("age || 'x' = $1", "|| is known to be immutable between texts only"),
        ("email || 5 = $1", "|| is known to be immutable between texts only"),
    ] {
        seen(condition).refuses(words);
    }
}

#[test]
fn refuses_text_of_types_whose_output_is_not_immutable() {
    for condition in
        ["mood::text = $1", "lower(mood::text) = $1", "price::text = $1", "tags::text = $1"]
    {
        seen(condition).refuses("not immutable");
    }
}

#[test]
fn refuses_what_could_fail_on_a_later_row() {
    for (condition, words) in [
        ("(metadata->>'age')::int = $1", "cast to int4 could fail on a later row"),
        ("(metadata->>'age')::bigint = $1", "cast to int8 could fail on a later row"),
        ("email::int = $1", "cast to int4"),
        ("(metadata->>'at')::timestamptz > $1", "cast to timestamptz"),
        ("age + code > $1", "the operator +"),
        ("age / code = 2", "the operator /"),
        ("age % 10 = 3", "the operator %"),
        ("metadata - 'a' = $1", "the operator -"),
        ("abs(age) = $1", "abs() is not known to take every value"),
        (
            "jsonb_array_length(metadata) = 3",
            "jsonb_array_length() is not known to take every value",
        ),
    ] {
        seen(condition).refuses(words);
    }
}

#[test]
fn refuses_functions_that_are_not_part_of_postgresql() {
    seen("app.slug(email) = $1").refuses("slug() is not PostgreSQL's own");
    seen("slug(email) = $1").refuses("slug() is not PostgreSQL's own");
    seen("nobody_knows(email) = $1").refuses("no built-in nobody_knows() is known");
    let mut snapshot = people("", &["SELECT * FROM people WHERE lower(email) = $1"]);
    snapshot.functions.push(function("public.lower", &["text"], Immutable));
    look(RULE, &snapshot).refuses("lower() is not PostgreSQL's own");
}

#[test]
fn refuses_values_that_could_outgrow_a_page() {
    let mut snapshot = people("", &["SELECT * FROM people WHERE lower(bio) = $1"]);
    let long = "x".repeat(900);
    set_stats(&mut snapshot, "people.bio", stats(-1.0, &[], &["a", long.as_str()]));
    look(RULE, &snapshot).refuses("values of bio are up to 900 bytes long");
    snapshot.statements[0] = rules::testing::statement("SELECT * FROM people WHERE md5(bio) = $1");
    assert_eq!(
        look(RULE, &snapshot).proposed().len(),
        1,
        "a digest is short however long the text is"
    );

    let mut snapshot = people("", &["SELECT * FROM people WHERE metadata->>'theme' = $1"]);
    with_documents(&mut snapshot, &"x".repeat(700));
    look(RULE, &snapshot).refuses("its values are up to 700 bytes long");
}

#[test]
fn refuses_where_an_index_on_the_expression_exists() {
    let statement = ["SELECT * FROM people WHERE metadata->>'theme' = $1"];
    let mut snapshot = people("index i on people(lower(email))", &statement);
    let key = &mut index_mut(&mut snapshot, "i").keys[0];
    key.expression = Some("((metadata ->> 'theme'::text))".to_owned());
    look(RULE, &snapshot).refuses("already covered by i");
}

#[test]
fn a_collation_is_part_of_what_covers() {
    let exists = |condition: &str, expression: &str, collation: Option<&str>| {
        let statement = format!("SELECT * FROM people WHERE {condition}");
        let mut snapshot = people("index i on people(lower(email))", &[&statement]);
        let key = &mut index_mut(&mut snapshot, "i").keys[0];
        key.expression = Some(expression.to_owned());
        key.collation = collation.map(str::to_owned);
        look(RULE, &snapshot).proposed().len()
    };
    let wanted = "lower(email) COLLATE \"C\" = $1";
    assert_eq!(exists(wanted, "lower((email)::text)", Some("C")), 0);
    assert_eq!(exists(wanted, "(lower((email)::text) COLLATE \"C\")", Some("pg_catalog.\"C\"")), 0);
    assert_eq!(exists(wanted, "lower((email)::text)", None), 1);
    assert_eq!(exists(wanted, "lower((email)::text)", Some("de_DE")), 1);
    assert_eq!(exists("lower(email) = $1", "lower((email)::text)", Some("C")), 1);
    assert_eq!(exists("lower(email) = ' COLLATE C'", "lower((email)::text)", None), 0);
}

#[test]
fn fires_beside_indexes_on_expressions_that_only_look_alike() {
    let exists = |condition: &str, expression: &str| {
        let statement = format!("SELECT * FROM people WHERE {condition}");
        let mut snapshot = people("index i on people(lower(email))", &[&statement]);
        index_mut(&mut snapshot, "i").keys[0].expression = Some(expression.to_owned());
        look(RULE, &snapshot).proposed().len()
    };
    assert_eq!(exists("lower(email) = $1", "lower((email)::text)"), 0);
    assert_eq!(exists("lower(email) = $1", "upper((email)::text)"), 1);
    assert_eq!(exists("metadata->>'a b' = $1", "(metadata ->> 'ab'::text)"), 1);
    assert_eq!(exists("metadata->>'Theme' = $1", "(metadata ->> 'theme'::text)"), 1);
    assert_eq!(exists("metadata->>'a::text' = $1", "(metadata ->> 'a'::text)"), 1);
    assert_eq!(exists("metadata->'a'->>'b' = $1", "(metadata ->> 'a'::text)"), 1);
    assert_eq!(exists("coalesce(email, 'x') = $1", "COALESCE(email, 'x'::character varying)"), 0);
    assert_eq!(exists("code::text = $1", "(code)::text"), 0);
    assert_eq!(exists("date(at AT TIME ZONE 'UTC') = $1", "date(timezone('UTC'::text, at))"), 0);
}

#[test]
fn refuses_where_most_rows_match_unless_a_limit_cuts_them() {
    let text = "SELECT * FROM people WHERE metadata->>'theme' = 'light'";
    let mut snapshot = people("", &[text]);
    with_documents(&mut snapshot, "dark");
    look(RULE, &snapshot).refuses("about 90 % of the rows match");
    let text = "SELECT * FROM people WHERE metadata->>'theme' = 'light' LIMIT 10";
    snapshot.statements[0] = rules::testing::statement(text);
    assert_eq!(look(RULE, &snapshot).proposed().len(), 1);
    let text = "SELECT count(*) FROM people WHERE metadata->>'theme' = 'light' LIMIT 10";
    snapshot.statements[0] = rules::testing::statement(text);
    look(RULE, &snapshot).refuses("about 90 % of the rows match");
}

#[test]
fn says_how_many_rows_match_where_documents_were_sampled() {
    let mut snapshot = people("", &["SELECT * FROM people WHERE metadata->>'theme' = 'dark'"]);
    with_documents(&mut snapshot, "dark");
    let found = look(RULE, &snapshot);
    assert!(found.only().facts.contains(&Fact::ExpressionShare { share: 0.01 }));
}

#[test]
fn guesses_a_constant_that_normalization_took_away_and_says_so() {
    let mut snapshot = people("", &["SELECT * FROM people WHERE metadata->>$1 = $2"]);
    look(RULE, &snapshot).refuses("its constant is not known");
    with_documents(&mut snapshot, "dark");
    look(RULE, &snapshot).refuses("about 90 % of the rows match");
    finds_one_percent(&mut snapshot);
    let found = look(RULE, &snapshot);
    assert!(!found.findings.candidates.is_empty());
    for candidate in &found.findings.candidates {
        let guessed = |fact: &Fact| matches!(fact, Fact::GuessedConstant { .. });
        assert!(candidate.facts.iter().any(guessed), "{:?}", candidate.facts);
    }
    let example = "SELECT * FROM people WHERE metadata->>'theme' = 'dark'";
    snapshot.statements[0].examples = vec![example.to_owned().into()];
    let found = look(RULE, &snapshot);
    let seen =
        |candidate: &&rules::candidate::Candidate| candidate.facts.contains(&Fact::SeenConstant);
    let known: Vec<_> = found.findings.candidates.iter().filter(seen).collect();
    assert_eq!(crate::seen::line(known[0]), "btree ((metadata ->> 'theme')) on people: act");
}

#[test]
fn refuses_a_constant_that_could_be_any_of_many() {
    let mut snapshot = people("", &["SELECT * FROM people WHERE metadata->>$1 = $2"]);
    let document = r#"{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}"#;
    set_stats(&mut snapshot, "people.metadata", stats(-0.1, &[(document, 0.1)], &[]));
    finds_one_percent(&mut snapshot);
    look(RULE, &snapshot).refuses("its constant is not known");
}

#[test]
fn a_constant_that_another_statement_writes_out_is_not_guessed() {
    let mut snapshot = people(
        "",
        &[
            "SELECT * FROM people WHERE metadata->>$1 = $2",
            "SELECT id FROM people WHERE metadata->>'theme' = $1",
        ],
    );
    with_documents(&mut snapshot, "dark");
    finds_one_percent(&mut snapshot);
    let workload = rules::testing::workload(&snapshot);
    let cx = rules::context::Context { snapshot: &snapshot, workload: &workload };
    let all = rules::propose(&cx).candidates;
    let of = |line: &str| all.iter().find(|c| crate::seen::line(c) == line).expect(line);
    let guessed = |fact: &Fact| matches!(fact, Fact::GuessedConstant { .. });
    let theme = of("btree ((metadata ->> 'theme')) on people: act");
    assert_eq!(theme.serves, [0, 1]);
    assert!(!theme.facts.iter().any(guessed), "{:?}", theme.facts);
    let lang = all.iter().find(|c| crate::seen::line(c).contains("lang"));
    assert_eq!(lang, None, "too improbable to be shown");
}

#[test]
fn refuses_tiny_foreign_excluded_and_extension_tables() {
    let refused = |change: fn(&mut rules::snapshot::Table), words: &str| {
        let mut snapshot = people("", &["SELECT * FROM people WHERE lower(email) = $1"]);
        change(table_mut(&mut snapshot, "people"));
        look(RULE, &snapshot).refuses(words);
    };
    refused(|t| (t.rows, t.pages) = (Some(10.0), 1), "tiny");
    refused(|t| t.kind = TableKind::Foreign, "foreign");
    refused(|t| t.excluded = true, "excluded");
    refused(|t| t.extension_member = true, "extension");
}

#[test]
fn only_shows_it_on_other_peoples_tables() {
    let mut snapshot = people("", &["SELECT * FROM people WHERE lower(email) = $1"]);
    table_mut(&mut snapshot, "people").may_index = false;
    let found = look(RULE, &snapshot);
    assert_eq!(found.proposed(), ["btree ((lower(email))) on people: advise"]);
}
