//! Reads what the guards ([`rules::guards`]) look at, for the applier and for a dry run alike.
//!
//! No guard fails a run because our role may not see something: what is not visible is `None`, and the guard says what
//! that means.

mod disk;
mod index;
mod replication;
mod server;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rules::change_plan::{Action, ChangePlan, Operation};
use rules::guards::{Judgement, Limits, Premises, Scope, ServerFacts, Spent, Target, Work, judge};

pub use disk::DiskFree;
pub(crate) use index::{Expected, planned};
pub(crate) use server::{at_work, for_action, for_run, of_session};
pub(crate) use table::{Found, blockers, table};

use crate::conninfo::ConnInfo;
use crate::journal::JournalError;
use crate::postgres::{Meter, PgError, Purpose, Session};

/// What the user allows, and where to look for it.
#[derive(Clone, Debug, Default)]
pub struct GuardOptions {
    /// The figures.
    pub limits: Limits,
    /// While this file exists, nothing is begun and a build at work is cancelled.
    pub stop_file: Option<PathBuf>,
    /// Free bytes where new indexes go, or where to measure them.
    pub disk_free: Option<DiskFree>,
}

/// Why facts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The server failed a question that everyone may ask, or the connection was lost.
    #[error("the server did not tell what the guards look at")]
    Server(#[from] PgError),
    /// The journal is not as we made it.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What the guards say of one action before anything is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// Why it would be refused now.
    pub refusals: Vec<String>,
    /// What a person may want to know.
    pub notes: Vec<String>,
}

impl Foreseen {
    fn add(&mut self, judgement: Judgement) {
        self.refusals.extend(judgement.refusals.into_iter().map(|(_, reason)| reason));
        self.notes.extend(judgement.notes.into_iter().map(|(_, note)| note));
    }
}

/// Asks the guards beforehand what `apply` would refuse now, by key of the due actions of a plan. The budget of a
/// run counts as not used yet, and nobody is waited for.
pub async fn foresee(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    plan: &ChangePlan,
    options: &GuardOptions,
) -> Result<BTreeMap<String, Foreseen>, GuardError> {
    let due: Vec<&Action> = plan.due().collect();
    if due.is_empty() {
        return Ok(BTreeMap::new());
    }
    // The same kind of session as the applier's, since its settings are looked at as well.
    let session = Session::connect(info, Purpose::Apply, meter).await?;
    let foreseen = foresee_all(&session, &due, options).await;
    session.close().await;
    foreseen
}

async fn foresee_all(
    session: &Session,
    due: &[&Action],
    options: &GuardOptions,
) -> Result<BTreeMap<String, Foreseen>, GuardError> {
    let mut server = of_session(session).await?;
    for_run(session, options, &mut server).await?;
    for_action(session, options, &mut server).await?;
    let mut foreseen = BTreeMap::new();
    for action in due {
        foreseen.insert(action.key.clone(), foresee_one(session, action, &server, options).await?);
    }
    Ok(foreseen)
}

async fn foresee_one(
    session: &Session,
    action: &Action,
    server: &ServerFacts,
    options: &GuardOptions,
) -> Result<Foreseen, PgError> {
    let mut foreseen = Foreseen::default();
    let work = work(&action.operation);
    let mut table = match table(session, &action.table, work).await? {
        Found::Table(table) => table,
        Found::Refused(reason) => {
            foreseen.refusals.push(reason);
            return Ok(foreseen);
        }
    };
    table.blockers = blockers(session, action.table.oid, work).await?;
    let index = match &action.operation {
        Operation::CreateIndex { definition, .. } => {
            Some(planned(session, &table, definition, &Expected::of(action)).await?)
        }
        Operation::DropIndex { .. } | Operation::Analyze => None,
    };
    let target = Some(Target { work, table: &table, index: index.as_ref() });
    let premises = Premises { server, limits: &options.limits, spent: Spent::default(), target };
    let all = [Scope::Server, Scope::Run, Scope::Table, Scope::Action, Scope::Way];
    foreseen.add(judge(&all, &premises));
    Ok(foreseen)
}

/// What an operation does to its table.
pub(crate) fn work(operation: &Operation) -> Work {
    match operation {
        Operation::CreateIndex { .. } => Work::CreateIndex,
        Operation::DropIndex { .. } => Work::DropIndex,
        Operation::Analyze => Work::Analyze,
    }
}

/// The answer to a question that not every role may ask, or not every server answers; an error only where the
/// connection is lost.
fn if_told<T>(answer: Result<T, PgError>) -> Result<Option<T>, PgError> {
    match answer {
        Ok(told) => Ok(Some(told)),
        Err(error) if error.is_lost() => Err(error),
        Err(error) => {
            tracing::debug!(%error, "a guard's question was not answered");
            Ok(None)
        }
    }
}

/// Bytes and counts of the server's are never negative.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
