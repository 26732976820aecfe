//! A private PostgreSQL server that we start, own and remove.
//!
//! `pgwright demo`, the tests and the benches run on it, and the planner twin will. It lives in a
//! temporary folder of its own with its own socket, and is reached by nobody else.
//!
//! It never outlives us, unless a person wants it to ([`Cluster::leave`]): dropping a [`Cluster`] stops the server and removes the folder, and when
//! we are killed a small guard process does the same, woken by the end of its input. (The kernel's
//! parent-death signal would need `unsafe`.) What is left when the guard is killed as well, the
//! next start removes.
//!
//! PostgreSQL refuses to run as root. When we are root the server runs as the operating-system
//! user `postgres`, or the one that `PGWRIGHT_PG_USER` names.

mod account;
mod binaries;
mod dump;
mod folder;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;

pub use self::binaries::Binaries;

use self::account::Account;
use self::folder::{Folder, make_private, older_than, remove_strays};
use crate::disk;

/// How long a server may take to start or to stop; a busy machine needs a few seconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often we look whether it did.
const GLANCE: Duration = Duration::from_millis(20);
/// How many such looks the end of a server takes at most once its clients are cut off.
const DYING: u32 = 50;
/// A kept `initdb` result older than this is made anew, before cleaners of temporary folders
/// start to take files out of it.
const TEMPLATE_AGE: Duration = Duration::from_hours(24);
/// How often a server is started again on another port when somebody took ours.
const PORT_TRIES: u32 = 3;
/// How the C library names `ENOSPC` in the language that all programs of a server run in.
const NO_SPACE: &str = "No space left on device";
/// A server whose file system has less room cannot go on: a new session alone may write some 200 kB
/// (`pg_internal.init`, `src/backend/utils/cache/relcache.c`).
const FULL: u64 = 1 << 20;
/// The superuser that `initdb` makes.
const SUPERUSER: &str = "postgres";

/// Why a private server could not be had.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No PostgreSQL server programs on this machine, or none of the wanted version.
    #[error(
        "no PostgreSQL{} server programs found; install PostgreSQL or set PGWRIGHT_PG_BIN to the \
         folder that holds `postgres` and `initdb`",
        .major.map(|major| format!(" {major}")).unwrap_or_default()
    )]
    NoServer {
        /// The major version asked for, if one was.
        major: Option<u32>,
    },
    /// A folder holds no usable server programs.
    #[error("{} holds no PostgreSQL server: {reason}", .bin.display())]
    NotAServer {
        /// The folder.
        bin: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// We are root and have no other user to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and there is no ordinary user `{user}` to run it as; \
         create that user, set PGWRIGHT_PG_USER to another, or run as an ordinary user"
    )]
    Account {
        /// The user looked for in `/etc/passwd`.
        user: String,
    },
    /// Neither the folder for temporary files nor `/tmp` can hold a server.
    #[error(
        "{} cannot hold a server, nor can /tmp: its path is too long for a socket, or the \
         server's user cannot enter it; set TMPDIR to another folder",
        .path.display()
    )]
    NoRoom {
        /// The folder for temporary files.
        path: PathBuf,
    },
    /// A file or folder of the server could not be made or read.
    #[error("could not make or read {}", .path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program could not be run at all.
    #[error("could not run {}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb failed: {output}")]
    Initdb {
        /// What it printed.
        output: String,
    },
    /// `pg_dump` failed.
    #[error("pg_dump failed: {output}")]
    Dump {
        /// What it printed.
        output: String,
    },
    /// The server stopped while it was starting.
    #[error("the server did not start ({status}): {log}")]
    Start {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// The server neither became ready nor stopped in time.
    #[error("the server is still {action} after {} s: {log}", PATIENCE.as_secs())]
    Slow {
        /// "starting" or "stopping".
        action: &'static str,
        /// The end of its log.
        log: String,
    },
}

impl ClusterError {
    /// Whether the disk is full.
    pub(crate) fn is_of_space(&self) -> bool {
        match self {
            Self::Folder { source, .. } | Self::Run { source, .. } => {
                source.kind() == io::ErrorKind::StorageFull
            }
            Self::Initdb { output } => output.contains(NO_SPACE),
            Self::Start { log, .. } | Self::Slow { log, .. } => log.contains(NO_SPACE),
            _ => false,
        }
    }
}

