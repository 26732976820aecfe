//! A person changes the same things while a build waits, or after it.

use std::time::{Duration, Instant};

use super::ground::{After, Hold, Person, Stage, pgwright};
use super::{Scenario, quick, slow};

pub(super) const SCENARIOS: &[Scenario] = &[
    quick(19, "a person's DROP TABLE during the build", |stage| {
        meddle(stage, &["DROP TABLE shop.orders"])
    }),
    slow(19, "a person's RENAME of the table during the build", |stage| {
        meddle(
            stage,
            &[
                "ALTER TABLE shop.orders RENAME TO purchases",
                "ALTER TABLE shop.purchases RENAME TO orders",
            ],
        );
    }),
    slow(19, "a person's RENAME of the index during the build", rename_index),
    slow(19, "a person's DROP COLUMN during the build", |stage| {
        meddle(stage, &["ALTER TABLE shop.orders DROP COLUMN customer"]);
    }),
    slow(19, "a person's ALTER COLUMN TYPE during the build", |stage| {
        meddle(stage, &["ALTER TABLE shop.orders ALTER COLUMN customer TYPE bigint"]);
    }),
    slow(19, "a person's ATTACH PARTITION of the table during the build", |stage| {
        stage.sql("CREATE TABLE shop.all_orders (LIKE shop.orders) PARTITION BY RANGE (id)");
        meddle(stage, &["ALTER TABLE shop.all_orders ATTACH PARTITION shop.orders DEFAULT"]);
    }),
    quick(20, "a person makes an index of the same name before", same_name),
    slow(20, "a person makes the same index under another name", equivalent),
    quick(21, "a person drops our index while it is watched", dropped),
];

/// What a person has changed since is left to that person.
const BY_A_PERSON: After<'_> = After {
    exits: &[0, 2, 3, 4, 5],
    tolerated: &["I1: row 1", "I1: index", "I5: row 1 (create_index) rests in conflict"],
    same_schema: false,
    same_rows: false,
    states: "",
};
/// What applications say of a table that a person has changed.
const CHANGED: &[&str] = &["42P01", "42703", "42601"];

/// A person's statements while the build waits. The first waits behind the transaction that holds the build up, as it
/// would without us; it must not wait for us much longer than `--max-block`.
fn meddle(stage: &mut Stage<'_>, statements: &'static [&'static str]) {
    stage.excused = CHANGED.to_vec();
    // What waits behind a person's DDL, which waits, waits as well.
    stage.may_wait = true;
    let mut meddling = None;
    let output = stage.during(Hold::Writer, &["--max-block", "1s"], |stage, _| {
        let conninfo = stage.direct.clone();
        let thread = std::thread::spawn(move || {
            let person = Person::new(&conninfo);
            let since = Instant::now();
            let done = person.sql(statements[0]);
            (since.elapsed(), done)
        });
        std::thread::sleep(Duration::from_millis(300));
        meddling = Some(thread);
    });
    let (took, done) = meddling.unwrap().join().unwrap();
    stage.tell(format!("the person's statement took {:.1} s", took.as_secs_f64()));
    assert_eq!(done, Ok(()), "{output:?}");
    assert!(took < Duration::from_secs(7), "{took:?}");
    let there = "SELECT 1 FROM pg_class WHERE oid = to_regclass('shop.orders') AND relkind = 'r'";
    if stage.sql(there).is_empty() && statements.len() == 1 {
        // The rows are gone with the table; the checker is asked all the same.
        stage.sql("CREATE TABLE shop.orders (id int, customer int, note text)");
    }
    for _ in 0..2 {
        let output = stage.apply(&[]);
        assert!(output.status.is_some_and(|code| BY_A_PERSON.exits.contains(&code)), "{output:?}");
    }
    assert_eq!(stage.violations(&BY_A_PERSON), Vec::<String>::new(), "{}", stage.journal());
    for statement in &statements[1..] {
        stage.sql(statement);
    }
    stage.take_back(&BY_A_PERSON);
}

fn rename_index(stage: &mut Stage<'_>) {
    stage.during(Hold::Writer, &[], |stage, _| {
        let ours = stage.sql(
            "SELECT oid::regclass FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'",
        );
        let conninfo = stage.direct.clone();
        // It may have to wait for the build.
        std::thread::spawn(move || {
            Person::new(&conninfo).sql(&format!("ALTER INDEX {ours} RENAME TO mine"))
        });
        std::thread::sleep(Duration::from_millis(300));
    });
    let after = After {
        tolerated: &[
            "I1: row",
            "I2: index shop.mine",
            "I5: row 1 (create_index) rests in conflict",
        ],
        ..BY_A_PERSON
    };
    for _ in 0..2 {
        stage.apply(&[]);
    }
    assert_eq!(stage.violations(&after), Vec::<String>::new(), "{}", stage.journal());
    stage.tell(stage.sql(
        "SELECT coalesce(string_agg(format('mine is %s', CASE WHEN indisvalid THEN 'usable' ELSE 'unusable' END), ''), 'no mine') \
         FROM pg_index WHERE indexrelid = to_regclass('shop.mine')",
    ));
    stage.take_back(&after);
}

/// The name that the program will give, learned from a first run that is taken back and forgotten.
fn name(stage: &mut Stage<'_>) -> String {
    let output = pgwright(&stage.args(&[]), &[]);
    assert_eq!(output.status, Some(0), "{output:?}");
    let name =
        stage.sql("SELECT relname FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'");
    stage.sql(&format!(
        "DROP INDEX shop.{name}; DROP SCHEMA pgwright CASCADE; TRUNCATE checker.moves"
    ));
    name
}

fn same_name(stage: &mut Stage<'_>) {
    let name = name(stage);
    stage.sql(&format!("CREATE INDEX {name} ON shop.orders (note)"));
    let definition = format!("SELECT pg_get_indexdef('shop.{name}'::regclass)");
    let theirs = stage.sql(&definition);
    let after = After { tolerated: &["I1: index"], exits: &[0, 4, 5], ..BY_A_PERSON };
    stage.apply(&[]);
    stage.settle(&after);
    assert_eq!(stage.sql(&definition), theirs, "hands off");
}

fn equivalent(stage: &mut Stage<'_>) {
    stage.during(Hold::Writer, &[], |stage, _| {
        let conninfo = stage.direct.clone();
        std::thread::spawn(move || {
            Person::new(&conninfo).sql("CREATE INDEX theirs ON shop.orders (customer)")
        });
        std::thread::sleep(Duration::from_millis(300));
    });
    // Theirs blocks the application's writes; that is not our doing.
    stage.may_wait = true;
    stage.settle(&After { same_schema: false, exits: &[0, 4], ..After::default() });
    stage.tell(format!(
        "theirs: {}",
        stage.sql("SELECT coalesce(to_regclass('shop.theirs')::text, 'not there')")
    ));
}

fn dropped(stage: &mut Stage<'_>) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    let name =
        stage.sql("SELECT relname FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'");
    stage.sql(&format!("DROP INDEX shop.{name}"));
    let output = pgwright(&["verify", "-d", &stage.on], &[]);
    stage.note(&output);
    let after = After {
        tolerated: &["I1: row 1", "I1: index", "I5: row 1 (create_index) rests in conflict"],
        ..After::default()
    };
    stage.settle(&After { exits: &[0, 4, 5], ..after });
    assert_eq!(
        stage.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'"),
        "0",
        "it is not made again"
    );
}
