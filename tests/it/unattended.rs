//! What cron relies on: silence, one line, exit codes, signals, one run at a time, and the files in `examples/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{TestDatabase, cli, cli_with, database_with_hypopg};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// A table without the index that its one statement wants, and a file with that statement.
async fn wanting(db: &TestDatabase, table: &str, rows: u32) -> tempfile::NamedTempFile {
    db.sql(&format!("CREATE TABLE {table} (id int, customer int, note text)")).await;
    let rows = format!(
        "INSERT INTO {table} SELECT g, g * 7919::bigint % 100003, 'n' || g FROM generate_series(1, {rows}) g"
    );
    db.sql(&rows).await;
    db.sql(if db.major() >= 15 {
        "SELECT pg_stat_force_next_flush()"
    } else {
        "SELECT pg_sleep(2)"
    })
    .await;
    db.sql(&format!("VACUUM ANALYZE {table}")).await;
    let file = tempfile::Builder::new().suffix(".sql").tempfile().unwrap();
    let select = format!("SELECT * FROM {table} WHERE customer = 5;\n");
    std::fs::write(file.path(), select.repeat(100)).unwrap();
    file
}

/// The program at work beside the test.
fn start(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pgwright"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_run_with_nothing_to_do_says_nothing_and_one_with_something_one_line() {
    let Some(db) = database_with_hypopg().await else { return };
    let file = wanting(&db, "orders", 200_000).await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let (on, workload) = (db.conninfo(), file.path().to_str().unwrap().to_owned());
    let log_file = log.path().to_str().unwrap();
    let args = [
        "optimize",
        "--apply",
        "--quiet",
        "--what-if",
        "hypopg",
        "-d",
        &on,
        "--workload",
        &workload,
        "--log-file",
        log_file,
    ];
    let first = cli(&args);
    assert_eq!((first.status, first.stderr.as_str()), (Some(0), ""), "{first:?}");
    let line = format!("pgwright in {}: 1 done (create index pgw_", db.name());
    assert!(first.stdout.starts_with(&line) && first.stdout.lines().count() == 1, "{first:?}");
    let second = cli(&args);
    assert_eq!(
        (second.status, second.stdout, second.stderr),
        (Some(0), String::new(), String::new())
    );
    // What is refused is told in one line too, with its exit code.
    db.sql(r#"DELETE FROM pgwright."OptimizationLog""#).await;
    let unknown = cli(&["doctor", "-d", &on]);
    assert!(
        unknown.stdout.contains("indexes and statistics without a row: named as"),
        "{unknown:?}"
    );
    db.sql("DROP SCHEMA pgwright CASCADE").await;
    for args in
        [&args[..], &["log", "-d", &on], &["verify", "-d", &on], &["rollback", "--all", "-d", &on]]
    {
        let lost = cli(args);
        assert_eq!((lost.status, lost.stdout.as_str()), (Some(5), ""), "{args:?}: {lost:?}");
        assert!(lost.stderr.contains("their journal is missing"), "{lost:?}");
    }

    let text = std::fs::read_to_string(log.path()).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(names[..5], ["begin", "proposed", "started", "action", "end"], "{text}");
    let action = &events[3];
    assert_eq!((&action["result"], &action["kind"]), (&"applied".into(), &"create_index".into()));
    assert!(action["log_id"] == 1 && action["bytes"].as_i64().unwrap() > 0, "{action}");
    for line in &events {
        for field in ["time", "pid", "command", "level", "event"] {
            assert!(!line[field].is_null(), "{field} in {line}");
        }
    }
    assert_eq!((&events[4]["exit"], &events[4]["error"]), (&0.into(), &Value::Null));
    let nowhere = cli(&["log", "-d", &on, "--log-file", "/nowhere/at/all"]);
    assert_eq!(nowhere.status, Some(2), "{nowhere:?}");
    assert!(nowhere.stderr.contains("cannot write the log file"), "{nowhere:?}");
    // Where no server is, the last line of the log says so as well.
    let dead = cli(&["optimize", "-d", "host=/nowhere user=x", "--log-file", log_file]);
    let text = std::fs::read_to_string(log.path()).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((dead.status, &last["exit"], &last["level"]), (Some(3), &3.into(), &"error".into()));
}

const BUILDING: &str = "SELECT count(*) FROM pg_stat_progress_create_index WHERE relid = to_regclass('orders') AND phase LIKE 'building index%'";

#[tokio::test]
async fn a_signal_ends_a_run_and_leaves_nothing_half_made() {
    let Some(db) = database_with_hypopg().await else { return };
    let file = wanting(&db, "orders", 3_000_000).await;
    let (on, workload) = (db.conninfo(), file.path().to_str().unwrap().to_owned());
    // Slow enough to be met while it builds.
    db.sql(&format!("ALTER DATABASE {} SET maintenance_work_mem = '1MB'", db.name())).await;
    // Whoever started the tests with nohup has that ignored in all of them.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().any(|line| {
        line.starts_with("SigIgn:") && line.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f'])
    });
    let signals = ["INT", "TERM", "HUP"].into_iter().filter(|one| *one != "HUP" || !ignored);
    for signal in signals {
        let child = start(&[
            "optimize",
            "--apply",
            "--what-if",
            "hypopg",
            "-d",
            &on,
            "--workload",
            &workload,
        ]);
        let since = Instant::now();
        while db.value(BUILDING).await == "0" {
            assert!(since.elapsed() < Duration::from_mins(2), "it never built");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "SIG{signal}: {said}");
        assert!(said.contains("stopping and cleaning up"), "{said}");
        let left = "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass";
        assert_eq!(db.value(left).await, "0", "SIG{signal}");
        let open = "SELECT count(*) FROM pgwright.\"OptimizationLog\" WHERE state <> 'aborted'";
        assert_eq!(db.value(open).await, "0", "SIG{signal}");
    }
}

