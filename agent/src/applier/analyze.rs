//! `ANALYZE`: harmless, not to be undone, and silently skipped by the server for those who may not.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rules::change_plan::{Operation, TableRef};
use rules::guards::Work;
use rules::protocol::Found;
use rules::statement::guard::{Permitted, Purpose};
use serde_json::json;

use super::ApplyError;
use super::catalog;
use super::check;
use super::runner::Runner;
use super::send::Order;
use super::subject::{Outset, Ready, Seen, View};

/// How long the statistics collector of PostgreSQL 14 may take to show that a table was analyzed.
const STATISTICS_LAG: Duration = Duration::from_secs(5);
/// How often we look.
const GLANCE: Duration = Duration::from_millis(100);

/// A table that is to be analyzed.
#[derive(Clone, Debug)]
pub(super) struct Analyze {
    table: TableRef,
    /// When that was last done before.
    before: Option<DateTime<Utc>>,
    /// Size of the table when it was last looked at.
    bytes: u64,
}

impl Analyze {
    pub(super) fn new(table: TableRef, before: Option<DateTime<Utc>>) -> Self {
        Self { table, before, bytes: 0 }
    }

    async fn last(&self, runner: &Runner<'_>) -> Result<Option<DateTime<Utc>>, ApplyError> {
        let look = ApplyError::while_doing("look when the table was last analyzed");
        catalog::last_analyze(&runner.session, self.table.oid).await.map_err(look)
    }

    pub(super) async fn premises(&mut self, runner: &Runner<'_>) -> Result<Outset, ApplyError> {
        match check::table(runner, &self.table, Work::Analyze).await? {
            Ok(table) => self.bytes = table.bytes,
            Err(reason) => return Ok(Outset::Refused(reason)),
        }
        if let Err(reason) = check::way_is_free(runner, self.table.oid, Work::Analyze).await? {
            return Ok(Outset::Refused(reason));
        }
        self.before = self.last(runner).await?;
        Ok(Outset::Ready(Box::new(Ready {
            index: (None, None, None),
            before: json!({"last_analyze": self.before}),
            operation: Operation::Analyze,
            frees: None,
        })))
    }

    pub(super) async fn look(&self, runner: &Runner<'_>, view: View) -> Result<Seen, ApplyError> {
        let since = Instant::now();
        loop {
            if self.last(runner).await? > self.before {
                return Ok(Seen::nothing(Found::Whole { complete: true }));
            }
            let settled = view == View::Forward { settled: true };
            if !settled || since.elapsed() >= STATISTICS_LAG {
                return Ok(Seen::nothing(check::absent(runner, &self.table).await?));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    pub(super) fn order(&self, runner: &Runner<'_>) -> Order {
        // What the server says from here on is about this statement.
        runner.session.take_notices();
        Order {
            sql: format!("ANALYZE {}", self.table.qualified()),
            meant: Permitted::Analyze {
                schema: self.table.schema.clone(),
                table: self.table.name.clone(),
            },
            purpose: Purpose::Change,
            limit: runner.options.time_for(self.bytes),
            stoppable: true,
        }
    }

    /// What the server said instead of analyzing.
    pub(super) fn unseen(runner: &Runner<'_>) -> String {
        let said: Vec<String> =
            runner.session.take_notices().into_iter().map(|notice| notice.message).collect();
        format!(
            "the server reported success, but did not analyze the table{}{}",
            if said.is_empty() { "" } else { ": " },
            said.join("; ")
        )
    }
}
