//! Whether the premises of an action still hold. Every reason names what a person can do about it.

use std::time::Instant;

use rules::change_plan::TableRef;
use rules::protocol::Found;
use rules::quote::qualified;

use super::catalog::{self, Blocker, TableState, WaitsFor};
use super::runner::Runner;
use super::{ApplyError, Event};

/// What a check answers: the way is free, or the reason why not.
pub(super) type Checked<T> = Result<T, String>;

/// Which right an action needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// To make an index on the table.
    Index,
    /// To drop an index of the table.
    Drop,
    /// To analyze the table.
    Analyze,
}

impl Right {
    fn command(self) -> &'static str {
        match self {
            Self::Index => "CREATE INDEX",
            Self::Drop => "DROP INDEX",
            Self::Analyze => "ANALYZE",
        }
    }
}

/// Looks the table up and refuses it where it is not the one, is of the wrong kind, or our role lacks the
/// right; refuses event triggers as well.
pub(super) async fn table(
    runner: &Runner<'_>,
    planned: &TableRef,
    right: Right,
) -> Result<Checked<TableState>, ApplyError> {
    let look = ApplyError::while_doing("look at the table again");
    let table = match catalog::table(&runner.session, planned.oid).await.map_err(look)? {
        Some(table) if table.schema == planned.schema && table.name == planned.name => table,
        Some(table) => {
            let name = qualified(&table.schema, &table.name);
            return Ok(Err(format!(
                "{} is called {name} by now; run pgwright optimize again",
                planned.qualified()
            )));
        }
        None => {
            return Ok(Err(format!(
                "{} is not there any more, or was made anew; run pgwright optimize again",
                planned.qualified()
            )));
        }
    };
    if let Some(reason) = wrong_kind(&table, right).or_else(|| lacking_right(&table, right)) {
        return Ok(Err(reason));
    }
    if right != Right::Analyze {
        let look = ApplyError::while_doing("look for event triggers");
        let triggers =
            catalog::event_triggers(&runner.session, right.command()).await.map_err(look)?;
        if let Some(trigger) = triggers.first() {
            return Ok(Err(format!(
                "event trigger {} runs on {} and could leave a half-made index behind; disable it meanwhile \
                 (ALTER EVENT TRIGGER … DISABLE), or run the statement by hand",
                rules::quote::ident(trigger),
                right.command()
            )));
        }
    }
    Ok(Ok(table))
}

/// Tells an object that is gone from one that is gone together with its table.
pub(super) async fn absent(runner: &Runner<'_>, table: &TableRef) -> Result<Found, ApplyError> {
    let look = ApplyError::while_doing("look whether the table is still there");
    let there = catalog::table(&runner.session, table.oid).await.map_err(look)?.is_some();
    Ok(if there { Found::Absent } else { Found::TableGone })
}

fn wrong_kind(table: &TableState, right: Right) -> Option<String> {
    let name = qualified(&table.schema, &table.name);
    let kinds: &[&str] = if right == Right::Analyze { &["r", "m", "p"] } else { &["r", "m"] };
    if table.kind == "p" && right != Right::Analyze {
        return Some(format!(
            "{name} is partitioned, and CONCURRENTLY does not work on it; by hand: CREATE INDEX … ON ONLY {name}, \
             then CREATE INDEX CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION for each"
        ));
    }
    if !kinds.contains(&table.kind.as_str()) {
        return Some(format!("{name} is no ordinary table or materialized view"));
    }
    if table.persistence == "t" || (table.persistence == "u" && right != Right::Analyze) {
        return Some(format!("{name} is a temporary or unlogged table"));
    }
    if table.extension_member {
        return Some(format!("{name} belongs to an extension"));
    }
    if table.wraparound && right == Right::Index {
        return Some(format!(
            "{name} needs a vacuum against transaction id wraparound first (VACUUM {name})"
        ));
    }
    None
}

fn lacking_right(table: &TableState, right: Right) -> Option<String> {
    let name = qualified(&table.schema, &table.name);
    let owner = rules::quote::ident(&table.owner);
    match right {
        Right::Analyze if !table.may_analyze => {
            Some(format!("only the owner of {name} may analyze it; GRANT {owner} TO this role"))
        }
        Right::Index | Right::Drop if !table.own => {
            Some(format!("only the owner of {name} may do this; GRANT {owner} TO this role"))
        }
        Right::Index if !table.may_create => {
            let schema = rules::quote::ident(&table.schema);
            Some(format!(
                "this role may make nothing in schema {schema}; GRANT CREATE ON SCHEMA {schema} TO it"
            ))
        }
        _ => None,
    }
}

/// Waits for transactions that would hold a statement on the table up, and refuses where they stay. A
/// statement that met them would fail at its lock timeout, an index build after all its work.
pub(super) async fn way_is_free(
    runner: &Runner<'_>,
    table: u32,
    what: WaitsFor,
) -> Result<Checked<()>, ApplyError> {
    let since = Instant::now();
    let mut there = old(runner, blockers(runner, table, what).await?);
    let mut told = false;
    while let Some(first) = there.first() {
        if since.elapsed() >= runner.options.patience {
            let age = first.age.map_or(String::new(), |age| format!(", for {age:.0} s now"));
            return Ok(Err(format!(
                "{}{age}, would hold the statement up; end it or try again later",
                first.who
            )));
        }
        if !told {
            told = true;
            let why = format!("{}, to end", first.who);
            runner.tell(Event::Waiting { action: runner.action.clone(), why });
        }
        runner.pause(runner.options.watch_interval.min(runner.options.patience)).await?;
        let still = blockers(runner, table, what).await?;
        there = still
            .into_iter()
            .filter(|now| there.iter().any(|before| before.key == now.key))
            .collect();
    }
    Ok(Ok(()))
}

/// Those old enough to count; also those whose age we may not see, for they may be.
fn old(runner: &Runner<'_>, blockers: Vec<Blocker>) -> Vec<Blocker> {
    let limit = runner.options.max_transaction_age.as_secs_f64();
    blockers.into_iter().filter(|blocker| blocker.age.is_none_or(|age| age >= limit)).collect()
}

async fn blockers(
    runner: &Runner<'_>,
    table: u32,
    what: WaitsFor,
) -> Result<Vec<Blocker>, ApplyError> {
    let look = ApplyError::while_doing("look for transactions in the way");
    catalog::blockers(&runner.session, table, what).await.map_err(look)
}
