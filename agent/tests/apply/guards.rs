//! Each guard that can be provoked on a server refuses with its figure, beforehand and when it comes to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::applier::{ApplyOptions, Effect, Event, Outcome};
use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::guards::{DiskFree, Foreseen, foresee};
use agent::journal::{State, Which};
use agent::postgres::{Meter, Session};
use chrono::{Datelike, Utc};
use rules::change_plan::Action;
use rules::evidence::{Fact, Term as Weight};
use rules::index::Key;

use crate::harness::{
    Database, analyze_of, apply_with, connect, create, database, index_on, info_of, plan, quick,
    reason,
};

async fn foreseen(db: &Database, action: &Action, options: &ApplyOptions) -> Foreseen {
    let plan = plan(std::slice::from_ref(action));
    let all = foresee(&db.info(), &Meter::new(), &plan, &options.guards).await.unwrap();
    all[&action.key].clone()
}

async fn run(db: &Database, action: &Action, options: &ApplyOptions) -> Effect {
    let one = std::slice::from_ref(action);
    let mut outcomes = apply_with(&db.info(), one, options, &mut |_| {}).await.unwrap();
    outcomes.remove(0).effect
}

/// That an action is refused for this reason, and that a dry run says so with the same words.
async fn refused(db: &Database, action: &Action, options: &ApplyOptions, expected: &str) {
    let before = foreseen(db, action, options).await;
    let effect = run(db, action, options).await;
    let reason = reason(&effect);
    assert!(reason.contains(expected), "{reason}");
    // Figures move on meanwhile: a table ages with every transaction.
    let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let same = before.refusals.iter().any(|said| words(said) == words(reason));
    assert!(same, "{before:?}\n{reason}");
}

