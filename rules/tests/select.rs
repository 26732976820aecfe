//! The choice, fed with made-up prices: what it takes, what it leaves and why.

#![expect(clippy::unwrap_used, reason = "a helper that panics fails the test that called it")]

use std::collections::BTreeMap;

use planparse::Plan;
use rules::bindings::Binding;
use rules::candidate::{Candidate, Change};
use rules::context::{Analyzed, Context};
use rules::index::{IndexDefinition, Key};
use rules::reach::Reach;
use rules::select::{Selection, Selector, Step, Task};
use rules::snapshot::Snapshot;
use rules::statement::{
    Analysis, Block, Operand, Predicate, PredicateClass, Relation, StatementKind, Target, Write,
};
use rules::whatif::{Answerer, Cache, Price, Question};

/// A snapshot of one table `public.t (a, b, c)` with 100,000 rows and no index, and of these statements.
fn snapshot(statements: usize) -> Snapshot {
    let column = |number: i16, name: &str| {
        serde_json::json!({
            "number": number, "name": name, "type_name": "integer", "base_type": "int4",
            "base_type_schema": "pg_catalog", "type_kind": "b", "type_category": "N", "length": 4, "align": 4,
            "type_modifier": -1, "not_null": false, "btree": true, "deduplicates": true, "collation": null,
            "c_collation": false, "stats": null
        })
    };
    let statement = |id: usize| {
        serde_json::json!({
            "id": format!("{id:016x}"), "queryids": [], "text": format!("select {id}"), "role": null,
            "search_path": ["public"], "calls": 100, "total_ms": 10_000.0, "rows": 100, "blocks": null, "examples": []
        })
    };
    serde_json::from_value(serde_json::json!({
        "format": 1,
        "server": {
            "version_num": 150_000, "version": "15", "database": "d", "role": "r", "superuser": false,
            "search_path": ["public"], "read_only": false, "system_identifier": null, "database_oid": 1,
            "taken_at": "2026-01-02T00:00:00Z", "counters_since": null
        },
        "settings": {}, "extensions": [], "views": [], "functions": [],
        "tables": [{
            "oid": 1, "schema": "public", "name": "t", "kind": "table", "persistence": "permanent", "owner": "r",
            "may_index": true, "rows": 100_000.0, "pages": 1000, "all_visible": 0, "partition_of": null,
            "inherited": false, "row_security": false, "extension_member": false, "options": [],
            "columns": [column(1, "a"), column(2, "b"), column(3, "c")], "indexes": [], "constraints": [],
            "counters": {
                "seq_scan": 0, "idx_scan": 0, "inserted": 0, "updated": 0, "deleted": 0, "hot_updated": 0,
                "live": 100_000, "dead": 0, "modified_since_analyze": 0, "analyzed_at": null, "vacuumed_at": null
            }
        }],
        "statements": (0..statements).map(statement).collect::<Vec<_>>(),
        "intake": {
            "source": "pg_stat_statements", "since": "2026-01-01T00:00:00Z", "evicted": 0, "seen": 1,
            "kept_share": 1.0, "left_out": {}, "copied_rows": {}, "notes": []
        }
    }))
    .unwrap()
}

fn plan(cost: f64) -> Plan {
    let json = serde_json::json!([{ "Plan": {
        "Node Type": "Seq Scan", "Relation Name": "t", "Alias": "t", "Startup Cost": 0.0, "Total Cost": cost,
        "Plan Rows": 1, "Plan Width": 4
    }}]);
    planparse::from_json(&json).unwrap().plan
}

/// A statement that compares these columns and costs 1,000 as things are.
fn analyzed(statement: usize, columns: &[&str], writes: Option<Write>) -> Analyzed {
    let predicate = |column: &&str| Predicate {
        relation: 0,
        target: Target::Column((*column).to_owned()),
        class: PredicateClass::Equality,
        operator: "=".to_owned(),
        operand: Operand::Constant("1".to_owned()),
        alternative: None,
        arm: 0,
    };
    Analyzed {
        statement,
        analysis: Analysis {
            kind: if writes.is_some() { StatementKind::Update } else { StatementKind::Select },
            relations: vec![Relation { table: 1, alias: "t".to_owned(), block: 0, read: None }],
            blocks: vec![Block { relations: vec![0], ..Block::default() }],
            predicates: columns.iter().map(predicate).collect(),
            joins: petgraph::graphmap::UnGraphMap::new(),
            parameters: BTreeMap::new(),
            writes,
        },
        text: String::new(),
        bindings: vec![Binding { values: vec![], weight: 1.0, label: "typical".to_owned() }],
        plans: vec![Some(plan(1000.0))],
    }
}

fn candidate(columns: &[&str], serves: &[usize]) -> Candidate {
    let definition = IndexDefinition {
        schema: "public".to_owned(),
        table: "t".to_owned(),
        method: "btree".to_owned(),
        keys: columns.iter().map(|column| Key::column(column)).collect(),
        include: vec![],
        predicate: None,
    };
    Candidate {
        rules: vec!["unserved_predicate"],
        change: Change::CreateIndex { table: 1, definition },
        reach: Reach::Act,
        serves: serves.to_vec(),
        facts: vec![],
        own_gain_ms_per_day: 0.0,
    }
}

