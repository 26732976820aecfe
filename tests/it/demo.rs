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
    for key in ["clicks", "entries", "entries_unflushed"] {
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
        let more_ms = number(&seen.0["after"]["p25_ms"]) - number(&seen.0["before"]["p25_ms"]);
        // Planning one more index costs a few hundredths of a millisecond, whatever the statement takes.
        if more_ms < 0.05 || factor > 1.0 / 1.1 {
            continue;
        }
        // The clock of a busy machine may be wrong by that much, for what takes less than a scheduler's turn by more;
        // the planner's figures are not.
        let short = number(&seen.0["before"]["p25_ms"]) < 1.0;
        assert!(short || factor > 1.0 / 1.5, "{name}: {factor:.2}x as fast");
        if let Some((pages, cost)) = seen.explained() {
            let same = pages > 1.0 / 1.1 && cost > 1.0 / 1.1;
            assert!(same, "{name}: {factor:.2}x as fast; pages {pages:.2}x, cost {cost:.2}x");
        }
    }
}

fn writing_is_as_fast(shown: &Value) {
    let ratio = number(&shown["clicks"]["after"]) / number(&shown["clicks"]["before"]);
    // The promise is 0.9 and the demo prints what it is; two rates a few seconds apart on a busy machine differ
    // by a tenth by themselves.
    assert!(ratio >= 0.8, "clicks: only {ratio:.2} of the rate");
}

/// No index is said to help a control, also not that for the dark theme, and none is used by one.
fn controls_get_no_index(shown: &Value) {
    let controls = [
        ("user by id", "SELECT * FROM \"User\" WHERE \"id\" ="),
        ("log entry by id", "SELECT * FROM \"BehaviorLog\" WHERE \"id\" ="),
        (
            "count of the light theme",
            "SELECT count(*), max(\"createdAt\") FROM \"User\" WHERE \"metadata\"->>",
        ),
        (
            "count of the students",
            "SELECT count(*), max(\"createdAt\") FROM \"User\" WHERE \"role\" =",
        ),
    ];
    let ids: Vec<&Value> = list(&shown["report"], "statements")
        .iter()
        .filter(|statement| {
            let text = statement["text"].as_str().unwrap();
            controls.iter().any(|(_, control)| text.starts_with(control))
        })
        .map(|statement| &statement["id"])
        .collect();
    assert_eq!(ids.len(), controls.len());
    for action in list(&shown["report"], "actions") {
        let helps = list(action, "helps");
        let control = |help: &Value| ids.iter().any(|id| **id == help["statement"]);
        assert!(!helps.iter().any(control), "{}", action["statement"]);
    }
    for seen in list(shown, "statements").iter().map(Seen) {
        if controls.iter().any(|(name, _)| *name == seen.name()) {
            let (pages, _) = seen.explained().unwrap();
            assert!((0.9..1.1).contains(&pages), "{}: pages {pages:.2}x", seen.name());
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

    /// Folders of servers; what `initdb` made is kept for the next planner twin.
    fn left(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.temporary.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with("pgwright-initdb-")).collect()
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
fn without_server_programs_the_demo_says_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().to_str().unwrap();
    let output = cli_with(&["demo"], &[("PGWRIGHT_PG_BIN", folder)], "");
    assert_eq!(output.status, Some(3), "{output:?}");
    assert!(output.stdout.is_empty(), "{}", output.stdout);
    assert!(
        output.stderr.contains(folder) && output.stderr.contains("initdb"),
        "{}",
        output.stderr
    );
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
