//! Attacks by those whose statements are planned, tried on a real server. Each attack is first shown to work
//! against a plain EXPLAIN, so that the test knows what it keeps away.

mod grants;
mod journal;
mod secrets;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Output, TestDatabase, binaries, cli, cli_with, database};

/// Runs the program, which must end so.
#[track_caller]
pub(super) fn ends(args: &[&str], status: i32) -> Output {
    let output = cli(args);
    assert_eq!(output.status, Some(status), "{args:?}: {output:?}");
    output
}

/// The statements of a dry run with this workload: their texts, and why they have no plan.
fn planned(on: &str, workload: &str, more: &[&str]) -> Vec<(String, Option<String>)> {
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    std::fs::write(file.path(), workload).unwrap();
    let path = file.path().to_str().unwrap();
    let args = ["optimize", "-d", on, "--workload", path, "--format", "json", "--what-if", "none"];
    let output = ends(&[&args[..], more].concat(), 0);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let statements = report["statements"].as_array().unwrap().iter();
    statements.map(|one| (text(&one["text"]).unwrap(), text(&one["unanalyzed"]))).collect()
}

/// A mark that only a program of the server's operating system user can leave.
struct Mark(tempfile::TempDir);

impl Mark {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("mark").tempdir_in("/tmp").unwrap();
        // The server runs as another user.
        let open = std::process::Command::new("chmod").arg("777").arg(folder.path()).status();
        assert!(open.unwrap().success());
        Self(folder)
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("left")
    }

    /// Whether it was left since the last look.
    fn taken(&self) -> bool {
        std::fs::remove_file(self.path()).is_ok()
    }
}

