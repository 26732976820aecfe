//! Indexes of partitioned tables: as one action of ours (`parts`, `step`), and, where that cannot be, what a person
//! runs by hand without keeping writers out, and to undo that.
//!
//! `CREATE INDEX CONCURRENTLY` takes no partitioned table. The way of PostgreSQL's documentation (section
//! "Partition Maintenance" of table partitioning): an index on the parent alone, one built concurrently on each
//! partition, and each of them attached; with the last one the parent's becomes valid.

mod parts;
mod step;

use std::collections::BTreeSet;

use crate::change_plan::{ByHand, TableRef, action_key, index_name, recreate, remake};
use crate::index::IndexDefinition;
use crate::quote::{ident, qualified};
use crate::snapshot::{Index, Snapshot, Table, TableKind};
use crate::statement::index_shape::IndexShape;

pub use parts::{Branch, PARTS_MAX, Part, attaching, in_the_way, plan, sound, statements};
pub use step::{Next, Sight, Stands};

/// How to make an index with this name on a partitioned table and all its partitions, and how to undo it. What
/// is there already, as after an interrupted run of the same statements, is used and not made again.
pub fn create(
    snapshot: &Snapshot,
    table: &Table,
    name: &str,
    definition: &IndexDefinition,
) -> ByHand {
    let mut recipe = Recipe {
        snapshot,
        definition,
        taken: taken(snapshot),
        statements: Vec::new(),
        made: Vec::new(),
        again: Vec::new(),
    };
    // A foreign table can have no index, so the parent's could never become valid; the leaves' do without.
    if leaves(snapshot, table).iter().any(|leaf| leaf.kind == TableKind::Foreign) {
        for leaf in leaves(snapshot, table) {
            if leaf.kind != TableKind::Foreign && recipe.existing(leaf, None).is_none() {
                recipe.make(leaf, None);
            }
        }
        let undo = recipe.made.iter().rev().map(|full| format!("DROP INDEX CONCURRENTLY {full}"));
        return ByHand { undo: undo.collect(), statements: recipe.statements };
    }
    let root = recipe.whole(table, Some(name), None);
    let mut undo = vec![format!("DROP INDEX {}", root.full)];
    undo.append(&mut recipe.again);
    ByHand { statements: recipe.statements, undo }
}

/// How to drop an index of a partitioned table with all that is attached to it, and how to undo it.
pub fn drop(snapshot: &Snapshot, index: &Index) -> ByHand {
    let statements = vec![format!("DROP INDEX {}", qualified(&index.schema, &index.name))];
    ByHand { statements, undo: restore(snapshot, index) }
}

/// The statements that make an index again with all that is attached to it.
fn restore(snapshot: &Snapshot, index: &Index) -> Vec<String> {
    let of_partitioned = |table: &Table| {
        table.kind == TableKind::Partitioned && table.indexes.iter().any(|own| own.oid == index.oid)
    };
    if !snapshot.tables.iter().any(of_partitioned) {
        return recreate(index);
    }
    let mut statements = remake(index, false);
    let all = snapshot.tables.iter().flat_map(|table| &table.indexes);
    let mut attached: Vec<&Index> =
        all.filter(|other| other.partition_of == Some(index.oid)).collect();
    attached.sort_by_key(|other| (&other.schema, &other.name));
    for other in attached {
        statements.extend(restore(snapshot, other));
        statements.push(attach(
            &qualified(&index.schema, &index.name),
            &qualified(&other.schema, &other.name),
        ));
    }
    statements
}

fn attach(parent: &str, partition: &str) -> String {
    format!("ALTER INDEX {parent} ATTACH PARTITION {partition}")
}

/// Every name of a schema that a new index could meet, as far as the snapshot knows.
fn taken(snapshot: &Snapshot) -> BTreeSet<(String, String)> {
    let mut taken = BTreeSet::new();
    for table in &snapshot.tables {
        taken.insert((table.schema.clone(), table.name.clone()));
        for index in &table.indexes {
            taken.insert((index.schema.clone(), index.name.clone()));
        }
    }
    taken
}

/// The direct partitions of a table, by name.
fn partitions<'a>(snapshot: &'a Snapshot, table: &Table) -> Vec<&'a Table> {
    let mut found: Vec<&Table> =
        snapshot.tables.iter().filter(|other| other.partition_of == Some(table.oid)).collect();
    found.sort_by_key(|other| (&other.schema, &other.name));
    found
}

/// The partitions that hold rows, however deep.
fn leaves<'a>(snapshot: &'a Snapshot, table: &Table) -> Vec<&'a Table> {
    let below = |child: &'a Table| match child.kind {
        TableKind::Partitioned => leaves(snapshot, child),
        _ => vec![child],
    };
    partitions(snapshot, table).into_iter().flat_map(below).collect()
}

