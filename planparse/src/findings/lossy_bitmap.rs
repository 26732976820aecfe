use super::context::{Text, percent};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, memory};
use crate::display::decimal;
use crate::{Operator, OperatorId};

/// Of ten blocks at least one lossy; fewer cost next to nothing.
const LOSSY_SHARE: f64 = 0.1;

declare_pattern! {
    /// A bitmap that outgrew `work_mem` and knows of some blocks only that they hold matches.
    ///
    /// # Why
    /// Every row of such a block is checked again.
    ///
    /// # Fires when
    /// 10 % or more of the blocks of a Bitmap Heap Scan are lossy.
    ///
    /// # Silent when
    /// Fewer are; all are, as with BRIN, which knows no rows; the statement was not run.
    ///
    /// # What to do
    /// Raise `work_mem` to 64 bytes for each block (`tbm_calculate_entries()` in `tidbitmap.c`), or let an index find fewer rows.
    LossyBitmap {
        id: "lossy_bitmap",
        summary: "bitmap that outgrew work_mem and lost track of rows",
    }
}

impl Pattern for LossyBitmap {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &LossyBitmap,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    // Of a parallel scan, up to version 17, these are the leader's only.
    let lossy = operator.lossy_heap_blocks.filter(|blocks| *blocks > 0)? as f64;
    // An index that knows blocks only (BRIN) is lossy throughout, however much memory there is; a bitmap that outgrew
    // it keeps about half of its entries exact.
    let exact = operator.exact_heap_blocks.filter(|blocks| *blocks > 0)? as f64;
    let blocks = lossy + exact;
    if lossy < LOSSY_SHARE * blocks {
        return None;
    }
    let what = format!(
        "{} rechecks all rows of {} of its {} blocks ({}).",
        cx.name(id),
        decimal(lossy, 0),
        decimal(blocks, 0),
        percent(lossy / blocks)
    );
    let why = "The bitmap outgrew work_mem and knows of these blocks only that some row matches."
        .to_owned();
    let advice = format!(
        "A work_mem of {} or more would hold the bitmap (`SET LOCAL work_mem`, for this statement); an index with more of the conditions \
         as keys would find fewer rows.",
        memory::setting(memory::for_bitmap(blocks))
    );
    cx.finding(pattern.meta(), Some(id), cx.own(id), Text { what, why, advice })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "lossy_bitmap";

    #[test]
    fn fires_on_a_tenth_of_the_blocks() {
        let keys = json!({"Relation Name": "log", "Exact Heap Blocks": 30_000, "Lossy Heap Blocks": 70_000});
        let scan = node("Bitmap Heap Scan", "Outer", exact(500.0, 90_000.0, 1.0, keys), &[]);
        let finding = fires(ID, &scan);
        assert_eq!(
            finding.what,
            "Bitmap Heap Scan on log rechecks all rows of 70,000 of its 100,000 blocks (70 %)."
        );
        assert!(finding.advice.starts_with("A work_mem of 7.0 MB or more"), "{}", finding.advice);
        silent(ID, &but(&scan, "Lossy Heap Blocks", json!(100)));
        silent(ID, &but(&scan, "Lossy Heap Blocks", json!(0)));
        silent(ID, &but(&scan, "Exact Heap Blocks", json!(0)));
    }
}
