//! Ends sessions that run foreign code and do not stop when told.
//!
//! `statement_timeout` stops a statement, but a function can catch that. Nobody catches the end of the session.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::database::{OWNER, PLANNER};
use super::{TwinError, TwinOptions, connect};
use crate::cluster::Cluster;
use crate::postgres::{Meter, Session};

/// How much longer than its time limit a statement may go on.
const GRACE: Duration = Duration::from_secs(2);
/// How often we look.
const GLANCE: Duration = Duration::from_millis(500);

/// Looks after all sessions of the twin's ordinary roles.
#[derive(Debug)]
pub(super) struct Guard {
    task: JoinHandle<()>,
}

impl Guard {
    pub(super) async fn start(
        cluster: &Cluster,
        meter: &Arc<Meter>,
        options: &TwinOptions,
    ) -> Result<Self, TwinError> {
        let session = connect(cluster, "postgres", None, meter, options).await?;
        let limit = (options.patience + GRACE).as_secs_f64();
        Ok(Self { task: tokio::spawn(watch(session, limit)) })
    }

    pub(super) async fn stop(self) {
        self.task.abort();
        // Ended by us, which is no failure.
        let _ = self.task.await;
    }
}

async fn watch(session: Session, seconds: f64) {
    let sql = "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity AS a \
               WHERE a.usename = ANY($1) AND a.state = 'active' \
               AND a.query_start < pg_catalog.clock_timestamp() - $2 * interval '1 second'";
    let roles: &[&str] = &[OWNER, PLANNER];
    loop {
        tokio::time::sleep(GLANCE).await;
        match session.query(sql, &[&roles, &seconds]).await {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => {
                tracing::debug!(sessions = rows.len(), "ended sessions that would not stop")
            }
            Err(error) if error.is_lost() => return,
            Err(_) => {}
        }
    }
}
