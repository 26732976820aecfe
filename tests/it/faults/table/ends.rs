//! The run ends early: the program, its connection, its server process or the server is ended.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::ground::{After, CREATE, DROP, Hold, Stage, behaves, pgwright};
use super::{Scenario, quick, slow};
use crate::harness::{Fault, Harm, Killer, Moment, Proxy, Side};

pub(super) const SCENARIOS: &[Scenario] = &[
    quick(1, "SIGKILL at a few messages of the whole run", |stage| killed_anywhere(stage, 60)),
    slow(1, "SIGKILL at messages of the whole run", |stage| {
        killed_anywhere(
            stage,
            std::env::var("PGWRIGHT_FAULT_STEP").map_or(4, |step| step.parse().unwrap()),
        );
    }),
    quick(1, "SIGKILL while the build waits", killed_in_a_build),
    quick(2, "SIGTERM and SIGINT at messages of the run", told_to_stop),
    slow(3, "pg_terminate_backend during the build", |stage| {
        end_backend(stage, "pg_terminate_backend")
    }),
    quick(4, "pg_cancel_backend during the build", |stage| end_backend(stage, "pg_cancel_backend")),
    slow(5, "SIGKILL of the server process: crash recovery", crash),
    slow(6, "immediate stop and start of the server during the build", |stage| {
        restart(stage, true)
    }),
    slow(7, "fast stop and start of the server during the build", |stage| restart(stage, false)),
    slow(8, "connection closed (FIN) at the build", |stage| cut(stage, Harm::Fin)),
    slow(9, "connection reset (RST) at the build", |stage| cut(stage, Harm::Rst)),
    slow(10, "silence of all connections for 10 s at the build", |stage| {
        cut(stage, Harm::Silence(Some(Duration::from_secs(10))));
    }),
    slow(10, "silence of all connections for ever at the build", silent),
    slow(11, "a message 500 ms late", |stage| cut(stage, Harm::Delay(Duration::from_millis(500)))),
    slow(11, "byte by byte", |stage| cut(stage, Harm::Fragments)),
    quick(17, "three runs at once", at_once),
    slow(31, "server killed three times during the rollback", crash_loop),
    slow(36, "agent killed for want of memory (SIGKILL, as the kernel does it)", killed_in_a_build),
];

const DONE: After<'_> =
    After { exits: &[0], tolerated: &[], same_schema: true, same_rows: true, states: "" };

/// What the statements of the application say where the server goes.
const GONE: &[&str] = &["closed", "57P0", "communicating"];

fn killed_in_a_build(stage: &mut Stage<'_>) {
    stage.during(Hold::Writer, &[], |_, killer| killer.kill());
    stage.settle(&DONE);
}

/// Counts the messages of all connections of a whole run, from sampling to the last counters, and kills at a spread of
/// them: at each `step`-th from when the connection that changes things is opened, and at fewer before.
fn killed_anywhere(stage: &mut Stage<'_>, step: usize) {
    let socket = stage.ground.socket.join(format!(".s.PGSQL.{}", stage.ground.port));
    let proxy = Proxy::start(&socket, "pgwright/");
    stage.on = proxy.conninfo(&stage.name);
    assert_eq!(stage.apply(&[]).status, Some(0));
    let seen = proxy.seen();
    let change = seen.iter().position(|message| message.name.starts_with("pgwright/apply"));
    let change = change.unwrap();
    let asked =
        |at: &usize| seen[*at].side == Side::Client && matches!(seen[*at].tag, 'S' | 'Q' | '^');
    let all: Vec<usize> = (0..seen.len()).filter(asked).collect();
    let mut struck = 0;
    let points = all
        .iter()
        .enumerate()
        .filter(|(n, at)| if **at < change { n % (20 * step).min(80) == 0 } else { n % step == 0 });
    let points: Vec<usize> = points.map(|(_, at)| *at).collect();
    for at in &points {
        reset(stage);
        let killer = Killer::default();
        let number = seen[..=*at].iter().filter(|message| message.side == Side::Client).count();
        let harm = Harm::Kill(killer.clone());
        let moment = if at % 2 == 0 { Moment::Before } else { Moment::After };
        proxy.arm(Some(Fault { side: Side::Client, with: "", number, moment, harm }));
        let running = stage.begin(&[], &killer);
        behaves(running.finish());
        struck += usize::from(proxy.struck());
        proxy.arm(None);
        for _ in 0..2 {
            let output = pgwright(&stage.args(&[]), &[]);
            assert_eq!(output.status, Some(0), "killed at message {number}: {output:?}");
        }
        assert_eq!(stage.violations(&DONE), Vec::<String>::new(), "killed at message {number}");
    }
    assert!(struck > 0 && struck * 10 >= points.len() * 9, "{struck} of {}", points.len());
    stage.tell(format!(
        "{} of {} requests tried ({} before anything is changed), killed at {struck}, each time in place after two runs",
        points.len(),
        all.len(),
        all.iter().filter(|at| **at < change).count(),
    ));
    stage.take_back(&DONE);
}