struct Recipe<'a> {
    snapshot: &'a Snapshot,
    definition: &'a IndexDefinition,
    taken: BTreeSet<(String, String)>,
    statements: Vec<String>,
    /// The indexes that the statements make.
    made: Vec<String>,
    /// What makes those again that were there before and would go with the parent's.
    again: Vec<String>,
}

/// An index on one table of the tree.
struct Placed {
    /// Its name with schema, quoted.
    full: String,
    /// Whether it is attached already.
    attached: bool,
}

impl<'a> Recipe<'a> {
    /// The index on a table and everything below it. `above` is the oid of the index to attach it to, where that
    /// one is there already.
    fn whole(&mut self, table: &'a Table, name: Option<&str>, above: Option<u32>) -> Placed {
        let existing = self.existing(table, above);
        let full = match existing {
            Some(index) => {
                // What is not valid is the rest of an interrupted run, and worth nothing by itself.
                if name.is_none() && index.valid {
                    self.again.extend(restore(self.snapshot, index));
                }
                qualified(&index.schema, &index.name)
            }
            None => self.make(table, name),
        };
        let attached = existing.is_some_and(|index| index.partition_of.is_some());
        if table.kind == TableKind::Partitioned && !existing.is_some_and(|index| index.valid) {
            for partition in partitions(self.snapshot, table) {
                let placed = self.whole(partition, None, existing.map(|index| index.oid));
                if !placed.attached {
                    self.statements.push(attach(&full, &placed.full));
                }
            }
        }
        Placed { full, attached }
    }

    /// The statement that makes the index on one table alone; its name with schema.
    fn make(&mut self, table: &Table, name: Option<&str>) -> String {
        let definition = self.definition_on(table);
        let name = self.free_name(table, &definition, name);
        let sql = if table.kind == TableKind::Partitioned {
            let (name, full) = (ident(&name), qualified(&table.schema, &table.name));
            format!("CREATE INDEX {name} ON ONLY {full} {}", definition.body())
        } else {
            definition.create(&name)
        };
        self.statements.push(sql);
        let full = qualified(&table.schema, &name);
        self.made.push(full.clone());
        self.taken.insert((table.schema.clone(), name));
        full
    }

    fn definition_on(&self, table: &Table) -> IndexDefinition {
        IndexDefinition {
            schema: table.schema.clone(),
            table: table.name.clone(),
            ..self.definition.clone()
        }
    }

    /// The name wished for where it is free, else one by the rule of all names, of which the key's next digits
    /// are taken until nothing else has it.
    fn free_name(
        &self,
        table: &Table,
        definition: &IndexDefinition,
        wished: Option<&str>,
    ) -> String {
        let free = |name: &String| !self.taken.contains(&(table.schema.clone(), name.clone()));
        let owner =
            TableRef { oid: table.oid, schema: table.schema.clone(), name: table.name.clone() };
        let key = action_key(&owner, &format!("create index {}", definition.canonical()));
        let by_rule = (0..=key.len() - 8).map(|from| index_name(definition, &key[from..]));
        wished
            .map(str::to_owned)
            .into_iter()
            .chain(by_rule)
            .find(free)
            .expect("nobody has made 57 indexes under the names of one")
    }

    /// An index of the table that is the wanted one: attached to the one above, or free to be attached. Whatever
    /// cannot be made again exactly is not drawn in, since it would go with the parent's.
    fn existing(&self, table: &'a Table, above: Option<u32>) -> Option<&'a Index> {
        let wanted = IndexShape::of(&self.definition_on(table).create("i")).ok()?;
        let on_leaf = table.kind != TableKind::Partitioned;
        let fits = |index: &&Index| {
            let place = match index.partition_of {
                Some(parent) => above == Some(parent),
                None => true,
            };
            let whole = index.live && (!on_leaf || (index.valid && index.ready));
            let plain = !index.unique
                && index.constraint.is_none()
                && !index.replica_identity
                && !index.clustered
                && !index.extension_dependent
                && index.required_by.is_empty();
            let printed = index.definition.replacen(" ON ONLY ", " ON ", usize::from(!on_leaf));
            place
                && whole
                && plain
                && IndexShape::of(&printed).is_ok_and(|shape| wanted.is_printed_as(&shape))
        };
        let mut found: Vec<&Index> = table.indexes.iter().filter(fits).collect();
        found.sort_by_key(|index| (index.partition_of.is_none(), !index.valid, index.oid));
        found.first().copied()
    }
}
