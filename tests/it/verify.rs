//! What was applied is judged by what the server counts: harm and waste are taken back, help is kept.
//!
//! A window lasts as long as a round of statements here. Verdicts rest on blocks and on times far apart, so that a busy
//! machine changes none.

use std::sync::Arc;

use agent::applier::{ApplyOptions, Effect, apply};
use agent::conninfo::ConnInfo;
use agent::postgres::Meter;
use agent::watch::{self, VerifyOptions};
use chrono::TimeDelta;
use rules::change_plan::{
    Action, ChangePlan, Help, Impact, Operation, TableRef, action_key, index_name, statistics_name,
};
use rules::evidence::Confidence;
use rules::index::{IndexDefinition, Key};
use rules::reach::Reach;
use rules::statement::fingerprint;
use rules::statistics::{StatisticsDefinition, StatisticsKind};
use rules::watch::Limits;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{Output, TestDatabase, cli, database};

/// Windows before and after an action: the 24 that a verdict of harmlessness takes, and some more, for a window in
/// which statements were thrown away is discarded, and other tests fill the same list.
pub(crate) const WINDOWS: usize = 30;

/// Three statements that have nothing to do with any table, each with work of so many rows.
pub(crate) fn others(work: u32) -> Vec<String> {
    ["count(*)", "max(n)", "sum(n)"]
        .map(|what| format!("SELECT {what} FROM generate_series(1, {work}) AS n"))
        .to_vec()
}

/// Runs each statement six times.
pub(crate) async fn play(db: &TestDatabase, statements: &[String]) {
    let round = statements.join("; ");
    for _ in 0..6 {
        db.sql(&round).await;
    }
    flush(db).await;
}

/// One window: each statement six times, and the counters read.
pub(crate) async fn window(db: &TestDatabase, statements: &[String]) {
    play(db, statements).await;
    look(db).await;
}

/// Has the session report what it counted of tables and indexes.
pub(crate) async fn flush(db: &TestDatabase) {
    let flush = if db.major() >= 15 { "pg_stat_force_next_flush()" } else { "pg_sleep(1.1)" };
    db.sql(&format!("SELECT {flush}")).await;
}

pub(crate) fn info(db: &TestDatabase) -> ConnInfo {
    ConnInfo::resolve(Some(&db.conninfo()), &|_| None).unwrap()
}

/// Reads the counters as `pgwright verify --every 0s` does; no action is watched yet, or none is due.
async fn look(db: &TestDatabase) {
    let options = VerifyOptions {
        window: TimeDelta::zero(),
        limits: Limits { at_least: TimeDelta::days(1), ..Limits::default() },
        dry_run: false,
    };
    let meter = Meter::new();
    let apply = ApplyOptions::default();
    let verified = watch::verify(&info(db), &meter, &options, &apply, &mut |_| {}).await.unwrap();
    assert!(verified.recorded);
}

/// An index on one table that is meant for one statement, whatever pgwright itself would say of it.
pub(crate) async fn index(db: &TestDatabase, table: &str, columns: &[&str], meant: &str) -> Action {
    let oid = db.value(&format!("SELECT '{table}'::regclass::oid")).await.parse().unwrap();
    let table = TableRef { oid, schema: "public".into(), name: table.into() };
    let definition = IndexDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        method: "btree".into(),
        keys: columns.iter().map(|column| Key::column(column)).collect(),
        include: Vec::new(),
        predicate: None,
    };
    let key = action_key(&table, &definition.canonical());
    let name = index_name(&definition, &key);
    meant_for(meant, key, table, Operation::CreateIndex { name, definition, parts: Vec::new() })
}

/// Statistics of columns of one table together, meant for one statement.
pub(crate) async fn statistics(
    db: &TestDatabase,
    table: &str,
    columns: &[&str],
    meant: &str,
) -> Action {
    let oid = db.value(&format!("SELECT '{table}'::regclass::oid")).await.parse().unwrap();
    let table = TableRef { oid, schema: "public".into(), name: table.into() };
    let definition = StatisticsDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        kinds: [StatisticsKind::Dependencies].into(),
    };
    let key = action_key(&table, &definition.canonical());
    let name = statistics_name(&definition, &key);
    meant_for(meant, key, table, Operation::CreateStatistics { name, definition })
}

