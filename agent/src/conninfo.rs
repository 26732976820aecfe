//! How to reach a server: from what the user gave, a service file, the `PG*` environment, the
//! password file and libpq's defaults, in libpq's order of precedence.

mod account;
mod error;
mod parameters;
mod parse;
mod passfile;
mod service;
mod values;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::ConnInfoError;
pub use parameters::Origin;

use crate::redacted::Redacted;
use account::Account;
use parameters::{PARAMETERS, Settings, Standing, find};
use passfile::PassFile;

/// A complete description of how to reach one database.
///
/// `Debug` and [`fmt::Display`] show no password.
#[derive(Clone, Debug)]
pub struct ConnInfo {
    hosts: Vec<HostEntry>,
    user: String,
    database: String,
    password: Option<Redacted<String>>,
    passfile: PassFile,
    tls: TlsSettings,
    connect_timeout: Option<Duration>,
    keepalive: Keepalive,
    target_session: TargetSession,
    application_name: Option<String>,
    options: Option<String>,
    warnings: Vec<String>,
    /// Why the password file was not used, where there is one.
    passfile_ignored: Option<String>,
}

/// One server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Its name or socket folder; also the name that its certificate must bear.
    pub host: Host,
    /// Its address, where the user wants no look-up.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name or numeric address.
    Tcp(String),
    /// The folder of a Unix-domain socket.
    Unix(PathBuf),
}

/// libpq's `sslmode`, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS only if the server refuses to go without.
    Allow,
    /// TLS if the server can.
    Prefer,
    /// TLS or nothing; the certificate is checked only where root certificates are known.
    Require,
    /// As `Require`, and an authority that we trust must have signed the certificate.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must bear the server's name.
    VerifyFull,
}

/// Which authorities are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootCertificates {
    /// None are known.
    None,
    /// Those in a PEM file.
    File(PathBuf),
    /// Those of the operating system.
    System,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2, the lowest that we speak.
    V12,
    /// TLS 1.3.
    V13,
}

/// Whether SCRAM is bound to the TLS channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server offers it.
    Prefer,
    /// Or no connection.
    Require,
}

/// Everything that TLS depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// How much of it is wanted.
    pub mode: SslMode,
    /// Who vouches for the server.
    pub roots: RootCertificates,
    /// Our own certificate (PEM), if the server may ask for one.
    pub certificate: Option<PathBuf>,
    /// The private key of our own certificate (PEM).
    pub key: Option<PathBuf>,
    /// Begin with the handshake at once (`sslnegotiation=direct`, PostgreSQL 17 and later).
    pub direct: bool,
    /// Send the server's name in the handshake (`sslsni`).
    pub send_name: bool,
    /// The lowest version accepted.
    pub lowest: TlsVersion,
    /// The highest version accepted.
    pub highest: TlsVersion,
    /// Whether SCRAM is bound to the channel.
    pub channel_binding: ChannelBinding,
}

/// What kind of session is wanted of several hosts (`target_session_attrs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetSession {
    /// Any.
    Any,
    /// One that can write.
    ReadWrite,
    /// One that cannot.
    ReadOnly,
    /// A primary.
    Primary,
    /// A standby.
    Standby,
    /// A standby if there is one.
    PreferStandby,
}

/// TCP keepalives: how soon a connection that has gone silent counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Whether they are sent at all.
    pub enabled: bool,
    /// Silence before the first one.
    pub idle: Duration,
    /// Time between two.
    pub interval: Duration,
    /// How many unanswered ones mean that the connection is lost.
    pub count: u32,
    /// How long sent data may stay unacknowledged; `None` means the system's default (about
    /// fifteen minutes on Linux).
    pub user_timeout: Option<Duration>,
}

impl Default for Keepalive {
    /// A lost connection is noticed after one minute, not after the operating system's two hours.
    fn default() -> Self {
        Self {
            enabled: true,
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            user_timeout: Some(Duration::from_mins(1)),
        }
    }
}

