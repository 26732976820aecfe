//! After an action: reads the server's counters, has `rules::watch` judge what is being watched, and keeps or takes
//! back accordingly, by the applier's protocol.

mod act;
mod read;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rules::watch::{Case, Concern, Judgement, Limits, Reading, Window, judge, windows};

use crate::applier::{ApplyError, ApplyOptions, Effect, Event};
use crate::conninfo::ConnInfo;
use crate::journal::{self, Entry, State};
use crate::postgres::{Meter, PgError, Purpose, Session};
use read::Look;

/// Statements whose counters are kept whether or not something about them is watched: those with the most time.
const STATEMENTS_KEPT: usize = 100;

/// How to look after what was done.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Report only: write nothing, keep nothing, take nothing back.
    pub dry_run: bool,
    /// How long a window is: readings closer together are judged for harm that cannot wait, and not kept.
    pub window: TimeDelta,
    /// The thresholds.
    pub limits: Limits,
}

impl Default for VerifyOptions {
    /// Windows of an hour: 24 tell a day, and 8 days of them take a few megabytes.
    fn default() -> Self {
        Self { dry_run: false, window: TimeDelta::hours(1), limits: Limits::default() }
    }
}

/// What one look came to.
#[derive(Clone, Debug)]
pub struct Verified {
    /// When it looked, by the server's clock.
    pub at: DateTime<Utc>,
    /// Whether the counters were written down, as the end of a window.
    pub recorded: bool,
    /// Readings that are written down.
    pub readings: usize,
    /// What is being watched, oldest first.
    pub actions: Vec<Watched>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// One watched action.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its row, as it was before.
    pub entry: Entry,
    /// What the counters say.
    pub judgement: Judgement,
    /// Whether a person took it back, so that there is nothing to judge.
    pub by_hand: bool,
    /// What was done about it; `None` where nothing was.
    pub effect: Option<Effect>,
    /// Where it stands now.
    pub state: State,
}

impl Watched {
    /// The journal's word for what became of it; `None` while that is open.
    pub fn verdict(&self) -> Option<&'static str> {
        if self.by_hand {
            return Some(journal::BY_HAND);
        }
        self.judgement.ends.then(|| self.judgement.verdict.name())
    }
}

/// Counters as they stood before a run of the applier.
#[derive(Debug)]
pub struct Before(Look);

/// Reads the counters before actions are carried out: what they change is measured against this.
pub async fn before(info: &ConnInfo, meter: &Arc<Meter>) -> Result<Before, ApplyError> {
    let session = connect(info, meter).await?;
    let read = ApplyError::while_doing("read the counters before the actions");
    let look = read::look(&session, &[], &[]).await.map_err(read)?;
    session.close().await;
    Ok(Before(look))
}

/// Writes down what was read before the actions, and how the counters stand after them. Needs the journal, which the
/// first action makes.
pub async fn after(info: &ConnInfo, meter: &Arc<Meter>, before: &Before) -> Result<(), ApplyError> {
    let session = connect(info, meter).await?;
    if journal::exists(&session).await? {
        let entries = watched(&session).await?;
        if !entries.iter().any(|entry| entry.created_at >= before.0.reading.at) {
            return Ok(());
        }
        let everything = before.0.reading.statements.keys().cloned().collect();
        store::save(&session, &before.0.reading, &everything).await?;
        let indexes: Vec<u32> = indexes_there(&session, &entries).await?.into_values().collect();
        let tables: Vec<u32> = entries.iter().map(|entry| entry.table.oid).collect();
        let read = ApplyError::while_doing("read the counters after the actions");
        let look = read::look(&session, &tables, &indexes).await.map_err(read)?;
        let everything = look.reading.statements.keys().cloned().collect();
        store::save(&session, &look.reading, &everything).await?;
    }
    session.close().await;
    Ok(())
}

