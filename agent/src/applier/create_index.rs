//! `CREATE INDEX CONCURRENTLY`, and its undo.

use rules::change_plan::{Operation, TableRef};
use rules::guards::Work;
use rules::index::IndexDefinition;
use rules::protocol::Found;
use rules::quote::{ident, qualified};
use rules::statement::guard::{Permitted, Purpose};
use rules::statement::index_shape::IndexShape;
use serde_json::json;

use super::ApplyError;
use super::catalog::{self, IndexState, Named};
use super::check::{self, Checked};
use super::columns::Columns;
use super::runner::Runner;
use super::send::Order;
use super::subject::{Outset, Ready, Seen, View};
use crate::guards::Expected;
use crate::journal::{self, Entry, INDEX_PREFIX};

/// An index that is to be made, or that we made.
#[derive(Clone, Debug)]
pub(super) struct CreateIndex {
    table: TableRef,
    name: String,
    definition: IndexDefinition,
    /// As the server printed it, and its oid, once it was made.
    recorded: Option<String>,
    oid: Option<u32>,
    columns: Columns,
    /// What the plan expects of it.
    expected: Expected,
    /// Size of the table when it was last looked at.
    bytes: u64,
}

impl CreateIndex {
    pub(super) fn new(table: TableRef, name: &str, definition: &IndexDefinition) -> Checked<Self> {
        IndexShape::of(&definition.create(name))?;
        let (name, definition) = (name.to_owned(), definition.clone());
        let (columns, expected) = (Columns::default(), Expected::default());
        Ok(Self { table, name, definition, recorded: None, oid: None, columns, expected, bytes: 0 })
    }

    /// With what the plan expects of it.
    pub(super) fn expecting(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }

    /// Out of a row, if its columns tell the same of the index.
    pub(super) fn of_entry(
        entry: &Entry,
        name: &str,
        definition: &IndexDefinition,
    ) -> Checked<Self> {
        let agree = entry.index_name.as_deref() == Some(name)
            && name.starts_with(INDEX_PREFIX)
            && name.ends_with(entry.action_id())
            && definition.schema == entry.table.schema
            && definition.table == entry.table.name;
        match Self::new(entry.table.clone(), name, definition) {
            Ok(create) if agree => {
                let (recorded, oid) = (entry.definition.clone(), entry.index_oid);
                Ok(Self { recorded, oid, columns: Columns::of_entry(entry), ..create })
            }
            _ => Err("the row in the journal contradicts itself; somebody changed it".to_owned()),
        }
    }

    fn full(&self) -> String {
        qualified(&self.table.schema, &self.name)
    }

    /// Whether an index of the catalog is the one that was planned, usable or not. A person may have renamed the
    /// table and its columns meanwhile.
    fn is(&self, index: &IndexState) -> bool {
        index.table == self.table.oid
            && self.definition.is_printed_under(&index.definition, self.columns.renamed())
    }

    /// Whether an index is as the server printed it once ours was made; its table and its columns may have other names
    /// since.
    fn is_as_recorded(&self, index: &IndexState) -> bool {
        let now = IndexShape::of(&index.definition);
        let now = now.map(|now| now.with_columns(self.columns.renamed()));
        self.recorded.as_ref().is_none_or(|recorded| {
            IndexShape::of(recorded)
                .is_ok_and(|recorded| now.as_ref().is_ok_and(|now| recorded.is_same_elsewhere(now)))
        })
    }

    /// Looks the index up; where its table was renamed or moved, or a column renamed, that is followed.
    async fn find(&mut self, runner: &Runner<'_>) -> Result<Named, ApplyError> {
        let look = ApplyError::while_doing("look for the index");
        let name = (self.table.schema.as_str(), self.name.as_str());
        let found = catalog::found(&runner.session, self.oid, self.table.oid, name);
        let found = found.await.map_err(look)?;
        if let Named::Index(index) = &found
            && index.table == self.table.oid
        {
            (self.table.schema, self.table.name) = index.relation.clone();
            let look = ApplyError::while_doing("look at the columns of the index");
            self.columns.follow(&runner.session, self.table.oid).await.map_err(look)?;
        }
        Ok(found)
    }