impl ConnInfo {
    /// Resolves what the user gave (a URI, a key=value string, a bare database name, or nothing)
    /// into a complete description.
    ///
    /// What it does not say is filled from the service that it or the environment names, then
    /// from the `PG*` variables, then with libpq's defaults. `env` looks a variable up. Reads the
    /// service file and the password file; opens no connection.
    pub fn resolve(
        given: Option<&str>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConnInfoError> {
        let account = Account::look_up(env);
        Self::build(&collect(given, env, &account)?, &account)
    }

    /// As [`ConnInfo::resolve`], with another role. A password that was given for the first role is not offered to
    /// the server for this one: it comes from the password file.
    pub fn resolve_as(
        given: Option<&str>,
        role: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConnInfoError> {
        let account = Account::look_up(env);
        let mut settings = collect(given, env, &account)?;
        let database = settings.get("dbname").or(settings.get("user")).or(account.name.as_deref());
        let own = [("dbname", database.unwrap_or_default()), ("user", role), ("password", "")];
        let own = own.map(|(name, value)| (name, value.to_owned()));
        for (parameter, value) in own.into_iter().filter_map(|(name, v)| Some((find(name)?, v))) {
            settings.set(parameter, value, &Origin::Given);
        }
        Self::build(&settings, &account)
    }

    fn build(settings: &Settings, account: &Account) -> Result<Self, ConnInfoError> {
        refuse_unsupported(settings)?;
        let home = account.home.as_deref();
        let user = settings.get("user").map(str::to_owned).or_else(|| account.name.clone());
        let user = user.ok_or(ConnInfoError::NoUser)?;
        let mut warnings = Vec::new();
        if settings.get("load_balance_hosts").is_some_and(|value| value != "disable") {
            warnings.push("load_balance_hosts is ignored: hosts are tried in order".to_owned());
        }
        let password = settings.get("password").map(|text| Redacted::new(text.to_owned()));
        let (passfile, passfile_ignored) = match password {
            Some(_) => (PassFile::default(), None),
            None => read_passfile(settings, account),
        };
        warnings.extend(passfile_ignored.clone());
        Ok(Self {
            hosts: values::hosts(settings)?,
            database: settings.get("dbname").unwrap_or(&user).to_owned(),
            user,
            password,
            passfile,
            tls: values::tls(settings, home)?,
            connect_timeout: values::connect_timeout(settings)?,
            keepalive: values::keepalive(settings)?,
            target_session: values::target_session(settings)?,
            application_name: settings.get("application_name").map(str::to_owned),
            options: settings.get("options").map(str::to_owned),
            warnings,
            passfile_ignored,
        })
    }

    /// Returns the same server, user and settings with another database; a password from the
    /// password file is looked up again for it.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// Returns the servers, in the order in which they are tried. Never empty.
    pub fn hosts(&self) -> &[HostEntry] {
        &self.hosts
    }

    /// Returns the database role to log in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Returns what TLS depends on.
    pub fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    /// Returns how long one attempt on one address may take; `None` means for ever.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// Returns how TCP keepalives are sent.
    pub fn keepalive(&self) -> Keepalive {
        self.keepalive
    }

    /// Returns what kind of session is wanted.
    pub fn target_session(&self) -> TargetSession {
        self.target_session
    }

    /// Returns the user's own addition to `application_name`.
    pub fn application_name(&self) -> Option<&str> {
        self.application_name.as_deref()
    }

    /// Returns the user's own startup options (`-c name=value …`).
    pub fn options(&self) -> Option<&str> {
        self.options.as_deref()
    }

    /// Returns why the password file was not used, one sentence; `None` where it was, or where there is none.
    pub(crate) fn passfile_ignored(&self) -> Option<&str> {
        self.passfile_ignored.as_deref()
    }

    /// Returns what the user should know of, but what stops nothing: one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns the password for one of the hosts, given outright or from the password file.
    pub fn password(&self, entry: &HostEntry) -> Option<&Redacted<String>> {
        if let Some(password) = &self.password {
            return Some(password);
        }
        let look_up =
            |host: &str| self.passfile.password(host, entry.port, &self.database, &self.user);
        match &entry.host {
            Host::Tcp(name) => look_up(name),
            // The password file calls the default socket folder `localhost`.
            Host::Unix(folder) => look_up(&folder.to_string_lossy()).or_else(|| {
                let default = values::SOCKET_FOLDERS.iter().any(|one| Path::new(one) == folder);
                default.then(|| look_up("localhost")).flatten()
            }),
        }
    }

    /// Returns a label without password for reports: `user@host:port/database`.
    pub fn display(&self) -> String {
        self.to_string()
    }
}

/// Every setting, from whoever says it first.
fn collect(
    given: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
    account: &Account,
) -> Result<Settings, ConnInfoError> {
    let mut settings = parse::parse(given.unwrap_or_default())?;
    service::fill(&mut settings, env, account.home.as_deref())?;
    for parameter in PARAMETERS {
        let Some(variable) = parameter.env else { continue };
        if let Some(value) = env(variable) {
            settings.set_missing(parameter, value, &Origin::Environment(variable));
        }
    }
    Ok(settings)
}

impl fmt::Display for ConnInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        let label = format!("{}@{}/{}", self.user, hosts.join(","), self.database);
        // A label is printed to terminals; names may hold anything.
        f.write_str(&label.replace(char::is_control, "?"))
    }
}

