use serde_json::Value;

use super::context::Text;
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, memory};
use crate::display::kilobytes;
use crate::{Operator, OperatorId};

declare_pattern! {
    /// A sort that did not fit into `work_mem` and went through temporary files.
    ///
    /// # Why
    /// Rows are written to files in sorted runs and read back to be merged.
    ///
    /// # Fires when
    /// A Sort, or a group of an Incremental Sort, was on disk, in the leader or in a worker.
    ///
    /// # Silent when
    /// It stayed in memory; the statement was not run.
    ///
    /// # What to do
    /// Sort less (an index that gives the order, fewer or narrower rows, a LIMIT), or raise `work_mem` to what would
    /// hold it: the size on disk and some 64 bytes for each row more (`tuplesort.c`; measured).
    SortOnDisk {
        id: "sort_on_disk",
        summary: "sort that went through temporary files",
    }
}

impl Pattern for SortOnDisk {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &SortOnDisk,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let actual = operator.actual?;
    let (kb, group) = largest(operator)?;
    let what = format!(
        "{} sorts on disk: {} of temporary files{}.",
        cx.name(id),
        kilobytes(kb),
        group.unwrap_or_default()
    );
    let advice = if group.is_some() {
        "Raise work_mem for this statement, or index all columns of the ORDER BY.".to_owned()
    } else {
        format!(
            "An index that gives this order spares the sort; else work_mem of about {} would hold it (`SET LOCAL work_mem`, for \
             this statement: each sort and hash of each session may take as much).",
            memory::setting(memory::to_sort(kb, actual.rows))
        )
    };
    let why =
        "Rows are written to files and read back to be merged, since work_mem does not hold them."
            .to_owned();
    cx.finding(pattern.meta(), Some(id), cx.own(id), Text { what, why, advice })
}

/// Kilobytes of the process that wrote most, and of what, where it is not the whole.
fn largest(operator: &Operator) -> Option<(u64, Option<&'static str>)> {
    let on_disk =
        |kind: Option<&str>, kb: Option<u64>| kb.filter(|kb| kind == Some("Disk") && *kb > 0);
    let leader = on_disk(operator.sort_space_type.as_deref(), operator.sort_space_kb);
    let worker = |other: &std::collections::BTreeMap<String, Value>| {
        on_disk(other.get("Sort Space Type")?.as_str(), other.get("Sort Space Used")?.as_u64())
    };
    let workers = operator.workers.iter().filter_map(|worker_| worker(&worker_.other));
    let whole = workers.chain(leader).max().map(|kb| (kb, None));
    let groups = ["Full-sort Groups", "Pre-sorted Groups"].into_iter().filter_map(|key| {
        operator.other.get(key)?.get("Sort Space Disk")?.get("Peak Sort Space Used")?.as_u64()
    });
    whole.or_else(|| {
        groups.max().filter(|kb| *kb > 0).map(|kb| (kb, Some(" for its largest group")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "sort_on_disk";

    #[test]
    fn fires_on_disk_and_says_what_would_hold_it() {
        let keys = json!({"Sort Method": "external merge", "Sort Space Type": "Disk", "Sort Space Used": 33_784});
        let sort = node("Sort", "Outer", exact(300.0, 300_000.0, 1.0, keys), &[]);
        let finding = fires(ID, &sort);
        assert_eq!(finding.what, "Sort sorts on disk: 33.0 MB of temporary files.");
        assert!(finding.advice.contains("work_mem of about 52.0 MB"), "{}", finding.advice);
        silent(ID, &but(&sort, "Sort Space Type", json!("Memory")));
        silent(ID, &but(&sort, "Actual Total Time", json!(0.2)));
    }

    #[test]
    fn workers_and_groups_count() {
        let workers = json!([{"Worker Number": 0, "Sort Method": "external merge", "Sort Space Type": "Disk", "Sort Space Used": 2048}]);
        let keys = json!({"Sort Method": "quicksort", "Sort Space Type": "Memory", "Sort Space Used": 100, "Workers": workers});
        assert!(
            fires(ID, &node("Sort", "Outer", exact(30.0, 9.0, 2.0, keys), &[]))
                .what
                .contains("2.0 MB")
        );
        let groups = json!({"Group Count": 2, "Sort Methods Used": ["external merge"],
            "Sort Space Disk": {"Average Sort Space Used": 500, "Peak Sort Space Used": 1024}});
        let keys = json!({"Full-sort Groups": groups});
        let finding =
            fires(ID, &node("Incremental Sort", "Outer", exact(30.0, 9.0, 1.0, keys), &[]));
        assert!(finding.what.contains("for its largest group"), "{}", finding.what);
    }
}
