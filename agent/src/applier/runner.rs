//! One run: its two connections, its lock, its voice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rules::change_plan::{Action, Operation};
use rules::guards::Spent;

use super::check::{self, Checked};
use super::{ApplyError, ApplyOptions, Effect, Event};
use crate::conninfo::ConnInfo;
use crate::journal::{self, Change, Identity, NewEntry, State};
use crate::postgres::{Meter, PgError, Purpose, Session};

/// First half of the advisory lock's key: the first four bytes of the SHA-256 of `pgwright`. The other half
/// is the oid of the database.
const LOCK_CLASS: i32 = i32::from_be_bytes([0xfd, 0x0a, 0xe5, 0xba]);
/// The second connection looks no more often than this, however short `deadlock_timeout` is.
const GLANCE_LEAST: Duration = Duration::from_millis(20);
/// How often we ask for the lock that another run holds.
const LOCK_GLANCE: Duration = Duration::from_millis(250);

/// One run.
pub(crate) struct Runner<'a> {
    /// Runs the statements that change something, holds the lock and writes the journal.
    pub(crate) session: Session,
    /// Looks on, always outside of a transaction: its snapshot would hold the first one up.
    pub(super) watch: Session,
    pub(crate) here: Identity,
    pub(super) options: &'a ApplyOptions,
    /// How often `watch` looks.
    pub(super) watch_interval: Duration,
    /// How long a transaction of several statements may take: less than `deadlock_timeout`, after which the server
    /// would end whoever waits for it where it waits for them in its turn.
    pub(super) together_max: Duration,
    /// Behind a lock only so that a run can be moved between threads.
    progress: Mutex<&'a mut (dyn FnMut(Event) + Send)>,
    /// Short id of the action at work.
    pub(crate) action: String,
    /// What this run has used up of its budget.
    pub(super) spent: Spent,
    /// Whether the switch, the stop file and the window hold this run up; a person who takes something back is not
    /// held up.
    pub(crate) heeds_switch: bool,
    /// When the window ends.
    pub(super) window_end: Option<Instant>,
    /// When builds have used up the time that the run may spend on them.
    pub(super) build_end: Option<Instant>,
}

impl<'a> Runner<'a> {
    /// Connects, refuses where nothing may be changed, and takes the lock.
    pub(crate) async fn open(
        info: &ConnInfo,
        meter: &Arc<Meter>,
        options: &'a ApplyOptions,
        progress: &'a mut (dyn FnMut(Event) + Send),
    ) -> Result<Self, ApplyError> {
        let connect = ApplyError::while_doing("connect to change the database");
        let session = Session::connect(info, Purpose::Apply, meter).await.map_err(connect)?;
        check::server(&session, &options.guards.limits).await?;
        let look = ApplyError::while_doing("find out which database this is");
        let here = identity(&session).await.map_err(look)?;
        let connect = ApplyError::while_doing("connect to watch over the changes");
        let watch = Session::connect(info, Purpose::Watch, meter).await.map_err(connect)?;
        let deadlock = deadlock_timeout(&session).await;
        let deadlock = deadlock.map_err(ApplyError::while_doing("ask for deadlock_timeout"))?;
        let progress = Mutex::new(progress);
        let runner = Self {
            session,
            watch,
            here,
            options,
            watch_interval: options.watch_interval.min(deadlock / 4).max(GLANCE_LEAST),
            together_max: options.lock_timeout.min(deadlock * 4 / 5),
            progress,
            action: String::new(),
            spent: Spent::default(),
            heeds_switch: false,
            window_end: None,
            build_end: None,
        };
        runner.take_lock().await?;
        Ok(runner)
    }

    /// Gives the lock back and closes the connections.
    pub(crate) async fn close(self) {
        // A session that is lost has lost its lock as well.
        let _ = self.session.query("SELECT pg_catalog.pg_advisory_unlock_all()", &[]).await;
        self.session.close().await;
        self.watch.close().await;
    }

    /// Tells those who look on.
    pub(crate) fn tell(&self, event: Event) {
        // A look-on that panicked once may do so again; that is its own affair.
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress(event);
    }

    /// Returns why nothing may be begun now: the switch, the stop file, or the window.
    pub(crate) async fn held_up(&mut self) -> Result<Option<String>, ApplyError> {
        self.heeds_switch = true;
        Ok(match check::run(self).await? {
            Ok(left) => {
                self.window_end = left.map(|left| Instant::now() + left);
                let budget = self.options.guards.limits.max_build_time;
                let left = budget.map(|budget| budget.saturating_sub(self.spent.time));
                self.build_end = left.and_then(|left| Instant::now().checked_add(left));
                None
            }
            Err(reason) => Some(reason),
        })
    }

    /// Returns an error when the user wants to stop.
    pub(crate) fn heed_stop(&self) -> Result<(), ApplyError> {
        let stopped = self.options.stop.as_ref().is_some_and(|stop| *stop.borrow());
        if stopped { Err(ApplyError::Interrupted) } else { Ok(()) }
    }

    /// Takes what an action has built from the budget, in whole or in vain.
    pub(super) fn spend(&mut self, action: &Action, effect: &Effect, took: Duration) {
        match (&action.operation, effect) {
            (Operation::CreateIndex { .. }, Effect::Applied { seconds, bytes, .. }) => {
                self.spent.time += Duration::try_from_secs_f64(*seconds).unwrap_or_default();
                self.spent.bytes += bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
            }
            (Operation::CreateIndex { .. }, Effect::Failed { .. }) => self.spent.time += took,
            _ => {}
        }
    }

