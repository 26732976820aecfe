//! Standbys and replication slots.

use rules::guards::{Replica, Slot};

use super::{if_told, unsigned};
use crate::postgres::{PgError, Session};

/// Standbys, slots, and who holds back vacuum longest.
#[derive(Debug, Default)]
pub(super) struct Replication {
    pub(super) replicas: Option<Vec<Replica>>,
    pub(super) slots: Option<Vec<Slot>>,
    pub(super) horizon: Option<(String, u64)>,
}

/// Reads them. Another role's standbys show nothing of themselves without `pg_monitor`.
pub(super) async fn read(session: &Session) -> Result<Replication, PgError> {
    let mut all = Replication::default();
    let mut keep = |who: String, age: Option<i32>| {
        let age = age.map(|age| unsigned(age.into()));
        if let Some(age) = age.filter(|age| all.horizon.as_ref().is_none_or(|known| known.1 < *age))
        {
            all.horizon = Some((who, age));
        }
    };
    // A base backup is no standby.
    let sql = "SELECT coalesce(r.application_name, pg_catalog.format('process %s', r.pid)), \
                   pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)::bigint, \
                   pg_catalog.age(r.backend_xmin) \
               FROM pg_catalog.pg_stat_replication r WHERE r.state IS DISTINCT FROM 'backup' ORDER BY r.pid";
    if let Some(rows) = if_told(session.query(sql, &[]).await)? {
        let mut replicas = Vec::new();
        for row in rows {
            let (name, behind): (String, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
            keep(format!("standby `{name}`"), row.try_get(2)?);
            replicas.push(Replica { name, behind: behind.map(unsigned) });
        }
        all.replicas = Some(replicas);
    }
    let sql = "SELECT s.slot_name::text, s.active, \
                   pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint, \
                   s.safe_wal_size, coalesce(s.wal_status = 'lost', false), pg_catalog.age(s.xmin) \
               FROM pg_catalog.pg_replication_slots s ORDER BY s.slot_name";
    if let Some(rows) = if_told(session.query(sql, &[]).await)? {
        let mut slots = Vec::new();
        for row in rows {
            let (retained, left): (Option<i64>, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
            let name: String = row.try_get(0)?;
            keep(format!("replication slot `{name}`"), row.try_get(5)?);
            slots.push(Slot {
                name,
                active: row.try_get(1)?,
                retained: retained.map(unsigned),
                left: left.map(unsigned),
                lost: row.try_get(4)?,
            });
        }
        all.slots = Some(slots);
    }
    Ok(all)
}
