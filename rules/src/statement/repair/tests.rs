use super::repair;

#[track_caller]
fn becomes(text: &str, expected: &str) {
    assert_eq!(repair(text).text, expected);
}

#[track_caller]
fn stays(text: &str) {
    let repaired = repair(text);
    assert_eq!(repaired.text, text);
    assert!(repaired.notes.is_empty(), "{:?}", repaired.notes);
}

#[test]
fn typed_literals_become_casts() {
    becomes("SELECT interval $1", "SELECT CAST($1 AS interval)");
    becomes(
        "SELECT now() - INTERVAL $1, date $2",
        "SELECT now() - CAST($1 AS INTERVAL), CAST($2 AS date)",
    );
    becomes("SELECT interval $1 day FROM t", "SELECT CAST($1 AS interval day) FROM t");
    becomes(
        "SELECT interval $1 day to second (3)",
        "SELECT CAST($1 AS interval day to second (3))",
    );
    becomes("SELECT timestamp with time zone $1", "SELECT CAST($1 AS timestamp with time zone)");
    becomes(
        "SELECT double precision $1, numeric(10,2) $2",
        "SELECT CAST($1 AS double precision), CAST($2 AS numeric(10,2))",
    );
    becomes("SELECT app.\"Mood\" $1", "SELECT CAST($1 AS app.\"Mood\")");
    becomes(
        "SELECT a FROM t WHERE d >= date $1 - interval $2",
        "SELECT a FROM t WHERE d >= CAST($1 AS date) - CAST($2 AS interval)",
    );
    becomes(
        "SELECT a FROM t GROUP BY VALUES . AND $1, float.mood $2",
        "SELECT a FROM t GROUP BY CAST($1 AS \"values\" . AND), CAST($2 AS \"float\".mood)",
    );
    stays("SELECT $1::interval, CAST($2 AS date)");
}

#[test]
fn extract_becomes_its_function() {
    becomes("SELECT EXTRACT($1 FROM ts) FROM t", "SELECT pg_catalog.extract($1, ts) FROM t");
    stays("SELECT extract(year from ts) FROM t");
}

#[test]
fn squashed_lists_become_arrays() {
    becomes(
        "SELECT 1 FROM t WHERE a IN ($1 /*, ... */)",
        "SELECT 1 FROM t WHERE a = ANY ($1 /*, ... */)",
    );
    becomes(
        "SELECT 1 FROM t WHERE a NOT IN ($1 /*, ... */)",
        "SELECT 1 FROM t WHERE a <> ALL ($1 /*, ... */)",
    );
    becomes(
        "SELECT 1 FROM t WHERE a = ANY (ARRAY[$1 /*, ... */])",
        "SELECT 1 FROM t WHERE a = ANY ($1 /*, ... */)",
    );
    stays("SELECT 1 FROM t WHERE a IN ($1)");
}

#[test]
fn arrays_of_parameters_become_lists() {
    becomes("SELECT 1 FROM t WHERE a = ANY (ARRAY[$1, $2])", "SELECT 1 FROM t WHERE a IN ($1, $2)");
    becomes("SELECT 1 FROM t WHERE a <> ALL(ARRAY[$1])", "SELECT 1 FROM t WHERE a NOT IN($1)");
    stays("SELECT 1 FROM t WHERE a = ANY (ARRAY[$1, b])");
    stays("SELECT 1 FROM t WHERE a < ANY (ARRAY[$1, $2])");
}

#[test]
fn lost_types_come_back() {
    becomes(
        "SELECT 1 FROM t WHERE ts > now() - $1",
        "SELECT 1 FROM t WHERE ts > now() - CAST($1 AS interval)",
    );
    becomes(
        "SELECT 1 FROM t WHERE d > CURRENT_DATE - $1",
        "SELECT 1 FROM t WHERE d > CURRENT_DATE - CAST($1 AS integer)",
    );
    becomes(
        "SELECT 1 FROM t WHERE ts > $1 - interval $2",
        "SELECT 1 FROM t WHERE ts > CAST($1 AS timestamptz) - CAST($2 AS interval)",
    );
    becomes(
        "SELECT sum(CASE WHEN a = $1 THEN $2 ELSE $3 END) FROM t",
        "SELECT sum(CASE WHEN a = $1 THEN CAST($2 AS integer) ELSE $3 END) FROM t",
    );
    becomes("SELECT count($1) FROM t", "SELECT count(CAST($1 AS text)) FROM t");
    becomes(
        "SELECT jsonb_build_object($1, a, $2, b) FROM t",
        "SELECT jsonb_build_object(CAST($1 AS text), a, CAST($2 AS text), b) FROM t",
    );
    becomes(
        "SELECT * FROM generate_series($1, $2)",
        "SELECT * FROM generate_series(CAST($1 AS integer), $2)",
    );
    becomes("SELECT 1 FROM t LIMIT $1 * $2", "SELECT 1 FROM t LIMIT CAST($1 AS integer) * $2");
    becomes("SELECT 1 FROM t WHERE a > - $1", "SELECT 1 FROM t WHERE a > - CAST($1 AS integer)");
    stays("SELECT sum(CASE WHEN a = $1 THEN b ELSE $2 END), a * $3, now() + $4::interval FROM t");
    stays("SELECT 1 FROM t WHERE a = $1 LIMIT $2 OFFSET $3");
}

