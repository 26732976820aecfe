//! What the protocol decides upon, and what it can decide.

use std::time::Duration;

use super::State;

/// Whether an action makes an object, removes one, or leaves no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Makes an object that its undo removes (`CREATE INDEX CONCURRENTLY`, `CREATE STATISTICS`).
    Make,
    /// Removes an object that its undo makes again (`DROP INDEX CONCURRENTLY`).
    Remove,
    /// Refreshes something; there is nothing to clean up and nothing to undo (`ANALYZE`, `VACUUM`).
    Refresh,
}

/// What is wanted of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To carry it out: there is no row yet, or this run has just written it.
    CarryOut,
    /// To finish what an earlier run left; what it had not begun is not begun any more.
    Finish,
    /// To take it back.
    TakeBack,
}

/// One action in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it does.
    pub kind: Kind,
    /// What is wanted.
    pub wish: Wish,
    /// Where its row stands; `None` while there is none.
    pub state: Option<State>,
    /// Of the statement that the action, or its undo, is about.
    pub main: Tries,
    /// Of the statement that removes a half-made object.
    pub clean: Tries,
    /// Of the statements that give an object what its definition does not hold.
    pub complete: Tries,
}

impl Case {
    /// One of which nothing was sent in this run yet.
    pub fn new(kind: Kind, wish: Wish, state: Option<State>) -> Self {
        let none = Tries::default;
        Self { kind, wish, state, main: none(), clean: none(), complete: none() }
    }

    /// Takes note of a statement that was sent, and of its answer.
    pub fn sent(&mut self, statement: Statement, answer: Answer) {
        if statement.is_main() {
            // What a further try leaves may have to be removed as well.
            self.clean = Tries::default();
        }
        let tries = self.tries(statement);
        tries.sent += 1;
        tries.rested = false;
        tries.failure = match answer {
            Answer::Done => None,
            Answer::Failed(failure) => Some(failure),
        };
    }

    /// Takes note of a pause before a further try.
    pub fn rested(&mut self, statement: Statement) {
        self.tries(statement).rested = true;
    }

    fn tries(&mut self, statement: Statement) -> &mut Tries {
        match statement {
            Statement::Do | Statement::Undo => &mut self.main,
            Statement::Clean => &mut self.clean,
            Statement::Complete => &mut self.complete,
        }
    }

    /// The failure that keeps it from its end: of the main statement, or of what cleans up for it.
    pub fn failure(&self) -> Option<&Failure> {
        [&self.main, &self.complete, &self.clean]
            .into_iter()
            .find_map(|tries| tries.failure.as_ref())
    }

    /// Whether a statement was sent in this run.
    pub(super) fn began(&self) -> bool {
        [&self.main, &self.clean, &self.complete].into_iter().any(|tries| tries.sent > 0)
    }

    /// How many statements that change something were sent.
    pub fn attempts(&self) -> u32 {
        self.main.sent + self.complete.sent
    }
}

/// How often a statement was sent in this run, and how that went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tries {
    /// How often.
    pub sent: u32,
    /// Why the last one failed; `None` where it did not.
    pub failure: Option<Failure>,
    /// Whether we have paused since.
    pub rested: bool,
}

impl Tries {
    /// Whether it was sent and succeeded.
    pub fn done(&self) -> bool {
        self.sent > 0 && self.failure.is_none()
    }

    /// Whether it may be sent: for the first time, or again.
    pub(super) fn may_send(&self, limits: &Limits) -> bool {
        match &self.failure {
            None => self.sent == 0,
            Some(failure) => failure.chance == Chance::Again && self.sent < limits.tries,
        }
    }

    /// Sends a statement, after a pause where it has failed before.
    pub(super) fn send(&self, statement: Statement) -> Step {
        if self.failure.is_some() && !self.rested {
            return Step::Rest(statement);
        }
        Step::Send(statement)
    }
}

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The server's code, where it came from the server.
    pub sqlstate: Option<String>,
    /// What happened.
    pub message: String,
    /// Whether trying again can help.
    pub chance: Chance,
    /// Who ended it.
    pub by: EndedBy,
}

/// Who ended a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The server, or we to spare others.
    Itself,
    /// The user, who wants to stop.
    User,
    /// The switch, the stop file or the maintenance window: the run may not go on.
    Hold,
}

/// Whether the same statement can succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// It only lacked a lock, or met another who did: after a pause, within this run.
    Again,
    /// Something has to change that takes longer: the next run.
    Later,
    /// The error lies in the statement, in the data or in a limit of the server.
    Never,
}

