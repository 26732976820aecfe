//! The columns that an index or statistics are of, under whatever names: people rename columns, and what is on them
//! stays what it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::journal::Entry;
use crate::postgres::{PgError, Session};

/// Columns of a table by number, with the names that they had when a row of the journal was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    then: BTreeMap<i16, String>,
    /// Today's name -> the one of then, where they differ.
    renamed: BTreeMap<String, String>,
}

impl Columns {
    /// Reads the numbers of columns from the catalog.
    pub(super) async fn read(
        session: &Session,
        table: u32,
        names: &BTreeSet<String>,
    ) -> Result<Self, PgError> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let sql = "SELECT a.attnum, a.attname::text FROM pg_catalog.pg_attribute a \
                   WHERE a.attrelid = $1 AND a.attname::text = ANY ($2) AND a.attnum > 0 AND NOT a.attisdropped";
        let mut then = BTreeMap::new();
        for row in session.query(sql, &[&table, &names]).await? {
            then.insert(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(Self { then, renamed: BTreeMap::new() })
    }

    /// Out of a row of the journal; none where it was written before columns were.
    pub(super) fn of_entry(entry: &Entry) -> Self {
        let then = entry.before.get("columns").cloned().unwrap_or_default();
        Self { then: serde_json::from_value(then).unwrap_or_default(), renamed: BTreeMap::new() }
    }

    /// For a row of the journal.
    pub(super) fn to_json(&self) -> Value {
        json!(self.then)
    }

    /// Asks the catalog what they are called now.
    pub(super) async fn follow(&mut self, session: &Session, table: u32) -> Result<(), PgError> {
        if self.then.is_empty() {
            return Ok(());
        }
        let numbers: Vec<i16> = self.then.keys().copied().collect();
        let sql = "SELECT a.attnum, a.attname::text FROM pg_catalog.pg_attribute a \
                   WHERE a.attrelid = $1 AND a.attnum = ANY ($2) AND NOT a.attisdropped";
        self.renamed.clear();
        for row in session.query(sql, &[&table, &numbers]).await? {
            let (number, now): (i16, String) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(then) = self.then.get(&number).filter(|then| **then != now) {
                self.renamed.insert(now, then.clone());
            }
        }
        Ok(())
    }

    /// Today's name -> the one of then, of those that people have renamed.
    pub(super) fn renamed(&self) -> &BTreeMap<String, String> {
        &self.renamed
    }
}
