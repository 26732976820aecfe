//! A snapshot without the values of its database, with which the planner still plans (nearly) the same.
//!
//! Every value in the statistics and every literal in the statements is replaced by a made-up one: equal ones by
//! equal ones in every column of the same class of types, and so that their order stays. How texts sort only the
//! server knows, so [`Redaction::new`] says what to [`Order`], and [`Redaction::apply`] takes the answer. No key, no
//! hash and no table of what was replaced by what remains.
//!
//! Names of relations, columns, roles and settings stay, and so does what the schema says: constants in index
//! predicates, expressions, CHECK constraints, partition bounds and views, labels of enums, booleans. Where a value
//! of the statistics is such a constant it stays itself: else a partial index or a partition would no longer fit.

mod class;
mod collect;
mod container;
mod line;
mod pattern;
mod ranked;
mod replace;
mod scalar;
mod schema;
mod statements;
mod statistics;
mod text;
mod visit;

use std::collections::{BTreeMap, BTreeSet};

use class::Sorting;
use collect::Collected;
use replace::Replacer;

use crate::snapshot::Snapshot;

/// Schema, relation and column; the relation may be an index with an expression.
pub type ColumnKey = (String, String, String);

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueType {
    /// `pg_type.typname`, domains resolved, e.g. `int4`, `_text`.
    pub name: String,
    /// `pg_type.typtype`, e.g. `b` base, `e` enum.
    pub kind: char,
    /// The collation as SQL writes it; `default` or `None` for the database's own.
    pub collation: Option<String>,
    /// `atttypmod`, -1 for none.
    pub modifier: i32,
}

/// What a snapshot does not say of the types of its statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Names of the enum types.
    pub enums: BTreeSet<String>,
    /// Types of the indexed expressions, and of columns of tables that the snapshot does not list.
    pub columns: BTreeMap<ColumnKey, ValueType>,
    /// Types of the values of extended statistics, by schema and name: of its columns in order of their numbers,
    /// then of its expressions. The expressions' are the last ones.
    pub extended: BTreeMap<(String, String), Vec<ValueType>>,
}

/// Texts whose order the server must tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The collation as SQL writes it; `None` for the database's own.
    pub collation: Option<String>,
    /// Whether case counts for nothing (`citext`).
    pub case_blind: bool,
    /// The texts, each once.
    pub texts: Vec<String>,
}

/// The replacing of the values of one snapshot.
#[derive(Clone, Debug)]
pub struct Redaction {
    facts: Facts,
    collected: Collected,
    sortings: Vec<Sorting>,
}

impl Redaction {
    /// Collects the values of a snapshot.
    pub fn new(snapshot: &Snapshot, facts: Facts) -> Self {
        let mut collected = Collected::new(snapshot);
        visit::snapshot(&mut snapshot.clone(), &facts, &mut collected);
        let sortings = collected.texts.keys().cloned().collect();
        Self { facts, collected, sortings }
    }

    /// The texts whose places [`Redaction::apply`] needs.
    pub fn orders(&self) -> Vec<Order> {
        let order = |sorting: &Sorting| Order {
            collation: sorting.collation.clone(),
            case_blind: sorting.case_blind,
            texts: self.collected.texts[sorting].iter().cloned().collect(),
        };
        self.sortings.iter().map(order).collect()
    }

    /// Replaces the values. `places` has a list for each [`Order`]: of each of its texts the place in the server's
    /// order, equal for equal texts. Where a list is missing or too short, texts are taken to sort by their bytes.
    ///
    /// The snapshot's notes say what was done and what it costs. Returned are the replacements of each [`Order`]'s
    /// texts in the originals' order: a server that sorts them otherwise shows that some of them stand wrong.
    pub fn apply(self, snapshot: &mut Snapshot, places: &[Vec<u32>]) -> Vec<Order> {
        let mut replacer = Replacer::new(self.collected, &self.sortings, places);
        visit::snapshot(snapshot, &self.facts, &mut replacer);
        schema::clean(snapshot);
        snapshot.intake.notes.extend(replacer.notes());
        replacer.replaced(&self.sortings, places)
    }
}

#[cfg(test)]
mod tests;
