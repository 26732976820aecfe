//! Runs the built program as a user's shell would, in a clean environment.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// Longer than any command takes, so that a hang is a failure and not a stalled run.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a run of the program ended.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; none when a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `pgwright` with these arguments, no input and a clean environment.
pub(crate) fn cli(args: &[&str]) -> Output {
    cli_with(args, &[], "")
}

/// Runs `pgwright` with these arguments, environment variables and input.
///
/// Nothing of the tester's own settings reaches it: the home folder is empty, and beside `PATH`
/// only what is given here is in the environment.
pub(crate) fn cli_with(args: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgwright"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .envs(variables.iter().copied())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // A program that ends without reading its input is no failure of the test.
    let writing = spawn(move || drop(stdin.write_all(input.as_bytes())));
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("still running: {args:?}\n{}", stderr.join().unwrap());
        }
        sleep(Duration::from_millis(5));
    };
    writing.join().unwrap();
    Output { status: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}
