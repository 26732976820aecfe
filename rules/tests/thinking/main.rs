//! The thinking half, rule by rule and part by part, on small made-up databases.

mod planner;
mod seen;

mod assemble;
mod candidates;
mod change_plan;
mod duplicate_index;
mod evidence;
mod index;
mod invalid_index;
mod judge;
mod misjudged_columns;
mod overdue_vacuum;
mod quote;
mod redundant_index;
mod stale_statistics;
mod unindexed_containment;
mod unindexed_expression;
mod unindexed_foreign_key;
mod unindexed_overlap;
mod unindexed_pattern;
mod unpriced;
mod unserved_predicate;
mod workload;
mod write_cost;
