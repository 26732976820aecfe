//! How often `pgwright verify` is wrong: made-up histories with known truth, judged by the real code.
//!
//! Goals: harmless actions taken back in less than 1 % of all histories, statements that take twice as long missed in
//! less than 10 % at 30 calls a window over 24 windows. Fails where one is missed.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::process::ExitCode;

use rules::watch::Limits;
use rules::watch::simulation::World;

/// Histories of each world; `cargo bench --bench watch -- 500` takes fewer.
const HISTORIES: u32 = 2000;

/// What must be so.
#[derive(Clone, Copy)]
enum Goal {
    /// Taken back in less than 1 % of all histories.
    Kept,
    /// Taken back in more than 90 %, at 30 calls a window and more.
    TakenBack,
    /// Only told.
    None,
}

fn worlds() -> Vec<(&'static str, Goal, World)> {
    let calm = World::default();
    let drifting = World { drift: 0.15, ..World::default() };
    let slower = |effect: f64, blocks: f64, world: &World| World {
        effect,
        effect_on_blocks: blocks,
        ..world.clone()
    };
    vec![
        ("nothing happens", Goal::Kept, calm.clone()),
        ("each statement drifts by 15 %", Goal::Kept, drifting.clone()),
        ("30 % more load on everything", Goal::Kept, World { shock: 1.3, ..drifting.clone() }),
        ("twice the load on everything", Goal::Kept, World { shock: 2.0, ..drifting.clone() }),
        ("the table grows by 10 %", Goal::Kept, World { growth: 1.1, ..drifting.clone() }),
        ("the table grows by 50 %", Goal::Kept, World { growth: 1.5, ..drifting.clone() }),
        ("10 % slower", Goal::None, slower(1.1, 1.1, &drifting)),
        ("1.5 times as slow", Goal::None, slower(1.5, 1.5, &drifting)),
        ("twice as slow", Goal::TakenBack, slower(2.0, 2.0, &drifting)),
        (
            "twice as slow, 30 % more load",
            Goal::TakenBack,
            slower(2.0, 2.0, &World { shock: 1.3, ..drifting.clone() }),
        ),
        ("twice as slow, same blocks, no drift", Goal::None, slower(2.0, 1.0, &calm)),
        ("twice as slow, same blocks", Goal::None, slower(2.0, 1.0, &drifting)),
        ("4 times as slow, same blocks", Goal::TakenBack, slower(4.0, 1.0, &drifting)),
    ]
}

fn main() -> ExitCode {
    let histories = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(HISTORIES);
    let calls = [5, 10, 30, 100];
    println!(
        "share of {histories} histories in which the action is taken back; 24 windows before and after, 5 statements \
         concerned, 8 in the control group; execution times lognormal (sigma 1), one in a hundred 20 times as long; \
         load of sd 20 % from window to window"
    );
    let mut missed = false;
    for (baseline, known) in [("windows before", true), ("only lives before", false)] {
        println!("\n{baseline:40} {}", calls.map(|n| format!("{n:>4} calls")).join(" "));
        for (name, goal, world) in worlds() {
            let share = |calls| {
                let world = World { calls, baseline: known, ..world.clone() };
                world.reverted(histories, 20_261_122 + u64::from(calls), &Limits::default())
            };
            let shares = calls.map(share);
            let bad = calls.iter().zip(shares).any(|(calls, share)| match goal {
                Goal::Kept => share >= 0.01,
                Goal::TakenBack => *calls >= 30 && share <= 0.9,
                Goal::None => false,
            });
            missed |= bad && known;
            let mark = if bad { "  <- goal missed" } else { "" };
            println!(
                "{name:40} {}{mark}",
                shares.map(|s| format!("{:>9.1}%", s * 100.0)).join(" ")
            );
        }
    }
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
