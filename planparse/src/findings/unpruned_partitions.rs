use super::context::{Text, percent};
use super::pattern::{Pattern, declare_pattern};
use super::{Context, Finding};
use crate::display::decimal;
use crate::{Operator, OperatorId, OperatorKind};

/// Of fewer partitions, pruning is not worth much.
const PARTITIONS_MIN: usize = 4;

/// Of four partitions at least three gave nothing.
const EMPTY_SHARE: f64 = 0.75;

declare_pattern! {
    /// Partitions that were read for nothing, because the conditions do not tell which ones are concerned.
    ///
    /// # Why
    /// Each partition is opened, planned and scanned, also those that cannot hold a matching row.
    ///
    /// # Fires when
    /// Of four or more partitions of one table that were scanned with a condition, three quarters or more gave no row.
    ///
    /// # Silent when
    /// Most partitions gave rows; the parts are a UNION of different tables; partitions were pruned when the statement ran; the
    /// statement was not run, since nothing then tells which partitions are read in vain; they are read in no time, such
    /// as those that are still empty.
    ///
    /// # What to do
    /// Compare the partition key with a constant, a parameter or `now()`, without an expression around it.
    UnprunedPartitions {
        id: "unpruned_partitions",
        summary: "partitions read for nothing where pruning did not happen",
    }
}

impl Pattern for UnprunedPartitions {
    fn find(&self, cx: &Context<'_>) -> Vec<Finding> {
        cx.operators().filter_map(|(id, operator, _)| of(self, cx, id, operator)).collect()
    }
}

fn of(
    pattern: &UnprunedPartitions,
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<Finding> {
    let (ran, empty) = in_vain(cx, id, operator)?;
    let what = format!(
        "{} reads {} partitions, {} of which give no row ({}).",
        cx.name(id),
        decimal(ran as f64, 0),
        decimal(empty.len() as f64, 0),
        percent(empty.len() as f64 / ran as f64)
    );
    let why = "The conditions do not tell the planner which partitions are concerned.".to_owned();
    let advice = "Compare the partition key itself, without a function or cast around it, with a constant, a parameter or now(); if the \
         statement cannot know it, index the column compared in every partition."
        .to_owned();
    let at_stake = empty.into_iter().map(|member| cx.below(member)).sum();
    cx.finding(pattern.meta(), Some(id), at_stake, Text { what, why, advice })
}

/// How many partitions an Append read, and those that gave no row; none where they are no partitions, or not in vain.
pub(super) fn in_vain(
    cx: &Context<'_>,
    id: OperatorId,
    operator: &Operator,
) -> Option<(usize, Vec<OperatorId>)> {
    if !matches!(operator.kind, OperatorKind::Append | OperatorKind::MergeAppend) {
        return None;
    }
    operator.actual.filter(|actual| actual.loops > 0.0)?;
    let removed = operator.other.get("Subplans Removed").and_then(serde_json::Value::as_f64);
    if removed.is_some_and(|removed| removed > 0.0) {
        return None;
    }
    let members = cx.inputs(id);
    let scans: Vec<&Operator> =
        members.iter().map(|member| scan(cx, *member)).collect::<Option<_>>()?;
    let ran = members.iter().filter(|member| !cx.metrics(**member).never_executed).count();
    if ran < members.len() || ran < PARTITIONS_MIN || !of_one_table(&scans) {
        return None;
    }
    let empty: Vec<OperatorId> =
        members.into_iter().filter(|member| cx.metrics(*member).rows == Some(0.0)).collect();
    // Where nothing at all was found, no partition was the right one.
    if empty.len() == ran || (empty.len() as f64) < EMPTY_SHARE * ran as f64 {
        return None;
    }
    Some((ran, empty))
}

/// The scan with a condition that a member is, below what is only passed through.
fn scan<'a>(cx: &Context<'a>, member: OperatorId) -> Option<&'a Operator> {
    let mut here = member;
    loop {
        let operator = cx.operator(here);
        if operator.relation.is_some() {
            let conditions = [&operator.filter, &operator.index_cond, &operator.recheck_cond];
            return conditions.iter().any(|condition| condition.is_some()).then_some(operator);
        }
        let inputs = cx.inputs(here);
        let [below] = inputs[..] else { return None };
        here = below;
    }
}