/// Reads the counters, writes them down where a window has passed, judges what is being watched, and acts on the
/// verdicts. Where another run is at work it leaves acting to the next time.
pub async fn verify(
    info: &ConnInfo,
    meter: &Arc<Meter>,
    options: &VerifyOptions,
    limits: &ApplyOptions,
    progress: &mut (dyn FnMut(Event) + Send),
) -> Result<Verified, ApplyError> {
    let session = connect(info, meter).await?;
    let known = journal::exists(&session).await?;
    if !known && !options.dry_run {
        journal::refuse_lost(&session).await?;
    }
    let entries = if known { watched(&session).await? } else { Vec::new() };
    let there = indexes_there(&session, &entries).await?;
    let tables: Vec<u32> = entries.iter().map(|entry| entry.table.oid).collect();
    let indexes: Vec<u32> = there.values().copied().collect();
    let reading = ApplyError::while_doing("read the server's counters");
    let look = read::look(&session, &tables, &indexes).await.map_err(reading)?;
    let reading = ApplyError::while_doing("find out what touches the watched tables");
    let reach = read::reach(&session, &tables).await.map_err(reading)?;
    let notes = blind_spots(&look);
    let mut recorded = false;
    if !options.dry_run {
        recorded = record(&session, &look, &entries, &reach, options.window).await?;
    }
    let readings = if known || recorded { store::load(&session).await? } else { Vec::new() };
    let judged = judge_all(entries, &there, &readings, &look, &reach, options);
    let unfinished = known && !journal::in_flight(&session).await?.is_empty();
    let paused = journal::pause(&session).await?;
    session.close().await;
    let mut verified = Verified {
        at: look.reading.at,
        recorded,
        readings: readings.len(),
        actions: judged,
        notes,
    };
    let due = unfinished || verified.actions.iter().any(|action| action.verdict().is_some());
    if let (true, Some(paused)) = (due, paused) {
        verified.notes.push(format!("{paused}; nothing was acted on"));
    } else if due && !options.dry_run {
        act::act(info, meter, limits, progress, &mut verified).await?;
    }
    Ok(verified)
}

/// What keeps us from seeing everything.
fn blind_spots(look: &Look) -> Vec<String> {
    let mut notes = Vec::new();
    if !look.statements {
        notes.push(
            "pg_stat_statements is not installed here, so nothing can be measured; `pgwright doctor` tells what to do"
                .to_owned(),
        );
    }
    if look.hidden > 0 {
        notes.push(format!(
            "{} statements of other roles are hidden from this one, so that nobody knows whether they became slower; \
             grant it pg_read_all_stats",
            look.hidden
        ));
    }
    notes
}

async fn connect(info: &ConnInfo, meter: &Arc<Meter>) -> Result<Session, ApplyError> {
    let connect = ApplyError::while_doing("connect to read the server's counters");
    let session = Session::connect(info, Purpose::Watch, meter).await.map_err(connect)?;
    if session.facts().in_recovery {
        let reason =
            "the server is a standby, which counts what it runs itself; connect to the primary";
        return Err(ApplyError::Refused { reason: reason.to_owned() });
    }
    Ok(session)
}

/// The actions that are being watched.
async fn watched(session: &Session) -> Result<Vec<Entry>, ApplyError> {
    let all = journal::list(session, journal::Which::All).await?;
    Ok(all.into_iter().filter(|entry| entry.state == State::Observing).collect())
}

/// The oids of the indexes that actions are about and that are there, by the number of the action. They are found by
/// name: REINDEX CONCURRENTLY gives an index another oid.
async fn indexes_there(
    session: &Session,
    entries: &[Entry],
) -> Result<BTreeMap<i64, u32>, ApplyError> {
    let sql = "SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE n.nspname = $1 AND c.relname = $2";
    let mut there = BTreeMap::new();
    for entry in entries {
        let Some(name) = &entry.index_name else { continue };
        let look = || ApplyError::while_doing("look whether the index is still there");
        let row = session.query_opt(sql, &[&entry.table.schema, name]).await.map_err(look())?;
        if let Some(row) = row {
            there.insert(entry.id, row.try_get(0).map_err(|error| look()(PgError::from(error)))?);
        }
    }
    Ok(there)
}

