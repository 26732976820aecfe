//! What is wrong with a plan: one file for each pattern. Adding one takes a `mod` line and an entry in [`PATTERNS`].

mod aggregate_on_disk;
mod cold_read;
mod condition;
mod context;
mod dear_compilation;
mod dear_planning;
mod dear_trigger;
mod dirtying_read;
mod discarding_index_scan;
mod discarding_scan;
mod fenced_cte;
mod function_estimate;
mod hash_on_disk;
mod heap_fetches;
mod looping_join;
mod lossy_bitmap;
mod memory;
mod misestimate;
mod missing_workers;
mod ordered_walk;
mod pattern;
mod repeated_subplan;
mod sort_on_disk;
#[cfg(test)]
mod testing;
mod unpruned_partitions;
mod wide_rows;

#[cfg(feature = "serde")]
use serde::Serialize;

use crate::{OperatorId, Plan};

pub(crate) use context::Context;
pub use pattern::{Meta, Pattern};

/// Every pattern, in the order of the reference page.
pub static PATTERNS: &[&dyn Pattern] = &[
    &discarding_scan::DiscardingScan,
    &discarding_index_scan::DiscardingIndexScan,
    &ordered_walk::OrderedWalk,
    &looping_join::LoopingJoin,
    &repeated_subplan::RepeatedSubplan,
    &fenced_cte::FencedCte,
    &sort_on_disk::SortOnDisk,
    &hash_on_disk::HashOnDisk,
    &aggregate_on_disk::AggregateOnDisk,
    &lossy_bitmap::LossyBitmap,
    &heap_fetches::HeapFetches,
    &missing_workers::MissingWorkers,
    &dear_compilation::DearCompilation,
    &dear_planning::DearPlanning,
    &dear_trigger::DearTrigger,
    &unpruned_partitions::UnprunedPartitions,
    &dirtying_read::DirtyingRead,
    &cold_read::ColdRead,
    &wide_rows::WideRows,
    &misestimate::Misestimate,
    &function_estimate::FunctionEstimate,
];

/// One thing that makes a plan slow.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct Finding {
    /// The name of the pattern; one of [`Meta::id`].
    pub pattern: &'static str,
    /// Where; none where it is the statement as a whole.
    pub operator: Option<OperatorId>,
    /// What was found, one sentence with its figures.
    pub what: String,
    /// Why that costs, and how much; the last sentence tells the [`Finding::stake`].
    pub why: String,
    /// What to do about it.
    pub advice: String,
    /// What is at stake.
    pub stake: Stake,
}

/// How much of a plan's time, buffers or cost a finding is about: an upper bound of what mending it can save.
///
/// The figure that is there is the one that the plan gives: milliseconds where times were printed, else blocks where
/// it was run with BUFFERS, else the planner's cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct Stake {
    /// Part of the whole, above 0 and up to 1. Findings are ranked by it, in steps of a tenth.
    pub share: f64,
    /// Milliseconds on the clock.
    pub ms: Option<f64>,
    /// Blocks touched.
    pub blocks: Option<u64>,
    /// Planner's cost.
    pub cost: Option<f64>,
}

/// Returns what is wrong with a plan, the dearest first; of those within the same tenth of the whole, in the order of
/// [`PATTERNS`] and then of the plan.
///
/// A plan that was run with timing is judged by time, one that was run with BUFFERS but without timing by blocks, any
/// other by the planner's cost. What takes less than 1 % of the whole is not worth a person's time, nor is what takes
/// less than a millisecond, 1 MB of blocks or a cost of 100; patterns that need figures of an execution are
/// silent where there are none.
///
/// ```
/// let text = r#"[{"Plan": {"Node Type": "Seq Scan", "Relation Name": "orders", "Filter": "(customer = 7)",
///     "Total Cost": 20000.0, "Plan Rows": 12, "Plan Width": 40, "Actual Rows": 12, "Actual Loops": 1,
///     "Actual Startup Time": 0.1, "Actual Total Time": 95.0, "Rows Removed by Filter": 999988}}]"#;
/// let plan = &planparse::read(text)?.plans[0].plan;
/// let findings = planparse::findings(plan);
/// assert_eq!(findings[0].pattern, "discarding_scan");
/// assert_eq!(findings[0].stake.ms, Some(95.0));
/// # Ok::<(), planparse::ParseError>(())
/// ```
pub fn findings(plan: &Plan) -> Vec<Finding> {
    let cx = Context::new(plan);
    let mut found: Vec<Finding> = PATTERNS.iter().flat_map(|pattern| pattern.find(&cx)).collect();
    // A pattern that was seen comes before one of about the same weight that is only inferred, as the page has them.
    let tenth = |finding: &Finding| (finding.stake.share * 10.0).floor().min(9.0);
    found.sort_by(|a, b| tenth(b).total_cmp(&tenth(a)));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{node, plan, ran, with};

    #[test]
    fn ids_equal_file_names_and_every_pattern_is_documented() {
        for pattern in PATTERNS {
            let meta = pattern.meta();
            assert!(
                meta.file.ends_with(&format!("/{}.rs", meta.id)),
                "{} lives in {}",
                meta.id,
                meta.file
            );
            for heading in ["# Why", "# Fires when", "# Silent when", "# What to do"] {
                assert!(meta.docs.contains(heading), "{} lacks {heading}", meta.id);
            }
            assert!(!meta.summary.is_empty() && !meta.summary.ends_with('.'));
        }
        let mut ids: Vec<_> = PATTERNS.iter().map(|pattern| pattern.meta().id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), PATTERNS.len());
    }

    #[test]
    fn findings_are_ranked_by_time() {
        let scan = |relation: &str, ms: f64| {
            let keys = json!({"Relation Name": relation, "Filter": "(a = 1)", "Rows Removed by Filter": 99_000, "Plan Rows": 1000});
            node("Seq Scan", "Outer", with(ran(ms, 1000.0, 1.0), keys), &[])
        };
        let mut scans = [scan("small", 20.0), scan("large", 70.0)];
        scans[1]["Parent Relationship"] = json!("Inner");
        let join = with(ran(100.0, 1000.0, 1.0), json!({"Plan Rows": 1000}));
        let found = findings(&plan(&node("Merge Join", "Outer", join, &scans)));
        let ranked: Vec<_> =
            found.iter().map(|finding| (finding.pattern, finding.stake.ms)).collect();
        assert_eq!(ranked, [("discarding_scan", Some(70.0)), ("discarding_scan", Some(20.0))]);
        assert!((found[0].stake.share - 0.7).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_said_of_a_plan_without_figures() {
        assert_eq!(
            findings(&plan(&node("Seq Scan", "Outer", json!({"Filter": "(a = 1)"}), &[]))),
            []
        );
    }
}
