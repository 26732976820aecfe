//! What is said, and what is left, when a run on a planner twin is killed, its server is, or the disk is full.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{Killer, cli_with, database, processes, say, start};

const SCHEMA: &str = "
CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b jsonb NOT NULL);
INSERT INTO t SELECT n, n % 1000, jsonb_build_object('k', n) FROM generate_series(1, 20000) AS n;
VACUUM ANALYZE t";

/// A snapshot's file, and a folder for temporary files that no other test uses.
struct Case {
    snapshot: PathBuf,
    temporary: TempDir,
    _folder: TempDir,
}

impl Case {
    async fn new() -> Option<Self> {
        let db = database().await?;
        for statement in SCHEMA.split(';') {
            db.sql(statement).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let workload = folder.path().join("workload.sql");
        fs::write(&workload, "SELECT * FROM t WHERE a = 7;").unwrap();
        let snapshot = folder.path().join("s.pgwright");
        let (on, workload) = (db.conninfo(), workload.display().to_string());
        let path = snapshot.display().to_string();
        let args = ["snapshot", "-d", &on, "--workload", &workload, "-o", &path];
        let output = cli_with(&args, &[], "");
        assert_eq!(output.status, Some(0), "{}", output.stderr);
        let temporary = tempfile::tempdir().unwrap();
        // The server's own user has to get through.
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o711)).unwrap();
        Some(Self { snapshot, temporary, _folder: folder })
    }

    fn args(&self) -> [&str; 3] {
        ["optimize", "--snapshot", self.snapshot.to_str().unwrap()]
    }

    fn variables(&self) -> [(&str, &str); 1] {
        [("TMPDIR", self.temporary.path().to_str().unwrap())]
    }

    /// Clusters' folders.
    fn clusters(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.temporary.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().contains("pgwright-cluster-")).collect()
    }

    /// Waits until a twin is being built in its server; the server's folder and number.
    fn server(&self) -> (PathBuf, String) {
        within(|| {
            let folder = self.clusters().pop()?;
            let file = fs::read_to_string(folder.join("data/postmaster.pid")).ok()?;
            folder
                .join("trials")
                .exists()
                .then(|| (folder, file.lines().next().unwrap().to_owned()))
        })
    }

    /// Waits until nothing is left of any cluster.
    fn is_clean(&self) {
        within(|| self.clusters().is_empty().then_some(()));
        let left = || processes(self.temporary.path().to_str().unwrap());
        within(|| left().is_empty().then_some(()));
    }
}

fn within<T>(look: impl Fn() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(since.elapsed() < Duration::from_mins(2), "it never came");
        sleep(Duration::from_millis(5));
    }
}

/// Whether a process has ended, be it that nobody has asked for its end yet.
fn ended(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    // The state follows the name, which stands in parentheses (proc(5)).
    let state = |text: String| text.rsplit(") ").next().and_then(|rest| rest.chars().next());
    status.map_or(true, |text| state(text) == Some('Z'))
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

#[tokio::test]
async fn a_killed_run_leaves_nothing_and_the_next_cleans_up_where_its_guard_died_too() {
    let Some(case) = Case::new().await else { return };
    let killer = Killer::default();
    let running = start(&case.args(), &case.variables(), "", &killer);
    let (_, server) = case.server();
    killer.kill();
    assert_eq!(running.finish().status, None);
    case.is_clean();
    within(|| ended(&server).then_some(()));

    let killer = Killer::default();
    let running = start(&case.args(), &case.variables(), "", &killer);
    let (folder, server) = case.server();
    let guards = processes(&format!("pgwright-guard {}", folder.display()));
    // It has a child that waits for the end of its input, which would go on alone.
    assert!(!guards.is_empty());
    for guard in &guards {
        kill(guard);
    }
    killer.kill();
    assert_eq!(running.finish().status, None);
    assert!(folder.exists() && Path::new("/proc").join(&server).exists());
    let output = cli_with(&case.args(), &case.variables(), "");
    assert_eq!(output.status, Some(0), "{}", output.stderr);
    case.is_clean();
    within(|| ended(&server).then_some(()));
}

#[tokio::test]
async fn a_killed_twin_is_named_as_what_ended_the_run() {
    let Some(case) = Case::new().await else { return };
    let running = start(&case.args(), &case.variables(), "", &Killer::default());
    let (_, server) = case.server();
    kill(&server);
    let output = running.finish();
    assert_eq!(output.status, Some(3), "{}", output.stderr);
    assert!(output.stderr.contains("the planner twin's server ended"), "{}", output.stderr);
    case.is_clean();
}

/// Needs a small file system of its own, which only root may mount, and not in every container.
#[tokio::test]
async fn a_full_disk_is_named_and_nothing_stays_on_it() {
    let mounts = ["-m", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"];
    if !Command::new("unshare").args(mounts).status().is_ok_and(|status| status.success()) {
        return say("SKIPPED the full disk: no file system can be mounted here");
    }
    let Some(case) = Case::new().await else { return };
    // Too small for any cluster; full once there is one.
    for (megabytes, fill) in [(20, ""), (400, "data/PG_VERSION")] {
        let script = r#"
            mount -t tmpfs -o mode=711,size="$1"m tmpfs "$TMPDIR" || exit 99
            "$2" optimize --snapshot "$3" &
            [ -z "$4" ] || while ! ls "$TMPDIR"/pgwright-cluster-*/"$4" >/dev/null 2>&1; do sleep 0.01; done
            [ -z "$4" ] || dd if=/dev/zero of="$TMPDIR/full" bs=64k 2>/dev/null
            wait $!; status=$?
            ls -d "$TMPDIR"/pgwright-cluster-* 2>/dev/null && exit 98
            exit $status"#;
        let output = Command::new("unshare")
            .args(["-m", "sh", "-c", script, "sh", &megabytes.to_string()])
            .args([env!("CARGO_BIN_EXE_pgwright"), case.args()[2], fill])
            .env("TMPDIR", case.temporary.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{megabytes} {fill}: {said}");
        assert!(said.contains("not enough disk space for the planner twin in"), "{said}");
    }
}
