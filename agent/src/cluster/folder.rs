//! The temporary folder of one cluster, and the guard process that never lets it outlive us.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use super::ClusterError;
use super::account::Account;

/// Waits until its input ends, which the kernel sees to however we die; then stops the server
/// whose folder is `$1` and removes the folder, unless its last words were to leave them. Ten seconds after the immediate shutdown comes
/// the kill.
///
/// A server that somebody else killed leaves more behind: sessions busy with a function of the schema, which notice
/// nothing, and the System V segment that every server has. Both go as well, and so does an `initdb` under way.
///
/// A process is the server's by what its command line says, which everybody may read (its folder may be hidden even
/// from root, without `CAP_SYS_PTRACE`): `-D` for the first one, `cluster_name` for all others. So one that merely
/// inherited a number stays unharmed. The segment has to be made by that server and be used by nobody.
const GUARD: &str = r#"
[ "$(cat)" = leave ] && exit 0
folder=$1
name=${folder##*/}
pid=$(sed -n 1p "$folder/data/postmaster.pid" 2>/dev/null)
set -- $(sed -n 7p "$folder/data/postmaster.pid" 2>/dev/null)
segment=$2
ours() {
    case "$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null) " in
        "postgres: $name: "* | *"/postgres -D $folder/data "* | *"/initdb "*" $folder/"*) return 0 ;;
    esac
    return 1
}
runs() {
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
    [ ! -e /proc/self ] || ours "$pid"
}
tries=0
while runs; do
    [ $tries -eq 0 ] && kill -QUIT "$pid"
    [ $tries -eq 200 ] && kill -KILL "$pid"
    tries=$((tries + 1))
    sleep 0.05
done
tries=0
while [ $tries -lt 100 ]; do
    left=
    for file in $(grep -lF -e "$name" /proc/[0-9]*/cmdline 2>/dev/null); do
        process=${file#/proc/}
        process=${process%/cmdline}
        ours "$process" && left="$left $process"
    done
    [ -n "$left" ] || break
    kill -KILL $left 2>/dev/null
    tries=$((tries + 1))
    sleep 0.05
done
if [ -n "$segment" ] && [ -r /proc/sysvipc/shm ]; then
    while read -r key id mode size maker last users rest; do
        [ "$id $maker $users" = "$segment $pid 0" ] && ipcrm -m "$id"
    done </proc/sysvipc/shm
fi
rm -rf -- "$folder" || { sleep 1; rm -rf -- "$folder"; }
"#;

const PREFIX: &str = "pgwright-cluster-";
const LOCK: &str = "owner.lock";
/// Says that a folder outlives its owner because a person wants it.
const LEFT: &str = "left-running";
/// `sun_path` holds 104 bytes on the BSDs and 108 on Linux, the closing zero included.
const SOCKET_PATH_LIMIT: usize = 103;
/// A folder without its lock is in the making for this long, and a stray afterwards.
const MAKING: Duration = Duration::from_mins(1);

/// A folder of our own; dropping it stops the server that runs in it and removes it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) owner: u32,
    guard: Child,
    // Held, never read: a locked file says that its owner lives, also across containers.
    _lock: File,
}

impl Folder {
    /// Makes the folder where the server's user can reach it and a socket path is short enough.
    pub(super) fn create() -> Result<(Self, Option<Account>), ClusterError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let our_uid = our_uid()?;
        let account = Account::for_server(our_uid)?;
        let base = base(account)?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match make_private(&path, account) {
                Ok(()) => {
                    let folder = Self::own(path, our_uid)?;
                    return Ok((folder, account));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(ClusterError::Folder { path, source }),
            }
        }
    }

    fn own(path: PathBuf, owner: u32) -> Result<Self, ClusterError> {
        let opened = (|| {
            let lock = File::create_new(path.join(LOCK))?;
            lock.lock()?;
            Ok((spawn_guard(&path, Stdio::piped())?, lock))
        })();
        match opened {
            Ok((guard, lock)) => Ok(Self { path, owner, guard, _lock: lock }),
            Err(source) => {
                // Best effort: the error tells of the folder that could not be used.
                let _ = fs::remove_dir_all(&path);
                Err(ClusterError::Folder { path, source })
            }
        }
    }

    /// Tells the guard, and later starts, to leave the server and the folder alone.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        File::create(self.path.join(LEFT))?;
        match &mut self.guard.stdin {
            Some(input) => input.write_all(b"leave"),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Tells the guard to stop the server and remove the folder, and does not wait for it.
    pub(super) fn give_up(&mut self) {
        drop(self.guard.stdin.take());
        if let Ok(Some(status)) = self.guard.try_wait()
            && !status.success()
            && let Ok(guard) = spawn_guard(&self.path, Stdio::null())
        {
            self.guard = guard;
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.give_up();
        // Nothing can be done about a failure here; the next start removes strays.
        let _ = self.guard.wait();
    }
}

/// Makes a folder that only we, and the server's user below it, can enter.
pub(super) fn make_private(path: &Path, account: Option<Account>) -> io::Result<()> {
    // With a user of its own the server passes through to folders that are its own.
    let mode = if account.is_some() { 0o711 } else { 0o700 };
    DirBuilder::new().mode(mode).create(path)?;
    // Not left to the umask, which could shut the server's user out.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Stops the servers and removes the folders of owners that died together with their guards.
pub(super) fn remove_strays(beside: &Folder) {
    let Some(base) = beside.path.parent() else { return };
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let named = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes());
        if named && path != beside.path && is_stray(&path, beside.owner) {
            // Best effort: a stray that resists harms nobody but the disk.
            let _ = spawn_guard(&path, Stdio::null()).and_then(|mut guard| guard.wait());
        }
    }
}

