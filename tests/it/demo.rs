//! `pgwright demo` does what the project promises, on the clock, and leaves nothing behind.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{binaries, cli_with, say};

/// Whatever the demo's clock says of a statement.
struct Seen<'a>(&'a Value);

impl Seen<'_> {
    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    /// How many times as fast it has become, by the time that a quarter of the calls did not exceed.
    fn factor(&self) -> f64 {
        number(&self.0["before"]["p25_ms"]) / number(&self.0["after"]["p25_ms"])
    }

    /// As the factor, in pages read and in planner cost, which no other program disturbs.
    fn explained(&self) -> Option<(f64, f64)> {
        let of = |what: &str| {
            let figures = self.0["explained"].as_object()?;
            let figure = |side: &str| number(&figures[&format!("{what}_{side}")]);
            Some(figure("before").max(1.0) / figure("after").max(1.0))
        };
        of("pages").zip(of("cost"))
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("no list {key} in {value}"))
}

/// Runs the whole demo once for all that is held against it.
#[test]
fn the_demo_keeps_its_promises() {
    let Some(binaries) = binaries().filter(|found| found.offers("hypopg")) else { return };
    let bin = [("PGWRIGHT_PG_BIN", binaries.bin.to_str().unwrap())];
    let since = Instant::now();
    let args = ["demo", "--scale", "M", "--rollback", "--format", "json"];
    let output = cli_with(&args, &bin, "");
    assert_eq!(output.status, Some(0), "{}\n{}", output.stdout, output.stderr);
    let shown: Value = serde_json::from_str(&output.stdout).unwrap();
    say(&format!("pgwright demo took {:.0} s:\n{}", since.elapsed().as_secs_f64(), table(&shown)));
    statements_are_faster_and_none_is_slower(&shown);
    writing_is_as_fast(&shown);
    controls_get_no_index(&shown);
    everything_was_taken_back(&shown);
}

fn table(shown: &Value) -> String {
    let mut out = String::new();
    for seen in list(shown, "statements").iter().map(Seen) {
        let ms = |side: &str| number(&seen.0[side]["p25_ms"]);
        let calls = &seen.0["before"]["calls"];
        let factors = seen
            .explained()
            .map_or(String::new(), |(pages, cost)| format!(", pages {pages:.2}x, cost {cost:.2}x"));
        out.push_str(&format!(
            "  {:36} {:>9.3} ms {:>9.3} ms {:>8.2}x  ({calls} calls{factors})\n",
            seen.name(),
            ms("before"),
            ms("after"),
            seen.factor(),
        ));
    }
    for key in ["clicks", "entries"] {
        let rate = |side: &str| number(&shown[key][side]);
        let (before, after) = (rate("before"), rate("after"));
        let ratio = after / before;
        out.push_str(&format!("  {key:36} {before:>8.0}/s   {after:>8.0}/s   {ratio:>8.2}x\n"));
    }
    out
}

fn statements_are_faster_and_none_is_slower(shown: &Value) {
    let statements: Vec<Seen<'_>> = list(shown, "statements").iter().map(Seen).collect();
    for (name, least) in [("recent logs of a user", 3.0), ("users of the dark theme", 10.0)] {
        let seen = statements.iter().find(|seen| seen.name() == name).unwrap();
        assert!(seen.factor() >= least, "{name}: only {:.2}x as fast", seen.factor());
        let (pages, _) = seen.explained().unwrap();
        assert!(pages >= least, "{name}: only {pages:.2}x fewer pages");
    }
    for seen in &statements {
        let (name, factor) = (seen.name(), seen.factor());
        // A log entry pays for the new indexes of its table; clicks say how much the application notices.
        if name == "new log entry" {
            continue;
        }
        // The clock alone may be wrong by this much on a busy machine, by less only if the planner agrees.
        assert!(factor > 1.0 / 1.5, "{name}: {factor:.2}x as fast");
        if let (true, Some((pages, cost))) = (factor < 1.0 / 1.1, seen.explained()) {
            assert!(
                pages > 1.0 / 1.1 && cost > 1.0 / 1.1,
                "{name}: slower, {factor:.2}x; pages {pages:.2}x, cost {cost:.2}x"
            );
        }
    }
}

fn writing_is_as_fast(shown: &Value) {
    let ratio = number(&shown["clicks"]["after"]) / number(&shown["clicks"]["before"]);
    assert!(ratio >= 0.9, "clicks: only {ratio:.2} of the rate");
}

