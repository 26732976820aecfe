use super::context::{Text, rows};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::{decimal, kilobytes};
use crate::{Operator, OperatorId, OperatorKind};

/// Bytes of a row: a dozen columns of numbers and names stay well below, a document or all columns of a wide table do not.
const WIDTH_MIN: u32 = 1000;

/// Kilobytes carried: four times the default work_mem.
const CARRIED_KB_MIN: f64 = 16.0 * 1024.0;

declare_pattern! {
    /// Wide rows that are carried through a sort, a hash table or a queue between processes.
    ///
    /// # Why
    /// Every column that is carried along is copied, takes memory and goes to disk with the rest.
    ///
    /// # Fires when
    /// Rows of 1,000 bytes or more, 16 MB of them or more by estimated width, are sorted, hashed, stored or sent from workers. Of
    /// several places, the dearest is told.
    ///
    /// # Silent when
    /// Rows are narrower or few; they are only read and returned.
    ///
    /// # What to do
    /// Select only the columns that are needed, or sort keys first and join the wide columns to what is left.
    WideRows {
        id: "wide_rows",
        summary: "wide rows carried through a sort, hash or gather",
    }
}

impl Pattern for WideRows {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let found = cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator));
        found
            .reduce(|best, next| if next.stake.share > best.stake.share { next } else { best })
            .into_iter()
            .collect()
    }
}

fn of(
    pattern: &WideRows,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let how = match operator.kind {
        OperatorKind::Sort | OperatorKind::IncrementalSort => "sorts",
        OperatorKind::Hash => "hashes",
        OperatorKind::Materialize | OperatorKind::CteScan => "stores",
        OperatorKind::Gather | OperatorKind::GatherMerge => "takes from workers",
        OperatorKind::WindowAgg => "keeps",
        OperatorKind::Aggregate if operator.strategy.as_deref() == Some("Hashed") => "groups",
        _ => return None,
    };
    // A sort that a LIMIT cuts short gives few rows and has taken in many.
    let taken = match cx.plan.outer(id) {
        Some(input) if operator.kind == OperatorKind::Sort => input,
        _ => id,
    };
    let count = cx.operator(taken).actual.map_or(cx.operator(taken).rows, |actual| actual.rows);
    let kb = count * f64::from(operator.width) / 1024.0;
    // A top-N sort keeps no more than the LIMIT asks for.
    let top = operator.sort_method.as_deref() == Some("top-N heapsort");
    if operator.width < WIDTH_MIN || kb < CARRIED_KB_MIN || top {
        return None;
    }
    let what = format!(
        "{} {how} {} of {} bytes each, {} in all.",
        cx.name(id),
        rows(count),
        decimal(f64::from(operator.width), 0),
        kilobytes(kb.min(1e15) as u64)
    );
    let why =
        "Every column that is carried along is copied and takes memory or disk with the rest."
            .to_owned();
    let advice = "Select only the columns that are needed; or sort and cut down the keys first and join the wide columns to what is left.".to_owned();
    cx.finding(pattern.meta(), Some(id), cx.own(id), Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "wide_rows";

    #[test]
    fn fires_on_wide_rows_that_are_carried() {
        let sort =
            node("Sort", "Outer", exact(90.0, 50_000.0, 1.0, json!({"Plan Width": 2000})), &[]);
        let finding = fires(ID, &sort);
        assert_eq!(finding.what, "Sort sorts 50,000 rows of 2,000 bytes each, 95.4 MB in all.");
        silent(ID, &but(&sort, "Plan Width", json!(200)));
        silent(ID, &but(&sort, "Actual Rows", json!(500)));
        silent(ID, &but(&sort, "Sort Method", json!("top-N heapsort")));
        silent(ID, &but(&sort, "Node Type", json!("Seq Scan")));
    }
}
