//! The server, its tables, the plan, and the checker.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use agent::cluster::{Binaries, Cluster, ClusterOptions};
use rules::change_plan::{
    Action, ChangePlan, Impact, Operation, TableRef, action_key, index_name, statistics_name,
};
use rules::evidence::Confidence;
use rules::index::{IndexDefinition, Key, Term};
use rules::partitions::{Branch, Part};
use rules::reach::Reach;
use rules::snapshot::Index;
use rules::statistics::{StatisticsDefinition, StatisticsKind};
use serde_json::Value;

use super::runs::{self, Ended};
use crate::harness::{Fault, Harm, Killer, Proxy};

/// The applier's connection that changes things begins like this. The one that watches sends by the clock, and
/// points counted over both would not come again.
const COUNTED: &str = "pgwright/apply";
/// What the application beside it does.
pub(super) const PLAYED: [&str; 2] = [
    "INSERT INTO app.\"Log\" (id, \"userId\") VALUES (1000001, 7); \
     UPDATE app.\"Log\" SET email = 'x' WHERE id = 1000001; DELETE FROM app.\"Log\" WHERE id = 1000001",
    "SELECT count(*) FROM app.\"Log\" WHERE \"userId\" = 7; SELECT email FROM app.visit WHERE id = 3",
];
/// What tells the plan's duplicate: dropping it must bring all of this back.
const TABLES: &str = r#"CREATE SCHEMA app;
CREATE TABLE app."Log" (id bigint PRIMARY KEY, "userId" int NOT NULL, "timestamp" timestamptz, email varchar(80))
    WITH (autovacuum_enabled = off);
INSERT INTO app."Log" SELECT n, n % 100, timestamptz '2026-01-01' + n * interval '1 s', 'u' || n FROM generate_series(1, 3000) n;
CREATE TABLE app.visit (id int PRIMARY KEY, email text) WITH (autovacuum_enabled = off);
INSERT INTO app.visit SELECT n, 'u' || n FROM generate_series(1, 2000) n;
CREATE TABLE app.part (id int, "userId" int) PARTITION BY LIST (id);
CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES IN (1) WITH (autovacuum_enabled = off);
CREATE TABLE app.part_2 PARTITION OF app.part FOR VALUES IN (2) PARTITION BY HASH ("userId");
CREATE TABLE app."part 2a" PARTITION OF app.part_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0) WITH (autovacuum_enabled = off);
INSERT INTO app.part SELECT 1 + n % 2, n FROM generate_series(1, 2000) n;
CREATE INDEX stays ON app.visit (lower(email));
CREATE INDEX "It goes" ON app.visit (lower(email));
COMMENT ON INDEX app."It goes" IS 'a comment with ''quotes''';
ALTER INDEX app."It goes" ALTER COLUMN 1 SET STATISTICS 500"#;
/// Puts the database back to where it was before the first run.
const RESET: &str = r#"DROP SCHEMA IF EXISTS pgwright CASCADE; TRUNCATE checker.moves;
DO $$ DECLARE i regclass; BEGIN
  FOR i IN SELECT c.oid::regclass FROM pg_class c
           WHERE c.relkind IN ('i', 'I') AND NOT c.relispartition AND c.relname LIKE 'pgw\_%' LOOP
    EXECUTE 'DROP INDEX ' || i;
  END LOOP;
END $$;
DO $$ DECLARE s text; BEGIN
  FOR s IN SELECT format('app.%I', stxname) FROM pg_statistic_ext WHERE stxname LIKE 'pgw\_%' LOOP
    EXECUTE 'DROP STATISTICS ' || s;
  END LOOP;
