//! Candidates that no planner priced.

use chrono::TimeDelta;
use rules::candidate::Candidate;
use rules::evidence::UNPRICED_CAP;
use rules::reach::Reach;
use rules::snapshot::Snapshot;
use rules::testing::{statement, table_mut};
use rules::whatif::Answerer;
use serde_json::json;

use crate::planner::{Case, Outcome, btree, facts, index_scan, indexed, lines, run, seq_scan};
use crate::seen::database;

fn table(statements: &[&str]) -> Snapshot {
    let mut snapshot =
        database("t(id int8 pk, a int8, b int8, data jsonb, tags _text) 100000", &[]);
    snapshot.intake.since = Some(snapshot.server.taken_at - TimeDelta::days(1));
    snapshot.statements = statements.iter().map(|text| run(text, 100)).collect();
    snapshot
}

/// What the rules propose for these statements, priced by nobody who knows GIN.
fn proposed(statements: &[&str]) -> Case {
    let mut case = Case::new(table(statements));
    let workload = case.planned();
    let cx = rules::context::Context { snapshot: &case.snapshot, workload: &workload };
    let mut candidates = rules::propose(&cx).candidates;
    candidates.retain(|candidate| candidate.rules != ["stale_statistics"]);
    case.candidates = candidates;
    case
}

const CONTAINS: &str = "SELECT * FROM t WHERE data @> $1";

/// The outcome for a statement whose plan reads the table at this cost of 1,000 and keeps this many rows of 100,000.
fn outcome(cost: f64, rows: f64) -> Outcome {
    let mut case = proposed(&[CONTAINS]);
    let mut scan = seq_scan(cost, rows);
    scan["Parent Relationship"] = json!("Outer");
    case.before = vec![
        json!({ "Node Type": "Sort", "Total Cost": 1000.0, "Plan Rows": rows, "Plans": [scan] }),
    ];
    case.outcome(&indexed(10.0))
}

#[test]
fn the_gain_of_gin_is_that_of_the_sequential_scan_less_the_rows_fetched() {
    let found = outcome(1000.0, 100.0);
    let [action] = found.actions.as_slice() else { panic!("{:?}", found.refusals) };
    assert_eq!(lines(&found.actions), ["index t(data jsonb_path_ops)"]);
    // A second a day; 0.1 % of the rows at eleven times the cost.
    assert_eq!(action.impact.ms_per_day, Some(989.0));
    assert!((action.helps[0].cost_after - 11.0).abs() < 1e-9);
    assert!(action.helps[0].plan_after.contains("not priced"));
    let half = outcome(500.0, 100.0);
    assert_eq!(half.actions[0].impact.ms_per_day, Some(494.5));
}

#[test]
fn the_storage_budget_binds_it_as_well_and_says_so() {
    let mut case = proposed(&[CONTAINS]);
    let needed = case.outcome(&indexed(10.0)).actions[0].impact.bytes.unwrap();
    let needed = u64::try_from(needed).unwrap();
    case.storage_budget = Some(needed);
    assert_eq!(case.outcome(&indexed(10.0)).actions.len(), 1);
    for budget in [0, needed - 1] {
        case.storage_budget = Some(budget);
        let found = case.outcome(&indexed(10.0));
        assert!(found.actions.is_empty(), "{:?}", lines(&found.actions));
        let [refusal] = found.refusals.as_slice() else { panic!("{:?}", found.refusals) };
        assert_eq!(refusal.what, "gin index (data jsonb_path_ops)");
        let reason = format!("does not fit the storage budget of {budget} bytes");
        assert!(refusal.reason.contains(&reason), "{}", refusal.reason);
    }
}

#[test]
fn what_was_chosen_before_it_counts_against_the_budget() {
    let mut case = proposed(&["SELECT * FROM t WHERE a = $1", CONTAINS]);
    let both = case.outcome(&indexed(10.0));
    assert_eq!(both.actions.len(), 2, "{:?}", lines(&both.actions));
    let bytes = |at: usize| u64::try_from(both.actions[at].impact.bytes.unwrap()).unwrap();
    case.storage_budget = Some(bytes(0) + bytes(1) - 1);
    assert_eq!(lines(&case.outcome(&indexed(10.0)).actions), ["index t(a)"]);
}

