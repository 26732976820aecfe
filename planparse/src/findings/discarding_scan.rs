use std::collections::BTreeMap;

use super::condition::{self, Test};
use super::context::{FEW_ROWS, Text, Unit, percent, rows};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding, unpruned_partitions};
use crate::display::{decimal, shown};
use crate::{Link, Operator, OperatorId, OperatorKind};

/// Of ten rows read, at most one is kept: an index that finds rows one by one is worth its random reads from
/// about there on (`random_page_cost` 4 against `seq_page_cost` 1, and a few rows to the page).
const DISCARDED_SHARE: f64 = 0.9;

/// Where nothing was run: cost per row returned. The widest rows fill a page each, which costs 1 (`seq_page_cost`)
/// and a few hundredths for the row and its filter; so most pages give no row at all.
const COST_PER_ROW: f64 = 5.0;

declare_pattern! {
    /// A sequential scan that reads a table and discards most of its rows by a filter.
    ///
    /// # Why
    /// Every row is read and compared for the few that are wanted; the time grows with the table, not with the result.
    ///
    /// # Fires when
    /// The filter discards 90 % of the rows or more, and 1,000 or more over all loops and workers. In a plan that was not
    /// run: when the scan costs 5 or more for each row that it is expected to return, which is more than one page a row. The
    /// parts of an Append are told as one.
    ///
    /// # Silent when
    /// Fewer rows are discarded; no index serves the filter and partitions are read for nothing, which is `unpruned_partitions`; the filter asks a SubPlan or the row's place (`ctid`), which no index serves; the table is of
    /// the server's own catalog; the scan was never run.
    ///
    /// # What to do
    /// Index the columns of the filter; an expression or a pattern with a leading `%` takes an index of its own kind.
    DiscardingScan {
        id: "discarding_scan",
        summary: "sequential scan that discards most of its rows",
    }
}

impl Pattern for DiscardingScan {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        // The parts of a partitioned table are told as one.
        let mut places: BTreeMap<OperatorId, Vec<Wasteful<'_>>> = BTreeMap::new();
        for (id, operator, _) in cx.operators() {
            if let Some(scan) = Wasteful::of(cx, id, operator) {
                let member = cx.plan.link(id) == Some(Link::Member);
                let place = cx.plan.parent(id).filter(|_| member).unwrap_or(id);
                places.entry(place).or_default().push(scan);
            }
        }
        let told = |(place, scans): (OperatorId, Vec<Wasteful<'_>>)| {
            let at_stake = scans.iter().map(|scan| cx.own(scan.id)).sum();
            let first = scans.first().filter(|_| cx.matters(at_stake))?;
            let alias = cx.operator(first.id).alias.as_deref();
            let keys = condition::index_keys(&condition::comparisons(first.filter, alias));
            // No index serves it as it is written, and the partitions are what is wrong.
            if keys.is_none()
                && unpruned_partitions::in_vain(cx, place, cx.operator(place)).is_some()
            {
                return None;
            }
            let (what, place) = match &scans[..] {
                [one] => (one.told(cx), one.id),
                several => (together(cx, place, several), place),
            };
            // Of several, the name of one part would mislead.
            let relation = cx.operator(first.id).relation.as_deref().filter(|_| scans.len() == 1);
            let advice = advice(first.filter, alias, relation);
            let why = "Every row is read and compared, whatever comes of it.".to_owned();
            cx.finding(self.meta(), Some(place), at_stake, Text { what, why, advice })
        };
        places.into_iter().filter_map(told).collect()
    }
}

/// A scan that reads much for little.
struct Wasteful<'a> {
    id: OperatorId,
    filter: &'a str,
    /// Rows that it reads over all loops; none where it was not run.
    read: Option<f64>,
    /// Rows that it keeps, or is expected to.
    kept: f64,
}

