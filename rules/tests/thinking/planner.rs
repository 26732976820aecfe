//! A made-up planner: answers what selection asks, and assembles what comes out.

use rules::assemble::{self, Assembly};
use rules::candidate::{Candidate, Change, Refusal};
use rules::change_plan::Action;
use rules::context::{Analyzed, Context};
use rules::index::{IndexDefinition, Key, Term};
use rules::reach::Reach;
use rules::select::{Selection, Selector, Step, Task};
use rules::snapshot::{Snapshot, Statement};
use rules::testing::{plan, plan_of, statement, workload};
use rules::whatif::{Answerer, Cache, Configuration, Price, Question};
use serde_json::{Value, json};

/// A case that a test describes.
pub(crate) struct Case {
    pub(crate) snapshot: Snapshot,
    pub(crate) candidates: Vec<Candidate>,
    /// The plan of each statement as things are.
    pub(crate) before: Vec<Value>,
    pub(crate) answerer: Answerer,
    pub(crate) storage_budget: Option<u64>,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) actions: Vec<Action>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) selection: Selection,
}

/// Reads the whole of `t` at this cost and keeps this many rows.
pub(crate) fn seq_scan(cost: f64, rows: f64) -> Value {
    json!({ "Node Type": "Seq Scan", "Relation Name": "t", "Alias": "t", "Total Cost": cost, "Plan Rows": rows })
}

/// Reads `t` by an index that does not exist, at this cost.
pub(crate) fn index_scan(cost: f64) -> Value {
    json!({
        "Node Type": "Index Scan", "Relation Name": "t", "Alias": "t", "Index Name": "<13579>btree_t_a",
        "Total Cost": cost, "Plan Rows": 1
    })
}

/// A statement that ran this often, at ten milliseconds each.
pub(crate) fn run(text: &str, calls: u64) -> Statement {
    Statement { calls, total_ms: Some(calls as f64 * 10.0), ..statement(text) }
}

/// A B-tree on columns of `t`, or, where it is none of them, on an expression.
pub(crate) fn btree(snapshot: &Snapshot, keys: &[&str], serves: &[usize]) -> Candidate {
    let table = snapshot.table_named("public", "t").expect("the table t");
    let key = |sql: &&str| match table.column(sql) {
        Some(_) => Key::column(sql),
        None => Key::ordered(Term::Expression((*sql).to_owned()), false, false),
    };
    let definition = IndexDefinition::btree(table, keys.iter().map(key).collect());
    Candidate {
        rules: vec!["unserved_predicate"],
        change: Change::CreateIndex { table: table.oid, definition },
        reach: Reach::Act,
        serves: serves.to_vec(),
        facts: vec![],
        own_gain_ms_per_day: 0.0,
    }
}

impl Case {
    /// The statements on the table `t`, each of which reads it whole at a cost of 1,000 and keeps 10 rows.
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let before = snapshot.statements.iter().map(|_| seq_scan(1000.0, 10.0)).collect();
        Self {
            snapshot,
            candidates: vec![],
            before,
            answerer: Answerer::Hypopg,
            storage_budget: None,
        }
    }

    /// The workload with its plans.
    pub(crate) fn planned(&self) -> Vec<Analyzed> {
        let mut workload = workload(&self.snapshot);
        assert_eq!(workload.len(), self.before.len(), "every statement of a test is readable");
        for (analyzed, before) in workload.iter_mut().zip(&self.before) {
            plan(analyzed, plan_of(before));
        }
        workload
    }

    /// Asks the made-up planner for a plan until selection has enough, and assembles. The planner's index is used
    /// where it answers with another plan than that as things are.
    pub(crate) fn outcome(&self, planner: &dyn Fn(&Question) -> Value) -> Outcome {
        self.outcome_of(&self.planned(), planner)
    }

    /// The same for a workload that the test has changed.
    pub(crate) fn outcome_of(
        &self,
        workload: &[Analyzed],
        planner: &dyn Fn(&Question) -> Value,
    ) -> Outcome {
        let cx = Context { snapshot: &self.snapshot, workload };
        let budget = self.storage_budget;
        let answerer = self.answerer;
        let task = Task { cx, candidates: &self.candidates, storage_budget: budget, answerer };
        let mut selector = Selector::new(task);
        let selection = loop {
            if answerer == Answerer::None {
                break Selection::default();
            }
            match selector.step() {
                Step::Done(selection) => break *selection,
                Step::Ask(questions) => {
                    let answers = questions.into_iter().map(|question| {
                        let answer = Ok(price(workload, &question, planner));
                        (question, answer)
                    });
                    let answers: Vec<_> = answers.collect();
                    selector.feed(answers);
                }
            }
        };
        let assembly = Assembly {
            other_version: None,
            cx,
            candidates: &self.candidates,
            selection: &selection,
            selector: &selector,
            answerer,
        };
        let (actions, refusals) = assemble::actions(&assembly);
        Outcome { actions, refusals, selection }
    }
}

fn price(
    workload: &[Analyzed],
    question: &Question,
    planner: &dyn Fn(&Question) -> Value,
) -> Price {
    let before = workload[question.statement].plans[question.binding].as_ref().expect("a plan");
    let plan = plan_of(&planner(question));
    let idle = question.configuration.is_empty() || plan.shape() == before.shape();
    let used = if idle { Configuration::new() } else { question.configuration.clone() };
    Price { plan, used }
}

/// A planner for which an index takes the cost to this, with any cache.
pub(crate) fn indexed(cost: f64) -> impl Fn(&Question) -> Value {
    move |question| {
        if question.configuration.is_empty() { seq_scan(1000.0, 10.0) } else { index_scan(cost) }
    }
}

/// The same, but what a small cache makes of it.
pub(crate) fn with_tiny(cost: f64, tiny: f64) -> impl Fn(&Question) -> Value {
    move |question| match (question.configuration.is_empty(), question.cache) {
        (true, _) => seq_scan(1000.0, 10.0),
        (false, Cache::AsSet) => index_scan(cost),
        (false, Cache::Tiny) => index_scan(tiny),
    }
}

/// The actions, one a line: what is run, without the index's name.
pub(crate) fn lines(actions: &[Action]) -> Vec<String> {
    let line = |action: &Action| match &action.operation {
        rules::change_plan::Operation::CreateIndex { definition, .. } => {
            format!("index {}({})", definition.table, definition.brief())
        }
        rules::change_plan::Operation::DropIndex { index } => format!("drop {}", index.name),
        rules::change_plan::Operation::Analyze => format!("analyze {}", action.table.name),
        rules::change_plan::Operation::CreateStatistics { definition, .. } => {
            format!("statistics {}", definition.canonical())
        }
        rules::change_plan::Operation::Vacuum => format!("vacuum {}", action.table.name),
    };
    actions.iter().map(line).collect()
}

/// The facts behind an action, as sentences.
pub(crate) fn facts(action: &Action) -> Vec<String> {
    action.confidence.terms.iter().map(|term| term.fact.to_string()).collect()
}
