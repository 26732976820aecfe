//! What is printed for partitioned tables is run with psql, as a person would, and undone.

use std::process::Command;

use serde_json::Value;

use crate::harness::{TestDatabase, binaries, cli, database_with_hypopg};

/// Partitions in two levels, with names that need quotes and two long ones that begin alike; one has the index
/// already.
const SCHEMA: &str = r#"
CREATE SCHEMA "Old Years";
CREATE TABLE "Part" (id bigint NOT NULL, "userId" int NOT NULL, year int NOT NULL, kind text NOT NULL, pad text)
    PARTITION BY RANGE (year);
CREATE TABLE a_rather_long_name_of_a_partition_that_goes_on_and_on_until_24
    PARTITION OF "Part" FOR VALUES FROM (2024) TO (2025);
CREATE TABLE a_rather_long_name_of_a_partition_that_goes_on_and_on_until_25
    PARTITION OF "Part" FOR VALUES FROM (2025) TO (2026);
CREATE TABLE "Part 2026" PARTITION OF "Part" FOR VALUES FROM (2026) TO (2027) PARTITION BY LIST (kind);
CREATE TABLE "Old Years"."Part a" PARTITION OF "Part 2026" FOR VALUES IN ('a');
CREATE TABLE "Old Years"."Part b" PARTITION OF "Part 2026" DEFAULT;
CREATE INDEX mine ON "Old Years"."Part b" ("userId");
COMMENT ON INDEX "Old Years".mine IS 'it''s there';
INSERT INTO "Part" SELECT n, n % 20000, 2024 + n % 3, chr(97 + n % 2), repeat('x', 100) FROM generate_series(1, 240000) AS n;
"#;

/// Every index with its definition, its place and what hangs on it, without oids.
const INDEXES: &str = "
SELECT coalesce(string_agg(concat_ws(' | ', pg_get_indexdef(c.oid), i.indisvalid, h.inhparent::regclass,
                                     obj_description(c.oid, 'pg_class')), E'\\n' ORDER BY pg_get_indexdef(c.oid)), '')
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits h ON h.inhrelid = c.oid
WHERE n.nspname IN ('public', 'Old Years')";

async fn ready(db: &TestDatabase, schema: &str) {
    db.sql(schema).await;
    let flush = if db.major() >= 15 { "pg_stat_force_next_flush()" } else { "pg_sleep(2)" };
    db.sql(&format!("SELECT {flush}")).await;
    db.sql("VACUUM ANALYZE").await;
    let here = "SELECT oid FROM pg_database WHERE datname = current_database()";
    db.sql(&format!("SELECT pg_stat_statements_reset(0, ({here}), 0)")).await;
}

async fn optimize(db: &TestDatabase, format: &'static str) -> String {
    let conninfo = db.conninfo();
    let args = move || cli(&["optimize", "--format", format, "-d", &conninfo]);
    let output = tokio::task::spawn_blocking(args).await.unwrap();
    assert_eq!(output.status, Some(0), "{output:?}");
    output.stdout
}

/// The action on a table of a kind, out of the JSON form.
async fn action(db: &TestDatabase, kind: &str, table: &str) -> Option<Value> {
    let report: Value = serde_json::from_str(&optimize(db, "json").await).unwrap();
    let actions = report["actions"].as_array().unwrap().iter();
    let mut fitting =
        actions.filter(|action| action["kind"] == kind && action["table"] == table).cloned();
    let found = fitting.next();
    assert!(fitting.next().is_none(), "{report:#}");
    found
}

/// The statements of an action and of its undo, out of the script.
async fn script(db: &TestDatabase, id: &str) -> (Vec<String>, Vec<String>) {
    let script = optimize(db, "sql").await;
    let (_, from) = script.split_once(&format!("-- {id}: ")).unwrap();
    let lines = from.lines().skip(1).take_while(|line| !line.is_empty());
    let (undo, statements): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with("-- undo: "));
    let plain = |lines: Vec<&str>, mark: &str| {
        lines.iter().map(|line| line.strip_prefix(mark).unwrap().to_owned()).collect::<Vec<_>>()
    };
    (plain(statements, "-- "), plain(undo, "-- undo: "))
}

