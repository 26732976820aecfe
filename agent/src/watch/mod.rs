//! After an action: reads the server's counters, has `rules::watch` judge what is being watched, and keeps or takes
//! back accordingly, by the applier's protocol.

mod act;
mod read;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rules::statement::Touched;
use rules::statement::index_shape::IndexShape;
use rules::watch::{Case, Concern, Judgement, Limits, Reading, Verdict, Window, judge, windows};

use crate::applier::{ApplyError, ApplyOptions, Effect, Event, identity};
use crate::conninfo::ConnInfo;
use crate::journal::{self, Entry, State};
use crate::postgres::{Meter, PgError, Purpose, Session};
use read::{Look, Reach};

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
    /// The database's name.
    pub database: String,
    /// When it looked, by the server's clock.
    pub at: DateTime<Utc>,
    /// Whether the counters were written down, as the end of a window.
    pub recorded: bool,
    /// Readings that are written down.
    pub readings: usize,
    /// What is being watched, oldest first.
    pub actions: Vec<Watched>,
    /// The texts of statements, by id.
    pub texts: BTreeMap<String, String>,
    /// Why nothing was kept or taken back though it was due: another run is at work, or the switch is set.
    pub held: Option<String>,
    /// What earlier runs left and could not be finished, in words: the next look tries again, or a person has to look.
    pub unfinished: Vec<String>,
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
        let mut entries = of_here(&session).await?;
        entries.retain(|entry| entry.state == State::Observing);
        if !entries.iter().any(|entry| entry.created_at >= before.0.reading.at) {
            return Ok(());
        }
        let everything = before.0.reading.statements.keys().cloned().collect();
        store::save(&session, &before.0.reading, &everything).await?;
        let indexes = indexes(&objects_there(&session, &entries).await?, &entries);
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
    let known = journal::found(&session).await?;
    let mut entries = if known { of_here(&session).await? } else { Vec::new() };
    let reverts = last_reverts(&entries);
    entries.retain(|entry| matches!(entry.state, State::Observing | State::Kept));
    let tables = tables_there(&session, &entries).await?;
    // What went with its table was taken back by nobody; where it is watched, its row is closed.
    let went = |entry: &Entry| entry.kind != "drop_index" && !tables.contains(&entry.table.oid);
    let gone = entries.iter().any(|entry| entry.state == State::Observing && went(entry));
    entries.retain(|entry| !went(entry));
    let there = objects_there(&session, &entries).await?;
    entries.retain(|entry| entry.state == State::Observing || undone_by_hand(entry, &there));
    let tables: Vec<u32> = entries.iter().map(|entry| entry.table.oid).collect();
    let indexes = indexes(&there, &entries);
    let reading = ApplyError::while_doing("read the server's counters");
    let look = match read::look(&session, &tables, &indexes).await.map_err(reading) {
        Ok(look) => look,
        Err(error) => {
            // That nothing can be judged is no reason to leave anything half done.
            if known && !options.dry_run {
                Box::pin(act::finish(info, meter, limits, progress)).await?;
            }
            return Err(error);
        }
    };
    let reading = ApplyError::while_doing("find out what touches the watched tables");
    let reach = read::reach(&session, &tables).await.map_err(reading)?;
    let notes = blind_spots(&look);
    let mut recorded = false;
    if !options.dry_run {
        recorded = record(&session, &look, &entries, &reach, options.window).await?;
    }
    let readings = if known || recorded { store::load(&session).await? } else { Vec::new() };
    let judged = judge_all(entries, (&there, &reverts), &readings, &look, &reach, options);
    let unfinished = known && !journal::in_flight(&session).await?.is_empty();
    session.close().await;
    let mut verified = Verified {
        database: look.database,
        at: look.reading.at,
        recorded,
        readings: readings.len(),
        actions: judged,
        texts: look.texts,
        held: None,
        unfinished: Vec::new(),
        notes,
    };
    let due =
        unfinished || gone || verified.actions.iter().any(|action| action.verdict().is_some());
    if due && !options.dry_run {
        Box::pin(act::act(info, meter, limits, progress, &mut verified)).await?;
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

/// The actions of this database, oldest first. Rows that came here with a dump, of another one, are history.
async fn of_here(session: &Session) -> Result<Vec<Entry>, ApplyError> {
    let ask = ApplyError::while_doing("ask the server who it is");
    let here = identity(session).await.map_err(ask)?;
    let all = journal::list(session, journal::Which::All).await?;
    Ok(all.into_iter().filter(|entry| entry.is_of(&here)).collect())
}

/// When something of a table was last taken back: what is left of it is judged by what was counted since.
fn last_reverts(entries: &[Entry]) -> BTreeMap<u32, DateTime<Utc>> {
    let mut last = BTreeMap::new();
    for entry in entries {
        if let (State::Reverted, Some(at)) = (entry.state, entry.reverted_at) {
            let known = last.entry(entry.table.oid).or_insert(at);
            *known = at.max(*known);
        }
    }
    last
}

/// The oids of those tables of actions that are still there.
async fn tables_there(session: &Session, entries: &[Entry]) -> Result<BTreeSet<u32>, ApplyError> {
    let all: Vec<u32> = entries.iter().map(|entry| entry.table.oid).collect();
    let sql = "SELECT c.oid FROM pg_catalog.pg_class AS c WHERE c.oid = ANY ($1)";
    let look = || ApplyError::while_doing("look whether the tables are still there");
    let rows = session.query(sql, &[&all]).await.map_err(look())?;
    let read = |row: &crate::postgres::Row| Ok(row.try_get(0)?);
    rows.iter().map(read).collect::<Result<_, PgError>>().map_err(look())
}

/// Whether a person took an action back: what was made is gone, what was dropped is there again.
fn undone_by_hand(entry: &Entry, there: &BTreeMap<i64, u32>) -> bool {
    match entry.kind.as_str() {
        "create_index" | "create_statistics" => !there.contains_key(&entry.id),
        "drop_index" => there.contains_key(&entry.id),
        _ => false,
    }
}

/// The oids of the indexes and statistics that actions are about and that are there, by the number of the action. They
/// are found by oid, since people rename them and move them, or else by name, since REINDEX CONCURRENTLY gives an index
/// another oid. What was dropped is there again if it is the same.
async fn objects_there(
    session: &Session,
    entries: &[Entry],
) -> Result<BTreeMap<i64, u32>, ApplyError> {
    let index = "SELECT c.oid, pg_catalog.pg_get_indexdef(c.oid) \
                 FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
                 WHERE i.indrelid = $1 AND (c.oid = $2 OR c.relname = $3) ORDER BY c.oid = $2 DESC LIMIT 1";
    let statistics = "SELECT s.oid, '' FROM pg_catalog.pg_statistic_ext AS s \
                      WHERE s.stxrelid = $1 AND (s.oid = $2 OR s.stxname = $3) ORDER BY s.oid = $2 DESC LIMIT 1";
    let mut there = BTreeMap::new();
    for entry in entries {
        let Some(name) = &entry.index_name else { continue };
        let sql = if entry.kind == "create_statistics" { statistics } else { index };
        let look = || ApplyError::while_doing("look whether what was made is still there");
        let oid = entry.index_oid.unwrap_or(0);
        let row = session.query_opt(sql, &[&entry.table.oid, &oid, name]).await.map_err(look())?;
        let Some(row) = row else { continue };
        let read = || -> Result<(u32, String), PgError> { Ok((row.try_get(0)?, row.try_get(1)?)) };
        let (oid, printed) = read().map_err(look())?;
        if entry.kind != "drop_index" || is_the_dropped(entry, &printed) {
            there.insert(entry.id, oid);
        }
    }
    Ok(there)
}

/// Whether an index that bears the name of one that was dropped is that one, made again.
fn is_the_dropped(entry: &Entry, printed: &str) -> bool {
    let shape = |definition: &str| IndexShape::of(definition).ok();
    let dropped = entry.definition.as_deref().and_then(shape);
    dropped.zip(shape(printed)).is_some_and(|(dropped, now)| dropped.is_same_elsewhere(&now))
}

/// The oids of the indexes among them.
fn indexes(there: &BTreeMap<i64, u32>, entries: &[Entry]) -> Vec<u32> {
    let of_index = entries.iter().filter(|entry| entry.kind != "create_statistics");
    of_index.filter_map(|entry| there.get(&entry.id).copied()).collect()
}

/// Writes the counters down where the last ones are a window old, and throws away what nothing needs any more.
async fn record(
    session: &Session,
    look: &Look,
    entries: &[Entry],
    reach: &BTreeMap<u32, Reach>,
    window: TimeDelta,
) -> Result<bool, ApplyError> {
    journal::ensure(session).await?;
    // Cron is not on the dot: what is a tenth early is on time.
    let due = |last: DateTime<Utc>| look.reading.at - last >= window * 9 / 10;
    // What a clock that was ahead has left would be the last reading until then.
    store::forget_after(session, look.reading.at).await?;
    if !store::last(session).await?.is_none_or(due) {
        return Ok(false);
    }
    let concerned = look
        .touched
        .iter()
        .filter(|(_, touched)| reach.values().any(|reach| reach.touched(touched) != Some(false)));
    let kept = look.by_time.iter().take(STATEMENTS_KEPT).chain(concerned.map(|(id, _)| id));
    store::save(session, &look.reading, &kept.cloned().collect()).await?;
    let oldest = entries.iter().map(|entry| entry.created_at).min().unwrap_or(look.reading.at);
    store::prune(session, oldest - store::keep()).await?;
    Ok(true)
}

/// Judges every watched action.
fn judge_all(
    entries: Vec<Entry>,
    (there, reverts): (&BTreeMap<i64, u32>, &BTreeMap<u32, DateTime<Utc>>),
    readings: &[Reading],
    look: &Look,
    reach: &BTreeMap<u32, Reach>,
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
        let index = there.get(&entry.id).copied().filter(|_| entry.kind == "create_index");
        let by_hand = undone_by_hand(&entry, there);
        // Windows of the time before do not say why it was done, only those around it do.
        let first =
            readings.iter().position(|reading| reading.at >= entry.created_at - store::keep());
        let around = &readings[first.unwrap_or(readings.len())..];
        let (windows, discarded) = windows(around, longest);
        let lifetime = readings.iter().rev().find(|reading| reading.at <= entry.created_at);
        let mut case = Case {
            latest: latest.as_ref(),
            lifetime,
            ..case(&entry, index, (&windows, discarded), look, reach)
        };
        if let Some(last) = reverts.get(&entry.table.oid) {
            case.applied = case.applied.max(*last);
        }
        let judgement = judge(&case, &options.limits);
        let state = entry.state;
        watched.push(Watched { entry, judgement, by_hand, effect: None, state });
    }
    one_a_table(&mut watched);
    watched
}

