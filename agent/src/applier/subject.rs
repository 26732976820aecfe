//! What an action is about: one file a kind, and here what the driver asks of all of them.
//!
//! A further kind of action gets a file of its own and a line in each of the matches below.

use rules::change_plan::{Action, Operation};
use rules::protocol::{Found, Kind, Statement};
use serde_json::Value;

use super::ApplyError;
use super::catalog::IndexState;
use super::check::Checked;
use super::create_index::CreateIndex;
use super::create_statistics::CreateStatistics;
use super::drop_index::DropIndex;
use super::partitioned::PartitionedIndex;
use super::refresh::{Refresh, Refreshing};
use super::runner::Runner;
use super::send::Order;
use crate::guards::Expected;
use crate::journal::Entry;

/// What an action is about.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Create(CreateIndex),
    /// In steps of its own: see [`PartitionedIndex::work`].
    Partitioned(PartitionedIndex),
    Drop(DropIndex),
    Statistics(CreateStatistics),
    Refresh(Refresh),
}

/// Whether an action may begin, and what its row is written with.
#[derive(Clone, Debug)]
pub(super) enum Outset {
    /// It may.
    Ready(Box<Ready>),
    /// There is nothing to do: what is there.
    AlreadyThere(String),
    /// It may not: the reason.
    Refused(String),
}

/// What the row of an action is written with, beside what the plan says.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    /// Name, oid and definition of the index or statistics.
    pub(super) index: (Option<String>, Option<u32>, Option<String>),
    pub(super) before: Value,
    /// The operation as it is now, where the catalog knows more of it than the plan.
    pub(super) operation: Operation,
    /// Bytes on disk that it frees.
    pub(super) frees: Option<i64>,
}

/// What a look at the catalog shows.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) found: Found,
    /// The index or the statistics, where such are there.
    pub(super) index: Option<Box<Object>>,
}

/// An index or statistics, for the journal.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) oid: u32,
    pub(super) definition: String,
    pub(super) bytes: i64,
}

impl From<Box<IndexState>> for Box<Object> {
    fn from(index: Box<IndexState>) -> Self {
        let IndexState { oid, definition, bytes, .. } = *index;
        Self::new(Object { oid, definition, bytes })
    }
}

impl Seen {
    pub(super) fn nothing(found: Found) -> Self {
        Self { found, index: None }
    }
}

/// For what the catalog is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// To carry the action out, or to finish that. `settled`: the server, or an earlier run, says that it is done.
    Forward { settled: bool },
    /// To take it back; whether that has begun.
    Back { begun: bool },
}

impl Subject {
    /// Of an action of a change plan; the reason where it cannot be understood.
    pub(super) fn of_action(action: &Action) -> Checked<Self> {
        Ok(match &action.operation {
            Operation::CreateIndex { name, definition, parts } if !parts.is_empty() => {
                let (table, key) = (action.table.clone(), &action.key);
                let index = PartitionedIndex::new(table, key, name, definition, parts);
                Self::Partitioned(index.expecting(Expected::of(action)))
            }
            Operation::CreateIndex { name, definition, .. } => {
                let create = CreateIndex::new(action.table.clone(), name, definition)?;
                Self::Create(create.expecting(Expected::of(action)))
            }
            Operation::DropIndex { index } => {
                Self::Drop(DropIndex::new(action.table.clone(), index)?)
            }
            Operation::CreateStatistics { name, definition } => {
                Self::Statistics(CreateStatistics::new(action.table.clone(), name, definition))
            }
            Operation::Analyze => {
                Self::Refresh(Refresh::new(action.table.clone(), Refreshing::Analyze))
            }
            Operation::Vacuum => {
                Self::Refresh(Refresh::new(action.table.clone(), Refreshing::Vacuum))
            }
        })
    }