/// Runs a selection to its end; `cost` is the made-up planner.
fn choose(
    snapshot: &Snapshot,
    workload: &[Analyzed],
    candidates: &[Candidate],
    budget: Option<u64>,
    cost: &dyn Fn(&Question) -> f64,
) -> Selection {
    let cx = Context { snapshot, workload };
    let mut selector =
        Selector::new(Task { cx, candidates, storage_budget: budget, answerer: Answerer::Hypopg });
    for _ in 0..1000 {
        match selector.step() {
            Step::Done(selection) => return *selection,
            Step::Ask(questions) => {
                assert!(!questions.is_empty());
                let answers: Vec<_> = questions
                    .into_iter()
                    .map(|question| {
                        let price = Price {
                            plan: plan(cost(&question)),
                            used: question.configuration.clone(),
                        };
                        (question, Ok(price))
                    })
                    .collect();
                selector.feed(answers);
            }
        }
    }
    panic!("asked for ever");
}

fn chosen(selection: &Selection) -> Vec<usize> {
    selection.chosen.iter().map(|chosen| chosen.candidate).collect()
}

#[test]
fn takes_what_helps_and_leaves_what_does_not() {
    let (snapshot, workload) =
        (snapshot(2), [analyzed(0, &["a"], None), analyzed(1, &["b"], None)]);
    let candidates = [candidate(&["a"], &[0]), candidate(&["b"], &[1])];
    let cost = |q: &Question| if q.configuration.contains(&0) { 10.0 } else { 990.0 };
    assert_eq!(chosen(&choose(&snapshot, &workload, &candidates, None, &cost)), [0]);
}

#[test]
fn a_wider_index_must_halve_what_the_narrower_one_leaves() {
    let (snapshot, workload) = (snapshot(1), [analyzed(0, &["a", "b"], None)]);
    let candidates = [candidate(&["a"], &[0]), candidate(&["a", "b"], &[0])];
    let wide = |cost: f64| {
        move |q: &Question| match (q.configuration.is_empty(), q.configuration.contains(&1)) {
            (true, _) => 1000.0,
            (_, true) => cost,
            _ => 100.0,
        }
    };
    assert_eq!(chosen(&choose(&snapshot, &workload, &candidates, None, &wide(60.0))), [0]);
    assert_eq!(chosen(&choose(&snapshot, &workload, &candidates, None, &wide(40.0))), [1]);
}

#[test]
fn one_index_that_serves_two_statements_beats_two_indexes() {
    let (snapshot, workload) =
        (snapshot(2), [analyzed(0, &["a"], None), analyzed(1, &["a", "b"], None)]);
    let candidates = [candidate(&["a"], &[0]), candidate(&["a", "b"], &[1])];
    let cost = |q: &Question| match (
        q.configuration.is_empty(),
        q.statement,
        q.configuration.contains(&1),
    ) {
        (true, ..) => 1000.0,
        (_, 0, true) => 11.0,
        (_, 1, true) | (_, 0, false) => 10.0,
        _ => 400.0,
    };
    assert_eq!(chosen(&choose(&snapshot, &workload, &candidates, None, &cost)), [1]);
}

#[test]
fn of_two_taken_together_one_gives_way_to_a_better_one_that_begins_with_it() {
    // `a = … OR b = …`, and one statement that wants (a, c).
    let mut either = analyzed(0, &["a", "b"], None);
    either.analysis.predicates[1].alternative = Some(0);
    let (snapshot, workload) = (snapshot(2), [either, analyzed(1, &["a", "c"], None)]);
    let candidates =
        [candidate(&["a"], &[0, 1]), candidate(&["b"], &[0]), candidate(&["a", "c"], &[1])];
    let cost = |q: &Question| {
        let has = |c: usize| q.configuration.contains(&c);
        match q.statement {
            0 if has(1) && (has(0) || has(2)) => 20.0,
            1 if has(2) => 10.0,
            1 if has(0) => 100.0,
            _ => 1000.0,
        }
    };
    let mut both = chosen(&choose(&snapshot, &workload, &candidates, None, &cost));
    both.sort_unstable();
    assert_eq!(both, [1, 2]);
}

#[test]
fn a_set_counts_for_what_it_adds_to_its_best_part() {
    // (a) alone serves the first two; the set adds little to it, (c) much; the budget holds two.
    let mut either = analyzed(0, &["a", "b"], None);
    either.analysis.predicates[1].alternative = Some(0);
    let others = [analyzed(1, &["a"], None), analyzed(2, &["c"], None)];
    let workload = [&[either][..], &others].concat();
    let snapshot = snapshot(3);
    let candidates = [candidate(&["a"], &[0, 1]), candidate(&["b"], &[0]), candidate(&["c"], &[2])];
    let cost = |q: &Question| {
        let has = |c: usize| q.configuration.contains(&c);
        match q.statement {
            0 if has(0) && has(1) => 500.0,
            1 if has(0) => 10.0,
            2 if has(2) => 10.0,
            _ => 1000.0,
        }
    };
    let all = choose(&snapshot, &workload, &candidates, None, &cost);
    let order: Vec<usize> = all.chosen.iter().map(|chosen| chosen.candidate).collect();
    assert_eq!(order, [0, 2, 1]);
}

