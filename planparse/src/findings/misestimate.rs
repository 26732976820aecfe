use std::collections::BTreeSet;

use super::context::{ESTIMATE_ERROR, FEW_ROWS, Text};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::decimal;
use crate::{Link, OperatorId, OperatorKind};

/// Only the dearest are told: of many wrong estimates in one plan, most come of the same causes.
const MOST: usize = 3;

declare_pattern! {
    /// A row estimate that is wrong by ten times or more, told of the operator at which it begins.
    ///
    /// # Why
    /// Join methods, join order, memory and parallel workers are chosen by the expected rows. All that stands above a wrong number
    /// was chosen for another amount of data.
    ///
    /// # Fires when
    /// Estimated and actual rows per loop differ by ten times or more, on 1,000 rows or more over all loops, and no input of the
    /// operator is wrong in the same direction. At stake are the operators chosen by the wrong number: the scan of a table itself,
    /// and joins, sorts, hashes and aggregates above it as far as they are wrong in the same direction and one more,
    /// with what a nested loop repeats. At most three are told, the dearest.
    ///
    /// # Silent when
    /// An operator was stopped early (by a LIMIT, a semi-join, a merge join at its end) and gave fewer rows than
    /// expected; the inner side of a merge join gave more, since rows that it goes back to are counted again; it is a
    /// function scan, which is `function_estimate`; nothing stands above a join or aggregate that was chosen by its rows; the statement was not run.
    ///
    /// # What to do
    /// ANALYZE; where several columns of one table are compared, extended statistics; where an expression is, statistics
    /// on the expression.
    Misestimate {
        id: "misestimate",
        summary: "row estimate that is off by ten times or more, and where it begins",
    }
}

impl Pattern for Misestimate {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        let origins = origins(cx);
        let begins: BTreeSet<OperatorId> = cx
            .operators()
            .filter(|(id, operator, _)| !in_bitmap(operator.kind) && is_wrong(cx, *id))
            .map(|(id, ..)| through_ctes(cx, &origins, id))
            .filter(|id| !is_function(cx, *id))
            .collect();
        let mut found: Vec<(OperatorId, f64)> = begins
            .into_iter()
            .map(|id| (id, chosen_by(cx, id)))
            .filter(|(_, at_stake)| cx.matters(*at_stake))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(MOST);
        found.into_iter().filter_map(|(id, at_stake)| of(self, cx, id, at_stake)).collect()
    }
}

/// How often more rows came than were expected; below 1 where fewer came. None where both are about right.
pub(super) fn error(cx: &Context<'_>, id: OperatorId) -> Option<f64> {
    cx.metrics(id).estimate_error.filter(|error| *error >= ESTIMATE_ERROR)?;
    let operator = cx.operator(id);
    Some(operator.actual?.rows.max(1.0) / operator.rows.max(1.0))
}

/// Whether an estimate is wrong beyond doubt and on rows enough.
pub(super) fn is_wrong(cx: &Context<'_>, id: OperatorId) -> bool {
    let (Some(error), Some(actual)) = (error(cx, id), cx.operator(id).actual) else { return false };
    let more = error > 1.0;
    let cut_short = !more && cx.metrics(id).stoppable;
    // A merge join goes back in its inner input, and all that it reads again is counted again.
    let counted_again = more
        && cx.plan.link(id) == Some(Link::Inner)
        && cx
            .plan
            .parent(id)
            .is_some_and(|parent| cx.operator(parent).kind == OperatorKind::MergeJoin);
    let affected = actual.rows.max(cx.operator(id).rows) * actual.loops;
    affected >= FEW_ROWS && !cut_short && !counted_again
}

/// For each operator the one at which its error begins: down its inputs as far as they are wrong in the same direction.
fn origins(cx: &Context<'_>) -> Vec<OperatorId> {
    let errors: Vec<_> = cx.operators().map(|(id, ..)| error(cx, id)).collect();
    let mut origins: Vec<OperatorId> = cx.operators().map(|(id, ..)| id).collect();
    // The worst input so far of each operator; inputs come after the operator in printed order.
    let mut worst = vec![1.0; origins.len()];
    for place in (0..origins.len()).rev() {
        let id = OperatorId::from(place);
        // One of many partitions is to blame only where it is wrong by many rows itself.
        let part = cx.plan.link(id) == Some(Link::Member) && !is_wrong(cx, id);
        let data = cx.is_input(id) && !in_bitmap(cx.operator(id).kind) && !part;
        let Some(above) = cx.plan.parent(id).filter(|_| data) else { continue };
        let (Some(here), Some(there)) = (errors[place], errors[above.index()]) else { continue };
        let times = here.max(1.0 / here);
        if (here > 1.0) == (there > 1.0) && times > worst[above.index()] {
            worst[above.index()] = times;
            origins[above.index()] = origins[place];
        }
    }
    origins
}

