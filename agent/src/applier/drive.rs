//! Drives one action: reads the facts, asks the protocol ([`rules::protocol::next`]) for the next step, does it,
//! and asks again. Carrying out, finishing what an earlier run left, and taking back all go this way.

use std::time::Instant;

use rules::change_plan::Action;
use rules::protocol::{
    Answer, Case, End, EndedBy, Facts, Failure, Found, Limits, Orphan, Premises, Statement, Step,
    Wish, next,
};
use uuid::Uuid;

use super::runner::Runner;
use super::send::{rest, send};
use super::subject::{Object, Outset, Ready, Subject, View};
use super::{ApplyError, Effect, Left, ORPHAN_PATIENCE, catalog};
use crate::journal::{self, Change, Entry, NewEntry, State};

/// More steps than any action takes; the protocol ends long before, which its tests show.
const STEPS: u32 = 10_000;

/// One action on its way.
pub(super) struct Drive<'a, 'r> {
    runner: &'a Runner<'r>,
    subject: Option<Subject>,
    case: Case,
    facts: Facts,
    /// Its row, once there is one.
    pub(super) row: Option<i64>,
    /// 64 hexadecimal digits.
    key: String,
    /// What to write the row with.
    new: Option<(Uuid, &'a Action)>,
    ready: Option<Ready>,
    /// The server process that an earlier run left, and since when we have waited for it.
    orphan: Option<(i32, Instant)>,
    /// The index or the statistics, when last seen.
    index: Option<Box<Object>>,
    /// Whether it is taken back by a verdict of ours, and not by a person.
    judged: bool,
    /// What a person should know, as the row has it.
    note: Option<String>,
    /// How long the last statement that succeeded took.
    seconds: f64,
    /// Attempts that the row does not tell yet.
    unwritten: u32,
}

impl<'a, 'r> Drive<'a, 'r> {
    /// To carry an action of a plan out; the reason where that cannot be understood.
    pub(super) fn carry_out(
        runner: &'a Runner<'r>,
        run: Uuid,
        action: &'a Action,
    ) -> Result<Self, String> {
        let subject = Subject::of_action(action)?;
        let case = Case::new(subject.kind(), Wish::CarryOut, None);
        let key = action.key.clone();
        Ok(Self { new: Some((run, action)), ..Self::new(runner, Some(subject), case, key) })
    }

    /// To finish what an earlier run left of an action, or to take it back.
    pub(super) fn of_entry(runner: &'a Runner<'r>, entry: &Entry, wish: Wish) -> Self {
        let (subject, contradiction) = match Subject::of_entry(entry) {
            Ok(subject) => (Some(subject), None),
            Err(reason) => (None, Some(reason)),
        };
        let foreign = (!entry.is_of(&runner.here)).then(|| {
            "it was done in another server or database, of which this one is a copy: nothing is watched or taken back here; \
             drop by hand what is not wanted (`pgwright log` with its number shows the statement)"
                .to_owned()
        });
        let kind = subject.as_ref().map_or(rules::protocol::Kind::Make, Subject::kind);
        let case = Case::new(kind, wish, Some(entry.state));
        let mut drive = Self::new(runner, subject, case, entry.action_key.clone());
        drive.row = Some(entry.id);
        // A person may as well take back what had proved itself.
        drive.judged = entry.verdict.is_some() && entry.state != State::Kept;
        drive.facts.contradiction = foreign.or(contradiction);
        if wish == Wish::Finish {
            drive.orphan = Some((entry.backend_pid, Instant::now()));
        }
        drive
    }

    fn new(runner: &'a Runner<'r>, subject: Option<Subject>, case: Case, key: String) -> Self {
        Self {
            runner,
            subject,
            case,
            facts: Facts::default(),
            row: None,
            key,
            new: None,
            ready: None,
            orphan: None,
            index: None,
            judged: false,
            note: None,
            seconds: 0.0,
            unwritten: 0,
        }
    }

    /// Goes on until nothing more is to be done in this run.
    pub(super) async fn run(&mut self) -> Result<End, ApplyError> {
        let limits =
            Limits { tries: self.runner.options.lock_tries, orphan_patience: ORPHAN_PATIENCE };
        for _ in 0..STEPS {
            self.facts.stop = self.runner.heed_stop().is_err();
            self.look_for_orphan().await?;
            let step = next(&self.case, &self.facts, &limits);
            tracing::trace!(row = self.row, ?step, "next step");
            match step {
                Step::End(end) => return Ok(end),
                step => {
                    if let Some(end) = self.take(step).await? {
                        return Ok(end);
                    }
                }
            }
        }
        Ok(End::Refused("it went round in circles; please report this".to_owned()))
    }