fn meant_for(meant: &str, key: String, table: TableRef, operation: Operation) -> Action {
    let help = Help {
        statement: fingerprint(meant).unwrap(),
        cost_before: 100.0,
        cost_after: 1.0,
        plan_before: String::new(),
        plan_after: String::new(),
    };
    Action {
        key,
        rule: "by_hand".into(),
        table,
        operation,
        reach: Reach::Act,
        confidence: Confidence { value: 0.95, terms: Vec::new() },
        impact: Impact { ms_per_day: Some(1000.0), bytes: None, write_ms_per_day: 0.0 },
        helps: vec![help],
        by_hand: None,
    }
}

/// Carries it out as `optimize --apply` does, and returns the name of what it made.
pub(crate) async fn carry_out(db: &TestDatabase, action: Action) -> String {
    let (info, meter) = (info(db), Meter::new());
    let name = action.operation.object().unwrap().to_owned();
    let plan = ChangePlan { made_from: "test".into(), min_confidence: 0.9, actions: vec![action] };
    let before = watch::before(&info, &meter).await.unwrap();
    let options = ApplyOptions::default();
    let meter: Arc<Meter> = meter;
    let outcomes =
        apply(&info, &meter, &plan, Uuid::new_v4(), &options, &mut |_| {}).await.unwrap();
    assert!(matches!(outcomes[0].effect, Effect::Applied { .. }), "{outcomes:?}");
    watch::after(&info, &meter, &before).await.unwrap();
    name
}

