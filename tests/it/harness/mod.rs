//! What the tests stand on: a server, a database per test, and the program itself.

use std::io::Write;

mod cli;
mod proxy;
mod server;

pub(crate) use cli::{Killer, Output, Running, cli, cli_with, processes, start};
pub(crate) use proxy::{Fault, Harm, Moment, Proxy, Side};
pub(crate) use server::{TestDatabase, binaries, database, database_with_hypopg, server};

/// Says that a test was not run; fails instead in continuous integration, where nothing may be
/// skipped unseen.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test must not be skipped here: {reason}");
    let thread = std::thread::current();
    say(&format!("SKIPPED {}: {reason}", thread.name().unwrap_or("a test")));
}

/// Writes to the real standard error, past the test runner's capture.
pub(crate) fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "{text}").unwrap();
}