/// On from a CTE Scan into the CTE that it reads. A plan that was tampered with may lead round in a circle.
fn through_ctes(cx: &Context<'_>, origins: &[OperatorId], from: OperatorId) -> OperatorId {
    let mut here = origins[from.index()];
    for _ in 0..origins.len() {
        let more = |id| error(cx, id).map(|error| error > 1.0);
        match cx.plan.cte(here).filter(|cte| more(*cte).is_some() && more(*cte) == more(here)) {
            Some(cte) => here = origins[cte.index()],
            None => break,
        }
    }
    here
}

pub(super) fn is_function(cx: &Context<'_>, id: OperatorId) -> bool {
    matches!(cx.operator(id).kind, OperatorKind::FunctionScan | OperatorKind::TableFunctionScan)
}

/// What builds the bitmap of a bitmap heap scan; it is told of that scan, which knows the table.
fn in_bitmap(kind: OperatorKind) -> bool {
    matches!(kind, OperatorKind::BitmapIndexScan | OperatorKind::BitmapAnd | OperatorKind::BitmapOr)
}

/// What the operators have that were chosen by a wrong number.
pub(super) fn chosen_by(cx: &Context<'_>, begin: OperatorId) -> f64 {
    let more = error(cx, begin).is_none_or(|error| error > 1.0);
    // How a table is read is chosen by the rows that a condition is expected to leave; how a join or aggregate works,
    // by the rows of its inputs.
    let operator = cx.operator(begin);
    let conditions = [&operator.filter, &operator.index_cond, &operator.recheck_cond];
    let reads = operator.relation.is_some() && conditions.iter().any(|it| it.is_some());
    let mut sum = if reads { cx.below(begin) } else { 0.0 };
    let mut here = begin;
    let mut wrong = true;
    while let Some(above) = cx.plan.parent(here).filter(|_| wrong && cx.is_input(here)) {
        let kind = cx.operator(above).kind;
        if is_chosen_by_rows(kind) {
            sum += cx.own(above);
        }
        if kind == OperatorKind::NestedLoop && cx.plan.outer(above) == Some(here) {
            sum += cx.plan.inner(above).map_or(0.0, |inner| cx.below(inner));
        }
        wrong = error(cx, above).is_some_and(|error| (error > 1.0) == more);
        here = above;
    }
    sum
}

/// Whether it is there, and in this form, because of how many rows its inputs were expected to give.
fn is_chosen_by_rows(kind: OperatorKind) -> bool {
    use OperatorKind as K;
    kind.is_join()
        || kind.is_gather()
        || matches!(
            kind,
            K::Sort | K::IncrementalSort | K::Hash | K::Aggregate | K::Group | K::Unique
        )
        || matches!(kind, K::SetOp | K::Materialize | K::Memoize)
}

/// `Seq Scan on t returns 200 times more rows than estimated: 20,000 instead of 100`, per loop.
pub(super) fn told(cx: &Context<'_>, id: OperatorId) -> Option<String> {
    let operator = cx.operator(id);
    let (actual, error) = (operator.actual?, error(cx, id)?);
    let (times, than) = if error > 1.0 { (error, "more") } else { (1.0 / error, "fewer") };
    let per_loop = if actual.loops > 1.0 { " in each loop" } else { "" };
    Some(format!(
        "{} returns {} times {than} rows than estimated{per_loop}: {} instead of {}.",
        cx.name(id),
        decimal(times, 0),
        decimal(actual.rows, usize::from(actual.rows.fract() != 0.0 && actual.rows < 10.0)),
        decimal(operator.rows, 0)
    ))
}

fn of(pattern: &Misestimate, cx: &Context<'_>, id: OperatorId, at_stake: f64) -> Option<Finding> {
    let what = told(cx, id)?;
    let why = "What stands above was chosen for another amount of data.".to_owned();
    let advice = advice(cx, id);
    cx.finding(pattern.meta(), Some(id), at_stake, Text { what, why, advice })
}

