//! `DROP INDEX CONCURRENTLY` of an index that is not ours: only what can be made again exactly. And its undo.

use rules::change_plan::{Operation, TableRef, recreate};
use rules::guards::Work;
use rules::protocol::Found;
use rules::quote::{ident, qualified};
use rules::snapshot::Index;
use rules::statement::guard::{Permitted, Purpose};
use rules::statement::index_shape::IndexShape;
use serde_json::json;

use super::ApplyError;
use super::catalog::{self, IndexState, Named};
use super::check::{self, Checked};
use super::create_index::removal;
use super::runner::Runner;
use super::send::Order;
use super::subject::{Outset, Ready, Seen, View};
use crate::journal::Entry;

/// An index that is to be dropped, or that we dropped.
#[derive(Clone, Debug)]
pub(super) struct DropIndex {
    table: TableRef,
    index: Index,
    shape: IndexShape,
    /// Size of the table when it was last looked at.
    bytes: u64,
}

impl DropIndex {
    pub(super) fn new(table: TableRef, index: &Index) -> Checked<Self> {
        let shape = IndexShape::of(&index.definition)?;
        Ok(Self { table, index: index.clone(), shape, bytes: 0 })
    }

    /// Out of a row, if its columns tell the same of the index.
    pub(super) fn of_entry(entry: &Entry) -> Checked<Self> {
        let index = entry.before.get("index").cloned().unwrap_or_default();
        let dropped = serde_json::from_value::<Index>(index).ok().filter(|index| {
            entry.index_name.as_ref() == Some(&index.name)
                && entry.definition.as_ref() == Some(&index.definition)
                && entry.table.schema == index.schema
        });
        match dropped.map(|index| Self::new(entry.table.clone(), &index)) {
            Some(Ok(drop)) => Ok(drop),
            _ => Err("the row in the journal contradicts itself; somebody changed it".to_owned()),
        }
    }

    pub(super) fn full(&self) -> String {
        qualified(&self.index.schema, &self.index.name)
    }

    async fn named(&self, runner: &Runner<'_>) -> Result<Named, ApplyError> {
        let look = ApplyError::while_doing("look at the index again");
        catalog::named(&runner.session, &self.index.schema, &self.index.name).await.map_err(look)
    }

    pub(super) async fn premises(&mut self, runner: &Runner<'_>) -> Result<Outset, ApplyError> {
        if let Err(reason) = check::table(runner, &self.table, Work::DropIndex).await? {
            return Ok(Outset::Refused(reason));
        }
        let full = self.full();
        let now = match self.named(runner).await? {
            Named::Absent => return Ok(Outset::AlreadyThere(format!("{full} is gone"))),
            Named::Index(now) => now,
            Named::Other => {
                return Ok(Outset::Refused(format!("{full} is no index any more")));
            }
        };
        if let Some(reason) = self.more_than_an_index(runner, &now).await? {
            return Ok(Outset::Refused(reason));
        }
        if let Err(reason) = check::way_is_free(runner, self.table.oid, Work::DropIndex).await? {
            return Ok(Outset::Refused(reason));
        }
        // What the journal tells people and the undo is made from the index as it is now.
        self.index.tablespace.clone_from(&now.tablespace);
        self.index.comment.clone_from(&now.comment);
        self.index.statistics_targets.clone_from(&now.statistics_targets);
        let index = &self.index;
        Ok(Outset::Ready(Box::new(Ready {
            index: (Some(index.name.clone()), Some(now.oid), Some(now.definition.clone())),
            before: json!({"index": index}),
            operation: Operation::DropIndex { index: Box::new(index.clone()) },
            frees: Some(now.bytes),
        })))
    }

    /// Why this index must not be dropped, if there is a reason.
    async fn more_than_an_index(
        &self,
        runner: &Runner<'_>,
        now: &IndexState,
    ) -> Result<Option<String>, ApplyError> {
        let full = self.full();
        let planned = &self.index;
        if now.table != self.table.oid
            || now.oid != planned.oid
            || now.definition != planned.definition
        {
            return Ok(Some(format!(
                "{full} is not what it was when the plan was made; run pgwright optimize again"
            )));
        }
        if let Some(what) = &now.needed_for {
            return Ok(Some(format!("{full} is needed for {what}")));
        }
        if let Some(pid) = now.builder {
            return Ok(Some(format!("process {pid} is building {full}")));
        }
        if !now.usable {
            return Ok(None);
        }
        let look = ApplyError::while_doing("look for the index that stays");
        let others = catalog::indexes_of(&runner.session, self.table.oid).await.map_err(look)?;
        let twin = others.iter().any(|other| {
            other.oid != now.oid
                && other.usable
                && IndexShape::of(&other.definition).as_ref() == Ok(&self.shape)
        });
        Ok((!twin).then(|| {
            format!(
                "no other usable index with the definition of {full} is there, so it has to stay"
            )
        }))
    }