/// Runs statements with psql, each on its own; without a psql beside the server, over a connection.
async fn psql(db: &TestDatabase, statements: &[String]) {
    let program = binaries().unwrap().bin.join("psql");
    if !program.is_file() {
        for statement in statements {
            db.sql(statement).await;
        }
        return;
    }
    let mut command = Command::new(program);
    command.args(["-X", "-v", "ON_ERROR_STOP=1", "-d", &db.conninfo()]);
    for statement in statements {
        command.args(["-c", statement]);
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}\n{statements:#?}");
}

#[tokio::test]
async fn the_recipe_for_a_partitioned_table_runs_and_is_undone() {
    let Some(db) = database_with_hypopg().await else { return };
    ready(&db, SCHEMA).await;
    for n in 1..=30 {
        db.sql(&format!("SELECT id, pad FROM \"Part\" WHERE \"userId\" = {n}")).await;
    }
    let before = db.value(INDEXES).await;
    let found = action(&db, "create_index", "public.\"Part\"").await.unwrap();
    assert_eq!((&found["reach"], &found["applies"]), (&"advise".into(), &false.into()));
    let (statements, undo) = script(&db, found["id"].as_str().unwrap()).await;
    let json = found["statement"].as_str().unwrap().split(";\n").map(|one| format!("{one};"));
    assert_eq!(json.collect::<Vec<_>>(), statements);
    let concurrent = statements.iter().filter(|one| one.contains("INDEX CONCURRENTLY")).count();
    let only = statements.iter().filter(|one| one.contains(" ON ONLY ")).count();
    let attached = statements.iter().filter(|one| one.contains("ATTACH PARTITION")).count();
    assert_eq!((concurrent, only, attached), (3, 2, 5), "{statements:#?}");
    assert!(undo[0].starts_with("DROP INDEX public.pgw_part_userid_"), "{undo:#?}");

    psql(&db, &statements).await;
    let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(db.value(invalid).await, "0");
    let whole = "SELECT count(*) FROM pg_partition_tree(%) WHERE isleaf".replace(
        '%',
        "(SELECT indexrelid::regclass FROM pg_index WHERE indrelid = '\"Part\"'::regclass)",
    );
    assert_eq!(db.value(&whole).await, "4");
    let plan = db.sql("EXPLAIN SELECT id, pad FROM \"Part\" WHERE \"userId\" = 3").await;
    let plan: Vec<String> = plan.into_iter().flatten().flatten().collect();
    assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{plan:#?}");
    assert!(action(&db, "create_index", "public.\"Part\"").await.is_none());

    psql(&db, &undo).await;
    assert_eq!(db.value(INDEXES).await, before);

    // Where a person stopped in the middle, the next recipe goes on from there.
    let usable = format!("{INDEXES} AND i.indisvalid").replace("h.inhparent::regclass,", "");
    for done in 1..statements.len() {
        psql(&db, &statements[..done]).await;
        let stopped = db.value(&usable).await;
        let Some(found) = action(&db, "create_index", "public.\"Part\"").await else {
            // What would only be attached brings nothing any more.
            let builds = statements[done..].iter().any(|one| one.contains("CONCURRENTLY"));
            assert!(!builds, "after {done}");
            break;
        };
        let (rest, undo) = script(&db, found["id"].as_str().unwrap()).await;
        assert_eq!(rest, statements[done..], "after {done}");
        psql(&db, &rest).await;
        assert_eq!((db.value(invalid).await, db.value(&whole).await), ("0".into(), "4".into()));
        psql(&db, &undo).await;
        assert_eq!(db.value(&usable).await, stopped, "after {done}");
        let ours = "SELECT 'DROP INDEX ' || indexrelid::regclass FROM pg_index \
                    WHERE indexrelid::regclass::text LIKE '%pgw%' \
                    AND indexrelid NOT IN (SELECT inhrelid FROM pg_inherits)";
        for drop in db.sql(ours).await.into_iter().flatten().flatten() {
            db.sql(&drop).await;
        }
        // It went with the sub-partition's where the interrupted run had attached it.
        let mine = "CREATE INDEX IF NOT EXISTS mine ON \"Old Years\".\"Part b\" (\"userId\"); \
                    COMMENT ON INDEX \"Old Years\".mine IS 'it''s there'";
        db.sql(mine).await;
        assert_eq!(db.value(INDEXES).await, before, "after {done}");
    }
}

#[tokio::test]
async fn a_duplicate_index_of_a_partitioned_table_is_dropped_and_comes_back() {
    let Some(db) = database_with_hypopg().await else { return };
    ready(&db, SCHEMA).await;
    db.sql(
        "CREATE INDEX one ON \"Part\" (year, \"userId\"); CREATE INDEX two ON \"Part\" (year, \"userId\"); \
         COMMENT ON INDEX two IS 'the second'",
    )
    .await;
    let before = db.value(INDEXES).await;
    db.sql("SELECT count(*) FROM \"Part\" WHERE year = 2024").await;
    let found = action(&db, "drop_index", "public.\"Part\"").await.unwrap();
    assert_eq!((&found["reach"], &found["applies"]), (&"advise".into(), &false.into()));
    let (statements, undo) = script(&db, found["id"].as_str().unwrap()).await;
    assert_eq!(statements, ["DROP INDEX public.two;"]);
    psql(&db, &statements).await;
    assert!(action(&db, "drop_index", "public.\"Part\"").await.is_none());
    psql(&db, &undo).await;
    assert_eq!(db.value(INDEXES).await, before, "{undo:#?}");
}

#[tokio::test]
async fn where_a_partition_is_foreign_the_others_are_indexed_each_for_itself() {
    let Some(db) = database_with_hypopg().await else { return };
    let setup = "CREATE TABLE far (id bigint, \"userId\" int, year int) PARTITION BY RANGE (year);
        CREATE TABLE far_1 PARTITION OF far FOR VALUES FROM (1) TO (2);
        CREATE TABLE far_2 PARTITION OF far FOR VALUES FROM (2) TO (3);
        CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
        CREATE FOREIGN TABLE far_0 PARTITION OF far FOR VALUES FROM (0) TO (1) SERVER files OPTIONS (program 'true');
        INSERT INTO far SELECT n, n % 20000, 1 + n % 2 FROM generate_series(1, 200000) AS n";
    ready(&db, setup).await;
    for n in 1..=30 {
        db.sql(&format!("SELECT id FROM far WHERE \"userId\" = {n}")).await;
    }
    let before = db.value(INDEXES).await;
    let found = action(&db, "create_index", "public.far").await.unwrap();
    let (statements, undo) = script(&db, found["id"].as_str().unwrap()).await;
    assert_eq!((statements.len(), undo.len()), (2, 2), "{statements:#?}");
    psql(&db, &statements).await;
    psql(&db, &undo).await;
    assert_eq!(db.value(INDEXES).await, before);
}

#[tokio::test]
async fn an_index_of_a_partitioned_table_is_applied_watched_and_rolled_back() {
    let Some(db) = database_with_hypopg().await else { return };
    let setup = "CREATE TABLE visits (id bigint NOT NULL, \"userId\" int NOT NULL, year int NOT NULL, pad text)
            PARTITION BY RANGE (year);
        CREATE TABLE visits_24 PARTITION OF visits FOR VALUES FROM (2024) TO (2025);
        CREATE TABLE visits_25 PARTITION OF visits FOR VALUES FROM (2025) TO (2026);
        CREATE TABLE visits_26 PARTITION OF visits DEFAULT;
        INSERT INTO visits SELECT n, n % 20000, 2024 + n % 3, repeat('x', 100) FROM generate_series(1, 240000) AS n";
    ready(&db, setup).await;
    for n in 1..=30 {
        db.sql(&format!("SELECT id, pad FROM visits WHERE \"userId\" = {n}")).await;
    }
    let before = db.value(INDEXES).await;
    let found = action(&db, "create_index", "public.visits").await.unwrap();
    assert_eq!((&found["reach"], &found["applies"]), (&"act".into(), &true.into()), "{found:#}");
    let steps: Vec<&str> = found["statement"].as_str().unwrap().split(";\n").collect();
    let built = steps.iter().filter(|step| step.starts_with("CREATE INDEX CONCURRENTLY")).count();
    assert_eq!((built, steps[3], steps.last()), (3, "BEGIN", Some(&"COMMIT")), "{steps:#?}");

    let run = |args: &'static [&'static str]| {
        let conninfo = db.conninfo();
        async move {
            let all = move || cli(&[args, &["-d", &conninfo]].concat());
            tokio::task::spawn_blocking(all).await.unwrap()
        }
    };
    let output = run(&["optimize", "--apply"]).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    let whole = "SELECT string_agg(i.indisvalid::text, ',') FROM pg_index i \
                 WHERE i.indexrelid::regclass::text LIKE 'pgw_visits%'";
    assert_eq!(db.value(whole).await, "true,true,true,true");
    assert!(action(&db, "create_index", "public.visits").await.is_none());
    // The indexes of the partitions are named by keys of their own, and are the row's all the same.
    let told = run(&["doctor"]).await.stdout;
    assert!(told.contains("indexes and statistics without a row: none"), "{told}");
    // Scans of the partitions' indexes count as those of the whole.
    let flush = if db.major() >= 15 { "pg_stat_force_next_flush()" } else { "pg_sleep(1)" };
    db.sql(&format!("SELECT id FROM visits WHERE \"userId\" = 7; SELECT {flush}")).await;
    // A window has to pass.
    db.sql("SELECT pg_sleep(1)").await;
    let output = run(&["verify", "--every", "1s"]).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    let scans = "SELECT max(o.\"calls\") FROM pgwright.\"Observations\" o JOIN pgwright.\"OptimizationLog\" l \
                 ON o.\"subject\" = 'index' AND o.\"subjectId\" = l.\"indexOid\"::text";
    assert_eq!(db.value(scans).await, "3");

    // A person's own index would go with the whole to which the server attached it, though its name is the usual one and
    // one transaction did it all; what the server makes for new partitions goes with the whole as it should.
    db.sql(
        "BEGIN; CREATE TABLE old (LIKE visits); CREATE INDEX \"old_userId_idx\" ON old (\"userId\");
         ALTER TABLE visits ATTACH PARTITION old FOR VALUES FROM (2020) TO (2021); COMMIT;
         CREATE TABLE visits_22 PARTITION OF visits FOR VALUES FROM (2022) TO (2023);
         CREATE TABLE older (LIKE visits);
         ALTER TABLE visits ATTACH PARTITION older FOR VALUES FROM (2019) TO (2020)",
    )
    .await;
    let output = run(&["rollback", "--all"]).await;
    assert!(output.status != Some(0), "{output:?}");
    let said = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("\"old_userId_idx\" is attached to it, is not pgwright's"), "{output:?}");
    db.sql("ALTER TABLE visits DETACH PARTITION old").await;
    // Nor does one on which a person left a comment.
    db.sql("ALTER TABLE visits RENAME \"userId\" TO who").await;
    let part =
        "SELECT i.indexrelid::regclass FROM pg_index i WHERE i.indrelid = 'visits_24'::regclass";
    let part = db.value(part).await;
    db.sql(&format!("COMMENT ON INDEX {part} IS 'mine'")).await;
    let output = run(&["rollback", "--all"]).await;
    assert!(output.stdout.contains("meanwhile has a comment"), "{output:?}");
    db.sql(&format!("COMMENT ON INDEX {part} IS NULL; ALTER TABLE visits RENAME who TO site"))
        .await;
    let output = run(&["rollback", "--all"]).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    db.sql("ALTER TABLE visits RENAME site TO \"userId\"").await;
    let own = db.value("SELECT to_regclass('\"old_userId_idx\"')").await;
    assert_eq!(own, "\"old_userId_idx\"");
    db.sql("DROP TABLE old, older, visits_22").await;
    assert_eq!(db.value(INDEXES).await, before);
}
