//! `CREATE STATISTICS`, the ANALYZE without which they tell nothing, and the undo, which the planner feels at once.

use std::collections::BTreeSet;

use rules::change_plan::{Operation, TableRef};
use rules::guards::Work;
use rules::protocol::Found;
use rules::quote::{ident, qualified};
use rules::statement::guard::{Permitted, Purpose};
use rules::statement::statistics_shape::statistics;
use rules::statistics::StatisticsDefinition;
use serde_json::json;

use super::ApplyError;
use super::catalog::{self, StatisticsState};
use super::check::{self, Checked};
use super::columns::Columns;
use super::create_index::{changed, removed_before, renamed};
use super::runner::Runner;
use super::send::Order;
use super::subject::{Object, Outset, Ready, Seen, View};
use crate::journal::{self, Entry, INDEX_PREFIX};

/// Statistics that are to be made, or that we made.
#[derive(Clone, Debug)]
pub(super) struct CreateStatistics {
    table: TableRef,
    /// Theirs: they do not move with the table.
    schema: String,
    name: String,
    definition: StatisticsDefinition,
    /// Their oid, once they were made.
    oid: Option<u32>,
    columns: Columns,
    /// Size of the table when it was last looked at.
    bytes: u64,
}

impl CreateStatistics {
    pub(super) fn new(table: TableRef, name: &str, definition: &StatisticsDefinition) -> Self {
        let (name, definition) = (name.to_owned(), definition.clone());
        let (schema, columns) = (table.schema.clone(), Columns::default());
        Self { table, schema, name, definition, oid: None, columns, bytes: 0 }
    }

    /// Out of a row, if its columns tell the same of the statistics.
    pub(super) fn of_entry(
        entry: &Entry,
        name: &str,
        definition: &StatisticsDefinition,
    ) -> Checked<Self> {
        let agree = entry.index_name.as_deref() == Some(name)
            && name.starts_with(INDEX_PREFIX)
            && name.ends_with(entry.action_id())
            && definition.schema == entry.table.schema
            && definition.table == entry.table.name;
        if !agree {
            return Err("the row in the journal contradicts itself; somebody changed it".to_owned());
        }
        let (oid, columns) = (entry.index_oid, Columns::of_entry(entry));
        Ok(Self { oid, columns, ..Self::new(entry.table.clone(), name, definition) })
    }