#[test]
fn what_earlier_runs_made_counts_against_the_budget_and_a_persons_indexes_do_not() {
    let mut case = proposed(&[CONTAINS]);
    let needed = u64::try_from(case.outcome(&indexed(10.0)).actions[0].impact.bytes.unwrap());
    let needed = needed.unwrap();
    case.storage_budget = Some(needed + 4095);
    let mut made = table_mut(&mut case.snapshot, "t").indexes[0].clone();
    (made.name, made.primary, made.constraint) = ("t_by_id".to_owned(), false, None);
    made.bytes = 4096;
    table_mut(&mut case.snapshot, "t").indexes.push(made);
    assert_eq!(case.outcome(&indexed(10.0)).actions.len(), 1);
    table_mut(&mut case.snapshot, "t").indexes[1].name = "pgw_t_id_0a1b2c3d".to_owned();
    let found = case.outcome(&indexed(10.0));
    assert!(found.actions.is_empty(), "{:?}", lines(&found.actions));
    let reason = "the 4096 bytes of indexes that earlier runs made";
    assert!(found.refusals[0].reason.contains(reason), "{:?}", found.refusals);
    case.storage_budget = Some(needed + 4096);
    assert_eq!(case.outcome(&indexed(10.0)).actions.len(), 1);
}

#[test]
fn it_never_passes_the_gate() {
    let action = &outcome(1000.0, 100.0).actions[0];
    assert_eq!(action.reach, Reach::Ask);
    assert!(action.confidence.value <= UNPRICED_CAP);
    assert!(facts(action).contains(&"not priced: HypoPG cannot price a GIN index".to_owned()));
}

#[test]
fn it_is_refused_where_the_plan_keeps_too_many_rows_or_reads_the_table_cheaply() {
    for (cost, rows) in [(1000.0, 8_200.0), (1000.0, 50_000.0), (90.0, 1.0)] {
        let found = outcome(cost, rows);
        assert!(found.actions.is_empty(), "{cost} {rows}");
        let [refusal] = found.refusals.as_slice() else { panic!() };
        assert_eq!(refusal.what, "gin index (data jsonb_path_ops)");
        assert!(refusal.reason.contains("keep too many rows"));
    }
    assert_eq!(outcome(1000.0, 8_000.0).actions.len(), 1);
}

#[test]
fn it_is_refused_where_the_plan_reads_the_table_otherwise() {
    let mut case = proposed(&[CONTAINS]);
    case.before = vec![index_scan(1000.0)];
    let found = case.outcome(&indexed(10.0));
    assert!(found.actions.is_empty());
    assert_eq!(found.refusals.len(), 1);
}

#[test]
fn it_is_refused_where_what_was_chosen_helps_already() {
    let case = proposed(&["SELECT * FROM t WHERE a = $1 AND data @> $2"]);
    let found = case.outcome(&indexed(10.0));
    assert_eq!(lines(&found.actions), ["index t(a)"]);
    assert!(found.refusals.iter().any(|refusal| refusal.what.starts_with("gin index (data")));
}

#[test]
fn several_statements_of_one_gin_index_add_up() {
    let case = proposed(&[CONTAINS, "SELECT id FROM t WHERE data @> $1 AND data ? 'x'"]);
    let found = case.outcome(&indexed(10.0));
    assert_eq!(lines(&found.actions), ["index t(data)"]);
    assert_eq!(found.actions[0].helps.len(), 2);
}

#[test]
fn what_a_priced_index_saves_is_not_saved_again() {
    let case = proposed(&["SELECT * FROM t WHERE a = $1 AND data @> $2"]);
    // The index on `a` leaves 60 % of a second a day, the sequential scan is all of it.
    let found = case.outcome(&indexed(600.0));
    let saved: Vec<_> = found.actions.iter().map(|action| action.impact.ms_per_day).collect();
    assert_eq!(lines(&found.actions), ["index t(data jsonb_path_ops)", "index t(a)"]);
    assert_eq!(saved, [Some(600.0), Some(400.0)]);
}

#[test]
fn without_a_planner_one_index_for_each_statement_and_table_is_shown() {
    let mut case =
        proposed(&["SELECT * FROM t WHERE a = $1 AND b = $2", "SELECT * FROM t WHERE b > $1"]);
    case.answerer = Answerer::None;
    let found = case.outcome(&indexed(10.0));
    assert_eq!(lines(&found.actions), ["index t(a, b)", "index t(b)"]);
    for action in &found.actions {
        assert_eq!(action.reach, Reach::Ask);
        assert!(action.confidence.value <= UNPRICED_CAP);
        assert!(facts(action).iter().any(|fact| fact.contains("HypoPG is not installed")));
    }
    assert!(found.selection.chosen.is_empty());
}

