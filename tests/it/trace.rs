//! The trace on stderr: what was asked of the server, how long it took, and never a value or a password.

use crate::harness::{cli_with, database_with_hypopg};

#[tokio::test]
async fn a_trace_tells_of_sampling_planning_and_pricing_and_of_no_value() {
    let Some(db) = database_with_hypopg().await else { return };
    // Every value that statistics could give has the word in it.
    db.sql(
        "CREATE TABLE people (id int PRIMARY KEY, town text);
        INSERT INTO people SELECT g, 'zanzibar ' || g % 5000 FROM generate_series(1, 100000) g;
        ANALYZE people",
    )
    .await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    let statements = "SELECT * FROM people WHERE town = $1;
        SELECT id FROM people WHERE town = 'zanzibar 7' ORDER BY id;
        SELECT * FROM people WHERE id = 'zanzibar';";
    std::fs::write(file.path(), statements).unwrap();
    let on = format!("{} password=c4nary", db.conninfo());
    let args =
        ["optimize", "-d", &on, "--what-if", "hypopg", "--workload", file.path().to_str().unwrap()];
    for (more, variables, plans) in [
        (&["-vv"][..], &[][..], false),
        (&["-vvv"], &[], true),
        (&[], &[("PGWRIGHT_LOG", "trace")], true),
    ] {
        let output = cli_with(&[&args[..], more].concat(), variables, "");
        assert_eq!(output.status, Some(0), "{output:?}");
        let trace = &output.stderr;
        for part in [
            "sample: agent::sampler: read about=\"the indexes\" rows=",
            "plan: agent::explain: prepared statement=",
            "agent::optimize::think: planned as things are statement=",
            "refused statement=",
            "price: agent::whatif::hypopg: hypothetical indexes made indexes=",
            " ms=",
        ] {
            assert!(trace.contains(part), "{part} is not in: {trace}");
        }
        assert_eq!(trace.contains("agent::explain: planned statement="), plans, "{trace}");
        for secret in ["zanzibar", "c4nary"] {
            assert!(!trace.contains(secret), "{secret} is in: {trace}");
        }
    }
    let quiet = cli_with(&args, &[], "");
    assert!(!quiet.stderr.contains("agent::"), "{}", quiet.stderr);
}
