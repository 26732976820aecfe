//! A private server per version for the whole test binary, a database per test, plans out of SQL.

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent::applier::{ApplyError, ApplyOptions, Effect, Event, Outcome, apply};
use agent::cluster::{Binaries, Cluster, ClusterOptions};
use agent::conninfo::ConnInfo;
use agent::journal::{self, Entry, State, Which};
use agent::postgres::{Meter, Purpose, Session};
use agent::rollback::rollback;
use rules::change_plan::{
    Action, ChangePlan, Help, Impact, Operation, TableRef, action_key, index_name, statistics_name,
};
use rules::evidence::Confidence;
use rules::index::{IndexDefinition, Key, Term};
use rules::reach::Reach;
use rules::snapshot::Index;
use rules::statistics::{StatisticsDefinition, StatisticsKind};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Servers of every version found on this machine, the preferred one first. Their guard processes end
/// them together with this one.
async fn clusters() -> &'static [Cluster] {
    static CLUSTERS: OnceCell<Vec<Cluster>> = OnceCell::const_new();
    CLUSTERS
        .get_or_init(|| async {
            let mut clusters: Vec<Cluster> = Vec::new();
            for binaries in Binaries::find_all() {
                let supported =
                    (14..=18).contains(&binaries.major) && binaries.version_num >= 140_004;
                if !supported || clusters.iter().any(|one| one.binaries().major == binaries.major) {
                    continue;
                }
                let settings = [
                    ("autovacuum", "off"),
                    ("max_prepared_transactions", "4"),
                    ("max_connections", "60"),
                ];
                let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let options = ClusterOptions {
                    settings: settings.into(),
                    keep_template: true,
                    ..ClusterOptions::default()
                };
                clusters.push(Cluster::start(&binaries, options).await.unwrap());
            }
            if clusters.is_empty() {
                skip();
            }
            if let Ok(major) = std::env::var("PGWRIGHT_TEST_MAJOR") {
                // The preferred one: what `database` gives.
                clusters.sort_by_key(|one| one.binaries().major.to_string() != major);
            }
            clusters
        })
        .await
}

/// A database of its own with a table `app."Log"` of 20,000 rows.
pub(crate) struct Database {
    pub(crate) cluster: &'static Cluster,
    pub(crate) name: String,
    pub(crate) sql: Session,
}

/// Says that a test was not run; in continuous integration that is a failure.
pub(crate) fn skip() {
    let reason = "no PostgreSQL server programs found";
    assert!(std::env::var_os("CI").is_none(), "this test must not be skipped here: {reason}");
    writeln!(std::io::stderr().lock(), "SKIPPED: {reason}").unwrap();
}

/// A database on the preferred version, that of `PGWRIGHT_TEST_MAJOR` where it is set.
pub(crate) async fn database() -> Option<Database> {
    Some(Database::on(clusters().await.first()?).await)
}

/// A database on every version.
pub(crate) async fn databases() -> Vec<Database> {
    let mut databases = Vec::new();
    for cluster in clusters().await {
        databases.push(Database::on(cluster).await);
    }
    databases
}

pub(crate) fn info_of(conninfo: &str) -> ConnInfo {
    ConnInfo::resolve(Some(conninfo), &|_| None).unwrap()
}

const TABLE: &str = r#"CREATE SCHEMA app;
CREATE TABLE app."Log" (id bigint PRIMARY KEY, "userId" int NOT NULL, "timestamp" timestamptz, email varchar(80), metadata jsonb);
INSERT INTO app."Log" SELECT n, n % 100, now(), 'u' || n || '@x', jsonb_build_object('theme', n % 7) FROM generate_series(1, 20000) n;"#;

impl Database {
    pub(crate) async fn on(cluster: &'static Cluster) -> Self {
        Self::made(cluster, "").await
    }

    /// A database made with these options of CREATE DATABASE.
    pub(crate) async fn made(cluster: &'static Cluster, options: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let postgres = connect(&info_of(&cluster.conninfo("postgres"))).await;
        postgres.batch(&format!("CREATE DATABASE {name} {options}")).await.unwrap();
        let sql = connect(&info_of(&cluster.conninfo(&name))).await;
        sql.batch(TABLE).await.unwrap();
        Self { cluster, name, sql }
    }

    pub(crate) fn info(&self) -> ConnInfo {
        info_of(&self.cluster.conninfo(&self.name))
    }

