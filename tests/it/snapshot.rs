//! A snapshot's file in the place of a server: the same report, from the planner twin alone.

use serde_json::Value;

use crate::harness::{TestDatabase, cli, database, say};

const SCHEMA: &str = "
CREATE TABLE doc (id int PRIMARY KEY, owner int NOT NULL, body jsonb NOT NULL, secret text NOT NULL);
INSERT INTO doc SELECT n, (n::bigint * 7919) % 20000, jsonb_build_object('course', 'c' || n % 5000, 'at', n),
       'whisper' || md5(n::text) FROM generate_series(1, 60000) AS n;
VACUUM ANALYZE doc";

const WORKLOAD: &str = "
SELECT * FROM doc WHERE owner = 77;
SELECT id FROM doc WHERE body @> '{\"course\": \"c77\"}';
SELECT * FROM doc WHERE id = 5;";

struct Case {
    db: TestDatabase,
    folder: tempfile::TempDir,
}

impl Case {
    async fn new() -> Option<Self> {
        let db = database().await?;
        for statement in SCHEMA.split(';') {
            db.sql(statement).await;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("workload.sql"), WORKLOAD).unwrap();
        Some(Self { db, folder })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn take(&self, name: &str, more: &[&str]) -> String {
        let (path, workload, on) = (self.path(name), self.path("workload.sql"), self.db.conninfo());
        let args = ["snapshot", "-d", &on, "--workload", &workload, "-o", &path];
        let output = cli(&[&args[..], more].concat());
        assert_eq!(output.status, Some(0), "{}", output.stderr);
        path
    }
}

fn report(args: &[&str]) -> Value {
    let output = cli(&[&["optimize", "--format", "json"], args].concat());
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

fn created(report: &Value) -> Vec<String> {
    let actions = report["actions"].as_array().unwrap().iter();
    let mut created: Vec<String> =
        actions.filter_map(|action| Some(action["statement"].as_str()?.to_owned())).collect();
    created.sort();
    created
}

#[tokio::test]
async fn the_file_gives_the_report_of_the_server_without_asking_it_to_plan() {
    let Some(case) = Case::new().await else { return };
    let path = case.take("shop.pgwright", &[]);
    let (on, workload) = (case.db.conninfo(), case.path("workload.sql"));
    let mut live = report(&["-d", &on, "--workload", &workload, "--what-if", "twin"]);
    let mut filed = report(&["--snapshot", &path]);
    assert_eq!(live["run"]["what_if"], "twin");
    assert_eq!(filed["run"]["planned_on_server"], 0);
    assert_eq!(live["run"]["planned_on_server"], 0);
    let gin = created(&filed).into_iter().any(|sql| sql.contains("USING gin"));
    assert!(gin, "the twin prices what HypoPG cannot: {filed}");
    // The header may differ: the file is another look at the server.
    for report in [&mut live, &mut filed] {
        report["run"] = Value::Null;
        report["server"] = Value::Null;
    }
    assert_eq!(live, filed);
}

const EVERY_KIND: &str = include_str!("snapshot/roads.sql");

const EVERY_KIND_READ: &str = "
SELECT * FROM kinds.visit WHERE at > '2024-03-01' AND at < '2024-03-02' AND who = 7;
SELECT count(*) FROM kinds.visit WHERE who = 77;
SELECT * FROM kinds.thing WHERE weight > 990;
SELECT label FROM kinds.gadget WHERE volts = 12 AND weight = 3;
SELECT * FROM kinds.customer WHERE lower(mail) = 'c7@example.com';
SELECT id FROM kinds.customer WHERE mood = 'sad' AND born > '1999-01-01';
SELECT * FROM kinds.customer WHERE city = 'c7' AND zip = 7;
SELECT id FROM kinds.customer WHERE twice = 8000;
SELECT id FROM kinds.customer WHERE kinds.tenfold(zip) = 120;
SELECT * FROM kinds.sad WHERE id < 100;
SELECT * FROM kinds.booking WHERE span && int4range(500, 510);
SELECT room FROM kinds.booking WHERE guest = 77;
UPDATE kinds.customer SET born = born WHERE zip = 11;";

#[tokio::test]
async fn both_sources_of_the_schema_give_one_report() {
    let Some(case) = Case::new().await else { return };
    for statement in EVERY_KIND.split(";\n").filter(|sql| !sql.trim().is_empty()) {
        case.db.sql(statement).await;
    }
    std::fs::write(case.folder.path().join("workload.sql"), EVERY_KIND_READ).unwrap();
    let taken = |from: &str| {
        let path = case.take(from, &["--schema-from", from]);
        let mut text = String::new();
        let file = std::fs::File::open(&path).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let by = file["snapshot"]["blueprint"]["written_by"].as_str().unwrap().to_owned();
        (report(&["--snapshot", &path]), by)
    };
    let ((catalogs, ours), (dumped, theirs)) = (taken("catalogs"), taken("pg-dump"));
    assert_eq!(ours, "pgwright");
    if !theirs.starts_with("pg_dump ") {
        return say("SKIPPED: there is no pg_dump of the server's version");
    }
    let statements = catalogs["statements"].as_array().unwrap();
    assert_eq!(statements.len(), EVERY_KIND_READ.matches(';').count());
    for statement in statements {
        assert!(statement["cost"].is_number(), "it has a plan: {statement}");
    }
    assert!(!catalogs["actions"].as_array().unwrap().is_empty());
    for part in ["statements", "actions", "refused"] {
        assert_eq!(catalogs[part], dumped[part], "{part}");
    }
    assert_eq!(catalogs["run"]["notes"], dumped["run"]["notes"]);
}

#[tokio::test]
async fn a_redacted_file_holds_no_value_and_gives_the_same_indexes() {
    let Some(case) = Case::new().await else { return };
    let plain = case.take("plain.pgwright", &[]);
    let redacted = case.take("redacted.pgwright", &["--redact"]);
    let read = |path: &str| {
        let mut text = String::new();
        let file = std::fs::File::open(path).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
        text
    };
    assert!(read(&plain).contains("whisper"));
    let text = read(&redacted);
    assert!(!text.contains("whisper") && !text.contains("c77\\"), "a value is left");
    let strip = |report: &Value| -> Vec<String> {
        created(report)
            .iter()
            .map(|sql| sql.split(" ON ").nth(1).unwrap_or("").to_owned())
            .collect()
    };
    let (plain, redacted) = (report(&["--snapshot", &plain]), report(&["--snapshot", &redacted]));
    assert_eq!(strip(&plain), strip(&redacted));
}

#[tokio::test]
async fn what_cannot_be_combined_with_a_file_is_refused() {
    for more in [&["--apply"][..], &["--workload", "x.sql"], &["--limit", "5"]] {
        let output = cli(&[&["optimize", "--snapshot", "x.pgwright"], more].concat());
        assert_eq!(output.status, Some(2), "{}", output.stderr);
        assert!(output.stderr.contains("cannot be used with"), "{}", output.stderr);
    }
    let output = cli(&["optimize", "--snapshot", "/nowhere/x.pgwright"]);
    assert_eq!(output.status, Some(2));
    assert!(output.stderr.contains("cannot read the snapshot `/nowhere/x.pgwright`"));
}