pub(crate) async fn run(db: &TestDatabase, args: &[&str]) -> Output {
    let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    args.extend(["-d".to_owned(), db.conninfo()]);
    let ran = tokio::task::spawn_blocking(move || {
        cli(&args.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let output = ran.await.unwrap();
    assert_eq!(output.status, Some(0), "{output:?}");
    output
}

/// What `pgwright verify` says of the only watched action once it has been watched long enough.
pub(crate) async fn verdict(db: &TestDatabase) -> Value {
    let args = ["verify", "--every", "0s", "--at-least", "0s", "--format", "json"];
    let verified: Value = serde_json::from_str(&run(db, &args).await.stdout).unwrap();
    assert_eq!(verified["actions"].as_array().unwrap().len(), 1, "{verified:#}");
    verified["actions"][0].clone()
}

pub(crate) async fn is_there(db: &TestDatabase, index: &str) -> bool {
    db.value(&format!("SELECT to_regclass('public.{index}') IS NOT NULL")).await == "t"
}

/// The one row of the journal: state, verdict, and days that it is blocked.
pub(crate) async fn row(db: &TestDatabase) -> (String, String, String) {
    let sql = "SELECT concat_ws(' ', \"state\", \"verdict\", round(extract(epoch FROM \"blockedUntil\" - now()) / 86400)) \
               FROM pgwright.\"OptimizationLog\"";
    let row = db.value(sql).await;
    let mut words = row.split(' ').map(str::to_owned);
    let mut next = || words.next().unwrap_or_default();
    (next(), next(), next())
}

pub(crate) fn taken_back(row: &(String, String, String), verdict: &str) {
    let (state, said, days) = row;
    assert_eq!((state.as_str(), said.as_str(), days.as_str()), ("reverted", verdict, "90"));
}

#[tokio::test]
async fn an_index_that_makes_a_statement_slower_is_taken_back_and_blocked() {
    let Some(db) = database().await else { return };
    // What is pending is the newest, and the planner takes it to be anywhere.
    db.sql(
        "CREATE TABLE job (id int PRIMARY KEY, at int NOT NULL, pending boolean NOT NULL, note text);
         INSERT INTO job SELECT n, n, n > 145000, repeat('x', 100) FROM generate_series(1, 150000) n;
         CREATE INDEX ON job (pending)",
    )
    .await;
    db.sql("VACUUM ANALYZE job").await;
    let statement = "SELECT id FROM job WHERE pending ORDER BY at LIMIT 10";
    let mut round = others(2000);
    round.push(statement.to_owned());
    for _ in 0..8 {
        window(&db, &round).await;
    }
    let action = index(&db, "job", &["at"], statement).await;
    let name = carry_out(&db, action).await;
    let plan = db.value(&format!("EXPLAIN (FORMAT JSON) {statement}")).await;
    assert!(plan.contains(&name), "the planner does not take the bait: {plan}");
    for _ in 0..2 {
        play(&db, &round).await;
    }

    // Said before it is done, and done by those who may.
    let dry = run(&db, &["verify", "--dry-run"]).await.stdout;
    assert!(dry.contains("regressed, would be taken back"), "{dry}");
    assert!(is_there(&db, &name).await);
    let quiet = run(&db, &["verify", "--quiet"]).await.stdout;
    assert!(quiet.contains("regressed, taken back: statement"), "{quiet}");
    assert!(!is_there(&db, &name).await);
    taken_back(&row(&db).await, "regressed");

    // The journal tells of it, and how to lift the block.
    let log = run(&db, &["log"]).await.stdout;
    assert!(log.contains("regressed, blocked until"), "{log}");
    let full = run(&db, &["log", "1"]).await.stdout;
    assert!(full.contains("times as long per call") && full.contains("--unblock 1"), "{full}");
    assert!(run(&db, &["log", "--unblock", "1"]).await.stdout.contains("may be tried again"));
    assert_eq!(row(&db).await.2, "");
    assert_eq!(run(&db, &["verify", "--quiet"]).await.stdout, "");
}

#[tokio::test]
async fn an_index_that_helps_is_kept_though_everything_else_becomes_slower() {
    let Some(db) = database().await else { return };
    db.sql(
        "CREATE TABLE purchase (id int PRIMARY KEY, buyer int NOT NULL, note text);
         INSERT INTO purchase SELECT n, n % 10000, repeat('x', 50) FROM generate_series(1, 40000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE purchase").await;
    let meant = "SELECT note FROM purchase WHERE buyer = 77";
    // Every statement carries work, which grows by 30 % at the same hour.
    let round = |work: u32| {
        let mut round = others(work);
        let extra = format!("(SELECT count(*) FROM generate_series(1, {work}))");
        round.push(format!("SELECT note, {extra} FROM purchase WHERE id = 5"));
        round.push(meant.to_owned());
        round
    };
    for _ in 0..WINDOWS {
        window(&db, &round(5000)).await;
    }
    let action = index(&db, "purchase", &["buyer"], meant).await;
    let name = carry_out(&db, action).await;
    for _ in 0..WINDOWS {
        window(&db, &round(6500)).await;
    }
    let action = verdict(&db).await;
    assert_eq!(action["verdict"], "kept", "{action:#}");
    assert!(action["judgement"]["control"].as_u64() >= Some(3), "{action:#}");
    assert!(is_there(&db, &name).await);
    assert_eq!(row(&db).await, ("kept".into(), "kept".into(), String::new()));
    assert!(run(&db, &["verify"]).await.stdout.contains("Nothing is being watched"));
}

#[tokio::test]
async fn an_index_that_nobody_uses_is_taken_back() {
    let Some(db) = database().await else { return };
    db.sql(
        "CREATE TABLE visit (id int PRIMARY KEY, page int NOT NULL);
         INSERT INTO visit SELECT n, n % 10 FROM generate_series(1, 2000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE visit").await;
    let meant = "SELECT count(*) FROM visit WHERE page >= 0";
    let mut round = others(1000);
    round.push(meant.to_owned());
    let action = index(&db, "visit", &["page", "id"], meant).await;
    db.sql("SET enable_indexonlyscan = off").await;
    let name = carry_out(&db, action).await;
    for _ in 0..WINDOWS {
        window(&db, &round).await;
    }
    let action = verdict(&db).await;
    assert_eq!(action["verdict"], "unused", "{action:#}");
    assert!(!is_there(&db, &name).await);
    taken_back(&row(&db).await, "unused");
}

#[tokio::test]
async fn statistics_are_judged_by_statements_and_never_called_unused() {
    let Some(db) = database().await else { return };
    db.sql(
        "CREATE TABLE home (id int PRIMARY KEY, town int NOT NULL, zip int NOT NULL);
         INSERT INTO home SELECT n, n % 50, n % 50 FROM generate_series(1, 2000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE home").await;
    let meant = "SELECT id FROM home WHERE town = 7 AND zip = 7";
    let mut round = others(1000);
    round.push(meant.to_owned());
    let action = statistics(&db, "home", &["town", "zip"], meant).await;
    let name = carry_out(&db, action.clone()).await;
    db.sql(&format!("DROP STATISTICS {name}")).await;
    assert!(run(&db, &["verify"]).await.stdout.contains("taken back by a person"));
    taken_back(&row(&db).await, "by_hand");

    for _ in 0..WINDOWS {
        window(&db, &round).await;
    }
    run(&db, &["log", "--unblock", "1"]).await;
    carry_out(&db, action).await;
    for _ in 0..WINDOWS {
        window(&db, &round).await;
    }
    let action = verdict(&db).await;
    assert_eq!(action["verdict"], "kept", "{action:#}");
    assert_eq!(action["judgement"]["scans"], Value::Null);
    let there = format!("SELECT count(*) FROM pg_statistic_ext WHERE stxname = '{name}'");
    assert_eq!(db.value(&there).await, "1");
}

#[tokio::test]
async fn an_index_that_ends_hot_updates_is_taken_back() {
    let Some(db) = database().await else { return };
    db.sql(
        "CREATE TABLE device (id int PRIMARY KEY, seen int NOT NULL) WITH (fillfactor = 50);
         INSERT INTO device SELECT n, n FROM generate_series(1, 2000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE device").await;
    let write = "UPDATE device SET seen = seen + 1 WHERE id % 10 = 0";
    let round = vec![write.to_owned()];
    window(&db, &round).await;
    window(&db, &round).await;
    let read = "SELECT id FROM device WHERE seen = 5";
    let action = index(&db, "device", &["seen"], read).await;
    let name = carry_out(&db, action).await;
    play(&db, &round).await;
    let action = verdict(&db).await;
    assert_eq!(action["verdict"], "writes_harmed", "{action:#}");
    let hot = &action["judgement"]["hot"];
    // How many are HOT before depends on when pages are pruned.
    assert!(hot[0].as_f64() > Some(0.5) && hot[1].as_f64() < Some(0.1), "{action:#}");
    assert!(!is_there(&db, &name).await);
    taken_back(&row(&db).await, "writes_harmed");
}

#[tokio::test]
async fn what_a_person_took_back_is_not_made_again() {
    let Some(db) = database().await else { return };
    db.sql("CREATE TABLE note (id int PRIMARY KEY, of int); INSERT INTO note SELECT n, n FROM generate_series(1, 20000) n")
        .await;
    db.sql("ANALYZE note").await;
    let meant = "SELECT id FROM note WHERE of = 7";
    for _ in 0..30 {
        db.sql(meant).await;
    }
    let action = index(&db, "note", &["of"], meant).await;
    let key = action.key.clone();
    let name = carry_out(&db, action).await;
    db.sql(&format!("DROP INDEX {name}")).await;
    // A row that came with a dump of another database is history.
    let of = r#"UPDATE pgwright."OptimizationLog" SET "databaseOid" = "databaseOid"::bigint"#;
    db.sql(&format!("{of} + 1")).await;
    let verified = run(&db, &["verify", "--quiet"]).await;
    assert_eq!((verified.status, verified.stdout.as_str()), (Some(0), ""), "{verified:?}");
    db.sql(&format!("{of} - 1")).await;
    let verified = run(&db, &["verify"]).await.stdout;
    assert!(verified.contains("taken back by a person"), "{verified}");
    taken_back(&row(&db).await, "by_hand");
    // Blocked: proposed to a person at most, with the reason.
    let report: Value = serde_json::from_str(
        &run(&db, &["optimize", "--what-if", "none", "--format", "json"]).await.stdout,
    )
    .unwrap();
    let actions = report["actions"].as_array().unwrap();
    for action in actions.iter().filter(|action| key.starts_with(action["id"].as_str().unwrap())) {
        assert_eq!(action["applies"], false);
        assert!(action.to_string().contains("a person took it back"), "{action:#}");
    }
}

#[tokio::test]
async fn counters_are_written_down_before_anything_is_watched_and_at_windows_only() {
    let Some(db) = database().await else { return };
    db.sql("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 100)").await;
    for _ in 0..3 {
        db.sql("SELECT count(*) FROM t").await;
        let text = run(&db, &["verify"]).await.stdout;
        assert!(text.contains("Nothing is being watched"), "{text}");
    }
    let rows = "SELECT count(*) FROM pgwright.\"Observations\" WHERE \"subject\" = 'server'";
    assert_eq!(db.value(rows).await, "1");
    let dry = run(&db, &["verify", "--dry-run", "--every", "0s"]).await.stdout;
    assert!(dry.contains("1 reading of counters is kept"), "{dry}");
    let statement = fingerprint("SELECT count(*) FROM t").unwrap();
    let calls = format!(
        "SELECT \"calls\" FROM pgwright.\"Observations\" WHERE \"subject\" = 'statement' AND \"subjectId\" = '{statement}'"
    );
    assert_eq!(db.value(&calls).await, "1");
}
