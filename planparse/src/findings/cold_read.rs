use super::context::{Text, Unit, percent, size};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::{decimal, milliseconds};
use crate::{Buffers, OperatorKind};

/// 8 MB.
const BLOCKS_MIN: u64 = 1000;

/// Half of the blocks, where nobody timed the reading.
const BLOCKS_SHARE: f64 = 0.5;

/// A quarter of the time, where it was timed.
const TIME_SHARE: f64 = 0.25;

declare_pattern! {
    /// A statement that reads much of its data from outside the server's buffers.
    ///
    /// # Why
    /// Reading a block from the operating system or the disk takes from ten to a thousand times as long as finding it in shared buffers.
    ///
    /// # Fires when
    /// 8 MB or more were read, and reading took a quarter of the time or more (`track_io_timing`); where it was not timed, half
    /// of the blocks or more were read. What several processes read at the same time is divided by their number.
    ///
    /// # Silent when
    /// Less was read; the statement changes or locks rows; the plan has no BUFFERS.
    ///
    /// # What to do
    /// Run it again to see what is left when the data is there; read fewer blocks.
    ColdRead {
        id: "cold_read",
        summary: "data read from outside shared buffers",
    }
}

impl Pattern for ColdRead {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        of(self, cx).into_iter().collect()
    }
}

fn of(pattern: &ColdRead, cx: &Context<'_>) -> Option<Finding> {
    let root = cx.operator(cx.plan.root());
    let buffers =
        root.buffers.filter(|buffers| buffers.shared_read >= BLOCKS_MIN && cx.reads_only())?;
    let touched = buffers.shared_hit.saturating_add(buffers.shared_read);
    let read_share = buffers.shared_read as f64 / touched as f64;
    let exclusive = |id| cx.metrics(id).exclusive_buffers.unwrap_or_default();
    let most = cx
        .operators()
        .map(|(id, ..)| id)
        .max_by_key(|id| (exclusive(*id).shared_read, std::cmp::Reverse(*id)))?;
    let timed = read_ms(cx, &buffers);
    let at_stake = match timed {
        Some(ms) if ms >= TIME_SHARE * cx.whole => ms,
        Some(_) => return None,
        None if read_share >= BLOCKS_SHARE => {
            let read = |id| exclusive(id).shared_read as f64;
            let share = |id| read(id) / (read(id) + exclusive(id).shared_hit as f64).max(1.0);
            cx.operators().map(|(id, ..)| cx.own(id) * share(id)).sum()
        }
        None => return None,
    };
    let what = format!(
        "{} blocks ({}), {} of those touched, come from outside shared buffers{}; most for {}.",
        decimal(buffers.shared_read as f64, 0),
        size(buffers.shared_read),
        percent(read_share),
        timed.map(|ms| format!(", which takes {}", milliseconds(ms))).unwrap_or_default(),
        cx.name(most)
    );
    let why = "A block from the operating system or the disk takes far longer than one in shared buffers.".to_owned();
    let again = "Run it again: what is left then is the statement's own.";
    let advice = if cx.operator(most).kind == OperatorKind::SeqScan {
        format!(
            "{again} A table larger than a quarter of shared_buffers is never kept by a sequential scan: read less of it, by an index or by columns moved out."
        )
    } else {
        format!(
            "{again} If it stays, read fewer blocks (an index that holds all columns needed, CLUSTER) or raise shared_buffers."
        )
    };
    cx.finding(pattern.meta(), Some(most), at_stake, Text { what, why, advice })
}

/// Milliseconds on the clock of reading, where they were measured. Processes that read side by side count once.
fn read_ms(cx: &Context<'_>, buffers: &Buffers) -> Option<f64> {
    let sum = buffers.read_ms.filter(|ms| cx.unit == Unit::Time && *ms > 0.0)?;
    let workers = cx.operators().filter_map(|(_, operator, _)| operator.workers_launched).max();
    Some(sum / (workers.unwrap_or(0) as f64 + 1.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "cold_read";

    #[test]
    fn fires_on_reading_that_took_long_or_was_most() {
        let keys =
            json!({"Relation Name": "log", "Shared Hit Blocks": 1000, "Shared Read Blocks": 9000});
        let scan = node("Seq Scan", "Outer", exact(100.0, 10.0, 1.0, keys), &[]);
        let finding = fires(ID, &scan);
        assert!(
            finding.what.starts_with("9,000 blocks (70.3 MB), 90 % of those touched"),
            "{}",
            finding.what
        );
        assert_eq!(finding.stake.ms, Some(90.0));
        let timed = fires(ID, &but(&scan, "I/O Read Time", json!(40.0)));
        assert_eq!(timed.stake.ms, Some(40.0));
        silent(ID, &but(&scan, "I/O Read Time", json!(5.0)));
        silent(ID, &but(&scan, "Shared Hit Blocks", json!(20_000)));
        silent(ID, &but(&scan, "Shared Read Blocks", json!(900)));
    }
}