/// How a private server is set up.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// Server settings, name and value; they win over our own (`fsync = off`, UTC).
    pub settings: Vec<(String, String)>,
    /// Libraries for `shared_preload_libraries`.
    pub preload: Vec<String>,
    /// Listen on 127.0.0.1 on a free port as well as on the socket.
    pub tcp: bool,
    /// Keep the `initdb` result in the folder for temporary files and copy it next time: a start
    /// takes a fraction of the time, and about 40 MB stay behind for a day or more.
    pub keep_template: bool,
    /// Without data checksums, which are on by default since version 18: pages may then be changed from outside.
    pub no_checksums: bool,
    /// Bytes of address space that each of the server's processes may take; beyond it PostgreSQL reports
    /// that it is out of memory.
    pub memory: Option<u64>,
}

/// A running private server. Dropping it stops the server and removes its folder, waiting for
/// both.
#[derive(Debug)]
pub struct Cluster {
    folder: Folder,
    account: Option<Account>,
    binaries: Binaries,
    options: ClusterOptions,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Makes a new data folder and starts a server on it; returns when it takes connections.
    pub async fn start(binaries: &Binaries, options: ClusterOptions) -> Result<Self, ClusterError> {
        let (folder, account) = Folder::create()?;
        remove_strays(&folder);
        let mut cluster =
            Self { folder, account, binaries: binaries.clone(), options, port: 5432, server: None };
        cluster.make_own(&cluster.socket_dir())?;
        cluster.fill_data_dir().await?;
        for _ in 1..PORT_TRIES {
            match cluster.launch().await {
                // Between our look for a free port and the server's use somebody may take it.
                Err(ClusterError::Start { .. }) if cluster.options.tcp => {}
                result => return result.map(|()| cluster),
            }
        }
        cluster.launch().await.map(|()| cluster)
    }

    /// The connection string (key=value) for a database on this server, as its superuser.
    pub fn conninfo(&self, database: &str) -> String {
        let quoted = |text: &str| text.replace('\\', r"\\").replace('\'', r"\'");
        let host = self.socket_dir();
        let host = quoted(&host.to_string_lossy());
        let port = self.port;
        format!("host='{host}' port={port} user={SUPERUSER} dbname='{}'", quoted(database))
    }

    /// The folder of the server's socket: what `host` is in a connection string.
    pub fn socket_dir(&self) -> PathBuf {
        self.folder.path.join("s")
    }

