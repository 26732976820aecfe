//! What guards look at of an index on a partitioned table: of the whole, and of each partition.

use rules::change_plan::TableRef;
use rules::guards::{PlannedIndex, TableFacts, Target, Work};
use rules::index::IndexDefinition;
use rules::partitions::Part;

use super::index::{Expected, planned};
use super::table::{Found, table};
use crate::postgres::{PgError, Session};

/// A partitioned table with its partitions.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The table itself, with the sums of its leaves, and the index as a whole.
    whole: (TableFacts, PlannedIndex),
    /// Each leaf and its index.
    leaves: Vec<(TableFacts, PlannedIndex)>,
    /// Partitions that are partitioned themselves.
    between: Vec<TableFacts>,
}

impl Tree {
    /// What is to be done to the table as a whole.
    pub(crate) fn whole(&self) -> Target<'_> {
        Target { work: Work::AttachIndexes, table: &self.whole.0, index: Some(&self.whole.1) }
    }

    /// With these transactions in its way.
    pub(crate) fn held_up_by(&mut self, blockers: Vec<rules::guards::Blocker>) {
        self.whole.0.blockers = blockers;
    }

    /// What is to be done to each partition.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Target<'_>> {
        let leaves = self.leaves.iter().map(|(table, index)| Target {
            work: Work::CreateIndex,
            table,
            index: Some(index),
        });
        let between = self.between.iter().map(|table| Target {
            work: Work::AttachIndexes,
            table,
            index: None,
        });
        leaves.chain(between)
    }
}

/// Reads what guards look at of a partitioned table, but for the transactions in the way; the reason where a table is
/// not the planned one any more.
pub(crate) async fn tree(
    session: &Session,
    root: &TableRef,
    definition: &IndexDefinition,
    parts: &[Part],
    expected: &Expected,
) -> Result<Result<Tree, String>, PgError> {
    let mut whole = match table(session, root, Work::AttachIndexes).await? {
        Found::Table(table) => table,
        Found::Refused(reason) => return Ok(Err(reason)),
    };
    let (mut tables, mut between) = (Vec::new(), Vec::new());
    for part in parts {
        let work = if part.partitioned { Work::AttachIndexes } else { Work::CreateIndex };
        match table(session, &part.table, work).await? {
            Found::Refused(reason) => return Ok(Err(reason)),
            Found::Table(table) if part.partitioned => between.push(table),
            Found::Table(table) => {
                whole.bytes += table.bytes;
                whole.updated += table.updated;
                whole.hot_updated += table.hot_updated;
                tables.push((table, definition.on(&part.table)));
            }
        }
    }
    let index = planned(session, &whole, definition, expected).await?;
    let mut leaves = Vec::with_capacity(tables.len());
    for (table, definition) in tables {
        let expected = expected.share(table.bytes, whole.bytes);
        let index = planned(session, &table, &definition, &expected).await?;
        leaves.push((table, index));
    }
    Ok(Ok(Tree { whole: (whole, index), leaves, between }))
}
