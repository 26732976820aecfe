//! Statements whose cost hangs on their values, and those that the server goes on with a plan that fits all values:
//! what the report says against what the server does.

use serde_json::Value;

use crate::harness::{cli, database};

/// Nine tenths of the rows are of one owner, the others of 500.
const SCHEMA: &str = "
CREATE TABLE job (id int PRIMARY KEY, owner int NOT NULL, note text NOT NULL);
INSERT INTO job SELECT n, CASE WHEN n % 10 < 9 THEN 0 ELSE 1 + n % 5000 END, repeat('x', 60)
FROM generate_series(1, 100000) AS n;
CREATE INDEX job_owner ON job (owner);
VACUUM ANALYZE job";

const WORKLOAD: &str = "
SELECT * FROM job WHERE owner = $1;
SELECT * FROM job WHERE id = $1;";

/// Runs of a prepared statement after which the server chooses (`choose_custom_plan`, plancache.c).
const CUSTOM: usize = 5;

#[tokio::test]
async fn skew_and_the_generic_plan_are_told_as_they_are() {
    let Some(db) = database().await else { return };
    for statement in SCHEMA.split(';') {
        db.sql(statement).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workload.sql");
    std::fs::write(&path, WORKLOAD).unwrap();
    let (on, workload) = (db.conninfo(), path.display().to_string());
    let output = cli(&["optimize", "-d", &on, "--workload", &workload, "--format", "json"]);
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let statements = report["statements"].as_array().unwrap();
    let about = |column: &str| {
        let text = |one: &&Value| one["text"].as_str().unwrap_or_default().contains(column);
        statements.iter().find(text).unwrap_or_else(|| panic!("{column} in {report}"))
    };
    let owner = about("owner =");
    assert!(owner["skew"]["factor"].as_f64().unwrap() > 10.0, "{owner}");
    assert_eq!(owner["skew"]["parameters"][0], "$1 (owner)");
    let generic = owner["generic"].as_f64().expect("a generic plan that is taken");
    let id = about("id =");
    assert!(id["skew"].is_null() && id["generic"].is_null(), "{id}");

    db.sql("PREPARE job_of (int) AS SELECT * FROM job WHERE owner = $1").await;
    let explain = async || -> Value {
        let explained = db.value("EXPLAIN (FORMAT JSON) EXECUTE job_of (0)").await;
        serde_json::from_str::<Value>(&explained).unwrap()[0]["Plan"].take()
    };
    // Explaining counts as running.
    for _ in 0..CUSTOM {
        assert_eq!(explain().await["Node Type"], "Seq Scan");
    }
    let taken = explain().await;
    assert_ne!(taken["Node Type"], "Seq Scan", "the plan for all values: {taken}");
    assert!((taken["Total Cost"].as_f64().unwrap() - generic).abs() < 0.01, "{taken} {generic}");
}