/// Objects of a user who wants code to run in the name of whoever plans. Every one leads to `app.leave`, which
/// starts a program; only statements know which way.
fn traps(mark: &Path) -> String {
    let mark = mark.display();
    format!(
        "CREATE SCHEMA app;
        CREATE TABLE app.t (a int PRIMARY KEY, b text);
        INSERT INTO app.t SELECT g, g FROM generate_series(1, 1000) g;
        CREATE TABLE app.plain (a int PRIMARY KEY, b text);
        INSERT INTO app.plain SELECT g, g FROM generate_series(1, 1000) g;
        CREATE FUNCTION app.leave() RETURNS void VOLATILE LANGUAGE plpgsql AS
            $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''cat > {mark}'''; END $$;
        CREATE FUNCTION app.imm(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.leave(); RETURN 1; END $$;
        CREATE FUNCTION app.stab(int) RETURNS int STABLE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.leave(); RETURN 1; END $$;
        CREATE VIEW app.v AS SELECT * FROM app.t WHERE a = app.imm(5);
        CREATE VIEW app.over AS SELECT v.a FROM app.v;
        CREATE FUNCTION app.equal(int, int) RETURNS boolean STABLE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.leave(); RETURN true; END $$;
        CREATE OPERATOR app.=== (FUNCTION = app.equal, LEFTARG = int, RIGHTARG = int, RESTRICT = eqsel);
        CREATE TABLE app.filled (a int, b int DEFAULT app.imm(7));
        CREATE FUNCTION public.hidden(app.t) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.leave(); RETURN 1; END $$;
        CREATE TYPE app.kind AS ENUM ('x');
        CREATE FUNCTION app.number(app.kind) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.leave(); RETURN 1; END $$;
        CREATE CAST (app.kind AS int) WITH FUNCTION app.number(app.kind) AS IMPLICIT;
        CREATE TABLE app.indexed (a int PRIMARY KEY, b int);
        INSERT INTO app.indexed SELECT g, g FROM generate_series(1, 1000) g;
        CREATE INDEX ON app.indexed ((app.imm(9) + a));
        CREATE TABLE app.skewed (n int);
        INSERT INTO app.skewed SELECT 1 FROM generate_series(1, 1000);
        ANALYZE app.t; ANALYZE app.plain; ANALYZE app.skewed"
    )
}

/// One way to the trap each.
const ATTACKS: &[&str] = &[
    "SELECT * FROM app.t WHERE a = app.imm(5)",
    "SELECT * FROM app.t WHERE a = app.stab(5)",
    "SELECT * FROM app.v",
    "SELECT a FROM app.over",
    "SELECT * FROM app.skewed WHERE n OPERATOR(app.===) 5",
    "INSERT INTO app.filled (a) VALUES (1)",
    "SELECT (ROW(1, 'x')::app.t).hidden FROM app.t",
    "SELECT * FROM app.t WHERE a = 'x'::app.kind",
    "SELECT b FROM app.indexed WHERE a = 5",
];

#[tokio::test]
async fn no_code_of_users_runs_in_the_name_of_a_superuser() {
    let Some(db) = database().await else { return };
    let mark = Mark::new();
    db.sql(&traps(&mark.path())).await;
    mark.taken();
    for attack in ATTACKS {
        db.sql(&format!("BEGIN READ ONLY; EXPLAIN {attack}; ROLLBACK")).await;
        assert!(mark.taken(), "a plain EXPLAIN falls into the trap: {attack}");
    }
    let harmless = "SELECT * FROM app.plain WHERE b = 'x'";
    // The report shows statements without their literals.
    let shown = "SELECT * FROM app.plain WHERE b = $1";
    let workload = format!("{};\n{harmless};", ATTACKS.join(";\n"));
    let seen = planned(&db.conninfo(), &workload, &[]);
    assert_eq!(seen.len(), ATTACKS.len() + 1, "{seen:?}");
    for (text, refused) in &seen {
        match refused {
            None => assert_eq!(text, shown),
            Some(why) => assert!(
                why.contains("code of a user's") && why.contains("--explain-as"),
                "{text}: {why}"
            ),
        }
    }
    assert!(seen.iter().any(|(text, refused)| text == shown && refused.is_none()), "{seen:?}");
    assert!(!mark.taken(), "a program was started");
    // Nor does what is read for a planner twin run any of it, and on the twin nobody is a superuser.
    let folder = tempfile::tempdir().unwrap();
    let (file, snapshot) = (folder.path().join("w.sql"), folder.path().join("s.pgwright"));
    std::fs::write(&file, &workload).unwrap();
    let (file, snapshot) = (file.to_str().unwrap(), snapshot.to_str().unwrap());
    let bin = binaries().unwrap().bin.display().to_string();
    let (on, variables) = (db.conninfo(), [("PGWRIGHT_PG_BIN", bin.as_str())]);
    for args in [
        &["optimize", "--workload", file, "--what-if", "twin"][..],
        &["snapshot", "--workload", file, "-o", snapshot],
    ] {
        let output = cli_with(&[args, &["-d", &on]].concat(), &variables, "");
        assert_eq!(output.status, Some(0), "{output:?}");
        assert!(!mark.taken(), "{args:?} started a program");
    }
    let told = ends(&["doctor", "-d", &db.conninfo()], 0).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("planning statements: postgres, a superuser, asks for plans"), "{told}");
}

/// A login that may read these tables and nothing else.
async fn reader(db: &TestDatabase, name: &str) -> String {
    let role = format!("{}_{name}", db.name());
    db.sql(&format!("CREATE ROLE {role} LOGIN IN ROLE pg_read_all_data")).await;
    role
}

async fn remove(db: &TestDatabase, role: &str) {
    db.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_login_of_its_own_plans_what_a_superuser_must_not() {
    let Some(db) = database().await else { return };
    let mark = Mark::new();
    db.sql(&traps(&mark.path())).await;
    mark.taken();
    db.sql(
        "CREATE FUNCTION app.one() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
        CREATE VIEW app.first AS SELECT * FROM app.plain WHERE a = app.one()",
    )
    .await;
    let (planner, on) = (reader(&db, "planner").await, db.conninfo());
    let useful = "SELECT * FROM app.first WHERE b = 'x'";
    let workload = format!("{};\n{useful};", ATTACKS.join(";\n"));
    let superuser = planned(&on, useful, &[]);
    assert!(superuser[0].1.as_ref().unwrap().contains("view app.first"), "{superuser:?}");
    let seen = planned(&on, &workload, &["--explain-as", &planner]);
    let shown = "SELECT * FROM app.first WHERE b = $1";
    assert!(seen.iter().any(|(text, refused)| text == shown && refused.is_none()), "{seen:?}");
    assert!(!mark.taken(), "an ordinary role starts no program");
    // What cannot be done under that login is told with the server's words.
    let why = seen.iter().find_map(|(text, why)| text.contains("app.imm").then_some(why)).unwrap();
    assert!(why.as_ref().unwrap().contains("42501"), "{why:?}");
    let told = ends(&["doctor", "-d", &on, "--explain-as", &planner], 0).stdout;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(&format!("{planner} asks for plans and may change nothing")), "{told}");
    // A member of the roles that reach the system counts as one who may do too much, whoever it can become.
    db.sql(&format!("GRANT pg_execute_server_program TO {planner}")).await;
    let seen = planned(&on, useful, &["--explain-as", &planner]);
    let why = seen[0].1.as_ref().unwrap();
    assert!(why.contains("a member of pg_execute_server_program"), "{why}");
    let elsewhere = format!("{on} dbname=postgres");
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    std::fs::write(file.path(), useful).unwrap();
    let workload = file.path().to_str().unwrap();
    let args = ["optimize", "-d", &on, "--workload", workload, "--explain-as", &elsewhere];
    let output = ends(&[&args[..], &["--what-if", "none"]].concat(), 2);
    assert!(output.stderr.contains("leads to another database"), "{}", output.stderr);
    remove(&db, &planner).await;
}

#[tokio::test]
async fn what_planning_does_to_its_session_reaches_no_other_statement_and_no_change() {
    let Some(db) = database().await else { return };
    let key = "-49617478, (SELECT oid::int FROM pg_database WHERE datname = current_database())";
    db.sql(&format!(
        "CREATE SCHEMA app;
        CREATE TABLE app.t (a int PRIMARY KEY, b int);
        INSERT INTO app.t SELECT g, g FROM generate_series(1, 1000) g;
        ANALYZE app.t;
        -- Takes the lock of the only run, turns every limit off, and looks for objects elsewhere.
        CREATE FUNCTION app.grab() RETURNS void VOLATILE LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_lock({key});
            PERFORM set_config('search_path', 'evil', false), set_config('statement_timeout', '0', false),
                set_config('lock_timeout', '0', false);
            BEGIN PERFORM set_config('transaction_read_only', 'off', false); EXCEPTION WHEN others THEN NULL; END;
            INSERT INTO app.t VALUES (-1, -1);
        EXCEPTION WHEN read_only_sql_transaction THEN NULL; END $$;
        CREATE FUNCTION app.imm(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.grab(); RETURN 1; END $$;
        CREATE FUNCTION app.quit(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN 1; END $$;
        CREATE FUNCTION app.stay(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
            LOOP BEGIN PERFORM pg_sleep(0.1); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
        END $$"
    ))
    .await;
    let planner = reader(&db, "planner").await;
    db.sql(&format!("GRANT INSERT ON app.t TO {planner}")).await;
    let workload = "SELECT * FROM app.t WHERE a = app.imm(5);
        SELECT * FROM app.t WHERE a = app.quit(5);
        SELECT * FROM app.t WHERE a = app.stay(5);
        SELECT b FROM app.t WHERE b = 5;";
    let since = Instant::now();
    let seen = planned(&db.conninfo(), workload, &["--explain-as", &planner]);
    assert!(since.elapsed() < Duration::from_mins(1), "{:?}", since.elapsed());
    let why = |word: &str| {
        let found = seen.iter().find(|(text, _)| text.contains(word));
        found.unwrap_or_else(|| panic!("{word} in {seen:?}")).1.clone()
    };
    assert_eq!(why("SELECT b"), None, "planned beside all of these");
    assert!(why("quit").unwrap().contains("ended the session"), "{seen:?}");
    assert!(why("stay").unwrap().contains("did not stop at its time limit"), "{seen:?}");
    assert_eq!(db.value("SELECT count(*) FROM app.t").await, "1000", "nothing was written");
    // The server is told that nobody waits any more.
    let still = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%app.stay%' AND pid <> pg_backend_pid() \
                 AND state = 'active' AND datname = current_database()";
    while db.value(still).await != "0" {
        assert!(since.elapsed() < Duration::from_mins(2), "the session goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nobody holds the lock that was taken: a run that changes something finds it free.
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    std::fs::write(file.path(), "SELECT * FROM app.t WHERE a = app.imm(5);").unwrap();
    let (on, workload) = (db.conninfo(), file.path().to_str().unwrap());
    let args = ["optimize", "--apply", "-d", &on, "--workload", workload, "--what-if", "none"];
    ends(&[&args[..], &["--explain-as", &planner, "--lock-wait", "0s"]].concat(), 0);
    remove(&db, &planner).await;
}

#[tokio::test]
async fn neither_search_paths_nor_forged_views_lead_our_own_queries_astray() {
    let Some(db) = database().await else { return };
    let mark = Mark::new();
    db.sql(&traps(&mark.path())).await;
    let lay = format!(
        "CREATE FUNCTION app.lower(name) RETURNS text VOLATILE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.leave(); RETURN 'x'; END $$;
        CREATE FUNCTION app.count(\"char\") RETURNS bigint VOLATILE LANGUAGE plpgsql AS
            $$ BEGIN PERFORM app.leave(); RETURN 1; END $$;
        CREATE VIEW app.pg_stat_statements AS SELECT app.imm(1) AS queryid, 'SELECT 1 FROM app.t' AS query;
        CREATE VIEW app.pg_class AS SELECT app.imm(1) AS oid;
        ALTER DATABASE {0} SET search_path = app, pg_temp, pg_catalog;
        ALTER DATABASE {0} SET standard_conforming_strings = off",
        db.name()
    );
    for statement in lay.split(";\n        ") {
        db.sql(statement).await;
    }
    // The extension's view is found by the extension, whatever stands in front of it.
    db.sql("SELECT count(*) FROM app.plain WHERE b = 'y'").await;
    mark.taken();
    let on = db.conninfo();
    let output = ends(&["optimize", "-v", "-d", &on, "--what-if", "none"], 0);
    assert!(output.stdout.contains("app.plain WHERE b"), "{}", output.stdout);
    // With the database's setting the server would end the first string early, and call the function in it.
    let hidden = "SELECT a FROM app.t WHERE b = '\\' OR a = app.imm(5) OR b = '\\'";
    let seen = planned(&on, hidden, &[]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    ends(&["doctor", "-d", &on], 0);
    assert!(!mark.taken(), "code of a user's ran");
}

#[tokio::test]
async fn a_text_that_would_turn_explain_into_execution_is_never_sent() {
    let Some(db) = database().await else { return };
    db.sql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100); ANALYZE t")
        .await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    let (on, path) = (db.conninfo(), file.path().to_str().unwrap().to_owned());
    for text in [
        "ANALYZE DELETE FROM t",
        "(ANALYZE) DELETE FROM t",
        "(ANALYZE, FORMAT JSON) DELETE FROM t",
        "ANALYZE t",
        "SELECT * INTO made FROM t",
        "SELECT 1 FROM t; DELETE FROM t",
        "WITH gone AS (DELETE FROM t RETURNING a) SELECT * FROM gone",
        "SELECT 1 FROM t /* \u{0} */",
        "SELECT a FROM t WHERE a = 1 -- \r; DELETE FROM t",
    ] {
        std::fs::write(file.path(), format!("{text};\nSELECT a FROM t WHERE a = 1;\n")).unwrap();
        let args = ["optimize", "-d", &on, "--workload", &path, "--what-if", "none"];
        let output = cli(&args);
        assert!(matches!(output.status, Some(0 | 2)), "{text}: {output:?}");
        assert_eq!(db.value("SELECT count(*) FROM t").await, "100", "{text}");
        assert_eq!(db.value("SELECT to_regclass('made') IS NULL").await, "t", "{text}");
    }
}

#[tokio::test]
async fn whoever_sits_on_the_lock_is_named_and_waited_for_as_long_as_told() {
    let Some(db) = database().await else { return };
    db.sql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    db.sql("SELECT a FROM t WHERE a = 1").await;
    let squatter = db.connect().await;
    let lock = "SELECT pg_advisory_lock(-49617478, oid::int) FROM pg_database WHERE datname = current_database()";
    squatter.simple_query(lock).await.unwrap();
    let on = db.conninfo();
    let since = Instant::now();
    let output =
        ends(&["optimize", "--apply", "-d", &on, "--lock-wait", "2s", "--what-if", "none"], 5);
    let waited = since.elapsed();
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    let told = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("another run of pgwright is at work") && told.contains("user postgres"),
        "{told}"
    );
    let end = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(squatter);
    });
    let waits = tokio::task::spawn_blocking(move || {
        cli(&["optimize", "--apply", "-d", &on, "--lock-wait", "5min", "--what-if", "none"])
    });
    let output = waits.await.unwrap();
    assert_eq!(output.status, Some(0), "{output:?}");
    end.await.unwrap();
}
