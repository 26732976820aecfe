//! The guards: what must hold before anything is changed, one file each. Adding one takes a `mod` line and an entry in
//! [`GUARDS`].
//!
//! A guard is a pure look at [`Premises`]. It lets an action pass, refuses it with the figure that caused it and
//! the next step, or passes it with a note where the server does not tell what would have to be known. The applier
//! asks them before it begins, and a dry run asks the very same ones to say beforehand what would be refused.

mod build_budget;
mod disk_space;
mod entry_size;
mod event_triggers;
mod facts;
mod hot_updates;
mod index_count;
mod limits;
mod long_transactions;
mod ownership;
mod pooler;
mod prepared_transactions;
mod read_only;
mod relation_kind;
mod replica_lag;
mod row_security;
mod server_version;
mod session_settings;
mod slot_wal;
mod standby;
mod stop_file;
mod switch;
mod temp_file_limit;
#[cfg(test)]
mod testing;
mod vacuum_horizon;
mod window;
mod wraparound;

pub use facts::{
    Blocker, KeyFacts, PlannedIndex, Premises, Replica, ServerFacts, Slot, Spent, TableFacts,
    Target, Work,
};
pub use limits::{Limits, Window, WindowError};

/// Every guard, in the order in which they are asked and in which the reference page tells of them.
pub static GUARDS: &[&dyn Guard] = &[
    &server_version::ServerVersion,
    &standby::Standby,
    &read_only::ReadOnly,
    &pooler::Pooler,
    &session_settings::SessionSettings,
    &switch::Switch,
    &stop_file::StopFile,
    &window::MaintenanceWindow,
    &relation_kind::RelationKind,
    &ownership::Ownership,
    &wraparound::Wraparound,
    &event_triggers::EventTriggers,
    &index_count::IndexCount,
    &entry_size::EntrySize,
    &hot_updates::HotUpdates,
    &row_security::RowSecurity,
    &build_budget::BuildBudget,
    &disk_space::DiskSpace,
    &temp_file_limit::TempFileLimit,
    &replica_lag::ReplicaLag,
    &slot_wal::SlotWal,
    &vacuum_horizon::VacuumHorizon,
    &prepared_transactions::PreparedTransactions,
    &long_transactions::LongTransactions,
];

/// When a guard is asked, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Of the server and our session, once, before anything is changed: by a run, and by a rollback.
    Server,
    /// Whether a run may go on: when it begins, before each action, and while a statement is at work. A
    /// rollback, which a person asks for, is not held up by it.
    Run,
    /// Of a table, before each statement that changes something about it, also one that takes an action back.
    Table,
    /// Of an action, before it is begun. A person can waive it (`--waive-guard`).
    Action,
    /// Of those who would hold a statement up, which is looked at again for a while: they may end by themselves.
    Way,
}

impl Scope {
    /// In words, for the reference page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Run => "run",
            Self::Table => "table",
            Self::Action => "action",
            Self::Way => "way",
        }
    }
}

/// What a guard says about itself; the one source for the reference page.
pub struct Meta {
    /// Its name, also its file's name.
    pub id: &'static str,
    /// One line: what it keeps from happening.
    pub summary: &'static str,
    /// The doc comment: headings `Why`, `Refuses when`, `Where it cannot be known`.
    pub docs: &'static str,
    /// When it is asked.
    pub scope: Scope,
    /// Source file.
    pub file: &'static str,
}

/// Implemented by [`declare_guard!`] only.
pub trait Declared: Sync {
    /// What the guard says about itself.
    fn meta(&self) -> &'static Meta;
}

/// A guard.
pub trait Guard: Declared {
    /// What it says to what is known.
    fn judge(&self, premises: &Premises<'_>) -> Answer;
}

/// What a guard answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing speaks against it.
    Pass,
    /// It may go on, and a person may want to know this.
    Note(String),
    /// Not now: the figure that caused it, and what to do about it.
    Refuse(String),
}

