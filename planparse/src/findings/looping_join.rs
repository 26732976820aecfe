use super::context::{Text, Unit, rows};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, misestimate};
use crate::display::{decimal, shown};
use crate::{Link, OperatorId, OperatorKind};

/// Pairs of rows compared for nothing: a thousand by a hundred, some 10 ms.
const PAIRS_MIN: f64 = 100_000.0;

/// Of ten pairs compared, at most one is a match.
const DISCARDED_SHARE: f64 = 0.9;

/// Pairs in a plan that was not run: some 100 ms. Higher, since both factors are only estimated.
const PAIRS_EXPECTED_MIN: f64 = 1e6;

/// Runs of the inner side that are many even where they were expected: from about there on a hash of the inner table
/// costs less than looking up each row, unless the inner table is far larger still.
const MANY_LOOPS: f64 = 100_000.0;

/// Of the whole, where they were expected.
const SHARE_OF_MANY: f64 = 0.3;

declare_pattern! {
    /// A nested loop over many rows.
    ///
    /// # Why
    /// The inner side runs once for every row of the outer side.
    ///
    /// # Fires when
    /// The join filter compares 100,000 pairs of rows or more and discards 90 % of them (in a plan that was not run: a million
    /// pairs are expected, whatever comes of them); or the inner side runs 100,000 times or more, as expected, and takes 30 % of the time
    /// or more.
    ///
    /// # Silent when
    /// None of that holds: a nested loop over few rows, or one whose inner side answers from an index as often
    /// as was expected, is what the planner should choose. That it runs ten times as often as expected or more is told where the wrong
    /// number begins (`misestimate`). Under a LIMIT, many loops alone are not told.
    ///
    /// # What to do
    /// Give the planner an equality to hash by, an index to look rows up with, or the right number of rows.
    LoopingJoin {
        id: "looping_join",
        summary: "nested loop over many rows",
    }
}

impl Pattern for LoopingJoin {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let joins =
            cx.operators().filter(|(_, operator, _)| operator.kind == OperatorKind::NestedLoop);
        let of = |id| {
            let children = cx.plan.children(id);
            let side =
                |wanted| children.iter().find(|(_, link)| *link == wanted).map(|(child, _)| *child);
            let (outer, inner) = (side(Link::Outer)?, side(Link::Inner)?);
            let at_stake = cx.own(id) + cx.below(inner);
            if !cx.matters(at_stake) {
                return None;
            }
            let text = comparing(cx, id, outer, inner).or_else(|| many(cx, id, outer, inner))?;
            cx.finding(self.meta(), Some(id), at_stake, text)
        };
        joins.filter_map(|(id, ..)| of(id)).collect()
    }
}

const WHY: &str = "The inner side runs once for every row of the outer side.";

/// Every row against every other.
fn comparing(
    cx: &Context<'_>,
    id: OperatorId,
    outer: OperatorId,
    inner: OperatorId,
) -> Option<Text> {
    let operator = cx.operator(id);
    let filter = operator.join_filter.as_deref()?;
    let pairs = if let Some(actual) = operator.actual {
        let discarded = operator.rows_removed_by_join_filter? * actual.loops;
        let pairs = discarded + cx.metrics(id).rows?;
        (pairs >= PAIRS_MIN && discarded >= DISCARDED_SHARE * pairs).then_some(pairs)
    } else {
        let pairs = cx.operator(outer).rows * cx.operator(inner).rows;
        (cx.unit == Unit::Cost && pairs >= PAIRS_EXPECTED_MIN).then_some(pairs)
    }?;
    let compared = if operator.actual.is_some() { "compares" } else { "is expected to compare" };
    let what = format!(
        "{} {compared} {} pairs of rows by {}: {} against {}.",
        cx.name(id),
        decimal(pairs, 0),
        shown(filter),
        cx.name(outer),
        cx.name(inner)
    );
    let advice = "Make it an equality of columns on both sides, so that it can be hashed (an OR splits into a UNION, a NOT IN \
         into NOT EXISTS), or index the inner table by what is compared.";
    Some(Text { what, why: WHY.to_owned(), advice: advice.to_owned() })
}