/// Writes the counters down where the last ones are a window old, and throws away what nothing needs any more.
async fn record(
    session: &Session,
    look: &Look,
    entries: &[Entry],
    reach: &BTreeMap<u32, BTreeSet<String>>,
    window: TimeDelta,
) -> Result<bool, ApplyError> {
    journal::ensure(session).await?;
    // Cron is not on the dot: what is a tenth early is on time.
    let due = |last: DateTime<Utc>| look.reading.at - last >= window * 9 / 10;
    if !store::last(session).await?.is_none_or(due) {
        return Ok(false);
    }
    let names: BTreeSet<&String> = reach.values().flatten().collect();
    let concerned = look
        .touched
        .iter()
        .filter(|(_, touched)| touched.relations.iter().any(|name| names.contains(name)));
    let kept = look.by_time.iter().take(STATEMENTS_KEPT).chain(concerned.map(|(id, _)| id));
    store::save(session, &look.reading, &kept.cloned().collect()).await?;
    let oldest = entries.iter().map(|entry| entry.created_at).min().unwrap_or(look.reading.at);
    store::prune(session, oldest - store::keep()).await?;
    Ok(true)
}

/// Judges every watched action.
fn judge_all(
    entries: Vec<Entry>,
    there: &BTreeMap<i64, u32>,
    readings: &[Reading],
    look: &Look,
    reach: &BTreeMap<u32, BTreeSet<String>>,
    options: &VerifyOptions,
) -> Vec<Watched> {
    // Nobody looked for so long: whatever happened meanwhile is no window.
    let longest = (options.window * 4).max(TimeDelta::days(2));
    let latest = readings
        .last()
        .filter(|last| last.at < look.reading.at)
        .and_then(|last| windows(&[last.clone(), look.reading.clone()], longest).0.pop());
    let mut watched = Vec::with_capacity(entries.len());
    for entry in entries {
        let index = there.get(&entry.id).copied();
        let by_hand = match entry.kind.as_str() {
            "create_index" => index.is_none(),
            "drop_index" => index.is_some(),
            _ => false,
        };
        // Windows of the time before do not say why it was done, only those around it do.
        let first =
            readings.iter().position(|reading| reading.at >= entry.created_at - store::keep());
        let around = &readings[first.unwrap_or(readings.len())..];
        let (windows, discarded) = windows(around, longest);
        let lifetime = readings.iter().rev().find(|reading| reading.at <= entry.created_at);
        let case = Case {
            index: index.filter(|_| entry.kind == "create_index"),
            latest: latest.as_ref(),
            lifetime,
            ..case(&entry, (&windows, discarded), look, reach)
        };
        let judgement = judge(&case, &options.limits);
        let state = entry.state;
        watched.push(Watched { entry, judgement, by_hand, effect: None, state });
    }
    watched
}

/// What is known of an action, but for the counters of its index and the readings around it.
fn case<'a>(
    entry: &Entry,
    (windows, discarded): (&'a [Window], usize),
    look: &Look,
    reach: &BTreeMap<u32, BTreeSet<String>>,
) -> Case<'a> {
    let names = reach.get(&entry.table.oid).cloned().unwrap_or_default();
    let of_any: BTreeSet<&String> = reach.values().flatten().collect();
    let helps = |id: &str| {
        let helps = entry.helps.as_array().into_iter().flatten();
        helps.into_iter().any(|help| help["statement"].as_str() == Some(id))
    };
    let concerned =
        look.touched.iter().filter(|(_, touched)| !touched.relations.is_disjoint(&names)).map(
            |(id, touched)| (id.clone(), Concern { meant: helps(id), writes: touched.writes }),
        );
    let control = look
        .touched
        .iter()
        .filter(|(_, touched)| touched.relations.iter().all(|name| !of_any.contains(name)))
        .map(|(id, _)| id.clone());
    Case {
        windows,
        discarded,
        latest: None,
        lifetime: None,
        begun: entry.created_at,
        applied: entry.applied_at.unwrap_or(entry.created_at),
        now: look.reading.at,
        table: entry.table.oid,
        index: None,
        concerned: concerned.collect(),
        control: control.collect(),
        standbys: look.standbys,
    }
}
