//! From the choice to the actions: order, facts, figures.

use chrono::TimeDelta;
use rules::assemble::freeze;
use rules::bindings::Binding;
use rules::candidate::{Candidate, Change};
use rules::change_plan::{Impact, lint};
use rules::evidence::{Fact, VETO_CAP};
use rules::reach::Reach;
use rules::snapshot::{Index, Snapshot};
use rules::testing::{plan_of, set_stats, stats, table_mut};
use rules::whatif::Question;
use serde_json::{Value, json};

use crate::planner::{Case, btree, facts, index_scan, indexed, lines, run, seq_scan, with_tiny};
use crate::seen::database;

/// The table `t` and what is run on it, counted for a day.
fn table(statements: &[(&str, u64)]) -> Snapshot {
    let mut snapshot = database(
        "t(id int8 pk, a int8, b int8, c int8, email text) 100000
         index t_c on t(c)
         index t_c_again on t(c)",
        &[],
    );
    snapshot.intake.since = Some(snapshot.server.taken_at - TimeDelta::days(1));
    snapshot.statements = statements.iter().map(|(text, calls)| run(text, *calls)).collect();
    snapshot
}

/// A case of one index on `a` for one statement.
fn single() -> Case {
    let mut case = Case::new(table(&[("SELECT * FROM t WHERE a = $1", 100)]));
    case.candidates = vec![btree(&case.snapshot, &["a"], &[0])];
    case
}

fn plain(rule: &'static str, change: Change) -> Candidate {
    Candidate {
        rules: vec![rule],
        change,
        reach: Reach::Act,
        serves: vec![],
        facts: vec![],
        own_gain_ms_per_day: 0.0,
    }
}

#[test]
fn statistics_come_first_then_indexes_by_net_gain_then_drops() {
    let statements = [
        ("SELECT * FROM t WHERE a = $1", 100),
        ("SELECT * FROM t WHERE b = $1", 500),
        ("SELECT * FROM t WHERE lower(email) = $1", 300),
    ];
    let mut case = Case::new(table(&statements));
    let oid = case.snapshot.tables[0].oid;
    let again = case.snapshot.tables[0].indexes[2].clone();
    case.candidates = vec![
        plain("duplicate_index", Change::DropIndex { table: oid, index: Box::new(again) }),
        btree(&case.snapshot, &["a"], &[0]),
        btree(&case.snapshot, &["lower(email)"], &[2]),
        btree(&case.snapshot, &["b"], &[1]),
        plain("stale_statistics", Change::Analyze { table: oid }),
    ];
    let own = |q: &Question| {
        let used = q.configuration.contains(&[1, 3, 2][q.statement]);
        if used { index_scan(10.0) } else { seq_scan(1000.0, 10.0) }
    };
    let outcome = case.outcome(&own);
    assert_eq!(
        lines(&outcome.actions),
        [
            "analyze t",
            "index t(b)",
            "index t((lower(email)))",
            "analyze t",
            "index t(a)",
            "drop t_c_again"
        ]
    );
    let saved: Vec<_> = outcome.actions.iter().map(|action| action.impact.ms_per_day).collect();
    assert_eq!(saved, [None, Some(4950.0), Some(2970.0), None, Some(990.0), None]);
    assert_eq!(lint(&freeze("x".to_owned(), 0.9, outcome.actions)), Vec::<String>::new());
}

#[test]
fn statistics_of_an_expression_follow_its_index_though_writers_pay_for_it() {
    let statements = [
        ("SELECT * FROM t WHERE lower(email) = $1", 100),
        ("INSERT INTO t (id) VALUES ($1)", 1000),
    ];
    let mut case = Case::new(table(&statements));
    case.candidates = vec![btree(&case.snapshot, &["lower(email)"], &[0])];
    let outcome =
        case.outcome(&|q| if q.statement == 0 { indexed(10.0)(q) } else { seq_scan(1000.0, 10.0) });
    assert_eq!(lines(&outcome.actions), ["index t((lower(email)))", "analyze t"]);
    let [index, after] = outcome.actions.as_slice() else { panic!() };
    assert!(index.impact.write_ms_per_day > 0.0);
    assert_eq!(after.impact, Impact::default(), "what it saves is counted with the index");
    assert_eq!((after.reach, after.confidence.value), (index.reach, index.confidence.value));
    let [said] = facts(after).try_into().unwrap();
    assert!(said.contains("until the table is analyzed"), "true of an ANALYZE: {said}");
    assert!(said.contains("pgw_t_lower_email_"), "{said}");
    assert!(after.undo().is_empty());
}