fn is_stray(path: &Path, owner: u32) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    if !metadata.is_dir() || metadata.uid() != owner || path.join(LEFT).exists() {
        return false;
    }
    match File::open(path.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => older_than(&metadata, MAKING),
    }
}

/// Returns whether a file was last changed longer ago than that; clocks set back say no.
pub(super) fn older_than(metadata: &fs::Metadata, age: Duration) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|modified| SystemTime::now().duration_since(modified).ok())
        .is_some_and(|passed| passed > age)
}

fn spawn_guard(folder: &Path, input: Stdio) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", GUARD, "pgwright-guard"])
        .arg(folder)
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Ctrl-C at the terminal is for us; the guard acts when we are gone.
        .process_group(0)
        .spawn()
}

/// Returns our effective user, as the owner of a file that we make.
fn our_uid() -> Result<u32, ClusterError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("pgwright-owner-{}-{number}", std::process::id());
    let path = env::temp_dir().join(name);
    let uid = File::create_new(&path)
        .and_then(|file| file.metadata())
        .map(|metadata| metadata.uid())
        .map_err(|source| ClusterError::Folder { path: path.clone(), source })?;
    // Best effort: an empty file.
    let _ = fs::remove_file(&path);
    Ok(uid)
}

/// Returns the folder for temporary files, or `/tmp` where that one cannot serve.
fn base(account: Option<Account>) -> Result<PathBuf, ClusterError> {
    let wanted = env::temp_dir();
    [wanted.clone(), PathBuf::from("/tmp")]
        .into_iter()
        .filter_map(|base| base.canonicalize().ok())
        .find(|base| short_enough(base) && (account.is_none() || open_to_others(base)))
        .ok_or(ClusterError::NoRoom { path: wanted })
}

fn short_enough(base: &Path) -> bool {
    let longest = format!("/{PREFIX}4194304-4294967295/s/.s.PGSQL.65535");
    base.as_os_str().len() + longest.len() <= SOCKET_PATH_LIMIT
}

fn open_to_others(base: &Path) -> bool {
    base.ancestors().all(|folder| {
        fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::{is_stray, short_enough, spawn_guard};
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::process::Stdio;

    #[test]
    fn a_long_temporary_folder_is_passed_over() {
        assert!(short_enough(Path::new("/tmp")));
        assert!(!short_enough(Path::new(&format!("/tmp/{}", "x".repeat(60)))));
    }

    #[test]
    fn a_folder_is_a_stray_once_its_lock_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).unwrap().uid();
        assert!(!is_stray(folder.path(), owner), "just made, lock not yet there");
        let lock = File::create(folder.path().join("owner.lock")).unwrap();
        lock.lock().unwrap();
        assert!(!is_stray(folder.path(), owner), "its owner lives");
        lock.unlock().unwrap();
        assert!(is_stray(folder.path(), owner));
        assert!(!is_stray(folder.path(), owner + 1), "another user's");
        File::create(folder.path().join("left-running")).unwrap();
        assert!(!is_stray(folder.path(), owner), "a person wants it");
    }

    #[test]
    fn the_guard_removes_the_folder_and_spares_a_process_that_is_no_server_of_it() {
        let mut bystander = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let folder = tempfile::tempdir().unwrap().keep();
        fs::create_dir(folder.join("data")).unwrap();
        let pid_file = folder.join("data/postmaster.pid");
        fs::write(pid_file, format!("{}\n", bystander.id())).unwrap();
        let status = spawn_guard(&folder, Stdio::null()).unwrap().wait().unwrap();
        assert!(status.success());
        assert!(!folder.exists());
        assert!(bystander.try_wait().unwrap().is_none(), "the bystander was killed");
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
