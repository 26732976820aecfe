//! Tables, columns, indexes and what else the catalogs hold.

use agent::sampler::SampleOptions;
use rules::snapshot::{ConstraintKind, IndexKey, Persistence, TableKind, Volatility};

use crate::harness::{database, index, table};

fn key(column: &str, opclass: &str) -> IndexKey {
    IndexKey {
        column: Some(column.to_owned()),
        expression: None,
        opclass: opclass.to_owned(),
        opclass_default: true,
        opclass_options: Vec::new(),
        collation: None,
        descending: false,
        nulls_first: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_between_two_indexes_is_seen() {
    let Some(db) = database().await else { return };
    db.run(
        r#"CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b text, c text, d jsonb, r int4range, v varchar(20));
        CREATE INDEX plain ON t (a, b);
        CREATE INDEX swapped ON t (b, a);
        CREATE INDEX ordered ON t (a DESC, b NULLS FIRST, c DESC NULLS LAST);
        CREATE INDEX pattern ON t (b text_pattern_ops, v varchar_pattern_ops);
        CREATE INDEX collated ON t (b COLLATE "C");
        CREATE INDEX covering ON t (a) INCLUDE (b, c);
        CREATE INDEX partial ON t (a) WHERE c IS NOT NULL;
        CREATE INDEX computed ON t (lower(b), (d ->> 'k'), a);
        ALTER INDEX computed ALTER COLUMN 2 SET STATISTICS 500;
        CREATE UNIQUE INDEX single ON t (a);
        ALTER TABLE t REPLICA IDENTITY USING INDEX single;
        CREATE INDEX packed ON t (a) WITH (fillfactor = 70, deduplicate_items = off);
        CREATE INDEX hashed ON t USING hash (a);
        CREATE INDEX ginned ON t USING gin (d jsonb_path_ops) WITH (fastupdate = off);
        CREATE INDEX brinned ON t USING brin (a int4_bloom_ops (n_distinct_per_range = 50));
        ALTER TABLE t ADD CONSTRAINT apart EXCLUDE USING gist (r WITH &&);
        CREATE TABLE child (t_id int CONSTRAINT to_t REFERENCES t);
        COMMENT ON INDEX plain IS 'seen';
        CLUSTER t USING plain;
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'swapped'::regclass"#,
    )
    .await;
    let seen = db.sample().await;

    let plain = index(&seen, "plain");
    assert_eq!(plain.keys, [key("a", "int4_ops"), key("b", "text_ops")]);
    assert_eq!((plain.method.as_str(), plain.comment.as_deref()), ("btree", Some("seen")));
    assert!(plain.clustered && plain.valid && plain.ready && plain.live && !plain.unique);
    assert_eq!(plain.definition, "CREATE INDEX plain ON public.t USING btree (a, b)");
    assert!(!index(&seen, "swapped").valid);
    assert_eq!(index(&seen, "swapped").keys, [key("b", "text_ops"), key("a", "int4_ops")]);

    let order: Vec<_> =
        index(&seen, "ordered").keys.iter().map(|key| (key.descending, key.nulls_first)).collect();
    assert_eq!(order, [(true, true), (false, true), (true, false)]);
    let pattern = &index(&seen, "pattern").keys;
    assert_eq!(pattern[0], IndexKey { opclass_default: false, ..key("b", "text_pattern_ops") });
    assert!(!pattern[1].opclass_default);
    let collated = &index(&seen, "collated").keys;
    assert_eq!(collated[0], IndexKey { collation: Some("C".to_owned()), ..key("b", "text_ops") });
    assert_eq!(index(&seen, "covering").include, ["b", "c"]);
    assert_eq!(index(&seen, "covering").keys, [key("a", "int4_ops")]);
    assert_eq!(index(&seen, "partial").predicate.as_deref(), Some("(c IS NOT NULL)"));

    let computed = index(&seen, "computed");
    let expressions: Vec<_> = computed.keys.iter().map(|key| key.expression.as_deref()).collect();
    assert_eq!(expressions, [Some("lower(b)"), Some("((d ->> 'k'::text))"), None]);
    assert!(computed.keys.iter().all(|key| key.collation.is_none()));
    assert_eq!(computed.statistics_targets, [(2, 500)].into());
    assert!(index(&seen, "single").unique && index(&seen, "single").replica_identity);
    assert_eq!(index(&seen, "packed").options, ["fillfactor=70", "deduplicate_items=off"]);
    assert_eq!(index(&seen, "hashed").method, "hash");
    assert_eq!(index(&seen, "ginned").keys[0].opclass, "jsonb_path_ops");
    assert_eq!(index(&seen, "brinned").keys[0].opclass_options, ["n_distinct_per_range=50"]);

    let primary = index(&seen, "t_pkey");
    assert!(primary.primary && primary.unique && primary.bytes > 0);
    assert_eq!(primary.constraint.as_deref(), Some("t_pkey"));
    assert_eq!(primary.required_by, ["constraint to_t on table public.child"]);
    let apart = index(&seen, "apart");
    assert!(apart.exclusion && !apart.unique);
    assert_eq!((apart.method.as_str(), apart.constraint.as_deref()), ("gist", Some("apart")));

    let child = table(&seen, "child");
    let foreign = &child.constraints[0];
    assert_eq!((foreign.name.as_str(), foreign.kind), ("to_t", ConstraintKind::Foreign));
    assert_eq!(foreign.references, Some(table(&seen, "t").oid));
    assert_eq!(
        (&foreign.columns[..], &foreign.referenced_columns[..]),
        (&["t_id".to_owned()][..], &["id".to_owned()][..])
    );
    assert_eq!(foreign.definition, "FOREIGN KEY (t_id) REFERENCES public.t(id)");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_anything_in_them_come_through() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE SCHEMA \"Sch ema\";
        CREATE TABLE \"Sch ema\".\"Tab\"\"le\nÜ; --\" (\"userId\" int, \"co\\l'umn\" text);
        CREATE INDEX \"in\"\"dex\" ON \"Sch ema\".\"Tab\"\"le\nÜ; --\" (\"userId\", lower(\"co\\l'umn\"));
        INSERT INTO \"Sch ema\".\"Tab\"\"le\nÜ; --\" SELECT i % 2, 'a\"b\\c,{d}' FROM generate_series(1, 100) AS i;
        ANALYZE;
        CREATE VIEW \"View\" AS SELECT \"userId\" AS \"the id\" FROM \"Sch ema\".\"Tab\"\"le\nÜ; --\"",
    )
    .await;
    let seen = db.sample().await;
    let table = seen.table_named("Sch ema", "Tab\"le\nÜ; --").unwrap();
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["userId", "co\\l'umn"]);
    assert_eq!(table.columns[1].stats.as_ref().unwrap().common_values, ["a\"b\\c,{d}"]);
    let keys = &index(&seen, "in\"dex").keys;
    assert_eq!(keys[0].column.as_deref(), Some("userId"));
    assert_eq!(keys[1].expression.as_deref(), Some("lower(\"co\\l'umn\")"));
    let view = seen.views.iter().find(|view| view.name == "View").unwrap();
    assert_eq!(view.columns, ["the id"]);
    assert!(
        view.definition.contains("FROM \"Sch ema\".\"Tab\"\"le\nÜ; --\""),
        "{}",
        view.definition
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn partitioned_tables_have_the_sums_of_their_leaves() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE TABLE events (at int NOT NULL, kind text, PRIMARY KEY (at)) PARTITION BY RANGE (at);
        CREATE TABLE events_low PARTITION OF events FOR VALUES FROM (0) TO (1000);
        CREATE TABLE events_high PARTITION OF events FOR VALUES FROM (1000) TO (9000) PARTITION BY RANGE (at);
        CREATE TABLE events_high_1 PARTITION OF events_high FOR VALUES FROM (1000) TO (9000);
        CREATE INDEX events_kind ON events (kind);
        CREATE TABLE parent (i int);
        CREATE TABLE heir () INHERITS (parent)",
    )
    .await;
    db.apart(
        "INSERT INTO events SELECT i, 'kind ' || i % 3 FROM generate_series(0, 4999) AS i; ANALYZE",
    )
    .await;
    let seen = db.sample().await;
    let (events, low, high) =
        (table(&seen, "events"), table(&seen, "events_low"), table(&seen, "events_high_1"));
    assert_eq!(events.kind, TableKind::Partitioned);
    assert_eq!(events.rows, Some(5000.0));
    assert_eq!(events.pages, low.pages + high.pages);
    assert!(low.pages > 0 && high.pages > low.pages);
    assert_eq!(low.partition_of, Some(events.oid));
    assert_eq!(high.partition_of, Some(table(&seen, "events_high").oid));
    assert_eq!((events.counters.inserted, low.counters.inserted), (5000, 1000));
    let kinds = events.column("kind").unwrap().stats.as_ref().unwrap();
    assert_eq!(kinds.common_values.len(), 3, "statistics over all partitions");

    let whole = index(&seen, "events_kind");
    let leaves = [index(&seen, "events_low_kind_idx"), index(&seen, "events_high_1_kind_idx")];
    assert_eq!(whole.bytes, leaves.iter().map(|leaf| leaf.bytes).sum::<u64>());
    assert_eq!(leaves[0].partition_of, Some(whole.oid));
    assert!(whole.required_by.is_empty() && leaves[0].required_by.is_empty());
    assert!(
        table(&seen, "parent").inherited && !table(&seen, "heir").inherited && !events.inherited
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_say_what_their_type_can_do() {
    let Some(db) = database().await else { return };
    db.run(
        r#"CREATE TYPE mood AS ENUM ('sad', 'happy');
        CREATE TYPE pair AS (a int, b text);
        CREATE DOMAIN short AS varchar(20);
        CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 10);
        CREATE COLLATION "My" (provider = icu, locale = 'und', deterministic = false);
        CREATE TABLE t (i int PRIMARY KEY, v varchar(20), c text COLLATE "C", x text COLLATE "My", n numeric(10,2),
            f float8, j json, b jsonb, m mood, p pair, s shorter, a int[], ja json[], r int4range, t timestamptz,
            u uuid, k "char")"#,
    )
    .await;
    let seen = db.sample().await;
    let table = table(&seen, "t");
    let of = |name: &str| table.column(name).unwrap();
    let btree = |name| (of(name).btree, of(name).deduplicates);
    for name in ["i", "v", "c", "m", "s", "t", "u", "k"] {
        assert_eq!(btree(name), (true, true), "{name}");
    }
    for name in ["x", "n", "f", "b", "p", "a", "r"] {
        assert_eq!(btree(name), (true, false), "{name}");
    }
    for name in ["j", "ja"] {
        assert_eq!(btree(name), (false, false), "{name}");
    }
    let named: Vec<(&str, &str)> = ["v", "s", "a", "m"]
        .map(|name| (of(name).type_name.as_str(), of(name).base_type.as_str()))
        .to_vec();
    assert_eq!(
        named,
        [
            ("character varying(20)", "varchar"),
            ("public.shorter", "varchar"),
            ("integer[]", "_int4"),
            ("public.mood", "mood")
        ]
    );
    assert_eq!((of("m").type_kind, of("r").type_kind, of("p").type_kind), ('e', 'r', 'c'));
    assert_eq!(
        (of("a").type_category, of("t").type_category, of("m").base_type_schema.as_str()),
        ('A', 'D', "public")
    );
    assert_eq!((of("i").length, of("i").align, of("v").length, of("f").align), (4, 4, -1, 8));
    assert_eq!((of("v").type_modifier, of("i").type_modifier), (24, -1));
    assert!(of("i").not_null && !of("v").not_null);
    assert_eq!((of("c").collation.as_deref(), of("c").c_collation), (Some("C"), true));
    assert_eq!((of("x").collation.as_deref(), of("x").c_collation), (Some("public.\"My\""), false));
    assert_eq!((of("i").collation.as_deref(), of("i").c_collation), (None, false));
    // The server was made with --locale=C.
    assert_eq!((of("v").collation.as_deref(), of("v").c_collation), (Some("default"), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_user_made_is_looked_at() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE SCHEMA pgwright;
        CREATE TABLE pgwright.own (i int PRIMARY KEY);
        CREATE UNLOGGED TABLE quick (i int) WITH (fillfactor = 50);
        ALTER TABLE quick ENABLE ROW LEVEL SECURITY;
        CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
        CREATE FUNCTION plus_one(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + 1';
        CREATE FUNCTION shout(i int, t text) RETURNS text LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN t; END'",
    )
    .await;
    let other = db.connect(None).await;
    other.batch_execute("CREATE TEMP TABLE fleeting (i int)").await.unwrap();
    let seen = db.sample().await;
    let names: Vec<&str> = seen.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["kept", "quick"]);
    let quick = table(&seen, "quick");
    assert_eq!(quick.persistence, Persistence::Unlogged);
    assert_eq!((quick.rows, quick.pages, quick.row_security), (None, 0, true));
    assert_eq!(quick.options, ["fillfactor=50"]);
    assert_eq!(table(&seen, "kept").kind, TableKind::MaterializedView);
    assert!(seen.extension("pg_stat_statements").is_some_and(|found| found.schema == "public"));
    let function =
        |name: &str| seen.functions.iter().find(|function| function.name == name).unwrap();
    assert_eq!(
        (function("plus_one").volatility, function("plus_one").trusted),
        (Volatility::Immutable, false)
    );
    assert_eq!(
        (function("shout").volatility, &function("shout").arguments[..]),
        (Volatility::Volatile, &["integer".to_owned(), "text".to_owned()][..])
    );
    assert_eq!(
        (function("lower").volatility, function("lower").trusted),
        (Volatility::Immutable, true)
    );
    assert_eq!(function("date_trunc").schema, "pg_catalog");
    assert_eq!(seen.settings["random_page_cost"], "4");
    assert_eq!(seen.settings["work_mem"], "4MB");
    let size = serde_json::to_string(&seen).unwrap().len();
    assert!(size < 1_000_000, "{size} bytes for an all but empty database");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_database_gives_the_same_bytes_twice() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE TABLE t (id int PRIMARY KEY, v text);
        INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) AS i;
        ANALYZE;
        SELECT * FROM t WHERE id = 1;
        SELECT * FROM t WHERE v = 'x';
        UPDATE t SET v = 'y' WHERE id = 3",
    )
    .await;
    let mut first = db.sample().await;
    let second = db.sample().await;
    assert!(second.server.taken_at > first.server.taken_at);
    first.server.taken_at = second.server.taken_at;
    // Our own reading is counted and grows; of the user's statements nothing may.
    first.intake = second.intake.clone();
    assert_eq!(
        serde_json::to_string_pretty(&first).unwrap(),
        serde_json::to_string_pretty(&second).unwrap()
    );
    assert_eq!(first.statements.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_tables_stay_visible_but_are_not_to_be_indexed() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE SCHEMA app;
        CREATE TABLE app.one (i int);
        CREATE TABLE app.two (i int);
        CREATE TABLE other (i int)",
    )
    .await;
    let options = SampleOptions {
        schemas: vec!["app".to_owned(), "nowhere".to_owned()],
        exclude_tables: vec!["app.two".to_owned(), "three".to_owned()],
        ..SampleOptions::default()
    };
    let seen = db.try_sample(None, &options).await.unwrap();
    let excluded: Vec<(&str, bool)> =
        seen.tables.iter().map(|table| (table.name.as_str(), table.excluded)).collect();
    assert_eq!(excluded, [("one", false), ("two", true), ("other", true)]);
    let notes = seen.intake.notes.join("\n");
    assert!(notes.contains("--schema nowhere: there is no table in such a schema"), "{notes}");
    assert!(notes.contains("--exclude-table three: there is no such table"), "{notes}");
    assert!(notes.contains("2 tables are kept from any change"), "{notes}");
}