    /// Of a row of the journal; the reason where its columns contradict each other.
    pub(super) fn of_entry(entry: &Entry) -> Checked<Self> {
        Ok(match entry.operation()? {
            Operation::CreateIndex { name, definition, parts } if !parts.is_empty() => {
                Self::Partitioned(PartitionedIndex::of_entry(entry, &name, &definition, &parts)?)
            }
            Operation::CreateIndex { name, definition, .. } => {
                Self::Create(CreateIndex::of_entry(entry, &name, &definition)?)
            }
            Operation::DropIndex { .. } => Self::Drop(DropIndex::of_entry(entry)?),
            Operation::CreateStatistics { name, definition } => {
                Self::Statistics(CreateStatistics::of_entry(entry, &name, &definition)?)
            }
            Operation::Analyze => Self::Refresh(Refresh::of_entry(entry, Refreshing::Analyze)),
            Operation::Vacuum => Self::Refresh(Refresh::of_entry(entry, Refreshing::Vacuum)),
        })
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Create(_) | Self::Partitioned(_) | Self::Statistics(_) => Kind::Make,
            Self::Drop(_) => Kind::Remove,
            Self::Refresh(_) => Kind::Refresh,
        }
    }

    /// Looks whether the action may begin.
    pub(super) async fn premises(
        &mut self,
        runner: &Runner<'_>,
        key: &str,
    ) -> Result<Outset, ApplyError> {
        match self {
            Self::Create(create) => create.premises(runner, key).await,
            Self::Partitioned(index) => Box::pin(index.premises(runner, key)).await,
            Self::Drop(drop) => drop.premises(runner).await,
            Self::Statistics(statistics) => statistics.premises(runner, key).await,
            Self::Refresh(refresh) => refresh.premises(runner).await,
        }
    }

    /// Looks whether the way is free for the undo; the reason why not.
    pub(super) async fn way_back(
        &mut self,
        runner: &Runner<'_>,
    ) -> Result<Checked<()>, ApplyError> {
        match self {
            Self::Create(create) => create.way_back(runner).await,
            Self::Partitioned(index) => index.way_back(runner).await,
            Self::Drop(drop) => drop.way_back(runner).await,
            Self::Statistics(statistics) => statistics.way_back(runner).await,
            Self::Refresh(_) => Ok(Ok(())),
        }
    }

    /// Looks what is there.
    pub(super) async fn look(
        &mut self,
        runner: &Runner<'_>,
        view: View,
    ) -> Result<Seen, ApplyError> {
        match self {
            Self::Create(create) => create.look(runner, view).await,
            Self::Partitioned(index) => index.look(runner, view).await,
            Self::Drop(drop) => drop.look(runner, view).await,
            Self::Statistics(statistics) => statistics.look(runner, view).await,
            Self::Refresh(refresh) => refresh.look(runner, view).await,
        }
    }

    /// The statements that a step is made of; none where the action has no such step.
    pub(super) fn orders(&self, runner: &Runner<'_>, statement: Statement) -> Vec<Order> {
        match (self, statement) {
            (Self::Create(create), Statement::Do) => vec![create.create(runner)],
            (Self::Create(create), Statement::Undo | Statement::Clean) => {
                vec![create.remove(runner)]
            }
            (Self::Drop(drop), Statement::Do | Statement::Clean) => vec![drop.remove(runner)],
            (Self::Drop(drop), Statement::Undo) => vec![drop.make_again(runner)],
            (Self::Drop(drop), Statement::Complete) => drop.complete(runner),
            (Self::Statistics(statistics), Statement::Do) => vec![statistics.create(runner)],
            (Self::Statistics(statistics), Statement::Complete) => vec![statistics.fill(runner)],
            (Self::Statistics(statistics), Statement::Undo | Statement::Clean) => {
                vec![statistics.remove(runner)]
            }
            (Self::Refresh(refresh), Statement::Do) => vec![refresh.order(runner)],
            (Self::Create(_), Statement::Complete)
            | (Self::Partitioned(_) | Self::Refresh(_), _) => Vec::new(),
        }
    }

    /// What is left in `cleanup_pending`, in words.
    pub(super) fn left(&self, why: Option<&str>) -> String {
        match self {
            Self::Create(create) => create.left(why),
            Self::Partitioned(index) => index.left(why),
            Self::Drop(drop) => drop.left(why),
            Self::Statistics(_) | Self::Refresh(_) => String::new(),
        }
    }

    /// What is the matter when the server reported success and the catalog does not show it.
    pub(super) fn unseen(&self, runner: &Runner<'_>) -> String {
        match self {
            Self::Create(_) | Self::Partitioned(_) => "the new index is not there".to_owned(),
            Self::Drop(drop) => format!("{} is still there", drop.full()),
            Self::Statistics(_) => "the new statistics are not there".to_owned(),
            Self::Refresh(refresh) => refresh.unseen(runner),
        }
    }

    /// How an action that an earlier run left was found, or finished: in place, or not.
    pub(super) fn finished(&self, in_place: bool, cleaned: bool) -> &'static str {
        match (self, in_place) {
            (Self::Create(_) | Self::Partitioned(_), true) => {
                "the index was finished and is in place"
            }
            (Self::Create(_) | Self::Partitioned(_), false) if cleaned => {
                "the index was half made and has been removed"
            }
            (Self::Create(_) | Self::Partitioned(_), false) => "the index was not made",
            (Self::Drop(_), true) => "the index is dropped",
            (Self::Drop(_), false) => "the index was not dropped",
            (Self::Statistics(_), true) => "the statistics are in place",
            (Self::Statistics(_), false) => "the statistics were not made",
            (Self::Refresh(refresh), in_place) => refresh.finished(in_place),
        }
    }
}
