//! Roles that may not see, or may not do, what is needed.

use serde_json::Value;

use super::{CONNECTION, SHOP, STATE, behaves, cli, client, fails_unchanged, run, succeeds};
use crate::harness::{TestDatabase, database, database_with_hypopg};

/// A new role that may log in, and how it connects.
async fn role(db: &TestDatabase, name: &str, more: &str) -> (String, String) {
    let role = format!("{}_{name}", db.name());
    db.sql(&format!("CREATE ROLE {role} LOGIN {more}")).await;
    (format!("{} user={role}", db.conninfo()), role)
}

async fn remove(db: &TestDatabase, role: &str) {
    db.sql(&format!("DROP OWNED BY {role} CASCADE")).await;
    db.sql(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_role_that_sees_nothing_learns_what_it_needs() {
    let Some(db) = database().await else { return };
    run(&db.connect().await, SHOP).await;
    let (on, name) = role(&db, "guest", "").await;
    let grant = format!("GRANT pg_read_all_stats TO {name};");
    for more in [&[][..], &["--apply"]] {
        let args = [&["optimize", "-d", &on], more].concat();
        let words = ["statements are hidden from the role", &grant, "superuser"];
        fails_unchanged(&db, &args, CONNECTION, &words).await;
    }
    db.sql("REVOKE ALL ON pg_stat_statements FROM PUBLIC").await;
    let words =
        ["may not read public.pg_stat_statements", "GRANT SELECT ON public.pg_stat_statements"];
    fails_unchanged(&db, &["optimize", "-d", &on], CONNECTION, &words).await;
    remove(&db, &name).await;
}

#[tokio::test]
async fn texts_of_others_that_are_hidden_are_counted() {
    let Some(db) = database_with_hypopg().await else { return };
    run(&db.connect().await, SHOP).await;
    let (on, name) = role(&db, "clerk", "").await;
    db.sql(&format!("GRANT SELECT ON orders TO {name}")).await;
    let clerk = client(&on).await;
    for customer in 0..60 {
        run(&clerk, &[&format!("SELECT * FROM orders WHERE customer = {customer}")]).await;
    }
    let before = db.value(STATE).await;
    let report: Value =
        serde_json::from_str(&succeeds(&["optimize", "-d", &on, "--format", "json"])).unwrap();
    let hidden = "hidden from this role (needs pg_read_all_stats)";
    assert!(report["run"]["left_out"][hidden].as_u64().unwrap() >= 3, "{}", report["run"]);
    let notes = report["run"]["notes"].to_string();
    assert!(notes.contains(&format!("GRANT pg_read_all_stats TO {name};")), "{notes}");
    // It may not index what it does not own: then a person has to.
    let actions = report["actions"].as_array().unwrap();
    assert!(
        !actions.is_empty() && actions.iter().all(|action| action["reach"] == "advise"),
        "{actions:?}"
    );
    let said = succeeds(&["optimize", "--apply", "-d", &on]);
    assert!(
        said.contains("Nothing was changed") && said.contains("needs the rights of postgres"),
        "{said}"
    );
    assert_eq!(db.value(STATE).await, before);
    drop(clerk);
    remove(&db, &name).await;
}

#[tokio::test]
async fn an_owner_who_may_not_make_a_schema_learns_what_it_needs() {
    let Some(db) = database_with_hypopg().await else { return };
    run(&db.connect().await, SHOP).await;
    let (on, name) = role(&db, "owner", "").await;
    db.sql(&format!("ALTER TABLE orders OWNER TO {name}; GRANT CREATE ON SCHEMA public TO {name}"))
        .await;
    db.sql("VACUUM ANALYZE orders").await;
    let owner = client(&on).await;
    for customer in 0..60 {
        run(&owner, &[&format!("SELECT * FROM orders WHERE customer = {customer}")]).await;
    }
    let words = ["permission denied for database", "pgwright doctor"];
    fails_unchanged(&db, &["optimize", "--apply", "-d", &on], CONNECTION, &words).await;
    let examined = cli(&["doctor", "-d", &on]);
    behaves(&examined);
    assert_eq!(examined.status, Some(CONNECTION), "{examined:?}");
    let grant = format!("GRANT CREATE ON DATABASE {} TO {name};", db.name());
    assert!(examined.stdout.contains(&grant), "{}", examined.stdout);
    // With what doctor says it works.
    db.sql(&grant).await;
    let said = succeeds(&["optimize", "--apply", "-d", &on]);
    assert!(said.contains("Carried out 1 of 1 action"), "{said}");
    drop(owner);
    remove(&db, &name).await;
}
