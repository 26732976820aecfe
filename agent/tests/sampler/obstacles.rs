//! What stands in the way, and the exact steps that clear it.

use agent::cluster::Binaries;
use agent::sampler::{SampleErrorKind, SampleOptions};
use rules::snapshot::LeftOut;

use crate::harness::{Database, bare_database, database, skip, start, statement, table};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_extension_is_answered_with_the_statement_that_makes_it() {
    let Some(db) = bare_database().await else { return };
    let error = db.try_sample(None, &SampleOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), SampleErrorKind::Setup);
    assert!(error.to_string().contains("1. CREATE EXTENSION pg_stat_statements;"), "{error}");
    for step in error.remedy() {
        db.run(&step).await;
    }
    db.sample().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_is_not_loaded_is_answered_with_steps_that_work() {
    let Ok(binaries) = Binaries::find(None) else {
        return skip("no PostgreSQL server programs found");
    };
    let mut cluster = start(&binaries, &[]).await;
    let steps = {
        let db = Database::create(&cluster, "app").await;
        db.run(
            "CREATE TABLE t (i int);\nALTER SYSTEM SET shared_preload_libraries = 'auto_explain'",
        )
        .await;
        let error = db.try_sample(None, &SampleOptions::default()).await.unwrap_err();
        assert_eq!(error.kind(), SampleErrorKind::Setup);
        let text = error.to_string();
        for part in [
            "ALTER SYSTEM SET shared_preload_libraries = ",
            "restart",
            "CREATE EXTENSION pg_stat_statements;",
            "parameter group",
            "--workload",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        db.run("CREATE EXTENSION pg_stat_statements").await;
        // Installed but not loaded: reading the view would fail with 55000.
        let error = db.try_sample(None, &SampleOptions::default()).await.unwrap_err();
        assert!(!error.to_string().contains("CREATE EXTENSION"), "{error}");
        error.remedy()
    };
    assert!(steps[0].starts_with("ALTER SYSTEM SET shared_preload_libraries = "), "{steps:?}");
    let db = Database::create(&cluster, "again").await;
    db.run(&steps[0]).await;
    let set = db.value("SELECT setting FROM pg_file_settings WHERE name = 'shared_preload_libraries' AND sourcefile LIKE '%auto.conf'").await;
    assert_eq!(set, "pg_stat_statements");
    drop(db);
    cluster.restart().await.unwrap();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_privileges_learns_which_it_needs() {
    let Some(db) = database().await else { return };
    let role = format!("{}_guest", db.name);
    db.run(&format!(
        "CREATE TABLE t (i int);
        INSERT INTO t SELECT generate_series(1, 100);
        ANALYZE t;
        SELECT * FROM t WHERE i = 1;
        CREATE ROLE {role} LOGIN"
    ))
    .await;
    let error = db.try_sample(Some(&role), &SampleOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), SampleErrorKind::Privilege);
    assert_eq!(error.remedy(), [format!("GRANT pg_read_all_stats TO {role};")]);
    assert!(error.to_string().contains(&error.remedy()[0]), "{error}");

    // One that sees at least its own statements gets a snapshot that says what is missing.
    let guest = db.connect(Some(&role)).await;
    guest.batch_execute("SELECT 1 FROM (VALUES (1)) AS v (x) WHERE x = 2; CREATE TEMP TABLE own (i int); SELECT * FROM own WHERE i = 3").await.unwrap();
    let seen = db.try_sample(Some(&role), &SampleOptions::default()).await.unwrap();
    assert!(seen.intake.left_out[&LeftOut::InsufficientPrivilege] >= 1);
    assert!(
        seen.intake.notes.iter().any(|note| note.contains("GRANT pg_read_all_stats")),
        "{:?}",
        seen.intake.notes
    );
    assert_eq!(statement(&seen, "FROM own").role.as_deref(), Some(role.as_str()));
    let hidden = table(&seen, "t");
    assert!(!hidden.may_index && !hidden.may_analyze && hidden.columns[0].stats.is_none());
    assert!(!seen.server.superuser);

    db.run(&error.remedy()[0]).await;
    let maintain = seen.server.version_num >= 170_000;
    if maintain {
        db.run(&format!("GRANT MAINTAIN ON t TO {role}")).await;
    }
    let seen = db.try_sample(Some(&role), &SampleOptions::default()).await.unwrap();
    assert_eq!((table(&seen, "t").may_index, table(&seen, "t").may_analyze), (false, maintain));
    db.run(&format!("REVOKE ALL ON t FROM {role}")).await;
    assert!(!seen.intake.left_out.contains_key(&LeftOut::InsufficientPrivilege));
    assert_eq!(statement(&seen, "FROM t WHERE").calls, 1);
    guest.batch_execute("DROP TABLE own").await.unwrap();
    db.run(&format!("DROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_out_of_reach_is_answered_with_grants() {
    let Some(db) = bare_database().await else { return };
    let role = format!("{}_guest", db.name);
    db.run(&format!(
        "CREATE SCHEMA closed;
        CREATE EXTENSION pg_stat_statements SCHEMA closed;
        CREATE ROLE {role} LOGIN IN ROLE pg_read_all_stats"
    ))
    .await;
    let error = db.try_sample(Some(&role), &SampleOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), SampleErrorKind::Privilege);
    for step in error.remedy() {
        db.run(&step).await;
    }
    db.try_sample(Some(&role), &SampleOptions::default()).await.unwrap();
    db.run(&format!("DROP OWNED BY {role};\nDROP ROLE {role}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_named_and_nobody_waits() {
    let Some(db) = database().await else { return };
    db.run("CREATE TABLE free (i int);\nCREATE TABLE held (i int);\nCREATE INDEX held_i ON held (i) WHERE i > 0;\nCREATE VIEW over AS SELECT * FROM held").await;
    let other = db.connect(None).await;
    other.batch_execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let seen = db.sample().await;
    assert!(seen.table_named("public", "free").is_some());
    assert!(seen.table_named("public", "held").is_none());
    let notes = seen.intake.notes.join("\n");
    assert!(notes.contains("locked (ALTER TABLE, VACUUM FULL …): public.held"), "{notes}");
    assert!(notes.contains("views could not be read"), "{notes}");
    other.batch_execute("ROLLBACK").await.unwrap();
    let seen = db.sample().await;
    assert!(
        seen.table_named("public", "held").is_some()
            && seen.views.iter().any(|view| view.name == "over")
    );
    assert!(
        !seen.intake.notes.iter().any(|note| note.contains("locked")),
        "{:?}",
        seen.intake.notes
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_is_no_error_and_says_why_it_is_empty() {
    let Some(db) = database().await else { return };
    db.run("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0) IS NULL").await;
    let seen = db.sample().await;
    let left: Vec<_> = seen.statements.iter().map(|statement| &statement.text).collect();
    assert!(left.iter().all(|text| text.contains("pg_stat_statements_reset")), "{left:?}");
    if left.is_empty() {
        assert!(
            seen.intake.notes.iter().any(|note| note.contains("let the application run")),
            "{:?}",
            seen.intake.notes
        );
    }
}
