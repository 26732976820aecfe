//! Somebody holds what we need: locks, snapshots, prepared transactions, a build of their own.

use std::time::Duration;

use super::ground::{After, CREATE, Hold, Person, Stage, behaves};
use super::{Scenario, quick, slow};
use crate::harness::{Harm, Killer, Moment, start};

pub(super) const SCENARIOS: &[Scenario] = &[
    quick(14, "table locked SHARE UPDATE EXCLUSIVE", |stage| {
        locked(stage, "SHARE UPDATE EXCLUSIVE", 4)
    }),
    slow(14, "table locked ROW EXCLUSIVE", |stage| locked(stage, "ROW EXCLUSIVE", 4)),
    slow(14, "table locked ACCESS EXCLUSIVE", |stage| {
        stage.may_wait = true;
        locked(stage, "ACCESS EXCLUSIVE", 0);
    }),
    quick(15, "REPEATABLE READ transaction opened before", snapshot_before),
    slow(15, "REPEATABLE READ transaction opened during the build", snapshot_during),
    slow(16, "prepared transaction that has written to the table", prepared),
    slow(18, "another CREATE INDEX CONCURRENTLY on the table", another_build),
    quick(14, "a writer of the table locks it while the build waits for the writer", |stage| {
        entangled(stage, "UPDATE shop.orders SET note = note WHERE id = 5", LOCK, None);
    }),
    slow(14, "a writer of the table alters it while the build waits for the writer", |stage| {
        entangled(stage, "UPDATE shop.orders SET note = note WHERE id = 5", ALTER, None);
    }),
    quick(14, "a reader of the table alters it while the drop waits for the reader", |stage| {
        assert_eq!(stage.apply(&[]).status, Some(0));
        entangled(stage, "SELECT FROM shop.orders WHERE id = 5", ALTER, Some("rollback"));
    }),
    quick(14, "a reader of a partition writes to it while the indexes are attached", |stage| {
        partitioned(stage);
        entangled(stage, "SELECT FROM shop.events WHERE customer = 5", INSERT, None);
    }),
    slow(14, "a reader of a partition reads the others while the indexes are dropped", |stage| {
        partitioned(stage);
        assert_eq!(stage.apply(&[]).status, Some(0));
        entangled(stage, "SELECT FROM shop.events_1 WHERE customer = 5", READ, Some("rollback"));
    }),
];

const LOCK: &str = "LOCK TABLE shop.orders IN EXCLUSIVE MODE";
const ALTER: &str = "ALTER TABLE shop.orders ADD COLUMN more int";
const INSERT: &str = "INSERT INTO shop.events VALUES (-1, 1, 1)";
const READ: &str = "SELECT count(*) FROM shop.events";

/// A statement of a run waits for a lock.
pub(super) const WAITS: &str = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pgwright/apply%' \
                                AND datname = current_database() AND wait_event_type = 'Lock'";

pub(super) fn person(stage: &Stage<'_>, sql: &str) -> Person {
    let person = Person::new(&stage.direct);
    person.sql(sql).unwrap();
    person
}

fn locked(stage: &mut Stage<'_>, mode: &str, exit: i32) {
    let holder = person(stage, &format!("BEGIN; LOCK TABLE shop.orders IN {mode} MODE"));
    let output = stage.apply(&[]);
    // A table that cannot even be looked at is left out, and said to be.
    assert_eq!(output.status, Some(exit), "{output:?}");
    assert!(exit != 0 || output.stdout.contains("locked"), "{output:?}");
    let journal = stage.journal();
    let who = "it waited for process";
    assert!(exit != 4 || journal.contains(who), "{journal}");
    drop(holder);
    stage.settle(&After::default());
}

fn snapshot_before(stage: &mut Stage<'_>) {
    let holder = stage.hold(Hold::Snapshot);
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(4), "{output:?}");
    assert!(stage.violations(&After::default()).is_empty(), "nothing unusable is left");
    drop(holder);
    stage.settle(&After { states: "aborted observing", ..After::default() });
}

