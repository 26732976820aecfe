//! From a description of a server to a session with its limits in force.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding, SslMode as DriverSslMode, SslNegotiation};
use tokio_postgres::{Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{ConnectCause, PgError};
use super::link::Link;
use super::marker::Marked;
use super::meter::{Meter, Purpose};
use super::version::ServerVersion;
use super::{Facts, Session};
use crate::conninfo::{self, ConnInfo, Host, HostEntry, SslMode, TargetSession};
use crate::tls;

/// How long a cancel request may take where connecting has no limit.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// How much longer than its time limit a statement that plans is waited for.
const GRACE: Duration = Duration::from_secs(3);

/// How much longer than its time limit any other statement is waited for: a network may be slow.
const GRACE_OF_THE_NETWORK: Duration = Duration::from_secs(5);

/// How many milliseconds a statement with this limit is waited for; 0 for ever.
pub(super) fn deadline(purpose: Purpose, limit: Duration) -> u64 {
    let grace = if purpose == Purpose::Explain { GRACE } else { GRACE_OF_THE_NETWORK };
    if limit.is_zero() { 0 } else { u64::try_from((limit + grace).as_millis()).unwrap_or(0) }
}

/// How long the server lets a session of ours do something. Zero means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One statement.
    pub statement: Duration,
    /// Waiting for one lock.
    pub lock: Duration,
    /// Doing nothing inside a transaction.
    pub idle_in_transaction: Duration,
}

impl Limits {
    /// Returns the usual limits of a purpose. The applier widens its own for each statement that changes
    /// something, from the size of the table.
    pub fn of(purpose: Purpose) -> Self {
        let (statement, lock) = match purpose {
            Purpose::Sample | Purpose::Other => (30, 2),
            Purpose::Explain => (5, 2),
            Purpose::Watch => (10, 2),
            Purpose::Apply => (30, 5),
        };
        Self {
            statement: Duration::from_secs(statement),
            lock: Duration::from_secs(lock),
            idle_in_transaction: Duration::from_mins(1),
        }
    }
}

/// Limits of the server's that would end a session of ours while it waits or builds, switched off: our own
/// limits do for it. Not in the start-up packet, where a server that lacks one refuses the connection.
///
/// The session that changes things is never idle for long; one that is has lost us behind a proxy that stays, and must
/// not keep the lock of the only run.
fn endless(version: ServerVersion, purpose: Purpose) -> Vec<(&'static str, String)> {
    let idle = if purpose == Purpose::Apply { "10min" } else { "0" };
    let known = [(14, "idle_session_timeout", idle), (17, "transaction_timeout", "0")];
    let there = known.into_iter().filter(|(since, ..)| version.major() >= *since);
    there.map(|(_, name, value)| (name, value.to_owned())).collect()
}

/// Without the first a server goes on with a statement whose client is gone; without the others it takes two hours to
/// notice that the machine of an idle client is gone, and keeps our lock for so long.
const VIGILANCE: [(&str, &str); 4] = [
    ("client_connection_check_interval", "5s"),
    ("tcp_keepalives_idle", "30s"),
    ("tcp_keepalives_interval", "10s"),
    ("tcp_keepalives_count", "3"),
];

/// Everything that one attempt needs to know.
struct Wanted<'a> {
    info: &'a ConnInfo,
    purpose: Purpose,
    meter: &'a Arc<Meter>,
    limits: &'a Limits,
    session: TargetSession,
}

/// Tries all hosts; see [`Session::connect`].
pub(super) async fn connect(
    info: &ConnInfo,
    purpose: Purpose,
    meter: &Arc<Meter>,
    limits: &Limits,
) -> Result<Session, PgError> {
    let passes = match info.target_session() {
        TargetSession::PreferStandby => vec![TargetSession::Standby, TargetSession::Any],
        one => vec![one],
    };
    let mut failures: Vec<PgError> = Vec::new();
    for session in passes {
        failures.clear();
        let wanted = Wanted { info, purpose, meter, limits, session };
        for entry in info.hosts() {
            match wanted.try_host(entry).await {
                Ok(session) => return Ok(session),
                Err(error) if another_host_may_do(&error) => failures.push(error),
                Err(error) => return Err(error.for_want_of_password(info.passfile_ignored())),
            }
        }
    }
    Err(PgError::all_failed(failures))
}

