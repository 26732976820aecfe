use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Facts, Order, Redaction, ValueType};
use crate::blueprint::{
    Blueprint, ColumnStatistics, CommonCombination, Definition, DefinitionKind, Distribution,
    EndPoints, ExtendedStatistics, RoleSettings,
};
use crate::snapshot::{ColumnStats, Combinations, Snapshot};
use crate::statement::{analyze, fingerprint};
use crate::testing;

/// Redacts with texts in the order of their bytes.
fn redacted(snapshot: &Snapshot, facts: Facts) -> Snapshot {
    let mut copy = snapshot.clone();
    let redaction = Redaction::new(&copy, facts);
    let _ = redaction.apply(&mut copy, &[]);
    copy
}

fn stats_of<'s>(snapshot: &'s Snapshot, table: &str, column: &str) -> &'s ColumnStats {
    let table = snapshot.tables.iter().find(|of| of.name == table).unwrap();
    table.column(column).unwrap().stats.as_ref().unwrap()
}

/// A shop with values of every class.
fn shop() -> Snapshot {
    let mut snapshot = testing::snapshot(
        "customers(id int8 pk, email text, city varchar, born date, doc jsonb, key uuid) 100000
         orders(id int8 pk, customer_id int8 -> customers.id, status text, total numeric, at timestamptz, tags _text, words tsvector, shape point) 500000
         index open_orders on orders(at)",
    );
    let stats = testing::stats;
    let mut set = |column: &str, stats| testing::set_stats(&mut snapshot, column, stats);
    set("customers.id", stats(-1.0, &[], &["1017", "25044", "50977", "75012", "99933"]));
    set(
        "customers.email",
        stats(
            -1.0,
            &[],
            &["ann@example.org", "anna@example.org", "bob@example.com", "zoe@corp.example"],
        ),
    );
    set(
        "customers.city",
        stats(900.0, &[("Oslo", 0.3), ("Bergen", 0.2)], &["Alta", "Moss", "Oslofjord", "Voss"]),
    );
    set(
        "customers.born",
        stats(9000.0, &[("1985-07-14", 0.01)], &["1931-02-03", "1970-05-06", "2004-11-12"]),
    );
    set(
        "customers.doc",
        stats(
            -0.9,
            &[(r#"{"plan": "gold", "seats": 417}"#, 0.2)],
            &[
                r#"{"plan": "silver", "seats": 388, "joined": "2021-03-04"}"#,
                r#"{"plan": "gold", "referrer:ann": true, "note": "call Mrs. Miller"}"#,
                r#"{"plan": "iron", "list": ["alpha", "omega", 31337]}"#,
            ],
        ),
    );
    set(
        "customers.key",
        stats(
            -1.0,
            &[],
            &["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "9b2d1f3c-0000-4000-8000-00000000beef"],
        ),
    );
    set(
        "orders.customer_id",
        stats(-0.2, &[("50977", 0.01), ("4711", 0.005)], &["1018", "30000", "98765"]),
    );
    set("orders.status", stats(4.0, &[("paid", 0.6), ("open", 0.3), ("refunded", 0.1)], &[]));
    set(
        "orders.total",
        stats(-0.3, &[("199.99", 0.02)], &["0.50", "250.75", "1250.25", "98765.43"]),
    );
    set(
        "orders.at",
        stats(
            -1.0,
            &[],
            &["2023-01-05 06:07:08.123456+00", "2024-06-07 08:09:10+00", "2024-12-30 11:12:13+00"],
        ),
    );
    let mut tags = stats(-1.0, &[], &["{fragile,heavy}", "{\"two words\"}"]);
    tags.common_elements = vec!["fragile".into(), "heavy".into()];
    tags.element_frequencies = vec![0.5, 0.2, 0.2, 0.5, 0.0];
    set("orders.tags", tags);
    let mut words = stats(-1.0, &[], &[]);
    words.common_elements = ["box", "glass", "bottle"].map(str::to_owned).into();
    words.element_frequencies = vec![0.1, 0.2, 0.3, 0.1, 0.3];
    set("orders.words", words);
    snapshot.tables[1]
        .indexes
        .iter_mut()
        .for_each(|index| index.comment = Some("for Ann".to_owned()));
    with_workload(&mut snapshot);
    snapshot
}

/// Statements with literals, and what else a redacted snapshot must not hold.
fn with_workload(snapshot: &mut Snapshot) {
    let open = testing::index_mut(snapshot, "open_orders");
    open.predicate = Some("(status = 'open'::text)".to_owned());
    let mut statement = testing::statement(
        "SELECT /* asked by ann */ * FROM orders WHERE status = 'open' AND customer_id = 50977 AND total > 300.25 AND at > now() - interval '7 days' LIMIT 20",
    );
    statement.examples = vec![
        "SELECT * FROM orders WHERE status = 'paid' AND customer_id = 4711 AND total > 777.77 AND at > now() - interval '7 days' LIMIT 20".to_owned().into(),
    ];
    snapshot.statements = vec![
        statement,
        testing::statement(
            "SELECT id FROM customers WHERE email LIKE 'ann%' AND city ILIKE '%slo%' AND born < '1970-05-06' AND doc->>'plan' = 'gold'",
        ),
        testing::statement(
            "SELECT id FROM customers WHERE doc @> '{\"plan\": \"gold\"}' AND key = '3f2504e0-4f89-11d3-9a0c-0305e82c3301'",
        ),
        testing::statement(
            "SELECT id FROM orders WHERE tags @> '{fragile}' AND words @@ to_tsquery('english', 'bottles & glass') AND customer_id IN (50977, 4711, 31999)",
        ),
        testing::statement(
            "UPDATE orders SET status = 'refunded' WHERE id = 123456 AND shape = 'secretive'",
        ),
        testing::statement(
            "SELECT nobody_knows('hush hush', 987654, 2) FROM elsewhere WHERE x = 'classified'",
        ),
    ];
    snapshot.blueprint = Some(Box::new(blueprint()));
    snapshot.settings.insert("app.secret".to_owned(), "sesame".to_owned());
}

fn blueprint() -> Blueprint {
    let row = |relation: &str, column: &str, common: Option<&str>, histogram: Option<&str>| {
        ColumnStatistics {
            schema: "public".to_owned(),
            relation: relation.to_owned(),
            column: column.to_owned(),
            inherited: false,
            values: Distribution {
                common_values: common.map(str::to_owned),
                common_frequencies: if common.is_some() { vec![0.5] } else { Vec::new() },
                histogram: histogram.map(str::to_owned),
                ..Distribution::default()
            },
        }
    };
    Blueprint {
        definitions: vec![
            Definition {
                kind: DefinitionKind::Other,
                name: String::new(),
                sql: "COMMENT ON TABLE public.orders IS 'ask Ann'".to_owned(),
            },
            Definition {
                kind: DefinitionKind::Table,
                name: String::new(),
                sql: "CREATE TABLE public.orders (status text DEFAULT 'open')".to_owned(),
            },
        ],
        statistics: vec![
            row("orders", "status", Some("{paid}"), None),
            row("customers", "city", Some("{Oslo}"), Some("{Alta,Moss,Oslofjord,Voss}")),
            row("customers_lower_idx", "lower", None, Some("{ann@example.org,zoe@corp.example}")),
            row("orders", "shape", Some("{hexagonal}"), None),
        ],
        extended: vec![ExtendedStatistics {
            schema: "public".to_owned(),
            name: "city_status".to_owned(),
            common: vec![CommonCombination {
                values: vec![Some("Oslo".to_owned()), None, Some("OSLO".to_owned())],
                frequency: 0.1,
                base_frequency: 0.05,
            }],
            expressions: vec![Distribution {
                histogram: Some("{BERGEN,OSLO}".to_owned()),
                ..Distribution::default()
            }],
            ..ExtendedStatistics::default()
        }],
        ends: vec![EndPoints {
            schema: "public".to_owned(),
            table: "customers".to_owned(),
            column: "id".to_owned(),
            low: Some("1003".to_owned()),
            high: Some("99991".to_owned()),
        }],
        role_settings: vec![RoleSettings {
            role: None,
            in_database: true,
            settings: [("app.jwt".to_owned(), "sesame".to_owned())].into(),
        }],
        ..Blueprint::default()
    }
}

fn facts() -> Facts {
    let text = || ValueType {
        name: "text".to_owned(),
        kind: 'b',
        collation: Some("default".to_owned()),
        modifier: -1,
    };
    Facts {
        enums: BTreeSet::new(),
        columns: [(
            ("public".to_owned(), "customers_lower_idx".to_owned(), "lower".to_owned()),
            text(),
        )]
        .into(),
        extended: [(("public".to_owned(), "city_status".to_owned()), vec![text(), text(), text()])]
            .into(),
    }
}

#[test]
fn no_value_remains_anywhere() {
    let given = shop();
    let made = redacted(&given, facts());
    let json = serde_json::to_string(&made).unwrap();
    for value in [
        "1017",
        "25044",
        "50977",
        "75012",
        "99933",
        "4711",
        "1018",
        "30000",
        "98765",
        "31999",
        "123456",
        "987654",
        "1003",
        "99991",
        "example.org",
        "bob",
        "zoe",
        "corp",
        "ann%",
        "ann@",
        "by ann",
        "Ann",
        "Oslo",
        "OSLO",
        "Bergen",
        "BERGEN",
        "Alta",
        "Moss",
        "Voss",
        "slo%",
        "1985",
        "1931",
        "1970-05-06",
        "2004",
        "gold",
        "silver",
        "seats\\\":417",
        "seats\\\":388",
        "2021-03-04",
        "referrer",
        "Miller",
        "iron",
        "alpha",
        "omega",
        "31337",
        "3f2504e0",
        "beef",
        "paid",
        "refunded",
        "199.99",
        "250.75",
        "1250.25",
        "300.25",
        "777.77",
        "06:07:08",
        "2024-06-07",
        "08:09:10",
        "11:12:13",
        "fragile",
        "heavy",
        "two words",
        "box",
        "glass",
        "bottle",
        "hush",
        "classified",
        "secretive",
        "hexagonal",
        "sesame",
        "asked by",
    ] {
        let at = json.find(value).map(|at| &json[at.saturating_sub(40)..at + 40]);
        assert_eq!(at, None, "{value}");
    }
    // Schema and what the planner needs of a statement's own making.
    for word in ["open_orders", "'open'", "7 days", "LIMIT 20", "plan", "CREATE TABLE"] {
        assert!(json.contains(word), "{word}");
    }
}

#[test]
fn equal_values_stay_equal_across_columns_statements_and_the_blueprint() {
    let given = shop();
    let made = redacted(&given, facts());
    let histogram = &stats_of(&made, "customers", "id").histogram;
    let common = &stats_of(&made, "orders", "customer_id").common_values;
    assert_eq!(histogram[2], common[0]);
    assert!(
        made.statements[0].text.contains(&format!("customer_id = {}", common[0])),
        "{}",
        made.statements[0].text
    );
    let status = &stats_of(&made, "orders", "status").common_values;
    assert_eq!(status[1], "open");
    assert!(made.statements[0].examples[0].text.contains(&format!("'{}'", status[0])));
    assert!(
        made.statements[4].text.contains(&format!("status = '{}'", status[2])),
        "{}",
        made.statements[4].text
    );
    let blueprint = made.blueprint.as_ref().unwrap();
    assert_eq!(blueprint.statistics[0].values.common_values, Some(format!("{{{}}}", status[0])));
    let city = stats_of(&made, "customers", "city");
    assert_eq!(blueprint.extended[0].common[0].values[0].as_ref(), Some(&city.common_values[0]));
    assert_eq!(blueprint.extended[0].common[0].values[1], None);
    assert!(blueprint.statistics[3].values.common_values.is_none());
    assert!(
        made.intake.notes.iter().any(|note| note.contains("public.orders.shape")),
        "{:?}",
        made.intake.notes
    );
    let born = &stats_of(&made, "customers", "born").histogram;
    assert!(
        made.statements[1].text.contains(&format!("born < '{}'", born[1])),
        "{}",
        made.statements[1].text
    );
}

#[test]
fn values_that_occur_together_are_replaced_as_in_their_columns() {
    let mut shop = shop();
    let table = testing::table_mut(&mut shop, "customers");
    let row = |city: Option<&str>, born: &str| {
        (vec![city.map(str::to_owned), Some(born.to_owned())], 0.1)
    };
    table.combinations = vec![Combinations {
        columns: vec!["city".to_owned(), "born".to_owned()],
        rows: vec![row(Some("Oslo"), "1985-07-14"), row(None, "1970-05-06")],
    }];
    let after = redacted(&shop, facts());
    let table = after.tables.iter().find(|table| table.name == "customers").unwrap();
    let rows = &table.combinations[0].rows;
    assert_eq!(rows.len(), 2);
    let common = &stats_of(&after, "customers", "city").common_values;
    assert_eq!(rows[0].0[0].as_ref(), Some(&common[0]));
    assert_eq!(rows[1].0[0], None);
    assert_ne!(common[0], "Oslo");
    assert!(!serde_json::to_string(&table.combinations).unwrap().contains("Oslo"));
}

#[test]
fn statements_ask_for_what_they_asked_for_before() {
    let given = shop();
    let made = redacted(&given, facts());
    for (before, after) in given.statements.iter().zip(&made.statements) {
        assert_eq!(fingerprint(&before.text), fingerprint(&after.text));
        assert_eq!(before.id, after.id);
        let understood =
            |snapshot, text: &str| analyze(text, snapshot, &before.search_path).is_ok();
        assert_eq!(
            understood(&given, &before.text),
            understood(&made, &after.text),
            "{}",
            after.text
        );
    }
    let [emails, cities] = ["email", "city"].map(|column| stats_of(&made, "customers", column));
    let text = &made.statements[1].text;
    let pattern = |before: &str| {
        let rest = text.split_once(before).unwrap().1;
        rest.split('\'').nth(1).unwrap().to_owned()
    };
    let prefix = pattern("email LIKE").trim_end_matches('%').to_owned();
    let begin: Vec<bool> =
        emails.histogram.iter().map(|email| email.starts_with(&prefix)).collect();
    assert_eq!(begin, [true, true, false, false]);
    let part = pattern("city ILIKE").trim_matches('%').to_owned();
    let hold =
        |values: &[String]| values.iter().map(|city| city.contains(&part)).collect::<Vec<_>>();
    assert_eq!(hold(&cities.common_values), [true, false]);
    assert_eq!(hold(&cities.histogram), [false, false, true, false]);
    let plan = pattern("'plan' =");
    let documents = stats_of(&made, "customers", "doc");
    assert!(
        documents.common_values[0].contains(&format!("\"plan\":\"{plan}\"")),
        "{:?}",
        documents.common_values
    );
    assert!(made.statements[2].text.contains(&plan), "{}", made.statements[2].text);
    let words = stats_of(&made, "orders", "words");
    let text = &made.statements[3].text;
    assert_eq!(
        words.common_elements.iter().filter(|word| text.contains(word.as_str())).count(),
        2,
        "{text}"
    );
    assert!(words.common_elements.is_sorted_by_key(|word| (word.len(), word.clone())));
    assert!(made.statements[4].text.contains("shape = $"), "{}", made.statements[4].text);
}

#[test]
fn spans_of_time_stay() {
    let mut snapshot = testing::snapshot("t(at timestamptz) 1000");
    let text = "SELECT 1 FROM t WHERE at > now() - interval '1 day 02:03' AND at < now() - interval '90' day";
    snapshot.statements = vec![testing::statement(text)];
    assert_eq!(redacted(&snapshot, Facts::default()).statements[0].text, text);
}

#[test]
fn order_is_kept_in_every_column() {
    let given = shop();
    let made = redacted(&given, facts());
    let number = |text: &String| text.parse::<f64>().unwrap();
    for (table, column) in [("customers", "id"), ("orders", "customer_id"), ("orders", "total")] {
        assert!(stats_of(&made, table, column).histogram.is_sorted_by_key(number), "{column}");
    }
    for (table, column) in [
        ("customers", "email"),
        ("customers", "city"),
        ("customers", "born"),
        ("orders", "at"),
        ("customers", "key"),
    ] {
        assert!(stats_of(&made, table, column).histogram.is_sorted(), "{column}");
    }
}

#[test]
fn the_servers_order_counts() {
    let mut snapshot = testing::snapshot("t(name text) 1000");
    testing::set_stats(
        &mut snapshot,
        "t.name",
        testing::stats(-1.0, &[], &["anton", "Berta", "cesar"]),
    );
    let redaction = Redaction::new(&snapshot, Facts::default());
    let orders = redaction.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].texts, ["Berta", "anton", "cesar"]);
    let proof: Vec<Order> = redaction.apply(&mut snapshot, &[vec![2, 1, 3]]);
    let histogram = &snapshot.tables[0].columns[0].stats.as_ref().unwrap().histogram;
    assert!(histogram.is_sorted(), "{histogram:?}");
    assert_eq!(&proof[0].texts, histogram);
}

fn odd_value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z]{3,9}( [a-z]{3,9})?",
        "-?[0-9]{3,25}(\\.[0-9]{1,20})?",
        "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9])( 1[0-9]:00:0[0-9](\\.[0-9]{1,6})?\\+00)?",
        "\\\\x[0-9a-f]{4,12}",
        "(10|172|192)\\.[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{1,2}(/[0-9])?",
        r#"\{"[a-z]{3,5}": ("[a-z'"]{3,8}"|[0-9]{3,8})\}"#,
        r"\{[a-z]{3,6}(,[a-z]{3,6})?\}",
        r"\[[0-9]{3,6},[0-9]{3,6}\)",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn odd_values_neither_break_it_nor_come_through(
        base in prop::sample::select(vec![
            "text", "varchar", "int4", "int8", "numeric", "float8", "date", "timestamptz", "timestamp", "uuid", "bytea",
            "inet", "jsonb", "_text", "_int4", "int4range", "tsvector", "money",
        ]),
        values in prop::collection::vec(odd_value(), 1..12),
        literal in odd_value(),
    ) {
        let mut snapshot = testing::snapshot(&format!("t(a {base}, b text) 1000"));
        let shown: Vec<&str> = values.iter().map(String::as_str).collect();
        testing::set_stats(&mut snapshot, "t.a", testing::stats(-1.0, &[(shown[0], 0.1)], &shown));
        testing::set_stats(&mut snapshot, "t.b", testing::stats(-1.0, &[(shown[0], 0.1)], &shown));
        let quoted = crate::quote::literal(&literal.replace('\0', ""));
        snapshot.statements = vec![
            testing::statement(&format!("SELECT a FROM t WHERE a = {quoted} AND b LIKE {quoted}")),
            testing::statement(&format!("SELECT f({quoted}) FROM t WHERE b ~ {quoted} AND a > {quoted}")),
        ];
        let column = &mut snapshot.tables[0].columns[0];
        // What the schema says stays; of this column it says nothing.
        column.type_kind = 'b';
        let made = redacted(&snapshot, Facts::default());
        let mut kept: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for column in &made.tables[0].columns {
            let stats = column.stats.as_ref().unwrap();
            let all = stats.common_values.iter().chain(&stats.histogram).cloned().collect();
            kept.insert(column.name.clone(), all);
        }
        let texts = made.statements.iter().map(|statement| statement.text.clone()).collect();
        kept.insert("statements".to_owned(), texts);
        let json = serde_json::to_string(&kept).unwrap();
        for value in values.iter().chain([&literal]).filter(|value| value.trim().chars().count() >= 4) {
            let escaped = serde_json::to_string(value).unwrap();
            let inner = &escaped[1..escaped.len() - 1];
            let spans = value.chars().all(|c| !c.is_alphanumeric());
            prop_assert!(spans || !json.contains(inner), "{value} in {json}");
        }
        let b = made.tables[0].columns[1].stats.as_ref().unwrap();
        for (one, mine) in values.iter().zip(&b.histogram) {
            for (other, yours) in values.iter().zip(&b.histogram) {
                prop_assert_eq!(one.cmp(other), mine.cmp(yours), "{} {}", one, other);
            }
        }
        prop_assert_eq!(redacted(&snapshot, Facts::default()), made);
    }
}
