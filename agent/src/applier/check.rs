//! Asks the guards whether the premises of an action hold. Every reason names what a person can do about it.

use std::time::{Duration, Instant};

use rules::change_plan::TableRef;
use rules::guards::{
    Blocker, Judgement, Limits, Premises, Scope, ServerFacts, Spent, TableFacts, Target, Work,
    judge,
};
use rules::index::IndexDefinition;
use rules::partitions::Part;
use rules::protocol::Found;

use super::runner::Runner;
use super::{ApplyError, Event, catalog};
use crate::guards::{self, Expected, GuardError};
use crate::postgres::Session;

/// What a check answers: the way is free, or the reason why not.
pub(super) type Checked<T> = Result<T, String>;

/// Says what guards noted, and returns the reason of the first that refused.
fn heard(judgement: &Judgement) -> Checked<()> {
    for (guard, note) in &judgement.notes {
        tracing::info!(guard, note, "a guard notes");
    }
    for (guard, reason) in &judgement.refusals {
        tracing::info!(guard, reason, "a guard refuses");
    }
    judgement.reason().map_or(Ok(()), |reason| Err(reason.to_owned()))
}

/// Asks the guards of some scopes.
fn ask(
    runner: &Runner<'_>,
    scopes: &[Scope],
    server: &ServerFacts,
    target: Option<Target<'_>>,
) -> Checked<()> {
    let limits = &runner.options.guards.limits;
    heard(&judge(scopes, &Premises { server, limits, spent: runner.spent, target }))
}

/// Asks whether anything can and should be changed on this server, by our session.
pub(super) async fn server(session: &Session, limits: &Limits) -> Result<(), ApplyError> {
    let look = ApplyError::while_doing("look at the settings of our session");
    let facts = guards::of_session(session).await.map_err(look)?;
    let premises = Premises { server: &facts, limits, spent: Spent::default(), target: None };
    heard(&judge(&[Scope::Server], &premises)).map_err(|reason| ApplyError::Refused { reason })
}

/// Asks whether a run may begin, or go on; for how long, where there is a window.
pub(super) async fn run(runner: &Runner<'_>) -> Result<Checked<Option<Duration>>, ApplyError> {
    let mut facts = ServerFacts::default();
    read_run(runner, &mut facts).await?;
    let asked = ask(runner, &[Scope::Run], &facts, None);
    let window = runner.options.guards.limits.window.as_ref();
    let now = facts.local_time.and_then(Result::ok);
    Ok(asked.map(|()| window.and_then(|window| window.left(now?))))
}

async fn read_run(runner: &Runner<'_>, facts: &mut ServerFacts) -> Result<(), ApplyError> {
    guards::for_run(&runner.session, &runner.options.guards, facts).await.map_err(|error| {
        match error {
            GuardError::Server(source) => {
                ApplyError::Server { doing: "look whether the run may go on", source }
            }
            GuardError::Journal(error) => ApplyError::Journal(error),
        }
    })
}

/// Looks the table up and asks the guards of a table.
pub(super) async fn table(
    runner: &Runner<'_>,
    planned: &TableRef,
    work: Work,
) -> Result<Checked<TableFacts>, ApplyError> {
    let look = ApplyError::while_doing("look at the table again");
    let table = match guards::table(&runner.session, planned, work).await.map_err(look)? {
        guards::Found::Table(table) => table,
        guards::Found::Refused(reason) => return Ok(Err(reason)),
    };
    let target = Some(Target { work, table: &table, index: None });
    let asked = ask(runner, &[Scope::Table], &ServerFacts::default(), target);
    Ok(asked.map(|()| table))
}

/// Asks the guards of a new index, and those of the run again in the light of it.
pub(super) async fn new_index(
    runner: &Runner<'_>,
    table: &TableFacts,
    definition: &IndexDefinition,
    expected: &Expected,
) -> Result<Checked<()>, ApplyError> {
    let mut facts = ServerFacts::default();
    read_run(runner, &mut facts).await?;
    let options = &runner.options.guards;
    let look = ApplyError::while_doing("look at what a build depends on");
    guards::for_action(&runner.session, options, runner.spent, &mut facts).await.map_err(look)?;
    let look = ApplyError::while_doing("look at the columns of the index");
    let index =
        guards::planned(&runner.session, table, definition, expected).await.map_err(look)?;
    let target = Some(Target { work: Work::CreateIndex, table, index: Some(&index) });
    Ok(ask(runner, &[Scope::Run, Scope::Table, Scope::Action], &facts, target))
}

