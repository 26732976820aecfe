use super::context::{FEW_ROWS, Text, percent, rows};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::shown;
use crate::{Operator, OperatorId, OperatorKind};

/// Of five rows at least one is looked up in the table. What is written all day is never wholly visible.
const FETCHED_SHARE: f64 = 0.2;

declare_pattern! {
    /// An index-only scan that visits the table all the same.
    ///
    /// # Why
    /// The visibility map does not know the pages to be visible to all, so that each row is looked up in the table.
    ///
    /// # Fires when
    /// 20 % of the rows or more, and 1,000 or more, are fetched from the table.
    ///
    /// # Silent when
    /// Fewer are; the statement was not run.
    ///
    /// # What to do
    /// VACUUM the table, and let autovacuum come more often.
    HeapFetches {
        id: "heap_fetches",
        summary: "index-only scan that visits the table for many rows",
    }
}

impl Pattern for HeapFetches {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &HeapFetches,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let fetches =
        operator.heap_fetches.filter(|_| operator.kind == OperatorKind::IndexOnlyScan)? as f64;
    let metrics = cx.metrics(id);
    // Dead rows are fetched too and not counted among the others.
    let read = (metrics.rows? + metrics.rows_removed.unwrap_or(0.0)).max(fetches);
    if fetches < FEW_ROWS || fetches < FETCHED_SHARE * read {
        return None;
    }
    let what = format!(
        "{} visits the table for {}, {} of those read.",
        cx.name(id),
        rows(fetches),
        percent(fetches / read)
    );
    let table = operator.relation.as_deref().map_or_else(|| "the table".to_owned(), shown);
    let why = "The visibility map does not know the pages to be visible to all.".to_owned();
    let advice = format!(
        "VACUUM {table}; if it comes back, lower autovacuum_vacuum_scale_factor (of a table that is only inserted into, \
         autovacuum_vacuum_insert_scale_factor) for it, and look for transactions that stay open."
    );
    cx.finding(pattern.meta(), Some(id), cx.own(id), Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "heap_fetches";

    #[test]
    fn fires_on_many_fetches() {
        let keys =
            json!({"Relation Name": "events", "Index Name": "events_day", "Heap Fetches": 40_000});
        let scan = node("Index Only Scan", "Outer", exact(30.0, 50_000.0, 1.0, keys), &[]);
        let finding = fires(ID, &scan);
        assert_eq!(
            finding.what,
            "Index Only Scan using events_day on events visits the table for 40,000 rows, 80 % of those read."
        );
        assert!(finding.advice.starts_with("VACUUM events;"));
        silent(ID, &but(&scan, "Heap Fetches", json!(900)));
        silent(ID, &but(&scan, "Heap Fetches", json!(5000)));
    }
}