    pub(crate) fn info_as(&self, role: &str) -> ConnInfo {
        let conninfo = self.cluster.conninfo(&self.name);
        info_of(&conninfo.replace("user=postgres", &format!("user={role}")))
    }

    pub(crate) async fn session(&self) -> Session {
        connect(&self.info()).await
    }

    pub(crate) async fn table(&self, schema: &str, name: &str) -> TableRef {
        let sql = "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname::text = $1 AND c.relname::text = $2";
        let row = self.sql.query_one(sql, &[&schema, &name]).await.unwrap();
        TableRef { oid: row.get(0), schema: schema.to_owned(), name: name.to_owned() }
    }

    pub(crate) async fn log_table(&self) -> TableRef {
        self.table("app", "Log").await
    }

    /// An action that makes an index on `app."Log"` ("userId", "timestamp" DESC).
    pub(crate) async fn an_index(&self) -> Action {
        let timestamp = Key::ordered(Term::Column("timestamp".into()), true, true);
        index_on(self.log_table().await, vec![Key::column("userId"), timestamp])
    }

    /// An action that drops an index, as the sampler would describe it.
    pub(crate) async fn drop_of(&self, table: TableRef, name: &str) -> Action {
        let sql = "SELECT c.oid, pg_get_indexdef(c.oid), i.indisvalid, i.indisunique, \
                   (SELECT spcname::text FROM pg_tablespace s WHERE s.oid = c.reltablespace), \
                   pg_get_expr(i.indpred, i.indrelid), c.relname::text \
                   FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname::text = $1";
        let row = self.sql.query_one(sql, &[&name]).await.unwrap();
        let index: Index = serde_json::from_value(serde_json::json!({
            "oid": row.get::<_, u32>(0), "schema": table.schema, "name": name, "method": "btree", "keys": [],
            "include": [], "predicate": row.get::<_, Option<String>>(5), "definition": row.get::<_, String>(1),
            "unique": row.get::<_, bool>(3), "primary": false, "exclusion": false, "nulls_not_distinct": false,
            "valid": row.get::<_, bool>(2), "ready": true, "live": true, "replica_identity": false,
            "clustered": false, "constraint": null, "required_by": [], "partition_of": null,
            "extension_dependent": false, "tablespace": row.get::<_, Option<String>>(4), "options": [],
            "comment": null, "statistics_targets": {}, "bytes": 0, "scans": 0, "building": false
        }))
        .unwrap();
        let key = action_key(&table, &index.definition);
        action(key, table, Operation::DropIndex { index: Box::new(index) })
    }

    pub(crate) async fn apply(&self, actions: &[Action]) -> Result<Vec<Outcome>, ApplyError> {
        apply_with(&self.info(), actions, &quick(), &mut |_| {}).await
    }

    /// Applies one action and returns what became of it.
    pub(crate) async fn apply_one(&self, action: &Action) -> Effect {
        let mut outcomes = self.apply(std::slice::from_ref(action)).await.unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0).effect
    }

    pub(crate) async fn rollback(&self, which: Which) -> Result<Vec<Outcome>, ApplyError> {
        rollback(&self.info(), &Meter::new(), which, &quick(), &mut |_| {}).await
    }

    pub(crate) async fn log(&self) -> Vec<Entry> {
        journal::list(&self.sql, Which::All).await.unwrap()
    }

    pub(crate) async fn states(&self) -> Vec<State> {
        self.log().await.into_iter().map(|entry| entry.state).collect()
    }

    /// Names of the indexes of all tables outside of system schemas and ours, with `!` behind unusable ones.
    pub(crate) async fn indexes(&self) -> Vec<String> {
        let sql = "SELECT c.relname::text || CASE WHEN i.indisvalid AND i.indisready AND i.indislive THEN '' ELSE '!' END \
                   FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'pgwright') ORDER BY 1";
        self.sql.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// The schema as text: `pg_dump -s` where there is one of this version, else what matters of the catalog.
    pub(crate) async fn dump(&self) -> String {
        let program = self.cluster.binaries().bin.join("pg_dump");
        if program.is_file() {
            let (host, port) = (self.cluster.socket_dir(), self.cluster.port().to_string());
            let dump = Command::new(program)
                .args(["-s", "-N", "pgwright", "-U", "postgres", "-p", &port, "-h"])
                .arg(host)
                .arg(&self.name)
                .output()
                .unwrap();
            assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
            let text = String::from_utf8(dump.stdout).unwrap();
            // Later minor versions put a random key around the dump.
            return text
                .lines()
                .filter(|line| !line.contains("restrict "))
                .collect::<Vec<_>>()
                .join("\n");
        }
        let sql = "SELECT coalesce(string_agg(t, E'\\n' ORDER BY t), '') FROM (\
            SELECT pg_get_indexdef(c.oid) || coalesce(obj_description(c.oid, 'pg_class'), '') || c.reltablespace::text || \
                   i.indisvalid::text || coalesce((SELECT string_agg(attnum || ':' || attstattarget, ',' ORDER BY attnum) \
                   FROM pg_attribute WHERE attrelid = c.oid), '') AS t \
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'pgwright') \
            UNION ALL SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext \
            UNION ALL SELECT concat(c.relkind, n.nspname, '.', c.relname, c.reloptions) FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'pgwright', 'information_schema')) x";
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }
}

