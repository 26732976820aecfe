//! What ANALYZE found, for every kind of type.

use rules::snapshot::ColumnStats;

use crate::harness::{database, table};

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_come_as_their_text() {
    let Some(db) = database().await else { return };
    db.run(
        r#"CREATE TYPE mood AS ENUM ('sad', 'so "happy", yes');
        CREATE TYPE pair AS (a int, b text);
        CREATE DOMAIN word AS text;
        CREATE TABLE t (id int PRIMARY KEY, m mood, a int[], ta text[], b jsonb, p pair, w word, r int4range,
            at timestamptz, n numeric, bad text, none text);
        INSERT INTO t SELECT i, (enum_range(NULL::mood))[1 + i % 2], ARRAY[i % 2, 7], ARRAY['x,"y', NULL, 'NULL', '{z}'],
            jsonb_build_object('k', i % 2, 'l', '[1, "2"]'), ROW(i % 2, 'a "b" \ (c)')::pair, 'word ' || i % 2,
            int4range(i % 2, 5), '2024-01-01 00:00:00+00'::timestamptz + (i % 2) * interval '1 day', i % 2 + 0.50,
            E'quote " backslash \\ comma , brace {} tab \t line \n' || i % 2, NULL
        FROM generate_series(1, 1000) AS i;
        ANALYZE"#,
    )
    .await;
    let seen = db.sample().await;
    let table = table(&seen, "t");
    let stats =
        |name: &str| -> &ColumnStats { table.column(name).unwrap().stats.as_ref().unwrap() };
    let common = |name: &str| {
        let mut values = stats(name).common_values.clone();
        values.sort();
        values
    };
    assert_eq!(common("m"), ["sad", "so \"happy\", yes"]);
    assert_eq!(common("a"), ["{0,7}", "{1,7}"]);
    assert_eq!(common("ta"), [r#"{"x,\"y",NULL,"NULL","{z}"}"#]);
    assert_eq!(common("b")[0], r#"{"k": 0, "l": "[1, \"2\"]"}"#);
    assert_eq!(common("p")[0], r#"(0,"a ""b"" \\ (c)")"#);
    assert_eq!(common("w"), ["word 0", "word 1"]);
    assert_eq!(common("r"), [""; 0], "ranges have other statistics");
    assert_eq!(common("at"), ["2024-01-01 00:00:00+00", "2024-01-02 00:00:00+00"]);
    assert_eq!(common("n"), ["0.50", "1.50"]);
    assert_eq!(common("bad")[1], "quote \" backslash \\ comma , brace {} tab \t line \n1");
    assert_eq!(stats("a").common_elements, ["0", "1", "7"]);
    // Shares of the elements, then least, most and of NULLs.
    assert_eq!(stats("a").element_frequencies.len(), 6);
    assert_eq!((stats("none").null_fraction, stats("none").common_values.len()), (1.0, 0));

    let id = stats("id");
    assert_eq!((id.n_distinct, id.histogram.len(), id.correlation), (-1.0, 101, Some(1.0)));
    assert_eq!((id.histogram[0].as_str(), id.histogram[100].as_str()), ("1", "1000"));
    assert!((stats("m").common_frequencies.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    assert!((id.avg_width - 4.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_text_survives_the_way_through_the_statistics() {
    let Some(db) = database().await else { return };
    // Every value twice makes each a most common one; together they hold every ASCII character and more.
    db.run(
        "CREATE TABLE t (v text, a text[]);
        ALTER TABLE t ALTER v SET STATISTICS 1000, ALTER a SET STATISTICS 1000;
        INSERT INTO t SELECT v, ARRAY[v, NULL, v || v] FROM generate_series(1, 2),
            LATERAL (SELECT chr(c) || chr(1 + (c * 7) % 126) || repeat(chr(34 + c % 60), c % 3)
                     FROM generate_series(1, 126) AS c
                     UNION ALL VALUES (''), (' '), ('NULL'), ('null'), ('{}'), ('ä€𝄞'), ('\\\"')) AS s (v);
        ANALYZE",
    )
    .await;
    let seen = db.sample().await;
    for column in ["v", "a"] {
        let mut values =
            table(&seen, "t").column(column).unwrap().stats.clone().unwrap().common_values;
        values.sort();
        let stored = format!("SELECT json_agg(DISTINCT {column}::text)::text FROM t");
        let mut stored: Vec<String> = serde_json::from_str(&db.value(&stored).await).unwrap();
        stored.sort();
        assert_eq!(values, stored, "{column}");
    }
}
