//! Where the faults of the table happen: a server, a database for each fault, the program itself, and the
//! application beside it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

use super::super::oracle::{Felt, Oracle};
use crate::harness::{Fault, Harm, Killer, Moment, Output, Proxy, Running, Side, cli_with, start};

/// The statement that the program sends to make the index, in the words of the message.
pub(super) const CREATE: &str = "CREATE /* pgwright */ INDEX CONCURRENTLY pgw_";
/// The one that takes it back.
pub(super) const DROP: &str = "DROP /* pgwright */ INDEX CONCURRENTLY";
/// Databases are copies of this one.
const TEMPLATE: &str = "shop";
/// Some 3 MB to sort; a build takes a tenth of a second.
const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, customer int NOT NULL, note text);
INSERT INTO shop.orders SELECT g, g * 7919::bigint % 100003, 'n' || g FROM generate_series(1, 100000) g;
CREATE EXTENSION pg_stat_statements; CREATE EXTENSION hypopg; VACUUM ANALYZE shop.orders";
/// What the application does all the while.
const PLAYED: [&str; 2] = [
    "DELETE FROM shop.orders WHERE id = 1000001; INSERT INTO shop.orders VALUES (1000001, 7, 'a'); \
     UPDATE shop.orders SET note = 'b' WHERE id = 1000001",
    "SELECT note FROM shop.orders WHERE id = 70; SELECT count(*) FROM shop.orders WHERE customer = 9",
];
/// All rows but those of the application and of people.
const ROWS: &str = "SELECT md5(string_agg(o.id || ' ' || o.customer || o.note, '' ORDER BY id)) FROM shop.orders o WHERE id <= 100000";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Our index is being built and waits for a transaction of somebody.
const WAITS: &str = "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%' \
    AND relid = to_regclass('shop.orders')";

/// A server.
pub(super) struct Ground {
    pub(super) cluster: Arc<Mutex<Cluster>>,
    pub(super) bin: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) port: u16,
    pub(super) data: PathBuf,
    /// Counts what the connection says that changes things.
    pub(super) proxy: Proxy,
    pub(super) folder: tempfile::TempDir,
    workload: PathBuf,
}

impl Ground {
    pub(super) fn start(binaries: &Binaries) -> Self {
        let settings = [
            ("autovacuum", "off"),
            ("maintenance_work_mem", "1MB"),
            ("max_parallel_maintenance_workers", "0"),
            ("max_prepared_transactions", "4"),
            ("max_connections", "60"),
            ("pg_stat_statements.max", "100"),
            ("wal_keep_size", "64MB"),
        ];
        let options = ClusterOptions {
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            preload: vec!["pg_stat_statements".to_owned()],
            keep_template: true,
            ..ClusterOptions::default()
        };
        let cluster = wait(Cluster::start(binaries, options)).unwrap();
        let (socket, port) = (cluster.socket_dir(), cluster.port());
        let folder = tempfile::tempdir().unwrap();
        let workload = folder.path().join("workload.sql");
        let wanted = "SELECT * FROM shop.orders WHERE customer = 5;\n";
        std::fs::write(&workload, wanted.repeat(100)).unwrap();
        let ground = Self {
            bin: cluster.binaries().bin.clone(),
            data: cluster.data_dir(),
            cluster: Arc::new(Mutex::new(cluster)),
            proxy: Proxy::start(&socket.join(format!(".s.PGSQL.{port}")), "pgwright/apply"),
            socket,
            port,
            folder,
            workload,
        };
        ground.sql("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
        ground.sql(TEMPLATE, SHOP);
        ground.sql(TEMPLATE, include_str!("../../../checker/install.sql"));
        ground
    }

    pub(super) fn program(&self, name: &str, database: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.arg("-h").arg(&self.socket).args(["-p", &self.port.to_string()]);
        command.args(["-U", "postgres", "-d", database]);
        command
    }

    /// Runs statements, each for itself, or tells what the server said.
    pub(super) fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), sql).unwrap();
        let mut psql = self.program("psql", database);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file.path());
        let output = psql.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    pub(super) fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql).unwrap_or_else(|error| panic!("{error}\nin: {sql}"))
    }

    pub(super) fn dump(&self, database: &str) -> String {
        let mut dump = self.program("pg_dump", database);
        let output = dump.args(["-s", "-N", "pgwright", "-N", "checker"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let dump = String::from_utf8(output.stdout).unwrap();
        // Later minor versions put a random key around the dump.
        dump.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// A new database with an application at work in it.
    pub(super) fn stage(&self, place: &str) -> Stage<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("shop_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} {place}"));
        let direct = format!(
            "host={} port={} user=postgres dbname={name}",
            self.socket.display(),
            self.port
        );
        let mut stage = Stage {
            ground: self,
            rows: self.sql(&name, ROWS),
            schema: self.dump(&name),
            oracle: None,
            on: direct.clone(),
            direct,
            name,
            told: Vec::new(),
            excused: Vec::new(),
            may_wait: false,
            workload: self.workload.clone(),
        };
        stage.oracle = Some(Oracle::start(&stage.direct, PLAYED));
        stage
    }

    /// Kills the server, or stops it in good order, and starts it again.
    pub(super) fn restart(&self, kill: bool) {
        let mut cluster = self.cluster.lock().unwrap();
        if kill {
            wait(cluster.kill()).unwrap();
        }
        wait(cluster.restart()).unwrap();
    }
}

