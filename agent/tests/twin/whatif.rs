//! What the twin says of indexes that do not exist is what the source says once they do.

use std::collections::BTreeMap;

use agent::twin::{Twin, TwinOptions};
use agent::whatif::twin::TwinWhatIf;
use planparse::Plan;
use rules::bindings::Binding;
use rules::candidate::{Candidate, Change};
use rules::context::Analyzed;
use rules::index::{IndexDefinition, Key, Term};
use rules::reach::Reach;
use rules::snapshot::{Snapshot, Statement};
use rules::statement::analyze;
use rules::whatif::{Cache, Configuration, Question};

use crate::fidelity::{ROWS, SCHEMA, STATEMENTS};
use crate::harness::{Source, say, versions};

/// Adds statements to a snapshot and analyzes them.
fn workload(snapshot: &mut Snapshot, texts: &[&str]) -> Vec<Analyzed> {
    let mut workload = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        snapshot.statements.push(Statement {
            id: format!("{number:016}"),
            queryids: Vec::new(),
            text: (*text).to_owned(),
            role: None,
            search_path: vec!["public".to_owned()],
            settings: BTreeMap::new(),
            calls: 1,
            total_ms: None,
            rows: None,
            blocks: None,
            examples: Vec::new(),
        });
        let analysis = analyze(text, snapshot, &["public".to_owned()]).unwrap();
        let only = Binding { values: Vec::new(), weight: 1.0, label: "only".to_owned() };
        workload.push(Analyzed {
            statement: snapshot.statements.len() - 1,
            analysis,
            text: (*text).to_owned(),
            bindings: vec![only],
            plans: Vec::new(),
        });
    }
    workload
}

fn index(snapshot: &Snapshot, table: &str, method: &str, keys: Vec<Key>) -> IndexDefinition {
    let table = snapshot.table_named("shop", table).unwrap();
    IndexDefinition { method: method.to_owned(), ..IndexDefinition::btree(table, keys) }
}

fn candidate(change: Change) -> Candidate {
    Candidate {
        rules: vec!["test"],
        change,
        reach: Reach::Act,
        serves: Vec::new(),
        facts: Vec::new(),
        own_gain_ms_per_day: 0.0,
    }
}

fn candidates(snapshot: &Snapshot) -> Vec<Candidate> {
    let column = Key::column;
    let class = |name: &str, class: &str| Key { opclass: Some(class.to_owned()), ..column(name) };
    let expression = Key::ordered(Term::Expression("upper(name)".to_owned()), false, false);
    let definitions = [
        index(snapshot, "orders", "btree", vec![column("total")]),
        index(snapshot, "orders", "btree", vec![column("state"), column("placed")]),
        IndexDefinition {
            predicate: Some("state = 'paid'".to_owned()),
            ..index(snapshot, "orders", "btree", vec![column("total")])
        },
        index(snapshot, "customer", "btree", vec![expression]),
        index(snapshot, "orders", "gin", vec![column("tags")]),
        index(snapshot, "orders", "gin", vec![class("notes", "jsonb_path_ops")]),
        index(snapshot, "event", "gist", vec![column("body")]),
        index(snapshot, "orders", "brin", vec![column("placed")]),
        index(snapshot, "customer", "hash", vec![column("name")]),
        IndexDefinition {
            include: vec!["quantity".to_owned()],
            ..index(snapshot, "item", "btree", vec![column("product")])
        },
    ];
    let create = |definition: IndexDefinition| {
        let table = snapshot.table_named(&definition.schema, &definition.table).unwrap().oid;
        candidate(Change::CreateIndex { table, definition })
    };
    let mut all: Vec<Candidate> = definitions.into_iter().map(create).collect();
    let orders = snapshot.table_named("shop", "orders").unwrap();
    let gone = orders.indexes.iter().find(|index| index.name == "orders_customer").unwrap();
    all.push(candidate(Change::DropIndex { table: orders.oid, index: Box::new(gone.clone()) }));
    all
}

const TRIED: &[&str] = &[
    "SELECT * FROM shop.orders WHERE total > 1000",
    "SELECT * FROM shop.orders WHERE state = 'paid' AND placed > '2022-10-01' ORDER BY placed LIMIT 20",
    "SELECT * FROM shop.orders WHERE state = 'paid' AND total < 3",
    "SELECT * FROM shop.customer WHERE upper(name) = 'NAME 7'",
    "SELECT * FROM shop.orders WHERE tags @> ARRAY['a3', 'b1']",
    "SELECT * FROM shop.orders WHERE notes @> '{\"k\": 5}'",
    "SELECT * FROM shop.event WHERE body @@ 'word7 & other3'::tsquery",
    "SELECT count(*) FROM shop.orders WHERE placed BETWEEN '2021-03-01' AND '2021-03-09'",
    "SELECT * FROM shop.customer WHERE name = 'name 77'",
    "SELECT product, sum(quantity) FROM shop.item WHERE product < 9 GROUP BY product",
    "SELECT * FROM shop.orders WHERE customer = 77",
];

