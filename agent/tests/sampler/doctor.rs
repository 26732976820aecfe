//! What `pgwright doctor` finds, and that its statements mend it.

use agent::doctor::{Check, State, examine};

use crate::harness::{Database, bare_database, database};

async fn checks(db: &Database<'_>, role: Option<&str>) -> Vec<Check> {
    let session = db.session(role).await;
    let checks = examine(&session).await.unwrap();
    session.close().await;
    checks
}

fn of<'c>(checks: &'c [Check], aspect: &str) -> &'c Check {
    checks
        .iter()
        .find(|check| check.aspect.starts_with(aspect))
        .unwrap_or_else(|| panic!("no check of {aspect}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_on_a_good_server_has_nothing_to_do() {
    let Some(db) = database().await else { return };
    db.apart("CREATE TABLE t (i int); INSERT INTO t VALUES (1); ANALYZE t").await;
    let checks = checks(&db, None).await;
    for check in &checks {
        // HypoPG may not be there for this version, and the test server has no autovacuum.
        let expected = ["HypoPG", "counters"].contains(&check.aspect) || check.state == State::Ok;
        assert!(expected, "{check:?}");
        assert_eq!(check.state == State::Ok, check.remedy.is_empty(), "{check:?}");
    }
    assert!(of(&checks, "counters").finding.contains("autovacuum is off"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_lacks_is_mended_by_the_statements_given() {
    let Some(db) = bare_database().await else { return };
    let (owner, guest) = (format!("{}_owner", db.name), format!("{}_guest", db.name));
    db.run(&format!(
        "CREATE ROLE {owner};
        CREATE ROLE {guest} LOGIN;
        CREATE SCHEMA app AUTHORIZATION {owner};
        CREATE TABLE app.t (i int);
        ALTER TABLE app.t OWNER TO {owner};
        CREATE INDEX broken ON app.t (i);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.broken'::regclass"
    ))
    .await;
    // A session's counters are sure to be there when it has ended.
    db.apart("INSERT INTO app.t SELECT generate_series(1, 10)").await;
    let before = checks(&db, Some(&guest)).await;
    for aspect in ["pg_stat_statements", "reading tables"] {
        assert_eq!(of(&before, aspect).state, State::Fail, "{aspect}");
    }
    for aspect in ["journal", "ownership"] {
        assert_eq!(of(&before, aspect).state, State::Apply, "{aspect}");
    }
    for aspect in ["statement texts", "statistics", "invalid"] {
        assert_eq!(of(&before, aspect).state, State::Warn, "{aspect}");
    }
    for check in
        before.iter().filter(|check| check.state != State::Ok && check.aspect != "counters")
    {
        for step in check.remedy.iter().filter(|step| {
            step.ends_with(';') && !step.starts_with("or") && !step.contains("hypopg")
        }) {
            db.run(step).await;
        }
    }
    db.settle().await;
    let after = checks(&db, Some(&guest)).await;
    for check in after.iter().filter(|check| !["HypoPG", "counters"].contains(&check.aspect)) {
        assert_eq!(check.state, State::Ok, "{check:?}");
    }
    db.run(&format!(
        "DROP OWNED BY {owner}, {guest} CASCADE;\nDROP ROLE {guest};\nDROP ROLE {owner}"
    ))
    .await;
}
