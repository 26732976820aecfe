use super::context::{Text, percent, size};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::{decimal, kilobytes};

/// 8 MB that have to be written out again. A statement that comes after a load or an update dirties some.
const BLOCKS_MIN: u64 = 1000;

/// Of ten blocks touched at least one.
const SHARE: f64 = 0.1;

declare_pattern! {
    /// A statement that only reads and dirties blocks all the same.
    ///
    /// # Why
    /// The first reader after a change notes in each row whether its transaction was committed (hint bits) and clears away dead
    /// versions; those blocks have to be written out again, with checksums through the write-ahead log.
    ///
    /// # Fires when
    /// A statement without INSERT, UPDATE, DELETE, MERGE and row locks dirtied 10 % or more of the blocks that it touched, and 8 MB or
    /// more. At stake is the share of the work that those blocks had.
    ///
    /// # Silent when
    /// It changes or locks rows; fewer blocks were dirtied; the plan has no BUFFERS. Functions that it calls may write, which no plan shows.
    ///
    /// # What to do
    /// VACUUM after large changes, so that no reader has to.
    DirtyingRead {
        id: "dirtying_read",
        summary: "blocks dirtied by a statement that only reads",
    }
}

impl Pattern for DirtyingRead {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        of(self, cx).into_iter().collect()
    }
}

fn of(pattern: &DirtyingRead, cx: &Context<'_>) -> Option<Finding> {
    let root = cx.operator(cx.plan.root());
    let buffers = root.buffers?;
    let touched = buffers.shared_hit.saturating_add(buffers.shared_read);
    let share = buffers.shared_dirtied as f64 / touched as f64;
    if buffers.shared_dirtied < BLOCKS_MIN || share.is_nan() || share < SHARE || !cx.reads_only() {
        return None;
    }
    let dirtied = |id| cx.metrics(id).exclusive_buffers.map_or(0, |buffers| buffers.shared_dirtied);
    let most = cx
        .operators()
        .map(|(id, ..)| id)
        .max_by_key(|id| (dirtied(*id), std::cmp::Reverse(*id)))?;
    let wal = root.wal.map(|wal| wal.bytes / 1024).filter(|kb| *kb > 0);
    let what = format!(
        "The statement only reads, and dirtied {} blocks ({}), {} of those touched{}; most by {}.",
        decimal(buffers.shared_dirtied as f64, 0),
        size(buffers.shared_dirtied),
        percent(share.min(1.0)),
        wal.map(|kb| format!(", with {} of write-ahead log", kilobytes(kb))).unwrap_or_default(),
        cx.name(most)
    );
    let why = "The first reader after a change sets hint bits and clears dead rows away; the blocks have to be written again.".to_owned();
    let table = cx
        .operator(most)
        .relation
        .as_deref()
        .map_or_else(|| "the tables".to_owned(), crate::display::shown);
    let advice = format!(
        "Run it again: the next reader does not pay. VACUUM {table} after large changes, so that no statement has to."
    );
    let at_stake = cx.below(cx.plan.root()) * share.min(1.0);
    cx.finding(pattern.meta(), Some(most), at_stake, Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "dirtying_read";

    #[test]
    fn fires_on_hint_bits_and_not_on_writes() {
        let keys = json!({"Relation Name": "log", "Shared Hit Blocks": 1000, "Shared Read Blocks": 9000, "Shared Dirtied Blocks": 5000});
        let scan = node("Seq Scan", "Outer", exact(100.0, 10.0, 1.0, keys.clone()), &[]);
        let finding = fires(ID, &scan);
        assert!(
            finding.what.contains(
                "dirtied 5,000 blocks (39.1 MB), 50 % of those touched; most by Seq Scan on log"
            ),
            "{}",
            finding.what
        );
        assert_eq!(finding.stake.ms, Some(50.0));
        silent(ID, &but(&scan, "Shared Dirtied Blocks", json!(900)));
        let write = node(
            "ModifyTable",
            "Outer",
            exact(
                100.0,
                0.0,
                1.0,
                crate::testing::with(keys.clone(), json!({"Operation": "Update"})),
            ),
            std::slice::from_ref(&scan),
        );
        silent(ID, &write);
        silent(ID, &node("LockRows", "Outer", exact(100.0, 10.0, 1.0, keys), &[scan]));
    }
}
