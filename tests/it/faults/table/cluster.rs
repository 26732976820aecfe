//! More than one server, or more than one database.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::ground::{After, Ground, Hold, Stage, behaves, pgwright};
use super::{Scenario, slow};
use crate::harness::{Killer, binaries};

pub(super) const SCENARIOS: &[Scenario] = &[
    slow(25, "standby as the target", |stage| standby(stage, false)),
    slow(25, "failover during the build, the client follows", |stage| standby(stage, true)),
    slow(37, "dump restored into another cluster, then a run", restored),
    slow(38, "two databases of a cluster at once", two_databases),
];

const DONE: After<'_> =
    After { exits: &[0], tolerated: &[], same_schema: true, same_rows: true, states: "" };

/// A streaming standby; it ends with the value.
struct Standby {
    server: Child,
    socket: PathBuf,
    port: u16,
    bin: PathBuf,
    data: PathBuf,
}

/// A command that runs as the user who owns this folder: the server's programs refuse root.
fn as_owner(folder: &Path, program: &Path) -> Command {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    let owner = folder.metadata().unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder);
    if std::fs::metadata("/proc/self").unwrap().uid() != owner.uid() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

impl Standby {
    fn of(ground: &Ground) -> Self {
        let folder = ground.cluster.lock().unwrap().make_folder("standby").unwrap();
        let data = folder.join("data");
        let mut copy = as_owner(&folder, &ground.bin.join("pg_basebackup"));
        copy.arg("-h").arg(&ground.socket).args(["-p", &ground.port.to_string(), "-U", "postgres"]);
        let output =
            copy.arg("-D").arg(&data).args(["-R", "-X", "stream", "-c", "fast"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let port = ground.port + 1;
        let mut server = as_owner(&folder, &ground.bin.join("postgres"));
        server.arg("-D").arg(&data);
        for setting in [
            format!("port={port}"),
            format!("unix_socket_directories={}", folder.display()),
            "listen_addresses=".to_owned(),
            "autovacuum=off".to_owned(),
            "shared_preload_libraries=pg_stat_statements".to_owned(),
            "max_prepared_transactions=4".to_owned(),
            "max_connections=60".to_owned(),
            "pg_stat_statements.max=100".to_owned(),
        ] {
            server.args(["-c", &setting]);
        }
        let log = std::fs::File::create(ground.folder.path().join("standby.log")).unwrap();
        let server = server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let standby = Self { server, socket: folder, port, bin: ground.bin.clone(), data };
        let since = Instant::now();
        while standby.sql("postgres", "SELECT 1").is_err() {
            assert!(since.elapsed() < Duration::from_mins(1), "the standby does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        standby
    }

    fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.arg("-h").arg(&self.socket).args([
            "-p",
            &self.port.to_string(),
            "-U",
            "postgres",
            "-d",
            database,
        ]);
        let output = psql.args(["-X", "-q", "-A", "-t", "-c", sql]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Waits until it has replayed all that the primary has written.
    fn catches_up(&self, ground: &Ground) {
        let lsn = ground.sql("postgres", "SELECT pg_current_wal_lsn()");
        let since = Instant::now();
        let there = format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'");
        while self.sql("postgres", &there) != Ok("t".to_owned()) {
            assert!(since.elapsed() < Duration::from_mins(1), "the standby does not follow");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let pid = self.server.id().to_string();
        let _ = Command::new("kill").args(["-s", "QUIT", &pid]).status();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// The host list of libpq: whoever of the two takes writes.
fn both(stage: &Stage<'_>, standby: &Standby) -> String {
    format!(
        "host={},{} port={},{} user=postgres dbname={} target_session_attrs=read-write",
        stage.ground.socket.display(),
        standby.socket.display(),
        stage.ground.port,
        standby.port,
        stage.name,
    )
}

fn standby(outer: &mut Stage<'_>, failover: bool) {
    let ground = Ground::start(&binaries().unwrap());
    let mut stage = ground.stage("");
    let standby = Standby::of(&ground);
    standby.catches_up(&ground);
    if failover {
        fail_over(&mut stage, &standby);
    } else {
        stage.on = format!(
            "host={} port={} user=postgres dbname={}",
            standby.socket.display(),
            standby.port,
            stage.name
        );
        let output = stage.apply(&[]);
        assert_eq!(output.status, Some(5), "{output:?}");
        stage.is_untouched();
        // The host list finds the primary.
        stage.on = both(&stage, &standby);
        stage.settle(&After { states: "observing", ..DONE });
    }
    let (told, felt, hurt) = stage.end();
    outer.tell(format!(
        "{told} ({} statements there, {} failed)",
        felt.statements,
        felt.errors.len()
    ));
    assert_eq!(hurt, Vec::<String>::new());
}

/// The primary dies while the index is half made; the standby, which has the half, becomes the primary.
fn fail_over(stage: &mut Stage<'_>, standby: &Standby) {
    stage.excused = vec!["closed", "57P0", "communicating"];
    stage.may_wait = true;
    stage.on = both(stage, standby);
    let killer = Killer::default();
    let holder = stage.hold(Hold::Writer);
    let running = stage.begin(&[], &killer);
    let waits = "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%' AND relid = 'shop.orders'::regclass";
    stage.wait_until(waits, &killer);
    standby.catches_up(stage.ground);
    super::ground::wait(stage.ground.cluster.lock().unwrap().kill()).unwrap();
    let promoted = standby.sql("postgres", "SELECT pg_promote()");
    assert_eq!(promoted.as_deref(), Ok("t"));
    let output = behaves(running.finish());
    drop(holder);
    assert_eq!(output.status, Some(3), "{output:?}");
    let state = || {
        standby.sql(
            &stage.name,
            "SELECT string_agg(\"state\", ' ' ORDER BY \"id\") FROM pgwright.\"OptimizationLog\"",
        )
    };
    let half = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    assert_eq!(standby.sql(&stage.name, half).as_deref(), Ok("1"), "the half came along");
    let before = state().unwrap();
    let output = pgwright(&stage.args(&[]), &[]);
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(standby.sql(&stage.name, half).as_deref(), Ok("0"));
    let told = format!("exit 3, {before}; on the new primary exit 0, {}", state().unwrap());
    let output = pgwright(&["rollback", "--all", "-d", &stage.on], &[]);
    assert_eq!(output.status, Some(0), "{output:?}");
    let left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'pgw\\_%' AND relkind = 'i'";
    assert_eq!(standby.sql(&stage.name, left).as_deref(), Ok("0"));
    let told = format!("{told}; rollback exit 0, {}", state().unwrap());
    stage.tell(told);
}

/// What another cluster's journal says is nothing to act upon here.
fn restored(stage: &mut Stage<'_>) {
    assert_eq!(stage.apply(&[]).status, Some(0));
    let dump = stage.ground.folder.path().join(format!("{}.dump", stage.name));
    let mut program = stage.ground.program("pg_dump", &stage.name);
    assert!(program.arg("-f").arg(&dump).status().unwrap().success());
    let other = Ground::start(&binaries().unwrap());
    other.sql("postgres", "CREATE DATABASE copy");
    let mut restore = other.program("psql", "copy");
    let output =
        restore.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&dump).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    other.sql("copy", "ANALYZE");
    let before = other.dump("copy");
    let on =
        format!("host={} port={} user=postgres dbname=copy", other.socket.display(), other.port);
    let here = std::mem::replace(&mut stage.on, on);
    let mut told = Vec::new();
    for args in [
        stage.args(&[]),
        vec!["rollback", "--all", "-d", &stage.on],
        vec!["verify", "-d", &stage.on],
    ] {
        let output = pgwright(&args, &[]);
        let code = output.status.unwrap_or(-1);
        assert!(matches!(code, 0 | 4 | 5), "{args:?}: {output:?}");
        assert_eq!(other.dump("copy"), before, "{args:?}: nothing is touched");
        told.push(format!("{} there: exit {code}", args[0]));
    }
    stage.on = here;
    stage.tell(told.join("; "));
    stage.settle(&After { states: "observing", ..DONE });
}

fn two_databases(stage: &mut Stage<'_>) {
    let mut other = stage.ground.stage("");
    let killers = [Killer::default(), Killer::default()];
    let first = stage.begin(&[], &killers[0]);
    let second = other.begin(&[], &killers[1]);
    for (run, stage) in [(first, &mut *stage), (second, &mut other)] {
        let output = behaves(run.finish());
        assert_eq!(output.status, Some(0), "{output:?}");
        stage.note(&output);
    }
    stage.settle(&After { states: "observing", ..DONE });
    other.settle(&After { states: "observing", ..DONE });
    let (told, _, hurt) = other.end();
    stage.tell(format!("the other: {told}"));
    assert_eq!(hurt, Vec::<String>::new());
}
