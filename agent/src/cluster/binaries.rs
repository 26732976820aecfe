//! Finds PostgreSQL server programs on this machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ClusterError;

/// Server programs of one PostgreSQL installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder that holds `postgres` and `initdb`.
    pub bin: PathBuf,
    /// Major version, such as 15.
    pub major: u32,
    /// Version as `server_version_num` prints it, such as 150018 for 15.18.
    pub version_num: u32,
}

impl Binaries {
    /// Returns the programs in one folder, with their version.
    ///
    /// # Errors
    /// [`ClusterError::NotAServer`] when `postgres` or `initdb` is missing there or does not run.
    pub fn at(bin: &Path) -> Result<Self, ClusterError> {
        let not_a_server =
            |reason: String| ClusterError::NotAServer { bin: bin.to_path_buf(), reason };
        // Absolute, because the programs are run from another folder.
        let bin = bin.canonicalize().map_err(|error| not_a_server(error.to_string()))?;
        if !bin.join("initdb").is_file() {
            return Err(not_a_server("it has no initdb".to_owned()));
        }
        let output = Command::new(bin.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|error| not_a_server(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (major, minor) = parse_version(&text)
            .ok_or_else(|| not_a_server(format!("postgres --version printed {text:?}")))?;
        Ok(Self { bin, major, version_num: major * 10_000 + minor })
    }

    /// Returns the installation to use, of the given major version if one is asked for.
    ///
    /// `PGWRIGHT_PG_BIN` decides alone where it is set; otherwise the first of [`Self::find_all`].
    ///
    /// # Errors
    /// [`ClusterError::NoServer`] when there is none; [`ClusterError::NotAServer`] when
    /// `PGWRIGHT_PG_BIN` names a folder without server programs.
    pub fn find(major: Option<u32>) -> Result<Self, ClusterError> {
        if let Some(bin) = env::var_os("PGWRIGHT_PG_BIN") {
            let found = Self::at(Path::new(&bin))?;
            if major.is_none_or(|major| major == found.major) {
                return Ok(found);
            }
            return Err(ClusterError::NoServer { major });
        }
        Self::find_all()
            .into_iter()
            .find(|found| major.is_none_or(|major| major == found.major))
            .ok_or(ClusterError::NoServer { major })
    }

    /// Returns every installation found, best first: `PGWRIGHT_PG_BIN`, what `pg_config` and
    /// `PATH` point to, the folders of the usual packages (highest version first), and
    /// unpacked servers under `PGWRIGHT_SERVERS` or `./.servers`.
    pub fn find_all() -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for bin in candidates() {
            if let Ok(binaries) = Self::at(&bin)
                && !found.contains(&binaries)
            {
                found.push(binaries);
            }
        }
        found
    }

    /// Whether the extension's control file is installed, so that `CREATE EXTENSION` can work.
    pub fn offers(&self, extension: &str) -> bool {
        let control = format!("extension/{extension}.control");
        self.share_folders().iter().any(|share| share.join(&control).is_file())
    }

    fn share_folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.bin.join("../share/postgresql"), self.bin.join("../share")];
        if let Some(share) = print_folder(&self.bin.join("pg_config"), "--sharedir") {
            folders.push(share);
        }
        folders
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(env::var_os("PGWRIGHT_PG_BIN").map(PathBuf::from));
    folders.extend(print_folder(Path::new("pg_config"), "--bindir"));
    if let Some(path) = env::var_os("PATH") {
        folders.extend(env::split_paths(&path).filter(|folder| folder.join("postgres").is_file()));
    }
    // Debian; Red Hat; Homebrew on both of its roots.
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ] {
        folders.extend(versions_under(Path::new(parent), prefix, &["bin"]));
    }
    let servers =
        env::var_os("PGWRIGHT_SERVERS").map_or_else(|| PathBuf::from(".servers"), PathBuf::from);
    folders.extend(versions_under(&servers, "", &["bin", "native/bin", "package/native/bin"]));
    folders
}

/// Returns `parent/<prefix><version>/<tail>` for every such folder, highest version first.
fn versions_under(parent: &Path, prefix: &str, tails: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut versions: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let parts = name.strip_prefix(prefix)?.split(['.', '-']);
            let version: Vec<u32> = parts.map_while(|part| part.parse().ok()).collect();
            (!version.is_empty()).then(|| (version, entry.path()))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions
        .iter()
        .flat_map(|(_, folder)| tails.iter().map(|tail| folder.join(tail)))
        .filter(|bin| bin.is_dir())
        .collect()
}

fn print_folder(program: &Path, option: &str) -> Option<PathBuf> {
    let output = Command::new(program).arg(option).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let folder = text.trim();
    (output.status.success() && !folder.is_empty()).then(|| PathBuf::from(folder))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian …)`, also `19beta2` and `17devel`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let version = text.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let digits = |part: &str| -> Option<u32> {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse().ok()
    };
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((digits(major)?, digits(minor).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::{Binaries, parse_version, versions_under};
    use std::path::Path;

    #[test]
    fn versions_are_read_from_every_kind_of_build() {
        let read = |version: &str| parse_version(&format!("postgres (PostgreSQL) {version}\n"));
        assert_eq!(read("15.18 (Debian 15.18-0+deb12u1)"), Some((15, 18)));
        assert_eq!(read("19beta2"), Some((19, 0)));
        assert_eq!(read("17devel"), Some((17, 0)));
        assert_eq!(parse_version("bash, version 5"), None);
    }

    #[test]
    fn higher_versions_come_first_and_other_folders_are_left_out() {
        let servers = tempfile::tempdir().unwrap();
        for folder in ["9.6/bin", "14.20.0/native/bin", "18.1.0/native/bin", "notes/bin", "16"] {
            std::fs::create_dir_all(servers.path().join(folder)).unwrap();
        }
        let found = versions_under(servers.path(), "", &["bin", "native/bin"]);
        let names: Vec<&Path> =
            found.iter().map(|bin| bin.strip_prefix(servers.path()).unwrap()).collect();
        let expected = ["18.1.0/native/bin", "14.20.0/native/bin", "9.6/bin"];
        assert_eq!(names, expected.map(Path::new));
    }

    #[test]
    fn a_folder_without_server_programs_is_named_in_the_error() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::at(empty.path()).unwrap_err().to_string();
        assert!(error.contains(empty.path().to_str().unwrap()), "{error}");
        assert!(error.contains("initdb"), "{error}");
    }
}
