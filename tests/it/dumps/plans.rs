//! Random change plans over a schema as the sampler saw it.

use std::collections::BTreeMap;

use rules::change_plan::{
    Action, ChangePlan, Impact, Operation, TableRef, action_key, index_name, statistics_name,
};
use rules::evidence::Confidence;
use rules::index::{IndexDefinition, Key, Term};
use rules::partitions::plan as plan_parts;
use rules::quote::ident;
use rules::reach::Reach;
use rules::snapshot::{Column, Index, Snapshot, Table, TableKind};
use rules::statistics::{StatisticsDefinition, StatisticsKind};

use super::random::Random;

/// A random plan. Of indexes that others equal most are to go; of the rest some, which the applier must not do.
pub(super) fn plan(random: &mut Random, snapshot: &Snapshot) -> ChangePlan {
    let mut actions: BTreeMap<String, Action> = BTreeMap::new();
    for table in &snapshot.tables {
        let mut operations = Vec::new();
        if random.chance(30) {
            operations.push(Operation::Analyze);
        }
        if random.chance(40) {
            operations.extend(statistics(random, table));
        }
        if table.kind != TableKind::Foreign {
            for _ in 0..random.below(3) {
                operations.extend(create(random, table, snapshot));
            }
        }
        if table.kind != TableKind::Partitioned {
            if random.chance(20) {
                operations.push(Operation::Vacuum);
            }
            for index in &table.indexes {
                let equal =
                    table.indexes.iter().any(|other| other.oid > index.oid && same(other, index));
                if random.chance(if equal { 75 } else { 8 }) {
                    operations.push(Operation::DropIndex { index: Box::new(unmarked(index)) });
                }
            }
        }
        for operation in operations {
            let action = action(table, operation);
            actions.insert(action.key.clone(), action);
        }
    }
    let mut actions: Vec<Action> = actions.into_values().collect();
    random.shuffle(&mut actions);
    ChangePlan { made_from: "test".into(), min_confidence: 0.9, actions }
}

/// Whether two indexes differ in nothing but name, tablespace and marks.
fn same(one: &Index, other: &Index) -> bool {
    (&one.method, &one.keys, &one.include, &one.predicate, &one.options)
        == (&other.method, &other.keys, &other.include, &other.predicate, &other.options)
}

/// As a plan would have it that does not know of marks: refusing is left to the applier.
fn unmarked(index: &Index) -> Index {
    Index {
        unique: false,
        primary: false,
        exclusion: false,
        replica_identity: false,
        clustered: false,
        extension_dependent: false,
        constraint: None,
        required_by: Vec::new(),
        ..index.clone()
    }
}

/// An index; none where that of a partitioned table is nothing to be done unattended.
fn create(random: &mut Random, table: &Table, snapshot: &Snapshot) -> Option<Operation> {
    let columns: Vec<&Column> = table.columns.iter().filter(|column| column.btree).collect();
    let column = *random.pick(&table.columns.iter().collect::<Vec<_>>());
    let mut definition = IndexDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        method: "btree".into(),
        keys: Vec::new(),
        include: Vec::new(),
        predicate: None,
    };
    if column.base_type == "jsonb" || column.base_type.starts_with('_') {
        definition.method = "gin".into();
        definition.keys = vec![Key::column(&column.name)];
    } else {
        for _ in 0..=random.below(2) {
            let column = *random.pick(&columns);
            let term = match column.base_type.as_str() {
                "text" if random.chance(40) => {
                    Term::Expression(format!("lower({})", ident(&column.name)))
                }
                _ => Term::Column(column.name.clone()),
            };
            let key = Key::ordered(term, random.chance(30), random.chance(30));
            if definition.keys.iter().all(|known| known.term != key.term) {
                definition.keys.push(key);
            }
        }
        if random.chance(30) {
            definition.include.push(column.name.clone());
        }
    }
    if random.chance(30) {
        definition.predicate = Some(format!("{} IS NOT NULL", ident(&column.name)));
    }
    let key = action_key(&reference(table), &definition.canonical());
    let name = index_name(&definition, &key);
    let parts = match table.kind {
        TableKind::Partitioned => plan_parts(snapshot, table, &key, &definition).ok()?,
        _ => Vec::new(),
    };
    Some(Operation::CreateIndex { name, definition, parts })
}

/// Statistics of two or more columns; none where there are not so many.
fn statistics(random: &mut Random, table: &Table) -> Option<Operation> {
    let columns = table.columns.iter().filter(|column| column.btree);
    let mut columns: Vec<String> = columns.map(|column| column.name.clone()).collect();
    random.shuffle(&mut columns);
    columns.truncate(2 + random.below(3));
    let mut kinds = StatisticsKind::ALL.to_vec();
    random.shuffle(&mut kinds);
    kinds.truncate(1 + random.below(3));
    let definition = StatisticsDefinition {
        schema: table.schema.clone(),
        table: table.name.clone(),
        columns: columns.into_iter().collect(),
        kinds: kinds.into_iter().collect(),
    };
    let name =
        statistics_name(&definition, &action_key(&reference(table), &definition.canonical()));
    let enough = definition.columns.len() > 1;
    enough.then_some(Operation::CreateStatistics { name, definition })
}

fn reference(table: &Table) -> TableRef {
    TableRef { oid: table.oid, schema: table.schema.clone(), name: table.name.clone() }
}

fn action(table: &Table, operation: Operation) -> Action {
    let table = reference(table);
    let text = match &operation {
        Operation::CreateIndex { definition, .. } => definition.canonical(),
        Operation::DropIndex { index } => format!("{} {}", index.name, index.definition),
        Operation::Analyze => "analyze".to_owned(),
        Operation::CreateStatistics { definition, .. } => definition.canonical(),
        Operation::Vacuum => "vacuum".to_owned(),
    };
    Action {
        key: action_key(&table, &text),
        rule: "test".into(),
        table,
        operation,
        reach: Reach::Act,
        confidence: Confidence { value: 0.95, terms: Vec::new() },
        impact: Impact::default(),
        helps: Vec::new(),
        by_hand: None,
    }
}