#[tokio::test]
async fn what_a_run_left_is_finished_though_nothing_can_be_sampled() {
    let Some(db) = database_with_hypopg().await else { return };
    let file = wanting(&db, "orders", 200_000).await;
    let (on, workload) = (db.conninfo(), file.path().to_str().unwrap().to_owned());
    let args = ["optimize", "--apply", "--what-if", "hypopg", "-d", &on, "--workload", &workload];
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let run = move || cli(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let applied = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(applied.status, Some(0), "{applied:?}");
    // As where a text of another database's, with another encoding, makes the view fail.
    db.sql("ALTER VIEW pg_stat_statements RENAME TO gone").await;
    let made = "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'orders'::regclass";
    let name = db.value(made).await;
    for args in [&["optimize", "--apply"][..], &["verify"]] {
        // As a run leaves it that is killed during the build.
        db.sql(&format!(
            "CREATE INDEX IF NOT EXISTS {name} ON orders (customer);
             UPDATE pg_index SET indisvalid = false WHERE indrelid = 'orders'::regclass;
             UPDATE pgwright.\"OptimizationLog\" SET \"state\" = 'applying', \"indexOid\" = NULL, \"definition\" = NULL"
        ))
        .await;
        let on = on.clone();
        let run = move || cli(&[args, &["-d", &on]].concat());
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        assert_eq!(output.status, Some(3), "{output:?}");
        let left = "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass";
        assert_eq!(db.value(left).await, "0", "{args:?}: {output:?}");
    }
}

#[tokio::test]
async fn a_build_ends_with_the_time_that_builds_may_take() {
    let Some(db) = database_with_hypopg().await else { return };
    let file = wanting(&db, "orders", 200_000).await;
    let (on, workload) = (db.conninfo(), file.path().to_str().unwrap().to_owned());
    // A build waits for the end of snapshots of before.
    let other = db.connect().await;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1";
    other.batch_execute(begin).await.unwrap();
    let args = ["optimize", "--apply", "--what-if", "hypopg", "-d", &on, "--workload", &workload];
    let limits = ["--lock-timeout", "1min", "--max-build-time", "2s"];
    let args: Vec<String> = [&args[..], &limits].concat().into_iter().map(str::to_owned).collect();
    let run = move || cli(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(output.status, Some(5), "{output:?}");
    let said = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("have taken all that --max-build-time allows"), "{said}");
    other.batch_execute("ROLLBACK").await.unwrap();
    let left = "SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass";
    assert_eq!(db.value(left).await, "0");
}

/// What a command says on both streams, as one line, with its exit code.
fn said(args: &[&str]) -> (Option<i32>, String) {
    let output = cli(args);
    let said = [output.stdout, output.stderr].join(" ");
    (output.status, said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn a_dry_run_tells_what_apply_would_come_to() {
    let Some(db) = database_with_hypopg().await else { return };
    let on = db.conninfo();
    let file = wanting(&db, "orders", 200_000).await;
    let workload = file.path().to_str().unwrap().to_owned();
    let dry = ["optimize", "--what-if", "hypopg", "-d", &on, "--workload", &workload];
    let apply = [&dry[..], &["--apply"]].concat();
    let set = |what: &str| format!("UPDATE pgwright.\"OptimizationLog\" SET {what}");
    let expect = |args: &[&str], status: i32, words: &[&str]| {
        let (exit, told) = said(args);
        assert_eq!(exit, Some(status), "{args:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{args:?} lacks {word}: {told}");
        }
        told
    };
    let told = expect(&apply, 0, &["judged by `pgwright verify` only"]);
    assert!(told.contains("Carried out 1 of 1"), "{told}");

    // A person removes it, and nobody has looked since.
    let name = db.value("SELECT \"indexName\" FROM pgwright.\"OptimizationLog\"").await;
    db.sql(&format!("DROP INDEX {name}")).await;
    let order = "first `pgwright rollback 1`, which closes that row of the journal, then `pgwright log --unblock 1`";
    expect(&dry, 0, &[order, "would change nothing now either"]);
    expect(&apply, 5, &[order]);
    expect(&["rollback", "1", "-v", "-d", &on], 0, &["statements to the server"]);
    expect(&dry, 0, &["a person took it back on 2", "; pgwright does not try it again before 2"]);
    db.sql(&set("\"verdict\" = NULL, \"blockedUntil\" = 'infinity'")).await;
    expect(
        &dry,
        0,
        &["a person blocked it; pgwright does not try it again; `pgwright log --unblock 1`"],
    );
    expect(&apply, 0, &["None of these actions may be carried out."]);
    expect(&["log", "--unblock", "1", "-d", &on], 0, &[]);
    expect(&dry, 0, &["would carry out 1 of 1"]);

    db.sql("DROP INDEX pgwright.\"OptimizationLog_one_per_action\"").await;
    let changed = "index \"OptimizationLog_one_per_action\" is missing";
    let told = expect(&dry, 0, &["would not begin now: the journal has been changed", changed]);
    assert!(!told.contains("would carry out"), "{told}");
    expect(&apply, 5, &[changed]);
}

/// Rounds of runs at once: two, or as many as `PGWRIGHT_ROUNDS` says.
fn rounds() -> u32 {
    std::env::var("PGWRIGHT_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap())
}

#[tokio::test]
async fn of_ten_runs_at_once_one_does_the_work() {
    let Some(db) = database_with_hypopg().await else { return };
    let on = db.conninfo();
    for round in 0..rounds() {
        let table = format!("round_{round}");
        let file = wanting(&db, &table, 200_000).await;
        let workload = file.path().to_str().unwrap().to_owned();
        let mut children = Vec::new();
        for n in 0..10_u64 {
            // Between 0 and 300 ms, other ones in every round.
            let offset = (u64::from(round) * 7919 + n * 104_729) % 300;
            tokio::time::sleep(Duration::from_millis(offset)).await;
            let wait = ["0s", "1s", "5s", "1min"][(n % 4) as usize];
            children.push(start(&[
                "optimize",
                "--apply",
                "--quiet",
                "--what-if",
                "hypopg",
                "-d",
                &on,
                "--workload",
                &workload,
                "--lock-wait",
                wait,
            ]));
        }
        let mut done = 0;
        for child in children {
            let output =
                tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await;
            let output = output.unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
            match output.status.code() {
                Some(0) => done += usize::from(stdout.contains("1 done")),
                Some(5) => assert!(
                    stderr.contains("another run of pgwright is at work"),
                    "{stdout}{stderr}"
                ),
                other => panic!("{other:?}: {stdout}{stderr}"),
            }
        }
        assert_eq!(done, 1, "round {round}");
        let indexes = format!(
            "SELECT count(*) || ' ' || bool_and(indisvalid) FROM pg_index WHERE indrelid = '{table}'::regclass"
        );
        assert_eq!(db.value(&indexes).await, "1 true", "round {round}");
        let rows = format!(
            "SELECT string_agg(state, ' ') FROM pgwright.\"OptimizationLog\" WHERE \"tableName\" = '{table}'"
        );
        assert_eq!(db.value(&rows).await, "observing", "round {round}");
    }
}

/// The example files that call the program.
const EXAMPLES: &[&str] = &[
    "examples/pgwright.cron",
    "examples/systemd/pgwright@.service",
    "examples/kubernetes/cronjob.yaml",
    "examples/kubernetes/verify.yaml",
];

/// The calls of the program in a file, as words.
fn calls(text: &str) -> Vec<Vec<String>> {
    let words = |line: &str| -> Vec<String> {
        let split = line.split([' ', ',', '[', ']', '`', ')']).filter(|word| !word.is_empty());
        split.map(str::to_owned).collect()
    };
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .map(words)
        .filter_map(|words| {
            let at = words.iter().position(|word| {
                word == "args:" || word.ends_with("bin/pgwright") || word == "pgwright"
            })?;
            // In a crontab the user comes first, and is called the same.
            let at = at + usize::from(words.get(at + 1).is_some_and(|next| next == "pgwright"));
            let call = words[at + 1..].to_vec();
            // systemd puts the command in.
            let call: Vec<String> =
                call.iter().map(|word| word.replace("%i", "optimize")).collect();
            call.first().is_some_and(|first| first.chars().all(char::is_alphabetic)).then_some(call)
        })
        .collect()
}

#[test]
fn the_examples_call_the_program_as_it_is() {
    let (help, own) = (cli(&["--help"]).stdout, cli(&["optimize", "--help"]).stdout);
    for example in EXAMPLES {
        let text = read(example);
        let found = calls(&text);
        assert!(!found.is_empty(), "{example}");
        for call in found {
            let own = cli(&[call[0].as_str(), "--help"]);
            assert_eq!(own.status, Some(0), "{example}: {call:?}");
            for option in call.iter().filter(|word| word.starts_with("--")) {
                assert!(
                    own.stdout.contains(&format!("{option} "))
                        || own.stdout.contains(&format!("{option}\n")),
                    "{example}: {option}"
                );
            }
        }
        // A verified server needs an authority to verify it by.
        assert!(text.contains("PGSSLMODE") && text.contains("PGSSLROOTCERT"), "{example}");
        let variables = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for name in variables.filter(|word| word.starts_with("PGWRIGHT_") && word.len() > 9) {
            let option = format!("--{}", name[9..].to_lowercase().replace('_', "-"));
            assert!(help.contains(&option) || own.contains(&option), "{example}: {name}");
        }
    }
}

#[test]
fn the_units_are_what_systemd_understands() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for name in ["pgwright@.service", "pgwright-optimize.timer", "pgwright-verify.timer"] {
        let text = read(&format!("examples/systemd/{name}"));
        let own = text.replace("/usr/local/bin/pgwright", env!("CARGO_BIN_EXE_pgwright"));
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, own).unwrap();
        units.push(path);
    }
    let service = read("examples/systemd/pgwright@.service");
    for line in [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "LoadCredential=pgpass",
        "SuccessExitStatus=130",
    ] {
        assert!(service.contains(line), "{line}");
    }
    // Where there is no systemd, nobody needs the units.
    let Ok(output) =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units).output()
    else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("pgwright@") || line.contains("pgwright-"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn the_cron_jobs_are_well_formed() {
    well_formed("cronjob.yaml", "optimize");
    well_formed("verify.yaml", "verify");
}

fn well_formed(file: &str, command: &str) {
    let text = read(&format!("examples/kubernetes/{file}"));
    for line in [
        "concurrencyPolicy: Forbid",
        "activeDeadlineSeconds: ",
        "terminationGracePeriodSeconds: ",
        "restartPolicy: Never",
        "secretName: pgwright",
        "runAsNonRoot: true",
    ] {
        assert!(text.contains(line), "{line}");
    }
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        assert!(indent % 2 == 0 && !line.contains('\t'), "{line}");
    }
    // A real parser, where one is at hand.
    let read = "import sys, yaml; job = yaml.safe_load(sys.stdin)['spec']['jobTemplate']['spec']['template']['spec']; \
                print(job['containers'][0]['args'][0])";
    let has = Command::new("python3").args(["-c", "import yaml"]).output();
    if has.is_ok_and(|output| output.status.success()) {
        let mut child = Command::new("python3")
            .args(["-c", read])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), command);
    }
}