/// As many runs as the planner thought, and many.
fn many(cx: &Context<'_>, id: OperatorId, outer: OperatorId, inner: OperatorId) -> Option<Text> {
    let loops = cx.operator(inner).actual?.loops;
    let share = (cx.own(id) + cx.below(inner)) / cx.whole;
    if loops < MANY_LOOPS
        || share < SHARE_OF_MANY
        || cx.metrics(id).stoppable
        || cx.unit != Unit::Time
        || misestimate::error(cx, outer).is_some_and(|error| error > 1.0)
    {
        return None;
    }
    // Each process of a parallel plan counts its own loops; they are not told apart here.
    let what = format!(
        "{} runs {} times, for {} in all.",
        cx.name(inner),
        decimal(loops, 0),
        rows(cx.metrics(inner).rows?)
    );
    let advice = "Compare with a hash join (`SET enable_nestloop = off` in a session of your own); if that is faster, \
         random_page_cost or effective_cache_size make index look-ups look cheaper than they are here, or work_mem is too small for \
         the hash.";
    Some(Text { what, why: WHY.to_owned(), advice: advice.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "looping_join";

    fn join(keys: Value, outer: Value, inner: Value) -> Value {
        node("Nested Loop", "Outer", keys, &[outer, inner])
    }

    fn side(kind: &str, link: &str, ms: f64, rows: f64, loops: f64) -> Value {
        node(kind, link, exact(ms, rows, loops, json!({"Alias": link})), &[])
    }

    #[test]
    fn every_row_against_every_other() {
        let keys = json!({"Join Filter": "(a.x <> b.x)", "Rows Removed by Join Filter": 990_000});
        let pairs = join(
            exact(100.0, 10_000.0, 1.0, keys),
            side("Seq Scan", "Outer", 1.0, 1000.0, 1.0),
            side("Materialize", "Inner", 0.05, 1000.0, 1000.0),
        );
        let finding = fires(ID, &pairs);
        assert!(
            finding.what.contains("compares 1,000,000 pairs of rows by (a.x <> b.x)"),
            "{}",
            finding.what
        );
        assert_eq!(finding.stake.ms, Some(99.0));
        silent(ID, &but(&pairs, "Rows Removed by Join Filter", json!(50_000)));
        silent(ID, &but(&pairs, "Actual Rows", json!(900_000)));
    }

    #[test]
    fn more_runs_than_expected_are_told_where_the_number_begins() {
        let outer = but(&side("Seq Scan", "Outer", 5.0, 500_000.0, 1.0), "Plan Rows", json!(10));
        let right = side("Seq Scan", "Outer", 5.0, 500_000.0, 1.0);
        let inner = side("Index Scan", "Inner", 0.001, 1.0, 500_000.0);
        let surprised = join(exact(600.0, 500_000.0, 1.0, json!({})), outer, inner.clone());
        silent(ID, &surprised);
        assert_eq!(fires("misestimate", &surprised).stake.ms, Some(595.0));
        fires(ID, &join(exact(600.0, 500_000.0, 1.0, json!({})), right, inner));
    }

    #[test]
    fn many_runs_as_expected() {
        let of = |loops: f64| {
            let outer = side("Seq Scan", "Outer", 50.0, loops, 1.0);
            join(
                exact(400.0, loops, 1.0, json!({})),
                outer,
                side("Index Scan", "Inner", 0.001, 1.0, loops),
            )
        };
        assert!(fires(ID, &of(200_000.0)).what.contains("runs 200,000 times"));
        silent(ID, &of(50_000.0));
        silent(ID, &node("Limit", "Outer", exact(400.0, 10.0, 1.0, json!({})), &[of(200_000.0)]));
    }

    #[test]
    fn a_plan_that_was_not_run() {
        let side = |link, rows| {
            node("Seq Scan", link, json!({"Plan Rows": rows, "Total Cost": 100.0}), &[])
        };
        let keys = json!({"Join Filter": "(a < b)", "Plan Rows": 1000, "Total Cost": 50_000.0});
        fires(ID, &join(keys.clone(), side("Outer", 2000), side("Inner", 2000)));
        silent(ID, &join(keys, side("Outer", 20), side("Inner", 2000)));
    }
}