#[test]
fn equal_expressions_share_their_parameters() {
    let repaired = repair(
        "SELECT date_trunc($1, ts), count(*) FROM t WHERE a = $2 GROUP BY date_trunc($3, ts) ORDER BY date_trunc($4, ts) DESC LIMIT $5",
    );
    assert_eq!(
        repaired.text,
        "SELECT date_trunc($1, ts), count(*) FROM t WHERE a = $2 GROUP BY date_trunc($1, ts) ORDER BY date_trunc($1, ts) DESC LIMIT $3"
    );
    let expected = [(1, 1), (2, 2), (3, 1), (4, 1), (5, 3)];
    assert_eq!(repaired.parameters.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(repaired.notes.len(), 1);
    becomes(
        "SELECT js->>$1, count(*) FROM t GROUP BY js->>$2",
        "SELECT js->>$1, count(*) FROM t GROUP BY js->>$1",
    );
    becomes(
        "SELECT DISTINCT ON (lower(a || $1)) lower(a || $2) FROM t ORDER BY lower(a || $3), b",
        "SELECT DISTINCT ON (lower(a || $1)) lower(a || $1) FROM t ORDER BY lower(a || $1), b",
    );
    becomes(
        "SELECT date_trunc($1, x), date_trunc($2, x) FROM t GROUP BY date_trunc($3, x), date_trunc($4, x)",
        "SELECT date_trunc($1, x), date_trunc($2, x) FROM t GROUP BY date_trunc($1, x), date_trunc($2, x)",
    );
    becomes(
        "SELECT interval $1 + x FROM t GROUP BY interval $2 + x",
        "SELECT CAST($1 AS interval) + x FROM t GROUP BY CAST($1 AS interval) + x",
    );
}

#[test]
fn literals_that_are_still_there_go_back() {
    let repaired = repair(
        "select date_trunc($1, ts), count(*) from t where a > $2 group by date_trunc('day', ts) order by date_trunc('day', ts) limit $3",
    );
    assert_eq!(
        repaired.text,
        "select date_trunc('day', ts), count(*) from t where a > $1 group by date_trunc('day', ts) order by date_trunc('day', ts) limit $2"
    );
    assert_eq!(repaired.parameters.into_iter().collect::<Vec<_>>(), [(2, 1), (3, 2)]);
    becomes(
        "select extract($1 from ts) from t group by extract(year from ts)",
        "select extract(year from ts) from t group by extract(year from ts)",
    );
    becomes(
        "select ts + interval $1 from t group by ts + interval '1 day'",
        "select ts + interval '1 day' from t group by ts + interval '1 day'",
    );
    becomes(
        "select case when a > $1 then $2 else $3 end from t group by case when a > 10 then 'big' else 'small' end",
        "select case when a > 10 then 'big' else 'small' end from t group by case when a > 10 then 'big' else 'small' end",
    );
}

#[test]
fn equal_expressions_elsewhere_stay_apart() {
    stays("SELECT date_trunc($1, ts) FROM t WHERE date_trunc($2, ts) = $3");
    stays(
        "SELECT row_number() OVER (ORDER BY js->>$1), (SELECT 1 FROM t ORDER BY js->>$2) FROM t WHERE js->>$3 = $4",
    );
    stays("SELECT a IS DISTINCT FROM $1 FROM t WHERE b + $2 > 3 GROUP BY a, b");
}

#[test]
fn numbers_have_no_gaps() {
    let repaired = repair("SELECT 1 FROM t WHERE a = $7 AND b = $3 AND c = $7");
    assert_eq!(repaired.text, "SELECT 1 FROM t WHERE a = $2 AND b = $1 AND c = $2");
    assert_eq!(repaired.parameters.into_iter().collect::<Vec<_>>(), [(3, 1), (7, 2)]);
}

#[test]
fn what_does_not_parse_comes_back() {
    stays("SELEC $5");
    stays("SELECT 'open");
    stays("");
    stays("SELECT 1; SELECT $3");
}