fn advice(cx: &Context<'_>, id: OperatorId) -> String {
    let operator = cx.operator(id);
    let table = operator.relation.as_deref().map(crate::display::shown);
    let conditions = [&operator.filter, &operator.index_cond, &operator.recheck_cond];
    let several = conditions.iter().filter(|condition| condition.is_some()).count() > 1
        || conditions.into_iter().flatten().any(|condition| condition.contains(" AND "));
    match (operator.kind, table) {
        (kind, _) if kind.is_join() => "The inputs were estimated well, so that the join itself is: ANALYZE both tables; \
             where the columns joined by depend on each other or on a filter, no statistics tell it, and a LATERAL join or \
             a temporary table with its own ANALYZE may."
            .to_owned(),
        (OperatorKind::Aggregate | OperatorKind::Group | OperatorKind::Unique, _) => {
            "ANALYZE the tables; where it groups by several columns, `CREATE STATISTICS … (ndistinct)` on them; where by an \
             expression, statistics on the expression."
                .to_owned()
        }
        (_, Some(table)) if several => format!(
            "ANALYZE {table}; if the estimate stays, its columns depend on each other: `CREATE STATISTICS … ON` the columns compared \
             `FROM {table}`, and ANALYZE again."
        ),
        (_, Some(table)) => format!(
            "ANALYZE {table}; if the estimate stays, raise the statistics target of the column compared, or create statistics on \
             the expression if it compares one."
        ),
        _ => "ANALYZE the tables below; no single one of them is to blame.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{but, exact, fires, silent};
    use crate::testing::{node, ran, with};

    const ID: &str = "misestimate";

    fn scan(relationship: &str, estimated: f64, ms: f64, rows: f64, loops: f64) -> Value {
        let keys = json!({"Relation Name": "orders", "Plan Rows": estimated, "Filter": "((a = 1) AND (b = 2))"});
        node("Seq Scan", relationship, with(ran(ms, rows, loops), keys), &[])
    }

    fn above(kind: &str, ms: f64, rows: f64, estimated: f64, below: &[Value]) -> Value {
        node(kind, "Outer", with(ran(ms, rows, 1.0), json!({"Plan Rows": estimated})), below)
    }

    #[test]
    fn it_begins_at_the_lowest_wrong_operator() {
        let inner = node("Index Scan", "Inner", exact(0.002, 1.0, 20_000.0, json!({})), &[]);
        let join = above(
            "Nested Loop",
            60.0,
            20_000.0,
            100.0,
            &[scan("Outer", 100.0, 10.0, 20_000.0, 1.0), inner],
        );
        let root = above("Sort", 70.0, 20_000.0, 100.0, &[join]);
        let finding = fires(ID, &root);
        assert_eq!(
            finding.what,
            "Seq Scan on orders returns 200 times more rows than estimated: 20,000 instead of 100."
        );
        assert_eq!(finding.stake.ms, Some(70.0));
        assert!(finding.advice.contains("CREATE STATISTICS"), "{}", finding.advice);
    }

    #[test]
    fn a_well_estimated_aggregate_ends_what_is_at_stake() {
        let group =
            above("Aggregate", 20.0, 5.0, 5.0, &[scan("Outer", 100.0, 10.0, 20_000.0, 1.0)]);
        assert_eq!(fires(ID, &above("Sort", 100.0, 5.0, 5.0, &[group])).stake.ms, Some(20.0));
    }

    #[test]
    fn what_was_stopped_counted_again_or_few_is_not_told() {
        let stopped = above("Limit", 10.0, 1.0, 1.0, &[scan("Outer", 100_000.0, 10.0, 1.0, 1.0)]);
        silent(ID, &stopped);
        let outer = node("Index Scan", "Outer", exact(5.0, 1000.0, 1.0, json!({})), &[]);
        let merge = above(
            "Merge Join",
            30.0,
            1000.0,
            1000.0,
            &[outer, scan("Inner", 1000.0, 10.0, 90_000.0, 1.0)],
        );
        silent(ID, &merge);
        let few = scan("Outer", 1.0, 10.0, 900.0, 1.0);
        silent(ID, &few);
        fires(ID, &but(&few, "Actual Rows", json!(1000)));
        silent(ID, &scan("Outer", 1000.0, 10.0, 9000.0, 1.0));
    }

    #[test]
    fn fewer_rows_than_a_limit_asks_for_come_of_its_input() {
        let root = above("Limit", 10.0, 2.0, 1000.0, &[scan("Outer", 100_000.0, 10.0, 2.0, 1.0)]);
        assert!(fires(ID, &root).what.starts_with("Seq Scan on orders returns 50,000 times fewer"));
    }
}