fn with(alter: impl FnOnce(&mut agent::guards::GuardOptions)) -> ApplyOptions {
    let mut options = quick();
    alter(&mut options.guards);
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_may_use_up_is_bounded() {
    let Some(db) = database().await else { return };
    let mut action = db.an_index().await;
    action.impact.bytes = Some(1 << 30);
    let free = |free| with(|guards| guards.disk_free = Some(free));
    refused(&db, &action, &free(DiskFree::Bytes(2 << 30)), "needs some 2.5 GB").await;
    let unknown = free(DiskFree::Path("/there/is/nothing".into()));
    let noted = foreseen(&db, &action, &unknown).await.notes;
    assert!(noted.iter().any(|note| note.contains("--disk-free")), "{noted:?}");
    // The server is on this machine, so that the disk is measured.
    let noted = foreseen(&db, &action, &quick()).await.notes;
    assert!(!noted.iter().any(|note| note.contains("--disk-free")), "{noted:?}");

    let tight = with(|guards| guards.limits.max_build_bytes = Some(1 << 20));
    refused(&db, &action, &tight, "--max-build-bytes allows 1 MB").await;
    let short = with(|guards| guards.limits.max_build_time = Some(Duration::ZERO));
    refused(&db, &action, &short, "--max-build-time allows 0 s").await;

    let name = &db.name;
    db.sql.batch(&format!("ALTER DATABASE {name} SET temp_file_limit = '10MB'")).await.unwrap();
    refused(&db, &action, &quick(), "temp_file_limit is 10 MB").await;
    db.sql.batch(&format!("ALTER DATABASE {name} RESET temp_file_limit")).await.unwrap();

    // What the first one took is gone from the budget of the second.
    let keys = |name: &str| vec![Key::column(name)];
    let table = db.log_table().await;
    let (mut first, mut second) =
        (index_on(table.clone(), keys("email")), index_on(table, keys("timestamp")));
    (first.impact.bytes, second.impact.bytes) = (Some(100 << 10), Some(100 << 10));
    let budget = with(|guards| guards.limits.max_build_bytes = Some(300 << 10));
    let outcomes = apply_with(&db.info(), &[first, second], &budget, &mut |_| {}).await.unwrap();
    assert!(matches!(outcomes[0].effect, Effect::Applied { .. }), "{outcomes:?}");
    assert!(reason(&outcomes[1].effect).contains("this run's indexes take"), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_bears_so_many_indexes_and_a_person_can_say_more() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let mut one = with(|guards| guards.limits.max_indexes = 1);
    refused(&db, &action, &one, "has 1 indexes, and pgwright makes none beyond 1").await;
    one.guards.limits.waived = vec!["index_count".to_owned()];
    let before = foreseen(&db, &action, &one).await;
    assert!(before.refusals.is_empty() && before.notes[0].starts_with("waived: "), "{before:?}");
    assert!(matches!(run(&db, &action, &one).await, Effect::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_may_not_fit_hot_updates_and_policies_are_seen_on_the_table() {
    let Some(db) = database().await else { return };
    let setup = "CREATE TABLE app.texts (long text, short text, n int) WITH (fillfactor = 50); \
                 INSERT INTO app.texts SELECT repeat('x', 600 + n), 'y', n FROM generate_series(1, 200) n; \
                 ANALYZE app.texts; UPDATE app.texts SET n = n + 1 WHERE n < 50";
    db.sql.batch(setup).await.unwrap();
    let table = db.table("app", "texts").await;
    let long = index_on(table.clone(), vec![Key::column("long")]);
    refused(&db, &long, &quick(), "values of long are up to 800 bytes long").await;

    // The counters of the update come a second late, from the session that made it.
    let since = Instant::now();
    let sql = "SELECT pg_stat_get_tuples_hot_updated($1)";
    loop {
        db.sql.batch("SELECT 1").await.unwrap();
        let hot: i64 = db.sql.query_one(sql, &[&table.oid]).await.unwrap().get(0);
        if hot > 40 || since.elapsed() > Duration::from_secs(20) {
            assert!(hot > 40, "{hot}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut hot = index_on(table, vec![Key::column("n")]);
    let fact = Fact::EndsHot { share: 0.9 };
    hot.confidence.terms.push(Weight { fact, weight: 0.0, cap: None });
    refused(&db, &hot, &quick(), "and the index would end that for").await;

    let gin = create(db.log_table().await, |definition| {
        definition.method = "gin".into();
        definition.keys = vec![Key::column("metadata")];
    });
    assert_eq!(foreseen(&db, &gin, &quick()).await.refusals, Vec::<String>::new());
    db.sql.batch(r#"ALTER TABLE app."Log" ENABLE ROW LEVEL SECURITY"#).await.unwrap();
    refused(&db, &gin, &quick(), "operators of metadata in a gin index are not leakproof").await;
    assert!(matches!(run(&db, &db.an_index().await, &quick()).await, Effect::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_behind_and_a_table_near_wraparound_come_first() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let slot = format!("slot_{}", db.name);
    let sql = format!("SELECT pg_create_physical_replication_slot('{slot}', true)");
    db.sql.batch(&sql).await.unwrap();
    db.sql.batch("CREATE TABLE app.wal AS SELECT generate_series(1, 1000) AS n").await.unwrap();
    let strict = with(|guards| guards.limits.max_lag = 0);
    refused(&db, &action, &strict, "of WAL, more than 0 bytes (--max-lag); nobody reads").await;
    db.sql.batch(&format!("SELECT pg_drop_replication_slot('{slot}')")).await.unwrap();

    // Aborted subtransactions use up ids and leave nothing behind.
    let burn = "CREATE TABLE app.ids (n int); \
                DO $$ BEGIN FOR i IN 1..61000 LOOP BEGIN INSERT INTO app.ids VALUES (i); RAISE EXCEPTION 'x'; \
                EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$; \
                ALTER TABLE app.\"Log\" SET (autovacuum_freeze_max_age = 100000)";
    db.sql.batch(burn).await.unwrap();
    refused(&db, &action, &quick(), "a build may begin up to 60000").await;
    db.sql.batch(r#"VACUUM (FREEZE) app."Log""#).await.unwrap();
    assert!(matches!(run(&db, &action, &quick()).await, Effect::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_the_window_nothing_is_begun() {
    let Some(db) = database().await else { return };
    let action = db.an_index().await;
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let today = Utc::now().weekday().num_days_from_monday() as usize;
    let window = |text: String| with(|guards| guards.limits.window = Some(text.parse().unwrap()));
    let closed = window(format!("{} 00:00-24:00 UTC", days[(today + 3) % 7]));
    refused(&db, &action, &closed, "and the maintenance window is").await;
    let nowhere = window("00:00-24:00 Mars/Olympus".to_owned());
    refused(&db, &action, &nowhere, "Mars/Olympus").await;
    assert_eq!(db.states().await, []);
    let open = window("00:00-24:00".to_owned());
    assert_eq!(foreseen(&db, &action, &open).await.refusals, Vec::<String>::new());
    assert!(matches!(run(&db, &action, &open).await, Effect::Applied { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_and_the_stop_file_stop_a_run_and_no_rollback() {
    let Some(db) = database().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stop");
    let options = with(|guards| guards.stop_file = Some(path.clone()));
    let action = db.an_index().await;
    assert!(matches!(run(&db, &action, &options).await, Effect::Applied { .. }));
    let other = index_on(db.log_table().await, vec![Key::column("email")]);

    std::fs::write(&path, "").unwrap();
    refused(&db, &other, &options, "exists; remove it").await;
    std::fs::remove_file(&path).unwrap();
    let pause =
        r#"UPDATE pgwright."Control" SET "paused" = true, "pausedBecause" = 'release night'"#;
    db.sql.batch(pause).await.unwrap();
    refused(&db, &other, &options, "is paused: release night").await;
    refused(&db, &analyze_of(db.log_table().await), &options, "is paused: release night").await;

    let undone = db.rollback(Which::All).await.unwrap();
    assert_eq!(undone[0].effect, Effect::Reverted { note: None });
    assert_eq!(db.states().await, [State::Reverted]);
}

/// Begins a build that waits for a writer, does something then, and returns what became of the build.
async fn disturbed(
    db: &Database,
    action: &Action,
    options: &ApplyOptions,
    disturb: impl AsyncFnOnce(),
) -> Outcome {
    let writer = db.session().await;
    writer.batch("BEGIN").await.unwrap();
    writer.batch(r#"UPDATE app."Log" SET email = 'z' WHERE id = 1"#).await.unwrap();
    let begun = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&begun);
    let mut progress = |event| {
        if matches!(event, Event::Progress { .. }) {
            told.notify_one();
        }
    };
    let (info, one) = (db.info(), std::slice::from_ref(action));
    let work = Box::pin(apply_with(&info, one, options, &mut progress));
    let disturb = async {
        begun.notified().await;
        disturb().await;
        // The writer is still there when the build ends, so that nothing but the disturbance can have ended it.
        let sql = "SELECT FROM pg_stat_progress_create_index WHERE datname = current_database()";
        while !db.sql.query(sql, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        writer.batch("ROLLBACK").await.unwrap();
    };
    let (outcomes, ()) = tokio::join!(work, disturb);
    outcomes.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_window_cancels_the_build_at_work() {
    let Some(db) = database().await else { return };
    db.apply_one(&analyze_of(db.log_table().await)).await;
    let action = db.an_index().await;
    // A zone in which this day ends in ten seconds.
    let zone = "SELECT format('PGW%s%s', CASE WHEN east < 0 THEN '+' ELSE '-' END, make_interval(secs => abs(east))) AS zone, \
                to_char(timezone('UTC', now) + make_interval(secs => east), 'Dy') AS day \
                FROM (SELECT now, 86390 - extract(epoch FROM timezone('UTC', now)::time)::int AS east \
                FROM clock_timestamp() AS now) AS one";
    let row = db.sql.query_one(zone, &[]).await.unwrap();
    let (zone, day): (String, String) = (row.get(0), row.get(1));
    let window = format!("{day} 00:00-24:00 {zone}").parse().unwrap();
    let mut options = with(|guards| guards.limits.window = Some(window));
    options.lock_timeout = Duration::from_mins(1);
    let outcome = disturbed(&db, &action, &options, async || {}).await;
    assert!(reason(&outcome.effect).contains("the maintenance window has ended"), "{outcome:?}");
    assert_eq!(db.indexes().await, ["Log_pkey"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_and_the_stop_file_cancel_the_build_at_work() {
    let Some(db) = database().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stop");
    let mut options = with(|guards| guards.stop_file = Some(path.clone()));
    options.lock_timeout = Duration::from_mins(1);
    db.apply_one(&analyze_of(db.log_table().await)).await;
    let action = db.an_index().await;
    let pause = r#"UPDATE pgwright."Control" SET "paused" = true"#;
    let stopped = |outcome: &Outcome, expected: &str| {
        assert!(reason(&outcome.effect).contains(expected), "{outcome:?}");
    };
    // Somebody who may do no more than this.
    let role = format!("oncall_{}", db.name);
    db.sql
        .batch(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA pgwright TO {role}; \
             GRANT SELECT, UPDATE (\"paused\", \"pausedUntil\", \"pausedBecause\") ON pgwright.\"Control\" TO {role}"
        ))
        .await
        .unwrap();
    let oncall = connect(&db.info_as(&role)).await;
    let outcome =
        disturbed(&db, &action, &options, async || oncall.batch(pause).await.unwrap()).await;
    stopped(&outcome, "pgwright is paused");
    let goes_on = r#"UPDATE pgwright."Control" SET "paused" = false"#;
    db.sql.batch(goes_on).await.unwrap();
    let outcome =
        disturbed(&db, &action, &options, async || std::fs::write(&path, "").unwrap()).await;
    stopped(&outcome, "the stop file");
    assert_eq!(db.indexes().await, ["Log_pkey"]);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(run(&db, &action, &options).await, Effect::Applied { .. }));
}

/// A subscription of another database stands for a standby: it reports how far it is, and can be held up with a lock.
struct Follower {
    db: Database,
    far: Session,
}

impl Follower {
    async fn of(binaries: &Binaries) -> Self {
        let settings = [("autovacuum", "off"), ("wal_level", "logical")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = ClusterOptions { settings: settings.into(), ..ClusterOptions::default() };
        // Its guard process ends it together with this one.
        let cluster: &Cluster =
            Box::leak(Box::new(Cluster::start(binaries, options).await.unwrap()));
        let db = Database::on(cluster).await;
        let feed = "CREATE TABLE app.feed (n int PRIMARY KEY)";
        db.sql.batch(&format!("{feed}; CREATE PUBLICATION feed FOR TABLE app.feed")).await.unwrap();
        db.sql
            .batch("SELECT pg_create_logical_replication_slot('follower', 'pgoutput')")
            .await
            .unwrap();
        db.sql.batch("CREATE DATABASE far").await.unwrap();
        let far = connect(&info_of(&cluster.conninfo("far"))).await;
        far.batch(&format!("CREATE SCHEMA app; {feed}")).await.unwrap();
        let source = cluster.conninfo(&db.name).replace('\'', "''");
        let subscribe = format!(
            "CREATE SUBSCRIPTION follower CONNECTION '{source}' PUBLICATION feed \
             WITH (create_slot = false, slot_name = 'follower', copy_data = false)"
        );
        far.batch(&subscribe).await.unwrap();
        Self { db, far }
    }

    /// Waits until it is this much behind at least or at most.
    async fn waits_until(&self, fits: impl Fn(i64) -> bool) {
        let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint FROM pg_stat_replication \
                   WHERE replay_lsn IS NOT NULL";
        let since = Instant::now();
        loop {
            let row = self.db.sql.query_opt(sql, &[]).await.unwrap();
            if row.is_some_and(|row| fits(row.get(0))) {
                return;
            }
            assert!(since.elapsed() < Duration::from_mins(1), "the follower does not follow");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Holds it up and writes some 10 MB of WAL.
    async fn fall_behind(&self, n: i32) {
        self.far.batch("BEGIN").await.unwrap();
        self.far.batch("LOCK TABLE app.feed IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let other = self.db.session().await;
        other.batch(&format!("INSERT INTO app.feed VALUES ({n})")).await.unwrap();
        let sql = format!(
            "CREATE TABLE app.wal{n} AS SELECT n, repeat('x', 500) FROM generate_series(1, 20000) n"
        );
        other.batch(&sql).await.unwrap();
        other.batch("CHECKPOINT").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_behind_is_left_in_peace_and_a_build_under_way_is_cancelled() {
    let Some(db) = database().await else { return };
    let follower = Follower::of(db.cluster.binaries()).await;
    let db = &follower.db;
    follower.waits_until(|_| true).await;
    let action = db.an_index().await;
    let mut options = with(|guards| guards.limits.max_lag = 4 << 20);
    // Of a logical slot WAL is kept longer than its reader needs it.
    options.guards.limits.waived = vec!["slot_wal".to_owned()];
    options.lock_timeout = Duration::from_mins(1);
    follower.fall_behind(1).await;
    follower.waits_until(|behind| behind > 5 << 20).await;
    let effect = run(db, &action, &options).await;
    assert!(reason(&effect).contains("standby `follower` is"), "{effect:?}");
    assert!(reason(&effect).contains("of WAL behind, more than 4 MB"), "{effect:?}");

    follower.far.batch("ROLLBACK").await.unwrap();
    follower.waits_until(|behind| behind < 1 << 20).await;
    let disturbing = disturbed(db, &action, &options, async || follower.fall_behind(2).await);
    let outcome = Box::pin(disturbing).await;
    assert!(reason(&outcome.effect).contains("standby `follower` fell"), "{outcome:?}");
    assert_eq!(db.indexes().await, ["Log_pkey", "feed_pkey"]);
    follower.far.batch("ROLLBACK").await.unwrap();
    follower.far.batch("DROP SUBSCRIPTION follower").await.unwrap();
}