    /// The port: of the socket's name, and on 127.0.0.1 where [`ClusterOptions::tcp`] is set.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path.join("data")
    }

    /// The server's process, unless it was killed.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// The programs that it runs on.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Stops the server and removes its folder.
    pub async fn stop(self) {
        // Only a panic in `drop` could fail here, and it has none.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Leaves the server running and its folder in place when we are gone, and returns that folder. From now on
    /// a person has to stop the one and remove the other.
    ///
    /// # Errors
    /// When the note that keeps a later start from taking the folder for a stray cannot be written; the server
    /// is then stopped as ever.
    pub fn leave(mut self) -> Result<PathBuf, ClusterError> {
        let path = self.folder.path.clone();
        self.folder
            .leave()
            .map_err(|source| ClusterError::Folder { path: path.clone(), source })?;
        // Dropped without waiting for its end.
        self.server = None;
        Ok(path)
    }

    /// Stops the server at once as a crash does: without a checkpoint, its clients cut off.
    pub async fn kill(&mut self) -> Result<(), ClusterError> {
        self.end("QUIT").await
    }

    /// Starts the server again on the same data and port, after an orderly stop if it still runs.
    pub async fn restart(&mut self) -> Result<(), ClusterError> {
        self.end("INT").await?;
        self.run().await
    }

    /// Stops the server in good order, everything written; [`Self::restart`] starts it again.
    pub async fn halt(&mut self) -> Result<(), ClusterError> {
        self.end("INT").await
    }

    /// Makes a folder beside the data folder that only the server can enter, and returns its path. It goes when
    /// the cluster goes.
    pub fn make_folder(&self, name: &str) -> Result<PathBuf, ClusterError> {
        let path = self.folder.path.join(name);
        self.make_own(&path)?;
        Ok(path)
    }

    async fn end(&mut self, signal: &'static str) -> Result<(), ClusterError> {
        let Some(server) = &mut self.server else { return Ok(()) };
        let mut kill = Command::new("sh");
        kill.args(["-c", r#"kill -s "$1" "$2""#, "kill", signal, &server.id().to_string()]);
        output(kill).await?;
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if self.has_ended()?.is_some() {
                self.server = None;
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(ClusterError::Slow { action: "stopping", log: self.log_tail() })
    }

    /// Whether the server ended without being told to. Its clients may know it a moment before we do.
    pub(crate) async fn is_dead(&mut self) -> bool {
        for _ in 0..DYING {
            if !matches!(self.has_ended(), Ok(None)) {
                break;
            }
            tokio::time::sleep(GLANCE).await;
        }
        matches!(self.has_ended(), Ok(Some(_)))
    }

    /// Whether the last that the server had to say is that the disk is full.
    pub(crate) fn lacks_space(&self) -> bool {
        self.log_tail().contains(NO_SPACE)
    }

    fn has_ended(&mut self) -> Result<Option<ExitStatus>, ClusterError> {
        let Some(server) = &mut self.server else { return Ok(None) };
        let program = self.binaries.bin.join("postgres");
        server.try_wait().map_err(|source| ClusterError::Run { program, source })
    }

    async fn launch(&mut self) -> Result<(), ClusterError> {
        if self.options.tcp {
            self.port = free_port()?;
        }
        self.run().await
    }

    async fn run(&mut self) -> Result<(), ClusterError> {
        let log = self.folder.path.join("log");
        let open = File::options().create(true).append(true).open(&log);
        let (out, err) = open
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|source| ClusterError::Folder { path: log, source })?;
        let program = self.binaries.bin.join("postgres");
        let mut command = match self.options.memory {
            Some(bytes) => self.limited("postgres", bytes),
            None => self.command("postgres"),
        };
        command.arg("-D").arg(self.data_dir());
        for (name, value) in self.settings() {
            command.args(["-c", &format!("{name}={value}")]);
        }
        // Ctrl-C at the terminal is for us; it must not hit the server before we are done with it.
        command.process_group(0).stdout(out).stderr(err);
        let server = command.spawn().map_err(|source| ClusterError::Run { program, source })?;
        let pid = server.id();
        self.server = Some(server);
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.has_ended()? {
                self.server = None;
                return Err(ClusterError::Start { status, log: self.log_tail() });
            }
            if is_ready(&self.data_dir(), pid) {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(ClusterError::Slow { action: "starting", log: self.log_tail() })
    }

    fn settings(&self) -> Vec<(String, String)> {
        let listen = if self.options.tcp { "127.0.0.1" } else { "" };
        let preload = self.options.preload.join(",");
        // A list setting: quoted, so that a comma in the path does not make it two.
        let socket_dir = format!("\"{}\"", self.socket_dir().display());
        let name = self.folder.path.file_name().unwrap_or_default().to_string_lossy();
        let ours = [
            // In the title of every process of the server: so the guard knows them.
            ("cluster_name", &*name),
            // In the data folder, so that it goes with the folder however the server ends.
            ("dynamic_shared_memory_type", "mmap"),
            ("listen_addresses", listen),
            ("port", &self.port.to_string()),
            ("unix_socket_directories", &socket_dir),
            ("unix_socket_permissions", "0700"),
            ("shared_preload_libraries", &preload),
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("logging_collector", "off"),
        ];
        ours.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain(self.options.settings.iter().cloned())
            .collect()
    }

    /// The last lines of the server's log. A full disk is named even where the log had no room for it either, or where
    /// the server does not say why it could not write ("could not write init file").
    fn log_tail(&self) -> String {
        let log = fs::read(self.folder.path.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut lines: Vec<&str> = log.lines().collect();
        lines.drain(..lines.len().saturating_sub(8));
        if disk::free(&self.folder.path).is_some_and(|free| free < FULL) {
            lines.push(NO_SPACE);
        }
        lines.join("\n")
    }

    /// A program of the server, run as its user, in a fixed language, without our `PG*` variables.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.bin.join(program));
        self.prepare(&mut command);
        command
    }

    /// The same with bounded address space and without core files; `exec` keeps the process.
    fn limited(&self, program: &str, bytes: u64) -> Command {
        let mut command = Command::new("sh");
        let limit = format!(r#"ulimit -c 0; ulimit -v {}; exec "$0" "$@""#, bytes / 1024);
        command.arg("-c").arg(limit).arg(self.binaries.bin.join(program));
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").env("TZ", "UTC");
        command.current_dir(&self.folder.path).stdin(Stdio::null());
        Account::apply(self.account, command);
    }

    fn make_own(&self, path: &Path) -> Result<(), ClusterError> {
        make_private(path, None)
            .and_then(|()| {
                let Some(Account { uid, gid }) = self.account else { return Ok(()) };
                chown(path, Some(uid), Some(gid))
            })
            .map_err(|source| ClusterError::Folder { path: path.to_path_buf(), source })
    }

    async fn fill_data_dir(&self) -> Result<(), ClusterError> {
        let data = self.data_dir();
        self.make_own(&data)?;
        if self.options.keep_template
            && let Some(template) = self.template().await?
        {
            let mut copy = Command::new("cp");
            copy.arg("-Rp").arg(template.join("data/.")).arg(&data);
            self.prepare(&mut copy);
            if output(copy).await?.status.success() {
                return Ok(());
            }
            // Somebody replaced the template meanwhile.
            let remove = fs::remove_dir_all(&data);
            remove.map_err(|source| ClusterError::Folder { path: data.clone(), source })?;
            self.make_own(&data)?;
        }
        self.initdb(&data).await
    }

    /// Returns the kept `initdb` result for these programs and this user, made now if need be.
    /// None where another user's folder stands in its place: its settings could run programs.
    async fn template(&self) -> Result<Option<PathBuf>, ClusterError> {
        let mut hasher = DefaultHasher::new();
        let uid = self.account.map(|account| account.uid);
        (&self.binaries.bin, uid, self.drops_checksums()).hash(&mut hasher);
        let Binaries { version_num, .. } = self.binaries;
        let owner = self.folder.owner;
        let name = format!("pgwright-initdb-{version_num}-{owner}-{:016x}", hasher.finish());
        let kept = self.folder.path.with_file_name(name);
        match fs::symlink_metadata(&kept) {
            Ok(metadata) if metadata.uid() != owner || !metadata.is_dir() => return Ok(None),
            Ok(metadata) if !older_than(&metadata, TEMPLATE_AGE) => return Ok(Some(kept)),
            // Moved into our own folder, it goes when that goes; another may have been quicker.
            Ok(_) => drop(fs::rename(&kept, self.folder.path.join("old-template"))),
            Err(_) => {}
        }
        let made = self.folder.path.join("template");
        make_private(&made, self.account)
            .map_err(|source| ClusterError::Folder { path: made.clone(), source })?;
        self.make_own(&made.join("data"))?;
        self.initdb(&made.join("data")).await?;
        // Fails where another process was quicker, whose result is as good.
        let _ = fs::rename(&made, &kept);
        Ok(Some(kept))
    }

    /// Whether `initdb` has to be told to leave checksums away; before 18 it does so by itself.
    fn drops_checksums(&self) -> bool {
        self.options.no_checksums && self.binaries.major >= 18
    }

    async fn initdb(&self, data: &Path) -> Result<(), ClusterError> {
        let mut initdb = self.command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--locale=C", "--encoding=UTF8"]);
        if self.drops_checksums() {
            initdb.arg("--no-data-checksums");
        }
        initdb.arg("--username").arg(SUPERUSER).arg("--pgdata").arg(data);
        let output = output(initdb).await?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ClusterError::Initdb { output: text })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.folder.give_up();
        if let Some(server) = &mut self.server {
            // The guard ends the server; it counts as gone only when we have taken its status.
            let _ = server.wait();
        }
    }
}

async fn output(command: Command) -> Result<std::process::Output, ClusterError> {
    let program = PathBuf::from(command.get_program());
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output().await;
    output.map_err(|source| ClusterError::Run { program, source })
}

fn free_port() -> Result<u16, ClusterError> {
    let address = "127.0.0.1:0";
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| ClusterError::Folder { path: PathBuf::from(address), source })
}

/// Looks into `postmaster.pid`: line 1 is the process, line 8 its state (PostgreSQL 10 and later).
fn is_ready(data: &Path, pid: u32) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    let is_ours = lines.next().is_some_and(|line| line.trim() == pid.to_string());
    is_ours && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::is_ready;

    #[test]
    fn readiness_is_the_eighth_line_of_our_own_servers_file() {
        let data = tempfile::tempdir().unwrap();
        let write = |state: &str| {
            let text = format!("77\n/data\n1700000000\n5432\n/s\n\n  1  2\n{state}\n");
            std::fs::write(data.path().join("postmaster.pid"), text).unwrap();
        };
        assert!(!is_ready(data.path(), 77), "no file yet");
        write("starting");
        assert!(!is_ready(data.path(), 77));
        write("ready   ");
        assert!(is_ready(data.path(), 77));
        assert!(!is_ready(data.path(), 78), "another server's file");
    }
}
