//! The only module that speaks to a PostgreSQL server, and the only one that knows the driver.
//!
//! A [`Session`] is one connection with limits on time and locks that fit its [`Purpose`]. Every
//! statement it sends carries [`MARKER`] and is counted in a [`Meter`].

mod connect;
mod error;
mod link;
mod marker;
mod meter;
mod values;
mod version;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use connect::Limits;
pub use error::{ConnectCause, PgError, PgErrorKind, ServerError};
pub use link::{CancelToken, Notice};
pub use marker::{MARKER, is_ours};
pub use meter::{Meter, Purpose};
pub use tokio_postgres::types::{FromSql, Json, Oid, ToSql};
pub use values::{FOR_EVER, Instant, RawJson};
pub use version::{NEWEST_MAJOR, OLDEST_MAJOR, ServerVersion, UnsupportedVersion};

use tokio::time::timeout;

use crate::conninfo::ConnInfo;
use link::Link;
use marker::Marked;
use values::AsText;

/// One row of an answer; `row.try_get(0)` or `row.try_get("name")` reads a column.
pub type Row = tokio_postgres::Row;

/// A type of the server: `Type::INT4`, or one learned from it, with `oid()` and `name()`.
pub type Type = tokio_postgres::types::Type;

/// A value that can be bound to a parameter of a matching type.
pub trait Param: ToSql + Sync {}

impl<T: ToSql + Sync> Param for T {}

/// One connection to a server and the task that drives it.
///
/// Dropping it closes the connection; [`Session::close`] also waits for that.
#[derive(Debug)]
pub struct Session {
    link: Link,
    facts: Facts,
    purpose: Purpose,
    meter: Arc<Meter>,
    cancel: CancelToken,
    /// How many milliseconds one statement is waited for at most; 0 for ever. The server's own limit comes first,
    /// but a function that planning runs can catch that one, and a server or proxy can fall silent.
    deadline: AtomicU64,
}

/// What a session learns about its server when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The process that serves the session.
    pub backend_pid: i32,
    /// The server's version.
    pub version: ServerVersion,
    /// Whether the server is a standby.
    pub in_recovery: bool,
    /// Whether transactions of this session are read-only; always so for `Purpose::Explain`.
    pub read_only: bool,
    /// Whether a connection pooler stands between: it refused or dropped start-up options.
    /// What belongs to a session (advisory locks, settings) is then only as safe as the pooler.
    pub behind_pooler: bool,
}

/// A statement that the server has parsed and knows the types of.
#[derive(Debug)]
pub struct Prepared {
    statement: tokio_postgres::Statement,
    sent: Marked,
}

impl Prepared {
    /// Returns the types of the parameters `$1`, `$2`, … as the server resolved them.
    pub fn param_types(&self) -> &[Type] {
        self.statement.params()
    }

    /// Returns names and types of the columns of the answer.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.statement.columns().iter().map(|column| (column.name(), column.type_()))
    }
}

impl Session {
    /// Connects, with the limits that are usual for the purpose.
    ///
    /// Tries the hosts in order, with and without TLS as `sslmode` says, and refuses servers
    /// that are too old to be supported.
    pub async fn connect(
        info: &ConnInfo,
        purpose: Purpose,
        meter: &Arc<Meter>,
    ) -> Result<Self, PgError> {
        Self::connect_with(info, purpose, meter, &Limits::of(purpose)).await
    }

    /// Connects, with other limits than the usual ones.
    pub async fn connect_with(
        info: &ConnInfo,
        purpose: Purpose,
        meter: &Arc<Meter>,
        limits: &Limits,
    ) -> Result<Self, PgError> {
        connect::connect(info, purpose, meter, limits).await
    }

    /// Returns what is known of the server.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns the server's version.
    pub fn version(&self) -> ServerVersion {
        self.facts.version
    }

    /// Returns the process id of the server's side, as in `pg_stat_activity`.
    pub fn backend_pid(&self) -> i32 {
        self.facts.backend_pid
    }

