//! Workloads out of files that hold none, or hold it badly; results that cannot be written.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{USAGE, behaves, cli, fails_unchanged, succeeds};
use crate::harness::{TestDatabase, database};

/// A folder of input files.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

async fn orders() -> Option<TestDatabase> {
    let db = database().await?;
    db.sql("CREATE TABLE orders (id bigint PRIMARY KEY, customer int, note text)").await;
    db.sql("INSERT INTO orders SELECT g, g % 500, 'n' FROM generate_series(1, 20000) g").await;
    db.sql("ANALYZE orders").await;
    Some(db)
}

#[tokio::test]
async fn a_workload_that_is_none_is_named_with_its_reason() {
    let Some(db) = orders().await else { return };
    let (on, files) = (db.conninfo(), Files::new());
    let ended = "each ended by a semicolon";
    let cases = [
        (
            files.write("prose.sql", "-- about\nthis is prose; and more"),
            &["prose.sql", "line 2", "syntax error at or near \"this\"", ended][..],
        ),
        (files.write("empty.sql", " \n\t\n"), &["empty.sql", "is empty", ended]),
        (files.write("comment.sql", "-- nothing but this"), &["comment.sql", "no SELECT", ended]),
        (
            files.write("utility.sql", "SET a = 1; VACUUM orders;"),
            &["utility.sql", "2 utility statements", ended],
        ),
        (
            files.write("latin1.sql", b"SELECT 1;\nSELECT '\xe9'"),
            &["latin1.sql", "line 2 is not UTF-8", "iconv"],
        ),
        (files.write("nul.sql", "SELECT 1 FROM orders\0 WHERE id = 1"), &["nul.sql", "nul byte"]),
        (
            files.write("open.sql", "SELECT * FROM orders WHERE note = 'open"),
            &["open.sql", "line 1", "unterminated"],
        ),
        (
            files.write(
                "deep.sql",
                format!("SELECT {}1{} FROM orders", "(".repeat(50_000), ")".repeat(50_000)),
            ),
            &["deep.sql", "nested too deeply"],
        ),
        (files.write("folder/notes.txt", "SELECT 1"), &["folder", "holds no .sql file"]),
        (files.write("mixed/a.sql", "SELECT * FROM orders"), &[]),
        (files.write("mixed/b.sql", "prose"), &["b.sql", "syntax error"]),
        (format!("{}/missing.sql", files.path()), &["missing.sql", "No such file"]),
        ("/dev/zero".to_owned(), &["/dev/zero", "more than 64 MiB"]),
    ];
    for (path, words) in cases {
        // A folder stands for the files in it.
        let parent = Path::new(&path).parent().unwrap();
        let path = if path.contains("/folder/") || path.contains("/mixed/") {
            parent
        } else {
            Path::new(&path)
        };
        if !words.is_empty() {
            let args = ["optimize", "--apply", "-d", &on, "--workload", path.to_str().unwrap()];
            fails_unchanged(&db, &args, USAGE, words).await;
        }
    }
}

#[tokio::test]
async fn what_a_file_holds_beside_statements_is_counted_and_named_by_line() {
    let Some(db) = orders().await else { return };
    let (on, files) = (db.conninfo(), Files::new());
    let deep = format!("SELECT {}1{} FROM orders", "(".repeat(50_000), ")".repeat(50_000));
    let text = format!(
        "SELECT * FROM orders WHERE customer = 5;\nSELEKT 1;\nSET work_mem = '1GB';\nSELECT * FROM gone WHERE id = 1;\n\
         {deep};\nSELECT * FROM orders WHERE note = $q$ open"
    );
    let file = files.write("some.sql", text);
    let human = succeeds(&["optimize", "-d", &on, "--workload", &file]);
    let told = human.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "some.sql:2: syntax error at or near \"SELEKT\"",
        "some.sql:5: is nested too deeply",
        "some.sql:6: unterminated",
    ] {
        assert!(told.contains(words), "`{words}` is not in: {told}");
    }
    let report: Value = serde_json::from_str(&succeeds(&[
        "optimize",
        "-d",
        &on,
        "--workload",
        &file,
        "--format",
        "json",
    ]))
    .unwrap();
    assert_eq!(report["run"]["seen"], 6);
    assert_eq!(report["run"]["left_out"]["that do not parse"], 3);
    assert_eq!(report["run"]["left_out"]["utility statements"], 1);
    let gone = report["statements"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["text"].as_str().unwrap().contains("gone"));
    assert!(gone.unwrap()["unanalyzed"].as_str().unwrap().contains("unknown relation gone"));
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_known_before_the_work() {
    let Some(db) = orders().await else { return };
    let (on, files) = (db.conninfo(), Files::new());
    let nowhere = format!("{}/nowhere/x.sql", files.path());
    for path in [nowhere.as_str(), files.path()] {
        let words = ["cannot write", path, "directory"];
        fails_unchanged(&db, &["optimize", "--apply", "-d", &on, "--output", path], USAGE, &words)
            .await;
    }
    // Nothing was asked of any server.
    let at_once = cli(&["optimize", "-d", "host=/nowhere", "--output", &nowhere]);
    assert_eq!(at_once.status, Some(USAGE), "{at_once:?}");
    if Path::new("/dev/full").exists() {
        let args = [
            "-c",
            r#""$0" "$@" > /dev/full"#,
            env!("CARGO_BIN_EXE_pgwright"),
            "optimize",
            "-d",
            &on,
        ];
        let output = Command::new("sh").args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(USAGE), "{said}");
        assert!(
            said.contains("cannot write to stdout") && said.contains("No space left"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let Some(db) = orders().await else { return };
    let on = db.conninfo();
    for format in ["human", "json", "sql"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgwright"))
            .args(["optimize", "-v", "-d", &on, "--format", format])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Closed before anything can have come: the first write fails.
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
        assert_eq!(stderr, "");
    }
    let head = format!("'{}' optimize -d \"$0\" | head -1", env!("CARGO_BIN_EXE_pgwright"));
    let output = Command::new("sh").args(["-c", &head, &on]).output().unwrap();
    let first = String::from_utf8(output.stdout).unwrap();
    assert!(first.starts_with("pgwright ") && first.lines().count() == 1, "{first}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[tokio::test]
async fn an_empty_workload_is_no_error_and_says_what_to_do() {
    let Some(db) = database().await else { return };
    db.sql("SELECT pg_stat_statements_reset(0, oid, 0) IS NULL FROM pg_database WHERE datname = current_database()").await;
    let before = db.value(super::STATE).await;
    for more in [&[][..], &["--apply"], &["--min-calls", "1000000"]] {
        let said = succeeds(&[&["optimize", "-d", &db.conninfo()], more].concat());
        let told = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            told.contains("no statement to optimize: let the application run for a while"),
            "{told}"
        );
        assert!(told.contains("--workload"), "{told}");
    }
    for format in ["json", "sql"] {
        behaves(&cli(&["optimize", "-d", &db.conninfo(), "--format", format]));
    }
    let quiet = cli(&["optimize", "-q", "-d", &db.conninfo()]);
    assert_eq!((quiet.status, quiet.stdout, quiet.stderr), (Some(0), String::new(), String::new()));
    assert_eq!(db.value(super::STATE).await, before);
}
