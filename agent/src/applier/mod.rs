//! Carries a change plan out, and makes no choices of its own.
//!
//! One action at a time: look again whether its premises hold, write the intent to the journal, send one
//! statement that no lock of ours blocks anybody with for long, ask the catalog what really happened, and
//! write that down. What a run leaves unfinished, whatever ended it, the next one finishes first.

mod catalog;
mod check;
mod columns;
mod conclude;
mod create_index;
mod create_statistics;
mod drive;
mod drop_index;
mod partitioned;
mod recover;
mod refresh;
mod runner;
mod send;
mod subject;
mod together;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rules::change_plan::{Action, ChangePlan, TableRef, lint};
use tokio::sync::watch;
use uuid::Uuid;

use crate::conninfo::ConnInfo;
use crate::guards::GuardOptions;
use crate::journal::{self, Entry, JournalError, State};
use crate::postgres::{Meter, PgError};

pub(crate) use conclude::conclude;
use drive::Drive;
pub(crate) use recover::{recover, take_back};
pub(crate) use runner::{Runner, identity};

/// How long a server process that still works for a dead run may take to end, by itself and after a cancel.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(10);

/// Limits of a run.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// How long one statement may wait for one lock.
    pub lock_timeout: Duration,
    /// How often a statement is sent that did not get its lock.
    pub lock_tries: u32,
    /// Pause before the second try; it doubles with every further one.
    pub retry_pause: Duration,
    /// How long building an index of an empty table may take.
    pub build_floor: Duration,
    /// How many bytes of the table get one second more.
    pub build_bytes_per_second: u64,
    /// How long others may wait behind us before we cancel our own statement.
    pub max_block: Duration,
    /// How long we look whether a transaction that would hold our statement up ends: an old one, or one whose age we
    /// may not see.
    pub patience: Duration,
    /// How long we wait for another run to end; a run that was killed holds its lock for some seconds.
    pub runner_wait: Duration,
    /// How often the second connection looks at what the first one is doing; more often where the server's
    /// `deadlock_timeout` is shorter than four times this.
    pub watch_interval: Duration,
    /// How long a server that neither answers nor is seen at work on our statement is waited for.
    pub silence: Duration,
    /// What the guards look at.
    pub guards: GuardOptions,
    /// Becomes true when the user wants to stop.
    pub stop: Option<watch::Receiver<bool>>,
}

impl Default for ApplyOptions {
    /// Others wait for us a few seconds at most, which applications bear. A build gets at least half an hour
    /// and a second per MiB of the table, some ten times what it takes on slow disks.
    fn default() -> Self {
        Self {
            lock_timeout: Duration::from_secs(3),
            lock_tries: 3,
            retry_pause: Duration::from_secs(2),
            build_floor: Duration::from_mins(30),
            build_bytes_per_second: 1 << 20,
            max_block: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            runner_wait: Duration::from_secs(10),
            watch_interval: Duration::from_millis(250),
            silence: Duration::from_mins(1),
            guards: GuardOptions::default(),
            stop: None,
        }
    }
}

impl ApplyOptions {
    /// How long a statement that reads a whole table of this many bytes may take.
    fn time_for(&self, bytes: u64) -> Duration {
        self.build_floor + Duration::from_secs(bytes / self.build_bytes_per_second.max(1))
    }
}

/// Something that happens during a run, for those who look on.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// We wait before going on.
    Waiting {
        /// Short id of the action, or empty before the first one.
        action: String,
        /// For what.
        why: String,
    },
    /// A statement is sent.
    Started {
        /// Short id of the action.
        action: String,
        /// The statement.
        statement: String,
    },
    /// An index is being built.
    Progress {
        /// Short id of the action.
        action: String,
        /// The server's word for the phase.
        phase: String,
        /// Blocks, tuples or lockers done in this phase.
        done: u64,
        /// Of how many; 0 when the server does not know.
        total: u64,
    },
    /// What an earlier run left was finished.
    Recovered {
        /// Row of the journal.
        row: i64,
        /// Where it stands now.
        state: State,
        /// What was found and done.
        what: String,
    },
    /// An action ended.
    Finished(Outcome),
}

