use std::collections::BTreeSet;

use super::context::{ESTIMATE_ERROR, FEW_ROWS, Text};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, condition};
use crate::display::{decimal, shown};
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
    /// operator is wrong in the same direction. At stake is what went wrong by it, which is told: a nested loop (with its inner side)
    /// that ran for many more rows; a hash or merge join that read the other side whole for few; a hash table of the
    /// larger side; a sort, hash or aggregate that went to disk; workers started for few rows; the way to read the table itself. It is looked
    /// for above as far as operators are wrong in the same direction, and one more. At most three are told, the dearest.
    ///
    /// # Silent when
    /// Nothing of that happened, so that the right number would have changed nothing to speak of; an operator was stopped early
    /// (by a LIMIT, a semi-join, a merge join at its end) and gave fewer rows than expected; the inner side of a merge join
    /// gave more, since rows that it goes back to are counted again; it is a function scan, which is
    /// `function_estimate`; the statement was not run.
    ///
    /// # What to do
    /// ANALYZE; where several columns of one table are compared, extended statistics; where an expression is, statistics
    /// on the expression; where a subquery in a filter decides, a join in its place.
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
        if begins.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(OperatorId, Consequence)> = begins
            .into_iter()
            .map(|id| (id, Consequence::of(cx, id)))
            .filter(|(_, consequence)| cx.matters(consequence.at_stake))
            .collect();
        found.sort_by(|a, b| b.1.at_stake.total_cmp(&a.1.at_stake));
        found.truncate(MOST);
        found.iter().filter_map(|(id, consequence)| of(self, cx, *id, consequence)).collect()
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

/// Operators above that are looked at: further up, a wrong number has many fathers.
const LEVELS: usize = 50;

/// What a wrong number did: the operator that was chosen for it and suffers most, and what all of them have, in the unit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Consequence {
    pub(super) at_stake: f64,
    worst: Option<(OperatorId, f64)>,
}

impl Consequence {
    /// Follows a wrong number from where it begins: to how the table is read there, and up through all that is wrong in the same
    /// direction and one operator more.
    pub(super) fn of(cx: &Context<'_>, begin: OperatorId) -> Self {
        let more = error(cx, begin).is_none_or(|error| error > 1.0);
        let mut consequence = Self::default();
        consequence.add(begin, reading(cx, begin, more));
        let mut here = begin;
        for _ in 0..LEVELS {
            let Some(above) = cx.plan.parent(here).filter(|_| cx.is_input(here)) else { break };
            consequence.add(above, suffered(cx, above, here, more));
            if error(cx, above).map(|error| error > 1.0) != Some(more) {
                break;
            }
            here = above;
        }
        consequence
    }

    fn add(&mut self, id: OperatorId, part: f64) {
        self.at_stake += part;
        if part > self.worst.map_or(0.0, |(_, most)| most) {
            self.worst = Some((id, part));
        }
    }

    /// Names the operator that was chosen badly.
    pub(super) fn told(&self, cx: &Context<'_>, begin: OperatorId) -> String {
        match self.worst {
            Some((id, _)) if id != begin => {
                format!("{} above was chosen for another amount of data.", cx.name(id))
            }
            _ => "The way to read the table was chosen for another amount of data.".to_owned(),
        }
    }
}

/// What reading the table has, where another way would have been weighed: by an index where far fewer rows came than
/// expected, without one where far more came. What a subquery decides changes nothing about it.
fn reading(cx: &Context<'_>, id: OperatorId, more: bool) -> f64 {
    use OperatorKind::{IndexScan, SeqScan};
    let operator = cx.operator(id);
    let served = operator.filter.as_deref().is_some_and(|filter| !filter.contains("SubPlan "));
    match operator.kind {
        SeqScan if !more && served => cx.own(id),
        // Row by row, mostly at random places; a bitmap goes through the table in order, however many they are.
        IndexScan if more => cx.own(id),
        _ => 0.0,
    }
}

