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

/// `table (keys)` of what would be indexed, with the costs of the statements that it helps.
fn indexes(report: &Value) -> Vec<(String, Vec<(f64, f64)>)> {
    let cost = |help: &Value, name: &str| help[name].as_f64().unwrap();
    let actions = report["actions"].as_array().unwrap().iter();
    actions
        .map(|action| {
            let helps = action["helps"].as_array().unwrap().iter();
            let costs = helps.map(|h| (cost(h, "cost_before"), cost(h, "cost_after"))).collect();
            (format!("{} {}", action["table"], action["index"]["keys"]), costs)
        })
        .collect()
}

#[tokio::test]
async fn with_the_documented_grants_writes_are_planned_too_and_nothing_is_asked_for() {
    let Some(db) = database_with_hypopg().await else { return };
    let application = db.connect().await;
    run(&application, SHOP).await;
    let more = [
        "CREATE TABLE bills (id bigint PRIMARY KEY, order_id bigint, paid boolean)",
        "INSERT INTO bills SELECT g, g, g % 2 = 0 FROM generate_series(1, 200000) g",
        "SELECT pg_sleep(1.1)",
        "VACUUM ANALYZE bills",
    ];
    run(&application, &more).await;
    let (on, name) = role(&db, "reader", "IN ROLE pg_read_all_stats, pg_read_all_data").await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    let writes = "UPDATE orders SET note = $1 WHERE customer = $2;
        DELETE FROM bills b USING orders o WHERE b.order_id = o.id AND o.id = $1;
        INSERT INTO bills (id, order_id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET paid = $3;";
    std::fs::write(file.path(), writes).unwrap();
    let dry = |on: &str| -> Value {
        let args = ["optimize", "-d", on, "--workload", file.path().to_str().unwrap()];
        serde_json::from_str(&succeeds(&[&args[..], &["--format", "json"]].concat())).unwrap()
    };
    let (reader, owner) = (dry(&on), dry(&db.conninfo()));
    for statement in reader["statements"].as_array().unwrap() {
        assert_eq!(statement["unanalyzed"], Value::Null, "{statement}");
        assert_eq!(statement["planned_as"], "a SELECT of the same rows", "{statement}");
    }
    for statement in owner["statements"].as_array().unwrap() {
        assert_eq!(statement.get("planned_as"), None, "{statement}");
    }
    // The very same rows are looked for, at the very same cost.
    let found = indexes(&reader);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found, indexes(&owner));
    let notes = reader["run"]["notes"].to_string();
    assert!(notes.contains("for 3 statements that write or lock rows"), "{notes}");

    // Doctor finds nothing wrong with a dry run; what --apply lacks is told as that.
    for (more, code) in [(&[][..], 0), (&["--apply"], CONNECTION)] {
        let examined = cli(&[&["doctor", "-d", &on], more].concat());
        behaves(&examined);
        assert_eq!(examined.status, Some(code), "{examined:?}");
        let told = examined.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("Dry runs work. What is marked with apply"), "{told}");
        assert!(told.contains("the SELECT of the same rows is planned"), "{told}");
        // The tables belong to the superuser that the tests run as.
        assert!(!told.contains("GRANT postgres"), "{told}");
        assert!(told.contains("belong to a superuser (postgres)"), "{told}");
    }
    // Without the right to read there is a reason with the next step.
    db.sql(&format!("REVOKE pg_read_all_data FROM {name}; GRANT SELECT ON bills TO {name}")).await;
    let said = dry(&on)["statements"].to_string();
    assert!(said.contains("permission denied for table orders"), "{said}");
    assert!(said.contains("`pgwright doctor` lists the grants"), "{said}");
    remove(&db, &name).await;
}

#[tokio::test]
async fn the_risk_of_a_membership_in_the_owner_is_told_with_it() {
    let Some(db) = database().await else { return };
    let (on, name) = role(&db, "reader", "IN ROLE pg_read_all_stats, pg_read_all_data").await;
    let owner = format!("{}_shop", db.name());
    db.sql(&format!("CREATE ROLE {owner}; CREATE TABLE t (i int); ALTER TABLE t OWNER TO {owner}"))
        .await;
    let said = succeeds(&["doctor", "-d", &on]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("GRANT {owner} TO {name};")), "{said}");
    assert!(said.contains("may also change and drop the table"), "{said}");
    assert!(said.contains("--format sql"), "{said}");
    // A member that does not inherit has the grant already.
    let (grant, mend) = if db.major() >= 16 {
        (
            format!("GRANT {owner} TO {name} WITH INHERIT FALSE"),
            format!("GRANT {owner} TO {name} WITH INHERIT TRUE;"),
        )
    } else {
        (
            format!("ALTER ROLE {name} NOINHERIT; GRANT {owner} TO {name}"),
            format!("ALTER ROLE {name} INHERIT;"),
        )
    };
    db.sql(&grant).await;
    let told = |on: &str| {
        cli(&["doctor", "-d", on]).stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let said = told(&on);
    assert!(said.contains(&mend), "{said}");
    assert!(
        said.contains("is a member of") && !said.contains(&format!("GRANT {owner} TO {name};")),
        "{said}"
    );
    db.sql(&mend).await;
    let said = told(&on);
    assert!(!said.contains("GRANT {owner}") && !said.contains("is a member of"), "{said}");
    remove(&db, &name).await;
    remove(&db, &owner).await;
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
    let examined = cli(&["doctor", "--apply", "-d", &on]);
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
