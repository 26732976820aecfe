//! A journal that somebody laid out, so that their code runs in the name of whoever uses it.

use tokio::task::spawn_blocking;

use super::{Mark, ends, remove};
use crate::harness::{TestDatabase, cli, database};

/// What reads the journal, and what also writes to it.
const COMMANDS: &[&[&str]] = &[
    &["doctor"],
    &["optimize"],
    &["optimize", "--apply"],
    &["log"],
    &["log", "1"],
    &["log", "--unblock", "1"],
    &["rollback", "--all"],
    &["verify"],
    &["verify", "--dry-run"],
];

/// Runs every command; what they say, with their exit codes.
async fn all(db: &TestDatabase) -> Vec<(&'static [&'static str], Option<i32>, String)> {
    let on = db.conninfo();
    spawn_blocking(move || {
        let run = |args: &&'static [&'static str]| {
            let output = cli(&[*args, &["-d", &on]].concat());
            let said = [output.stdout, output.stderr].join(" ");
            (*args, output.status, said.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        COMMANDS.iter().map(run).collect()
    })
    .await
    .unwrap()
}

/// Every command that needs the journal refuses and names the cause; a dry run does without it.
async fn refused(db: &TestDatabase, mark: &Mark, cause: &str) {
    for (args, status, said) in all(db).await {
        assert!(!mark.taken(), "{args:?} ran code of others: {said}");
        let expected = match args {
            ["optimize"] => 0,
            ["doctor"] => 3,
            _ => 5,
        };
        assert_eq!(status, Some(expected), "{args:?}: {said}");
        assert!(said.contains(cause), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn nothing_lies_in_wait_in_the_journal() {
    let Some(db) = database().await else { return };
    let mark = Mark::new();
    let mallory = format!("{}_mallory", db.name());
    let on = db.conninfo();
    let path = mark.path().display().to_string();
    db.sql(&format!(
        "CREATE ROLE {mallory} LOGIN;
        CREATE FUNCTION public.leave() RETURNS int LANGUAGE plpgsql AS $body$
            BEGIN COPY (SELECT 1) TO PROGRAM 'cat > {path}'; RETURN 2; END $body$;
        CREATE FUNCTION public.leave_too() RETURNS trigger LANGUAGE plpgsql AS $body$
            BEGIN PERFORM public.leave(); RETURN NEW; END $body$;
        CREATE TABLE t (id int); INSERT INTO t VALUES (1)"
    ))
    .await;
    ends(&["verify", "-d", &on], 0);
    let own = |role: &str| {
        format!(
            "ALTER SCHEMA pgwright OWNER TO {role}; ALTER TABLE pgwright.\"Control\" OWNER TO {role};
            ALTER TABLE pgwright.\"OptimizationLog\" OWNER TO {role};
            ALTER TABLE pgwright.\"Observations\" OWNER TO {role}"
        )
    };
    let lain = "CREATE TRIGGER wait BEFORE INSERT OR UPDATE ON pgwright.\"Observations\"
        FOR EACH ROW EXECUTE FUNCTION public.leave_too()";

    // The attack works against whoever writes plainly.
    db.sql(&format!("{}; {lain}", own(&mallory))).await;
    let plain = "INSERT INTO pgwright.\"Observations\" (\"readAt\", \"subject\", \"subjectId\") VALUES (now(), 'server', 'x')";
    db.sql(plain).await;
    assert!(mark.taken());
    let untrusted = format!("belongs to role {mallory}");
    refused(&db, &mark, &untrusted).await;

    // Who owns the schema can put other tables into it, and who may make triggers need not own the table.
    db.sql(&format!("{}; ALTER SCHEMA pgwright OWNER TO {mallory}", own("CURRENT_USER"))).await;
    refused(&db, &mark, &untrusted).await;
    db.sql("ALTER SCHEMA pgwright OWNER TO CURRENT_USER").await;
    refused(&db, &mark, "\"Observations\" has the trigger wait").await;
    db.sql("DROP TRIGGER wait ON pgwright.\"Observations\"").await;
    db.sql("ALTER TABLE pgwright.\"Control\" ENABLE ROW LEVEL SECURITY").await;
    refused(&db, &mark, "\"Control\" has row security").await;
    db.sql("ALTER TABLE pgwright.\"Control\" DISABLE ROW LEVEL SECURITY").await;

    // A view that looks like the table is read like the table.
    db.sql(
        "ALTER TABLE pgwright.\"Control\" RENAME TO kept;
        CREATE VIEW pgwright.\"Control\" AS SELECT true AS single, public.leave() AS format, false AS paused,
            NULL::timestamptz AS \"pausedUntil\", NULL::text AS \"pausedBecause\"",
    )
    .await;
    refused(&db, &mark, "\"Control\" is no ordinary table").await;

    // Put right, it serves again; and its owner may use a journal of their own.
    db.sql("DROP VIEW pgwright.\"Control\"; ALTER TABLE pgwright.kept RENAME TO \"Control\"").await;
    for (args, status, said) in all(&db).await {
        let unknown = args.contains(&"1");
        assert_eq!(status, Some(if unknown { 2 } else { 0 }), "{args:?}: {said}");
    }
    db.sql(&own(&mallory)).await;
    ends(&["log", "-d", &format!("{on} user={mallory}")], 0);
    remove(&db, &mallory).await;
}