    /// Sends a statement with parameters and returns all rows.
    pub async fn query(&self, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>, PgError> {
        let sent = Marked::new(sql);
        if params.is_empty() {
            // One round trip, and no prepared statement that a pooler could lose.
            return self.run(Some(&sent), self.link.client.query_typed(&sent.text, &[])).await;
        }
        let params = driver_params(params);
        self.run(Some(&sent), self.link.client.query(&sent.text, &params)).await
    }

    /// Sends a statement that must return exactly one row.
    pub async fn query_one(&self, sql: &str, params: &[&dyn Param]) -> Result<Row, PgError> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| PgError::other("the server returned no row where one was expected"))
    }

    /// Sends a statement that must return one row or none.
    pub async fn query_opt(
        &self,
        sql: &str,
        params: &[&dyn Param],
    ) -> Result<Option<Row>, PgError> {
        let mut rows = self.query(sql, params).await?;
        if rows.len() > 1 {
            let count = rows.len();
            return Err(PgError::other(&format!("the server returned {count} rows, not one")));
        }
        Ok(rows.pop())
    }

    /// Sends a statement and returns how many rows it touched (0 for a utility statement).
    pub async fn execute(&self, sql: &str, params: &[&dyn Param]) -> Result<u64, PgError> {
        let sent = Marked::new(sql);
        if params.is_empty() {
            return self.run(Some(&sent), self.link.client.execute_typed(&sent.text, &[])).await;
        }
        let params = driver_params(params);
        self.run(Some(&sent), self.link.client.execute(&sent.text, &params)).await
    }

    /// Has the server parse a statement and resolve the types of its parameters. `types` fixes
    /// those of the first parameters; `Type::UNKNOWN` leaves one to the server.
    pub async fn prepare(&self, sql: &str, types: &[Type]) -> Result<Prepared, PgError> {
        let sent = Marked::new(sql);
        let prepared = self.link.client.prepare_typed(&sent.text, types);
        let statement = self.run(Some(&sent), prepared).await?;
        Ok(Prepared { statement, sent })
    }

    /// Runs a prepared statement with values in the text form of their types, whatever those
    /// are; the server's input functions read them. `None` is NULL.
    pub async fn query_text(
        &self,
        prepared: &Prepared,
        values: &[Option<String>],
    ) -> Result<Vec<Row>, PgError> {
        let (given, wanted) = (values.len(), prepared.param_types().len());
        if given != wanted {
            let problem = format!("{given} values were given for {wanted} parameters");
            return Err(PgError::other(&problem));
        }
        let values: Vec<AsText<'_>> = values.iter().map(|value| AsText(value.as_deref())).collect();
        let params: Vec<&(dyn ToSql + Sync)> =
            values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        self.run(Some(&prepared.sent), self.link.client.query(&prepared.statement, &params)).await
    }

    /// Sends one or more statements of our own in the simple protocol: constant texts only
    /// (`BEGIN`, `SET …`, `ROLLBACK`), never one with a user's words in it.
    pub async fn batch(&self, sql: &str) -> Result<(), PgError> {
        let text = marker::mark_batch(sql);
        let work = self.link.client.batch_execute(&text);
        match self.purpose {
            // On a private server, and longer than one statement's time.
            Purpose::Other => self.run_for(None, None, work).await,
            _ => self.run(None, work).await,
        }
    }

    /// Sends statements in the simple protocol exactly as they are, without the marker, and
    /// leaves their answers unread. The demo plays an application with it, whose statements must
    /// not be taken for ours.
    pub async fn play(&self, sql: &str) -> Result<(), PgError> {
        self.run_for(None, None, self.link.client.batch_execute(sql)).await
    }

    /// Bounds every later statement of this session; zero takes the bound away. A statement of which nothing is
    /// heard some seconds after that ends with an error, and the connection with it.
    pub async fn set_statement_timeout(&self, limit: Duration) -> Result<(), PgError> {
        self.set("statement_timeout", &format!("{}ms", limit.as_millis())).await?;
        self.deadline.store(connect::deadline(self.purpose, limit), Ordering::Relaxed);
        Ok(())
    }

    /// Bounds how long every later statement of this session may wait for a lock.
    pub async fn set_lock_timeout(&self, limit: Duration) -> Result<(), PgError> {
        self.set("lock_timeout", &format!("{}ms", limit.as_millis())).await
    }

    async fn set(&self, name: &str, value: &str) -> Result<(), PgError> {
        self.query("select pg_catalog.set_config($1, $2, false)", &[&name, &value]).await?;
        Ok(())
    }

    /// Returns what cancels this session's statements from outside.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Takes the notices and warnings that have come since the last call, oldest first.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.link.take_notices()
    }

    /// Returns whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.link.client.is_closed()
    }

    /// Ends the session and waits until the server has been told.
    pub async fn close(self) {
        if self.facts.behind_pooler {
            // The pooler's connection lives on for others. If this fails it is gone anyway.
            let _ = self.batch("RESET ALL").await;
        }
        self.link.close().await;
    }

    /// Closes the connection at once, whatever the server is doing; statements under way fail as lost.
    pub(crate) fn cut(&self) {
        self.link.cut();
    }

    /// Counts and awaits one statement, and translates its error.
    async fn run<T>(
        &self,
        sent: Option<&Marked>,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, PgError> {
        let limit = self.deadline.load(Ordering::Relaxed);
        let limit = (limit > 0).then(|| Duration::from_millis(limit));
        self.run_for(limit, sent, work).await
    }

    /// As [`Session::run`], for so long at most.
    async fn run_for<T>(
        &self,
        limit: Option<Duration>,
        sent: Option<&Marked>,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, PgError> {
        let running = self.meter.start(self.purpose);
        let outcome = match limit {
            None => work.await,
            Some(limit) => {
                let Ok(outcome) = timeout(limit, work).await else {
                    self.link.cut();
                    return Err(PgError::beyond_limit(limit));
                };
                outcome
            }
        };
        drop(running);
        match outcome {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.link.explain(PgError::running(&error, sent)).await),
        }
    }
}

fn driver_params<'a>(params: &[&'a dyn Param]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect()
}
