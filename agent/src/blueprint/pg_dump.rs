//! Definitions as `pg_dump` of the server's major version writes them.
//!
//! It locks every table of the database in ACCESS SHARE mode, for which the role must be able to read them all, and
//! so is bounded in time and in waiting. The password goes to it through the environment, never on its command
//! line. Where it cannot do, the catalogs tell the same.

use std::process::Stdio;
use std::time::Duration;

use rules::blueprint::Definition;
use rules::statement::{Dump, definitions};
use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::Binaries;
use crate::conninfo::{ChannelBinding, ConnInfo, Host, RootCertificates, SslMode, TlsVersion};

/// How long it may run, and how long it may wait for one lock.
const PATIENCE: Duration = Duration::from_mins(2);
const LOCK_PATIENCE_MS: &str = "2000";

/// What it wrote.
pub(super) struct Written {
    /// Its name and version.
    pub(super) by: String,
    pub(super) definitions: Vec<Definition>,
    /// Foreign tables, which are left out.
    pub(super) foreign: Vec<String>,
}

/// The definitions, or why they cannot be had this way, as the end of a sentence.
pub(super) async fn write(info: &ConnInfo, major: u32) -> Result<Written, String> {
    let found = Binaries::find_all().into_iter().filter(|found| found.major == major);
    let mut programs = found.map(|found| (found.bin.join("pg_dump"), found.version_num % 10_000));
    let (program, minor) = programs
        .find(|(program, _)| program.is_file())
        .ok_or_else(|| format!("there is no pg_dump of version {major} on this machine"))?;
    let mut command = Command::new(program);
    command
        .args([
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "--no-comments",
            "--no-publications",
        ])
        .args(["--no-subscriptions", "--no-security-labels", "--no-tablespaces", "--no-password"])
        .args(["--exclude-schema", "pgwright", "--lock-wait-timeout", LOCK_PATIENCE_MS])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    point_at(&mut command, info);
    let output = timeout(PATIENCE, command.output()).await;
    let output = output
        .map_err(|_| format!("pg_dump took longer than {} s", PATIENCE.as_secs()))?
        .map_err(|error| format!("pg_dump could not be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or_default().to_owned();
        return Err(format!("pg_dump failed: {first}"));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| "pg_dump wrote what is not UTF-8".to_owned())?;
    let Dump { definitions, foreign } = definitions(&without_psql(&text))
        .map_err(|error| format!("what pg_dump wrote cannot be read: {error}"))?;
    Ok(Written { by: format!("pg_dump {major}.{minor}"), definitions, foreign })
}

/// Tells it by environment what to connect to. What the user's environment says is in `info` already.
fn point_at(command: &mut Command, info: &ConnInfo) {
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    let hosts = info.hosts().iter();
    let list = |items: Vec<String>| items.join(",");
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    };
    command.env("PGHOST", list(hosts.clone().map(|entry| host(&entry.host)).collect()));
    command.env("PGPORT", list(hosts.clone().map(|entry| entry.port.to_string()).collect()));
    if hosts.clone().all(|entry| entry.address.is_some()) {
        let addresses = hosts.clone().filter_map(|entry| entry.address);
        command.env("PGHOSTADDR", list(addresses.map(|address| address.to_string()).collect()));
    }
    command.env("PGUSER", info.user()).env("PGDATABASE", info.database());
    command.env("PGAPPNAME", "pgwright/sample").env("PGCLIENTENCODING", "UTF8");
    if let Some(password) = hosts.clone().find_map(|entry| info.password(entry)) {
        command.env("PGPASSWORD", password.reveal());
    }
    if let Some(limit) = info.connect_timeout() {
        command.env("PGCONNECT_TIMEOUT", limit.as_secs().max(2).to_string());
    }
    if let Some(options) = info.options() {
        command.env("PGOPTIONS", options);
    }
    secure(command, info);
}

fn secure(command: &mut Command, info: &ConnInfo) {
    let tls = info.tls();
    command.env(
        "PGSSLMODE",
        match tls.mode {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        },
    );
    match &tls.roots {
        RootCertificates::None => {}
        RootCertificates::File(path) => {
            command.env("PGSSLROOTCERT", path);
        }
        RootCertificates::System => {
            command.env("PGSSLROOTCERT", "system");
        }
    }
    if let Some(path) = &tls.certificate {
        command.env("PGSSLCERT", path);
    }
    if let Some(path) = &tls.key {
        command.env("PGSSLKEY", path);
    }
    if tls.direct {
        command.env("PGSSLNEGOTIATION", "direct");
    }
    let version = |version: TlsVersion| match version {
        TlsVersion::V12 => "TLSv1.2",
        TlsVersion::V13 => "TLSv1.3",
    };
    command.env("PGSSLMINPROTOCOLVERSION", version(tls.lowest));
    command.env("PGSSLMAXPROTOCOLVERSION", version(tls.highest));
    command.env("PGSSLSNI", if tls.send_name { "1" } else { "0" });
    command.env(
        "PGCHANNELBINDING",
        match tls.channel_binding {
            ChannelBinding::Disable => "disable",
            ChannelBinding::Prefer => "prefer",
            ChannelBinding::Require => "require",
        },
    );
}

/// Without the lines that are psql's: `\restrict` and `\unrestrict`, since August 2025.
fn without_psql(dump: &str) -> String {
    let psql = |line: &&str| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ");
    dump.split_inclusive('\n').filter(|line| !psql(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Command, ConnInfo, point_at, without_psql};

    #[test]
    fn only_lines_of_psql_are_left_out() {
        let dump = "--\n\\restrict x7Zk\n\nCREATE TABLE a ();\n\\unrestrict x7Zk\n";
        assert_eq!(without_psql(dump), "--\n\nCREATE TABLE a ();\n");
    }

    #[test]
    fn the_password_goes_by_environment_and_never_on_the_command_line() {
        let info = "host=db.example port=6432 user=ann dbname=app password=s3cret sslmode=verify-full sslrootcert=/ca.pem";
        let info = ConnInfo::resolve(Some(info), &|_| None).unwrap();
        let mut command = Command::new("pg_dump");
        point_at(&mut command, &info);
        let command = command.as_std();
        assert_eq!(command.get_args().count(), 0);
        let value = |name: &str| {
            let mut all = command.get_envs();
            let value = all.find(|(key, _)| *key == name).and_then(|(_, value)| value);
            value.map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let seen = [
            "PGHOST",
            "PGPORT",
            "PGUSER",
            "PGDATABASE",
            "PGPASSWORD",
            "PGSSLMODE",
            "PGSSLROOTCERT",
        ]
        .map(value);
        assert_eq!(seen, ["db.example", "6432", "ann", "app", "s3cret", "verify-full", "/ca.pem"]);
    }
}