/// One fault: its database, and what comes of it.
pub(super) struct Stage<'a> {
    pub(super) ground: &'a Ground,
    pub(super) name: String,
    /// How the test reaches the database.
    pub(super) direct: String,
    /// How the program does.
    pub(super) on: String,
    pub(super) workload: PathBuf,
    oracle: Option<Oracle>,
    rows: String,
    schema: String,
    /// What happened, for the table.
    told: Vec<String>,
    /// What the application's errors may say, since the fault itself makes them.
    pub(super) excused: Vec<&'static str>,
    /// Whether the fault itself makes the application wait.
    pub(super) may_wait: bool,
}

/// What a person's open transaction is, for which a build has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// One that has written to the table: the build waits before it reads.
    Writer,
    /// One with an old snapshot: the build waits after all its work.
    Snapshot,
}

/// What must hold once the fault is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct After<'a> {
    /// Exit codes with which the next runs, and the rollback, may end.
    pub(super) exits: &'a [i32],
    /// Beginnings of what the checker may find, where a person has had a hand in it.
    pub(super) tolerated: &'a [&'a str],
    /// Whether the schema is the one before, once all is taken back.
    pub(super) same_schema: bool,
    /// Whether no row of the application was lost or changed.
    pub(super) same_rows: bool,
    /// How the journal's rows stand before they are taken back; empty where that is left open.
    pub(super) states: &'a str,
}

impl Default for After<'_> {
    fn default() -> Self {
        Self { exits: &[0], tolerated: &[], same_schema: true, same_rows: true, states: "" }
    }
}

