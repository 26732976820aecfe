//! What is taken back is as it was: random change plans over random schemas, and `pg_dump -s` before and after.
//!
//! Each plan is applied and rolled back, then applied by a process that is killed at a random message and rolled back
//! directly, then applied and rolled back by a process that is killed, and rolled back again. Some plans run here;
//! `make dumps` runs fifty (`PGWRIGHT_DUMPS=50`), and `PGWRIGHT_DUMPS=7..8` only that of seed 7.

mod index;
mod names;
mod plans;
mod random;
mod schema;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;

use agent::applier::{ApplyOptions, Effect, Outcome, apply};
use agent::conninfo::ConnInfo;
use agent::postgres::{Meter, Purpose, Session};
use agent::sampler::{SampleOptions, sample};
use rules::change_plan::{ChangePlan, Operation};
use rules::intake::WorkloadFile;
use uuid::Uuid;

use crate::faults::runs;
use crate::harness::{
    Fault, Harm, Killer, Moment, Proxy, Side, TestDatabase, binaries, cli, database, say,
};
use random::Random;

/// How many plans are tried where nobody asks for more.
const SOME: u64 = 4;
/// What is told of a run of many plans: kind and what became of it -> how often.
type Tally = BTreeMap<String, usize>;

fn seeds() -> Range<u64> {
    let wanted = std::env::var("PGWRIGHT_DUMPS").unwrap_or_default();
    match wanted.split_once("..") {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..wanted.parse().unwrap_or(SOME),
    }
}

/// Makes the tablespaces that random indexes go to; none where the version cannot make them without a folder.
async fn spaces(db: &TestDatabase) -> Vec<String> {
    if db.major() < 15 {
        return Vec::new();
    }
    let names = ["dumps plain", "Dumps \"fast\" größe"].map(str::to_owned);
    db.sql("SET allow_in_place_tablespaces = on").await;
    for name in &names {
        db.sql(&format!("CREATE TABLESPACE {} LOCATION ''", rules::quote::ident(name))).await;
    }
    names.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn rolled_back_plans_leave_the_schema_as_it_was() {
    let Some(first) = database().await else { return };
    let spaces = spaces(&first).await;
    let (mut tally, mut wrong) = (Tally::new(), Vec::new());
    let seeds = seeds();
    for seed in seeds.clone() {
        let Some(db) = database().await else { return };
        let Some(mut case) = Case::new(&db, seed, &spaces).await else { return };
        wrong.extend(case.in_peace(&mut tally).await);
        wrong.extend(case.killed_forward(&mut tally).await);
        wrong.extend(case.killed_backward(&mut tally).await);
    }
    say(&format!("{} plans, {} differences; {tally:?}", seeds.count(), wrong.len()));
    assert_eq!(wrong, Vec::<String>::new());
    for kind in [
        "create_index applied",
        "drop_index applied",
        "analyze applied",
        "create_statistics applied",
        "vacuum applied",
        "create_index of a partitioned table applied",
        "killed forward",
        "killed backward",
    ] {
        assert!(tally.get(kind).is_some_and(|times| *times > 0), "never: {kind}");
    }
}

/// One schema, and the plans over it.
struct Case<'a> {
    db: &'a TestDatabase,
    seed: u64,
    random: Random,
    dump: PathBuf,
    proxy: Proxy,
    folder: tempfile::TempDir,
    before: String,
    /// How many messages a run of the plan, and its undo, sends.
    messages: [usize; 2],
}

impl<'a> Case<'a> {
    /// Makes the schema; none where the server's programs lack `pg_dump`.
    async fn new(db: &'a TestDatabase, seed: u64, spaces: &[String]) -> Option<Self> {
        let dump = binaries()?.bin.join("pg_dump");
        if !dump.exists() {
            say("SKIPPED: there is no pg_dump of the server's version");
            return None;
        }
        db.sql(&schema::script(&mut Random::new(seed), spaces)).await;
        let proxy = Proxy::start(&db.socket(), "pgwright/apply");
        let folder = tempfile::tempdir().unwrap();
        let random = Random::new(!seed);
        let (before, messages) = (String::new(), [1; 2]);
        let mut case = Self { db, seed, random, dump, proxy, folder, before, messages };
        case.before = case.dumped();
        Some(case)
    }