/// Like libpq: a host that refuses the user ends the search, one that is not there does not.
fn another_host_may_do(error: &PgError) -> bool {
    use ConnectCause::{NotReady, Timeout, Unreachable, WrongSession};
    matches!(error.connect_cause(), Some(Unreachable | Timeout | NotReady | WrongSession))
}

/// How one attempt goes about TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    TlsIfOffered,
    Tls,
}

impl Wanted<'_> {
    async fn try_host(&self, entry: &HostEntry) -> Result<Session, PgError> {
        let target = self.target(entry);
        let tls = match (&entry.host, self.info.tls().mode) {
            // The server does no TLS on a socket, whatever sslmode says; nor does libpq.
            (Host::Unix(_), _) | (_, SslMode::Disable) => None,
            _ => {
                let config = tls::client_config(self.info.tls());
                Some(MakeRustlsConnect::new(config.map_err(|e| PgError::tls(&e, &target))?))
            }
        };
        let mut last = PgError::connect(ConnectCause::Unreachable, &target, "no address is known");
        for address in self.addresses(entry, &target).await? {
            match self.try_address(entry, address, tls.as_ref(), &target).await {
                Ok(session) => return Ok(session),
                Err(error) if another_host_may_do(&error) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Returns the addresses of a host; a socket has none.
    async fn addresses(
        &self,
        entry: &HostEntry,
        target: &str,
    ) -> Result<Vec<Option<IpAddr>>, PgError> {
        let name = match (&entry.host, entry.address) {
            (Host::Unix(_), _) => return Ok(vec![None]),
            (_, Some(address)) => return Ok(vec![Some(address)]),
            (Host::Tcp(name), None) => name,
        };
        let look_up = lookup_host((name.as_str(), entry.port));
        match self.in_time(look_up, target).await? {
            Ok(found) => Ok(found.map(|address| Some(address.ip())).collect()),
            Err(error) => {
                let message = format!("host name `{name}` cannot be resolved: {error}");
                Err(PgError::connect(ConnectCause::Unreachable, target, message))
            }
        }
    }

    /// Tries one address in the ways that `sslmode` allows, in libpq's order.
    async fn try_address(
        &self,
        entry: &HostEntry,
        address: Option<IpAddr>,
        tls: Option<&MakeRustlsConnect>,
        target: &str,
    ) -> Result<Session, PgError> {
        let (first, second) = match (tls, self.info.tls().mode) {
            (None, _) => (Way::Plain, None),
            (_, SslMode::Allow) => (Way::Plain, Some(Way::Tls)),
            (_, SslMode::Prefer) => (Way::TlsIfOffered, Some(Way::Plain)),
            _ => (Way::Tls, None),
        };
        let refused = match self.try_way(entry, address, first, tls, target).await {
            Err(error) => error,
            done => return done,
        };
        // The server's pg_hba.conf may have no line for this way (28000), but one for the other.
        let worth_another = refused.sqlstate() == Some("28000")
            || refused.connect_cause() == Some(ConnectCause::Tls);
        let Some(second) = second.filter(|_| worth_another) else { return Err(refused) };
        match self.try_way(entry, address, second, tls, target).await {
            // The first refusal says more than that there is no other way either.
            Err(error) if error.connect_cause() == Some(ConnectCause::Tls) => Err(refused),
            outcome => outcome,
        }
    }

    async fn try_way(
        &self,
        entry: &HostEntry,
        address: Option<IpAddr>,
        way: Way,
        tls: Option<&MakeRustlsConnect>,
        target: &str,
    ) -> Result<Session, PgError> {
        let tls = tls.filter(|_| way != Way::Plain);
        let options = self.options();
        let config = self.config(entry, address, way, Some(&options));
        match self.open(&config, tls, target).await {
            Ok(opened) => self.settle(opened, &config, tls, target).await,
            Err(error) if refuses_options(&error) && self.info.options().is_none() => {
                let config = self.config(entry, address, way, None);
                let opened = self.open(&config, tls, target).await?;
                self.settle(opened, &config, tls, target).await
            }
            Err(error) => Err(error),
        }
    }

    fn target(&self, entry: &HostEntry) -> String {
        let target = format!("{}@{entry}/{}", self.info.user(), self.info.database());
        target.replace(char::is_control, "?")
    }

    /// Waits no longer than `connect_timeout`.
    async fn in_time<T>(&self, work: impl Future<Output = T>, target: &str) -> Result<T, PgError> {
        let Some(limit) = self.info.connect_timeout() else { return Ok(work.await) };
        timeout(limit, work).await.map_err(|_| {
            let message = format!("no answer within {} s", limit.as_secs());
            PgError::connect(ConnectCause::Timeout, target, message)
        })
    }

    fn config(
        &self,
        entry: &HostEntry,
        address: Option<IpAddr>,
        way: Way,
        options: Option<&str>,
    ) -> Config {
        let mut config = Config::new();
        match &entry.host {
            Host::Tcp(name) => config.host(name),
            Host::Unix(folder) => config.host_path(folder),
        };
        if let Some(address) = address {
            config.hostaddr(address);
        }
        config.port(entry.port).user(self.info.user()).dbname(self.info.database());
        if let Some(password) = self.info.password(entry) {
            config.password(password.reveal());
        }
        config.ssl_mode(match way {
            Way::Plain => DriverSslMode::Disable,
            Way::TlsIfOffered => DriverSslMode::Prefer,
            Way::Tls => DriverSslMode::Require,
        });
        if self.info.tls().direct {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        config.channel_binding(match self.info.tls().channel_binding {
            conninfo::ChannelBinding::Disable => ChannelBinding::Disable,
            conninfo::ChannelBinding::Prefer => ChannelBinding::Prefer,
            conninfo::ChannelBinding::Require => ChannelBinding::Require,
        });
        let keepalive = self.info.keepalive();
        config
            .keepalives(keepalive.enabled)
            .keepalives_idle(keepalive.idle)
            .keepalives_interval(keepalive.interval)
            .keepalives_retries(keepalive.count);
        if let Some(limit) = keepalive.user_timeout {
            config.tcp_user_timeout(limit);
        }
        if let Some(limit) = self.info.connect_timeout() {
            config.connect_timeout(limit);
        }
        let own_name = format!("pgwright/{}", self.purpose.name());
        config.application_name(match self.info.application_name() {
            Some(addition) => format!("{own_name} {addition}"),
            None => own_name,
        });
        if let Some(options) = options {
            config.options(options);
        }
        config
    }

    /// The settings of every session. They come in the start-up packet, where they outrank what
    /// `ALTER ROLE … SET` or `ALTER DATABASE … SET` says.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let ms = |limit: Duration| format!("{}ms", limit.as_millis());
        let mut settings = vec![
            ("search_path", SEARCH_PATH.to_owned()),
            ("statement_timeout", ms(self.limits.statement)),
            ("lock_timeout", ms(self.limits.lock)),
            ("idle_in_transaction_session_timeout", ms(self.limits.idle_in_transaction)),
            ("DateStyle", "ISO".to_owned()),
            ("IntervalStyle", "postgres".to_owned()),
            ("extra_float_digits", "1".to_owned()),
            // A role's own settings must not change what we make, or how the server prints it.
            ("quote_all_identifiers", "off".to_owned()),
            // Else the server would read strings otherwise than the grammar that looked at the statement before.
            ("standard_conforming_strings", "on".to_owned()),
            ("default_tablespace", String::new()),
            ("TimeZone", "UTC".to_owned()),
        ];
        match self.purpose {
            Purpose::Explain => settings.push(("default_transaction_read_only", "on".to_owned())),
            Purpose::Apply => {
                settings.push(("synchronous_commit", "on".to_owned()));
                // As gentle to the disk as autovacuum is, which a VACUUM by hand is not of itself.
                settings.push(("vacuum_cost_delay", "2ms".to_owned()));
            }
            Purpose::Sample | Purpose::Watch | Purpose::Other => {}
        }
        settings
    }

    /// The settings as `-c name=value`, behind the user's own options so that ours win. None of
    /// our values holds a blank or a backslash, so that none needs escaping.
    fn options(&self) -> String {
        let mut words: Vec<String> = self.info.options().map(str::to_owned).into_iter().collect();
        words.extend(self.settings().iter().map(|(name, value)| format!("-c {name}={value}")));
        words.join(" ")
    }

    /// Opens a connection and learns what it leads to.
    async fn open(
        &self,
        config: &Config,
        tls: Option<&MakeRustlsConnect>,
        target: &str,
    ) -> Result<(Link, Hello), PgError> {
        let opening = async {
            let link = Link::open(config, tls).await?;
            let answer = self.ask(&link, HELLO).await?;
            Ok((link, answer))
        };
        let opened = self.in_time(opening, target).await?;
        let (link, answer) =
            opened.map_err(|error: tokio_postgres::Error| PgError::connecting(&error, target))?;
        let hello = Hello::read(&answer).ok_or_else(|| {
            let message = "the answer to our first question makes no sense";
            PgError::connect(ConnectCause::Unsupported, target, message)
        })?;
        Ok((link, hello))
    }

    /// Sends a constant text, which carries its marker, and returns the columns of its row.
    async fn ask(
        &self,
        link: &Link,
        text: &str,
    ) -> Result<Vec<Option<String>>, tokio_postgres::Error> {
        let _running = self.meter.start(self.purpose);
        let messages = link.client.simple_query(text).await?;
        let row = messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(row.map_or_else(Vec::new, |row| {
            (0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()
        }))
    }

    /// Checks that the server will do, and puts into force what the start-up packet did not.
    async fn settle(
        &self,
        (link, hello): (Link, Hello),
        config: &Config,
        tls: Option<&MakeRustlsConnect>,
        target: &str,
    ) -> Result<Session, PgError> {
        hello.version.supported().map_err(|error| {
            PgError::connect(ConnectCause::Unsupported, target, error.to_string())
        })?;
        self.check_session(&hello, target)?;
        let behind_pooler = config.get_options().is_none() || hello.search_path != SEARCH_PATH;
        if behind_pooler {
            self.refuse_transaction_pooling(&link, &hello, config, tls, target).await?;
            self.set_all(&link, &self.settings(), target).await?;
        }
        self.set_all(&link, &endless(hello.version, self.purpose), target).await?;
        if matches!(self.purpose, Purpose::Apply | Purpose::Explain) {
            let settings = VIGILANCE.map(|(name, value)| (name, value.to_owned()));
            // Servers that are not on Linux cannot do it all.
            let refused = |done: &Result<(), PgError>| {
                done.as_ref().is_err_and(|error| error.sqlstate() == Some("22023"))
            };
            let done = self.set_all(&link, &settings, target).await;
            if refused(&done) {
                for setting in settings {
                    let done = self.set_all(&link, &[setting], target).await;
                    if !refused(&done) {
                        done?;
                    }
                }
            } else {
                done?;
            }
        }
        let patience = self.info.connect_timeout().unwrap_or(CANCEL_PATIENCE);
        Ok(Session {
            cancel: link.cancel_token(target, patience),
            link,
            facts: Facts {
                backend_pid: hello.backend_pid,
                version: hello.version,
                in_recovery: hello.in_recovery,
                read_only: hello.read_only,
                behind_pooler,
            },
            purpose: self.purpose,
            meter: Arc::clone(self.meter),
            deadline: deadline(self.purpose, self.limits.statement).into(),
        })
    }

    /// Our own session for planning is always read-only, so there only standbys are told apart.
    fn check_session(&self, hello: &Hello, target: &str) -> Result<(), PgError> {
        let read_only = hello.in_recovery || (hello.read_only && self.purpose != Purpose::Explain);
        let (fits, wanted) = match self.session {
            TargetSession::Any | TargetSession::PreferStandby => (true, "any"),
            TargetSession::ReadWrite => (!read_only, "read-write"),
            TargetSession::ReadOnly => (read_only, "read-only"),
            TargetSession::Primary => (!hello.in_recovery, "primary"),
            TargetSession::Standby => (hello.in_recovery, "standby"),
        };
        if fits {
            return Ok(());
        }
        let message = format!("the session is not {wanted}, as target_session_attrs asks for");
        Err(PgError::connect(ConnectCause::WrongSession, target, message))
    }

    /// Where a pooler gives every statement another server process, settings and locks would
    /// not hold, and would hit other users' sessions. Then two of our connections can share one
    /// process, or one of them can move; with a pool in session mode neither happens. Asking
    /// the first twice more uncovers a pool that hands its connections out in turn.
    async fn refuse_transaction_pooling(
        &self,
        link: &Link,
        hello: &Hello,
        config: &Config,
        tls: Option<&MakeRustlsConnect>,
        target: &str,
    ) -> Result<(), PgError> {
        let (second, other) = self.open(config, tls, target).await?;
        let mut stays = other.backend_pid != hello.backend_pid;
        for _ in 0..2 {
            let asked = self.in_time(self.ask(link, HELLO), target).await?;
            let again = asked.map_err(|error| PgError::connecting(&error, target))?;
            stays &= Hello::read(&again).is_some_and(|now| now.backend_pid == hello.backend_pid);
        }
        second.close().await;
        if stays {
            return Ok(());
        }
        Err(PgError::connect_with_hint(
            ConnectCause::Unsupported,
            target,
            "a connection pooler in transaction mode stands before the server",
            Some("connect to the server itself, or to a pool in session mode"),
        ))
    }

    async fn set_all(
        &self,
        link: &Link,
        settings: &[(&str, String)],
        target: &str,
    ) -> Result<(), PgError> {
        let calls: Vec<String> = settings
            .iter()
            .map(|(name, value)| format!("pg_catalog.set_config('{name}', '{value}', false)"))
            .collect();
        let text = Marked::new(&format!("select {}", calls.join(", "))).text;
        let asked = self.in_time(self.ask(link, &text), target).await?;
        asked.map_err(|error| PgError::connecting(&error, target))?;
        Ok(())
    }
}

/// Whether the server, or rather a pooler before it, wants no `options` in the start-up packet.
fn refuses_options(error: &PgError) -> bool {
    error.sqlstate() == Some("08P01") && error.to_string().contains("startup parameter")
}

/// Only built-in names are found, and objects of ours are always written with their schema.
const SEARCH_PATH: &str = "pg_catalog,pg_temp";

/// The first question to every server. It carries the marker.
const HELLO: &str = "select /* pgwright */ pg_catalog.pg_backend_pid(), \
    pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery(), \
    pg_catalog.current_setting('transaction_read_only'), \
    pg_catalog.current_setting('search_path')";

/// The answer to it.
struct Hello {
    backend_pid: i32,
    version: ServerVersion,
    in_recovery: bool,
    read_only: bool,
    search_path: String,
}

impl Hello {
    fn read(columns: &[Option<String>]) -> Option<Self> {
        let [Some(pid), Some(version), Some(recovery), Some(read_only), Some(path)] = columns
        else {
            return None;
        };
        Some(Self {
            backend_pid: pid.parse().ok()?,
            version: ServerVersion::parse(version)?,
            in_recovery: recovery == "t",
            read_only: read_only == "on",
            search_path: path.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::MARKER;
    use super::{HELLO, Hello, Limits, Purpose};

    #[test]
    fn the_first_question_is_marked_and_its_answer_read() {
        assert!(HELLO.contains(MARKER));
        let row = |texts: [&str; 5]| texts.map(|text| Some(text.to_owned()));
        let hello = Hello::read(&row(["7", "150004", "f", "on", "pg_catalog,pg_temp"])).unwrap();
        assert_eq!((hello.backend_pid, hello.version.major()), (7, 15));
        assert!(!hello.in_recovery && hello.read_only);
        assert!(Hello::read(&row(["7", "banana", "f", "on", ""])).is_none());
        assert!(Hello::read(&[]).is_none());
    }

    #[test]
    fn every_purpose_is_bounded() {
        for purpose in Purpose::ALL {
            let limits = Limits::of(purpose);
            let all = [limits.statement, limits.lock, limits.idle_in_transaction];
            assert!(all.iter().all(|limit| !limit.is_zero()), "{purpose:?}");
        }
    }
}
