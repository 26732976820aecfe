//! The limits of what changes something: options of `optimize --apply`, and the table `[limits]` of a file.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use agent::applier::ApplyOptions;
use agent::guards::{DiskFree, GuardOptions};
use clap::Args;
use rules::guards::{Limits, Window};
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::values::{ByteSize, LockTimeout, Unreadable, Wait, Whole};

/// What keeps every command that changes something polite.
#[derive(Clone, Debug, Default, Args, PartialEq)]
pub(crate) struct Manners {
    /// Begin nothing while this file exists, and cancel the build at work when it appears
    ///
    /// From psql: `UPDATE pgwright."Control" SET "paused" = true`. A person's `rollback` is not held up.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PGWRIGHT_STOP_FILE",
        hide_env_values = true
    )]
    pub(crate) stop_file: Option<PathBuf>,
    /// Cancel our own statement when anyone has waited behind it for this long [default: 5s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "PGWRIGHT_MAX_BLOCK",
        hide_env_values = true
    )]
    pub(crate) max_block: Option<Wait>,
    /// Wait for a lock for at most this long, three times [default: 3s]
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        env = "PGWRIGHT_LOCK_TIMEOUT",
        hide_env_values = true
    )]
    pub(crate) lock_timeout: Option<LockTimeout>,
}

/// What keeps `--apply` polite; of [`Manners`] what files say.
#[derive(Clone, Debug, Default, Args, Deserialize, PartialEq)]
#[command(next_help_heading = "Limits of --apply")]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct LimitArgs {
    /// Begin nothing outside of this window, and no build that would not end within it
    ///
    /// Days (all if none is named), a span, and perhaps a time zone (else that of the server's log); several are
    /// joined by semicolons: `Sat,Sun 02:00-05:00`, `Mon-Fri 22:00-04:00 Europe/Berlin`. A build that is at work at the
    /// end is cancelled.
    #[arg(long, value_name = "SPANS", env = "PGWRIGHT_WINDOW", hide_env_values = true)]
    window: Option<WindowText>,
    #[arg(skip)]
    pub(crate) stop_file: Option<PathBuf>,
    /// Take this for the free disk of the server: a size, or a path on this machine to measure at
    ///
    /// A path begins with a slash. Without it a server on this machine is measured where it tells its data folder.
    #[arg(long, value_name = "SIZE|PATH", env = "PGWRIGHT_DISK_FREE", hide_env_values = true)]
    disk_free: Option<DiskText>,
    /// Let all builds of a run together take at most this long
    #[arg(long, value_name = "TIME", env = "PGWRIGHT_MAX_BUILD_TIME", hide_env_values = true)]
    max_build_time: Option<Wait>,
    /// Let all indexes that a run builds take at most this much disk
    #[arg(long, value_name = "SIZE", env = "PGWRIGHT_MAX_BUILD_BYTES", hide_env_values = true)]
    max_build_bytes: Option<ByteSize>,
    /// Make no index on a table that has this many [default: 15]
    #[arg(long, value_name = "N", env = "PGWRIGHT_MAX_INDEXES", hide_env_values = true)]
    max_indexes: Option<Whole<1>>,
    /// Build nothing while a standby or replication slot is this much WAL behind [default: 1GB]
    #[arg(long, value_name = "SIZE", env = "PGWRIGHT_MAX_LAG", hide_env_values = true)]
    max_lag: Option<ByteSize>,
    #[arg(skip)]
    max_block: Option<Wait>,
    #[arg(skip)]
    lock_timeout: Option<LockTimeout>,
    /// Let this guard of an action warn instead of refuse (can be repeated)
    ///
    /// `pgwright rules` tells of rules, docs/guards.md of guards.
    #[arg(
        long,
        value_name = "GUARD",
        env = "PGWRIGHT_WAIVE_GUARD",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = waivable()
    )]
    #[serde(deserialize_with = "only_waivable")]
    waive_guard: Vec<String>,
}

impl LimitArgs {
    /// The keys of the table in a file.
    pub(crate) const KEYS: &'static [&'static str] = &[
        "limits.window",
        "limits.stop-file",
        "limits.disk-free",
        "limits.max-build-time",
        "limits.max-build-bytes",
        "limits.max-indexes",
        "limits.max-lag",
        "limits.max-block",
        "limits.lock-timeout",
        "limits.waive-guard",
    ];

    /// With what is said of manners, and that before the rest.
    pub(crate) fn with(self, manners: &Manners) -> Self {
        let Manners { stop_file, max_block, lock_timeout } = manners.clone();
        Self { stop_file, max_block, lock_timeout, ..Self::default() }.or(&self)
    }

    /// What is said here, and for the rest what `later` says.
    pub(crate) fn or(self, later: &Self) -> Self {
        let later = later.clone();
        Self {
            window: self.window.or(later.window),
            stop_file: self.stop_file.or(later.stop_file),
            disk_free: self.disk_free.or(later.disk_free),
            max_build_time: self.max_build_time.or(later.max_build_time),
            max_build_bytes: self.max_build_bytes.or(later.max_build_bytes),
            max_indexes: self.max_indexes.or(later.max_indexes),
            max_lag: self.max_lag.or(later.max_lag),
            max_block: self.max_block.or(later.max_block),
            lock_timeout: self.lock_timeout.or(later.lock_timeout),
            waive_guard: if self.waive_guard.is_empty() {
                later.waive_guard
            } else {
                self.waive_guard
            },
        }
    }

    /// What the guards look at.
    pub(crate) fn guards(&self) -> GuardOptions {
        let usual = Limits::default();
        GuardOptions {
            limits: Limits {
                window: self.window.clone().map(|window| window.0),
                max_lag: self.max_lag.map_or(usual.max_lag, |size| size.0),
                max_indexes: self.max_indexes.map_or(usual.max_indexes, |count| count.0.into()),
                max_build_time: self.max_build_time.map(|wait| wait.0),
                max_build_bytes: self.max_build_bytes.map(|size| size.0),
                waived: self.waive_guard.clone(),
                ..usual
            },
            stop_file: self.stop_file.clone(),
            disk_free: self.disk_free.clone().map(|said| said.0),
        }
    }

    /// The limits of a run that waits for another one for so long.
    pub(crate) fn apply_options(&self, runner_wait: Duration) -> ApplyOptions {
        let usual = ApplyOptions::default();
        ApplyOptions {
            lock_timeout: self.lock_timeout.map_or(usual.lock_timeout, |wait| wait.0),
            max_block: self.max_block.map_or(usual.max_block, |wait| wait.0),
            guards: self.guards(),
            runner_wait,
            ..usual
        }
    }
}