impl Stage<'_> {
    pub(super) fn sql(&self, sql: &str) -> String {
        self.ground.sql(&self.name, sql)
    }

    pub(super) fn tell(&mut self, what: impl Into<String>) {
        self.told.push(what.into());
    }

    /// Has the program reach the database through the proxy, where harm is done at a message.
    pub(super) fn through_proxy(&mut self) {
        self.on = self.ground.proxy.conninfo(&self.name);
    }

    /// Does harm at a statement, when it is on its way or when the server has it.
    pub(super) fn arm(&self, with: &'static str, moment: Moment, harm: Harm) {
        let fault = Fault { side: Side::Client, with, number: 1, moment, harm };
        self.ground.proxy.arm(Some(fault));
    }

    pub(super) fn args<'s>(&'s self, more: &[&'s str]) -> Vec<&'s str> {
        let workload = self.workload.to_str().unwrap();
        let usual = ["optimize", "--apply", "--what-if", "hypopg", "-d", &self.on, "--workload"];
        [&usual, &[workload][..], more].concat()
    }

    /// Has the program optimize and apply; tells how it ended and how the journal stands.
    pub(super) fn apply(&mut self, more: &[&str]) -> Output {
        let output = pgwright(&self.args(more), &[]);
        self.note(&output);
        output
    }

    pub(super) fn note(&mut self, output: &Output) {
        let mut code = output.status.map_or("killed".to_owned(), |code| format!("exit {code}"));
        if let (Some(3), Some(said)) = (output.status, output.stderr.lines().next()) {
            code = format!("{code} ({})", said.trim_start_matches("error: "));
        }
        let states = self.states();
        self.tell(if states.is_empty() { code } else { format!("{code}, {states}") });
    }

    /// The states of the journal's rows; none where there is no journal.
    pub(super) fn states(&self) -> String {
        let sql =
            "SELECT string_agg(\"state\", ' ' ORDER BY \"id\") FROM pgwright.\"OptimizationLog\"";
        self.ground.try_sql(&self.name, sql).unwrap_or_default()
    }

    /// The schema as it is now is what everything taken back must lead to.
    pub(super) fn as_before_is_now(&mut self) {
        self.schema = self.ground.dump(&self.name);
    }

    /// Starts the program.
    pub(super) fn begin(&self, more: &[&str], killer: &Killer) -> Running {
        start(&self.args(more), &[], "", killer)
    }

    /// Has the program apply, keeps its build waiting, and meanwhile does this.
    pub(super) fn during(
        &mut self,
        hold: Hold,
        more: &[&str],
        act: impl FnOnce(&mut Self, &Killer),
    ) -> Output {
        let holder = self.hold(hold);
        let killer = Killer::default();
        let running = self.begin(more, &killer);
        self.wait_until(WAITS, &killer);
        act(self, &killer);
        // Where the server has gone meanwhile, so has what it held.
        let _ = holder.sql("ROLLBACK");
        drop(holder);
        let output = behaves(running.finish());
        self.note(&output);
        output
    }

    /// A transaction of a person that keeps a build waiting.
    pub(super) fn hold(&self, hold: Hold) -> Person {
        let holder = Person::new(&self.direct);
        let sql = match hold {
            Hold::Writer => "BEGIN; INSERT INTO shop.orders VALUES (2000000, 1, 'held')",
            Hold::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1",
        };
        holder.sql(sql).unwrap();
        holder
    }

    /// Waits until a query has a row.
    pub(super) fn wait_until(&self, sql: &str, killer: &Killer) {
        let since = Instant::now();
        while self.sql(sql).is_empty() {
            assert!(killer.status().is_none(), "the program has ended before: {sql}");
            assert!(since.elapsed() < PATIENCE, "never came: {sql}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The process of the program's connection that changes things.
    pub(super) fn backend(&self) -> String {
        self.sql("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pgwright/apply%' AND datname = current_database()")
    }

    /// Waits until the server takes connections: it may be recovering from a crash.
    pub(super) fn wait_for_server(&self) {
        let since = Instant::now();
        while let Err(error) = self.ground.try_sql(&self.name, "SELECT 1") {
            assert!(since.elapsed() < PATIENCE, "{error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What the checker finds, but for what is tolerated.
    pub(super) fn violations(&self, after: &After<'_>) -> Vec<String> {
        let found = self.sql(include_str!("../../../checker/check.sql"));
        let tolerated = |line: &&str| !after.tolerated.iter().any(|text| line.starts_with(text));
        let mut found: Vec<String> = found.lines().filter(tolerated).map(str::to_owned).collect();
        if after.same_rows && self.sql(ROWS) != self.rows {
            found.push("I6: rows of the application's table have changed".to_owned());
        }
        found
    }

    /// The fault is over: two further runs, the checker, everything taken back, the checker, and the schema.
    pub(super) fn settle(&mut self, after: &After<'_>) {
        self.wait_for_server();
        for _ in 0..2 {
            let output = self.apply(&[]);
            assert!(output.status.is_some_and(|code| after.exits.contains(&code)), "{output:?}");
        }
        assert_eq!(self.violations(after), Vec::<String>::new(), "{:?}", self.journal());
        if !after.states.is_empty() {
            assert_eq!(self.states(), after.states);
        }
        self.take_back(after);
    }

    /// Takes everything back, and looks whether all is as before.
    pub(super) fn take_back(&mut self, after: &After<'_>) {
        let output = pgwright(&["rollback", "--all", "-d", &self.on], &[]);
        self.note(&output);
        assert!(output.status.is_some_and(|code| after.exits.contains(&code)), "{output:?}");
        assert_eq!(self.violations(after), Vec::<String>::new(), "{:?}", self.journal());
        if after.same_schema {
            self.has_the_schema_of_before();
        }
    }

    pub(super) fn journal(&self) -> String {
        let sql = "SELECT \"id\", \"kind\", \"state\", \"attempts\", \"lastError\", \"note\" FROM pgwright.\"OptimizationLog\"";
        self.ground.try_sql(&self.name, sql).unwrap_or_default()
    }

    /// I9, told by the lines that differ.
    fn has_the_schema_of_before(&self) {
        let now = self.ground.dump(&self.name);
        let more = |one: &str, other: &str| -> Vec<String> {
            one.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect()
        };
        assert!(
            now == self.schema,
            "I9: more {:?}, less {:?}",
            more(&now, &self.schema),
            more(&self.schema, &now)
        );
    }

    /// Nothing was made or written down.
    pub(super) fn is_untouched(&self) {
        self.has_the_schema_of_before();
        assert_eq!(self.states(), "");
    }

    /// Ends it: what happened, and what the application felt.
    pub(super) fn end(mut self) -> (String, Felt, Vec<String>) {
        let felt = self.oracle.take().map(Oracle::stop).unwrap_or_default();
        let hurt = felt.hurt(&self.excused, self.may_wait);
        let dropped = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // One that is left is gone with its server.
        let _ = self.ground.try_sql("postgres", &dropped);
        (self.told.join("; "), felt, hurt)
    }
}

/// Runs the program; it must neither hang, nor be at fault, nor panic.
pub(super) fn pgwright(args: &[&str], variables: &[(&str, &str)]) -> Output {
    behaves(cli_with(args, variables, ""))
}

/// Holds a run to what is expected of every run.
pub(super) fn behaves(output: Output) -> Output {
    let Output { status, stdout, stderr } = &output;
    assert!(status.is_none_or(|code| code != 70), "{output:?}");
    assert!(!stdout.contains("panicked") && !stderr.contains("panicked"), "{output:?}");
    output
}

/// A person at a prompt, whose transaction stays open.
pub(super) struct Person {
    runtime: Runtime,
    client: Client,
}

impl Person {
    pub(super) fn new(conninfo: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(conninfo, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    pub(super) fn sql(&self, sql: &str) -> Result<(), String> {
        let done = self.runtime.block_on(self.client.batch_execute(sql));
        done.map_err(|error| error.as_db_error().map_or(error.to_string(), ToString::to_string))
    }
}

/// Waits for something asynchronous in a thread that has no runtime.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