    pub(super) async fn way_back(
        &mut self,
        runner: &Runner<'_>,
    ) -> Result<Checked<()>, ApplyError> {
        match check::table(runner, &self.table, Work::CreateIndex).await? {
            Ok(table) => self.bytes = table.bytes,
            Err(reason) => return Ok(Err(reason)),
        }
        check::way_is_free(runner, self.table.oid, Work::CreateIndex).await
    }

    pub(super) async fn look(&self, runner: &Runner<'_>, view: View) -> Result<Seen, ApplyError> {
        let (full, index) = (self.full(), &self.index);
        let now = match self.named(runner).await? {
            Named::Absent => return Ok(Seen::nothing(check::absent(runner, &self.table).await?)),
            Named::Index(now) => Some(now),
            Named::Other => None,
        };
        let same = now
            .as_ref()
            .filter(|now| now.table == self.table.oid && now.definition == index.definition);
        let found = match (view, same) {
            (View::Forward { .. }, None) => Found::Other(format!("{full} is another index by now")),
            (View::Forward { .. }, Some(now)) if now.usable => match &now.needed_for {
                Some(what) => Found::Busy(format!("{full} is needed for {what}")),
                None => Found::Whole { complete: true },
            },
            // One that was unusable before cannot be told from one that is half dropped.
            (View::Forward { .. }, Some(_)) if !index.valid => Found::Whole { complete: true },
            (View::Back { .. }, Some(now)) if now.usable && now.tablespace != index.tablespace => {
                Found::Other(self.elsewhere(runner, now).await?)
            }
            (View::Back { .. }, Some(now)) if now.usable => Found::Whole {
                complete: now.comment == index.comment
                    && now.statistics_targets == index.statistics_targets,
            },
            // Our own attempt to make it again may have ended half-way.
            (View::Forward { .. } | View::Back { begun: true }, Some(_)) => Found::Half,
            (View::Back { .. }, _) => Found::Other(format!(
                "the name {full} is taken by something else, so the dropped index cannot come back; rename that"
            )),
        };
        Ok(Seen { found, index: now })
    }

    /// Says that the dropped index is back in another tablespace, and what moves it: a statement that keeps
    /// others from the index while it copies, so that a person has to choose the hour.
    async fn elsewhere(&self, runner: &Runner<'_>, now: &IndexState) -> Result<String, ApplyError> {
        let look = ApplyError::while_doing("look which tablespace is the database's");
        let usual = catalog::default_tablespace(&runner.session).await.map_err(look)?;
        let (full, right) = (self.full(), self.index.tablespace.as_ref().unwrap_or(&usual));
        Ok(format!(
            "{full} is there again, but in tablespace {}; ALTER INDEX {full} SET TABLESPACE {} moves it",
            now.tablespace.as_ref().unwrap_or(&usual),
            ident(right)
        ))
    }

    pub(super) fn remove(&self, runner: &Runner<'_>) -> Order {
        removal(runner, &self.index.schema, &self.index.name)
    }

    /// Builds the dropped index again.
    pub(super) fn make_again(&self, runner: &Runner<'_>) -> Order {
        Order {
            sql: recreate(&self.index).into_iter().next().unwrap_or_default(),
            meant: Permitted::CreateIndex {
                name: self.index.name.clone(),
                schema: self.table.schema.clone(),
                table: self.table.name.clone(),
                tablespace: self.index.tablespace.clone(),
            },
            purpose: Purpose::Restore,
            limit: runner.options.time_for(self.bytes),
            stoppable: true,
        }
    }

    /// Gives the index its comment and its statistics targets back.
    pub(super) fn complete(&self, runner: &Runner<'_>) -> Vec<Order> {
        let statements = recreate(&self.index).into_iter().skip(1);
        let order = |sql: String| {
            let (schema, name) = (self.index.schema.clone(), self.index.name.clone());
            let meant = if sql.starts_with("COMMENT") {
                Permitted::CommentOnIndex { schema, name }
            } else {
                Permitted::SetStatistics { schema, name }
            };
            let limit = runner.options.time_for(0);
            Order { sql, meant, purpose: Purpose::Restore, limit, stoppable: false }
        };
        statements.map(order).collect()
    }

    pub(super) fn left(&self, why: Option<&str>) -> String {
        format!(
            "{} is half dropped and no query uses it any more: {}",
            self.full(),
            why.unwrap_or("the run was ended")
        )
    }
}
