//! One open connection: the driver's client and the task that moves its bytes.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{ConnectCause, PgError};

/// How long the end of a connection may take to be understood, or to be said good-bye to.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many notices are kept until they are taken; later ones are dropped.
const NOTICES_MAX: usize = 1000;

/// A message that the server sent beside its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, …, in the server's language.
    pub severity: String,
    /// Five characters, such as `01000`.
    pub sqlstate: String,
    /// The message.
    pub message: String,
}

type Notices = Arc<Mutex<Vec<Notice>>>;

/// An open connection. Dropping it closes the connection.
pub(super) struct Link {
    pub(super) client: Client,
    driver: JoinHandle<()>,
    /// What the task has seen: why the connection ended.
    ended: watch::Receiver<Option<PgError>>,
    notices: Notices,
    tls: Option<MakeRustlsConnect>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    /// Opens a connection and starts its task.
    pub(super) async fn open(
        config: &Config,
        tls: Option<&MakeRustlsConnect>,
    ) -> Result<Self, tokio_postgres::Error> {
        if let Some(tls) = tls {
            let (client, connection) = config.connect(tls.clone()).await?;
            return Ok(Self::drive(client, connection, Some(tls.clone())));
        }
        let (client, connection) = config.connect(NoTls).await?;
        Ok(Self::drive(client, connection, None))
    }

    fn drive<S, T>(
        client: Client,
        mut connection: Connection<S, T>,
        tls: Option<MakeRustlsConnect>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (end, ended) = watch::channel(None);
        let notices = Notices::default();
        let collected = Arc::clone(&notices);
        let driver = tokio::spawn(async move {
            while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => collect(&collected, &notice),
                    Ok(_) => {}
                    Err(error) => {
                        // Before the connection is dropped, and with it those who wait.
                        let _ = end.send(Some(PgError::running(&error, None)));
                        return;
                    }
                }
            }
        });
        Self { client, driver, ended, notices, tls }
    }

    /// Takes the notices that have come since the last call.
    pub(super) fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where an error says that the connection was lost, waits for the task to say why.
    pub(super) async fn explain(&self, error: PgError) -> PgError {
        if !error.is_lost() {
            return error;
        }
        let mut ended = self.ended.clone();
        match timeout(FAREWELL, ended.wait_for(Option::is_some)).await {
            Ok(Ok(end)) => end.as_ref().map_or(error.clone(), |end| error.because(end)),
            _ => error,
        }
    }

    /// Closes the connection at once, whatever the server is doing.
    pub(super) fn cut(&self) {
        self.driver.abort();
    }

    /// Returns what cancels this connection's statement.
    pub(super) fn cancel_token(&self, target: &str, patience: Duration) -> CancelToken {
        CancelToken {
            token: self.client.cancel_token(),
            tls: self.tls.clone(),
            target: target.to_owned(),
            patience,
        }
    }

    /// Closes the connection and waits until the server has been told.
    pub(super) async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        // A server that does not take the good-bye notices the closed socket.
        let _ = timeout(FAREWELL, driver).await;
    }
}

fn collect(notices: &Notices, notice: &tokio_postgres::error::DbError) {
    let mut notices = notices.lock().unwrap_or_else(PoisonError::into_inner);
    if notices.len() < NOTICES_MAX {
        notices.push(Notice {
            severity: notice.severity().to_owned(),
            sqlstate: notice.code().code().to_owned(),
            message: notice.message().to_owned(),
        });
    }
}

/// Cancels whatever a session is doing, from outside of it.
#[derive(Clone)]
pub struct CancelToken {
    token: tokio_postgres::CancelToken,
    tls: Option<MakeRustlsConnect>,
    target: String,
    patience: Duration,
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelToken({})", self.target)
    }
}

impl CancelToken {
    /// Asks the server to cancel the session's running statement. The request went out when
    /// this returns; the statement itself then fails with SQLSTATE 57014, or has just ended.
    pub async fn cancel(&self) -> Result<(), PgError> {
        let request = async {
            match &self.tls {
                Some(tls) => self.token.cancel_query(tls.clone()).await,
                None => self.token.cancel_query(NoTls).await,
            }
        };
        match timeout(self.patience, request).await {
            Ok(outcome) => outcome.map_err(|error| PgError::connecting(&error, &self.target)),
            Err(_) => {
                Err(PgError::connect(ConnectCause::Timeout, &self.target, "no answer in time"))
            }
        }
    }
}