    /// Does one step; an end where the row cannot be written for one in its way.
    async fn take(&mut self, step: Step) -> Result<Option<End>, ApplyError> {
        match step {
            Step::CheckPremises => self.check_premises().await?,
            Step::Intend => return self.intend().await,
            Step::Move { to, note } => self.go(to, note).await?,
            Step::Look => self.look().await?,
            Step::CheckWay => {
                if let Some(subject) = &mut self.subject {
                    self.facts.way = Some(subject.way_back(self.runner).await?);
                }
            }
            Step::Send(statement) => self.send(statement).await?,
            Step::Rest(statement) => {
                rest(self.runner, &self.key, self.case.attempts(), statement).await?;
                self.case.rested(statement);
            }
            Step::AwaitOrphan => self.runner.glance().await?,
            Step::CancelOrphan => self.cancel_orphan().await?,
            Step::End(end) => return Ok(Some(end)),
        }
        Ok(None)
    }

    async fn check_premises(&mut self) -> Result<(), ApplyError> {
        let Some(subject) = &mut self.subject else { return Ok(()) };
        self.facts.premises = Some(match subject.premises(self.runner, &self.key).await? {
            Outset::Ready(ready) => {
                self.ready = Some(*ready);
                Premises::Hold
            }
            Outset::AlreadyThere(what) => Premises::AlreadyThere(what),
            Outset::Refused(reason) => Premises::Fail(reason),
        });
        Ok(())
    }

    /// Writes the row.
    async fn intend(&mut self) -> Result<Option<End>, ApplyError> {
        let (Some((run, action)), Some(ready)) = (self.new, &self.ready) else {
            return Ok(Some(End::Refused("there is no action to write down".to_owned())));
        };
        let new = NewEntry {
            run,
            action: Action { operation: ready.operation.clone(), ..action.clone() },
            index: ready.index.clone(),
            before: ready.before.clone(),
            server: self.runner.here.clone(),
        };
        match self.runner.intend(&new).await? {
            Ok(id) => {
                self.row = Some(id);
                self.case.state = Some(State::Intent);
                Ok(None)
            }
            Err(reason) => Ok(Some(End::Refused(reason))),
        }
    }