#[test]
fn two_indexes_that_are_worth_something_only_together_are_taken_together() {
    let (snapshot, workload) = (snapshot(1), [analyzed(0, &["a", "b"], None)]);
    let candidates = [candidate(&["a"], &[0]), candidate(&["b"], &[0])];
    let cost = |q: &Question| if q.configuration.len() == 2 { 20.0 } else { 1000.0 };
    let mut both = chosen(&choose(&snapshot, &workload, &candidates, None, &cost));
    both.sort_unstable();
    assert_eq!(both, [0, 1]);
}

#[test]
fn an_index_that_makes_another_statement_worse_is_refused_with_the_reason() {
    let (snapshot, workload) =
        (snapshot(2), [analyzed(0, &["a"], None), analyzed(1, &["a"], None)]);
    let candidates = [candidate(&["a"], &[0])];
    let cost = |q: &Question| if q.statement == 0 { 10.0 } else { 1200.0 };
    let selection = choose(&snapshot, &workload, &candidates, None, &cost);
    assert!(selection.chosen.is_empty());
    assert!(selection.refusals[0].reason.contains("20 % more"), "{:?}", selection.refusals);
}

#[test]
fn a_gain_that_rests_on_the_cache_is_none() {
    let (snapshot, workload) = (snapshot(1), [analyzed(0, &["a"], None)]);
    let candidates = [candidate(&["a"], &[0])];
    let cost = |q: &Question| match (q.cache, q.configuration.is_empty()) {
        (_, true) => 1000.0,
        (Cache::AsSet, false) => 100.0,
        (Cache::Tiny, false) => 1500.0,
    };
    let selection = choose(&snapshot, &workload, &candidates, None, &cost);
    assert!(selection.chosen.is_empty());
    assert!(selection.refusals[0].reason.contains("cold cache"), "{:?}", selection.refusals);
}

#[test]
fn a_budget_is_kept_and_spent_where_it_saves_most() {
    let (snapshot, workload) =
        (snapshot(2), [analyzed(0, &["a"], None), analyzed(1, &["b"], None)]);
    let candidates = [candidate(&["a"], &[0]), candidate(&["b"], &[1])];
    let cost = |q: &Question| {
        if q.configuration.is_empty() { 1000.0 } else { 100.0 - 50.0 * q.statement as f64 }
    };
    let all = choose(&snapshot, &workload, &candidates, None, &cost);
    assert_eq!(all.chosen.len(), 2);
    let one = all.chosen[0].bytes;
    let selection = choose(&snapshot, &workload, &candidates, Some(one + one / 2), &cost);
    assert_eq!(chosen(&selection), [1]);
    assert!(selection.refusals.iter().any(|refusal| refusal.reason.contains("storage budget")));
    assert!(choose(&snapshot, &workload, &candidates, Some(1000), &cost).chosen.is_empty());
}

#[test]
fn what_writers_would_pay_is_held_against_the_gain() {
    let mut snapshot = snapshot(2);
    // About ten seconds a day to gain, against ten billion updates of the indexed column.
    snapshot.statements[1].rows = Some(10_000_000_000);
    snapshot.statements[1].calls = 10_000_000_000;
    let write = Write { table: 1, columns: ["a".to_owned()].into() };
    let workload = [analyzed(0, &["a"], None), analyzed(1, &["b"], Some(write))];
    let candidates = [candidate(&["a"], &[0])];
    let cost = |q: &Question| if q.statement == 0 { 10.0 } else { 1000.0 };
    let selection = choose(&snapshot, &workload, &candidates, None, &cost);
    assert!(selection.chosen.is_empty());
    assert!(selection.refusals[0].reason.contains("writers"), "{:?}", selection.refusals);
}

#[test]
fn the_same_prices_give_the_same_choice() {
    let (snapshot, workload) =
        (snapshot(2), [analyzed(0, &["a", "b"], None), analyzed(1, &["b", "c"], None)]);
    let candidates = [
        candidate(&["a"], &[0]),
        candidate(&["b"], &[0, 1]),
        candidate(&["a", "b"], &[0]),
        candidate(&["b", "c"], &[1]),
    ];
    let cost = |q: &Question| 1000.0 / (1.0 + q.configuration.iter().sum::<usize>() as f64);
    let first = chosen(&choose(&snapshot, &workload, &candidates, None, &cost));
    assert_eq!(first, chosen(&choose(&snapshot, &workload, &candidates, None, &cost)));
}
