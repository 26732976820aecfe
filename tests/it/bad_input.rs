//! What goes wrong around the program, and how it behaves then: it names the cause and the next step, ends
//! with the documented exit code, leaves the server as it was, and neither panics nor hangs nor tells a password.

mod files;
mod losses;
mod obstacles;
mod options;
mod plans;
mod privileges;
mod relay;
mod servers;
mod statements;

use agent::cluster::{Cluster, ClusterOptions};
use tokio_postgres::{Client, NoTls};

use crate::harness::{Output, TestDatabase, binaries, cli, cli_with};

/// The password of every connection here. Nothing may ever print it.
const CANARY: &str = "c4nary";

/// The exit codes of `pgwright --help`.
const USAGE: i32 = 2;
const CONNECTION: i32 = 3;
const REFUSED: i32 = 5;

/// Holds a run to what is expected of every run, whatever goes wrong.
#[track_caller]
fn behaves(output: &Output) {
    let Output { status, stdout, stderr } = output;
    assert!(status.is_some_and(|code| code != 70), "{output:?}");
    for text in [stdout, stderr] {
        for fault in ["panicked", "internal error", "RUST_BACKTRACE", "stack overflow", CANARY] {
            assert!(!text.contains(fault), "{fault} in: {text}");
        }
        assert!(!text.contains(['\u{1b}', '\u{7}']), "control characters in: {text:?}");
    }
}

/// Holds a failed run to its exit code and to these words about cause and next step.
#[track_caller]
fn fails_with(output: &Output, code: i32, words: &[&str]) {
    behaves(output);
    assert_eq!(output.status, Some(code), "{output:?}");
    assert_eq!(output.stdout, "", "the result of a failed run");
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    // What is wrapped at the terminal's width is still one sentence.
    let told = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in words {
        assert!(told.contains(word), "`{word}` is not in: {told}");
    }
}

/// Runs the program, which must fail so.
#[track_caller]
fn fails(args: &[&str], code: i32, words: &[&str]) {
    fails_with(&cli(args), code, words);
}

/// Runs the program, which must succeed, and returns what it printed.
#[track_caller]
fn succeeds(args: &[&str]) -> String {
    let output = cli(args);
    behaves(&output);
    assert_eq!(output.status, Some(0), "{output:?}");
    output.stdout
}

/// Runs the program beside this test, which goes on meanwhile.
async fn running(args: &[&str]) -> Output {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let run = move || cli(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// A private server of one test with this set-up; none, said loudly, without server programs.
async fn cluster(preload: &[&str], settings: &[(&str, &str)], tcp: bool) -> Option<Cluster> {
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let options = ClusterOptions {
        settings: settings.iter().chain(&[("autovacuum", "off")]).map(own).collect(),
        preload: preload.iter().map(|&name| name.to_owned()).collect(),
        tcp,
        keep_template: true,
        ..ClusterOptions::default()
    };
    Some(Cluster::start(&binaries()?, options).await.unwrap())
}

async fn client(conninfo: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.unwrap();
    // It ends with the client; a broken connection shows in the client's own error.
    tokio::spawn(connection);
    client
}

/// Runs statements one by one, as an application does.
async fn run(client: &Client, statements: &[&str]) {
    for statement in statements {
        let done = client.simple_query(statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
}

/// A table that lacks an index on `customer`, and an application that asks for it.
const SHOP: &[&str] = &[
    "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
    "DO $$ BEGIN IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hypopg') THEN
        CREATE EXTENSION IF NOT EXISTS hypopg; END IF; END $$",
    "CREATE TABLE orders (id bigint PRIMARY KEY, customer int, note text)",
    "INSERT INTO orders SELECT g, g % 5000, 'n' || g FROM generate_series(1, 200000) g",
    // Counters are handed in at most once a second; these must not come after those of ANALYZE.
    "SELECT pg_sleep(1.1)",
    "VACUUM ANALYZE orders",
    // PostgreSQL 14 answers from a file that may be half a second old.
    "SELECT pg_sleep(0.6)",
];

async fn shop(client: &Client) {
    run(client, SHOP).await;
    for customer in 0..60 {
        run(client, &[&format!("SELECT * FROM orders WHERE customer = {customer}")]).await;
    }
}

/// Everything that a run could have made, changed or dropped.
const STATE: &str = "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM (
    SELECT format('%s %s %s %s %s', n.nspname, c.relname, c.relkind, c.reltuples, i.indisvalid) AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_') AS everything";

async fn state(client: &Client) -> String {
    client.query_one(STATE, &[]).await.unwrap().get(0)
}

/// Runs the program on a database, which must fail so and leave everything as it is.
async fn fails_unchanged(db: &TestDatabase, args: &[&str], code: i32, words: &[&str]) {
    let before = db.value(STATE).await;
    fails(args, code, words);
    assert_eq!(db.value(STATE).await, before, "{args:?} changed something");
}
