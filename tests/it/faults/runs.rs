//! The process that is killed: this test binary, started anew, carries a plan out or takes it back.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use agent::applier::{ApplyOptions, Effect, apply};
use agent::conninfo::ConnInfo;
use agent::journal::Which;
use agent::postgres::Meter;
use agent::rollback::rollback;
use rules::change_plan::ChangePlan;
use uuid::Uuid;

use crate::harness::Killer;

/// Names of the variables through which the started process learns what to do.
const CONNECTION: &str = "PGWRIGHT_FAULTS_CONNECTION";
const PLAN: &str = "PGWRIGHT_FAULTS_PLAN";
/// Longer than any run takes, so that a hang is a violation and not a stalled test.
const PATIENCE: Duration = Duration::from_mins(2);

/// How a run ended: well, with an error, or killed; and what it said.
pub(super) struct Ended {
    pub(super) well: bool,
    pub(super) hung: bool,
    pub(super) said: String,
}

/// Carries the plan out in a process of its own, or without a plan takes everything back.
pub(super) fn run(connection: &str, plan: Option<&Path>, killer: &Killer, said: &Path) -> Ended {
    let output = std::fs::File::create(said).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "faults::runs::as_a_process_of_its_own", "--nocapture"])
        .env(CONNECTION, connection)
        .env_remove(PLAN)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output);
    if let Some(plan) = plan {
        command.env(PLAN, plan);
    }
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
    let outcomes = match std::env::var(PLAN) {
        Ok(path) => {
            let plan = std::fs::read_to_string(path).unwrap();
            let plan: ChangePlan = serde_json::from_str(&plan).unwrap();
            apply(&info, &Meter::new(), &plan, Uuid::new_v4(), &options, &mut |_| {}).await
        }
        Err(_) => rollback(&info, &Meter::new(), Which::All, &options, &mut |_| {}).await,
    };
    let outcomes = outcomes.unwrap_or_else(|error| panic!("{error}: {error:?}"));
    let bad = outcomes
        .iter()
        .find(|outcome| matches!(outcome.effect, Effect::Failed { .. } | Effect::Refused { .. }));
    assert!(bad.is_none(), "{bad:?}");
}