/// Asks the guards of a new index on a partitioned table: of the whole, and of each partition.
pub(super) async fn tree(
    runner: &Runner<'_>,
    table: &TableRef,
    definition: &IndexDefinition,
    parts: &[Part],
    expected: &Expected,
) -> Result<Checked<()>, ApplyError> {
    let mut facts = ServerFacts::default();
    read_run(runner, &mut facts).await?;
    let options = &runner.options.guards;
    let look = ApplyError::while_doing("look at what a build depends on");
    guards::for_action(&runner.session, options, runner.spent, &mut facts).await.map_err(look)?;
    let look = ApplyError::while_doing("look at the partitions");
    let tree = guards::tree(&runner.session, table, definition, parts, expected);
    let tree = match tree.await.map_err(look)? {
        Ok(tree) => tree,
        Err(reason) => return Ok(Err(reason)),
    };
    let whole = ask(runner, &[Scope::Run, Scope::Table, Scope::Action], &facts, Some(tree.whole()));
    Ok(whole.and_then(|()| {
        tree.parts()
            .try_for_each(|part| ask(runner, &[Scope::Table, Scope::Action], &facts, Some(part)))
    }))
}

/// Asks the guards of an action of a vacuum, which is worth nothing where others still see what is dead.
pub(super) async fn vacuum(
    runner: &Runner<'_>,
    table: &TableFacts,
) -> Result<Checked<()>, ApplyError> {
    let mut facts = ServerFacts::default();
    let look = ApplyError::while_doing("look at what a vacuum depends on");
    let options = &runner.options.guards;
    guards::for_action(&runner.session, options, runner.spent, &mut facts).await.map_err(look)?;
    let target = Some(Target { work: Work::Vacuum, table, index: None });
    Ok(ask(runner, &[Scope::Action], &facts, target))
}

/// Tells an object that is gone from one that is gone together with its table.
pub(super) async fn absent(runner: &Runner<'_>, table: &TableRef) -> Result<Found, ApplyError> {
    let look = ApplyError::while_doing("look whether the table is still there");
    let there = catalog::is_there(&runner.session, table.oid).await.map_err(look)?;
    Ok(if there { Found::Absent } else { Found::TableGone })
}

/// Waits for transactions that would hold a statement on the table up, and refuses where they stay. A
/// statement that met them would fail at its lock timeout, an index build after all its work.
pub(super) async fn way_is_free(
    runner: &Runner<'_>,
    table: u32,
    work: Work,
) -> Result<Checked<()>, ApplyError> {
    let since = Instant::now();
    let (server, mut facts) = (ServerFacts::default(), TableFacts::default());
    facts.blockers = blockers(runner, table, work).await?;
    let mut told = false;
    loop {
        let target = Target { work, table: &facts, index: None };
        let asked = ask(runner, &[Scope::Way], &server, Some(target));
        if asked.is_ok() || since.elapsed() >= runner.options.patience {
            return Ok(asked);
        }
        if !told {
            told = true;
            let why = format!("{}, to end", facts.blockers[0].who);
            runner.tell(Event::Waiting { action: runner.action.clone(), why });
        }
        runner.pause(runner.options.watch_interval.min(runner.options.patience)).await?;
        // One that grew old meanwhile is not waited for in addition.
        let still = blockers(runner, table, work).await?;
        facts.blockers = still
            .into_iter()
            .filter(|now| facts.blockers.iter().any(|before| before.key == now.key))
            .collect();
    }
}

async fn blockers(runner: &Runner<'_>, table: u32, work: Work) -> Result<Vec<Blocker>, ApplyError> {
    let look = ApplyError::while_doing("look for transactions in the way");
    guards::blockers(&runner.session, table, work).await.map_err(look)
}
