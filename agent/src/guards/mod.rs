//! Reads what the guards ([`rules::guards`]) look at, for the applier and for a dry run alike.
//!
//! No guard fails a run because our role may not see something: what is not visible is `None`, and the guard says what
//! that means.

mod disk;
mod index;
mod replication;
mod server;
mod table;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rules::change_plan::{Action, ChangePlan, Operation};
use rules::guards::{Judgement, Limits, Premises, Scope, ServerFacts, Spent, Target, Work, judge};

pub use disk::DiskFree;
pub(crate) use index::{Expected, planned};
pub(crate) use server::{at_work, for_action, for_run, of_session};
pub(crate) use table::{Found, blockers, table};
pub(crate) use tree::tree;

use rules::index::IndexDefinition;
use rules::partitions::Part;

use crate::conninfo::ConnInfo;
use crate::journal::{self, JournalError, State};
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
    for_action(session, options, Spent::default(), &mut server).await?;
    let mut foreseen = BTreeMap::new();
    let mut spent = Spent::default();
    for action in due {
        let one = foresee_one(session, action, &server, (options, spent)).await?;
        // As a run would find it after those before.
        if let (true, Operation::CreateIndex { .. }) = (one.refusals.is_empty(), &action.operation)
        {
            let bytes = action.impact.bytes.and_then(|bytes| u64::try_from(bytes).ok());
            let bytes = bytes.unwrap_or(0);
            spent.bytes += bytes;
            server.disk_free = server.disk_free.map(|free| free.saturating_sub(bytes));
        }
        foreseen.insert(action.key.clone(), one);
    }
    Ok(foreseen)
}

async fn foresee_one(
    session: &Session,
    action: &Action,
    server: &ServerFacts,
    (options, spent): (&GuardOptions, Spent),
) -> Result<Foreseen, GuardError> {
    let mut foreseen = Foreseen::default();
    foreseen.refusals.extend(removed(session, action).await?);
    if !foreseen.refusals.is_empty() {
        return Ok(foreseen);
    }
    if let Operation::CreateIndex { definition, parts, .. } = &action.operation
        && !parts.is_empty()
    {
        let of = (definition, &parts[..]);
        return Ok(foresee_tree(session, action, of, server, (options, spent)).await?);
    }
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
        Operation::DropIndex { .. }
        | Operation::Analyze
        | Operation::CreateStatistics { .. }
        | Operation::Vacuum => None,
    };
    let target = Some(Target { work, table: &table, index: index.as_ref() });
    let premises = Premises { server, limits: &options.limits, spent, target };
    let all = [Scope::Server, Scope::Run, Scope::Table, Scope::Action, Scope::Way];
    foreseen.add(judge(&all, &premises));
    Ok(foreseen)
}

/// Whether a person removed what an earlier run had made, which the journal still says is in place.
async fn removed(session: &Session, action: &Action) -> Result<Option<String>, GuardError> {
    let (Operation::CreateIndex { name, .. } | Operation::CreateStatistics { name, .. }) =
        &action.operation
    else {
        return Ok(None);
    };
    let made = journal::open(session, &action.key, action.table.oid).await?;
    let Some(made) = made.filter(|row| matches!(row.state, State::Observing | State::Kept)) else {
        return Ok(None);
    };
    let sql = "SELECT FROM (SELECT c.relnamespace AS schema, c.relname AS name FROM pg_catalog.pg_class c \
               UNION ALL SELECT s.stxnamespace, s.stxname FROM pg_catalog.pg_statistic_ext s) o \
               JOIN pg_catalog.pg_namespace n ON n.oid = o.schema \
               WHERE n.nspname::text = $1 AND o.name::text = $2";
    let there = session.query(sql, &[&action.table.schema, name]).await?;
    Ok(there.is_empty().then(|| journal::removed_before(made.id)))
}

/// The same of an index on a partitioned table. Of the partitions the first refusal of each is told, and what is
/// noted of all of them is told once.
async fn foresee_tree(
    session: &Session,
    action: &Action,
    (definition, parts): (&IndexDefinition, &[Part]),
    server: &ServerFacts,
    (options, spent): (&GuardOptions, Spent),
) -> Result<Foreseen, PgError> {
    let mut foreseen = Foreseen::default();
    let expected = Expected::of(action);
    let mut tree = match tree(session, &action.table, definition, parts, &expected).await? {
        Ok(tree) => tree,
        Err(reason) => {
            foreseen.refusals.push(reason);
            return Ok(foreseen);
        }
    };
    tree.held_up_by(blockers(session, action.table.oid, Work::AttachIndexes).await?);
    let premises =
        |target| Premises { server, limits: &options.limits, spent, target: Some(target) };
    let all = [Scope::Server, Scope::Run, Scope::Table, Scope::Action, Scope::Way];
    foreseen.add(judge(&all, &premises(tree.whole())));
    for part in tree.parts() {
        let judgement = judge(&[Scope::Table, Scope::Action], &premises(part));
        foreseen.refusals.extend(judgement.reason().map(str::to_owned));
    }
    Ok(foreseen)
}

/// What an operation does to its table.
pub(crate) fn work(operation: &Operation) -> Work {
    match operation {
        Operation::CreateIndex { .. } => Work::CreateIndex,
        Operation::DropIndex { .. } => Work::DropIndex,
        Operation::Analyze => Work::Analyze,
        Operation::CreateStatistics { .. } => Work::CreateStatistics,
        Operation::Vacuum => Work::Vacuum,
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
