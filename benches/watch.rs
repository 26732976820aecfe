//! How often `pgwright verify` is wrong: made-up histories with known truth, judged by the real code.
//!
//! Goals: harmless actions taken back in less than 1 % of all histories, statements that take twice as long missed in
//! less than 10 % at 30 calls a window over 24 windows. Fails where one is missed; harder worlds are only told of.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::process::ExitCode;

use rules::watch::Limits;
use rules::watch::simulation::{Tail, World};

/// Histories of each world; `cargo bench --bench watch -- 500` takes fewer.
const HISTORIES: u32 = 1000;

/// Calls of every statement in a window.
const CALLS: [u32; 4] = [5, 10, 30, 100];

/// What must be so.
#[derive(Clone, Copy)]
enum Goal {
    /// Taken back in less than 1 % of all histories.
    Kept,
    /// Taken back in more than 90 %, at 30 calls a window and more.
    TakenBack,
    /// Only told: harder than the goals ask for.
    None,
}

type Case = (&'static str, Goal, World);

/// Drift of 15 % is what every statement does on its own; 30 % is more than the method is made for.
fn drifting(drift: f64) -> World {
    World { drift, ..World::default() }
}

fn harmless() -> Vec<Case> {
    let (calm, drifting, far) = (World::default(), drifting(0.15), drifting(0.3));
    let day = World { day: 0.4, own_day: 0.4, ..calm.clone() };
    let wandering = |wander, memory| World { wander, memory, ..calm.clone() };
    vec![
        ("nothing happens", Goal::Kept, calm.clone()),
        ("each statement drifts by 15 %", Goal::Kept, drifting.clone()),
        ("30 % more load on everything", Goal::Kept, World { shock: 1.3, ..drifting.clone() }),
        ("twice the load on everything", Goal::Kept, World { shock: 2.0, ..drifting.clone() }),
        (
            "load that lasts (sd 40 %, memory 0.9)",
            Goal::Kept,
            World { load: 0.4, memory: 0.9, ..drifting.clone() },
        ),
        ("the table grows by 50 %", Goal::Kept, World { growth: 1.5, ..drifting.clone() }),
        ("lognormal times", Goal::Kept, World { tail: Tail::Lognormal, ..drifting.clone() }),
        ("Pareto times (shape 1.5)", Goal::Kept, World { tail: Tail::Pareto, ..drifting.clone() }),
        ("a day of its own for each statement", Goal::Kept, day.clone()),
        ("the same, 7 windows after", Goal::Kept, World { windows: (24, 7), ..day.clone() }),
        ("the same, 8 days before, 7 after", Goal::Kept, World { windows: (192, 7), ..day }),
        ("each wanders by 20 % (memory 0.8)", Goal::Kept, wandering(0.2, 0.8)),
        ("1 in the control group", Goal::Kept, World { control: 1, ..drifting.clone() }),
        ("3 in the control group", Goal::Kept, World { control: 3, ..drifting.clone() }),
        ("20 statements concerned", Goal::Kept, World { concerned: 20, ..drifting.clone() }),
        (
            "one of the control group 5 times as slow",
            Goal::Kept,
            World { bystander: 5.0, ..drifting.clone() },
        ),
        (
            "at every look up to 72 windows and the last",
            Goal::Kept,
            World { windows: (24, 72), every_look: true, ..drifting },
        ),
        ("each statement drifts by 30 %", Goal::None, far.clone()),
        ("the same, 3 in the control group", Goal::None, World { control: 3, ..far }),
        ("each wanders by 30 % (memory 0.9)", Goal::None, wandering(0.3, 0.9)),
    ]
}

fn harmful() -> Vec<Case> {
    let (calm, drifting) = (World::default(), drifting(0.15));
    let slower = |effect: f64, world: &World| World { effect, ..world.clone() };
    let both =
        |factor: f64, world: &World| World { effect_on_blocks: factor, ..slower(factor, world) };
    let of = |tail| World { tail, ..slower(2.0, &calm) };
    vec![
        ("10 % slower", Goal::None, both(1.1, &drifting)),
        ("1.5 times as slow", Goal::None, both(1.5, &drifting)),
        ("1.5 times, same blocks, no drift", Goal::None, slower(1.5, &calm)),
        ("twice as slow", Goal::TakenBack, both(2.0, &drifting)),
        (
            "twice as slow, 30 % more load",
            Goal::TakenBack,
            World { shock: 1.3, ..both(2.0, &drifting) },
        ),
        ("twice, same blocks, no drift", Goal::TakenBack, slower(2.0, &calm)),
        ("the same, lognormal times", Goal::TakenBack, of(Tail::Lognormal)),
        ("the same, Pareto times", Goal::TakenBack, of(Tail::Pareto)),
        (
            "the same, 20 statements concerned",
            Goal::None,
            World { concerned: 20, ..slower(2.0, &calm) },
        ),
        (
            "the same, 3 in the control group",
            Goal::None,
            World { control: 3, ..slower(2.0, &calm) },
        ),
        ("the same, a day of its own", Goal::None, World { own_day: 0.4, ..slower(2.0, &calm) }),
        ("twice, same blocks, 15 % drift", Goal::None, slower(2.0, &drifting)),
        ("4 times, same blocks, 15 % drift", Goal::TakenBack, slower(4.0, &drifting)),
    ]
}

/// The share of histories in which the action is taken back, by calls in a window.
fn shares(world: &World, known: bool, histories: u32) -> [f64; CALLS.len()] {
    let share = |calls| {
        let world = World { calls, baseline: known, ..world.clone() };
        world.reverted(histories, 20_261_122 + u64::from(calls), &Limits::default())
    };
    std::thread::scope(|scope| {
        let threads = CALLS.map(|calls| scope.spawn(move || share(calls)));
        threads.map(|thread| thread.join().expect("judging does not panic"))
    })
}

fn main() -> ExitCode {
    let histories = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(HISTORIES);
    println!(
        "share of {histories} histories in which the action is taken back; unless said otherwise 24 windows before and \
         after, 5 statements concerned, 8 in the control group; execution times lognormal (sigma 1), one in a hundred 20 \
         times as long; load of sd 20 % from window to window"
    );
    let mut missed = false;
    for (baseline, known) in [("windows before", true), ("only lives before", false)] {
        println!("\n{baseline:42} {}", CALLS.map(|n| format!("{n:>4} calls")).join(" "));
        for (name, goal, world) in harmless().into_iter().chain(harmful()) {
            let shares = shares(&world, known, histories);
            let bad = CALLS.iter().zip(shares).any(|(calls, share)| match goal {
                Goal::Kept => share >= 0.01,
                Goal::TakenBack => *calls >= 30 && share <= 0.9,
                Goal::None => false,
            });
            missed |= bad && known;
            let mark = if bad { "  <- goal missed" } else { "" };
            println!(
                "{name:42} {}{mark}",
                shares.map(|s| format!("{:>9.1}%", s * 100.0)).join(" ")
            );
        }
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