/// Statements on documents of which 88 % have the light theme and 1 % the dark one.
fn themes(statements: &[(&str, u64)]) -> Case {
    let mut snapshot = database("t(id int8 pk, a int8, data jsonb) 100000", &[]);
    snapshot.intake.since = Some(snapshot.server.taken_at - TimeDelta::days(1));
    snapshot.statements = statements.iter().map(|(text, calls)| run(text, *calls)).collect();
    let documents = [(r#"{"theme": "light"}"#, 0.88), (r#"{"theme": "dark"}"#, 0.01)];
    set_stats(&mut snapshot, "t.data", stats(-0.1, &documents, &[]));
    let mut case = Case::new(snapshot);
    case.candidates = vec![btree(&case.snapshot, &["data ->> 'theme'"], &[0])];
    case
}

#[test]
fn a_value_that_most_rows_have_is_not_helped_whatever_the_planner_believes() {
    let case = themes(&[
        ("SELECT * FROM t WHERE data->>'theme' = 'dark'", 100),
        ("SELECT count(*), max(a) FROM t WHERE data->>'theme' = 'light'", 100),
    ]);
    let outcome = case.outcome(&indexed(10.0));
    let [index, _] = outcome.actions.as_slice() else { panic!("{:?}", lines(&outcome.actions)) };
    let helped: Vec<_> = index.helps.iter().map(|help| help.statement.as_str()).collect();
    assert_eq!(helped, [&case.snapshot.statements[0].id]);
    assert_eq!(index.impact.ms_per_day, Some(990.0), "a second a day of one statement alone");
    let limited = themes(&[
        ("SELECT * FROM t WHERE data->>'theme' = 'dark'", 100),
        ("SELECT * FROM t WHERE data->>'theme' = 'light' LIMIT 10", 100),
    ]);
    assert_eq!(
        limited.outcome(&indexed(10.0)).actions[0].helps.len(),
        2,
        "a LIMIT takes the first"
    );
}

#[test]
fn of_the_values_behind_a_parameter_those_that_most_rows_have_gain_nothing() {
    let case = themes(&[
        ("SELECT * FROM t WHERE data->>'theme' = 'dark'", 100),
        ("SELECT count(*), max(a) FROM t WHERE data->>$1 = $2", 100),
    ]);
    let mut workload = case.planned();
    let value = |theme: &str, weight: f64| Binding {
        values: vec![Some("theme".to_owned()), Some(theme.to_owned())],
        weight,
        label: "x".to_owned(),
    };
    let plan = workload[1].plans[0].clone();
    workload[1].bindings = vec![value("light", 0.95), value("dark", 0.05)];
    workload[1].plans = vec![plan.clone(), plan];
    let helped = |workload: &[rules::context::Analyzed]| {
        case.outcome_of(workload, &indexed(10.0)).actions[0].helps.len()
    };
    assert_eq!(helped(&workload), 1, "nearly always it is the light theme");
    workload[1].bindings = vec![value("light", 0.3), value("dark", 0.7)];
    assert_eq!(helped(&workload), 2);
}

#[test]
fn an_index_that_uses_plain_columns_needs_no_statistics_after_it() {
    assert_eq!(lines(&single().outcome(&indexed(10.0)).actions), ["index t(a)"]);
}

#[test]
fn equal_actions_stand_once() {
    let mut case = single();
    let oid = case.snapshot.tables[0].oid;
    for rule in ["stale_statistics", "stale_statistics"] {
        case.candidates.push(plain(rule, Change::Analyze { table: oid }));
    }
    assert_eq!(lines(&case.outcome(&indexed(10.0)).actions), ["analyze t", "index t(a)"]);
}

#[test]
fn two_indexes_that_one_statement_uses_share_its_gain() {
    let mut case = Case::new(table(&[("SELECT * FROM t WHERE a = $1 OR b = $2", 100)]));
    case.candidates =
        vec![btree(&case.snapshot, &["a"], &[0]), btree(&case.snapshot, &["b"], &[0])];
    let both = |q: &Question| match q.configuration.len() {
        2 => index_scan(100.0),
        _ => seq_scan(1000.0, 10.0),
    };
    let outcome = case.outcome(&both);
    let saved: Vec<_> = outcome.actions.iter().map(|action| action.impact.ms_per_day).collect();
    // A second a day, of which nine tenths are saved.
    assert_eq!(saved, [Some(450.0), Some(450.0)]);
}

#[test]
fn one_index_gathers_the_gains_of_all_statements_and_lists_the_most_helped_first() {
    let statements =
        [("SELECT * FROM t WHERE a = $1", 100), ("SELECT id FROM t WHERE a = $1", 300)];
    let mut case = Case::new(table(&statements));
    case.candidates = vec![btree(&case.snapshot, &["a"], &[0, 1])];
    let outcome = case.outcome(&indexed(100.0));
    let [action] = outcome.actions.as_slice() else { panic!() };
    assert_eq!(action.impact.ms_per_day, Some(3600.0));
    let helped: Vec<_> = action.helps.iter().map(|help| help.statement.as_str()).collect();
    assert_eq!(helped, [&case.snapshot.statements[1].id, &case.snapshot.statements[0].id]);
    let help = &action.helps[0];
    assert_eq!((help.cost_before, help.cost_after), (1000.0, 100.0));
    assert_eq!(help.plan_before, "Seq Scan on t");
    assert_eq!(
        help.plan_after, "Index Scan using new btree_t_a on t",
        "no oid that differs by run"
    );
}

#[test]
fn facts_tell_ratio_cache_values_and_counters() {
    let outcome = single().outcome(&with_tiny(10.0, 40.0));
    let said = facts(&outcome.actions[0]);
    assert_eq!(
        said,
        [
            "the planner uses it and its cost falls to 1.0 % (hypopg)",
            "it pays with a cold cache too (cost falls to 4.0 %)",
            "it gains for the one set of values tried",
            "measured by the server: 10 ms a call over 100 calls",
        ]
    );
    assert!(outcome.actions[0].confidence.value >= 0.9);
    assert_eq!(outcome.actions[0].reach, Reach::Act);
}

#[test]
fn facts_tell_what_is_fast_seldom_and_misjudged() {
    let mut case = single();
    let statement = &mut case.snapshot.statements[0];
    (statement.calls, statement.total_ms, statement.rows) = (3, Some(0.3), Some(3000));
    let said = facts(&case.outcome(&indexed(10.0)).actions[0]);
    for sentence in [
        "already fast: 0.10 ms a call",
        "seen only 3 times",
        "the planner's row estimate is 100 times off what the server counted",
    ] {
        assert!(said.contains(&sentence.to_owned()), "{sentence}: {said:?}");
    }
}

#[test]
fn rows_are_not_compared_where_they_do_not_mean_the_same() {
    for text in ["SELECT count(*) FROM t WHERE a = $1", "SELECT * FROM t WHERE a = $1 LIMIT $2"] {
        let mut case = Case::new(table(&[(text, 100)]));
        case.snapshot.statements[0].rows = Some(100_000);
        case.candidates = vec![btree(&case.snapshot, &["a"], &[0])];
        let said = facts(&case.outcome(&indexed(10.0)).actions[0]);
        assert!(!said.iter().any(|fact| fact.contains("row estimate")), "{text}: {said:?}");
    }
}

#[test]
fn facts_tell_which_values_gain_and_how_far_they_differ() {
    let case = single();
    let mut workload = case.planned();
    let value = |weight: f64| Binding { values: vec![], weight, label: "x".to_owned() };
    workload[0].bindings = vec![value(0.6), value(0.4)];
    workload[0].plans =
        vec![Some(plan_of(&seq_scan(1000.0, 10.0))), Some(plan_of(&seq_scan(50.0, 1.0)))];
    let answer = |q: &Question| match (q.configuration.is_empty(), q.binding) {
        (true, 0) => seq_scan(1000.0, 10.0),
        (false, 0) => index_scan(10.0),
        (_, _) => seq_scan(50.0, 1.0),
    };
    let said = facts(&case.outcome_of(&workload, &answer).actions[0]);
    assert!(said.contains(&"it gains for 1 of 2 sets of values tried".to_owned()), "{said:?}");
    assert!(said.contains(&"the cost differs 20 times between values".to_owned()), "{said:?}");
}

fn limit(below: Value, cost: f64) -> Value {
    let mut below = below;
    below["Parent Relationship"] = json!("Outer");
    json!({ "Node Type": "Limit", "Total Cost": cost, "Plan Rows": 10, "Plans": [below] })
}

#[test]
fn a_doubtful_plan_shape_is_told_and_caps() {
    let mut case = Case::new(table(&[("SELECT * FROM t WHERE b = $1 ORDER BY a LIMIT 10", 100)]));
    case.candidates = vec![btree(&case.snapshot, &["a"], &[0])];
    case.before = vec![limit(seq_scan(1000.0, 10.0), 1000.0)];
    let answer = |q: &Question| {
        let mut scan = index_scan(500.0);
        scan["Filter"] = json!("(b = 1)");
        if q.configuration.is_empty() {
            limit(seq_scan(1000.0, 10.0), 1000.0)
        } else {
            limit(scan, 10.0)
        }
    };
    let outcome = case.outcome(&answer);
    let confidence = &outcome.actions[0].confidence;
    assert!(confidence.terms.iter().any(|term| term.fact == Fact::OrderedLimitBesideFilter));
    assert!((confidence.value - VETO_CAP).abs() < 1e-9);
}

#[test]
fn lost_hot_updates_are_told() {
    let statements =
        [("SELECT * FROM t WHERE a = $1", 100), ("UPDATE t SET a = $1 WHERE id = $2", 10)];
    let mut case = Case::new(table(&statements));
    let counters = &mut table_mut(&mut case.snapshot, "t").counters;
    (counters.updated, counters.hot_updated) = (100, 70);
    case.candidates = vec![btree(&case.snapshot, &["a"], &[0])];
    let outcome =
        case.outcome(&|q| if q.statement == 0 { indexed(10.0)(q) } else { seq_scan(1000.0, 10.0) });
    let said = facts(&outcome.actions[0]);
    assert!(
        said.contains(&"70 % of the table's updates are HOT and touch these columns".to_owned()),
        "{said:?}"
    );
}

/// Two indexes for two statements, on a table whose inserts take this long (microseconds, 45 at the client aside).
fn burden(insert_us: f64) -> Case {
    let statements = [
        ("SELECT * FROM t WHERE a = $1", 1000),
        ("SELECT * FROM t WHERE b = $1", 500),
        ("INSERT INTO t (id) VALUES ($1)", 200),
    ];
    let mut case = Case::new(table(&statements));
    let insert = &mut case.snapshot.statements[2];
    (insert.rows, insert.total_ms) = (Some(200), Some(200.0 * insert_us / 1000.0));
    case.candidates =
        vec![btree(&case.snapshot, &["b"], &[1]), btree(&case.snapshot, &["a"], &[0])];
    case
}

fn own_index(q: &Question) -> Value {
    let wanted = [1, 0, 9][q.statement];
    if q.configuration.contains(&wanted) { index_scan(10.0) } else { seq_scan(1000.0, 10.0) }
}

/// By which share each action slows inserts down.
fn slowdowns(case: &Case, planner: &dyn Fn(&Question) -> Value) -> Vec<(String, Option<f64>)> {
    let share = |fact: &Fact| match fact {
        Fact::SlowsInserts { share } => Some(*share),
        _ => None,
    };
    let actions = case.outcome(planner).actions;
    let of = |action: &rules::change_plan::Action| {
        action.confidence.terms.iter().find_map(|term| share(&term.fact))
    };
    lines(&actions).into_iter().zip(actions.iter().map(of)).collect()
}

#[test]
fn the_burden_of_inserts_adds_up_and_the_second_waits_for_a_person() {
    // An entry takes 4.5 µs of CPU time and 5.6 on the clock, an insert 75 at the client.
    let found = slowdowns(&burden(30.0), &own_index);
    assert_eq!(
        found,
        [("index t(a)".to_owned(), Some(0.075)), ("index t(b)".to_owned(), Some(0.15))]
    );
    let actions = burden(30.0).outcome(&own_index).actions;
    assert!(actions[0].confidence.value >= 0.9);
    assert!((actions[1].confidence.value - VETO_CAP).abs() < 1e-9, "a person is asked");
}

#[test]
fn a_slow_insert_hardly_feels_an_entry() {
    let found = slowdowns(&burden(10_000.0), &own_index);
    assert_eq!(found, [("index t(a)".to_owned(), None), ("index t(b)".to_owned(), None)]);
}

#[test]
fn a_doubtful_index_takes_no_room_from_a_proven_one() {
    let mut case = burden(30.0);
    case.before[0] = limit(seq_scan(1000.0, 10.0), 1000.0);
    let answer = |q: &Question| match (q.statement, own_index(q)) {
        (0, scan) if scan["Node Type"] == "Index Scan" => {
            let mut scan = scan;
            scan["Filter"] = json!("(c = 1)");
            limit(scan, 10.0)
        }
        (0, scan) => limit(scan, 1000.0),
        (_, scan) => scan,
    };
    assert_eq!(
        slowdowns(&case, &answer),
        [("index t(a)".to_owned(), Some(0.15)), ("index t(b)".to_owned(), Some(0.075))]
    );
}

#[test]
fn a_sixteenth_index_waits_for_a_person() {
    let mut case = single();
    let table = table_mut(&mut case.snapshot, "t");
    let extra = table.indexes[1].clone();
    table.indexes.extend((0..12).map(|n| Index { oid: 500 + n, ..extra.clone() }));
    let crowded = case.outcome(&indexed(10.0)).actions.remove(0).confidence.value;
    assert!((crowded - VETO_CAP).abs() < 1e-9);
    table_mut(&mut case.snapshot, "t").indexes.pop();
    assert!(case.outcome(&indexed(10.0)).actions[0].confidence.value >= 0.9);
}

#[test]
fn a_drop_frees_its_bytes_and_spares_writers() {
    let mut case = Case::new(table(&[("INSERT INTO t (id) VALUES ($1)", 1000)]));
    let (oid, index) = (case.snapshot.tables[0].oid, case.snapshot.tables[0].indexes[1].clone());
    case.candidates = vec![plain("x", Change::DropIndex { table: oid, index: Box::new(index) })];
    let outcome = case.outcome(&indexed(10.0));
    let impact = &outcome.actions[0].impact;
    assert_eq!((impact.ms_per_day, impact.bytes), (None, Some(-8192)));
    assert!((impact.write_ms_per_day + 4.5).abs() < 1e-9, "{impact:?}");
}

#[test]
fn a_plan_carries_out_only_what_may_act_and_is_sure_enough() {
    let actions = burden(30.0).outcome(&own_index).actions;
    let mut plan = freeze("x".to_owned(), 0.9, actions);
    assert_eq!(lines(&plan.due().cloned().collect::<Vec<_>>()), ["index t(a)"]);
    plan.min_confidence = 0.8;
    assert_eq!(plan.due().count(), 2);
    plan.actions[0].reach = Reach::Ask;
    assert_eq!(lines(&plan.due().cloned().collect::<Vec<_>>()), ["index t(b)"]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let bytes = || {
        let actions = burden(30.0).outcome(&own_index).actions;
        serde_json::to_string(&freeze("x".to_owned(), 0.9, actions)).unwrap()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn what_widens_an_index_in_use_must_halve_the_cost_as_within_one_run() {
    let mut case = Case::new(table(&[("SELECT * FROM t WHERE c = $1 AND a = $2", 100)]));
    case.candidates = vec![btree(&case.snapshot, &["c", "a"], &[0])];
    let by = |index: &str, cost: f64| {
        let mut scan = index_scan(cost);
        scan["Index Name"] = json!(index);
        scan
    };
    case.before[0] = by("t_c", 100.0);
    assert!(case.outcome(&indexed(51.0)).actions.is_empty());
    assert_eq!(lines(&case.outcome(&indexed(49.0)).actions), ["index t(c, a)"]);
    // An index in use that has nothing to do with it sets no other measure.
    case.before[0] = by("t_pkey", 100.0);
    assert_eq!(lines(&case.outcome(&indexed(51.0)).actions), ["index t(c, a)"]);
}

#[test]
fn a_statement_that_two_new_indexes_serve_is_told_of_both() {
    let statements = [
        ("SELECT * FROM t WHERE a = $1", 100),
        ("SELECT * FROM t WHERE b = $1", 100),
        ("SELECT * FROM t WHERE a = $1 AND b = $2", 100),
    ];
    let mut case = Case::new(table(&statements));
    case.candidates =
        vec![btree(&case.snapshot, &["a"], &[0, 2]), btree(&case.snapshot, &["b"], &[1, 2])];
    let outcome = case.outcome(&|question| {
        let other = 1 - question.statement.min(1);
        let served = match question.statement {
            2 => !question.configuration.is_empty(),
            _ => question.configuration.iter().any(|candidate| *candidate != other),
        };
        if served { index_scan(10.0) } else { seq_scan(1000.0, 10.0) }
    });
    let both = &case.snapshot.statements[2].id;
    assert_eq!(lines(&outcome.actions), ["index t(a)", "index t(b)"]);
    for action in &outcome.actions {
        let told: Vec<_> = action.helps.iter().map(|help| &help.statement).collect();
        assert!(told.contains(&both) && told.len() == 2, "{told:?}");
    }
}

#[test]
fn what_is_told_of_an_action_holds_without_the_others() {
    let statements =
        [("SELECT * FROM t WHERE a = $1", 100), ("SELECT * FROM t WHERE a = $1 AND b = $2", 100)];
    let mut case = Case::new(table(&statements));
    case.candidates =
        vec![btree(&case.snapshot, &["a"], &[0, 1]), btree(&case.snapshot, &["b"], &[1])];
    let outcome = case.outcome(&|question| match question.configuration.len() {
        0 => seq_scan(1000.0, 10.0),
        1 if question.configuration.contains(&0) => index_scan(300.0),
        1 => index_scan(400.0),
        _ => index_scan(1.0),
    });
    assert_eq!(lines(&outcome.actions).len(), 2);
    let id = &case.snapshot.statements[1].id;
    let after = |action: &rules::change_plan::Action| {
        action.helps.iter().find(|help| help.statement == *id).unwrap().cost_after
    };
    let mut costs: Vec<f64> = outcome.actions.iter().map(after).collect();
    costs.sort_by(f64::total_cmp);
    assert_eq!(costs, [300.0, 400.0]);
}

#[test]
fn indexes_that_gain_only_together_say_so() {
    let mut case = Case::new(table(&[("SELECT * FROM t WHERE a = $1 AND b = $2", 100)]));
    case.candidates =
        vec![btree(&case.snapshot, &["a"], &[0]), btree(&case.snapshot, &["b"], &[0])];
    let outcome = case.outcome(&|question| match question.configuration.len() {
        2 => index_scan(10.0),
        _ => seq_scan(1000.0, 10.0),
    });
    assert_eq!(outcome.actions.len(), 2);
    for action in &outcome.actions {
        let told = facts(action);
        assert!(told.iter().any(|fact| fact.contains("only together with pgw_t_")), "{told:?}");
    }
}

/// A plan below another operator.
fn below(node_type: &str, cost: f64, plan: &Value) -> Value {
    json!({ "Node Type": node_type, "Total Cost": cost, "Plan Rows": 10, "Plans": [plan] })
}

#[test]
fn a_gain_by_a_guess_under_a_limit_is_doubted() {
    let doubted = |condition: &str, rows: Option<u64>| {
        let text = format!("SELECT * FROM t WHERE {condition} = $1 ORDER BY c LIMIT 10");
        let mut case = Case::new(table(&[(&text, 100)]));
        set_stats(&mut case.snapshot, "t.email", stats(-1.0, &[], &["a@b", "x@y", "z@z"]));
        case.snapshot.statements[0].rows = rows;
        let walk = json!({
            "Node Type": "Index Scan", "Relation Name": "t", "Alias": "t", "Index Name": "t_c",
            "Filter": "(…)", "Total Cost": 100_000.0, "Plan Rows": 500
        });
        case.before = vec![below("Limit", 1000.0, &walk)];
        let expression =
            rules::testing::workload(&case.snapshot)[0].analysis.predicates[0].target.clone();
        let rules::statement::Target::Expression(expression) = expression else { panic!() };
        case.candidates = vec![btree(&case.snapshot, &[&expression.sql], &[0])];
        let outcome = case.outcome(&|question| {
            if question.configuration.is_empty() {
                return case.before[0].clone();
            }
            below("Limit", 11.0, &below("Sort", 10.5, &index_scan(10.0)))
        });
        outcome.actions[0].confidence.terms.iter().any(|t| t.fact == Fact::GuessedSelectivity)
    };
    // Were it true of most rows, the old plan would stop at once.
    assert!(doubted("a % 2", None));
    assert!(doubted("a % 2", Some(1000)));
    // It returned fewer rows than the LIMIT, so that it read to the end.
    assert!(!doubted("a % 2", Some(100)));
    // As many different values as rows.
    assert!(!doubted("lower(email)", None));
}
