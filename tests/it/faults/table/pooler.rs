//! A pooler stands between.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::ground::{After, Stage};
use super::{Scenario, quick};
use crate::harness::say;

pub(super) const SCENARIOS: &[Scenario] = &[
    quick(26, "PgBouncer in transaction mode", |stage| pooled(stage, "transaction", "")),
    quick(26, "PgBouncer in transaction mode that drops start-up options", |stage| {
        pooled(stage, "transaction", "options");
    }),
    quick(26, "PgBouncer in session mode", |stage| pooled(stage, "session", "")),
    quick(26, "PgBouncer in session mode that drops start-up options", |stage| {
        pooled(stage, "session", "options")
    }),
];

/// A pooler before the server; it ends with the value.
struct Pooler {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// None, said loudly, where it is not installed.
    fn start(stage: &Stage<'_>, mode: &str, ignored: &str) -> Option<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let ground = stage.ground;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\nignore_startup_parameters = {ignored}\n\
             default_pool_size = 10\n",
            ground.socket.display(),
            ground.port
        );
        std::fs::write(&file, settings).unwrap();
        let owner = ground.data.metadata().unwrap();
        chown(folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        let mut command = Command::new("pgbouncer");
        command.arg("-q").arg(&file).current_dir(folder.path());
        if std::fs::metadata("/proc/self").unwrap().uid() != owner.uid() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = match command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
        {
            Ok(child) => child,
            Err(error) => {
                say(&format!(
                    "SKIPPED: pgbouncer cannot be started ({error}); `apt-get install pgbouncer`"
                ));
                return None;
            }
        };
        let pooler = Self { child, port, _folder: folder };
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(20), "pgbouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(pooler)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// It is refused, whatever it is, before anything is changed; next to it, straight, the run works.
fn pooled(stage: &mut Stage<'_>, mode: &str, ignored: &str) {
    let Some(pooler) = Pooler::start(stage, mode, ignored) else {
        stage.tell("not run: pgbouncer is not installed");
        return;
    };
    let direct = std::mem::replace(
        &mut stage.on,
        format!(
            "host=127.0.0.1 port={} user=postgres sslmode=disable dbname={}",
            pooler.port, stage.name
        ),
    );
    let output = stage.apply(&[]);
    assert!(matches!(output.status, Some(3 | 5)), "{output:?}");
    assert!(format!("{output:?}").contains("pooler"), "{output:?}");
    stage.is_untouched();
    drop(pooler);
    stage.on = direct;
    stage.settle(&After { states: "observing", ..After::default() });
}