END $$;
DROP INDEX IF EXISTS app."It goes";
CREATE INDEX "It goes" ON app.visit (lower(email));
COMMENT ON INDEX app."It goes" IS 'a comment with ''quotes''';
ALTER INDEX app."It goes" ALTER COLUMN 1 SET STATISTICS 500"#;
/// All rows but those of the application beside it.
const ROWS: &str = r#"SELECT md5(string_agg(l::text, '' ORDER BY id)) FROM app."Log" l WHERE id <= 1000000
UNION ALL SELECT md5(string_agg(v::text, '' ORDER BY id)) FROM app.visit v
UNION ALL SELECT md5(string_agg(p::text, '' ORDER BY "userId")) FROM app.part p"#;
/// What the plan and its undo change, for servers without a `pg_dump` of their version.
const SCHEMA: &str = r"SELECT n.nspname, c.relname, c.relkind, pg_get_indexdef(c.oid), i.indisvalid, c.reloptions,
    obj_description(c.oid, 'pg_class'), (SELECT array_agg(a.attstattarget ORDER BY a.attnum)
                                         FROM pg_attribute a WHERE a.attrelid = c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE n.nspname IN ('app', 'public') AND c.relname <> 'pg_stat_statements' ORDER BY 1, 2;
SELECT stxname, pg_get_statisticsobjdef(oid) FROM pg_statistic_ext ORDER BY 1";

pub(super) struct Stage {
    cluster: Arc<Mutex<Cluster>>,
    bin: PathBuf,
    socket: PathBuf,
    port: u16,
    pub(super) proxy: Proxy,
    killer: Killer,
    folder: tempfile::TempDir,
    rows: String,
    /// The schema as `pg_dump` prints it, before the plan and with it carried out.
    schema: [String; 2],
}

impl Stage {
    pub(super) fn start(binaries: &Binaries) -> Self {
        let options = ClusterOptions { keep_template: true, ..ClusterOptions::default() };
        let cluster = wait(Cluster::start(binaries, options)).unwrap();
        let (socket, port) = (cluster.socket_dir(), cluster.port());
        let proxy = Proxy::start(&socket.join(format!(".s.PGSQL.{port}")), COUNTED);
        let mut stage = Self {
            bin: cluster.binaries().bin.clone(),
            cluster: Arc::new(Mutex::new(cluster)),
            socket,
            port,
            proxy,
            killer: Killer::default(),
            folder: tempfile::tempdir().unwrap(),
            rows: String::new(),
            schema: [String::new(), String::new()],
        };
        stage.sql(TABLES);
        stage.sql(include_str!("../../checker/install.sql"));
        stage.reset();
        stage.rows = stage.sql(ROWS);
        stage.schema[0] = stage.dump();
        assert!(stage.once(true).well);
        stage.schema[1] = stage.dump();
        assert_ne!(stage.schema[0], stage.schema[1]);
        stage.reset();
        assert_eq!(stage.violations(false), Vec::<String>::new(), "the stage itself is sound");
        stage
    }

    /// What ends the run that is started next.
    pub(super) fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// Ends the applier's server processes with this signal.
    pub(super) fn end_backends(&self, signal: &'static str) -> Harm {
        let find = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pgwright/apply%'";
        let mut psql = self.program("psql");
        psql.args(["-X", "-A", "-t", "-c", find]);
        let psql = Mutex::new(psql);
        Harm::Call(Arc::new(move || {
            let found = psql.lock().unwrap().output().unwrap();
            for pid in String::from_utf8(found.stdout).unwrap().lines() {
                // It may have ended by itself meanwhile.
                Command::new("kill").args(["-s", signal, pid]).status().unwrap();
            }
        }))
    }

    /// Kills the whole server and starts it again.
    pub(super) fn restart(&self) -> Harm {
        let cluster = Arc::clone(&self.cluster);
        Harm::Call(Arc::new(move || {
            let mut cluster = cluster.lock().unwrap();
            wait(cluster.kill()).unwrap();
            wait(cluster.restart()).unwrap();
        }))
    }

    /// Runs the plan, or its undo, without harm.
    pub(super) fn once(&self, forward: bool) -> Ended {
        self.harmed(forward, None)
    }

    /// Runs the plan, or its undo.
    pub(super) fn harmed(&self, forward: bool, fault: Option<Fault>) -> Ended {
        self.proxy.arm(fault);
        let plan = self.plan_file();
        let plan = forward.then_some(plan.as_path());
        runs::run(
            &self.proxy.conninfo("postgres"),
            plan,
            &self.killer,
            &self.folder.path().join("said"),
        )
    }

    /// Brings the database to where it was before the first run, and makes the plan for it.
    pub(super) fn reset(&self) {
        self.wait_for_server();
        self.sql(RESET);
        let plan = serde_json::to_string(&self.plan()).unwrap();
        std::fs::write(self.plan_file(), plan).unwrap();
    }

    /// Waits until the server takes connections: it may be recovering from a crash.
    pub(super) fn wait_for_server(&self) {
        let since = std::time::Instant::now();
        loop {
            let asked = self.program("psql").args(["-X", "-q", "-c", "SELECT 1"]).output().unwrap();
            if asked.status.success() {
                return;
            }
            assert!(since.elapsed().as_secs() < 60, "{}", String::from_utf8_lossy(&asked.stderr));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// What the checker finds wrong, once the plan is carried out or is taken back.
    pub(super) fn violations(&self, applied: bool) -> Vec<String> {
        let found = self.sql(include_str!("../../checker/check.sql"));
        let mut found: Vec<String> = found.lines().map(str::to_owned).collect();
        if self.sql(ROWS) != self.rows {
            found.push("I6: rows of the application's tables have changed".to_owned());
        }
        let (is, expected) = (self.dump(), &self.schema[usize::from(applied)]);
        if is != *expected {
            let lines = |text: &str, other: &str| -> Vec<String> {
                text.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect()
            };
            found.push(format!(
                "I9: the schema is not as it should be: more {:?}, less {:?}",
                lines(&is, expected),
                lines(expected, &is)
            ));
        }
        found
    }

    pub(super) fn direct(&self) -> String {
        format!("host={} port={} user=postgres dbname=postgres", self.socket.display(), self.port)
    }

    fn plan_file(&self) -> PathBuf {
        self.folder.path().join("plan.json")
    }

    /// A client program; one of another version where the server's has none beside it.
    fn program(&self, name: &str) -> Command {
        let beside = |bin: &Path| Some(bin.join(name)).filter(|path| path.is_file());
        let others = || Binaries::find_all().iter().find_map(|found| beside(&found.bin));
        let program = beside(&self.bin).or_else(others);
        let mut command = Command::new(program.unwrap_or_else(|| name.into()));
        command.args(["-h"]).arg(&self.socket).args(["-p", &self.port.to_string()]);
        command.args(["-U", "postgres", "-d", "postgres"]);
        command
    }

    pub(super) fn sql(&self, sql: &str) -> String {
        let file = self.folder.path().join("script.sql");
        std::fs::write(&file, sql).unwrap();
        let mut psql = self.program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file);
        text(&mut psql)
    }

    /// The schema, written by `pg_dump` where the server has one beside it: another version's may refuse.
    fn dump(&self) -> String {
        if !self.bin.join("pg_dump").is_file() {
            return self.sql(SCHEMA);
        }
        let dump = text(self.program("pg_dump").args(["-s", "-N", "pgwright", "-N", "checker"]));
        // Later minor versions put a random key around the dump.
        dump.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// One action of each kind, and an index on a partitioned table.
    fn plan(&self) -> ChangePlan {
        let (log, visit, part) = (self.table("Log"), self.table("visit"), self.table("part"));
        let timestamp = Key::ordered(Term::Column("timestamp".into()), true, true);
        let definition = IndexDefinition {
            schema: log.schema.clone(),
            table: log.name.clone(),
            method: "btree".into(),
            keys: vec![Key::column("userId"), timestamp],
            include: Vec::new(),
            predicate: None,
        };
        let key = action_key(&log, &definition.canonical());
        let name = index_name(&definition, &key);
        let of_part = IndexDefinition { keys: vec![Key::column("userId")], ..definition.on(&part) };
        let part_key = action_key(&part, &of_part.canonical());
        let part_name = index_name(&of_part, &part_key);
        let leaf = Branch { table: self.table("part_1"), above: part.oid, partitioned: false };
        let partitioned = Operation::CreateIndex {
            parts: vec![Part::of(&part_key, &of_part, &leaf)],
            name: part_name,
            definition: of_part,
        };
        let index = self.index("It goes");
        let drop_key = action_key(&visit, &index.definition);
        let actions = vec![
            action(action_key(&visit, "analyze"), visit.clone(), Operation::Analyze),
            statistics(&visit),
            action(
                key,
                log.clone(),
                Operation::CreateIndex { name, definition, parts: Vec::new() },
            ),
            action(part_key, part, partitioned),
            action(action_key(&log, "vacuum"), log, Operation::Vacuum),
            action(drop_key, visit, Operation::DropIndex { index: Box::new(index) }),
        ];
        ChangePlan { made_from: "test".into(), min_confidence: 0.9, actions }
    }

    fn table(&self, name: &str) -> TableRef {
        let oid = self.sql(&format!("SELECT 'app.\"{name}\"'::regclass::oid"));
        TableRef { oid: oid.trim().parse().unwrap(), schema: "app".into(), name: name.into() }
    }

    fn index(&self, name: &str) -> Index {
        let sql = format!(
            "SELECT json_build_object('oid', c.oid::bigint, 'schema', 'app', 'name', c.relname, 'definition', \
             pg_get_indexdef(c.oid), 'comment', obj_description(c.oid), 'statistics_targets', json_build_object('1', 500)) \
             FROM pg_class c WHERE relname = '{name}'"
        );
        let mut index: Value = serde_json::from_str(&self.sql(&sql)).unwrap();
        let plain: Value = serde_json::json!({
            "method": "btree", "keys": [], "include": [], "predicate": null, "unique": false, "primary": false,
            "exclusion": false, "nulls_not_distinct": false, "valid": true, "ready": true, "live": true,
            "replica_identity": false, "clustered": false, "constraint": null, "required_by": [],
            "partition_of": null, "extension_dependent": false, "tablespace": null, "options": [], "bytes": 0,
            "scans": 0, "building": false
        });
        let (all, plain) = (index.as_object_mut().unwrap(), plain.as_object().unwrap());
        all.extend(plain.iter().map(|(name, value)| (name.clone(), value.clone())));
        serde_json::from_value(index).unwrap()
    }
}

/// Makes statistics of both columns of a table together.
fn statistics(table: &TableRef) -> Action {
    let definition = StatisticsDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        columns: ["id", "email"].map(str::to_owned).into(),
        kinds: [StatisticsKind::Ndistinct, StatisticsKind::Dependencies].into(),
    };
    let key = action_key(table, &definition.canonical());
    let name = statistics_name(&definition, &key);
    action(key, table.clone(), Operation::CreateStatistics { name, definition })
}

fn action(key: String, table: TableRef, operation: Operation) -> Action {
    Action {
        key,
        rule: "test".into(),
        table,
        operation,
        reach: Reach::Act,
        confidence: Confidence { value: 0.95, terms: Vec::new() },
        impact: Impact::default(),
        helps: Vec::new(),
        by_hand: None,
    }
}

fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for something asynchronous in a thread that has no runtime.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
