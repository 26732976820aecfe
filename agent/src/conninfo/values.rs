//! From the text of each parameter to its meaning.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::ConnInfoError;
use super::parameters::{Settings, find};
use super::{
    ChannelBinding, Host, HostEntry, Keepalive, RootCertificates, SslMode, TargetSession,
    TlsSettings, TlsVersion,
};

/// PostgreSQL's port where none is given.
pub(super) const DEFAULT_PORT: u16 = 5432;

/// How long one attempt to connect may take where `connect_timeout` is not given. libpq waits
/// for ever; an unattended run must not.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the error that says what a parameter may be.
fn wrong(settings: &Settings, parameter: &str, expected: &'static str) -> ConnInfoError {
    let parameter = find(parameter).expect("only known parameters are read").name;
    ConnInfoError::Value {
        parameter,
        value: settings.get(parameter).unwrap_or_default().escape_debug().to_string(),
        origin: settings.origin(parameter),
        expected,
    }
}

/// Reads a parameter that is one of a few words; `None` where it is not set.
fn word<T: Copy>(
    settings: &Settings,
    parameter: &'static str,
    words: &[(&str, T)],
    expected: &'static str,
) -> Result<Option<T>, ConnInfoError> {
    let Some(value) = settings.get(parameter) else { return Ok(None) };
    words
        .iter()
        .find(|(word, _)| *word == value)
        .map(|(_, meaning)| Some(*meaning))
        .ok_or_else(|| wrong(settings, parameter, expected))
}

fn integer(settings: &Settings, parameter: &'static str) -> Result<Option<i64>, ConnInfoError> {
    let Some(value) = settings.get(parameter) else { return Ok(None) };
    value.trim().parse().map(Some).map_err(|_| wrong(settings, parameter, "a whole number"))
}

/// Reads a length of time; as in libpq, zero and negative numbers mean "not set".
fn duration(
    settings: &Settings,
    parameter: &'static str,
    unit: fn(u64) -> Duration,
) -> Result<Option<Duration>, ConnInfoError> {
    let value = integer(settings, parameter)?;
    Ok(value.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0).map(unit))
}

pub(super) fn connect_timeout(settings: &Settings) -> Result<Option<Duration>, ConnInfoError> {
    if settings.get("connect_timeout").is_none() {
        return Ok(Some(DEFAULT_CONNECT_TIMEOUT));
    }
    duration(settings, "connect_timeout", Duration::from_secs)
}

pub(super) fn keepalive(settings: &Settings) -> Result<Keepalive, ConnInfoError> {
    let default = Keepalive::default();
    let count = integer(settings, "keepalives_count")?.and_then(|n| u32::try_from(n).ok());
    Ok(Keepalive {
        enabled: integer(settings, "keepalives")?.is_none_or(|n| n != 0),
        idle: duration(settings, "keepalives_idle", Duration::from_secs)?.unwrap_or(default.idle),
        interval: duration(settings, "keepalives_interval", Duration::from_secs)?
            .unwrap_or(default.interval),
        count: count.filter(|n| *n > 0).unwrap_or(default.count),
        user_timeout: match settings.get("tcp_user_timeout") {
            None => default.user_timeout,
            Some(_) => duration(settings, "tcp_user_timeout", Duration::from_millis)?,
        },
    })
}

pub(super) fn target_session(settings: &Settings) -> Result<TargetSession, ConnInfoError> {
    let words = [
        ("any", TargetSession::Any),
        ("read-write", TargetSession::ReadWrite),
        ("read-only", TargetSession::ReadOnly),
        ("primary", TargetSession::Primary),
        ("standby", TargetSession::Standby),
        ("prefer-standby", TargetSession::PreferStandby),
    ];
    let expected = "any, read-write, read-only, primary, standby or prefer-standby";
    Ok(word(settings, "target_session_attrs", &words, expected)?.unwrap_or(TargetSession::Any))
}

/// Hosts in order, with the ports and addresses that belong to them.
pub(super) fn hosts(settings: &Settings) -> Result<Vec<HostEntry>, ConnInfoError> {
    let list = |name| settings.get(name).map(|text| text.split(',').collect::<Vec<_>>());
    let (names, addresses) = (list("host"), list("hostaddr"));
    let count = match (&names, &addresses) {
        (Some(names), Some(addresses)) if names.len() != addresses.len() => {
            let (names, addresses) = (names.len(), addresses.len());
            let problem = format!(
                "there are {names} values of `host` and {addresses} of `hostaddr`; give as many of one as of the other"
            );
            return Err(ConnInfoError::Conflict(problem));
        }
        (Some(list), _) | (None, Some(list)) => list.len(),
        (None, None) => 1,
    };
    let ports = list("port").unwrap_or_else(|| vec![""]);
    if ports.len() != 1 && ports.len() != count {
        let problem = format!(
            "there are {} ports for {count} hosts; give one port, or one for each host",
            ports.len()
        );
        return Err(ConnInfoError::Conflict(problem));
    }
    let item = |list: &Option<Vec<&str>>, i: usize| {
        list.as_ref().and_then(|list| list.get(i)).map_or("", |text| text.trim()).to_owned()
    };
    (0..count)
        .map(|i| {
            let port = port(settings, ports.get(i).or(ports.first()).copied().unwrap_or_default())?;
            let name = item(&names, i);
            let address = match item(&addresses, i).as_str() {
                "" => None,
                text => Some(text.parse::<IpAddr>().map_err(|_| {
                    wrong(
                        settings,
                        "hostaddr",
                        "numeric addresses such as 192.0.2.7 or 2001:db8::7",
                    )
                })?),
            };
            host(settings, name, address, port)
        })
        .collect()
}