/// The snapshot is there when the build has begun, as the server has the statement.
fn snapshot_during(stage: &mut Stage<'_>) {
    let conninfo = stage.direct.clone();
    let (give, take) = std::sync::mpsc::channel();
    let open = move || {
        let person = Person::new(&conninfo);
        person.sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").unwrap();
        give.send(person).unwrap();
    };
    stage.through_proxy();
    let writer = stage.hold(Hold::Writer);
    stage.arm(CREATE, Moment::After, Harm::Call(std::sync::Arc::new(open)));
    let killer = Killer::default();
    let running = stage.begin(&[], &killer);
    let reader = take.recv_timeout(Duration::from_mins(1)).unwrap();
    drop(writer);
    let output = behaves(running.finish());
    stage.note(&output);
    assert!(matches!(output.status, Some(0 | 4)), "{output:?}");
    drop(reader);
    stage.ground.proxy.arm(None);
    stage.settle(&After::default());
}

/// A partitioned table, and statements that want an index on it.
fn partitioned(stage: &mut Stage<'_>) {
    stage.sql(
        "CREATE TABLE shop.events (id int NOT NULL, customer int NOT NULL, part int NOT NULL) PARTITION BY LIST (part); \
         CREATE TABLE shop.events_1 PARTITION OF shop.events FOR VALUES IN (1); \
         CREATE TABLE shop.events_2 PARTITION OF shop.events FOR VALUES IN (2); \
         INSERT INTO shop.events SELECT g, g % 20000, 1 + g % 2 FROM generate_series(1, 200000) g; \
         VACUUM ANALYZE shop.events",
    );
    stage.as_before_is_now();
    stage.workload = stage.ground.folder.path().join(format!("{}.sql", stage.name));
    let wanted = "SELECT * FROM shop.events WHERE customer = 5;\n";
    std::fs::write(&stage.workload, wanted.repeat(100)).unwrap();
}

/// A person uses a table, the program waits for that, and more than `deadlock_timeout` later the person wants what the
/// program holds: the server ends whoever began to wait last, and that must never be the person.
fn entangled(stage: &mut Stage<'_>, uses: &str, wants: &str, command: Option<&str>) {
    // What the person then has is kept from the application.
    stage.may_wait = true;
    let killer = Killer::default();
    let holder = person(stage, "BEGIN");
    let made = "SELECT 1 FROM pg_index WHERE indisvalid AND indexrelid::regclass::text LIKE 'shop.pgw\\_%'";
    let attaching = stage.sql("SELECT to_regclass('shop.events') IS NOT NULL") == "t";
    if !attaching || command.is_some() {
        holder.sql(uses).unwrap();
    }
    let running = match command {
        Some(command) => start(&[command, "--all", "-d", &stage.on], &[], "", &killer),
        None => stage.begin(&[], &killer),
    };
    if attaching && command.is_none() {
        // With the lock on an index that is to be attached.
        stage.wait_until(made, &killer);
        holder.sql(uses).unwrap();
    }
    stage.wait_until(WAITS, &killer);
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(holder.sql(wants), Ok(()), "a person's statement");
    holder.sql("ROLLBACK").unwrap();
    let output = behaves(running.finish());
    stage.note(&output);
    assert!(matches!(output.status, Some(0 | 4)), "{output:?}");
    match command {
        Some(_) => stage.take_back(&After::default()),
        None => stage.settle(&After::default()),
    }
}

fn prepared(stage: &mut Stage<'_>) {
    let name = stage.name.clone();
    stage.sql(&format!(
        "BEGIN; INSERT INTO shop.orders VALUES (2000000, 1, 'held'); PREPARE TRANSACTION '{name}'"
    ));
    let output = stage.apply(&[]);
    stage.sql(&format!("ROLLBACK PREPARED '{name}'"));
    assert!(matches!(output.status, Some(4 | 5)), "{output:?}");
    stage.settle(&After::default());
}

fn another_build(stage: &mut Stage<'_>) {
    let writer = stage.hold(Hold::Writer);
    let conninfo = stage.direct.clone();
    let theirs = std::thread::spawn(move || {
        Person::new(&conninfo).sql("CREATE INDEX CONCURRENTLY theirs ON shop.orders (note)")
    });
    let began = "SELECT 1 FROM pg_stat_progress_create_index WHERE relid = 'shop.orders'::regclass";
    while stage.sql(began).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let killer = Killer::default();
    let running = stage.begin(&[], &killer);
    std::thread::sleep(Duration::from_secs(3));
    drop(writer);
    let output = behaves(running.finish());
    stage.note(&output);
    let theirs = theirs.join().unwrap();
    assert_eq!(theirs, Ok(()), "what a person builds is built");
    stage.settle(&After { same_schema: false, ..After::default() });
    stage.sql("DROP INDEX shop.theirs");
}
