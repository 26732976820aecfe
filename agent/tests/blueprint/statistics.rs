//! Sizes and statistics are those of the server.

use crate::harness::{Database, database};

/// Rows with something of everything.
const FILLED: &str = "
    CREATE TABLE t (gone int, a int, b text, c int, r int4range, tags text[], doc tsvector, n numeric, empty text);
    ALTER TABLE t DROP COLUMN gone;
    CREATE INDEX by_expression ON t ((a + c));
    CREATE STATISTICS s ON a, c, b FROM t;
    CREATE STATISTICS e ON (a % 5), lower(b), c FROM t;
    INSERT INTO t SELECT i % 100, CASE WHEN i % 7 > 0 THEN 'b ''\"\\' || i % 9 END, i % 100, int4range(i, i + i % 50),
        ARRAY['x' || i % 13, 'y'], to_tsvector('simple', 'word' || i % 30), i / 7.0, NULL
    FROM generate_series(1, 20000) AS i;
    CREATE TABLE p (k int, v text) PARTITION BY LIST (k);
    CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
    INSERT INTO p SELECT 1, i::text FROM generate_series(1, 1000) AS i;
    ANALYZE;";

async fn filled() -> Option<Database<'static>> {
    let db = database().await?;
    db.run(FILLED).await;
    Some(db)
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_those_of_pg_stats_to_the_last_digit() {
    let Some(db) = filled().await else { return };
    let drawn = db.draw().await;
    let one = |relation: &str, column: &str, inherited: bool| {
        let mut all = drawn.statistics.iter();
        all.find(|of| of.relation == relation && of.column == column && of.inherited == inherited)
            .unwrap()
    };
    assert_eq!(
        drawn.statistics.len().to_string(),
        db.value("SELECT count(*) FROM pg_stats WHERE schemaname = 'public'").await
    );
    let b = &one("t", "b", false).values;
    let of_b = "FROM pg_stats WHERE tablename = 't' AND attname = 'b'";
    assert_eq!(
        b.common_values.as_deref().unwrap(),
        db.value(&format!("SELECT most_common_vals {of_b}")).await
    );
    let frequencies: Vec<String> = b.common_frequencies.iter().map(f32::to_string).collect();
    assert_eq!(
        format!("{{{}}}", frequencies.join(",")),
        db.value(&format!("SELECT most_common_freqs {of_b}")).await
    );
    assert_eq!(b.null_fraction.to_string(), db.value(&format!("SELECT null_frac {of_b}")).await);
    assert_eq!(
        b.correlation.unwrap().to_string(),
        db.value(&format!("SELECT correlation {of_b}")).await
    );
    let n = &one("t", "n", false).values;
    assert_eq!(
        n.histogram.as_deref().unwrap(),
        db.value("SELECT histogram_bounds FROM pg_stats WHERE tablename = 't' AND attname = 'n'")
            .await
    );
    assert!(!one("t", "tags", false).values.element_counts.is_empty());
    assert!(one("t", "doc", false).values.common_elements.is_some());
    let all_null = &one("t", "empty", false).values;
    assert!(
        (all_null.null_fraction - 1.0).abs() < f32::EPSILON && all_null.common_values.is_none()
    );
    assert!(!one("by_expression", "expr", false).values.common_frequencies.is_empty());
    assert!(one("p", "v", true).values.histogram.is_some());
    let range = &one("t", "r", false).values;
    assert!(
        range.range_bounds.as_ref().is_some_and(|bounds| bounds.starts_with("{\"[")),
        "{range:?}"
    );
    assert!(range.range_lengths.is_some() && range.range_empty_fraction.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn extended_statistics_count_columns_without_the_dropped() {
    let Some(db) = filled().await else { return };
    let drawn = db.draw().await;
    let one = |name: &str| drawn.extended.iter().find(|of| of.name == name).unwrap();
    let s = one("s");
    let distinct = s.n_distinct.as_deref().unwrap();
    assert!(distinct.contains("\"1, 3\": 100") && distinct.contains("\"1, 2, 3\""), "{distinct}");
    assert!(s.dependencies.as_deref().unwrap().contains("\"1 => 3\": 1.000000"));
    let first = &s.common[0];
    assert_eq!(first.values.len(), 3);
    assert!(s.common.iter().any(|of| of.values[1].is_none()));
    let frequencies: Vec<String> = s.common.iter().map(|of| of.frequency.to_string()).collect();
    assert_eq!(
        format!("{{{}}}", frequencies.join(",")),
        db.value("SELECT most_common_freqs FROM pg_stats_ext WHERE statistics_name = 's'").await
    );
    let e = one("e");
    assert_eq!(e.expressions.len(), 2);
    assert!((e.expressions[0].n_distinct - 5.0).abs() < f32::EPSILON, "{:?}", e.expressions[0]);
    assert!(e.expressions[1].null_fraction > 0.0);
    assert!(e.n_distinct.as_deref().unwrap().contains("\"3, -1\""), "{:?}", e.n_distinct);
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_those_of_the_files() {
    let Some(db) = filled().await else { return };
    db.run("VACUUM t").await;
    db.run("INSERT INTO t (a) SELECT generate_series(1, 50000)").await;
    let drawn = db.draw().await;
    for shape in drawn.relations.iter().filter(|shape| matches!(shape.kind, 'r' | 'i')) {
        let name = format!("{}.{}", shape.schema, shape.name);
        let expected = db
            .value(&format!("SELECT relpages, reltuples, relallvisible, pg_relation_size('{name}') / 8192 FROM pg_class WHERE oid = '{name}'::regclass"))
            .await;
        let of = shape;
        assert_eq!(
            format!("{}|{}|{}|{}", of.rel_pages, of.rel_tuples, of.rel_all_visible, of.pages),
            expected
        );
    }
    let t = drawn.relations.iter().find(|shape| shape.name == "t").unwrap();
    assert!(t.pages > u64::from(t.rel_pages) && t.rel_all_visible > 0);
    assert_eq!(
        drawn
            .relations
            .iter()
            .find(|shape| shape.name == "p")
            .map(|shape| (shape.kind, shape.pages)),
        Some(('p', 0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_role_sees_what_it_may_and_the_rest_is_named() {
    let Some(db) = filled().await else { return };
    db.run(
        "DO $$ BEGIN CREATE ROLE blueprint_guest LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         CREATE TABLE hidden (id int); INSERT INTO hidden SELECT generate_series(1, 100); ANALYZE hidden;
         GRANT SELECT ON t, p, p1 TO blueprint_guest;",
    )
    .await;
    let full = db.draw().await;
    let seen = db.draw_as(Some("blueprint_guest")).await;
    assert_eq!(full.definitions, seen.definitions);
    assert_eq!(full.relations, seen.relations);
    assert!(full.statistics.iter().any(|of| of.relation == "hidden"));
    assert!(!seen.statistics.iter().any(|of| of.relation == "hidden"));
    assert!(
        seen.notes.iter().any(|note| note.contains("statistics of public.hidden")),
        "{:?}",
        seen.notes
    );
    let ranges = seen.notes.iter().any(|note| note.contains("range columns"));
    assert_eq!(ranges, db.major() < 17, "{:?}", seen.notes);
    let hidden = seen.notes.iter().any(|note| note.contains("those of public.e, public.s"));
    assert!(hidden || seen.extended == full.extended, "{:?}", seen.notes);
}

/// Trees of several heights and shapes.
const TREES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, \"long One\" text NOT NULL, part int, pad text);
    INSERT INTO t SELECT i, repeat(md5(i::text), 20), i % 10, NULL FROM generate_series(1, 40000) AS i;
    CREATE INDEX by_text ON t (\"long One\" DESC);
    CREATE INDEX by_pattern ON t (\"long One\" text_pattern_ops, id);
    CREATE INDEX by_c ON t (\"long One\" COLLATE \"C\" NULLS FIRST);
    CREATE INDEX by_two ON t (part, id DESC) INCLUDE (pad);
    CREATE INDEX by_part ON t (part);
    CREATE INDEX partial ON t (id) WHERE part = 3;
    CREATE INDEX computed ON t (lower(\"long One\"), (part + 1));
    CREATE INDEX all_null ON t (pad);
    CREATE TABLE nothing (id int PRIMARY KEY);
    CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (7);
    ALTER TABLE t SET (parallel_workers = 4);";

#[tokio::test(flavor = "multi_thread")]
async fn heights_read_off_costs_are_those_of_the_pages() {
    let Some(db) = database().await else { return };
    compare_heights(&db).await;
}

/// What the planner's costs tell is what the pages hold, before and after ANALYZE.
pub(crate) async fn compare_heights(db: &Database<'_>) {
    db.run(TREES).await;
    for analyzed in [false, true] {
        if analyzed {
            db.run("ANALYZE").await;
        }
        let drawn = db.draw().await;
        let mut heights: Vec<(String, Option<u32>)> = Vec::new();
        heights.extend(
            drawn
                .relations
                .iter()
                .filter(|shape| shape.kind == 'i')
                .map(|shape| (shape.name.clone(), shape.height)),
        );
        assert!(heights.iter().all(|(_, height)| height.is_some()), "{heights:?}");
        if !db.cluster.binaries().offers("pageinspect") {
            continue;
        }
        db.run("CREATE EXTENSION IF NOT EXISTS pageinspect").await;
        for (name, height) in &heights {
            let level = db.value(&format!("SELECT fastlevel FROM bt_metap('{name}')")).await;
            assert_eq!(height.map(|height| height.to_string()), Some(level), "{name}");
        }
        assert!(heights.iter().any(|(_, height)| *height == Some(2)), "{heights:?}");
        let inspected = db.draw().await;
        assert_eq!(inspected.relations, drawn.relations);
        db.run("DROP EXTENSION pageinspect").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_those_of_the_rows() {
    let Some(db) = database().await else { return };
    db.run(TREES).await;
    db.run(
        "CREATE TABLE kinds (b bool, f float8, d timestamptz, e numeric, x int);
         INSERT INTO kinds VALUES (true, 'NaN', '2024-05-06 07:08:09.123+02', 1.50, 1), (false, 1e300, NULL, -2, 2);
         CREATE INDEX ON kinds (b); CREATE INDEX ON kinds (f); CREATE INDEX ON kinds (d DESC); CREATE INDEX ON kinds (e);
         CREATE INDEX ON kinds (x) WHERE b;
         DO $$ BEGIN CREATE ROLE blueprint_ends LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         GRANT SELECT (b) ON kinds TO blueprint_ends;",
    )
    .await;
    let shown = |drawn: &rules::blueprint::Blueprint| -> Vec<String> {
        let end = |end: &Option<String>| end.clone().unwrap_or_else(|| "-".to_owned());
        let of = drawn.ends.iter().filter(|of| of.column != "long One");
        of.map(|of| format!("{}.{} {} {}", of.table, of.column, end(&of.low), end(&of.high)))
            .collect()
    };
    let drawn = db.draw().await;
    assert_eq!(
        shown(&drawn),
        [
            "kinds.b f t",
            "kinds.d 2024-05-06 05:08:09.123+00 2024-05-06 05:08:09.123+00",
            "kinds.e -2 1.50",
            "kinds.f 1e+300 NaN",
            "nothing.id - -",
            "one.id 7 7",
            "t.id 1 40000",
            "t.pad - -",
            "t.part 0 9",
        ]
    );
    assert!(drawn.ends.iter().any(|of| of.column == "long One" && of.high.is_some()));
    assert_eq!(drawn.notes, [""; 0]);
    // A look of ours is no use of an index: one that nobody uses must go on looking so.
    let uses = "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE relname = 'kinds'";
    assert_eq!(db.value(uses).await, "0");
    let guest = db.draw_as(Some("blueprint_ends")).await;
    assert_eq!(shown(&guest), [""; 0]);
    let note = guest.notes.iter().find(|note| note.starts_with("the ends of 10 of 10"));
    assert!(note.is_some(), "{:?}", guest.notes);
    assert_eq!(db.value(uses).await, "0");
    if db.major() >= 15 {
        db.run("SET enable_seqscan = off").await;
        db.run("SELECT * FROM kinds WHERE NOT b").await;
        db.run("SELECT pg_stat_force_next_flush()").await;
        assert_eq!(db.value(uses).await, "1");
        let guest = db.draw_as(Some("blueprint_ends")).await;
        assert_eq!(shown(&guest), ["kinds.b f t"]);
    }
    assert!(guest.relations.iter().all(|shape| shape.height.is_none()));
}
