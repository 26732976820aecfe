//! Which indexes the planner sees: those that count as valid.
//!
//! The planner passes over an index whose `indisvalid` is false (`get_relation_info`, plancat.c), and a change of that
//! row tells every session to read it again.

use std::collections::{BTreeMap, BTreeSet};

use rules::snapshot::Snapshot;

use super::{Database, TwinError};
use crate::postgres::{PgError, Prepared, Session};

/// The state of all indexes of one database.
#[derive(Debug)]
pub(super) struct Switches {
    turn: Prepared,
    /// Indexes of the source by schema and name; those that count as valid there.
    existing: BTreeMap<(String, String), u32>,
    /// Indexes on trial that are seen.
    on: BTreeSet<u32>,
    /// Indexes of the source that are not.
    off: BTreeSet<u32>,
}

impl Switches {
    pub(super) async fn new(trusted: &Session) -> Result<Self, TwinError> {
        let sql = "UPDATE pg_catalog.pg_index SET indisvalid = NOT indisvalid \
                   WHERE indexrelid = ANY($1::pg_catalog.oid[])";
        let turn = trusted.prepare(sql, &[]).await.map_err(TwinError::doing("switch indexes"))?;
        let (on, off) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { turn, existing: BTreeMap::new(), on, off })
    }
}

impl Database {
    /// Learns which indexes there are, and hides those that the source's planner does not see.
    pub(super) async fn learn_indexes(&mut self, snapshot: &Snapshot) -> Result<(), TwinError> {
        let failed = TwinError::doing("list its indexes");
        let sql = "SELECT n.nspname::text, c.relname::text, c.oid FROM pg_catalog.pg_index AS x \
                   JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid \
                   JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                   WHERE x.indisvalid AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";
        for row in self.trusted.query(sql, &[]).await.map_err(&failed)? {
            let place = (
                row.try_get(0).map_err(PgError::from).map_err(&failed)?,
                row.try_get(1).map_err(PgError::from).map_err(&failed)?,
            );
            let oid = row.try_get(2).map_err(PgError::from).map_err(&failed)?;
            self.switches.existing.insert(place, oid);
        }
        let mut invalid = BTreeSet::new();
        for index in snapshot.tables.iter().flat_map(|table| &table.indexes) {
            if !index.valid {
                let place = (index.schema.clone(), index.name.clone());
                invalid.extend(self.switches.existing.remove(&place));
            }
        }
        self.turn(&invalid).await
    }

    /// Makes the planner see exactly these indexes on trial, and all of the source's but those; tells whether
    /// anything changed. Sessions see it from their next transaction on.
    pub(crate) async fn switch(
        &mut self,
        on: &BTreeSet<String>,
        off: &BTreeSet<(String, String)>,
    ) -> Result<bool, TwinError> {
        let on: BTreeSet<u32> =
            on.iter().filter_map(|name| self.trials.get(name).copied()).collect();
        let existing = &self.switches.existing;
        let off: BTreeSet<u32> =
            off.iter().filter_map(|place| existing.get(place).copied()).collect();
        let changed: BTreeSet<u32> = self
            .switches
            .on
            .symmetric_difference(&on)
            .chain(self.switches.off.symmetric_difference(&off))
            .copied()
            .collect();
        self.turn(&changed).await?;
        (self.switches.on, self.switches.off) = (on, off);
        Ok(!changed.is_empty())
    }

    async fn turn(&self, indexes: &BTreeSet<u32>) -> Result<(), TwinError> {
        if indexes.is_empty() {
            return Ok(());
        }
        let oids: Vec<String> = indexes.iter().map(u32::to_string).collect();
        let list = Some(format!("{{{}}}", oids.join(",")));
        let turned = self.trusted.query_text(&self.switches.turn, &[list]).await;
        turned.map(|_| ()).map_err(TwinError::doing("switch indexes"))
    }
}