    /// Moves the row.
    async fn go(&mut self, to: State, note: Option<String>) -> Result<(), ApplyError> {
        let (Some(id), Some(from)) = (self.row, self.case.state) else { return Ok(()) };
        let failure = self.case.failure().filter(|_| self.unwritten > 0);
        let note = note.or_else(|| match (&self.subject, to) {
            (Some(subject), State::CleanupPending) => Some(
                subject.left(
                    self.case
                        .clean
                        .failure
                        .as_ref()
                        .or(failure)
                        .map(|failure| failure.message.as_str()),
                ),
            ),
            // What the server reported as done is not there.
            (Some(subject), State::Aborted)
                if from == State::Verifying && self.case.main.done() =>
            {
                Some(subject.unseen(self.runner))
            }
            _ => None,
        });
        let waits = to == State::RevertPending;
        let index =
            self.index.as_ref().filter(|_| matches!(to, State::Observing | State::Reverted));
        let made = index.filter(|_| to == State::Observing);
        // What was not taken back by a verdict of ours was taken back by a person, who had a reason.
        // Nobody decided against what went with its table.
        let gone = self.facts.found == Some(Found::TableGone);
        let by_hand = to == State::Reverted && !self.judged && !gone;
        let blocked_days = if by_hand {
            Some(journal::block_days(&self.runner.session, &self.key).await?)
        } else {
            None
        };
        let change = Change {
            index_oid: index.map(|index| index.oid),
            definition: made.map(|index| index.definition.as_str()),
            sqlstate: failure.and_then(|failure| failure.sqlstate.as_deref()),
            error: failure
                .map(|failure| failure.message.as_str())
                .or(note.as_deref().filter(|_| waits)),
            note: note.as_deref().filter(|_| !waits),
            attempts: self.unwritten.cast_signed(),
            verdict: by_hand.then_some(journal::BY_HAND),
            blocked_days,
            ..Change::default()
        };
        self.runner.step(id, from, to, &change).await?;
        self.unwritten = 0;
        self.case.state = Some(to);
        if note.is_some() {
            self.note = note;
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<(), ApplyError> {
        let Some(subject) = &mut self.subject else { return Ok(()) };
        let state = self.case.state.unwrap_or(State::Intent);
        let back = self.case.wish == Wish::TakeBack || state.is_undoing();
        let view = if back {
            View::Back { begun: state.is_undoing() }
        } else {
            let settled = self.case.wish == Wish::Finish || self.case.main.done();
            View::Forward { settled }
        };
        let seen = subject.look(self.runner, view).await?;
        tracing::debug!(row = self.row, found = ?seen.found, "looked at the catalog");
        self.facts.found = Some(seen.found);
        self.index = seen.index;
        Ok(())
    }

    async fn send(&mut self, statement: Statement) -> Result<(), ApplyError> {
        let (Some(subject), Some(row)) = (&mut self.subject, self.row) else { return Ok(()) };
        let mut answer = Answer::Done;
        if let Subject::Partitioned(index) = subject {
            match Box::pin(index.work(self.runner, row, statement)).await? {
                Ok(took) => self.seconds = took.as_secs_f64(),
                Err(failure) => answer = Answer::Failed(failure),
            }
        }
        for order in subject.orders(self.runner, statement) {
            match send(self.runner, &order).await? {
                Ok(took) => self.seconds = took.as_secs_f64(),
                Err(failure) => {
                    answer = Answer::Failed(failure);
                    break;
                }
            }
        }
        self.facts.found = None;
        self.unwritten += u32::from(statement != Statement::Clean);
        self.case.sent(statement, answer);
        Ok(())
    }

    async fn look_for_orphan(&mut self) -> Result<(), ApplyError> {
        let Some((pid, since)) = self.orphan else { return Ok(()) };
        let doing = ApplyError::while_doing("look for the server process of an earlier run");
        if catalog::is_at_work(&self.runner.session, pid).await.map_err(doing)? {
            let cancelled = self.facts.orphan.is_some_and(|orphan| orphan.cancelled);
            self.facts.orphan = Some(Orphan { waited: since.elapsed(), cancelled });
        } else {
            (self.orphan, self.facts.orphan) = (None, None);
        }
        Ok(())
    }

    async fn cancel_orphan(&mut self) -> Result<(), ApplyError> {
        let Some((pid, since)) = &mut self.orphan else { return Ok(()) };
        let doing = ApplyError::while_doing("end the server process of an earlier run");
        let sql = "SELECT pg_catalog.pg_cancel_backend($1)";
        self.runner.session.query(sql, &[pid]).await.map_err(doing)?;
        *since = Instant::now();
        self.facts.orphan = Some(Orphan { waited: std::time::Duration::ZERO, cancelled: true });
        Ok(())
    }

    fn failure(&self) -> Option<&Failure> {
        self.case.failure()
    }

    /// What became of an action, by how it ended. An error where the user stopped it.
    pub(super) fn effect(&self, end: End) -> Result<Effect, ApplyError> {
        let by = self.failure().map(|failure| failure.by);
        if by == Some(EndedBy::User) {
            return Err(ApplyError::Interrupted);
        }
        let sent = self.case.attempts() > 0;
        Ok(match end {
            End::InPlace => Effect::Applied {
                index_oid: self.index.as_ref().map(|index| index.oid),
                seconds: self.seconds,
                bytes: match (&self.index, self.ready.as_ref().and_then(|ready| ready.frees)) {
                    (_, Some(frees)) => Some(-frees),
                    (index, None) => index.as_ref().map(|index| index.bytes),
                },
            },
            End::AlreadyThere(what) => Effect::AlreadyThere { what },
            End::Refused(reason) => Effect::Refused { reason },
            // As if it had been refused beforehand.
            End::NotDone if by == Some(EndedBy::Hold) => {
                let why = self.failure().map(|failure| failure.message.as_str());
                let remains =
                    if self.case.clean.sent > 0 { "; its remains were removed" } else { "" };
                Effect::Refused { reason: format!("{}{remains}", why.unwrap_or_default()) }
            }
            End::NotDone if self.case.clean.sent > 0 => self.failed(Left::Cleaned),
            End::NotDone => self.failed(Left::Nothing),
            End::Left => self.failed(Left::Pending),
            End::ToBeUndone => self.failed(Left::ToBeUndone),
            End::ForAPerson if sent || self.case.wish == Wish::CarryOut => {
                self.failed(Left::ForAPerson)
            }
            End::ForAPerson => Effect::Refused { reason: self.note.clone().unwrap_or_default() },
            End::TakenBack => Effect::Reverted { note: self.note.clone() },
            End::NothingToUndo => Effect::NothingToUndo {
                why: "what ANALYZE or VACUUM has done cannot be taken back, and need not be"
                    .to_owned(),
            },
        })
    }

    fn failed(&self, left: Left) -> Effect {
        let failure = self.failure();
        Effect::Failed {
            sqlstate: failure.and_then(|failure| failure.sqlstate.clone()),
            message: failure
                .map(|failure| failure.message.clone())
                .or_else(|| self.note.clone())
                .unwrap_or_default(),
            left,
        }
    }

    /// How what an earlier run left was finished, in words.
    pub(super) fn told(&self, end: End) -> String {
        let finished = |in_place| match &self.subject {
            Some(subject) => subject.finished(in_place, self.case.clean.sent > 0).to_owned(),
            None => String::new(),
        };
        let noted = || self.note.clone();
        match end {
            End::InPlace => finished(true),
            End::NotDone => noted().unwrap_or_else(|| finished(false)),
            End::Refused(reason) | End::AlreadyThere(reason) => reason,
            End::TakenBack => noted().unwrap_or_else(|| "it is taken back now".to_owned()),
            End::Left | End::ForAPerson | End::ToBeUndone => noted()
                .or_else(|| self.failure().map(|failure| failure.message.clone()))
                .unwrap_or_else(|| "it waits".to_owned()),
            End::NothingToUndo => "nothing was left to do".to_owned(),
        }
    }
}
