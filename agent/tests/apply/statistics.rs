//! Extended statistics: made, filled, felt by the planner, found again after a crash, and taken back.

use agent::applier::Effect;
use agent::journal::{State, Which};
use rules::change_plan::Action;

use crate::harness::{Database, database, databases, name_of, reason, statistics_of};

/// Streets that depend on their towns: the planner expects a hundredth of the rows.
const TOWNS: &str = "CREATE TABLE app.\"Addr ess\" (id int PRIMARY KEY, \"Town\" int, street int);
    INSERT INTO app.\"Addr ess\" SELECT n, n % 100, n % 100 FROM generate_series(1, 20000) n;
    ANALYZE app.\"Addr ess\"";

async fn towns() -> Option<(Database, Action)> {
    let db = database().await?;
    db.sql.batch(TOWNS).await.unwrap();
    let action = of_towns(&db).await;
    Some((db, action))
}

async fn of_towns(db: &Database) -> Action {
    statistics_of(db.table("app", "Addr ess").await, &["Town", "street"])
}

/// Rows that the planner expects of a town and its street, of which there are 200.
async fn expected(db: &Database) -> f64 {
    let sql =
        "EXPLAIN (FORMAT JSON) SELECT FROM app.\"Addr ess\" WHERE \"Town\" = 7 AND street = 7";
    let plan: serde_json::Value = db.sql.query_one(sql, &[]).await.unwrap().get(0);
    plan[0]["Plan"]["Plan Rows"].as_f64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_planner_knows_better_until_they_are_taken_back() {
    for db in databases().await {
        db.sql.batch(TOWNS).await.unwrap();
        let action = of_towns(&db).await;
        let before = db.dump().await;
        assert!(expected(&db).await < 20.0);
        let effect = db.apply_one(&action).await;
        assert!(matches!(effect, Effect::Applied { index_oid: Some(_), .. }), "{effect:?}");
        assert!((150.0..250.0).contains(&expected(&db).await), "{}", expected(&db).await);
        let entry = db.log().await.remove(0);
        let told = (entry.state, entry.kind.as_str(), entry.attempts);
        assert_eq!(told, (State::Observing, "create_statistics", 2));
        assert_eq!(entry.index_name, Some(name_of(&action)));
        assert!(entry.definition.unwrap().contains("ON \"Town\", street FROM app.\"Addr ess\""));
        assert!(entry.statement.ends_with(";\nANALYZE app.\"Addr ess\""), "{}", entry.statement);
        assert!(entry.undo.starts_with("DROP STATISTICS app.pgw_addr_ess_town_street_"));
        let again = db.apply_one(&action).await;
        assert!(matches!(again, Effect::AlreadyThere { .. }), "{again:?}");

        let undone = db.rollback(Which::All).await.unwrap();
        assert_eq!(undone[0].effect, Effect::Reverted { note: None });
        assert!(expected(&db).await < 20.0);
        assert_eq!(db.dump().await, before);
        let entry = db.log().await.remove(0);
        assert_eq!(entry.state, State::Reverted);
        assert!(entry.blocked_until.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_left_is_found_and_filled() {
    let Some((db, action)) = towns().await else { return };
    db.apply_one(&action).await;
    let name = name_of(&action);
    for state in ["applying", "verifying"] {
        // The server had made them, and nobody came to hear of it, nor to analyze.
        let half = format!(
            "DROP STATISTICS app.{name}; CREATE STATISTICS app.{name} ON \"Town\", street FROM app.\"Addr ess\"; \
             UPDATE pgwright.\"OptimizationLog\" SET \"state\" = '{state}', \"indexOid\" = NULL, \"definition\" = NULL"
        );
        db.sql.batch(&half).await.unwrap();
        assert!(expected(&db).await < 20.0);
        db.apply(&[]).await.unwrap();
        let entry = db.log().await.remove(0);
        assert_eq!(entry.state, State::Observing);
        assert!(entry.definition.is_some() && entry.index_oid.is_some());
        assert!(expected(&db).await > 150.0);
    }
    let gone = format!(
        "DROP STATISTICS app.{name}; UPDATE pgwright.\"OptimizationLog\" SET \"state\" = 'applying'"
    );
    db.sql.batch(&gone).await.unwrap();
    db.apply(&[]).await.unwrap();
    assert_eq!(db.states().await, [State::Aborted]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_or_changed_is_left_alone() {
    let Some((db, action)) = towns().await else { return };
    let name = name_of(&action);
    db.sql
        .batch("CREATE STATISTICS app.same ON street, \"Town\" FROM app.\"Addr ess\"")
        .await
        .unwrap();
    let there = db.apply_one(&action).await;
    assert!(
        matches!(&there, Effect::AlreadyThere { what } if what.contains("app.same")),
        "{there:?}"
    );
    db.sql.batch("DROP STATISTICS app.same").await.unwrap();
    assert!(matches!(db.apply_one(&action).await, Effect::Applied { .. }));
    let change = format!("COMMENT ON STATISTICS app.{name} IS 'ours now'");
    db.sql.batch(&change).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(reason(&undone[0].effect).contains("meanwhile has a comment"));
    let other = format!(
        "DROP STATISTICS app.{name}; CREATE STATISTICS app.{name} (mcv) ON \"Town\", id FROM app.\"Addr ess\""
    );
    db.sql.batch(&other).await.unwrap();
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(reason(&undone[0].effect).contains("no longer what pgwright made"));
    assert!(reason(&db.apply_one(&action).await).contains("is taken by other statistics"));
    db.sql.batch(&format!("DROP STATISTICS app.{name}")).await.unwrap();
    assert!(reason(&db.apply_one(&action).await).contains("removed by somebody"));
    let undone = db.rollback(Which::All).await.unwrap();
    assert!(
        matches!(&undone[0].effect, Effect::Reverted { note: Some(note) } if note.contains("removed already"))
    );
    // Statistics of ours without a journal show that it was lost.
    agent::journal::unblock(&db.sql, 1).await.unwrap();
    db.apply_one(&action).await;
    db.sql.batch("DROP SCHEMA pgwright CASCADE").await.unwrap();
    let lost = db.apply(&[action]).await.unwrap_err().to_string();
    assert!(lost.contains(&name), "{lost}");
}
