//! `pgwright rollback`: undoes what the journal holds.

use agent::applier::ApplyOptions;
use agent::conninfo::ConnInfo;
use agent::journal::Which;
use agent::rollback::rollback;
use chrono::Utc;
use tokio::sync::watch;

use super::Call;
use super::optimize::{applying, stoppable};
use crate::cli::RollbackArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Ending, Outcome, human};
use crate::progress::Progress;

/// Undoes what was asked for and prints what came of each.
pub(crate) async fn run(call: &Call, args: &RollbackArgs) -> Result<Exit, Failure> {
    let info = call.conninfo()?;
    let (stop, stopped) = watch::channel(false);
    let work = Box::pin(undo(call, &info, which(args)?, Some(stopped)));
    let outcomes = stoppable(work, &stop).await??;
    let exit = exit(&outcomes);
    if exit != Exit::Success || !call.quiet {
        output::deliver(&human::undone(&outcomes, output::width(), call.verbose > 0), None)?;
    }
    Ok(exit)
}

/// Undoes that part of the journal, with progress, until `stop` becomes true.
pub(super) async fn undo(
    call: &Call,
    info: &ConnInfo,
    which: Which,
    stop: Option<watch::Receiver<bool>>,
) -> Result<Vec<Outcome>, Failure> {
    let usual = call.settings.limits.apply_options(call.settings.lock_wait);
    let options = ApplyOptions { stop, ..usual };
    let progress = Progress::new(call.progress);
    let mut show = |event| {
        call.log.applying(&event);
        progress.applying(&event);
    };
    let outcomes = rollback(info, &call.meter, which, &options, &mut show)
        .await
        .map_err(|error| applying(&error))?;
    Ok(outcomes.iter().map(Outcome::from).collect())
}

/// The exit code that tells of it.
pub(super) fn exit(outcomes: &[Outcome]) -> Exit {
    let failed = |outcome: &Outcome| matches!(outcome.result, Ending::Failed | Ending::Refused);
    if outcomes.iter().any(failed) { Exit::Action } else { Exit::Success }
}

fn which(args: &RollbackArgs) -> Result<Which, Failure> {
    match (args.id, args.run, args.since, args.all) {
        (Some(id), None, None, false) => Ok(Which::Id(id)),
        (None, Some(run), None, false) => Ok(Which::Run(run)),
        (None, None, Some(since), false) => Ok(Which::Since(since.instant(Utc::now()))),
        (None, None, None, true) => Ok(Which::All),
        // The command line sees to that; but nothing is undone on a guess.
        _ => Err(Failure::new(Exit::Usage, "give exactly one of ID, --run, --since and --all")),
    }
}

#[cfg(test)]
mod tests {
    use agent::journal::Which;
    use clap::Parser as _;

    use super::which;
    use crate::cli::{Cli, Command};

    #[test]
    fn each_choice_means_its_part_of_the_journal() {
        let chosen = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Rollback(args) => which(&args).unwrap(),
            _ => panic!("not rollback"),
        };
        assert_eq!(chosen("pgwright rollback 7"), Which::Id(7));
        assert_eq!(chosen("pgwright rollback --all"), Which::All);
        assert!(matches!(chosen("pgwright rollback --since 2h"), Which::Since(_)));
        let run = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert_eq!(
            chosen(&format!("pgwright rollback --run {run}")),
            Which::Run(run.parse().unwrap())
        );
    }
}