#[test]
fn an_expression_without_a_planner_is_followed_by_its_statistics_as_well() {
    let mut case = Case::new(table(&["SELECT * FROM t WHERE data->>'x' = $1"]));
    case.candidates = vec![btree(&case.snapshot, &["data ->> 'x'"], &[0])];
    case.answerer = Answerer::None;
    let found = case.outcome(&indexed(10.0));
    assert_eq!(lines(&found.actions), ["index t((data ->> 'x'))", "analyze t"]);
    assert_eq!(found.actions[1].reach, Reach::Ask);
}

/// A table `t` that references `u`, from which this many rows were deleted in a day.
fn referencing(deletes: u64, statements: &[&str]) -> Case {
    let mut snapshot = database(
        "u(id int8 pk) 1000
         t(id int8 pk, u_id int8 -> u.id, b int8) 100000",
        &[],
    );
    snapshot.server.counters_since = Some(snapshot.server.taken_at - TimeDelta::days(1));
    table_mut(&mut snapshot, "u").counters.deleted = deletes;
    snapshot.statements = statements.iter().map(|text| statement(text)).collect();
    let mut case = Case::new(snapshot);
    let workload = case.planned();
    let cx = rules::context::Context { snapshot: &case.snapshot, workload: &workload };
    let key = |candidate: &Candidate| candidate.rules.contains(&"unindexed_foreign_key");
    case.candidates = rules::propose(&cx).candidates.into_iter().filter(key).collect();
    case
}

#[test]
fn a_foreign_key_that_nothing_is_known_to_gain_by_is_only_shown() {
    for answerer in [Answerer::Hypopg, Answerer::None] {
        let mut case = referencing(0, &[]);
        case.answerer = answerer;
        let found = case.outcome(&indexed(10.0));
        assert_eq!(lines(&found.actions), ["index t(u_id)"]);
        assert_eq!(found.actions[0].reach, Reach::Advise);
        assert_eq!(found.actions[0].impact.ms_per_day, Some(0.0));
    }
}

#[test]
fn a_foreign_key_that_a_join_along_it_does_not_gain_by_is_refused() {
    let case = referencing(0, &["SELECT * FROM u JOIN t ON t.u_id = u.id"]);
    let found = case.outcome(&|_| seq_scan(1000.0, 10.0));
    assert_eq!(lines(&found.actions), Vec::<String>::new());
    assert_eq!(found.selection.refusals[0].what, "index (u_id)");
}

#[test]
fn a_foreign_key_that_deletes_look_up_is_chosen_by_what_it_saves() {
    let case = referencing(100, &[]);
    let found = case.outcome(&indexed(10.0));
    assert_eq!(lines(&found.actions), ["index t(u_id)"]);
    assert_eq!(found.actions[0].reach, Reach::Act);
    assert_eq!(found.actions[0].impact.ms_per_day, Some(1136.0));
    assert!(found.actions[0].confidence.value < 0.9, "nobody priced it");
    let mut case = referencing(100, &[]);
    case.answerer = Answerer::None;
    assert_eq!(case.outcome(&indexed(10.0)).actions[0].reach, Reach::Ask);
}

#[test]
fn a_foreign_key_that_the_choice_refused_is_not_shown_again() {
    let mut case = referencing(1, &[]);
    table_mut(&mut case.snapshot, "t").counters.inserted = 1_000_000_000;
    let found = case.outcome(&indexed(10.0));
    assert!(found.selection.refusals[0].reason.contains("writers would pay"));
    assert_eq!(lines(&found.actions), Vec::<String>::new());
}

#[test]
fn a_foreign_key_that_would_harm_a_statement_is_refused_with_the_reason() {
    let statements =
        ["SELECT * FROM u JOIN t ON t.u_id = u.id", "SELECT id FROM t WHERE u_id > $1"];
    let case = referencing(0, &statements);
    let harms = |q: &rules::whatif::Question| match (q.configuration.is_empty(), q.statement) {
        (true, _) => seq_scan(1000.0, 10.0),
        (false, 0) => index_scan(10.0),
        (false, _) => index_scan(2000.0),
    };
    let found = case.outcome(&harms);
    assert_eq!(lines(&found.actions), Vec::<String>::new());
    assert!(found.selection.refusals[0].reason.contains("would cost 100 % more"));
}

#[test]
fn a_foreign_key_that_a_chosen_index_covers_is_not_shown_beside_it() {
    let mut case = referencing(0, &["SELECT * FROM t WHERE u_id = $1 AND b = $2"]);
    case.candidates.push(btree(&case.snapshot, &["u_id", "b"], &[0]));
    let wide = |q: &rules::whatif::Question| {
        if q.configuration.contains(&1) { index_scan(10.0) } else { seq_scan(1000.0, 10.0) }
    };
    assert_eq!(lines(&case.outcome(&wide).actions), ["index t(u_id, b)"]);
}