fn controls_get_no_index(shown: &Value) {
    let report = &shown["report"];
    let controls = [
        "SELECT * FROM \"User\" WHERE \"id\" =",
        "SELECT * FROM \"BehaviorLog\" WHERE \"id\" =",
        "SELECT count(*), max(\"createdAt\") FROM \"User\" WHERE \"metadata\"->>",
        "SELECT count(*), max(\"createdAt\") FROM \"User\" WHERE \"role\" =",
    ];
    for control in controls {
        let is_control =
            |statement: &&Value| statement["text"].as_str().unwrap().starts_with(control);
        let statement = list(report, "statements").iter().find(is_control);
        let id = &statement.unwrap_or_else(|| panic!("not sampled: {control}"))["id"];
        for action in list(report, "actions") {
            let helps = list(action, "helps").iter().any(|help| help["statement"] == *id);
            assert!(!helps, "an index for {control}: {action:#}");
        }
    }
}

fn everything_was_taken_back(shown: &Value) {
    let applied = list(&shown["applied"], "outcomes");
    assert!(applied.len() >= 2, "{applied:#?}");
    assert!(applied.iter().all(|outcome| outcome["result"] == "applied"), "{applied:#?}");
    let undone = list(&shown["undone"], "outcomes");
    assert_eq!(undone.len(), applied.len());
    for outcome in undone.iter().filter(|outcome| outcome["kind"] == "create_index") {
        assert_eq!(outcome["result"], "undone", "{outcome:#}");
    }
    assert_eq!(shown["undone"]["schema_equal"], true);
}

/// A demo that runs in a folder for temporary files of its own.
struct Running {
    child: Child,
    temporary: tempfile::TempDir,
}

fn command(args: &[&str], temporary: &Path, bin: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgwright"));
    command.arg("demo").args(args).stdin(Stdio::null()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("TMPDIR", temporary).env("PGWRIGHT_PG_BIN", bin);
    command
}

impl Running {
    /// Starts it and waits until it has told this much.
    fn start(args: &[&str], until: &str) -> Option<Self> {
        let bin = binaries()?.bin;
        let temporary = tempfile::tempdir_in("/tmp").unwrap();
        // The server's own user has to pass, where we are root.
        std::fs::set_permissions(temporary.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut demo = command(args, temporary.path(), &bin);
        let mut child = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains(until)), "it ended and did not tell: {until}");
        // Read on, so that it is not held up or ended by a full or closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, temporary })
    }

    /// Processes that have to do with the folder.
    fn processes(&self) -> Vec<String> {
        let folder = self.temporary.path().to_str().unwrap();
        let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        entries
            .filter_map(|entry| {
                let line = std::fs::read(entry.path().join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                line.contains(folder).then_some(line)
            })
            .collect()
    }

    /// Sends a signal and waits for the end; returns the exit code and what stood on stderr.
    fn stop(&mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let since = Instant::now();
        while since.elapsed() < Duration::from_mins(1) {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut stderr = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                return (status.code(), stderr);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().unwrap();
        panic!("still running a minute after SIG{signal}");
    }

    fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.temporary.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn a_demo_that_is_stopped_leaves_no_server_and_no_folder() {
    // While it loads, while it plays, and while it measures.
    for (signal, scale, until) in [
        ("INT", "M", "pgwright demo"),
        ("TERM", "M", "An application"),
        ("INT", "S", "Carried out"),
    ] {
        let Some(mut demo) = Running::start(&["--scale", scale], until) else { return };
        assert!(demo.left().len() == 1 && demo.processes().len() > 1, "{:?}", demo.processes());
        let (code, stderr) = demo.stop(signal);
        assert_eq!(code, Some(130), "{stderr}");
        assert!(stderr.contains("interrupted"), "{stderr}");
        assert_eq!((demo.left(), demo.processes()), (vec![], vec![]), "after SIG{signal}");
    }
}

#[test]
fn a_kept_server_stays_until_a_person_ends_it() {
    let Some(mut demo) = Running::start(&["--scale", "S", "--keep"], "keeps running") else {
        return;
    };
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    let left = demo.left();
    let folder = demo.temporary.path().join(&left[0]);
    let pid = |folder: &Path| {
        let file = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    };
    let server = format!("/proc/{}", pid(&folder));
    assert!(Path::new(&server).exists());
    // A later start, which removes strays, leaves it alone.
    let bin = binaries().unwrap().bin;
    let other = command(&["--scale", "S"], demo.temporary.path(), &bin).output().unwrap();
    assert!(other.status.success(), "{other:?}");
    assert_eq!(demo.left(), left);
    assert!(Path::new(&server).exists());
    assert!(Command::new("kill").args(["-s", "INT", &pid(&folder)]).status().unwrap().success());
    for _ in 0..500 {
        if !Path::new(&server).exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the kept server did not stop");
}
