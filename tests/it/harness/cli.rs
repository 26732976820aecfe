//! Runs the built program as a user's shell would, in a clean environment.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use tempfile::TempDir;

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
pub(crate) fn cli_with(args: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    start(args, variables, input, &Killer::default()).finish()
}

/// Starts `pgwright` with these arguments, environment variables and input. The killer, made before, can end it.
///
/// Nothing of the tester's own settings reaches it: the home folder is empty, and beside `PATH` and where
/// server programs are, only what is given here is in the environment.
pub(crate) fn start(
    args: &[&str],
    variables: &[(&str, &str)],
    input: &str,
    killer: &Killer,
) -> Running {
    let home = tempfile::tempdir().unwrap();
    // Whoever kills waits for this lock, and so until there is something to kill.
    let mut slot = killer.0.lock().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgwright"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // Where the server programs of the version under test are, for planner twins of it.
        .envs(std::env::var_os("PGWRIGHT_SERVERS").map(|folder| ("PGWRIGHT_SERVERS", folder)))
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
    let (stdout, stderr) =
        (read_all(child.stdout.take().unwrap()), read_all(child.stderr.take().unwrap()));
    let args = format!("{args:?}");
    *slot = Some(child);
    Running { killer: killer.clone(), args, writing, stdout, stderr, _home: home }
}

/// A run of the program that is under way.
pub(crate) struct Running {
    killer: Killer,
    args: String,
    writing: JoinHandle<()>,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    _home: TempDir,
}

impl Running {
    /// Waits for its end.
    pub(crate) fn finish(self) -> Output {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.killer.status() {
                break status;
            }
            if since.elapsed() > PATIENCE {
                self.killer.kill();
                panic!("still running: {}\n{}", self.args, self.stderr.join().unwrap());
            }
            sleep(Duration::from_millis(5));
        };
        self.writing.join().unwrap();
        let (stdout, stderr) = (self.stdout.join().unwrap(), self.stderr.join().unwrap());
        Output { status: status.code(), stdout, stderr }
    }
}

/// Ends a run of the program with SIGKILL.
#[derive(Clone, Default)]
pub(crate) struct Killer(Arc<Mutex<Option<Child>>>);

impl Killer {
    /// Ends it, and waits until it is gone.
    pub(crate) fn kill(&self) {
        let mut slot = self.0.lock().unwrap();
        let child = slot.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends it a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.lock().unwrap().as_ref().unwrap().id().to_string();
        // It may have ended by itself meanwhile.
        Command::new("kill").args(["-s", name, &pid]).status().unwrap();
    }

    /// Starts a program that it can end.
    pub(crate) fn start(&self, command: &mut Command) {
        let mut slot = self.0.lock().unwrap();
        *slot = Some(command.spawn().unwrap());
    }

    /// Waits so long for its end.
    pub(crate) fn wait(&self, patience: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < patience {
            if let Some(status) = self.status() {
                return Some(status);
            }
            sleep(Duration::from_millis(5));
        }
        None
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        self.0.lock().unwrap().as_mut().unwrap().try_wait().unwrap()
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

/// The processes of this machine whose command line holds a text, by number; none where there is no `/proc`.
pub(crate) fn processes(text: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let holds = |number: &String| {
        let line = std::fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    };
    numbers.filter(holds).collect()
}