/// What became of one action.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Short id of the action.
    pub action: String,
    /// Its row in the journal, if one was written.
    pub row: Option<i64>,
    /// `create_index`, `drop_index`, `analyze`, `create_statistics` or `vacuum`.
    pub kind: String,
    /// The table.
    pub table: TableRef,
    /// The index or statistics, if it is about such.
    pub index: Option<String>,
    /// What became of it.
    pub effect: Effect,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It is in place, as the catalog says.
    Applied {
        /// Oid of the new index or statistics.
        index_oid: Option<u32>,
        /// How long the statement took.
        seconds: f64,
        /// Bytes on disk that it takes (negative: freed).
        bytes: Option<i64>,
    },
    /// Nothing was to be done.
    AlreadyThere {
        /// What is there.
        what: String,
    },
    /// It was not begun.
    Refused {
        /// Why not, and what to do about it.
        reason: String,
    },
    /// It was begun and failed.
    Failed {
        /// The server's code.
        sqlstate: Option<String>,
        /// What happened.
        message: String,
        /// What is left of it.
        left: Left,
    },
    /// It was taken back, as the catalog says.
    Reverted {
        /// What else a person should know.
        note: Option<String>,
    },
    /// It had been taken back before.
    AlreadyReverted,
    /// There is nothing to take back.
    NothingToUndo {
        /// Why not.
        why: String,
    },
}

/// What is left of an action that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing; it changed nothing.
    Nothing,
    /// Nothing any more; an unusable index was dropped.
    Cleaned,
    /// Something: the row in the journal says what. The next run tries again to clean it up.
    Pending,
    /// The action itself, which should be taken back. The next run tries again.
    ToBeUndone,
    /// The row is closed as one that a person has to look at.
    ForAPerson,
}

/// Why a run ended early. What it had done by then was reported as [`Event::Finished`].
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// No connection, or it was lost, or the server failed a statement that has to succeed.
    #[error("cannot {doing}")]
    Server {
        /// What we were about to do.
        doing: &'static str,
        /// What happened.
        #[source]
        source: PgError,
    },
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another run is at work in this database.
    #[error(
        "another run of pgwright is at work in this database{}; wait for it, or end it with `SELECT pg_terminate_backend({})`",
        .user.as_ref().map(|user| format!(" (user {user}, process {pid})")).unwrap_or_default(),
        .pid
    )]
    OtherRun {
        /// Its server process.
        pid: i32,
        /// Its role.
        user: Option<String>,
    },
    /// A safety rule forbids changing this database.
    #[error("nothing was changed: {reason}")]
    Refused {
        /// Which, and what to do about it.
        reason: String,
    },
    /// The journal has no such action.
    #[error("the journal has no action {id}; `pgwright log` lists them")]
    NoSuchAction {
        /// The number asked for.
        id: i64,
    },
    /// The user stopped it. The statement under way was cancelled and its remains were removed.
    #[error("stopped")]
    Interrupted,
}

/// The kinds of [`ApplyError`], each with an exit code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Cannot connect, lost the connection, or lacks a privilege (exit code 3).
    Server,
    /// The user named an action that does not exist (exit code 2).
    Usage,
    /// Refused by a safety rule, the journal's state, or another run (exit code 5).
    Refused,
    /// Stopped by the user (exit code 130).
    Interrupted,
}