impl fmt::Display for HostEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Tcp(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Tcp(name) => write!(f, "{name}:{}", self.port),
            Host::Unix(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}

/// Refuses parameters whose wish we cannot grant.
fn refuse_unsupported(settings: &Settings) -> Result<(), ConnInfoError> {
    for parameter in PARAMETERS {
        let Standing::Only(harmless) = parameter.standing else { continue };
        let Some(value) = settings.get(parameter.name) else { continue };
        if !harmless.iter().any(|word| word.eq_ignore_ascii_case(value)) {
            let origin = settings.origin(parameter.name);
            return Err(ConnInfoError::UnsupportedParameter { parameter: parameter.name, origin });
        }
    }
    Ok(())
}

/// Reads the password file, and says why it is not used where it is not.
fn read_passfile(settings: &Settings, account: &Account) -> (PassFile, Option<String>) {
    let (path, asked_for) = match (settings.get("passfile"), &account.home) {
        (Some(path), _) => (PathBuf::from(path), true),
        (None, Some(home)) => (home.join(".pgpass"), false),
        (None, None) => return (PassFile::default(), None),
    };
    PassFile::read(&path, asked_for, account.credentials.as_deref())
}

#[cfg(test)]
mod tests {
    use super::{ConnInfo, Host, RootCertificates, SslMode, TargetSession};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Resolves with an environment of these variables only, and no home folder unless given.
    fn resolve(given: &str, env: &[(&str, &str)]) -> Result<ConnInfo, String> {
        let mut all: BTreeMap<&str, &str> = env.iter().copied().collect();
        all.entry("HOME").or_insert("/nonexistent");
        all.entry("PGSYSCONFDIR").or_insert("/nonexistent");
        ConnInfo::resolve(Some(given), &|name| all.get(name).map(|v| (*v).to_owned()))
            .map_err(|error| error.to_string())
    }

    #[track_caller]
    fn label(given: &str, env: &[(&str, &str)], expected: &str) {
        assert_eq!(resolve(given, env).unwrap().display(), expected, "{given} {env:?}");
    }

    #[track_caller]
    fn refuse(given: &str, env: &[(&str, &str)], part: &str) {
        let message = resolve(given, env).expect_err(given);
        assert!(message.contains(part), "{given}: {message}");
    }

    #[test]
    fn the_connection_string_wins_over_the_environment() {
        let env = [("PGHOST", "e"), ("PGPORT", "1"), ("PGUSER", "eu"), ("PGDATABASE", "ed")];
        label("", &env, "eu@e:1/ed");
        label("db", &env, "eu@e:1/db");
        label("postgresql://u@h:2/d", &env, "u@h:2/d");
        label("host=h user=u", &env, "u@h:1/ed");
        label("dbname='' user=u", &env, "u@e:1/u");
        label("host=a,b port=5,6 user=u", &env, "u@a:5,b:6/ed");
        label("postgresql://u@[::1]:7/d", &env, "u@[::1]:7/d");
        label("user=u host=/tmp/x dbname=\u{1b}d", &[], "u@/tmp/x:5432/?d");
        label("hostaddr=192.0.2.1 user=u", &[], "u@192.0.2.1:5432/u");
    }

    #[test]
    fn the_service_stands_between() {
        let home = tempfile::tempdir().unwrap();
        let text = "[shop]\nhost=s\nuser=su\nsslmode=require\n";
        fs::write(home.path().join(".pg_service.conf"), text).unwrap();
        let env = [("HOME", home.path().to_str().unwrap()), ("PGHOST", "e"), ("PGPORT", "9")];
        label("service=shop user=u", &env, "u@s:9/u");
        label("user=u dbname=d", &env, "u@e:9/d");
        let info = resolve("postgresql:///?service=shop", &env).unwrap();
        assert_eq!((info.display().as_str(), info.tls().mode), ("su@s:9/su", SslMode::Require));
        refuse("service=gone", &env, "service `gone` (in the connection string)");
    }

    #[test]
    fn the_default_user_is_the_account_of_the_process() {
        let info = resolve("", &[]).unwrap();
        assert!(!info.user().is_empty() && info.database() == info.user());
    }

    #[test]
    fn passwords_come_from_the_file_of_the_right_database() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".pgpass");
        fs::write(&file, "h:5432:a:u:canary-a\nlocalhost:5432:b:u:canary-b\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let env = [("HOME", home.path().to_str().unwrap())];
        let shown = |given: &str, database: &str| {
            let info = resolve(given, &env).unwrap().with_database(database);
            let other = ConnInfo::resolve_as(Some(given), "w", &|_| None).unwrap();
            assert_eq!((other.user(), other.password(&other.hosts()[0]).is_some()), ("w", false));
            assert!(!format!("{info:?} {info}").contains("canary"));
            info.password(&info.hosts()[0]).map(|p| p.reveal().clone())
        };
        assert_eq!(shown("host=h user=u", "a").as_deref(), Some("canary-a"));
        assert_eq!(shown("host=h user=u", "b"), None);
        assert_eq!(shown("host=/tmp user=u", "b").as_deref(), Some("canary-b"));
        assert_eq!(shown("host=/elsewhere user=u", "b"), None);
        assert_eq!(shown("host=h user=u password=canary-c", "a").as_deref(), Some("canary-c"));
        assert_eq!(shown("host=h user=u password=''", "a").as_deref(), Some("canary-a"));

        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let info = resolve("host=h user=u dbname=a", &env).unwrap();
        assert!(info.password(&info.hosts()[0]).is_none());
        assert!(info.warnings()[0].contains("chmod 0600"), "{:?}", info.warnings());
        assert_eq!(info.passfile_ignored(), Some(info.warnings()[0].as_str()));
    }

    #[test]
    fn tls_settings_follow_libpq() {
        let tls = |given: &str| resolve(given, &[]).unwrap().tls().clone();
        assert_eq!(tls("").mode, SslMode::Prefer);
        assert_eq!(tls("requiressl=1").mode, SslMode::Require);
        assert_eq!(tls("sslrootcert=system").mode, SslMode::VerifyFull);
        assert_eq!(tls("sslmode=allow").mode, SslMode::Allow);
        let file = RootCertificates::File(PathBuf::from("/r.pem"));
        assert_eq!(tls("sslmode=verify-ca sslrootcert=/r.pem").roots, file);
        assert!(!tls("sslsni=0").send_name && tls("sslsni=1").send_name);
        assert!(tls("sslmode=require sslnegotiation=direct").direct);

        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".postgresql")).unwrap();
        let root = home.path().join(".postgresql/root.crt");
        fs::write(&root, "").unwrap();
        let info = resolve("", &[("HOME", home.path().to_str().unwrap())]).unwrap();
        assert_eq!(info.tls().roots, RootCertificates::File(root));
    }

    #[test]
    fn numbers_and_words_are_checked() {
        let info = resolve("connect_timeout=3 target_session_attrs=standby keepalives=0", &[]);
        let info = info.unwrap();
        assert_eq!(info.connect_timeout(), Some(Duration::from_secs(3)));
        assert_eq!(info.target_session(), TargetSession::Standby);
        assert!(!info.keepalive().enabled);
        let default = resolve("", &[]).unwrap();
        assert_eq!(default.connect_timeout(), Some(Duration::from_secs(10)));
        assert_eq!(resolve("connect_timeout=0", &[]).unwrap().connect_timeout(), None);
        refuse(
            "sslmode=banana",
            &[],
            "`banana` (in the connection string) is no value for `sslmode`",
        );
        refuse("", &[("PGSSLMODE", "on")], "environment variable PGSSLMODE");
        refuse("port=70000", &[], "1 to 65535");
        refuse("port=0", &[], "1 to 65535");
        refuse("connect_timeout=soon", &[], "a whole number");
        refuse("host=a,b port=1,2,3", &[], "3 ports for 2 hosts");
        refuse("host=a,b hostaddr=192.0.2.1", &[], "2 values of `host` and 1 of `hostaddr`");
        refuse("hostaddr=localhost", &[], "numeric addresses");
        refuse("host=@abstract", &[], "abstract sockets");
        refuse("sslmode=require sslrootcert=system", &[], "verify-full");
        refuse("sslnegotiation=direct", &[], "sslmode=require");
        refuse(
            "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
            &[],
            "exchange",
        );
        refuse("gssencmode=require", &[], "`gssencmode` (in the connection string) is not supp");
        refuse("requirepeer=postgres", &[], "remove it");
    }

    #[test]
    fn harmless_parameters_of_psql_are_accepted() {
        let given = "gssencmode=prefer replication=false krbsrvname=x client_encoding=auto host=h";
        let info = resolve(given, &[("PGGSSENCMODE", "disable")]).unwrap();
        assert_eq!(info.hosts()[0].host, Host::Tcp("h".to_owned()));
        assert!(resolve("load_balance_hosts=random", &[]).unwrap().warnings()[0].contains("order"));
    }

    proptest! {
        /// Whatever stands around a password, and however badly it is quoted.
        #[test]
        fn no_error_shows_a_password(
            form in 0..4_usize,
            before in "[ :@/?&=,%'\\\\\\[\\]#0a\n]{0,4}",
            after in "[ :@/?&=,%'\\\\\\[\\]#0a\n]{0,4}",
            rest in "(@h(:5432)?/d(\\?port=x)?)?( (sslmode|hist)=y)?",
        ) {
            let start = ["postgresql://u:", "password=", "host=h password='", "postgres:/u:"][form];
            let text = format!("{start}{before}s3cret{after}{rest}");
            if let Err(message) = resolve(&text, &[]) {
                prop_assert!(!message.contains("s3cret"), "{}: {}", text, message);
                prop_assert!(!message.contains('\n'), "{}: {}", text, message);
            }
        }
    }
}
