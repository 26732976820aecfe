//! Room that ends: a full tablespace, the limit of temporary files, a full disk under the WAL.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ground::{After, Ground, Hold, Stage};
use super::{Scenario, quick, slow};
use crate::harness::{binaries, say};

pub(super) const SCENARIOS: &[Scenario] = &[
    quick(12, "tablespace on a full file system", full_tablespace),
    quick(13, "temp_file_limit reached by the sort", temp_file_limit),
    slow(35, "disk full under the WAL: the server panics", full_wal),
];

/// A file system of its own in memory, while it lives.
struct Mount(PathBuf);

impl Mount {
    /// None, said loudly, where this system does not let us.
    fn new(path: &Path, megabytes: u32) -> Option<Self> {
        let owner = path.metadata().unwrap();
        let options = format!("size={megabytes}m,uid={},gid={},mode=700", owner.uid(), owner.gid());
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path);
        let output = mount.output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(path.to_owned()));
        }
        say(&format!("SKIPPED: a file system in memory cannot be mounted here: {output:?}"));
        None
    }

    /// Takes what is left but for so many bytes.
    fn fill(&self, but: u64) -> PathBuf {
        let filler = self.0.join("filler");
        let free =
            Command::new("df").args(["-B1", "--output=avail"]).arg(&self.0).output().unwrap();
        let free = String::from_utf8(free.stdout).unwrap();
        let free: u64 = free.lines().nth(1).unwrap().trim().parse().unwrap();
        let mut file = std::fs::File::create(&filler).unwrap();
        let zeros = vec![0; 1 << 16];
        for _ in 0..free.saturating_sub(but) / (1 << 16) {
            std::io::Write::write_all(&mut file, &zeros).unwrap();
        }
        filler
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let lazily = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(
            lazily.is_ok_and(|status| status.success()),
            "{} is still mounted",
            self.0.display()
        );
    }
}

fn full_tablespace(stage: &mut Stage<'_>) {
    let folder =
        stage.ground.cluster.lock().unwrap().make_folder(&format!("small_{}", stage.name)).unwrap();
    let Some(mount) = Mount::new(&folder, 64) else {
        stage.tell("not run: mounting is refused here");
        return;
    };
    let space = format!("small_{}", stage.name);
    let place = folder.display();
    stage.ground.sql("postgres", &format!("CREATE TABLESPACE {space} LOCATION '{place}'"));
    let mut small = stage.ground.stage(&format!("TABLESPACE {space}"));
    // The application's own rows may need a page that is not to be had.
    small.excused = vec!["53100"];
    let filler = mount.fill(1 << 20);
    let output = small.apply(&["--disk-free", "100GB"]);
    assert_eq!(output.status, Some(4), "{output:?}");
    let invalid = small.sql("SELECT count(*) FROM pg_index WHERE NOT indisvalid");
    assert_eq!(invalid, "0", "what is half made keeps the disk full");
    std::fs::remove_file(filler).unwrap();
    small.settle(&After { exits: &[0, 5], ..After::default() });
    let (told, felt, hurt) = small.end();
    stage.tell(format!("{told} ({} statements there)", felt.statements));
    assert_eq!(hurt, Vec::<String>::new());
    stage.ground.sql("postgres", &format!("DROP TABLESPACE {space}"));
}

fn temp_file_limit(stage: &mut Stage<'_>) {
    let name = stage.name.clone();
    let set = |stage: &Stage<'_>, what: &str| {
        stage.ground.sql("postgres", &format!("ALTER DATABASE {name} {what} temp_file_limit"));
    };
    set(stage, "RESET");
    stage.ground.sql("postgres", &format!("ALTER DATABASE {name} SET temp_file_limit = '100kB'"));
    let output = stage.apply(&["--waive-guard", "temp_file_limit"]);
    assert_eq!(output.status, Some(4), "{output:?}");
    set(stage, "RESET");
    assert_eq!(stage.violations(&After::default()), Vec::<String>::new());
    stage.settle(&After { exits: &[0, 5], ..After::default() });
}

/// On a server of its own, whose WAL lies on a file system in memory.
fn full_wal(stage: &mut Stage<'_>) {
    let ground = Ground::start(&binaries().unwrap());
    ground.sql("postgres", "ALTER SYSTEM SET wal_keep_size = 0");
    ground.sql("postgres", "ALTER SYSTEM SET max_wal_size = '48MB'");
    ground.sql("postgres", "ALTER SYSTEM SET min_wal_size = '32MB'");
    let folder = ground.cluster.lock().unwrap().make_folder("small").unwrap();
    let Some(mount) = Mount::new(&folder, 160) else {
        stage.tell("not run: mounting is refused here");
        return;
    };
    ground.restart(false);
    super::ground::wait(ground.cluster.lock().unwrap().halt()).unwrap();
    let (here, there) = (ground.data.join("pg_wal"), folder.join("pg_wal"));
    let owner = ground.data.metadata().unwrap();
    let moved = Command::new("cp").arg("-a").args([&here, &there]).status().unwrap();
    assert!(moved.success());
    std::fs::remove_dir_all(&here).unwrap();
    symlink(&there, &here).unwrap();
    chown(&there, Some(owner.uid()), Some(owner.gid())).unwrap();
    super::ground::wait(ground.cluster.lock().unwrap().restart()).unwrap();
    let mut small = ground.stage("");
    small.excused = vec!["closed", "57P0", "communicating", "53100"];
    small.may_wait = true;
    let filler = mount.fill(0);
    // What is there already is used up while the build waits: then it cannot go on.
    let output = small.during(Hold::Writer, &["--disk-free", "100GB"], |small, _| {
        let more = "CREATE TABLE IF NOT EXISTS shop.more (x text); INSERT INTO shop.more SELECT repeat('x', 500) FROM generate_series(1, 30000)";
        while small.ground.try_sql(&small.name, more).is_ok() {}
    });
    assert!(matches!(output.status, Some(3 | 4)), "{output:?}");
    std::fs::remove_file(filler).unwrap();
    ground.restart(true);
    small.wait_for_server();
    small.sql("DROP TABLE IF EXISTS shop.more");
    small.settle(&After::default());
    let (told, felt, hurt) = small.end();
    stage.tell(format!(
        "{told} ({} statements there, {} failed)",
        felt.statements,
        felt.errors.len()
    ));
    assert_eq!(hurt, Vec::<String>::new());
    drop(ground);
    drop(mount);
}