impl Answer {
    /// A refusal where there is a reason, else a pass.
    fn refuse_if(reason: Option<String>) -> Self {
        reason.map_or(Self::Pass, Self::Refuse)
    }
}

/// What all guards of some scopes answer together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Guard and reason of each refusal, in the order of [`GUARDS`].
    pub refusals: Vec<(&'static str, String)>,
    /// Guard and text of each note.
    pub notes: Vec<(&'static str, String)>,
}

impl Judgement {
    /// The first refusal's reason.
    pub fn reason(&self) -> Option<&str> {
        self.refusals.first().map(|(_, reason)| reason.as_str())
    }
}

/// Asks every guard of these scopes. What a person has waived becomes a note.
pub fn judge(scopes: &[Scope], premises: &Premises<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    for guard in GUARDS {
        let meta = guard.meta();
        if !scopes.contains(&meta.scope) {
            continue;
        }
        match guard.judge(premises) {
            Answer::Pass => {}
            Answer::Note(text) => judgement.notes.push((meta.id, text)),
            Answer::Refuse(reason) if premises.limits.waives(meta) => {
                judgement.notes.push((meta.id, format!("waived: {reason}")));
            }
            Answer::Refuse(reason) => judgement.refusals.push((meta.id, reason)),
        }
    }
    judgement
}

/// A number of bytes for people, in powers of 1024 as PostgreSQL's `pg_size_pretty` prints them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(unit > 0 && value < 10.0 && value.fract() > 0.0);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// Declares a guard: the doc comment is its documentation, the type its identity.
macro_rules! declare_guard {
    ($(#[doc = $doc:expr])+ $vis:vis $Guard:ident { $($key:ident: $value:expr),+ $(,)? }) => {
        $(#[doc = $doc])+
        $vis struct $Guard;
        impl $crate::guards::Declared for $Guard {
            fn meta(&self) -> &'static $crate::guards::Meta {
                static META: $crate::guards::Meta = $crate::guards::Meta {
                    docs: concat!($($doc, "\n"),+),
                    file: file!(),
                    $($key: $value),+
                };
                &META
            }
        }
    };
}
use declare_guard;

#[cfg(test)]
mod tests {
    use super::testing::Case;
    use super::{GUARDS, Scope, judge, size};

    #[test]
    fn ids_equal_file_names_and_every_guard_is_documented() {
        for guard in GUARDS {
            let meta = guard.meta();
            assert!(meta.file.ends_with(&format!("/{}.rs", meta.id)), "{} {}", meta.id, meta.file);
            for heading in ["# Why", "# Refuses when", "# Where it cannot be known"] {
                assert!(meta.docs.contains(heading), "{} lacks {heading}", meta.id);
            }
        }
    }

    #[test]
    fn a_sound_server_passes_every_guard_without_a_note() {
        let case = Case::default();
        let all = [Scope::Server, Scope::Run, Scope::Table, Scope::Action, Scope::Way];
        let judgement = judge(&all, &case.premises());
        assert_eq!(judgement, super::Judgement::default());
    }

    #[test]
    fn only_guards_of_an_action_can_be_waived_and_then_leave_a_note() {
        let mut case = Case::default();
        case.table.indexes = 40;
        case.server.in_recovery = true;
        case.limits.waived = vec!["index_count".into(), "standby".into()];
        let judgement = judge(&[Scope::Server, Scope::Action], &case.premises());
        assert_eq!(judgement.refusals.len(), 1);
        assert_eq!(judgement.refusals[0].0, "standby");
        assert_eq!(judgement.notes[0].0, "index_count");
        assert!(judgement.notes[0].1.starts_with("waived: "), "{judgement:?}");
    }

    #[test]
    fn sizes_read_as_the_server_prints_them() {
        let printed: Vec<String> = [0, 1023, 1024, 1536, 1 << 20, 5 << 30].map(size).into();
        assert_eq!(printed, ["0 bytes", "1023 bytes", "1 kB", "1.5 kB", "1 MB", "5 GB"]);
    }
}
