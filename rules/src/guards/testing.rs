//! A sound server, table and action, of which a test alters one thing.

use std::time::Duration;

use super::{
    Answer, Guard, KeyFacts, Limits, PlannedIndex, Premises, Replica, ServerFacts, Slot, Spent,
    TableFacts, Target, Work,
};

/// All that guards look at.
pub(super) struct Case {
    pub(super) server: ServerFacts,
    pub(super) limits: Limits,
    pub(super) spent: Spent,
    pub(super) work: Work,
    pub(super) table: TableFacts,
    pub(super) index: PlannedIndex,
}

impl Default for Case {
    fn default() -> Self {
        let mb = 1 << 20;
        let replica = Replica { name: "standby1".into(), behind: Some(mb) };
        let slot = Slot {
            name: "s1".into(),
            active: true,
            retained: Some(mb),
            left: Some(20 << 30),
            lost: false,
        };
        Self {
            server: ServerFacts {
                version_num: 150_008,
                version: "15.8".into(),
                checks_connection: true,
                replicas: Some(vec![replica]),
                slots: Some(vec![slot]),
                maintenance_work_mem: 64 * mb,
                freeze_min_age: 50_000_000,
                disk_free: Some(100 << 30),
                ..ServerFacts::default()
            },
            limits: Limits::default(),
            spent: Spent::default(),
            work: Work::CreateIndex,
            table: TableFacts {
                schema: "app".into(),
                name: "Log".into(),
                kind: "r".into(),
                persistence: "p".into(),
                owner: "appuser".into(),
                own: true,
                member: true,
                may_create: true,
                may_analyze: true,
                age: 1_000_000,
                freeze_max_age: 200_000_000,
                freezing: Some(false),
                bytes: 1 << 30,
                indexes: 3,
                updated: 1000,
                hot_updated: 900,
                ..TableFacts::default()
            },
            index: PlannedIndex {
                method: "btree".into(),
                bytes: Some(200 * mb),
                time: Duration::from_secs(100),
                ends_hot: None,
                keys: vec![KeyFacts {
                    name: "userId".into(),
                    width: Some(4.0),
                    null_fraction: Some(0.0),
                    leakproof: Some(true),
                    ..KeyFacts::default()
                }],
            },
        }
    }
}

impl Case {
    /// As the guards see it.
    pub(super) fn premises(&self) -> Premises<'_> {
        let index = (self.work == Work::CreateIndex).then_some(&self.index);
        let target = Some(Target { work: self.work, table: &self.table, index });
        Premises { server: &self.server, limits: &self.limits, spent: self.spent, target }
    }

    /// The reason for which a guard refuses.
    pub(super) fn reason(&self, guard: &dyn Guard) -> String {
        match guard.judge(&self.premises()) {
            Answer::Refuse(reason) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// What a guard notes.
    pub(super) fn note(&self, guard: &dyn Guard) -> String {
        match guard.judge(&self.premises()) {
            Answer::Note(note) => note,
            other => panic!("no note: {other:?}"),
        }
    }

    /// Whether a guard lets it pass.
    pub(super) fn passes(&self, guard: &dyn Guard) -> bool {
        guard.judge(&self.premises()) == Answer::Pass
    }
}