/// The plan without the names of indexes that the source does not have by itself.
fn shape(plan: &Plan, snapshot: &Snapshot) -> String {
    let all = || snapshot.tables.iter().flat_map(|table| &table.indexes);
    let mut shape = plan.shape();
    for name in plan.indexes_used() {
        if !all().any(|index| index.name == name) {
            shape = shape.replace(&name, "new");
        }
    }
    shape
}

async fn real(source: &Source, statement: &str) -> Plan {
    let row =
        source.client.query_one(&format!("EXPLAIN (FORMAT JSON) {statement}"), &[]).await.unwrap();
    let json: serde_json::Value = row.get(0);
    planparse::parse(&json.to_string()).unwrap().remove(0).plan
}

/// Prices every statement under configurations that were not asked about, and says how long one took.
async fn time(whatif: &mut TwinWhatIf<'_, '_>, statements: usize) {
    let ask = |(statement, without): (usize, usize)| Question {
        statement,
        binding: 0,
        configuration: (0..9).filter(|candidate| *candidate != without).collect(),
        cache: Cache::Tiny,
    };
    let pairs =
        (0..statements).flat_map(|statement| (0..9).map(move |without| (statement, without)));
    let questions: Vec<Question> = pairs.map(ask).collect();
    let (since, count) = (std::time::Instant::now(), questions.len());
    whatif.answer(questions, &mut |_| ()).await.unwrap();
    say(&format!("{count} prices, {:?} each", since.elapsed() / u32::try_from(count).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_those_of_real_indexes() {
    for binaries in versions(&[15, 18]) {
        let source = Source::start(&binaries, SCHEMA).await;
        for sql in ROWS.split(";\n").filter(|sql| !sql.trim().is_empty()) {
            source.run(sql).await;
        }
        // What building an index notes of its table is what the planner goes by already.
        source.run("VACUUM FULL shop.orders").await;
        source.run("VACUUM ANALYZE").await;
        let mut snapshot = source.snapshot().await;
        let tried = workload(&mut snapshot, &[TRIED, STATEMENTS].concat());
        let candidates = candidates(&snapshot);
        let options = TwinOptions { workers: 2, ..TwinOptions::default() };
        let mut twin = Twin::build(&snapshot, &options).await.unwrap();
        let mut whatif = TwinWhatIf::new(&mut twin, &snapshot, &tried, &candidates).await.unwrap();
        let ask = |statement: usize, configuration: Configuration| Question {
            statement,
            binding: 0,
            configuration,
            cache: Cache::AsSet,
        };
        let mut questions: Vec<Question> = (0..TRIED.len())
            .flat_map(|place| [ask(place, [place].into()), ask(place, Configuration::new())])
            .collect();
        let everything: Configuration = (0..TRIED.len() - 1).collect();
        questions.extend((0..tried.len()).map(|statement| ask(statement, everything.clone())));
        let mut seen = 0;
        let answers = whatif.answer(questions, &mut |done| seen = done).await.unwrap();
        assert_eq!(seen, answers.len());
        let mut apart = Vec::new();
        let mut hold = |question: &Question, mine: &Plan, answer: &rules::whatif::Answer| {
            let text = &tried[question.statement].text;
            match answer {
                Ok(price) => {
                    let ratio = price.total_cost() / mine.total_cost();
                    let same = shape(mine, &snapshot) == shape(&price.plan, &snapshot);
                    let used = (mine.indexes_used(), price.plan.indexes_used());
                    say(&format!("{same} {ratio:.3} {:?} {used:?} {text}", question.configuration));
                    if !same || !(0.92..1.08).contains(&ratio) {
                        let (mine, theirs) =
                            (shape(mine, &snapshot), shape(&price.plan, &snapshot));
                        apart.push(format!("{text}\n{ratio}\n{mine}\n{theirs}"));
                    }
                }
                Err(reason) => apart.push(format!("{text}: {reason}")),
            }
        };
        for (question, answer) in &answers[..2 * TRIED.len()] {
            let change = question.configuration.first().map(|c| &candidates[*c].change);
            let make = match change {
                Some(Change::CreateIndex { definition, .. }) => {
                    format!("CREATE INDEX real ON {}", &definition.canonical()[3..])
                }
                Some(Change::DropIndex { .. }) => "DROP INDEX shop.orders_customer".to_owned(),
                _ => "SELECT".to_owned(),
            };
            source.run(&format!("BEGIN; {make}")).await;
            hold(question, &real(&source, TRIED[question.statement]).await, answer);
            source.run("ROLLBACK").await;
        }
        for candidate in &candidates {
            if let Change::CreateIndex { definition, .. } = &candidate.change {
                source.run(&format!("CREATE INDEX {}", definition.canonical())).await;
            }
        }
        for (question, answer) in &answers[2 * TRIED.len()..] {
            hold(question, &real(&source, &tried[question.statement].text).await, answer);
        }
        time(&mut whatif, tried.len()).await;
        whatif.finish().await.unwrap();
        assert!(apart.is_empty(), "PostgreSQL {}:\n{}", binaries.major, apart.join("\n\n"));
        source.run("DROP SCHEMA shop CASCADE").await;
        twin.stop().await;
        source.cluster.stop().await;
    }
}