/// Brings the database to where it was before the first run.
fn reset(stage: &Stage<'_>) {
    stage.sql(
        "DROP SCHEMA IF EXISTS pgwright CASCADE; TRUNCATE checker.moves; DO $$ DECLARE i regclass; BEGIN \
         FOR i IN SELECT oid::regclass FROM pg_class WHERE relkind = 'i' AND relname LIKE 'pgw\\_%' LOOP \
         EXECUTE 'DROP INDEX ' || i; END LOOP; END $$",
    );
}

fn told_to_stop(stage: &mut Stage<'_>) {
    stage.through_proxy();
    for (signal, moment) in [("TERM", Moment::Before), ("INT", Moment::After)] {
        let killer = Killer::default();
        let (target, holder) = (killer.clone(), Mutex::new(Some(stage.hold(Hold::Writer))));
        // The build cannot end before the signal was heard: a person's transaction keeps it until then.
        let signal = move || {
            target.signal(signal);
            let holder = holder.lock().unwrap().take();
            // The statement itself is not held up.
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(1500));
                drop(holder);
            });
        };
        stage.arm(CREATE, moment, Harm::Call(Arc::new(signal)));
        let output = behaves(stage.begin(&[], &killer).finish());
        assert!(stage.ground.proxy.struck());
        assert_eq!(output.status, Some(130), "{output:?}");
        stage.note(&output);
        assert_eq!(stage.violations(&DONE), Vec::<String>::new());
    }
    stage.ground.proxy.arm(None);
    stage.settle(&DONE);
}

fn end_backend(stage: &mut Stage<'_>, function: &str) {
    let output = stage.during(Hold::Writer, &[], |stage, _| {
        stage.sql(&format!("SELECT {function}({})", stage.backend()));
    });
    assert!(matches!(output.status, Some(3 | 4)), "{output:?}");
    stage.settle(&DONE);
}

fn crash(stage: &mut Stage<'_>) {
    stage.excused = GONE.to_vec();
    stage.may_wait = true;
    let output = stage.during(Hold::Writer, &[], |stage, _| {
        let pid = stage.backend();
        std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    });
    assert_eq!(output.status, Some(3), "{output:?}");
    stage.settle(&DONE);
}

fn restart(stage: &mut Stage<'_>, kill: bool) {
    stage.excused = GONE.to_vec();
    stage.may_wait = true;
    let output = stage.during(Hold::Writer, &[], |stage, _| stage.ground.restart(kill));
    assert_eq!(output.status, Some(3), "{output:?}");
    stage.settle(&DONE);
}

fn cut(stage: &mut Stage<'_>, harm: Harm) {
    stage.through_proxy();
    stage.arm(CREATE, Moment::After, harm);
    let output = stage.apply(&[]);
    assert!(matches!(output.status, Some(0 | 3 | 4)), "{output:?}");
    assert!(stage.ground.proxy.struck());
    stage.ground.proxy.arm(None);
    stage.settle(&DONE);
}

/// A server that is there and says nothing any more: the run ends by itself. What it was at work on is still locked by
/// a process of the server that cannot know, until somebody follows the advice of the next run.
fn silent(stage: &mut Stage<'_>) {
    stage.through_proxy();
    stage.arm(CREATE, Moment::After, Harm::Silence(None));
    let output = stage.apply(&[]);
    assert_eq!(output.status, Some(3), "{output:?}");
    assert!(output.stderr.contains("fell silent"), "{output:?}");
    stage.ground.proxy.arm(None);
    let output = stage.apply(&["--lock-wait", "1s"]);
    assert_eq!(output.status, Some(5), "{output:?}");
    assert!(output.stderr.contains("pg_terminate_backend"), "{output:?}");
    stage.sql(&format!("SELECT pg_terminate_backend({})", stage.backend()));
    stage.settle(&DONE);
}

fn at_once(stage: &mut Stage<'_>) {
    let killers = [Killer::default(), Killer::default(), Killer::default()];
    let running = killers.each_ref().map(|killer| stage.begin(&["--lock-wait", "1min"], killer));
    for run in running {
        let output = behaves(run.finish());
        assert_eq!(output.status, Some(0), "{output:?}");
        stage.note(&output);
    }
    stage.settle(&After { states: "observing", ..DONE });
}

fn crash_loop(stage: &mut Stage<'_>) {
    stage.excused = GONE.to_vec();
    stage.may_wait = true;
    assert_eq!(stage.apply(&[]).status, Some(0));
    stage.through_proxy();
    for _ in 0..3 {
        let cluster = Arc::clone(&stage.ground.cluster);
        let crash = move || {
            let mut cluster = cluster.lock().unwrap();
            super::ground::wait(cluster.kill()).unwrap();
            super::ground::wait(cluster.restart()).unwrap();
        };
        // A reader of the table keeps the drop from being over before it is struck.
        let holder = stage.hold(Hold::Writer);
        stage.arm(DROP, Moment::After, Harm::Call(Arc::new(crash)));
        let output = pgwright(&["rollback", "--all", "-d", &stage.on], &[]);
        assert_eq!(output.status, Some(3), "{output:?}");
        drop(holder);
        stage.wait_for_server();
        stage.note(&output);
    }
    stage.ground.proxy.arm(None);
    stage.take_back(&DONE);
}
