//! The unusual: very wide and very many tables, what extensions bring, circles, settings.

use agent::blueprint::{DrawOptions, draw};
use agent::postgres::{Meter, Purpose, Session};

use crate::harness::{Database, database, definition};
use crate::rebuild::round_trip;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_1600_columns_of_which_some_are_gone() {
    let Some(db) = database().await else { return };
    let columns = |kind: &str| -> String {
        (1..=1600).map(|n| format!("\"C {n}\" {kind}")).collect::<Vec<_>>().join(", ")
    };
    db.run(&format!("CREATE TABLE wide ({})", columns("smallint DEFAULT 7"))).await;
    db.run("ALTER TABLE wide DROP COLUMN \"C 2\", DROP COLUMN \"C 800\"; CREATE STATISTICS ends ON \"C 1\", \"C 1600\" FROM wide;").await;
    db.run("CREATE VIEW as_wide AS SELECT * FROM wide").await;
    db.run("INSERT INTO wide SELECT FROM generate_series(1, 50); ANALYZE;").await;
    let drawn = round_trip(&db).await;
    assert_eq!(drawn.statistics.len(), 1598);
    assert!(
        drawn.extended[0].n_distinct.as_deref().is_some_and(|text| text.contains("\"1, 1598\""))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tables_take_no_more_queries() {
    let Some(db) = database().await else { return };
    let mut counts = Vec::new();
    for tables in [1, 300] {
        db.run(&format!(
            "DO $$ BEGIN FOR i IN 1..{tables} LOOP
                EXECUTE format('CREATE TABLE of_%s_%s (id bigint PRIMARY KEY, other bigint REFERENCES of_{tables}_1, t text DEFAULT ''x'')', {tables}, i);
                EXECUTE format('CREATE VIEW view_%s_%s AS SELECT * FROM of_%s_%s', {tables}, i, {tables}, i);
            END LOOP; END $$"
        ))
        .await;
        let (meter, info) = (Meter::new(), db.conninfo(None));
        let session = Session::connect(&info, Purpose::Sample, &meter).await.unwrap();
        let before = meter.statements(Purpose::Sample);
        let since = std::time::Instant::now();
        let drawn = draw(&session, &info, &DrawOptions::default()).await.unwrap();
        assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
        counts.push(meter.statements(Purpose::Sample) - before);
        session.close().await;
        assert!(drawn.definitions.len() > 3 * tables && drawn.ends.len() >= tables);
    }
    // Heights and ends are asked for 64 at a time, three statements each.
    assert!(counts[1] - counts[0] <= 2 * 3 * 5, "{counts:?}");
    assert!(counts[0] < 100, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_extensions_bring_comes_with_them() {
    let Some(db) = database().await else { return };
    let offered = |name: &&str| db.cluster.binaries().offers(name);
    let wanted: Vec<&str> = ["btree_gist", "citext", "hstore", "ltree", "pg_trgm", "cube"]
        .into_iter()
        .filter(offered)
        .collect();
    db.run("CREATE SCHEMA ext; CREATE TABLE t (id int, words text);").await;
    for name in &wanted {
        db.run(&format!("CREATE EXTENSION {name} SCHEMA ext")).await;
    }
    if wanted.contains(&"citext") && wanted.contains(&"pg_trgm") && wanted.contains(&"hstore") {
        db.run(
            "ALTER TABLE t ADD COLUMN name ext.citext DEFAULT 'a'::ext.citext, ADD COLUMN attributes ext.hstore;
             CREATE INDEX by_trigram ON t USING gin (words ext.gin_trgm_ops);
             CREATE INDEX by_attribute ON t ((attributes OPERATOR(ext.->) 'a'));
             CREATE VIEW v AS SELECT * FROM t WHERE name OPERATOR(ext.=) 'x' AND words OPERATOR(ext.%) 'y';
             CREATE FUNCTION of_name(ext.citext) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';",
        )
        .await;
    }
    let drawn = round_trip(&db).await;
    let extensions = drawn.definitions.iter().filter(|of| of.name.starts_with("extension "));
    assert_eq!(extensions.count(), wanted.len() + 1);
    assert!(drawn.definitions.len() < 20, "{:#?}", drawn.definitions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_that_reads_its_own_table_comes_after_it() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE TABLE t (id int, next int);
         CREATE VIEW highest AS SELECT max(next) AS top FROM t;
         CREATE FUNCTION following() RETURNS int LANGUAGE sql STABLE BEGIN ATOMIC SELECT top + 1 FROM highest; END;
         ALTER TABLE t ALTER COLUMN next SET DEFAULT following();
         CREATE DOMAIN d AS int;
         CREATE FUNCTION fits(d) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         ALTER DOMAIN d ADD CONSTRAINT fitting CHECK (fits(VALUE));",
    )
    .await;
    let drawn = round_trip(&db).await;
    assert_eq!(drawn.notes, [""; 0]);
    let set = "ALTER TABLE ONLY public.t ALTER COLUMN next SET DEFAULT public.following()";
    assert_eq!(definition(&drawn, "table public.t: default of next"), set);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_tablespaces_and_the_locale() {
    let Some(db) = database().await else { return };
    db.run(&format!(
        "DO $$ BEGIN CREATE ROLE \"Blueprint: tuned\"; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         ALTER ROLE \"Blueprint: tuned\" IN DATABASE {0} SET search_path = 'a', \"b=c\";
         ALTER DATABASE {0} SET work_mem = '7MB';
         CREATE SCHEMA pgwright; CREATE TABLE pgwright.t (id int);",
        db.name
    ))
    .await;
    let drawn = db.draw().await;
    let here: Vec<_> = drawn.role_settings.iter().filter(|of| of.in_database).collect();
    assert_eq!(here.len(), 2);
    assert_eq!((here[0].role.as_deref(), here[0].settings["work_mem"].as_str()), (None, "7MB"));
    assert_eq!(here[1].role.as_deref(), Some("Blueprint: tuned"));
    assert_eq!(here[1].settings["search_path"], "a, \"b=c\"");
    assert_eq!(
        definition(&drawn, "role Blueprint: tuned"),
        "CREATE ROLE \"Blueprint: tuned\" NOLOGIN"
    );
    assert_eq!(drawn.locale.encoding, db.value("SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()").await);
    assert_eq!(drawn.locale.provider, 'c');
    assert!(!drawn.definitions.iter().any(|of| of.name.contains("pgwright")));
    assert!(drawn.tablespaces.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_is_made_again() {
    let Some(db) = database().await else { return };
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/demo/schema.sql");
    db.run(&std::fs::read_to_string(schema).unwrap()).await;
    let drawn = round_trip(&db).await;
    assert!(drawn.definitions.len() > 10);
    let built = Database::create(db.cluster).await;
    built.build(&drawn).await;
}
