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
use super::columns::Columns;
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
    columns: Columns,
    /// Size of the table when it was last looked at.
    bytes: u64,
}

impl DropIndex {
    pub(super) fn new(table: TableRef, index: &Index) -> Checked<Self> {
        let shape = IndexShape::of(&index.definition)?;
        Ok(Self { table, index: index.clone(), shape, columns: Columns::default(), bytes: 0 })
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
            Some(Ok(drop)) => Ok(Self { columns: Columns::of_entry(entry), ..drop }),
            _ => Err("the row in the journal contradicts itself; somebody changed it".to_owned()),
        }
    }

    pub(super) fn full(&self) -> String {
        qualified(&self.index.schema, &self.index.name)
    }

    /// Looks the index up; where it moved with its table, that is followed.
    async fn find(&mut self, runner: &Runner<'_>) -> Result<Named, ApplyError> {
        let look = ApplyError::while_doing("look at the index again");
        let name = (self.index.schema.as_str(), self.index.name.as_str());
        let oid = Some(self.index.oid);
        let found =
            catalog::found(&runner.session, oid, self.table.oid, name).await.map_err(look)?;
        if let Named::Index(index) = &found
            && index.table == self.table.oid
        {
            (self.table.schema, self.table.name) = index.relation.clone();
            self.index.schema.clone_from(&index.schema);
        }
        Ok(found)
    }

    pub(super) async fn premises(&mut self, runner: &Runner<'_>) -> Result<Outset, ApplyError> {
        if let Err(reason) = check::table(runner, &self.table, Work::DropIndex).await? {
            return Ok(Outset::Refused(reason));
        }
        let full = self.full();
        let now = match self.find(runner).await? {
            Named::Absent => return Ok(Outset::AlreadyThere(format!("{full} is gone"))),
            Named::Index(now) => now,
            Named::Other => {
                return Ok(Outset::Refused(format!("{full} is no index any more")));
            }
        };
        if let Some(reason) = self.more_than_an_index(runner, &now).await? {
            return Ok(Outset::Refused(reason));
        }
        if let Some(reason) = self.lost_for_good(runner).await? {
            let full = self.full();
            return Ok(Outset::Refused(format!("{full} could not be made again: {reason}")));
        }
        if let Err(reason) = check::way_is_free(runner, self.table.oid, Work::DropIndex).await? {
            return Ok(Outset::Refused(reason));
        }
        // What the journal tells people and the undo is made from the index as it is now.
        self.index.tablespace.clone_from(&now.tablespace);
        self.index.comment.clone_from(&now.comment);
        self.index.statistics_targets.clone_from(&now.statistics_targets);
        let look = ApplyError::while_doing("look at the columns of the index");
        let read = Columns::read(&runner.session, self.table.oid, &self.shape.columns()).await;
        self.columns = read.map_err(look)?;
        let index = &self.index;
        Ok(Outset::Ready(Box::new(Ready {
            index: (Some(index.name.clone()), Some(now.oid), Some(now.definition.clone())),
            before: json!({"index": index, "columns": self.columns.to_json()}),
            operation: Operation::DropIndex { index: Box::new(index.clone()) },
            frees: Some(now.bytes),
        })))
    }

    /// Why we could not make the index again, if there is a reason: what makes an index needs more than what drops it.
    async fn lost_for_good(&self, runner: &Runner<'_>) -> Result<Option<String>, ApplyError> {
        if let Err(reason) = check::table(runner, &self.table, Work::CreateIndex).await? {
            return Ok(Some(reason));
        }
        let Some(tablespace) = &self.index.tablespace else { return Ok(None) };
        let look = ApplyError::while_doing("look at the rights on the tablespace of the index");
        let may = catalog::may_use_tablespace(&runner.session, tablespace).await.map_err(look)?;
        let tablespace = ident(tablespace);
        Ok((!may).then(|| {
            format!(
                "this role may make nothing in its tablespace; GRANT CREATE ON TABLESPACE {tablespace} TO it"
            )
        }))
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
        let look = ApplyError::while_doing("look at the columns of the index");
        self.columns.follow(&runner.session, self.table.oid).await.map_err(look)?;
        if let Some((now, then)) = self.columns.renamed().first_key_value() {
            let (table, now, then) = (self.table.qualified(), ident(now), ident(then));
            return Ok(Err(format!(
                "column {now} of {table} was called {then} when the index was dropped; it can come back once \
                 ALTER TABLE {table} RENAME COLUMN {now} TO {then} has given the column its name back"
            )));
        }
        check::way_is_free(runner, self.table.oid, Work::CreateIndex).await
    }

    pub(super) async fn look(
        &mut self,
        runner: &Runner<'_>,
        view: View,
    ) -> Result<Seen, ApplyError> {
        let now = match self.find(runner).await? {
            Named::Absent => {
                let found = match check::absent(runner, &self.table).await? {
                    Found::TableGone => self.without_table(runner).await?,
                    found => found,
                };
                return Ok(Seen::nothing(found));
            }
            Named::Index(now) => Some(now),
            Named::Other => None,
        };
        let (full, index) = (self.full(), &self.index);
        let is = |now: &IndexState| {
            now.table == self.table.oid
                && now.name == index.name
                && IndexShape::of(&now.definition)
                    .is_ok_and(|now| self.shape.is_same_elsewhere(&now))
        };
        let same = now.as_ref().filter(|now| is(now));
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
        Ok(Seen { found, index: now.map(Into::into) })
    }

    /// Tells a table that is gone from one that was made anew.
    async fn without_table(&self, runner: &Runner<'_>) -> Result<Found, ApplyError> {
        let look = ApplyError::while_doing("look whether the table was made anew");
        let (schema, name) = (&self.table.schema, &self.table.name);
        let named = catalog::named(&runner.session, schema, name).await.map_err(look)?;
        Ok(match named {
            Named::Absent => Found::TableGone,
            _ => Found::Other(format!(
                "{} was made anew since, perhaps from a dump, so nobody knows whether {} is wanted on it; to have it: {}",
                self.table.qualified(),
                self.full(),
                self.index.definition
            )),
        })
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
