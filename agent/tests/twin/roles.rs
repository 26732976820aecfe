//! Statements are planned under the settings of the role that runs them, on the server and on the twin.

use std::collections::BTreeMap;

use agent::conninfo::ConnInfo;
use agent::optimize::{Options, Source as From, WhatIfChoice, check_twin, propose};
use agent::postgres::Meter;
use agent::sampler::SampleOptions;
use agent::twin::TwinOptions;
use rules::report::Report;

use crate::harness::{Source, connect, versions};

const SCHEMA: &str = "
CREATE TABLE public.visit (id int PRIMARY KEY, who int NOT NULL, page int NOT NULL, note text NOT NULL);
CREATE INDEX visit_who ON public.visit (who);
INSERT INTO public.visit SELECT i, i % 5000, i % 700, repeat('x', 40) FROM generate_series(1, 100000) AS i;
VACUUM ANALYZE public.visit;
CREATE ROLE scanner LOGIN;
CREATE ROLE plain LOGIN;
GRANT SELECT ON public.visit TO scanner, plain;
ALTER ROLE scanner SET enable_indexscan = off;
ALTER ROLE scanner SET enable_bitmapscan = on;
ALTER ROLE scanner IN DATABASE app SET enable_bitmapscan = off;
ALTER ROLE scanner SET statement_timeout = '1min';
ALTER DATABASE app SET cpu_tuple_cost = 0.02;
ALTER ROLE postgres SET seq_page_cost = 3;
ALTER ROLE plain SET effective_cache_size = '1GB';
ALTER ROLE plain SET cpu_tuple_cost = 0.5;
ALTER ROLE plain SET plan_cache_mode = 'force_generic_plan'
";

const BY_SCANNER: &str = "SELECT * FROM public.visit WHERE who = 77";
const BY_PLAIN: &str = "SELECT id, note FROM public.visit WHERE who = 77";

fn options(what_if: WhatIfChoice) -> Options {
    Options {
        sample: SampleOptions::default(),
        min_confidence: 0.9,
        storage_budget: None,
        what_if,
        twin: TwinOptions::default(),
        explain_as: None,
    }
}

/// The cost of the one statement that has this text.
fn cost(report: &Report, text: &str) -> f64 {
    let of = |statement: &&rules::report::StatementReport| statement.text.starts_with(text);
    report.statements.iter().find(of).and_then(|statement| statement.cost).expect("it has a plan")
}

/// What the role itself is told.
async fn told(source: &Source, role: &str, statement: &str) -> f64 {
    let session = connect(&format!("{} user={role}", source.cluster.conninfo("app"))).await;
    session.batch_execute(statement).await.unwrap();
    crate::harness::plan(&session, statement).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_planned_under_its_roles_settings() {
    for binaries in versions(&[15, 18]) {
        let source = Source::start(&binaries, SCHEMA).await;
        source.run("SELECT pg_stat_statements_reset()").await;
        let scanned = told(&source, "scanner", BY_SCANNER).await;
        let fetched = told(&source, "plain", BY_PLAIN).await;
        assert!(scanned > 3.0 * fetched, "{scanned} {fetched}");
        let conninfo = source.cluster.conninfo("app");
        let info = ConnInfo::resolve(Some(&conninfo), &|_| None).unwrap();
        let meter = Meter::new();

        let sample = SampleOptions::default();
        let (plain, mut quiet) = (TwinOptions::default(), |_| {});
        let checking = check_twin(&info, None, &meter, &sample, &plain, &mut quiet);
        let checked = Box::pin(checking).await.unwrap();
        let settings = |text: &str| -> BTreeMap<String, String> {
            let of = |statement: &&rules::snapshot::Statement| statement.text.starts_with(text);
            checked.snapshot.statements.iter().find(of).unwrap().settings.clone()
        };
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let scanner =
            [("enable_bitmapscan", "off"), ("enable_indexscan", "off"), ("seq_page_cost", "1")];
        assert_eq!(settings("SELECT * FROM public.visit"), pairs(&scanner));
        assert_eq!(settings("SELECT id")["seq_page_cost"], "1", "not the role's that looks");
        let mut compared = 0;
        for checked in checked.checked.iter().filter(|checked| checked.binding.is_some()) {
            let comparison = checked.outcome.as_ref().unwrap();
            assert!(comparison.same_plan && comparison.same_cost(), "{comparison:?}");
            compared += 1;
        }
        assert!(compared >= 2);

        let bare = options(WhatIfChoice::None);
        let live = propose(From::Server(&info), &meter, &bare, &mut |_| {}).await.unwrap();
        let asked = ConnInfo::resolve(Some(&format!("{conninfo} user=plain")), &|_| None).unwrap();
        let other = Options { explain_as: Some(asked), ..bare };
        let other = propose(From::Server(&info), &meter, &other, &mut |_| {}).await.unwrap();
        let file = From::File(Box::new(checked.snapshot.clone()));
        let filed = propose(file, &meter, &options(WhatIfChoice::Twin), &mut |_| {}).await.unwrap();
        for report in [&live.report, &other.report, &filed.report] {
            let (by_scanner, by_plain) =
                (cost(report, "SELECT * FROM public.visit"), cost(report, "SELECT id"));
            assert!((by_scanner / scanned - 1.0).abs() < 0.01, "{by_scanner} {scanned}");
            assert!(by_plain < scanned / 3.0, "{by_plain}");
        }
        source.cluster.stop().await;
    }
}