impl<'a> Wasteful<'a> {
    fn of(cx: &Context<'_>, id: OperatorId, operator: &'a Operator) -> Option<Self> {
        let filter =
            operator.filter.as_deref().filter(|_| operator.kind == OperatorKind::SeqScan)?;
        if filter.contains("SubPlan ") || filter.contains("ctid") || cx.reads_catalog(id) {
            return None;
        }
        let Some(actual) = operator.actual else {
            let dear = operator.total_cost >= COST_PER_ROW * operator.rows.max(1.0);
            let kept = operator.rows.max(1.0);
            return (cx.unit == Unit::Cost && dear).then_some(Self {
                id,
                filter,
                read: None,
                kept,
            });
        };
        let discarded = operator.rows_removed_by_filter? * actual.loops;
        let kept = cx.metrics(id).rows?;
        let read = discarded + kept;
        let most = discarded >= FEW_ROWS && discarded >= DISCARDED_SHARE * read;
        most.then_some(Self { id, filter, read: Some(read), kept })
    }

    fn told(&self, cx: &Context<'_>) -> String {
        let (name, filter) = (cx.name(self.id), shown(self.filter));
        let Some(read) = self.read else {
            return format!("{name} reads the whole table for {} by {filter}.", rows(self.kept));
        };
        let operator = cx.operator(self.id);
        // Workers share one reading.
        let loops = operator.actual.map_or(1.0, |actual| actual.loops);
        let again = if loops > 1.0 && !operator.parallel_aware {
            format!(" in {} loops", decimal(loops, 0))
        } else {
            String::new()
        };
        let share = percent((read - self.kept) / read);
        format!("{name} reads {}{again} and discards {share} of them by {filter}.", rows(read))
    }
}

/// Several scans below one Append.
fn together(cx: &Context<'_>, place: OperatorId, scans: &[Wasteful<'_>]) -> String {
    let kept: f64 = scans.iter().map(|scan| scan.kept).sum();
    let count = decimal(scans.len() as f64, 0);
    let filter = scans.first().map(|scan| shown(scan.filter)).unwrap_or_default();
    let name = cx.name(place);
    match scans.iter().map(|scan| scan.read).sum::<Option<f64>>() {
        Some(read) => format!(
            "{count} sequential scans below {name} read {} and discard {} of them, by {filter} and the like.",
            rows(read),
            percent((read - kept) / read)
        ),
        None => format!(
            "{count} sequential scans below {name} read whole tables for {}, by {filter} and the like.",
            rows(kept)
        ),
    }
}