pub(crate) async fn connect(info: &ConnInfo) -> Session {
    Session::connect(info, Purpose::Other, &Meter::new()).await.unwrap()
}

/// Limits under which a test waits tenths of seconds where a user waits seconds.
pub(crate) fn quick() -> ApplyOptions {
    let ms = Duration::from_millis;
    ApplyOptions {
        lock_timeout: ms(300),
        lock_tries: 2,
        retry_pause: ms(50),
        build_floor: Duration::from_mins(1),
        max_block: ms(400),
        patience: ms(500),
        runner_wait: Duration::from_secs(10),
        watch_interval: ms(100),
        ..ApplyOptions::default()
    }
}

pub(crate) fn plan(actions: &[Action]) -> ChangePlan {
    ChangePlan { made_from: "test".into(), min_confidence: 0.9, actions: actions.to_vec() }
}

pub(crate) async fn apply_with(
    info: &ConnInfo,
    actions: &[Action],
    options: &ApplyOptions,
    progress: &mut (dyn FnMut(Event) + Send),
) -> Result<Vec<Outcome>, ApplyError> {
    let meter: Arc<Meter> = Meter::new();
    apply(info, &meter, &plan(actions), Uuid::new_v4(), options, progress).await
}

/// An action that makes a B-tree.
pub(crate) fn index_on(table: TableRef, keys: Vec<Key>) -> Action {
    create(table, |definition| definition.keys = keys)
}

/// An action that analyzes a table.
pub(crate) fn analyze_of(table: TableRef) -> Action {
    action(action_key(&table, "analyze"), table, Operation::Analyze)
}

/// An action that makes an index, altered from a plain one as the caller likes.
pub(crate) fn create(table: TableRef, alter: impl FnOnce(&mut IndexDefinition)) -> Action {
    let mut definition = IndexDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        method: "btree".into(),
        keys: Vec::new(),
        include: Vec::new(),
        predicate: None,
    };
    alter(&mut definition);
    let key = action_key(&table, &definition.canonical());
    let name = index_name(&definition, &key);
    action(key, table, Operation::CreateIndex { name, definition, parts: Vec::new() })
}

fn action(key: String, table: TableRef, operation: Operation) -> Action {
    let help = Help {
        statement: "s1".into(),
        cost_before: 100.0,
        cost_after: 1.0,
        plan_before: "Seq Scan (secret = 'hunter2')".into(),
        plan_after: "Index Scan".into(),
    };
    Action {
        key,
        rule: "test".into(),
        table,
        operation,
        reach: Reach::Act,
        confidence: Confidence { value: 0.95, terms: Vec::new() },
        impact: Impact { ms_per_day: Some(1000.0), bytes: Some(1 << 20), write_ms_per_day: 0.5 },
        helps: vec![help],
        by_hand: None,
    }
}

pub(crate) fn name_of(action: &Action) -> String {
    action.operation.object().unwrap_or_default().to_owned()
}

/// The reason, when an action was refused.
pub(crate) fn reason(effect: &Effect) -> &str {
    match effect {
        Effect::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// An action that makes statistics of columns together.
pub(crate) fn statistics_of(table: TableRef, columns: &[&str]) -> Action {
    let definition = StatisticsDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
        kinds: StatisticsKind::ALL.into(),
    };
    let key = action_key(&table, &definition.canonical());
    let name = statistics_name(&definition, &key);
    action(key, table, Operation::CreateStatistics { name, definition })
}

/// An action that vacuums a table.
pub(crate) fn vacuum_of(table: TableRef) -> Action {
    action(action_key(&table, "vacuum"), table, Operation::Vacuum)
}
