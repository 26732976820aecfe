//! The n-th failure loop: at every message between the applier and the server something goes wrong, then the
//! same command is run again, twice, as cron would, and a checker that shares no code with the program
//! (`tests/checker`) judges what is there.
//!
//! Here a spread of the points is tried; `make faults` tries all of them (`PGWRIGHT_FAULTS=all`, or a share of
//! them such as `2/4`, for several at a time) and prints how many. What is started to carry a plan out is this
//! test binary anew (`runs`), which calls `agent::applier::apply` as the program does, without the sampling before
//! it; what takes it back is the program itself.

mod oracle;
mod points;
pub(crate) mod runs;
mod stage;
mod table;

use std::time::Duration;

use crate::harness::{Harm, binaries, say};
use oracle::Oracle;
use points::{Loop, Tally};
use stage::Stage;

/// How many points a spread has, for each kind of run.
const SPREAD: usize = 6;

/// Which share of all points is wanted: the how-many-th of how many; none where a spread will do.
fn share() -> Option<(usize, usize)> {
    let wanted = std::env::var("PGWRIGHT_FAULTS").ok()?;
    let (part, of) = if wanted == "all" { ("1", "1") } else { wanted.split_once('/')? };
    Some((part.parse().ok()?, of.parse().ok()?))
}

fn all() -> bool {
    share().is_some()
}

/// Tries one harm at points of the way there and of the way back; no violation may come of it.
fn at_points(stage: &mut Stage, name: &str, spread: usize, harm: &dyn Fn(&Stage) -> Harm) -> Tally {
    let mut tally = Tally::default();
    for loop_ in [Loop::Apply, Loop::Rollback] {
        tally.add(points::run(stage, name, loop_, spread, harm));
    }
    say(&tally.line(name));
    assert!(tally.is_telling(), "{}", tally.line(name));
    tally
}

/// What happens to the connection or the server, and its name in the table.
type NamedHarm<'a> = (&'a str, &'a dyn Fn(&Stage) -> Harm);

#[test]
fn killed_at_any_message_a_run_is_finished_by_the_next_one() {
    let Some(binaries) = binaries() else { return };
    let mut stage = Stage::start(&binaries);
    let oracle = Oracle::start(&stage.direct(), stage::PLAYED);
    let spread = if all() { usize::MAX } else { SPREAD };
    let tally = at_points(&mut stage, "agent killed (SIGKILL)", spread, &|stage| {
        Harm::Kill(stage.killer())
    });
    let felt = oracle.stop();
    say(&format!("  beside it: {felt}"));
    assert_eq!(tally.violations, Vec::<String>::new());
    felt.was_not_hurt();
}

#[test]
fn a_connection_that_ends_or_falls_silent_leaves_nothing_half_done() {
    let Some(binaries) = binaries() else { return };
    let mut stage = Stage::start(&binaries);
    let oracle = Oracle::start(&stage.direct(), stage::PLAYED);
    let spread = if all() { 40 } else { 2 };
    let mut violations = Vec::new();
    let silence = Duration::from_secs(if all() { 10 } else { 1 });
    let harms: [NamedHarm<'_>; 6] = [
        ("connection closed (FIN)", &|_| Harm::Fin),
        ("connection reset (RST)", &|_| Harm::Rst),
        ("silence for a time", &move |_| Harm::Silence(Some(silence))),
        ("one message 500 ms late", &|_| Harm::Delay(Duration::from_millis(500))),
        ("byte by byte", &|_| Harm::Fragments),
        ("server process ended (pg_terminate_backend)", &|stage| stage.end_backends("TERM")),
    ];
    for (name, harm) in harms {
        violations.extend(at_points(&mut stage, name, spread, harm).violations);
    }
    let felt = oracle.stop();
    say(&format!("  beside it: {felt}"));
    assert_eq!(violations, Vec::<String>::new());
    felt.was_not_hurt();
}

#[test]
fn a_server_that_crashes_or_stops_leaves_nothing_half_done() {
    let Some(binaries) = binaries() else { return };
    let mut stage = Stage::start(&binaries);
    let spread = if all() { 20 } else { 1 };
    let mut violations = Vec::new();
    let harms: [NamedHarm<'_>; 2] = [
        ("server process killed (crash recovery)", &|stage| stage.end_backends("KILL")),
        ("server killed and started again", &Stage::restart),
    ];
    for (name, harm) in harms {
        violations.extend(at_points(&mut stage, name, spread, harm).violations);
    }
    assert_eq!(violations, Vec::<String>::new());
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let Some(binaries) = binaries() else { return };
    let stage = Stage::start(&binaries);
    let ours = "(SELECT oid FROM pg_class WHERE relname LIKE 'pgw\\_log\\_%')";
    let part = "(SELECT oid FROM pg_class WHERE relname LIKE 'pgw\\_part\\_2a\\_%')";
    let drop = "(SELECT 'DROP STATISTICS app.' || stxname FROM pg_statistic_ext WHERE stxname LIKE 'pgw\\_%')";
    let statistics = "(SELECT oid FROM pg_statistic_ext WHERE stxname LIKE 'pgw\\_%')";
    let journal = "UPDATE pgwright.\"OptimizationLog\" SET";
    for (harm, expected) in [
        (format!("DELETE FROM pgwright.\"OptimizationLog\" WHERE \"indexOid\" = {ours}"), "I1"),
        (format!("{journal} \"definition\" = 'another' WHERE \"indexOid\" = {ours}"), "I1"),
        (format!("UPDATE pg_index SET indisvalid = false WHERE indexrelid = {ours}"), "I2"),
        (format!("{journal} \"state\" = 'reverted' WHERE \"indexOid\" = {ours}"), "I5"),
        (format!("{journal} \"state\" = 'reverting' WHERE \"indexOid\" = {ours}"), "I5"),
        (format!("{journal} \"undo\" = '' WHERE \"kind\" = 'drop_index'"), "I9"),
        (
            format!(
                "{journal} \"operation\" = \"operation\" - 'parts' WHERE \"tableName\" = 'part'"
            ),
            "I1",
        ),
        (format!("{journal} \"state\" = 'reverted' WHERE \"tableName\" = 'part'"), "I1"),
        (format!("UPDATE pg_index SET indisvalid = false WHERE indexrelid = {part}"), "I2"),
        ("ALTER TABLE app.part DETACH PARTITION app.part_1".to_owned(), "I1"),
        (format!("DO $$ BEGIN EXECUTE {drop}; END $$"), "I1"),
        (format!("DELETE FROM pg_statistic_ext_data WHERE stxoid = {statistics}"), "I1"),
        (format!("{journal} \"definition\" = 'another' WHERE \"indexOid\" = {statistics}"), "I1"),
        ("CREATE INDEX more ON app.visit (email)".to_owned(), "I9"),
        ("UPDATE app.visit SET email = '' WHERE id = 5".to_owned(), "I6"),
    ] {
        stage.reset();
        assert!(stage.once(true).well);
        assert_eq!(stage.violations(true), Vec::<String>::new());
        stage.sql(&harm);
        let found = stage.violations(true);
        assert!(found.iter().any(|line| line.starts_with(expected)), "{harm}: {found:?}");
        // What a reset does not know of.
        if harm.contains("DETACH") {
            stage.sql("ALTER TABLE app.part ATTACH PARTITION app.part_1 FOR VALUES IN (1)");
        }
        stage.sql("DROP INDEX IF EXISTS app.more");
    }
}
