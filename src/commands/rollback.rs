//! `pgwright rollback`: undoes what the journal holds.

use agent::applier::ApplyOptions;
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
    let options = ApplyOptions { stop: Some(stopped), ..ApplyOptions::default() };
    let progress = Progress::new(call.progress);
    let mut show = |event| progress.applying(&event);
    let work = Box::pin(rollback(&info, &call.meter, which(args)?, &options, &mut show));
    let outcomes = stoppable(work, &stop).await?.map_err(|error| applying(&error))?;
    drop(progress);
    let outcomes: Vec<Outcome> = outcomes.iter().map(Outcome::from).collect();
    let failed =
        outcomes.iter().any(|outcome| matches!(outcome.result, Ending::Failed | Ending::Refused));
    if failed || !call.quiet {
        output::deliver(&human::undone(&outcomes, output::width(), call.verbose > 0), None)?;
    }
    Ok(if failed { Exit::Action } else { Exit::Success })
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