    fn full(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    /// Whether statistics of the catalog are of what was planned.
    fn is(&self, found: &StatisticsState) -> bool {
        let (planned, renamed) = (&self.definition, self.columns.renamed());
        let then = |now: &String| renamed.get(now).unwrap_or(now).clone();
        found.table == self.table.oid
            && statistics(&found.definition).is_ok_and(|(_, _, printed)| {
                let columns: BTreeSet<String> = printed.columns.iter().map(then).collect();
                (&columns, &printed.kinds) == (&planned.columns, &planned.kinds)
            })
    }

    /// Looks them up; where their table or a column was renamed, that is followed.
    async fn find(&mut self, runner: &Runner<'_>) -> Result<Option<StatisticsState>, ApplyError> {
        let look = ApplyError::while_doing("look for the statistics");
        let name = (self.schema.as_str(), self.name.as_str());
        let found = catalog::statistics_found(&runner.session, self.oid, name).await;
        let found = found.map_err(look)?;
        if let Some(found) = &found
            && found.table == self.table.oid
        {
            (self.table.schema, self.table.name) = found.relation.clone();
            let look = ApplyError::while_doing("look at the columns of the statistics");
            self.columns.follow(&runner.session, self.table.oid).await.map_err(look)?;
        }
        Ok(found)
    }

    pub(super) async fn premises(
        &mut self,
        runner: &Runner<'_>,
        key: &str,
    ) -> Result<Outset, ApplyError> {
        match check::table(runner, &self.table, Work::CreateStatistics).await? {
            Ok(table) => self.bytes = table.bytes,
            Err(reason) => return Ok(Outset::Refused(reason)),
        }
        let full = self.full();
        match self.find(runner).await? {
            Some(found) if self.is(&found) => return Ok(Outset::AlreadyThere(full)),
            Some(found) => {
                return Ok(Outset::Refused(format!(
                    "the name {full} is taken by other statistics: {}",
                    found.definition
                )));
            }
            None => {}
        }
        if let Some(entry) = journal::open(&runner.session, key, self.table.oid).await? {
            return Ok(Outset::Refused(removed_before(entry.id)));
        }
        let look = ApplyError::while_doing("look for equal statistics");
        let others = catalog::statistics_of(&runner.session, self.table.oid).await.map_err(look)?;
        if let Some(equal) = others.iter().find(|found| self.is(found)) {
            return Ok(Outset::AlreadyThere(equal.definition.clone()));
        }
        let way = check::way_is_free(runner, self.table.oid, Work::CreateStatistics).await?;
        if let Err(reason) = way {
            return Ok(Outset::Refused(reason));
        }
        let look = ApplyError::while_doing("look at the columns of the statistics");
        let read = Columns::read(&runner.session, self.table.oid, &self.definition.columns).await;
        self.columns = read.map_err(look)?;
        let (name, definition) = (self.name.clone(), self.definition.clone());
        Ok(Outset::Ready(Box::new(Ready {
            index: (Some(self.name.clone()), None, None),
            before: json!({"columns": self.columns.to_json()}),
            operation: Operation::CreateStatistics { name, definition },
            frees: None,
        })))
    }

    pub(super) async fn way_back(
        &mut self,
        runner: &Runner<'_>,
    ) -> Result<Checked<()>, ApplyError> {
        self.find(runner).await?;
        if let Err(reason) = check::table(runner, &self.table, Work::DropStatistics).await? {
            return Ok(Err(reason));
        }
        check::way_is_free(runner, self.table.oid, Work::DropStatistics).await
    }

    pub(super) async fn look(
        &mut self,
        runner: &Runner<'_>,
        view: View,
    ) -> Result<Seen, ApplyError> {
        let (full, back) = (self.full(), matches!(view, View::Back { .. }));
        let Some(now) = self.find(runner).await? else {
            return Ok(Seen::nothing(check::absent(runner, &self.table).await?));
        };
        let found = if now.table == self.table.oid && now.name != self.name {
            Found::Other(renamed("STATISTICS", &full, &now.schema, &now.name, &self.name))
        } else if !self.is(&now) {
            Found::Other(changed(&full, &now.definition))
        } else if now.schema != self.schema {
            Found::Other(format!(
                "{full} is in schema {} by now, so it is not touched; ALTER STATISTICS {} SET SCHEMA {} moves it back, \
                 or drop it, and then `pgwright rollback` closes its row",
                now.schema,
                qualified(&now.schema, &now.name),
                ident(&self.schema)
            ))
        } else if let Some(marked) = now.marked.as_ref().filter(|_| back) {
            Found::Busy(format!("{full} meanwhile has {marked}; take that away first"))
        } else {
            Found::Whole { complete: now.filled }
        };
        let object = Object { oid: now.oid, definition: now.definition, bytes: 0 };
        Ok(Seen { found, index: Some(Box::new(object)) })
    }

    pub(super) fn create(&self, runner: &Runner<'_>) -> Order {
        Order {
            sql: self.definition.create(&self.name),
            meant: Permitted::CreateStatistics {
                schema: self.schema.clone(),
                name: self.name.clone(),
                definition: self.definition.clone(),
            },
            purpose: Purpose::Change,
            limit: runner.options.time_for(0),
            stoppable: true,
        }
    }

    /// Has them filled.
    pub(super) fn fill(&self, runner: &Runner<'_>) -> Order {
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

    pub(super) fn remove(&self, runner: &Runner<'_>) -> Order {
        Order {
            sql: format!("DROP STATISTICS {}", self.full()),
            meant: Permitted::DropStatistics {
                schema: self.schema.clone(),
                name: self.name.clone(),
            },
            purpose: Purpose::Change,
            limit: runner.options.time_for(0),
            stoppable: false,
        }
    }
}