    fn dumped(&self) -> String {
        let mut command = Command::new(&self.dump);
        let socket = self.db.socket();
        let port = socket.extension().unwrap().to_str().unwrap();
        command.args(["-s", "-N", "pgwright", "-U", "postgres", "-p", port, "-h"]);
        let output = command.arg(socket.parent().unwrap()).arg(self.db.name()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        // Later minor versions put a random key around the dump.
        text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// The plan of this seed over the schema as it is now: what was made again has other oids.
    async fn plan(&self) -> ChangePlan {
        let info = ConnInfo::resolve(Some(&self.db.conninfo()), &|_| None).unwrap();
        let session = Session::connect(&info, Purpose::Sample, &Meter::new()).await.unwrap();
        let text = "SELECT 1 FROM nothing".to_owned();
        let workload = Some(vec![WorkloadFile { name: "none".into(), text }]);
        let options = SampleOptions { workload, ..SampleOptions::default() };
        let snapshot = sample(&session, &options).await.unwrap();
        session.close().await;
        plans::plan(&mut Random::new(self.seed.wrapping_mul(31)), &snapshot)
    }

    /// Applies the plan, through the proxy and without harm; the ids of what is done in parts, and what became of all.
    async fn applied(&self) -> (Vec<String>, Vec<Outcome>) {
        self.db.sql("DROP SCHEMA IF EXISTS pgwright CASCADE").await;
        let plan = self.plan().await;
        self.proxy.arm(None);
        let info =
            ConnInfo::resolve(Some(&self.proxy.conninfo(self.db.name())), &|_| None).unwrap();
        let options = ApplyOptions::default();
        let outcomes = apply(&info, &Meter::new(), &plan, Uuid::new_v4(), &options, &mut |_| {})
            .await
            .unwrap();
        let of_parts = plan.actions.iter().filter(|action| match &action.operation {
            Operation::CreateIndex { parts, .. } => !parts.is_empty(),
            _ => false,
        });
        (of_parts.map(|action| action.id().to_owned()).collect(), outcomes)
    }

    /// How many messages were sent since the proxy was armed.
    fn sent(&self) -> usize {
        self.proxy.seen().iter().filter(|message| message.side == Side::Client).count()
    }

    /// What is wrong after everything was taken back by the command line.
    fn rolled_back(&self, when: &str) -> Vec<String> {
        self.proxy.arm(None);
        let output = cli(&["rollback", "--all", "-d", &self.proxy.conninfo(self.db.name())]);
        let mut wrong = Vec::new();
        if output.status != Some(0) {
            wrong.push(format!("seed {}, {when}: rollback ended badly: {output:?}", self.seed));
        }
        let after = self.dumped();
        let lines = |text: &str, other: &str| -> Vec<String> {
            let other: Vec<&str> = other.lines().collect();
            text.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect()
        };
        if after != self.before {
            let (more, less) = (lines(&after, &self.before), lines(&self.before, &after));
            wrong.push(format!("seed {}, {when}: more {more:#?}, less {less:#?}", self.seed));
        }
        wrong
    }

    async fn in_peace(&mut self, tally: &mut Tally) -> Vec<String> {
        let (of_parts, outcomes) = self.applied().await;
        let mut wrong = Vec::new();
        for outcome in &outcomes {
            let became = match &outcome.effect {
                Effect::Applied { .. } => "applied",
                Effect::AlreadyThere { .. } => "there already",
                Effect::Refused { .. } => "refused",
                other => {
                    wrong.push(format!("seed {}: {outcome:?} {other:?}", self.seed));
                    "failed"
                }
            };
            let whole =
                if of_parts.contains(&outcome.action) { " of a partitioned table" } else { "" };
            *tally.entry(format!("{}{whole} {became}", outcome.kind)).or_default() += 1;
        }
        let changed = outcomes.iter().any(|outcome| {
            !matches!(outcome.kind.as_str(), "analyze" | "vacuum")
                && matches!(outcome.effect, Effect::Applied { .. })
        });
        if changed == (self.dumped() == self.before) {
            wrong.push(format!("seed {}: the dump does not show what was applied", self.seed));
        }
        self.messages[0] = self.sent();
        wrong.extend(tokio::task::block_in_place(|| self.rolled_back("in peace")));
        self.messages[1] = self.sent();
        wrong
    }

    /// Runs a process that is killed at a random message, and counts whether it was.
    fn killed(&mut self, plan: Option<&ChangePlan>, name: &str, tally: &mut Tally) {
        let (file, said) = (self.folder.path().join("plan.json"), self.folder.path().join("said"));
        if let Some(plan) = plan {
            std::fs::write(&file, serde_json::to_string(plan).unwrap()).unwrap();
        }
        let killer = Killer::default();
        let number = 1 + self.random.below(self.messages[usize::from(plan.is_none())]);
        let moment = *self.random.pick(&[Moment::Before, Moment::After]);
        let harm = Harm::Kill(killer.clone());
        self.proxy.arm(Some(Fault { side: Side::Client, with: "", number, moment, harm }));
        let connection = self.proxy.conninfo(self.db.name());
        runs::run(&connection, plan.map(|_| file.as_path()), &killer, &said);
        *tally.entry(format!("killed {name}")).or_default() += usize::from(self.proxy.struck());
    }

    async fn killed_forward(&mut self, tally: &mut Tally) -> Vec<String> {
        self.db.sql("DROP SCHEMA IF EXISTS pgwright CASCADE").await;
        let plan = self.plan().await;
        tokio::task::block_in_place(|| {
            self.killed(Some(&plan), "forward", tally);
            self.rolled_back("killed while it was applied")
        })
    }

    async fn killed_backward(&mut self, tally: &mut Tally) -> Vec<String> {
        self.applied().await;
        tokio::task::block_in_place(|| {
            self.killed(None, "backward", tally);
            self.rolled_back("killed while it was rolled back")
        })
    }
}
