//! The frozen plan: what its own check finds wrong, names, undo.

use proptest::prelude::*;
use rules::change_plan::{
    Action, ChangePlan, Impact, Operation, TableRef, action_key, index_name, lint, recreate,
};
use rules::evidence::confidence;
use rules::index::{IndexDefinition, Key, Term};
use rules::reach::Reach;
use rules::snapshot::Index;
use rules::testing::snapshot;

fn table(schema: &str, name: &str) -> TableRef {
    TableRef { oid: 1, schema: schema.to_owned(), name: name.to_owned() }
}

fn action(table: TableRef, operation: Operation, key: String) -> Action {
    Action {
        key,
        rule: "x".to_owned(),
        table,
        operation,
        reach: Reach::Act,
        confidence: confidence(&[]),
        impact: Impact::default(),
        helps: vec![],
        by_hand: None,
    }
}

fn create(schema: &str, name: &str, keys: Vec<Key>) -> Action {
    let table = table(schema, name);
    let definition = IndexDefinition {
        schema: schema.to_owned(),
        table: name.to_owned(),
        method: "btree".to_owned(),
        keys,
        include: vec![],
        predicate: None,
    };
    let key = action_key(&table, &format!("create index {}", definition.canonical()));
    let name = index_name(&definition, &key);
    action(table, Operation::CreateIndex { name, definition, parts: Vec::new() }, key)
}

fn existing() -> Index {
    let mut snapshot = snapshot(
        "t(id int8 pk, a int8) 1000
         index t_a on t(a)",
    );
    snapshot.tables[0].indexes.remove(1)
}

fn drop(index: Index) -> Action {
    let key = action_key(&table("public", "t"), &format!("drop index {}", index.name));
    action(table("public", "t"), Operation::DropIndex { index: Box::new(index) }, key)
}

fn analyze() -> Action {
    let key = action_key(&table("public", "t"), "analyze");
    action(table("public", "t"), Operation::Analyze, key)
}

fn faults(actions: Vec<Action>) -> Vec<String> {
    lint(&ChangePlan { made_from: String::new(), min_confidence: 0.9, actions })
}

/// Asserts that there is one fault, and that it says this.
fn finds(action: Action, words: &str) {
    let found = faults(vec![action]);
    assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
}

#[test]
fn a_sound_plan_has_no_fault() {
    let keys =
        vec![Key::column("userId"), Key::ordered(Term::Column("at".to_owned()), true, false)];
    let sound = vec![create("public", "Behavior\"Log", keys), drop(existing()), analyze()];
    assert_eq!(faults(sound), Vec::<String>::new());
    assert_eq!(faults(vec![]), Vec::<String>::new());
}

fn renamed(name: &str) -> Action {
    let mut action = create("public", "t", vec![Key::column("a")]);
    if let Operation::CreateIndex { name: own, .. } = &mut action.operation {
        name.clone_into(own);
    }
    action
}

#[test]
fn a_name_that_could_be_cut_or_collide_is_a_fault() {
    let id = create("public", "t", vec![Key::column("a")]).id().to_owned();
    finds(renamed(&format!("{}_{id}", "x".repeat(60))), "could be cut or collide");
    finds(renamed("pgw_t_a"), "could be cut or collide");
    finds(renamed(&format!("größe_{id}")), "could be cut or collide");
    assert_eq!(faults(vec![renamed(&format!("pgw_{id}"))]), Vec::<String>::new());
}

#[test]
fn an_index_on_another_table_than_the_actions_is_a_fault() {
    for (schema, name) in [("public", "u"), ("other", "t")] {
        let mut action = create("public", "t", vec![Key::column("a")]);
        action.table = table(schema, name);
        finds(action, "name different tables");
    }
}

#[test]
fn a_statement_that_a_second_parser_refuses_is_a_fault() {
    let expression = |sql: &str| {
        create("public", "t", vec![Key::ordered(Term::Expression(sql.to_owned()), false, false)])
    };
    finds(expression("lower(email"), "a second parser refuses");
    finds(expression("a); DROP TABLE t; --"), "a second parser refuses");
    assert_eq!(faults(vec![expression("lower(email)")]), Vec::<String>::new());
}

#[test]
fn dropping_by_itself_what_is_more_than_an_index_is_a_fault() {
    let marks: [fn(&mut Index); 8] = [
        |i| i.unique = true,
        |i| i.primary = true,
        |i| i.exclusion = true,
        |i| i.replica_identity = true,
        |i| i.clustered = true,
        |i| i.extension_dependent = true,
        |i| i.constraint = Some("c".to_owned()),
        |i| i.required_by = vec!["x".to_owned()],
    ];
    for mark in marks {
        let mut index = existing();
        mark(&mut index);
        finds(drop(index.clone()), "drops t_a, which is more than an index");
        let mut shown = drop(index);
        shown.reach = Reach::Advise;
        assert_eq!(faults(vec![shown]), Vec::<String>::new(), "a person may");
    }
}

