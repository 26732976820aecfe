//! `ANALYZE` and `VACUUM (ANALYZE)`: harmless, not to be undone, and silently skipped by the server for those who may
//! not.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rules::change_plan::{Operation, TableRef};
use rules::guards::{TableFacts, Work};
use rules::protocol::Found;
use rules::statement::guard::{Permitted, Purpose};
use serde_json::{Value, json};

use super::ApplyError;
use super::catalog;
use super::check::{self, Checked};
use super::runner::Runner;
use super::send::Order;
use super::subject::{Outset, Ready, Seen, View};
use crate::journal::Entry;

/// How long the statistics collector of PostgreSQL 14 may take to show that a table was refreshed.
const STATISTICS_LAG: Duration = Duration::from_secs(5);
/// How often we look.
const GLANCE: Duration = Duration::from_millis(100);

/// What is done to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refreshing {
    Analyze,
    Vacuum,
}

/// A table that is to be analyzed or vacuumed.
#[derive(Clone, Debug)]
pub(super) struct Refresh {
    table: TableRef,
    what: Refreshing,
    /// When that was last done before.
    before: Option<DateTime<Utc>>,
    /// Size of the table when it was last looked at.
    bytes: u64,
}

impl Refresh {
    pub(super) fn new(table: TableRef, what: Refreshing) -> Self {
        Self { table, what, before: None, bytes: 0 }
    }

    /// Out of a row.
    pub(super) fn of_entry(entry: &Entry, what: Refreshing) -> Self {
        let key = match what {
            Refreshing::Analyze => "last_analyze",
            Refreshing::Vacuum => "last_vacuum",
        };
        let before = entry.before.get(key).cloned().unwrap_or_default();
        let before = serde_json::from_value(before).unwrap_or(None);
        Self { before, ..Self::new(entry.table.clone(), what) }
    }

    async fn last(&self, runner: &Runner<'_>) -> Result<Option<DateTime<Utc>>, ApplyError> {
        let (session, table) = (&runner.session, self.table.oid);
        match self.what {
            Refreshing::Analyze => {
                let look = ApplyError::while_doing("look when the table was last analyzed");
                catalog::last_analyze(session, table).await.map_err(look)
            }
            Refreshing::Vacuum => {
                let look = ApplyError::while_doing("look when the table was last vacuumed");
                catalog::last_vacuum(session, table).await.map_err(look)
            }
        }
    }

    /// What the row tells of the time before.
    async fn state(&self, runner: &Runner<'_>) -> Result<Value, ApplyError> {
        Ok(match self.what {
            Refreshing::Analyze => json!({"last_analyze": self.before}),
            Refreshing::Vacuum => {
                let look = ApplyError::while_doing("look what there is to vacuum");
                let (session, table) = (&runner.session, self.table.oid);
                let found = catalog::visibility(session, table).await.map_err(look)?;
                json!({"last_vacuum": self.before, "all_visible": found.all_visible, "dead": found.dead})
            }
        })
    }

    fn work(&self) -> Work {
        match self.what {
            Refreshing::Analyze => Work::Analyze,
            Refreshing::Vacuum => Work::Vacuum,
        }
    }

    /// Asks the guards of the table; of a vacuum those of the run and the action as well.
    async fn checked(&self, runner: &Runner<'_>) -> Result<Checked<TableFacts>, ApplyError> {
        let table = check::table(runner, &self.table, self.work()).await?;
        let (Refreshing::Vacuum, Ok(facts)) = (self.what, &table) else { return Ok(table) };
        let asked = check::vacuum(runner, facts).await?;
        Ok(table.and_then(|facts| asked.map(|()| facts)))
    }

    /// The words for how one that an earlier run left ended.
    pub(super) fn finished(&self, in_place: bool) -> &'static str {
        match (self.what, in_place) {
            (Refreshing::Analyze, true) => "the table was analyzed",
            (Refreshing::Analyze, false) => "the table was not analyzed",
            (Refreshing::Vacuum, true) => "the table was vacuumed",
            (Refreshing::Vacuum, false) => "the table was not vacuumed",
        }
    }

    pub(super) async fn premises(&mut self, runner: &Runner<'_>) -> Result<Outset, ApplyError> {
        match self.checked(runner).await? {
            Ok(table) => self.bytes = table.bytes,
            Err(reason) => return Ok(Outset::Refused(reason)),
        }
        if let Err(reason) = check::way_is_free(runner, self.table.oid, self.work()).await? {
            return Ok(Outset::Refused(reason));
        }
        self.before = self.last(runner).await?;
        Ok(Outset::Ready(Box::new(Ready {
            index: (None, None, None),
            before: self.state(runner).await?,
            operation: match self.what {
                Refreshing::Analyze => Operation::Analyze,
                Refreshing::Vacuum => Operation::Vacuum,
            },
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
        let (schema, table) = (self.table.schema.clone(), self.table.name.clone());
        let full = self.table.qualified();
        let (sql, meant) = match self.what {
            Refreshing::Analyze => {
                (format!("ANALYZE {full}"), Permitted::Analyze { schema, table })
            }
            Refreshing::Vacuum => (
                format!("VACUUM (ANALYZE, TRUNCATE off, PARALLEL 0) {full}"),
                Permitted::Vacuum { schema, table },
            ),
        };
        Order {
            sql,
            meant,
            purpose: Purpose::Change,
            limit: runner.options.time_for(self.bytes),
            stoppable: true,
        }
    }

    /// What the server said instead of doing it.
    pub(super) fn unseen(&self, runner: &Runner<'_>) -> String {
        let said: Vec<String> =
            runner.session.take_notices().into_iter().map(|notice| notice.message).collect();
        format!(
            "the server reported success, but did not {} the table{}{}",
            match self.what {
                Refreshing::Analyze => "analyze",
                Refreshing::Vacuum => "vacuum",
            },
            if said.is_empty() { "" } else { ": " },
            said.join("; ")
        )
    }
}