/// What would serve the condition, as far as its printed form tells; `table` is the one to index, where it is one.
pub(super) fn advice(filter: &str, alias: Option<&str>, table: Option<&str>) -> String {
    let of = table.map(|table| format!(" of {}", shown(table))).unwrap_or_default();
    let on = table.map_or_else(|| "each of them".to_owned(), shown);
    let compared = condition::comparisons(filter, alias);
    let of_kind = |test| compared.iter().find(move |it| it.test == test).map(|it| shown(&it.key));
    if let Some(keys) = condition::index_keys(&compared) {
        return format!("Create an index on {on} ({keys}); `pgwright optimize` proves which.");
    }
    if let Some(key) = of_kind(Test::Prefix) {
        return format!(
            "Create an index on {on} ({key} text_pattern_ops), which serves a pattern that begins with letters under any collation."
        );
    }
    if let Some(key) = of_kind(Test::Pattern) {
        return format!(
            "Create a trigram index for the pattern: on {on}, `USING gin ({key} gin_trgm_ops)` (extension pg_trgm)."
        );
    }
    let branches: Vec<Option<String>> = condition::parts(filter, " OR ")
        .into_iter()
        .map(|part| condition::index_keys(&condition::comparisons(part, alias)))
        .collect();
    match branches.into_iter().collect::<Option<Vec<String>>>() {
        Some(keys) if keys.len() > 1 => format!(
            "Create an index on {on} for each branch of the OR ({}), which a bitmap brings together.",
            keys.join("), (")
        ),
        _ => format!(
            "An index serves a column{of} or an expression that is compared by =, <, > or a pattern: write the filter so, or create a \
             partial index `WHERE` it holds."
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{but, exact, fires, silent};
    use super::advice;
    use crate::testing::node;

    #[test]
    fn fires_on_few_of_many() {
        let keys = json!({"Relation Name": "orders", "Filter": "(customer = 7)", "Rows Removed by Filter": 9990});
        let scan = node("Seq Scan", "Outer", exact(80.0, 10.0, 1.0, keys), &[]);
        let finding = fires("discarding_scan", &scan);
        assert_eq!(
            finding.what,
            "Seq Scan on orders reads 10,000 rows and discards 99.9 % of them by (customer = 7)."
        );
        assert!(
            finding.why.ends_with("At stake is 100 % of the time: 80.0 ms of 80.0 ms."),
            "{}",
            finding.why
        );
        assert!(finding.advice.contains("on orders (customer)"), "{}", finding.advice);
        silent("discarding_scan", &but(&scan, "Rows Removed by Filter", json!(80)));
        silent("discarding_scan", &but(&scan, "Actual Rows", json!(2000)));
        silent("discarding_scan", &but(&scan, "Actual Total Time", json!(0.9)));
        silent("discarding_scan", &but(&scan, "Actual Loops", json!(0)));
        silent("discarding_scan", &but(&scan, "Filter", json!("(NOT (SubPlan 1))")));
        silent("discarding_scan", &but(&scan, "Filter", json!("(ctid < '(10,0)'::tid)")));
        silent("discarding_scan", &but(&scan, "Relation Name", json!("pg_attribute")));
    }

    #[test]
    fn the_columns_to_index_are_named() {
        let advised = |filter: &str| advice(filter, Some("o"), Some("orders"));
        for (filter, words) in [
            (
                "((o.placed > '2026-01-01'::date) AND (o.customer = 7))",
                "on orders (customer, placed)",
            ),
            ("((o.a = 1) OR (o.b = 2))", "each branch of the OR (a), (b)"),
            ("(name ~~ 'ab%'::text)", "(name text_pattern_ops)"),
            ("((name)::text ~~* '%ab%'::text)", "USING gin (name gin_trgm_ops)"),
            ("(a <> 1)", "partial index"),
        ] {
            assert!(advised(filter).contains(words), "{filter}: {}", advised(filter));
        }
    }

    #[test]
    fn loops_count_but_workers_share_one_reading() {
        let keys =
            json!({"Filter": "(a ~~* '%x%'::text)", "Rows Removed by Filter": 500, "Alias": "t"});
        let scan = node("Seq Scan", "Inner", exact(1.0, 1.0, 100.0, keys), &[]);
        let outer = node("Result", "Outer", exact(1.0, 100.0, 1.0, json!({})), &[]);
        let join = node(
            "Nested Loop",
            "Outer",
            exact(110.0, 100.0, 1.0, json!({})),
            &[outer.clone(), scan.clone()],
        );
        let finding = fires("discarding_scan", &join);
        assert!(finding.what.contains("50,100 rows in 100 loops"), "{}", finding.what);
        assert!(finding.advice.contains("trigram"));
        let parallel = but(&scan, "Parallel Aware", json!(true));
        let join =
            node("Nested Loop", "Outer", exact(110.0, 100.0, 1.0, json!({})), &[outer, parallel]);
        assert!(!fires("discarding_scan", &join).what.contains("loops"));
    }

    #[test]
    fn the_parts_of_a_partitioned_table_are_told_as_one() {
        let keys =
            json!({"Relation Name": "p", "Filter": "(a = 1)", "Rows Removed by Filter": 9990});
        let member = node("Seq Scan", "Member", exact(5.0, 10.0, 1.0, keys), &[]);
        let members = vec![member; 200];
        let append = node("Append", "Outer", exact(1010.0, 2000.0, 1.0, json!({})), &members);
        let finding = fires("discarding_scan", &append);
        assert_eq!(
            finding.what,
            "200 sequential scans below Append read 2,000,000 rows and discard 99.9 % of them, by (a = 1) and the like."
        );
        assert_eq!(
            (finding.stake.ms, finding.operator),
            (Some(1000.0), Some(crate::OperatorId::ROOT))
        );
    }

    #[test]
    fn a_plan_that_was_not_run_is_judged_by_cost_per_row() {
        let scan =
            json!({"Filter": "(a = 1)", "Total Cost": 20_000.0, "Plan Rows": 10, "Alias": "t"});
        let scan = node("Seq Scan", "Outer", scan, &[]);
        let finding = fires("discarding_scan", &scan);
        assert_eq!(finding.what, "Seq Scan on t reads the whole table for 10 rows by (a = 1).");
        assert_eq!(finding.stake.cost, Some(20_000.0));
        silent("discarding_scan", &but(&scan, "Plan Rows", json!(100_000)));
        silent("discarding_scan", &but(&scan, "Total Cost", json!(90.0)));
    }
}
