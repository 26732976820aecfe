use super::{Answer, Guard, Premises, Scope, Slot, declare_guard, size};

/// WAL that a build writes for each byte of its index (measured on PostgreSQL 15: 0.91).
const WAL_FACTOR: f64 = 1.0;

declare_guard! {
    /// Replication slots that a build would break, or for which WAL piles up.
    ///
    /// # Why
    /// The server keeps WAL for every slot. With `max_slot_wal_keep_size` a slot that is too far behind loses it, and
    /// its standby or subscriber has to be made anew; without, a slot that nobody reads from fills the disk.
    ///
    /// # Refuses when
    /// The WAL of the build (as much as its index) is more than a slot may still fall behind, or a slot already keeps more
    /// than `--max-lag` (1 GB unless set otherwise). Slots that are lost already have nothing left to lose.
    ///
    /// # Where it cannot be known
    /// Everyone may see slots; some hosted databases hide where WAL stands: there is a note.
    pub(super) SlotWal {
        id: "slot_wal",
        summary: "builds whose WAL breaks a replication slot",
        scope: Scope::Action,
    }
}

impl Guard for SlotWal {
    fn judge(&self, premises: &Premises<'_>) -> Answer {
        let Some((target, index)) =
            premises.target.and_then(|target| Some((target, target.index?)))
        else {
            return Answer::Pass;
        };
        let Some(slots) = &premises.server.slots else {
            return Answer::Note("how much WAL replication slots keep is not known".to_owned());
        };
        let wal = (index.bytes.unwrap_or(target.table.bytes) as f64 * WAL_FACTOR) as u64;
        let max = premises.limits.max_lag;
        Answer::refuse_if(
            slots.iter().filter(|slot| !slot.lost).find_map(|slot| endangered(slot, wal, max)),
        )
    }
}

fn endangered(slot: &Slot, wal: u64, max: u64) -> Option<String> {
    let name = &slot.name;
    if let Some(left) = slot.left.filter(|left| wal > *left) {
        return Some(format!(
            "the build writes some {} of WAL, and replication slot `{name}` loses its own after {} \
             (max_slot_wal_keep_size); let its reader catch up, or drop the slot",
            size(wal),
            size(left)
        ));
    }
    slot.retained.filter(|retained| *retained > max).map(|retained| {
        let reader =
            if slot.active { "let its reader catch up" } else { "nobody reads from it: drop it" };
        format!(
            "replication slot `{name}` keeps {} of WAL, more than {} (--max-lag); {reader}",
            size(retained),
            size(max)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::SlotWal;
    use crate::guards::testing::Case;

    fn of(alter: impl FnOnce(&mut crate::guards::Slot)) -> Case {
        let mut case = Case::default();
        alter(&mut case.server.slots.as_mut().unwrap()[0]);
        case
    }

    #[test]
    fn a_slot_must_survive_the_wal_of_the_build() {
        let case = of(|slot| slot.left = Some(199 << 20));
        assert!(
            case.reason(&SlotWal)
                .contains("200 MB of WAL, and replication slot `s1` loses its own after 199 MB")
        );
        assert!(of(|slot| slot.left = None).passes(&SlotWal));
        let case = of(|slot| (slot.left, slot.lost) = (Some(0), true));
        assert!(case.passes(&SlotWal));
    }

    #[test]
    fn wal_must_not_pile_up() {
        let case = of(|slot| (slot.retained, slot.active) = (Some(2 << 30), false));
        assert!(
            case.reason(&SlotWal)
                .contains("keeps 2 GB of WAL, more than 1 GB (--max-lag); nobody reads")
        );
        let mut case = Case::default();
        case.server.slots = None;
        assert!(case.note(&SlotWal).contains("not known"));
    }
}