    pub(super) async fn premises(
        &mut self,
        runner: &Runner<'_>,
        key: &str,
    ) -> Result<Outset, ApplyError> {
        let table = match check::table(runner, &self.table, Work::CreateIndex).await? {
            Ok(table) => table,
            Err(reason) => return Ok(Outset::Refused(reason)),
        };
        self.bytes = table.bytes;
        if let Some(outset) = self.there_already(runner, key).await? {
            return Ok(outset);
        }
        // This run has just tried to remove it, and what kept it from that would meet the new build as well.
        if let Some(entry) = journal::remains(&runner.session, self.table.oid).await? {
            return Ok(Outset::Refused(format!(
                "what action {} left on {} could not be removed yet, and another build could end as it did; \
                 `pgwright log {}` says why",
                entry.id,
                self.table.qualified(),
                entry.id
            )));
        }
        let asked = check::new_index(runner, &table, &self.definition, &self.expected).await?;
        if let Err(reason) = asked {
            return Ok(Outset::Refused(reason));
        }
        if let Err(reason) = check::way_is_free(runner, self.table.oid, Work::CreateIndex).await? {
            return Ok(Outset::Refused(reason));
        }
        let shape = IndexShape::of(&self.definition.create(&self.name));
        let names = shape.map(|shape| shape.columns()).unwrap_or_default();
        let look = ApplyError::while_doing("look at the columns of the index");
        let read = Columns::read(&runner.session, self.table.oid, &names).await;
        self.columns = read.map_err(look)?;
        let (name, definition) = (self.name.clone(), self.definition.clone());
        Ok(Outset::Ready(Box::new(Ready {
            index: (Some(self.name.clone()), None, None),
            before: json!({"columns": self.columns.to_json()}),
            operation: Operation::CreateIndex { name, definition, parts: Vec::new() },
            frees: None,
        })))
    }

    /// Looks whether the name is free and no other index does the same.
    async fn there_already(
        &mut self,
        runner: &Runner<'_>,
        key: &str,
    ) -> Result<Option<Outset>, ApplyError> {
        let full = self.full();
        let refused = |reason: String| Ok(Some(Outset::Refused(reason)));
        match self.find(runner).await? {
            Named::Index(index) if self.is(&index) && index.usable => {
                return Ok(Some(Outset::AlreadyThere(full)));
            }
            Named::Index(index) if self.is(&index) => {
                let state = index
                    .builder
                    .map_or("unusable".to_owned(), |pid| format!("being built by process {pid}"));
                return refused(format!(
                    "{full} is there already, but {state}; drop it or let it finish, then try again"
                ));
            }
            Named::Index(index) => {
                return refused(format!(
                    "the name {full} is taken by another index: {}",
                    index.definition
                ));
            }
            Named::Other => return refused(format!("the name {full} is taken by something else")),
            Named::Absent => {}
        }
        if let Some(entry) = journal::open(&runner.session, key, self.table.oid).await? {
            return refused(removed_before(entry.id));
        }
        let look = ApplyError::while_doing("look for equal indexes");
        let others = catalog::indexes_of(&runner.session, self.table.oid).await.map_err(look)?;
        let equal = others.into_iter().find(|index| index.usable && self.is(index));
        Ok(equal.map(|index| Outset::AlreadyThere(qualified(&index.schema, &index.name))))
    }

    pub(super) async fn way_back(
        &mut self,
        runner: &Runner<'_>,
    ) -> Result<Checked<()>, ApplyError> {
        self.find(runner).await?;
        if let Err(reason) = check::table(runner, &self.table, Work::DropIndex).await? {
            return Ok(Err(reason));
        }
        check::way_is_free(runner, self.table.oid, Work::DropIndex).await
    }

