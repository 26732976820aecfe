//! Triggers on what we do, and hands in the journal.

use super::ground::{After, Person, Stage, pgwright};
use super::{Scenario, quick, slow};

pub(super) const SCENARIOS: &[Scenario] = &[
    slow(27, "event trigger on ddl_command_start that raises", |stage| {
        trigger(stage, "ddl_command_start", "CREATE INDEX")
    }),
    slow(27, "event trigger on ddl_command_end that raises", |stage| {
        trigger(stage, "ddl_command_end", "CREATE INDEX")
    }),
    quick(27, "event trigger on sql_drop that raises", sql_drop),
    quick(28, "journal dropped", |stage| tampered(stage, "DROP SCHEMA pgwright CASCADE", 5)),
    slow(28, "journal with a further column", |stage| {
        tampered(stage, r#"ALTER TABLE pgwright."OptimizationLog" ADD COLUMN more int"#, 5);
    }),
    slow(28, "journal with a column of another type", |stage| {
        tampered(
            stage,
            r#"ALTER TABLE pgwright."OptimizationLog" ALTER COLUMN "attempts" TYPE bigint"#,
            5,
        );
    }),
    quick(28, "undo text in the journal replaced by DROP TABLE", replaced),
    slow(28, "journal locked by a person", locked),
];

const DONE: After<'_> =
    After { exits: &[0], tolerated: &[], same_schema: true, same_rows: true, states: "" };

fn hang(stage: &Stage<'_>, event: &str, tag: &str) {
    stage.sql(&format!(
        "CREATE FUNCTION public.no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no DDL today'; END $$; \
         CREATE EVENT TRIGGER no ON {event} WHEN TAG IN ('{tag}') EXECUTE FUNCTION public.no()"
    ));
}

fn unhang(stage: &Stage<'_>) {
    stage.sql("DROP EVENT TRIGGER no; DROP FUNCTION public.no()");
}

fn trigger(stage: &mut Stage<'_>, event: &str, tag: &str) {
    hang(stage, event, tag);
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(5), "{output:?}");
    assert_eq!(stage.states(), "");
    assert_eq!(
        stage.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'"),
        "0"
    );
    unhang(stage);
    stage.settle(&After { states: "observing", ..DONE });
}

/// Refused at the rollback as well, before the index is half dropped.
fn sql_drop(stage: &mut Stage<'_>) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    hang(stage, "sql_drop", "DROP INDEX");
    let output = pgwright(&["rollback", "--all", "-d", &stage.on], &[]);
    stage.note(&output);
    assert!(matches!(output.status, Some(4 | 5)), "{output:?}");
    assert_eq!(
        stage.sql(
            "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)"
        ),
        "0"
    );
    unhang(stage);
    stage.settle(&DONE);
}

/// Nothing is done with a journal that is not ours any more, or not there any more while our index is.
fn tampered(stage: &mut Stage<'_>, harm: &str, exit: i32) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    stage.sql(harm);
    let definitions = "SELECT string_agg(pg_get_indexdef(indexrelid), ' ' ORDER BY indexrelid) FROM pg_index WHERE indrelid = 'shop.orders'::regclass";
    let before = stage.sql(definitions);
    for command in ["rollback", "verify"] {
        let args: &[&str] =
            if command == "rollback" { &["rollback", "--all", "-d"] } else { &["verify", "-d"] };
        let output = pgwright(&[args, &[&stage.on]].concat(), &[]);
        stage.tell(format!("{command}: exit {}", output.status.unwrap_or(-1)));
        assert_eq!(output.status, Some(exit), "{output:?}");
    }
    // Something is due again, on another column, so that the journal matters.
    let workload = stage.ground.folder.path().join(format!("{}.sql", stage.name));
    std::fs::write(&workload, "SELECT * FROM shop.orders WHERE note = 'n5';\n".repeat(100))
        .unwrap();
    stage.workload = workload;
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(exit), "{output:?}");
    assert_eq!(stage.sql(definitions), before, "nothing is touched");
}

/// What the journal holds as text is for people: it is never run.
fn replaced(stage: &mut Stage<'_>) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    stage.sql(r#"UPDATE pgwright."OptimizationLog" SET "undo" = 'DROP TABLE shop.orders'"#);
    stage.settle(&DONE);
    assert_eq!(stage.sql("SELECT to_regclass('shop.orders') IS NOT NULL"), "t");
}

fn locked(stage: &mut Stage<'_>) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    let person = Person::new(&stage.direct);
    person.sql(r#"BEGIN; LOCK TABLE pgwright."OptimizationLog""#).unwrap();
    for args in [&["rollback", "--all", "-d"][..], &["verify", "-d"]] {
        let output = pgwright(&[args, &[&stage.on]].concat(), &[]);
        stage.tell(format!("{}: exit {}", args[0], output.status.unwrap_or(-1)));
        assert!(matches!(output.status, Some(3..=5)), "{output:?}");
    }
    drop(person);
    stage.settle(&After { states: "observing", ..DONE });
}