#[test]
fn the_page_tells_every_exit_code_and_names_only_what_there_is() {
    let page = read("docs/unattended.md");
    let help = cli(&["--help"]).stdout;
    let codes: BTreeSet<&str> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next().filter(|word| word.parse::<u8>().is_ok()))
        .collect();
    assert_eq!(codes.len(), 7, "{help}");
    for code in codes {
        assert!(page.contains(&format!("| {code} |")), "exit code {code}");
    }
    let every: String = ["optimize", "verify", "log", "rollback", "doctor"]
        .map(|command| cli(&[command, "--help"]).stdout)
        .concat();
    for word in page.split([' ', '`', '\n', '=', ',', '.']).filter(|word| word.starts_with("--")) {
        if word.len() > 2 && word[2..].chars().all(|c| c.is_ascii_lowercase() || c == '-') {
            assert!(help.contains(word) || every.contains(word), "{word}");
        }
    }
}

#[test]
fn a_run_that_nobody_can_serve_ends_with_a_code_of_its_own() {
    let bad = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(bad.path(), "lock-wait = 'soon'").unwrap();
    let config = bad.path().to_str().unwrap();
    for (args, code) in [
        (&["optimize", "--lock-wait", "soon"][..], 2),
        (&["optimize", "--config", config], 2),
        (&["optimize", "--apply", "-d", "host=/nowhere user=x"], 3),
        (&["rollback", "--all", "-d", "host=/nowhere user=x"], 3),
    ] {
        let output = cli_with(args, &[("PGWRIGHT_QUIET", "1")], "");
        assert_eq!(output.status, Some(code), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    }
}
