//! What may come in the way of watching: others at work, people with psql, rebuilt, replaced and vanished things, and
//! roles that see little.

use std::time::{Duration, Instant};

use rules::statement::fingerprint;
use serde_json::Value;

use crate::harness::{Killer, TestDatabase, cli, database, database_with_hypopg, start};
use crate::verify::{
    WINDOWS, carry_out, index, is_there, others, play, row, run, taken_back, verdict, window,
};

/// A table with an index on it that no plan uses, and the statements of a window.
async fn watched(db: &TestDatabase) -> (String, Vec<String>) {
    db.sql(
        "CREATE TABLE visit (id int PRIMARY KEY, page int NOT NULL);
         INSERT INTO visit SELECT n, n % 10 FROM generate_series(1, 2000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE visit").await;
    let meant = "SELECT count(*) FROM visit WHERE page >= 0";
    let action = index(db, "visit", &["page", "id"], meant).await;
    db.sql("SET enable_indexonlyscan = off").await;
    let name = carry_out(db, action).await;
    let mut round = others(1000);
    round.push(meant.to_owned());
    (name, round)
}

/// The program, so often at once: exit codes, and what was said.
async fn at_once(count: usize, args: &[&str], db: &TestDatabase) -> Vec<(Option<i32>, String)> {
    let mut args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    args.extend(["-d".to_owned(), db.conninfo()]);
    let one = |_| {
        let args = args.clone();
        tokio::task::spawn_blocking(move || {
            let output = cli(&args.iter().map(String::as_str).collect::<Vec<_>>());
            (output.status, output.stdout + &output.stderr)
        })
    };
    let running: Vec<_> = (0..count).map(one).collect();
    let mut ended = Vec::new();
    for run in running {
        ended.push(run.await.unwrap());
    }
    ended
}

#[tokio::test]
async fn of_two_actions_on_a_table_its_rows_count_once() {
    let Some(db) = database().await else { return };
    let (_, round) = watched(&db).await;
    window(&db, &round).await;
    let action = index(&db, "visit", &["id", "page"], &round[3]).await;
    carry_out(&db, action).await;
    window(&db, &round).await;
    db.sql("UPDATE visit SET page = page WHERE id <= 100").await;
    window(&db, &round).await;
    let counted = "SELECT o.\"live\" = t.n_live_tup, o.\"updated\" FROM pgwright.\"Observations\" o \
                   JOIN pg_stat_user_tables t ON o.\"subject\" = 'table' AND o.\"subjectId\" = t.relid::text \
                   WHERE t.relname = 'visit' ORDER BY o.\"readAt\" DESC LIMIT 1";
    let counted = db.sql(counted).await;
    assert_eq!(counted[0], [Some("t".to_owned()), Some("100".to_owned())]);
}

#[tokio::test]
async fn an_index_that_was_rebuilt_is_still_watched_and_taken_back() {
    let Some(db) = database().await else { return };
    let (name, round) = watched(&db).await;
    let oid = format!("SELECT '{name}'::regclass::oid");
    let before = db.value(&oid).await;
    window(&db, &round).await;
    db.sql(&format!("REINDEX INDEX CONCURRENTLY {name}")).await;
    assert_ne!(db.value(&oid).await, before);
    for _ in 0..WINDOWS {
        window(&db, &round).await;
    }
    let action = verdict(&db).await;
    assert_eq!(action["verdict"], "unused", "{action:#}");
    assert!(!is_there(&db, &name).await);
    taken_back(&row(&db).await, "unused");
}

#[tokio::test]
async fn of_several_at_once_one_acts_and_none_fails() {
    let Some(db) = database().await else { return };
    // The first ones ever: each wants to make the journal.
    for (status, said) in at_once(4, &["verify", "--quiet", "--every", "0s"], &db).await {
        assert_eq!(status, Some(0), "{said}");
    }
    let (name, _) = watched(&db).await;
    db.sql(&format!("DROP INDEX {name}")).await;
    for (status, said) in at_once(4, &["verify", "--every", "0s"], &db).await {
        assert_eq!(status, Some(0), "{said}");
    }
    taken_back(&row(&db).await, "by_hand");
}

#[tokio::test]
async fn while_it_is_switched_off_counters_are_read_and_nothing_is_done() {
    let Some(db) = database().await else { return };
    let (name, round) = watched(&db).await;
    for _ in 0..WINDOWS {
        window(&db, &round).await;
    }
    let switch = r#"UPDATE pgwright."Control" SET "pausedBecause" = 'a release', "paused" = "#;
    db.sql(&format!("{switch} true")).await;
    for args in [&["verify"][..], &["verify", "--quiet"]] {
        let args = [args, &["--every", "0s", "--at-least", "0s"]].concat();
        let (status, said) = at_once(1, &args, &db).await.remove(0);
        assert_eq!(status, Some(5), "{said}");
        assert!(said.contains("to be taken back"), "{said}");
        assert_eq!(said.matches("is paused: a release").count(), 1, "{said}");
    }
    assert!(is_there(&db, &name).await);
    db.sql(&format!("{switch} false")).await;
    assert_eq!(verdict(&db).await["verdict"], "unused");
    assert!(!is_there(&db, &name).await);
}

#[tokio::test]
async fn what_could_not_be_taken_back_is_said_every_time_until_it_is() {
    let Some(db) = database().await else { return };
    let (name, _) = watched(&db).await;
    let waits = r#"UPDATE pgwright."OptimizationLog" SET "verdict" = 'unused', "state" = 'revert_pending', "lastError" = 'a lock'"#;
    db.sql(waits).await;
    let holder = db.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM visit WHERE id = 1").await.unwrap();
    for args in [&["verify"][..], &["verify", "--quiet"]] {
        let (status, said) = at_once(1, args, &db).await.remove(0);
        assert_eq!(status, Some(4), "{said}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("is still to be taken back: "), "{said}");
    }
    assert!(is_there(&db, &name).await);
    holder.batch_execute("ROLLBACK").await.unwrap();
    let (status, said) = at_once(1, &["verify"], &db).await.remove(0);
    assert_eq!(status, Some(0), "{said}");
    assert!(!is_there(&db, &name).await);
}

#[tokio::test]
async fn what_a_person_put_in_its_place_is_left_alone() {
    let Some(db) = database().await else { return };
    let (name, round) = watched(&db).await;
    db.sql(&format!("DROP INDEX {name}; CREATE INDEX {name} ON visit (page DESC)")).await;
    for _ in 0..WINDOWS {
        window(&db, &round).await;
    }
    let args = ["verify", "--every", "0s", "--at-least", "0s"];
    let (status, said) = at_once(1, &args, &db).await.remove(0);
    assert!(matches!(status, Some(0 | 4)), "{said}");
    let definition = db.value(&format!("SELECT pg_get_indexdef('{name}'::regclass)")).await;
    assert!(definition.contains("page DESC"), "{definition}\n{said}");
    assert_eq!(row(&db).await.0, "conflict", "{said}");
}

#[tokio::test]
async fn a_table_and_statements_that_vanish_end_the_watch_or_are_left_out() {
    let Some(db) = database().await else { return };
    let (_, round) = watched(&db).await;
    for _ in 0..3 {
        window(&db, &round).await;
    }
    db.sql("SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()").await;
    play(&db, &round[..1]).await;
    let said = run(&db, &["verify", "--every", "0s"]).await.stdout;
    assert!(said.contains("not yet decided"), "{said}");
    db.sql("DROP TABLE visit").await;
    let said = run(&db, &["verify", "--every", "0s"]).await.stdout;
    assert!(said.contains("its table was dropped, or made anew"), "{said}");
    assert_eq!(row(&db).await, ("reverted".to_owned(), String::new(), String::new()), "{said}");
}

#[tokio::test]
async fn a_role_that_sees_no_texts_is_told_what_it_lacks() {
    let Some(db) = database().await else { return };
    let role = format!("blind_{}", db.name());
    db.sql(&format!("CREATE ROLE {role} LOGIN; CREATE TABLE t (a int)")).await;
    db.sql("SELECT count(*) FROM t").await;
    let on = db.conninfo().replace("user=postgres", &format!("user={role}"));
    let output = tokio::task::spawn_blocking(move || cli(&["verify", "--dry-run", "-d", &on]));
    let output = output.await.unwrap();
    db.sql(&format!("DROP ROLE {role}")).await;
    assert_eq!(output.status, Some(0), "{output:?}");
    let said = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("hidden from this one"), "{said}");
    assert!(said.contains("grant it pg_read_all_stats"), "{said}");
}

#[tokio::test]
async fn a_clock_that_was_put_back_does_not_end_the_reading() {
    let Some(db) = database().await else { return };
    run(&db, &["verify"]).await;
    // What was written down seems to be of tomorrow.
    db.sql(r#"UPDATE pgwright."Observations" SET "readAt" = "readAt" + interval '1 day'"#).await;
    // It is thrown away, and the reading of now written once, not at every look until tomorrow.
    for _ in 0..2 {
        run(&db, &["verify"]).await;
        let readings = r#"SELECT count(*) || ' ' || bool_and("readAt" <= now()) FROM pgwright."Observations"
                          WHERE "subject" = 'server'"#;
        assert_eq!(db.value(readings).await, "1 true");
    }
}

/// The watched actions, as `verify --dry-run` tells of them.
async fn told(db: &TestDatabase) -> Vec<Value> {
    let args = ["verify", "--dry-run", "--every", "0s", "--format", "json"];
    let told: Value = serde_json::from_str(&run(db, &args).await.stdout).unwrap();
    told["actions"].as_array().unwrap().clone()
}

#[tokio::test]
async fn only_statements_on_this_very_table_are_compared() {
    let Some(db) = database().await else { return };
    db.sql(
        "CREATE TABLE ev (id int, at int) PARTITION BY RANGE (at);
         CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (10);
         CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (10) TO (20);
         CREATE VIEW events AS SELECT * FROM ev;
         CREATE VIEW late AS SELECT * FROM ev2;
         INSERT INTO ev SELECT n, n % 20 FROM generate_series(1, 2000) n;
         CREATE SCHEMA b; CREATE TABLE b.ev1 (id int); CREATE TABLE b.other (id int)",
    )
    .await;
    let (meant, counted) = ("SELECT at FROM public.ev1 WHERE id = 7", "SELECT count(*) FROM");
    let touching = [meant.to_owned(), format!("{counted} ev"), format!("{counted} events")];
    let mut round = touching.to_vec();
    // Another partition, a view of it, a table of the same name, and one that may be either.
    let apart = ["ev2", "late", "b.ev1", "ev1", "b.other"].map(|name| format!("{counted} {name}"));
    round.extend(apart);
    let merge = "MERGE INTO public.ev1 USING (SELECT 1 AS id) n ON ev1.id = n.id AND ev1.at < 0 \
                 WHEN MATCHED THEN UPDATE SET id = 1";
    let mut expected: Vec<String> =
        touching.iter().map(|text| fingerprint(text).unwrap()).collect();
    if db.major() >= 15 {
        round.push(merge.to_owned());
        expected.push(fingerprint(merge).unwrap());
    }
    window(&db, &round).await;
    carry_out(&db, index(&db, "ev1", &["id"], meant).await).await;
    window(&db, &round).await;
    window(&db, &round).await;
    let action = told(&db).await.remove(0);
    let statements = action["judgement"]["statements"].as_array().unwrap();
    let name = |statement: &Value| statement["statement"].as_str().unwrap().to_owned();
    let mut compared: Vec<String> = statements.iter().map(name).collect();
    compared.sort();
    expected.sort();
    assert_eq!(compared, expected, "{action:#}");
}

#[tokio::test]
async fn of_two_indexes_on_a_table_that_was_harmed_the_newer_one_is_taken_back_first() {
    let Some(db) = database().await else { return };
    db.sql(
        "CREATE TABLE device (id int PRIMARY KEY, seen int NOT NULL) WITH (fillfactor = 50);
         INSERT INTO device SELECT n, n FROM generate_series(1, 2000) n",
    )
    .await;
    db.sql("VACUUM ANALYZE device").await;
    let round = vec!["UPDATE device SET seen = seen + 1 WHERE id % 10 = 0".to_owned()];
    window(&db, &round).await;
    window(&db, &round).await;
    let read = "SELECT id FROM device WHERE seen = 5";
    let older = carry_out(&db, index(&db, "device", &["seen"], read).await).await;
    let newer = carry_out(&db, index(&db, "device", &["seen", "id"], read).await).await;
    play(&db, &round).await;
    let why = |action: &Value| action["judgement"]["why"].as_str().unwrap().to_owned();
    let actions = told(&db).await;
    assert_eq!(actions.len(), 2, "{actions:#?}");
    assert!(why(&actions[0]).contains("on the same table is taken back first"), "{actions:#?}");
    run(&db, &["verify", "--every", "0s"]).await;
    assert!(is_there(&db, &older).await && !is_there(&db, &newer).await);
    // What it harms by itself is seen by what is counted from then on. A window in which the server throws statements away,
    // whose list other tests fill as well, shows nothing.
    for _ in 0..5 {
        window(&db, &round).await;
        play(&db, &round).await;
        run(&db, &["verify", "--every", "0s"]).await;
        if !is_there(&db, &older).await {
            return;
        }
    }
    panic!("the older index is still there");
}

/// Waits until an action is in place.
async fn applied(db: &TestDatabase) {
    let since = Instant::now();
    let there = r#"SELECT to_regclass('pgwright."OptimizationLog"') IS NOT NULL"#;
    let done = r#"SELECT count(*) FROM pgwright."OptimizationLog" WHERE "state" = 'observing'"#;
    while db.value(there).await != "t" || db.value(done).await == "0" {
        assert!(since.elapsed() < Duration::from_mins(1), "it was never applied");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn optimize_watches_what_it_applied_until_the_end() {
    let Some(db) = database_with_hypopg().await else { return };
    db.sql(
        "CREATE TABLE orders (id int, customer int, note text);
         INSERT INTO orders SELECT g, g * 7919::bigint % 100003, 'n' || g FROM generate_series(1, 200000) g",
    )
    .await;
    db.sql("VACUUM ANALYZE orders").await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    let statement = "SELECT * FROM orders WHERE customer = 5;\n";
    std::fs::write(file.path(), statement.repeat(100)).unwrap();
    let (on, workload) = (db.conninfo(), file.path().to_str().unwrap().to_owned());
    let killer = Killer::default();
    let optimize = |length: &'static str| {
        let (on, workload, killer) = (on.clone(), workload.clone(), killer.clone());
        let args = move || {
            let plain = ["optimize", "--apply", "--what-if", "hypopg", "-d", &on];
            let watch = ["--workload", &workload, "--watch", length];
            start(&[&plain[..], &watch[..]].concat(), &[], "", &killer).finish()
        };
        tokio::task::spawn_blocking(args)
    };
    // At the end it tells how far it has come; the counters are known from before the action.
    let output = optimize("1s").await.unwrap();
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(output.stdout.contains("not yet decided"), "{output:?}");
    let before = r#"SELECT count(*) > 0 FROM pgwright."Observations" o, pgwright."OptimizationLog" l
        WHERE o."subject" = 'server' AND l."state" = 'observing' AND o."readAt" <= l."createdAt""#;
    assert_eq!(db.value(before).await, "t");
    run(&db, &["rollback", "--all"]).await;
    db.sql(r#"UPDATE pgwright."OptimizationLog" SET "blockedUntil" = NULL"#).await;

    // What happens meanwhile is seen at the end at the latest.
    let watching = optimize("8s");
    applied(&db).await;
    let name = r#"SELECT "indexName" FROM pgwright."OptimizationLog" WHERE "state" = 'observing'"#;
    let name = db.value(name).await;
    db.sql(&format!("DROP INDEX {name}")).await;
    let output = watching.await.unwrap();
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(output.stdout.contains("taken back by a person"), "{output:?}");
    db.sql(r#"UPDATE pgwright."OptimizationLog" SET "blockedUntil" = NULL"#).await;

    // Looks that fail for a while do not end the watch; a signal does.
    let watching = optimize("8s");
    applied(&db).await;
    let outside = database().await.unwrap();
    let connections = async |allowed: bool| {
        let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", db.name());
        outside.sql(&sql).await;
    };
    connections(false).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    connections(true).await;
    let output = watching.await.unwrap();
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(output.stderr.contains("the watch goes on"), "{output:?}");
    run(&db, &["rollback", "--all"]).await;
    db.sql(r#"UPDATE pgwright."OptimizationLog" SET "blockedUntil" = NULL"#).await;
    let watching = optimize("1h");
    applied(&db).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    killer.signal("TERM");
    let output = watching.await.unwrap();
    assert_eq!(output.status, Some(130), "{output:?}");
    assert!(output.stderr.contains("`pgwright verify` goes on watching"), "{output:?}");
}
