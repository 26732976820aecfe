//! Statements from `pg_stat_statements`, from other sessions, and from files.

use agent::sampler::{SampleErrorKind, SampleOptions};
use rules::intake::WorkloadFile;
use rules::snapshot::LeftOut;

use crate::harness::{bare_database, database, statement};

#[tokio::test(flavor = "multi_thread")]
async fn every_entry_is_kept_or_counted() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, total int);
        INSERT INTO orders SELECT i, 'new', i FROM generate_series(1, 500) AS i;
        SELECT pg_stat_statements_reset() IS NULL;
        SELECT total FROM orders WHERE status = 'a';
        SELECT total FROM orders WHERE status = 'b';
        SELECT o.total FROM orders o WHERE o.id IN (1, 2);
        SELECT o.total FROM orders o WHERE o.id IN (1, 2, 3);
        UPDATE orders SET total = 1 WHERE id = 5;
        SET work_mem = '5MB';
        SELECT relname FROM pg_catalog.pg_class WHERE oid = 1",
    )
    .await;
    let seen = db.sample().await;
    let by_status = statement(&seen, "WHERE status = $1");
    assert_eq!((by_status.calls, by_status.rows), (2, Some(0)));
    assert_eq!(by_status.id.len(), 16);
    assert!(by_status.total_ms.unwrap() > 0.0 && by_status.blocks.unwrap() >= 2);
    assert_eq!(by_status.search_path, ["public"]);
    assert_eq!(by_status.role.as_deref(), Some("postgres"));
    let lists = statement(&seen, "o.id IN");
    assert_eq!(lists.calls, 2);
    assert!(statement(&seen, "UPDATE").queryids.len() == 1);
    let intake = &seen.intake;
    assert_eq!(intake.source, "pg_stat_statements");
    assert!(intake.since.is_some_and(|since| since < seen.server.taken_at));
    assert!(intake.left_out[&LeftOut::Utility] >= 1, "{intake:?}");
    assert!(intake.left_out[&LeftOut::CatalogOnly] >= 1, "{intake:?}");
    let entries: u64 =
        seen.statements.iter().map(|statement| statement.queryids.len() as u64).sum();
    assert_eq!(intake.seen, entries + intake.left_out.values().sum::<u64>(), "{intake:?}");
    assert!(intake.kept_share.is_some_and(|share| share > 0.0 && share <= 1.0));
    let ordered: Vec<_> = seen.statements.iter().map(|statement| statement.total_ms).collect();
    assert!(ordered.is_sorted_by(|a, b| a >= b));

    let again = db.sample().await;
    assert!(
        again.intake.left_out[&LeftOut::Own] > 10,
        "our own reading is seen and left out: {:?}",
        again.intake
    );
    let few = SampleOptions { min_calls: 2, limit: 1, ..SampleOptions::default() };
    let few = db.try_sample(None, &few).await.unwrap();
    assert_eq!(few.statements.len(), 1);
    assert!(
        few.intake.left_out[&LeftOut::BeyondLimit] >= 1
            && few.intake.left_out[&LeftOut::FewCalls] >= 1
    );
    let slow = SampleOptions { min_mean_ms: 60_000.0, ..SampleOptions::default() };
    let slow = db.try_sample(None, &slow).await.unwrap();
    assert!(slow.statements.is_empty() && slow.intake.left_out[&LeftOut::FastEnough] > 1);
    assert!(
        slow.intake.notes.iter().any(|note| note.contains("--min-mean-ms")),
        "{:?}",
        slow.intake.notes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_extension_is_found_in_any_schema_and_copies_are_counted() {
    let Some(db) = bare_database().await else { return };
    db.run(
        "CREATE SCHEMA \"Monitor\";
        CREATE EXTENSION pg_stat_statements SCHEMA \"Monitor\";
        CREATE TABLE t (i int);
        SELECT * FROM t WHERE i = 1",
    )
    .await;
    let client = db.connect(None).await;
    let copy = client.copy_in("COPY t FROM STDIN").await.unwrap();
    let mut copy = std::pin::pin!(copy);
    futures_util::SinkExt::send(&mut copy, bytes::Bytes::from_static(b"1\n2\n3\n")).await.unwrap();
    copy.finish().await.unwrap();
    let seen = db.sample().await;
    assert_eq!(statement(&seen, "FROM t").calls, 1);
    assert_eq!(seen.intake.copied_rows.values().sum::<u64>(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_own_statements_are_left_out() {
    let Some(db) = database().await else { return };
    db.run(
        "CREATE TABLE t (i int);
        CREATE FUNCTION f(n int) RETURNS bigint LANGUAGE plpgsql AS
            'BEGIN RETURN (SELECT count(*) FROM t WHERE i = n); END';
        SET pg_stat_statements.track = 'all';
        SELECT f(3)",
    )
    .await;
    let seen = db.sample().await;
    assert_eq!(statement(&seen, "f($1)").calls, 1);
    assert!(seen.intake.left_out[&LeftOut::Nested] >= 1, "{:?}", seen.intake);
    assert!(!seen.statements.iter().any(|statement| statement.text.contains("count")));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_has_its_search_path() {
    let Some(db) = database().await else { return };
    let role = format!("{}_ann", db.name);
    db.run(&format!(
        "CREATE ROLE {role} LOGIN;
        CREATE SCHEMA {role} AUTHORIZATION {role};
        CREATE SCHEMA app;
        CREATE TABLE {role}.mine (i int);
        ALTER TABLE {role}.mine OWNER TO {role};
        ALTER DATABASE {name} SET search_path = app, \"$user\", gone;
        ALTER ROLE {role} SET search_path = gone;
        ALTER ROLE {role} IN DATABASE {name} SET search_path = '$user', \"public\"",
        name = db.name
    ))
    .await;
    let ann = db.connect(Some(&role)).await;
    ann.batch_execute("SELECT * FROM mine WHERE i = 1").await.unwrap();
    let seen = db.sample().await;
    let mine = statement(&seen, "mine");
    assert_eq!(
        (mine.role.as_deref(), &mine.search_path[..]),
        (Some(role.as_str()), &[role.clone(), "public".to_owned()][..])
    );
    assert_eq!(seen.server.search_path, ["app"], "the superuser's own comes from the database");
    drop(ann);
    db.run(&format!("DROP OWNED BY {role};\nDROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_others_were_seen_using_become_examples() {
    let Some(db) = database().await else { return };
    db.run("CREATE TABLE t (id int, name text)").await;
    let (one, two, three) =
        (db.connect(None).await, db.connect(None).await, db.connect(None).await);
    one.batch_execute("SELECT * FROM t WHERE name = 'O''Hara'").await.unwrap();
    two.batch_execute("BEGIN; SELECT * FROM t WHERE name = 'x'").await.unwrap();
    three.query("SELECT * FROM t WHERE name = $1", &[&"bound"]).await.unwrap();
    let seen = db.sample().await;
    let by_name = statement(&seen, "WHERE name = $1");
    assert_eq!(by_name.calls, 3);
    assert_eq!(
        texts(by_name),
        ["SELECT * FROM t WHERE name = 'O''Hara'", "SELECT * FROM t WHERE name = 'x'"]
    );
}

fn file(name: &str, text: &str) -> WorkloadFile {
    WorkloadFile { name: name.to_owned(), text: text.to_owned() }
}

/// The real texts of a statement.
fn texts(statement: &rules::snapshot::Statement) -> Vec<&str> {
    statement.examples.iter().map(|example| example.text.as_str()).collect()
}

fn from_files(files: Vec<WorkloadFile>) -> SampleOptions {
    SampleOptions { workload: Some(files), min_calls: 100, ..SampleOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_stand_in_for_the_extension() {
    let Some(db) = bare_database().await else { return };
    db.run("CREATE TABLE t (id int PRIMARY KEY, name text)").await;
    let text = "\\timing on\n-- look-ups\nSELECT * FROM t WHERE name = 'a;b';\n\nSELECT * FROM t WHERE name = 'c';\n\
        SELECT * FROM t WHERE name = 'c';\nSELECT * FROM t WHERE id = $1;\nSELEC nonsense;\nCREATE TABLE x (i int);\n";
    let options = from_files(vec![
        file("load.sql", text),
        file("more.sql", "select * from T where NAME='d'"),
    ]);
    let seen = db.try_sample(None, &options).await.unwrap();
    assert_eq!(seen.statements.len(), 2);
    let by_name = statement(&seen, "'a;b'");
    assert_eq!(
        (by_name.calls, by_name.total_ms, by_name.rows, by_name.queryids.len()),
        (4, None, None, 0)
    );
    assert_eq!(
        texts(by_name),
        ["SELECT * FROM t WHERE name = 'c'", "select * from T where NAME='d'"]
    );
    let intake = &seen.intake;
    assert_eq!(
        (intake.source.as_str(), intake.seen, intake.since),
        ("load.sql, more.sql", 8, None)
    );
    assert_eq!(
        intake.left_out,
        [(LeftOut::Utility, 1), (LeftOut::Unparsable, 2), (LeftOut::Repeated, 1)].into()
    );
    let notes = intake.notes.join("\n");
    assert!(
        notes.contains("load.sql:1: ") && notes.contains("load.sql:8: ") && notes.contains("SELEC"),
        "{notes}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_workload_are_refused_by_name_and_line() {
    let Some(db) = bare_database().await else { return };
    let refusal = async |files| {
        let error = db.try_sample(None, &from_files(files)).await.unwrap_err();
        assert_eq!(error.kind(), SampleErrorKind::Workload);
        error.to_string()
    };
    let message =
        refusal(vec![file("ok.sql", "SELECT 1 FROM t"), file("prose.sql", "\n\nthis is no SQL")])
            .await;
    assert!(
        message.starts_with("`prose.sql` holds no statement that parses; the first, at line 3: "),
        "{message}"
    );
    let message = refusal(vec![file("empty.sql", "-- nothing\n")]).await;
    assert!(
        message.starts_with("empty.sql holds no SELECT, INSERT, UPDATE or DELETE"),
        "{message}"
    );
    let message = refusal(vec![file("ddl.sql", "CREATE TABLE x (i int); VACUUM;")]).await;
    assert!(message.ends_with("(left out: 2 utility statements)"), "{message}");
}
