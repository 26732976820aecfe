use super::context::Text;
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, memory};
use crate::display::{decimal, kilobytes};
use crate::{Operator, OperatorId, OperatorKind};

declare_pattern! {
    /// A hashed aggregate whose groups did not fit into memory.
    ///
    /// # Why
    /// Rows of groups that are not in memory are written to temporary files and aggregated in later batches.
    ///
    /// # Fires when
    /// An Aggregate used the disk or has more than one batch (from version 13 on; before, it took memory without limit).
    ///
    /// # Silent when
    /// It stayed in memory; the statement was not run.
    ///
    /// # What to do
    /// Group fewer rows, or by an index's order; or raise `work_mem` to what holds the groups that came
    /// (`hash_agg_entry_size()` in `nodeAgg.c`; aggregates over numeric, arrays or texts keep more).
    AggregateOnDisk {
        id: "aggregate_on_disk",
        summary: "hashed aggregate that went through temporary files",
    }
}

impl Pattern for AggregateOnDisk {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &AggregateOnDisk,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let actual = operator.actual.filter(|_| operator.kind == OperatorKind::Aggregate)?;
    let disk = operator.disk_usage_kb.unwrap_or(0);
    let batches = operator.hashagg_batches.unwrap_or(1);
    if disk == 0 && batches <= 1 {
        return None;
    }
    let groups = actual.rows + operator.rows_removed_by_filter.unwrap_or(0.0);
    let what = format!(
        "{} groups on disk: {} of temporary files in {} batches for {} groups.",
        cx.name(id),
        kilobytes(disk),
        decimal(batches as f64, 0),
        decimal(groups, 0)
    );
    let why = "Rows of groups that memory does not hold are written to temporary files and aggregated later.".to_owned();
    let advice = format!(
        "A {} would hold the groups, with aggregates over numeric, arrays or texts more (`SET LOCAL`, for this statement); an \
         index in the order of the grouping spares the hash table.",
        memory::hash_setting_for(cx, memory::to_group(groups, operator.width))
    );
    cx.finding(pattern.meta(), Some(id), cx.own(id), Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "aggregate_on_disk";

    #[test]
    fn fires_on_disk_usage() {
        let keys = json!({"Strategy": "Hashed", "HashAgg Batches": 5, "Disk Usage": 7168, "Peak Memory Usage": 4145, "Plan Width": 12});
        let aggregate = node("Aggregate", "Outer", exact(200.0, 300_000.0, 1.0, keys), &[]);
        let finding = fires(ID, &aggregate);
        assert_eq!(
            finding.what,
            "HashAggregate groups on disk: 7.0 MB of temporary files in 5 batches for 300,000 groups."
        );
        assert!(finding.advice.contains("of 43.0 MB or more"), "{}", finding.advice);
        silent(ID, &but(&but(&aggregate, "Disk Usage", json!(0)), "HashAgg Batches", json!(1)));
        silent(ID, &but(&aggregate, "Actual Total Time", json!(0.5)));
    }
}