impl Chance {
    /// Tells by the server's code; a failure without one is tried by the next run.
    ///
    /// Source: PostgreSQL documentation, appendix "Error Codes". 55P03 is `lock_not_available`, 40P01
    /// `deadlock_detected`. A cancel (57014) and an ended connection (57P0x, 08xxx) leave a session of which
    /// somebody wanted the end, a full disk (53100) and a lacking right (42501) need a person: the next run.
    pub fn of(sqlstate: Option<&str>) -> Self {
        let Some(code) = sqlstate else { return Self::Later };
        let changeable = matches!(code, "42501" | "42P07");
        let lasting = ["22", "23", "0A", "42", "54"].iter().any(|class| code.starts_with(class));
        match code {
            "55P03" | "40P01" => Self::Again,
            "2BP01" => Self::Never,
            _ if lasting && !changeable => Self::Never,
            _ => Self::Later,
        }
    }
}

/// What a look at the catalog shows of the object of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing has its name. For [`Kind::Refresh`]: it has not happened.
    Absent,
    /// Nothing has its name, and its table is gone.
    TableGone,
    /// It is there, half made or half removed.
    Half,
    /// Of what is made in parts, some are there; the statement goes on from them.
    Parts,
    /// It is there and usable. For [`Kind::Refresh`]: it has happened.
    Whole {
        /// Whether it also has everything that its definition does not hold; so it is with an index that is new.
        complete: bool,
    },
    /// It is there, but serves something else by now, or somebody is at work on it: the reason.
    Busy(String),
    /// Something else is there, or it is not as recorded any more: what.
    Other(String),
}

/// Whether an action may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Premises {
    /// It may.
    Hold,
    /// There is nothing to do: what is there.
    AlreadyThere(String),
    /// It may not: why, and what to do about it.
    Fail(String),
}

/// A server process that still works for an earlier run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// For how long we have waited for it, since the cancel if there was one.
    pub waited: Duration,
    /// Whether we have cancelled it.
    pub cancelled: bool,
}

/// What is known; `None` where it was not asked, or is not known any more since a statement was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Why the row cannot be believed: it contradicts itself, or belongs to another database.
    pub contradiction: Option<String>,
    /// Whether the action may begin.
    pub premises: Option<Premises>,
    /// A process of an earlier run.
    pub orphan: Option<Orphan>,
    /// What the catalog shows.
    pub found: Option<Found>,
    /// Whether the way is free for the undo: rights, kind of table, transactions that would hold it up.
    pub way: Option<Result<(), String>>,
    /// Whether the user wants to stop.
    pub stop: bool,
}

/// How far we go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How often a statement is sent in one run.
    pub tries: u32,
    /// How long we wait for a process of an earlier run, before a cancel and after it.
    pub orphan_patience: Duration,
}

/// A statement, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// What the action does.
    Do,
    /// What takes it back.
    Undo,
    /// What removes a half-made object.
    Clean,
    /// What gives an object that was made again its comment and the like, and fills new statistics.
    Complete,
}

impl Statement {
    fn is_main(self) -> bool {
        matches!(self, Self::Do | Self::Undo)
    }
}

/// How a statement ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The server reports success.
    Done,
    /// It failed, the session being in order.
    Failed(Failure),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ask whether the action may begin.
    CheckPremises,
    /// Write its row.
    Intend,
    /// Move its row.
    Move {
        /// Where to.
        to: State,
        /// What a person should know.
        note: Option<String>,
    },
    /// Look at the object.
    Look,
    /// Ask whether the way is free.
    CheckWay,
    /// Send a statement.
    Send(Statement),
    /// Pause before this statement is sent again.
    Rest(Statement),
    /// Give the process of an earlier run time.
    AwaitOrphan,
    /// Cancel what it does.
    CancelOrphan,
    /// Nothing more is to be done in this run.
    End(End),
}

impl Step {
    pub(super) fn to(state: State) -> Self {
        Self::Move { to: state, note: None }
    }

    pub(super) fn noted(state: State, note: &str) -> Self {
        Self::Move { to: state, note: Some(note.to_owned()) }
    }
}

/// How it ends, in this run.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It is in place.
    InPlace,
    /// There was nothing to do: what is there.
    AlreadyThere(String),
    /// It was not begun, or its undo was not: why.
    Refused(String),
    /// It did not happen, and nothing is left of it.
    NotDone,
    /// Something is left of it which the next run removes.
    Left,
    /// It was taken back.
    TakenBack,
    /// It should be taken back, which the next run tries again.
    ToBeUndone,
    /// A person has to look.
    ForAPerson,
    /// There is nothing to take back.
    NothingToUndo,
}