impl ApplyError {
    /// Returns its kind, by which the exit code is chosen.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Server { .. }
            | Self::Journal(
                JournalError::Read(_) | JournalError::Create(_) | JournalError::Write(_),
            ) => ErrorKind::Server,
            Self::NoSuchAction { .. } => ErrorKind::Usage,
            Self::Journal(_) | Self::OtherRun { .. } | Self::Refused { .. } => ErrorKind::Refused,
            Self::Interrupted => ErrorKind::Interrupted,
        }
    }

    /// What became of one action where this error ends it alone and the run can go on; the error itself
    /// where it cannot.
    pub(crate) fn of_one_action(self) -> Result<Effect, Self> {
        match self {
            Self::Journal(error) => match error.in_the_way() {
                Some(reason) => Ok(Effect::Refused { reason }),
                None => Err(Self::Journal(error)),
            },
            Self::Server { doing, source } if !source.is_lost() => Ok(Effect::Failed {
                sqlstate: source.sqlstate().map(str::to_owned),
                message: format!("cannot {doing}: {source}"),
                left: Left::Pending,
            }),
            error => Err(error),
        }
    }

    /// Turns a server error into one that says what we were doing.
    pub(crate) fn while_doing(doing: &'static str) -> impl FnOnce(PgError) -> Self {
        move |source| Self::Server { doing, source }
    }
}

/// Carries out what is due in a change plan, in its order, after finishing what earlier runs left.
///
/// `run` is the number of this run, for the journal. Actions that cannot be carried out end as
/// [`Effect::Refused`] or [`Effect::Failed`] and do not keep the others from being tried.
pub async fn apply(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    plan: &ChangePlan,
    run: Uuid,
    options: &ApplyOptions,
    progress: &mut (dyn FnMut(Event) + Send),
) -> Result<Vec<Outcome>, ApplyError> {
    if let Some(fault) = lint(plan).into_iter().next() {
        return Err(ApplyError::Refused { reason: fault });
    }
    let mut runner = Runner::open(info, meter, options, progress).await?;
    let outcomes = apply_due(&mut runner, plan, run).await;
    runner.close().await;
    outcomes
}

async fn apply_due(
    runner: &mut Runner<'_>,
    plan: &ChangePlan,
    run: Uuid,
) -> Result<Vec<Outcome>, ApplyError> {
    let due: Vec<&Action> = plan.due().collect();
    let held_up = runner.held_up().await?;
    if held_up.is_some() {
        // Not even what an earlier run left is touched.
    } else if journal::found(&runner.session).await? {
        recover(runner).await?;
    }
    // Minutes may have gone by since the plan was made, and other runs and people were here.
    let stopped = match held_up {
        None => journal::stopped(&runner.session).await?,
        Some(_) => BTreeMap::new(),
    };
    let mut outcomes = Vec::with_capacity(due.len());
    for action in due {
        runner.heed_stop()?;
        action.id().clone_into(&mut runner.action);
        let since = Instant::now();
        let now = if held_up.is_some() { held_up.clone() } else { runner.held_up().await? };
        let (row, effect) = match now.or_else(|| stopped.get(&action.key).cloned()) {
            Some(reason) => (None, Effect::Refused { reason }),
            // One action that the server does not let us look at does not keep the others from being tried.
            None => match carry_out(runner, run, action).await {
                Ok(done) => done,
                Err(error) => (None, error.of_one_action()?),
            },
        };
        runner.spend(action, &effect, since.elapsed());
        let index = action.operation.object().map(str::to_owned);
        let outcome = Outcome {
            action: action.id().to_owned(),
            row,
            kind: action.operation.kind().to_owned(),
            table: action.table.clone(),
            index,
            effect,
        };
        tracing::info!(action = outcome.action, effect = ?outcome.effect, "action ended");
        runner.tell(Event::Finished(outcome.clone()));
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Carries one action out; answers with its row in the journal and what became of it.
async fn carry_out(
    runner: &Runner<'_>,
    run: Uuid,
    action: &Action,
) -> Result<(Option<i64>, Effect), ApplyError> {
    let mut drive = match Drive::carry_out(runner, run, action) {
        Ok(drive) => drive,
        Err(reason) => return Ok((None, Effect::Refused { reason })),
    };
    let end = drive.run().await?;
    Ok((drive.row, drive.effect(end)?))
}

impl Outcome {
    /// What became of an action that the journal already has.
    pub(crate) fn of_entry(entry: &Entry, effect: Effect) -> Self {
        Self {
            action: entry.action_id().to_owned(),
            row: Some(entry.id),
            kind: entry.kind.clone(),
            table: entry.table.clone(),
            index: entry.index_name.clone(),
            effect,
        }
    }
}
