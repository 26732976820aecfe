//! The table of faults: what may happen to a run that nobody watches, each as a scenario with an application at
//! work beside it and the checker after it.
//!
//! A run here is the program itself: `optimize --apply` until something happens to it, then twice more as cron
//! would, then `rollback --all`. CI does what is quick; `make faults` does all and prints the table
//! (`PGWRIGHT_FAULTS=all`; `PGWRIGHT_FAULT=12` does one).

mod around;
mod cluster;
mod disk;
mod ends;
mod ground;
mod journal;
mod locks;
mod names;
mod people;
mod pooler;
mod roles;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::harness::{binaries, say, skip};
use ground::{Ground, Stage};

/// One fault of the table.
pub(super) struct Scenario {
    /// As in docs/faults.md; a fault can have several scenarios.
    number: u32,
    /// What happens.
    fault: &'static str,
    /// Whether CI does it too.
    quick: bool,
    /// Does it, and looks.
    run: fn(&mut Stage<'_>),
}

/// A line of a list of scenarios.
const fn quick(number: u32, fault: &'static str, run: fn(&mut Stage<'_>)) -> Scenario {
    Scenario { number, fault, quick: true, run }
}

/// One that takes long, or that another test of CI covers.
const fn slow(number: u32, fault: &'static str, run: fn(&mut Stage<'_>)) -> Scenario {
    Scenario { number, fault, quick: false, run }
}

/// What came of it.
struct Line {
    number: u32,
    fault: &'static str,
    times: u32,
    outcome: String,
    statements: u64,
    failed: usize,
    longest: f64,
}

fn wanted(scenario: &Scenario) -> bool {
    match std::env::var("PGWRIGHT_FAULT") {
        Ok(only) => only.split(',').any(|number| number.parse() == Ok(scenario.number)),
        Err(_) => scenario.quick || super::all(),
    }
}

/// How often each scenario is done.
fn times() -> u32 {
    let default = if super::all() { 3 } else { 1 };
    std::env::var("PGWRIGHT_FAULT_TIMES").map_or(default, |times| times.parse().unwrap())
}

/// Does a scenario some times; its line of the table, and what was wrong.
fn perform(ground: &Ground, scenario: &Scenario) -> (Line, Vec<String>) {
    let Scenario { number, fault, run, .. } = *scenario;
    let mut line = Line {
        number,
        fault,
        times: 0,
        outcome: String::new(),
        statements: 0,
        failed: 0,
        longest: 0.0,
    };
    let mut wrong = Vec::new();
    for _ in 0..times() {
        let mut stage = ground.stage("");
        let done = catch_unwind(AssertUnwindSafe(|| run(&mut stage)));
        ground.proxy.arm(None);
        let (told, felt, hurt) = stage.end();
        let mut bad: Vec<String> =
            hurt.into_iter().map(|one| format!("{number} {fault}: {one}")).collect();
        if let Err(panic) = done {
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| panic.downcast_ref::<&str>().map(|&why| why.to_owned()));
            bad.push(format!("{number} {fault}: {}", why.unwrap_or_default()));
        }
        line.times += 1;
        line.statements += felt.statements;
        line.failed += felt.errors.len();
        line.longest = line.longest.max(felt.longest.as_secs_f64());
        line.outcome = if bad.is_empty() { told } else { format!("**VIOLATION** {told}") };
        wrong.extend(bad);
    }
    (line, wrong)
}

fn print(line: &Line) {
    let Line { number, fault, times, outcome, statements, failed, longest } = line;
    say(&format!(
        "| {number} | {fault} | {times} | {outcome} | {statements} / {failed} / {longest:.2} s |"
    ));
}

/// Does the scenarios of a list that are wanted.
fn perform_all(lists: &[&[Scenario]]) {
    let Some(binaries) = binaries() else { return };
    if !binaries.offers("hypopg") {
        // Where a version was chosen by hand its absence is expected.
        if std::env::var_os("PGWRIGHT_TEST_MAJOR").is_none() {
            skip("the server has no HypoPG; `make setup` installs it");
        }
        return;
    }
    let wanted: Vec<&Scenario> =
        lists.iter().copied().flatten().filter(|scenario| wanted(scenario)).collect();
    if wanted.is_empty() {
        return;
    }
    let ground = Ground::start(&binaries);
    let mut wrong = Vec::new();
    say(
        "| no. | fault | times | outcome of the run; of the next two; of the rollback | application: statements / failed / longest |",
    );
    say("|---|---|---|---|---|");
    for scenario in wanted {
        let (line, bad) = perform(&ground, scenario);
        print(&line);
        wrong.extend(bad);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_run_that_ends_early_or_loses_its_server() {
    perform_all(&[ends::SCENARIOS]);
}

#[test]
fn locks_snapshots_and_people_in_the_way() {
    perform_all(&[locks::SCENARIOS, people::SCENARIOS]);
}

#[test]
fn limits_rights_and_room() {
    perform_all(&[roles::SCENARIOS, disk::SCENARIOS]);
}

#[test]
fn journals_triggers_counters_and_clocks() {
    perform_all(&[journal::SCENARIOS, around::SCENARIOS, names::SCENARIOS]);
}

#[test]
fn standbys_copies_and_poolers() {
    perform_all(&[cluster::SCENARIOS, pooler::SCENARIOS]);
}