    pub(super) async fn look(
        &mut self,
        runner: &Runner<'_>,
        view: View,
    ) -> Result<Seen, ApplyError> {
        let back = matches!(view, View::Back { .. });
        let found = self.find(runner).await?;
        let full = self.full();
        let index = match found {
            Named::Absent => return Ok(Seen::nothing(check::absent(runner, &self.table).await?)),
            Named::Other => {
                return Ok(Seen::nothing(Found::Other(format!("{full} is something else by now"))));
            }
            Named::Index(index) => index,
        };
        let found = if index.table != self.table.oid {
            Found::Other(elsewhere(&full))
        } else if index.name != self.name {
            Found::Other(renamed("INDEX", &full, &index.schema, &index.name, &self.name))
        } else if !self.is(&index) || back && !self.is_as_recorded(&index) {
            Found::Other(changed(&full, &index.definition))
        } else if let Some(reason) = in_use(&full, &index).filter(|_| back) {
            Found::Busy(reason)
        } else if index.usable {
            Found::Whole { complete: true }
        } else {
            Found::Half
        };
        Ok(Seen { found, index: Some(index.into()) })
    }

    pub(super) fn create(&self, runner: &Runner<'_>) -> Order {
        Order {
            sql: self.definition.create(&self.name),
            meant: Permitted::CreateIndex {
                name: self.name.clone(),
                schema: self.definition.schema.clone(),
                table: self.definition.table.clone(),
                tablespace: None,
            },
            purpose: Purpose::Change,
            limit: runner.options.time_for(self.bytes),
            stoppable: true,
        }
    }

    pub(super) fn remove(&self, runner: &Runner<'_>) -> Order {
        removal(runner, &self.table.schema, &self.name)
    }

    pub(super) fn left(&self, why: Option<&str>) -> String {
        let full = self.full();
        match why {
            Some(why) => {
                format!("the unusable index {full} is left and could not be dropped: {why}")
            }
            None => format!("the unusable index {full} is left"),
        }
    }
}

/// Says that a person gave what we made another name, and what leads on.
pub(super) fn renamed(kind: &str, full: &str, schema: &str, name: &str, ours: &str) -> String {
    let now = qualified(schema, name);
    format!(
        "{full} was renamed to {now}, so it is not touched; ALTER {kind} {now} RENAME TO {} gives it its name back, or \
         drop it, and then `pgwright rollback` closes its row",
        ident(ours)
    )
}

/// Says that what bears the name is on another table than ours was, and what leads on.
pub(super) fn elsewhere(full: &str) -> String {
    format!(
        "{full} is on another table than the one that pgwright made it on, which was made anew, perhaps from a dump; so it \
         is not touched: keep it, or drop it yourself"
    )
}

/// Says that what bears the name is not what we made, and what leads on.
pub(super) fn changed(full: &str, now: &str) -> String {
    format!(
        "{full} is no longer what pgwright made, so it is not touched; it is now: {now}; change it back, or drop or \
         rename it yourself, and then `pgwright rollback` closes its row"
    )
}

/// Says that a person removed what the journal says is in place, and what leads on.
pub(super) fn removed_before(id: i64) -> String {
    journal::removed_before(id)
}

/// Why an index must not be dropped, if there is a reason.
fn in_use(full: &str, index: &IndexState) -> Option<String> {
    if index.comment.is_some() {
        return Some(format!("{full} meanwhile has a comment; take that away first"));
    }
    if let Some(what) = &index.needed_for {
        return Some(format!("{full} meanwhile serves {what}; take that away first"));
    }
    index.builder.map(|pid| format!("process {pid} is building {full} anew; wait for it"))
}

/// `DROP INDEX CONCURRENTLY`.
pub(super) fn removal(runner: &Runner<'_>, schema: &str, name: &str) -> Order {
    Order {
        sql: format!("DROP INDEX CONCURRENTLY {}", qualified(schema, name)),
        meant: Permitted::DropIndex { schema: schema.to_owned(), name: name.to_owned() },
        purpose: Purpose::Change,
        limit: runner.options.time_for(0),
        stoppable: false,
    }
}