/// What an operator has because one of its inputs gave far more or far fewer rows than it was chosen for.
fn suffered(cx: &Context<'_>, id: OperatorId, input: OperatorId, more: bool) -> f64 {
    use OperatorKind as K;
    let operator = cx.operator(id);
    let rows = |id: OperatorId| cx.metrics(id).rows.unwrap_or(0.0);
    let other = || cx.inputs(id).into_iter().find(|other| *other != input);
    let spilled = cx.metrics(id).spilled_kb.is_some();
    match operator.kind {
        // The inner side runs for each row.
        K::NestedLoop if more && cx.plan.link(input) == Some(Link::Outer) => {
            cx.own(id) + cx.plan.inner(id).map_or(0.0, |inner| cx.below(inner))
        }
        K::NestedLoop if more => cx.own(id),
        // The other side was read whole, where few rows could have been looked up in it.
        K::HashJoin | K::MergeJoin if !more => {
            let whole = other().filter(|other| rows(*other) >= ESTIMATE_ERROR * rows(input));
            whole.map_or(0.0, |other| cx.own(id) + cx.below(other))
        }
        // The larger side was hashed, or more than memory holds.
        K::HashJoin if cx.plan.link(input) == Some(Link::Inner) => {
            let larger = other().is_some_and(|other| rows(input) > rows(other));
            if larger || spilled { cx.own(id) + cx.own(input) } else { 0.0 }
        }
        K::Sort | K::IncrementalSort | K::Aggregate | K::SetOp | K::Materialize
            if more && spilled =>
        {
            cx.own(id)
        }
        // Workers were started for a handful of rows.
        K::Gather | K::GatherMerge if !more => cx.own(id),
        _ => 0.0,
    }
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

fn of(
    pattern: &Misestimate,
    cx: &Context<'_>,
    id: OperatorId,
    consequence: &Consequence,
) -> Option<Finding> {
    let what = told(cx, id)?;
    let why = consequence.told(cx, id);
    let advice = advice(cx, id);
    cx.finding(pattern.meta(), Some(id), consequence.at_stake, Text { what, why, advice })
}

fn advice(cx: &Context<'_>, id: OperatorId) -> String {
    let operator = cx.operator(id);
    let conditions = [&operator.filter, &operator.index_cond, &operator.recheck_cond];
    let conditions = || conditions.into_iter().flatten();
    if conditions().any(|condition| condition.contains("SubPlan ")) {
        return "The planner takes half of the rows for whatever a subquery in a filter decides, and no statistics tell it better: \
             write IN as a join or EXISTS, NOT IN as NOT EXISTS, which it can estimate."
            .to_owned();
    }
    match operator.kind {
        kind if kind.is_join() => {
            return "The inputs were estimated well, so that the join itself is: ANALYZE both tables; \
             where the columns joined by depend on each other or on a filter, no statistics tell it, and a LATERAL join or \
             a temporary table with its own ANALYZE may."
                .to_owned();
        }
        OperatorKind::Aggregate | OperatorKind::Group | OperatorKind::Unique => {
            return of_groups(&operator.group_key);
        }
        _ => {}
    }
    let Some(table) = operator.relation.as_deref().map(shown) else {
        return "ANALYZE the tables below; no single one of them is to blame.".to_owned();
    };
    let alias = operator.alias.as_deref();
    let mut keys: Vec<String> = Vec::new();
    for comparison in conditions().flat_map(|condition| condition::comparisons(condition, alias)) {
        if !keys.contains(&comparison.key) {
            keys.push(comparison.key);
        }
    }
    match &keys[..] {
        [] => format!(
            "ANALYZE {table}; if the estimate stays, no statistics tell what its condition keeps: compare columns or indexed \
             expressions with values."
        ),
        [key] if key.starts_with('(') => format!(
            "ANALYZE {table}; without statistics on the expression the planner guesses: `CREATE STATISTICS … ON {} FROM {table}` \
             (from version 14 on; before, an index on it), and ANALYZE again.",
            shown(key)
        ),
        [key] => format!(
            "ANALYZE {table}; if the estimate stays, `ALTER TABLE {table} ALTER COLUMN {} SET STATISTICS 1000`, and ANALYZE again.",
            shown(key)
        ),
        several => format!(
            "ANALYZE {table}; if the estimate stays, its columns depend on each other: `CREATE STATISTICS … ON {} FROM {table}`, and \
             ANALYZE again.",
            shown(&several.join(", "))
        ),
    }
}

/// What helps the estimate of a number of groups.
fn of_groups(keys: &[String]) -> String {
    let keys = shown(&keys.join(", "));
    if keys.is_empty() {
        return "ANALYZE the tables below.".to_owned();
    }
    format!(
        "ANALYZE the tables; where several columns ({keys}) depend on each other, `CREATE STATISTICS … (ndistinct)` on them; of an \
         expression, statistics on the expression."
    )
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
        // The loop with its inner side; the scan and the sort in memory would be there with the right number too.
        assert_eq!(finding.stake.ms, Some(50.0));
        assert!(finding.why.starts_with("Nested Loop above was chosen"), "{}", finding.why);
        assert!(
            finding.advice.contains("CREATE STATISTICS … ON a, b FROM orders"),
            "{}",
            finding.advice
        );
    }

    #[test]
    fn what_came_of_it_is_at_stake() {
        let few = || scan("Outer", 20_000.0, 10.0, 10.0, 1.0);
        let many = |link| scan(link, 100.0, 10.0, 20_000.0, 1.0);
        let right = |rows: f64| node("Hash", "Inner", exact(40.0, rows, 1.0, json!({})), &[]);
        // A table read whole for ten rows, and a scan that an index may serve.
        let joined =
            fires(ID, &above("Hash Join", 60.0, 10.0, 20_000.0, &[few(), right(50_000.0)]));
        assert_eq!(joined.stake.ms, Some(60.0));
        assert!(joined.why.starts_with("Hash Join above"), "{}", joined.why);
        // Many rows that probe a small hash table, or are grouped or sorted in memory, change nothing.
        silent(ID, &above("Hash Join", 60.0, 20_000.0, 100.0, &[many("Outer"), right(50.0)]));
        for kind in ["Aggregate", "Sort"] {
            silent(ID, &above(kind, 60.0, 20_000.0, 100.0, &[many("Outer")]));
        }
        let sort = above("Sort", 60.0, 20_000.0, 100.0, &[many("Outer")]);
        let sort =
            but(&but(&sort, "Sort Space Type", json!("Disk")), "Sort Space Used", json!(900));
        assert_eq!(fires(ID, &sort).stake.ms, Some(50.0));
    }

    #[test]
    fn a_well_estimated_aggregate_ends_what_is_at_stake() {
        let group =
            above("Aggregate", 20.0, 5.0, 5.0, &[scan("Outer", 100.0, 10.0, 20_000.0, 1.0)]);
        let inner = node("Index Scan", "Inner", exact(10.0, 1.0, 5.0, json!({})), &[]);
        silent(ID, &above("Nested Loop", 90.0, 5.0, 5.0, &[group, inner]));
    }

    #[test]
    fn what_a_subquery_decides_no_statistics_tell() {
        let inner = node("Index Scan", "Inner", exact(0.002, 1.0, 20_000.0, json!({})), &[]);
        let asked = but(
            &scan("Outer", 100.0, 10.0, 20_000.0, 1.0),
            "Filter",
            json!("(NOT (hashed SubPlan 1))"),
        );
        let finding = fires(ID, &above("Nested Loop", 60.0, 20_000.0, 100.0, &[asked, inner]));
        assert!(finding.advice.contains("NOT IN as NOT EXISTS"), "{}", finding.advice);
        assert!(!finding.advice.contains("ANALYZE"), "{}", finding.advice);
        // The scan itself would be no other.
        let few =
            but(&scan("Outer", 20_000.0, 10.0, 10.0, 1.0), "Filter", json!("(hashed SubPlan 1)"));
        silent(ID, &few);
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
        let few = but(&scan("Outer", 1.0, 10.0, 900.0, 1.0), "Node Type", json!("Index Scan"));
        silent(ID, &few);
        fires(ID, &but(&few, "Actual Rows", json!(1000)));
        silent(ID, &but(&few, "Plan Rows", json!(101)));
    }

    #[test]
    fn fewer_rows_than_a_limit_asks_for_come_of_its_input() {
        let root = above("Limit", 10.0, 2.0, 1000.0, &[scan("Outer", 100_000.0, 10.0, 2.0, 1.0)]);
        assert!(fires(ID, &root).what.starts_with("Seq Scan on orders returns 50,000 times fewer"));
    }
}