/// Of several actions on one table that would be taken back for the same harm only the last one is: it is the one
/// after which the harm came, and what harm is left then is seen at the windows that follow.
fn one_a_table(watched: &mut [Watched]) {
    let mut last: BTreeMap<u32, i64> = BTreeMap::new();
    for watched in watched.iter_mut().rev() {
        let harms = matches!(watched.judgement.verdict, Verdict::Regressed | Verdict::WritesHarmed);
        if watched.by_hand || !harms {
            continue;
        }
        let first = *last.entry(watched.entry.table.oid).or_insert(watched.entry.id);
        if first != watched.entry.id {
            let judgement = &mut watched.judgement;
            (judgement.verdict, judgement.at_once, judgement.ends) =
                (Verdict::Undecided, false, false);
            judgement.why =
                format!("action {first} on the same table is taken back first: {}", judgement.why);
        }
    }
}

/// What is known of an action, but for the counters of its index and the readings around it.
fn case<'a>(
    entry: &Entry,
    index: Option<u32>,
    (windows, discarded): (&'a [Window], usize),
    look: &Look,
    reach: &BTreeMap<u32, Reach>,
) -> Case<'a> {
    let nowhere = Reach::default();
    let own = reach.get(&entry.table.oid).unwrap_or(&nowhere);
    let columns = index.and_then(|index| look.columns.get(&index)).cloned().unwrap_or_default();
    let helps = |id: &str| {
        let helps = entry.helps.as_array().into_iter().flatten();
        helps.into_iter().any(|help| help["statement"].as_str() == Some(id))
    };
    let concern = |(id, touched): (&String, &Touched)| {
        // Of those that it was meant for the optimizer knew which table they touch.
        let meant = helps(id);
        let sets = own.sets(touched, &columns);
        let here = own.touched(touched);
        let doubtful = here.is_none();
        let concern = Concern { meant, writes: touched.writes, sets, doubtful };
        (meant || here == Some(true)).then(|| (id.clone(), concern))
    };
    let concerned = look.touched.iter().filter_map(concern);
    let apart =
        |touched: &Touched| reach.values().all(|reach| reach.touched(touched) == Some(false));
    let control = look.touched.iter().filter(|(_, touched)| apart(touched)).map(|(id, _)| id);
    Case {
        windows,
        discarded,
        latest: None,
        lifetime: None,
        begun: entry.created_at,
        applied: entry.applied_at.unwrap_or(entry.created_at),
        now: look.reading.at,
        table: entry.table.oid,
        index,
        concerned: concerned.collect(),
        control: control.cloned().collect(),
        standbys: look.standbys,
    }
}