#[test]
fn an_action_that_stands_twice_is_a_fault() {
    assert_eq!(faults(vec![analyze(), analyze()]), ["an action stands twice in the plan"]);
}

#[test]
fn the_second_parser_takes_what_the_rules_propose() {
    for expression in [
        "metadata ->> 'theme'",
        "(metadata -> 'ui') ->> 'it''s'",
        "metadata #>> '{a,b}'",
        "raw ->> E'back\\\\slash'",
        "lower(metadata ->> 'email')",
        "date_trunc('day', created)",
        "created::date",
        "age::int8",
        "COALESCE(email, '')",
        "array_length(tags, 1)",
        "(tags)[1]",
        "email COLLATE \"C\"",
        "deleted IS NULL",
        "extract('epoch', created)",
    ] {
        let key = Key::ordered(Term::Expression(expression.to_owned()), true, false);
        let found = faults(vec![create("public", "t", vec![key, Key::column("b")])]);
        assert_eq!(found, Vec::<String>::new(), "{expression}");
    }
    for (method, opclass) in
        [("gin", Some("jsonb_path_ops")), ("gin", None), ("hash", None), ("brin", None)]
    {
        let mut action = create("public", "t", vec![Key::column("a")]);
        if let Operation::CreateIndex { definition, .. } = &mut action.operation {
            method.clone_into(&mut definition.method);
            definition.keys[0].opclass = opclass.map(str::to_owned);
            definition.include = vec!["Mixed Case".to_owned()];
            definition.predicate = Some("\"deletedAt\" IS NULL".to_owned());
        }
        assert_eq!(faults(vec![action]), Vec::<String>::new(), "{method}");
    }
}

#[test]
fn what_is_dropped_comes_back_without_blocking_writers() {
    let mut index = existing();
    assert_eq!(recreate(&index), ["CREATE INDEX CONCURRENTLY t_a ON public.t USING btree (a)"]);
    index.definition = index.definition.replace("CREATE INDEX", "CREATE UNIQUE INDEX");
    assert_eq!(
        recreate(&index),
        ["CREATE UNIQUE INDEX CONCURRENTLY t_a ON public.t USING btree (a)"]
    );
    let dropped = drop(index);
    assert_eq!(dropped.sql(), "DROP INDEX CONCURRENTLY public.t_a");
    let created = create("App", "t", vec![Key::column("a")]);
    let Operation::CreateIndex { name, .. } = &created.operation else { panic!() };
    assert_eq!(created.undo(), [format!("DROP INDEX CONCURRENTLY \"App\".{name}")]);
}

#[test]
fn keys_differ_with_table_and_operation_and_with_nothing_else() {
    let a = create("public", "t", vec![Key::column("a")]);
    assert_eq!(a.key, create("public", "t", vec![Key::column("a")]).key);
    for other in [
        create("public", "t", vec![Key::column("b")]),
        create("public", "u", vec![Key::column("a")]),
        create("other", "t", vec![Key::column("a")]),
        create("public", "t", vec![Key::ordered(Term::Column("a".to_owned()), true, true)]),
        analyze(),
        drop(existing()),
    ] {
        assert_ne!(a.key, other.key);
    }
    assert_eq!(a.key.len(), 64);
}

/// Any name that PostgreSQL can store, hostile ones often.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,12}", "[a-zA-Z0-9_ \"'\\\\;.$-]{1,63}", "[^\u{0}]{1,20}"]
}

proptest! {
    #[test]
    fn any_name_makes_a_plan_that_passes_its_check(
        schema in name(), table in name(), column in name(), descending in any::<bool>(),
    ) {
        let keys = vec![Key::ordered(Term::Column(column.clone()), descending, false), Key::column(&table)];
        let made = create(&schema, &table, keys);
        let mut dropped = existing();
        (dropped.schema, dropped.name) = (schema.clone(), column);
        let mut read = analyze();
        read.table = TableRef { oid: 1, schema, name: table };
        prop_assert_eq!(faults(vec![made, drop(dropped), read]), Vec::<String>::new());
    }

    #[test]
    fn names_of_new_indexes_are_neither_cut_nor_met_twice(table in name(), one in name(), other in name()) {
        let of = |column: &str| {
            let made = create("public", &table, vec![Key::column(column)]);
            let Operation::CreateIndex { name, .. } = made.operation.clone() else { panic!() };
            assert!(name.len() <= 63 && name.is_ascii() && name.ends_with(made.id()), "{name}");
            assert!(!name.chars().any(|c| c.is_ascii_uppercase() || c == '"'), "{name}");
            name
        };
        if one != other {
            prop_assert_ne!(of(&one), of(&other));
        }
    }
}