    /// Writes the row of an action; the reason where an unfinished one is in its way. Makes the journal for
    /// the first row, and not before, so that a run of which every action is refused leaves nothing behind.
    pub(super) async fn intend(&self, new: &NewEntry) -> Result<Checked<i64>, ApplyError> {
        journal::ensure(&self.session).await?;
        match journal::insert(&self.session, new).await {
            Ok(id) => Ok(Ok(id)),
            Err(error) => match error.in_the_way() {
                Some(reason) => Ok(Err(reason)),
                None => Err(error.into()),
            },
        }
    }

    /// Moves a row of the journal.
    pub(super) async fn step(
        &self,
        id: i64,
        from: State,
        to: State,
        change: &Change<'_>,
    ) -> Result<(), ApplyError> {
        tracing::debug!(row = id, %from, %to, "journal row moves");
        Ok(journal::advance(&self.session, id, from, to, change).await?)
    }

    /// Waits, unless the user wants to stop.
    pub(super) async fn pause(&self, length: Duration) -> Result<(), ApplyError> {
        match &self.options.stop {
            None => tokio::time::sleep(length).await,
            Some(stop) => {
                let mut stop = stop.clone();
                // When nobody is left to say stop, the pause just takes its time.
                let stopped = async {
                    if stop.wait_for(|stop| *stop).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                let _ = tokio::time::timeout(length, stopped).await;
            }
        }
        self.heed_stop()
    }

    /// Waits a moment for something to end by itself.
    pub(super) async fn glance(&self) -> Result<(), ApplyError> {
        self.pause(LOCK_GLANCE).await
    }

    /// Takes the lock that only one run can have. Never with a waiting call: a session that waits for an
    /// advisory lock holds a snapshot, and the other run's index build would deadlock with it.
    async fn take_lock(&self) -> Result<(), ApplyError> {
        let since = Instant::now();
        let mut told = false;
        loop {
            let ask = ApplyError::while_doing("take the lock of the only run");
            if self.try_lock().await.map_err(ask)? {
                return Ok(());
            }
            let holder = ApplyError::while_doing("find out which run holds the lock");
            let holder = self.lock_holder().await.map_err(holder)?;
            if let Some((pid, user)) = holder
                && since.elapsed() >= self.options.runner_wait
            {
                return Err(ApplyError::OtherRun { pid, user });
            }
            if !told {
                told = true;
                let why = "another run of pgwright to end".to_owned();
                self.tell(Event::Waiting { action: String::new(), why });
            }
            self.pause(LOCK_GLANCE).await?;
        }
    }

    fn lock_key(&self) -> i32 {
        self.here.database.cast_signed()
    }

    async fn try_lock(&self) -> Result<bool, PgError> {
        let sql = "SELECT pg_catalog.pg_try_advisory_lock($1, $2)";
        Ok(self.session.query_one(sql, &[&LOCK_CLASS, &self.lock_key()]).await?.try_get(0)?)
    }

    async fn lock_holder(&self) -> Result<Option<(i32, Option<String>)>, PgError> {
        let sql = "SELECT l.pid, a.usename::text FROM pg_catalog.pg_locks l \
                   LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
                   WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.database = $1 \
                   AND l.classid = $2 AND l.objid = $1 LIMIT 1";
        let class = LOCK_CLASS.cast_unsigned();
        match self.session.query_opt(sql, &[&self.here.database, &class]).await? {
            Some(row) => Ok(Some((row.try_get(0)?, row.try_get(1)?))),
            None => Ok(None),
        }
    }

    /// Returns an error unless we still hold the lock. A pooler or `DISCARD ALL` could have taken it.
    pub(super) async fn check_lock(&self) -> Result<(), ApplyError> {
        let ask = ApplyError::while_doing("check the lock of the only run");
        match self.lock_holder().await.map_err(ask)? {
            Some((pid, _)) if pid == self.session.backend_pid() => Ok(()),
            _ => Err(ApplyError::Refused {
                reason: "the lock that keeps a second run away was lost; connect directly to the server, \
                         not through a connection pooler"
                    .to_owned(),
            }),
        }
    }
}

/// Tells which database of which cluster a session is in.
pub(crate) async fn identity(session: &Session) -> Result<Identity, PgError> {
    let sql = "SELECT d.oid, pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') \
               FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
    let row = session.query_one(sql, &[]).await?;
    let (database, may_read): (u32, bool) = (row.try_get(0)?, row.try_get(1)?);
    let system_identifier = if may_read {
        let sql = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
        session.query_one(sql, &[]).await?.try_get(0)?
    } else {
        None
    };
    let sql = "SELECT pg_catalog.host(pg_catalog.inet_server_addr()) || ':' || pg_catalog.inet_server_port()";
    let address = session.query_one(sql, &[]).await?.try_get(0)?;
    let version_num = session.version().0.cast_signed();
    let timeline = timeline(session).await?;
    Ok(Identity { system_identifier, database, version_num, timeline, address })
}

/// How long the server lets sessions wait for each other before it looks for a deadlock.
async fn deadlock_timeout(session: &Session) -> Result<Duration, PgError> {
    let sql = "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'";
    let ms: i64 = session.query_one(sql, &[]).await?.try_get(0)?;
    Ok(Duration::from_millis(ms.max(1).unsigned_abs()))
}

/// The timeline is the first eight digits of a segment's name. Some hosted servers do not offer these functions.
async fn timeline(session: &Session) -> Result<Option<i32>, PgError> {
    let sql = "SELECT ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))\
               ::pg_catalog.bit(32)::integer";
    match session.query_one(sql, &[]).await {
        Ok(row) => Ok(row.try_get(0)?),
        Err(error) if error.is_lost() => Err(error),
        Err(_) => Ok(None),
    }
}
