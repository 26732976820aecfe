//! The processes that are killed: the program takes back, and this test binary, started anew, carries a plan out.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use agent::applier::{ApplyOptions, Effect, apply};
use agent::conninfo::ConnInfo;
use agent::postgres::Meter;
use rules::change_plan::ChangePlan;
use uuid::Uuid;

use crate::harness::Killer;

/// Names of the variables through which the started process learns what to do.
const CONNECTION: &str = "PGWRIGHT_FAULTS_CONNECTION";
const PLAN: &str = "PGWRIGHT_FAULTS_PLAN";
/// Longer than any run takes, so that a hang is a violation and not a stalled test.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a run ended: well, with an error, or killed; and what it said.
pub(crate) struct Ended {
    pub(crate) well: bool,
    pub(crate) hung: bool,
    pub(crate) said: String,
}

/// Carries the plan out in a process of its own, or without a plan takes everything back by `pgwright rollback`.
pub(crate) fn run(connection: &str, plan: Option<&Path>, killer: &Killer, said: &Path) -> Ended {
    let output = std::fs::File::create(said).unwrap();
    let mut command = if let Some(plan) = plan {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "faults::runs::as_a_process_of_its_own", "--nocapture"])
            .env(CONNECTION, connection)
            .env(PLAN, plan);
        command
    } else {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgwright"));
        command.args(["rollback", "--all", "-d", connection]);
        command
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
    killer.start(&mut command);
    let status = killer.wait(PATIENCE);
    if status.is_none() {
        killer.kill();
    }
    Ended {
        well: status.is_some_and(|status| status.success()),
        hung: status.is_none(),
        said: std::fs::read_to_string(said).unwrap(),
    }
}

/// Not a test where nobody asks for anything.
#[tokio::test]
async fn as_a_process_of_its_own() {
    let Ok(connection) = std::env::var(CONNECTION) else { return };
    let info = ConnInfo::resolve(Some(&connection), &|_| None).unwrap();
    let options = ApplyOptions::default();
    let plan = std::fs::read_to_string(std::env::var(PLAN).unwrap()).unwrap();
    let plan: ChangePlan = serde_json::from_str(&plan).unwrap();
    let outcomes = apply(&info, &Meter::new(), &plan, Uuid::new_v4(), &options, &mut |_| {}).await;
    let outcomes = outcomes.unwrap_or_else(|error| panic!("{error}: {error:?}"));
    let bad = outcomes
        .iter()
        .find(|outcome| matches!(outcome.effect, Effect::Failed { .. } | Effect::Refused { .. }));
    assert!(bad.is_none(), "{bad:?}");
}