fn port(settings: &Settings, text: &str) -> Result<u16, ConnInfoError> {
    match text.trim() {
        "" => Ok(DEFAULT_PORT),
        text => text
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| wrong(settings, "port", "a number from 1 to 65535")),
    }
}

fn host(
    settings: &Settings,
    name: String,
    address: Option<IpAddr>,
    port: u16,
) -> Result<HostEntry, ConnInfoError> {
    let host = match (name.as_str(), address) {
        ("", Some(address)) => Host::Tcp(address.to_string()),
        ("", None) => default_host(port),
        (path, _) if path.starts_with('/') => Host::Unix(PathBuf::from(path)),
        (path, _) if path.starts_with('@') => {
            let expected = "a host name, an address or the folder of a socket (abstract sockets are not supported)";
            return Err(wrong(settings, "host", expected));
        }
        _ => Host::Tcp(name),
    };
    Ok(HostEntry { host, address, port })
}

/// Folders of the server's socket: the one of Debian's and of the RPM packages, and the one of
/// a server built from source.
pub(super) const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// The local server's socket folder, or `localhost` where there is none. libpq has one folder
/// compiled in; we cannot know which one the server's packager chose.
fn default_host(port: u16) -> Host {
    let [packaged, from_source] = SOCKET_FOLDERS.map(PathBuf::from);
    if packaged.join(format!(".s.PGSQL.{port}")).exists() {
        Host::Unix(packaged)
    } else if from_source.join(format!(".s.PGSQL.{port}")).exists() {
        Host::Unix(from_source)
    } else if packaged.exists() {
        Host::Unix(packaged)
    } else {
        Host::Tcp("localhost".to_owned())
    }
}

/// Everything about TLS. The files named here are read when a connection needs them.
pub(super) fn tls(
    settings: &Settings,
    home: Option<&std::path::Path>,
) -> Result<TlsSettings, ConnInfoError> {
    let modes = [
        ("disable", SslMode::Disable),
        ("allow", SslMode::Allow),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ];
    let expected = "disable, allow, prefer, require, verify-ca or verify-full";
    let given = word(settings, "sslmode", &modes, expected)?;
    let in_home = |name: &str| home.map(|home| home.join(".postgresql").join(name));
    let existing = |name: &str| in_home(name).filter(|path| path.exists());
    let roots = match settings.get("sslrootcert") {
        Some("system") => RootCertificates::System,
        Some(path) => RootCertificates::File(PathBuf::from(path)),
        None => existing("root.crt").map_or(RootCertificates::None, RootCertificates::File),
    };
    let system = roots == RootCertificates::System;
    let mode = match given {
        Some(mode) => mode,
        None if system => SslMode::VerifyFull,
        None if settings.get("requiressl").is_some_and(|v| v.starts_with('1')) => SslMode::Require,
        None => SslMode::Prefer,
    };
    if system && mode != SslMode::VerifyFull {
        let problem = "sslrootcert=system trusts hundreds of authorities, so the name must be checked as well; use it with sslmode=verify-full";
        return Err(ConnInfoError::Conflict(problem.to_owned()));
    }
    let ways = [("postgres", false), ("direct", true)];
    let direct = word(settings, "sslnegotiation", &ways, "postgres or direct")?.unwrap_or(false);
    if direct && mode < SslMode::Require {
        let problem = "sslnegotiation=direct cannot fall back to no TLS; use it with sslmode=require, verify-ca or verify-full";
        return Err(ConnInfoError::Conflict(problem.to_owned()));
    }
    let versions = [
        ("TLSv1", TlsVersion::V12),
        ("TLSv1.1", TlsVersion::V12),
        ("TLSv1.2", TlsVersion::V12),
        ("TLSv1.3", TlsVersion::V13),
    ];
    let lowest = word(settings, "ssl_min_protocol_version", &versions, "TLSv1.2 or TLSv1.3")?;
    let highest = word(settings, "ssl_max_protocol_version", &versions[2..], "TLSv1.2 or TLSv1.3")?;
    let (lowest, highest) = (lowest.unwrap_or(TlsVersion::V12), highest.unwrap_or(TlsVersion::V13));
    if lowest > highest {
        let problem = "ssl_min_protocol_version is above ssl_max_protocol_version; exchange them";
        return Err(ConnInfoError::Conflict(problem.to_owned()));
    }
    let certificate = settings.get("sslcert").map(PathBuf::from);
    let certificate = certificate.or_else(|| existing("postgresql.crt"));
    let key = settings.get("sslkey").map(PathBuf::from).or_else(|| in_home("postgresql.key"));
    Ok(TlsSettings {
        mode,
        roots,
        certificate,
        key,
        direct,
        send_name: settings.get("sslsni") != Some("0"),
        lowest,
        highest,
        channel_binding: channel_binding(settings)?,
    })
}

fn channel_binding(settings: &Settings) -> Result<ChannelBinding, ConnInfoError> {
    let words = [
        ("disable", ChannelBinding::Disable),
        ("prefer", ChannelBinding::Prefer),
        ("require", ChannelBinding::Require),
    ];
    let expected = "disable, prefer or require";
    Ok(word(settings, "channel_binding", &words, expected)?.unwrap_or(ChannelBinding::Prefer))
}