fn waivable() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(Limits::waivable())
}

fn only_waivable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let given = Vec::<String>::deserialize(deserializer)?;
    match given.iter().find(|id| !Limits::waivable().any(|known| known == *id)) {
        Some(id) => {
            let known: Vec<&str> = Limits::waivable().collect();
            Err(de::Error::custom(format!(
                "`{id}` cannot be waived; expected one of {}",
                known.join(", ")
            )))
        }
        None => Ok(given),
    }
}

/// A window as written.
#[derive(Clone, Debug, PartialEq)]
struct WindowText(Window);

impl FromStr for WindowText {
    type Err = rules::guards::WindowError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl<'de> Deserialize<'de> for WindowText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Free disk as written.
#[derive(Clone, Debug, PartialEq)]
struct DiskText(DiskFree);

impl FromStr for DiskText {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('/') {
            let path = PathBuf::from(text);
            // A typo must not become a guard that knows nothing.
            return match path.metadata() {
                Ok(_) => Ok(Self(DiskFree::Path(path))),
                Err(error) => Err(Unreadable::path(&path, &error)),
            };
        }
        let size: ByteSize = text.parse().map_err(|error: Unreadable| {
            error
                .or("the absolute path of a folder on the file system, such as /var/lib/postgresql")
        })?;
        Ok(Self(DiskFree::Bytes(size.0)))
    }
}

impl<'de> Deserialize<'de> for DiskText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use agent::guards::DiskFree;
    use clap::Parser as _;

    use super::LimitArgs;
    use crate::cli::{Cli, Command};

    fn given(line: &[&str]) -> LimitArgs {
        let line = ["pgwright", "optimize"].iter().chain(line);
        let cli = Cli::try_parse_from(line).unwrap();
        match cli.command {
            Command::Optimize(args) => args.limits.clone().with(&cli.global.manners),
            _ => panic!("not optimize"),
        }
    }

    #[test]
    fn options_become_limits_and_careful_values_apply_without() {
        let options = given(&[]).apply_options(Duration::ZERO);
        assert_eq!(
            (options.max_block, options.lock_timeout),
            (Duration::from_secs(5), Duration::from_secs(3))
        );
        assert_eq!(
            (options.guards.limits.max_indexes, options.guards.limits.max_lag),
            (15, 1 << 30)
        );
        assert_eq!(options.guards.disk_free, None);
        let options = given(&[
            "--window",
            "Sat 02:00-05:00",
            "--stop-file",
            "/run/stop",
            "--disk-free",
            "20GB",
            "--max-indexes",
            "8",
            "--max-block",
            "2s",
            "--max-build-time",
            "1h",
            "--waive-guard",
            "hot_updates,index_count",
        ])
        .apply_options(Duration::ZERO);
        let guards = options.guards;
        assert_eq!(guards.limits.window.unwrap().to_string(), "Sat 02:00-05:00");
        assert_eq!(guards.stop_file, Some(PathBuf::from("/run/stop")));
        assert_eq!(guards.disk_free, Some(DiskFree::Bytes(20 << 30)));
        assert_eq!((guards.limits.max_indexes, options.max_block.as_secs()), (8, 2));
        assert_eq!(guards.limits.max_build_time, Some(Duration::from_hours(1)));
        assert_eq!(guards.limits.waived, ["hot_updates", "index_count"]);
    }

    #[test]
    fn every_command_that_changes_something_takes_manners() {
        for command in [&["verify"][..], &["rollback", "--all"]] {
            let line =
                [&["pgwright"], command, &["--stop-file", "s", "--lock-timeout", "1s"]].concat();
            let manners = Cli::try_parse_from(line).unwrap().global.manners;
            assert_eq!(manners.stop_file, Some(PathBuf::from("s")));
            assert_eq!(manners.lock_timeout.unwrap().0, Duration::from_secs(1));
        }
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file = LimitArgs {
            waive_guard: vec!["disk_space".into()],
            ..given(&["--max-lag", "2GB", "--disk-free", "/"])
        };
        let joined = given(&["--max-lag", "3GB"]).or(&file).guards();
        assert_eq!(joined.limits.max_lag, 3 << 30);
        assert_eq!(joined.disk_free, Some(DiskFree::Path(PathBuf::from("/"))));
        assert_eq!(joined.limits.waived, ["disk_space"]);
    }

    #[test]
    fn what_cannot_be_read_or_waived_is_refused_with_what_is_expected() {
        for (line, expected) in [
            (["--window", "Sat"], "02:00-05:00"),
            (["--disk-free", "lots"], "500MB"),
            (["--disk-free", "data/main"], "absolute path of a folder"),
            (["--disk-free", "/no/such/folder"], "cannot look at `/no/such/folder`"),
            (["--waive-guard", "standby"], "hot_updates"),
        ] {
            let error =
                Cli::try_parse_from(["pgwright", "optimize"].iter().chain(&line)).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
