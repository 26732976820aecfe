//! What an action is about: one file a kind, and here what the driver asks of all of them.
//!
//! A further kind of action gets a file of its own and a line in each of the matches below.

use rules::change_plan::{Action, Operation};
use rules::protocol::{Found, Kind, Statement};
use serde_json::Value;

use super::ApplyError;
use super::analyze::Analyze;
use super::catalog::IndexState;
use super::check::Checked;
use super::create_index::CreateIndex;
use super::drop_index::DropIndex;
use super::runner::Runner;
use super::send::Order;
use crate::guards::Expected;
use crate::journal::Entry;

/// What an action is about.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Create(CreateIndex),
    Drop(DropIndex),
    Analyze(Analyze),
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
    /// Name, oid and definition of the index.
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
    /// The index, where one is there.
    pub(super) index: Option<Box<IndexState>>,
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
            Operation::CreateIndex { name, definition } => {
                let create = CreateIndex::new(action.table.clone(), name, definition)?;
                Self::Create(create.expecting(Expected::of(action)))
            }
            Operation::DropIndex { index } => {
                Self::Drop(DropIndex::new(action.table.clone(), index)?)
            }
            Operation::Analyze => Self::Analyze(Analyze::new(action.table.clone(), None)),
        })
    }

    /// Of a row of the journal; the reason where its columns contradict each other.
    pub(super) fn of_entry(entry: &Entry) -> Checked<Self> {
        Ok(match entry.operation()? {
            Operation::CreateIndex { name, definition } => {
                Self::Create(CreateIndex::of_entry(entry, &name, &definition)?)
            }
            Operation::DropIndex { .. } => Self::Drop(DropIndex::of_entry(entry)?),
            Operation::Analyze => {
                let before = entry.before.get("last_analyze").cloned().unwrap_or_default();
                let before = serde_json::from_value(before).unwrap_or(None);
                Self::Analyze(Analyze::new(entry.table.clone(), before))
            }
        })
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Create(_) => Kind::Make,
            Self::Drop(_) => Kind::Remove,
            Self::Analyze(_) => Kind::Refresh,
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
            Self::Drop(drop) => drop.premises(runner).await,
            Self::Analyze(analyze) => analyze.premises(runner).await,
        }
    }

    /// Looks whether the way is free for the undo; the reason why not.
    pub(super) async fn way_back(
        &mut self,
        runner: &Runner<'_>,
    ) -> Result<Checked<()>, ApplyError> {
        match self {
            Self::Create(create) => create.way_back(runner).await,
            Self::Drop(drop) => drop.way_back(runner).await,
            Self::Analyze(_) => Ok(Ok(())),
        }
    }

    /// Looks what is there.
    pub(super) async fn look(&self, runner: &Runner<'_>, view: View) -> Result<Seen, ApplyError> {
        match self {
            Self::Create(create) => create.look(runner, view).await,
            Self::Drop(drop) => drop.look(runner, view).await,
            Self::Analyze(analyze) => analyze.look(runner, view).await,
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
            (Self::Analyze(analyze), Statement::Do) => vec![analyze.order(runner)],
            (Self::Create(_), Statement::Complete) | (Self::Analyze(_), _) => Vec::new(),
        }
    }

    /// What is left in `cleanup_pending`, in words.
    pub(super) fn left(&self, why: Option<&str>) -> String {
        match self {
            Self::Create(create) => create.left(why),
            Self::Drop(drop) => drop.left(why),
            Self::Analyze(_) => String::new(),
        }
    }

    /// What is the matter when the server reported success and the catalog does not show it.
    pub(super) fn unseen(&self, runner: &Runner<'_>) -> String {
        match self {
            Self::Create(_) => "the new index is not there".to_owned(),
            Self::Drop(drop) => format!("{} is still there", drop.full()),
            Self::Analyze(_) => Analyze::unseen(runner),
        }
    }

    /// How an action that an earlier run left was found, or finished: in place, or not.
    pub(super) fn finished(&self, in_place: bool, cleaned: bool) -> &'static str {
        match (self, in_place) {
            (Self::Create(_), true) => "the index was finished and is in place",
            (Self::Create(_), false) if cleaned => "the index was half made and has been removed",
            (Self::Create(_), false) => "the index was not made",
            (Self::Drop(_), true) => "the index is dropped",
            (Self::Drop(_), false) => "the index was not dropped",
            (Self::Analyze(_), true) => "the table was analyzed",
            (Self::Analyze(_), false) => "the table was not analyzed",
        }
    }
}