/// Whether these are partitions of one table, by how the server names them: `orders_1`, `orders_2` from version 13 on for
/// the table `orders` of the statement; before, each by its own name, which mostly begin alike.
fn of_one_table(scans: &[&Operator]) -> bool {
    let numbered = |operator: &Operator| {
        let alias = operator.alias.clone()?;
        let stem =
            alias.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix('_')?.to_owned();
        Some(stem)
    };
    let stems: Vec<Option<String>> = scans.iter().map(|scan| numbered(scan)).collect();
    let relations: std::collections::BTreeSet<_> =
        scans.iter().map(|scan| &scan.relation).collect();
    let same = |from: usize| {
        stems[from..].windows(2).all(|pair| pair[0] == pair[1]) && stems[from].is_some()
    };
    // The first may bear the statement's alias without a number.
    let first = scans[0].alias.is_some() && scans[0].alias == stems[1] && same(1);
    relations.len() == scans.len() && (same(0) || first || begin_alike(scans))
}

/// Up to version 12: names without an alias that share their first half.
fn begin_alike(scans: &[&Operator]) -> bool {
    let own_name = |scan: &&Operator| scan.alias.is_none() || scan.alias == scan.relation;
    let names: Vec<&str> = scans.iter().filter_map(|scan| scan.relation.as_deref()).collect();
    let Some(first) = names.first() else { return false };
    let alike = |name: &&str| {
        let common = name.bytes().zip(first.bytes()).take_while(|(a, b)| a == b).count();
        common >= 4 && 2 * common >= name.len()
    };
    scans.iter().all(own_name) && names.iter().all(alike)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{exact, fires, silent};
    use crate::testing::node;

    const ID: &str = "unpruned_partitions";

    fn append(name: impl Fn(usize) -> (String, String), rows: impl Fn(usize) -> f64) -> Value {
        let members: Vec<Value> = (1..=6)
            .map(|place| {
                let (relation, alias) = name(place);
                let keys = json!({"Relation Name": relation, "Alias": alias, "Filter": "(a = 1)"});
                node("Seq Scan", "Member", exact(10.0, rows(place), 1.0, keys), &[])
            })
            .collect();
        node("Append", "Outer", exact(61.0, 5.0, 1.0, json!({})), &members)
    }

    fn numbered(place: usize) -> (String, String) {
        (format!("orders_2024_{place}"), format!("orders_{place}"))
    }

    fn one(place: usize) -> f64 {
        if place == 3 { 5.0 } else { 0.0 }
    }

    #[test]
    fn fires_where_one_of_many_has_the_rows() {
        let finding = fires(ID, &append(numbered, one));
        assert_eq!(finding.what, "Append reads 6 partitions, 5 of which give no row (83 %).");
        assert_eq!(finding.stake.ms, Some(50.0));
        fires(ID, &append(|place| (format!("orders_p{place}"), format!("orders_p{place}")), one));
    }

    #[test]
    fn a_union_or_a_wanted_scan_is_none_of_it() {
        silent(ID, &append(numbered, |_| 5.0));
        silent(ID, &append(numbered, |_| 0.0));
        let tables = ["users", "items", "log", "cities", "visits", "tags"];
        silent(
            ID,
            &append(|place| (tables[place - 1].to_owned(), tables[place - 1].to_owned()), one),
        );
        let mut pruned = append(numbered, one);
        pruned["Subplans Removed"] = json!(3);
        silent(ID, &pruned);
        let mut skipped = append(numbered, one);
        skipped["Plans"][5]["Actual Loops"] = json!(0);
        silent(ID, &skipped);
    }
}
